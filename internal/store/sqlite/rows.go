package sqlite

import (
	"fmt"
	"unsafe"

	sqlite3 "modernc.org/sqlite/lib"
)

// rows walks over the result of a statement; it is closed when s is nil.
type rows struct {
	c   *conn
	s   *stmt
	err error
}

func (r *rows) open() bool { return r.s != nil }

// Next implements engine.Rows and closes the result at its end.
func (r *rows) Next() bool {
	if r.s == nil {
		return false
	}
	rc := sqlite3.Xsqlite3_step(r.c.tls, r.s.p)
	if rc == sqlite3.SQLITE_ROW {
		return true
	}
	if rc != sqlite3.SQLITE_DONE {
		r.err = r.c.fail(rc)
	}
	r.finish()
	return false
}

func (r *rows) finish() {
	if r.s != nil {
		sqlite3.Xsqlite3_reset(r.c.tls, r.s.p)
		r.s = nil
	}
}

// Err implements engine.Rows.
func (r *rows) Err() error { return r.err }

// Close implements engine.Rows.
func (r *rows) Close() error {
	r.finish()
	return nil
}

// Columns implements engine.Row.
func (r *rows) Columns() int { return r.s.columns }

// Null implements engine.Row.
func (r *rows) Null(i int) bool { return r.kind(i) == sqlite3.SQLITE_NULL }

func (r *rows) kind(i int) int32 {
	return sqlite3.Xsqlite3_column_type(r.c.tls, r.s.p, int32(i))
}

// Int implements engine.Row.
func (r *rows) Int(i int) (int64, error) {
	if k := r.kind(i); k != sqlite3.SQLITE_INTEGER {
		return 0, fmt.Errorf("%v is not an integer", r.Any(i))
	}
	return sqlite3.Xsqlite3_column_int64(r.c.tls, r.s.p, int32(i)), nil
}

// Float implements engine.Row.
func (r *rows) Float(i int) (float64, error) {
	if k := r.kind(i); k != sqlite3.SQLITE_INTEGER && k != sqlite3.SQLITE_FLOAT {
		return 0, fmt.Errorf("%v is not a number", r.Any(i))
	}
	return sqlite3.Xsqlite3_column_double(r.c.tls, r.s.p, int32(i)), nil
}

// Bytes implements engine.Row.
func (r *rows) Bytes(i int) []byte {
	p := sqlite3.Xsqlite3_column_blob(r.c.tls, r.s.p, int32(i)) // text comes out as it is
	n := int(sqlite3.Xsqlite3_column_bytes(r.c.tls, r.s.p, int32(i)))
	if p == 0 || n == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(at(p)), n)
}

// Any implements engine.Row.
func (r *rows) Any(i int) any {
	switch r.kind(i) {
	case sqlite3.SQLITE_INTEGER:
		return sqlite3.Xsqlite3_column_int64(r.c.tls, r.s.p, int32(i))
	case sqlite3.SQLITE_FLOAT:
		return sqlite3.Xsqlite3_column_double(r.c.tls, r.s.p, int32(i))
	case sqlite3.SQLITE_TEXT:
		return string(r.Bytes(i))
	case sqlite3.SQLITE_BLOB:
		return append([]byte{}, r.Bytes(i)...)
	}
	return nil
}
