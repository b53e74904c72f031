package native

import (
	"bytes"
	"testing"
)

// The pages of ReadHistory give each piece once, and end with an empty one.
func TestReadHistory(t *testing.T) {
	s := New(newFake(), nil, nil)
	in := &ReadHistoryInput{}
	var all []byte
	for pages := 0; ; pages++ {
		out, err := s.ReadHistory(t.Context(), in)
		if err != nil || pages > 3 {
			t.Fatal(err, pages)
		}
		for _, p := range out.Pieces {
			all = append(all, p.Data...)
		}
		if out.Next == "" {
			break
		}
		in.Token = &out.Next
	}
	if !bytes.Equal(all, []byte{1, 2, 3}) {
		t.Error(all)
	}
	bad := "x"
	if _, err := s.ReadHistory(t.Context(), &ReadHistoryInput{Token: &bad}); err == nil {
		t.Error("a token that nobody gave is taken")
	}
}
