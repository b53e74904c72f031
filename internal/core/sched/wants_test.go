package sched_test

import (
	"fmt"
	"testing"

	"drover/internal/core/job"
	"drover/internal/core/sched"
)

// A unit goes only to hosts that have what it wants, in a walk over few hosts as in the
// grids of many, and as a gang; others are not kept waiting by one that has no host.
func TestWants(t *testing.T) {
	for _, hosts := range []int{4, 100} {
		s := sched.New()
		s.SetEnvironment(job.Environment{Name: "e", Enabled: true, HostJobs: true, MaxMilliVCPU: 1_000_000})
		s.SetQueue(job.Queue{Name: "q", Enabled: true, Environments: []string{"e"}})
		words := [][]string{{sched.Process, "arch=X86_64", "gpu=T4"}, {sched.Process, "arch=X86_64", "gpu=A100"}, {sched.Process, "arch=ARM64"}, {sched.Process}}
		kind := map[string]int{}
		for i := range hosts {
			id := fmt.Sprintf("h%03d", i)
			kind[id] = i % len(words)
			s.SetHost(id, vector(2000, 4000), words[i%len(words)])
			s.OpenHost(id, true)
		}
		asks := []struct {
			wants string
			nodes int32
			on    []int
		}{
			{"arch=X86_64", 0, []int{0, 1}}, {"gpu=A100|V100", 0, []int{1}}, {"arch=ARM64 gpu=T4", 0, nil}, {"", 0, []int{0, 1, 2, 3}}, {"arch=ARM64", 0, []int{2}}, {"gpu=T4|A100", 2, []int{0, 1}},
		}
		for n, a := range asks {
			d := sched.Demand{Shape: sched.Shape{Need: vector(500, 1), Executor: sched.Process, Wants: a.wants}, Nodes: a.nodes}
			s.Add("q", d, job.Key(n+1), false, job.Whole, job.Whole+1)
		}
		placed := map[job.Key]bool{}
		for _, p := range s.Decide(1_000_000, 100).Places {
			a := asks[p.Ref.Key-1]
			placed[p.Ref.Key] = true
			for _, h := range append([]string{p.Host}, p.Others...) {
				ok := false
				for _, k := range a.on {
					ok = ok || kind[h] == k
				}
				if !ok {
					t.Errorf("%d hosts: %q runs on %s, which is %v", hosts, a.wants, h, words[kind[h]])
				}
			}
		}
		for n, a := range asks {
			if placed[job.Key(n+1)] != (a.on != nil) {
				t.Errorf("%d hosts: %q is placed: %t", hosts, a.wants, placed[job.Key(n+1)])
			}
		}
	}
}
