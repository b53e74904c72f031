// Package sqlite is the embedded engine of the store: the pure-Go SQLite, driven
// through its C interface without database/sql, because the price of a row is the
// price of its statement and not of the disk.
//
// It promises WAL mode with synchronous=FULL on the writer (Commit has reached the
// disk), read-only snapshots on readers, and an exact word for what an error means.
// A statement is prepared once per connection and kept.
package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"

	"drover/internal/store/engine"

	sqlite3 "modernc.org/sqlite/lib"
)

// Engine opens connections to one database file.
type Engine struct {
	path string
}

// New gives the engine for the file at path and creates the folder it lies in.
func New(path string) (*Engine, error) {
	if path == "" {
		return nil, errors.New("the path of the SQLite database is empty")
	}
	if strings.ContainsRune(path, 0) {
		return nil, errors.New("the path of the SQLite database holds a NUL byte")
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("find the SQLite database %s: %w", path, err)
	}
	if err := os.MkdirAll(filepath.Dir(abs), 0o700); err != nil {
		return nil, fmt.Errorf("make the folder of the SQLite database: %w", err)
	}
	return &Engine{path: abs}, nil
}

// Name implements engine.Engine.
func (e *Engine) Name() string { return "sqlite" }

// Poisons implements engine.Engine: a failed statement undoes only itself.
func (e *Engine) Poisons() bool { return false }

// The writer checkpoints every 4,000 pages (16 MB) in the course of its commits and
// truncates the log when it is idle. Temporary tables and statement journals stay in
// memory, so that a statement never needs a file that a full disk cannot give.
const writerSetup = `
PRAGMA busy_timeout=5000;
PRAGMA journal_mode=WAL;
PRAGMA synchronous=FULL;
PRAGMA wal_autocheckpoint=4000;
PRAGMA journal_size_limit=67108864;
PRAGMA foreign_keys=ON;
PRAGMA temp_store=MEMORY;
PRAGMA cache_size=-16384;`

const readerSetup = `
PRAGMA busy_timeout=5000;
PRAGMA query_only=ON;
PRAGMA temp_store=MEMORY;
PRAGMA cache_size=-4096;`

// Writer implements engine.Engine. The file is private to the user that runs drover.
func (e *Engine) Writer(context.Context) (engine.Conn, error) {
	f, err := os.OpenFile(e.path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the SQLite database: %w", err)
	}
	if err := f.Close(); err != nil {
		return nil, fmt.Errorf("open the SQLite database: %w", err)
	}
	c, err := open(e.path, sqlite3.SQLITE_OPEN_READWRITE, true)
	if err != nil {
		return nil, err
	}
	if err := c.setup(writerSetup); err != nil {
		return nil, errors.Join(fmt.Errorf("open the SQLite database %s: %w", e.path, err), c.Close())
	}
	if mode, err := c.pragma("PRAGMA journal_mode"); err != nil || mode != "wal" {
		return nil, errors.Join(fmt.Errorf("the SQLite database %s cannot use a write-ahead log (mode %q): move it to a local disk", e.path, mode), err, c.Close())
	}
	return c, nil
}

// Reader implements engine.Engine.
func (e *Engine) Reader(context.Context) (engine.Conn, error) {
	c, err := open(e.path, sqlite3.SQLITE_OPEN_READONLY, false)
	if err != nil {
		return nil, err
	}
	if err := c.setup(readerSetup); err != nil {
		return nil, errors.Join(fmt.Errorf("open the SQLite database %s to read: %w", e.path, err), c.Close())
	}
	return c, nil
}

// Fate implements engine.Engine.
func (e *Engine) Fate(err error) engine.Fate {
	x, ok := errors.AsType[*Error](err)
	if !ok {
		return engine.Statement
	}
	switch x.Code {
	case sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY, sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_ROWID:
		return engine.Duplicate
	}
	switch x.Code & 0xff {
	case sqlite3.SQLITE_FULL:
		return engine.Full
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return engine.Busy
	case sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN:
		return x.system()
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_PROTOCOL,
		sqlite3.SQLITE_PERM, sqlite3.SQLITE_NOLFS, sqlite3.SQLITE_INTERNAL:
		return engine.Broken
	}
	return engine.Statement
}

// typeBytes is the type that sorts as bytes; SQLite knows it under another name, and
// would otherwise turn such values into numbers where it can.
var typeBytes = regexp.MustCompile(`(?i)\bBYTEA\b`)

// Script implements engine.Engine.
func (e *Engine) Script(sql string) string {
	return strings.NewReplacer(
		"{{without_rowid}}", "WITHOUT ROWID",
		"{{serial}}", "INTEGER PRIMARY KEY",
	).Replace(typeBytes.ReplaceAllString(sql, "BLOB"))
}

// Error is a failure that SQLite reported.
type Error struct {
	Code    int32 // extended result code
	Message string
	System  syscall.Errno // of the system call under it, 0 if none failed
}

// system tells an exhausted machine, which gets better, from a broken disk. After a
// failed flush nothing is sure any more, whatever its reason.
func (e *Error) system() engine.Fate {
	if e.Code == sqlite3.SQLITE_IOERR_FSYNC || e.Code == sqlite3.SQLITE_IOERR_DIR_FSYNC {
		return engine.Broken
	}
	switch e.System {
	case syscall.ENOSPC, syscall.EDQUOT:
		return engine.Full
	case syscall.EMFILE, syscall.ENFILE:
		return engine.Busy
	}
	return engine.Broken
}

// Error implements error.
func (e *Error) Error() string {
	return fmt.Sprintf("sqlite: %s (%d)", e.Message, e.Code)
}
