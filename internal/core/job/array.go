package job

import (
	"maps"
	"slices"
)

// Counts is how many children of an array are in each status.
type Counts [Failed + 1]int32

// Terminal is the number of children that have ended.
func (c *Counts) Terminal() int32 { return c[Succeeded] + c[Failed] }

// Array is the state of all children of one array job. Children that nothing has touched
// share the base status and cost one byte each at most (none until the first diverges);
// a child has a Unit of its own only from its first step until it ends.
type Array struct {
	size      int32
	untouched int32
	base      Status
	status    []Status // per child; 0 = untouched, base holds. nil until one diverges
	counts    Counts
	units     map[int32]*Unit
}

// NewArray gives an array of size untouched children.
func NewArray(size int32, base Status) *Array {
	a := &Array{size: size, untouched: size, base: base, units: map[int32]*Unit{}}
	a.counts[base] = size
	return a
}

// Size is the number of children.
func (a *Array) Size() int32 { return a.size }

// Base is the status of the untouched children.
func (a *Array) Base() Status { return a.base }

// Counts gives the children's number in each status.
func (a *Array) Counts() Counts { return a.counts }

// Untouched is the number of children that share the base status.
func (a *Array) Untouched() int32 { return a.untouched }

// SetBase moves all untouched children at once. It returns how many it moved.
func (a *Array) SetBase(s Status) int32 {
	a.counts[a.base] -= a.untouched
	a.counts[s] += a.untouched
	a.base = s
	return a.untouched
}

// Touched reports whether child i has left the base.
func (a *Array) Touched(i int32) bool { return a.status != nil && a.status[i] != 0 }

// Status is the status of child i.
func (a *Array) Status(i int32) Status {
	if a.Touched(i) {
		return a.status[i]
	}
	return a.base
}

// Unit gives the state of child i. Of a child that has ended only the status is known here.
func (a *Array) Unit(i int32) Unit {
	if u := a.units[i]; u != nil {
		return *u
	}
	return Unit{Status: a.Status(i)}
}

// Put records the state of child i after a step.
func (a *Array) Put(i int32, u Unit) {
	old := a.Status(i)
	if a.status == nil {
		a.status = make([]Status, a.size)
	}
	if a.status[i] == 0 {
		a.untouched--
	}
	a.status[i] = u.Status
	a.counts[old]--
	a.counts[u.Status]++
	if u.Status.Terminal() {
		delete(a.units, i)
		return
	}
	if p := a.units[i]; p != nil {
		*p = u
		return
	}
	a.units[i] = &u
}

// Active lists, in order, the children that have a Unit: started, waiting for a retry, or
// released one by one.
func (a *Array) Active() []int32 { return slices.Sorted(maps.Keys(a.units)) }

// Next gives the first child from i on that has left the base and has not ended.
func (a *Array) Next(i int32) (int32, bool) {
	for ; int(i) < len(a.status); i++ {
		if s := a.status[i]; s != 0 && !s.Terminal() {
			return i, true
		}
	}
	return 0, false
}

// Each calls f for each child that has left the base, in order, until f returns false.
func (a *Array) Each(f func(i int32, s Status) bool) {
	for i, s := range a.status {
		if s != 0 && !f(int32(i), s) {
			return
		}
	}
}

// Spans calls f with each run [lo, hi) of untouched children, in order.
func (a *Array) Spans(f func(lo, hi int32)) {
	if a.status == nil {
		f(0, a.size)
		return
	}
	for i := int32(0); i < a.size; {
		if a.status[i] != 0 {
			i++
			continue
		}
		lo := i
		for i < a.size && a.status[i] == 0 {
			i++
		}
		f(lo, i)
	}
}

// Outcome is what the array's parent becomes: Pending until every child has ended, then
// Succeeded if all did, else Failed (AWS Batch User Guide, array jobs).
func (a *Array) Outcome() Status {
	switch {
	case a.counts.Terminal() < a.size:
		return Pending
	case a.counts[Failed] > 0:
		return Failed
	}
	return Succeeded
}
