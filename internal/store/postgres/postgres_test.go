package postgres

import (
	"errors"
	"fmt"
	"testing"

	"drover/internal/core/fault"
	"drover/internal/store/engine"

	"github.com/jackc/pgx/v5/pgconn"
)

func TestFate(t *testing.T) {
	e, err := New("postgres://me@nowhere/db")
	if err != nil {
		t.Fatal(err)
	}
	code := func(c string) error { return fmt.Errorf("in a statement: %w", &pgconn.PgError{Code: c}) }
	for _, c := range []struct {
		err  error
		want engine.Fate
	}{
		{errors.New("anything else"), engine.Statement},
		{code("42601"), engine.Statement},
		{code("23503"), engine.Statement}, // a foreign key
		{code("57014"), engine.Statement}, // a statement that took too long
		{code("23505"), engine.Duplicate},
		{code("53100"), engine.Full},
		{code("40001"), engine.Busy},
		{code("55P03"), engine.Busy},
		{code("08006"), engine.Lost},
		{code("57P01"), engine.Lost},
		{code("53300"), engine.Lost},
		{&lost{errors.New("reset")}, engine.Lost},
		{code("58030"), engine.Broken},
		{code("XX001"), engine.Broken},
		{&unknownCommit{code("57P01")}, engine.Broken},
	} {
		if got := e.Fate(c.err); got != c.want {
			t.Errorf("%v: fate %d, want %d", c.err, got, c.want)
		}
	}
}

func TestURL(t *testing.T) {
	_, err := New("postgres://me:secret@host:port/db")
	if !fault.Is(err, fault.Invalid) {
		t.Errorf("a wrong URL: %v", err)
	}
	e, err := New("postgres://me@host/db?lock_timeout=1s")
	if err != nil {
		t.Fatal(err)
	}
	if got := e.config.RuntimeParams["lock_timeout"]; got != "1s" {
		t.Errorf("lock_timeout is %q, the URL says 1s", got)
	}
	if got := e.config.RuntimeParams["statement_timeout"]; got == "" {
		t.Error("no statement_timeout")
	}
}
