package replay

import (
	"fmt"
	"slices"

	"drover/internal/core/forecast"
	"drover/internal/core/job"
)

// Method is how a forecast comes to know how long jobs run.
type Method string

// The methods.
const (
	ByEstimate   Method = "estimates"  // as long as their owners said at most
	ByDefinition Method = "definition" // the production one: by the last 32 of the definition, here of the user
	ByLastTwo    Method = "last two"   // the mean of the user's last two (Tsafrir, Etsion, Feitelson 2007)
	Exact        Method = "exact"      // as long as they will: what is left is what later jobs do
)

// Methods are all of them.
func Methods() []Method { return []Method{ByEstimate, ByDefinition, ByLastTwo, Exact} }

// Foresight is how well starts were foreseen when jobs were submitted, of jobs that waited
// for more than a minute.
type Foresight struct {
	Method  Method  `json:"method"`
	Waited  int     `json:"waited"`  // jobs that waited for more than a minute
	Sampled int     `json:"sampled"` // of them were forecast, evenly over the log
	Median  float64 `json:"medianError"`
	P90     float64 `json:"p90Error"`
	Ratio50 float64 `json:"medianRatio"` // the greater of foreseen and real wait over the lesser
	Ratio90 float64 `json:"p90Ratio"`
	Within2 float64 `json:"withinTwofold"` // part of the sample
	Low     float64 `json:"foreseenTooShort"`
	Cut     int     `json:"cut"` // forecasts that did not see the start within their bound
}

// Bounds of measuring.
const (
	longWait    = 60 * second
	farthest    = 200_000 // steps of one forecast
	eachStep    = 200
	minForeseen = second // waits count as this at least, so that a ratio is never infinite
)

// Foresee replays a setup and measures forecasts of up to samples jobs.
func Foresee(s Setup, method Method, samples int) (Foresight, error) {
	f := Foresight{Method: method}
	first, err := All(s)
	if err != nil {
		return f, err
	}
	var long []int
	for i := range first.Jobs {
		if first.Out[i].Start-first.submitted(i) > longWait {
			long = append(long, i)
		}
	}
	f.Waited = len(long)
	wanted := map[int]bool{}
	for n := range min(samples, len(long)) {
		wanted[long[n*len(long)/min(samples, len(long))]] = true
	}
	e := expecter{method: method, users: map[string]*lastTwo{}}
	var errs, ratios []float64
	low := 0
	s.Probe = func(r *Run, i int) {
		if !wanted[i] || r.Out[i].State != Waiting {
			return
		}
		seen, ok := e.foresee(r, i)
		f.Sampled++
		if !ok {
			f.Cut++
		}
		wait, said := float64(first.Out[i].Start-r.now), max(float64(seen-r.now), minForeseen)
		errs = append(errs, max(said-wait, wait-said)/wait)
		ratios = append(ratios, max(said/wait, wait/said))
		if said < wait {
			low++
		}
	}
	s.Ended = e.ended
	again, err := All(s)
	if err != nil {
		return f, err
	}
	if !slices.Equal(first.Out, again.Out) {
		return f, fmt.Errorf("forecasts changed what was decided")
	}
	if f.Sampled == 0 {
		return f, nil
	}
	slices.Sort(errs)
	slices.Sort(ratios)
	n := len(errs)
	f.Median, f.P90, f.Ratio50, f.Ratio90 = errs[n/2], errs[n*9/10], ratios[n/2], ratios[n*9/10]
	at, _ := slices.BinarySearch(ratios, 2.0)
	f.Within2, f.Low = float64(at)/float64(n), float64(low)/float64(n)
	return f, nil
}

// expecter knows how long jobs run.
type expecter struct {
	method Method
	users  map[string]*lastTwo
}

type lastTwo struct {
	runs [2]int64
	n    int
}

func (e *expecter) ended(r *Run, i int) {
	j := &r.Jobs[i]
	u := e.users[j.User]
	if u == nil {
		u = &lastTwo{}
		e.users[j.User] = u
	}
	u.runs[u.n%2] = j.Run
	u.n++
}

// foresee gives the start that a forecast made now sees for job i.
func (e *expecter) foresee(r *Run, i int) (at int64, ok bool) {
	var expect func(s *job.Spec, elapsed int64) int64
	if e.method != ByDefinition {
		expect = func(s *job.Spec, elapsed int64) int64 {
			return e.run(&r.Jobs[r.place(job.Ref{Key: s.Key, Index: job.Whole})], elapsed)
		}
	}
	o := forecast.New(r.core.OutlookWith(r.instant(), expect))
	ref := job.Ref{Key: r.firstID + job.Key(i-r.Known), Index: job.Whole}
	for steps := 0; steps < farthest; steps += eachStep {
		o.Run(eachStep)
		if u, ok := o.Unit(ref, true); ok && !u.Further {
			return u.Start - r.start, true
		}
		if o.Done {
			break
		}
	}
	return o.Horizon - r.start, false
}

// run is how long a job is thought to run that has run for elapsed.
func (e *expecter) run(j *Job, elapsed int64) int64 {
	switch e.method {
	case Exact:
		return j.Run
	case ByEstimate:
		return j.Estimate
	}
	run := j.Estimate
	if u := e.users[j.User]; u != nil {
		run = u.runs[0]
		if u.n > 1 {
			run = (u.runs[0] + u.runs[1]) / 2
		}
	}
	for run <= elapsed { // it has outlived what was thought
		run = 2 * max(run, second)
	}
	if j.Estimate > 0 {
		run = min(run, j.Estimate)
	}
	return run
}
