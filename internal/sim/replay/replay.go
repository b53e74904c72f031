// Package replay runs a log of jobs through the production manager and scheduler on a
// virtual clock, and measures what became of them.
//
// It promises that no decision is made here: jobs are submitted to a manager.Core, hosts
// say hello and report to it, and what it sends them is done. Starting costs no time, and
// a job runs as long as the log says. The same log and policy give the same result.
package replay

import (
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

// Job is one job of a log. Times are in seconds.
type Job struct {
	ID                        int64
	Submit                    int64
	Run                       int64
	Estimate                  int64 // what its owner said at most; becomes the timeout. 0 = unknown
	MilliVCPU, MemoryMiB, GPU int64
	Share                     string
}

// Host is one host of the cluster that is simulated.
type Host struct {
	Name     string
	Capacity resource.Vector
}

// Machine is one host of so many processors, with as much of everything else as is asked.
func Machine(processors int64) Host {
	return Host{Name: "machine", Capacity: resource.Vector{MilliVCPU: processors * 1000, MemoryMiB: 1 << 40}}
}

func (j *Job) need() resource.Vector {
	return resource.Vector{MilliVCPU: j.MilliVCPU, MemoryMiB: j.MemoryMiB, GPU: j.GPU}
}

// Outcome is what became of one job.
type Outcome struct {
	Start int64 // s
	Ended bool
}

// Result sums up a run.
type Result struct {
	Jobs                int     `json:"jobs"`
	MeanBoundedSlowdown float64 `json:"meanBoundedSlowdown"`
	MeanWaitSeconds     float64 `json:"meanWaitSeconds"`
	P95WaitSeconds      int64   `json:"p95WaitSeconds"`
	MaxWaitSeconds      int64   `json:"maxWaitSeconds"`
	Utilisation         float64 `json:"utilisation"`
	MakespanSeconds     int64   `json:"makespanSeconds"`
}

const (
	second      = 1_000_000
	queueName   = "replay"
	environment = "replay"
	session     = "s"
	bound       = 10 // s: shorter runs count as this in the bounded slowdown
	atOnce      = 512
	tidyEvery   = 4096 // turns
)

// world is one run.
type world struct {
	core  *manager.Core
	jobs  []Job
	out   []Outcome
	ends  endHeap
	now   int64 // s since the first submission
	start int64 // µs since 1970 of that
	hosts map[string]bool
	exit  job.Exit
	turns int
}

// ending is the end of an attempt.
type ending struct {
	at, seq int64
	host    string
	lease   job.Lease
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

// Run replays jobs on hosts under a policy. The jobs must be sorted by Submit.
func Run(jobs []Job, hosts []Host, policy string) (Result, []Outcome, error) {
	w := &world{jobs: jobs, out: make([]Outcome, len(jobs)), start: 1_000_000_000 * second, hosts: map[string]bool{}}
	zero := int32(0)
	w.exit.Code = &zero
	w.core = manager.New(manager.Options{LeaseTTL: math.MaxInt64 / 4}, manager.Image{
		NextKey:      1,
		Environments: []job.Environment{{Name: environment, Managed: true, Enabled: true, HostJobs: true, MaxMilliVCPU: math.MaxInt64 / 4, Tags: map[string]string{"drover:placement": "pack"}}},
		Queues:       []job.Queue{{Name: queueName, Priority: 1, Enabled: true, Environments: []string{environment}, Tags: map[string]string{sched.TagPolicy: policy}}},
	}, w.instant())
	for _, h := range hosts {
		w.core.Hello(manager.Hello{Host: h.Name, Boot: "1", Capacity: h.Capacity, Executors: []string{sched.Process}}, session, w.instant())
	}
	next := 0
	for next < len(jobs) || len(w.ends) > 0 {
		w.now = math.MaxInt64
		if next < len(jobs) {
			w.now = jobs[next].Submit - jobs[0].Submit
		}
		if len(w.ends) > 0 {
			w.now = min(w.now, w.ends[0].at)
		}
		for len(w.ends) > 0 && w.ends[0].at == w.now {
			if err := w.end(heap.Pop(&w.ends).(ending)); err != nil {
				return Result{}, nil, err
			}
		}
		first := next
		for next < len(jobs) && jobs[next].Submit-jobs[0].Submit == w.now {
			next++
		}
		if err := w.submit(first, next); err != nil {
			return Result{}, nil, err
		}
		if err := w.decide(); err != nil {
			return Result{}, nil, err
		}
	}
	for i := range w.out {
		if !w.out[i].Ended {
			return Result{}, nil, fmt.Errorf("job %d never ran: it asks %s vCPUs", jobs[i].ID, resource.FormatVCPU(jobs[i].MilliVCPU))
		}
	}
	return measure(jobs, w.out, hosts), w.out, nil
}

func (w *world) instant() manager.Instant {
	return manager.Instant{Wall: w.start + w.now*second, Mono: w.now * second}
}

// submit hands jobs [from, to) to the manager. Their keys are their places, from 1.
func (w *world) submit(from, to int) error {
	var specs []*job.Spec
	for i := from; i < to; i++ {
		j := &w.jobs[i]
		s := &job.Spec{
			Version: job.SpecVersion, Name: "j", Queue: queueName, Definition: "replay:1", Image: job.HostImage,
			Need: j.need(), Retry: job.Retry{Attempts: 1}, TimeoutSeconds: int32(min(j.Estimate, math.MaxInt32)), Share: j.Share,
		}
		binary.BigEndian.PutUint64(s.ID[8:], uint64(i+1))
		specs = append(specs, s)
	}
	if len(specs) == 0 {
		return nil
	}
	_, err := w.core.Submit(specs, w.instant())
	return err
}

// decide lets the manager decide until it has nothing more to say at this instant.
func (w *world) decide() error {
	for {
		w.core.Work(w.instant())
		placed := w.core.Schedule(atOnce, w.instant())
		b := w.core.Take()
		w.core.Committed(b.Seq)
		for _, s := range b.Sends {
			if s.Start == nil {
				continue
			}
			i := int(s.Start.Ref.Key) - 1
			w.out[i].Start = w.now
			heap.Push(&w.ends, ending{w.now + w.jobs[i].Run, int64(i), s.Host, s.Start.Lease})
		}
		if placed < atOnce && !w.core.Busy() {
			break
		}
	}
	if w.turns++; w.turns%tidyEvery == 0 { // jobs that have ended leave the manager's memory
		w.core.Tick(w.instant())
	}
	return nil
}

// end reports that an attempt ran and ended.
func (w *world) end(e ending) error {
	i := int(e.lease.Ref.Key) - 1
	w.out[i].Ended = true
	r := job.Report{Lease: e.lease, Started: true, Exit: &w.exit, At: w.start + w.now*second}
	refused, err := w.core.Report(e.host, session, []job.Report{r}, w.instant())
	if err == nil && len(refused) > 0 {
		err = refused[0]
	}
	return err
}

// measure computes the figures of a run.
func measure(jobs []Job, out []Outcome, hosts []Host) Result {
	r := Result{Jobs: len(jobs)}
	if len(jobs) == 0 {
		return r
	}
	var size int64
	for _, h := range hosts {
		size += h.Capacity.MilliVCPU
	}
	var slowdowns, waited, work float64
	waits := make([]int64, 0, len(jobs))
	last := int64(0)
	for i := range jobs {
		j := &jobs[i]
		wait := out[i].Start - (j.Submit - jobs[0].Submit)
		waits = append(waits, wait)
		slowdowns += max(1, float64(wait+j.Run)/float64(max(j.Run, bound)))
		waited += float64(wait)
		work += float64(j.Run) * float64(j.MilliVCPU)
		last = max(last, out[i].Start+j.Run)
	}
	slices.Sort(waits)
	n := float64(len(jobs))
	r.MeanBoundedSlowdown, r.MeanWaitSeconds = slowdowns/n, waited/n
	r.P95WaitSeconds, r.MaxWaitSeconds = waits[len(waits)*95/100], waits[len(waits)-1]
	r.MakespanSeconds = last
	if last > 0 && size > 0 {
		r.Utilisation = work / (float64(last) * float64(size))
	}
	return r
}
