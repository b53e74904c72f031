package store

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"drover/internal/core/fault"
	"drover/internal/store/engine"
)

// Tx is what a closure of Update, Enqueue or View works with. It belongs to the
// closure's goroutine and ends with it.
type Tx struct {
	ctx    context.Context
	db     *DB
	conn   engine.Conn
	writer bool
	wrote  bool  // a statement that may write was tried
	failed error // the first statement that failed; nothing runs after it
	over   bool
	rows   Rows // the one result that may be open
	vals   []any
}

// Scanner copies the columns of one row.
type Scanner interface {
	Scan(dest ...any) error
}

var (
	errOver     = errors.New("store: the transaction is over: a Tx must not be used outside its closure")
	errReadOnly = errors.New("store: a View cannot write: use Update")
	errOpen     = errors.New("store: a result is still open: read its rows to the end or close it before the next statement")
)

// Exec runs one statement and tells how many rows it changed.
func (tx *Tx) Exec(query string, args ...any) (int64, error) {
	if err := tx.ready(args); err != nil {
		return 0, err
	}
	if !tx.writer {
		return 0, tx.fail(errReadOnly)
	}
	tx.wrote = true
	n, err := tx.conn.Exec(tx.ctx, query, tx.vals)
	if err != nil {
		return 0, tx.fail(in(query, err))
	}
	return n, nil
}

// Query runs one statement that gives rows. They must be read to the end or closed
// before the next statement.
func (tx *Tx) Query(query string, args ...any) (*Rows, error) {
	if err := tx.ready(args); err != nil {
		return nil, err
	}
	if tx.writer && !reads(query) {
		tx.wrote = true
	}
	r, err := tx.conn.Query(tx.ctx, query, tx.vals)
	if err != nil {
		return nil, tx.fail(in(query, err))
	}
	tx.rows = Rows{tx: tx, query: query, rows: r}
	return &tx.rows, nil
}

// Row runs one statement and gives its first row; Scan answers ErrNoRows if there is none.
func (tx *Tx) Row(query string, args ...any) Scanner {
	r, err := tx.Query(query, args...)
	return row{r, err}
}

// reads reports whether the query surely only reads.
func reads(query string) bool {
	q := strings.TrimLeft(query, " \t\r\n")
	return len(q) >= 6 && strings.EqualFold(q[:6], "select")
}

// ready checks that a statement may run and reduces its arguments.
func (tx *Tx) ready(args []any) error {
	switch {
	case tx.over:
		return errOver
	case tx.failed != nil:
		return tx.failed
	case tx.rows.rows != nil:
		return tx.fail(errOpen)
	}
	if err := tx.ctx.Err(); err != nil {
		return tx.fail(err)
	}
	tx.vals = tx.vals[:0]
	for i, a := range args {
		v, err := engine.Value(a)
		if err != nil {
			return tx.fail(fault.Wrap(err, fault.Internal, "InternalFailure", "store: argument $%d", i+1))
		}
		tx.vals = append(tx.vals, v)
	}
	return nil
}

// in adds the statement to its error: engines say what is wrong, but not where.
func in(query string, err error) error {
	return fmt.Errorf("%w in %.200q", err, query)
}

// fail records the first failure: it decides about the closure.
func (tx *Tx) fail(err error) error {
	if tx.failed == nil {
		tx.failed = tx.db.judge(err)
	}
	return tx.failed
}

// end closes what the closure left open.
func (tx *Tx) end() {
	if tx.rows.rows != nil {
		_ = tx.rows.Close() // its error is in failed
	}
	tx.over = true
}

// Rows walks over a result. Next closes it at the end.
type Rows struct {
	tx    *Tx
	query string
	rows  engine.Rows // nil when closed
	err   error
}

// Next moves to the next row; it is false at the end and after an error.
func (r *Rows) Next() bool {
	if r.rows == nil {
		return false
	}
	if err := r.tx.ctx.Err(); err != nil {
		r.err = r.tx.fail(err)
	} else if r.rows.Next() {
		return true
	}
	_ = r.Close() // its error is in err
	return false
}

// Scan copies the columns of the row; see engine.Scan for the destinations.
func (r *Rows) Scan(dest ...any) error {
	if r.rows == nil {
		return errors.New("store: Scan without a row: call Next first")
	}
	if err := engine.Scan(r.rows, dest); err != nil {
		return fault.Wrap(err, fault.Internal, "InternalFailure", "store: a stored row could not be read")
	}
	return nil
}

// Err is the error that ended Next, if one did.
func (r *Rows) Err() error { return r.err }

// Close ends the result early; more than once is harmless.
func (r *Rows) Close() error {
	if r.rows == nil {
		return nil
	}
	err := r.rows.Err()
	if e := r.rows.Close(); err == nil {
		err = e
	}
	r.rows = nil
	if err != nil {
		r.err = r.tx.fail(in(r.query, err))
	}
	return r.err
}

type row struct {
	rows *Rows
	err  error
}

// Scan implements Scanner.
func (r row) Scan(dest ...any) error {
	if r.err != nil {
		return r.err
	}
	if !r.rows.Next() {
		if err := r.rows.Err(); err != nil {
			return err
		}
		return ErrNoRows
	}
	err := r.rows.Scan(dest...)
	if e := r.rows.Close(); err == nil {
		err = e
	}
	return err
}
