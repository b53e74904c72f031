package house

import (
	"flag"
	"os"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files anew")

const billFile = "testdata/bill.txt"

// bill lists the modules that a package is made of, with their versions.
func (m *source) bill(importPath string) []string {
	var list []string
	for _, dep := range m.all[importPath].Deps {
		if mod := m.all[dep].Module; mod != nil && mod.Path != module {
			list = append(list, mod.Path+" "+mod.Version)
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// compareBills says what differs.
func compareBills(want, got []string) (wrong []string) {
	for _, line := range got {
		if !slices.Contains(want, line) {
			wrong = append(wrong, "new in the binary: "+line)
		}
	}
	for _, line := range want {
		if !slices.Contains(got, line) {
			wrong = append(wrong, "gone from the binary: "+line)
		}
	}
	return wrong
}

// TestBill is R8: nobody else's code gets into the binary unseen.
func TestBill(t *testing.T) {
	got := load(t).bill(module + "/cmd/drover")
	if len(got) == 0 {
		t.Fatal("cmd/drover rests on no module at all: go list did not find it")
	}
	if *update {
		if err := os.WriteFile(billFile, []byte(strings.Join(got, "\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(billFile)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range compareBills(strings.Split(strings.TrimSpace(string(text)), "\n"), got) {
		t.Errorf("%s; if it is meant: go test ./internal/house -run TestBill -update", w)
	}
}

func TestBillRefuses(t *testing.T) {
	got := compareBills([]string{"a v1", "b v1", "c v1"}, []string{"a v1", "b v2", "d v1"})
	want := []string{"new in the binary: b v2", "new in the binary: d v1", "gone from the binary: b v1", "gone from the binary: c v1"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
