package sched_test

import (
	"fmt"
	"testing"

	"drover/internal/core/job"
	"drover/internal/core/resource"
	"drover/internal/core/sched"
)

// What a round of preemption costs on 10,000 hosts with 80,000 units, none of which may be
// stopped for the one that waits: all are looked at.
func BenchmarkPreemptInVain(b *testing.B) {
	s := sched.New()
	s.SetEnvironment(job.Environment{Name: "e", Enabled: true, HostJobs: true, MaxMilliVCPU: 1 << 40})
	for _, q := range []job.Queue{
		{Name: "low", Priority: 1, Tags: map[string]string{sched.TagPreempt: "true"}}, {Name: "high", Priority: 9},
	} {
		q.Enabled, q.Environments = true, []string{"e"}
		s.SetQueue(q)
	}
	now := int64(1_000_000 * µs)
	for h := range 10_000 {
		id := fmt.Sprintf("h%05d", h)
		s.SetHost(id, resource.Vector{MilliVCPU: 8000, MemoryMiB: 8000}, []string{sched.Process})
		s.OpenHost(id, true)
		for n := range 8 {
			s.Take(job.Ref{Key: job.Key(h*8 + n + 1), Index: job.Whole}, "low", ask(process(1000)), []string{id}, "e", now)
		}
	}
	for k := range job.Key(8) {
		s.Add("high", ask(process(2000+int64(k))), 1_000_000+k, false, job.Whole, job.Whole+1)
	}
	for b.Loop() {
		now += 1 // all are younger than a minute
		s.OpenHost("h00000", false)
		s.OpenHost("h00000", true)
		if n := len(s.Decide(now, 100).Preempt); n > 0 {
			b.Fatal(n)
		}
		now += 100_000
		if now > 1_000_050*µs {
			now = 1_000_000 * µs
		}
	}
}
