package sched

import (
	"fmt"
	"maps"
	"slices"

	"drover/internal/core/job"
)

// A decision that panics is a bug of ours, and must cost the units it is about, not all that
// wait. Decisions are made per class: the class that was looked at is quarantined, what was
// half accounted for is counted anew from the runs, and the pass goes on. Units of the class
// wait, and Explain says so; the rest of the State is as if they were not there. As every
// decision, this follows from the calls alone.

// Quarantine is a class of units of which no decision is made any more.
type Quarantine struct {
	Units string // what they ask
	Panic string
}

// Quarantined lists what was set aside since the last call, for the log.
func (s *State) Quarantined() []Quarantine {
	out := s.aside
	s.aside = nil
	return out
}

// rescue is deferred around each decision.
func (s *State) rescue() {
	r := recover()
	if r == nil {
		return
	}
	c := s.at
	if c == unknown || s.sick.has(c) {
		panic(r) // not of a class
	}
	s.sick.add(c)
	s.wide.remove(c)
	s.near.remove(c)
	s.version++ // whoever was first in its share may be of this class
	for i := 0; i < len(s.holds); i++ {
		if h := s.holds[i]; h.class == c {
			s.end(h)
			i--
		}
	}
	s.recount()
	s.aside = append(s.aside, Quarantine{Units: fmt.Sprint(s.classes[c].classKey), Panic: fmt.Sprint(r)})
}

// starting is a unit that is being taken off its FIFO, and its record there.
type starting struct {
	ref   job.Ref
	queue *queue // nil = there is no such unit
	share *share
	class int32
	rec   rec
}

// undo makes a unit that was about to start wait as it did, however far its start had come:
// nobody will be told of its placement.
func (s *State) undo() {
	b := s.starting
	s.starting = starting{}
	if b.queue == nil {
		return
	}
	if i, ok := s.runAt.get(b.ref); ok {
		s.runAt.remove(b.ref)
		*s.run(i) = run{}
		s.freeRuns = append(s.freeRuns, i)
	}
	s.enqueue(b.queue, b.share, b.class, b.rec.order, b.rec.since, span{b.ref.Index, b.ref.Index + 1})
	waiting := int64(0) // it may have been taken off the number and not the FIFO
	for i := range b.share.fifos {
		for _, r := range b.share.fifos[i].live() {
			waiting += s.units(r)
		}
	}
	s.count(b.queue, b.share, waiting-b.share.waiting)
}

// recount finds what is used and free from the runs. A unit that was about to start did not.
func (s *State) recount() {
	s.undo()
	for i := range s.hosts {
		s.unfile(int32(i))
		h := &s.hosts[i]
		h.free, h.runs, h.picked = h.capacity, h.runs[:0], 0
	}
	for _, e := range s.environments {
		e.used, e.leaving = 0, 0
	}
	for _, q := range s.queues {
		q.runs(-q.running)
		q.pool.held = Limit{}
		for _, sh := range q.shares {
			q.settle(sh, s.now)
			sh.running, sh.leaving = Limit{}, Limit{}
		}
	}
	clear(s.short)
	for _, name := range slices.Sorted(maps.Keys(s.tokens)) {
		s.tokens[name].used = 0
	}
	for i := range s.runs.n {
		if at, ok := s.runAt.get(s.run(i).ref); ok && at == i {
			s.occupy(i)
		}
	}
	for i := range s.hosts {
		s.file(int32(i))
	}
}
