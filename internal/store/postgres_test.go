package store_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"drover/internal/core/fault"
	"drover/internal/store"
	"drover/internal/store/engine"
	"drover/internal/store/storetest"

	"github.com/jackc/pgx/v5"
)

// others ends all other connections to the database, as a restart of PostgreSQL does.
func others(t *testing.T, url string) {
	t.Helper()
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`)
	if err != nil {
		t.Fatal(err)
	}
}

func TestPostgresConnectionsLost(t *testing.T) {
	url := storetest.PostgresURL(t)
	db, err := store.Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	db.OnFatal(func(err error) { t.Errorf("fatal: %v", err) })
	notes(t, db)
	read(t, db)
	for round := range 3 {
		others(t, url)
		if err := db.Update(t.Context(), note(fmt.Sprint(round))); err != nil {
			t.Errorf("Update after the connections were lost: %v", err)
		}
		others(t, url)
		if got := read(t, db); len(got) != round+1 {
			t.Errorf("%d notes after round %d", len(got), round)
		}
	}
	// In the middle of a closure: the group is run again on a new connection.
	runs := 0
	err = db.Update(t.Context(), func(tx *store.Tx) error {
		if err := note("middle")(tx); err != nil {
			return err
		}
		if runs++; runs == 1 {
			others(t, url)
		}
		return note("end")(tx)
	})
	if err != nil || runs != 2 {
		t.Errorf("%v after %d runs, want success after 2", err, runs)
	}
	if got := read(t, db); !slices.Equal(got, []string{"0", "1", "2", "middle", "end"}) {
		t.Errorf("kept %q", got)
	}
}

func TestPostgresLostInCommitIsFatal(t *testing.T) {
	url := storetest.PostgresURL(t)
	var armed atomic.Bool
	db := openFaulty(t, url, &armed, func(engine.Conn) error { others(t, url); return nil })
	var calls atomic.Int32
	db.OnFatal(func(error) { calls.Add(1) })
	notes(t, db)
	armed.Store(true)
	if err := db.Update(t.Context(), note("unknown")); !fault.Is(err, fault.Unavailable) {
		t.Errorf("answered %v", err)
	}
	if calls.Load() != 1 {
		t.Errorf("the hook was called %d times", calls.Load())
	}
}

// TestPostgresTwoProcesses lets two stores on one database count together.
func TestPostgresTwoProcesses(t *testing.T) {
	url := storetest.PostgresURL(t)
	table := store.NewTable[int]("counter")
	var wg sync.WaitGroup
	dbs := make([]*store.DB, 2)
	for i := range dbs {
		db, err := store.Open(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		dbs[i] = db
		for range 4 {
			wg.Go(func() {
				for range 20 {
					err := db.Update(t.Context(), func(tx *store.Tx) error {
						n, _, err := table.Get(tx, "n")
						if err != nil && !fault.Is(err, fault.NotFound) {
							return err
						}
						_, err = table.Put(tx, "n", n+1, store.Any)
						return err
					})
					if err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
	wg.Wait()
	err := dbs[0].View(t.Context(), func(tx *store.Tx) error {
		n, _, err := table.Get(tx, "n")
		if n != 160 {
			t.Errorf("counted %d, want 160", n)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestPostgresUnreachable(t *testing.T) {
	db, err := store.Open(t.Context(), "postgres:///x?host="+t.TempDir()+"&user=nobody&sslmode=disable")
	if err == nil {
		t.Error("a database without a server was opened")
		_ = db.Close()
	}
}
