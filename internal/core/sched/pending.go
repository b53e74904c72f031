package sched

import (
	"cmp"
	"math"
	"slices"

	"drover/internal/core/job"
)

// rec is what waits of one job: for its first attempt, or for another one. It holds no
// pointer, so that a million of them are nothing to the garbage collector.
type rec struct {
	order int64
	since uint32 // seconds since 1970
	kids  int32  // place in State.kids of the waiting children; plain, or dead
}

const (
	plain int32 = -1 // not an array
	dead  int32 = -2 // does not wait any more; swept later
)

// fifo holds the recs of one class in one share, sorted by order.
type fifo struct {
	recs []rec
	lo   int32 // recs before it are gone
	dead int32
}

// live is the recs that are not gone, the dead among them included.
func (f *fifo) live() []rec { return f.recs[f.lo:] }

func (f *fifo) find(order int64) (int, bool) {
	i, ok := slices.BinarySearchFunc(f.live(), order, func(r rec, o int64) int { return cmp.Compare(r.order, o) })
	return i + int(f.lo), ok
}

// insert puts a rec in its place i, moving the shorter side if there is room in front.
func (f *fifo) insert(i int, r rec) {
	if lo := int(f.lo); lo > 0 && i-lo < len(f.recs)-i {
		copy(f.recs[lo-1:], f.recs[lo:i])
		f.lo--
		f.recs[i-1] = r
		return
	}
	f.recs = slices.Insert(f.recs, i, r)
}

// kill marks rec i as gone, and sweeps once it pays.
func (f *fifo) kill(i int) {
	f.recs[i].kids = dead
	f.dead++
	for !f.empty() && f.recs[f.lo].kids == dead {
		f.lo++
		f.dead--
	}
	n := int32(len(f.recs))
	if f.lo > 32 && f.lo > n/2 || f.dead > 32 && f.dead > n-f.lo-f.dead {
		kept := f.recs[:0]
		for _, r := range f.live() {
			if r.kids != dead {
				kept = append(kept, r)
			}
		}
		if cap(kept) > 64 && len(kept) < cap(kept)/4 {
			kept = slices.Clone(kept)
		}
		f.recs, f.lo, f.dead = kept, 0, 0
	}
}

func (f *fifo) empty() bool { return int(f.lo) == len(f.recs) }

// never is the order of the head of an empty FIFO.
const never = math.MaxInt64

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

func keyOf(order int64) job.Key {
	if order < 0 {
		order -= retryBase
	}
	return job.Key(order)
}

// Add makes units [lo, hi) of a job wait in a queue. For a plain job lo is job.Whole and
// hi is job.Whole+1. Units that wait already are not added again.
func (s *State) Add(queueName string, d Demand, k job.Key, again bool, lo, hi int32) {
	q := s.queue(queueName)
	if q == nil || lo >= hi {
		return
	}
	s.idle = false
	sh, c := q.share(d.Share), s.intern(&d)
	s.enqueue(q, sh, c, Order(k, again), uint32(min(max(d.Since/1e6, 0), math.MaxUint32)), span{lo, hi})
}

// enqueue makes units of one order wait in the FIFO of a class.
func (s *State) enqueue(q *queue, sh *share, c int32, order int64, since uint32, n span) {
	f := sh.fifo(c)
	i, ok := f.find(order)
	switch {
	case ok && f.recs[i].kids >= 0:
		f.recs[i].since = min(f.recs[i].since, since)
		s.count(q, sh, s.kids[f.recs[i].kids].add(n))
		return
	case ok && f.recs[i].kids == plain:
		return
	}
	r := rec{order, since, plain}
	if n.lo != job.Whole {
		r.kids = s.newKids(n)
	}
	if ok { // it waited before, and its record is not swept yet
		f.recs[i] = r
		f.dead--
	} else {
		was := f.empty()
		f.insert(i, r)
		if was {
			s.classes[c].lists++
			if s.classes[c].lists == 1 {
				s.liveClasses++
				s.wanted.add(c)
			}
			sh.wait.add(c)
			q.enlist(c)
		}
	}
	s.count(q, sh, int64(n.hi-n.lo))
	s.headed(sh, c)
}

func (s *State) count(q *queue, sh *share, n int64) {
	s.waiting += n
	q.waiting += n
	sh.waiting += n
}

func (s *State) newKids(n span) int32 {
	if i := len(s.freeKids); i > 0 {
		k := s.freeKids[i-1]
		s.freeKids = s.freeKids[:i-1]
		s.kids[k] = append(s.kids[k][:0], n)
		return k
	}
	s.kids = append(s.kids, spans{n})
	return int32(len(s.kids) - 1)
}

// Remove takes units [lo, hi) of a job out of the waiting ones.
func (s *State) Remove(queueName string, d Demand, k job.Key, lo, hi int32) {
	q := s.queue(queueName)
	if q == nil {
		return
	}
	sh, c := q.shareNamed(d.Share), s.intern(&d)
	if sh == nil || int(c) >= len(sh.fifos) {
		return
	}
	s.idle = false
	for _, again := range [2]bool{false, true} {
		f := &sh.fifos[c]
		i, ok := f.find(Order(k, again))
		if !ok || f.recs[i].kids == dead {
			continue
		}
		if kids := f.recs[i].kids; kids >= 0 {
			s.count(q, sh, -s.kids[kids].remove(span{lo, hi}))
			if len(s.kids[kids]) == 0 {
				s.drop(q, sh, c, i)
			}
		} else if lo <= job.Whole && hi > job.Whole {
			s.count(q, sh, -1)
			s.drop(q, sh, c, i)
		}
	}
}

// drop forgets rec i of a FIFO.
func (s *State) drop(q *queue, sh *share, c int32, i int) {
	f := &sh.fifos[c]
	if kids := f.recs[i].kids; kids >= 0 {
		s.kids[kids] = s.kids[kids][:0]
		if cap(s.kids[kids]) > 64 {
			s.kids[kids] = nil
		}
		s.freeKids = append(s.freeKids, kids)
	}
	q.moved = s.now
	f.kill(i)
	if f.empty() {
		f.recs, f.lo = f.recs[:0], 0
		if cap(f.recs) > 64 {
			f.recs = nil
		}
		s.classes[c].lists--
		if s.classes[c].lists == 0 {
			s.liveClasses--
			s.wanted.remove(c)
		}
		sh.wait.remove(c)
		q.forget(c)
	}
	s.headed(sh, c)
}

// pop takes the first unit of a FIFO out.
func (s *State) pop(q *queue, sh *share, c int32) job.Ref {
	f := &sh.fifos[c]
	r := f.recs[f.lo]
	s.count(q, sh, -1)
	ref := job.Ref{Key: keyOf(r.order), Index: job.Whole}
	if r.kids < 0 {
		s.drop(q, sh, c, int(f.lo))
		return ref
	}
	ref.Index = s.kids[r.kids].pop()
	if len(s.kids[r.kids]) == 0 {
		s.drop(q, sh, c, int(f.lo))
	}
	return ref
}

// first is the unit at the head of a FIFO.
func (s *State) first(f *fifo) job.Ref {
	r := f.recs[f.lo]
	ref := job.Ref{Key: keyOf(r.order), Index: job.Whole}
	if r.kids >= 0 {
		ref.Index = s.kids[r.kids][0].lo
	}
	return ref
}

// headed keeps the table of heads of a share after the FIFO of class c has changed.
func (s *State) headed(sh *share, c int32) {
	f := &sh.fifos[c]
	order := int64(never)
	if !f.empty() {
		order = f.recs[f.lo].order
	}
	if sh.heads[c] == order {
		return
	}
	sh.heads[c] = order
	if h := sh.queue.hold; h != nil && h.share == sh && h.class == c {
		s.stir(h)
	} else if h != nil && sh.queue.policy != patient {
		s.rouse(h)
	}
	switch first := &sh.firsts[c/64]; {
	case first.class == c: // another one may go first now
		*first = nobody()
	case first.class != unknown && s.before(sh, c, first.class):
		*first = s.lead(sh, c)
	}
	switch {
	case sh.front == c: // the first one may be another now
		sh.front, sh.overtaken = unknown, 0
	case sh.front >= 0 && s.before(sh, c, sh.front):
		sh.front, sh.overtaken = c, 0
	}
}

// unknown says that the first class of a share must be looked for.
const unknown int32 = -1

// before reports whether the head of class a goes before that of class b in their share,
// first in first out.
func (s *State) before(sh *share, a, b int32) bool {
	if x, y := s.priorities[a], s.priorities[b]; x != y && sh.heads[a] != never && sh.heads[b] != never {
		return x > y
	}
	return sh.heads[a] < sh.heads[b]
}
