package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"drover/examples/reviews/review"
)

func TestConvert(t *testing.T) {
	dir := t.TempDir()
	c := converter{dir: dir, per: 2, product: "player", neutral: 0.5}
	in := "1_1\t-0.9\tno picture.\n1_2\t0.4\ta  \tbetter title.\n1_3\t3\tgreat.\n"
	if err := c.convert(strings.NewReader(in), "in"); err != nil {
		t.Fatal(err)
	}
	if c.reviews != 3 || c.files != 2 {
		t.Errorf("%d reviews in %d files, want 3 in 2", c.reviews, c.files)
	}
	f, err := os.Open(filepath.Join(dir, "reviews", "0001.tsv"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rs, err := review.Read(f, "0001.tsv")
	if err != nil {
		t.Fatal(err)
	}
	if len(rs) != 2 || rs[1] != (review.Review{ID: "1_2", Product: "player", Text: "a better title."}) {
		t.Errorf("reviews = %+v", rs)
	}
	b, err := os.ReadFile(filepath.Join(dir, "labels.tsv"))
	if err != nil {
		t.Fatal(err)
	}
	if want := "1_1\tnegative\t-0.9\n1_2\tneutral\t0.4\n1_3\tpositive\t3\n"; string(b) != want {
		t.Errorf("labels = %q, want %q", b, want)
	}
	if err := c.convert(strings.NewReader("1_1\tbad\ttext\n"), "in"); err == nil || !strings.Contains(err.Error(), "in:1: rating") {
		t.Errorf("a bad rating gave %v", err)
	}
}
