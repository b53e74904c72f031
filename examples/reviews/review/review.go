// Package review holds what the programs of this example share: the review file, the
// labels file and the result line. It promises that what a program cannot read, it names
// by file and line.
//
// A review file has one review a line: id, product and text, separated by tabs. A labels
// file has id, label and, where people rated the review, the mean rating. Lines that start
// with # and empty lines mean nothing in either.
package review

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Review is one customer's words on one product.
type Review struct {
	ID, Product, Text string
}

// Sentiment is what a review says of its product.
type Sentiment string

// The sentiments, from good to bad.
const (
	Positive Sentiment = "positive"
	Neutral  Sentiment = "neutral"
	Negative Sentiment = "negative"
)

// Sentiments lists them in the order in which reports show them.
var Sentiments = [...]Sentiment{Positive, Neutral, Negative}

// Neutrality is the score below which, on either side of zero, a review is neutral.
const Neutrality = 0.05

// Of gives the sentiment of a score between -1 and 1.
func Of(score float64) Sentiment {
	switch {
	case score >= Neutrality:
		return Positive
	case score <= -Neutrality:
		return Negative
	}
	return Neutral
}

// Result is one line of a result file.
type Result struct {
	ID        string    `json:"id"`
	Product   string    `json:"product"`
	Score     float64   `json:"score"` // -1 (bad) to 1 (good)
	Sentiment Sentiment `json:"sentiment"`
	Text      string    `json:"text"`
}

// Label is what people said of a review.
type Label struct {
	ID        string
	Sentiment Sentiment
	Rating    float64 // mean of the raters, if Rated
	Rated     bool
}

// maxLine bounds one line of any file; a longer one is an error.
const maxLine = 1 << 20

// Read reads a review file; name stands for it in errors.
func Read(r io.Reader, name string) ([]Review, error) {
	var all []Review
	err := lines(r, name, func(n int, line string) error {
		id, rest, ok := strings.Cut(line, "\t")
		product, text, ok2 := strings.Cut(rest, "\t")
		if !ok || !ok2 || id == "" || product == "" || strings.TrimSpace(text) == "" {
			return fmt.Errorf("%s:%d: want id, product and text separated by tabs", name, n)
		}
		all = append(all, Review{id, product, strings.TrimSpace(text)})
		return nil
	})
	if err == nil && len(all) == 0 {
		err = fmt.Errorf("%s: no review in it; put one a line: id, product and text separated by tabs", name)
	}
	return all, err
}

// ReadLabels reads a labels file into a map by review id.
func ReadLabels(r io.Reader, name string) (map[string]Label, error) {
	all := map[string]Label{}
	err := lines(r, name, func(n int, line string) error {
		f := strings.Split(line, "\t")
		l := Label{ID: f[0]}
		if len(f) != 2 && len(f) != 3 {
			return fmt.Errorf("%s:%d: want id, label and perhaps a rating, separated by tabs", name, n)
		}
		switch l.Sentiment = Sentiment(f[1]); l.Sentiment {
		case Positive, Neutral, Negative:
		default:
			return fmt.Errorf("%s:%d: label %q is none of positive, neutral, negative", name, n, f[1])
		}
		if len(f) == 3 {
			v, err := strconv.ParseFloat(f[2], 64)
			if err != nil {
				return fmt.Errorf("%s:%d: rating %q is not a number", name, n, f[2])
			}
			l.Rating, l.Rated = v, true
		}
		if _, twice := all[l.ID]; twice {
			return fmt.Errorf("%s:%d: review %q is labelled twice; keep one line", name, n, l.ID)
		}
		all[l.ID] = l
		return nil
	})
	return all, err
}

// lines calls f with each line that means something.
func lines(r io.Reader, name string, f func(n int, line string) error) error {
	s := bufio.NewScanner(r)
	s.Buffer(make([]byte, 0, 64<<10), maxLine)
	n := 0
	for s.Scan() {
		n++
		line := strings.TrimRight(s.Text(), "\r")
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if err := f(n, line); err != nil {
			return err
		}
	}
	if err := s.Err(); err != nil {
		return fmt.Errorf("%s:%d: %w", name, n+1, err)
	}
	return nil
}
