package main

import (
	"fmt"
	"time"

	"drover/internal/core/job"
	"drover/internal/core/resource"
	"drover/internal/core/sched"
)

// pack offers 100 % of the cluster's CPU as one stream, and compares how much of it finds
// room with an exact best-fit scan over all hosts.
func (b *bench) pack() {
	w := b.make(200, 1, 1, "pack")
	var size, offered int64
	free := make([]resource.Vector, b.hosts)
	for h := range free {
		free[h] = types[h%len(types)]
		size += free[h].MilliVCPU
	}
	var ours, exact int64
	var oursTime, exactTime time.Duration
	for offered < size {
		slot := b.rand(w.slots())
		_, d := w.demand(slot)
		offered += d.Need.MilliVCPU
		w.submit(slot)
		t := cpu()
		places := w.s.Decide(w.now, 8).Places
		oursTime += cpu() - t
		if len(places) > 0 {
			ours += d.Need.MilliVCPU
		} else { // a stream: what finds no room is lost
			w.s.Remove("q00", d, w.next<<32|job.Key(slot), job.Whole, job.Whole+1)
		}
		t = cpu()
		best := -1
		for h := range free {
			if d.Need.Fits(free[h]) && (best < 0 || free[h].MilliVCPU < free[best].MilliVCPU || free[h].MilliVCPU == free[best].MilliVCPU && free[h].MemoryMiB < free[best].MemoryMiB) {
				best = h
			}
		}
		exactTime += cpu() - t
		if best >= 0 {
			free[best] = free[best].Sub(d.Need)
			exact += d.Need.MilliVCPU
		}
	}
	lost := 100 * float64(exact-ours) / float64(size)
	b.row("packing: a stream of 100 % of the vCPUs, against exact best fit", fmt.Sprintf("%.2f %% / %.2f %%", 100*float64(ours)/float64(size), 100*float64(exact)/float64(size)), "<= 0.5 points", lost <= 0.5)
	say("time for that, against the exact scan", "%.0f ms / %.0f ms", micros(oursTime)/1000, micros(exactTime)/1000)
}

// explain asks why a job in the middle of a million waits.
func (b *bench) explain() {
	w := b.make(200, 1, 1, "pack")
	var middle sched.Demand
	var key job.Key
	for i := range b.pending {
		slot := b.rand(w.slots())
		w.submit(slot)
		if i == b.pending/2 {
			_, middle = w.demand(slot)
			key = w.next<<32 | job.Key(slot)
		}
	}
	w.fill()
	start := cpu()
	why := w.s.Explain("q00", middle, job.Ref{Key: key, Index: job.Whole}, w.now)
	took := cpu() - start
	b.row(fmt.Sprintf("explain: why number %d of %d waits", why.Position, b.pending), fmt.Sprintf("%.2f ms", micros(took)/1000), "<= 100 ms", took <= 100*time.Millisecond)
	start = cpu()
	front := w.s.Snapshot("q00", 100)
	say(fmt.Sprintf("the first %d of the queue", len(front)), "%.2f ms", micros(cpu()-start)/1000)
}
