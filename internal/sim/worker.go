package sim

import (
	"slices"

	"drover/internal/core/fault"
	"drover/internal/core/job"
	"drover/internal/core/resource"
	"drover/internal/manager"
)

// unknownSession is the code that tells a worker to say hello (link.CodeUnknownSession).
const unknownSession = "UnknownSession"

// worker is one life of a host's worker process. It keeps the rules of package link: one
// session at a time, numbered messages, reports until they are answered, and it drops what
// is refused.
type worker struct {
	h       *host
	dead    bool
	paused  bool
	backlog []func()

	session   string
	greeting  bool
	ack       int64
	preparing []job.Lease  // assigned, and not yet the launcher's
	cancelled []job.Lease  // of those, to be stopped before they begin
	out       []job.Report // to be told, in order
	sending   bool
}

// event lets something happen in the worker: now, after its pause, or never.
func (k *worker) event(fn func()) {
	switch {
	case k.dead:
	case k.paused:
		k.backlog = append(k.backlog, fn)
	default:
		fn()
	}
}

func (k *worker) after(d int64, fn func()) { k.h.w.after(d, func() { k.event(fn) }) }

// startWorker begins a life: the worker adopts what the launcher holds.
func (h *host) startWorker() {
	if h.gone || h.worker != nil {
		return
	}
	h.lives++
	if h.lives > 1 && !h.w.healed && h.w.chance(0.2) {
		h.renamed()
	}
	k := &worker{h: h}
	h.worker = k
	for _, p := range h.procs {
		k.began(p)
		if p.ended {
			k.ended(p)
		}
	}
	k.hello()
	k.heartbeats()
}

func (h *host) crashWorker() {
	if k := h.worker; k != nil {
		h.w.note("worker of %s crashes", h.id)
		h.w.stats.WorkerCrashes++
		k.dead = true
		h.worker = nil
	}
}

// reboot is the death of the launcher: the worker finds a new one, and nothing in it.
func (h *host) reboot() {
	h.w.note("launcher of %s crashes", h.id)
	h.w.stats.HostLosses++
	h.boots()
	if k := h.worker; k != nil {
		k.event(func() {
			k.out, k.preparing, k.cancelled = nil, nil, nil
			k.hello()
		})
	}
}

// hello opens a session. It lists everything that the worker or its launcher knows of.
func (k *worker) hello() {
	if k.greeting {
		return
	}
	k.greeting, k.session = true, ""
	h := k.h
	m := manager.Hello{Host: h.id, Boot: h.boot, Capacity: h.offer(), Executors: h.words, Held: slices.Clone(k.preparing)}
	for _, p := range h.procs {
		m.Held = append(m.Held, p.a.Lease)
	}
	call(&h.net, 5*second, func(s *server, answer func(welcome, error)) { s.hello(m, answer) }, func(a welcome, err error) {
		k.event(func() { k.welcomed(&m, a, err) })
	})
}

// welcomed begins the session, if what was said still holds.
func (k *worker) welcomed(m *manager.Hello, a welcome, err error) {
	k.greeting = false
	if err != nil || m.Boot != k.h.boot || m.Capacity != k.h.offer() {
		k.after(k.h.w.between(100*ms, 2*second), k.hello)
		return
	}
	k.session, k.ack = a.session, 0
	for _, l := range a.drop {
		k.drop(l)
	}
	k.poll()
	k.flush()
}

// drop forgets an attempt that is not this worker's any more.
func (k *worker) drop(l job.Lease) {
	k.h.w.note("worker of %s drops %d:%d fence %d", k.h.id, l.Ref.Key, l.Ref.Index, l.Fence)
	k.h.kill(l)
	k.preparing = slices.DeleteFunc(k.preparing, func(o job.Lease) bool { return o == l })
	k.out = slices.DeleteFunc(k.out, func(r job.Report) bool { return r.Lease == l })
}

// lost reports whether err means that session has ended, and then says hello again.
func (k *worker) lost(session string, err error) bool {
	if !isCode(err, unknownSession) {
		return false
	}
	if k.session == session {
		k.hello()
	}
	return true
}

func (k *worker) heartbeats() {
	session := k.session
	if session != "" {
		call(&k.h.net, heartbeatEvery, func(s *server, answer func(none, error)) { s.heartbeat(k.h.id, session, answer) }, func(_ none, err error) {
			k.event(func() { k.lost(session, err) })
		})
	}
	k.after(heartbeatEvery, k.heartbeats)
}

func (k *worker) poll() {
	session, ack := k.session, k.ack
	if session == "" {
		return
	}
	call(&k.h.net, pollFor+5*second, func(s *server, answer func([]manager.Letter, error)) { s.poll(k.h.id, session, ack, answer) },
		func(letters []manager.Letter, err error) {
			k.event(func() {
				if k.session != session { // of an ended session: another poll is under way
					return
				}
				if k.lost(session, err) {
					return
				}
				for _, l := range letters {
					if l.Seq > k.ack {
						k.ack = l.Seq
						k.read(l)
					}
				}
				if err != nil {
					k.after(k.h.w.between(50*ms, second), k.pollIf(session))
					return
				}
				k.poll()
			})
		})
}

func (k *worker) pollIf(session string) func() {
	return func() {
		if k.session == session {
			k.poll()
		}
	}
}

// read follows one instruction.
func (k *worker) read(l manager.Letter) {
	switch {
	case l.Start != nil:
		k.prepare(*l.Start)
	case slices.Contains(k.preparing, l.Stop.Lease):
		k.cancelled = append(k.cancelled, l.Stop.Lease)
	default:
		if p := k.h.proc(l.Stop.Lease); p != nil {
			p.stop(job.CauseTerminated)
		}
	}
}

// prepare stages the input, then starts; some inputs are slow, and some commands cannot be
// started at all.
func (k *worker) prepare(a job.Assignment) {
	h, w := k.h, k.h.w
	if slices.Contains(k.preparing, a.Lease) || h.proc(a.Lease) != nil {
		return
	}
	k.preparing = append(k.preparing, a.Lease)
	d := w.between(0, 300*ms)
	if w.chance(0.03) {
		d += w.between(0, 20*second)
	}
	boot := h.boot
	k.after(d, func() {
		if !slices.Contains(k.preparing, a.Lease) || h.boot != boot {
			return // dropped meanwhile
		}
		k.preparing = slices.DeleteFunc(k.preparing, func(o job.Lease) bool { return o == a.Lease })
		var none job.Exit
		switch {
		case slices.Contains(k.cancelled, a.Lease):
			none = job.Exit{Cause: job.CauseTerminated}
		case w.check.plans[a.Name].cannotStart(a.Ref.Index, a.Attempt):
			none = job.Exit{Cause: job.CauseStart, Reason: "CannotStart: no such file"}
		default:
			if p := h.start(a); p != nil {
				k.began(p)
			}
			return
		}
		k.tell(job.Report{Lease: a.Lease, Exit: &none, At: h.wall()})
	})
}

// began tells that the command runs.
func (k *worker) began(p *proc) {
	if p.ended && k.h.w.chance(0.5) {
		return // it ended before anybody was told: the end says it all
	}
	k.tell(job.Report{Lease: p.a.Lease, Started: true, At: p.begun, Address: p.run.address()})
}

// ended tells how it ended.
func (k *worker) ended(p *proc) {
	x := p.exit
	k.tell(job.Report{Lease: p.a.Lease, Exit: &x, At: p.at})
}

func (k *worker) tell(r job.Report) {
	k.out = append(k.out, r)
	k.after(k.h.w.between(0, 20*ms), k.flush)
}

// flush sends what there is to tell. The network may make two requests overtake each other
// only when the first has timed out: then its copy may still arrive.
func (k *worker) flush() {
	if len(k.out) == 0 || k.sending || k.session == "" {
		return
	}
	k.sending = true
	session, reports := k.session, slices.Clone(k.out)
	call(&k.h.net, 3*second, func(s *server, answer func([]error, error)) { s.report(k.h.id, session, reports, answer) }, func(refused []error, err error) {
		k.event(func() {
			k.sending = false
			if err == nil {
				k.acknowledged(reports, refused)
				k.flush()
				return
			}
			k.lost(session, err)
			k.after(k.h.w.between(50*ms, second), k.flush)
		})
	})
}

// acknowledged takes the answers to reports: what was accepted is on record for ever, what
// was refused is dropped.
func (k *worker) acknowledged(reports []job.Report, refused []error) {
	for i, r := range reports {
		at := slices.IndexFunc(k.out, func(o job.Report) bool { return o.Lease == r.Lease && o.Started == r.Started && o.Exit == r.Exit })
		if at >= 0 {
			k.out = slices.Delete(k.out, at, at+1)
		}
		if refused != nil && refused[i] != nil {
			k.h.w.stats.Refused++
			k.h.w.note("report of %d:%d fence %d refused: %s", r.Ref.Key, r.Ref.Index, r.Fence, fault.From(refused[i]).Code)
			k.drop(r.Lease)
			continue
		}
		if r.Exit != nil {
			k.h.w.check.acked(r)
			k.h.kill(r.Lease)
		}
	}
}

// offer is what the worker says that its host has.
func (h *host) offer() resource.Vector {
	if h.draining {
		return resource.Vector{}
	}
	return h.capacity
}

// drain makes the worker offer nothing for a while, as before it leaves.
func (h *host) drain(d int64) {
	if h.gone || h.draining {
		return
	}
	h.w.note("host %s drains for %.1f s", h.id, float64(d)/1e6)
	h.draining = true
	again := func() {
		if k := h.worker; k != nil {
			k.event(k.hello)
		}
	}
	again()
	h.w.after(d, func() { h.draining = false; again() })
}

// pause stops the worker's process, but not what its launcher runs.
func (k *worker) pause(d int64) {
	if k.paused {
		return
	}
	k.paused = true
	k.h.w.note("worker of %s pauses for %.1f s", k.h.id, float64(d)/1e6)
	k.h.w.after(d, k.resume)
}

func (k *worker) resume() {
	if !k.paused || k.dead {
		return
	}
	k.paused = false
	backlog := k.backlog
	k.backlog = nil
	for _, fn := range backlog {
		k.event(fn)
	}
}
