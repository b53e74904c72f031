// Package process runs attempts as processes of this host, with the launcher's help: it is
// the launcher's client.
//
// It promises what executor/executortest checks, and to start a launcher when none serves
// the state folder. When the launcher is lost every handle's Wait answers executor.ErrLost,
// and so does Start; Adopt connects again.
package process

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"drover/internal/core/job"
	"drover/internal/executor"
	"drover/internal/executor/launcher"
)

// Name is the executor's word in Hello, and Image the job definition image that means it.
const (
	Name  = "process"
	Image = "host"
)

const (
	dialFor   = 10 * time.Second // how long a new launcher may take to serve
	hangUpFor = 2 * time.Second  // how long it may take to hang up
)

// Options says where the launcher is.
type Options struct {
	Dir         string        // state folder of the launcher
	Exe         string        // program with the "launcher" command, usually this one
	OrphanAfter time.Duration // how long the launcher stays without a worker; 0 = 10 minutes
	Note        func(string)  // called when memory limits cannot be kept, with the reason; may be nil
}

// Executor implements executor.Executor. It is safe for concurrent use.
type Executor struct {
	opts Options

	mu       sync.Mutex // guards the rest and every handle's fields
	conn     *launcher.Conn
	boot     string
	pid      int
	limits   string
	limited  bool
	out      executor.Output
	handles  map[launcher.Key]*handle
	replaced bool
	ended    chan struct{} // closed when the connection's reader has ended
}

var _ executor.Executor = (*Executor)(nil)

// New makes an executor; Adopt connects it.
func New(o Options) *Executor {
	if o.OrphanAfter <= 0 {
		o.OrphanAfter = 10 * time.Minute
	}
	return &Executor{opts: o, handles: map[launcher.Key]*handle{}}
}

// Name implements executor.Executor.
func (x *Executor) Name() string { return Name }

// Boot is the identity of the connected launcher.
func (x *Executor) Boot() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.boot
}

// LauncherPID is the process number of the connected launcher, 0 if there is none.
func (x *Executor) LauncherPID() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.pid
}

// Limits says how the connected launcher keeps memory limits, or why it does not.
func (x *Executor) Limits() (kept bool, how string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.limited, x.limits
}

// Prepare has nothing to prepare: the host is as it is.
func (x *Executor) Prepare(context.Context, executor.Attempt) error { return nil }

// Adopt connects to the launcher, starting one if there is none, and gives a handle for
// everything it holds. Earlier handles are lost.
func (x *Executor) Adopt(ctx context.Context, out executor.Output) ([]executor.Handle, error) {
	x.disconnect()
	conn, welcome, err := x.dial(ctx)
	if err != nil {
		return nil, err
	}
	if x.opts.Note != nil && !welcome.Limited {
		x.opts.Note(welcome.Limits)
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.conn, x.boot, x.pid, x.out = conn, welcome.Boot, welcome.PID, out
	x.limits, x.limited = welcome.Limits, welcome.Limited
	x.ended = make(chan struct{})
	x.handles = make(map[launcher.Key]*handle, len(welcome.Held))
	handles := make([]executor.Handle, 0, len(welcome.Held))
	for _, held := range welcome.Held {
		h := newHandle(x, conn, executor.ID{Lease: held.Lease, Member: held.Member})
		h.held.Note, h.held.Acked, h.held.Mark = held.Note, held.Acked, held.Mark
		h.held.Started = micro(held.Started)
		h.next = held.Acked
		h.begin(nil)
		x.handles[h.key] = h
		handles = append(handles, h)
	}
	go x.receive(conn, x.ended)
	return handles, nil
}

func micro(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us)
}

// dial connects, and starts a launcher when there is none.
func (x *Executor) dial(ctx context.Context) (*launcher.Conn, launcher.Welcome, error) {
	x.mu.Lock()
	replaced := x.replaced
	x.mu.Unlock()
	if replaced {
		return nil, launcher.Welcome{}, fmt.Errorf("another worker took over the jobs of this host (%s)", x.opts.Dir)
	}
	hello := launcher.Hello{PID: ownPID(), OrphanMillis: x.opts.OrphanAfter.Milliseconds()}
	conn, welcome, err := launcher.Dial(x.opts.Dir, hello)
	if err == nil || !absent(err) {
		return conn, welcome, err
	}
	deadline := time.NewTimer(dialFor)
	defer deadline.Stop()
	var spawned time.Time
	for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		if time.Since(spawned) > time.Second { // again: one that was leaving may have held the lock
			if err := launcher.Spawn(x.opts.Exe, x.opts.Dir); err != nil {
				return nil, welcome, err
			}
			spawned = time.Now()
		}
		conn, welcome, err = launcher.Dial(x.opts.Dir, hello)
		if err == nil || !absent(err) {
			return conn, welcome, err
		}
		select {
		case <-time.After(pause): // the launcher opens its socket when it is ready
		case <-deadline.C:
			return nil, welcome, fmt.Errorf("the launcher in %s did not come up: %s", x.opts.Dir, launcher.LastWords(x.opts.Dir))
		case <-ctx.Done():
			return nil, welcome, ctx.Err()
		}
	}
}

// Start implements executor.Executor.
func (x *Executor) Start(ctx context.Context, a executor.Attempt, out executor.Output) (executor.Handle, error) {
	x.mu.Lock()
	if x.conn == nil {
		x.mu.Unlock()
		return nil, executor.ErrLost
	}
	key := launcher.KeyOf(a.Lease, a.Member)
	if x.handles[key] != nil {
		x.mu.Unlock()
		return nil, errHeld(a.Lease)
	}
	h := newHandle(x, x.conn, a.ID())
	h.out = out
	h.held.Note = a.Note
	x.handles[key] = h
	conn := x.conn
	x.mu.Unlock()
	err := conn.SendJSON(launcher.KindStart, key, launcher.Start{
		Lease: a.Lease, Member: a.Member, Note: a.Note, Command: a.Command, Environment: a.Environment, Dir: a.Dir,
		MemoryMiB: a.Need.MemoryMiB, TimeoutMillis: a.Timeout.Milliseconds(), Stdin: a.Stdin, Stdout: a.Stdout,
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", executor.ErrLost, err)
	}
	select {
	case <-h.begun:
		return h, h.beginErr
	case <-ctx.Done():
		return h, nil // asked for: it will run, and the caller has its handle
	}
}

func errHeld(l job.Lease) error {
	return fmt.Errorf("the attempt with fence %d of unit %d/%d is held already", l.Fence, l.Ref.Key, l.Ref.Index)
}

// Close implements executor.Executor.
func (x *Executor) Close(ctx context.Context, end bool) error {
	x.mu.Lock()
	conn, ended := x.conn, x.ended
	x.mu.Unlock()
	if conn == nil {
		return nil
	}
	if !end {
		x.disconnect()
		return nil
	}
	if err := conn.SendEmpty(launcher.KindLeave, launcher.Key{}); err != nil {
		return fmt.Errorf("cannot ask the launcher to leave: %w", err)
	}
	select {
	case <-ended: // it hangs up when it has ended everything
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// disconnect ends the connection; what runs keeps running.
func (x *Executor) disconnect() {
	x.mu.Lock()
	conn, ended := x.conn, x.ended
	x.mu.Unlock()
	if conn == nil {
		return
	}
	if conn.CloseWrite() == nil { // so that acknowledgements on their way arrive
		t := time.NewTimer(hangUpFor)
		defer t.Stop()
		select {
		case <-ended:
			return
		case <-t.C:
		}
	}
	_ = conn.Close()
	<-ended
}

// receive reads frames until the connection ends, and then every handle is lost.
func (x *Executor) receive(conn *launcher.Conn, ended chan struct{}) {
	defer close(ended)
	err := x.frames(conn)
	_ = conn.Close()
	x.mu.Lock()
	defer x.mu.Unlock()
	x.conn, x.pid = nil, 0
	lost := fmt.Errorf("%w: %w", executor.ErrLost, err)
	for _, h := range x.handles {
		h.lose(lost)
	}
	clear(x.handles)
}

var errReplaced = errors.New("a newer worker took over")

func (x *Executor) frames(conn *launcher.Conn) error {
	for {
		f, err := conn.Read()
		if err != nil {
			return err
		}
		x.mu.Lock()
		h := x.handles[f.Key]
		if f.Kind == launcher.KindReplaced {
			x.replaced = true
			x.mu.Unlock()
			return errReplaced
		}
		if h != nil {
			err = h.receive(f)
		}
		x.mu.Unlock()
		if err != nil {
			return err
		}
	}
}

// handle is one attempt that the launcher holds.
type handle struct {
	x    *Executor
	conn *launcher.Conn
	key  launcher.Key

	begun chan struct{} // closed when the launcher answered Start
	done  chan struct{} // closed when end or err is final and all output was given out

	// Guarded by x.mu.
	held     executor.Held
	out      executor.Output
	beginErr error
	started  bool
	queue    []piece // output on its way to out
	giving   bool    // a goroutine is emptying queue
	next     int64   // offset of the next output byte
	ended    bool    // end is set; done follows when queue is empty
	end      executor.End
	err      error
}

type piece struct {
	chunk []byte
	at    time.Time
}

func newHandle(x *Executor, conn *launcher.Conn, id executor.ID) *handle {
	return &handle{
		x: x, conn: conn, key: launcher.KeyOf(id.Lease, id.Member), out: x.out,
		held: executor.Held{Lease: id.Lease, Member: id.Member}, begun: make(chan struct{}), done: make(chan struct{}),
	}
}

// begin answers Start, once.
func (h *handle) begin(err error) {
	if !h.started {
		h.started, h.beginErr = true, err
		close(h.begun)
	}
}

// receive takes a frame; x.mu is held.
func (h *handle) receive(f launcher.Frame) error {
	switch f.Kind {
	case launcher.KindStarted:
		var s launcher.Started
		if err := json.Unmarshal(f.Body, &s); err != nil {
			return err
		}
		if s.Held {
			h.begin(errHeld(h.held.Lease))
			delete(h.x.handles, h.key)
			return nil
		}
		h.held.Started = micro(s.At)
		h.begin(nil)
	case launcher.KindOutput:
		offset, at, chunk, err := f.Output()
		if err != nil {
			return err
		}
		if offset != h.next {
			return fmt.Errorf("output at %d where %d comes next", offset, h.next)
		}
		h.next += int64(len(chunk))
		h.queue = append(h.queue, piece{append([]byte(nil), chunk...), at})
		if !h.giving {
			h.giving = true
			go h.give()
		}
	case launcher.KindEnded:
		var e launcher.Ended
		if err := json.Unmarshal(f.Body, &e); err != nil {
			return err
		}
		h.begin(nil)
		h.ended, h.end = true, executor.End{Exit: e.Exit, At: time.UnixMicro(e.At)}
		if !h.giving {
			close(h.done)
		}
	default:
		return fmt.Errorf("frame %d makes no sense here", f.Kind)
	}
	return nil
}

// give hands queued output on, in order, until there is none.
func (h *handle) give() {
	for {
		h.x.mu.Lock()
		queue := h.queue
		h.queue = nil
		if len(queue) == 0 {
			h.giving = false
			if h.ended || h.err != nil {
				close(h.done)
			}
			h.x.mu.Unlock()
			return
		}
		h.x.mu.Unlock()
		for _, p := range queue {
			h.out.Log(h.held.ID(), p.chunk, p.at)
		}
	}
}

// lose ends a handle whose launcher cannot be asked any more; x.mu is held.
func (h *handle) lose(err error) {
	h.begin(err)
	if h.ended || h.err != nil {
		return
	}
	h.err = err
	if !h.giving {
		close(h.done)
	}
}

// Held implements executor.Handle.
func (h *handle) Held() executor.Held {
	h.x.mu.Lock()
	defer h.x.mu.Unlock()
	return h.held
}

// Wait implements executor.Handle.
func (h *handle) Wait(ctx context.Context) (executor.End, error) {
	select {
	case <-h.done:
		return h.end, h.err
	case <-ctx.Done():
		return executor.End{}, ctx.Err()
	}
}

// Acknowledge implements executor.Handle.
func (h *handle) Acknowledge(n, mark int64) {
	_ = h.conn.SendAck(h.key, n, mark) // a lost connection is told by Wait
}

// Stop implements executor.Handle.
func (h *handle) Stop(grace time.Duration, cause job.Cause) error {
	return h.conn.SendJSON(launcher.KindStop, h.key, launcher.Stop{GraceMillis: grace.Milliseconds(), Cause: cause})
}

// Forget implements executor.Handle.
func (h *handle) Forget() error {
	h.x.mu.Lock()
	if h.x.handles[h.key] == h {
		delete(h.x.handles, h.key)
	}
	h.x.mu.Unlock()
	return h.conn.SendEmpty(launcher.KindForget, h.key)
}
