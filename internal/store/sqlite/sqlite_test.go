package sqlite

import (
	"errors"
	"fmt"
	"syscall"
	"testing"

	"drover/internal/store/engine"
)

func TestFate(t *testing.T) {
	e := &Engine{}
	for _, c := range []struct {
		err  error
		want engine.Fate
	}{
		{errors.New("anything else"), engine.Statement},
		{&Error{Code: 1}, engine.Statement},
		{&Error{Code: 787}, engine.Statement}, // a foreign key
		{&Error{Code: 2067}, engine.Duplicate},
		{&Error{Code: 1555}, engine.Duplicate},
		{&Error{Code: 5}, engine.Busy},
		{&Error{Code: 13}, engine.Full},
		{&Error{Code: 4874, System: syscall.ENOSPC}, engine.Full}, // growing the shared memory file
		{&Error{Code: 778, System: syscall.EDQUOT}, engine.Full},
		{&Error{Code: 778, System: syscall.EIO}, engine.Broken},
		{&Error{Code: 1034, System: syscall.ENOSPC}, engine.Broken}, // a failed fsync is final
		{&Error{Code: 14, System: syscall.EMFILE}, engine.Busy},
		{&Error{Code: 14}, engine.Broken},
		{&Error{Code: 11}, engine.Broken},
		{&Error{Code: 26}, engine.Broken},
		{fmt.Errorf("in a statement: %w", &Error{Code: 11}), engine.Broken},
	} {
		if got := e.Fate(c.err); got != c.want {
			t.Errorf("%v: fate %d, want %d", c.err, got, c.want)
		}
	}
}

func TestFailedOpenTellsWhy(t *testing.T) {
	e, err := New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if c, err := e.Reader(t.Context()); err == nil {
		t.Error("a folder was opened as a database")
		_ = c.Close()
	}
}
