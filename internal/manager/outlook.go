package manager

import (
	"context"
	"sync"
	"time"

	"drover/internal/core/forecast"
	"drover/internal/core/job"
	"drover/internal/core/sched"
)

// Bounds of a forecast.
const (
	aheadRecords  = 10_000                // records of a queue's FIFO that are looked at, each
	knownRecords  = 5_000                 // records of which the run time is looked up, in all
	outlookSteps  = 200                   // between looks at the clock
	outlookTime   = 50 * time.Millisecond // that looking ahead may take
	outlookKept   = 2 * time.Second       // that a forecast is shown again, at least
	outlookShare  = 20                    // and so many times as long as it took, so that the loop stays free
	otherwiseMost = 64                    // records of a queue that stand for the rest of it
)

// Outlook gives what a forecast of everything that waits and runs begins with.
func (c *Core) Outlook(now Instant) forecast.Input { return c.OutlookWith(now, nil) }

// OutlookWith is Outlook with another opinion of how long units run: expect is told the job
// and for how long a unit of it has run (µs). Without an answer above 0 the Core's own holds.
func (c *Core) OutlookWith(now Instant, expect func(s *job.Spec, elapsed int64) int64) forecast.Input {
	in := forecast.Input{Now: now.Wall, State: c.sched.Clone(aheadRecords), Runs: map[job.Key]forecast.Run{}, Otherwise: map[string]forecast.Run{}}
	runOf := func(k job.Key, queue string, elapsed int64) forecast.Run {
		if expect != nil {
			if e := c.peek(k); e != nil {
				if t := expect(e.spec, elapsed); t > 0 {
					return forecast.Run{Micros: t, Basis: forecast.History}
				}
			}
		}
		s := c.commonSpec(k)
		if s == nil {
			return forecast.Run{}
		}
		return c.expectedRun(s, queue, elapsed)
	}
	in.State.EachRunning(func(r sched.Running) {
		elapsed := max(now.Wall-r.Placed, 0)
		in.Ends = append(in.Ends, forecast.End{Ref: r.Ref, At: r.Placed + stretched(runOf(r.Ref.Key, r.Queue, elapsed), elapsed)})
	})
	sums := map[string]*queueRuns{}
	in.State.EachWaiting(max(knownRecords/max(in.State.FIFOs(), 1), 8), func(l sched.Line) {
		run := runOf(l.Key, l.Queue, 0)
		if run.Micros <= 0 {
			run = forecast.Run{Micros: forecast.AssumedRun, Basis: forecast.Unknown}
		}
		in.Runs[l.Key] = run
		q := sums[l.Queue]
		if q == nil {
			q = &queueRuns{}
			sums[l.Queue] = q
		}
		if q.n < otherwiseMost {
			q.n++
			q.sum += run.Micros
			q.basis = run.Basis
		}
	})
	for name, q := range sums {
		in.Otherwise[name] = forecast.Run{Micros: q.sum / q.n, Basis: q.basis}
	}
	return in
}

// stretched is how long a unit runs in all that has run for elapsed already: if that is
// longer than was thought, or nothing is known, it is taken to run as long again.
func stretched(r forecast.Run, elapsed int64) int64 {
	switch {
	case r.Micros > elapsed:
		return r.Micros
	case r.Basis == forecast.Unknown:
		return max(2*elapsed, forecast.AssumedRun)
	}
	return elapsed + max(elapsed, 1_000_000)
}

// queueRuns adds up what is expected of the first jobs of a queue.
type queueRuns struct {
	sum, n int64
	basis  forecast.Basis
}

// expectedRun is how long a unit of a job will run: by the history of its definition, else
// its timeout, else its queue's tag.
func (c *Core) expectedRun(s *job.Spec, queue string, elapsed int64) forecast.Run {
	limit := int64(s.TimeoutSeconds) * 1_000_000
	if p := c.paces.of(s); p != nil {
		return forecast.Run{Micros: p.Expect(elapsed, s.TimeoutSeconds), Basis: forecast.History}
	}
	if limit > 0 {
		return forecast.Run{Micros: limit, Basis: forecast.Timeout}
	}
	if run := c.sched.ExpectedOf(queue); run > 0 {
		return forecast.Run{Micros: run, Basis: forecast.Default}
	}
	return forecast.Run{}
}

// outlookCache is the last forecast. Making one costs the loop the time of a copy, so it is
// made for one caller at a time and shown to all for a while.
type outlookCache struct {
	mu   sync.Mutex
	last *forecast.Outlook
	made time.Time
	took time.Duration
}

// Outlook is a forecast of what the manager knew at the time after (µs since 1970), or a few
// seconds ago. It must not be changed.
func (m *Manager) Outlook(ctx context.Context, after int64) (*forecast.Outlook, error) {
	k := &m.outlook
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.last != nil {
		kept := outlookShare * k.took
		if k.last.At >= after {
			kept = max(kept, outlookKept)
		}
		if time.Since(k.made) < kept {
			return k.last, nil
		}
	}
	begun := time.Now()
	var in forecast.Input
	if err := m.ask(ctx, func(c *Core) { in = c.Outlook(m.instant()) }); err != nil {
		return nil, err
	}
	o := forecast.New(in)
	for start := time.Now(); !o.Done && time.Since(start) < outlookTime; {
		o.Run(outlookSteps)
	}
	k.last, k.made, k.took = o, time.Now(), time.Since(begun)
	return o, nil
}

// Foresee adds places in the queue and forecasts to views of units that wait or run.
func (m *Manager) Foresee(ctx context.Context, views []View) error {
	newest, any := int64(0), false
	for i := range views {
		u := &views[i].Unit
		any, newest = any || !u.Status.Terminal(), max(newest, u.Ready, u.Placed, u.Stopped, views[i].Created)
	}
	if !any {
		return nil
	}
	if err := m.locate(ctx, views); err != nil {
		return err
	}
	o, err := m.Outlook(ctx, newest)
	if err != nil {
		return err
	}
	for i := range views {
		v := &views[i]
		position := int64(0)
		if v.Wait != nil {
			position = v.Wait.Position
		}
		v.Forecast = foreseen(o, v.Key, v.Index, v.Spec.Queue, v.Unit.Status, v.Counts, position)
	}
	return nil
}

// locate says at which place units wait, each with a question of its own: to answer one takes
// as long as millions of jobs wait.
func (m *Manager) locate(ctx context.Context, views []View) error {
	for i := range views {
		v := &views[i]
		if v.Wait == nil {
			continue
		}
		err := m.ask(ctx, func(c *Core) {
			if w := c.Explain(v.Spec.ID, v.Index, m.instant().Wall); w != nil {
				v.Wait = w
			}
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// ForeseeList gives a forecast for each line of a list, nil where there is none.
func (m *Manager) ForeseeList(ctx context.Context, lines []Summary) ([]*Forecast, error) {
	out := make([]*Forecast, len(lines))
	newest, any := int64(0), false
	for i := range lines {
		u := &lines[i].Unit
		any, newest = any || !u.Status.Terminal(), max(newest, u.Ready, u.Placed, u.Stopped, lines[i].Created)
	}
	if !any {
		return out, nil
	}
	o, err := m.Outlook(ctx, newest)
	if err != nil {
		return nil, err
	}
	for i := range lines {
		s := &lines[i]
		out[i] = foreseen(o, s.Key, s.Index, s.Queue, s.Unit.Status, s.Counts, 0)
	}
	return out, nil
}

// foreseen is what a forecast says of one unit, or of an array.
func foreseen(o *forecast.Outlook, k job.Key, i int32, queue string, s job.Status, counts *job.Counts, position int64) *Forecast {
	var e forecast.Estimate
	var ok bool
	switch {
	case counts != nil && i == job.Whole:
		if counts[job.Pending]+counts[job.Submitted] > 0 {
			return nil // what they wait for is not foreseen
		}
		e, ok = o.Job(k, int64(counts[job.Runnable]), int64(counts[job.Starting]+counts[job.Running]))
	case s == job.Runnable || s.Live():
		e, ok = o.Unit(job.Ref{Key: k, Index: i}, s == job.Runnable)
		e = o.Place(e, queue, position)
	}
	if !ok || e.Start == 0 && e.End == 0 {
		return nil
	}
	f := &Forecast{At: o.At, Start: e.Start, End: e.End, Assumed: e.Assumed, Further: e.Further, Guessed: e.Guessed}
	if e.Start > 0 && !e.Further && !e.Guessed {
		f.Basis = e.Basis.String()
	}
	return f
}
