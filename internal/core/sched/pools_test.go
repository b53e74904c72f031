package sched_test

import (
	"fmt"
	"testing"

	"drover/internal/core/job"
	"drover/internal/core/sched"
)

// pools is a State of n hosts in turn of the day's pool, of the night's, of type c5.large and
// without a word, and of environments for them.
func pools(n int, vcpus int64) (s *sched.State, kind map[string]int) {
	s, kind = sched.New(), map[string]int{}
	for _, e := range []job.Environment{
		{Name: "any"},
		{Name: "night", Tags: map[string]string{sched.TagRequires: "pool=night"}},
		{Name: "c5", Types: []string{"m5.large", "c5"}},
		{Name: "optimal", Types: []string{"p3", "optimal"}},
		{Name: "nowhere", Tags: map[string]string{sched.TagRequires: "pool=dusk"}},
	} {
		e.Enabled, e.HostJobs, e.MaxMilliVCPU = true, true, 1_000_000
		s.SetEnvironment(e)
	}
	words := [][]string{{sched.Process, "pool=day", "type=m5.xlarge"}, {sched.Process, "pool=night", "type=c4.large"}, {sched.Process, "type=c5.large"}, {sched.Process}}
	for i := range n {
		id := fmt.Sprintf("h%03d", i)
		kind[id] = i % len(words)
		s.SetHost(id, vector(vcpus*1000, 4000), words[i%len(words)])
		s.OpenHost(id, true)
	}
	return s, kind
}

// Units run in an environment only on hosts of its pool and types, in a walk over few hosts
// and in the grids of many, alone and as gangs, and whatever the queue's policy; a queue
// goes on to its next environment when the first has no host for a unit.
func TestPools(t *testing.T) {
	on := map[string][4]bool{"any": {true, true, true, true}, "night": {1: true}, "c5": {2: true, 3: true}, "optimal": {true, true, true, true}, "nowhere": {}}
	for _, hosts := range []int{4, 100} {
		for _, policy := range []string{sched.FIFO, sched.Easy, sched.Strict, sched.LXF} {
			for name, list := range map[string][]string{"night": {"night"}, "c5": {"c5"}, "optimal": {"optimal"}, "both": {"nowhere", "night", "c5"}} {
				s, kind := pools(hosts, 2)
				s.SetQueue(job.Queue{Name: "q", Enabled: true, Environments: list, Tags: map[string]string{sched.TagPolicy: policy}})
				s.SetQueue(job.Queue{Name: "anywhere", Enabled: true, Environments: []string{"any"}})
				for k := range job.Key(12 * hosts) {
					d := sched.Demand{Shape: process(1000), Nodes: int32(k % 3)}
					s.Add("q", d, k+1, false, job.Whole, job.Whole+1)
				}
				used := map[string]int{}
				for now := range int64(3) {
					places := s.Decide((now+1)*1_000_000, 10_000).Places
					for _, p := range places {
						for _, h := range append([]string{p.Host}, p.Others...) {
							if !on[p.Environment][kind[h]] {
								t.Fatalf("%d hosts, %s: in %s a unit runs on %s, of kind %d", hosts, policy, p.Environment, h, kind[h])
							}
							used[h]++
						}
					}
					if now < 2 {
						for _, p := range places {
							s.Release(p.Ref, (now+1)*1_000_000)
							for _, h := range append([]string{p.Host}, p.Others...) {
								used[h]--
							}
						}
					}
				}
				for h, k := range kind {
					want := 0
					for _, e := range list {
						if on[e][k] {
							want = 2
						}
					}
					if used[h] > want || used[h] < want-1 { // a gang of two may be too large for what is left
						t.Errorf("%d hosts, %s, %s: %d units on %s of kind %d, want %d", hosts, policy, name, used[h], h, k, want)
					}
				}
				s.Add("anywhere", demand(1), 9999, false, job.Whole, job.Whole+1)
				if p := s.Decide(9_000_000, 9); name != "optimal" && len(p.Places) != 1 {
					t.Errorf("%d hosts, %s, %s: a unit without a wish is kept waiting by those that have no host", hosts, policy, name)
				}
			}
		}
	}
}

// What a queue keeps for its first unit is of the environment's hosts, also after the
// environment's words have changed: the unit starts when such a host is free, and the others
// are not kept.
func TestPoolsOfHolds(t *testing.T) {
	for _, hosts := range []int{4, 100} {
		s, kind := pools(hosts, 2)
		s.SetQueue(job.Queue{Name: "q", Enabled: true, Environments: []string{"night"}, Tags: map[string]string{sched.TagPolicy: sched.Easy}})
		for i := range hosts {
			s.Take(job.Ref{Key: job.Key(1000 + i), Index: job.Whole}, "", demand(1), []string{fmt.Sprintf("h%03d", i)}, "any", 1)
		}
		s.Add("q", demand(2), 1, false, job.Whole, job.Whole+1)
		check := func(now int64, pool int) {
			t.Helper()
			p := s.Decide(now, 9)
			if kept := s.Reservations(); len(p.Places) != 0 || len(kept) != 1 || len(kept[0].Hosts) != 1 || kind[kept[0].Hosts[0]] != pool {
				t.Fatalf("%d hosts: %+v, kept %+v", hosts, p, kept)
			}
		}
		check(1_000_000, 1)
		s.SetEnvironment(job.Environment{Name: "night", Enabled: true, HostJobs: true, MaxMilliVCPU: 1_000_000, Tags: map[string]string{sched.TagRequires: "pool=day"}})
		check(2_000_000, 0)
		s.Release(job.Ref{Key: 1001, Index: job.Whole}, 3_000_000) // of the night's pool
		check(3_000_000, 0)
		s.Release(job.Ref{Key: 1000, Index: job.Whole}, 4_000_000)
		if p := s.Decide(4_000_000, 9); len(p.Places) != 1 || kind[p.Places[0].Host] != 0 {
			t.Fatalf("%d hosts: %+v", hosts, p)
		}
	}
}
