package sched

import (
	"math/rand/v2"
	"testing"

	"drover/internal/core/resource"
)

// What the ladders say of classes that come, change and fall sick is what comparing all
// amounts says, on the borders of the levels too and for hosts that have less than nothing.
func TestLaddersFindWhatFits(t *testing.T) {
	for i := 1; i < levels; i++ {
		if level(units(i)) != i || level(units(i)-1) != i-1 {
			t.Fatalf("level %d begins at %d, but %d and %d are of levels %d and %d", i, units(i), units(i)-1, units(i), level(units(i)-1), level(units(i)))
		}
	}
	r := rand.New(rand.NewPCG(1, 2))
	amount := func(unit int64) int64 {
		n := units(r.IntN(levels)) + int64(r.IntN(3)-1)
		switch r.IntN(3) {
		case 0:
			return n * unit
		case 1:
			return n*unit + int64(r.IntN(3)-1)
		}
		return n*unit + r.Int64N(unit)
	}
	vector := func() resource.Vector {
		return resource.Vector{MilliVCPU: amount(1000), MemoryMiB: amount(1024), GPU: max(0, int64(r.IntN(6)-3))}
	}
	s := New()
	for range 5000 {
		c := int32(r.IntN(300))
		for int(c) >= len(s.needs) {
			s.needs = append(s.needs, resource.Vector{})
			s.climb(int32(len(s.needs)-1), resource.Vector{})
		}
		s.needs[c] = vector()
		s.climb(c, s.needs[c])
		s.sick = set{r.Uint64() & r.Uint64()}
		free := vector()
		if r.IntN(2) == 0 { // the need of a class, or nearly
			free = s.needs[r.IntN(len(s.needs))]
			free.MemoryMiB += int64(r.IntN(3) - 1)
		}
		var fits set
		s.fitting(free, &fits)
		for i, n := range s.needs {
			if want := n.Fits(free) && !s.sick.has(int32(i)); fits.has(int32(i)) != want {
				t.Fatalf("need %v, free %v: the ladders say %t", n, free, !want)
			}
		}
	}
}
