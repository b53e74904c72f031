package job_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"drover/internal/core/job"
)

// An Array is held against one status per child, kept plainly.
func TestArrayProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.Int32Range(1, 60).Draw(t, "size")
		a := job.NewArray(size, job.Submitted)
		plain := make([]job.Status, size)
		touched := make([]bool, size)
		for i := range plain {
			plain[i] = job.Submitted
		}
		status := rapid.SampledFrom([]job.Status{job.Submitted, job.Pending, job.Runnable, job.Starting, job.Running, job.Succeeded, job.Failed})
		for range rapid.IntRange(1, 50).Draw(t, "steps") {
			s := status.Draw(t, "status")
			if rapid.IntRange(0, 9).Draw(t, "what") == 0 {
				moved := int32(0)
				for i := range plain {
					if !touched[i] {
						plain[i] = s
						moved++
					}
				}
				if got := a.SetBase(s); got != moved {
					t.Fatalf("SetBase moved %d children, want %d", got, moved)
				}
			} else {
				i := rapid.Int32Range(0, size-1).Draw(t, "child")
				plain[i], touched[i] = s, true
				a.Put(i, job.Unit{Status: s, Fence: uint32(i) + 1})
			}
			checkArray(t, a, plain, touched)
		}
	})
}

func checkArray(t *rapid.T, a *job.Array, plain []job.Status, touched []bool) {
	var counts job.Counts
	untouched := int32(0)
	var active []int32
	for i, s := range plain {
		counts[s]++
		if a.Status(int32(i)) != s || a.Unit(int32(i)).Status != s || a.Touched(int32(i)) != touched[i] {
			t.Fatalf("child %d is %s, touched %t; want %s, %t", i, a.Status(int32(i)), a.Touched(int32(i)), s, touched[i])
		}
		switch {
		case !touched[i]:
			untouched++
		case !s.Terminal():
			active = append(active, int32(i))
			if a.Unit(int32(i)).Fence != uint32(i)+1 {
				t.Fatalf("child %d lost its unit", i)
			}
		}
	}
	if a.Counts() != counts || a.Untouched() != untouched || !slices.Equal(a.Active(), active) {
		t.Fatalf("counts %v untouched %d active %v; want %v %d %v", a.Counts(), a.Untouched(), a.Active(), counts, untouched, active)
	}
	var next []int32
	for i, ok := a.Next(0); ok; i, ok = a.Next(i + 1) {
		next = append(next, i)
	}
	if !slices.Equal(next, active) {
		t.Fatalf("Next walks %v, want %v", next, active)
	}
	covered := make([]bool, len(plain))
	last := int32(-1)
	a.Spans(func(lo, hi int32) {
		if lo <= last || hi <= lo || int(hi) > len(plain) {
			t.Fatalf("span %d to %d after %d", lo, hi, last)
		}
		last = hi
		for i := lo; i < hi; i++ {
			covered[i] = true
		}
	})
	a.Each(func(i int32, s job.Status) bool {
		if covered[i] || s != plain[i] {
			t.Fatalf("child %d is %s and in a span %t", i, s, covered[i])
		}
		covered[i] = true
		return true
	})
	if slices.Contains(covered, false) {
		t.Fatalf("spans and touched children do not add up: %v", covered)
	}
	want := job.Pending
	if counts.Terminal() == a.Size() {
		want = job.Succeeded
		if counts[job.Failed] > 0 {
			want = job.Failed
		}
	}
	if a.Outcome() != want {
		t.Fatalf("outcome %s of %v", a.Outcome(), counts)
	}
}

func TestMillionChildrenAreCheap(t *testing.T) {
	if n := testing.AllocsPerRun(10, func() {
		a := job.NewArray(1_000_000, job.Submitted)
		a.SetBase(job.Runnable)
	}); n > 4 {
		t.Errorf("an untouched array of a million made %v allocations", n)
	}
}
