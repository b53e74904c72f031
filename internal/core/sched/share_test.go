package sched_test

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"drover/internal/core/job"
	"drover/internal/core/sched"
)

const µs = 1_000_000

// city is one queue with a fair-share policy on one host, whose jobs each run for a while;
// every share has always something waiting.
type city struct {
	s    *sched.State
	now  int64
	next job.Key
	ends map[int64][]job.Ref
	name map[job.Key]string
	used map[string]float64 // vCPU seconds
}

func newCity(vcpus int64, p *sched.FairShare) *city {
	c := &city{s: cluster(vcpus), now: 1_000_000 * µs, ends: map[int64][]job.Ref{}, name: map[job.Key]string{}, used: map[string]float64{}}
	c.s.SetEnvironment(job.Environment{Name: "local", Enabled: true, HostJobs: true, MaxMilliVCPU: vcpus * 1000})
	c.s.SetPolicy("q", p)
	return c
}

func (c *city) submit(share string, n int) {
	for range n {
		c.next++
		c.name[c.next] = share
		c.s.Add("q", sched.Demand{Shape: process(1000), Share: share, Since: c.now}, c.next, false, job.Whole, job.Whole+1)
	}
}

// live lets time pass; jobs run as long as run says.
func (c *city) live(seconds int64, run func(k job.Key) int64) {
	for end := c.now + seconds*µs; c.now < end; c.now += µs {
		for _, r := range c.ends[c.now] {
			c.s.Release(r, c.now)
		}
		delete(c.ends, c.now)
		for _, p := range c.s.Decide(c.now, 1000).Places {
			d := run(p.Ref.Key)
			c.ends[c.now+d*µs] = append(c.ends[c.now+d*µs], p.Ref)
			c.used[c.name[p.Ref.Key]] += float64(d)
			c.submit(c.name[p.Ref.Key], 1)
		}
	}
}

func (c *city) running(share string) int {
	n := 0
	for _, refs := range c.ends {
		for _, r := range refs {
			if c.name[r.Key] == share {
				n++
			}
		}
	}
	return n
}

func steady(k job.Key) int64 { return 20 + int64(k*7919%41) }

// Weight factors 1 and 0.125 give one to eight, within 5 %, whatever the decay.
func TestFairShareConverges(t *testing.T) {
	for _, decay := range []int32{0, 60, 3600, 604800} {
		c := newCity(18, &sched.FairShare{ShareDecaySeconds: decay, Weights: []sched.Weight{{Identifier: "light", Factor: 0.125}, {Identifier: "heavy", Factor: 1}}})
		c.submit("heavy", 30)
		c.submit("light", 30)
		c.live(4000, steady)
		if ratio := c.used["light"] / c.used["heavy"]; math.Abs(ratio/8-1) > 0.05 {
			t.Errorf("decay %d: light got %.2f times what heavy got, want 8: %v", decay, ratio, c.used)
		}
	}
}

// shareDecaySeconds 0 is a window of 600 s (the service model of 2026; the guide of 2023 had
// the current usage only).
func TestDecayOfZeroIsTenMinutes(t *testing.T) {
	late := func(decay int32) (running []int) {
		c := newCity(10, &sched.FairShare{ShareDecaySeconds: decay})
		c.submit("early", 30)
		c.live(2000, steady)
		c.submit("late", 30)
		for range 12 {
			c.live(100, steady)
			running = append(running, c.running("late"))
		}
		return running
	}
	zero, ten, one := fmt.Sprint(late(0)), fmt.Sprint(late(600)), fmt.Sprint(late(60))
	if zero != ten || zero == one {
		t.Errorf("a share that comes late runs %s with 0, %s with 600, %s with 60", zero, ten, one)
	}
}

// A prefix gives its weight to each identifier that it matches; the 2023 guide multiplied it
// by their number, the 2026 service model does not.
func TestPrefixWeight(t *testing.T) {
	c := newCity(20, &sched.FairShare{ShareDecaySeconds: 60, Weights: []sched.Weight{{Identifier: "team*", Factor: 0.5}}})
	for _, s := range []string{"teamA", "teamB", "other"} {
		c.submit(s, 30)
	}
	c.live(3000, steady)
	for _, s := range []string{"teamA", "teamB"} {
		if ratio := c.used[s] / c.used["other"]; math.Abs(ratio/2-1) > 0.05 {
			t.Errorf("%s got %.2f times what other got, want 2", s, ratio)
		}
	}
}

// A share that comes back after the others have used everything catches up, and does not
// get everything for ever: what was used is forgotten.
func TestUsageIsForgotten(t *testing.T) {
	c := newCity(10, &sched.FairShare{ShareDecaySeconds: 100})
	c.submit("early", 30)
	c.live(2000, steady)
	c.submit("late", 30)
	c.live(60, steady)
	if n := c.running("late"); n < 8 {
		t.Errorf("late runs %d of 10 soon after it came; it had used nothing", n)
	}
	c.live(2000, steady)
	if n := c.running("late"); n < 4 || n > 6 {
		t.Errorf("late runs %d of 10 long after", n)
	}
}

// Usage that is charged after a restart counts like usage that was seen.
func TestCharge(t *testing.T) {
	c := newCity(10, &sched.FairShare{ShareDecaySeconds: 1000})
	c.s.Charge("q", "greedy", 20_000*1000*µs, c.now)
	c.submit("greedy", 30)
	c.submit("modest", 30)
	c.live(2, func(job.Key) int64 { return 1000 })
	if n := c.running("modest"); n != 10 {
		t.Errorf("modest runs %d of 10", n)
	}
}

// computeReservation 50 keeps 50, 25 and 12.5 % for shares that are not active.
func TestComputeReservation(t *testing.T) {
	c := newCity(80, &sched.FairShare{ComputeReservation: 50})
	for i, want := range []int{40, 60, 70} {
		c.submit(fmt.Sprintf("s%d", i), 100)
		c.live(2, func(job.Key) int64 { return 100_000 })
		n := 0
		for s := range 3 {
			n += c.running(fmt.Sprintf("s%d", s))
		}
		if n != want {
			t.Errorf("with %d active shares %d vCPUs of 80 run, want %d", i+1, n, want)
		}
	}
}

func TestSchedulingPriority(t *testing.T) {
	s := cluster(2)
	for k, p := range []int32{0, 5, 1, 5} {
		s.Add("q", sched.Demand{Shape: process(1000), Priority: p}, job.Key(k+1), false, job.Whole, job.Whole+1)
	}
	var front []job.Key
	for _, f := range s.Snapshot("q", 10) {
		front = append(front, f.Key)
	}
	if !slices.Equal(front, []job.Key{2, 4, 3, 1}) {
		t.Errorf("in the order of dispatch: %d", front)
	}
	if got := keys(decide(s, 10)); got != "2 4" {
		t.Errorf("started: %s", got)
	}
}

// A large job among an endless stream of small ones starts, though nobody has a timeout:
// policy fifo keeps room for it after maxOvertake. The price in use is stated.
func TestNoStarvationWithoutTimeouts(t *testing.T) {
	for _, policy := range []string{sched.FIFO, sched.Easy, sched.LXF} {
		s := cluster(8, 8, 8, 8)
		s.SetQueue(job.Queue{Name: "q", Enabled: true, Environments: []string{"local"}, Tags: map[string]string{sched.TagPolicy: policy}})
		now, next := int64(1_000_000*µs), job.Key(0)
		ends := map[int64][]job.Ref{}
		small := func(n int) {
			for range n {
				next++
				s.Add("q", sched.Demand{Shape: process(1000), Since: now}, next, false, job.Whole, job.Whole+1)
			}
		}
		small(100)
		var large job.Key
		started, busy, seconds := int64(0), 0, int64(0)
		running := 0
		for ; seconds < 3600; seconds++ {
			if seconds == 300 {
				next++
				large = next
				s.Add("q", sched.Demand{Shape: process(8000), Since: now}, large, false, job.Whole, job.Whole+1)
			}
			for _, r := range ends[now] {
				s.Release(r, now)
				if r.Key != large {
					running--
				} else {
					running -= 8
				}
			}
			for _, p := range s.Decide(now, 100).Places {
				d := 60 + int64(p.Ref.Key*7919%240)
				ends[now+d*µs] = append(ends[now+d*µs], p.Ref)
				running++
				if p.Ref.Key == large {
					started = seconds
					running += 7
				} else {
					small(1)
				}
			}
			if seconds >= 300 && started == 0 || seconds == started {
				busy += running
			}
			now += µs
		}
		if started == 0 || started > 300+1800 {
			t.Errorf("%s: the large job started after %d s", policy, started-300)
			continue
		}
		use := float64(busy) / float64(32*(started-300+1))
		t.Logf("%s: the large job waited %d s, and until then %.1f %% of the hosts was in use", policy, started-300, 100*use)
		if use < 0.75 {
			t.Errorf("%s: only %.1f %% of the hosts was in use", policy, 100*use)
		}
	}
}
