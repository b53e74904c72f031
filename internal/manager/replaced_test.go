package manager_test

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"drover/internal/core/fault"
	"drover/internal/core/job"
	"drover/internal/manager"
	"drover/internal/store"
	"drover/internal/store/storetest"
)

// run starts a manager and gives the channel on which its end is told.
func run(t *testing.T, db *store.DB) (*manager.Manager, chan error) {
	t.Helper()
	m, err := manager.Open(t.Context(), db, manager.DefaultOptions(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended, over := make(chan error, 1), make(chan struct{})
	go func() { ended <- m.Run(ctx); close(over) }()
	t.Cleanup(func() { cancel(); <-over })
	return m, ended
}

func refused(err error) bool { return fault.Is(err, fault.Unavailable) }

// Of two processes with one database the one that came last leads; the other one can write
// nothing, neither jobs nor anything else, and its store tells it to end.
func TestTwoManagersOnOneDatabase(t *testing.T) {
	for engine, url := range map[string]func(t *testing.T) string{
		"sqlite":   func(t *testing.T) string { return filepath.Join(t.TempDir(), "drover.db") },
		"postgres": func(t *testing.T) string { return storetest.PostgresURL(t) },
	} {
		t.Run(engine, func(t *testing.T) {
			at := url(t)
			var dbs [2]*store.DB
			died := make(chan error, 1)
			for i := range dbs {
				db, err := store.Open(t.Context(), at)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = db.Close() })
				dbs[i] = db
			}
			dbs[0].OnFatal(func(err error) { died <- err })
			dbs[1].OnFatal(func(err error) { t.Errorf("the new leader's store failed: %v", err) })

			old, _ := run(t, dbs[0])
			setUp(t, old)
			first := submit(t, old, spec(0))

			next, _ := run(t, dbs[1])
			if _, err := old.Submit(t.Context(), []*job.Spec{spec(0)}); !refused(err) {
				t.Errorf("the old manager took a job: %v", err)
			}
			if _, err := old.RegisterDefinition(t.Context(), job.Definition{Name: "d"}); !refused(err) {
				t.Errorf("the old process wrote a definition: %v", err)
			}
			select {
			case <-died:
			case <-time.After(30 * time.Second):
				t.Fatal("the old process was not told to end")
			}
			second := submit(t, next, spec(0))
			page, err := next.List(t.Context(), manager.ListQuery{Queue: "default", Limit: 10})
			if err != nil || len(page.Jobs) != 2 || page.Jobs[0].ID != first || page.Jobs[1].ID != second {
				t.Errorf("%v, %+v", err, page.Jobs)
			}
		})
	}
}

// A manager whose term is over ends, also where its store goes on: it must not read the rows
// and begin a term of its own, for then the two would take turns.
func TestAReplacedManagerEnds(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		old, ended := run(t, db)
		setUp(t, old)
		next, _ := run(t, db)
		if _, err := old.Submit(t.Context(), []*job.Spec{spec(0)}); !refused(err) {
			t.Errorf("the old manager took a job: %v", err)
		}
		select {
		case err := <-ended:
			if !errors.Is(err, manager.ErrReplaced) {
				t.Errorf("it ended with %v", err)
			}
		case <-time.After(30 * time.Second):
			t.Fatal("the old manager goes on")
		}
		submit(t, next, spec(0))
	})
}
