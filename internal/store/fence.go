package store

import (
	"context"
	"time"

	"drover/internal/core/fault"
)

// fenceEvery is how often the fence of a DB that writes nothing is looked at.
const fenceEvery = time.Second

// Fence makes this DB stand on what check finds: from now on it runs at the beginning of each
// transaction that writes, and now and then when nothing is written. check reads what says
// that this process is the one that may write. When it answers an error another process has
// taken over: nothing more is written, and the hook of OnFatal is called, for what is in
// memory is not what is stored any more. So whatever a process keeps in memory of the
// records that only it changes is true as long as it lives, and for fenceEvery beyond that.
// A later call replaces the check.
func (db *DB) Fence(check func(*Tx) error) {
	if db.fence.Swap(&check) == nil {
		go db.watchFence()
	}
}

func (db *DB) watchFence() {
	t := time.NewTicker(fenceEvery)
	defer t.Stop()
	for {
		select {
		case <-db.ended:
			return
		case <-t.C:
		}
		var replaced error
		err := db.View(context.Background(), func(tx *Tx) error {
			replaced = (*db.fence.Load())(tx)
			if tx.failed != nil {
				replaced = nil // the question was not answered: nothing is known
			}
			return nil
		})
		switch {
		case err == nil && replaced != nil:
			db.die(fenced(replaced))
			return
		case db.dead() != nil:
			return
		}
	}
}

// fenced is the error that a database dies of when another process has taken over.
func fenced(err error) error {
	return fault.Wrap(err, fault.Unavailable, codeUnavailable, "another drover has taken over the database: %v", err)
}

// fence runs the check in the transaction that begins.
func (w *writer) fence(ctx context.Context) error {
	check := w.db.fence.Load()
	if check == nil {
		return nil
	}
	tx := &Tx{ctx: ctx, db: w.db, conn: w.conn, writer: true, vals: w.vals}
	err := call(tx, *check)
	w.vals = tx.vals
	if tx.failed != nil {
		return tx.failed
	}
	if err != nil {
		return &replaced{err}
	}
	return nil
}

// replaced is the error of a transaction whose fence has fallen.
type replaced struct{ cause error }

// Error says what the check found.
func (r *replaced) Error() string { return r.cause.Error() }
