// Command convert turns labelled sentences (lines of id, mean human rating from -4 to 4
// and text, separated by tabs; plain or .gz) into review files and a labels file, so that
// the example can be measured on what people really wrote.
//
//	convert [-per N] [-product NAME] [-neutral R] FILE OUTDIR
//
// It writes OUTDIR/reviews/NNNN.tsv and OUTDIR/labels.tsv.
package main

import (
	"bufio"
	"compress/gzip"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"drover/examples/reviews/review"
)

func main() {
	per := flag.Int("per", 50, "reviews a file")
	product := flag.String("product", "product", "product named in each review")
	neutral := flag.Float64("neutral", 0.5, "a mean rating below this, on either side of 0, is labelled neutral")
	flag.Parse()
	if flag.NArg() != 2 || *per < 1 {
		fmt.Fprintln(os.Stderr, "usage: convert [-per N] [-product NAME] [-neutral R] FILE OUTDIR")
		os.Exit(2)
	}
	c := converter{dir: flag.Arg(1), per: *per, product: *product, neutral: *neutral}
	if err := c.file(flag.Arg(0)); err != nil {
		fmt.Fprintln(os.Stderr, "convert:", err)
		os.Exit(1)
	}
	fmt.Printf("%d reviews in %d files below %s, labels in %s\n", c.reviews, c.files,
		filepath.Join(c.dir, "reviews"), filepath.Join(c.dir, "labels.tsv"))
}

// converter writes the files of one run.
type converter struct {
	dir     string
	per     int
	product string
	neutral float64

	reviews, files int
}

func (c *converter) file(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	if !strings.HasSuffix(name, ".gz") {
		return c.convert(f, name)
	}
	z, err := gzip.NewReader(f)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	defer z.Close()
	return c.convert(z, name)
}

func (c *converter) convert(r io.Reader, name string) error {
	if err := os.MkdirAll(filepath.Join(c.dir, "reviews"), 0o755); err != nil {
		return err
	}
	var reviews, labels strings.Builder
	flush := func() error {
		if reviews.Len() == 0 {
			return nil
		}
		c.files++
		path := filepath.Join(c.dir, "reviews", fmt.Sprintf("%04d.tsv", c.files))
		err := os.WriteFile(path, []byte(reviews.String()), 0o644)
		reviews.Reset()
		return err
	}
	s := bufio.NewScanner(r)
	s.Buffer(make([]byte, 0, 64<<10), 1<<20)
	for n := 1; s.Scan(); n++ {
		f := strings.SplitN(s.Text(), "\t", 3)
		if len(f) != 3 {
			return fmt.Errorf("%s:%d: want id, rating and text separated by tabs", name, n)
		}
		rating, err := strconv.ParseFloat(f[1], 64)
		if err != nil {
			return fmt.Errorf("%s:%d: rating %q is not a number", name, n, f[1])
		}
		text := strings.Join(strings.Fields(f[2]), " ")
		if text == "" {
			continue
		}
		fmt.Fprintf(&reviews, "%s\t%s\t%s\n", f[0], c.product, text)
		fmt.Fprintf(&labels, "%s\t%s\t%s\n", f[0], c.label(rating), f[1])
		if c.reviews++; c.reviews%c.per == 0 {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return errors.Join(s.Err(), flush(), os.WriteFile(filepath.Join(c.dir, "labels.tsv"), []byte(labels.String()), 0o644))
}

// label is the word for a mean rating.
func (c *converter) label(rating float64) review.Sentiment {
	switch {
	case rating >= c.neutral:
		return review.Positive
	case rating <= -c.neutral:
		return review.Negative
	}
	return review.Neutral
}
