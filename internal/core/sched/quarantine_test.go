package sched

import (
	"fmt"
	"testing"

	"drover/internal/core/job"
	"drover/internal/core/resource"
)

// bugs are planted by damaging what a class says of itself.
var bugs = map[string]func(c *class){
	"choosing a host": func(c *class) { c.sections = nil },
	"in the midst of a gang": func(c *class) { // its first node has taken room by then
		c.Nodes, c.largest[0].Nodes, c.largest[0].first = 2, 2, 1
	},
}

// A panic in the decision on one kind of unit sets that kind aside, says so, and changes
// nothing for the others: they are placed as if it were not there, and nothing leaks.
func TestQuarantine(t *testing.T) {
	for name, plant := range bugs {
		for _, policy := range []string{FIFO, Easy, LXF, Strict} {
			t.Run(name+" under "+policy, func(t *testing.T) {
				with, without := quarantined(t, plant, policy), quarantined(t, nil, policy)
				if with != without {
					t.Errorf("placed\n%s\nwithout the bug\n%s", with, without)
				}
			})
		}
	}
}

// A decision that fails when its unit runs already, and is off its FIFO, is undone: the unit
// waits as before, beside those of its array, and holds nothing.
func TestQuarantineUndoes(t *testing.T) {
	for name, n := range map[string]span{"a job": {job.Whole, job.Whole + 1}, "the last child": {0, 1}, "a child of many": {0, 5}} {
		s := New()
		s.SetEnvironment(job.Environment{Name: "e", Enabled: true, HostJobs: true, MaxMilliVCPU: 100_000})
		s.SetQueue(job.Queue{Name: "q", Enabled: true, Environments: []string{"e"}})
		s.SetHost("h", resource.Vector{MilliVCPU: 4000, MemoryMiB: 4096}, []string{Process})
		s.OpenHost("h", true)
		d := Demand{Shape: Shape{Need: resource.Vector{MilliVCPU: 1000}, Executor: Process}, Since: 7 * second}
		s.Add("q", d, 5, false, n.lo, n.hi)
		s.Add("q", d, 6, false, job.Whole, job.Whole+1)
		q, c, waiting := s.queue("q"), s.intern(&d), s.Waiting()
		sh := q.share("")
		was := fmt.Sprint(sh.fifos[c].recs, s.kids)
		fresh := s.fresh
		func() {
			defer s.rescue()
			s.at, s.found, s.fresh = c, []int32{0}, []int32{99} // the last thing that a start looks at is not there
			s.start(q, sh, c, s.environment("e"), s.first(&sh.fifos[c]), nil)
			t.Errorf("%s: the start does not fail", name)
		}()
		s.fresh = fresh
		f := sh.fifos[c]
		if is := fmt.Sprint(f.live(), s.kids); is != was || s.Waiting() != waiting {
			t.Errorf("%s: %d wait: %s; before %d: %s", name, s.Waiting(), is, waiting, was)
		}
		if s.Free("h").MilliVCPU != 4000 || s.runAt.n != 0 {
			t.Errorf("%s: it runs: %v free, %d runs", name, s.Free("h"), s.runAt.n)
		}
		for lo := n.lo; lo < n.hi; lo++ {
			s.Remove("q", d, 5, lo, lo+1)
		}
		s.Remove("q", d, 6, job.Whole, job.Whole+1)
		if s.Waiting() != 0 {
			t.Errorf("%s: %d wait after all were taken away", name, s.Waiting())
		}
	}
}

// quarantined runs units of three kinds, one of which has a bug, and gives what was placed
// of the others.
func quarantined(t *testing.T, plant func(*class), policy string) (out string) {
	s := New()
	s.SetEnvironment(job.Environment{Name: "e", Enabled: true, HostJobs: true, MaxMilliVCPU: 100_000})
	s.SetQueue(job.Queue{Name: "q", Enabled: true, Environments: []string{"e"}, Tags: map[string]string{TagPolicy: policy}})
	for i := range 3 {
		id := fmt.Sprint("h", i)
		s.SetHost(id, resource.Vector{MilliVCPU: 4000, MemoryMiB: 4096}, []string{Process})
		s.OpenHost(id, true)
	}
	ask := func(vcpus int64) Demand {
		return Demand{Shape: Shape{Need: resource.Vector{MilliVCPU: vcpus * 1000}, Executor: Process}}
	}
	sick, now := ask(3), int64(second)
	if plant != nil {
		for k := range job.Key(3) {
			s.Add("q", sick, k+1, false, job.Whole, job.Whole+1)
		}
		plant(&s.classes[s.intern(&sick)])
	}
	for k := range job.Key(6) {
		s.Add("q", ask(1+int64(k%2)), 10+k, false, job.Whole, job.Whole+1)
	}
	for range 6 {
		now += second
		for _, p := range s.Decide(now, 4).Places {
			out += fmt.Sprintln(p.Ref, p.Host)
			if p.Ref.Key%3 == 0 {
				s.Release(p.Ref, now)
			}
		}
	}
	if plant == nil {
		return out
	}
	if got := s.Quarantined(); len(got) != 1 || got[0].Panic == "" {
		t.Errorf("set aside: %+v", got)
	}
	why := s.Explain("q", sick, job.Ref{Key: 1, Index: job.Whole}, now)
	if why.Code != CodeQuarantine || why.Position != 1 || s.Waiting() != 3 {
		t.Errorf("%d wait: %+v", s.Waiting(), why)
	}
	for i := range s.hosts {
		free := s.hosts[i].capacity
		for _, r := range s.hosts[i].runs {
			free = free.Sub(s.run(r).on(int32(i)))
		}
		if s.hosts[i].free != free {
			t.Errorf("host %s has %v free, its units leave %v", s.hosts[i].id, s.hosts[i].free, free)
		}
	}
	return out
}
