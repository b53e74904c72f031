package manager

import (
	"context"
	"time"

	"drover/internal/core/fault"
)

// The manager's only goroutine of its own is here. It runs commands in the order in which
// they come, commits what they decided, and answers once that is durable. While one batch
// is being made durable the next one gathers: commits are as many as the disk can do, and
// no decision waits for a timer.
const (
	maxInFlight = 2    // batches handed to the journal and not yet durable
	maxCommands = 1024 // commands in one batch
	maxPlaces   = 512  // placements in one batch
	tickEvery   = time.Second
	retryEvery  = time.Second // between attempts to go on after the store refused a batch
)

// command is one request to the Core. answer is called exactly once: when what run decided
// is durable, or with the fault that prevented it. If now is set the answer does not wait.
type command struct {
	run    func(c *Core, now Instant)
	answer func(error)
	now    bool
}

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
		var commands <-chan command
		if m.inFlight < maxInFlight {
			commands = m.commands
		}
		var idle <-chan struct{}
		if m.core.Busy() && m.inFlight < maxInFlight {
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
			m.core.Tick(m.instant())
		case cmd := <-commands:
			m.take(cmd)
		case <-idle:
		}
		m.decide()
	}
}

var closed = func() chan struct{} { c := make(chan struct{}); close(c); return c }()

// take runs a command and whatever else has queued behind it.
func (m *Manager) take(cmd command) {
	for n := 1; ; n++ {
		cmd.run(m.core, m.instant())
		if cmd.now {
			cmd.answer(nil)
		} else {
			m.waiting = append(m.waiting, cmd)
		}
		if n == maxCommands {
			return
		}
		select {
		case cmd = <-m.commands:
		default:
			return
		}
	}
}

// decide settles, places, and hands the batch over if there is room for one.
func (m *Manager) decide() {
	if m.inFlight >= maxInFlight {
		return
	}
	now := m.instant()
	m.core.Work(now)
	m.core.Schedule(maxPlaces, now)
	if !m.core.Pending() && (len(m.waiting) == 0 || m.inFlight == 0) {
		answer(m.waiting, nil) // nothing that they saw is still on its way to the disk
		m.waiting = nil
		return
	}
	b, waiting := m.core.Take(), m.waiting
	m.waiting = nil
	m.inFlight++
	m.journal.Commit(b, func(err error) {
		if err == nil {
			m.post.Done(b)
			if len(b.Transitions) > 0 {
				m.announce()
			}
		}
		answer(waiting, err)
		m.outcomes <- outcome{b.Seq, err}
	})
}

func answer(waiting []command, err error) {
	for _, c := range waiting {
		c.answer(err)
	}
}

// settled takes note of a batch that is durable. If the store refused it (a full disk), what
// is in memory is ahead of what is on disk: begin again from the disk.
func (m *Manager) settled(ctx context.Context, o outcome) error {
	m.inFlight--
	if o.err == nil {
		m.core.Committed(o.seq)
		return nil
	}
	m.log.Error("the store refused a batch; reloading", "error", o.err)
	for ; m.inFlight > 0; m.inFlight-- {
		<-m.outcomes
	}
	answer(m.waiting, o.err)
	m.waiting = nil
	m.post.Reset()
	for {
		img, err := m.journal.Load(ctx)
		if err == nil {
			m.core = New(m.opt, img, m.instant())
			m.log.Info("reloaded", "jobs", len(img.Jobs))
			return nil
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
			cmd.answer(fault.From(cause))
		}
	}
}

// drain waits for batches under way, so that every answer is given.
func (m *Manager) drain() error {
	for ; m.inFlight > 0; m.inFlight-- {
		<-m.outcomes
	}
	answer(m.waiting, errStopping)
	m.waiting = nil
	for {
		select {
		case cmd := <-m.commands:
			cmd.answer(errStopping)
		default:
			return nil
		}
	}
}

var errStopping = fault.New(fault.Unavailable, "ServiceUnavailable", "the server is stopping; retry")
