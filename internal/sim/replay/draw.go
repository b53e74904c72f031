package replay

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
)

// The picture's size, in its own units.
const (
	wide   = 1000
	high   = 240
	margin = 40
)

// Draw gives an SVG of how much of the hosts was in use over the time of a run, and below
// it, how many vCPUs were asked for and waited.
func Draw(jobs []Job, out []Outcome, hosts []Host) []byte {
	type step struct {
		at        int64
		use, wait int64 // milli vCPU
	}
	var steps []step
	for i := range jobs {
		j := &jobs[i]
		submit := j.Submit - jobs[0].Submit
		steps = append(steps, step{submit, 0, j.MilliVCPU}, step{out[i].Start, j.MilliVCPU, -j.MilliVCPU}, step{out[i].Start + j.Run, -j.MilliVCPU, 0})
	}
	slices.SortFunc(steps, func(a, b step) int { return cmp.Compare(a.at, b.at) })
	var size, last int64
	for _, h := range hosts {
		size += h.Capacity.MilliVCPU
	}
	if len(steps) > 0 {
		last = max(steps[len(steps)-1].at, 1)
	}
	// One column of the picture is one slice of time: its mean.
	use, wait := make([]float64, wide), make([]float64, wide)
	var nowUse, nowWait, at int64
	spread := func(to int64) {
		for at < to {
			col := at * wide / last
			next := min(to, max((col+1)*last/wide, at+1))
			if col < wide {
				use[col] += float64(nowUse) * float64(next-at)
				wait[col] += float64(nowWait) * float64(next-at)
			}
			at = next
		}
	}
	for _, s := range steps {
		spread(s.at)
		nowUse, nowWait = nowUse+s.use, nowWait+s.wait
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">`+"\n", wide+2*margin, 2*(high+margin)+margin)
	slice := float64(last) / wide
	area(&b, use, float64(size)*slice, margin, "#3b7dd8", fmt.Sprintf("vCPUs in use, of %d", size/1000))
	most := slices.Max(wait)
	area(&b, wait, most, high+2*margin, "#d87c3b", fmt.Sprintf("vCPUs that wait, up to %.0f", most/slice/1000))
	fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="end">%.1f h</text>`+"\n</svg>\n", wide+margin, 2*(high+margin)+margin-8, float64(last)/3600)
	return b.Bytes()
}

func area(b *bytes.Buffer, columns []float64, most float64, top int, colour, title string) {
	fmt.Fprintf(b, `<text x="%d" y="%d">%s</text><path fill="%s" d="M%d %d`, margin, top-6, title, colour, margin, top+high)
	for x, v := range columns {
		y := float64(top + high)
		if most > 0 {
			y -= v / most * high
		}
		fmt.Fprintf(b, "L%d %.1fH%d", margin+x, y, margin+x+1)
	}
	fmt.Fprintf(b, `V%dZ"/>`+"\n", top+high)
}
