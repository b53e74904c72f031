package worker

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"drover/internal/core/fault"
	"drover/internal/core/job"
	"drover/internal/core/resource"
	"drover/internal/link"
)

const (
	firstPause   = 50 * time.Millisecond
	longestPause = 3 * time.Second
)

// pause waits before try number n (from 0) of something that failed, ever longer, with
// jitter so that a thousand workers do not come back in one moment.
func pause(ctx context.Context, n int) {
	d := min(firstPause<<min(n, 10), longestPause)
	t := time.NewTimer(d/2 + rand.N(d/2))
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// sessions says hello and works in the session that it opens, again and again.
func (w *worker) sessions(die context.CancelCauseFunc) {
	for w.life.Err() == nil {
		again := w.hello(die)
		if again == nil {
			continue
		}
		ctx, end := context.WithCancel(w.life)
		done := make(chan struct{})
		w.wg.Go(func() { defer close(done); w.heartbeats(ctx) })
		polled := make(chan struct{})
		w.wg.Go(func() { defer close(polled); w.poll(ctx, die) })
		select {
		case <-again:
		case <-w.life.Done():
		}
		end()
		<-done
		<-polled
	}
}

// helloAgain ends the session with that id ("" = whichever there is).
func (w *worker) helloAgain(session string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.session == "" || (session != "" && session != w.session) {
		return
	}
	w.session = ""
	close(w.again)
}

// locate follows a manager that came back at another address.
func (w *worker) locate() {
	if w.opts.Locate == nil {
		return
	}
	if e := w.opts.Locate(); e != "" && e != w.link.Base() {
		w.link.Move(e)
	}
}

// hello opens a session. It answers nil if it could not, after a pause.
func (w *worker) hello(die context.CancelCauseFunc) <-chan struct{} {
	var welcome link.Welcome
	var told []string
	for n := 0; ; n++ {
		w.locate()
		h := link.Hello{Host: w.host, Boot: w.hosted.exec.Boot(), Held: []job.Lease{}}
		w.mu.Lock()
		told = w.executorsLocked()
		h.Executors = append(slices.Clone(told), w.opts.Attributes...)
		h.Capacity = w.opts.Capacity
		if w.draining {
			h.Capacity = resource.Vector{}
		}
		for l := range w.attempts {
			h.Held = append(h.Held, l)
		}
		w.mu.Unlock()
		var err error
		if welcome, err = w.link.Hello(w.life, h); err == nil {
			break
		}
		if w.life.Err() != nil {
			return nil
		}
		if f, ok := errors.AsType[*fault.Error](err); ok && (f.Code == link.CodeWrongVersion || f.Code == link.CodeWrongToken) {
			die(err) // waiting changes nothing
			return nil
		}
		if n == 0 {
			w.log.Warn("the manager does not answer; trying again", "error", err)
		}
		pause(w.life, n)
	}
	w.heard()
	w.mu.Lock()
	w.welcome, w.session = welcome, welcome.Session
	w.again = make(chan struct{})
	again := w.again
	for _, l := range welcome.Drop {
		if a := w.attempts[l]; a != nil {
			w.refuseLocked(a, "the manager no longer knows it")
		}
	}
	held := len(w.attempts)
	if !slices.Equal(told, w.executorsLocked()) { // an engine came or went meanwhile
		w.session = ""
		close(w.again)
	}
	w.mu.Unlock()
	w.reports.kick()
	w.log.Info("joined the manager", "session", welcome.Session, "held", held, "dropped", len(welcome.Drop))
	return again
}

// sessionOf gives the current session, "" if there is none.
func (w *worker) sessionOf() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.session
}

// unknown reports whether err asks for a new hello.
func unknown(err error) bool {
	f, ok := errors.AsType[*fault.Error](err)
	return ok && f.Code == link.CodeUnknownSession
}

// heartbeats renews the leases. It ends with ctx.
func (w *worker) heartbeats(ctx context.Context) {
	w.mu.Lock()
	session := w.session
	every := time.Duration(w.welcome.HeartbeatEvery) * time.Millisecond
	w.mu.Unlock()
	if every <= 0 {
		every = link.HeartbeatEvery
	}
	t := time.NewTicker(every)
	defer t.Stop()
	for {
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
		err := w.link.Heartbeat(ctx, link.Heartbeat{Host: w.host, Session: session})
		switch {
		case err == nil:
			w.heard()
		case unknown(err):
			w.helloAgain(session)
		}
	}
}

// poll takes messages until ctx ends.
func (w *worker) poll(ctx context.Context, die context.CancelCauseFunc) {
	session := w.sessionOf()
	var ack int64
	for failed := 0; ctx.Err() == nil; {
		m, err := w.link.Poll(ctx, link.Poll{Host: w.host, Session: session, Ack: ack})
		if err != nil {
			if unknown(err) {
				w.helloAgain(session)
				return
			}
			if ctx.Err() == nil {
				if failed == 0 {
					w.log.Warn("polling failed; trying again", "error", err)
				}
				pause(ctx, failed)
				w.locate()
			}
			failed++
			continue
		}
		failed = 0
		w.heard()
		if m.Session != session {
			continue // an answer to somebody else
		}
		if m.Leave {
			die(errDismissed)
			return
		}
		for _, msg := range m.Messages {
			if msg.Seq <= ack {
				continue // it came again
			}
			ack = msg.Seq
			w.message(msg)
		}
	}
}

func (w *worker) message(m link.Message) {
	switch {
	case m.Start != nil:
		w.begin(m.Start, m.Credentials, m.Staging)
	case m.Stop != nil:
		w.mu.Lock()
		defer w.mu.Unlock()
		if a := w.attempts[m.Stop.Lease]; a != nil {
			w.log.Info("stopping", "job", a.asg.UnitName(), "why", m.Stop.Reason)
			w.stopLocked(a, job.CauseTerminated)
		}
	}
}
