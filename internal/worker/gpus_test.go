package worker

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"drover/internal/core/job"
)

// However attempts come, go and are adopted, no GPU has two holders, none is lost, and an
// attempt waits only while there are too few.
func TestGPUsHaveOneHolder(t *testing.T) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 1))
		devices := make([]Device, 1+rng.IntN(8))
		for i := range devices {
			devices[i].Index = i
			if seed%2 == 0 {
				devices[i].UUID = fmt.Sprintf("GPU-%d", i)
			}
		}
		g := newGPUs(devices)
		need := map[job.Lease]int{}
		for step := range 100 {
			switch l := (job.Lease{Fence: uint32(rng.IntN(12))}); rng.IntN(4) {
			case 0:
				if g.give(l) != (need[l] > 0) {
					t.Fatalf("seed %d step %d: giving back %v", seed, step, l)
				}
				delete(need, l)
			case 1: // the next worker adopts, and may know UUIDs that this one did not
				next := newGPUs(devices)
				for l, held := range g.held {
					if rng.IntN(2) == 0 {
						bare := append([]Device(nil), held...)
						for i := range bare {
							bare[i].UUID = ""
						}
						held = bare
					}
					next.hold(l, held)
				}
				g = next
			default:
				if need[l] > 0 {
					continue
				}
				n, free := 1+rng.IntN(4), len(devices)
				for _, k := range need {
					free -= k
				}
				got := g.take(l, n)
				if (len(got) == n) != (n <= free) || len(got) != 0 && len(got) != n {
					t.Fatalf("seed %d step %d: %d of %d free asked for, got %v", seed, step, n, free, got)
				}
				if got != nil {
					need[l] = n
				}
			}
			holders := map[int]job.Lease{}
			for l, held := range g.held {
				if len(held) != need[l] {
					t.Fatalf("seed %d step %d: %v has %v and needs %d", seed, step, l, held, need[l])
				}
				for _, d := range held {
					if other, twice := holders[d.Index]; twice {
						t.Fatalf("seed %d step %d: %v is of %v and %v", seed, step, d, l, other)
					}
					holders[d.Index] = l
				}
			}
		}
	}
}

// A GPU is known by its UUID where that is known, for indexes move.
func TestGPUsByUUID(t *testing.T) {
	g := newGPUs([]Device{{0, "GPU-b"}, {1, "GPU-c"}})
	old, fresh := job.Lease{Fence: 1}, job.Lease{Fence: 2}
	g.hold(old, []Device{{1, "GPU-b"}}) // GPU-a, the first of then, is no more
	if got := g.take(fresh, 1); len(got) != 1 || got[0].UUID != "GPU-c" {
		t.Errorf("took %v", got)
	}
	if again := g.take(fresh, 1); len(again) != 1 || again[0].UUID != "GPU-c" {
		t.Errorf("asked again, took %v", again)
	}
	if got := g.take(job.Lease{Fence: 3}, 1); got != nil {
		t.Errorf("took %v and none is free", got)
	}
	if !g.give(old) || g.give(old) {
		t.Error("given back once is given back")
	}
	if got := g.take(job.Lease{Fence: 3}, 1); len(got) != 1 || got[0].UUID != "GPU-b" {
		t.Errorf("took %v", got)
	}
}

func TestVisible(t *testing.T) {
	if v := visible(nil, false); v != nil {
		t.Errorf("without GPUs: %v", v)
	}
	two := []Device{{0, "GPU-a"}, {3, ""}}
	if v := visible(two, true); len(v) != 1 || v[0] != (job.Variable{Name: "NVIDIA_VISIBLE_DEVICES", Value: "GPU-a,3"}) {
		t.Errorf("container: %v", v)
	}
	if v := visible(two, false); len(v) != 3 || v[1] != (job.Variable{Name: "CUDA_VISIBLE_DEVICES", Value: "GPU-a,3"}) {
		t.Errorf("process: %v", v)
	}
}
