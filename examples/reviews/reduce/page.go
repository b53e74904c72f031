package main

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"math"
	"strconv"
	"strings"

	"drover/examples/reviews/review"
)

//go:embed report.html.tmpl
var pageSource string

// render draws the report.
func render(rep Report) ([]byte, error) {
	t, err := template.New("report").Funcs(template.FuncMap{
		"percent":  func(f float64) string { return strconv.FormatFloat(100*f, 'f', 1, 64) + " %" },
		"signed":   signed,
		"count":    grouped,
		"one":      func(n int, word string) string { return plural(n, word) },
		"bars":     distribution,
		"products": productRows,
		"matrix":   matrixRows,
		"tone":     func(s review.Sentiment) string { return string(s) },
	}).Parse(pageSource)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = t.Execute(&b, rep)
	return b.Bytes(), err
}

// Bar is one column of the distribution, in the chart's own coordinates.
type Bar struct {
	X, Y, Width, Height float64
	Tone                review.Sentiment
	Count               int
	Middle              float64
	Label               bool // whether the count is written above it
}

// Chart is the distribution as it is drawn.
type Chart struct {
	Bars  []Bar
	Grid  []Line
	Ticks []Line
}

// Line is a mark on an axis.
type Line struct {
	At   float64
	Text string
}

// The distribution's drawing area.
const (
	chartLeft, chartRight = 44.0, 716.0
	chartTop, chartBottom = 16.0, 196.0
)

// distribution lays out the columns.
func distribution(counts []int) Chart {
	top := 1
	for _, n := range counts {
		top = max(top, n)
	}
	step := gridStep(top)
	high := float64((top + step - 1) / step * step)
	width := (chartRight - chartLeft) / float64(len(counts))
	var c Chart
	for n := 0; n <= int(high); n += step {
		c.Grid = append(c.Grid, Line{chartBottom - float64(n)/high*(chartBottom-chartTop), grouped(n)})
	}
	for i := 0; i <= 4; i++ {
		// The middle of the outermost columns is -1 and 1.
		at := chartLeft + width/2 + float64(i)/4*(chartRight-chartLeft-width)
		c.Ticks = append(c.Ticks, Line{at, []string{"−1", "−0.5", "0", "+0.5", "+1"}[i]})
	}
	for i, n := range counts {
		middle := float64(i-len(counts)/2) / 10
		h := float64(n) / high * (chartBottom - chartTop)
		c.Bars = append(c.Bars, Bar{
			X: chartLeft + float64(i)*width + 1, Y: chartBottom - h, Width: width - 2, Height: h,
			Tone: review.Of(middle), Count: n, Middle: middle, Label: n == top,
		})
	}
	return c
}

// gridStep is a round distance between grid lines that gives three to six of them.
func gridStep(top int) int {
	for step := 1; ; step *= 10 {
		for _, m := range []int{1, 2, 5} {
			if top <= 5*m*step {
				return m * step
			}
		}
	}
}

// ProductRow is one product's bar: three parts that fill the width.
type ProductRow struct {
	Product
	Parts []Part
}

// Part is one part of a product's bar.
type Part struct {
	Tone     review.Sentiment
	X, Width float64 // of 100
	Count    int
	Text     string // empty where the part is too narrow for it
}

func productRows(products []Product) []ProductRow {
	var rows []ProductRow
	for _, p := range products {
		row := ProductRow{Product: p}
		x := 0.0
		for i, n := range []int{p.Counts.Positive, p.Counts.Neutral, p.Counts.Negative} {
			w := 100 * share(n, p.Reviews)
			part := Part{Tone: review.Sentiments[i], X: x, Width: w, Count: n}
			if w >= 6 {
				part.Text = strconv.Itoa(n)
			}
			if n > 0 {
				row.Parts = append(row.Parts, part)
			}
			x += w
		}
		rows = append(rows, row)
	}
	return rows
}

// MatrixRow is one row of the confusion matrix.
type MatrixRow struct {
	Label review.Sentiment
	Cells []Cell
	Total int
}

// Cell is one field of the confusion matrix.
type Cell struct {
	Count int
	Share float64 // of its row
	Heat  float64 // 0 to 1, how strongly it is coloured
	Right bool
}

func matrixRows(m [3][3]int) []MatrixRow {
	var rows []MatrixRow
	for i, cells := range m {
		row := MatrixRow{Label: review.Sentiments[i]}
		for _, n := range cells {
			row.Total += n
		}
		for j, n := range cells {
			s := share(n, row.Total)
			row.Cells = append(row.Cells, Cell{Count: n, Share: s, Heat: math.Round(85*s) / 100, Right: i == j})
		}
		rows = append(rows, row)
	}
	return rows
}

// signed writes a score with its sign.
func signed(f float64) string {
	return strings.Replace(fmt.Sprintf("%+.2f", f), "-", "−", 1)
}

// grouped writes a count with a comma for each thousand.
func grouped(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func plural(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return grouped(n) + " " + word + "s"
}
