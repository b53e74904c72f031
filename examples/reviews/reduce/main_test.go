package main

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"drover/examples/reviews/review"

	"github.com/google/go-cmp/cmp"
)

func result(id, product string, score float64) review.Result {
	return review.Result{ID: id, Product: product, Score: score, Sentiment: review.Of(score), Text: "text of " + id}
}

func TestSummarize(t *testing.T) {
	results := []review.Result{
		result("a", "kettle", 0.8), result("b", "kettle", -0.6), result("c", "lamp", 0), result("d", "lamp", 0.4),
	}
	labels := map[string]review.Label{
		"a": {Sentiment: review.Positive, Rating: 3, Rated: true},
		"b": {Sentiment: review.Positive, Rating: 1, Rated: true}, // misread
		"c": {Sentiment: review.Neutral, Rating: 0, Rated: true},
	}
	rep := summarize(results, labels)
	if rep.Reviews != 4 || rep.Counts != (Counts{Positive: 2, Neutral: 1, Negative: 1}) || math.Abs(rep.Mean-0.15) > 1e-9 {
		t.Errorf("totals = %d %+v mean %v", rep.Reviews, rep.Counts, rep.Mean)
	}
	if rep.Bins[18] != 1 || rep.Bins[4] != 1 || rep.Bins[10] != 1 || rep.Bins[14] != 1 {
		t.Errorf("distribution = %v", rep.Bins)
	}
	if rep.Products[0].Name != "lamp" || rep.Products[1].Counts != (Counts{Positive: 1, Negative: 1}) {
		t.Errorf("products = %+v", rep.Products)
	}
	if rep.Best[0].ID != "a" || rep.Worst[0].ID != "b" {
		t.Errorf("best %s, worst %s", rep.Best[0].ID, rep.Worst[0].ID)
	}
	a := rep.Accuracy
	if a.Labelled != 3 || a.Right != 2 || a.Polar != 0.5 || a.Matrix != [3][3]int{{1, 0, 1}, {0, 1, 0}, {0, 0, 0}} {
		t.Errorf("accuracy = %+v", a)
	}
	if len(a.Misread) != 1 || a.Misread[0].ID != "b" || a.Misread[0].Label != review.Positive {
		t.Errorf("misread = %+v", a.Misread)
	}
	if c := a.Classes[0]; c.Precision != 1 || c.Recall != 0.5 || math.Abs(c.F1-2.0/3) > 1e-9 {
		t.Errorf("positive = %+v", c)
	}
}

func TestWithoutLabelsThereIsNoAccuracy(t *testing.T) {
	if a := summarize([]review.Result{result("a", "kettle", 1)}, nil).Accuracy; a != nil {
		t.Errorf("accuracy = %+v, want none", a)
	}
}

func TestCorrelation(t *testing.T) {
	if c := correlation([]float64{1, 2, 3}, []float64{2, 4, 6}); c == nil || math.Abs(*c-1) > 1e-9 {
		t.Errorf("of a line = %v, want 1", c)
	}
	if c := correlation([]float64{1, 1}, []float64{2, 4}); c != nil {
		t.Errorf("of a constant = %v, want none", *c)
	}
}

func TestBin(t *testing.T) {
	for score, want := range map[float64]int{-1: 0, -0.94: 1, -0.051: 9, 0: 10, 0.049: 10, 0.06: 11, 1: 20} {
		if got := bin(score); got != want {
			t.Errorf("bin(%v) = %d, want %d", score, got, want)
		}
	}
}

func TestRun(t *testing.T) {
	in, out := t.TempDir(), t.TempDir()
	if err := os.MkdirAll(filepath.Join(in, "shop"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, r := range map[string]review.Result{
		"shop/a.tsv": result("a", "<b>kettle</b>", 0.8), "b.tsv": result("b", "lamp", -0.6),
	} {
		b, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(in, name), append(b, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	labels := filepath.Join(t.TempDir(), "labels.tsv")
	if err := os.WriteFile(labels, []byte("a\tpositive\nb\tpositive\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := run(in, out, labels, "Reviews", "A note."); err != nil {
		t.Fatal(err)
	}
	var rep Report
	b, err := os.ReadFile(filepath.Join(out, "report.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &rep); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]any{2, 2, "Reviews", 0.5}, []any{rep.Reviews, rep.Files, rep.Title, rep.Accuracy.Share}); d != "" {
		t.Error(d)
	}
	html, err := os.ReadFile(filepath.Join(out, "report.html"))
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(html, []byte("<b>kettle")) {
		t.Error("a product's name reached the page unescaped")
	}
	if elsewhere := regexp.MustCompile(`(?i)(src|href)=|url\(|@import|<script`).Find(html); elsewhere != nil {
		t.Errorf("the page is not self-contained: %q", elsewhere)
	}
	for _, want := range []string{"Misread", "A note.", "50.0 %"} {
		if !strings.Contains(string(html), want) {
			t.Errorf("the page lacks %q", want)
		}
	}
}

func TestRunWithoutResults(t *testing.T) {
	if err := run(t.TempDir(), t.TempDir(), "", "", ""); err == nil || !strings.Contains(err.Error(), "no results") {
		t.Errorf("run = %v, want a word about no results", err)
	}
}

func TestGridStep(t *testing.T) {
	for top, want := range map[int]int{1: 1, 5: 1, 6: 2, 48: 10, 51: 20, 1200: 500} {
		if got := gridStep(top); got != want {
			t.Errorf("gridStep(%d) = %d, want %d", top, got, want)
		}
	}
}
