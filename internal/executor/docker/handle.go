package docker

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"drover/internal/core/job"
	"drover/internal/executor"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
)

const (
	// followAfter is how long a container runs before its output is followed: most end
	// sooner, and reading the log once is all they cost.
	followAfter = 250 * time.Millisecond
	// margin is how far the engine's clock readings and ours may be apart.
	margin = time.Second
	// drainFor is how long following may go on after the end before the rest is read anew.
	drainFor = 2 * time.Second
)

// handle is one attempt with a record.
type handle struct {
	x    *Executor
	id   executor.ID
	name string // of the container
	out  executor.Output
	rec  *record // set once, with x.mu

	begun chan struct{} // closed when the container runs or never will
	done  chan struct{} // closed when end or err is final and all output was given out
	end   executor.End
	err   error
	place place // where reading the log has come to; one goroutine's at a time

	logged int64 // about how much the engine has written of it; with place

	mu      sync.Mutex // guards the rest
	held    executor.Held
	acked   int64
	places  []place       // on the way, each some KiB after the one before, above acked
	moved   chan struct{} // closed and made anew with every acknowledgement
	ended   bool
	exited  bool // the container has ended: its output may still be on its way
	timer   *time.Timer
	lostAt  time.Time // when the engine was first away while the container ran
	foundAt time.Time // and when it answered again
}

func newHandle(x *Executor, r *record, out executor.Output) *handle {
	h := &handle{x: x, out: out, begun: make(chan struct{}), done: make(chan struct{}), moved: make(chan struct{})}
	if r != nil {
		h.keep(r)
	}
	return h
}

// take gives a new handle its record.
func (h *handle) take(r *record) {
	h.x.mu.Lock()
	defer h.x.mu.Unlock()
	h.keep(r)
}

func (h *handle) keep(r *record) {
	s := r.get()
	acked, mark, at := r.numbers()
	h.rec, h.id, h.name = r, s.id(), s.Container
	h.held = executor.Held{Lease: s.Lease, Member: s.Member, Note: s.Note, Address: s.Address, Acked: acked, Mark: mark}
	if s.Started != 0 {
		h.held.Started = time.UnixMicro(s.Started)
	}
	h.acked, h.place = acked, at
}

// live takes a new attempt from its beginning to its end.
func (h *handle) live(a executor.Attempt, begun chan<- struct{}) {
	exit := h.begin(a)
	close(h.begun)
	close(begun)
	if exit != nil {
		h.finish(*exit, time.Now(), false)
		return
	}
	h.watch(false)
}

// begin makes and starts the container. An exit says why it does not run.
func (h *handle) begin(a executor.Attempt) *job.Exit {
	select {
	case h.x.starts <- struct{}{}:
		defer func() { <-h.x.starts }()
	case <-h.x.life.Done():
		return nil // watch sees it too
	}
	ctx := h.x.made
	if err := h.create(ctx, a); err != nil {
		return h.failed("CannotCreateContainerError: ", err)
	}
	if s := h.rec.get(); s.Stop != "" {
		return &job.Exit{Cause: s.Stop, Reason: "stopped before it started"}
	}
	err := h.x.patiently(ctx, startFor, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, startFor)
		defer cancel()
		_, err := h.x.api.ContainerStart(ctx, h.name, client.ContainerStartOptions{})
		return err
	})
	if err != nil {
		h.x.forgetNetworks() // if somebody removed it, the next attempt has it again
		return h.failed("CannotStartContainerError: ", err)
	}
	at, address := time.Now(), ""
	if a.WantAddress && !a.HostNetwork {
		address = h.address(ctx)
	}
	h.running(at, address)
	return nil
}

// failed is the exit of an attempt whose container did not come to run.
func (h *handle) failed(word string, err error) *job.Exit {
	if h.x.life.Err() != nil {
		return nil // let go: the next executor finds what became of it
	}
	x := &job.Exit{Cause: job.CauseStart, Reason: word + err.Error()}
	switch {
	case errors.As(err, new(pullError)):
		x.Reason = err.Error()
	case away(err):
		x.Reason = fmt.Sprintf("DockerTimeoutError: Could not transition to started; timed out after waiting %v: %v", startFor, err)
	}
	return x
}

// create makes the container, or finds that it is made already.
func (h *handle) create(ctx context.Context, a executor.Attempt) error {
	for fresh := true; ; fresh = false {
		if err := h.x.patiently(ctx, startFor, h.x.learn); err != nil {
			return err
		}
		i, err := h.x.image(ctx, a.Image)
		if err != nil {
			return err
		}
		network, err := h.x.network(ctx, a)
		if err != nil {
			return err
		}
		spec, err := h.x.spec(a, i, h.rec.get(), network)
		if err != nil {
			return err
		}
		if a.Shared != nil {
			if err := h.x.share(ctx, a, i, h.rec.get().Pod, network); err != nil {
				return err
			}
		}
		err = h.x.patiently(ctx, startFor, func(ctx context.Context) error {
			ctx, cancel := context.WithTimeout(ctx, startFor)
			defer cancel()
			_, err := h.x.api.ContainerCreate(ctx, spec)
			if errdefs.IsConflict(err) && h.mine(ctx) {
				err = nil // an earlier call made it and could not say so
			}
			return err
		})
		if !errdefs.IsNotFound(err) || !fresh {
			return err
		}
		h.x.images.drop(a.Image, i) // somebody removed it
	}
}

// mine reports whether the container of this name is this attempt's and was never started.
func (h *handle) mine(ctx context.Context) bool {
	found, err := h.x.api.ContainerInspect(ctx, h.name, client.ContainerInspectOptions{})
	if err != nil {
		return false
	}
	c := found.Container
	return c.Config != nil && c.Config.Labels[labelLease] == leaseLabel(h.id) && c.Config.Labels[labelHost] == h.x.opts.Host
}

// address asks the engine for the address of the container that was just started; "" if it
// has none, or has ended already.
func (h *handle) address(ctx context.Context) (address string) {
	name := h.name
	if pod := h.rec.get().Pod; pod != "" {
		name = pauseName(pod)
	}
	err := h.x.patiently(ctx, startFor, func(ctx context.Context) error {
		found, err := h.x.api.ContainerInspect(ctx, name, client.ContainerInspectOptions{})
		if err != nil || found.Container.NetworkSettings == nil {
			return err
		}
		networks := found.Container.NetworkSettings.Networks
		for _, name := range slices.Sorted(maps.Keys(networks)) {
			if ip := networks[name].IPAddress; ip.IsValid() {
				address = ip.String()
				return nil
			}
		}
		return nil
	})
	if err != nil {
		h.x.log.Warn("a container's address cannot be found", "container", h.name, "error", err)
	}
	return address
}

// running notes that the container runs, and when its time will be over.
func (h *handle) running(at time.Time, address string) {
	at = time.UnixMicro(at.UnixMicro()) // as it is kept
	if err := h.rec.change(func(s *said) { s.Started, s.Address = at.UnixMicro(), address }); err != nil {
		h.x.log.Error("a container's start is not kept", "container", h.name, "error", err)
	}
	h.mu.Lock()
	h.held.Started, h.held.Address = at, address
	h.mu.Unlock()
	h.watchTime()
}

// watchTime ends the attempt when its time is over, counted from its start however long
// nobody watched.
func (h *handle) watchTime() {
	s := h.rec.get()
	if s.Timeout <= 0 || s.Started == 0 || s.Stop != "" {
		return
	}
	left := time.Until(time.UnixMicro(s.Started).Add(s.Timeout))
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.exited {
		h.timer = time.AfterFunc(max(left, 0), func() { _ = h.Stop(stopGrace, job.CauseTimeout) })
	}
}

// resume takes up an attempt whose record was found.
func (h *handle) resume() {
	s := h.rec.get()
	h.logged = h.x.logFile() // it may be
	close(h.begun)
	if s.End != nil {
		h.finish(*s.End, time.UnixMicro(s.EndAt), false)
		return
	}
	if s.Stop != "" {
		h.x.wg.Go(h.terminate)
	}
	h.watchTime()
	h.watch(true)
}

// watch waits for the container's end. With ask, nothing is known of the container yet.
func (h *handle) watch(ask bool) {
	ctx, cancel := context.WithCancel(h.x.life)
	defer cancel()
	followed := make(chan struct{})
	over := make(chan struct{})
	h.x.wg.Go(func() { defer close(followed); h.follow(ctx, over) })
	state, err := h.await(h.x.life, ask)
	h.mu.Lock()
	h.exited = true
	if h.timer != nil {
		h.timer.Stop()
	}
	h.mu.Unlock()
	close(over)
	t := time.NewTimer(drainFor)
	select {
	case <-followed:
	case <-t.C:
	}
	t.Stop()
	cancel()
	<-followed
	switch {
	case h.x.life.Err() != nil:
	case errdefs.IsNotFound(err):
		h.finish(job.Exit{Cause: job.CauseHost, Reason: "the container was removed by somebody else"}, time.Now(), false)
	case err != nil:
		h.finish(job.Exit{Cause: job.CauseHost, Reason: "the container cannot be watched: " + err.Error()}, time.Now(), false)
	default:
		exit, at, regular := h.judge(state)
		exit.Usage = h.x.used(h.name)
		h.overMemory(&exit)
		h.finish(exit, at, regular)
	}
}

// await waits until the container does not run and gives its last state.
func (h *handle) await(ctx context.Context, ask bool) (*container.State, error) {
	for {
		if !ask {
			if err := h.wait(ctx); err != nil && !away(err) {
				return nil, err
			} else if err != nil {
				h.x.suspect()
				h.missed()
			}
		}
		ask = false
		var found client.ContainerInspectResult
		err := h.x.patiently(ctx, 0, func(ctx context.Context) (err error) {
			ctx, cancel := context.WithTimeout(ctx, callFor)
			defer cancel()
			if found, err = h.x.api.ContainerInspect(ctx, h.name, client.ContainerInspectOptions{}); away(err) {
				h.missed()
			}
			return err
		})
		if err != nil {
			return nil, err
		}
		if s := found.Container.State; s != nil && !s.Running && !s.Restarting && !s.Paused {
			if s.ExitCode != 0 && !h.x.listens() {
				h.missed()
			}
			h.mu.Lock()
			h.foundAt = time.Now()
			h.mu.Unlock()
			return s, nil
		}
	}
}

// missed notes that the engine was away while the container ran, or when it ended.
func (h *handle) missed() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.lostAt.IsZero() {
		h.lostAt = time.Now()
	}
}

// wait returns when the engine says that the container has ended, or cannot say it.
func (h *handle) wait(ctx context.Context) error {
	w := h.x.api.ContainerWait(ctx, h.name, client.ContainerWaitOptions{Condition: container.WaitConditionNotRunning})
	select {
	case <-w.Result:
		return nil
	case err := <-w.Error:
		return err
	}
}

// follow gives output out while the container runs. Podman (4.3) leaves lines out for who
// follows a log that is being written; it is asked now and then for what is there.
func (h *handle) follow(ctx context.Context, over <-chan struct{}) {
	t := time.NewTimer(followAfter)
	defer t.Stop()
	for {
		select {
		case <-over:
			return
		case <-ctx.Done():
			return
		case <-t.C:
		}
		began := time.Now()
		err := h.x.learn(ctx)
		podman := h.x.isPodman()
		switch {
		case err != nil: // it cannot say yet how it is to be asked
		case podman:
			err = h.readSettled(ctx)
		default:
			err = h.read(ctx, true)
		}
		if err != nil && ctx.Err() == nil && !away(err) && !errdefs.IsNotFound(err) {
			h.x.log.Debug("following a container's output", "container", h.name, "error", err)
		}
		pause := time.Second // the engine went away, or the container has just ended
		if podman {
			pause = max(pause, 10*time.Since(began)) // each time it looks through the whole log
		}
		t.Reset(pause)
	}
}

// judge makes the attempt's exit of the container's last state. It is not regular when
// asking the engine again would not give the same.
func (h *handle) judge(s *container.State) (exit job.Exit, at time.Time, regular bool) {
	said := h.rec.get()
	at = stamp(s.FinishedAt)
	h.mu.Lock()
	started, lostAt, foundAt := h.held.Started, h.lostAt, h.foundAt
	h.mu.Unlock()
	if started.IsZero() {
		if began := stamp(s.StartedAt); !began.IsZero() && at.After(began) { // it was started, and nobody could note it
			started = began
		} else if s.Error != "" {
			return job.Exit{Cause: job.CauseStart, Reason: "CannotStartContainerError: " + s.Error}, time.Now(), false
		} else {
			return job.Exit{Cause: job.CauseHost, Reason: "the worker was restarted before it had started the container"}, time.Now(), false
		}
	}
	if at.Before(started) {
		at = started
	}
	code := int32(s.ExitCode)
	exit = job.Exit{Code: &code}
	switch {
	case said.Stop != "":
		exit.Cause = said.Stop
	case code == 0:
	case s.OOMKilled:
		exit.Cause, exit.Reason = job.CauseMemory, job.ReasonMemory
	case !lostAt.IsZero() && !h.x.outlives() && at.After(lostAt.Add(-margin)) && at.Before(foundAt.Add(margin)):
		return job.Exit{Cause: job.CauseHost, Reason: "the container engine of this host was stopped, and the container with it"}, at, false
	case signalled(code):
		exit.Cause = job.CauseSignal
	default:
		exit.Cause = job.CauseExit
	}
	return exit, at, true
}

// overMemory words the end of a container that Podman says nothing of: with control groups of
// version 1 it does not tell who was killed for memory. Who was killed, and had come to its
// limit, was.
func (h *handle) overMemory(x *job.Exit) {
	if limit := h.rec.get().MemoryMiB << 10; h.x.isPodman() && x.Cause == job.CauseSignal && *x.Code == 137 && limit > 0 && x.Usage.PeakMemKiB >= limit {
		x.Cause, x.Reason = job.CauseMemory, job.ReasonMemory
	}
}

// signalled reports whether an exit code is that of a signal which programs do not use as
// a code of their own: ABRT, BUS, FPE, KILL, SEGV, TERM.
func signalled(code int32) bool {
	switch code - 128 {
	case 6, 7, 8, 9, 11, 15:
		return true
	}
	return false
}

func stamp(text string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil || t.Year() < 1970 {
		return time.Time{}
	}
	return t
}

// finish gives out what output is left and then the end. An end that the engine would not
// tell again is kept.
func (h *handle) finish(exit job.Exit, at time.Time, regular bool) {
	if h.x.life.Err() != nil {
		return // Close ends it
	}
	at = time.UnixMicro(at.UnixMicro()) // as it is kept
	if !regular {
		if err := h.rec.change(func(s *said) { s.End, s.EndAt = &exit, at.UnixMicro() }); err != nil {
			h.x.log.Error("a container's end is not kept", "container", h.name, "error", err)
		}
	}
	err := h.x.patiently(h.x.life, 0, func(ctx context.Context) error { return h.read(ctx, false) })
	if h.x.life.Err() != nil {
		return
	}
	if err != nil && !errdefs.IsNotFound(err) {
		h.x.log.Error("a container's last output could not be read", "container", h.name, "error", err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.ended {
		h.ended, h.end = true, executor.End{Exit: exit, At: at}
		close(h.done)
	}
}

// lose ends a handle because its executor lets go.
func (h *handle) lose() {
	h.mu.Lock()
	if !h.ended {
		h.ended, h.err = true, executor.ErrLost
		close(h.done)
	}
	if h.timer != nil {
		h.timer.Stop()
	}
	h.mu.Unlock()
	if h.rec != nil {
		_ = h.rec.close(false)
	}
}

// Held implements executor.Handle.
func (h *handle) Held() executor.Held {
	h.mu.Lock()
	defer h.mu.Unlock()
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
	h.mu.Lock()
	defer h.mu.Unlock()
	var at place
	for len(h.places) > 0 && h.places[0].bytes <= n {
		at, h.places = h.places[0], h.places[1:]
	}
	h.rec.acknowledge(n, mark, at)
	if n > h.acked {
		h.acked = n
		close(h.moved)
		h.moved = make(chan struct{})
	}
}

// Stop implements executor.Handle.
func (h *handle) Stop(grace time.Duration, cause job.Cause) error {
	h.mu.Lock()
	over := h.exited || h.ended
	h.mu.Unlock()
	if over || h.x.life.Err() != nil {
		return nil
	}
	first := false
	err := h.rec.change(func(s *said) {
		if s.Stop == "" {
			first = true
			s.Stop, s.KillAt = cause, time.Now().Add(grace).UnixMicro()
		}
	})
	if first {
		h.x.spawn(h.terminate)
	}
	return err
}

// terminate asks the container to end, and kills it when its grace is over.
func (h *handle) terminate() {
	select {
	case <-h.begun:
	case <-h.x.life.Done():
		return
	}
	h.signal("SIGTERM")
	t := time.NewTimer(time.Until(time.UnixMicro(h.rec.get().KillAt)))
	defer t.Stop()
	select {
	case <-t.C:
		h.signal("SIGKILL")
	case <-h.done:
	case <-h.x.life.Done():
	}
}

func (h *handle) signal(word string) {
	err := h.x.patiently(h.x.life, 0, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, callFor)
		defer cancel()
		_, err := h.x.api.ContainerKill(ctx, h.name, client.ContainerKillOptions{Signal: word})
		return err
	})
	if err != nil && !errdefs.IsNotFound(err) && !errdefs.IsConflict(err) && h.x.life.Err() == nil { // else it has ended
		h.x.log.Warn("a container could not be stopped", "container", h.name, "signal", word, "error", err)
	}
}

// Forget implements executor.Handle. Removing a container takes the engine a while, and
// nobody waits for that; one that is left goes with the next start's sweep.
func (h *handle) Forget() error {
	h.x.forget(keyOf(h.id), h)
	err := h.rec.close(true)
	h.x.spawn(func() {
		select {
		case h.x.starts <- struct{}{}:
			defer func() { <-h.x.starts }()
		case <-h.x.life.Done():
			return
		}
		if err := h.x.patiently(h.x.life, startFor, func(ctx context.Context) error { return h.x.release(ctx, h.rec.get()) }); err != nil && h.x.life.Err() == nil {
			h.x.log.Warn("a container could not be removed; it goes with the next start", "container", h.name, "error", err)
		}
	})
	return err
}
