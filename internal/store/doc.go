// Package store is the ground that everything durable stands on: SQLite in a file for
// one machine, PostgreSQL for many, one SQL dialect and one set of promises for both.
//
// # Promises
//
//   - Durable: when Update returns nil, or done is called with nil, the writes have
//     reached the disk (SQLite: WAL with synchronous=FULL; PostgreSQL: by its own
//     synchronous_commit).
//   - Atomic and alone: closures run one after another, each sees everything before it
//     and nothing half done. A closure that returns an error has written nothing; its
//     neighbours in the same group commit are not touched.
//   - In order: closures of Enqueue, and of Update calls that follow each other, are
//     applied in the order of the calls. done is called in that order too.
//   - Told after the fact: an error is reported only when the commit of its group is
//     over, because it may rest on what others in the group wrote.
//   - One failed statement fails its closure, even if the closure goes on and returns
//     nil. (PostgreSQL has no other way; SQLite is held to the same.) To try something,
//     ask with ON CONFLICT.
//   - One result at a time: rows are read to the end or closed before the next statement,
//     on both engines. (A PostgreSQL connection can do no other, and on SQLite nobody
//     knows what writing under an open result does.)
//   - Snapshots: View sees one committed state from its first statement to its end and
//     never waits for the writer.
//   - A context that ends before its Update was taken up means: nothing happened. Once
//     taken up, Update waits for the outcome.
//   - Bounded: 65,536 closures can wait, 1,000 share a commit, a group is closed after
//     20 ms of work.
//
// # The group commit
//
//	Update, Enqueue ──> queue ──> writer goroutine: BEGIN, closure, closure, …, COMMIT ──> answers
//
// The writer commits at once when nothing waits. Otherwise everything that queued
// during the previous flush goes into the next transaction. Closures run without
// savepoints; only when one fails after it wrote, the group is rolled back and run
// again with a savepoint around the one that failed. That is why a closure must be
// repeatable: it may run several times, must set (not add to) what it captures, and
// must have no effect outside the transaction.
//
// # When the disk fails
//
// A full disk is refused (fault.Unavailable, "disk full …") and recovers by itself;
// reads go on. Every other failure of the storage (I/O error, failed fsync, corruption,
// a commit whose outcome is unknown) means that memory and disk may differ: the hook of
// OnFatal is called once, by default it ends the process with status 70, and every call
// after it is refused.
//
// # When another process takes over
//
// Fence makes every transaction begin with a question: am I still the one that writes? The
// answer no ends the process as a broken disk does. The term of the manager's leadership is
// what is asked for, so that of two servers on one database the older one cannot write, with
// whatever part of it, and what a server keeps in memory of its records cannot be outdated
// for longer than a second.
//
// # The dialect
//
// SQL that both engines run: $1 placeholders, BIGINT, TEXT, BYTEA (keys that must sort
// by byte, and anything that is not UTF-8), DOUBLE PRECISION, BOOLEAN, JSON as TEXT,
// times as BIGINT microseconds, ON CONFLICT, RETURNING, partial indexes. BYTEA takes
// []byte and TEXT takes string. INTEGER has 32 bits on PostgreSQL. In migrations
// {{without_rowid}} and {{serial}} stand for what differs.
package store
