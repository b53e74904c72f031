package sim

import (
	"fmt"
	"slices"

	"drover/internal/core/job"
	"drover/internal/core/resource"
)

// host is one machine: a launcher that owns processes, and a worker that comes and goes.
type host struct {
	w        *world
	id       string
	capacity resource.Vector
	words    []string         // what its worker says of it
	said     [len(kinds)]bool // the kinds that it has been
	boot     string
	reboots  int
	gone     bool // removed for ever
	draining bool // its worker is about to leave: it offers nothing
	skew     int64
	net      wire
	procs    []*proc // of the launcher, in order of start
	worker   *worker
	lives    int
}

// proc is one attempt as its launcher knows it: running, or ended and not yet forgotten.
type proc struct {
	h     *host
	a     job.Assignment
	run   *execution
	ended bool
	exit  job.Exit
	at    int64 // of the end, by the host's clock
	begun int64
}

// boots starts a new launcher: whatever the last one held has died with it.
func (h *host) boots() {
	h.reboots++
	h.boot = fmt.Sprintf("%s-b%d", h.id, h.reboots)
	for _, p := range h.procs {
		if !p.ended {
			h.w.ledger.end(p.run, nil)
		}
		p.ended, p.h = true, nil
	}
	h.procs = nil
	h.net.w = h.w
}

func (h *host) wall() int64 { return epoch + h.w.now + h.skew }

func (h *host) proc(l job.Lease) *proc {
	for _, p := range h.procs {
		if p.a.Lease == l {
			return p
		}
	}
	return nil
}

// start begins an attempt, unless the launcher holds its lease already.
func (h *host) start(a job.Assignment) *proc {
	if h.proc(a.Lease) != nil {
		return nil
	}
	w := h.w
	p := &proc{h: h, a: a, run: w.ledger.start(h, a), begun: h.wall()}
	h.procs = append(h.procs, p)
	o := w.check.plans[a.Name]
	exit, runs := o.behave(a.Ref.Index, a.Attempt)
	exit.Usage.BytesOut = p.run.nonce
	if runs < 1<<60 {
		w.after(runs, func() { p.end(exit) })
	}
	return p
}

// end is the end of the process, by itself or by force.
func (p *proc) end(exit job.Exit) {
	if p.ended || p.h == nil {
		return
	}
	h := p.h
	p.ended, p.exit, p.at = true, exit, h.wall()
	h.w.ledger.end(p.run, &exit)
	if k := h.worker; k != nil {
		k.event(func() { k.ended(p) })
	}
}

// stop asks a process to end; some take their time.
func (p *proc) stop(cause job.Cause) {
	if p.ended {
		return
	}
	code := int32(143)
	exit := job.Exit{Code: &code, Cause: cause, Usage: job.Usage{BytesOut: p.run.nonce}}
	p.h.w.after(p.h.w.between(0, 2*second), func() { p.end(exit) })
}

// kill ends a process of which nobody wants to hear again.
func (h *host) kill(l job.Lease) {
	p := h.proc(l)
	if p == nil {
		return
	}
	if !p.ended {
		p.ended = true
		h.w.ledger.end(p.run, nil)
	}
	p.h = nil
	h.procs = slices.DeleteFunc(h.procs, func(o *proc) bool { return o == p })
}

// remove takes the machine away for ever.
func (h *host) remove() {
	h.w.note("host %s is gone for ever", h.id)
	h.w.stats.HostLosses++
	h.gone = true
	h.crashWorker()
	h.boots()
}

// execution is one line of the ledger: what a simulated job wrote about itself.
type execution struct {
	a          job.Assignment
	host       string
	nonce      int64 // unlike that of any other execution
	start, end int64
	exit       *job.Exit // nil: killed, or still running
	running    bool
}

// ledger is the ground truth of what ran. The manager has no hand in it.
type ledger struct {
	w    *world
	runs []*execution
	of   map[job.Ref][]*execution
}

func (l *ledger) start(h *host, a job.Assignment) *execution {
	if l.of == nil {
		l.of = map[job.Ref][]*execution{}
	}
	x := &execution{a: a, host: h.id, nonce: int64(len(l.runs) + 1), start: l.w.now, running: true}
	l.w.note("run %s attempt %d fence %d on %s", unitName(a.Name, a.Ref), a.Attempt, a.Fence, h.id)
	l.w.stats.Starts++
	l.w.check.started(x, l.of[a.Ref])
	l.runs = append(l.runs, x)
	l.of[a.Ref] = append(l.of[a.Ref], x)
	return x
}

func (l *ledger) end(x *execution, exit *job.Exit) {
	x.running, x.end, x.exit = false, l.w.now, exit
	words := "killed"
	if exit != nil {
		words = string(exit.Cause)
		if exit.Code != nil {
			words += fmt.Sprint(" ", *exit.Code)
		}
	}
	l.w.note("end %s attempt %d fence %d on %s: %s", unitName(x.a.Name, x.a.Ref), x.a.Attempt, x.a.Fence, x.host, words)
}

func unitName(name string, r job.Ref) string {
	if r.Index == job.Whole {
		return name
	}
	if n, ok := job.NodeOf(r.Index); ok {
		return fmt.Sprintf("%s#%d", name, n)
	}
	return fmt.Sprintf("%s:%d", name, r.Index)
}
