package worker

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"drover/internal/core/job"
	"drover/internal/executor"
	"drover/internal/link"
)

// phase is how far an attempt is.
//
//	preparing ─→ running ─→ ended ─→ (acknowledged: gone)
//	    └── could not start ──↑
type phase int

const (
	preparing phase = iota // folder, credentials, input
	running                // the executor has it
	ended                  // its exit is known: storing the result, or reporting
)

// attempt is one lease that this worker holds.
type attempt struct {
	lease  job.Lease
	asg    job.Assignment // without command and variables once it runs
	ctx    context.Context
	cancel context.CancelFunc // ends staging
	grant  *grant
	mover  *grant  // of the credentials that move its data; nil = grant
	folder *folder // nil until it is prepared

	bytesIn  atomic.Int64
	wantsOut bool // the command was given {out}

	members []*member     // one, or those of the pod
	changed chan struct{} // of a pod: something happened to it

	address string   // of a node that shares the host's network: at which the other nodes reach it
	devices []Device // its GPUs, once it has them

	// Guarded by worker.mu.
	phase   phase
	sink    *sink
	stop    job.Cause // it was asked to stop
	refused bool      // the manager does not want it: end it and say nothing
	gone    bool      // no longer in worker.attempts
	cleaned bool
}

// member is one container, or process, of an attempt. Most attempts have no other.
type member struct {
	a     *attempt
	index int
	log   *stream

	// Guarded by worker.mu.
	handle executor.Handle
	state  job.MemberState // of a pod's
	spec   *executor.Attempt
}

// stream names the log stream of a member.
func (m *member) stream() string {
	if p := m.a.asg.Pod; p != nil {
		return job.MemberLog(m.a.asg.Log, p.Members[m.index].Name)
	}
	return m.a.asg.Log
}

// told reports whether all output is on its way or acknowledged.
func (a *attempt) told() bool {
	for _, m := range a.members {
		if !m.log.all() {
			return false
		}
	}
	return true
}

// lastLine is the last line of a member that failed, else of the last one that said anything.
func (a *attempt) lastLine() (line []byte) {
	for _, m := range a.members {
		last := m.log.lastLine()
		if x := m.state.Exit; len(last) > 0 && x != nil && !x.OK() && !m.state.Stopped {
			return last
		}
		if len(last) > 0 {
			line = last
		}
	}
	return line
}

func (a *attempt) folderName() string {
	if a.folder == nil {
		return ""
	}
	return a.folder.name
}

// note is what a worker needs to know of an attempt that an earlier worker started.
type note struct {
	Assignment job.Assignment `json:"assignment"`
	Folder     string         `json:"folder"`
	Path       string         `json:"path"`  // of its credentials
	Token      string         `json:"token"` // for them
	BytesIn    int64          `json:"bytesIn,omitempty"`
	WantsOut   bool           `json:"wantsOut,omitempty"`
	Address    string         `json:"address,omitempty"` // of a node
	Moved      bool           `json:"moved,omitempty"`   // its data is moved with credentials of their own
	Devices    []Device       `json:"devices,omitempty"` // its GPUs
}

// note writes what the next worker needs to know of the attempt.
func (a *attempt) note() ([]byte, error) {
	n := note{Assignment: a.asg, Folder: a.folderName(), Path: a.grant.path, Token: a.folder.token, BytesIn: a.bytesIn.Load(), WantsOut: a.wantsOut, Address: a.address, Moved: a.mover != nil, Devices: a.devices}
	n.Assignment.Command, n.Assignment.Variables = nil, nil
	return json.Marshal(n)
}

// begin takes an assignment, unless it is held or was settled here already.
func (w *worker) begin(asg *job.Assignment, c, staging *link.Credentials) {
	l := asg.Lease
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.attempts[l] != nil || w.settled.has(l) || w.life.Err() != nil {
		return
	}
	a := w.newAttempt(*asg)
	a.grant = w.grants.add(l, randomHex(16), "", c)
	if staging != nil {
		w.moveWith(a, staging)
	}
	w.addLocked(a)
	w.wg.Go(func() { w.live(a) })
}

// moveWith has an attempt's data moved with credentials that the job does not see.
func (w *worker) moveWith(a *attempt, c *link.Credentials) {
	a.mover = w.grants.add(a.lease, "", "", c)
	a.mover.refresh = w.refreshStaging
}

func (w *worker) newAttempt(asg job.Assignment) *attempt {
	a := &attempt{lease: asg.Lease, asg: asg}
	n := 1
	if asg.Pod != nil {
		a.asg.Pod = asg.Pod.Grow(asg.Need.MemoryMiB)
		a.changed = make(chan struct{}, 1)
		n = len(asg.Pod.Members)
	}
	for i := range n {
		a.members = append(a.members, &member{a: a, index: i, log: newStream(0, 0)})
	}
	a.ctx, a.cancel = context.WithCancel(w.life)
	return a
}

func (w *worker) addLocked(a *attempt) {
	if len(w.attempts) == 0 {
		w.idle = make(chan struct{})
	}
	w.attempts[a.lease] = a
}

// adopted takes over what an earlier worker, or this one before its launcher was lost,
// started. Of a pod each member is adopted by itself, and the pod goes on when all are. It
// gives nil for what no attempt can be made of.
func (w *worker) adopted(h executor.Handle, out *sink) *attempt {
	held := h.Held()
	var n note
	if json.Unmarshal(held.Note, &n) != nil || n.Assignment.Lease != held.Lease {
		n = note{Assignment: job.Assignment{Lease: held.Lease}} // not ours to know; the manager will say
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if old := w.attempts[held.Lease]; old != nil && int(held.Member) < len(old.members) {
		m := old.members[held.Member]
		if old.phase == ended {
			m.handle, old.sink = h, out // its exit is known; only Forget is still to be said
			return nil
		}
		if old.asg.Pod != nil && m.handle == nil {
			w.join(m, h)
			return old
		}
	}
	a := w.newAttempt(n.Assignment)
	if int(held.Member) >= len(a.members) {
		w.log.Error("a member of an attempt has no place in it", "fence", held.Lease.Fence, "member", held.Member)
		_ = h.Stop(0, job.CauseTerminated) // what is left of it goes when the executor's folder is given up
		return nil
	}
	a.phase, a.sink = running, out
	w.join(a.members[held.Member], h)
	a.folder = w.folders.adopt(n.Folder)
	a.wantsOut = n.WantsOut
	a.address, a.devices = n.Address, n.Devices
	w.gpus.hold(a.lease, a.devices)
	a.bytesIn.Store(n.BytesIn)
	a.grant = w.grants.add(a.lease, n.Path, n.Token, nil)
	if n.Moved {
		w.moveWith(a, nil)
	}
	kept := n.Assignment
	w.grants.describe(a.grant, metadata{asg: &kept, region: w.welcome.Region})
	w.addLocked(a)
	if a.asg.Pod == nil {
		w.wg.Go(func() {
			w.started(a, h)
			w.await(a, h)
		})
	}
	return a
}

// join gives a member the handle that an earlier worker's start left; worker.mu is held.
func (w *worker) join(m *member, h executor.Handle) {
	held := h.Held()
	m.handle, m.log = h, newStream(held.Acked, held.Mark)
	m.state = job.MemberState{Phase: job.MemberBegins}
	if !held.Started.IsZero() {
		m.state.Phase, m.state.Started = job.MemberRuns, held.Started.UnixMicro()
	}
}

// live takes one attempt from its assignment to its exit.
func (w *worker) live(a *attempt) {
	spec, exit := w.prepare(a)
	if exit != nil {
		w.finish(a, *exit, time.Now())
		return
	}
	out := w.waitSink(a)
	if out == nil {
		return
	}
	w.mu.Lock()
	stop := a.stop
	w.mu.Unlock()
	if stop != "" {
		w.finish(a, job.Exit{Cause: stop, Reason: "stopped before it started"}, time.Now())
		return
	}
	if a.asg.Pod != nil {
		w.mu.Lock()
		a.sink, a.phase = out, running
		w.mu.Unlock()
		w.runPod(a, out)
		return
	}
	h, err := out.of.exec.Start(w.life, spec, out)
	if err != nil {
		if errors.Is(err, executor.ErrLost) {
			w.lost(out)
			w.finish(a, launcherLost(), time.Now()) // it may have run
			return
		}
		w.finish(a, job.Exit{Cause: job.CauseStart, Reason: "CannotStartContainerError: " + err.Error()}, time.Now())
		return
	}
	w.mu.Lock()
	a.members[0].handle, a.sink, a.phase = h, out, running
	a.asg.Command, a.asg.Variables = nil, nil
	if a.stop != "" || a.refused {
		_ = h.Stop(w.opts.StopGrace, job.CauseTerminated) // lost is told by Wait
	}
	w.mu.Unlock()
	w.started(a, h)
	w.await(a, h)
}

// waitSink gives the executor's output, waiting while the executor is being found again.
func (w *worker) waitSink(a *attempt) *sink {
	for n := 0; a.ctx.Err() == nil; n++ {
		if s := w.sinkOf(w.runnerOf(a.asg.Image)); s != nil {
			return s
		}
		pause(a.ctx, n)
	}
	if w.life.Err() == nil { // stopped or refused meanwhile
		w.finish(a, job.Exit{Cause: job.CauseTerminated, Reason: "stopped before it started"}, time.Now())
	}
	return nil
}

// started reports that the command runs.
func (w *worker) started(a *attempt, h executor.Handle) {
	if at := h.Held().Started; !at.IsZero() {
		w.reports.add(&notice{a: a, report: job.Report{Lease: a.lease, Started: true, At: at.UnixMicro(), Address: cmp.Or(a.address, h.Held().Address)}})
	}
}

// await waits for the command's end and does what is due then.
func (w *worker) await(a *attempt, h executor.Handle) {
	log := a.members[0].log
	log.attach(h)
	end, err := h.Wait(w.life)
	if err != nil {
		if errors.Is(err, executor.ErrLost) && w.life.Err() == nil {
			w.mu.Lock()
			of := a.sink
			w.mu.Unlock()
			w.lost(of)
			log.finish(time.Now())
			w.finish(a, launcherLost(), time.Now())
		}
		return
	}
	w.mu.Lock()
	a.phase = ended
	refused := a.refused
	w.mu.Unlock()
	log.finish(end.At)
	exit := end.Exit
	at := end.At
	if !refused && a.asg.Moves() && exit.Code != nil {
		exit.Usage.BytesIn = a.bytesIn.Load()
		if exit.OK() {
			w.storeAll(a, &exit)
			if w.life.Err() != nil {
				return // the next worker stores the result
			}
			at = time.Now()
		}
	}
	w.finish(a, exit, at)
}

// launcherLost is the end of an attempt whose launcher was killed: for the job that is as
// if its host had been lost.
func launcherLost() job.Exit {
	return job.Exit{Cause: job.CauseHost, Reason: "the launcher of this host ended, and the job with it"}
}

// finish queues the report of an attempt's end. A worker that is leaving reports nothing
// new: what failed now failed because of that, and the next worker takes it up.
func (w *worker) finish(a *attempt, exit job.Exit, at time.Time) {
	if w.life.Err() != nil {
		return
	}
	if !exit.OK() && exit.ErrorLine == "" {
		exit.ErrorLine = ErrorLine(a.lastLine())
		if exit.ErrorLine == "" {
			exit.ErrorLine = ErrorLine([]byte(exit.Reason))
		}
	}
	w.mu.Lock()
	a.phase = ended
	refused := a.refused
	w.mu.Unlock()
	if refused {
		w.settle(a)
		return
	}
	w.reports.add(&notice{a: a, exit: true, report: job.Report{Lease: a.lease, Exit: &exit, At: at.UnixMicro()}})
}

// stopLocked ends an attempt wherever it is; worker.mu is held.
func (w *worker) stopLocked(a *attempt, cause job.Cause) {
	if a.stop != "" {
		return
	}
	a.stop = cause
	switch a.phase {
	case preparing:
		a.cancel()
	case running:
		if a.asg.Pod != nil {
			a.wake()
			return
		}
		_ = a.members[0].handle.Stop(w.opts.StopGrace, cause) // lost is told by Wait
	}
}

// refuseLocked ends an attempt that the manager does not want; worker.mu is held.
func (w *worker) refuseLocked(a *attempt, why string) {
	if a.refused {
		return
	}
	a.refused = true
	w.log.Info("ending a refused attempt", "job", a.asg.UnitName(), "attempt", a.lease.Attempt, "fence", a.lease.Fence, "why", why)
	for _, m := range a.members {
		m.log.discard()
	}
	a.cancel()
	w.grants.remove(a.grant)
	w.grants.remove(a.mover)
	w.stopLocked(a, job.CauseTerminated)
	if a.phase == ended {
		w.wg.Go(func() { w.settle(a) })
	}
}

// settle forgets an attempt whose end the manager has, or does not want.
func (w *worker) settle(a *attempt) {
	w.mu.Lock()
	var handles []executor.Handle
	for _, m := range a.members {
		if m.handle != nil {
			handles = append(handles, m.handle)
		}
	}
	cleaned := a.cleaned
	a.cleaned = true
	w.mu.Unlock()
	if cleaned {
		return
	}
	for _, h := range handles {
		if err := h.Forget(); err != nil && !errors.Is(err, executor.ErrLost) {
			w.log.Debug("forgetting", "error", err) // the launcher is gone: nothing to forget
		}
	}
	w.drop(a)
}

// drop removes all traces of an attempt from the worker. What a job left in its folder may
// take a while to delete, and nobody waits for that.
func (w *worker) drop(a *attempt) {
	a.cancel()
	w.grants.remove(a.grant)
	w.grants.remove(a.mover)
	w.mu.Lock()
	w.settled.add(a.lease)
	w.removeLocked(a)
	w.mu.Unlock()
	if a.folder != nil {
		w.wg.Go(func() { w.folders.put(a.folder) })
	}
}

func (w *worker) removeLocked(a *attempt) {
	if a.gone {
		return
	}
	a.gone = true
	delete(w.attempts, a.lease)
	w.giveGPUs(a)
	if len(w.attempts) == 0 {
		close(w.idle)
	}
}

// declaredIn makes the working folder of an attempt with declared data.
func (w *worker) declaredIn(a *attempt, f *folder) error {
	if a.asg.Inputs != "" {
		if err := w.fetchInputs(a, f); err != nil {
			return err
		}
	}
	if a.asg.Outputs != "" {
		if err := w.prepareOutputs(a, f); err != nil {
			return err
		}
	}
	if a.boxed() && a.asg.Inputs+a.asg.Outputs != "" {
		return f.shareWork()
	}
	return nil
}

// storeAll stores what an attempt that ended well has made.
func (w *worker) storeAll(a *attempt, exit *job.Exit) {
	switch {
	case a.asg.Stage != "":
		w.stageOut(a, exit)
	case a.asg.Outputs != "":
		w.storeOutputs(a, exit)
	}
}

// prepare makes everything ready for the executor. An exit says why that was not possible.
func (w *worker) prepare(a *attempt) (executor.Attempt, *job.Exit) {
	fail := func(cause job.Cause, reason string) (executor.Attempt, *job.Exit) {
		w.mu.Lock()
		defer w.mu.Unlock()
		if a.stop != "" {
			return executor.Attempt{}, &job.Exit{Cause: a.stop, Reason: "stopped before it started"}
		}
		return executor.Attempt{}, &job.Exit{Cause: cause, Reason: reason}
	}
	r := w.runnerOf(a.asg.Image)
	if r == nil {
		return fail(job.CauseStart, fmt.Sprintf("CannotStartContainerError: this host has no container engine for the image %s", a.asg.Image))
	}
	if err := w.takeGPUs(a); err != nil {
		return fail(job.CauseStart, err.Error())
	}
	f, err := w.folders.take()
	if err != nil {
		return fail(job.CauseStart, fmt.Sprintf("CannotStartContainerError: no working folder: %v", err))
	}
	w.mu.Lock()
	a.folder = f
	w.mu.Unlock()
	w.grants.setToken(a.grant, f.token)
	w.grants.describe(a.grant, w.metadata(&a.asg))
	if a.asg.Pod != nil {
		if err := w.preparePod(a, r); err != nil {
			return fail(job.CauseStart, err.Error())
		}
		return executor.Attempt{}, nil
	}
	spec := executor.Attempt{
		Lease: a.lease, Image: a.asg.Image, Command: a.asg.Command, Need: a.asg.Need, Tags: a.asg.Tags,
		Name: a.asg.UnitName(), Dir: f.work(), Timeout: time.Duration(a.asg.TimeoutSeconds) * time.Second,
		Devices: deviceIDs(a.devices),
	}
	if a.asg.Stage != "" {
		staged, err := w.stageIn(a, f)
		if err != nil {
			return fail(job.CauseStageIn, err.Error())
		}
		spec.Command, spec.Stdin, spec.Stdout = staged.command, staged.stdin, staged.stdout
		a.wantsOut = slices.ContainsFunc(a.asg.Command, func(word string) bool { return strings.Contains(word, "{out}") })
	}
	if err := w.declaredIn(a, f); err != nil {
		return fail(job.CauseStageIn, err.Error())
	}
	if a.asg.Seat != nil {
		w.seat(a, &spec)
	}
	if spec.Environment, err = w.environment(a, a.whole()); err != nil {
		return fail(job.CauseStart, err.Error())
	}
	if a.boxed() {
		w.box(a, &spec)
	}
	if spec.Note, err = a.note(); err != nil {
		return fail(job.CauseStart, "CannotStartContainerError: "+err.Error())
	}
	if err := r.exec.Prepare(a.ctx, spec); err != nil {
		return fail(job.CauseStart, err.Error())
	}
	return spec, nil
}
