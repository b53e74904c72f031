package sched_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"drover/internal/core/job"
	"drover/internal/core/resource"
	"drover/internal/core/sched"
)

// stage is a State with hosts of 4 vCPUs, a queue low that yields, one steady that does not,
// and one high above them.
type stage struct {
	*testing.T
	s   *sched.State
	now int64
}

func newStage(t *testing.T, hosts int, most int64) *stage {
	st := &stage{t, sched.New(), 1_000_000 * µs}
	st.s.SetEnvironment(job.Environment{Name: "e", Enabled: true, HostJobs: true, MaxMilliVCPU: most * 1000})
	st.s.SetEnvironment(job.Environment{Name: "spot", Enabled: true, HostJobs: true, MaxMilliVCPU: most * 1000, Spot: true})
	both := []string{"e", "spot"}
	st.s.SetQueue(job.Queue{Name: "low", Priority: 1, Enabled: true, Environments: both, Tags: map[string]string{sched.TagPreempt: "true"}})
	st.s.SetQueue(job.Queue{Name: "steady", Priority: 1, Enabled: true, Environments: both})
	st.s.SetQueue(job.Queue{Name: "high", Priority: 9, Enabled: true, Environments: []string{"e"}})
	for i := range hosts {
		id := fmt.Sprintf("h%d", i)
		st.s.SetHost(id, vector(4000, 4000), []string{sched.Process})
		st.s.OpenHost(id, true)
	}
	return st
}

// run puts a unit on a host, placed so many seconds ago.
func (st *stage) run(k job.Key, queue, env, host string, vcpus, ago int64) {
	st.s.Take(job.Ref{Key: k, Index: job.Whole}, queue, demand(vcpus), []string{host}, env, st.now-ago*µs)
}

func (st *stage) wait(k job.Key, queue string, d sched.Demand) {
	st.s.Add(queue, d, k, false, job.Whole, job.Whole+1)
}

// decide wants these victims, and nothing placed.
func (st *stage) decide(want ...job.Key) {
	st.Helper()
	p := st.s.Decide(st.now, 100)
	var got []job.Key
	for _, x := range p.Preempt {
		got = append(got, x.Victim.Key)
	}
	slices.Sort(got)
	if len(p.Places) > 0 || !slices.Equal(got, want) {
		st.Fatalf("placed %v, stopped %v; want %v stopped", p.Places, got, want)
	}
}

// placed wants these units placed.
func (st *stage) placed(want ...job.Key) {
	st.Helper()
	var got []job.Key
	for _, x := range st.s.Decide(st.now, 100).Places {
		got = append(got, x.Ref.Key)
	}
	if !slices.Equal(got, want) {
		st.Fatalf("placed %v, want %v", got, want)
	}
}

func (st *stage) release(k job.Key) { st.s.Release(job.Ref{Key: k, Index: job.Whole}, st.now) }

func TestPreemptByQueuePriority(t *testing.T) {
	st := newStage(t, 2, 100)
	st.run(1, "low", "e", "h0", 2, 500)
	st.run(2, "low", "e", "h0", 2, 300)
	st.run(3, "steady", "e", "h1", 4, 100)
	st.wait(50, "high", demand(2))
	st.decide(2) // the younger one
	st.now += 5 * µs
	st.decide() // once
	if r := st.s.Explain("high", demand(2), job.Ref{Key: 50, Index: job.Whole}, st.now); r.Code != sched.CodeMaking || !strings.Contains(r.Text, "queue-priority, 1 running jobs") {
		t.Errorf("%+v", r)
	}
	st.release(2)
	st.s.Add("low", demand(2), 2, true, job.Whole, job.Whole+1) // requeued in front of its queue
	st.placed(50)
	st.now += 100 * µs
	st.decide() // what was preempted stops nothing in turn
	if st.s.Decide(st.now, 1); len(st.s.Reservations()) != 0 {
		t.Errorf("room is still kept: %+v", st.s.Reservations())
	}
}

// The room is kept for whom it was made: others of the same queue do not take it.
func TestPreemptedRoomIsKept(t *testing.T) {
	st := newStage(t, 1, 100)
	st.run(1, "low", "e", "h0", 4, 500)
	st.wait(50, "high", demand(4))
	st.decide(1)
	st.wait(40, "high", demand(1)) // comes first, and would take it
	st.release(1)
	st.placed(50)
}

func TestPreemptSmallestSet(t *testing.T) {
	for _, c := range []struct {
		name  string
		build func(st *stage)
		ask   sched.Demand
		want  []job.Key
	}{
		{"one host needs one, the other two", func(st *stage) {
			st.run(1, "low", "e", "h0", 2, 100)
			st.run(2, "low", "e", "h0", 2, 100)
			st.run(3, "low", "e", "h1", 4, 9000)
		}, demand(4), []job.Key{3}},
		{"one that suffices alone goes before two younger", func(st *stage) {
			st.run(1, "low", "e", "h0", 1, 100)
			st.run(2, "low", "e", "h0", 1, 100)
			st.run(3, "low", "e", "h0", 2, 9000)
			st.run(4, "steady", "e", "h1", 4, 100)
		}, demand(2), []job.Key{3}},
		{"Spot before younger", func(st *stage) {
			st.run(1, "low", "e", "h0", 4, 100)
			st.run(2, "low", "spot", "h1", 4, 9000)
		}, demand(4), []job.Key{2}},
		{"least work lost", func(st *stage) {
			st.run(1, "low", "e", "h0", 4, 900)
			st.run(2, "low", "e", "h1", 4, 800)
		}, demand(4), []job.Key{2}},
		{"not before it has run a minute", func(st *stage) {
			st.run(1, "low", "e", "h0", 4, 59)
			st.run(2, "low", "e", "h1", 4, 30)
		}, demand(4), nil},
		{"nobody, if it does not help", func(st *stage) {
			st.run(1, "low", "e", "h0", 2, 900)
			st.run(2, "steady", "e", "h0", 2, 900)
			st.run(3, "steady", "e", "h1", 2, 900)
			st.run(4, "low", "e", "h1", 2, 900)
		}, demand(4), nil},
		{"nobody, for one that fits nowhere", func(st *stage) { st.run(1, "low", "e", "h0", 4, 900) }, demand(5), nil},
		{"a gang takes one from each host", func(st *stage) {
			st.run(1, "low", "e", "h0", 4, 900)
			st.run(2, "low", "e", "h1", 4, 900)
		}, sched.Demand{Shape: process(3000), Nodes: 2}, []job.Key{1, 2}},
	} {
		t.Run(c.name, func(t *testing.T) {
			st := newStage(t, 2, 100)
			st.T = t
			c.build(st)
			st.wait(50, "high", c.ask)
			st.decide(c.want...)
		})
	}
}

// What is missing may be other than hosts: vCPUs of the environment, or tokens.
func TestPreemptForOtherThanHosts(t *testing.T) {
	st := newStage(t, 4, 6)
	st.run(1, "low", "e", "h0", 3, 900)
	st.run(2, "low", "e", "h1", 3, 800)
	st.run(3, "low", "spot", "h2", 3, 700) // would not help
	st.wait(50, "high", demand(1))
	st.decide(2)

	st = newStage(t, 2, 100)
	st.s.SetToken("licence", 2, true)
	for k := range job.Key(2) {
		st.s.Take(job.Ref{Key: k + 1, Index: job.Whole}, "low", licensed(1, 1), []string{"h0"}, "e", st.now-900*µs)
	}
	st.run(3, "low", "e", "h1", 1, 100)
	st.wait(50, "high", licensed(1, 2))
	st.decide(1, 2)

	st = newStage(t, 2, 100)
	st.s.SetToken("licence", 1, true)
	st.run(1, "low", "e", "h0", 4, 100) // its room would do, and is preferred: less work is lost
	st.s.Take(job.Ref{Key: 2, Index: job.Whole}, "low", licensed(4, 1), []string{"h1"}, "e", st.now-900*µs)
	st.wait(50, "high", licensed(4, 1))
	st.decide(2) // it gives the licence, and room too
}

// While room is made for a unit nobody takes the tokens that it needs beside the room: its
// victims would have been stopped in vain.
func TestPreemptKeepsTokens(t *testing.T) {
	st := newStage(t, 2, 100)
	st.s.SetToken("licence", 3, true)
	st.run(1, "low", "e", "h0", 4, 900)
	st.run(2, "steady", "e", "h1", 2, 900)
	st.wait(50, "high", licensed(4, 2))
	st.decide(1)
	st.wait(40, "high", licensed(1, 2)) // it comes first, would fit, and leaves too few
	st.wait(60, "high", licensed(1, 1)) // leaves enough
	st.placed(60)
	st.release(1)
	st.placed(50)
}

// Nobody is stopped in one environment while in another what is being stopped already is
// enough.
func TestPreemptNotInTheOtherEnvironment(t *testing.T) {
	st := newStage(t, 3, 6)
	st.s.SetQueue(job.Queue{Name: "high", Priority: 9, Enabled: true, Environments: []string{"e", "spot"}})
	st.s.SetToken("licence", 1, true)
	st.s.Take(job.Ref{Key: 1, Index: job.Whole}, "low", licensed(1, 1), []string{"h0"}, "e", st.now-900*µs)
	st.s.Leave(job.Ref{Key: 1, Index: job.Whole}) // somebody has cancelled it
	st.run(2, "low", "spot", "h1", 4, 900)
	st.run(3, "low", "spot", "h0", 1, 900)
	st.wait(50, "high", licensed(2, 1)) // has room in e, and not in spot; soon it has its token
	st.decide()
	st.release(1)
	st.placed(50)
}

// A gang as a victim goes whole, and is counted once.
func TestPreemptGangWhole(t *testing.T) {
	st := newStage(t, 2, 100)
	st.wait(1, "low", sched.Demand{Shape: process(4000), Nodes: 2})
	st.placed(1)
	st.now += 100 * µs
	st.wait(50, "high", sched.Demand{Shape: process(4000), Nodes: 2})
	st.decide(1)
	st.release(1)
	st.placed(50)
}

// Room is made for few at a time, however many wait.
func TestPreemptionIsBounded(t *testing.T) {
	st := newStage(t, 100, 1000)
	for i := range 100 {
		st.run(job.Key(i+1), "low", "e", fmt.Sprintf("h%d", i), 4, 900)
	}
	st.s.Add("high", demand(4), 500, false, 0, 1000)
	stopped := 0
	for range 30 {
		n := len(st.s.Decide(st.now, 100).Preempt)
		if n > 4 {
			t.Fatalf("%d at once", n)
		}
		stopped += n
		st.now += µs
	}
	if stopped != 4 {
		t.Fatalf("%d are being stopped, none has stopped; 4 is the bound", stopped)
	}
}

// The room is given up when nobody waits for it any more, and when it never comes.
func TestPreemptedRoomIsGivenUp(t *testing.T) {
	for name, end := range map[string]func(st *stage){
		"the unit is cancelled": func(st *stage) {
			st.s.Remove("high", demand(4), 50, job.Whole, job.Whole+1)
		},
		"the host goes": func(st *stage) { st.s.OpenHost("h0", false) },
		"time passes":   func(st *stage) { st.now += 700 * µs },
	} {
		st := newStage(t, 1, 100)
		st.run(1, "low", "e", "h0", 4, 900)
		st.wait(50, "high", demand(4))
		st.wait(60, "steady", demand(4))
		st.decide(1)
		end(st)
		if p := st.s.Decide(st.now, 100); len(st.s.Reservations()) != 0 || len(p.Preempt) != 0 {
			t.Errorf("%s: %+v", name, p)
		}
	}
}

// lending is a queue of two quota shares on 8 vCPUs: a owns 4 and lends, b owns 2 and
// borrows up to so many percent more.
func lending(t *testing.T, borrow int32, urgent bool) *stage {
	st := newStage(t, 2, 100)
	st.s.SetQueue(job.Queue{Name: "q", Priority: 1, Enabled: true, Environments: []string{"e"}})
	st.s.SetQuotas("q", []sched.QuotaShare{
		{Name: "a", Limit: sched.Limit{MilliVCPU: 4000}, Lends: true},
		{Name: "b", Limit: sched.Limit{MilliVCPU: 2000}, Lends: true, Borrows: true, Borrow: borrow, Urgent: urgent},
		{Name: "c", Limit: sched.Limit{MilliVCPU: 2000}},
	})
	return st
}

func TestLendAndBorrow(t *testing.T) {
	for _, c := range []struct {
		name   string
		borrow int32
		share  string
		runs   int
	}{
		{"all that others own and lend", -1, "b", 6},
		{"its own and half of it", 50, "b", 3},
		{"nothing", 0, "b", 2},
		{"a lender does not borrow", -1, "a", 4},
		{"who reserves does neither", -1, "c", 2},
	} {
		st := lending(t, c.borrow, false)
		for k := range job.Key(8) {
			st.wait(k+1, "q", shared(1, c.share))
		}
		if p := st.s.Decide(st.now, 100); len(p.Places) != c.runs {
			t.Errorf("%s: %d run, want %d", c.name, len(p.Places), c.runs)
		}
	}
}

// Who owns what is idle comes before who would borrow it, also if it came later.
func TestOwnersFirst(t *testing.T) {
	st := lending(t, -1, false)
	for k := range job.Key(6) {
		st.wait(k+1, "q", shared(1, "b"))
	}
	st.wait(7, "q", shared(3, "a"))
	st.placed(1, 2, 7, 3)
}

func TestReclaim(t *testing.T) {
	st := lending(t, -1, false)
	st.s.SetEnvironment(job.Environment{Name: "e", Enabled: true, HostJobs: true, MaxMilliVCPU: 6000})
	for k := range job.Key(6) {
		st.now += µs
		st.wait(k+1, "q", shared(1, "b"))
		st.placed(k + 1)
	}
	st.now += 60 * µs
	st.wait(50, "q", shared(3, "a"))
	st.decide(4, 5, 6) // three of the four that it borrows, the youngest
	for k := job.Key(4); k <= 6; k++ {
		st.release(k)
		st.s.Add("q", shared(1, "b"), k, true, job.Whole, job.Whole+1)
	}
	st.placed(50)
	st.now += 100 * µs
	st.wait(51, "q", shared(1, "a"))
	st.decide(3) // the last one that is borrowed
	st.release(3)
	st.placed(51)
	st.now += 100 * µs
	st.wait(52, "q", shared(1, "a")) // would be above its own
	st.wait(53, "q", shared(1, "b")) // borrows, and takes nothing back
	st.decide()
}

func TestPreemptInOneShare(t *testing.T) {
	for _, urgent := range []bool{true, false} {
		st := lending(t, 0, urgent)
		st.wait(1, "q", shared(2, "b"))
		st.placed(1)
		st.now += 100 * µs
		d := shared(1, "b")
		st.wait(49, "q", d)
		d.Priority = 5
		st.wait(50, "q", d)
		if !urgent {
			st.decide()
			continue
		}
		st.decide(1)
		st.release(1)
		st.s.Add("q", shared(2, "b"), 1, true, job.Whole, job.Whole+1)
		st.placed(50, 49)
	}
}

// Times of preemption depend on the clock that is passed in alone, also when that is set back.
func TestPreemptClockSetBack(t *testing.T) {
	st := newStage(t, 1, 100)
	st.run(1, "low", "e", "h0", 4, 900)
	st.wait(50, "high", demand(5)) // does not fit: a round without a result
	st.decide()
	st.now -= 500 * µs
	st.wait(51, "high", sched.Demand{Shape: sched.Shape{Need: resource.Vector{MilliVCPU: 4000}, Executor: sched.Process}})
	st.decide(1)
}
