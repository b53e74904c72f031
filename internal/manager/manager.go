// Package manager is the job manager: it accepts jobs, decides where and when they run,
// follows their attempts and records every step.
//
// The package keeps its promises by its shape. Core (pure, one goroutine, `now` passed in)
// makes every decision in memory and leaves the rows that record it; the loop commits the
// rows of many decisions in one transaction, and only then do answers and messages to
// workers leave. A crash therefore loses nothing that was acknowledged: the next manager
// reads the rows and goes on. Reads are answered from the store and so show committed
// state only.
package manager

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"drover/internal/core/job"
	"drover/internal/store"
)

// Manager is the job manager at work. Create it with Open, then call Run.
type Manager struct {
	opt     Options
	journal Journal
	db      *store.DB
	post    *Post
	log     *slog.Logger
	start   time.Time

	commands chan Command
	outcomes chan outcome
	stopped  chan struct{}
	refused  atomic.Bool // a batch was, and the loop has not heard of it yet

	// Owned by the goroutine of Run.
	desk *Desk

	outlook outlookCache

	purged atomic.Value // string: the definition up to which Purge has looked

	mu      sync.Mutex
	changed chan struct{} // closed and replaced when transitions become durable
}

// DefaultOptions are the lease and memory terms of production.
func DefaultOptions() Options {
	return Options{LeaseTTL: (30 * time.Second).Microseconds(), KeepEnded: time.Minute.Microseconds()}
}

// Open loads the manager's state from the store.
func Open(ctx context.Context, db *store.DB, opt Options, log *slog.Logger) (*Manager, error) {
	j, err := NewJournal(ctx, db)
	if err != nil {
		return nil, err
	}
	m := &Manager{
		opt: opt, journal: j, db: db, post: NewPost(), log: log, start: time.Now(),
		commands: make(chan Command, maxCommands), outcomes: make(chan outcome, maxInFlight), stopped: make(chan struct{}),
		changed: make(chan struct{}),
	}
	core, err := m.restore(ctx)
	if err != nil {
		return nil, err
	}
	m.desk = NewDesk(core, m.post)
	return m, nil
}

// restore makes a Core of what the journal holds. One part is read while the Core takes up
// the one before.
func (m *Manager) restore(ctx context.Context) (*Core, error) {
	parts, taken := make(chan Image, 1), make(chan *Core, 1)
	now := m.instant()
	go func() {
		var c *Core
		for img := range parts {
			if c == nil {
				c = Begin(m.opt, img, now)
			}
			c.Continue(img.Jobs, now)
		}
		taken <- c
	}()
	err := m.journal.Load(ctx, func(img Image) { parts <- img })
	close(parts)
	c := <-taken
	if err != nil {
		return nil, err
	}
	c.Ready()
	return c, nil
}

// do runs fn on the Core and returns when what it decided is durable.
func (m *Manager) do(ctx context.Context, fn func(c *Core, now Instant) error) error {
	return m.send(ctx, fn, false)
}

// ask runs fn on the Core, which must not change it, and returns at once.
func (m *Manager) ask(ctx context.Context, fn func(c *Core)) error {
	return m.send(ctx, func(c *Core, _ Instant) error { fn(c); return nil }, true)
}

// send runs fn on the Core. When ctx ends before the loop has taken the command up, it never
// runs; after that the outcome is awaited, for what fn has captured is in use.
func (m *Manager) send(ctx context.Context, fn func(c *Core, now Instant) error, now bool) error {
	var result error
	var fate atomic.Int32
	done := make(chan error, 1)
	cmd := Command{
		Run: func(c *Core, at Instant) {
			if fate.CompareAndSwap(commandWaits, commandTaken) {
				result = fn(c, at)
			}
		},
		Answer: func(err error) {
			if err == nil {
				err = result
			}
			done <- err
		},
		Now: now,
	}
	select {
	case m.commands <- cmd:
	case <-ctx.Done():
		return ctx.Err()
	case <-m.stopped:
		return errStopping
	}
	cause := error(errStopping)
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		cause = ctx.Err()
	case <-m.stopped:
	}
	if fate.CompareAndSwap(commandWaits, commandWithdrawn) {
		return cause
	}
	select {
	case err := <-done:
		return err
	case <-m.stopped: // the loop has answered what it had taken up
		select {
		case err := <-done:
			return err
		default:
			return errStopping
		}
	}
}

// What becomes of a command between the one who sent it and the loop.
const (
	commandWaits = iota
	commandTaken
	commandWithdrawn
)

// announce wakes everybody who follows transitions.
func (m *Manager) announce() {
	m.mu.Lock()
	defer m.mu.Unlock()
	close(m.changed)
	m.changed = make(chan struct{})
}

// Changed gives a channel that is closed at the next commit that wrote transitions.
func (m *Manager) Changed() <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.changed
}

// NewID gives a job id that sorts by time (UUID version 7): neighbours in time are
// neighbours in the index.
func NewID(now time.Time) job.ID {
	var id job.ID
	rand.Read(id[:])
	ms := uint64(now.UnixMilli())
	for i := range 6 {
		id[i] = byte(ms >> (40 - 8*i))
	}
	id[6] = id[6]&0x0f | 0x70
	id[8] = id[8]&0x3f | 0x80
	return id
}

func newSession() string {
	var b [12]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}
