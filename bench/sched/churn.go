package main

import (
	"fmt"
	"math"
	"slices"

	"drover/internal/core/job"
	"drover/internal/core/resource"
	"drover/internal/core/sched"
)

// Churn: hosts of 64 vCPUs, units of 1 to 64 of them whose ends nobody knows, and always as
// many waiting of each shape. Small ones fit all the time, so that a scheduler without
// reservations never starts the large ones again.
const (
	churnHosts   = 300
	churnWaiting = 15   // of each shape
	churnSeconds = 7200 // of virtual time
)

// churn holds the age of the oldest unit of every shape, in the last quarter of the time,
// against its bound: the time in which all that waits is served twice, what policy fifo lets
// the first one be passed over, and the longest run.
func (b *bench) churn() {
	s := sched.New()
	s.SetEnvironment(job.Environment{Name: "e", Enabled: true, HostJobs: true, MaxMilliVCPU: math.MaxInt64 / 4, Tags: map[string]string{sched.TagPlace: "pack"}})
	s.SetQueue(job.Queue{Name: "q", Enabled: true, Environments: []string{"e"}, Tags: map[string]string{sched.TagOvertake: "60"}})
	for h := range churnHosts {
		id := fmt.Sprintf("h%04d", h)
		s.SetHost(id, resource.Vector{MilliVCPU: 64000, MemoryMiB: 256 << 10}, []string{sched.Process})
		s.OpenHost(id, true)
	}
	const second = int64(1_000_000)
	shapes := []int64{1, 1, 1, 2, 2, 3, 4, 4, 6, 8, 12, 16, 24, 32, 48, 64}
	waiting := make([][]int64, len(shapes)) // when each of them was submitted, oldest first
	now, key := second, job.Key(0)
	submit := func(n int) {
		key++
		d := sched.Demand{Shape: sched.Shape{Executor: sched.Process, Need: resource.Vector{MilliVCPU: shapes[n] * 1000, MemoryMiB: 1024 * int64(n+1)}}, Since: now}
		s.Add("q", d, key<<8|job.Key(n), false, job.Whole, job.Whole+1)
		waiting[n] = append(waiting[n], now)
	}
	for n := range shapes {
		for range churnWaiting {
			submit(n)
		}
	}
	ends := map[int64][]job.Ref{}
	oldest := make([]int64, len(shapes))
	var served, busy, samples, running int64
	const shortest, longest = 60, 540
	for now < churnSeconds*second {
		for _, r := range ends[now] {
			s.Release(r, now)
			running -= shapes[r.Key&0xff]
		}
		delete(ends, now)
		for _, p := range s.Decide(now, batch).Places {
			n := int(p.Ref.Key & 0xff)
			running += shapes[n]
			served += shapes[n]
			waiting[n] = waiting[n][1:]
			at := now + int64(shortest+b.rand(longest-shortest))*second
			ends[at] = append(ends[at], p.Ref)
			submit(n)
		}
		if now > churnSeconds*second*3/4 {
			busy, samples = busy+running, samples+1
			for n := range shapes {
				oldest[n] = max(oldest[n], (now-waiting[n][0])/second)
			}
		}
		now += second
	}
	var all int64
	for _, v := range shapes {
		all += v * churnWaiting
	}
	turnover := float64(all) / (float64(served) / churnSeconds)
	bound := int64(2*turnover) + 60 + longest
	worst := slices.Max(oldest)
	b.row(fmt.Sprintf("churn: oldest waiting of each of %d shapes", len(shapes)), fmt.Sprintf("%d s (64 vCPUs: %d s)", worst, oldest[len(oldest)-1]), fmt.Sprintf("<= %d s", bound), worst <= bound)
	use := 100 * float64(busy) / float64(samples*churnHosts*64)
	b.row("utilisation meanwhile, no end known", fmt.Sprintf("%.1f %%", use), ">= 90 %", use >= 90)
}
