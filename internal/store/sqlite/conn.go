package sqlite

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"syscall"
	"unsafe"

	"drover/internal/store/engine"

	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"
)

// maxStatements bounds the prepared statements that a connection keeps. Packages have
// a fixed set of queries; who builds queries from data gets a slow store, not a leak.
const maxStatements = 512

// conn is one SQLite connection. It is not safe for concurrent use; the C library is
// told so (NOMUTEX), which saves a lock on every call.
type conn struct {
	tls    *libc.TLS
	db     uintptr
	writer bool
	kept   map[string]*stmt
	args   arena // C memory of the running statement's text and bytes
	out    uintptr
	rows   rows // the one result that may be open
}

// patch is a repair that the library asks for before its first use on some machines.
var patch = sync.OnceFunc(sqlite3.PatchIssue199)

func open(path string, flags int32, writer bool) (*conn, error) {
	patch()
	c := &conn{tls: libc.NewTLS(), writer: writer, kept: map[string]*stmt{}}
	name, err := libc.CString(path)
	if err != nil {
		c.tls.Close()
		return nil, err
	}
	defer libc.Xfree(c.tls, name)
	c.out = libc.Xmalloc(c.tls, 8)
	if c.out == 0 {
		c.tls.Close()
		return nil, errors.New("sqlite: out of memory")
	}
	rc := sqlite3.Xsqlite3_open_v2(c.tls, name, c.out, flags|sqlite3.SQLITE_OPEN_NOMUTEX, 0)
	c.db = *(*uintptr)(at(c.out))
	if rc != sqlite3.SQLITE_OK {
		err := c.fail(rc)
		return nil, errors.Join(fmt.Errorf("open the SQLite database %s: %w", path, err), c.Close())
	}
	sqlite3.Xsqlite3_extended_result_codes(c.tls, c.db, 1)
	c.keepPlans()
	return c, nil
}

// keepPlans makes SQLite choose a statement's plan once, not anew for each value bound to a
// range in it: that parse costs several times what the short queries of drover do.
func (c *conn) keepPlans() {
	va := libc.NewVaList(int32(1), uintptr(0))
	defer libc.Xfree(c.tls, va)
	sqlite3.Xsqlite3_db_config(c.tls, c.db, sqlite3.SQLITE_DBCONFIG_ENABLE_QPSG, va) // it cannot fail
}

// at turns an address of C memory, which the collector does not move, into a pointer.
func at(p uintptr) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(&p)) }

// fail builds the error of a call that just returned rc.
func (c *conn) fail(rc int32) error {
	e := &Error{Code: rc}
	if c.db == 0 {
		e.Message = libc.GoString(sqlite3.Xsqlite3_errstr(c.tls, rc))
		return e
	}
	e.Message = libc.GoString(sqlite3.Xsqlite3_errmsg(c.tls, c.db))
	if x := sqlite3.Xsqlite3_extended_errcode(c.tls, c.db); x&0xff == rc&0xff {
		e.Code = x
	}
	e.System = syscall.Errno(sqlite3.Xsqlite3_system_errno(c.tls, c.db))
	return e
}

func (c *conn) setup(script string) error {
	return c.Run(context.Background(), script)
}

// pragma gives the first column of the first row, as text.
func (c *conn) pragma(query string) (v string, err error) {
	r, err := c.Query(context.Background(), query, nil)
	if err != nil {
		return "", err
	}
	if r.Next() {
		v = string(r.Bytes(0))
	}
	return v, errors.Join(r.Err(), r.Close())
}

// Begin implements engine.Conn. A writer takes the write lock at once; a reader pins
// its snapshot with its first statement.
func (c *conn) Begin(ctx context.Context) error {
	q := "BEGIN"
	if c.writer {
		q = "BEGIN IMMEDIATE"
	}
	_, err := c.Exec(ctx, q, nil)
	return err
}

// Commit implements engine.Conn.
func (c *conn) Commit(context.Context) error {
	_, err := c.Exec(context.Background(), "COMMIT", nil)
	return err
}

// Rollback implements engine.Conn. SQLite may have ended the transaction by itself
// (a full disk does that), which is as good.
func (c *conn) Rollback(context.Context) error {
	if sqlite3.Xsqlite3_get_autocommit(c.tls, c.db) != 0 {
		return nil
	}
	_, err := c.Exec(context.Background(), "ROLLBACK", nil)
	return err
}

// Tidy implements engine.Conn: the log is copied into the database and cut to nothing,
// unless a reader still needs it. It does not wait for readers.
func (c *conn) Tidy(ctx context.Context) (bool, error) {
	if err := c.Run(ctx, "PRAGMA busy_timeout=0"); err != nil {
		return false, err
	}
	busy, err := c.pragma("PRAGMA wal_checkpoint(TRUNCATE)")
	if err2 := c.Run(ctx, "PRAGMA busy_timeout=5000"); err == nil {
		err = err2
	}
	return busy == "0", err
}

// Dead implements engine.Conn: a file does not go away.
func (c *conn) Dead() bool { return false }

// Close implements engine.Conn.
func (c *conn) Close() error {
	if c.tls == nil {
		return nil
	}
	c.rows.finish()
	c.forget()
	var err error
	if rc := sqlite3.Xsqlite3_close_v2(c.tls, c.db); rc != sqlite3.SQLITE_OK {
		err = c.fail(rc)
	}
	c.args.free(c.tls)
	libc.Xfree(c.tls, c.out)
	c.tls.Close()
	c.tls = nil
	return err
}

// Run implements engine.Conn.
func (c *conn) Run(_ context.Context, script string) error {
	if c.rows.open() {
		return errOpenRows
	}
	text, err := libc.CString(script)
	if err != nil {
		return err
	}
	defer libc.Xfree(c.tls, text)
	for next := text; *(*byte)(at(next)) != 0; {
		s, tail, err := c.prepare(next, 0)
		if err != nil {
			return err
		}
		next = tail
		if s == 0 { // only white space or a comment
			continue
		}
		rc := sqlite3.Xsqlite3_step(c.tls, s)
		for rc == sqlite3.SQLITE_ROW {
			rc = sqlite3.Xsqlite3_step(c.tls, s)
		}
		if rc != sqlite3.SQLITE_DONE {
			err = c.fail(rc)
		}
		sqlite3.Xsqlite3_finalize(c.tls, s)
		if err != nil {
			return err
		}
	}
	return nil
}

// prepare compiles the first statement at text, which ends in a zero byte.
func (c *conn) prepare(text uintptr, flags uint32) (s, tail uintptr, err error) {
	ends := libc.Xmalloc(c.tls, 8)
	if ends == 0 {
		return 0, 0, errors.New("sqlite: out of memory")
	}
	defer libc.Xfree(c.tls, ends)
	if rc := sqlite3.Xsqlite3_prepare_v3(c.tls, c.db, text, -1, flags, c.out, ends); rc != sqlite3.SQLITE_OK {
		return 0, 0, c.fail(rc)
	}
	return *(*uintptr)(at(c.out)), *(*uintptr)(at(ends)), nil
}

// forget finalizes every kept statement. (What finalize returns is the error of the
// statement's last run, which was reported then.)
func (c *conn) forget() {
	for _, s := range c.kept {
		sqlite3.Xsqlite3_finalize(c.tls, s.p)
	}
	clear(c.kept)
}

var errOpenRows = errors.New("a second statement while a result is open: read its rows to the end or close it first")

var _ engine.Conn = (*conn)(nil)
