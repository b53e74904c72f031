package replay

import (
	"cmp"
	"slices"
	"strings"

	"drover/internal/core/job"
	"drover/internal/manager"
)

// Result sums up a run.
type Result struct {
	Jobs                int     `json:"jobs"`
	MeanBoundedSlowdown float64 `json:"meanBoundedSlowdown"`
	MeanWaitSeconds     float64 `json:"meanWaitSeconds"`
	P50WaitSeconds      float64 `json:"p50WaitSeconds"`
	P95WaitSeconds      float64 `json:"p95WaitSeconds"`
	MaxWaitSeconds      float64 `json:"maxWaitSeconds"`
	Utilisation         float64 `json:"utilisation"`
	MakespanSeconds     float64 `json:"makespanSeconds"`

	Cost   *Cost   `json:"cost,omitempty"`   // absent: no host has a price
	Shares []Share `json:"shares,omitempty"` // absent: there is only one
	Never  int     `json:"neverStart,omitempty"`
}

// Cost is what the hosts cost from when they were up until the last job had ended.
type Cost struct {
	Total float64 `json:"total"`
	Idle  float64 `json:"idle"` // part of it in which nothing ran
}

// Share is what one share of a queue got.
type Share struct {
	Queue string  `json:"queue"`
	Share string  `json:"share,omitempty"`
	Jobs  int     `json:"jobs"`
	Hours float64 `json:"vcpuHours"`
	Wait  float64 `json:"meanWaitSeconds"`
	Cost  float64 `json:"cost,omitempty"` // of the parts of hosts that its jobs held
	// Fairness is what it used while it had jobs waiting, over the part of its queue that its
	// weight entitled it to then; 0 = it never waited.
	Fairness float64 `json:"fairness,omitempty"`
}

// Parts is how one queue is shared: by weight factors, the lower the more.
type Parts struct {
	Queue   string
	Weights []job.ShareWeight
}

// partsOf finds how the queues of an image are shared.
func partsOf(img manager.Image) []Parts {
	var out []Parts
	for _, q := range img.Queues {
		p := Parts{Queue: q.Name}
		for _, s := range img.Policies {
			if s.Name == q.Policy && s.Fair != nil {
				p.Weights = s.Fair.Weights
			}
		}
		out = append(out, p)
	}
	return out
}

// part is what a share is entitled to, relative to others of its queue.
func (p *Parts) part(share string) float64 {
	for _, w := range p.Weights {
		if prefix, ok := strings.CutSuffix(w.Share, "*"); w.Share == share || ok && strings.HasPrefix(share, prefix) {
			return job.WeightOne / float64(w.Weight)
		}
	}
	return 1
}

// Measure computes the figures of a run.
func Measure(t *Trace) Result {
	r := Result{}
	var slowdowns, waited float64
	waits := make([]float64, 0, len(t.Jobs))
	for i := range t.Jobs {
		j, o := &t.Jobs[i], &t.Out[i]
		switch {
		case o.State == Waiting:
			r.Never++
			continue
		case o.State == Before:
			continue
		}
		wait := max(o.Start-t.submitted(i), 0)
		waits = append(waits, float64(wait)/second)
		slowdowns += max(1, float64(wait+j.Run)/float64(max(j.Run, bound)))
		waited += float64(wait) / second
	}
	r.Jobs = len(waits)
	if r.Jobs > 0 {
		slices.Sort(waits)
		n := float64(r.Jobs)
		r.MeanBoundedSlowdown, r.MeanWaitSeconds = slowdowns/n, waited/n
		r.P50WaitSeconds, r.P95WaitSeconds, r.MaxWaitSeconds = waits[r.Jobs/2], waits[r.Jobs*95/100], waits[r.Jobs-1]
	}
	last := t.last()
	r.MakespanSeconds = float64(last) / second
	var there, used float64 // milli vCPU times µs
	for i := range t.Hosts {
		there += float64(t.Hosts[i].Capacity.MilliVCPU) * float64(max(last-t.Hosts[i].Up, 0))
	}
	for i := range t.Jobs {
		used += float64(t.Jobs[i].MilliVCPU) * float64(t.ran(i))
	}
	if there > 0 {
		r.Utilisation = used / there
	}
	r.Cost = t.cost(last)
	r.Shares = t.shares()
	return r
}

// submitted is when a job began to wait (µs after the begin).
func (t *Trace) submitted(i int) int64 {
	if i < t.Known || len(t.Jobs) == 0 {
		return t.Jobs[i].Submit
	}
	if t.Known > 0 {
		return t.Jobs[i].Submit
	}
	return t.Jobs[i].Submit - t.Jobs[0].Submit
}

// end is when a job ended; of one that never started the begin.
func (t *Trace) end(i int) int64 {
	if t.Out[i].State == Waiting {
		return 0
	}
	return t.Out[i].Start + t.Jobs[i].Run
}

// ran is for how long a job ran within the run.
func (t *Trace) ran(i int) int64 {
	if t.Out[i].State == Waiting {
		return 0
	}
	return max(t.end(i)-max(t.Out[i].Start, 0), 0)
}

func (t *Trace) last() int64 {
	last := int64(0)
	for i := range t.Jobs {
		last = max(last, t.end(i))
	}
	return last
}

const hour = 3600 * second

// holds is the part of its host that a job holds: the largest of the parts of vCPUs, GPUs
// and, where the host's memory is bounded, memory.
func (t *Trace) holds(i int) float64 {
	v, c := t.Jobs[i].need(), t.Hosts[t.Out[i].Host].Capacity
	part := float64(v.MilliVCPU) / float64(max(c.MilliVCPU, 1))
	part = max(part, float64(v.MemoryMiB)/float64(max(c.MemoryMiB, 1)))
	if c.GPU > 0 {
		part = max(part, float64(v.GPU)/float64(c.GPU))
	}
	return min(part, 1)
}

func (t *Trace) cost(last int64) *Cost {
	c := &Cost{}
	for i := range t.Hosts {
		c.Total += t.Hosts[i].Price * float64(max(last-t.Hosts[i].Up, 0)) / hour
	}
	if c.Total == 0 {
		return nil
	}
	c.Idle = c.Total
	for i := range t.Jobs {
		if t.Out[i].State != Waiting {
			c.Idle -= t.costOf(i)
		}
	}
	c.Idle = max(c.Idle, 0)
	return c
}

// costOf is the cost of the part of its host that a job held.
func (t *Trace) costOf(i int) float64 {
	return t.holds(i) * t.Hosts[t.Out[i].Host].Price * float64(t.ran(i)) / hour
}

// maxShares is how many shares are told of, those that used most.
const maxShares = 1000

// account is a share under way.
type account struct {
	Share
	part             float64
	waiting, running int64 // jobs, milli vCPU
	used, entitled   float64
	since            float64 // of the queue's integral when it began to wait
	last             int64   // when used was brought up to date
	waits            float64
	started          int
}

// fund is a queue under way: total is what runs in it, active the sum of the parts of the
// shares that have anything. integral is what one unit of part was entitled to so far.
type fund struct {
	Parts
	total    int64
	active   float64
	integral float64
	last     int64
	shares   map[string]*account
}

// change is one job that begins to wait, starts, or ends.
type change struct {
	at   int64
	kind int8 // 0 ends, 1 begins to wait, 2 starts
	job  int32
}

// shares finds how queues and their shares did; nil if there is only one.
func (t *Trace) shares() []Share {
	funds := map[string]*fund{}
	for _, p := range t.Parts {
		funds[p.Queue] = &fund{Parts: p, shares: map[string]*account{}}
	}
	all := map[*account]bool{}
	of := make([]*account, len(t.Jobs))
	for i := range t.Jobs {
		f := t.fund(funds, i)
		a := f.shares[t.Jobs[i].Share]
		if a == nil {
			a = &account{Share: Share{Queue: f.Queue, Share: t.Jobs[i].Share}, part: f.part(t.Jobs[i].Share)}
			f.shares[t.Jobs[i].Share] = a
			all[a] = true
		}
		of[i] = a
	}
	if len(all) < 2 {
		return nil
	}
	for _, c := range t.changes() {
		t.step(t.fund(funds, int(c.job)), of[c.job], c)
	}
	var out []Share
	for a := range all {
		if a.entitled > 0 {
			a.Fairness = a.used / a.entitled
		}
		if a.started > 0 {
			a.Wait = a.waits / float64(a.started)
		}
		out = append(out, a.Share)
	}
	slices.SortFunc(out, func(a, b Share) int {
		return cmp.Or(cmp.Compare(b.Hours, a.Hours), strings.Compare(a.Queue, b.Queue), strings.Compare(a.Share, b.Share))
	})
	return out[:min(len(out), maxShares)]
}

// fund is the queue of a job.
func (t *Trace) fund(funds map[string]*fund, i int) *fund {
	if f := funds[t.Jobs[i].Queue]; f != nil {
		return f
	}
	return funds[t.Parts[0].Queue]
}

// changes lists what happens to jobs in the order of time.
func (t *Trace) changes() []change {
	out := make([]change, 0, 3*len(t.Jobs))
	for i := range t.Jobs {
		if t.Out[i].State != Before {
			out = append(out, change{max(t.submitted(i), 0), 1, int32(i)})
		}
		if t.Out[i].State != Waiting {
			out = append(out, change{max(t.Out[i].Start, 0), 2, int32(i)}, change{max(t.end(i), 0), 0, int32(i)})
		}
	}
	slices.SortFunc(out, func(a, b change) int {
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.kind, b.kind), cmp.Compare(a.job, b.job))
	})
	return out
}

// step brings a queue and a share up to a change, and makes it.
func (t *Trace) step(f *fund, a *account, c change) {
	if f.active > 0 {
		f.integral += float64(f.total) * float64(c.at-f.last) / f.active
	}
	f.last = c.at
	if a.waiting > 0 {
		a.used += float64(a.running) * float64(c.at-a.last)
		a.entitled += a.part * (f.integral - a.since)
	}
	a.last, a.since = c.at, f.integral
	idle := a.waiting == 0 && a.running == 0
	i := int(c.job)
	milli := t.Jobs[i].MilliVCPU
	switch {
	case c.kind == 1:
		a.waiting++
	case c.kind == 2:
		if t.Out[i].State != Before {
			a.waiting--
			a.waits += float64(c.at-t.submitted(i)) / second
			a.started++
		}
		a.running += milli
		f.total += milli
		a.Jobs++
		a.Hours += float64(milli) / 1000 * float64(t.ran(i)) / hour
		a.Cost += t.costOf(i)
	default:
		a.running -= milli
		f.total -= milli
	}
	switch now := a.waiting == 0 && a.running == 0; {
	case idle && !now:
		f.active += a.part
	case !idle && now:
		f.active -= a.part
	}
}
