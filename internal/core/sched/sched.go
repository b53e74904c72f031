// Package sched decides which waiting units run where.
//
// State is fed with everything that matters (queues, compute environments, hosts, units
// that became RUNNABLE or stopped being so, capacity given back) and decides on demand.
// It is deterministic: the same calls in the same order give the same placements. It
// promises that a unit is placed at most once per Add, that no host gives more than it
// has and no environment more than its maxvCpus, and that it can say of every waiting
// unit why it waits.
//
// The order: queues by priority, high first, then by name; inside a queue units that are
// to be retried, then first in, first out. A unit that does not fit is passed over (AWS
// Batch moves on in its cycle too); its reason is on record until it fits.
//
// Units are folded by shape (what they ask for), so that a decision costs shapes and
// hosts, not waiting jobs; an array is one entry with spans of waiting children.
package sched

import (
	"cmp"
	"slices"
	"strings"

	"drover/internal/core/job"
	"drover/internal/core/resource"
)

// Executors that a unit may need of its host.
const (
	Process = "process" // image "host"
	Docker  = "docker"  // any other image
)

// Shape is what a unit asks for. Units of one shape fit the same places.
type Shape struct {
	Need     resource.Vector
	Executor string
}

// Placement gives a unit its place.
type Placement struct {
	Ref         job.Ref
	Environment string
	Host        string
}

// entry is what waits of one job: for its first attempt, or for another one.
type entry struct {
	key   job.Key
	order int64
	spans spans
}

// bucket holds the waiting units of one shape in one queue, sorted by order.
type bucket struct {
	shape   Shape
	entries []*entry
	byOrder map[int64]*entry
}

type queue struct {
	job.Queue
	buckets []*bucket
	fair    *FairShare
	quotas  []QuotaShare
	charges []charge
}

type charge struct {
	share  string
	amount float64
	at     int64
}

type token struct {
	name          string
	total, used   int64
	replenishable bool
}

type environment struct {
	job.Environment
	used int64 // milli vCPU
	gone bool  // removed, but something runs in it: one of its name would not start empty
}

type host struct {
	id        string
	capacity  resource.Vector
	free      resource.Vector
	executors []string
	open      bool // takes new work
}

// State is the scheduler's memory. It belongs to one goroutine.
type State struct {
	queues       []*queue       // by priority, then name
	environments []*environment // by name
	hosts        []*host        // by id
	waiting      int64
	idle         bool // the last pass placed all that fits, and nothing has changed since
	running      map[job.Ref]run
	tokens       []*token
}

// New gives an empty State.
func New() *State { return &State{running: map[job.Ref]run{}} }

// run is a unit that holds room.
type run struct {
	host, env string
	need      resource.Vector
}

// Waiting is the number of RUNNABLE units.
func (s *State) Waiting() int64 { return s.waiting }

func (s *State) queue(name string) *queue {
	for _, q := range s.queues {
		if q.Name == name {
			return q
		}
	}
	return nil
}

func (s *State) environment(name string) *environment {
	for _, e := range s.environments {
		if e.Name == name {
			return e
		}
	}
	return nil
}

func (s *State) host(id string) *host {
	i, ok := slices.BinarySearchFunc(s.hosts, id, func(h *host, id string) int { return strings.Compare(h.id, id) })
	if !ok {
		return nil
	}
	return s.hosts[i]
}

// SetQueue adds a queue or changes it.
func (s *State) SetQueue(q job.Queue) {
	s.idle = false
	if old := s.queue(q.Name); old != nil {
		old.Queue = q
	} else {
		s.queues = append(s.queues, &queue{Queue: q})
	}
	slices.SortFunc(s.queues, func(a, b *queue) int {
		return cmp.Or(cmp.Compare(b.Priority, a.Priority), strings.Compare(a.Name, b.Name))
	})
}

// SetPolicy gives a queue its fair-share policy; nil is first in, first out.
func (s *State) SetPolicy(queueName string, p *FairShare) {
	if q := s.queue(queueName); q != nil {
		q.fair = p
	}
}

// SetQuotas divides a queue into quota shares; nil is none.
func (s *State) SetQuotas(queueName string, quotas []QuotaShare) {
	if q := s.queue(queueName); q != nil {
		q.quotas = quotas
	}
}

// Charge adds to the usage of a share what it used before this State began: vCPU
// thousandths times microseconds, as of the time at.
func (s *State) Charge(queueName, share string, amount float64, at int64) {
	if q := s.queue(queueName); q != nil {
		q.charges = append(q.charges, charge{share, amount, at})
	}
}

// SetToken says how many tokens of a name there are, those in use included. Tokens that
// are not replenishable are spent when the unit that holds them ends: from then on there
// are so many fewer, and whoever keeps the total must subtract them too.
func (s *State) SetToken(name string, total int64, replenishable bool) {
	t := s.token(name)
	if t == nil {
		t = &token{name: name}
		s.tokens = append(s.tokens, t)
	}
	t.total, t.replenishable = total, replenishable
}

// RemoveToken forgets a consumable resource: units that ask for it wait.
func (s *State) RemoveToken(name string) {
	s.tokens = slices.DeleteFunc(s.tokens, func(t *token) bool { return t.name == name })
}

// TokenUse is how much of a consumable resource there is, and how much of it is in use.
func (s *State) TokenUse(name string) (total, used int64) {
	if t := s.token(name); t != nil {
		return t.total, t.used
	}
	return 0, 0
}

func (s *State) token(name string) *token {
	for _, t := range s.tokens {
		if t.name == name {
			return t
		}
	}
	return nil
}

// Snapshot lists the first n entries of a queue in the order of dispatch.
func (s *State) Snapshot(queueName string, n int) []Front {
	q := s.queue(queueName)
	if q == nil {
		return nil
	}
	var out []Front
	for _, b := range q.buckets {
		for _, e := range b.entries {
			out = append(out, Front{Key: e.key, Index: e.spans[0].lo})
		}
	}
	slices.SortFunc(out, func(a, b Front) int { return cmp.Compare(a.Key, b.Key) })
	return out[:min(n, len(out))]
}

// RemoveQueue forgets a queue and whatever waits in it.
func (s *State) RemoveQueue(name string) {
	s.idle = false
	s.queues = slices.DeleteFunc(s.queues, func(q *queue) bool {
		if q.Name != name {
			return false
		}
		for _, b := range q.buckets {
			for _, e := range b.entries {
				s.waiting -= e.spans.size()
			}
		}
		return true
	})
}

// SetEnvironment adds a compute environment or changes it.
func (s *State) SetEnvironment(e job.Environment) {
	s.idle = false
	if old := s.environment(e.Name); old != nil {
		old.Environment, old.gone = e, false
		return
	}
	s.environments = append(s.environments, &environment{Environment: e})
}

// RemoveEnvironment takes a compute environment away: at once, or when the last unit that
// runs in it gives its capacity back.
func (s *State) RemoveEnvironment(name string) {
	if e := s.environment(name); e != nil {
		e.gone = true
		s.bury(e)
	}
}

// bury forgets an environment that is gone and empty.
func (s *State) bury(e *environment) {
	if e.gone && e.used == 0 {
		s.environments = slices.DeleteFunc(s.environments, func(o *environment) bool { return o == e })
	}
}

// SetHost adds a host or changes its capacity. A new host takes no work before OpenHost.
func (s *State) SetHost(id string, capacity resource.Vector, executors []string) {
	s.idle = false
	if h := s.host(id); h != nil {
		used := h.capacity.Sub(h.free)
		h.capacity, h.free, h.executors = capacity, capacity.Sub(used), executors
		return
	}
	s.hosts = append(s.hosts, &host{id: id, capacity: capacity, free: capacity, executors: executors})
	slices.SortFunc(s.hosts, func(a, b *host) int { return strings.Compare(a.id, b.id) })
}

// OpenHost says whether the host takes new work.
func (s *State) OpenHost(id string, open bool) {
	s.idle = false
	if h := s.host(id); h != nil {
		h.open = open
	}
}

// RemoveHost forgets a host; what ran there must be released first.
func (s *State) RemoveHost(id string) {
	s.hosts = slices.DeleteFunc(s.hosts, func(h *host) bool { return h.id == id })
}

// Free is what a host has left.
func (s *State) Free(id string) resource.Vector {
	if h := s.host(id); h != nil {
		return h.free
	}
	return resource.Vector{}
}

// Take accounts for a unit that runs already (after a restart of the manager).
func (s *State) Take(r job.Ref, queueName string, d Demand, hostID, env string, placed int64) {
	need := d.Need
	s.running[r] = run{hostID, env, need}
	if h := s.host(hostID); h != nil {
		h.free = h.free.Sub(need)
	}
	e := s.environment(env)
	if e == nil { // it was removed, and something runs in it still
		e = &environment{Environment: job.Environment{Name: env}, gone: true}
		s.environments = append(s.environments, e)
	}
	e.used += need.MilliVCPU
}

// Release gives back what a unit held.
func (s *State) Release(r job.Ref, now int64) {
	u, ok := s.running[r]
	if !ok {
		return
	}
	delete(s.running, r)
	hostID, env, need := u.host, u.env, u.need
	s.idle = false
	if h := s.host(hostID); h != nil {
		h.free = h.free.Add(need)
	}
	if e := s.environment(env); e != nil {
		e.used -= need.MilliVCPU
		s.bury(e)
	}
}

// retryBase sorts units that wait for another attempt before everything else.
const retryBase = -1 << 62

// Order is the place in a queue of a job's units; again is true for those that ran before
// (AWS Batch: a retried job goes to the front of its queue).
func Order(k job.Key, again bool) int64 {
	if again {
		return retryBase + int64(k)
	}
	return int64(k)
}

// Add makes units [lo, hi) of a job wait in a queue. For a plain job lo is job.Whole and
// hi is job.Whole+1. Units that wait already are not added again.
func (s *State) Add(queueName string, d Demand, k job.Key, again bool, lo, hi int32) {
	q, shape := s.queue(queueName), d.Shape
	if q == nil || lo >= hi {
		return
	}
	b := q.bucket(shape)
	order := Order(k, again)
	e := b.byOrder[order]
	if e == nil {
		e = &entry{key: k, order: order}
		i, _ := slices.BinarySearchFunc(b.entries, order, func(e *entry, o int64) int { return cmp.Compare(e.order, o) })
		b.entries = slices.Insert(b.entries, i, e)
		b.byOrder[order] = e
	}
	s.waiting += e.spans.add(span{lo, hi})
	s.idle = false
}

// Remove takes units [lo, hi) of a job out of the waiting ones, wherever they wait.
func (s *State) Remove(queueName string, d Demand, k job.Key, lo, hi int32) {
	q, shape := s.queue(queueName), d.Shape
	if q == nil {
		return
	}
	b := q.bucket(shape)
	for _, again := range [2]bool{false, true} {
		if e := b.byOrder[Order(k, again)]; e != nil {
			s.waiting -= e.spans.remove(span{lo, hi})
			b.drop(e)
		}
	}
}

func (q *queue) bucket(shape Shape) *bucket {
	for _, b := range q.buckets {
		if b.shape == shape {
			return b
		}
	}
	b := &bucket{shape: shape, byOrder: map[int64]*entry{}}
	q.buckets = append(q.buckets, b)
	return b
}

// drop forgets an entry that has become empty.
func (b *bucket) drop(e *entry) {
	if len(e.spans) > 0 {
		return
	}
	delete(b.byOrder, e.order)
	if i, ok := slices.BinarySearchFunc(b.entries, e.order, func(e *entry, o int64) int { return cmp.Compare(e.order, o) }); ok {
		if i == 0 { // the head goes at every placement: do not move the rest
			b.entries[0] = nil
			b.entries = b.entries[1:]
			return
		}
		b.entries = slices.Delete(b.entries, i, i+1)
	}
}

// Decide places waiting units until nothing fits or limit is reached. What it places is
// accounted for and no longer waits.
func (s *State) Decide(now int64, limit int) Plan {
	if s.waiting == 0 || s.idle {
		return Plan{}
	}
	var out []Placement
	for _, q := range s.queues {
		for p := q.pass(); len(p) > 0; {
			if len(out) >= limit {
				return Plan{Places: out}
			}
			b := p[0]
			env, h := s.place(q, b.shape)
			if h == nil {
				p = p.drop()
				continue
			}
			h.free = h.free.Sub(b.shape.Need)
			env.used += b.shape.Need.MilliVCPU
			r := s.pop(b)
			s.running[r] = run{h.id, env.Name, b.shape.Need}
			out = append(out, Placement{Ref: r, Environment: env.Name, Host: h.id})
			if len(b.entries) == 0 {
				p = p.drop()
			} else {
				p.sink(0)
			}
		}
	}
	s.idle = true
	return Plan{Places: out}
}

// manyBuckets is how many shapes a queue may remember of which nothing waits. Jobs come in
// few shapes, and a bucket that stays is one that need not be made again.
const manyBuckets = 64

// pass is a heap of the buckets that may still fit, the one whose head is first in the
// queue's order on top.
type pass []*bucket

func (q *queue) pass() pass {
	if len(q.buckets) > manyBuckets {
		q.buckets = slices.DeleteFunc(q.buckets, func(b *bucket) bool { return len(b.entries) == 0 })
	}
	p := make(pass, 0, len(q.buckets))
	for _, b := range q.buckets {
		if len(b.entries) > 0 {
			p = append(p, b)
		}
	}
	for i := len(p)/2 - 1; i >= 0; i-- {
		p.sink(i)
	}
	return p
}

// drop takes the top out.
func (p pass) drop() pass {
	n := len(p) - 1
	p[0] = p[n]
	p = p[:n]
	p.sink(0)
	return p
}

// sink moves bucket i down to where its head belongs. No two heads are of one order, for a
// job has one shape: so the same calls give the same placements.
func (p pass) sink(i int) {
	for {
		least := i
		for c := 2*i + 1; c <= 2*i+2 && c < len(p); c++ {
			if p[c].before(p[least]) {
				least = c
			}
		}
		if least == i {
			return
		}
		p[i], p[least] = p[least], p[i]
		i = least
	}
}

func (b *bucket) before(o *bucket) bool { return b.entries[0].order < o.entries[0].order }

func (s *State) pop(b *bucket) job.Ref {
	e := b.entries[0]
	r := job.Ref{Key: e.key, Index: e.spans.pop()}
	s.waiting--
	b.drop(e)
	return r
}

// place finds room: environments in the queue's order, then the host with the most free
// vCPUs that fits, so that work spreads.
func (s *State) place(q *queue, shape Shape) (*environment, *host) {
	for _, name := range q.Environments {
		e := s.environment(name)
		if e == nil || !e.takes(shape) || e.used+shape.Need.MilliVCPU > e.MaxMilliVCPU {
			continue
		}
		var best *host
		for _, h := range s.hosts {
			if h.open && h.has(shape.Executor) && shape.Need.Fits(h.free) && (best == nil || h.free.MilliVCPU > best.free.MilliVCPU) {
				best = h
			}
		}
		if best != nil {
			return e, best
		}
	}
	return nil, nil
}

func (e *environment) takes(shape Shape) bool {
	return e.Enabled && !e.gone && (shape.Executor != Process || e.HostJobs)
}

func (h *host) has(executor string) bool { return slices.Contains(h.executors, executor) }
