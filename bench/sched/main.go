// Command sched measures the scheduler alone, one row for each figure that it must reach:
// decisions at a million waiting jobs, memory, a full pass, one event, fairness among
// queues, packing against an exact best-fit scan, service by shape, and explaining.
//
//	go run ./bench/sched [-pending 1000000] [-hosts 10000] [-steps 500000] [-rows decide,limited,policies,arrays,full,fair,pack,alibaba,churn,explain] [-traces DIR] [-cpuprofile FILE]
//
// Times are CPU times of the thread that decides, garbage that it must help to collect
// included, but p50 and p99 of a placement, which are wall times: reading the CPU time is a
// call into the kernel, too slow for them. Other processes of the machine slow both down
// (caches, clock), and are counted in the tails of the second. What reading a clock costs is
// subtracted. Where a figure has a range behind it, it is the median of five. It ends with 1 if a row is not met; a row whose data is absent says SKIP.
package main

import (
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/pprof"
	"slices"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"drover/internal/core/job"
	"drover/internal/core/resource"
	"drover/internal/core/sched"
)

type bench struct {
	pending, hosts, steps int
	traces, policy        string
	x                     uint64
	missed                int
	cpu, wall             clock
}

func main() { os.Exit(run()) }

// run measures what the flags ask for and gives what the process ends with.
func run() int {
	runtime.LockOSThread() // whose time is measured
	b := &bench{x: 1}
	flag.IntVar(&b.pending, "pending", 1_000_000, "jobs that wait")
	flag.IntVar(&b.hosts, "hosts", 10_000, "hosts")
	flag.IntVar(&b.steps, "steps", 500_000, "completions")
	flag.StringVar(&b.traces, "traces", "../shared/data/traces", "where the Alibaba GPU 2023 files are")
	profile := flag.String("cpuprofile", "", "a file for what pprof reads: where the CPU time of all rows went")
	rows := flag.String("rows", "decide,limited,policies,arrays,full,fair,pack,alibaba,churn,explain", "what to measure")
	flag.Parse()
	if *profile != "" {
		f, err := os.Create(*profile)
		if err == nil {
			err = pprof.StartCPUProfile(f)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "-cpuprofile:", err)
			return 2
		}
		defer pprof.StopCPUProfile()
	}
	start := time.Now()
	b.cpu, b.wall = calibrated(cpu), calibrated(func() time.Duration { return time.Since(start) })
	fmt.Printf("%-58s %-26s %-16s %s\n", "what", "figure", "must", "")
	for _, r := range strings.Split(*rows, ",") {
		run := map[string]func(){"decide": b.decide, "limited": b.limited, "policies": b.policies, "full": b.full, "fair": b.fair, "pack": b.pack, "alibaba": b.alibaba, "churn": b.churn, "explain": b.explain, "arrays": b.arrays}[r]
		if run == nil {
			fmt.Fprintln(os.Stderr, "no such row:", r)
			return 2
		}
		run()
	}
	return min(b.missed, 1)
}

// row prints a figure and whether it is what it must be.
func (b *bench) row(what, figure, must string, met bool) {
	word := "met"
	if !met {
		word = "NOT MET"
		b.missed++
	}
	fmt.Printf("%-58s %-26s %-16s %s\n", what, figure, must, word)
}

// say prints what has no bound.
func say(what, format string, args ...any) {
	fmt.Printf("%-58s %s\n", what, fmt.Sprintf(format, args...))
}

// clock measures short times.
type clock struct {
	read func() time.Duration
	cost time.Duration // what reads as the time between two readings with nothing between them
}

func calibrated(read func() time.Duration) clock {
	var d []time.Duration
	for range 2000 {
		t := read()
		d = append(d, read()-t)
	}
	slices.Sort(d)
	return clock{read, d[len(d)/2]}
}

// since is the time from a reading on.
func (c *clock) since(start time.Duration) time.Duration { return max(c.read()-start-c.cost, 0) }

func (b *bench) rand(n int) int {
	b.x = b.x*6364136223846793005 + 1442695040888963407
	return int(b.x>>33) % n
}

// cpu is the CPU time of this thread.
func cpu() time.Duration {
	const threadCPUTime = 3 // CLOCK_THREAD_CPUTIME_ID
	var t syscall.Timespec
	if _, _, err := syscall.Syscall(syscall.SYS_CLOCK_GETTIME, threadCPUTime, uintptr(unsafe.Pointer(&t)), 0); err != 0 {
		panic(err)
	}
	return time.Duration(t.Nano())
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
	return b.makeOf(b.hosts, math.MaxInt64/4, shapes, queues, shares, place)
}

// makeOf is make with so many hosts, and vCPUs (thousandths) that may be used at once.
func (b *bench) makeOf(hosts int, most int64, shapes, queues, shares int, place string) *world {
	w := &world{s: sched.New(), b: b, now: 1_000_000_000_000_000, queues: queues, shares: shares}
	w.s.SetEnvironment(job.Environment{Name: "e", Enabled: true, HostJobs: true, MaxMilliVCPU: most, Tags: map[string]string{sched.TagPlace: place}})
	for i := range max(queues, shares) {
		w.names[0], w.names[1] = append(w.names[0], fmt.Sprintf("q%02d", i)), append(w.names[1], fmt.Sprintf("s%02d", i))
	}
	for q := range queues {
		w.s.SetQueue(job.Queue{Name: fmt.Sprintf("q%02d", q), Enabled: true, Environments: []string{"e"}, Tags: map[string]string{sched.TagPolicy: b.policy, sched.TagWeight: fmt.Sprint(1 + q%5)}})
		if shares > 1 {
			w.s.SetPolicy(fmt.Sprintf("q%02d", q), &sched.FairShare{ShareDecaySeconds: 3600})
		}
	}
	for h := range hosts {
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
	start := cpu()
	n := 0
	for {
		p := w.s.Decide(w.now, batch).Places
		if len(p) == 0 {
			return n, cpu() - start
		}
		for _, u := range p {
			w.runs = append(w.runs, u.Ref)
		}
		n += len(p)
	}
}

// decide is the steady state: one ends, what fits is placed, as many are submitted.
func (b *bench) decide() {
	w := b.make(200, 50, 20, "pack")
	empty := heap()
	start := cpu()
	for range b.pending {
		w.submit(b.rand(w.slots()))
	}
	took := cpu() - start
	full := heap()
	each := float64(full-empty) / float64(b.pending)
	name := fmt.Sprintf("%d pending, 200 shapes, 50 x 20 shares, %d hosts", b.pending, b.hosts)
	b.row("memory a pending job: "+name, fmt.Sprintf("%.1f B", each), "<= 64 B", each <= 64)
	say("a submission", "%.2f us", micros(took)/float64(b.pending))
	n, took := w.fill()
	say("the empty cluster filled", "%d placements, %.2f us each", n, micros(took)/float64(n))
	say("a read of memory that is far away", "%.0f ns", farRead())
	p50, p99, rate := b.windows(w)
	b.row("a placement, p50", fmt.Sprintf("%.2f us (%.2f to %.2f)", p50.mid, p50.low, p50.high), "<= 3 us", p50.mid <= 3)
	b.row("a placement, p99", fmt.Sprintf("%.2f us (%.2f to %.2f)", p99.mid, p99.low, p99.high), "<= 20 us", p99.mid <= 20)
	b.row("placements a second", fmt.Sprintf("%.0f k/s (%.0f to %.0f)", rate.mid, rate.low, rate.high), ">= 300 k/s", rate.mid >= 300)
	b.steady(w, halfHour, &b.wall)
	p50, p99, rate = b.windows(w)
	b.row(fmt.Sprintf("half an hour on, room kept for %d: p50", len(w.s.Reservations())), fmt.Sprintf("%.2f us (%.2f to %.2f)", p50.mid, p50.low, p50.high), "<= 3 us", p50.mid <= 3)
	b.row("the same, p99", fmt.Sprintf("%.2f us (%.0f k/s)", p99.mid, rate.mid), "<= 20 us", p99.mid <= 20)
}

// median is the middle of some figures, and the range they are in.
type median struct{ low, mid, high float64 }

func medianOf(x []float64) median {
	slices.Sort(x)
	return median{x[0], x[len(x)/2], x[len(x)-1]}
}

// windows measures the steady state five times over, a fifth of the steps each: the microseconds of a
// placement, p50 and p99, and thousands of placements a second. What else runs on the
// machine comes and goes within seconds.
func (b *bench) windows(w *world) (p50, p99, rate median) {
	var x, y, z []float64
	for range 5 {
		per, inCore := b.steady(w, b.steps/5, &b.wall)
		x, y, z = append(x, per[len(per)/2]), append(y, per[len(per)*99/100]), append(z, float64(len(per))/inCore.Seconds()/1000)
	}
	return medianOf(x), medianOf(y), medianOf(z)
}

// farRead is the time (ns) of a read from 64 MiB in no order, of which each says where the
// next one is: what decisions mostly wait for, and what neighbours of the machine slow down.
func farRead() float64 {
	next := make([]int32, 16<<20)
	for i := range next {
		next[i] = int32(i)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for i := len(next) - 1; i > 0; i-- { // one cycle through all (Sattolo)
		j := rng.IntN(i)
		next[i], next[j] = next[j], next[i]
	}
	const reads = 1 << 20
	at, start := int32(0), cpu()
	for range reads {
		at = next[at]
	}
	took := cpu() - start
	runtime.KeepAlive(at)
	return float64(took.Nanoseconds()) / reads
}

// halfHour is how many completions, one every millisecond, make half an hour: by then units
// have been passed over for longer than they may, and room is kept for them.
const halfHour = 1_800_000

// limited is the steady state where maxvCpus is what there is least of, and hosts have room.
func (b *bench) limited() {
	w := b.makeOf(500, 10_000_000, 200, 50, 20, "pack")
	for range b.pending / 4 {
		w.submit(b.rand(w.slots()))
	}
	w.fill()
	b.steady(w, halfHour, &b.wall)
	per, inCore := b.steady(w, b.steps, &b.cpu)
	worst := per[len(per)*999/1000]
	b.row("an event where maxvCpus is what is short, p99.9", fmt.Sprintf("%.0f us (p50 %.2f us, %.0f k/s)", worst, per[len(per)/2], float64(len(per))/inCore.Seconds()/1000), "<= 1 ms", worst <= 1000)
}

func micros(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 }

// chunk is how many completions pass between two readings of the CPU clock, which is a call
// into the kernel and would slow down what it measures.
const chunk = 64

// steady ends one unit after the other, places what fits and submits as many anew. It gives
// the microseconds of each placement by a clock, sorted, and the CPU time of all.
func (b *bench) steady(w *world, steps int, by *clock) (per []float64, inCore time.Duration) {
	w.next += 1 << 20
	for range steps / chunk {
		n := 0
		start := cpu()
		for range chunk {
			i := b.rand(len(w.runs))
			r := w.runs[i]
			w.now += 1000
			t := by.read()
			w.s.Release(r, w.now)
			p := w.s.Decide(w.now, batch).Places
			d := by.since(t)
			w.runs[i] = w.runs[len(w.runs)-1]
			w.runs = w.runs[:len(w.runs)-1]
			for _, u := range p {
				w.runs = append(w.runs, u.Ref)
				per = append(per, micros(d)/float64(len(p)))
			}
			n += len(p)
		}
		inCore += b.cpu.since(start)
		for range n {
			w.submit(b.rand(w.slots()))
		}
	}
	slices.Sort(per)
	return per, inCore
}

// policies is the steady state under the policies that look at the first unit of each queue.
func (b *bench) policies() {
	defer func() { b.policy = "" }()
	for _, b.policy = range []string{sched.Easy, sched.LXF} {
		w := b.make(200, 50, 20, "pack")
		for range b.pending {
			w.submit(b.rand(w.slots()))
		}
		w.fill()
		per, inCore := b.steady(w, b.steps/10, &b.cpu)
		worst := per[len(per)*999/1000]
		b.row("an event of policy "+b.policy+", p99.9", fmt.Sprintf("%.0f us (p50 %.2f us, %.0f k/s)", worst, per[len(per)/2], float64(len(per))/inCore.Seconds()/1000), "<= 1 ms", worst <= 1000)
	}
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
	each := float64(whole-before) / n
	b.row(fmt.Sprintf("memory of an array of %d children", size), fmt.Sprintf("%.0f B", each), "<= 2 KB", each <= 2048)
	say("the same when every other child waits for a retry", "%.1f kB", float64(heap()-whole)/1000)
	runtime.KeepAlive(w)
}

// full is one pass over everything, with nothing placed before, and single events after it.
// The figure is the median of five passes: whether the collector comes by in the middle of
// one is chance.
func (b *bench) full() {
	var w *world
	var passes []time.Duration
	var n int
	for range 5 {
		w = b.make(1000, 50, 20, "pack")
		for range b.pending {
			w.submit(b.rand(w.slots()))
		}
		runtime.GC()
		var took time.Duration
		n, took = w.fill()
		passes = append(passes, took)
	}
	slices.Sort(passes)
	took := passes[len(passes)/2]
	b.row(fmt.Sprintf("full pass: %d pending, %d hosts, 1,000 shapes, fair share", b.pending, b.hosts),
		fmt.Sprintf("%.0f ms for %d placements (%.0f to %.0f)", micros(took)/1000, n, micros(passes[0])/1000, micros(passes[len(passes)-1])/1000), "<= 250 ms", took <= 250*time.Millisecond)
	per, _ := b.steady(w, b.steps/10, &b.cpu)
	worst := per[len(per)*999/1000]
	b.row("one event of it, p99.9", fmt.Sprintf("%.1f us (p50 %.1f us)", worst, per[len(per)/2]), "<= 1 ms", worst <= 1000)
	// Everything changed: all classes are looked for on all hosts again.
	for h := range b.hosts {
		id := fmt.Sprintf("h%06d", h)
		w.s.OpenHost(id, false)
		w.s.OpenHost(id, true)
	}
	start := cpu()
	p := w.s.Decide(w.now, batch).Places
	took = cpu() - start
	b.row("full pass after every host came back, all busy", fmt.Sprintf("%.2f ms for %d placements", micros(took)/1000, len(p)), "<= 250 ms", took <= 250*time.Millisecond)
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
	b.row(fmt.Sprintf("fairness: 50 queues of weights 1 to 5, %d placements", placed), fmt.Sprintf("%.3f to %.3f", low, high), "0.98 to 1.02", low >= 0.98 && high <= 1.02)
}
