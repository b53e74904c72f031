package main

import (
	"encoding/binary"
	"fmt"
	"runtime"
	"time"

	"drover/bench/rig"
	"drover/internal/core/job"
	"drover/internal/core/resource"
	"drover/internal/manager"
)

// roundHosts is how many hosts the rounds are measured with.
const roundHosts = 1000

// desk is the manager without its disk: what is handed to the journal is durable at once.
type desk struct {
	*manager.Desk
	start  time.Time
	starts []manager.Send
	rounds []float64 // ms
}

func (d *desk) now() manager.Instant {
	return manager.Instant{Wall: time.Now().UnixMicro(), Mono: time.Since(d.start).Microseconds()}
}

// round runs a command and one round of decisions, as the manager's loop does, and notes for
// how long no other command could be run.
func (d *desk) round(run func(*manager.Core, manager.Instant)) {
	begun := time.Now()
	if run != nil {
		d.Take(manager.Command{Run: run, Answer: func(error) {}}, d.now())
	}
	decide := time.Now()
	var done []func()
	d.Decide(d.now(), func() bool { return time.Since(decide) > 2*time.Millisecond }, func(b *manager.Batch, f func(error)) {
		for _, s := range b.Sends {
			if s.Start != nil {
				d.starts = append(d.starts, s)
			}
		}
		done = append(done, func() { f(nil); d.Settled(b.Seq, nil) })
	})
	d.rounds = append(d.rounds, time.Since(begun).Seconds()*1000)
	for _, f := range done {
		f()
	}
}

// rounds: for how long a round of decisions keeps a submission from its turn with many jobs
// waiting: while hosts come, while jobs end, and while others are submitted. Here without
// disk and network, in this process.
func (b *bench) rounds() error {
	d := &desk{start: time.Now()}
	core := manager.New(manager.DefaultOptions(), manager.Image{
		Environments: []job.Environment{{Name: "local", Managed: true, Enabled: true, HostJobs: true, MaxMilliVCPU: 1 << 40}},
		Queues:       []job.Queue{{Name: "bench", Enabled: true, Environments: []string{"local"}}},
	}, d.now())
	d.Desk = manager.NewDesk(core, manager.NewPost())
	var failed error
	n := 0
	spec := func() *job.Spec {
		n++
		s := &job.Spec{Version: job.SpecVersion, Name: fmt.Sprintf("align-%07d", n), Queue: "bench", Definition: "bench:1", Image: job.HostImage, Command: []string{"align", fmt.Sprintf("s-%07d", n)},
			Need: resource.Vector{MilliVCPU: int64(1000 + 100*(n%10)), MemoryMiB: int64(64 + n%20)}, Retry: job.Retry{Attempts: 1}}
		binary.LittleEndian.PutUint64(s.ID[8:], uint64(n)*0x9e3779b97f4a7c15)
		return s
	}
	submit := func(c *manager.Core, now manager.Instant) {
		if _, err := c.Submit([]*job.Spec{spec()}, now); err != nil {
			failed = err
		}
	}
	for range b.pending {
		d.Take(manager.Command{Run: submit, Answer: func(error) {}}, d.now())
		if n%500 == 0 {
			d.round(nil)
		}
	}
	state := func(what string) {
		p50, p99, most := percentiles(d.rounds)
		b.note("%-28s %6d rounds with %d pending: p50 %.3f ms, p99 %.3f ms, max %.2f ms", what, len(d.rounds), b.pending, p50, p99, most)
		d.rounds = nil
	}
	d.rounds = nil
	runtime.GC()
	for i := range roundHosts {
		host := fmt.Sprintf("h%04d", i)
		d.round(func(c *manager.Core, now manager.Instant) {
			c.Hello(manager.Hello{Host: host, Boot: "b", Capacity: resource.Vector{MilliVCPU: 64_000, MemoryMiB: 1 << 20}, Executors: []string{"process"}}, "s", now)
		})
		for d.Busy() {
			d.round(nil)
		}
	}
	state("a host of 64 vCPUs comes:")
	zero := int32(0)
	var all []float64
	for range 20_000 {
		a := d.starts[0]
		d.starts = d.starts[1:]
		d.round(func(c *manager.Core, now manager.Instant) {
			if _, err := c.Report(a.Host, "s", []job.Report{{Lease: a.Start.Lease, Exit: &job.Exit{Code: &zero}}}, now); err != nil {
				failed = err
			}
		})
		for d.Busy() {
			d.round(nil)
		}
	}
	all = append(all, d.rounds...)
	state("a job ends, another starts:")
	for range 20_000 {
		d.round(submit)
	}
	state("a job is submitted:")
	b.row(fmt.Sprintf("a round of decisions with %d pending and %d hosts, p99", b.pending, roundHosts), rig.Percentile(all, 99), bound{2, 0, "ms", false})
	return failed
}
