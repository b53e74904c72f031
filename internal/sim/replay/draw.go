package replay

import (
	"bytes"
	"cmp"
	"fmt"
	"html"
	"math"
	"slices"
)

// The picture's measures, in its own units.
const (
	wide   = 960 // of the plots
	high   = 130
	left   = 70
	right  = 30
	lane   = 12   // of a host in the Gantt chart
	lanes  = 64   // that are drawn at most
	bars   = 4000 // jobs of which a Gantt chart is drawn at most
	apart  = 46   // of plots
	titled = 58   // above the first plot of a run
)

// Picture is one run as it is drawn.
type Picture struct {
	Title, Words string
	*Trace
}

// Draw gives an SVG of runs, one below the other and on one scale: of each how many vCPUs
// were in use and how many were asked for and waited, over the time; and where there are few
// hosts and jobs, which job ran where.
func Draw(runs ...Picture) []byte {
	var last, most int64
	for _, r := range runs {
		last = max(last, r.last())
	}
	last = max(last, 1)
	plots := make([]curves, len(runs))
	for i, r := range runs {
		plots[i] = r.curves(last)
		most = max(most, plots[i].most)
	}
	var b bytes.Buffer
	y := 0
	for i, r := range runs {
		y = r.draw(&b, y, last, plots[i], float64(most))
	}
	var out bytes.Buffer
	fmt.Fprintf(&out, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="system-ui,sans-serif" font-size="12" fill="#333">`+"\n", left+wide+right, y+10)
	fmt.Fprintf(&out, `<rect width="%d" height="%d" fill="#fff"/>`+"\n", left+wide+right, y+10)
	out.Write(b.Bytes())
	out.WriteString("</svg>\n")
	return out.Bytes()
}

// curves are vCPUs over the columns of a plot.
type curves struct {
	use, wait []float64
	size      float64 // vCPUs of all hosts
	most      int64   // that ever waited, as a column's mean
}

// curves finds the means of the columns.
func (t *Trace) curves(last int64) curves {
	type step struct{ at, use, wait int64 }
	var steps []step
	for i := range t.Jobs {
		m := t.Jobs[i].MilliVCPU
		o := &t.Out[i]
		if o.State != Before {
			steps = append(steps, step{max(t.submitted(i), 0), 0, m})
		}
		switch o.State {
		case Before:
			steps = append(steps, step{0, m, 0}, step{max(t.end(i), 0), -m, 0})
		case Started, Ended:
			steps = append(steps, step{o.Start, m, -m}, step{t.end(i), -m, 0})
		}
	}
	slices.SortFunc(steps, func(a, b step) int { return cmp.Compare(a.at, b.at) })
	c := curves{use: make([]float64, wide), wait: make([]float64, wide)}
	slice := float64(last) / wide
	var use, wait, at int64
	spread := func(to int64) {
		for at < to {
			col := min(int(float64(at)/slice), wide-1)
			next := min(to, max(int64(float64(col+1)*slice), at+1))
			part := float64(next-at) / slice / 1000
			c.use[col] += float64(use) * part
			c.wait[col] += float64(wait) * part
			at = next
		}
	}
	for _, s := range steps {
		spread(s.at)
		use, wait = use+s.use, wait+s.wait
	}
	spread(last)
	for i := range t.Hosts {
		c.size += float64(t.Hosts[i].Capacity.MilliVCPU) / 1000
	}
	c.most = int64(math.Ceil(slices.Max(c.wait)))
	return c
}

// draw draws a run from y down and returns where it ends.
func (p *Picture) draw(b *bytes.Buffer, y int, last int64, c curves, most float64) int {
	fmt.Fprintf(b, `<text x="%d" y="%d" font-size="15" font-weight="600">%s</text>`+"\n", left, y+24, html.EscapeString(p.Title))
	fmt.Fprintf(b, `<text x="%d" y="%d" fill="#666">%s</text>`+"\n", left, y+42, html.EscapeString(p.Words))
	y += titled
	y = p.gantt(b, y, last)
	y = area(b, y, c.use, c.size, last, "#3b7dd8", fmt.Sprintf("vCPUs in use, of %s", short(c.size)))
	return area(b, y, c.wait, most, last, "#d8803b", "vCPUs that wait")
}

// area draws one curve with its scales.
func area(b *bytes.Buffer, y int, columns []float64, most float64, last int64, colour, title string) int {
	top := y + 20
	fmt.Fprintf(b, `<text x="%d" y="%d">%s</text>`+"\n", left, top-7, title)
	grid(b, top, high, last)
	step := nice(max(most, 1e-9) / 3)
	for v := 0.0; v <= most*1.0001; v += step {
		at := float64(top+high) - v/max(most, 1e-9)*high
		fmt.Fprintf(b, `<path d="M%d %.1fh%d" stroke="#ddd"/><text x="%d" y="%.1f" text-anchor="end" fill="#666">%s</text>`+"\n", left, at, wide, left-6, at+4, short(v))
	}
	fmt.Fprintf(b, `<path fill="%s" fill-opacity=".75" d="M%d %d`, colour, left, top+high)
	for x, v := range columns {
		at := float64(top + high)
		if most > 0 {
			at -= min(v/most, 1) * high
		}
		fmt.Fprintf(b, "V%.1fH%d", at, left+x+1)
	}
	fmt.Fprintf(b, `V%dZ"/>`+"\n", top+high)
	return top + high + apart - 20
}

// grid draws the lines and words of the time axis.
func grid(b *bytes.Buffer, top, height int, last int64) {
	unit, name := 3600.0, "h"
	switch s := float64(last) / second; {
	case s > 10*86400:
		unit, name = 86400, "d"
	case s < 300:
		unit, name = 1, "s"
	case s < 3*3600:
		unit, name = 60, "min"
	}
	total := float64(last) / second / unit
	step := nice(total / 6)
	for v := 0.0; v <= total*1.0001; v += step {
		x := left + v/total*wide
		fmt.Fprintf(b, `<path d="M%.1f %dv%d" stroke="#ddd"/><text x="%.1f" y="%d" text-anchor="middle" fill="#666">%s %s</text>`+"\n", x, top, height, x, top+height+15, short(v), name)
	}
}

// nice is the next of 1, 2, 5, 10, 20 ...
func nice(v float64) float64 {
	p := math.Pow(10, math.Floor(math.Log10(max(v, 1e-9))))
	for _, m := range []float64{1, 2, 5} {
		if v <= m*p {
			return m * p
		}
	}
	return 10 * p
}

// short writes a number for an axis.
func short(v float64) string {
	switch {
	case v >= 1e6:
		return fmt.Sprintf("%.4gM", v/1e6)
	case v >= 1e4:
		return fmt.Sprintf("%.4gk", v/1e3)
	}
	return fmt.Sprintf("%.4g", v)
}

// colours of shares, users or queues, in the order in which they come.
func colours() []string {
	return []string{"#4e79a7", "#f28e2b", "#59a14f", "#e15759", "#76b7b2", "#edc948", "#b07aa1", "#9c755f"}
}

// gantt draws which job ran where, if that can be seen.
func (p *Picture) gantt(b *bytes.Buffer, y int, last int64) int {
	if len(p.Hosts) > lanes || len(p.Jobs) > bars || len(p.Hosts) == 0 {
		return y
	}
	top := y + 20
	height := len(p.Hosts) * lane
	for len(p.Hosts) < 8 && height < 8*lane { // few hosts: make them tall, their jobs lie above each other
		height += len(p.Hosts) * lane
	}
	each := float64(height) / float64(len(p.Hosts))
	fmt.Fprintf(b, `<text x="%d" y="%d">jobs on hosts</text>`+"\n", left, top-7)
	grid(b, top, height, last)
	for i, h := range p.Hosts {
		at := float64(top) + float64(i)*each
		fmt.Fprintf(b, `<path d="M%d %.1fh%d" stroke="#ccc"/>`, left, at, wide)
		if len(p.Hosts) <= 16 || i%(len(p.Hosts)/8) == 0 {
			fmt.Fprintf(b, `<text x="%d" y="%.1f" text-anchor="end" fill="#666" font-size="10">%s</text>`+"\n", left-6, at+min(each/2, 12)+4, html.EscapeString(clip(h.Name, 10)))
		}
	}
	kinds := map[string]int{}
	used := make([]stack, len(p.Hosts))
	order := make([]int, 0, len(p.Jobs))
	for i := range p.Jobs {
		if p.Out[i].State != Waiting {
			order = append(order, i)
		}
	}
	slices.SortFunc(order, func(x, y int) int { return cmp.Or(cmp.Compare(p.Out[x].Start, p.Out[y].Start), cmp.Compare(x, y)) })
	for _, i := range order {
		o, j := &p.Out[i], &p.Jobs[i]
		kind := cmp.Or(j.Share, j.Queue, j.User)
		if _, ok := kinds[kind]; !ok {
			kinds[kind] = len(kinds)
		}
		part := p.holds(i)
		from := used[o.Host].take(o.Start, p.end(i), part)
		x := float64(left) + float64(max(o.Start, 0))/float64(last)*wide
		w := max(float64(p.ran(i))/float64(last)*wide, 0.3)
		at := float64(top) + float64(o.Host)*each + from*each
		fmt.Fprintf(b, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="%s" fill-opacity=".85" stroke="#fff" stroke-width=".4"><title>job %d: %d vCPUs, %d s</title></rect>`+"\n",
			x, at, w, max(part*each, 0.5), colours()[kinds[kind]%len(colours())], j.ID, (j.MilliVCPU+999)/1000, j.Run/second)
	}
	legend(b, kinds, top-7)
	return top + height + apart - 20
}

// legend names the colours, as far as there is room.
func legend(b *bytes.Buffer, kinds map[string]int, y int) {
	names := make([]string, len(kinds))
	for k, n := range kinds {
		names[n] = k
	}
	x := left + 110
	for n, name := range names {
		name = clip(name, 18)
		width := 26 + 7*len([]rune(name))
		if name == "" || n == len(colours()) || x+width > left+wide {
			return
		}
		fmt.Fprintf(b, `<rect x="%d" y="%d" width="10" height="10" fill="%s"/><text x="%d" y="%d" fill="#666">%s</text>`+"\n", x, y-9, colours()[n], x+14, y, html.EscapeString(name))
		x += width
	}
}

func clip(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return s
}

// stack says where in the height of a host jobs lie.
type stack struct {
	ends []int64 // of the jobs that lie there
	from []float64
	to   []float64
}

// take finds the lowest gap of a height from start to end.
func (s *stack) take(start, end int64, height float64) float64 {
	keep := 0
	for i := range s.ends {
		if s.ends[i] > start {
			s.ends[keep], s.from[keep], s.to[keep] = s.ends[i], s.from[i], s.to[i]
			keep++
		}
	}
	s.ends, s.from, s.to = s.ends[:keep], s.from[:keep], s.to[:keep]
	at := 0.0
	order := make([]int, keep)
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(s.from[a], s.from[b]) })
	for _, i := range order {
		if s.from[i]-at >= height-1e-9 {
			break
		}
		at = max(at, s.to[i])
	}
	if at+height > 1+1e-9 { // the gaps are in pieces: lie over others rather than outside
		at = max(1-height, 0)
	}
	s.ends, s.from, s.to = append(s.ends, end), append(s.from, at), append(s.to, at+height)
	return at
}
