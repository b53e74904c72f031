package manager

import (
	"reflect"
	"slices"

	"drover/internal/core/fault"
	"drover/internal/core/job"
)

// client is the fault that AWS Batch answers to a request that must be changed.
func client(format string, args ...any) error {
	return fault.New(fault.Invalid, "ClientException", format, args...)
}

// Missing lists the jobs and tokens of a submission that are not in memory and that the
// journal must be asked for.
type Missing struct {
	IDs    []job.ID
	Tokens []string
}

// Empty reports whether there is nothing to ask.
func (m *Missing) Empty() bool { return len(m.IDs)+len(m.Tokens) == 0 }

// Submission is a request to submit on its way: jobs that have ended long ago are not in
// memory, so that the journal may have to be asked for some, while others go.
type Submission struct {
	Specs  []*job.Spec
	ids    map[job.ID]bool // asked for
	tokens map[string]bool
	found  []Loaded
	asked  int64 // mono of the first question: the answers are at least as new
}

// Found gives what the journal knows of the jobs and tokens that Try missed.
func (s *Submission) Found(m Missing, jobs []Loaded) {
	if s.ids == nil {
		s.ids, s.tokens = map[job.ID]bool{}, map[string]bool{}
	}
	for _, id := range m.IDs {
		s.ids[id] = true
	}
	for _, t := range m.Tokens {
		s.tokens[t] = true
	}
	s.found = append(s.found, jobs...)
}

// Try submits, unless the journal must be asked first: then it decides nothing and says
// for what. Nothing is asked for twice, so that a submission ends; but for what came to its
// end after the question and has left memory again, as over a long pause: then the journal
// said of it that it is not there, and knows better now.
func (c *Core) Try(s *Submission, now Instant) ([]Receipt, Missing, error) {
	if s.asked < c.forgot {
		s.ids, s.tokens, s.found = nil, nil, nil
	}
	c.Adopt(s.found, now)
	m := c.wants(s.Specs)
	m.IDs = slices.DeleteFunc(m.IDs, func(id job.ID) bool { return s.ids[id] })
	m.Tokens = slices.DeleteFunc(m.Tokens, func(t string) bool { return s.tokens[t] })
	if !m.Empty() {
		if s.ids == nil {
			s.asked = now.Mono
		}
		return nil, m, nil
	}
	out, err := c.Submit(s.Specs, now)
	return out, Missing{}, err
}

// wants says what Submit needs to know that is not in memory.
func (c *Core) wants(specs []*job.Spec) Missing {
	var m Missing
	for _, s := range specs {
		if s.Token != "" && c.tokens[s.Token] == 0 {
			m.Tokens = append(m.Tokens, s.Token)
		}
		for _, d := range s.Dependencies {
			if d.Kind != job.Sequential && !c.knows(d.ID) && !slices.ContainsFunc(specs, func(o *job.Spec) bool { return o.ID == d.ID }) {
				m.IDs = append(m.IDs, d.ID)
			}
		}
	}
	return m
}

// Adopt takes jobs that have ended long ago back into memory, for a while.
func (c *Core) Adopt(loaded []Loaded, now Instant) {
	for _, l := range loaded {
		if c.knows(l.Spec.ID) || !l.Row.Status.Terminal() {
			continue // here already; or read before it ended, and gone from memory since
		}
		c.adopt(l, now)
	}
}

// Submit accepts jobs: all of them, or none. Specs must be valid on their own; here they
// are checked against what exists and against each other: a job may depend on one before
// it in the same submission. Spec.ID must be set.
func (c *Core) Submit(specs []*job.Spec, now Instant) ([]Receipt, error) {
	out, commons := make([]Receipt, len(specs)), make([]string, len(specs))
	var before siblings
	for i, s := range specs {
		if s.Token != "" {
			if e := c.peek(c.tokens[s.Token]); e != nil {
				if !sameRequest(e.spec, s) {
					return nil, client("the token %q was used by job %s for another request; use a new token", s.Token, e.spec.ID)
				}
				out[i] = Receipt{ID: e.spec.ID, Key: e.spec.Key, Repeated: true}
				continue
			}
		}
		if err := c.acceptable(s, before); err != nil {
			return nil, err
		}
		s.Counted = c.queues[s.Queue].MaxRunning > 0
		var err error
		if commons[i], err = commonPart(s); err != nil {
			return nil, fault.Wrap(err, fault.Internal, "ServerException", "job %s cannot be stored", s.Name)
		}
		before = append(before, s)
	}
	for i, s := range specs {
		if !out[i].Repeated {
			e := c.accept(s, commons[i], now)
			out[i] = Receipt{ID: s.ID, Key: e.spec.Key}
		}
	}
	return out, nil
}

// siblings are the jobs of a submission that come before the one looked at.
type siblings []*job.Spec

func (b siblings) find(is func(*job.Spec) bool) *job.Spec {
	if i := slices.IndexFunc(b, is); i >= 0 {
		return b[i]
	}
	return nil
}

// sameRequest compares what a client decides; ids, keys and versions are ours.
func sameRequest(a, b *job.Spec) bool {
	return a.Name == b.Name && a.Queue == b.Queue && a.Definition == b.Definition && a.Size == b.Size &&
		a.Need == b.Need && a.Image == b.Image && slices.Equal(a.Command, b.Command) && slices.Equal(a.Environment, b.Environment) &&
		a.Retry.Attempts == b.Retry.Attempts && slices.Equal(a.Retry.Rules, b.Retry.Rules) && a.TimeoutSeconds == b.TimeoutSeconds &&
		slices.EqualFunc(a.Dependencies, b.Dependencies, func(x, y job.Dependency) bool { return x.Kind == y.Kind && x.ID == y.ID }) &&
		a.Share == b.Share && a.Priority == b.Priority && a.Stage == b.Stage && a.QuotaShare == b.QuotaShare && a.After == b.After && a.MaxRunning == b.MaxRunning && a.GrowMemory == b.GrowMemory && a.Requires == b.Requires && reflect.DeepEqual(a.Nodes, b.Nodes) && slices.Equal(a.Consumables, b.Consumables) &&
		a.Inputs == b.Inputs && a.Outputs == b.Outputs && a.Submitter.Same(b.Submitter) && reflect.DeepEqual(a.Pod, b.Pod)
}

func (c *Core) acceptable(s *job.Spec, before siblings) error {
	q, ok := c.queues[s.Queue]
	switch {
	case !ok:
		return client("Job queue %s does not exist", s.Queue)
	case !q.Enabled:
		return client("Job queue %s is DISABLED; enable it with UpdateJobQueue or use another", s.Queue)
	case c.knows(s.ID) || before.find(func(o *job.Spec) bool { return o.ID == s.ID }) != nil:
		return fault.New(fault.Conflict, "ServerException", "the job id %s exists", s.ID)
	case s.Token != "" && before.find(func(o *job.Spec) bool { return o.Token == s.Token }) != nil:
		return client("the token %q is given twice in one submission; each job needs its own", s.Token)
	}
	if err := c.acceptableShare(s, &q); err != nil {
		return err
	}
	if err := c.acceptableNeeds(s); err != nil {
		return err
	}
	for _, d := range s.Dependencies {
		if d.Kind == job.Sequential {
			continue
		}
		size, ok := int32(0), false
		if e := c.peekID(d.ID); e != nil {
			size, ok = e.spec.Size, true
		} else if o := before.find(func(o *job.Spec) bool { return o.ID == d.ID }); o != nil {
			size, ok = o.Size, true
		}
		switch {
		case !ok:
			return client("Job dependency %s does not exist", d.ID)
		case d.Kind == job.NToN && (size == 0 || s.Size != size):
			return client("N_TO_N dependency: job %s is not an array of the same size %d", d.ID, s.Size)
		}
	}
	return nil
}

// accept puts a valid job into memory, links it with what it waits for and moves it as far
// as it can go at once.
func (c *Core) accept(s *job.Spec, common string, now Instant) *entry {
	s.Key = c.next
	c.next++
	e := &entry{spec: s, common: common, created: now.Wall, unit: job.Unit{Status: job.Submitted}, tags: s.Tags}
	if s.Size > 0 {
		e.array = job.NewArray(s.Size, job.Submitted)
	}
	c.index(e)
	c.count(e, 1)
	c.feedMaximum(s)
	c.batch.NewJobs = append(c.batch.NewJobs, NewJob{Spec: s, Common: e.common, Created: now.Wall})
	c.touch(e)
	c.link(e)
	c.advance(e, now)
	return e
}

func (c *Core) index(e *entry) {
	c.jobs[e.spec.Key], c.byID[e.spec.ID] = e, e
	if e.spec.Token != "" {
		c.tokens[e.spec.Token] = e.spec.Key
	}
	if c.next <= e.spec.Key {
		c.next = e.spec.Key + 1
	}
}

// link registers e with each job it waits for.
func (c *Core) link(e *entry) {
	for _, d := range e.spec.Dependencies {
		switch d.Kind {
		case job.Sequential:
			e.chained = e.array != nil
		case job.NToN:
			if p := c.find(d.ID); p != nil && p.unit.Status != job.Succeeded {
				e.paired = append(e.paired, p)
				p.after = append(p.after, waiter{e, d.Kind})
			}
		case job.AfterJob:
			switch p := c.find(d.ID); {
			case p == nil: // it was purged: it ended long ago, was heard then, and e goes on
				e.failure = true
			case p.unit.Status.Terminal():
				e.hear(p.unit.Status)
			default:
				e.open++
				p.after = append(p.after, waiter{e, d.Kind})
			}
		}
	}
}

// adopt puts a job from the journal into memory, without deciding anything.
func (c *Core) adopt(l Loaded, now Instant) {
	s := l.Spec
	e := &entry{spec: s, common: l.Common, created: l.Created, tags: l.Row.Tags, why: l.Row.BaseReason, changed: l.Row.Changed}
	if e.common == "" {
		e.common, _ = commonPart(s) // without it the job only takes more memory
	}
	e.unit = job.Unit{
		Status: l.Row.Status, StatusReason: l.Row.Reason, Cancelled: l.Row.Cancelled,
		Terminated: l.Row.Terminated, UserReason: l.Row.UserReason, Ready: l.Row.Ready, Stopped: l.Row.Stopped,
	}
	if s.Size > 0 {
		e.array = job.NewArray(s.Size, l.Row.Base)
		for _, t := range l.Touched {
			e.array.Put(t.Index, job.Unit{Status: t.Status})
		}
	}
	for _, u := range l.Units {
		e.put(u.Ref.Index, u.Unit)
	}
	c.index(e)
	if e.unit.Status.Terminal() {
		e.endMono, e.endSeq = now.Mono, c.durable
		c.ended = append(c.ended, e)
	}
}

// resume takes up what a loaded job was doing when the last manager ended.
func (c *Core) resume(e *entry, now Instant) {
	c.count(e, 1)
	c.feedMaximum(e.spec)
	c.link(e)
	if e.array == nil {
		if e.unit.Status == job.Runnable {
			c.sched.Add(e.spec.Queue, e.demand(job.Whole), e.spec.Key, e.unit.Attempt > 0, job.Whole, job.Whole+1)
		}
		c.hold(e, job.Whole, now)
		c.advance(e, now)
		return
	}
	if e.array.Base() == job.Runnable {
		e.array.Spans(func(lo, hi int32) { c.sched.Add(e.spec.Queue, e.demand(job.Whole), e.spec.Key, false, lo, hi) })
	}
	for _, i := range e.array.Active() {
		if u := e.array.Unit(i); u.Status == job.Runnable {
			c.sched.Add(e.spec.Queue, e.demand(i), e.spec.Key, u.Attempt > 0, i, i+1)
		}
		c.hold(e, i, now)
	}
	if e.unit.Terminated || e.unit.Cancelled {
		c.work = append(c.work, task{e: e, kind: killTask})
	}
	c.advance(e, now)
}
