package sched_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"drover/internal/core/job"
	"drover/internal/core/resource"
	"drover/internal/core/sched"
)

// Who asks why units wait, and in which order they will start, changes no decision: of two
// States that are told the same the one that is asked now and then places the same units.
func TestAskingChangesNothing(t *testing.T) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 1))
		policy := []string{"", sched.Strict, sched.Easy}[seed%3]
		asked, left := sixShares(policy), sixShares(policy)
		now, running := int64(1_000_000_000), []job.Ref{}
		for k := job.Key(1); k < 150; k++ {
			now += rng.Int64N(20_000_000)
			if len(running) > 0 && rng.IntN(2) == 0 {
				i := rng.IntN(len(running))
				asked.Release(running[i], now)
				left.Release(running[i], now)
				running = append(running[:i], running[i+1:]...)
			}
			d := sched.Demand{Shape: sched.Shape{Need: resource.Vector{MilliVCPU: 1000}, Executor: sched.Process}, Share: fmt.Sprint("s", rng.IntN(6)), Since: now}
			asked.Add("q", d, k, false, job.Whole, job.Whole+1)
			left.Add("q", d, k, false, job.Whole, job.Whole+1)
			if later := now + rng.Int64N(5_000_000); rng.IntN(2) == 0 {
				asked.Snapshot("q", 5)
				asked.Explain("q", d, job.Ref{Key: k, Index: job.Whole}, later)
				asked.Snapshot("q", 5)
			}
			if rng.IntN(8) == 0 {
				now -= rng.Int64N(3_000_000) // the clock is set back
			}
			x, y := asked.Decide(now, 10).Places, left.Decide(now, 10).Places
			if fmt.Sprint(x) != fmt.Sprint(y) {
				t.Fatalf("seed %d, step %d: %v is placed where asked, %v where not", seed, k, x, y)
			}
			for _, p := range y {
				running = append(running, p.Ref)
			}
		}
	}
}

func sixShares(policy string) *sched.State {
	s := sched.New()
	s.SetEnvironment(job.Environment{Name: "e", Enabled: true, HostJobs: true, MaxMilliVCPU: 4000})
	s.SetQueue(job.Queue{Name: "q", Enabled: true, Environments: []string{"e"}, Tags: map[string]string{sched.TagPolicy: policy}})
	s.SetPolicy("q", &sched.FairShare{ShareDecaySeconds: 60})
	s.SetHost("h", resource.Vector{MilliVCPU: 8000}, []string{sched.Process})
	s.OpenHost("h", true)
	return s
}
