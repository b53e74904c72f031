package sched

import (
	"strconv"
	"strings"

	"drover/internal/core/resource"
)

// classKey is a Demand without what tells units of one class apart for other ends than
// their place: units of one class are interchangeable but for their order.
type classKey struct {
	Shape
	Priority, Timeout, Nodes int32
	Image                    uint8
	tokens, gang             string
}

// class is an interned classKey. Decisions are made per class, not per unit.
type class struct {
	classKey
	tokens   []Token
	sections []section // its nodes, in their order
	largest  []section // the same, as hosts are looked for
	whole    resource.Vector
	lists    int32 // FIFOs in which units of it wait
}

// manyClasses is how many classes of which nothing waits are kept before the table is swept.
const manyClasses = 64

// intern gives the number of a demand's class.
func (s *State) intern(d *Demand) int32 {
	k := classKey{Shape: d.Shape, Priority: d.Priority, Timeout: d.Timeout, Nodes: d.nodes(), Image: d.Image, gang: d.gangKey()}
	if k.gang != "" {
		k.Shape = Shape{}
	}
	if len(d.Tokens) > 0 {
		var b strings.Builder
		for _, t := range d.Tokens {
			b.WriteString(t.Name + "=" + strconv.FormatInt(t.Quantity, 10) + " ")
		}
		k.tokens = b.String()
	}
	if c, ok := s.classOf[k]; ok {
		return c
	}
	if s.idleClasses() > manyClasses+len(s.classes)/2 {
		s.sweepClasses()
	}
	var c int32
	if n := len(s.freeClasses); n > 0 {
		c = s.freeClasses[n-1]
		s.freeClasses = s.freeClasses[:n-1]
	} else {
		c = int32(len(s.classes))
		s.classes = append(s.classes, class{})
		s.needs = append(s.needs, resource.Vector{})
		s.priorities = append(s.priorities, 0)
	}
	list := d.sections()
	whole, least := measure(list)
	s.classes[c] = class{classKey: k, tokens: d.Tokens, sections: list, largest: largestFirst(list), whole: whole}
	s.needs[c], s.priorities[c] = least, k.Priority
	s.climb(c, least)
	s.classOf[k] = c
	s.wide.add(c)
	s.near.remove(c)
	s.sick.remove(c)
	s.short.remove(c)
	return c
}

func (s *State) idleClasses() int { return len(s.classOf) - s.liveClasses }

// sweepClasses forgets the classes of which nothing waits.
func (s *State) sweepClasses() {
	for c := range s.classes {
		if k := s.classes[c].classKey; s.classes[c].lists == 0 {
			if at, ok := s.classOf[k]; ok && at == int32(c) {
				delete(s.classOf, k)
				s.freeClasses = append(s.freeClasses, int32(c))
			}
		}
	}
}
