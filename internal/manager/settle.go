package manager

import (
	"iter"

	"drover/internal/core/job"
)

// workChunk bounds how many units one decision settles; the rest follows in later batches.
// After a crash in between, the next Core finds the same work again: it follows from the
// states of the jobs, and doing it twice changes nothing.
const workChunk = 500

// advance moves a job as far as its dependencies let it, and its parent status with it.
func (c *Core) advance(e *entry, now Instant) {
	if e.unit.Status.Terminal() {
		return
	}
	if e.array == nil {
		c.advancePlain(e, now)
		return
	}
	if e.unit.Status == job.Submitted {
		c.setParent(e, job.Pending, "", now)
	}
	reason, doomed := e.fate()
	switch {
	case e.unit.Terminated, e.unit.Cancelled && (e.open == 0 || e.doomed):
		c.setBase(e, job.Failed, e.unit.UserReason, now)
		c.stragglers(e, job.Event{Kind: job.Doom, Reason: e.unit.UserReason}, now)
	case doomed:
		c.setBase(e, job.Failed, reason, now)
		c.stragglers(e, job.Event{Kind: job.Doom, Reason: reason}, now)
	case e.open > 0:
		c.setBase(e, job.Pending, "", now)
	case e.chained || len(e.paired) > 0:
		c.setBase(e, job.Pending, "", now)
		c.work = append(c.work, task{e: e, kind: pairTask})
	default:
		c.setBase(e, job.Runnable, "", now)
		c.stragglers(e, job.Event{Kind: job.Release}, now)
	}
	c.finish(e, now)
}

// stragglers moves the children that wait apart from the base: those that were cancelled
// one by one while their job was PENDING.
func (c *Core) stragglers(e *entry, ev job.Event, now Instant) {
	for i, ok := e.array.Next(0); ok; i, ok = e.array.Next(i + 1) {
		if e.array.Status(i) == job.Pending {
			c.apply(e, i, ev, now)
		}
	}
}

// hear takes note of how a job ended that e waits for as a whole.
func (e *entry) hear(s job.Status) {
	if s == job.Failed {
		e.failure = true
		e.doomed = e.doomed || e.spec.After == job.AfterSuccess
	}
}

// fate says whether what e waits for has come out so that it can never run, and why.
func (e *entry) fate() (reason string, doomed bool) {
	switch {
	case e.doomed:
		return job.ReasonDependency, true
	case e.spec.Doom != "":
		return e.spec.Doom, true
	case e.spec.After == job.AfterFailure && e.open == 0 && !e.failure:
		return job.ReasonNoFailure, true
	}
	return "", false
}

func (c *Core) advancePlain(e *entry, now Instant) {
	u := &e.unit
	reason, doomed := e.fate()
	switch {
	case u.Status != job.Submitted && u.Status != job.Pending:
		return
	case doomed:
		c.apply(e, job.Whole, job.Event{Kind: job.Doom, Reason: reason}, now)
	case e.open == 0:
		c.apply(e, job.Whole, job.Event{Kind: job.Release}, now)
	case u.Status == job.Submitted:
		u.Status = job.Pending
		c.touch(e)
		c.moved(e, job.Whole, job.Whole, job.Submitted, job.Pending, now)
	}
}

// setParent moves an array's parent.
func (c *Core) setParent(e *entry, s job.Status, reason string, now Instant) {
	from := e.unit.Status
	if from == s || from.Terminal() {
		return
	}
	e.unit.Status, e.unit.StatusReason = s, reason
	if s.Terminal() {
		e.unit.Stopped = now.Wall
	}
	c.touch(e)
	c.moved(e, job.Whole, job.Whole, from, s, now)
	if s.Terminal() {
		c.retire(e, now)
	}
}

// setBase moves all children that nothing has touched, in one row.
func (c *Core) setBase(e *entry, s job.Status, reason string, now Instant) {
	from := e.array.Base()
	if from == s || from.Terminal() || e.array.Untouched() == 0 {
		return
	}
	if s == job.Runnable {
		e.unit.Ready = now.Wall
	}
	e.array.Spans(func(lo, hi int32) {
		switch {
		case s == job.Runnable:
			c.sched.Add(e.spec.Queue, e.demand(job.Whole), e.spec.Key, false, lo, hi)
		case from == job.Runnable:
			c.sched.Remove(e.spec.Queue, e.demand(job.Whole), e.spec.Key, lo, hi)
		}
		c.moved(e, lo, hi-1, from, s, now)
	})
	e.array.SetBase(s)
	e.why = reason
	c.touch(e)
	if s.Terminal() {
		for _, d := range e.after { // those who wait for child by child
			if d.kind == job.NToN {
				c.work = append(c.work, task{e: d.e, kind: pairTask})
			}
		}
	}
}

// apply steps a unit and settles what follows.
func (c *Core) apply(e *entry, i int32, ev job.Event, now Instant) (job.Change, error) {
	if n, ok := job.NodeOf(i); ok {
		return c.applyNode(e, n, ev, now)
	}
	ch, err := c.step(e, i, ev, now)
	if err != nil {
		return ch, err
	}
	if !ch.Moved() {
		return ch, nil
	}
	switch {
	case ch.To.Terminal() && i == job.Whole:
		c.dropNodes(e, now)
		c.retire(e, now)
	case ch.To.Terminal():
		c.childEnded(e, i, now)
	case ch.Ended && i != job.Whole && e.unit.Cancelled:
		// Its array was cancelled while it ran: it would be the only child to begin again.
		return c.apply(e, i, job.Event{Kind: job.Cancel, Reason: e.unit.UserReason}, now)
	}
	return ch, nil
}

// childEnded tells the units that wait for child i, and the parent.
func (c *Core) childEnded(e *entry, i int32, now Instant) {
	if e.chained && c.chain != e && i+1 < e.array.Size() {
		c.work = append(c.work, task{e: e, kind: pairTask, next: i + 1})
	}
	for _, d := range e.after {
		if d.kind == job.NToN {
			c.work = append(c.work, task{e: d.e, kind: pairTask, next: ^i})
		}
	}
	c.finish(e, now)
}

// finish ends the parent once every child has ended.
func (c *Core) finish(e *entry, now Instant) {
	switch e.array.Outcome() {
	case job.Succeeded:
		c.setParent(e, job.Succeeded, job.ReasonArraySuccess, now)
	case job.Failed:
		reason := job.ReasonArrayFailed
		if e.unit.UserReason != "" {
			reason = e.unit.UserReason
		}
		c.setParent(e, job.Failed, reason, now)
	}
}

// retire is called once when a job has ended as a whole: it settles the jobs that waited
// for it. Their consequences are part of the same batch, in chunks when they are many.
func (c *Core) retire(e *entry, now Instant) {
	e.endMono, e.endSeq = now.Mono, c.seq+1
	c.ended = append(c.ended, e)
	c.count(e, -1)
	if e.spec.MaxRunning > 0 {
		c.sched.RemoveToken(jobToken(e.spec.ID))
	}
	for _, d := range e.after {
		if d.kind == job.NToN {
			c.work = append(c.work, task{e: d.e, kind: pairTask})
			continue
		}
		d.e.open--
		d.e.hear(e.unit.Status)
		c.work = append(c.work, task{e: d.e, kind: advanceTask})
	}
	e.after = nil
}

// Work does up to one chunk of the settling that is left.
func (c *Core) Work(now Instant) {
	for budget := workChunk; budget > 0 && len(c.work) > 0; {
		t := c.work[0] // a copy: what it does may add work, and move the slice
		done := true
		switch t.kind {
		case advanceTask:
			c.advance(t.e, now)
			budget--
		case pairTask:
			budget, done = c.pair(&t, budget, now)
		case killTask:
			budget, done = c.kill(&t, budget, now)
		}
		if done {
			c.work[0] = task{}
			c.work = c.work[1:]
		} else {
			c.work[0] = t
		}
	}
	if len(c.work) == 0 {
		c.work = nil
	}
}

// pair looks at one child (next = ^i), or at all children from next on: those whose
// partners have all succeeded are released, those with a failed partner fail.
func (c *Core) pair(t *task, budget int, now Instant) (int, bool) {
	e := t.e
	if e.unit.Status.Terminal() || e.open > 0 || e.doomed || e.unit.Cancelled {
		return budget - 1, true // it has ended or is about to, or advance will look again
	}
	if t.next < 0 {
		c.pairOne(e, ^t.next, now)
		return budget - 1, true
	}
	if e.chained {
		c.chain = e // the walk itself goes on to the next child
		defer func() { c.chain = nil }()
	}
	for ; t.next < e.array.Size() && budget > 0; t.next++ {
		moved := c.pairOne(e, t.next, now)
		budget--
		if e.chained && !moved && !e.array.Status(t.next).Terminal() {
			return budget, true // in a chain nothing behind a child that has not ended can move
		}
	}
	return budget, t.next >= e.array.Size()
}

// partners are the statuses of the children that child i waits for: of those with its index
// in other arrays, and in a chain of the one before it.
func (e *entry) partners(i int32) iter.Seq[job.Status] {
	return func(yield func(job.Status) bool) {
		for _, p := range e.paired {
			if !yield(p.array.Status(i)) {
				return
			}
		}
		if e.chained && i > 0 {
			yield(e.array.Status(i - 1))
		}
	}
}

func (c *Core) pairOne(e *entry, i int32, now Instant) bool {
	if s := e.array.Status(i); s != job.Pending && s != job.Submitted {
		return false
	}
	ready := true
	for s := range e.partners(i) {
		switch s {
		case job.Failed:
			c.apply(e, i, job.Event{Kind: job.Doom, Reason: job.ReasonDependency}, now)
			return true
		case job.Succeeded:
		default:
			ready = false
		}
	}
	if !ready {
		return false
	}
	c.apply(e, i, job.Event{Kind: job.Release}, now)
	return true
}

// Cancel follows CancelJob for a job, an array with all its children, or one child.
func (c *Core) Cancel(id job.ID, i int32, reason string, now Instant) error {
	return c.end(id, i, job.Event{Kind: job.Cancel, Reason: reason}, now)
}

// Terminate follows TerminateJob.
func (c *Core) Terminate(id job.ID, i int32, reason string, now Instant) error {
	return c.end(id, i, job.Event{Kind: job.Terminate, Reason: reason}, now)
}

// end applies a user's wish to end something. A job that is not in memory has ended long
// ago (the caller has looked that it exists): nothing to do.
func (c *Core) end(id job.ID, i int32, ev job.Event, now Instant) error {
	e := c.find(id)
	if e == nil {
		return nil
	}
	if e.array != nil && i == job.Whole {
		c.endArray(e, ev, now)
		return nil
	}
	if !e.has(i) {
		return client("Job %s does not exist", job.Name(id, i))
	}
	if n, ok := job.NodeOf(i); ok {
		return oneNode(id, n)
	}
	return c.endUnit(e, i, ev, now)
}

func (c *Core) endUnit(e *entry, i int32, ev job.Event, now Instant) error {
	ch, err := c.apply(e, i, ev, now)
	if err != nil || !ch.Stop {
		return err
	}
	c.stop(e, i, now)
	return nil
}

// stop tells the worker of a unit, or those of all nodes of a gang, to end it.
func (c *Core) stop(e *entry, i int32, now Instant) {
	if e.spec.Nodes != nil {
		c.stopNodes(e, now)
		return
	}
	c.sendStop(e, i)
}

// endArray ends the untouched children in one row and the others in chunks.
func (c *Core) endArray(e *entry, ev job.Event, now Instant) {
	if e.unit.Status.Terminal() {
		return
	}
	if ev.Kind == job.Terminate {
		e.unit.Terminated = true
	} else {
		e.unit.Cancelled = true
	}
	if e.unit.UserReason == "" {
		e.unit.UserReason = ev.Reason
	}
	c.touch(e)
	c.work = append(c.work, task{e: e, kind: killTask})
	c.advance(e, now)
}

// kill ends active children from next on.
func (c *Core) kill(t *task, budget int, now Instant) (int, bool) {
	e := t.e
	if e.unit.Status.Terminal() {
		return budget - 1, true
	}
	ev := job.Event{Kind: job.Cancel, Reason: e.unit.UserReason}
	if e.unit.Terminated {
		ev.Kind = job.Terminate
	}
	for i, ok := e.array.Next(t.next); ok; i, ok = e.array.Next(i + 1) {
		if budget <= 0 {
			t.next = i
			return budget, false
		}
		// A child that has a unit can be ended; nothing else is refused.
		_ = c.endUnit(e, i, ev, now)
		budget--
	}
	return budget - 1, true
}
