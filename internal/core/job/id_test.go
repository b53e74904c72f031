package job_test

import (
	"encoding/json"
	"testing"

	"pgregory.net/rapid"

	"drover/internal/core/job"
)

func TestIDRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var id job.ID
		copy(id[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "id"))
		index := rapid.Int32Range(job.Node(job.MaxNodes-1), 1<<31-1).Draw(t, "index")
		name := job.Name(id, index)
		if got, i, ok := job.ParseName(name); !ok || got != id || i != index {
			t.Fatalf("%q was read as %s %d %t", name, got, i, ok)
		}
		text, err := json.Marshal(id)
		var back job.ID
		if err != nil || json.Unmarshal(text, &back) != nil || back != id {
			t.Fatalf("%s as JSON: %s, %v, back %s", id, text, err, back)
		}
	})
}

func FuzzParseName(f *testing.F) {
	const id = "0190b3c2-7d1e-7abc-8def-0123456789ab"
	for _, s := range []string{id, id + ":0", id + ":12", id + ":", id + ":-1", id + ":+1", id + ":01", id + ":2147483648", id + "#0", id + "#12", id + "#", id + "#01", id + "#1000", id + ":1#2", id + "#1:2", "", ":", id[:35], id + "0", "0190b3c2_7d1e-7abc-8def-0123456789ab"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		id, index, ok := job.ParseName(s)
		if !ok {
			return
		}
		again := job.Name(id, index)
		if id2, index2, ok := job.ParseName(again); !ok || id2 != id || index2 != index {
			t.Errorf("%q was read as %q, and that is read as %s %d %t", s, again, id2, index2, ok)
		}
		if len(again) != len(s) {
			t.Errorf("%q and %q both name one unit", s, again)
		}
	})
}

func TestRefOrder(t *testing.T) {
	rising := []job.Ref{{Key: 1, Index: job.Whole}, {Key: 1}, {Key: 1, Index: 5}, {Key: 2, Index: job.Whole}, {Key: 3}}
	for i, a := range rising {
		for j, b := range rising {
			want := 0
			if i < j {
				want = -1
			} else if i > j {
				want = 1
			}
			if a.Compare(b) != want {
				t.Errorf("%v against %v: %d", a, b, a.Compare(b))
			}
		}
	}
}

func TestStatusWords(t *testing.T) {
	for s := job.Submitted; s <= job.Failed; s++ {
		if back, ok := job.ParseStatus(s.String()); !ok || back != s {
			t.Errorf("%s reads back as %s", s, back)
		}
	}
	for _, w := range []string{"", "running", "UNKNOWN"} {
		if s, ok := job.ParseStatus(w); ok {
			t.Errorf("%q is read as %s", w, s)
		}
	}
	if job.Status(99).String() != "UNKNOWN" {
		t.Error("a status that does not exist has a name")
	}
}
