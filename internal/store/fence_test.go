package store_test

import (
	"context"
	"errors"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"drover/internal/core/fault"
	"drover/internal/store"
	"drover/internal/store/storetest"
)

// fencedPair opens one database twice, as two processes would; died gets the end of each.
func fencedPair(t *testing.T, url string) (dbs [2]*store.DB, died [2]chan error) {
	t.Helper()
	for i := range dbs {
		db, err := store.Open(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		died[i] = make(chan error, 1)
		db.OnFatal(func(err error) { died[i] <- err })
		t.Cleanup(func() { _ = db.Close() }) // one of them has died
		dbs[i] = db
	}
	if err := dbs[0].Update(t.Context(), func(tx *store.Tx) error {
		if _, err := tx.Exec(`CREATE TABLE owner (term BIGINT NOT NULL)`); err != nil {
			return err
		}
		if _, err := tx.Exec(`CREATE TABLE note (n BIGINT NOT NULL)`); err != nil {
			return err
		}
		_, err := tx.Exec(`INSERT INTO owner (term) VALUES (0)`)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return dbs, died
}

func own(t *testing.T, db *store.DB) {
	t.Helper()
	var term int64
	if err := db.Update(t.Context(), func(tx *store.Tx) error {
		return tx.Row(`UPDATE owner SET term = term + 1 RETURNING term`).Scan(&term)
	}); err != nil {
		t.Fatal(err)
	}
	db.Fence(func(tx *store.Tx) error {
		var now int64
		if err := tx.Row(`SELECT term FROM owner`).Scan(&now); err != nil {
			return err
		}
		if now != term {
			return errors.New("not mine any more")
		}
		return nil
	})
}

func jot(db *store.DB) error {
	return db.Update(context.Background(), func(tx *store.Tx) error {
		_, err := tx.Exec(`INSERT INTO note (n) VALUES (1)`)
		return err
	})
}

// Who was replaced writes nothing more, and ends whether it tries to or not.
func TestFence(t *testing.T) {
	for engine, url := range map[string]func(t *testing.T) string{
		"sqlite":   func(t *testing.T) string { return filepath.Join(t.TempDir(), "a.db") },
		"postgres": func(t *testing.T) string { return storetest.PostgresURL(t) },
	} {
		for _, writes := range []bool{true, false} {
			t.Run(engine, func(t *testing.T) {
				dbs, died := fencedPair(t, url(t))
				own(t, dbs[0])
				if err := jot(dbs[0]); err != nil {
					t.Fatal(err)
				}
				own(t, dbs[1])
				if writes {
					if err := jot(dbs[0]); !fault.Is(err, fault.Unavailable) {
						t.Errorf("the one before wrote: %v", err)
					}
				}
				select {
				case err := <-died[0]:
					t.Log(err)
				case <-time.After(30 * time.Second):
					t.Fatal("the one before has not ended")
				}
				if err := jot(dbs[1]); err != nil {
					t.Error(err)
				}
				var n int64
				if err := dbs[1].View(t.Context(), func(tx *store.Tx) error { return tx.Row(`SELECT COUNT(*) FROM note`).Scan(&n) }); err != nil || n != 2 {
					t.Errorf("%d notes, %v", n, err)
				}
				select {
				case err := <-died[1]:
					t.Errorf("the new one has ended: %v", err)
				default:
				}
			})
		}
	}
}

// A closure that fails after it wrote is undone and the group begins again, behind the fence.
func TestFenceStandsBehindAnUndoneClosure(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		if err := db.Update(t.Context(), func(tx *store.Tx) error {
			_, err := tx.Exec(`CREATE TABLE note (n BIGINT NOT NULL)`)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		var checks atomic.Int64
		db.Fence(func(tx *store.Tx) error {
			checks.Add(1)
			var one int64
			return tx.Row(`SELECT 1`).Scan(&one)
		})
		done := make(chan error, 3)
		refuse := errors.New("no")
		for i := range 3 {
			db.Enqueue(func(tx *store.Tx) error {
				if _, err := tx.Exec(`INSERT INTO note (n) VALUES (1)`); err != nil {
					return err
				}
				if i == 1 {
					return refuse
				}
				return nil
			}, func(err error) { done <- err })
		}
		for i := range 3 {
			if err := <-done; (i == 1) != errors.Is(err, refuse) {
				t.Errorf("%d: %v", i, err)
			}
		}
		if checks.Load() == 0 {
			t.Error("nothing was checked")
		}
	})
}
