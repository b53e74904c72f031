package main

import (
	"compress/gzip"
	"encoding/csv"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"

	"drover/internal/core/job"
	"drover/internal/core/resource"
	"drover/internal/core/sched"
)

// table reads a compressed CSV file without its header.
func table(path string) ([][]string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, err
	}
	rows, err := csv.NewReader(z).ReadAll()
	if err != nil || len(rows) == 0 {
		return nil, fmt.Errorf("%s: %v", path, err)
	}
	return rows[1:], nil
}

// vector reads milli vCPU, MiB and GPUs from columns.
func vector(row []string, vcpu, memory, gpu int) (v resource.Vector) {
	for _, c := range []struct {
		at int
		to *int64
	}{{vcpu, &v.MilliVCPU}, {memory, &v.MemoryMiB}, {gpu, &v.GPU}} {
		if row[c.at] == "" {
			continue
		}
		n, err := strconv.ParseInt(row[c.at], 10, 64)
		if err != nil {
			panic(err)
		}
		*c.to = n
	}
	return v
}

// alibaba offers the pods of the trace, in their order and again from the first, until they
// have asked for all GPUs that the nodes have, and compares what is allocated with an exact
// best-fit scan (GPUs, then vCPUs, then memory). A part of a GPU counts as one: drover gives
// whole ones. The trace names no GPU model for its pods.
func (b *bench) alibaba() {
	what := "packing: Alibaba GPU 2023, GPUs against exact best fit"
	nodes, err := table(filepath.Join(b.traces, "alibaba-gpu2023-nodes.csv.gz"))
	var pods [][]string
	if err == nil {
		pods, err = table(filepath.Join(b.traces, "alibaba-gpu2023-pods-default.csv.gz"))
	}
	if err != nil {
		say(what, "SKIP: %v", err)
		return
	}
	s := sched.New()
	s.SetEnvironment(job.Environment{Name: "e", Enabled: true, HostJobs: true, MaxMilliVCPU: math.MaxInt64 / 4, Tags: map[string]string{sched.TagPlace: "pack"}})
	s.SetQueue(job.Queue{Name: "q", Enabled: true, Environments: []string{"e"}})
	var size, ours, exact, offered resource.Vector
	free := make([]resource.Vector, len(nodes))
	for i, n := range nodes {
		free[i] = vector(n, 1, 2, 3)
		size = size.Add(free[i])
		s.SetHost(n[0], free[i], []string{sched.Process})
		s.OpenHost(n[0], true)
	}
	for i := 0; offered.GPU < size.GPU; i++ {
		need := vector(pods[i%len(pods)], 1, 2, 3)
		offered = offered.Add(need)
		d, k := sched.Demand{Shape: sched.Shape{Executor: sched.Process, Need: need}}, job.Key(i+1)
		s.Add("q", d, k, false, job.Whole, job.Whole+1)
		if len(s.Decide(1_000_000, 8).Places) > 0 {
			ours = ours.Add(need)
		} else {
			s.Remove("q", d, k, job.Whole, job.Whole+1)
		}
		best := -1
		for h := range free {
			if need.Fits(free[h]) && (best < 0 || tighter(free[h], free[best])) {
				best = h
			}
		}
		if best >= 0 {
			free[best] = free[best].Sub(need)
			exact = exact.Add(need)
		}
	}
	part := func(n, of int64) float64 { return 100 * float64(n) / float64(of) }
	b.row(what, fmt.Sprintf("%.2f %% / %.2f %%", part(ours.GPU, size.GPU), part(exact.GPU, size.GPU)), "<= 0.5 points", part(exact.GPU-ours.GPU, size.GPU) <= 0.5)
	b.row("the same, vCPUs", fmt.Sprintf("%.2f %% / %.2f %%", part(ours.MilliVCPU, size.MilliVCPU), part(exact.MilliVCPU, size.MilliVCPU)), "<= 0.5 points", part(exact.MilliVCPU-ours.MilliVCPU, size.MilliVCPU) <= 0.5)
}

// tighter reports whether a has less left than b.
func tighter(a, b resource.Vector) bool {
	if a.GPU != b.GPU {
		return a.GPU < b.GPU
	}
	if a.MilliVCPU != b.MilliVCPU {
		return a.MilliVCPU < b.MilliVCPU
	}
	return a.MemoryMiB < b.MemoryMiB
}
