package manager_test

import (
	"testing"

	"drover/internal/core/job"
	"drover/internal/manager"
	"drover/internal/store"
	"drover/internal/store/storetest"
)

// A queue with more jobs than one step ends is deleted with all of them and no other, and a
// server that ends with its jobs ends the rest.
func TestEndingManyJobs(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		const many = 1201
		m := open(t, db)
		setUp(t, m)
		ctx := t.Context()
		if err := m.CreateQueue(ctx, job.Queue{Name: "gone", Enabled: true, Environments: []string{"local"}}); err != nil {
			t.Fatal(err)
		}
		var specs []*job.Spec
		for i := range many {
			s := spec(int32(i%400/399) * 3) // a few arrays among them
			s.Queue = "gone"
			specs = append(specs, s)
			if i%100 == 0 {
				specs = append(specs, spec(0))
			}
		}
		if _, err := m.Submit(ctx, specs); err != nil {
			t.Fatal(err)
		}
		count := func(queue string, s job.Status) int {
			t.Helper()
			p, err := m.List(ctx, manager.ListQuery{Queue: queue, Status: s, Limit: 2 * many})
			if err != nil {
				t.Fatal(err)
			}
			return len(p.Jobs)
		}
		if err := m.DeleteQueue(ctx, "gone"); code(err) != "ClientException" {
			t.Errorf("an enabled queue: %v", err)
		}
		if n := count("gone", job.Failed); n != 0 {
			t.Errorf("%d jobs of a queue that stays have ended", n)
		}
		if _, err := m.UpdateQueue(ctx, "gone", func(q *job.Queue) error { q.Enabled = false; return nil }); err != nil {
			t.Fatal(err)
		}
		if err := m.DeleteQueue(ctx, "gone"); err != nil {
			t.Fatal(err)
		}
		if a, b := count("gone", job.Failed), count("default", job.Failed); a != many || b != 0 {
			t.Errorf("%d of %d jobs of the queue have ended, and %d of the other", a, many, b)
		}
		if err := m.TerminateAll(ctx, "over"); err != nil {
			t.Fatal(err)
		}
		if n := count("default", job.Failed); n != 13 {
			t.Errorf("%d of 13 jobs have ended", n)
		}
	})
}
