// Command worker reads a file of customer reviews and writes, for each, how good or bad
// its words are about the product: one JSON object a line.
//
//	worker IN OUT
//
// It is an ordinary program: it knows nothing of drover, of the object store or of the
// network.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode"

	"drover/examples/reviews/review"

	"github.com/jonreiter/govader"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: worker IN OUT (a file of reviews, the file to write)")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "worker:", err)
		os.Exit(1)
	}
}

func run(in, out string) error {
	f, err := os.Open(in)
	if err != nil {
		return err
	}
	defer f.Close()
	reviews, err := review.Read(f, in)
	if err != nil {
		return err
	}
	o, err := os.Create(out)
	if err != nil {
		return err
	}
	if err := score(reviews, o); err != nil {
		o.Close()
		return err
	}
	return o.Close()
}

// score writes one result a line.
func score(reviews []review.Review, out io.Writer) error {
	analyzer := govader.NewSentimentIntensityAnalyzer()
	w := bufio.NewWriter(out)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	for _, r := range reviews {
		s := mean(r.Text, func(sentence string) float64 { return analyzer.PolarityScores(sentence).Compound })
		if err := enc.Encode(review.Result{ID: r.ID, Product: r.Product, Score: s, Sentiment: review.Of(s), Text: r.Text}); err != nil {
			return err
		}
	}
	return w.Flush()
}

// mean is the average of the scores of a text's sentences. The analyzer was made for
// single sentences: over a whole review its sums run into the ends of the scale.
func mean(text string, score func(string) float64) float64 {
	var sum float64
	var n int
	for _, s := range sentences(text) {
		sum += score(s)
		n++
	}
	if n == 0 {
		return 0
	}
	return sum / float64(n)
}

// sentences cuts a text after each run of . ! ? that is followed by a space.
func sentences(text string) []string {
	var all []string
	start, ended := 0, false
	for i, c := range text {
		if ended && unicode.IsSpace(c) {
			if s := strings.TrimSpace(text[start:i]); s != "" {
				all = append(all, s)
			}
			start = i
		}
		ended = c == '.' || c == '!' || c == '?'
	}
	if s := strings.TrimSpace(text[start:]); s != "" {
		all = append(all, s)
	}
	return all
}
