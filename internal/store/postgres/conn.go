package postgres

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"time"

	"drover/internal/store/engine"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
)

// conn is one connection to PostgreSQL; pgx keeps its prepared statements.
type conn struct {
	c     *pgx.Conn
	begin string
}

// formats asks for whole numbers and bytes in binary, for everything else (among it
// NUMERIC, which sum() of a BIGINT gives) as text.
func formats() pgx.QueryResultFormatsByOID {
	return pgx.QueryResultFormatsByOID{
		pgtype.Int2OID: pgx.BinaryFormatCode, pgtype.Int4OID: pgx.BinaryFormatCode,
		pgtype.Int8OID: pgx.BinaryFormatCode, pgtype.ByteaOID: pgx.BinaryFormatCode,
	}
}

// wrap tells a lost connection from a refused statement. A connection that the end of
// ctx closed is neither.
func (c *conn) wrap(ctx context.Context, err error) error {
	if err == nil || ctx.Err() != nil || !c.c.IsClosed() {
		return err
	}
	if _, ok := errors.AsType[*pgconn.PgError](err); ok {
		return err
	}
	return &lost{cause: err}
}

// simple runs statements without arguments in one round trip.
func (c *conn) simple(ctx context.Context, sql string) ([]*pgconn.Result, error) {
	return c.c.PgConn().Exec(ctx, sql).ReadAll()
}

// Begin implements engine.Conn.
func (c *conn) Begin(ctx context.Context) error {
	_, err := c.simple(ctx, c.begin)
	return c.wrap(ctx, err)
}

// Commit implements engine.Conn.
func (c *conn) Commit(ctx context.Context) error {
	results, err := c.simple(ctx, "COMMIT")
	if err != nil {
		// An ERROR is PostgreSQL's word that it rolled back; anything that closed the
		// connection leaves the outcome open.
		if _, ok := errors.AsType[*pgconn.PgError](err); ok && !c.c.IsClosed() {
			return err
		}
		return &unknownCommit{cause: err}
	}
	if len(results) != 1 || results[0].CommandTag.String() != "COMMIT" {
		return errors.New("postgres: the transaction had failed and was rolled back")
	}
	return nil
}

// Rollback implements engine.Conn.
func (c *conn) Rollback(ctx context.Context) error {
	if c.c.IsClosed() {
		return &lost{cause: errors.New("rollback on a closed connection")}
	}
	if c.c.PgConn().TxStatus() == 'I' {
		return nil
	}
	_, err := c.simple(ctx, "ROLLBACK")
	return c.wrap(ctx, err)
}

// Exec implements engine.Conn.
func (c *conn) Exec(ctx context.Context, query string, args []any) (int64, error) {
	tag, err := c.c.Exec(ctx, query, args...)
	return tag.RowsAffected(), c.wrap(ctx, err)
}

// Query implements engine.Conn.
func (c *conn) Query(ctx context.Context, query string, args []any) (engine.Rows, error) {
	all := make([]any, 0, len(args)+1)
	r, err := c.c.Query(ctx, query, append(append(all, formats()), args...)...)
	if err != nil {
		return nil, c.wrap(ctx, err)
	}
	return &rows{c: c, ctx: ctx, r: r}, nil
}

// Run implements engine.Conn. A script may take as long as it needs, and what was
// prepared before it may not fit the tables after it.
func (c *conn) Run(ctx context.Context, script string) error {
	if _, err := c.simple(ctx, "SET LOCAL statement_timeout = 0"); err != nil {
		return c.wrap(ctx, err)
	}
	if _, err := c.simple(ctx, script); err != nil {
		return c.wrap(ctx, err)
	}
	return c.wrap(ctx, c.c.DeallocateAll(ctx))
}

// Tidy implements engine.Conn: PostgreSQL looks after itself.
func (c *conn) Tidy(context.Context) (bool, error) { return true, nil }

// Dead implements engine.Conn.
func (c *conn) Dead() bool { return c.c.IsClosed() }

// Close implements engine.Conn.
func (c *conn) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	return c.c.Close(ctx)
}

// rows is the result of a query.
type rows struct {
	c   *conn
	ctx context.Context
	r   pgx.Rows
}

// Next implements engine.Rows.
func (r *rows) Next() bool { return r.r.Next() }

// Err implements engine.Rows.
func (r *rows) Err() error { return r.c.wrap(r.ctx, r.r.Err()) }

// Close implements engine.Rows.
func (r *rows) Close() error {
	r.r.Close()
	return r.Err()
}

// Columns implements engine.Row.
func (r *rows) Columns() int { return len(r.r.FieldDescriptions()) }

// Null implements engine.Row.
func (r *rows) Null(i int) bool { return r.r.RawValues()[i] == nil }

// Int implements engine.Row.
func (r *rows) Int(i int) (int64, error) {
	raw, kind := r.r.RawValues()[i], r.r.FieldDescriptions()[i].DataTypeOID
	switch {
	case kind == pgtype.Int8OID && len(raw) == 8:
		return int64(binary.BigEndian.Uint64(raw)), nil
	case kind == pgtype.Int4OID && len(raw) == 4:
		return int64(int32(binary.BigEndian.Uint32(raw))), nil
	case kind == pgtype.Int2OID && len(raw) == 2:
		return int64(int16(binary.BigEndian.Uint16(raw))), nil
	case kind == pgtype.BoolOID:
		if string(raw) == "t" {
			return 1, nil
		}
		return 0, nil
	case kind == pgtype.NumericOID:
		return strconv.ParseInt(string(raw), 10, 64)
	}
	return 0, fmt.Errorf("%v is not an integer", r.Any(i))
}

// Float implements engine.Row.
func (r *rows) Float(i int) (float64, error) {
	switch r.r.FieldDescriptions()[i].DataTypeOID {
	case pgtype.Float8OID, pgtype.Float4OID, pgtype.NumericOID:
		return strconv.ParseFloat(string(r.r.RawValues()[i]), 64)
	}
	n, err := r.Int(i)
	return float64(n), err
}

// Bytes implements engine.Row.
func (r *rows) Bytes(i int) []byte {
	if r.r.FieldDescriptions()[i].Format == pgx.BinaryFormatCode && r.r.FieldDescriptions()[i].DataTypeOID != pgtype.ByteaOID {
		n, _ := r.Int(i) // binary are only bytes and whole numbers
		return strconv.AppendInt(nil, n, 10)
	}
	return r.r.RawValues()[i]
}

// Any implements engine.Row.
func (r *rows) Any(i int) any {
	raw := r.r.RawValues()[i]
	if raw == nil {
		return nil
	}
	switch r.r.FieldDescriptions()[i].DataTypeOID {
	case pgtype.Int2OID, pgtype.Int4OID, pgtype.Int8OID:
		n, _ := r.Int(i)
		return n
	case pgtype.BoolOID:
		return string(raw) == "t"
	case pgtype.Float4OID, pgtype.Float8OID:
		f, _ := r.Float(i)
		return f
	case pgtype.NumericOID:
		if n, err := r.Int(i); err == nil {
			return n
		}
		f, _ := r.Float(i)
		return f
	case pgtype.ByteaOID:
		return append([]byte{}, raw...)
	}
	return string(raw)
}
