package store_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"drover/internal/core/fault"
	"drover/internal/store"
	"drover/internal/store/storetest"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if path := os.Getenv("DROVER_STORE_VICTIM"); path != "" {
		victim(path)
	}
	code := m.Run()
	if err := storetest.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// script is a migration set of one file.
func script(sql string) fstest.MapFS { return fstest.MapFS{"0001_test.sql": {Data: []byte(sql)}} }

// notes makes a table whose ids count up in the order of insertion.
func notes(t testing.TB, db *store.DB) {
	t.Helper()
	if err := db.Migrate(t.Context(), "notes", script(`CREATE TABLE notes (id {{serial}}, text TEXT NOT NULL)`)); err != nil {
		t.Fatal(err)
	}
}

func note(text string) func(*store.Tx) error {
	return func(tx *store.Tx) error {
		_, err := tx.Exec(`INSERT INTO notes (text) VALUES ($1)`, text)
		return err
	}
}

// read gives the texts of all notes in the order of insertion.
func read(t testing.TB, db *store.DB) []string {
	t.Helper()
	var all []string
	err := db.View(context.Background(), func(tx *store.Tx) (err error) {
		all, err = texts(tx)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func texts(tx *store.Tx) (all []string, err error) {
	rows, err := tx.Query(`SELECT text FROM notes ORDER BY id`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, rows.Err()
}

// hold keeps the writer busy until the function it returns is called, so that what is
// queued meanwhile shares one commit.
func hold(db *store.DB) (release func()) {
	gate, in := make(chan struct{}), make(chan struct{})
	var once sync.Once
	db.Enqueue(func(*store.Tx) error {
		once.Do(func() { close(in) })
		<-gate
		return nil
	}, func(error) {})
	<-in
	return func() { close(gate) }
}

func TestEnqueueOrder(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		notes(t, db)
		var want, done []string
		var wg sync.WaitGroup
		for i := range 3000 { // more than one group
			s := fmt.Sprint(i)
			want = append(want, s)
			wg.Add(1)
			db.Enqueue(note(s), func(err error) {
				if err != nil {
					t.Error(err)
				}
				done = append(done, s)
				wg.Done()
			})
		}
		// An Update comes after everything enqueued before it.
		err := db.Update(t.Context(), func(tx *store.Tx) error {
			all, err := texts(tx)
			if err == nil && !slices.Equal(all, want) {
				err = fmt.Errorf("an Update sees %d notes, want %d", len(all), len(want))
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
		wg.Wait()
		if !slices.Equal(done, want) {
			t.Error("done was not called in the order of Enqueue")
		}
		if got := read(t, db); !slices.Equal(got, want) {
			t.Error("closures were not applied in the order of Enqueue")
		}
	})
}

func TestFailedClosureUndoesOnlyItself(t *testing.T) {
	boom := errors.New("boom")
	failures := map[string]struct {
		fn   func(*store.Tx) error
		want func(error) bool
	}{
		"error after a write": {
			func(tx *store.Tx) error { return errors.Join(note("bad")(tx), boom) },
			func(err error) bool { return errors.Is(err, boom) },
		},
		"error without a write": {
			func(tx *store.Tx) error { return boom },
			func(err error) bool { return errors.Is(err, boom) },
		},
		"a failed statement that the closure ignores": {
			func(tx *store.Tx) error {
				_ = note("bad")(tx)
				_, _ = tx.Exec(`INSERT INTO nowhere (a) VALUES (1)`)
				return nil
			},
			func(err error) bool { return err != nil },
		},
		"a failed first statement": {
			func(tx *store.Tx) error {
				_, err := tx.Exec(`INSERT INTO notes (id, text) SELECT min(id), 'bad' FROM notes`)
				return err
			},
			func(err error) bool { return fault.Is(err, fault.Conflict) },
		},
		"a failed query": {
			func(tx *store.Tx) error { return tx.Row(`SELECT nothing FROM nowhere`).Scan() },
			func(err error) bool { return err != nil },
		},
		"a panic after a write": {
			func(tx *store.Tx) error { _ = note("bad")(tx); panic("poison") },
			func(err error) bool { return fault.Is(err, fault.Internal) },
		},
		"rows left open": {
			func(tx *store.Tx) error {
				_, err := tx.Query(`SELECT text FROM notes`)
				return errors.Join(err, note("bad")(tx))
			},
			func(err error) bool { return err != nil },
		},
	}
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		for name, f := range failures {
			for _, place := range []int{0, 2, 4} { // first, in the middle and last of the group
				t.Run(fmt.Sprintf("%s/%d", name, place), func(t *testing.T) {
					notes(t, db)
					if err := db.Update(t.Context(), note("there before")); err != nil {
						t.Fatal(err)
					}
					release := hold(db)
					before := len(read(t, db))
					var wg sync.WaitGroup
					errs := make([]error, 5)
					for i := range errs {
						fn := note(fmt.Sprint(name, i))
						if i == place {
							fn = f.fn
						}
						wg.Add(1)
						db.Enqueue(fn, func(err error) { errs[i] = err; wg.Done() })
						db.Enqueue(func(*store.Tx) error { return nil }, func(error) {}) // one that writes nothing
					}
					release()
					wg.Wait()
					for i, err := range errs {
						if i == place && !f.want(err) {
							t.Errorf("the failing closure answered %v", err)
						}
						if i != place && err != nil {
							t.Errorf("closure %d of the group: %v", i, err)
						}
					}
					all := read(t, db)
					if len(all) != before+4 || slices.Contains(all, "bad") {
						t.Errorf("%d new notes, want 4: %q", len(all)-before, all[before:])
					}
				})
			}
		}
	})
}

func TestManyFailuresInOneGroup(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		notes(t, db)
		release := hold(db)
		var wg sync.WaitGroup
		var want []string
		bad := 0
		for i := range 60 {
			s := fmt.Sprint(i)
			wg.Add(1)
			fails := i%3 == 1
			if !fails {
				want = append(want, s)
			}
			db.Enqueue(func(tx *store.Tx) error {
				if err := note(s)(tx); err != nil || !fails {
					return err
				}
				return errors.New("no")
			}, func(err error) {
				if err != nil {
					bad++
				}
				wg.Done()
			})
		}
		release()
		wg.Wait()
		if bad != 20 {
			t.Errorf("%d closures failed, want 20", bad)
		}
		if got := read(t, db); !slices.Equal(got, want) {
			t.Errorf("kept %q, want %q", got, want)
		}
	})
}

func TestConstraintAtCommitFailsOnlyItsClosure(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		err := db.Migrate(t.Context(), "family", script(`
			CREATE TABLE parents (id BIGINT PRIMARY KEY);
			CREATE TABLE children (id BIGINT PRIMARY KEY,
				parent BIGINT NOT NULL REFERENCES parents (id) DEFERRABLE INITIALLY DEFERRED)`))
		if err != nil {
			t.Fatal(err)
		}
		release := hold(db)
		var wg sync.WaitGroup
		errs := make([]error, 3)
		for i := range errs {
			wg.Add(1)
			db.Enqueue(func(tx *store.Tx) error {
				if _, err := tx.Exec(`INSERT INTO children (id, parent) VALUES ($1, $2)`, i, i); err != nil {
					return err
				}
				if i == 1 {
					return nil // an orphan
				}
				_, err := tx.Exec(`INSERT INTO parents (id) VALUES ($1)`, i)
				return err
			}, func(err error) { errs[i] = err; wg.Done() })
		}
		release()
		wg.Wait()
		if errs[0] != nil || errs[1] == nil || errs[2] != nil {
			t.Errorf("answers %v, want only the second to fail", errs)
		}
	})
}

func TestConcurrentUpdatesAreSerial(t *testing.T) {
	table := store.NewTable[int]("counter")
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for range 50 {
					err := db.Update(t.Context(), func(tx *store.Tx) error {
						n, rev, err := table.Get(tx, "n")
						if fault.Is(err, fault.NotFound) {
							err = nil
						}
						if err != nil {
							return err
						}
						_, err = table.Put(tx, "n", n+1, rev)
						return err
					})
					if err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		err := db.View(t.Context(), func(tx *store.Tx) error {
			n, rev, err := table.Get(tx, "n")
			if err == nil && (n != 400 || rev != 400) {
				err = fmt.Errorf("counted %d at revision %d, want 400", n, rev)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	})
}

func TestUpdateWithdrawn(t *testing.T) {
	db := storetest.SQLite(t)
	release := hold(db)
	ctx, cancel := context.WithCancel(t.Context())
	ran, answer := false, make(chan error)
	go func() {
		answer <- db.Update(ctx, func(*store.Tx) error { ran = true; return nil })
	}()
	for store.Queued(db) == 0 {
		time.Sleep(time.Millisecond)
	}
	cancel()
	if err := <-answer; !errors.Is(err, context.Canceled) {
		t.Errorf("answered %v, want the context's error", err)
	}
	release()
	if err := db.Update(t.Context(), func(*store.Tx) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if ran {
		t.Error("the closure ran although its Update had given up")
	}
}

func TestGoexitInClosure(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		notes(t, db)
		err := db.Update(t.Context(), func(tx *store.Tx) error {
			if err := note("half")(tx); err != nil {
				return err
			}
			new(testing.T).FailNow() // ends the goroutine, as a test inside a closure may
			return nil
		})
		if !fault.Is(err, fault.Internal) {
			t.Errorf("answered %v, want an internal fault", err)
		}
		if err := db.Update(t.Context(), note("after")); err != nil {
			t.Fatal(err)
		}
		if got := read(t, db); !slices.Equal(got, []string{"after"}) {
			t.Errorf("kept %q", got)
		}
	})
}

func TestViewIsASnapshot(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		notes(t, db)
		if err := db.Update(t.Context(), note("one")); err != nil {
			t.Fatal(err)
		}
		err := db.View(t.Context(), func(tx *store.Tx) error {
			first, err := texts(tx)
			if err != nil {
				return err
			}
			if err := db.Update(t.Context(), note("two")); err != nil {
				return err
			}
			second, err := texts(tx)
			if err == nil && !slices.Equal(first, second) {
				err = fmt.Errorf("the snapshot moved from %q to %q", first, second)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
		if got := read(t, db); !slices.Equal(got, []string{"one", "two"}) {
			t.Errorf("after it: %q", got)
		}
	})
}

func TestViewCannotWrite(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		notes(t, db)
		if err := db.View(t.Context(), note("no")); err == nil {
			t.Error("Exec in a View succeeded")
		}
		err := db.View(t.Context(), func(tx *store.Tx) error {
			var id int64
			return tx.Row(`INSERT INTO notes (text) VALUES ('no') RETURNING id`).Scan(&id)
		})
		if err == nil {
			t.Error("INSERT RETURNING in a View succeeded")
		}
		if got := read(t, db); len(got) != 0 {
			t.Errorf("a View wrote %q", got)
		}
	})
}

func TestTxEndsWithItsClosure(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		notes(t, db)
		var kept *store.Tx
		keep := func(tx *store.Tx) error { kept = tx; return nil }
		if err := db.Update(t.Context(), keep); err != nil {
			t.Fatal(err)
		}
		if err := note("late")(kept); err == nil {
			t.Error("a Tx wrote after its Update")
		}
		if err := db.View(t.Context(), keep); err != nil {
			t.Fatal(err)
		}
		if err := kept.Row(`SELECT 1`).Scan(new(int)); err == nil {
			t.Error("a Tx read after its View")
		}
	})
}

func TestClose(t *testing.T) {
	path := filepath.Join(t.TempDir(), "deep", "er", "x.db")
	db, err := store.Open(t.Context(), path) // a bare path; its folders are made
	if err != nil {
		t.Fatal(err)
	}
	notes(t, db)
	var done, failed int
	release := hold(db)
	for range 500 {
		db.Enqueue(note("x"), func(err error) {
			done++
			if err != nil {
				failed++
			}
		})
	}
	release()
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if done != 500 || failed != 0 {
		t.Errorf("Close returned when %d of 500 were done, %d failed", done, failed)
	}
	if err := db.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
	if err := db.Update(t.Context(), note("late")); !fault.Is(err, fault.Unavailable) {
		t.Errorf("Update after Close: %v", err)
	}
	db.Enqueue(note("late"), func(e error) { err = e })
	if !fault.Is(err, fault.Unavailable) {
		t.Errorf("Enqueue after Close: %v", err)
	}
	if err := db.View(t.Context(), func(*store.Tx) error { return nil }); !fault.Is(err, fault.Unavailable) {
		t.Errorf("View after Close: %v", err)
	}
	if left, err := filepath.Glob(path + "-*"); err != nil || len(left) != 0 {
		t.Errorf("Close left %q (%v)", left, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the database file is %v (%v), want 0600", info.Mode(), err)
	}
}

func TestOpenRefuses(t *testing.T) {
	for _, url := range []string{"", "sqlite://", "mysql://host/db", "postgres://%zz", "sqlite:///dev/null/x.db"} {
		if db, err := store.Open(t.Context(), url); err == nil {
			t.Errorf("Open(%q) succeeded", url)
			_ = db.Close()
		}
	}
}

// TestSQLitePromises reads back the settings that durability rests on.
func TestSQLitePromises(t *testing.T) {
	db := storetest.SQLite(t)
	err := db.Update(t.Context(), func(tx *store.Tx) error {
		for pragma, want := range map[string]string{"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1"} {
			var got string
			if err := tx.Row("PRAGMA " + pragma).Scan(&got); err != nil || got != want {
				return fmt.Errorf("%s is %q, want %q (%w)", pragma, got, want, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// TestLogIsCutWhenIdle waits for the write-ahead log to shrink to nothing, also when a
// reader was in the way of the first attempt.
func TestLogIsCutWhenIdle(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	db, err := store.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	notes(t, db)
	size := func() int64 {
		info, err := os.Stat(path + "-wal")
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	err = db.View(t.Context(), func(tx *store.Tx) error {
		if _, err := texts(tx); err != nil {
			return err
		}
		if err := db.Update(t.Context(), note("behind a reader")); err != nil {
			return err
		}
		time.Sleep(1200 * time.Millisecond) // an attempt that must fail, and wait for nobody
		start := time.Now()
		err := db.Update(t.Context(), note("not held up"))
		if took := time.Since(start); took > 2500*time.Millisecond { // a wait would be 5 s
			t.Errorf("an Update waited %v for the log to be cut", took)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if size() == 0 {
		t.Error("the log is empty although a reader needed it")
	}
	for end := time.Now().Add(20 * time.Second); size() > 0; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("the log still has %d bytes", size())
		}
	}
}

// TestLockedByAnotherProgram lets a rival hold SQLite's write lock for a while.
func TestLockedByAnotherProgram(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	db, err := store.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	notes(t, db)
	e, err := store.EngineOf(path)
	if err != nil {
		t.Fatal(err)
	}
	rival, err := e.Writer(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer rival.Close()
	if err := rival.Begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	answer := make(chan error, 1)
	db.Enqueue(note("patient"), func(err error) { answer <- err })
	if got := read(t, db); len(got) != 0 {
		t.Errorf("readers see %q", got)
	}
	if err := rival.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-answer; err != nil {
		t.Error(err)
	}
}
