package manager_test

import (
	"slices"
	"strings"
	"testing"

	"drover/internal/core/job"
)

// live counts the units that hold a lease, by job.
func (r *rig) live(k job.Key) int32 {
	c := r.rows[k].Counts
	return c[job.Starting] + c[job.Running]
}

// finish ends the running units of a job, lowest index first, and gives how many.
func (r *rig) finish(k job.Key, size int32) (n int32) {
	for i := range size {
		key := strings.Join([]string{"1", itoa(i)}, ":")
		if u, ok := r.units[key]; ok && u.Status.Live() {
			r.report(u.Host, exited(lease(k, i, u.Fence), 0))
			n++
		}
	}
	return n
}

func itoa(i int32) string { return job.Name(job.ID{}, i)[37:] }

// Ten tokens and a thousand units never show more than ten running; what cannot be
// replenished drains.
func TestTokensBoundWhatRuns(t *testing.T) {
	for _, kind := range []string{"tokens", "tag of the array", "tag of the queue", "spent"} {
		t.Run(kind, func(t *testing.T) {
			r := newRig(t, 64)
			s := r.spec(1000)
			switch kind {
			case "tokens":
				r.consumable("licence", 10, true)
				s.Consumables = []job.ConsumableNeed{{Name: "licence", Quantity: 1}}
			case "spent":
				r.consumable("licence", 25, false)
				s.Consumables = []job.ConsumableNeed{{Name: "licence", Quantity: 2}}
			case "tag of the array":
				s.MaxRunning = 10
			case "tag of the queue":
				if _, err := r.c.UpdateQueue("default", func(q *job.Queue) error { q.MaxRunning = 10; return nil }); err != nil {
					t.Fatal(err)
				}
			}
			r.submit(s)
			most, ran := r.live(1), int32(0)
			for n := int32(1); n > 0; ran += n {
				n = r.finish(1, 1000)
				most = max(most, r.live(1))
			}
			switch {
			case kind == "spent" && (ran != 12 || r.stock("licence") != "1: 0 in use, 1 available"):
				t.Errorf("%d units ran for 25 sheets of which each takes 2; left %s", ran, r.stock("licence"))
			case kind != "spent" && (most != 10 || ran != 1000):
				t.Errorf("%d ran, at most %d together; want 1000 and 10", ran, most)
			}
		})
	}
}

// The maximum of a queue holds for the jobs of a Core that begins anew, and goes with the tag.
func TestMaximumIsRaised(t *testing.T) {
	r := newRig(t, 64)
	change := func(n int32) {
		if _, err := r.c.UpdateQueue("default", func(q *job.Queue) error { q.MaxRunning = n; return nil }); err != nil {
			t.Fatal(err)
		}
		r.settle()
	}
	change(2)
	r.submit(r.spec(10))
	if n := r.live(1); n != 2 {
		t.Errorf("%d run, want 2", n)
	}
	change(5)
	if n := r.live(1); n != 5 {
		t.Errorf("%d run after the maximum was raised, want 5", n)
	}
	change(0)
	if n := r.live(1); n != 10 {
		t.Errorf("%d run without a maximum, want 10", n)
	}
}

// Each retry after running out of memory gets twice as much, up to eight times what was
// asked for and never more than a host has; other failures do not.
func TestMemoryGrows(t *testing.T) {
	r := newRig(t, 8)
	s := r.spec(0)
	s.GrowMemory, s.Retry.Attempts, s.Need.MemoryMiB = true, 10, 100
	small := r.spec(0)
	small.Retry.Attempts, small.Need.MemoryMiB = 10, 100
	huge := r.spec(0)
	huge.GrowMemory, huge.Retry.Attempts, huge.Need.MemoryMiB = true, 10, 600_000
	r.submit(s, small, huge)
	got := map[job.Key][]int64{}
	for len(r.sends) > 0 {
		a := r.sends[0].Start
		r.sends = r.sends[1:]
		got[a.Ref.Key] = append(got[a.Ref.Key], a.Need.MemoryMiB)
		code := int32(137)
		x := &job.Exit{Code: &code, Cause: job.CauseMemory, Reason: job.ReasonMemory}
		if a.Attempt == 3 {
			x.Cause, x.Reason = job.CauseExit, ""
		}
		r.report("h0", job.Report{Lease: a.Lease, Exit: x})
	}
	for k, want := range map[job.Key][]int64{1: {100, 200, 400, 400, 800, 800}, 2: {100, 100, 100, 100, 100, 100}, 3: {600_000, 1 << 20, 1 << 20}} {
		if len(got[k]) != 10 || !slices.Equal(got[k][:len(want)], want) {
			t.Errorf("memory of the attempts of job %d: %v, want %v", k, got[k], want)
		}
	}
}
