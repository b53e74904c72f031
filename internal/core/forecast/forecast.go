// Package forecast says when waiting units will start and when jobs will have ended: it runs
// the scheduler itself forward, on a copy of its State, with the run times that are expected.
//
// It promises that the decisions are the scheduler's own, that the State it is given is the
// only thing it changes, that each call of Run does a bounded number of steps, and that the
// same input gives the same answer. What it cannot know are jobs that have not been
// submitted yet, and run times that turn out otherwise.
package forecast

import (
	"drover/internal/core/job"
	"drover/internal/core/sched"
)

// Basis is what an expected run time rests on.
type Basis uint8

// From the best to the worst.
const (
	Unknown Basis = iota // nothing is known: AssumedRun
	Default              // the queue's tag drover:expected-seconds
	Timeout              // the job's timeout: it may end sooner
	History              // attempts of its job definition that have ended
)

// String is the basis in a person's words.
func (b Basis) String() string {
	return [...]string{"a guess: an hour", "its queue's tag drover:expected-seconds", "its timeout", "the history of its job definition"}[b]
}

// AssumedRun is how long a unit is taken to run of which nothing is known (µs).
const AssumedRun = 3600 * 1_000_000

// Run is how long a unit is expected to run (µs), and why.
type Run struct {
	Micros int64
	Basis  Basis
}

// Input is what a forecast begins with. Units of which Runs says nothing take what
// Otherwise says for their queue.
type Input struct {
	State     *sched.State // used up
	Now       int64        // µs
	Ends      []End        // of what runs now
	Runs      map[job.Key]Run
	Otherwise map[string]Run
}

// End is when a unit that runs is expected to end (µs).
type End struct {
	Ref job.Ref
	At  int64
}

// Outlook is a forecast: it grows with each Run until it is Done.
type Outlook struct {
	At      int64 // when it was begun (µs)
	Horizon int64 // up to when it has looked ahead (µs)
	Done    bool  // everything that can start has, and has ended
	Starts  int   // units that it has seen start

	in      Input
	ends    endings
	jobs    map[job.Key]*tally
	started map[job.Ref]Estimate
	running map[job.Ref]int64
	queues  map[string]*pace
	assumed int   // starts so far of units of which nothing is known
	pause   int64 // how long nothing has run, and nothing could start (µs)
}

// Estimate is what is foreseen for a unit, or for all units of a job. Times are µs since 1970.
type Estimate struct {
	Start   int64 // 0 = it runs, or has run
	End     int64
	Basis   Basis // of its own run time
	Assumed int   // units that start before it of which nothing is known
	Further bool  // the forecast did not look so far: not before these times
	Guessed bool  // beyond the horizon, at the pace up to it
}

// tally is what has been seen of one job.
type tally struct {
	started, running int
	first, last      int64 // starts
	end              int64
	basis            Basis
	assumed          int
}

// pace is how many units of a queue start.
type pace struct {
	starts int
	last   int64
}

// New begins a forecast.
func New(in Input) *Outlook {
	o := &Outlook{At: in.Now, Horizon: in.Now, in: in, jobs: map[job.Key]*tally{}, started: map[job.Ref]Estimate{}, running: map[job.Ref]int64{}, queues: map[string]*pace{}}
	for _, e := range in.Ends {
		at := max(e.At, in.Now+1)
		o.running[e.Ref] = at
		t := o.tally(e.Ref.Key)
		t.running++
		t.end = max(t.end, at)
		o.ends.push(ending{at, e.Ref})
	}
	return o
}

func (o *Outlook) tally(k job.Key) *tally {
	t := o.jobs[k]
	if t == nil {
		t = &tally{}
		o.jobs[k] = t
	}
	return t
}

// atOnce is how many units one Decide may place.
const atOnce = 256

// Run looks further ahead, by about so many starts and ends.
func (o *Outlook) Run(steps int) {
	for steps > 0 && !o.Done {
		places := o.in.State.Decide(o.Horizon, atOnce).Places
		for i := range places {
			o.start(&places[i])
		}
		steps -= len(places) + 1
		if len(places) == atOnce {
			continue
		}
		steps -= o.next()
	}
}

// start takes note of a placement.
func (o *Outlook) start(p *sched.Placement) {
	r, ok := o.in.Runs[p.Ref.Key]
	if !ok {
		r = o.in.Otherwise[p.Queue]
	}
	if r.Micros <= 0 {
		r = Run{AssumedRun, Unknown}
	}
	end := o.Horizon + r.Micros
	o.started[p.Ref] = Estimate{Start: o.Horizon, End: end, Basis: r.Basis, Assumed: o.assumed}
	t := o.tally(p.Ref.Key)
	if t.started == 0 {
		t.first, t.basis, t.assumed = o.Horizon, r.Basis, o.assumed
	}
	t.started, t.last, t.end = t.started+1, o.Horizon, max(t.end, end)
	q := o.queues[p.Queue]
	if q == nil {
		q = &pace{}
		o.queues[p.Queue] = q
	}
	q.starts, q.last = q.starts+1, o.Horizon
	if r.Basis == Unknown {
		o.assumed++
	}
	o.Starts++
	o.pause = 0
	o.ends.push(ending{end, p.Ref})
}

// longestPause is how long a forecast looks for time alone to change anything: longer than
// shares are remembered (µs).
const longestPause = 14 * 86400 * 1_000_000

// next goes to the next time at which anything happens, and returns how many units end then.
func (o *Outlook) next() int {
	at, due := o.in.State.Due()
	due = due && at > o.Horizon && o.in.State.Waiting() > 0
	switch {
	case len(o.ends) == 0 && (!due || o.pause > longestPause):
		o.Done = true
		return 0
	case len(o.ends) == 0: // only time can help: look less and less often
		o.pause = 2*o.pause + 1_000_000
		at = max(at, o.Horizon+o.pause)
	case len(o.ends) > 0 && (!due || o.ends[0].at <= at):
		at = o.ends[0].at
	}
	o.Horizon = at
	n := 0
	for len(o.ends) > 0 && o.ends[0].at <= at {
		o.in.State.Release(o.ends.pop().ref, at)
		n++
	}
	return n
}

// Unit is the estimate for one unit; ok is false if nothing can be said.
func (o *Outlook) Unit(r job.Ref, waits bool) (Estimate, bool) {
	if end, ok := o.running[r]; ok {
		return Estimate{End: end}, true
	}
	if e, ok := o.started[r]; ok {
		return e, true
	}
	return o.beyond(waits)
}

// beyond is the estimate for a unit that waits and has not been seen to start.
func (o *Outlook) beyond(waits bool) (Estimate, bool) {
	if !waits || o.Done { // what does not start although all has ended waits for something else
		return Estimate{}, false
	}
	return Estimate{Start: o.Horizon, End: o.Horizon, Further: true}, true
}

// Place improves an estimate beyond the horizon by the unit's place among what waits in its
// queue, at the pace at which units of the queue were seen to start.
func (o *Outlook) Place(e Estimate, queue string, position int64) Estimate {
	q := o.queues[queue]
	if !e.Further || q == nil || q.last <= o.At || position <= int64(q.starts) {
		return e
	}
	span := float64(q.last - o.At)
	at := o.At + int64(span*float64(position)/float64(q.starts))
	if at > e.Start && at-o.At < 100*365*86400*1_000_000 {
		e.Start, e.End, e.Guessed, e.Further = at, 0, true, false
	}
	return e
}

// Job is the estimate for a whole job of which so many units wait and run: the first start
// of those that wait, and the last end.
func (o *Outlook) Job(k job.Key, waiting, running int64) (Estimate, bool) {
	t := o.jobs[k]
	if t == nil {
		return o.beyond(waiting > 0)
	}
	e := Estimate{Start: t.first, End: t.end, Basis: t.basis, Assumed: t.assumed}
	left := waiting - int64(t.started)
	switch {
	case left <= 0:
	case o.Done: // some of them never start as things are
		e.End = 0
	case t.started > 0 && t.last > o.At:
		each := float64(t.last-o.At) / float64(t.started)
		e.End, e.Guessed = max(t.end, t.last+int64(each*float64(left))+(t.end-t.last)), true
	default:
		e.End, e.Further = max(t.end, o.Horizon), true
		if t.started == 0 {
			e.Start = o.Horizon
		}
	}
	return e, true
}

// ending is the end of a unit.
type ending struct {
	at  int64
	ref job.Ref
}

func (e ending) before(f ending) bool {
	return e.at < f.at || e.at == f.at && e.ref.Compare(f.ref) < 0
}

// endings is a heap, the earliest first.
type endings []ending

func (h *endings) push(e ending) {
	*h = append(*h, e)
	for i := len(*h) - 1; i > 0; {
		up := (i - 1) / 2
		if !(*h)[i].before((*h)[up]) {
			return
		}
		(*h)[i], (*h)[up] = (*h)[up], (*h)[i]
		i = up
	}
}

func (h *endings) pop() ending {
	top, n := (*h)[0], len(*h)-1
	(*h)[0] = (*h)[n]
	*h = (*h)[:n]
	for i := 0; ; {
		least := i
		for c := 2*i + 1; c <= 2*i+2 && c < n; c++ {
			if (*h)[c].before((*h)[least]) {
				least = c
			}
		}
		if least == i {
			return top
		}
		(*h)[i], (*h)[least] = (*h)[least], (*h)[i]
		i = least
	}
}

// Sample is how the last attempts of one kind ran, and how long each might have.
type Sample struct {
	last [samples]ran
	n    int32 // all that were noted
}

type ran struct{ millis, limit uint32 }

const samples = 32

// Known is how many are remembered.
func (s *Sample) Known() int { return int(min(s.n, samples)) }

// Note adds one that ran so long (µs) of at most limit seconds, 0 if there was no limit.
func (s *Sample) Note(micros int64, limit int32) {
	s.last[s.n%samples] = ran{uint32(min(max(micros/1000, 1), 1<<32-1)), uint32(max(limit, 0))}
	if s.n++; s.n == 1<<30 {
		s.n = samples
	}
}

// Expect is how long a unit of the kind will run in all (µs), when it has run for elapsed
// already and may run for limit seconds (0 = for ever): the mean of those that ran longer.
// Each counts as the part that it used of its limit, if both have one: people who ask for
// twice as much often need it. If all ended sooner it is taken to run as long again; 0 =
// nothing is known.
func (s *Sample) Expect(elapsed int64, limit int32) int64 {
	n, sum, k := int(min(s.n, samples)), 0.0, 0.0
	if n == 0 {
		return 0
	}
	for _, r := range s.last[:n] {
		run := float64(r.millis) * 1000
		if r.limit > 0 && limit > 0 {
			run *= float64(limit) / float64(r.limit)
		}
		if run > float64(elapsed) {
			sum, k = sum+run, k+1
		}
	}
	run := max(2*elapsed, 1_000_000)
	if k > 0 {
		run = max(int64(sum/k), elapsed+1)
	}
	if limit > 0 {
		run = min(run, int64(limit)*1_000_000)
	}
	return run
}
