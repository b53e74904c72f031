package sched

import (
	"cmp"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"drover/internal/core/resource"
)

// whenFits says what adding up the endings in their order says.
func TestWhenFits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := New()
		ends := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) ending {
			return ending{rapid.Int64Range(1, 20).Draw(t, "at"), rapid.IntRange(0, 3).Draw(t, "known") > 0, resource.Vector{MilliVCPU: rapid.Int64Range(0, 4).Draw(t, "vcpu"), MemoryMiB: rapid.Int64Range(0, 4).Draw(t, "mem")}}
		}), 0, 40).Draw(t, "ends")
		need := resource.Vector{MilliVCPU: rapid.Int64Range(0, 60).Draw(t, "need"), MemoryMiB: rapid.Int64Range(0, 60).Draw(t, "memory")}
		sorted := slices.Clone(ends)
		slices.SortStableFunc(sorted, func(a, b ending) int { return cmp.Compare(a.at, b.at) })
		var free resource.Vector
		at, known, ok := int64(0), true, need.Fits(free)
		for i := 0; i < len(sorted) && !ok; {
			for at = sorted[i].at; i < len(sorted) && sorted[i].at == at; i++ {
				free, known = free.Add(sorted[i].gives), known && sorted[i].known
			}
			ok = need.Fits(free)
		}
		gotAt, gotKnown, rest, gotOK := s.whenFits(resource.Vector{}, need, ends)
		if gotOK != ok || ok && (gotAt != at || gotKnown != known || rest != free.Sub(need)) {
			t.Fatalf("it fits %t at %d (known %t), %v left; want %t, %d (%t), %v", gotOK, gotAt, gotKnown, rest, ok, at, known, free.Sub(need))
		}
	})
}
