// Package worker is the agent on each host: it asks the manager for attempts, prepares
// them, runs them through an executor, and reports what they did.
//
// It promises:
//
//   - One worker per state folder; a second one refuses and names the first.
//   - An attempt is never started twice, whatever messages come twice or late: leases that
//     are held or were settled are remembered, messages are numbered within a session.
//   - Output is reported before the exit that follows it, in numbered events, and is safe
//     in the launcher until the manager has it. A worker that is killed and started again
//     carries on where the manager's last acknowledgement was.
//   - Reports go out at once when the line is idle; while a request is under way more
//     gather. Heartbeats have a line of their own.
//   - A worker that hears nothing of its manager for OrphanAfter ends its jobs and leaves.
//     When it is only told to stop, its jobs run on and the next worker adopts them.
//   - A job sees only the environment made for it, and credentials that end with its lease.
//
// It decides nothing: which attempts run, and what their ends mean, is the manager's.
package worker

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"drover/internal/core/job"
	"drover/internal/core/resource"
	"drover/internal/executor"
	"drover/internal/link"
)

// Leave says what becomes of the jobs when a worker is told to stop.
type Leave int

// The ways to leave.
const (
	Keep  Leave = iota // jobs run on; the next worker adopts them
	Drain              // no new jobs; the worker leaves when the last has ended
	End                // jobs are stopped, their ends reported, and the launcher leaves too
)

// errDismissed ends a worker whose server goes for good and takes its jobs along.
var errDismissed = errors.New("the server has stopped for good")

// ErrOrphaned is what Run returns when the manager was away for too long.
var ErrOrphaned = errors.New("the manager was away for too long; all jobs were stopped")

// Options says how a worker works.
type Options struct {
	Dir      string // state folder
	Endpoint string // the manager's API, e.g. http://127.0.0.1:4580
	// Locate finds the manager before each hello, for it may come back at another address;
	// "" means that it is not known, and the last address stands. nil = Endpoint for ever.
	Locate      func() string
	Token       string            // proves that this is a worker
	Roots       *x509.CertPool    // authorities that https trusts; nil = the system's
	CABundle    string            // their file, which jobs are told of; "" = none
	Executor    executor.Executor // of jobs with image "host"
	Containers  executor.Engine   // of all others; nil = this host has none
	HostNetwork bool              // containers share the host's network, so loopback is enough for them
	Secrets     Secrets           // looks secrets of containers up; nil = jobs with secrets fail
	Capacity    resource.Vector
	Devices     []Device      // GPUs to give to jobs, Capacity.GPU of them
	Attributes  []string      // of the host, each key=value: jobs may require them
	OrphanAfter time.Duration // 0 = 10 minutes
	StopGrace   time.Duration // between SIGTERM and SIGKILL; 0 = 30 s
	Path        string        // PATH of jobs; "" = the worker's own
	Cache       int64         // bytes of objects to keep for later attempts; 0 = 10 GiB or a tenth of the disk, below 0 = none
	Leave       func() Leave  // asked when Run's context ends; nil = Keep
	Log         *slog.Logger  // nil = none
}

func (o Options) withDefaults() Options {
	if o.OrphanAfter <= 0 {
		o.OrphanAfter = 10 * time.Minute
	}
	if o.StopGrace <= 0 {
		o.StopGrace = 30 * time.Second
	}
	if o.Path == "" {
		o.Path = os.Getenv("PATH")
	}
	if o.Path == "" {
		o.Path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	}
	if o.Leave == nil {
		o.Leave = func() Leave { return Keep }
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

// worker is the running agent.
type worker struct {
	opts    Options
	log     *slog.Logger
	hosted  *runner // processes
	boxed   *runner // containers; nil = none
	door    *door   // their way to the API
	link    *link.Client
	http    *http.Client // for objects; shared by all attempts
	host    string
	folders *folders
	grants  *grants
	plans   *plans
	cache   *cache        // of objects; nil = none
	staging chan struct{} // bounds how many attempts move data at once
	moves   chan struct{} // bounds how many objects of declared data move at once

	life context.Context // ends when the worker goes; jobs do not
	wg   sync.WaitGroup  // attempts' goroutines and loops

	mu       sync.Mutex // guards the rest and the attempts' fields that say so
	attempts map[job.Lease]*attempt
	settled  settled
	welcome  link.Welcome
	session  string
	again    chan struct{} // closed to end the session and say hello again
	contact  time.Time     // when the manager was last heard
	draining bool
	idle     chan struct{} // closed while there are no attempts
	gpus     gpus
	freed    chan struct{} // closed when an attempt gives GPUs back

	reports reporter
}

// Run works until ctx ends, the manager is away for OrphanAfter, or something is wrong
// with the host.
func Run(ctx context.Context, o Options) error {
	o = o.withDefaults()
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return fmt.Errorf("cannot make the worker's folder: %w", err)
	}
	lock, err := takeLock(filepath.Join(o.Dir, "worker.lock"))
	if err != nil {
		return err
	}
	defer lock.Close()
	w, err := open(o)
	if err != nil {
		return err
	}
	life, die := context.WithCancelCause(context.WithoutCancel(ctx))
	w.life = life
	end, err := w.run(ctx, die)
	die(context.Canceled)
	w.wg.Wait()
	w.closeExecutor(end)
	w.close()
	return err
}

func open(o Options) (*worker, error) {
	host, err := instanceID(o.Dir)
	if err != nil {
		return nil, err
	}
	w := &worker{
		opts: o, log: o.Log.With("host", host), hosted: &runner{exec: o.Executor, up: true}, host: host,
		link:     link.NewClient(o.Endpoint, o.Token, o.Roots),
		http:     objectsHTTP(o.Roots),
		plans:    newPlans(),
		staging:  make(chan struct{}, stagingAtOnce),
		moves:    make(chan struct{}, stagingAtOnce),
		attempts: map[job.Lease]*attempt{},
		contact:  time.Now(),
		idle:     make(chan struct{}),
		gpus:     newGPUs(o.Devices),
		freed:    make(chan struct{}),
	}
	close(w.idle)
	if o.Containers != nil {
		w.boxed = &runner{exec: o.Containers}
	}
	w.reports.wake = make(chan struct{}, 1)
	if w.folders, err = openFolders(filepath.Join(o.Dir, "attempts")); err != nil {
		return nil, err
	}
	if w.cache, err = openCache(filepath.Join(o.Dir, "cache"), o.Cache); err != nil {
		return nil, err
	}
	if w.grants, err = openGrants(filepath.Join(o.Dir, "credentials.port"), w.refresh); err != nil {
		return nil, err
	}
	w.door = &door{dir: o.Dir, grants: w.grants, base: w.link.Base, roots: o.Roots, log: w.log, local: o.HostNetwork}
	return w, nil
}

func (w *worker) close() {
	w.door.close()
	w.grants.close()
	w.link.Close()
	w.http.CloseIdleConnections()
	w.mu.Lock()
	none := len(w.attempts) == 0
	w.mu.Unlock()
	w.folders.close(none)
}

// run is the worker's life between opening and closing. With end, the jobs and the
// launcher end with it.
func (w *worker) run(ctx context.Context, die context.CancelCauseFunc) (end bool, err error) {
	for _, r := range w.runners() {
		if err := w.adopt(ctx, r); err != nil {
			if ctx.Err() != nil {
				return false, nil
			}
			return false, err
		}
	}
	w.sweepFolders()
	if w.boxed != nil {
		w.wg.Go(func() { w.opts.Containers.Watch(w.life, w.engine) })
	}
	w.wg.Go(w.reportLoop)
	w.wg.Go(w.flushLoop)
	w.wg.Go(func() { w.sessions(die) })
	w.wg.Go(func() { w.watchContact(die) })
	select {
	case <-ctx.Done():
		return w.leave(w.opts.Leave()), nil
	case <-w.life.Done():
	}
	cause := context.Cause(w.life)
	w.log.Warn("leaving", "why", cause.Error())
	switch {
	case errors.Is(cause, ErrOrphaned):
		w.stopAll()
		return true, cause
	case errors.Is(cause, errDismissed):
		w.stopAll()
		return true, nil
	}
	return false, cause
}

// leave ends the jobs in the way that was asked for.
func (w *worker) leave(how Leave) (end bool) {
	switch how {
	case Drain:
		w.log.Info("draining: no new jobs")
		w.mu.Lock()
		w.draining = true
		w.mu.Unlock()
		w.helloAgain("")
		w.awaitIdle(nil)
	case End:
		w.stopAll()
		t := time.NewTimer(w.opts.StopGrace + 10*time.Second)
		defer t.Stop()
		w.awaitIdle(t.C)
	default:
		w.log.Info("stopping; jobs run on")
		return false
	}
	return true
}

// awaitIdle waits until there are no attempts, the worker's life ends, or enough fires.
func (w *worker) awaitIdle(enough <-chan time.Time) {
	w.mu.Lock()
	idle := w.idle
	w.mu.Unlock()
	select {
	case <-idle:
	case <-enough:
	case <-w.life.Done():
	}
}

// stopAll asks every attempt to end.
func (w *worker) stopAll() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, a := range w.attempts {
		w.stopLocked(a, job.CauseTerminated)
	}
}

// closeExecutor lets go of the jobs, or waits for them within the grace and ends the
// launcher.
func (w *worker) closeExecutor(end bool) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(w.life), w.opts.StopGrace+20*time.Second)
	defer cancel()
	if end {
		w.mu.Lock()
		handles := make([]executor.Handle, 0, len(w.attempts))
		for _, a := range w.attempts {
			for _, m := range a.members {
				if m.handle == nil {
					continue
				}
				if a.asg.Pod != nil { // what stops members one by one is gone by now
					_ = m.handle.Stop(w.opts.StopGrace, job.CauseTerminated)
				}
				handles = append(handles, m.handle)
			}
		}
		clear(w.attempts)
		w.mu.Unlock()
		for _, h := range handles {
			if _, err := h.Wait(ctx); err != nil {
				break // lost, or the grace is over: closing kills what is left
			}
		}
	}
	for _, r := range w.runners() {
		if err := r.exec.Close(ctx, end); err != nil {
			w.log.Error("an executor did not end as it should", "executor", r.exec.Name(), "error", err)
		}
	}
}

// watchContact ends the worker when the manager has been away for too long.
func (w *worker) watchContact(die context.CancelCauseFunc) {
	for {
		w.mu.Lock()
		left := w.opts.OrphanAfter - time.Since(w.contact)
		w.mu.Unlock()
		if left <= 0 {
			die(ErrOrphaned)
			return
		}
		t := time.NewTimer(left)
		select {
		case <-t.C:
		case <-w.life.Done():
			t.Stop()
			return
		}
	}
}

// heard notes that the manager answered.
func (w *worker) heard() {
	w.mu.Lock()
	w.contact = time.Now()
	w.mu.Unlock()
}
