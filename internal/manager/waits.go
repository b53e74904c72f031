package manager

import (
	"maps"
	"slices"

	"drover/internal/core/job"
)

// head is what a queue with jobStateTimeLimitActions waits for: its first unit, and why
// that does not start. It is not kept across restarts: the time then begins again.
type head struct {
	ref    job.Ref
	reason string
	since  int64 // mono
}

// ReasonTimeLimit begins the statusReason of a job that was cancelled by one of its queue's
// jobStateTimeLimitActions (AWS Batch User Guide, jobs stuck in RUNNABLE).
const ReasonTimeLimit = "Canceled by JobStateTimeLimit action due to reason: "

// limitWaits cancels the unit at the head of a queue that has waited there for one reason
// as long as the queue allows.
func (c *Core) limitWaits(now Instant) {
	for _, name := range slices.Sorted(maps.Keys(c.queues)) {
		q := c.queues[name]
		if len(q.TimeLimits) == 0 {
			delete(c.heads, name)
			continue
		}
		front := c.sched.Snapshot(name, 1)
		if len(front) == 0 {
			delete(c.heads, name)
			continue
		}
		ref := job.Ref{Key: front[0].Key, Index: front[0].Index}
		e := c.peek(ref.Key)
		code := c.sched.Why(name, e.demand(ref.Index), now.Wall).Code
		h := c.heads[name]
		if h.ref != ref || h.reason != code {
			h = head{ref, code, now.Mono}
			c.heads[name] = h
		}
		for _, l := range q.TimeLimits {
			if l.Reason == code && now.Mono-h.since >= int64(l.Seconds)*1_000_000 {
				// A RUNNABLE unit can be cancelled; nothing else is refused.
				_, _ = c.apply(c.entry(ref.Key), ref.Index, job.Event{Kind: job.Cancel, Reason: ReasonTimeLimit + code}, now)
				delete(c.heads, name)
				break
			}
		}
	}
}
