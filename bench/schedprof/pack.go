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
		t := time.Now()
		places := w.s.Decide(w.now, 8).Places
		oursTime += time.Since(t)
		if len(places) > 0 {
			ours += d.Need.MilliVCPU
		} else { // a stream: what finds no room is lost
			w.s.Remove("q00", d, w.next<<32|job.Key(slot), job.Whole, job.Whole+1)
		}
		t = time.Now()
		best := -1
		for h := range free {
			if d.Need.Fits(free[h]) && (best < 0 || free[h].MilliVCPU < free[best].MilliVCPU || free[h].MilliVCPU == free[best].MilliVCPU && free[h].MemoryMiB < free[best].MemoryMiB) {
				best = h
			}
		}
		exactTime += time.Since(t)
		if best >= 0 {
			free[best] = free[best].Sub(d.Need)
			exact += d.Need.MilliVCPU
		}
	}
	fmt.Printf("pack: of 100 %% offered vCPUs %.2f %% find room, with an exact best-fit scan %.2f %% (difference %.2f points); time %.1f ms against %.1f ms\n",
		100*float64(ours)/float64(size), 100*float64(exact)/float64(size), 100*float64(exact-ours)/float64(size), float64(oursTime.Microseconds())/1000, float64(exactTime.Microseconds())/1000)
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
	start := time.Now()
	why := w.s.Explain("q00", middle, job.Ref{Key: key, Index: job.Whole}, w.now)
	took := time.Since(start)
	start = time.Now()
	front := w.s.Snapshot("q00", 100)
	fmt.Printf("explain: position %d, %q in %.2f ms; the first %d of the queue in %.2f ms\n", why.Position, why.Code, float64(took.Microseconds())/1000, len(front), float64(time.Since(start).Microseconds())/1000)
}
