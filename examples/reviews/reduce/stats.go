package main

import (
	"cmp"
	"math"
	"slices"

	"drover/examples/reviews/review"
)

// Report is report.json.
type Report struct {
	Title    string          `json:"title"`
	Note     string          `json:"note,omitempty"`
	Reviews  int             `json:"reviews"`
	Files    int             `json:"files"`
	Mean     float64         `json:"meanScore"`
	Counts   Counts          `json:"counts"`
	Bins     []int           `json:"distribution"` // counts of scores around -1, -0.9 ... 1
	Products []Product       `json:"products"`     // best mean first
	Best     []review.Result `json:"mostPositive"`
	Worst    []review.Result `json:"mostNegative"`
	Accuracy *Accuracy       `json:"accuracy,omitempty"` // only where there are labels
}

// Counts is how many reviews there are of each sentiment.
type Counts struct {
	Positive int `json:"positive"`
	Neutral  int `json:"neutral"`
	Negative int `json:"negative"`
}

// Product sums up the reviews of one product.
type Product struct {
	Name    string  `json:"name"`
	Reviews int     `json:"reviews"`
	Mean    float64 `json:"meanScore"`
	Counts  Counts  `json:"counts"`
}

// Accuracy compares the worker's answers with people's.
type Accuracy struct {
	Labelled    int       `json:"labelled"`
	Right       int       `json:"right"`
	Share       float64   `json:"share"`                 // right / labelled
	Polar       float64   `json:"polarShare"`            // the same among reviews that neither side calls neutral
	Correlation *float64  `json:"correlation,omitempty"` // of score and mean rating, where reviews are rated
	Matrix      [3][3]int `json:"matrix"`                // [label][answer], both in the order positive, neutral, negative
	Classes     []Class   `json:"classes"`
	Misread     []Misread `json:"misread"` // labelled one way, read the other, surest first
}

// Class is how well one sentiment is found.
type Class struct {
	Sentiment review.Sentiment `json:"sentiment"`
	Precision float64          `json:"precision"`
	Recall    float64          `json:"recall"`
	F1        float64          `json:"f1"`
}

// Misread is a review that the worker took for its opposite.
type Misread struct {
	review.Result
	Label review.Sentiment `json:"label"`
}

const (
	bins  = 21 // of the distribution, each 0.1 wide: the middle one is what counts as neutral
	shown = 5  // reviews in each list
)

// summarize builds the report. The order of results does not matter.
func summarize(results []review.Result, labels map[string]review.Label) Report {
	results = slices.Clone(results)
	slices.SortFunc(results, func(a, b review.Result) int {
		return cmp.Or(cmp.Compare(b.Score, a.Score), cmp.Compare(a.ID, b.ID))
	})
	rep := Report{Reviews: len(results), Bins: make([]int, bins)}
	products := map[string]*Product{}
	for _, r := range results {
		rep.Mean += r.Score / float64(len(results))
		rep.Counts.add(r.Sentiment)
		rep.Bins[bin(r.Score)]++
		p := products[r.Product]
		if p == nil {
			p = &Product{Name: r.Product}
			products[r.Product] = p
		}
		p.Reviews++
		p.Mean += r.Score
		p.Counts.add(r.Sentiment)
	}
	for _, p := range products {
		p.Mean /= float64(p.Reviews)
		rep.Products = append(rep.Products, *p)
	}
	slices.SortFunc(rep.Products, func(a, b Product) int {
		return cmp.Or(cmp.Compare(b.Mean, a.Mean), cmp.Compare(a.Name, b.Name))
	})
	n := min(shown, len(results))
	rep.Best = results[:n]
	rep.Worst = slices.Clone(results[len(results)-n:])
	slices.Reverse(rep.Worst)
	rep.Accuracy = accuracy(results, labels)
	return rep
}

// bin is the place of a score in the distribution.
func bin(score float64) int { return min(max(int(math.Round(score*10))+bins/2, 0), bins-1) }

func (c *Counts) add(s review.Sentiment) {
	switch s {
	case review.Positive:
		c.Positive++
	case review.Negative:
		c.Negative++
	default:
		c.Neutral++
	}
}

// accuracy compares results with labels; nil if none of them is labelled.
func accuracy(results []review.Result, labels map[string]review.Label) *Accuracy {
	var a Accuracy
	var polar, polarRight int
	var scores, ratings []float64
	for _, r := range results {
		l, ok := labels[r.ID]
		if !ok {
			continue
		}
		a.Labelled++
		a.Matrix[place(l.Sentiment)][place(r.Sentiment)]++
		if l.Rated {
			scores, ratings = append(scores, r.Score), append(ratings, l.Rating)
		}
		if l.Sentiment == r.Sentiment {
			a.Right++
		}
		if l.Sentiment == review.Neutral || r.Sentiment == review.Neutral {
			continue
		}
		polar++
		if l.Sentiment == r.Sentiment {
			polarRight++
		} else {
			a.Misread = append(a.Misread, Misread{r, l.Sentiment})
		}
	}
	if a.Labelled == 0 {
		return nil
	}
	a.Share = share(a.Right, a.Labelled)
	a.Polar = share(polarRight, polar)
	a.Correlation = correlation(scores, ratings)
	for i, s := range review.Sentiments {
		var said, is int
		for j := range review.Sentiments {
			said += a.Matrix[j][i]
			is += a.Matrix[i][j]
		}
		c := Class{Sentiment: s, Precision: share(a.Matrix[i][i], said), Recall: share(a.Matrix[i][i], is)}
		if c.Precision+c.Recall > 0 {
			c.F1 = 2 * c.Precision * c.Recall / (c.Precision + c.Recall)
		}
		a.Classes = append(a.Classes, c)
	}
	slices.SortStableFunc(a.Misread, func(x, y Misread) int { return cmp.Compare(math.Abs(y.Score), math.Abs(x.Score)) })
	a.Misread = a.Misread[:min(shown, len(a.Misread))]
	return &a
}

// place is a sentiment's row or column in the matrix.
func place(s review.Sentiment) int { return slices.Index(review.Sentiments[:], s) }

func share(part, whole int) float64 {
	if whole == 0 {
		return 0
	}
	return float64(part) / float64(whole)
}

// correlation is Pearson's; nil where it has no meaning.
func correlation(x, y []float64) *float64 {
	var mx, my, xy, xx, yy float64
	for i := range x {
		mx += x[i] / float64(len(x))
		my += y[i] / float64(len(x))
	}
	for i := range x {
		xy += (x[i] - mx) * (y[i] - my)
		xx += (x[i] - mx) * (x[i] - mx)
		yy += (y[i] - my) * (y[i] - my)
	}
	if xx == 0 || yy == 0 {
		return nil
	}
	c := xy / math.Sqrt(xx*yy)
	return &c
}
