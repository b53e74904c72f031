// Command sched measures the scheduler alone: decisions at a million waiting jobs, memory,
// fairness among queues, a full pass, packing against an exact best-fit scan, and explaining.
//
//	go run ./bench/sched [-pending 1000000] [-hosts 10000] [-steps 300000] [-rows decide,arrays,full,fair,pack,explain]
//
// CPU is that of this thread's process from getrusage; wall times are of a shared machine.
package main

import (
"runtime/pprof"
	"flag"
	"fmt"
	"math"
	"os"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"drover/internal/core/job"
	"drover/internal/core/resource"
	"drover/internal/core/sched"
)

var profOn, profOff = func(){}, func(){}
type bench struct {
	pending, hosts, steps int
	x                     uint64
}

func main() {
	b := &bench{x: 1}
	flag.IntVar(&b.pending, "pending", 1_000_000, "jobs that wait")
	flag.IntVar(&b.hosts, "hosts", 10_000, "hosts")
	flag.IntVar(&b.steps, "steps", 300_000, "completions")
	rows := flag.String("rows", "decide,arrays,full,fair,pack,explain", "what to measure")
	prof := flag.String("prof", "", "")
	flag.Parse()
	if *prof != "" { profOn = func() { f, _ := os.Create(*prof); pprof.StartCPUProfile(f) }; profOff = pprof.StopCPUProfile }
	for _, r := range strings.Split(*rows, ",") {
		run := map[string]func(){"decide": b.decide, "full": b.full, "fair": b.fair, "pack": b.pack, "explain": b.explain, "arrays": b.arrays}[r]
		if run == nil {
			fmt.Fprintln(os.Stderr, "no such row:", r)
			os.Exit(2)
		}
		run()
	}
}

func (b *bench) rand(n int) int {
	b.x = b.x*6364136223846793005 + 1442695040888963407
	return int(b.x>>33) % n
}

func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// world is a State and what was asked of it.
type world struct {
	s      *sched.State
	b      *bench
	now    int64
	next   job.Key
	shapes []sched.Shape
	queues int
	shares int
	runs   []job.Ref
	names  [2][]string // of queues and shares
}

var types = []resource.Vector{
	{MilliVCPU: 8000, MemoryMiB: 16 << 10}, {MilliVCPU: 16000, MemoryMiB: 32 << 10}, {MilliVCPU: 16000, MemoryMiB: 64 << 10}, {MilliVCPU: 32000, MemoryMiB: 64 << 10},
	{MilliVCPU: 32000, MemoryMiB: 128 << 10}, {MilliVCPU: 64000, MemoryMiB: 256 << 10}, {MilliVCPU: 8000, MemoryMiB: 64 << 10}, {MilliVCPU: 48000, MemoryMiB: 96 << 10},
}

// make builds hosts, queues that share one environment, and shapes.
func (b *bench) make(shapes, queues, shares int, place string) *world {
	w := &world{s: sched.New(), b: b, now: 1_000_000_000_000_000, queues: queues, shares: shares}
	w.s.SetEnvironment(job.Environment{Name: "e", Enabled: true, HostJobs: true, MaxMilliVCPU: math.MaxInt64 / 4, Tags: map[string]string{sched.TagPlace: place}})
	for i := range max(queues, shares) {
		w.names[0], w.names[1] = append(w.names[0], fmt.Sprintf("q%02d", i)), append(w.names[1], fmt.Sprintf("s%02d", i))
	}
	for q := range queues {
		w.s.SetQueue(job.Queue{Name: fmt.Sprintf("q%02d", q), Enabled: true, Environments: []string{"e"}, Tags: map[string]string{sched.TagWeight: fmt.Sprint(1 + q%5)}})
		if shares > 1 {
			w.s.SetPolicy(fmt.Sprintf("q%02d", q), &sched.FairShare{ShareDecaySeconds: 3600})
		}
	}
	for h := range b.hosts {
		id := fmt.Sprintf("h%06d", h)
		w.s.SetHost(id, types[h%len(types)], []string{sched.Process})
		w.s.OpenHost(id, true)
	}
	seen := map[sched.Shape]bool{}
	for len(w.shapes) < shapes {
		c := int64(1) << b.rand(4)
		s := sched.Shape{Executor: sched.Process, Need: resource.Vector{MilliVCPU: c * 1000, MemoryMiB: c * int64(1+b.rand(8)) * 512}}
		if len(seen) > 20 {
			s.Need.MemoryMiB += int64(b.rand(512))
		}
		if !seen[s] {
			seen[s] = true
			w.shapes = append(w.shapes, s)
		}
	}
	return w
}

func (w *world) demand(slot int) (string, sched.Demand) {
	shape := slot % len(w.shapes)
	slot /= len(w.shapes)
	d := sched.Demand{Shape: w.shapes[shape], Since: w.now}
	if w.shares > 1 {
		d.Share = w.names[1][slot%w.shares]
	}
	return w.names[0][slot/w.shares], d
}

// submit adds a job to a random FIFO; its key tells its slot.
func (w *world) submit(slot int) {
	q, d := w.demand(slot)
	w.next++
	k := w.next<<32 | job.Key(slot)
	w.s.Add(q, d, k, false, job.Whole, job.Whole+1)
}

func (w *world) slots() int { return len(w.shapes) * w.queues * w.shares }

// batch is how many placements the manager takes at once.
const batch = 512

func (w *world) fill() (int, time.Duration) {
	start := time.Now()
	n := 0
	for {
		p := w.s.Decide(w.now, batch).Places
		if len(p) == 0 {
			return n, time.Since(start)
		}
		for _, u := range p {
			w.runs = append(w.runs, u.Ref)
		}
		n += len(p)
	}
}

// decide is the steady state: one ends, what fits is placed, as many are submitted.
func (b *bench) decide() {
	before := heap()
	w := b.make(200, 50, 20, "pack")
	empty := heap()
	start := time.Now()
	for range b.pending {
		w.submit(b.rand(w.slots()))
	}
	took := time.Since(start)
	full := heap()
	fmt.Printf("decide: %d pending, %d shapes, 50 x 20 shares, %d hosts: %.2f us a submission, %.1f B a pending job (cluster %.1f MB)\n", b.pending, len(w.shapes), b.hosts,
		float64(took.Microseconds())/float64(b.pending), float64(full-empty)/float64(b.pending), float64(empty-before)/1e6)
	n, took := w.fill()
	fmt.Printf("decide: the empty cluster takes %d placements in %.2f s, %.2f us each\n", n, took.Seconds(), float64(took.Microseconds())/float64(n))
	w.next += 1 << 20
	var per []float64
	placed := 0
	profOn(); defer profOff()
	var inCore, cpuBefore = time.Duration(0), cpu()
	wall := time.Now()
	for range b.steps {
		i := b.rand(len(w.runs))
		r := w.runs[i]
		w.now += 1000
		t := time.Now()
		w.s.Release(r, w.now)
		p := w.s.Decide(w.now, 512).Places
		d := time.Since(t)
		inCore += d
		w.runs[i] = w.runs[len(w.runs)-1]
		w.runs = w.runs[:len(w.runs)-1]
		for _, u := range p {
			w.runs = append(w.runs, u.Ref)
			per = append(per, float64(d.Nanoseconds())/float64(len(p))/1000)
			w.submit(b.rand(w.slots()))
		}
		placed += len(p)
	}
	used := cpu() - cpuBefore
	slices.Sort(per)
	share := float64(used) / float64(time.Since(wall))
	fmt.Printf("decide: %d completions, %d placements: p50 %.2f us, p99 %.2f us, p99.9 %.1f us a placement; %.0f k placements/s of core wall (%.2f us; all with resubmission %.2f us CPU each; CPU/wall %.2f)\n",
		b.steps, placed, per[len(per)/2], per[len(per)*99/100], per[len(per)*999/1000], float64(placed)/inCore.Seconds()/1000, float64(inCore.Microseconds())/float64(placed), float64(used.Microseconds())/float64(placed), share)
}

// arrays is the memory of array jobs that wait whole, and of one whose children end up
// waiting one by one.
func (b *bench) arrays() {
	w := b.make(200, 1, 1, "pack")
	before := heap()
	const n, size = 2000, 10_000
	for k := range n {
		_, d := w.demand(k % len(w.shapes))
		w.s.Add("q00", d, job.Key(k+1), false, 0, size)
	}
	whole := heap()
	_, d := w.demand(0)
	for i := int32(0); i < size; i += 2 {
		w.s.Add("q00", d, job.Key(n+1), true, i, i+1)
	}
	fmt.Printf("arrays: %.0f B for an array of %d children; %.1f kB when every other child waits for a retry\n", float64(whole-before)/n, size, float64(heap()-whole)/1000)
	runtime.KeepAlive(w)
}

// full is one pass over everything, with nothing placed before.
func (b *bench) full() {
	w := b.make(1000, 50, 20, "pack")
	for range b.pending {
		w.submit(b.rand(w.slots()))
	}
	profOn()
	n, took := w.fill()
	profOff()
	fmt.Printf("full: %d placements on an empty cluster, 1,000 shapes, fair share: %.0f ms\n", n, float64(took.Microseconds())/1000)
	// Everything changed: all classes are looked for on all hosts again.
	w.s.SetQueue(job.Queue{Name: "q00", Enabled: true, Environments: []string{"e"}})
	for h := range b.hosts {
		id := fmt.Sprintf("h%06d", h)
		w.s.OpenHost(id, false)
		w.s.OpenHost(id, true)
	}
	start := time.Now()
	p := w.s.Decide(w.now, 1<<20).Places
	fmt.Printf("full: a pass over the full cluster after every host came back: %.2f ms, %d placements\n", float64(time.Since(start).Microseconds())/1000, len(p))
}

// fair is 50 weighted queues, all backlogged.
func (b *bench) fair() {
	w := b.make(20, 50, 1, "pack")
	for range b.pending / 4 {
		w.submit(b.rand(w.slots()))
	}
	w.fill()
	queueOf := func(r job.Ref) int { return int(r.Key&0xffffffff) / len(w.shapes) }
	used := make([]float64, w.queues)
	vcpus := make([]float64, w.queues)
	for _, r := range w.runs {
		_, d := w.demand(int(r.Key & 0xffffffff))
		vcpus[queueOf(r)] += float64(d.Need.MilliVCPU)
	}
	placed := 0
	for placed < 10_000 {
		i := b.rand(len(w.runs))
		r := w.runs[i]
		w.now += 1000
		w.s.Release(r, w.now)
		_, d := w.demand(int(r.Key & 0xffffffff))
		vcpus[queueOf(r)] -= float64(d.Need.MilliVCPU)
		w.runs[i] = w.runs[len(w.runs)-1]
		w.runs = w.runs[:len(w.runs)-1]
		for _, u := range w.s.Decide(w.now, 512).Places {
			_, d := w.demand(int(u.Ref.Key & 0xffffffff))
			vcpus[queueOf(u.Ref)] += float64(d.Need.MilliVCPU)
			w.runs = append(w.runs, u.Ref)
			w.submit(b.rand(w.slots()))
			placed++
		}
		for q := range used {
			used[q] += vcpus[q]
		}
	}
	var all, weights float64
	for q := range used {
		all += used[q]
		weights += float64(1 + q%5)
	}
	low, high := math.Inf(1), 0.0
	for q := range used {
		ratio := used[q] / all / (float64(1+q%5) / weights)
		low, high = min(low, ratio), max(high, ratio)
	}
	fmt.Printf("fair: 50 queues of weights 1 to 5, %d placements: use/entitlement %.3f to %.3f\n", placed, low, high)
}
