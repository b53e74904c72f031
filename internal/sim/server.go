package sim

import (
	"fmt"

	"drover/internal/core/fault"
	"drover/internal/core/job"
	"drover/internal/manager"
)

// server is one life of the manager's process: loop.go with events for its select.
type server struct {
	w      *world
	number int
	alive  bool
	paused bool
	start  int64 // zero of its monotonic clock
	grace  int64 // no lease may run out before
	since  int64 // start of the pause
	calm   bool  // nothing was in flight then, that had been decided before
	skew   int64 // of its wall clock

	term     int64
	post     *manager.Post
	core     *manager.Core
	desk     *manager.Desk
	inbox    []manager.Command // while there is no room
	refused  error             // the store refused a batch: no decisions until reloaded
	backlog  []func()          // what waits for the end of a pause
	polls    []*poll
	sessions int
	idle     bool // an event of its own is on its way
}

// poll is a long poll that is held open.
type poll struct {
	host, session string
	ack           int64
	wake          <-chan struct{}
	answer        func([]manager.Letter, error)
	over          bool
}

func (s *server) instant() manager.Instant {
	return manager.Instant{Wall: epoch + s.w.now + s.skew, Mono: s.w.now - s.start}
}

// event lets something happen in this process: at once, after its pause, or never.
func (s *server) event(fn func()) {
	switch {
	case !s.alive:
	case s.paused:
		s.backlog = append(s.backlog, fn)
	default:
		fn()
	}
}

// load reads the rows and begins a term. A store that cannot be read is asked again.
func (s *server) load(cause error) {
	p := s.w.paper
	if s.replaced() {
		return
	}
	if p.full {
		s.refused = cause
		s.w.after(second, func() { s.event(func() { s.load(cause) }) })
		return
	}
	s.term = p.lead()
	s.core = manager.New(options(), p.image(), s.instant())
	s.grace = s.w.now + leaseTTL
	s.w.check.quiet = compareEvery - 1 // hold it against the rows as soon as it is at rest
	if s.desk == nil {
		s.post = manager.NewPost()
		s.desk = manager.NewDesk(s.core, s.post)
	} else {
		s.desk.Restart(s.core)
	}
	s.refused = nil
	s.step()
}

func (s *server) tick() {
	s.w.after(tickEvery, func() {
		if !s.alive {
			return
		}
		if !s.paused && s.ready() {
			s.desk.Tick(s.instant())
			s.step()
		}
		s.tick()
	})
}

func (s *server) ready() bool { return s.desk != nil && s.refused == nil }

// take brings a command to the process.
func (s *server) take(cmd manager.Command) {
	s.event(func() {
		if s.desk == nil {
			return // not up yet: nobody listens
		}
		if s.refused != nil && s.desk.InFlight() == 0 {
			cmd.Answer(s.refused)
			return
		}
		s.inbox = append(s.inbox, cmd)
		s.step()
	})
}

// step is one turn of the loop.
func (s *server) step() {
	if !s.ready() {
		return
	}
	for len(s.inbox) > 0 && s.desk.Room() {
		cmd := s.inbox[0]
		s.inbox = s.inbox[1:]
		s.desk.Take(cmd, s.instant())
		if s.w.chance(0.7) {
			break // the rest had not come yet
		}
	}
	s.decide()
	if (s.desk.Busy() || len(s.inbox) > 0 && s.desk.Room()) && !s.idle {
		s.idle = true
		s.w.after(0, func() { s.event(func() { s.idle = false; s.step() }) })
	}
	s.wakePolls()
	s.w.check.stepped(s)
}

func (s *server) decide() {
	term := s.term
	s.desk.Decide(s.instant(), func() bool { return s.w.chance(0.2) }, func(b *manager.Batch, done func(error)) {
		s.w.check.decided(s, b)
		s.w.paper.commit(s, term, b, func(err error) {
			done(err)
			s.wakePolls()
			// The loop hears of it a little later than those who were answered.
			s.w.after(s.w.between(0, ms), func() { s.event(func() { s.outcome(b.Seq, err) }) })
		})
	})
}

func (s *server) outcome(seq int64, err error) {
	s.desk.Settled(seq, err)
	if err != nil && s.refused == nil {
		s.w.note("manager %d: a batch was refused: %v", s.number, err)
		s.refused = err
	}
	if s.refused == nil {
		s.step()
		return
	}
	if s.desk.InFlight() == 0 {
		err := s.refused
		s.desk.Abandon(err)
		for _, cmd := range s.inbox {
			cmd.Answer(err)
		}
		s.inbox = nil
		s.load(err)
	}
}

// replaced reports whether another manager leads; a zombie that finds out ends.
func (s *server) replaced() bool {
	if s == s.w.server {
		return false
	}
	s.w.note("manager %d was replaced and ends", s.number)
	s.kill()
	return true
}

// do runs fn as a command and answers once it is durable.
func do[A any](s *server, now bool, fn func(c *manager.Core, at manager.Instant) (A, error), answer func(A, error)) {
	var a A
	var result error
	s.take(manager.Command{
		Now: now,
		Run: func(c *manager.Core, at manager.Instant) { a, result = fn(c, at) },
		Answer: func(err error) {
			if err == nil {
				err = result
			}
			answer(a, err)
		},
	})
}

type none = struct{}

// submit is Manager.Submit.
func (s *server) submit(specs []*job.Spec, answer func([]manager.Receipt, error)) {
	sub := &manager.Submission{Specs: specs}
	for _, spec := range specs {
		spec.Version = job.SpecVersion
		spec.ID = s.w.newID()
	}
	var try func()
	try = func() {
		var missing manager.Missing
		do(s, false, func(c *manager.Core, at manager.Instant) (out []manager.Receipt, err error) {
			out, missing, err = c.Try(sub, at)
			return out, err
		}, func(out []manager.Receipt, err error) {
			if err != nil || missing.Empty() {
				answer(out, err)
				return
			}
			// Found now, heard of later: the world goes on in between.
			found := s.w.paper.find(missing.IDs, missing.Tokens)
			s.w.after(s.w.between(100, 50*ms), func() {
				s.event(func() { sub.Found(missing, found); try() })
			})
		})
	}
	try()
}

type welcome struct {
	session string
	drop    []job.Lease
}

func (s *server) hello(h manager.Hello, answer func(welcome, error)) {
	s.sessions++
	session := fmt.Sprintf("s%d-%d", s.number, s.sessions)
	do(s, false, func(c *manager.Core, at manager.Instant) (welcome, error) {
		return welcome{session, s.post.Greet(c, h, session, at)}, nil
	}, answer)
}

func (s *server) report(host, session string, reports []job.Report, answer func([]error, error)) {
	do(s, false, func(c *manager.Core, at manager.Instant) ([]error, error) {
		return c.Report(host, session, reports, at)
	}, answer)
}

func (s *server) heartbeat(host, session string, answer func(none, error)) {
	do(s, true, func(c *manager.Core, at manager.Instant) (none, error) { return none{}, c.Heartbeat(host, session, at) }, answer)
}

// poll is Manager.Poll: it does not pass through the loop.
func (s *server) poll(host, session string, ack int64, answer func([]manager.Letter, error)) {
	s.event(func() {
		if s.post == nil {
			return
		}
		p := &poll{host: host, session: session, ack: ack, answer: answer}
		if s.collect(p) {
			return
		}
		s.polls = append(s.polls, p)
		s.w.after(pollFor, func() {
			s.event(func() {
				if !p.over {
					p.over = true
					p.answer(nil, nil)
				}
			})
		})
	})
}

// collect answers a poll if there is something to say.
func (s *server) collect(p *poll) bool {
	letters, wake, err := s.post.Collect(p.host, p.session, p.ack)
	if err == nil && len(letters) == 0 {
		p.wake = wake
		return false
	}
	p.over = true
	p.answer(letters, err)
	return true
}

// wakePolls looks which of the polls that are held open have been woken.
func (s *server) wakePolls() {
	kept := s.polls[:0]
	for _, p := range s.polls {
		if p.over {
			continue
		}
		select {
		case <-p.wake:
			if !s.collect(p) {
				kept = append(kept, p)
			}
		default:
			kept = append(kept, p)
		}
	}
	s.polls = kept
}

// crashServer kills the manager; it starts again after a while.
func (w *world) crashServer() {
	s := w.server
	if s == nil || !s.alive {
		return
	}
	w.stats.ManagerCrashes++
	w.note("manager %d crashes", s.number)
	s.kill()
	down := w.between(10*ms, 5*second)
	if w.chance(0.2) {
		down = w.between(0, 2*leaseTTL)
	}
	if w.healed {
		down = 10 * ms
	}
	w.after(down, func() {
		if w.server == s {
			w.startServer()
		}
	})
}

func (s *server) kill() {
	s.alive = false
	s.backlog, s.inbox, s.polls = nil, nil, nil
	s.w.paper.forget(s)
}

// pause stops the process for d; what came meanwhile is handled afterwards, in any order
// but for what became of its batches.
func (s *server) pause(d int64) {
	if s.paused || !s.alive {
		return
	}
	s.paused = true
	s.since, s.calm = s.w.now, s.ready() && s.desk.InFlight() == 0
	s.w.note("manager %d pauses for %.1f s", s.number, float64(d)/1e6)
	s.w.after(d, s.resume)
}

func (s *server) resume() {
	if !s.paused || !s.alive {
		return
	}
	s.paused = false
	if s.calm && s.w.now-s.since >= leaseTTL {
		s.grace = s.w.now + leaseTTL
	}
	s.w.note("manager %d goes on", s.number)
	backlog := s.backlog
	s.backlog = nil
	if s.w.chance(0.5) && s.ready() {
		s.desk.Tick(s.instant())
	}
	for _, fn := range backlog {
		s.event(fn)
	}
	if s.ready() {
		s.step()
	}
}

// newID gives a job id; the low bytes only count, so that ids are as unique as in life.
func (w *world) newID() job.ID {
	var id job.ID
	hi, lo := w.rng.Uint64(), w.rng.Uint64()
	for i := range 8 {
		id[i], id[8+i] = byte(hi>>(8*i)), byte(lo>>(8*i))
	}
	return id
}

func isCode(err error, code string) bool { return err != nil && fault.From(err).Code == code }
