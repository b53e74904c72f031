package manager_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"drover/internal/core/job"
	"drover/internal/core/resource"
	"drover/internal/manager"
	"drover/internal/store/storetest"
)

func (r *rig) consumable(name string, total int64, replenishable bool) {
	r.t.Helper()
	if err := r.c.CreateConsumable(job.Consumable{Name: name, Total: total, Replenishable: replenishable}, r.now); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) stock(name string) string {
	for _, s := range r.c.Consumables() {
		if s.Name == name {
			return fmt.Sprintf("%d: %d in use, %d available", s.Total, s.InUse, s.Available)
		}
	}
	return "none"
}

// A unit holds its tokens from STARTING to the end of its attempt; what is not
// replenishable goes off the total when the unit starts, and a restart changes neither.
func TestConsumablesAreCounted(t *testing.T) {
	r := newRig(t, 8)
	r.consumable("licence", 10, true)
	r.consumable("sheet", 10, false)
	s := r.spec(3)
	s.Consumables = []job.ConsumableNeed{{Name: "licence", Quantity: 2}, {Name: "sheet", Quantity: 3}}
	r.submit(s)
	if got := r.stock("licence"); got != "10: 6 in use, 4 available" {
		t.Errorf("licence while three run: %s", got)
	}
	if got := r.stock("sheet"); got != "1: 0 in use, 1 available" {
		t.Errorf("sheet while three run: %s", got)
	}
	last := map[string]any{}
	for _, x := range r.records {
		last[x.Key] = x.Value
	}
	if left := last["sheet"].(job.Consumable).Total; left != 1 {
		t.Errorf("the record says that %d sheets are left, want 1", left)
	}
	r.report("h0", exited(lease(1, 0, 1), 0), exited(lease(1, 1, 1), 0), exited(lease(1, 2, 1), 0))
	if got := r.stock("licence") + "; " + r.stock("sheet"); got != "10: 0 in use, 10 available; 1: 0 in use, 1 available" {
		t.Errorf("after the end: %s", got)
	}
}

// A deleted resource may be made again while units of the old one run: it is the same.
func TestDeletedConsumableKeepsItsHolders(t *testing.T) {
	r := newRig(t, 8)
	r.consumable("licence", 10, true)
	s := r.spec(0)
	s.Consumables = []job.ConsumableNeed{{Name: "licence", Quantity: 4}}
	r.submit(s)
	if err := r.c.DeleteConsumable("licence"); err != nil {
		t.Fatal(err)
	}
	if r.stock("licence") != "none" {
		t.Error("the resource is still listed")
	}
	r.consumable("licence", 5, true)
	if got := r.stock("licence"); got != "5: 4 in use, 1 available" {
		t.Errorf("made again: %s", got)
	}
	r.report("h0", exited(lease(1, job.Whole, 1), 0))
	if got := r.stock("licence"); got != "5: 0 in use, 5 available" {
		t.Errorf("after the end: %s", got)
	}
}

// The unit at the head of a queue is cancelled when it has waited there long enough for the
// reason that the queue names, and for no other.
func TestTimeLimitAtTheHead(t *testing.T) {
	r := newRig(t, 2)
	q := job.Queue{Name: "limited", Enabled: true, Environments: []string{"local"}, TimeLimits: []job.TimeLimit{{Reason: "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT", Seconds: 600}}}
	if err := r.c.CreateQueue(q); err != nil {
		t.Fatal(err)
	}
	big, busy := r.spec(0), r.spec(0)
	big.Queue, big.Need = "limited", resource.Vector{MilliVCPU: 64_000, MemoryMiB: 1}
	busy.Need.MilliVCPU = 2000
	r.submit(busy)
	other := r.spec(0)
	other.Need.MilliVCPU = 2000 // waits for capacity, in a queue without limits
	r.submit(big, other)
	tick := func(d int64) {
		r.pass(d)
		r.hello("h0", "b", 2, lease(1, job.Whole, 1)) // its lease must not run out
		r.c.Tick(r.now)
		r.settle()
	}
	tick(second)
	tick(599 * second)
	if r.rows[2].Status != job.Runnable {
		t.Fatalf("after 600 s of which 599 s at the head: %s", r.rows[2].Status)
	}
	tick(second)
	if got := r.rows[2]; got.Status != job.Failed || got.Reason != "Canceled by JobStateTimeLimit action due to reason: MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT" {
		t.Errorf("after 600 s at the head: %s %q", got.Status, got.Reason)
	}
	if r.rows[3].Status != job.Runnable {
		t.Errorf("a job of another queue is %s", r.rows[3].Status)
	}
}

// A queue whose first unit can never run is blocked at once, one that wants capacity after
// ten minutes; each is told once.
func TestBlockedQueueIsTold(t *testing.T) {
	r := newRig(t, 2)
	if err := r.c.CreateQueue(job.Queue{Name: "other", Enabled: true, Environments: []string{"local"}}); err != nil {
		t.Fatal(err)
	}
	big, busy, waits := r.spec(0), r.spec(0), r.spec(0)
	big.Queue, big.Need = "other", resource.Vector{MilliVCPU: 64_000, MemoryMiB: 1}
	busy.Need.MilliVCPU, waits.Need.MilliVCPU = 2000, 2000
	r.submit(busy, big, waits)
	var told []string
	tick := func(d int64) {
		r.pass(d)
		r.hello("h0", "b", 2, lease(1, job.Whole, 1)) // its lease must not run out
		r.c.Tick(r.now)
		r.settle()
		told = nil
		for _, m := range r.moves {
			if strings.Contains(m, "RUNNABLE>RUNNABLE") {
				told = append(told, m)
			}
		}
	}
	tick(second)
	if len(told) != 1 || !strings.HasPrefix(told[0], "2[-1--1] RUNNABLE>RUNNABLE MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT - ") {
		t.Fatalf("at first: %+v", told)
	}
	tick(590 * second)
	if len(told) != 1 {
		t.Fatalf("before the ten minutes are over: %+v", told)
	}
	tick(10 * second)
	tick(600 * second)
	if len(told) != 2 || !strings.HasPrefix(told[1], "3[-1--1] RUNNABLE>RUNNABLE CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY - ") {
		t.Fatalf("after ten minutes: %+v", told)
	}
}

// A job that AWS would find wrong after SubmitJob has answered fails at once, whatever it
// waits for, and so do those that wait for it.
func TestDoomedAtSubmission(t *testing.T) {
	r := newRig(t, 2)
	plain, array, after := r.spec(0), r.spec(3), r.spec(0)
	plain.Doom, array.Doom = "too many tags", "too many tags"
	r.submit(plain, array)
	after.Dependencies = []job.Dependency{{Kind: job.AfterJob, ID: plain.ID}}
	r.submit(after)
	for k, want := range map[job.Key]string{1: "too many tags", 3: job.ReasonDependency} {
		if got := r.rows[k]; got.Status != job.Failed || got.Reason != want {
			t.Errorf("job %d is %s %q", k, got.Status, got.Reason)
		}
	}
	if got := r.rows[2]; got.Status != job.Failed || got.Counts[job.Failed] != 3 {
		t.Errorf("the array is %s %v", got.Status, got.Counts)
	}
}

// What a share has used is in the rows, so that the next manager can go on with it.
func TestUsageIsKept(t *testing.T) {
	db := storetest.SQLite(t)
	m := open(t, db)
	ctx := t.Context()
	setUp(t, m)
	if err := m.CreatePolicy(ctx, job.SchedulingPolicy{Name: "p", Fair: &job.FairShare{}}); err != nil {
		t.Fatal(err)
	}
	if err := m.CreateQueue(ctx, job.Queue{Name: "fair", Enabled: true, Environments: []string{"local"}, Policy: "p"}); err != nil {
		t.Fatal(err)
	}
	worker(t, m, "h", 4, func(job.Lease) int32 { time.Sleep(5 * time.Millisecond); return 0 })
	for _, share := range []string{"a", "b"} {
		s := spec(4)
		s.Queue, s.Share = "fair", share
		waitFor(t, m, submit(t, m, s).String(), job.Succeeded)
	}
	j, err := manager.NewJournal(ctx, db)
	if err != nil {
		t.Fatal(err)
	}
	var img manager.Image
	if err := j.Load(ctx, func(part manager.Image) { img.Usage = append(img.Usage, part.Usage...) }); err != nil {
		t.Fatal(err)
	}
	used := map[string]int64{}
	for _, u := range img.Usage {
		used[u.Queue+"/"+u.Share] += u.Amount
		if u.At%60_000_000 != 0 {
			t.Errorf("a row of no whole minute: %+v", u)
		}
	}
	// Four children of one vCPU, 5 ms or more each.
	if used["fair/a"] < 4*1000*5 || used["fair/b"] < 4*1000*5 || len(used) != 2 {
		t.Errorf("usage %v, want at least %d for each of two shares", used, 4*1000*5)
	}
}

func TestSnapshot(t *testing.T) {
	r := newRig(t, 4)
	running, waiting := r.spec(3), r.spec(0)
	waiting.Need.MilliVCPU = 4000
	r.submit(running)
	r.submit(waiting)
	s, ok := r.c.Snapshot("default", r.now.Wall)
	if !ok || s.MilliVCPU != 3000 || len(s.Front) != 1 || s.Front[0].ID != waiting.ID || s.Front[0].Index != job.Whole || len(s.Shares) != 0 {
		t.Errorf("snapshot %+v", s)
	}
	if _, ok := r.c.Snapshot("none", r.now.Wall); ok {
		t.Error("a queue that does not exist has a snapshot")
	}
}

func TestConsumersAreListed(t *testing.T) {
	m := open(t, storetest.SQLite(t))
	ctx := t.Context()
	setUp(t, m)
	if err := m.CreateConsumable(ctx, job.Consumable{Name: "r", Total: 5, Replenishable: true}); err != nil {
		t.Fatal(err)
	}
	var want []string
	for i := range 5 {
		s := spec(0)
		s.Name = fmt.Sprint("job-", i)
		if i != 2 {
			s.Consumables = []job.ConsumableNeed{{Name: "r", Quantity: 1}}
			want = append(want, s.Name)
		}
		submit(t, m, s)
	}
	list := func(q manager.ConsumerQuery) (names []string) {
		q.Resource = "r"
		for {
			views, next, err := m.Consumers(ctx, q)
			if err != nil {
				t.Fatal(err)
			}
			for _, v := range views {
				names = append(names, v.Spec.Name)
			}
			if q.Token = next; next == "" {
				return names
			}
		}
	}
	if got := list(manager.ConsumerQuery{Limit: 3}); strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("listed %v, want %v", got, want)
	}
	if got := list(manager.ConsumerQuery{Limit: 10, Name: "JOB-4"}); len(got) != 1 {
		t.Errorf("by name: %v", got)
	}
	if got := list(manager.ConsumerQuery{Limit: 10, Status: job.Succeeded}); len(got) != 0 {
		t.Errorf("by status: %v", got)
	}
}
