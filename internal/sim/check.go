package sim

import (
	"slices"
	"strings"

	"drover/internal/core/job"
	"drover/internal/core/resource"
	"drover/internal/manager"
)

// checker holds a run against the invariants. It keeps books of its own, from the batches
// that became durable, and never asks the manager what is true.
type checker struct {
	w        *world
	plans    map[string]*plan
	books    []*book // in order of key
	byKey    map[job.Key]*book
	byID     map[job.ID]*book
	receipts []*receipt // what clients were told
	acks     []job.Report
	doomed   bool                       // somebody asked for the end of queue doomed
	hosts    map[string]*hostBook       // by id
	used     map[string]int64           // milli vCPU leased, by environment
	held     map[string]int64           // tokens leased, by consumable resource
	taken    map[string]int64           // tokens ever leased
	were     map[string]job.Environment // before the batch under way
	ranks    map[string]int32           // of queues, before the batch under way
	runs     map[int64]*execution       // by nonce
	told     map[string]told            // by queue
	quiet    int                        // steps after which nothing was under way
	promises []promise                  // to units for which others were stopped
}

type hostBook struct {
	capacity, used resource.Vector
	last           resource.Vector // its capacity before the batch under way
	words, spoke   []string        // what it says of itself, and said then
	known          bool            // has a row
}

// book is what the journal's transitions say of one job.
type book struct {
	key      job.Key
	id       job.ID
	plan     *plan
	parent   job.Status
	children []job.Status
	lease    map[int32]manager.UnitRow // the last row of each unit
	barred   map[int32]string          // units that may get no further lease, and why
	free     map[int32]int32           // attempts of units that were preempted, and do not count
	left     map[int32]int64           // when an attempt of a unit last ended, as far as is durable
}

func newChecker(w *world) *checker {
	return &checker{
		w: w, plans: map[string]*plan{}, byKey: map[job.Key]*book{}, byID: map[job.ID]*book{},
		hosts: map[string]*hostBook{}, used: map[string]int64{}, held: map[string]int64{}, taken: map[string]int64{}, were: map[string]job.Environment{}, ranks: map[string]int32{}, runs: map[int64]*execution{}, told: map[string]told{},
	}
}

func (c *checker) sizeOf(id job.ID) int32 { return c.byID[id].plan.size }

func (b *book) at(i int32) *job.Status {
	if i == job.Whole {
		return &b.parent
	}
	return &b.children[i]
}

// before is called when a batch is about to become durable.
func (c *checker) before(*manager.Batch) {
	for _, e := range c.w.paper.envs {
		c.were[e.Name] = e
	}
	for _, q := range c.w.paper.queues {
		c.ranks[q.Name] = q.Priority
	}
	for _, k := range c.hosts { // each by itself: the order does not matter
		k.last, k.spoke = k.capacity, k.words
	}
}

// decided is called when a manager hands over a batch. Leases may not run out while the
// manager could not have heard of them: after its start, and after a pause.
func (c *checker) decided(s *server, b *manager.Batch) {
	for _, h := range b.Hosts {
		if h.Gone && c.w.now < s.grace {
			c.w.broken("grace", "manager %d gave host %s up %.1f s before its grace ended", s.number, h.ID, float64(s.grace-c.w.now)/1e6)
		}
	}
}

// batch is called when a batch has become durable.
func (c *checker) batch(b *manager.Batch) {
	w := c.w
	w.note("batch %d: new %d jobs %d units %d history %d moves %d sends %d", b.Seq, len(b.NewJobs), len(b.Jobs), len(b.Units), len(b.History), len(b.Transitions), len(b.Sends))
	for i := range b.NewJobs {
		c.created(b.NewJobs[i].Spec)
	}
	for i := range b.Transitions {
		c.moved(&b.Transitions[i])
	}
	for _, h := range b.Hosts {
		c.host(h)
	}
	for i := range b.History {
		c.history(&b.History[i], b)
	}
	granted := map[string]bool{}
	for i := range b.Units {
		if c.unit(&b.Units[i], b) {
			granted[b.Units[i].Environment], granted[b.Units[i].Host] = true, true
		}
	}
	for _, h := range b.Hosts {
		if k := c.hosts[h.ID]; h.Gone && k != nil && k.used != (resource.Vector{}) && !k.known {
			w.broken("I15", "host %s was given up, and still holds leases for %+v", h.ID, k.used)
		}
	}
	for i := range b.Jobs {
		c.row(b.Jobs[i].Key)
	}
	for i := range b.Units {
		c.gang(b.Units[i].Ref.Key)
	}
	c.capacity(b, granted)
	c.keep(b)
	c.tokens()
}

func (c *checker) created(s *job.Spec) {
	p := c.plans[s.Name]
	if p == nil || p.sent == 0 {
		c.w.broken("I2", "job %d %q was created, and nobody asked for it", s.Key, s.Name)
	}
	p.created++
	if p.created > p.sent || p.token != "" && p.created > 1 {
		c.w.broken("I3", "%s was sent %d times and created %d times (token %q)", p.name, p.sent, p.created, p.token)
	}
	b := &book{key: s.Key, id: s.ID, plan: p, parent: job.Submitted, lease: map[int32]manager.UnitRow{}, barred: map[int32]string{}, free: map[int32]int32{}, left: map[int32]int64{}}
	for range s.Size {
		b.children = append(b.children, job.Submitted)
	}
	c.books = append(c.books, b)
	c.byKey[b.key], c.byID[b.id] = b, b
	c.w.stats.Jobs++
	c.w.stats.Units += int(max(s.Size, 1))
}

// legal is the table of I4. A parent has a life of its own: it waits for its children.
func legal(from, to job.Status, parent bool) bool {
	switch {
	case from.Terminal():
		return false
	case to == job.Failed:
		return true
	case parent:
		return from == job.Submitted && to == job.Pending || from == job.Pending && to == job.Succeeded
	}
	switch from {
	case job.Submitted:
		return to == job.Pending || to == job.Runnable
	case job.Pending:
		return to == job.Runnable
	case job.Runnable:
		return to == job.Starting
	case job.Starting:
		return to == job.Running || to == job.Runnable
	case job.Running:
		return to == job.Succeeded || to == job.Runnable
	}
	return false
}

// moved replays one row of the outbox.
func (c *checker) moved(t *manager.Transition) {
	b := c.byKey[t.Key]
	if b == nil || b.id != t.ID || t.Lo > t.Hi || int(t.Hi) >= len(b.children) {
		c.w.broken("outbox", "a transition of units %d to %d of an unknown job %d", t.Lo, t.Hi, t.Key)
	}
	if t.From == t.To {
		c.blocked(b, t)
		return
	}
	for i := t.Lo; i <= t.Hi; i++ {
		s := b.at(i)
		if s.Terminal() {
			c.w.broken("I5", "%s was %s and became %s", unitName(b.plan.name, job.Ref{Index: i}), *s, t.To)
		}
		if *s != t.From {
			c.w.broken("outbox", "%s is %s; a transition from %s to %s was written", unitName(b.plan.name, job.Ref{Index: i}), *s, t.From, t.To)
		}
		if !legal(t.From, t.To, i == job.Whole && len(b.children) > 0) {
			c.w.broken("I4", "%s went from %s to %s", unitName(b.plan.name, job.Ref{Index: i}), t.From, t.To)
		}
		*s = t.To
		if t.From.Live() {
			b.left[i] = c.w.now
		}
		if t.To.Terminal() {
			c.w.stats.Ended++
		}
	}
	c.w.note("%s %d-%d %s to %s", b.plan.name, t.Lo, t.Hi, t.From, t.To)
}

func (c *checker) host(h manager.HostRow) {
	k := c.hosts[h.ID]
	if k == nil {
		k = &hostBook{}
		c.hosts[h.ID] = k
	}
	k.known = !h.Gone
	k.capacity, k.words = h.Capacity, h.Executors
	c.said(&h)
}

// history checks the record of an attempt that another one follows.
func (c *checker) history(r *manager.UnitRow, in *manager.Batch) {
	b := c.byKey[r.Ref.Key]
	c.w.stats.Retried++
	c.ended(b, r)
	if strings.HasPrefix(r.AttemptWhy, job.PreemptedPrefix) && !isNode(r.Ref) {
		c.requeued(b, r, in)
		return
	}
	if !isNode(r.Ref) && !b.plan.again(r.Attempt-b.free[r.Ref.Index], r.AttemptWhy, r.Exit) {
		c.w.broken("I11", "%s attempt %d (%s, %+v) was retried against %+v", unitName(b.plan.name, r.Ref), r.Attempt, r.AttemptWhy, *r.Exit, b.plan.retry)
	}
}

// ended checks the record of an attempt's end against the ledger.
func (c *checker) ended(b *book, r *manager.UnitRow) {
	name := unitName(b.plan.name, r.Ref)
	x := r.Exit
	if x == nil {
		c.w.broken("I6", "%s attempt %d has ended without an exit", name, r.Attempt)
	}
	if r.AttemptWhy == "" {
		c.w.broken("I27", "%s attempt %d has ended without a reason", name, r.Attempt)
	}
	asked := strings.HasPrefix(r.AttemptWhy, job.PreemptedPrefix)
	if lost := strings.HasPrefix(r.AttemptWhy, "Host EC2 (instance "+r.Host+")"); lost != (x.Cause == job.CauseHost) && !asked {
		c.w.broken("I27", "%s attempt %d: cause %q, reason %q", name, r.Attempt, x.Cause, r.AttemptWhy)
	}
	if c.w.opt.Quiet && x.Cause == job.CauseHost {
		c.w.broken("I18", "%s attempt %d lost its host though nothing went wrong", name, r.Attempt)
	}
	if r.Placed == 0 || r.Stopped < r.Placed || r.Started != 0 && (r.Started < r.Placed || r.Stopped < r.Started) {
		c.w.broken("time", "%s attempt %d: placed %d started %d stopped %d", name, r.Attempt, r.Placed, r.Started, r.Stopped)
	}
	if b.plan.nodes > 0 && !isNode(r.Ref) {
		c.gangEnded(b, r)
		return
	}
	if x.Code == nil {
		return
	}
	run := c.runs[x.Usage.BytesOut]
	switch {
	case run == nil:
		c.w.broken("I6", "%s attempt %d ended with code %d, and never ran", name, r.Attempt, *x.Code)
	case run.a.Ref != r.Ref || run.a.Fence != r.Fence || run.a.Attempt != r.Attempt || run.host != r.Host:
		c.w.broken("I6", "%s attempt %d fence %d on %s got the result of attempt %d fence %d on %s", name, r.Attempt, r.Fence, r.Host, run.a.Attempt, run.a.Fence, run.host)
	case run.exit == nil || *run.exit.Code != *x.Code:
		c.w.broken("I6", "%s attempt %d: recorded code %d is not what the job wrote", name, r.Attempt, *x.Code)
	case r.Started == 0:
		c.w.broken("time", "%s attempt %d ran, and has no start", name, r.Attempt)
	}
}

// unit checks a unit's row against the one before; it reports whether a lease was granted.
func (c *checker) unit(r *manager.UnitRow, in *manager.Batch) (granted bool) {
	b := c.byKey[r.Ref.Key]
	name := unitName(b.plan.name, r.Ref)
	old := b.lease[r.Ref.Index]
	b.lease[r.Ref.Index] = cloneUnit(*r)
	if r.Fence < old.Fence || r.Fence-old.Fence != uint32(r.Attempt-old.Attempt) {
		c.w.broken("I8", "%s went from attempt %d fence %d to attempt %d fence %d", name, old.Attempt, old.Fence, r.Attempt, r.Fence)
	}
	if old.Status.Live() && r.Fence == old.Fence && (r.Host != old.Host || r.Placed != old.Placed) {
		c.w.broken("I8", "%s fence %d was given to %s and again to %s", name, r.Fence, old.Host, r.Host)
	}
	granted = r.Attempt > old.Attempt
	if granted {
		c.granted(b, &old, r)
		c.placed(b.plan, r, in)
	} else if old.Exit != nil && (r.Exit == nil || r.Exit.Usage != old.Exit.Usage || r.Exit.Cause != old.Exit.Cause) {
		c.w.broken("I7", "the record of %s attempt %d changed after its end", name, r.Attempt)
	}
	c.account(b, &old, -1)
	c.account(b, r, +1)
	if r.Preempting() && (granted || !old.Preempting()) {
		c.preempted(b, r)
	}
	if r.Status.Terminal() {
		if r.StatusReason == "" {
			c.w.broken("I27", "%s is %s without a reason", name, r.Status)
		}
		if r.Attempt > 0 && r.Exit != nil && !old.Status.Terminal() && old.Status != job.Runnable && !retried(r, in) {
			c.ended(b, r)
			if !isNode(r.Ref) && r.Status == job.Failed && !r.Terminated && !r.Cancelled && b.plan.again(r.Attempt-b.free[r.Ref.Index], r.AttemptWhy, r.Exit) {
				c.w.broken("I11", "%s attempt %d (%s, %+v) was not retried: %+v", name, r.Attempt, r.AttemptWhy, *r.Exit, b.plan.retry)
			}
			if ok := r.Exit.OK() && !r.Terminated; ok != (r.Status == job.Succeeded) {
				c.w.broken("I7", "%s is %s after %+v", name, r.Status, *r.Exit)
			}
		}
	}
	return granted
}

// retried reports whether the latest attempt of a unit was to be followed by another one, by
// the same batch that ends the unit.
func retried(r *manager.UnitRow, in *manager.Batch) bool {
	return slices.ContainsFunc(in.History, func(o manager.UnitRow) bool { return o.Ref == r.Ref && o.Attempt == r.Attempt })
}

func (c *checker) granted(b *book, old, r *manager.UnitRow) {
	name := unitName(b.plan.name, r.Ref)
	if free := b.free[wholeOf(b, r.Ref.Index)]; r.Attempt-free > max(b.plan.retry.Attempts, 1) {
		c.w.broken("I10", "%s is on attempt %d of %d, and %d were preempted", name, r.Attempt, b.plan.retry.Attempts, free)
	}
	j := c.w.paper.job(r.Ref.Key)
	for n := max(old.Attempt, 1); n < r.Attempt; n++ {
		if a, ok := j.attempt(r.Ref.Index, n); !ok || a.Exit == nil {
			c.w.broken("I10", "%s is on attempt %d and has no record of the end of attempt %d", name, r.Attempt, n)
		}
	}
	if !isNode(r.Ref) {
		for _, t := range b.plan.tokens {
			c.taken[t.Name] += t.Quantity * int64(r.Attempt-old.Attempt)
		}
	}
	why := b.barred[r.Ref.Index]
	if isNode(r.Ref) {
		why = b.barred[job.Whole]
	}
	if why != "" {
		c.w.broken("I16", "%s got a lease for attempt %d after it was %s", name, r.Attempt, why)
	}
}

// row compares what the tables say of a job with what its transitions add up to, and the
// parent with its children (I13).
func (c *checker) row(k job.Key) {
	b, j := c.byKey[k], c.w.paper.job(k)
	name := b.plan.name
	if j.row.Status != b.parent {
		c.w.broken("outbox", "%s is %s in its row and %s by its transitions", name, j.row.Status, b.parent)
	}
	if b.parent == job.Failed && j.row.Reason == "" {
		c.w.broken("I27", "%s is FAILED without a reason", name)
	}
	if len(b.children) == 0 {
		if u, ok := j.units[job.Whole]; ok && u.Status != b.parent {
			c.w.broken("outbox", "%s is %s in its unit's row and %s by its transitions", name, u.Status, b.parent)
		}
		return
	}
	var counts job.Counts
	for i, s := range b.children {
		counts[s]++
		if t := j.status(int32(i)); t != s {
			c.w.broken("outbox", "%s:%d is %s in its row and %s by its transitions", name, i, t, s)
		}
		if _, ok := j.units[int32(i)]; !ok && s == job.Failed && j.row.BaseReason == "" {
			c.w.broken("I27", "%s:%d is FAILED without a reason", name, i)
		}
	}
	if counts != j.row.Counts {
		c.w.broken("I13", "%s: the row counts %v, its children are %v", name, j.row.Counts, counts)
	}
	all := counts.Terminal() == int32(len(b.children))
	switch {
	case all != b.parent.Terminal():
		c.w.broken("I13", "%s is %s and its children are %v", name, b.parent, counts)
	case all && (counts[job.Failed] == 0) != (b.parent == job.Succeeded):
		c.w.broken("I13", "%s is %s and its children are %v", name, b.parent, counts)
	}
}
