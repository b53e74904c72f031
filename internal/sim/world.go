package sim

import (
	"container/heap"
	"fmt"
	"hash"
	"hash/fnv"
	"math/rand/v2"

	"drover/internal/core/job"
	"drover/internal/core/resource"
	"drover/internal/core/sched"
	"drover/internal/manager"
)

// Times of a run, in µs.
const (
	ms     = int64(1000)
	second = 1000 * ms

	leaseTTL       = 30 * second // of production
	heartbeatEvery = 5 * second
	pollFor        = 20 * second
	tickEvery      = second
	keepEnded      = 20 * second // short, so that ended jobs are asked of the journal again

	faultsFrom  = 5 * second
	faultsUntil = 200 * second
	// liveWithin is how long after the last fault everything must have ended (I30): ten
	// leases, and the time that the longest chain of jobs takes to run.
	liveWithin = 10*leaseTTL + 600*second

	epoch = int64(1_700_000_000) * second // wall time at the start
)

// world is everything there is. It is single-threaded: events happen one after another.
type world struct {
	opt    Options
	now    int64
	seq    int64
	queue  eventHeap
	rng    *rand.Rand
	hash   hash.Hash64
	tail   []string
	stats  Stats
	events int
	still  int // events since time went on
	healed bool
	over   bool

	paper   *paper
	check   *checker
	server  *server
	servers int
	hosts   []*host
	clients []*client
	ledger  ledger
}

type event struct {
	at, seq int64
	fn      func()
}

type eventHeap []event

func (h eventHeap) Len() int { return len(h) }
func (h eventHeap) Less(i, j int) bool {
	return h[i].at < h[j].at || h[i].at == h[j].at && h[i].seq < h[j].seq
}
func (h eventHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }

// Push implements heap.Interface.
func (h *eventHeap) Push(x any) { *h = append(*h, x.(event)) }

// Pop implements heap.Interface.
func (h *eventHeap) Pop() any {
	old := *h
	e := old[len(old)-1]
	old[len(old)-1] = event{}
	*h = old[:len(old)-1]
	return e
}

func newWorld(opt Options) *world {
	w := &world{opt: opt, rng: rand.New(rand.NewPCG(opt.Seed, 0x9e3779b97f4a7c15)), hash: fnv.New64a()}
	w.check = newChecker(w)
	w.paper = newPaper(w)
	w.ledger.w = w
	return w
}

// after makes fn happen once d has passed.
func (w *world) after(d int64, fn func()) {
	w.seq++
	heap.Push(&w.queue, event{w.now + max(d, 0), w.seq, fn})
}

// between gives a random duration in [lo, hi).
func (w *world) between(lo, hi int64) int64 { return lo + w.rng.Int64N(hi-lo) }

// chance is true with probability p.
func (w *world) chance(p float64) bool { return w.rng.Float64() < p }

// note writes a line of the trace.
func (w *world) note(format string, args ...any) {
	line := fmt.Sprintf("%10.4f ", float64(w.now)/1e6) + fmt.Sprintf(format, args...)
	w.hash.Write([]byte(line))
	if len(w.tail) >= 40 {
		copy(w.tail, w.tail[1:])
		w.tail = w.tail[:39]
	}
	w.tail = append(w.tail, line)
	if w.opt.Trace != nil {
		w.opt.Trace(line)
	}
}

// broken ends the run: a promise was not kept.
func (w *world) broken(invariant, format string, args ...any) {
	panic(&Violation{Invariant: invariant, Detail: fmt.Sprintf(format, args...), At: w.now, Tail: w.tail})
}

// sheets is how many of a resource there are that cannot be replenished: enough for all.
const sheets = 1 << 20

// setUp builds the world: environments, queues, a manager, hosts, clients, and the faults
// to come.
func (w *world) setUp() {
	w.paper.envs = []job.Environment{
		{Name: "local", Managed: true, Enabled: true, MaxMilliVCPU: 64000, HostJobs: true},
		termed(job.Environment{Name: "small", Managed: true, Enabled: true, MaxMilliVCPU: 3000, HostJobs: true}, int(w.opt.Seed%6)),
	}
	yields := map[string]string{sched.TagPreempt: "true", sched.TagProtect: "1"}
	w.paper.queues = []job.Queue{
		{Name: "default", Priority: 1, Enabled: true, Environments: []string{"local"}, Policy: "fair", Tags: yields},
		{Name: "divided", Priority: 2, Enabled: true, Environments: []string{"local"}, Policy: "quota", Tags: map[string]string{sched.TagProtect: "1"}},
		{Name: "doomed", Priority: 5, Enabled: true, Environments: []string{"local"}},
		{Name: "high", Priority: 10, Enabled: true, Environments: []string{"small", "local"}},
	}
	w.paper.policies = []job.SchedulingPolicy{{Name: "fair", Fair: &job.FairShare{DecaySeconds: 60, Reservation: 20, Weights: []job.ShareWeight{{Share: "a*", Weight: 5000}}}}, {Name: "quota", Quota: true}}
	vcpus := func(n int64) []job.CapacityLimit { return []job.CapacityLimit{{Unit: "VCPU", Max: n}} }
	w.paper.quotas = []job.QuotaShare{
		{Name: "lender", Queue: "divided", Enabled: true, Limits: vcpus(2), Lends: true},
		{Name: "borrower", Queue: "divided", Enabled: true, Limits: vcpus(1), Lends: true, Borrows: true, Borrow: job.Unlimited, Urgent: true},
	}
	w.paper.consumables = []job.Consumable{{Name: "licence", Total: 4, Replenishable: true}, {Name: "sheet", Total: sheets}}
	w.startServer()
	for range 2 + w.rng.IntN(4) {
		w.addHost()
	}
	for i := range 3 {
		w.addClient(i)
	}
	if !w.opt.Quiet {
		w.after(faultsFrom, w.nextFault)
		w.after(faultsUntil, w.heal)
	} else {
		w.healed = true
	}
	w.watch()
}

// watch ends the run once there is nothing left to happen.
func (w *world) watch() {
	w.after(second, func() {
		if w.healed && w.check.unfinished() == "" {
			w.over = true
			return
		}
		w.watch()
	})
}

// addHost adds a host of any kind.
func (w *world) addHost() { w.addHostOf(w.kindOf(len(w.hosts))) }

func (w *world) addHostOf(kind int) {
	n := len(w.hosts)
	h := &host{
		w: w, id: fmt.Sprintf("i-%017d", n),
		capacity: resource.Vector{MilliVCPU: 1000 * (1 + w.rng.Int64N(4)), MemoryMiB: 4096},
	}
	h.says(kind)
	w.note("host %s of %+v says %v", h.id, h.capacity, h.words)
	w.hosts = append(w.hosts, h)
	h.boots()
	h.startWorker()
}

// run lets events happen until everything has ended, or must have ended.
func (w *world) run() {
	limit := liveWithin
	if !w.opt.Quiet {
		limit += faultsUntil
	}
	for !w.over && len(w.queue) > 0 {
		e := heap.Pop(&w.queue).(event)
		if e.at > limit {
			w.now = limit
			return
		}
		if w.still++; e.at > w.now {
			w.now, w.still = e.at, 0
		}
		if w.still > 100_000 {
			w.broken("livelock", "time does not go on")
		}
		w.events++
		e.fn()
	}
}

// server starts.
func (w *world) startServer() {
	w.servers++
	s := &server{w: w, number: w.servers, alive: true, start: w.now - w.between(0, 1000*second)}
	w.server = s
	w.note("manager %d starts", s.number)
	s.load(nil)
	s.tick()
}

// options are the manager's.
func options() manager.Options { return manager.Options{LeaseTTL: leaseTTL, KeepEnded: keepEnded} }
