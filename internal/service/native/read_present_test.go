package native

import (
	"testing"

	"drover/internal/core/job"
)

// The pages of ReadPresent give each job once; the first has the configuration.
func TestReadPresent(t *testing.T) {
	s := New(newFake(), nil, nil)
	limit := int32(2)
	in := &ReadPresentInput{Limit: &limit}
	var keys []job.Key
	for page := 0; ; page++ {
		out, err := s.ReadPresent(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		p, jobs, err := out.Presence()
		if err != nil {
			t.Fatal(err)
		}
		if first := page == 0; first != (p.At == 7 && len(p.Hosts) == 1) {
			t.Errorf("page %d: %+v", page, p)
		}
		for _, j := range jobs {
			keys = append(keys, j.Spec.Key)
		}
		if out.Next == "" {
			break
		}
		in.Token = &out.Next
	}
	if len(keys) != 5 || keys[0] != 1 || keys[4] != 5 {
		t.Error(keys)
	}
	bad := "x"
	if _, err := s.ReadPresent(t.Context(), &ReadPresentInput{Token: &bad}); err == nil {
		t.Error("a token that nobody gave is taken")
	}
}
