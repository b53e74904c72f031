package sched_test

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"drover/internal/core/job"
	"drover/internal/core/resource"
	"drover/internal/core/sched"
)

// Looking only at the holds that something has happened to decides what a look at all of
// them, with every event, would decide.
func TestReview(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := newCosmos(t)
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			switch rapid.IntRange(0, 7).Draw(t, "what") {
			case 0, 1, 2:
				c.submit(t)
			case 3, 4:
				if refs := sorted(c.running); len(refs) > 0 {
					c.end(rapid.SampledFrom(refs).Draw(t, "ended"), rapid.IntRange(0, 4).Draw(t, "again") == 0)
				}
			case 5:
				c.now += rapid.SampledFrom([]int64{1_000, 100_000, 1_000_000, 20_000_000, 90_000_000}).Draw(t, "µs")
			default:
				all := c.s.Clone(0)
				all.Stir()
				limit := rapid.IntRange(1, 9).Draw(t, "limit")
				want := all.Decide(c.now, limit)
				if got := c.decide(t, limit); !reflect.DeepEqual(got, want) {
					t.Fatalf("the State decides %+v; after a look at all holds it decides %+v; kept %+v", got, want, c.s.Reservations())
				}
			}
		}
	})
}

// Of nodes that ask for different things none takes the only host that would do for another.
func TestSeatsWithCare(t *testing.T) {
	s := sched.New()
	s.SetEnvironment(job.Environment{Name: "e", Enabled: true, HostJobs: true, MaxMilliVCPU: 100_000})
	s.SetQueue(job.Queue{Name: "q", Enabled: true, Environments: []string{"e"}})
	for id, size := range map[string]resource.Vector{"a": vector(3000, 4000), "b": vector(3000, 1000)} {
		s.SetHost(id, size, []string{sched.Process})
		s.OpenHost(id, true)
	}
	big, wide := process(3000), process(500)
	wide.Need.MemoryMiB = 2000
	s.Add("q", sched.Demand{Groups: []sched.Group{{Shape: big, Nodes: 1}, {Shape: wide, Nodes: 1}}}, 1, false, job.Whole, job.Whole+1)
	p := s.Decide(1_000_000, 9).Places
	if len(p) != 1 || p[0].Host != "b" || !slices.Equal(p[0].Others, []string{"a"}) {
		t.Fatalf("%+v", p)
	}
}

// crowd is a State of many busy hosts and n queues, each with a unit that no host has room
// for now.
func crowd(hosts, n int) *sched.State {
	s := sched.New()
	s.SetEnvironment(job.Environment{Name: "e", Enabled: true, HostJobs: true, MaxMilliVCPU: 1_000_000_000})
	for i, rank := range rand.New(rand.NewPCG(1, 2)).Perm(hosts) {
		id := fmt.Sprintf("h%05d", i)
		s.SetHost(id, vector(4000, 4000), []string{sched.Process})
		s.OpenHost(id, true)
		d := demand(4)
		d.Timeout = int32(1000 + rank)
		s.Take(job.Ref{Key: job.Key(i + 1), Index: job.Whole}, "", d, []string{id}, "e", 1)
	}
	for i := range n {
		name := fmt.Sprintf("q%02d", i)
		s.SetQueue(job.Queue{Name: name, Enabled: true, Environments: []string{"e"}, Tags: map[string]string{sched.TagPolicy: sched.Easy}})
		s.Add(name, demand(2), job.Key(100_000+i), false, job.Whole, job.Whole+1)
	}
	return s
}

// Of few hosts the soonest of all is kept, of many one of the soonest; of many hosts one is
// chosen in a pass, and the next pass goes on without waiting for an event.
func TestSoonest(t *testing.T) {
	s := crowd(200, 3)
	s.Decide(2_000_000, 9)
	var until []int64
	for _, r := range s.Reservations() {
		until = append(until, (r.Shadow-1)/1_000_000)
	}
	if !slices.Equal(until, []int64{1000, 1001, 1002}) {
		t.Errorf("of 200 hosts those are kept that are free after %d s", until)
	}

	const hosts, queues = 10_000, 7
	s = crowd(hosts, queues)
	seen := map[string]bool{}
	for pass := range queues {
		if s.Quiet(2_000_000) {
			t.Fatalf("after %d passes nothing more is to be done", pass)
		}
		s.Decide(2_000_000, 9)
		for _, r := range s.Reservations() {
			for _, h := range r.Hosts {
				seen[h] = true
			}
			if late := (r.Shadow-1)/1_000_000 - 1000; len(r.Hosts) > 0 && late > hosts/50 {
				t.Errorf("a host is kept that %d others are free before", late)
			}
		}
		if len(seen) != pass+1 {
			t.Fatalf("after %d passes %d hosts are kept", pass+1, len(seen))
		}
	}
}

// While its compute environment is full, an event costs what it changes, not all the classes
// and queues that wait for it.
func TestFullEnvironment(t *testing.T) {
	s := sched.New()
	s.SetEnvironment(job.Environment{Name: "e", Enabled: true, HostJobs: true, MaxMilliVCPU: 8_000})
	for i := range 100 {
		id := fmt.Sprintf("h%02d", i)
		s.SetHost(id, vector(4000, 40_000), []string{sched.Process})
		s.OpenHost(id, true)
	}
	const queues, classes = 20, 100
	for q := range queues {
		name := fmt.Sprintf("q%02d", q)
		s.SetQueue(job.Queue{Name: name, Enabled: true, Environments: []string{"e"}})
		for c := range classes {
			d := demand(1)
			d.Need.MemoryMiB = int64(100 + c)
			s.Add(name, d, job.Key(1+q*classes+c), false, job.Whole, job.Whole+1)
		}
	}
	now := int64(1_000_000)
	running := s.Decide(now, 1000).Places
	before := s.Attempts()
	const events = 100
	for range events {
		now += 1000
		s.Release(running[0].Ref, now)
		running = append(running[1:], s.Decide(now, 1000).Places...)
		if len(running) != 8 {
			t.Fatalf("%d run", len(running))
		}
	}
	if n := s.Attempts() - before; n > 2*events {
		t.Errorf("%d events, and %d times a class was tried", events, n)
	}
}

// small is a State with three hosts of 4 vCPUs under 8 of maxvCpus, and two queues of a policy.
func small(t *testing.T, policy string) *stage {
	st := &stage{t, sched.New(), 1_000_000 * µs}
	st.s.SetEnvironment(job.Environment{Name: "e", Enabled: true, HostJobs: true, MaxMilliVCPU: 8000})
	for i := range 3 {
		id := fmt.Sprintf("h%d", i)
		st.s.SetHost(id, vector(4000, 4000), []string{sched.Process})
		st.s.OpenHost(id, true)
	}
	for i, name := range []string{"first", "second"} {
		st.s.SetQueue(job.Queue{Name: name, Priority: int32(9 - i), Enabled: true, Environments: []string{"e"}, Tags: map[string]string{sched.TagPolicy: policy, sched.TagOvertake: "1"}})
	}
	return st
}

// Who has hosts, and waits for others under maxvCpus, starts as soon as some end anywhere.
func TestHoldWaitsForVCPUs(t *testing.T) {
	for _, policy := range []string{sched.Easy, sched.FIFO, sched.LXF} {
		st := small(t, policy)
		st.run(1, "second", "e", "h0", 2, 10)
		st.run(2, "second", "e", "h1", 2, 1000)
		st.run(3, "second", "e", "h1", 2, 1000)
		st.wait(50, "first", demand(4))
		st.wait(51, "first", demand(2))
		if policy == sched.FIFO {
			st.placed(51) // it overtakes
		} else {
			st.run(51, "first", "e", "h2", 2, 1000)
			st.s.Remove("first", demand(2), 51, job.Whole, job.Whole+1)
		}
		st.now += 2 * µs
		st.placed()
		for _, k := range []job.Key{1, 2} {
			st.placed()
			st.release(k)
		}
		st.placed(50)
	}
}

// Who has hosts in sight, and would lack vCPUs under maxvCpus once others have started, has
// those kept too.
func TestHoldKeepsVCPUsInTime(t *testing.T) {
	st := small(t, sched.Easy)
	for i := range 3 {
		st.s.Take(job.Ref{Key: job.Key(1 + i), Index: job.Whole}, "", demand(int64(i%2+1)), []string{fmt.Sprintf("h%d", i)}, "e", st.now-1000*µs)
	} // 4 vCPUs run, and no host is empty
	st.wait(50, "first", demand(4))
	st.placed()
	st.wait(60, "second", demand(1))
	st.placed(60)
	st.wait(70, "second", demand(1))
	st.placed()
	for k := range job.Key(3) {
		st.release(k + 1)
	}
	st.placed(50, 70)
}

// What was kept for a unit that waits no more is everybody's at once: hosts, and tokens.
func TestHoldOfNobody(t *testing.T) {
	whole := func(st *stage, d sched.Demand) {
		st.s.Remove("first", d, 50, job.Whole, job.Whole+1)
	}
	patient := job.Queue{Name: "second", Priority: 1, Enabled: true, Environments: []string{"e"}}
	st := small(t, sched.Easy)
	st.s.SetQueue(patient)
	st.s.SetEnvironment(job.Environment{Name: "e", Enabled: true, HostJobs: true, MaxMilliVCPU: 100_000})
	st.run(1, "second", "e", "h0", 1, 10)
	st.run(2, "second", "e", "h1", 4, 1000)
	st.run(3, "second", "e", "h2", 4, 1000)
	st.wait(50, "first", demand(4))
	st.placed()
	st.wait(60, "second", demand(2))
	st.placed()
	whole(st, demand(4))
	st.placed(60)

	st = small(t, sched.Easy)
	st.s.SetQueue(patient)
	st.s.SetToken("licence", 3, true)
	st.s.Take(job.Ref{Key: 1, Index: job.Whole}, "second", licensed(1, 1), []string{"h0"}, "e", st.now)
	st.wait(50, "first", licensed(1, 3))
	st.wait(60, "second", licensed(1, 1))
	st.placed()
	whole(st, licensed(1, 3))
	st.placed(60)
}

// A full environment does not make the queues that wait for it be tried with the events of
// another one.
func TestFullEnvironmentBesideAnother(t *testing.T) {
	patient := job.Queue{Name: "second", Priority: 1, Enabled: true, Environments: []string{"e"}}
	st := small(t, sched.Easy)
	st.s.SetQueue(patient)
	st.s.SetEnvironment(job.Environment{Name: "f", Enabled: true, HostJobs: true, MaxMilliVCPU: 2_000})
	st.s.SetQueue(job.Queue{Name: "third", Priority: 1, Enabled: true, Environments: []string{"f"}})
	for q, name := range []string{"fourth", "fifth"} {
		st.s.SetQueue(job.Queue{Name: name, Priority: 5, Enabled: true, Environments: []string{"e"}})
		for c := range 100 {
			d := demand(1)
			d.Need.MemoryMiB = int64(1 + c)
			st.wait(job.Key(1000+100*q+c), name, d)
		}
	}
	for k := range job.Key(200) {
		st.wait(k+1, "third", demand(1))
	}
	st.s.Decide(st.now, 1000)
	before := st.s.Attempts()
	const events = 100
	for k := range job.Key(events) {
		st.now += 1000
		st.release(k + 1)
		st.placed(k + 3)
	}
	if n := st.s.Attempts() - before; n > 2*events {
		t.Errorf("%d events, and %d times a class was tried", events, n)
	}
}

// In a fair-share queue the room that is kept for a unit stays its own while other shares
// get ahead in turn: if it followed them, it would be for nobody long enough.
func TestHoldStaysInFairShare(t *testing.T) {
	for _, policy := range []string{sched.Easy, sched.LXF} {
		st := small(t, policy)
		st.s.SetEnvironment(job.Environment{Name: "e", Enabled: true, HostJobs: true, MaxMilliVCPU: 100_000})
		st.s.SetPolicy("first", &sched.FairShare{})
		for i := range 3 {
			st.run(job.Key(1+i), "second", "e", fmt.Sprintf("h%d", i), 3, int64(10*(i+1)))
		}
		st.wait(50, "first", shared(4, "a"))
		st.placed()
		kept := st.s.Reservations()
		st.wait(40, "first", shared(4, "b"))
		st.wait(41, "first", shared(1, "a"))
		st.placed(41) // share b is the least served now
		st.now += 5 * µs
		st.placed()
		if is := st.s.Reservations(); len(kept) != 1 || len(is) != 1 || is[0].Ref.Key != 50 || is[0].Hosts[0] != kept[0].Hosts[0] {
			t.Fatalf("%s: kept %+v, and then %+v", policy, kept, is)
		}
	}
}

// In a queue without shares the room is the first unit's, whoever that becomes.
func TestHoldFollowsTheFirst(t *testing.T) {
	for _, policy := range []string{sched.Easy, sched.LXF} {
		st := small(t, policy)
		st.s.SetEnvironment(job.Environment{Name: "e", Enabled: true, HostJobs: true, MaxMilliVCPU: 100_000})
		for i := range 3 {
			st.run(job.Key(1+i), "second", "e", fmt.Sprintf("h%d", i), 2, 10)
		}
		st.wait(50, "first", demand(4))
		st.placed()
		d := demand(3)
		d.Priority = 7
		st.wait(60, "first", d)
		st.placed()
		if is := st.s.Reservations(); len(is) != 1 || is[0].Ref.Key != 60 {
			t.Fatalf("%s: kept %+v", policy, is)
		}
	}
}

// Of many hosts only a few suit, and those are kept for others: who finds none does not keep
// the scheduler busy, and gets its turn.
func TestNoHostToKeep(t *testing.T) {
	s := crowd(1000, 0)
	gpu := demand(1)
	gpu.Need.GPU = 1
	s.SetHost("gpu", resource.Vector{MilliVCPU: 4000, MemoryMiB: 4000, GPU: 1}, []string{sched.Process})
	s.OpenHost("gpu", true)
	s.Take(job.Ref{Key: 5000, Index: job.Whole}, "", gpu, []string{"gpu"}, "e", 1)
	for i := range job.Key(3) {
		name := fmt.Sprintf("q%d", i)
		s.SetQueue(job.Queue{Name: name, Enabled: true, Environments: []string{"e"}, Tags: map[string]string{sched.TagPolicy: sched.Easy}})
		s.Add(name, gpu, 6000+i, false, job.Whole, job.Whole+1)
	}
	now := int64(2_000_000)
	for pass := 0; !s.Quiet(now); pass++ {
		if pass == 10 {
			t.Fatal("there is always something more to do")
		}
		s.Decide(now, 9)
	}
	for i := range job.Key(3) {
		now += 100_000
		s.Release(job.Ref{Key: []job.Key{5000, 6000, 6001}[i], Index: job.Whole}, now)
		if p := s.Decide(now, 9).Places; len(p) != 1 || p[0].Ref.Key != 6000+i {
			t.Fatalf("placed %+v", p)
		}
	}
}
