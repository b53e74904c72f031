// Package replay runs jobs through the production manager and scheduler on a virtual clock,
// and measures what became of them: jobs of a log, of a server's own history, or what waits
// and runs on a server now.
//
// It promises that no decision is made here: jobs are submitted to a manager.Core, hosts
// say hello and report to it, and what it sends them is done. Starting costs no time, and
// a job runs as long as the log says. The same input gives the same result.
package replay

import (
	"cmp"
	"container/heap"
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"drover/internal/core/job"
	"drover/internal/core/resource"
	"drover/internal/core/sched"
	"drover/internal/manager"
)

// Job is one job of a log. Times are in microseconds.
type Job struct {
	ID                        int64
	Submit                    int64
	Run                       int64
	Estimate                  int64 // what its owner said at most; becomes the timeout. 0 = unknown
	MilliVCPU, MemoryMiB, GPU int64
	User                      string // stands for its job definition
	Share                     string
	Queue                     string // "" = the first one of the cluster
	Priority                  int32
	Tokens                    []job.ConsumableNeed
}

// Host is one host of the cluster that is simulated.
type Host struct {
	Name     string
	Type     string // instance type, or any word for hosts of one kind
	Capacity resource.Vector
	Price    float64 // for an hour that it is up
	Up       int64   // when it is there (µs after the begin)
	Closed   bool    // takes no new jobs: what it runs may end

	Executors []string // none = process
}

// Machine is one host of so many processors, with as much of everything else as is asked.
func Machine(processors int64) Host {
	return Host{Name: "machine", Capacity: resource.Vector{MilliVCPU: processors * 1000, MemoryMiB: 1 << 40}}
}

func (j *Job) need() resource.Vector {
	return resource.Vector{MilliVCPU: j.MilliVCPU, MemoryMiB: j.MemoryMiB, GPU: j.GPU}
}

// Setup is what a run begins with.
type Setup struct {
	Start int64         // µs since 1970; 0 = some day
	Hosts []Host        // all that there will be
	Image manager.Image // queues, environments, policies, tokens; and jobs that wait or run already
	Known []Known       // the units of those jobs
	Jobs  []Job         // submitted later, sorted by Submit
	// Probe is called after the decisions of an instant with each job submitted then.
	Probe func(r *Run, i int)
	// Ended is called when a job has ended.
	Ended func(r *Run, i int)
}

// Known is a unit of a job in the image. The times of its Job are µs since the run's start;
// it may be negative.
type Known struct {
	Ref    job.Ref
	Job    Job
	Host   string // where it runs; "" = it waits
	Placed int64
}

// Outcome is what became of one job.
type Outcome struct {
	Start int64 // µs after the begin
	Host  int32 // its place among the hosts
	State State
}

// State is how far a job came.
type State uint8

// The states.
const (
	Waiting State = iota // it never started
	Before               // it ran already when the run began
	Started
	Ended
)

// Trace is what happened in a run. The known units come first.
type Trace struct {
	Jobs  []Job
	Out   []Outcome
	Hosts []Host
	Known int
	Parts []Parts // how queues are shared
}

const (
	second      = 1_000_000
	queueName   = "replay"
	environment = "replay"
	session     = "s"
	bound       = 10 * second // shorter runs count as this in the bounded slowdown
	atOnce      = 512
	tidyEvery   = 4096 // turns
	someDay     = 1_000_000_000 * second
)

// Single is the image of one queue with a policy, on one environment without bounds.
func Single(policy string) manager.Image {
	return manager.Image{
		Environments: []job.Environment{{Name: environment, Managed: true, Enabled: true, HostJobs: true, MaxMilliVCPU: math.MaxInt64 / 4, Tags: map[string]string{sched.TagPlace: "pack"}}},
		Queues:       []job.Queue{{Name: queueName, Priority: 1, Enabled: true, Environments: []string{environment}, Tags: map[string]string{sched.TagPolicy: policy}}},
	}
}

// Run is one run under way.
type Run struct {
	Trace
	core    *manager.Core
	setup   *Setup
	specs   specs
	ends    endHeap
	now     int64 // µs since the first submission
	start   int64 // µs since 1970 of that
	begin   int64 // Submit of the first job
	refs    map[job.Ref]int
	hostAt  map[string]int32
	queues  map[string]bool // true: shared by a fair share policy
	first   string          // queue
	exit    job.Exit
	turns   int
	firstID job.Key
}

// ending is the end of an attempt.
type ending struct {
	at, seq int64
	host    string
	lease   job.Lease
	stopped bool // to make room for another: it begins again
}

type endHeap []ending

func (h endHeap) Len() int { return len(h) }
func (h endHeap) Less(i, j int) bool {
	return h[i].at < h[j].at || h[i].at == h[j].at && h[i].seq < h[j].seq
}
func (h endHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }

// Push implements heap.Interface.
func (h *endHeap) Push(x any) { *h = append(*h, x.(ending)) }

// Pop implements heap.Interface.
func (h *endHeap) Pop() any {
	old := *h
	e := old[len(old)-1]
	*h = old[:len(old)-1]
	return e
}

// Replay runs jobs on hosts in one queue with a policy; each of them must have run.
func Replay(jobs []Job, hosts []Host, policy string) (*Trace, error) {
	return All(Setup{Jobs: jobs, Hosts: hosts, Image: Single(policy)})
}

// All is Simulate of a log: each job must have run.
func All(s Setup) (*Trace, error) {
	t, err := Simulate(s)
	if err != nil {
		return nil, err
	}
	for i := range t.Out {
		if t.Out[i].State != Ended {
			return nil, fmt.Errorf("job %d never ran: it asks %s vCPUs", t.Jobs[i].ID, resource.FormatVCPU(t.Jobs[i].MilliVCPU))
		}
	}
	return t, nil
}

// Simulate runs to the end of all that can run.
func Simulate(s Setup) (*Trace, error) {
	w, err := newRun(&s)
	if err != nil {
		return nil, err
	}
	next, up := w.Known, 0 // places in Jobs and Hosts
	for {
		at := int64(math.MaxInt64)
		if next < len(w.Jobs) {
			at = w.Jobs[next].Submit - w.begin
		}
		if len(w.ends) > 0 {
			at = min(at, w.ends[0].at)
		}
		if up < len(w.Hosts) {
			at = min(at, w.Hosts[up].Up)
		}
		if at == math.MaxInt64 {
			return &w.Trace, nil
		}
		w.now = max(w.now, at)
		for len(w.ends) > 0 && w.ends[0].at <= w.now {
			if err := w.end(heap.Pop(&w.ends).(ending)); err != nil {
				return nil, err
			}
		}
		for ; up < len(w.Hosts) && w.Hosts[up].Up <= w.now; up++ {
			w.hello(&w.Hosts[up])
		}
		first := next
		for next < len(w.Jobs) && w.Jobs[next].Submit-w.begin <= w.now {
			next++
		}
		if err := w.submit(first, next); err != nil {
			return nil, err
		}
		w.decide()
		for i := first; i < next && s.Probe != nil; i++ {
			s.Probe(w, i)
		}
	}
}

func newRun(s *Setup) (*Run, error) {
	w := &Run{setup: s, start: cmp.Or(s.Start, someDay), refs: map[job.Ref]int{}, hostAt: map[string]int32{}, queues: map[string]bool{}, firstID: max(s.Image.NextKey, 1)}
	w.Hosts = slices.Clone(s.Hosts)
	slices.SortStableFunc(w.Hosts, func(a, b Host) int { return cmp.Compare(a.Up, b.Up) })
	for i, h := range w.Hosts {
		if _, ok := w.hostAt[h.Name]; ok {
			return nil, fmt.Errorf("there are two hosts %s", h.Name)
		}
		w.hostAt[h.Name] = int32(i)
	}
	w.Known = len(s.Known)
	w.Jobs = s.Jobs
	if w.Known > 0 {
		w.Jobs = make([]Job, 0, len(s.Known)+len(s.Jobs))
		for _, k := range s.Known {
			w.Jobs = append(w.Jobs, k.Job)
		}
		w.Jobs = append(w.Jobs, s.Jobs...)
	}
	w.Out = make([]Outcome, len(w.Jobs))
	if len(s.Jobs) > 0 && w.Known == 0 {
		w.begin = s.Jobs[0].Submit
	}
	if len(s.Image.Queues) == 0 {
		return nil, fmt.Errorf("there is no job queue")
	}
	w.first = s.Image.Queues[0].Name
	w.Parts = partsOf(s.Image)
	for _, q := range s.Image.Queues {
		w.queues[q.Name] = slices.ContainsFunc(s.Image.Policies, func(p job.SchedulingPolicy) bool { return p.Name == q.Policy && p.Fair != nil })
	}
	zero := int32(0)
	w.exit.Code = &zero
	img := s.Image
	img.NextKey = w.firstID
	w.core = manager.New(manager.Options{LeaseTTL: math.MaxInt64 / 4}, img, w.instant())
	return w, w.know(s.Known)
}

// know takes up the units that are there already.
func (w *Run) know(known []Known) error {
	for i, k := range known {
		w.refs[k.Ref] = i
		if k.Host == "" {
			continue
		}
		at, ok := w.hostAt[k.Host]
		if !ok {
			return fmt.Errorf("job %d runs on host %s, which is not there", k.Job.ID, k.Host)
		}
		w.Out[i] = Outcome{Start: k.Placed, Host: at, State: Before}
	}
	for _, l := range w.setup.Image.Jobs {
		for _, u := range l.Units {
			if i, ok := w.refs[whole(u.Ref)]; ok && u.Status.Live() && u.Host != "" {
				heap.Push(&w.ends, ending{max(w.Out[i].Start+w.Jobs[i].Run, 1), int64(i), u.Host, u.Lease(u.Ref), false})
			}
		}
	}
	return nil
}

// hello lets a host say hello, with what it runs already.
func (w *Run) hello(h *Host) {
	m := manager.Hello{Host: h.Name, Boot: "1", Capacity: h.Capacity, Executors: h.Executors}
	for _, r := range w.setup.Image.Hosts {
		if r.ID == h.Name {
			m.Boot = r.Boot
		}
	}
	if len(m.Executors) == 0 {
		m.Executors = []string{sched.Process}
	}
	if h.Closed {
		m.Capacity = resource.Vector{}
	}
	for _, e := range w.ends {
		if e.host == h.Name {
			m.Held = append(m.Held, e.lease)
		}
	}
	w.core.Hello(m, session, w.instant())
}

func (w *Run) instant() manager.Instant {
	return manager.Instant{Wall: w.start + w.now, Mono: w.now}
}

// specs keeps what many jobs have in common.
type specs struct{ definitions map[string]string }

// submit hands jobs [from, to) to the manager. Their keys follow each other.
func (w *Run) submit(from, to int) error {
	if from == to {
		return nil
	}
	list := make([]*job.Spec, 0, to-from)
	for i := from; i < to; i++ {
		list = append(list, w.spec(i))
	}
	_, err := w.core.Submit(list, w.instant())
	return err
}

func (w *Run) spec(i int) *job.Spec {
	j := &w.Jobs[i]
	s := &job.Spec{
		Version: job.SpecVersion, Name: "j", Queue: cmp.Or(j.Queue, w.first), Definition: w.definition(j.User), Image: job.HostImage,
		Need: j.need(), Retry: job.Retry{Attempts: 1}, TimeoutSeconds: int32(min((j.Estimate+second-1)/second, math.MaxInt32)), Consumables: j.Tokens,
	}
	if w.queues[s.Queue] {
		s.Share, s.Priority = cmp.Or(j.Share, "default"), j.Priority
	}
	binary.BigEndian.PutUint64(s.ID[8:], uint64(i+1))
	s.ID[0] = 0xff // no id of a server's job begins so
	return s
}

func (w *Run) definition(user string) string {
	if user == "" {
		return "replay:1"
	}
	d, ok := w.specs.definitions[user]
	if !ok {
		if w.specs.definitions == nil {
			w.specs.definitions = map[string]string{}
		}
		d = user + ":1"
		w.specs.definitions[user] = d
	}
	return d
}

// place is the place in Jobs of a unit.
func (w *Run) place(r job.Ref) int {
	if r.Key >= w.firstID {
		return w.Known + int(r.Key-w.firstID)
	}
	return w.refs[whole(r)]
}

// whole is the unit that a node of a gang belongs to.
func whole(r job.Ref) job.Ref {
	if _, ok := job.NodeOf(r.Index); ok {
		r.Index = job.Whole
	}
	return r
}

// decide lets the manager decide until it has nothing more to say at this instant.
func (w *Run) decide() {
	for {
		w.core.Work(w.instant())
		placed := w.core.Schedule(atOnce, w.instant())
		b := w.core.Take()
		w.core.Committed(b.Seq)
		for _, s := range b.Sends {
			if s.Stop != nil {
				w.stop(s.Stop.Lease)
				continue
			}
			if s.Start == nil {
				continue
			}
			i := w.place(s.Start.Ref)
			w.Out[i] = Outcome{Start: w.now, Host: w.hostAt[s.Host], State: Started}
			heap.Push(&w.ends, ending{w.now + w.Jobs[i].Run, int64(i), s.Host, s.Start.Lease, false})
		}
		if placed < atOnce && !w.core.Busy() {
			break
		}
	}
	if w.turns++; w.turns%tidyEvery == 0 { // jobs that have ended leave the manager's memory
		w.core.Tick(w.instant())
	}
}

// stop ends an attempt at once, as its worker would.
func (w *Run) stop(l job.Lease) {
	i := slices.IndexFunc(w.ends, func(e ending) bool { return e.lease == l })
	if i < 0 {
		return // it is about to end by itself
	}
	e := heap.Remove(&w.ends, i).(ending)
	e.at, e.stopped = w.now, true
	heap.Push(&w.ends, e)
}

// end reports that an attempt ran and ended.
func (w *Run) end(e ending) error {
	i := w.place(e.lease.Ref)
	if e.stopped {
		code := int32(143)
		r := job.Report{Lease: e.lease, Started: true, Exit: &job.Exit{Code: &code, Cause: job.CauseTerminated}, At: w.start + w.now}
		_, err := w.core.Report(e.host, session, []job.Report{r}, w.instant())
		return err
	}
	if w.Out[i].State == Started {
		w.Out[i].State = Ended
	}
	if w.setup.Ended != nil {
		w.setup.Ended(w, i)
	}
	r := job.Report{Lease: e.lease, Started: true, Exit: &w.exit, At: w.start + w.now}
	refused, err := w.core.Report(e.host, session, []job.Report{r}, w.instant())
	if err == nil && len(refused) > 0 && refused[0] != nil {
		err = refused[0]
	}
	return err
}
