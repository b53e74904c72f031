package sched

import (
	"math"

	"drover/internal/core/resource"
)

// ladder says of 64 classes which of them fit into so much: for each level of vCPUs and of
// memory (those of the rows and columns of a grid) the classes that need no more than any
// amount of that level, and those that need no more than some. So a host that has room
// again is held against all classes by some words of bits, and amounts are compared for the
// few classes on the border only.
type ladder struct {
	vcpu, memory [levels]rung
	gpus         uint64 // those that need GPUs are on the border always
}

// rung is one level of one resource; sure and maybe have no class in common.
type rung struct{ sure, maybe uint64 }

// any is those that need no more than some amount of the level.
func (r *rung) any() uint64 { return r.sure | r.maybe }

// climb enters what a class needs, which may have been another class before.
func (s *State) climb(c int32, need resource.Vector) {
	for len(s.ladders) <= int(c/64) {
		s.ladders = append(s.ladders, ladder{})
	}
	l, bit := &s.ladders[c/64], uint64(1)<<(c%64)
	for i := range levels {
		l.vcpu[i].set(bit, need.MilliVCPU, i, 1000)
		l.memory[i].set(bit, need.MemoryMiB, i, 1024)
	}
	l.gpus &^= bit
	if need.GPU > 0 {
		l.gpus |= bit
	}
}

// set enters a need of one resource into level i, whose units are of so much.
func (r *rung) set(bit uint64, need int64, i int, unit int64) {
	r.sure &^= bit
	r.maybe &^= bit
	least, most := int64(math.MinInt64), int64(math.MaxInt64) // a host may have less than nothing left
	if i > 0 {
		least = units(i) * unit
	}
	if i+1 < levels {
		most = units(i+1)*unit - 1
	}
	switch {
	case need <= least:
		r.sure |= bit
	case need <= most:
		r.maybe |= bit
	}
}

// fitting adds to b the classes of which a unit (of a gang a node) fits into free.
func (s *State) fitting(free resource.Vector, b *set) {
	for len(*b) < len(s.ladders) {
		*b = append(*b, 0)
	}
	row, col := cellOf(free)
	for w := range s.ladders {
		l := &s.ladders[w]
		x, y := l.vcpu[row], l.memory[col]
		m := x.sure & y.sure &^ l.gpus
		for border := (x.sure | x.maybe) & (y.sure | y.maybe) &^ m; border != 0; border &= border - 1 {
			if i := lowest(border); s.needs[w*64+int(i)].Fits(free) {
				m |= 1 << i
			}
		}
		(*b)[w] |= m &^ s.sick.word(w)
	}
}
