package manager_test

import (
	"fmt"
	"testing"
	"time"

	"drover/internal/core/job"
	"drover/internal/core/tape"
	"drover/internal/manager"
	"drover/internal/store"
	"drover/internal/store/storetest"
)

// The recorded history of a manager with real workers, read from the store and played,
// reproduces the real order of dispatch exactly: each start at its time on its host. A
// restart begins a history of its own.
func TestHistoryIsExact(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		m := open(t, db)
		setUp(t, m)
		ctx := t.Context()
		if err := m.CreateQueue(ctx, job.Queue{Name: "lxf", Priority: 1, Enabled: true, Environments: []string{"local"}, Tags: map[string]string{"drover:policy": "lxf"}}); err != nil {
			t.Fatal(err)
		}
		for h := range 3 {
			worker(t, m, fmt.Sprint("h", h), 2, func(l job.Lease) int32 {
				return int32(l.Attempt % 2) // the first attempt fails
			})
		}
		var ids []job.ID
		units := 0
		for i := range 30 {
			s := spec(int32(i%4) * 5)
			s.Retry.Attempts = 2
			s.Need.MilliVCPU = int64(1+i%4) * 500
			if i%3 == 0 {
				s.Queue, s.TimeoutSeconds = "lxf", int32(10*(1+i))
			}
			ids = append(ids, submit(t, m, s))
			units += max(i%4*5, 1)
		}
		hosts := map[job.Ref]string{}
		for deadline := time.Now().Add(60 * time.Second); ; time.Sleep(5 * time.Millisecond) {
			ended := 0
			for _, id := range ids {
				views, err := m.Describe(ctx, []string{id.String()})
				if err != nil {
					t.Fatal(err)
				}
				if views[0].Unit.Status.Terminal() {
					ended++
				}
			}
			if ended == len(ids) {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("%d of %d jobs have ended", ended, len(ids))
			}
		}
		for _, id := range ids {
			views, err := m.Describe(ctx, []string{id.String()})
			if err != nil {
				t.Fatal(err)
			}
			for i := range max(views[0].Spec.Size, 1) {
				name, index := id.String(), job.Whole
				if views[0].Spec.Size > 0 {
					name, index = job.Name(id, i), i
				}
				views, err := m.Describe(ctx, []string{name})
				if err != nil {
					t.Fatal(err)
				}
				if len(views[0].Attempts) != 2 {
					t.Fatalf("%s has %d attempts", name, len(views[0].Attempts))
				}
				hosts[job.Ref{Key: views[0].Key, Index: index}] = views[0].Attempts[1].Host
			}
		}
		story := history(t, m, 1)
		if at, ok := story.Same(); !ok || len(story.Starts) != 2*units {
			t.Fatalf("%d starts are recorded, %d were; the order differs at %d", len(story.Starts), 2*units, at)
		}
		last := map[job.Ref]string{}
		for _, s := range story.Played {
			last[s.Ref] = s.Host
		}
		for r, h := range hosts {
			if last[r] != h {
				t.Errorf("%v ran on %s, the history says %s", r, h, last[r])
			}
		}
		again := open(t, db)
		submit(t, again, spec(0))
		if s := history(t, again, 2); len(s.Starts) != 0 || len(s.Units) != 1 {
			t.Errorf("after a restart: %+v", s)
		}
	})
}

// history reads the tape of a term to its end.
func history(t *testing.T, m *manager.Manager, term int64) *tape.Story {
	t.Helper()
	var all []byte
	for at := int64(0); ; {
		rows, err := m.History(t.Context(), 0, term, at, 1000)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range rows {
			if r.Term == term {
				all = append(all, r.Data...)
				at = r.Seq
			}
		}
		if len(rows) == 0 || rows[0].Term != term {
			break
		}
	}
	s, err := tape.Play(all)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
