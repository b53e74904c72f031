package worker

import (
	"errors"
	"fmt"
	"time"

	"drover/internal/core/job"
	"drover/internal/executor"
)

// A pod's life on its host: job.Pod says what is to be done next, this does it, member by
// member, and asks again. The executor knows members only; each has its own output and its
// own exit code, and each is adopted by itself. What was started is what has a handle, so
// that the next worker goes on where this one left.

// wake makes the pod look again.
func (a *attempt) wake() {
	select {
	case a.changed <- struct{}{}:
	default:
	}
}

// preparePod makes everything ready that its members need.
func (w *worker) preparePod(a *attempt, r *runner) error {
	switch p := a.asg.Pod; {
	case p.Version > job.PodVersion:
		return fmt.Errorf("CannotCreateContainerError: its containers are described in form %d and this worker knows form %d; run the same release of drover on both sides", p.Version, job.PodVersion)
	case a.asg.Moves():
		return errors.New("CannotCreateContainerError: data cannot be moved for several containers; let one of them fetch it")
	}
	for _, m := range a.members {
		spec, err := w.memberSpec(m)
		if err != nil {
			return err
		}
		if err := r.exec.Prepare(a.ctx, *spec); err != nil {
			return err
		}
		m.spec = spec
	}
	return nil
}

// memberSpec is what the executor is to start for a member.
func (w *worker) memberSpec(m *member) (*executor.Attempt, error) {
	a := m.a
	p := a.asg.Pod
	c := &p.Members[m.index]
	devices, err := m.devices()
	if err != nil {
		return nil, err
	}
	spec := &executor.Attempt{
		Lease: a.lease, Member: int32(m.index), Name: a.asg.UnitName(), Image: c.Image, Command: c.Command,
		Need: c.Need, Tags: a.asg.Tags, Dir: a.folder.work(), Container: c.Container,
		Devices: deviceIDs(devices),
	}
	if a.asg.Seat != nil {
		w.seat(a, spec)
	}
	about := part{variables: c.Environment, metadata: memberPath(a.grant.path, m.index), devices: devices}
	if c.Container != nil {
		about.secrets = c.Container.Secrets
	}
	if spec.Environment, err = w.environment(a, about); err != nil {
		return nil, err
	}
	if a.boxed() {
		w.box(a, spec)
		if len(p.Members) > 1 || p.PIDMode != "" || p.IPCMode != "" {
			spec.Shared = &executor.Shared{PIDMode: p.PIDMode, IPCMode: p.IPCMode}
		}
	}
	if spec.Note, err = a.note(); err != nil {
		return nil, fmt.Errorf("CannotStartContainerError: %w", err)
	}
	return spec, nil
}

// runPod takes a pod from wherever it is to its end.
func (w *worker) runPod(a *attempt, out *sink) {
	for _, m := range a.members {
		if m.handle != nil {
			w.wg.Go(func() { w.awaitMember(m, m.handle, out) })
		}
	}
	told := false
	for {
		step, acted := w.stepPod(a, out)
		if at := a.startedAt(w); at != 0 && !told {
			told = true
			w.reports.add(&notice{a: a, report: job.Report{Lease: a.lease, Started: true, At: at, Address: a.reached(w)}})
		}
		switch {
		case step.Over:
			w.endPod(a)
			return
		case acted:
			continue
		}
		var late <-chan time.Time
		var timer *time.Timer
		if step.Wake != 0 {
			timer = time.NewTimer(time.Until(time.UnixMicro(step.Wake)))
			late = timer.C
		}
		select {
		case <-a.changed:
		case <-late:
		case <-w.life.Done():
		}
		if timer != nil {
			timer.Stop()
		}
		if w.life.Err() != nil {
			return // the next worker goes on
		}
	}
}

// stepPod does what is to be done next. It reports whether that was anything.
func (w *worker) stepPod(a *attempt, out *sink) (step job.PodStep, acted bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	states := make([]job.MemberState, len(a.members))
	stop := a.stop != "" || a.refused
	for i, m := range a.members {
		states[i] = m.state
		stop = stop || m.state.Exit != nil && m.state.Exit.Cause == job.CauseHost
	}
	now := time.Now().UnixMicro()
	step = a.asg.Pod.Next(states, stop, now)
	for k, i := range step.Fail {
		a.members[i].state.Phase, a.members[i].state.Exit, a.members[i].state.Ended = job.MemberEnded, &step.Why[k], now
	}
	for _, i := range step.Start {
		m := a.members[i]
		m.state.Phase = job.MemberBegins
		w.wg.Go(func() { w.beginMember(m, out) })
	}
	for _, i := range step.Stop {
		m := a.members[i]
		m.state.Stopped = true
		if m.handle != nil {
			w.stopMember(m)
		}
	}
	return step, len(step.Fail)+len(step.Start)+len(step.Stop) > 0
}

// stopMember asks a member to end; worker.mu is held.
func (w *worker) stopMember(m *member) {
	grace := w.opts.StopGrace
	if s := m.a.asg.Pod.Members[m.index].StopSeconds; s > 0 {
		grace = time.Duration(s) * time.Second
	}
	cause := m.a.stop
	if cause == "" {
		cause = job.CauseTerminated
	}
	_ = m.handle.Stop(grace, cause) // lost is told by Wait
}

// startedAt is when the first of the members began to run (µs); 0 = none has.
func (a *attempt) startedAt(w *worker) (at int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, m := range a.members {
		if s := m.state.Started; s != 0 && (at == 0 || s < at) {
			at = s
		}
	}
	return at
}

// reached is the address at which other nodes reach a pod that is a node.
func (a *attempt) reached(w *worker) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, m := range a.members {
		if a.address == "" && m.handle != nil {
			return m.handle.Held().Address
		}
	}
	return a.address
}

// beginMember starts a member and sees it to its end.
func (w *worker) beginMember(m *member, out *sink) {
	a := m.a
	spec, err := m.spec, error(nil)
	if spec == nil { // an earlier worker prepared it
		spec, err = w.memberSpec(m)
	}
	m.spec = nil
	var h executor.Handle
	if err == nil {
		if spec.Timeout = w.timeLeft(a); spec.Timeout < 0 {
			err = errors.New("there was no time left to start it")
		} else {
			h, err = out.of.exec.Start(w.life, *spec, out)
		}
	}
	if err != nil {
		if w.life.Err() != nil {
			return
		}
		exit := job.Exit{Cause: job.CauseStart, Reason: "CannotStartContainerError: " + err.Error()}
		if errors.Is(err, executor.ErrLost) {
			w.lost(out)
			exit = launcherLost()
		} else if spec != nil && spec.Timeout < 0 {
			exit.Cause = job.CauseTimeout
		}
		w.memberEnded(m, executor.End{Exit: exit, At: time.Now()})
		return
	}
	w.mu.Lock()
	m.handle = h
	if m.state.Stopped {
		w.stopMember(m)
	}
	w.mu.Unlock()
	w.awaitMember(m, h, out)
}

// timeLeft is how long the attempt may still run: 0 = for ever, negative = its time is over.
func (w *worker) timeLeft(a *attempt) time.Duration {
	limit := time.Duration(a.asg.TimeoutSeconds) * time.Second
	at := a.startedAt(w)
	if limit == 0 || at == 0 {
		return limit
	}
	if left := time.Until(time.UnixMicro(at).Add(limit)); left != 0 {
		return left
	}
	return -1
}

// awaitMember waits for a member's end.
func (w *worker) awaitMember(m *member, h executor.Handle, out *sink) {
	m.log.attach(h)
	if at := h.Held().Started; !at.IsZero() {
		w.mu.Lock()
		m.state.Phase, m.state.Started = job.MemberRuns, at.UnixMicro()
		w.mu.Unlock()
		m.a.wake()
	}
	end, err := h.Wait(w.life)
	if err != nil {
		if !errors.Is(err, executor.ErrLost) || w.life.Err() != nil {
			return
		}
		w.lost(out)
		end = executor.End{Exit: launcherLost(), At: time.Now()}
	}
	m.log.finish(end.At)
	w.memberEnded(m, end)
}

func (w *worker) memberEnded(m *member, end executor.End) {
	w.mu.Lock()
	m.state.Phase, m.state.Exit, m.state.Ended = job.MemberEnded, &end.Exit, end.At.UnixMicro()
	m.state.Stopped = m.state.Stopped || end.Exit.Cause == job.CauseTerminated // by an earlier worker
	if m.state.Started == 0 && end.Exit.Code != nil {
		m.state.Started = m.state.Ended // it ran and was gone before anybody could look
	}
	w.mu.Unlock()
	m.a.wake()
}

// endPod reports the attempt's end.
func (w *worker) endPod(a *attempt) {
	w.mu.Lock()
	states := make([]job.MemberState, len(a.members))
	at := int64(0)
	for i, m := range a.members {
		states[i] = m.state
		at = max(at, m.state.Ended)
	}
	exit := a.asg.Pod.Result(states, a.stop)
	a.phase = ended
	w.mu.Unlock()
	if at == 0 {
		at = time.Now().UnixMicro()
	}
	w.finish(a, exit, time.UnixMicro(at))
}
