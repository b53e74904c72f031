package manager

import (
	"drover/internal/core/job"
	"drover/internal/core/sched"
)

// preempt asks the unit that the scheduler chose to make room. Its worker stops it like a
// terminated one, with the usual grace; when that is reported, or its host is lost, it waits
// again in front of its queue. The reason is part of the unit's row, so that a stop which
// gets lost is sent again, and becomes that of the attempt.
func (c *Core) preempt(p sched.Preemption, now Instant) {
	e, by := c.entry(p.Victim.Key), c.peek(p.For.Key)
	u := e.get(p.Victim.Index)
	reason := job.PreemptedFor(string(p.Rule), job.Name(by.spec.ID, p.For.Index), by.spec.Queue)
	ch, err := c.apply(e, p.Victim.Index, job.Event{Kind: job.Preempt, Fence: u.Fence, Reason: reason}, now)
	if err != nil {
		// What the scheduler accounts for runs, by construction; anything else is a bug that must not spread.
		panic("manager: preempted a unit that does not run: " + err.Error())
	}
	if ch.Stop {
		c.stop(e, p.Victim.Index, now)
	}
}
