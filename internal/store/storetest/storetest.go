// Package storetest runs store tests on both engines.
//
// It promises a fresh database per subtest, gone at its end, and one PostgreSQL server
// per test binary, started when first needed and stopped by Main. Without PostgreSQL
// the subtest is skipped and says so, never silently passed.
package storetest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"drover/internal/store"
)

// server is the one PostgreSQL of this test binary.
var server = struct {
	sync.Mutex
	started *cluster
	err     error
	count   int // databases made so far
}{}

// Main runs the tests and stops what Both started. A package that calls Both has
//
//	func TestMain(m *testing.M) { storetest.Main(m) }
func Main(m *testing.M) {
	code := m.Run()
	if err := Stop(); err != nil {
		fmt.Fprintln(os.Stderr, "storetest:", err)
		code = max(code, 1)
	}
	os.Exit(code)
}

// Stop ends the PostgreSQL server if one was started, for a TestMain that needs more
// than Main.
func Stop() error {
	server.Lock()
	defer server.Unlock()
	if server.started == nil {
		return nil
	}
	err := server.started.stop()
	server.started = nil
	return err
}

// Both runs fn on SQLite and on PostgreSQL.
func Both(t *testing.T, fn func(t *testing.T, db *store.DB)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { fn(t, SQLite(t)) })
	t.Run("postgres", func(t *testing.T) { fn(t, Postgres(t)) })
}

// SQLite opens a database in a temporary folder and closes it with the test.
func SQLite(t testing.TB) *store.DB {
	t.Helper()
	return open(t, "sqlite://"+filepath.Join(t.TempDir(), "test.db"))
}

// Postgres opens a fresh PostgreSQL database and closes it with the test.
func Postgres(t testing.TB) *store.DB {
	t.Helper()
	return open(t, PostgresURL(t))
}

// PostgresURL makes a fresh PostgreSQL database; it is dropped with the test.
func PostgresURL(t testing.TB) string {
	t.Helper()
	if os.Getenv("DROVER_TEST_POSTGRES") == "off" {
		t.Skip("SKIP: DROVER_TEST_POSTGRES=off")
	}
	server.Lock()
	defer server.Unlock()
	if server.started == nil && server.err == nil {
		server.started, server.err = start()
	}
	if server.err == errAbsent {
		t.Skip("SKIP: no PostgreSQL: install the Debian package postgresql")
	}
	if server.err != nil {
		t.Fatal(server.err)
	}
	server.count++
	name, pg := fmt.Sprintf("test%d", server.count), server.started
	if err := pg.run("CREATE DATABASE " + name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := pg.run("DROP DATABASE " + name + " WITH (FORCE)"); err != nil {
			t.Error(err)
		}
	})
	return pg.url(name)
}

func open(t testing.TB, url string) *store.DB {
	t.Helper()
	db, err := store.Open(context.Background(), url)
	if err != nil {
		t.Fatal(err)
	}
	db.OnFatal(func(err error) { t.Errorf("the store failed: %v", err) })
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("close the store: %v", err)
		}
	})
	return db
}
