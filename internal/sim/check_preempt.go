package sim

import (
	"slices"
	"strings"

	"drover/internal/core/job"
	"drover/internal/core/resource"
	"drover/internal/core/sched"
	"drover/internal/manager"
)

// promise is what a unit has for which others were stopped: there is, or will be when they
// have stopped, a host for it and room in an environment, until it starts.
type promise struct {
	to   *book
	made *manager.Core // by it; the next one knows nothing of it
}

// preempted is called when a unit has been asked to make room. It judges, by the rules
// written once more, whether it may be, and takes note of the promise to the other one.
func (c *checker) preempted(b *book, r *manager.UnitRow) {
	c.w.stats.Preempted++
	c.w.note("preempting %s on %s need %+v: %s", unitName(b.plan.name, r.Ref), r.Host, b.plan.need, r.AttemptWhy)
	name := unitName(b.plan.name, r.Ref)
	words := strings.Fields(strings.TrimPrefix(r.AttemptWhy, job.PreemptedPrefix))
	// "<rule> to make room for job <unit> of job queue <queue>"
	if !strings.HasPrefix(r.AttemptWhy, job.PreemptedPrefix) || len(words) != 11 {
		c.w.broken("preempt", "%s is being preempted, and its reason is %q", name, r.AttemptWhy)
	}
	id, _, _ := strings.Cut(words[6], ":")
	by := c.named(id)
	if by == nil || by.plan.queue != words[10] {
		c.w.broken("preempt", "%s is being preempted for an unknown job: %q", name, r.AttemptWhy)
	}
	v, w := b.plan, by.plan
	ok := false
	switch sched.Rule(words[0]) {
	case sched.ByPriority:
		ok = v.queue == "default" && c.above(w.queue, v.queue)
	case sched.ByReclaim:
		ok = v.quota == "borrower" && w.quota == "lender"
	case sched.ByUrgency:
		ok = v.quota == "borrower" && w.quota == "borrower" && w.urgency > v.urgency
	}
	if !ok {
		c.w.broken("preempt", "%s of queue %s %s is stopped by rule %s for %s of queue %s %s", name, v.queue, v.quota, words[0], w.name, w.queue, w.quota)
	}
	p := promise{by, c.w.server.core}
	if w.nodes == 0 && !slices.Contains(c.promises, p) {
		c.promises = append(c.promises, p)
	}
}

func (c *checker) named(id string) *book {
	for _, b := range c.books {
		if b.id.String() == id {
			return b
		}
	}
	return nil
}

// above reports whether a queue has, or had before the batch under way, a higher priority
// than another.
func (c *checker) above(a, b string) bool {
	now := map[string]int32{}
	for _, q := range c.w.paper.queues {
		now[q.Name] = q.Priority
	}
	return now[a] > now[b] || c.ranks[a] > c.ranks[b]
}

// requeued is called when a preempted attempt is on record: it was asked for, it goes on as
// RUNNABLE in exactly one step that names the reason, and it does not count.
func (c *checker) requeued(b *book, r *manager.UnitRow, in *manager.Batch) {
	name := unitName(b.plan.name, r.Ref)
	b.free[r.Ref.Index]++
	if r.Preempted != b.free[r.Ref.Index] {
		c.w.broken("preempt", "%s was preempted %d times and its row says %d", name, b.free[r.Ref.Index], r.Preempted)
	}
	if r.Exit.Cause != job.CauseTerminated && r.Exit.Cause != job.CauseHost {
		c.w.broken("preempt", "%s came to an end of its own, %+v, and counts as preempted", name, *r.Exit)
	}
	steps := 0
	for _, t := range in.Transitions {
		if t.Key == r.Ref.Key && t.Lo <= r.Ref.Index && r.Ref.Index <= t.Hi && t.To == job.Runnable && t.Why == r.AttemptWhy {
			steps++
		}
	}
	if steps != 1 {
		c.w.broken("preempt", "%s was preempted and went back to its queue %d times in the outbox", name, steps)
	}
}

// keep holds the promises against what is leased: no grant to others may take what was made
// free. They end with the unit's start or end, and with changes of hosts and configuration.
func (c *checker) keep(b *manager.Batch) {
	if len(b.Records) > 0 || len(b.Hosts) > 0 {
		c.promises = nil
		return
	}
	c.promises = slices.DeleteFunc(c.promises, func(p promise) bool {
		waits := slices.Contains(append(p.to.children, p.to.parent), job.Runnable)
		for i := range b.Units { // of those that ask the same the first one has the room
			waits = waits && (c.byKey[b.Units[i].Ref.Key].plan != p.to.plan || b.Units[i].Status != job.Starting)
		}
		return !waits || p.made != c.w.server.core
	})
	for _, p := range c.promises {
		if !c.roomFor(p.to.plan) {
			c.w.broken("preempt", "others were stopped for %s, and there is no room for it any more: %+v", p.to.plan.name, p.to.plan.need)
		}
	}
}

// wholeOf is the unit with which a node is stopped, and any other unit by itself.
func wholeOf(b *book, i int32) int32 {
	if b.plan.nodes > 0 {
		return job.Whole
	}
	return i
}

// roomFor reports whether a unit fits once all that is being stopped has ended.
func (c *checker) roomFor(p *plan) bool {
	leaves, used := map[string]resource.Vector{}, map[string]int64{}
	for _, b := range c.books {
		for i, u := range b.lease { // summing up: the order does not matter
			if job := b.lease[wholeOf(b, i)]; u.Status.Live() && (u.Preempting() || u.Terminated || job.Preempting() || job.Terminated) {
				leaves[u.Host] = leaves[u.Host].Add(b.plan.holds(i))
				used[u.Environment] += b.plan.holds(i).MilliVCPU
			}
		}
	}
	host := func(e *job.Environment) bool {
		for id, k := range c.hosts { // is there any: the order does not matter
			if suits(p, e, k.words) && p.need.Fits(k.capacity.Sub(k.used).Add(leaves[id])) {
				return true
			}
		}
		return false
	}
	for _, q := range c.w.paper.queues {
		if q.Name != p.queue {
			continue
		}
		for _, e := range c.w.paper.envs {
			if slices.Contains(q.Environments, e.Name) && c.used[e.Name]-used[e.Name]+p.need.MilliVCPU <= e.MaxMilliVCPU && host(&e) {
				return true
			}
		}
	}
	return false
}
