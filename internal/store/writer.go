package store

import (
	"context"
	"errors"
	"runtime/debug"
	"sync/atomic"
	"time"

	"drover/internal/core/fault"
	"drover/internal/store/engine"
)

const (
	groupSize = 1000                  // closures that share a commit
	groupTime = 20 * time.Millisecond // work after which a group takes no more
	tidyAfter = time.Second           // idle time before the log is cut
	tidyMost  = time.Minute           // longest wait between two attempts to cut it
	openTime  = 5 * time.Second       // for a new connection of the writer
)

// op is a closure on its way through the writer.
type op struct {
	fn    func(*Tx) error
	done  func(error)  // of Enqueue
	reply chan error   // of Update
	state atomic.Int32 // of Update: who decided about it first, see opWaiting
	mark  bool         // needs a savepoint: it failed after it wrote
	err   error
}

const (
	opWaiting = iota
	opTaken
	opWithdrawn
)

// take is false when the caller of Update has given up.
func (o *op) take() bool {
	return o.reply == nil || o.state.CompareAndSwap(opWaiting, opTaken)
}

func (o *op) answer() {
	if o.done != nil {
		o.done(o.err)
		return
	}
	o.reply <- o.err
}

// Update runs fn in the group commit and returns when its writes are durable. If fn
// returns an error, or one of its statements fails, its writes are undone and that
// error is returned. fn runs on another goroutine and may run several times.
func (db *DB) Update(ctx context.Context, fn func(*Tx) error) error {
	o := &op{fn: fn, reply: make(chan error, 1)}
	if err := db.send(ctx, o); err != nil {
		return err
	}
	select {
	case err := <-o.reply:
		return err
	case <-ctx.Done():
	}
	if o.state.CompareAndSwap(opWaiting, opWithdrawn) {
		return ctx.Err()
	}
	return <-o.reply
}

// Enqueue is Update without waiting; it blocks only while the queue is full. done is
// called once, after the flush or with the error, on the writer's goroutine: it must
// not block, and so must not call the DB.
func (db *DB) Enqueue(fn func(*Tx) error, done func(error)) {
	if err := db.send(context.Background(), &op{fn: fn, done: done}); err != nil {
		done(err)
	}
}

func (db *DB) send(ctx context.Context, o *op) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := db.dead(); err != nil {
		return err
	}
	db.mu.RLock()
	defer db.mu.RUnlock()
	if db.closed {
		return errClosed()
	}
	select {
	case db.queue <- o:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// writer owns the connection that writes. All its methods run on one goroutine.
type writer struct {
	db    *DB
	conn  engine.Conn // nil or dead: opened again for the next group
	group []*op
	wrote bool          // something of this transaction may have written
	down  bool          // the last group could not reach the database
	dirty bool          // written since the log was cut
	wait  time.Duration // before the next attempt to cut the log
	vals  []any
}

// errAgain says that a group was rolled back to give a failed closure a savepoint.
var errAgain = errors.New("run the group again")

// run lives until Close has closed the queue and the last group is answered.
func (w *writer) run() {
	finished := false
	defer func() {
		if !finished {
			w.abandoned()
			go w.run()
		}
	}()
	for {
		first, ok := w.next()
		if !ok {
			break
		}
		w.serve(first)
	}
	w.stop()
	finished = true
	close(w.db.ended)
}

// abandoned repairs what a closure left that ended the goroutine (runtime.Goexit, as
// testing's FailNow does).
func (w *writer) abandoned() {
	w.reset()
	w.refuse(fault.New(fault.Internal, "InternalFailure", "a closure ended the store's goroutine; its group was undone"))
}

func (w *writer) stop() {
	if w.conn == nil {
		return
	}
	if w.dirty && w.db.dead() == nil {
		_, _ = w.conn.Tidy(context.Background()) // the next opening does it as well
	}
	_ = w.conn.Close() // nothing is pending: it cannot lose anything
	w.conn = nil
}

// next waits for a closure, and cuts the log when none comes for a while.
func (w *writer) next() (*op, bool) {
	select {
	case o, ok := <-w.db.queue:
		return o, ok
	default:
	}
	for w.dirty {
		timer := time.NewTimer(w.wait)
		select {
		case o, ok := <-w.db.queue:
			timer.Stop()
			return o, ok
		case <-timer.C:
			w.tidy()
		}
	}
	o, ok := <-w.db.queue
	return o, ok
}

func (w *writer) tidy() {
	if w.conn == nil || w.conn.Dead() || w.db.dead() != nil {
		w.dirty = false
		return
	}
	tidy, err := w.conn.Tidy(context.Background())
	if err != nil && w.db.engine.Fate(err) == engine.Broken {
		w.db.die(err)
	}
	w.dirty = !tidy
	w.wait = min(2*w.wait, tidyMost)
}

// serve commits the group that starts with first and answers it.
func (w *writer) serve(first *op) {
	if !first.take() {
		return
	}
	w.group = append(w.group[:0], first)
	if err := w.db.dead(); err != nil {
		w.refuse(err)
		return
	}
	if err := w.commit(&w.group, true); err != nil {
		switch w.db.engine.Fate(err) {
		case engine.Statement, engine.Duplicate, engine.Full:
			w.singly()
		default:
			w.refuse(err)
			return
		}
	}
	for _, o := range w.group {
		o.answer()
	}
	clear(w.group)
}

// refuse answers the whole group with the error.
func (w *writer) refuse(err error) {
	for _, o := range w.group {
		o.err = err
		o.answer()
	}
	clear(w.group)
	w.group = w.group[:0]
}

// singly gives each closure a transaction of its own when together they failed for what
// may be the doing of one: a full disk, a constraint checked at commit.
func (w *writer) singly() {
	for i := range w.group {
		one := w.group[i : i+1 : i+1]
		if err := w.commit(&one, false); err != nil {
			one[0].err = err
		}
		if err := w.db.dead(); err != nil {
			for _, o := range w.group[i:] {
				o.err = err
			}
			return
		}
	}
}

// commit runs the closures and makes them durable. With gather it takes more of them
// from the queue as it goes. An error is about the whole group: nothing of it was kept,
// or, when the storage broke, nothing is known about it.
func (w *writer) commit(group *[]*op, gather bool) error {
	patience := []time.Duration{0, 50 * time.Millisecond, 200 * time.Millisecond, 800 * time.Millisecond}
	if w.down {
		patience = nil
	}
	for {
		err := w.attempt(group, gather)
		gather = false
		switch {
		case err == nil:
			w.down = false
			return nil
		case errors.Is(err, errAgain):
			continue // bounded: each time a closure more is marked
		}
		w.reset()
		if r, ok := errors.AsType[*replaced](err); ok {
			w.db.die(fenced(r.cause))
			return w.db.dead()
		}
		fate := w.db.engine.Fate(err)
		if (fate == engine.Lost || fate == engine.Busy) && len(patience) > 0 {
			time.Sleep(patience[0])
			patience = patience[1:]
			continue
		}
		w.down = fate == engine.Lost
		return w.db.judge(err)
	}
}

// reset rolls back; a connection that cannot is replaced.
func (w *writer) reset() {
	if w.conn == nil {
		return
	}
	if err := w.conn.Rollback(context.Background()); err != nil || w.conn.Dead() {
		_ = w.conn.Close() // its transaction dies with it
		w.conn = nil
	}
}

// attempt is one try at a group: BEGIN, the closures, COMMIT.
func (w *writer) attempt(group *[]*op, gather bool) error {
	ctx := context.Background()
	if err := w.begin(ctx); err != nil {
		return err
	}
	if err := w.fence(ctx); err != nil {
		return err
	}
	start := time.Now()
	for i := 0; i < len(*group); i++ {
		if err := w.apply(ctx, (*group)[i]); err != nil {
			return err
		}
		for gather && i == len(*group)-1 && len(*group) < groupSize && time.Since(start) < groupTime {
			o := w.poll()
			if o == nil {
				break
			}
			if o.take() {
				*group = append(*group, o)
			}
		}
	}
	if err := w.conn.Commit(ctx); err != nil {
		return err
	}
	if w.wrote {
		w.dirty, w.wait = true, tidyAfter
	}
	return nil
}

func (w *writer) poll() *op {
	select {
	case o := <-w.db.queue: // nil when closed
		return o
	default:
		return nil
	}
}

func (w *writer) begin(ctx context.Context) error {
	w.wrote = false
	if w.conn == nil || w.conn.Dead() {
		if w.conn != nil {
			_ = w.conn.Close()
			w.conn = nil
		}
		ctx, cancel := context.WithTimeout(ctx, openTime)
		defer cancel()
		conn, err := w.db.engine.Writer(ctx)
		if err != nil {
			return err
		}
		w.conn = conn
	}
	return w.conn.Begin(ctx)
}

// apply runs one closure. What it answers stays in o.err; the error returned is about
// the transaction.
func (w *writer) apply(ctx context.Context, o *op) error {
	if o.mark {
		if _, err := w.conn.Exec(ctx, "SAVEPOINT closure", nil); err != nil {
			return err
		}
	}
	tx := &Tx{ctx: ctx, db: w.db, conn: w.conn, writer: true, vals: w.vals}
	o.err = call(tx, o.fn)
	w.vals = tx.vals
	if tx.failed != nil {
		switch w.db.engine.Fate(tx.failed) {
		case engine.Busy, engine.Full, engine.Lost, engine.Broken:
			return tx.failed
		}
		o.err = tx.failed
	}
	switch {
	case o.err == nil && !o.mark:
	case o.err == nil:
		_, err := w.conn.Exec(ctx, "RELEASE closure", nil)
		if err != nil {
			return err
		}
	default:
		return w.undo(ctx, o, tx)
	}
	w.wrote = w.wrote || tx.wrote
	return nil
}

// undo takes back what a failed closure did, in the cheapest way there is.
func (w *writer) undo(ctx context.Context, o *op, tx *Tx) error {
	switch {
	case o.mark:
		if _, err := w.conn.Exec(ctx, "ROLLBACK TO closure", nil); err != nil {
			return err
		}
		_, err := w.conn.Exec(ctx, "RELEASE closure", nil)
		return err
	case !tx.wrote && (tx.failed == nil || !w.db.engine.Poisons()):
		return nil // there is nothing to take back
	}
	if err := w.conn.Rollback(ctx); err != nil {
		return err
	}
	if !w.wrote { // nobody before it wrote: the rest starts afresh
		if err := w.conn.Begin(ctx); err != nil {
			return err
		}
		return w.fence(ctx)
	}
	o.mark = true
	return errAgain
}

// call runs the closure and turns a panic into an error: it must not take the whole
// store down with it.
func call(tx *Tx, fn func(*Tx) error) (err error) {
	defer tx.end()
	defer func() {
		if p := recover(); p != nil {
			err = fault.New(fault.Internal, "InternalFailure", "a closure panicked: %v\n%s", p, debug.Stack())
		}
	}()
	return fn(tx)
}

// judge ends the process (by the hook) when err says that the storage is broken, and
// gives the fault to answer with.
func (db *DB) judge(err error) error {
	if db.engine.Fate(err) == engine.Broken {
		db.die(err)
		return db.dead()
	}
	return db.explain(err)
}
