package sched

import (
	"drover/internal/core/job"
)

// Demand is all that placing a unit depends on.
type Demand struct {
	Shape
	Share    string  // share identifier, or the name of a quota share; "" = none
	Priority int32   // schedulingPriority: inside a share the higher one goes first
	Timeout  int32   // seconds from the placement after which an attempt is ended; 0 = unknown
	Tokens   []Token // consumable resources, by name
	Image    uint8   // its ImageOf, of a container; 0 = none, or several
	Nodes    int32   // of a gang, each with the Shape; 0 and 1 are a plain unit
	Groups   []Group // of a gang whose nodes ask for different things, in the order of its nodes, in place of Shape and Nodes
	Since    int64   // when it became RUNNABLE (µs)
}

// Token is an amount of a consumable resource.
type Token struct {
	Name     string
	Quantity int64
}

// FairShare is a fair-share scheduling policy, in AWS Batch's words.
type FairShare struct {
	ShareDecaySeconds  int32 // the time in which remembered usage halves; 0 = 600
	ComputeReservation int32 // percent: (it/100)^(active shares) of maxvCpus is left to shares that are not active
	Weights            []Weight
}

// Weight is the weight factor of a share: the lower, the more it gets. An Identifier that
// ends in * stands for every share that begins so. Shares without a Weight have 1.
type Weight struct {
	Identifier string
	Factor     float64
}

// Limit bounds what is held together. An amount of 0 is no limit.
type Limit struct{ MilliVCPU, GPU int64 }

// Plan is what Decide decided: Places are accounted for already.
type Plan struct {
	Places  []Placement
	Preempt []Preemption // what must be stopped now; it holds its room until Release
}

// Reservation is room kept for the unit that is first in its queue.
type Reservation struct {
	Queue  string
	Ref    job.Ref
	Hosts  []string // none: it waits for maxvCpus or tokens
	Shadow int64    // when the room is expected (µs); 0 = unknown
}

// Front is one of the first entries of a queue: a unit, or all waiting children of an array.
type Front struct {
	Key   job.Key
	Index int32 // job.Whole, or the first child that waits
	Share string
	Since int64 // since when it has been at least this far in front (µs)
}
