// Package sim runs the real manager in a world made of paper: virtual time, a journal in
// memory that can lose a commit, a network that drops, repeats, delays and reorders,
// workers and clients that follow their protocols and crash, pause and disappear.
//
// It promises that a seed is a whole run: the same seed gives the same events in the same
// order, so that a failure is one command away. After every event and at the end a checker
// holds the run against the invariants of the reliability contract; it knows the truth
// from three streams that the manager cannot touch: what clients were told, what the
// journal holds, and what the simulated jobs themselves wrote down when they ran.
//
// Nothing of the manager is imitated: commands run through manager.Desk, batches come from
// manager.Core, and messages leave through manager.Post, as in production.
package sim

import (
	"fmt"
	"strings"
)

// Options of a run. The zero Options but for the Seed are the ones of the tests.
type Options struct {
	Seed  uint64
	Quiet bool              // no faults at all: then nothing may run twice either
	Trace func(line string) // gets every line of the trace, if set
}

// Result is what a run came to.
type Result struct {
	Seed      uint64
	Hash      uint64 // of the trace: equal for equal runs
	Events    int
	Stats     Stats
	Violation *Violation // nil if every invariant held
}

// Stats say how much happened in a run, so that a run in which nothing happened is noticed.
type Stats struct {
	Jobs, Units, Starts, Batches, Lost, Refused   int // Lost: batches that a crash took; Refused: reports refused
	ManagerCrashes, WorkerCrashes, HostLosses     int
	Replayed                                      int // starts that the recorded history gave again
	Dropped, Duplicated, Compared, Retried, Ended int // Compared: Cores held against rebuilt ones
	Gangs, Nodes                                  int // attempts of multi-node parallel jobs, and starts of nodes but the main ones
	Preempted, Blocked                            int
	Asked                                         int // times that somebody wanted to know why a job waits
	Chosen                                        int // leases on hosts of which their jobs or environments wanted something
}

// Violation is a broken promise.
type Violation struct {
	Invariant string // as numbered in the reliability contract, or a word of our own
	Detail    string
	At        int64    // virtual µs
	Tail      []string // the last lines of the trace
}

// Error writes the violation with the events that led to it.
func (v *Violation) Error() string {
	return fmt.Sprintf("VIOLATION %s at %.3f s: %s\n  %s", v.Invariant, float64(v.At)/1e6, v.Detail, strings.Join(v.Tail, "\n  "))
}

// Run makes one run.
func Run(opt Options) (res Result) {
	w := newWorld(opt)
	defer func() {
		res.Seed, res.Hash, res.Events, res.Stats = opt.Seed, w.hash.Sum64(), w.events, w.stats
		switch p := recover().(type) {
		case nil:
		case *Violation:
			res.Violation = p
		default:
			// A panic of the manager is a broken promise too; its seed must be printed.
			res.Violation = &Violation{Invariant: "panic", Detail: fmt.Sprint(p), At: w.now, Tail: w.tail}
			if opt.Trace != nil {
				panic(p)
			}
		}
	}()
	w.setUp()
	w.run()
	w.check.end()
	return res
}

func (s *Stats) add(o Stats) {
	s.Jobs += o.Jobs
	s.Units += o.Units
	s.Starts += o.Starts
	s.Batches += o.Batches
	s.Lost += o.Lost
	s.Refused += o.Refused
	s.ManagerCrashes += o.ManagerCrashes
	s.WorkerCrashes += o.WorkerCrashes
	s.HostLosses += o.HostLosses
	s.Dropped += o.Dropped
	s.Duplicated += o.Duplicated
	s.Compared += o.Compared
	s.Replayed += o.Replayed
	s.Retried += o.Retried
	s.Ended += o.Ended
	s.Gangs += o.Gangs
	s.Nodes += o.Nodes
	s.Preempted += o.Preempted
	s.Blocked += o.Blocked
	s.Chosen += o.Chosen
	s.Asked += o.Asked
}
