package manager

import (
	"math"
	"slices"

	"drover/internal/core/job"
)

// The jobs in memory are either entries, which decisions work on, or on the shelf. What is
// looked for on the shelf to be changed becomes an entry; at the end of each batch the
// entries that only wait go back.

// entry gives a job by its key; nil if it is not in memory.
func (c *Core) entry(k job.Key) *entry {
	if e := c.jobs[k]; e != nil {
		return e
	}
	e := c.shelf.take(k)
	if e == nil {
		return nil
	}
	c.unfold(e)
	c.jobs[k], c.byID[e.spec.ID] = e, e
	c.taken = append(c.taken, e)
	return e
}

// find gives a job by its id; nil if it is not in memory.
func (c *Core) find(id job.ID) *entry {
	if e := c.byID[id]; e != nil {
		return e
	}
	if k := c.shelf.find(id); k != 0 {
		return c.entry(k)
	}
	return nil
}

// peek gives a job to be looked at, not to be changed or kept.
func (c *Core) peek(k job.Key) *entry {
	if e := c.jobs[k]; e != nil {
		return e
	}
	e := c.shelf.peek(k)
	if e != nil {
		c.unfold(e)
	}
	return e
}

// peekID is peek by id.
func (c *Core) peekID(id job.ID) *entry {
	if e := c.byID[id]; e != nil {
		return e
	}
	return c.peek(c.shelf.find(id))
}

// commonSpec gives what a job's spec has in common with others of its kind, which costs less
// than all of it: name, command, environment, dependencies and tags may be those of another.
func (c *Core) commonSpec(k job.Key) *job.Spec {
	if e := c.jobs[k]; e != nil {
		return e.spec
	}
	return c.shelf.common(k)
}

// knows reports whether a job is in memory.
func (c *Core) knows(id job.ID) bool { return c.byID[id] != nil || c.shelf.find(id) != 0 }

// keys lists the jobs in memory in order of submission.
func (c *Core) keys() []job.Key { return c.keysFrom(0, len(c.jobs)+c.shelf.n) }

// keysFrom lists up to n jobs in memory behind one, in order of submission.
func (c *Core) keysFrom(after job.Key, n int) []job.Key {
	out := c.shelf.keysFrom(after, n)
	last := job.Key(math.MaxInt64)
	if n > 0 && len(out) == n {
		last = out[n-1]
	}
	for k := range c.jobs {
		if k > after && k <= last {
			out = append(out, k)
		}
	}
	slices.Sort(out)
	return out[:min(n, len(out))]
}

// unfold restores what waits says of every job on the shelf.
func (c *Core) unfold(e *entry) {
	e.unit.Status = job.Runnable
	if e.spec.Size > 0 {
		e.unit.Status = job.Pending
		e.array = job.NewArray(e.spec.Size, job.Runnable)
	}
}

// waits reports whether a job is as untouched as one that only waits for a host: RUNNABLE,
// or an array of which every child is; nobody waits for it, and it waits for nobody.
func (e *entry) waits() bool {
	u := job.Unit{Status: job.Runnable, Ready: e.unit.Ready}
	if e.array != nil {
		u.Status = job.Pending
		if e.array.Base() != job.Runnable || e.array.Untouched() != e.spec.Size {
			return false
		}
	}
	return e.unit == u && e.why == "" && len(e.after) == 0 && len(e.paired) == 0 && e.open == 0 && !e.doomed && !e.chained && e.spec.Numbers == nil && e.nodes == nil
}

// fold puts the entries that only wait on the shelf. Settling that is under way knows its
// entries, so that they stay until it is done.
func (c *Core) fold() {
	if len(c.work) > 0 {
		return
	}
	for _, e := range c.taken {
		if c.jobs[e.spec.Key] == e && e.waits() && c.shelf.put(e) {
			delete(c.jobs, e.spec.Key)
			delete(c.byID, e.spec.ID)
		}
	}
	clear(c.taken)
	c.taken = c.taken[:0]
}
