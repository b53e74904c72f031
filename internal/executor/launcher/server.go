package launcher

import (
	"encoding/binary"
	"encoding/json"
	"net"
	"os"
	"sync"
	"time"

	"drover/internal/core/job"
)

const (
	gatherMax = 256 << 10 // bytes in one write to the worker
	leaveWait = 10 * time.Second
	idleWait  = time.Minute // without a worker and without attempts
)

// server holds the attempts and talks to one worker at a time.
type server struct {
	dir      string
	boot     string
	null     *os.File
	groups   *cgroups // nil: no limits
	limits   string   // said in Welcome
	records  *records
	oomScore []byte // what jobs get, when the launcher's own is lowered
	log      func(format string, args ...any)

	threads   chan *thread  // the idle ones; jobs in v1 groups are forked by their group's own
	launching chan struct{} // bounds how many fork at once
	buffers   sync.Pool
	running   sync.WaitGroup
	left      chan struct{} // closed when everything has ended and the launcher may go

	mu       sync.Mutex // guards the rest and the attempts' fields that say so
	attempts map[Key]*attempt
	dirty    []*attempt // have something to tell
	peer     *peer
	epoch    uint64
	leaving  bool
	orphan   time.Duration
	alone    *time.Timer // runs while there is no worker
}

// peer is the connected worker.
type peer struct {
	nc    net.Conn
	epoch uint64
	wake  chan struct{} // something is dirty
	gone  chan struct{} // closed when the reader ended
}

// mark notes that an attempt has news for the worker.
func (s *server) mark(a *attempt) {
	s.mu.Lock()
	s.markLocked(a)
	s.mu.Unlock()
}

func (s *server) markLocked(a *attempt) {
	if a.dirty || s.peer == nil {
		return // without a worker nothing is told; attach marks all
	}
	a.dirty = true
	s.dirty = append(s.dirty, a)
	select {
	case s.peer.wake <- struct{}{}:
	default:
	}
}

// serve talks to one worker until its connection ends.
func (s *server) serve(nc net.Conn) {
	defer nc.Close()
	c := newConn(nc)
	_ = nc.SetReadDeadline(time.Now().Add(10 * time.Second))
	f, err := c.Read()
	var h Hello
	if err != nil || f.Kind != KindHello || json.Unmarshal(f.Body, &h) != nil {
		return
	}
	_ = nc.SetReadDeadline(time.Time{})
	if h.Version != Version {
		_ = c.SendJSON(KindWelcome, Key{}, Welcome{Version: Version, PID: os.Getpid()})
		return
	}
	p := s.attach(nc, h)
	if p == nil {
		return
	}
	writer := make(chan struct{})
	go func() {
		defer close(writer)
		s.tell(p)
	}()
	for {
		f, err := c.Read()
		if err != nil || !s.handle(f) {
			break
		}
	}
	close(p.gone)
	_ = nc.Close()
	<-writer
	s.detach(p)
}

// attach makes p the worker: an older one is told to go, and everything unacknowledged
// will be told to the new one.
func (s *server) attach(nc net.Conn, h Hello) *peer {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.leaving {
		return nil
	}
	if s.peer != nil {
		old := s.peer.nc
		_ = old.SetWriteDeadline(time.Now().Add(time.Second))
		_, _ = old.Write(appendHead(nil, KindReplaced, Key{}, 0))
		_ = old.Close()
	}
	if s.alone != nil {
		s.alone.Stop()
	}
	s.epoch++
	s.orphan = time.Duration(h.OrphanMillis) * time.Millisecond
	p := &peer{nc: nc, epoch: s.epoch, wake: make(chan struct{}, 1), gone: make(chan struct{})}
	w := Welcome{Version: Version, PID: os.Getpid(), Boot: s.boot, Limits: s.limits, Limited: s.groups != nil}
	s.dirty = s.dirty[:0]
	s.peer = p
	for _, a := range s.attempts {
		acked, mark := a.out.attach(s.epoch)
		a.told.start, a.told.end = false, false
		a.dirty = false
		s.markLocked(a)
		w.Held = append(w.Held, Held{Lease: a.spec.Lease, Member: a.spec.Member, Started: a.started, Note: a.spec.Note, Acked: acked, Mark: mark})
	}
	_ = nc.SetWriteDeadline(time.Now().Add(writeTimeout))
	if _, err := nc.Write(appendJSON(nil, KindWelcome, Key{}, w)); err != nil {
		_ = nc.Close() // the reader ends at once
	}
	return p
}

func (s *server) detach(p *peer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.peer != p {
		return
	}
	s.peer = nil
	s.expectWorker()
}

// expectWorker starts the clock of a launcher without a worker: with attempts it waits for
// as long as the last worker said, without any a minute is enough.
func (s *server) expectWorker() {
	if s.alone != nil {
		s.alone.Stop()
	}
	since := time.Now()
	s.alone = time.AfterFunc(min(idleWait, s.orphan), func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		switch waited := time.Since(since); {
		case s.peer != nil || s.leaving:
		case len(s.attempts) == 0 || waited >= s.orphan:
			s.log("no worker for %v: ending with %d attempts", waited.Round(time.Second), len(s.attempts))
			go s.leave()
		default:
			s.alone.Reset(min(idleWait, s.orphan-waited))
		}
	})
}

// tell writes news to the worker until the connection ends. It gathers what there is into
// one write; while that write is in flight, more gathers.
func (s *server) tell(p *peer) {
	var buf []byte
	for {
		buf = s.gather(p, buf[:0])
		if len(buf) == 0 {
			select {
			case <-p.wake:
				continue
			case <-p.gone:
				return
			}
		}
		if err := p.nc.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
			return
		}
		if _, err := p.nc.Write(buf); err != nil {
			_ = p.nc.Close()
			return
		}
		if cap(buf) > 2*gatherMax {
			buf = nil
		}
	}
}

func (s *server) gather(p *peer, buf []byte) []byte {
	for len(buf) < gatherMax {
		s.mu.Lock()
		if s.peer != p || len(s.dirty) == 0 {
			s.mu.Unlock()
			return buf
		}
		a := s.dirty[0]
		s.dirty = s.dirty[1:]
		a.dirty = false
		started, ended := a.started, a.ended
		tellStart := started != 0 && !a.told.start
		a.told.start = a.told.start || tellStart
		s.mu.Unlock()

		if tellStart {
			buf = appendJSON(buf, KindStarted, a.key, Started{At: started})
		}
		var more, drained bool
		buf, more, drained = a.out.appendNext(buf, a.key, p.epoch)
		s.mu.Lock()
		if s.peer == p {
			if more {
				s.markLocked(a)
			}
			if drained && ended != nil && !a.told.end {
				a.told.end = true
				s.mu.Unlock()
				buf = appendJSON(buf, KindEnded, a.key, ended)
				continue
			}
		}
		s.mu.Unlock()
	}
	return buf
}

// handle does what a frame of the worker asks. A frame that makes no sense ends the
// connection, never the launcher.
func (s *server) handle(f Frame) bool {
	if f.Kind == KindStart {
		spec := new(Start)
		if json.Unmarshal(f.Body, spec) != nil || KeyOf(spec.Lease, spec.Member) != f.Key {
			return false
		}
		s.start(f.Key, spec)
		return true
	}
	if f.Kind == KindLeave {
		go s.leave()
		return true
	}
	s.mu.Lock()
	a := s.attempts[f.Key]
	s.mu.Unlock()
	switch f.Kind {
	case KindStop:
		var stop Stop
		if json.Unmarshal(f.Body, &stop) != nil {
			return false
		}
		if a != nil {
			s.stop(a, time.Duration(stop.GraceMillis)*time.Millisecond, stop.Cause)
		}
	case KindAck:
		if len(f.Body) != 16 {
			return false
		}
		if a != nil {
			a.out.ack(int64(binary.LittleEndian.Uint64(f.Body)), int64(binary.LittleEndian.Uint64(f.Body[8:])))
			s.mark(a)
		}
	case KindForget:
		if a != nil {
			s.forget(a)
		}
	default:
		return false
	}
	return true
}

// start begins an attempt, unless its lease is held already: then the worker is told so.
func (s *server) start(k Key, spec *Start) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.leaving {
		return // the connection ends in a moment
	}
	if a := s.attempts[k]; a != nil {
		if s.peer != nil {
			go s.refuse(s.peer, k, a.started)
		}
		return
	}
	a := &attempt{key: k, spec: spec, pidfd: -1}
	a.out.spill = s.spillPath(k)
	a.out.epoch = s.epoch
	s.attempts[k] = a
	s.running.Add(1)
	go s.run(a)
}

func (s *server) refuse(p *peer, k Key, started int64) {
	_, _ = p.nc.Write(appendJSON(nil, KindStarted, k, Started{At: started, Held: true})) // one write is one piece
}

// forget drops an attempt that has ended. One that still runs is kept: its worker is wrong.
func (s *server) forget(a *attempt) {
	s.mu.Lock()
	ended := a.ended != nil
	s.mu.Unlock()
	if !ended {
		return
	}
	a.out.discard()
	s.mu.Lock()
	delete(s.attempts, a.key)
	s.mu.Unlock()
}

// leave ends everything and lets Main return.
func (s *server) leave() {
	s.mu.Lock()
	if s.leaving {
		s.mu.Unlock()
		return
	}
	s.leaving = true
	live := make([]*attempt, 0, len(s.attempts))
	for _, a := range s.attempts {
		live = append(live, a)
	}
	s.mu.Unlock()
	for _, a := range live {
		s.stop(a, 0, job.CauseTerminated)
	}
	done := make(chan struct{})
	go func() {
		s.running.Wait()
		close(done)
	}()
	t := time.NewTimer(leaveWait)
	defer t.Stop()
	select {
	case <-done:
	case <-t.C:
		s.log("some processes did not end in %v and are left to the next launcher", leaveWait)
	}
	close(s.left)
}
