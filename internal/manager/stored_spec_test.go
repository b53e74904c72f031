package manager

import (
	"encoding/json"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"

	"drover/internal/core/job"
)

// What was stored comes back, in either form, and with each field alone at its zero value.
func TestStoredSpec(t *testing.T) {
	kept := specs{}
	for i := range reflect.TypeFor[job.Spec]().NumField() + 1 {
		s := fullSpec(0)
		if i > 0 {
			reflect.ValueOf(s).Elem().Field(i - 1).SetZero()
		}
		text := commonOf(t, s)
		old, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range [][]byte{appendSpec(nil, s, text), appendSpec(nil, s, text), old} {
			got, common, err := kept.read(b)
			if err != nil {
				t.Fatal(err)
			}
			want := *s
			want.Key = 0 // given by the row
			if d := cmp.Diff(&want, got); d != "" || common != text {
				t.Errorf("field %d: %s\n%s\n%s", i-1, d, common, text)
			}
		}
	}
	if len(kept) < 20 {
		t.Errorf("%d common parts are kept", len(kept))
	}
}

// Whatever lies on the disk is read or refused, and what is read can be written again.
func FuzzStoredSpec(f *testing.F) {
	s := fullSpec(0)
	text, err := commonPart(s)
	if err != nil {
		f.Fatal(err)
	}
	whole := appendSpec(nil, s, text)
	f.Add(whole)
	f.Add(whole[:len(whole)/2])
	f.Add([]byte(`{"v":1,"name":"a"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, text, err := specs(nil).read(b)
		if err != nil {
			return
		}
		again, _, err := specs(nil).read(appendSpec(nil, s, text))
		if err != nil || again.Name != s.Name || len(again.Command) != len(s.Command) || len(again.Tags) != len(s.Tags) {
			t.Errorf("%v: %+v became %+v", err, s, again)
		}
	})
}
