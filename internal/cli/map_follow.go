package cli

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"drover/internal/service/native"
)

// How long a server that went away may take to come back, and how long when the user has
// asked for the end already.
const (
	patience  = 2 * time.Minute
	nearlyOut = 5 * time.Second
)

// explainAfter is how long nothing may run before the user is told why.
const explainAfter = 3 * time.Second

// terminalStatuses are the transitions that a run cares for.
var terminalStatuses = []string{"SUCCEEDED", "FAILED"}

// follow sees the stage that was submitted through to its end: it brings results here as
// they come, shows how far things are, waits for the reduce and sums up.
func (m *mapper) follow(ctx context.Context, since int64) error {
	stage := m.run.Stages[m.stage]
	fetch := m.newFetcher(ctx)
	since, err := m.watch(ctx, stage.Job, since, stage.Items, fetch, "")
	fetchErr := fetch.finish()
	if err != nil {
		return fmt.Errorf("%w; the jobs are still recorded, go on with: %s", err, m.again())
	}
	report, err := native.Call[native.GetReportOutput](ctx, m.conn.client, "GetReport", &native.GetReportInput{Job: &stage.Job})
	if err != nil {
		return fmt.Errorf("ask for the report of job %s: %w", stage.Job, err)
	}
	if fetchErr != nil {
		return fmt.Errorf("%w; the results are safe in %s, fetch the rest with: %s", fetchErr, m.run.results(), m.again())
	}
	s := &mapSummary{Job: stage.Job, Map: *report, Out: m.run.Out, Fetched: fetch.done.Load(), FetchedBytes: fetch.bytes.Load()}
	if err := m.followReduce(ctx, since, s); err != nil {
		return err
	}
	return m.conclude(ctx, s)
}

// followReduce waits for the reduce, which fails by itself when a child did.
func (m *mapper) followReduce(ctx context.Context, since int64, s *mapSummary) error {
	id := m.run.ReduceJob
	if id == "" {
		return nil
	}
	if _, err := m.watch(ctx, id, since, 1, nil, "reduce: "); err != nil {
		return fmt.Errorf("%w; go on with: %s", err, m.again())
	}
	report, err := native.Call[native.GetReportOutput](ctx, m.conn.client, "GetReport", &native.GetReportInput{Job: &id})
	if err != nil {
		return fmt.Errorf("ask for the report of the reduce %s: %w", id, err)
	}
	s.Reduce = report
	if report.Status != "SUCCEEDED" {
		return nil
	}
	if err := m.fetchReduced(ctx, s); err != nil {
		return fmt.Errorf("%w; fetch the rest with: %s", err, m.again())
	}
	return nil
}

// watch follows one job until it has ended. It gives the end of the stream as it saw it.
func (m *mapper) watch(ctx context.Context, id string, since, total int64, fetch *fetcher, label string) (int64, error) {
	var counts atomic.Pointer[native.Counts]
	counts.Store(&native.Counts{Submitted: total})
	var speed pace
	begun, explained := time.Now(), false
	stop := m.show.every(func(now time.Time) progress {
		if v, err := m.conn.view(ctx, id); err == nil {
			counts.Store(countsOf(v))
			if c := countsOf(v); !explained && now.Sub(begun) > explainAfter && v.Wait != nil && c.Starting+c.Running+c.Ended() == 0 {
				explained = true
				m.show.note("nothing runs yet: %s; %s", v.Wait.Reason, v.Wait.Remedy)
			}
		}
		c := counts.Load()
		rate, left := speed.add(now, c.Ended(), total)
		p := progress{Label: label, Total: total, Counts: *c, Rate: rate, Left: left}
		if fetch != nil && fetch.wanted {
			p.Fetching, p.Fetched = true, fetch.done.Load()
		}
		return p
	})
	defer stop()
	w := &watcher{conn: m.conn, job: id, next: since, leaving: &m.interrupted}
	err := w.run(ctx, func(t native.Transition) {
		if t.To == "SUCCEEDED" && fetch != nil {
			first, last := int32(0), int32(0) // a plain job is item 0
			if t.First != nil {
				first, last = *t.First, *t.Last
			} else if total > 1 {
				return // the array itself
			}
			fetch.want(first, last)
		}
	})
	return w.next, err
}

// countsOf gives a plain job counts of one.
func countsOf(v *native.GetJobViewOutput) *native.Counts {
	if v.Counts != nil {
		return v.Counts
	}
	var c native.Counts
	switch v.Status {
	case "SUBMITTED":
		c.Submitted = 1
	case "PENDING":
		c.Pending = 1
	case "RUNNABLE":
		c.Runnable = 1
	case "STARTING":
		c.Starting = 1
	case "RUNNING":
		c.Running = 1
	case "SUCCEEDED":
		c.Succeeded = 1
	case "FAILED":
		c.Failed = 1
	}
	return &c
}

// watcher reads the terminal transitions of one job.
type watcher struct {
	conn    *connection
	job     string
	next    int64
	leaving *atomic.Bool // the user has asked for the end
}

// run calls f with each transition until that of the job itself, which is the last one.
func (w *watcher) run(ctx context.Context, f func(native.Transition)) error {
	limit, wait := int32(2000), int32(0) // at first only what there is
	lost, over := time.Time{}, false
	for {
		out, err := native.Call[native.ListTransitionsOutput](ctx, w.conn.client, "ListTransitions", &native.ListTransitionsInput{
			After: &w.next, Limit: &limit, WaitSeconds: &wait, Job: &w.job, To: terminalStatuses,
		})
		if err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if lost.IsZero() {
				lost = time.Now()
			}
			if away := time.Since(lost); away > patience || away > nearlyOut && w.leaving.Load() {
				return errors.Join(errLost, err)
			}
			pause(ctx, 500*time.Millisecond)
			continue
		}
		lost = time.Time{}
		w.next = out.Next
		ended := over && len(out.Transitions) == 0
		for _, t := range out.Transitions {
			f(t)
			ended = ended || t.First == nil
		}
		if ended {
			return nil
		}
		if wait = 10; len(out.Transitions) == 0 {
			if over = w.over(ctx); over {
				wait = 0 // once more, for what happened between the two answers
			}
		}
		if n := len(out.Transitions); n > 0 && n < 200 {
			pause(ctx, 20*time.Millisecond) // let more come together: a call for each child costs more than the child
		}
	}
}

// over reports whether the job has ended already: a reduce may fail together with its array,
// before it is watched.
func (w *watcher) over(ctx context.Context) bool {
	v, err := w.conn.view(ctx, w.job)
	return err == nil && (v.Status == "SUCCEEDED" || v.Status == "FAILED")
}
