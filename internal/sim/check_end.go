package sim

import (
	"fmt"
	"slices"
	"strings"

	"drover/internal/core/job"
	"drover/internal/core/tape"
	"drover/internal/manager"
)

// started is called when a job begins to run, before its line is in the ledger; earlier are
// the executions of the same unit.
func (c *checker) started(x *execution, earlier []*execution) {
	name := unitName(x.a.Name, x.a.Ref)
	c.runs[x.nonce] = x
	b := c.byKey[x.a.Ref.Key]
	if b == nil || b.plan.name != x.a.Name {
		c.w.broken("I2", "%s runs, and the journal has no such job", name)
	}
	j := c.w.paper.job(b.key)
	r, ok := j.attempt(x.a.Ref.Index, x.a.Attempt)
	if !ok || r.Fence != x.a.Fence || r.Host != x.host {
		c.w.broken("I8", "%s attempt %d fence %d runs on %s; the journal has fence %d on %q", name, x.a.Attempt, x.a.Fence, x.host, r.Fence, r.Host)
	}
	for _, o := range earlier {
		if o.a.Attempt == x.a.Attempt || o.a.Fence == x.a.Fence {
			c.w.broken("I18", "%s attempt %d fence %d was started before, on %s", name, x.a.Attempt, x.a.Fence, o.host)
		}
		if !o.running || o.a.Fence > x.a.Fence {
			continue
		}
		// Two at once: only if the older one's lease was lost before the newer was granted.
		if r, ok := j.attempt(x.a.Ref.Index, o.a.Attempt); !ok || r.Exit == nil || r.Exit.Cause != job.CauseHost {
			c.w.broken("I9", "%s attempt %d runs while attempt %d does, whose lease was not lost", name, x.a.Attempt, o.a.Attempt)
		}
	}
	if b.plan.nodes > 0 {
		c.nodeStarted(b, j, x)
	}
	for _, d := range j.deps {
		c.satisfied(name, x.a.Ref.Index, d)
	}
	if i := x.a.Ref.Index; i > 0 && sequential(j) && j.status(i-1) != job.Succeeded {
		c.w.broken("I12", "%s runs, and the child before it is %s", name, j.status(i-1))
	}
}

func sequential(j *paperJob) bool {
	for _, d := range j.deps {
		if d.Kind == job.Sequential {
			return true
		}
	}
	return false
}

func (c *checker) satisfied(name string, i int32, d job.Dependency) {
	if d.Kind == job.Sequential {
		return
	}
	index := job.Whole
	if d.Kind == job.NToN {
		index = i
	}
	if s := c.w.paper.byID[d.ID].status(index); s != job.Succeeded {
		c.w.broken("I12", "%s runs, and %s, which it waits for, is %s", name, unitName(c.byID[d.ID].plan.name, job.Ref{Index: index}), s)
	}
}

// submitted is called when a client learns that a job was accepted.
func (c *checker) submitted(p *plan, r manager.Receipt) *receipt {
	b := c.byID[r.ID]
	if b == nil || b.plan != p || b.key != r.Key {
		c.w.broken("I1", "a client was told of %s as job %d %s, and the journal has no such job", p.name, r.Key, r.ID)
	}
	told := &receipt{r.ID, r.Key, p}
	c.receipts = append(c.receipts, told)
	return told
}

// refusable reports whether a submission may be refused: its queue may be gone.
func (c *checker) refusable(plans []*plan) bool {
	for _, p := range plans {
		if p.queue == "doomed" && c.doomed {
			return true
		}
	}
	return false
}

// acked is called when a worker learns that its report of an end is on record (I7).
func (c *checker) acked(r job.Report) {
	c.acks = append(c.acks, r)
	c.recorded(r)
}

func (c *checker) recorded(r job.Report) {
	b := c.byKey[r.Ref.Key]
	rec, ok := c.w.paper.job(r.Ref.Key).attempt(r.Ref.Index, r.Attempt)
	if !ok || rec.Fence != r.Fence || rec.Exit == nil || rec.Exit.Usage != r.Exit.Usage || rec.Exit.Cause != r.Exit.Cause {
		c.w.broken("I7", "a worker was told that the end of %s attempt %d fence %d is on record; the record is %+v", unitName(b.plan.name, r.Ref), r.Attempt, r.Fence, rec)
	}
}

// endAcked is called when a client learns that its cancel or terminate, which it asked for at
// the time asked, was accepted: what has not started by now may never start (I16).
func (c *checker) endAcked(kind job.EventKind, r *receipt, index int32, asked int64) {
	b, j := c.byID[r.id], c.w.paper.byID[r.id]
	units := []int32{index}
	if index == job.Whole && len(b.children) > 0 {
		units = nil
		for i := range b.children {
			units = append(units, int32(i))
		}
	}
	for _, i := range units {
		s := j.status(i)
		switch {
		case kind == job.Cancel && s == job.Runnable && b.lease[i].Attempt > 0 && b.left[i] >= asked:
			// An attempt was under way until after the wish was sent, and may have been when it
			// was heard. To cancel means nothing then: the unit may be tried again.
		case s == job.Runnable || kind == job.Terminate && !s.Terminal() && !s.Live():
			c.w.broken("I16", "%s is %s after its end was acknowledged", unitName(b.plan.name, job.Ref{Index: i}), s)
		case kind == job.Terminate:
			b.barred[i] = "terminated"
		case !s.Live():
			b.barred[i] = "cancelled"
		}
	}
}

// compareEvery is how many quiet turns pass between two comparisons.
const compareEvery = 40

// stepped is called after each turn of a manager's loop. Now and then, when nothing is
// under way, its Core is held against one made from the rows.
func (c *checker) stepped(s *server) {
	if !s.ready() || s != c.w.server || s.desk.InFlight() > 0 || s.desk.Busy() {
		return
	}
	if c.quiet++; c.quiet%compareEvery == 0 {
		c.compare(s)
	}
}

// compare rebuilds the Core: it must find nothing left to do, and know the same.
func (c *checker) compare(s *server) {
	c.w.stats.Compared++
	again := manager.New(options(), c.w.paper.image(), s.instant())
	for again.Busy() {
		again.Work(s.instant())
	}
	if again.Pending() {
		c.w.broken("rebuild", "a manager that starts now finds decisions that were not made: %+v", *again.Take())
	}
	if was, is := s.core.Picture(), again.Picture(); was != is {
		c.w.broken("rebuild", "the manager's memory is not what its rows say:\n%s", difference(was, is))
	}
}

// replays plays what was recorded of a term: each start must come again, in the same order, at
// the same time, on the same host.
func (c *checker) replays() {
	if len(c.w.paper.tape) == 0 {
		return
	}
	story, err := tape.Play(c.w.paper.tape)
	if err != nil {
		c.w.broken("history", "the record of term %d: %v", c.w.paper.term, err)
	}
	if n, ok := story.Same(); !ok {
		was, is := "nothing", "nothing"
		if n < len(story.Starts) {
			was = fmt.Sprintf("%+v", story.Starts[n])
		}
		if n < len(story.Played) {
			is = fmt.Sprintf("%+v", story.Played[n])
		}
		c.w.broken("history", "start %d of term %d was %s; played again it is %s", n, c.w.paper.term, was, is)
	}
	c.w.stats.Replayed += len(story.Starts)
}

func difference(a, b string) string {
	x, y := strings.Split(a, "\n"), strings.Split(b, "\n")
	var out strings.Builder
	for i := range max(len(x), len(y)) {
		var l, r string
		if i < len(x) {
			l = x[i]
		}
		if i < len(y) {
			r = y[i]
		}
		if l != r {
			out.WriteString("memory: " + l + "\nrows:   " + r + "\n")
			if out.Len() > 2000 {
				break
			}
		}
	}
	return out.String()
}

// hopeless reports whether a job waits for something that never comes: room for a job
// that fits nowhere.
func (c *checker) hopeless(b *book) bool {
	if b.plan.huge {
		return true
	}
	for _, d := range b.plan.deps {
		if o := c.byID[d.ID]; o != nil && !o.parent.Terminal() && c.hopeless(o) {
			return true
		}
	}
	return false
}

// unfinished names the first thing that has not come to its end, or "".
func (c *checker) unfinished() string {
	for _, k := range c.w.clients {
		if !k.done() {
			return "a client still waits for an answer"
		}
	}
	for _, b := range c.books {
		if !b.parent.Terminal() && !c.hopeless(b) {
			j := c.w.paper.job(b.key)
			return strings.Join([]string{b.plan.name, "is", b.parent.String(), "children", countsOf(b), "row", j.row.Reason, c.why(b)}, " ")
		}
	}
	for _, h := range c.w.hosts {
		if h.gone {
			continue
		}
		if len(h.procs) > 0 {
			return "host " + h.id + " still holds " + unitName(h.procs[0].a.Name, h.procs[0].a.Ref)
		}
		if k := h.worker; k == nil || len(k.out)+len(k.preparing) > 0 || k.session == "" {
			return "the worker of " + h.id + " is not at rest"
		}
	}
	if s := c.w.server; !s.ready() || s.desk.InFlight() > 0 || s.desk.Busy() {
		return "the manager is not at rest"
	}
	return ""
}

// why is what the manager says of the first unit of a job that has not ended.
func (c *checker) why(b *book) string {
	s, index := c.w.server, job.Whole
	if i := slices.IndexFunc(b.children, func(s job.Status) bool { return !s.Terminal() }); i >= 0 {
		index = int32(i)
	}
	if !s.ready() {
		return ""
	}
	if w := s.core.Explain(b.id, index, s.instant().Wall); w != nil {
		return w.Code + ": " + w.Reason
	}
	return ""
}

func countsOf(b *book) string {
	var words []string
	for _, s := range b.children {
		words = append(words, s.String())
	}
	return strings.Join(words, ",")
}

// end is called at the end of a run.
func (c *checker) end() {
	if u := c.unfinished(); u != "" {
		c.w.broken("I30", "not everything has ended: %s", u)
	}
	for _, r := range c.receipts {
		if c.byID[r.id] == nil {
			c.w.broken("I1", "job %s was lost", r.id)
		}
	}
	for _, r := range c.acks {
		c.recorded(r)
	}
	for id, k := range c.hosts {
		if k.used.MilliVCPU != 0 || k.used.MemoryMiB != 0 {
			c.w.broken("I30", "host %s still has leases for %+v", id, k.used)
		}
	}
	s := c.w.server
	for _, h := range s.core.Hosts() {
		if h.Free != h.Capacity {
			c.w.broken("I30", "nothing runs on host %s, and of %+v only %+v is free", h.ID, h.Capacity, h.Free)
		}
	}
	for _, b := range c.books {
		c.waits(s, b)
	}
	c.compare(s)
	c.replays()
}

// waits is I27 for what is left: it must say why it waits.
func (c *checker) waits(s *server, b *book) {
	if b.parent.Terminal() {
		return
	}
	if w := s.core.Explain(b.id, job.Whole, s.instant().Wall); w == nil || w.Code == "" || w.Reason == "" {
		c.w.broken("I27", "%s is %s and does not say why", b.plan.name, b.parent)
	}
	for i := range b.children {
		if b.children[i].Terminal() {
			continue
		}
		if w := s.core.Explain(b.id, int32(i), s.instant().Wall); w == nil || w.Code == "" || w.Reason == "" {
			c.w.broken("I27", "%s:%d is %s and does not say why", b.plan.name, i, b.children[i])
		}
	}
}
