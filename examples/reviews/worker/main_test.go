package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"drover/examples/reviews/review"

	"github.com/google/go-cmp/cmp"
)

func TestScore(t *testing.T) {
	var out bytes.Buffer
	err := score([]review.Review{
		{ID: "good", Product: "kettle", Text: "I love this kettle. It is wonderful!"},
		{ID: "bad", Product: "kettle", Text: "Terrible. It broke and the support was awful."},
		{ID: "plain", Product: "kettle", Text: "It holds one litre & has a <lid>."},
	}, &out)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]review.Sentiment{}
	for line := range strings.Lines(out.String()) {
		var r review.Result
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("line %q: %v", line, err)
		}
		got[r.ID] = r.Sentiment
	}
	want := map[string]review.Sentiment{"good": review.Positive, "bad": review.Negative, "plain": review.Neutral}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestRunFailsOnABrokenFile(t *testing.T) {
	dir := t.TempDir()
	in := filepath.Join(dir, "in.tsv")
	if err := os.WriteFile(in, []byte("no tabs here\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := run(in, filepath.Join(dir, "out")); err == nil || !strings.Contains(err.Error(), "in.tsv:1:") {
		t.Errorf("run = %v, want an error that names in.tsv:1", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "out")); !os.IsNotExist(err) {
		t.Errorf("a result was written for a file that could not be read: %v", err)
	}
}

func TestSentences(t *testing.T) {
	got := sentences(" Version 2.0 works. Really?!  Yes... no end")
	want := []string{"Version 2.0 works.", "Really?!", "Yes...", "no end"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}
