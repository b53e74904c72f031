package sched_test

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"drover/internal/core/job"
	"drover/internal/core/resource"
	"drover/internal/core/sched"
)

// No share that runs less for its weight is passed over while a unit of it would start: all
// at one instant, so that nothing is forgotten and nothing is kept for anybody.
func TestFairShareIsNotPassedOver(t *testing.T) {
	const now = 1_000_000 * µs
	rapid.Check(t, func(t *rapid.T) {
		s := sched.New()
		most := rapid.Int64Range(4, 40).Draw(t, "max") * 1000
		s.SetEnvironment(job.Environment{Name: "e", Enabled: true, HostJobs: true, MaxMilliVCPU: most})
		s.SetQueue(job.Queue{Name: "q", Enabled: true, Environments: []string{"e"}})
		names := []string{"a", "b", "c", "d"}
		p, weight := &sched.FairShare{ShareDecaySeconds: 600}, map[string]float64{}
		for _, n := range names {
			weight[n] = rapid.SampledFrom([]float64{0.25, 0.5, 1, 2}).Draw(t, "weight")
			p.Weights = append(p.Weights, sched.Weight{Identifier: n, Factor: weight[n]})
		}
		s.SetPolicy("q", p)
		free := map[string]resource.Vector{}
		for i := range rapid.SampledFrom([]int{1, 3, 40}).Draw(t, "hosts") {
			id := fmt.Sprintf("h%02d", i)
			free[id] = resource.Vector{MilliVCPU: rapid.Int64Range(1, 8).Draw(t, "vcpus") * 1000, MemoryMiB: 1000}
			s.SetHost(id, free[id], []string{sched.Process})
			s.OpenHost(id, true)
		}
		type unit struct {
			share string
			vcpu  int64
			host  string
		}
		waiting, running, runs, used := map[job.Key]unit{}, map[job.Key]unit{}, map[string]int64{}, int64(0)
		for k := range job.Key(rapid.IntRange(1, 60).Draw(t, "units")) {
			u := unit{share: rapid.SampledFrom(names).Draw(t, "share"), vcpu: rapid.Int64Range(1, 6).Draw(t, "size") * 500}
			waiting[k+1] = u
			d := sched.Demand{Shape: sched.Shape{Need: resource.Vector{MilliVCPU: u.vcpu}, Executor: sched.Process}, Share: u.share}
			s.Add("q", d, k+1, false, job.Whole, job.Whole+1)
		}
		fits := func(u unit) bool {
			for _, f := range free {
				if u.vcpu <= f.MilliVCPU && used+u.vcpu <= most {
					return true
				}
			}
			return false
		}
		for range 100 {
			if len(running) > 0 && rapid.IntRange(0, 3).Draw(t, "end") == 0 {
				k := rapid.SampledFrom(sortedKeys(running)).Draw(t, "which")
				u := running[k]
				delete(running, k)
				s.Release(job.Ref{Key: k, Index: job.Whole}, now)
				runs[u.share], used = runs[u.share]-u.vcpu, used-u.vcpu
				free[u.host] = free[u.host].Add(resource.Vector{MilliVCPU: u.vcpu})
			}
			places := s.Decide(now, 1).Places
			if len(places) == 0 {
				for k, u := range waiting {
					if fits(u) {
						t.Fatalf("nothing was placed, and unit %d of %d fits", k, u.vcpu)
					}
				}
				continue
			}
			k := places[0].Ref.Key
			u := waiting[k]
			for o, x := range waiting {
				if x.share != u.share && fits(x) && float64(runs[x.share])*weight[x.share] < float64(runs[u.share])*weight[u.share]-1e-6 {
					t.Fatalf("unit %d of share %s (%d at %v) was placed, and unit %d of share %s (%d at %v) would have fitted", k, u.share, runs[u.share], weight[u.share], o, x.share, runs[x.share], weight[x.share])
				}
			}
			delete(waiting, k)
			u.host = places[0].Host
			running[k] = u
			runs[u.share], used = runs[u.share]+u.vcpu, used+u.vcpu
			if free[u.host] = free[u.host].Sub(resource.Vector{MilliVCPU: u.vcpu}); free[u.host].Negative() {
				t.Fatalf("host %s gives more than it has", u.host)
			}
		}
	})
}

func sortedKeys[V any](m map[job.Key]V) []job.Key {
	out := make([]job.Key, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// The same calls give the same placements, stops and reservations, whatever they are.
func TestDeterminism(t *testing.T) {
	for seed := range 30 {
		var first string
		for range 2 {
			var log string
			gen := rapid.Custom(func(t *rapid.T) string {
				c := newCosmos(t)
				out := ""
				for range 40 {
					c.submit(t)
					c.now += 10_000_000
					out += fmt.Sprintf("%+v\n", c.decide(t, 5))
					if refs := sorted(c.running); len(refs) > 3 {
						c.end(refs[0], false)
					}
				}
				return out + c.s.Picture()
			})
			log = gen.Example(seed)
			if first == "" {
				first = log
			} else if log != first {
				t.Fatalf("seed %d gives two runs:\n%s\n%s", seed, first, log)
			}
		}
	}
}
