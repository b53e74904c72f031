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
