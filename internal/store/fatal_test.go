package store_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"drover/internal/core/fault"
	"drover/internal/store"
	"drover/internal/store/engine"
	"drover/internal/store/sqlite"
	"drover/internal/store/storetest"
)

// faulty is an engine whose writer calls commit instead of its own Commit.
type faulty struct {
	engine.Engine
	commit func(engine.Conn) error
}

type faultyConn struct {
	engine.Conn
	commit func(engine.Conn) error
}

func (f *faulty) Writer(ctx context.Context) (engine.Conn, error) {
	c, err := f.Engine.Writer(ctx)
	if err != nil {
		return nil, err
	}
	return &faultyConn{c, f.commit}, nil
}

func (c *faultyConn) Commit(ctx context.Context) error {
	if c.commit != nil {
		if err := c.commit(c.Conn); err != nil {
			return err
		}
	}
	return c.Conn.Commit(ctx)
}

// openFaulty opens a database that runs commit before each commit once armed is set.
func openFaulty(t *testing.T, url string, armed *atomic.Bool, commit func(engine.Conn) error) *store.DB {
	t.Helper()
	e, err := store.EngineOf(url)
	if err != nil {
		t.Fatal(err)
	}
	db, err := store.OpenEngine(t.Context(), &faulty{e, func(c engine.Conn) error {
		if armed.Load() {
			return commit(c)
		}
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func TestFailedFsyncIsFatal(t *testing.T) {
	var armed atomic.Bool
	eio := &sqlite.Error{Code: 1034, Message: "disk I/O error"} // SQLITE_IOERR_FSYNC
	db := openFaulty(t, filepath.Join(t.TempDir(), "x.db"), &armed, func(engine.Conn) error { return eio })
	var calls []error
	answered := 0
	db.OnFatal(func(err error) {
		calls = append(calls, err)
		if answered != 0 {
			t.Error("somebody was answered before the hook ran")
		}
	})
	notes(t, db)
	armed.Store(true)
	release := hold(db)
	var wg sync.WaitGroup
	for range 3 {
		wg.Add(1)
		db.Enqueue(note("lost"), func(err error) {
			answered++
			if !fault.Is(err, fault.Unavailable) {
				t.Errorf("answered %v", err)
			}
			wg.Done()
		})
	}
	release()
	wg.Wait()
	if err := db.Update(t.Context(), note("late")); !fault.Is(err, fault.Unavailable) {
		t.Errorf("Update after it: %v", err)
	}
	if err := db.View(t.Context(), func(*store.Tx) error { return nil }); !fault.Is(err, fault.Unavailable) {
		t.Errorf("View after it: %v", err)
	}
	if len(calls) != 1 || !errors.Is(calls[0], eio) {
		t.Errorf("the hook was called with %v, want once with the error", calls)
	}
}

func TestCorruptDatabaseIsFatal(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	db, err := store.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	notes(t, db)
	for range 200 {
		db.Enqueue(note(strings.Repeat("x", 1000)), func(error) {})
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := 20 * 4096; i < len(data); i++ { // the tables' definitions stay readable
		data[i] = 0xa5
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if db, err = store.Open(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var calls int
	db.OnFatal(func(error) { calls++ })
	err = db.View(t.Context(), func(tx *store.Tx) error { _, err := texts(tx); return err })
	if !fault.Is(err, fault.Unavailable) || calls != 1 {
		t.Errorf("reading damaged pages: %v, hook called %d times", err, calls)
	}

	if err := os.WriteFile(path+"2", []byte(strings.Repeat("no database ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	if db, err := store.Open(t.Context(), path+"2"); err == nil {
		t.Error("a file that is no database was opened")
		_ = db.Close()
	}
}

func TestDiskFull(t *testing.T) {
	db := storetest.SQLite(t)
	notes(t, db)
	limit := func(pages int) {
		t.Helper()
		err := db.Update(t.Context(), func(tx *store.Tx) error {
			_, err := tx.Exec(fmt.Sprintf("PRAGMA max_page_count=%d", pages))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	limit(1) // SQLite makes it the present size
	fill(t, db, func() { limit(1 << 20) })
}

// fill writes small and large notes until the disk is full, then has room made, and
// checks that every answer was the truth.
func fill(t *testing.T, db *store.DB, room func()) {
	t.Helper()
	var mu sync.Mutex
	var want []string
	refused := 0
	var wg sync.WaitGroup
	write := func(i int) {
		s := fmt.Sprintf("%04d %s", i, strings.Repeat("x", i%7*900))
		wg.Add(1)
		db.Enqueue(note(s), func(err error) {
			defer wg.Done()
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				want = append(want, s)
			case fault.Is(err, fault.Unavailable) && strings.Contains(err.Error(), "disk full"):
				refused++
			default:
				t.Errorf("note %d: %v", i, err)
			}
		})
	}
	for i := range 1000 {
		write(i)
	}
	wg.Wait()
	if refused == 0 || len(want) == 0 {
		t.Fatalf("%d notes were refused and %d kept: the disk was not full or not empty", refused, len(want))
	}
	if got := read(t, db); !slices.Equal(got, want) {
		t.Errorf("with a full disk %d notes can be read, %d were acknowledged", len(got), len(want))
	}
	room()
	was := refused
	for i := 1000; i < 1050; i++ {
		write(i)
	}
	wg.Wait()
	if refused != was {
		t.Errorf("%d notes were refused after room was made", refused-was)
	}
	if got := read(t, db); !slices.Equal(got, want) {
		t.Errorf("afterwards %d notes can be read, %d were acknowledged", len(got), len(want))
	}
}

func TestDiskFullForReal(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=2m"); err != nil {
		t.Skipf("SKIP: a small file system cannot be mounted: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	db, err := store.Open(t.Context(), filepath.Join(dir, "x.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	db.OnFatal(func(err error) { t.Errorf("a full disk was taken for a broken one: %v", err) })
	notes(t, db)
	fill(t, db, func() {
		// The log has its frames still; what is missing is room for the next ones.
		if err := syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT, "size=64m"); err != nil {
			t.Fatal(err)
		}
	})
}

// TestKilled kills a writing process five times; what it said it had written must be
// there, and of each of its writers everything up to some moment.
func TestKilled(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	said := map[string]bool{}
	for round := range 5 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), "DROVER_STORE_VICTIM="+path, fmt.Sprintf("DROVER_STORE_ROUND=%d", round))
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			said[lines.Text()] = true
			if len(said) == (round+1)*300+round*37 {
				if err := cmd.Process.Kill(); err != nil {
					t.Error(err)
				}
			}
		}
		_ = cmd.Wait() // killed
		db, err := store.Open(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		there := map[string]bool{}
		for _, s := range read(t, db) {
			if there[s] {
				t.Errorf("%s is there twice", s)
			}
			there[s] = true
		}
		for s := range there { // each writer's notes are there from its first one on
			var r, g, i int
			if _, err := fmt.Sscanf(s, "%d-%d-%d", &r, &g, &i); err != nil {
				t.Fatal(err)
			}
			if before := fmt.Sprintf("%d-%d-%d", r, g, i-1); i > 0 && !there[before] {
				t.Errorf("%s is there without %s", s, before)
			}
		}
		for s := range said {
			if !there[s] {
				t.Errorf("round %d: %s was acknowledged and is gone", round, s)
			}
		}
		var verdict string
		err = db.Update(t.Context(), func(tx *store.Tx) error {
			return tx.Row(`PRAGMA integrity_check`).Scan(&verdict)
		})
		if err != nil || verdict != "ok" {
			t.Errorf("integrity: %s %v", verdict, err)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
}

// victim writes from 8 goroutines and prints what is durable, until it is killed.
func victim(path string) {
	db, err := store.Open(context.Background(), path)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	err = db.Migrate(context.Background(), "notes", script(`CREATE TABLE notes (id {{serial}}, text TEXT NOT NULL)`))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := 0; ; i++ {
				s := fmt.Sprintf("%s-%d-%d", os.Getenv("DROVER_STORE_ROUND"), g, i)
				if err := db.Update(context.Background(), note(s)); err != nil {
					fmt.Fprintln(os.Stderr, err)
					os.Exit(1)
				}
				if _, err := os.Stdout.WriteString(s + "\n"); err != nil {
					os.Exit(1)
				}
			}
		})
	}
	wg.Wait()
}
