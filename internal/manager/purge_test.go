package manager_test

import (
	"testing"
	"time"

	"drover/internal/core/job"
	"drover/internal/store"
	"drover/internal/store/storetest"
)

// What has ended is kept for its term and not longer; what has not ended stays.
func TestEndedJobsAreKeptForTheirTerm(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		m := open(t, db)
		setUp(t, m)
		worker(t, m, "h", 1, ok)
		plain, array := submit(t, m, spec(0)), submit(t, m, spec(3))
		waitFor(t, m, plain.String(), job.Succeeded)
		waitFor(t, m, array.String(), job.Succeeded)
		big := spec(0)
		big.Need.MilliVCPU = 64000
		waits := submit(t, m, big)

		const week, day = 7 * 24 * time.Hour, 24 * time.Hour
		there := func(after time.Duration) (names int) {
			t.Helper()
			for {
				n, err := m.Purge(t.Context(), time.Now().Add(after), week)
				if err != nil {
					t.Fatal(err)
				}
				if n == 0 {
					break
				}
			}
			v, err := m.Describe(t.Context(), []string{plain.String(), array.String(), job.Name(array, 2), waits.String()})
			if err != nil {
				t.Fatal(err)
			}
			return len(v)
		}
		if n := there(week - day); n != 4 {
			t.Errorf("after six days %d of 4 are there", n)
		}
		if n := there(week + day); n != 1 {
			t.Errorf("after eight days %d are there, want the one that waits", n)
		}
		if _, err := m.Submit(t.Context(), []*job.Spec{spec(0)}); err != nil {
			t.Errorf("submitting after the purge: %v", err)
		}
	})
}

// A deregistered revision is described for 180 days; its number is never given again.
func TestDeregisteredDefinitionsAreKeptForTheirTerm(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		m := open(t, db)
		ctx, now := t.Context(), time.Now()
		for range 3 {
			if _, err := m.RegisterDefinition(ctx, job.Definition{Name: "d"}); err != nil {
				t.Fatal(err)
			}
		}
		for _, revision := range []int32{1, 3} {
			if _, err := m.UpdateDefinition(ctx, "d", revision, func(d *job.Definition) error {
				d.Active, d.Deregistered = false, now.UnixMicro()
				return nil
			}); err != nil {
				t.Fatal(err)
			}
		}
		for i, want := range []int64{0, 2} {
			days := 179 + 2*i
			if n, err := m.Purge(ctx, now.Add(time.Duration(days)*24*time.Hour), time.Hour); err != nil || n != want {
				t.Errorf("after %d days %d revisions go: %v; want %d", days, n, err, want)
			}
		}
		left, _, err := m.Definitions(ctx, "d", "", 10)
		if err != nil || len(left) != 1 || left[0].Revision != 2 {
			t.Errorf("left are %+v, %v; want the active one", left, err)
		}
		if d, err := m.RegisterDefinition(ctx, job.Definition{Name: "d"}); err != nil || d.Revision != 4 {
			t.Errorf("the next revision is %d, %v; want 4", d.Revision, err)
		}
	})
}
