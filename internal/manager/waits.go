package manager

import (
	"maps"
	"slices"
	"strings"

	"drover/internal/core/job"
)

// head is what is known of a queue's first unit: why it does not start, and since when. It
// is not kept across restarts: the time then begins again.
type head struct {
	ref    job.Ref
	reason string
	since  int64 // mono
	told   bool  // that the queue is blocked
}

// ReasonTimeLimit begins the statusReason of a job that was cancelled by one of its queue's
// jobStateTimeLimitActions (AWS Batch User Guide, jobs stuck in RUNNABLE).
const ReasonTimeLimit = "Canceled by JobStateTimeLimit action due to reason: "

const (
	headsEvery   = 10_000_000  // µs between looks at the heads of queues without time limits
	blockedAfter = 600_000_000 // µs at the head of a queue after which want of capacity blocks it
)

// watchHeads looks at the first unit of each queue. One that has waited there for one reason
// as long as the queue allows is cancelled. One that can never start, or has found no
// capacity for ten minutes, blocks its queue, which is told once.
func (c *Core) watchHeads(now Instant) {
	all := c.headsSeen == 0 || now.Mono-c.headsSeen >= headsEvery
	if all {
		c.headsSeen = now.Mono
	}
	for _, name := range slices.Sorted(maps.Keys(c.queues)) {
		q := c.queues[name]
		if !all && len(q.TimeLimits) == 0 {
			continue
		}
		front := c.sched.Snapshot(name, 1)
		if len(front) == 0 {
			delete(c.heads, name)
			continue
		}
		ref := job.Ref{Key: front[0].Key, Index: front[0].Index}
		e := c.peek(ref.Key)
		why := c.sched.Why(name, e.demand(ref.Index), now.Wall)
		h := c.heads[name]
		if h.ref != ref || h.reason != why.Code {
			h = head{ref: ref, reason: why.Code, since: now.Mono}
		}
		if !h.told && blocks(why.Code, now.Mono-h.since) {
			h.told = true
			c.movedFor(e, ref.Index, ref.Index, job.Runnable, job.Runnable, why.Code+" - "+why.Text, now)
		}
		c.heads[name] = h
		for _, l := range q.TimeLimits {
			if l.Reason == why.Code && now.Mono-h.since >= int64(l.Seconds)*1_000_000 {
				// A RUNNABLE unit can be cancelled; nothing else is refused.
				_, _ = c.apply(c.entry(ref.Key), ref.Index, job.Event{Kind: job.Cancel, Reason: ReasonTimeLimit + why.Code}, now)
				delete(c.heads, name)
				break
			}
		}
	}
}

// blocks reports whether the first unit of a queue that has waited for a reason so long
// blocks it. AWS's reasons count; those of drover's own are no fault of anybody's.
func blocks(code string, waited int64) bool {
	return strings.HasPrefix(code, "MISCONFIGURATION:") || strings.HasPrefix(code, "CAPACITY:") && waited >= blockedAfter
}
