package job_test

import (
	"slices"
	"strings"
	"testing"

	"drover/internal/core/job"
)

func TestSubstitute(t *testing.T) {
	params := map[string]string{"in": "a.txt", "codec": "mp4", "date": "d", "date-x": "dx", "v1.2": "v", "self": "Ref::in", "empty": ""}
	for _, c := range []struct{ word, want string }{
		{"plain", "plain"},
		{"Ref::in", "a.txt"},
		{"--codec=Ref::codec", "--codec=mp4"},
		{"Ref::date.csv", "d.csv"},
		{"Ref::date-x", "dx"},
		{"Ref::date-y", "d-y"},
		{"Ref::v1.2.3", "v.3"},
		{"Ref::inRef::codec", "Ref::inmp4"}, // "inRef" is no parameter; what follows is one
		{"Ref::in/Ref::codec", "a.txt/mp4"},
		{"Ref::self", "Ref::in"}, // values are not searched again
		{"x Ref::unknown y", "x Ref::unknown y"},
		{"a::Ref::", "a::Ref::"},
		{"x=Ref::empty.", "x=."},
		{"Ref::", "Ref::"},
	} {
		in := []string{"first", c.word}
		got, err := job.Substitute(in, params)
		if err != nil || got[1] != c.want || got[0] != "first" || in[1] != c.word {
			t.Errorf("%q: got %q, %v; want %q", c.word, got, err, c.want)
		}
	}
	_, err := job.Substitute([]string{"x", "Ref::nothing"}, params)
	if err == nil || !strings.Contains(err.Error(), "Unable to substitute value. No parameter found for reference nothing") {
		t.Errorf("a placeholder without parameter: %v", err)
	}
}

func FuzzSubstitute(f *testing.F) {
	f.Add("Ref::a", "a", "1")
	f.Add("xRef::a-b.c Ref::", "a-b", "Ref::a-b")
	f.Fuzz(func(t *testing.T, word, name, value string) {
		got, err := job.Substitute([]string{word}, map[string]string{name: value})
		if err != nil {
			if !strings.HasPrefix(word, "Ref::") {
				t.Errorf("%q refused: %v", word, err)
			}
			return
		}
		if !strings.Contains(word, "Ref::"+name) && got[0] != word {
			t.Errorf("%q became %q without naming %q", word, got[0], name)
		}
		same, err := job.Substitute([]string{word}, nil)
		if err == nil && same[0] != word {
			t.Errorf("%q became %q without parameters", word, same[0])
		}
	})
}

func TestSubstituteSharesWhatItDoesNotChange(t *testing.T) {
	in := []string{"a", "b"}
	if got, _ := job.Substitute(in, nil); &got[0] != &in[0] {
		t.Error("a command without placeholders was copied")
	}
	if !slices.Equal(in, []string{"a", "b"}) {
		t.Error("the input changed")
	}
}
