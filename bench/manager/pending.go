package main

import (
	"fmt"
	"math/rand/v2"
	"time"

	"drover/bench/rig"
)

// manyPending: a million plain jobs that wait, each submitted by itself; what they take, how
// the server answers with them, and how long another one takes to be ready after a crash.
func (b *bench) manyPending() error {
	in, err := b.launch("1000000") // too large for any host: the jobs only wait
	if err != nil {
		return err
	}
	empty := in.RSS()
	start := time.Now()
	rate, err := submit(in, 32, 0, int64(b.pending))
	if err != nil {
		return err
	}
	b.note("%d jobs submitted at %.0f/s in %.0f s", b.pending, rate, time.Since(start).Seconds())
	most := in.RSS()
	b.memory(in, empty, most, "after their submission")
	if err := b.answers(in); err != nil {
		return err
	}
	return b.restart(in, empty, fmt.Sprintf("%d plain jobs", b.pending))
}

func (b *bench) memory(in *rig.Instance, empty, rss float64, when string) {
	b.row(fmt.Sprintf("memory per queued job, whole process, %s", when), (rss-empty)*(1<<20)/float64(b.pending), bound{400, 150, "B", false})
	b.row(fmt.Sprintf("RSS with %d pending, %s (empty: %.0f MB)", b.pending, when, empty*1.048576), rss*1.048576, bound{400, 0, "MB", false})
}

// answers measures requests against a server with many jobs.
func (b *bench) answers(in *rig.Instance) error {
	some, err := someJobs(in, min(b.pending, 2000))
	if err != nil {
		return err
	}
	took, err := latencies(300, func(int) error {
		ids := make([]string, 100)
		for i := range ids {
			ids[i] = some[rand.IntN(len(some))]
		}
		return describe(in, ids)
	})
	if err != nil {
		return err
	}
	p50, p99, _ := percentiles(took)
	b.note("DescribeJobs of 100 ids with %d pending: p50 %.1f ms, p99 %.1f ms", b.pending, p50, p99)

	if took, err = latencies(300, func(i int) error { return explain(in, some[rand.IntN(len(some))]) }); err != nil {
		return err
	}
	_, p99, most := percentiles(took)
	b.row(fmt.Sprintf("drover explain with %d waiting, p99 of 300 (max %.1f)", b.pending, most), p99, bound{100, 0, "ms", false})

	next := int64(b.pending)
	one := func(i int) error {
		_, err := submit(in, 1, next, next+1)
		next++
		return err
	}
	if took, err = latencies(500, one); err != nil {
		return err
	}
	p50, p99, most = percentiles(took)
	b.note("SubmitJob of one client with %d pending: p50 %.2f ms, p99 %.2f ms, max %.2f ms", b.pending, p50, p99, most)
	h, err := openHosts(in, b.hosts)
	if err != nil {
		return err
	}
	defer h.close()
	if took, err = latencies(500, one); err != nil {
		return err
	}
	p50, p99, most = percentiles(took)
	b.note("the same while %d hosts come that none of them fits: p50 %.2f ms, p99 %.2f ms, max %.2f ms", b.hosts, p50, p99, most)
	return nil
}

// crash crashes the server, and measures how soon another one is ready on its folder.
func (b *bench) crash(in *rig.Instance, what string) (*rig.Instance, error) {
	if err := in.Crash(); err != nil {
		return nil, err
	}
	again, err := rig.LaunchOn(b.Drover, in.Data, patience, "--no-worker")
	if err != nil {
		return nil, err
	}
	b.row("restart after a crash with "+what+" queued, to ready", again.Ready.Seconds(), bound{10, 3, "s", false})
	return again, nil
}

// restart is crash, and tells whether the next server takes jobs and what memory it holds.
func (b *bench) restart(in *rig.Instance, empty float64, what string) error {
	again, err := b.crash(in, what)
	if err != nil {
		return err
	}
	rate, err := submit(again, 1, 1<<30, 1<<30+1) // ready means ready to take jobs
	if err != nil || rate <= 0 {
		return fmt.Errorf("after the restart: %w", err)
	}
	b.memory(again, empty, again.RSS(), "after a restart")
	return again.Interrupt()
}

// manyArrays: the same as 100 arrays of 10,000.
func (b *bench) manyArrays() error {
	const size, n = 10_000, 100
	in, err := b.launch("1000000")
	if err != nil {
		return err
	}
	const many = 10_000
	if _, err := rig.Post(4, in.Endpoint+"/v1/submitjob", func(i int64) (string, bool) { return arrayBody(i, size), i < many }, sign(in)); err != nil {
		return err
	}
	before := in.RSS() // with all that a server takes that has something to do
	start := time.Now()
	if _, err := rig.Post(4, in.Endpoint+"/v1/submitjob", func(i int64) (string, bool) { return arrayBody(i, size), i < many }, sign(in)); err != nil {
		return err
	}
	b.note("%d arrays of %d submitted in %.2f s", many, size, time.Since(start).Seconds())
	b.row("memory per array of 10,000 that waits, whole process", (in.RSS()-before)*1024/many, bound{2, 0, "KiB", false})
	if err := in.Crash(); err != nil {
		return err
	}
	if in, err = b.launch("1000000"); err != nil {
		return err
	}
	if _, err := rig.Post(4, in.Endpoint+"/v1/submitjob", func(i int64) (string, bool) { return arrayBody(i, size), i < n }, sign(in)); err != nil {
		return err
	}
	again, err := b.crash(in, fmt.Sprintf("%d arrays of %d", n, size))
	if err != nil {
		return err
	}
	return again.Interrupt()
}
