// Package engine says what a database engine must give the store, and nothing about
// which engine it is: connections that run statements, and the meaning of an error.
//
// It promises that both engines take the same arguments and fill the same
// destinations (see Value and Scan), so that code tested on one is not surprised by
// the other.
package engine

import "context"

// Fate is what an error of an engine means for the work in hand.
type Fate uint8

// The fates. The zero Fate blames the statement only.
const (
	Statement Fate = iota // the statement is wrong or refused; its closure fails, others do not
	Duplicate             // a unique key exists already; a Statement otherwise
	Busy                  // a lock or a rival was in the way and nothing happened; running it again may help
	Full                  // no space left; nothing of the transaction may be kept, reads still work
	Lost                  // the connection is gone; what was not committed did not happen
	Broken                // the storage cannot be trusted any more (I/O, fsync, corruption)
)

// Engine opens connections to one database.
type Engine interface {
	// Name is "sqlite" or "postgres".
	Name() string
	// Writer opens the one connection that writes.
	Writer(ctx context.Context) (Conn, error)
	// Reader opens a connection for read-only snapshots.
	Reader(ctx context.Context) (Conn, error)
	// Fate classifies an error that a Conn of this engine returned.
	Fate(err error) Fate
	// Script rewrites a migration from the common dialect.
	Script(sql string) string
	// Poisons says whether a failed statement spoils the whole transaction (back to
	// the last savepoint), or only undoes itself.
	Poisons() bool
}

// Conn is one connection, used by one goroutine at a time. At most one Rows may be
// open on it, and no other statement may run meanwhile.
type Conn interface {
	// Begin starts a transaction: a writer's excludes all other writers, a reader's
	// is a read-only snapshot.
	Begin(ctx context.Context) error
	// Commit returns nil only when the transaction is durable.
	Commit(ctx context.Context) error
	// Rollback ends the transaction if there is one.
	Rollback(ctx context.Context) error
	// Exec runs one statement; its prepared form is kept.
	Exec(ctx context.Context, query string, args []any) (int64, error)
	// Query runs one statement that gives rows; its prepared form is kept.
	Query(ctx context.Context, query string, args []any) (Rows, error)
	// Run executes a script of several statements without arguments.
	Run(ctx context.Context, script string) error
	// Tidy is called when the writer has nothing to do after it has written. It
	// reports whether all is tidy; if not it is called again later.
	Tidy(ctx context.Context) (bool, error)
	// Dead reports whether the connection must be replaced.
	Dead() bool
	Close() error
}

// Rows walks over a result. It is a Row as long as the last Next said true.
type Rows interface {
	Row
	Next() bool
	Err() error
	Close() error
}
