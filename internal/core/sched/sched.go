// Package sched decides which waiting units run where.
//
// State is fed with everything that matters (queues, compute environments, hosts, units
// that became RUNNABLE or stopped being so, capacity given back) and decides on demand.
// It is deterministic: the same calls in the same order give the same placements. It
// promises that a unit is placed at most once per Add, that no host gives more than it
// has, no environment more than its maxvCpus and no consumable resource more than its
// total, that every unit that fits on an empty cluster is placed some day, and that it can
// say of every waiting unit why it waits.
//
// The order: queues by priority, high first, those of one priority by what they run over
// their weight; in a fair-share queue the share that used least for its weight; in a share
// by schedulingPriority, then units that are to be retried, then first in, first out. A
// unit that does not fit is passed over; so that it does not wait for ever, room is kept
// for it as its queue's policy says (hold).
//
// Units that ask for the same are one class, and wait in one FIFO for each share. What is
// waiting, what may fit and what is blocked are sets of classes, one bit each, so that
// choosing costs words of bits, not jobs. A class that fits nowhere is taken out of the
// sets until a host has room again (fresh): then that host alone is looked at. Hosts are
// filed in grids by what they have free.
package sched

import (
	"drover/internal/core/job"
	"drover/internal/core/resource"
)

// Executors that a unit may need of its host.
const (
	Process = "process" // image "host"
	Docker  = "docker"  // any other image
)

// Shape is what a unit asks of a host. Units of one shape fit the same places.
type Shape struct {
	Need     resource.Vector
	Executor string
	Wants    string // attributes of the host, such as "arch=ARM64 gpu=A100|V100"; "" = any
}

// Placement gives a unit its place.
type Placement struct {
	Ref         job.Ref
	Queue       string
	Environment string
	Host        string
	Others      []string // of the further nodes of a gang, in their order; nodes may share a host
}

// State is the scheduler's memory. It belongs to one goroutine.
type State struct {
	queues       []*queue // by priority, then name
	environments []*environment

	hosts     []host
	hostAt    map[string]int32
	byID      []int32
	kinds     [][]string // what hosts say of themselves: their executors and attributes
	freeHosts []int32
	grids     []*grid
	fresh     []int32 // hosts that may have room they had not when the last pass ended

	classes     []class
	needs       []resource.Vector // by class
	ladders     []ladder          // by 64 classes
	priorities  []int32           // by class
	classOf     map[classKey]int32
	freeClasses []int32
	liveClasses int
	kids        []spans // of arrays
	freeKids    []int32
	wanted      set // classes of which something waits
	likely      set // those of them that may fit, as of the last survey
	wide        set // classes that may fit anywhere
	sick        set // classes in quarantine
	short       set // classes that cannot have their tokens now
	aside       []Quarantine
	at          int32    // the class that is decided on
	starting    starting // the unit that is between waiting and running
	near        set      // classes that may fit on a fresh host
	warm        []warmth // by image

	runs     runSlab
	runAt    runTable
	freeRuns []int32
	places   []Placement // scratch
	ends     []ending    // scratch
	found    []int32     // scratch
	picks    []pick      // scratch

	tokens    map[string]*token
	holds     []*hold
	making    int   // of them, those for which others are stopped
	preemptAt int64 // when room may be made again
	tried     int   // units for which the last round of preemption looked for victims in vain
	yielding  int   // queues whose units may be stopped for others
	waiting   int64
	now       int64 // µs
	pass      uint64
	attempts  uint64 // to place a unit: what an event costs
	version   uint64 // of queues, environments, hosts and totals: what is hopeless may be so no more
	impatient int    // queues of another policy than fifo
	late      int    // queues with a due share
	holdSeq   uint64
	restless  bool   // something has happened to a hold
	reviewAt  int64  // when all of them are looked at
	chose     uint64 // the last pass that chose hosts for a hold among many
	mostHeld  int64  // milli vCPU that a unit asks for which room was kept, at most
	reviewed  uint64 // the version when they last were
	loosened  bool   // room that was kept has been given up since the pass began
	idle      bool   // nothing has changed since a pass placed all that fits
	due       int64  // when time alone changes something
}

// New gives an empty State.
func New() *State {
	return &State{
		hostAt: map[string]int32{}, classOf: map[classKey]int32{}, tokens: map[string]*token{}, due: never,
	}
}

// Waiting is the number of RUNNABLE units.
func (s *State) Waiting() int64 { return s.waiting }
