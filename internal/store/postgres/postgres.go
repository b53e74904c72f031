// Package postgres is the scaled engine of the store: PostgreSQL through pgx.
//
// It promises the same as the embedded engine: writers of all processes exclude each
// other (an advisory lock held by each writing transaction), readers see one snapshot,
// and a Commit whose answer was lost is told apart from one that failed.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"drover/internal/core/fault"
	"drover/internal/store/engine"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// writeLock is the advisory lock of drover's writers: "drover" in ASCII.
const writeLock = 0x64726f766572

// Engine opens connections to one PostgreSQL database.
type Engine struct {
	config *pgx.ConnConfig
}

// New reads a postgres:// URL and does not connect yet.
func New(url string) (*Engine, error) {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "", "the PostgreSQL URL cannot be read: write postgres://user@host/database")
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = 5 * time.Second
	}
	// Nothing may hang for ever: a paused backend, a forgotten lock, a stalled client.
	for name, value := range map[string]string{
		"application_name":                    "drover",
		"statement_timeout":                   "60s",
		"lock_timeout":                        "30s",
		"idle_in_transaction_session_timeout": "60s",
	} {
		if _, set := config.RuntimeParams[name]; !set {
			config.RuntimeParams[name] = value
		}
	}
	return &Engine{config: config}, nil
}

// Name implements engine.Engine.
func (e *Engine) Name() string { return "postgres" }

// Poisons implements engine.Engine: after a failed statement PostgreSQL takes no more.
func (e *Engine) Poisons() bool { return true }

// Writer implements engine.Engine.
func (e *Engine) Writer(ctx context.Context) (engine.Conn, error) {
	return e.connect(ctx, fmt.Sprintf("BEGIN; SELECT pg_advisory_xact_lock(%d)", int64(writeLock)))
}

// Reader implements engine.Engine.
func (e *Engine) Reader(ctx context.Context) (engine.Conn, error) {
	return e.connect(ctx, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
}

func (e *Engine) connect(ctx context.Context, begin string) (engine.Conn, error) {
	c, err := pgx.ConnectConfig(ctx, e.config.Copy())
	if err != nil {
		return nil, err
	}
	return &conn{c: c, begin: begin}, nil
}

// Script implements engine.Engine.
func (e *Engine) Script(sql string) string {
	return strings.NewReplacer(
		"{{without_rowid}}", "",
		"{{serial}}", "BIGSERIAL PRIMARY KEY",
	).Replace(sql)
}

// Fate implements engine.Engine.
func (e *Engine) Fate(err error) engine.Fate {
	if _, ok := errors.AsType[*unknownCommit](err); ok {
		return engine.Broken
	}
	if x, ok := errors.AsType[*pgconn.PgError](err); ok {
		return fateOf(x)
	}
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return engine.Lost
	}
	if _, ok := errors.AsType[*lost](err); ok {
		return engine.Lost
	}
	return engine.Statement
}

// fateOf reads the codes of PostgreSQL's appendix A.
func fateOf(x *pgconn.PgError) engine.Fate {
	switch x.Code {
	case "23505":
		return engine.Duplicate
	case "53100":
		return engine.Full
	case "40001", "40P01", "55P03": // rivals: serialization, deadlock, lock timeout
		return engine.Busy
	case "58030", "XX001", "XX002": // I/O error, corrupted data, corrupted index
		return engine.Broken
	case "57P01", "57P02", "57P03", "53300", "25P03": // shutdown, crash, starting, too many, idle too long
		return engine.Lost
	}
	if strings.HasPrefix(x.Code, "08") {
		return engine.Lost
	}
	return engine.Statement
}

// unknownCommit is a COMMIT whose answer never came: it may have happened.
type unknownCommit struct{ cause error }

func (e *unknownCommit) Error() string {
	return "the connection to PostgreSQL ended during a commit: " + e.cause.Error()
}

// lost is a connection that ended outside a commit: nothing of its transaction remains.
type lost struct{ cause error }

func (e *lost) Error() string { return "the connection to PostgreSQL ended: " + e.cause.Error() }
