package manager

import (
	"context"
	"errors"
	"time"

	"drover/internal/core/fault"
)

// The manager's only goroutine of its own is here. It runs commands in the order in which
// they come, commits what they decided, and answers once that is durable. While one batch
// is being made durable the next one gathers: commits are as many as the disk can do, and
// no decision waits for a timer.
const (
	tickEvery  = time.Second
	retryEvery = time.Second // between attempts to go on after the store refused a batch

	// roundTime is how long commands are run, and then how long units are placed, before what
	// was decided goes to the disk and others have their turn.
	roundTime = 2 * time.Millisecond
)

// outcome tells the loop what became of a batch.
type outcome struct {
	seq int64
	err error
}

func (m *Manager) instant() Instant {
	return Instant{Wall: time.Now().UnixMicro(), Mono: time.Since(m.start).Microseconds()}
}

// Run makes decisions until ctx ends. It returns nil then; every other end is an error.
func (m *Manager) Run(ctx context.Context) error {
	defer close(m.stopped)
	tick := time.NewTicker(tickEvery)
	defer tick.Stop()
	for {
		var commands <-chan Command
		if m.desk.Room() {
			commands = m.commands
		}
		var idle <-chan struct{}
		if m.desk.Busy() {
			idle = closed
		}
		select {
		case <-ctx.Done():
			return m.drain()
		case o := <-m.outcomes:
			if err := m.settled(ctx, o); err != nil {
				return err
			}
		case <-tick.C:
			m.desk.Tick(m.instant())
		case cmd := <-commands:
			if err := m.take(ctx, cmd); err != nil {
				return err
			}
		case <-idle:
		}
		m.decide()
	}
}

var closed = func() chan struct{} { c := make(chan struct{}); close(c); return c }()

// spent tells whether roundTime has passed since now.
func spent() func() bool {
	start := time.Now()
	return func() bool { return time.Since(start) > roundTime }
}

// take runs a command and whatever else has queued behind it. Who sends one may know already
// that a batch was refused: then it must find the Core that begins again from the disk.
func (m *Manager) take(ctx context.Context, cmd Command) error {
	over := spent()
	for n := 1; ; n++ {
		for m.refused.Load() {
			if err := m.settled(ctx, <-m.outcomes); err != nil {
				cmd.Answer(err)
				return err
			}
		}
		m.desk.Take(cmd, m.instant())
		if n == maxCommands || over() {
			return nil
		}
		select {
		case cmd = <-m.commands:
		default:
			return nil
		}
	}
}

// decide lets the Desk decide, and hands what it decided to the journal.
func (m *Manager) decide() {
	m.desk.Decide(m.instant(), spent(), func(b *Batch, done func(error)) {
		m.journal.Commit(b, func(err error) {
			if err == nil && len(b.Transitions) > 0 {
				m.announce()
			}
			if err != nil {
				m.refused.Store(true)
			}
			done(err)
			m.outcomes <- outcome{b.Seq, err}
		})
	})
	for _, q := range m.desk.Quarantined() {
		m.log.Error("jobs were set aside: deciding on them failed", "ask", q.Units, "failure", q.Panic)
	}
}

// settled takes note of a batch that is durable. If the store refused it (a full disk), what
// is in memory is ahead of what is on disk: begin again from the disk.
func (m *Manager) settled(ctx context.Context, o outcome) error {
	m.desk.Settled(o.seq, o.err)
	if o.err == nil {
		return nil
	}
	defer m.refused.Store(false)
	if errors.Is(o.err, ErrReplaced) {
		m.fall(o.err)
		return o.err
	}
	m.log.Error("the store refused a batch; reloading", "error", o.err)
	for m.desk.InFlight() > 0 {
		next := <-m.outcomes
		m.desk.Settled(next.seq, next.err)
	}
	m.desk.Abandon(o.err)
	for {
		core, err := m.restore(ctx)
		if err == nil {
			m.desk.Restart(core)
			m.log.Info("reloaded")
			return nil
		}
		if errors.Is(err, ErrReplaced) {
			m.fall(err)
			return err
		}
		m.log.Error("cannot reload; trying again", "error", err)
		if err := m.refuse(ctx, err); err != nil {
			return nil // ctx ended; Run notices
		}
	}
}

// refuse answers commands with the fault until it is time to try again.
func (m *Manager) refuse(ctx context.Context, cause error) error {
	t := time.NewTimer(retryEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-t.C:
			return nil
		case cmd := <-m.commands:
			cmd.Answer(fault.From(cause))
		}
	}
}

// drain waits for batches under way, so that every answer is given.
func (m *Manager) drain() error {
	m.fall(errStopping)
	return nil
}

// fall ends the decisions: what is under way is awaited, and whatever waits for an answer
// gets the fault.
func (m *Manager) fall(cause error) {
	for m.desk.InFlight() > 0 {
		o := <-m.outcomes
		m.desk.Settled(o.seq, o.err)
	}
	m.desk.Abandon(cause)
	for {
		select {
		case cmd := <-m.commands:
			cmd.Answer(cause)
		default:
			return
		}
	}
}

var errStopping = fault.New(fault.Unavailable, "ServiceUnavailable", "the server is stopping; retry")
