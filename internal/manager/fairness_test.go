package manager_test

import (
	"fmt"
	"math"
	"testing"

	"drover/internal/core/job"
	"drover/internal/manager"
)

// fairRig has a queue that is shared by a policy.
func fairRig(t *testing.T, vcpus int64, p job.FairShare) *rig {
	r := newRig(t)
	if _, err := r.c.UpdateEnvironment("local", func(e *job.Environment) error { e.MaxMilliVCPU = vcpus * 1000; return nil }); err != nil {
		t.Fatal(err)
	}
	if err := r.c.CreatePolicy(job.SchedulingPolicy{Name: "p", Fair: &p}); err != nil {
		t.Fatal(err)
	}
	if err := r.c.CreateQueue(job.Queue{Name: "fair", Enabled: true, Environments: []string{"local"}, Policy: "p"}); err != nil {
		t.Fatal(err)
	}
	r.hello("h0", "b", vcpus)
	return r
}

// backlog submits an array for a share, large enough to keep the queue busy.
func (r *rig) backlog(share string, size int32) {
	s := r.spec(size)
	s.Queue, s.Share = "fair", share
	r.submit(s)
}

// run lets units run for ten seconds each, second by second, and counts the vCPU seconds
// that each share got.
func (r *rig) run(seconds int) map[string]float64 {
	r.t.Helper()
	used := map[string]float64{}
	for range seconds {
		s, ok := r.c.Snapshot("fair", r.now.Wall)
		if !ok {
			r.t.Fatal("no snapshot")
		}
		for _, u := range s.Shares {
			used[u.Share] += float64(u.MilliVCPU) / 1000
		}
		r.pass(second)
		if err := r.c.Heartbeat("h0", "s-h0", r.now); err != nil {
			r.t.Fatal(err)
		}
		var due []job.Report
		for _, m := range r.sends {
			if m.Start != nil && r.units[fmt.Sprintf("%d:%d", m.Start.Ref.Key, m.Start.Ref.Index)].Placed+10*second <= r.now.Wall {
				due = append(due, exited(m.Start.Lease, 0))
			}
		}
		r.sends = r.sends[len(due):] // they start, and end, in order
		r.report("h0", due...)
	}
	return used
}

func near(got, want float64) bool { return math.Abs(got-want) <= 0.05*want }

// Weights of 1 and 1/8 give eight times the vCPU time; a prefix gives each identifier that
// it matches its weight, however many there are.
func TestFairShareFollowsWeights(t *testing.T) {
	r := fairRig(t, 9, job.FairShare{Weights: []job.ShareWeight{{Share: "light*", Weight: job.WeightOne / 8}}})
	r.backlog("heavy", 6000)
	r.backlog("light1", 6000)
	r.run(600) // the first to come had the queue alone for a moment
	used := r.run(3000)
	if !near(used["light1"]/used["heavy"], 8) {
		t.Errorf("weights 1:8 gave %v", used)
	}

	r = fairRig(t, 17, job.FairShare{Weights: []job.ShareWeight{{Share: "light*", Weight: job.WeightOne / 8}}})
	for _, share := range []string{"heavy", "light1", "light2"} {
		r.backlog(share, 6000)
	}
	r.run(600)
	used = r.run(3000)
	if !near(used["light1"]/used["heavy"], 8) || !near(used["light2"]/used["heavy"], 8) {
		t.Errorf("two identifiers of a prefix with weight 1/8 gave %v", used)
	}
}

// computeReservation 50 leaves 50, 25 and 12.5 % free with one, two and three active shares.
func TestComputeReservation(t *testing.T) {
	r := fairRig(t, 16, job.FairShare{Reservation: 50})
	for i, want := range []int64{8000, 12_000, 14_000} {
		r.backlog(fmt.Sprint("s", i), 100)
		if s, _ := r.c.Snapshot("fair", r.now.Wall); s.MilliVCPU != want {
			t.Errorf("%d active shares run %d of 16000, want %d", i+1, s.MilliVCPU, want)
		}
	}
}

// A share that has used the queue alone yields to one that comes, also when another manager
// began in between.
func TestUsageCountsAfterARestart(t *testing.T) {
	r := fairRig(t, 4, job.FairShare{})
	r.backlog("old", 2000)
	r.run(3000)
	img := manager.Image{NextKey: 2, Policies: r.c.Policies(), Queues: r.c.Queues(), Environments: r.c.Environments(), Usage: r.usage}
	next := &rig{t: t, now: r.now, ids: 100, units: map[string]job.Unit{}, rows: map[job.Key]manager.JobRow{}}
	next.c = manager.New(manager.Options{LeaseTTL: 30 * second, KeepEnded: 60 * second}, img, next.now)
	next.backlog("old", 100)
	next.backlog("new", 100)
	next.hello("h0", "b", 4)
	next.settle()
	s, _ := next.c.Snapshot("fair", next.now.Wall)
	if len(s.Shares) != 1 || s.Shares[0].Share != "new" {
		t.Errorf("after the restart these run: %+v, want new alone", s.Shares)
	}
}

// A quota share runs no more than its capacity, however much is free, and another share's
// jobs do not wait for it.
func TestQuotaSharesReserve(t *testing.T) {
	r := newRig(t, 16)
	if err := r.c.CreatePolicy(job.SchedulingPolicy{Name: "p", Quota: true}); err != nil {
		t.Fatal(err)
	}
	if err := r.c.CreateQueue(job.Queue{Name: "fair", Enabled: true, Environments: []string{"local"}, Policy: "p"}); err != nil {
		t.Fatal(err)
	}
	for name, vcpus := range map[string]int64{"a": 3, "b": 5} {
		if err := r.c.CreateQuotaShare(job.QuotaShare{Name: name, Queue: "fair", Enabled: true, Limits: []job.CapacityLimit{{Unit: "VCPU", Max: vcpus}}}); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"a", "b"} {
		s := r.spec(50)
		s.Queue, s.QuotaShare = "fair", name
		r.submit(s)
	}
	s, _ := r.c.Snapshot("fair", r.now.Wall)
	if got := fmt.Sprint(s.Shares); got != "[{b 5000} {a 3000}]" {
		t.Errorf("the shares run %s", got)
	}
	if _, err := r.c.UpdateQuotaShare("fair", "a", func(q *job.QuotaShare) error { q.Limits[0].Max = 4; return nil }); err != nil {
		t.Fatal(err)
	}
	r.settle()
	s, _ = r.c.Snapshot("fair", r.now.Wall)
	if got := fmt.Sprint(s.Shares); got != "[{b 5000} {a 4000}]" {
		t.Errorf("after its capacity was raised the shares run %s", got)
	}
}

// Inside a share the job with the higher priority goes first, then the older one.
func TestPriorityInsideAShare(t *testing.T) {
	r := fairRig(t, 1, job.FairShare{})
	for _, priority := range []int32{5, 0, 9, 5} { // the first runs while the others come
		s := r.spec(0)
		s.Queue, s.Share, s.Priority = "fair", "a", priority
		r.submit(s)
	}
	for _, k := range []job.Key{1, 3, 4, 2} {
		if got := r.take(); got != fmt.Sprintf("start %d:-1/1", k) {
			t.Errorf("%s; want job %d", got, k)
		}
		r.report("h0", exited(lease(k, job.Whole, 1), 0))
	}
}

func TestQuotaSharesAreBounded(t *testing.T) {
	r := newRig(t)
	if err := r.c.CreatePolicy(job.SchedulingPolicy{Name: "p", Quota: true}); err != nil {
		t.Fatal(err)
	}
	if err := r.c.CreateQueue(job.Queue{Name: "q", Enabled: true, Environments: []string{"local"}, Policy: "p"}); err != nil {
		t.Fatal(err)
	}
	for i := range job.MaxQuotaShares + 1 {
		err := r.c.CreateQuotaShare(job.QuotaShare{Name: fmt.Sprint("s", i), Queue: "q", Enabled: true})
		if want := i < job.MaxQuotaShares; (err == nil) != want {
			t.Errorf("share %d: %v", i+1, err)
		}
	}
	if _, err := r.c.UpdateQueue("q", func(q *job.Queue) error { q.Enabled = false; return nil }); err != nil {
		t.Fatal(err)
	}
	if err := r.c.DeleteQueue("q", r.now); err != nil || len(r.c.QuotaShares("q")) != 0 {
		t.Errorf("the shares of a queue outlive it: %v, %v", r.c.QuotaShares("q"), err)
	}
}
