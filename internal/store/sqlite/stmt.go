package sqlite

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
	"unsafe"

	"drover/internal/store/engine"

	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"
)

// stmt is a prepared statement. arg[i] is the argument that parameter i+1 takes:
// SQLite numbers $1, $2 in the order of their first appearance.
type stmt struct {
	p       uintptr
	arg     []int
	want    int // arguments
	columns int
}

// statement finds or prepares the query.
func (c *conn) statement(query string) (*stmt, error) {
	if s, ok := c.kept[query]; ok {
		return s, nil
	}
	if len(c.kept) >= maxStatements {
		c.forget()
	}
	text, err := libc.CString(typeBytes.ReplaceAllString(query, "BLOB"))
	if err != nil {
		return nil, err
	}
	defer libc.Xfree(c.tls, text)
	p, tail, err := c.prepare(text, sqlite3.SQLITE_PREPARE_PERSISTENT)
	if err != nil {
		return nil, err
	}
	if p == 0 {
		return nil, errors.New("sqlite: an empty statement")
	}
	s := &stmt{p: p, columns: int(sqlite3.Xsqlite3_column_count(c.tls, p))}
	if err = s.number(c); err == nil && strings.Trim(libc.GoString(tail), " \t\r\n;") != "" {
		err = errors.New("sqlite: more than one statement")
	}
	if err != nil {
		sqlite3.Xsqlite3_finalize(c.tls, p)
		return nil, err
	}
	c.kept[query] = s
	return s, nil
}

func (s *stmt) number(c *conn) error {
	n := sqlite3.Xsqlite3_bind_parameter_count(c.tls, s.p)
	for i := int32(1); i <= n; i++ {
		name := libc.GoString(sqlite3.Xsqlite3_bind_parameter_name(c.tls, s.p, i))
		k, err := strconv.Atoi(strings.TrimPrefix(name, "$"))
		if err != nil || !strings.HasPrefix(name, "$") || k < 1 {
			return fmt.Errorf("sqlite: placeholder %q: write $1, $2 and so on", name)
		}
		s.arg = append(s.arg, k-1)
		s.want = max(s.want, k)
	}
	return nil
}

// Exec implements engine.Conn.
func (c *conn) Exec(_ context.Context, query string, args []any) (int64, error) {
	s, err := c.start(query, args)
	if err != nil {
		return 0, err
	}
	rc := sqlite3.Xsqlite3_step(c.tls, s.p)
	for rc == sqlite3.SQLITE_ROW {
		rc = sqlite3.Xsqlite3_step(c.tls, s.p)
	}
	if rc != sqlite3.SQLITE_DONE {
		err = c.fail(rc)
		sqlite3.Xsqlite3_reset(c.tls, s.p)
		return 0, err
	}
	n := sqlite3.Xsqlite3_changes64(c.tls, c.db)
	sqlite3.Xsqlite3_reset(c.tls, s.p)
	return n, nil
}

// Query implements engine.Conn.
func (c *conn) Query(_ context.Context, query string, args []any) (engine.Rows, error) {
	s, err := c.start(query, args)
	if err != nil {
		return nil, err
	}
	c.rows = rows{c: c, s: s}
	return &c.rows, nil
}

func (c *conn) start(query string, args []any) (*stmt, error) {
	if c.rows.open() {
		return nil, errOpenRows
	}
	s, err := c.statement(query)
	if err != nil {
		return nil, err
	}
	if len(args) != s.want {
		return nil, fmt.Errorf("sqlite: %d arguments for a statement that takes %d", len(args), s.want)
	}
	return s, c.bind(s, args)
}

// bind copies text and bytes into the connection's arena, which lives until the next
// statement starts, so SQLite need not copy them again.
func (c *conn) bind(s *stmt, args []any) error {
	if len(args) == 0 {
		return nil
	}
	size := 0
	for _, a := range args {
		switch v := a.(type) {
		case string:
			size += len(v) + 1
		case []byte:
			size += len(v) + 1
		}
	}
	if size > math.MaxInt32 {
		return fmt.Errorf("sqlite: arguments of %d bytes are too large", size)
	}
	if err := c.args.reserve(c.tls, size); err != nil {
		return err
	}
	for i, k := range s.arg {
		if err := c.bindOne(s.p, int32(i+1), args[k]); err != nil {
			return fmt.Errorf("argument $%d: %w", k+1, err)
		}
	}
	return nil
}

func (c *conn) bindOne(p uintptr, i int32, arg any) error {
	rc := int32(sqlite3.SQLITE_OK)
	switch v := arg.(type) {
	case nil:
		rc = sqlite3.Xsqlite3_bind_null(c.tls, p, i)
	case int64:
		rc = sqlite3.Xsqlite3_bind_int64(c.tls, p, i, v)
	case bool:
		n := int64(0)
		if v {
			n = 1
		}
		rc = sqlite3.Xsqlite3_bind_int64(c.tls, p, i, n)
	case float64:
		rc = sqlite3.Xsqlite3_bind_double(c.tls, p, i, v)
	case string:
		// PostgreSQL refuses both, so nobody may come to rely on them here.
		if strings.IndexByte(v, 0) >= 0 || !utf8.ValidString(v) {
			return fmt.Errorf("text with a NUL byte or invalid UTF-8: keep it in a BYTEA column as []byte")
		}
		rc = sqlite3.Xsqlite3_bind_text(c.tls, p, i, c.args.copy(unsafe.StringData(v), len(v)), int32(len(v)), 0)
	case []byte:
		rc = sqlite3.Xsqlite3_bind_blob(c.tls, p, i, c.args.copy(unsafe.SliceData(v), len(v)), int32(len(v)), 0)
	default:
		return fmt.Errorf("unexpected %T", arg)
	}
	if rc != sqlite3.SQLITE_OK {
		return c.fail(rc)
	}
	return nil
}

// arena is C memory for the arguments of one statement, reused by the next.
type arena struct {
	p          uintptr
	size, used int
}

// arenaKeep is the most that an arena holds on to between statements.
const arenaKeep = 1 << 20

func (a *arena) reserve(tls *libc.TLS, n int) error {
	a.used = 0
	if n <= a.size && (a.size <= arenaKeep || n > arenaKeep) {
		return nil
	}
	a.free(tls)
	n = max(4096, n+n/2)
	if a.p = libc.Xmalloc(tls, libc.Tsize_t(n)); a.p == 0 {
		return fmt.Errorf("sqlite: out of memory for arguments of %d bytes", n)
	}
	a.size = n
	return nil
}

// copy gives the address of the bytes' copy; it is never zero, which would mean NULL.
func (a *arena) copy(p *byte, n int) uintptr {
	to := a.p + uintptr(a.used)
	if n > 0 {
		copy(unsafe.Slice((*byte)(at(to)), n), unsafe.Slice(p, n))
	}
	a.used += n + 1
	return to
}

func (a *arena) free(tls *libc.TLS) {
	if a.p != 0 {
		libc.Xfree(tls, a.p)
	}
	*a = arena{}
}
