package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"

	"drover/internal/core/fault"
	"drover/internal/store/engine"
	"drover/internal/store/postgres"
	"drover/internal/store/sqlite"
)

const (
	queueSize = 65536 // closures that may wait for the writer
	readers   = 4     // connections of the read pool
)

// ErrNoRows is what Scan of a Row gives when the query found nothing.
var ErrNoRows = errors.New("store: no row")

// DB is an open database. All methods are safe for concurrent use.
type DB struct {
	engine engine.Engine
	queue  chan *op
	ended  chan struct{} // closed when the writer goroutine is gone
	pool   *pool
	broken atomic.Pointer[error] // set once, by die
	fence  atomic.Pointer[func(*Tx) error]

	mu     sync.RWMutex // guards closed; held for reading while sending to queue
	closed bool

	hookMu sync.Mutex // guards hook
	hook   func(error)
}

// Open opens (creating if needed) the database at url: "sqlite:///path/to/file.db", a
// bare path, or "postgres://...". The caller makes sure that no other process has the
// same SQLite file open to write.
func Open(ctx context.Context, url string) (*DB, error) {
	e, err := pick(url)
	if err != nil {
		return nil, err
	}
	return open(ctx, e)
}

func pick(url string) (engine.Engine, error) {
	switch scheme, rest, ok := strings.Cut(url, "://"); {
	case ok && (scheme == "postgres" || scheme == "postgresql"):
		return postgres.New(url)
	case ok && scheme == "sqlite":
		return sqlite.New(rest)
	case ok:
		return nil, fault.New(fault.Invalid, "", "the store cannot open %s://: give sqlite:///path/to/file.db or postgres://host/database", scheme)
	}
	return sqlite.New(url)
}

func open(ctx context.Context, e engine.Engine) (*DB, error) {
	conn, err := e.Writer(ctx)
	if err != nil {
		return nil, err
	}
	db := &DB{
		engine: e,
		queue:  make(chan *op, queueSize),
		ended:  make(chan struct{}),
		hook:   func(error) {}, // a database that breaks while it is opened is Open's error
	}
	db.pool = newPool(db, readers)
	go (&writer{db: db, conn: conn}).run()
	if err := db.Migrate(ctx, "store", schema()); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	db.OnFatal(exit)
	return db, nil
}

// Engine is "sqlite" or "postgres".
func (db *DB) Engine() string { return db.engine.Name() }

// OnFatal sets what is called, once, when the storage fails for good. It must not
// return to normal business: what was acknowledged is safe, what was not is unknown.
func (db *DB) OnFatal(hook func(error)) {
	db.hookMu.Lock()
	defer db.hookMu.Unlock()
	db.hook = hook
}

// exit is the hook until OnFatal sets another; 70 is EX_SOFTWARE of sysexits.
func exit(err error) {
	fmt.Fprintf(os.Stderr, "drover: the store failed and cannot go on: %v\n", err)
	os.Exit(70)
}

// die records that the storage failed and calls the hook the first time.
func (db *DB) die(err error) {
	if db.broken.CompareAndSwap(nil, &err) {
		db.hookMu.Lock()
		hook := db.hook
		db.hookMu.Unlock()
		hook(err)
	}
}

// dead is the fault for every call after the storage failed, or nil.
func (db *DB) dead() error {
	if p := db.broken.Load(); p != nil {
		return fault.Wrap(*p, fault.Unavailable, codeUnavailable, "the store has failed; restart drover and read its last lines on standard error")
	}
	return nil
}

// Close commits what is queued, waits for running Views, cuts the log and closes. Calls
// after it are refused. It must not be called from a closure or a done function.
func (db *DB) Close() error {
	db.mu.Lock()
	if db.closed {
		db.mu.Unlock()
		<-db.ended
		return nil
	}
	db.closed = true
	close(db.queue)
	db.mu.Unlock()
	poolErr := db.pool.close()
	<-db.ended
	return poolErr
}

// View runs fn on a read-only snapshot of what is committed. fn must not keep the Tx.
func (db *DB) View(ctx context.Context, fn func(*Tx) error) error {
	if err := db.dead(); err != nil {
		return err
	}
	conn, err := db.pool.take(ctx)
	if err != nil {
		return err
	}
	tx := &Tx{ctx: ctx, db: db, conn: conn}
	defer func() {
		// Also when fn panics: the connection goes back with no transaction on it.
		tx.end()
		db.pool.give(conn, conn.Rollback(context.WithoutCancel(ctx)))
	}()
	err = fn(tx)
	if tx.failed != nil {
		err = tx.failed
	}
	return err
}

const (
	codeUnavailable = "ServiceUnavailableException"
	codeConflict    = "ConflictException"
	codeNotFound    = "ResourceNotFoundException"
)

func errClosed() error {
	return fault.New(fault.Unavailable, codeUnavailable, "the store is closed: drover is shutting down")
}

// explain gives an engine's error the fault that callers decide by.
func (db *DB) explain(err error) error {
	switch db.engine.Fate(err) {
	case engine.Duplicate:
		return fault.Wrap(err, fault.Conflict, codeConflict, "a row with this key exists already")
	case engine.Full:
		return fault.Wrap(err, fault.Unavailable, codeUnavailable, "disk full: free space where the database lies; drover goes on by itself")
	case engine.Busy:
		return fault.Wrap(err, fault.Unavailable, codeUnavailable, "the database is locked by another program; retry")
	case engine.Lost:
		return fault.Wrap(err, fault.Unavailable, codeUnavailable, "the database cannot be reached; retry")
	case engine.Broken:
		return fault.Wrap(err, fault.Unavailable, codeUnavailable, "the storage of the database failed")
	}
	return err
}
