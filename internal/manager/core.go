package manager

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"slices"
	"strconv"
	"strings"

	"drover/internal/core/job"
	"drover/internal/core/resource"
	"drover/internal/core/sched"
	"drover/internal/core/tape"
)

// Options of a Core.
type Options struct {
	LeaseTTL  int64 // µs without a word from a host until its leases end
	KeepEnded int64 // µs that an ended job stays in memory after its end
}

// Core makes every decision of the manager in memory. It does no IO, reads no clock and
// starts no goroutine; one goroutine owns it. Its methods leave their effects in a batch
// which the owner takes with Take, commits, and only then acts on. Decisions may run ahead
// of commits: a failed commit ends the process, and the next Core starts from the rows.
type Core struct {
	opt    Options
	next   job.Key
	jobs   map[job.Key]*entry // but for those on the shelf
	byID   map[job.ID]*entry
	shelf  *shelf
	taken  []*entry           // that may go on the shelf when the batch under way ends
	tokens map[string]job.Key // of the jobs in memory
	queues map[string]job.Queue
	envs   map[string]job.Environment
	hosts  map[string]*host

	policies    map[string]job.SchedulingPolicy
	consumables map[string]*consumable
	quotas      map[string]job.QuotaShare // by QuotaShare.Key
	shares      map[string]map[string]int // jobs that have not ended, by queue and share identifier
	usage       map[UsageRow]int64        // Amount 0: what the batch under way adds
	heads       map[string]head           // by queue
	headsSeen   int64                     // when all of them were looked at (mono)
	used        []*consumable             // resources of which units of the batch under way spent some
	paces       paces                     // how long attempts ran, by job definition

	order []string // host ids in order, for deterministic walks
	sched *tape.Recorder
	work  []task   // settling that is left to do, in chunks
	chain *entry   // the SEQUENTIAL array whose children a task walks now
	ended []*entry // in order of their end, to be dropped from memory
	tick  int64    // mono time of the last Tick

	forgot int64 // mono time: what is not in memory any more, or never was, ended before it

	seq     int64
	durable int64
	batch   Batch
	dirty   []*entry
	units   map[job.Ref]int // place in batch.Units, so that a unit is written once a batch
}

// entry is one job in memory.
type entry struct {
	spec    *job.Spec
	common  string // part of the spec that other jobs share
	created int64
	unit    job.Unit   // a plain job; of an array its parent
	array   *job.Array // nil for a plain job
	nodes   []job.Unit // of a multi-node parallel job, from its first attempt on
	why     string     // statusReason of untouched children
	open    int32      // AfterJob dependencies that have not ended
	doomed  bool       // a job that it waits for as a whole has failed, and it needed success
	failure bool       // a job that it waits for as a whole has failed
	paired  []*entry   // N_TO_N partners that are not all SUCCEEDED
	chained bool       // SEQUENTIAL
	after   []waiter   // jobs that wait for this one
	tags    map[string]string
	changed int64 // when one of its units last changed (µs)
	dirty   bool
	endSeq  int64
	endMono int64
}

// waiter is a job that waits for another, and how.
type waiter struct {
	e    *entry
	kind job.DependencyKind
}

// task is settling work that is too much for one step.
type task struct {
	e    *entry
	kind taskKind
	next int32
}

type taskKind uint8

const (
	pairTask    taskKind = iota + 1 // look at every child of e again: release or doom it
	killTask                        // end every active child of e
	advanceTask                     // a job that e waited for has ended: move e
)

// New gives a Core that continues from an image.
func New(opt Options, img Image, now Instant) *Core {
	c := Begin(opt, img, now)
	c.Continue(img.Jobs, now)
	c.Ready()
	return c
}

// Begin gives a Core with everything of an image but its jobs, which Continue must be given
// before anything is decided, and then Ready be called: so that a million of them need not
// be in memory twice.
func Begin(opt Options, img Image, now Instant) *Core {
	c := &Core{
		opt: opt, next: max(img.NextKey, 1), tick: now.Mono, forgot: now.Mono,
		jobs: map[job.Key]*entry{}, byID: map[job.ID]*entry{}, tokens: map[string]job.Key{}, shelf: newShelf(),
		queues: map[string]job.Queue{}, envs: map[string]job.Environment{}, hosts: map[string]*host{},
		policies: map[string]job.SchedulingPolicy{}, consumables: map[string]*consumable{}, quotas: map[string]job.QuotaShare{},
		shares: map[string]map[string]int{}, heads: map[string]head{},
		sched: tape.NewRecorder(), units: map[job.Ref]int{},
	}
	for _, e := range img.Environments {
		c.envs[e.Name] = e
		c.sched.SetEnvironment(e)
	}
	for _, p := range img.Policies {
		c.policies[p.Name] = p
	}
	for _, r := range img.Consumables {
		c.consumables[r.Name] = &consumable{Consumable: r}
	}
	for _, s := range img.QuotaShares {
		c.quotas[s.Key()] = s
	}
	for _, q := range img.Queues {
		c.queues[q.Name] = q
		c.feedQueue(q)
	}
	c.recharge(img.Usage)
	c.paces.load(img.Paces)
	for _, h := range img.Hosts {
		c.addHost(h, now)
	}
	c.feedConsumables()
	return c
}

// Continue takes up jobs where the last manager left them. They come in order of submission
// over all calls; the ended ones among them, on which later ones depend, come before those.
func (c *Core) Continue(jobs []Loaded, now Instant) {
	for _, l := range jobs {
		if c.knows(l.Spec.ID) {
			continue // an ended job on which others depended too
		}
		c.adopt(l, now)
		e := c.jobs[l.Spec.Key]
		if !e.unit.Status.Terminal() {
			c.holdAll(e)
			c.resume(e, now)
		}
		c.taken = append(c.taken, e)
	}
	c.fold()
}

// Ready ends the taking up: what is held of each consumable resource is known now.
func (c *Core) Ready() { c.feedConsumables() }

func (c *Core) feedConsumables() {
	for _, name := range slices.Sorted(maps.Keys(c.consumables)) {
		c.feedConsumable(c.consumables[name])
	}
}

// Take ends the batch under way and gives it to the caller, who must commit batches in
// order and then say so with Committed.
func (c *Core) Take() *Batch {
	for _, e := range c.dirty {
		e.dirty = false
		c.batch.Jobs = append(c.batch.Jobs, e.row())
	}
	c.taken = append(c.taken, c.dirty...)
	c.fold()
	c.writeSpent()
	c.writeUsage()
	c.seq++
	b := c.batch
	b.Seq, b.TapeAt, b.Tape = c.seq, c.sched.At(), c.sched.Cut()
	c.batch, c.dirty = Batch{}, c.dirty[:0]
	clear(c.units)
	return &b
}

// Pending reports whether the batch under way has anything in it.
func (c *Core) Pending() bool { return len(c.dirty)+len(c.used) > 0 || !c.batch.Empty() }

// Committed says that batches up to seq are durable.
func (c *Core) Committed(seq int64) { c.durable = max(c.durable, seq) }

// Busy reports whether settling work is left; call Work.
func (c *Core) Busy() bool { return len(c.work) > 0 }

func (c *Core) touch(e *entry) {
	if !e.dirty {
		e.dirty = true
		c.dirty = append(c.dirty, e)
	}
}

func (e *entry) row() JobRow {
	r := JobRow{
		Key: e.spec.Key, Status: e.unit.Status, Reason: e.unit.StatusReason,
		Cancelled: e.unit.Cancelled, Terminated: e.unit.Terminated, UserReason: e.unit.UserReason, Tags: e.tags,
	}
	r.Changed = e.changed
	r.Ready, r.Begun = e.unit.Ready, e.unit.Attempt > 0
	if e.unit.Status.Terminal() {
		r.Stopped = e.unit.Stopped
	}
	if e.array != nil {
		r.Base, r.BaseReason, r.Counts = e.array.Base(), e.why, e.array.Counts()
		r.Begun = e.array.Untouched() < e.array.Size()
	}
	return r
}

// moved records a change of status of units [lo, hi], joining runs that follow each other.
func (c *Core) moved(e *entry, lo, hi int32, from, to job.Status, now Instant) {
	if from == to {
		return
	}
	c.movedFor(e, lo, hi, from, to, "", now)
}

// movedFor is moved with the words that its statuses do not say.
func (c *Core) movedFor(e *entry, lo, hi int32, from, to job.Status, why string, now Instant) {
	if from != to {
		e.changed = now.Wall
	}
	t := c.batch.Transitions
	if n := len(t); n > 0 && lo > job.Whole {
		// Children start and end in order most of the time: extend a run of the same step.
		for i := n - 1; i >= max(0, n-8); i-- {
			if p := &t[i]; p.Key == e.spec.Key && p.Hi+1 == lo && p.Lo > job.Whole && p.From == from && p.To == to && p.Why == why && !c.after(t[i+1:], e.spec.Key, lo, hi) {
				p.Hi = hi
				return
			}
		}
	}
	c.batch.Transitions = append(t, Transition{At: now.Wall, Key: e.spec.Key, ID: e.spec.ID, Lo: lo, Hi: hi, From: from, To: to, Why: why})
}

// after reports whether any of the transitions speaks of units [lo, hi] of the job: then
// an earlier row may not be extended over them, for the order of their steps would be lost.
func (c *Core) after(t []Transition, k job.Key, lo, hi int32) bool {
	for i := range t {
		if t[i].Key == k && t[i].Lo <= hi && lo <= t[i].Hi {
			return true
		}
	}
	return false
}

// step applies one event to a unit and records everything that follows from it, but not
// what it means for other jobs: that is settle.
func (c *Core) step(e *entry, i int32, ev job.Event, now Instant) (job.Change, error) {
	u := e.get(i)
	before := u
	wall := now.Wall
	if e.spec.Nodes != nil {
		wall = max(wall, ev.At) // a time of the main node, which was judged when that took the step
	}
	u, ch, err := job.Step(u, e.spec.Retry, ev, wall)
	if err != nil || u == before {
		return ch, err
	}
	if ch.Ended && ch.To == job.Runnable && e.spec.GrowMemory && e.spec.Nodes == nil && u.Exit.Cause == job.CauseMemory {
		u.MemoryMiB = c.moreMemory(e, u)
	}
	if before.Status == job.Runnable && ch.Moved() && ch.To != job.Starting {
		c.sched.Remove(e.spec.Queue, e.demand(i), e.spec.Key, i, i+1)
	}
	e.put(i, u)
	c.touch(e)
	if i != job.Whole || u.Attempt > 0 {
		c.writeUnit(job.Ref{Key: e.spec.Key, Index: i}, u)
	}
	if u.Preempted > before.Preempted {
		c.movedFor(e, i, i, ch.From, ch.To, u.AttemptWhy, now)
	} else {
		c.moved(e, i, i, ch.From, ch.To, now)
	}
	if ch.Stop {
		c.sched.Leave(job.Ref{Key: e.spec.Key, Index: i})
	}
	if ch.Ended {
		c.free(before, job.Ref{Key: e.spec.Key, Index: i}, now)
		c.paces.heard(e.spec, u, before.Placed, now)
		if ch.To == job.Runnable {
			c.batch.History = append(c.batch.History, UnitRow{job.Ref{Key: e.spec.Key, Index: i}, u})
		}
	}
	if ch.To == job.Runnable && ch.Moved() {
		c.sched.Add(e.spec.Queue, e.demand(i), e.spec.Key, u.Attempt > 0, i, i+1)
	}
	return ch, nil
}

func (c *Core) writeUnit(r job.Ref, u job.Unit) {
	if i, ok := c.units[r]; ok {
		c.batch.Units[i].Unit = u
		return
	}
	c.units[r] = len(c.batch.Units)
	c.batch.Units = append(c.batch.Units, UnitRow{r, u})
}

// get is the state of a unit of the job.
func (e *entry) get(i int32) job.Unit {
	if i == job.Whole {
		return e.unit
	}
	if n, ok := job.NodeOf(i); ok {
		return e.node(n)
	}
	return e.array.Unit(i)
}

func (e *entry) put(i int32, u job.Unit) {
	if i == job.Whole {
		e.unit = u
		return
	}
	if n, ok := job.NodeOf(i); ok {
		if e.nodes == nil {
			e.nodes = make([]job.Unit, e.spec.Nodes.Count)
		}
		e.nodes[n] = u
		return
	}
	e.array.Put(i, u)
}

// has reports whether the job has a unit of this index.
func (e *entry) has(i int32) bool {
	if n, ok := job.NodeOf(i); ok {
		return e.spec.Nodes != nil && n < e.spec.Nodes.Count
	}
	if e.array == nil {
		return i == job.Whole
	}
	return i >= 0 && i < e.array.Size()
}

// logStream names the log stream of an attempt: "<definition>/default/<task id>", as AWS
// Batch does; the task id is unique to the attempt (reference: clients, fact 8).
func logStream(s *job.Spec, i, attempt int32, fence uint32) string {
	name, _, _ := strings.Cut(s.Definition, ":")
	if len(name) > 200 {
		name = name[:200]
	}
	b := make([]byte, 0, 64)
	b = append(b, s.ID[:]...)
	b = strconv.AppendInt(append(b, ':'), int64(i), 10)
	b = strconv.AppendInt(append(b, '/'), int64(attempt), 10)
	b = strconv.AppendUint(append(b, '/'), uint64(fence), 10)
	sum := sha256.Sum256(b)
	return name + "/default/" + hex.EncodeToString(sum[:16])
}

// need is what unit i holds while it runs.
func (e *entry) need(i int32) resource.Vector {
	n := e.spec.Need
	if k, ok := job.NodeOf(i); ok {
		return e.spec.Nodes.Of(k).Need
	}
	if e.spec.GrowMemory {
		n.MemoryMiB = cmp.Or(e.get(i).MemoryMiB, n.MemoryMiB)
	}
	return n
}

// demand is what unit i asks of the scheduler. What it depends on, apart from the time at
// which the unit became RUNNABLE, never changes.
func (e *entry) demand(i int32) sched.Demand {
	s := e.spec
	since := e.unit.Ready
	if i != job.Whole {
		since = cmp.Or(e.array.Unit(i).Ready, since)
	}
	d := sched.Demand{
		Shape: shapeOf(s.Image, e.need(i), wants(s.Requires, s.Container)), Share: cmp.Or(s.Share, s.QuotaShare), Priority: s.Priority,
		Timeout: s.TimeoutSeconds, Tokens: tokens(s), Since: since, Image: e.image(),
	}
	if s.Nodes != nil {
		d.Shape, d.Nodes, d.Groups = e.groups()
	}
	return d
}
