package review

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRead(t *testing.T) {
	got, err := Read(strings.NewReader("# made up\n\na1\tkettle\tBoils fast.\r\na2\tkettle\t It leaks. \n"), "f")
	if err != nil {
		t.Fatal(err)
	}
	want := []Review{{"a1", "kettle", "Boils fast."}, {"a2", "kettle", "It leaks."}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestReadNamesWhatItCannotRead(t *testing.T) {
	for in, want := range map[string]string{
		"a1\tkettle\tfine\nbroken\n": "f:2: want id, product and text",
		"a1\tkettle\t \n":            "f:1: want id, product and text",
		"# nothing\n":                "f: no review in it",
	} {
		_, err := Read(strings.NewReader(in), "f")
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Read(%q) = %v, want %q in it", in, err, want)
		}
	}
}

func TestReadLabels(t *testing.T) {
	got, err := ReadLabels(strings.NewReader("a\tpositive\nb\tnegative\t-2.5\n"), "l")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]Label{"a": {ID: "a", Sentiment: Positive}, "b": {ID: "b", Sentiment: Negative, Rating: -2.5, Rated: true}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	for in, want := range map[string]string{
		"a\tgood\n":                  "l:1: label",
		"a\n":                        "l:1: want",
		"a\tneutral\tx\n":            "l:1: rating",
		"a\tneutral\na\tpositive\n":  "l:2: review \"a\" is labelled twice",
		"a\tneutral\t1\tsomething\n": "l:1: want",
	} {
		if _, err := ReadLabels(strings.NewReader(in), "l"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ReadLabels(%q) = %v, want %q in it", in, err, want)
		}
	}
}

func TestOf(t *testing.T) {
	for score, want := range map[float64]Sentiment{1: Positive, 0.05: Positive, 0.049: Neutral, 0: Neutral, -0.05: Negative, -1: Negative} {
		if got := Of(score); got != want {
			t.Errorf("Of(%v) = %s, want %s", score, got, want)
		}
	}
}
