package worker

import (
	"errors"
	"sync"
	"time"

	"drover/internal/core/fault"
	"drover/internal/core/job"
	"drover/internal/link"
)

// Bounds of one request to the manager.
const (
	maxChunk   = 256 << 10 // output of one attempt
	maxLogs    = 1 << 20   // output of all
	maxReports = 4096
)

// notice is a report on its way.
type notice struct {
	a      *attempt
	exit   bool
	report job.Report
}

// reporter gathers what the manager is to be told.
type reporter struct {
	wake chan struct{}

	mu      sync.Mutex // guards the rest
	queue   []*notice
	loud    []*member // have output to send
	isLoud  map[*member]bool
	waiting []*member // have an unfinished line
	isWait  map[*member]bool
}

// kick makes the loop look.
func (r *reporter) kick() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

func (r *reporter) add(n *notice) {
	r.mu.Lock()
	r.queue = append(r.queue, n)
	r.mu.Unlock()
	r.kick()
}

// speak notes that a member has output to send.
func (r *reporter) speak(m *member) {
	r.mu.Lock()
	if !r.isLoud[m] {
		if r.isLoud == nil {
			r.isLoud = map[*member]bool{}
		}
		r.isLoud[m] = true
		r.loud = append(r.loud, m)
	}
	r.mu.Unlock()
	r.kick()
}

// unfinished notes that a line of a member waits for its end.
func (r *reporter) unfinished(m *member) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.isWait[m] {
		if r.isWait == nil {
			r.isWait = map[*member]bool{}
		}
		r.isWait[m] = true
		r.waiting = append(r.waiting, m)
	}
}

// output takes a member's output from the executor.
func (w *worker) output(m *member, chunk []byte, at time.Time) {
	ready, waits := m.log.write(chunk, at, time.Now())
	if ready {
		w.reports.speak(m)
	}
	if waits {
		w.reports.unfinished(m)
	}
}

// flushLoop sends unfinished lines on after a while: a progress bar has no newline.
func (w *worker) flushLoop() {
	t := time.NewTicker(partialAfter / 4)
	defer t.Stop()
	for {
		select {
		case now := <-t.C:
			w.reports.mu.Lock()
			waiting := w.reports.waiting
			w.reports.waiting, w.reports.isWait = nil, nil
			w.reports.mu.Unlock()
			for _, m := range waiting {
				ready, waits := m.log.flush(now)
				if ready {
					w.reports.speak(m)
				}
				if waits {
					w.reports.unfinished(m)
				}
			}
		case <-w.life.Done():
			return
		}
	}
}

// batch is one request and what it is about.
type batch struct {
	reports link.Reports
	notices []*notice
	loud    []*member
}

// next builds a request: output first, then reports; an exit only when all the output
// before it is in this request or acknowledged.
func (r *reporter) next() *batch {
	b := &batch{}
	size := 0
	r.mu.Lock()
	loud := r.loud
	r.loud, r.isLoud = nil, nil
	r.mu.Unlock()
	for i, m := range loud {
		if size >= maxLogs {
			for _, later := range loud[i:] {
				r.speak(later)
			}
			break
		}
		events, first, n := m.log.take(maxChunk)
		if len(events) == 0 {
			continue
		}
		size += n
		b.loud = append(b.loud, m)
		b.reports.Logs = append(b.reports.Logs, link.Chunk{Lease: m.a.lease, Stream: m.stream(), First: first, Events: events})
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	rest := r.queue[:0]
	for i, n := range r.queue {
		if len(b.notices) >= maxReports {
			rest = append(rest, r.queue[i:]...)
			break
		}
		if n.exit && !n.a.told() {
			rest = append(rest, n)
			continue
		}
		if n.exit {
			b.reports.Logs = append(b.reports.Logs, n.a.silent(n.report.Exit)...)
		}
		b.notices = append(b.notices, n)
		b.reports.Reports = append(b.reports.Reports, n.report)
	}
	clear(r.queue[len(rest):])
	r.queue = rest
	if len(b.notices) == 0 && len(b.loud) == 0 {
		return nil
	}
	return b
}

// silent gives an empty chunk for each member that ran and said nothing: what ran has a
// stream, which Luigi reads of a failed job.
func (a *attempt) silent(x *job.Exit) (chunks []link.Chunk) {
	for i, m := range a.members {
		ran := x.Code != nil
		if i < len(x.Members) {
			ran = x.Members[i].Ran
		}
		if ran && m.log.silent() {
			chunks = append(chunks, link.Chunk{Lease: a.lease, Stream: m.stream()})
		}
	}
	return chunks
}

// reportLoop sends one request after the other; there is no timer in it.
func (w *worker) reportLoop() {
	for {
		b := w.reports.next()
		if b == nil {
			select {
			case <-w.reports.wake:
				continue
			case <-w.life.Done():
				return
			}
		}
		if !w.send(b) {
			return
		}
	}
}

// send repeats a request until the manager has taken it. It reports false when the
// worker's life ended first; then the next worker says it all again.
func (w *worker) send(b *batch) bool {
	b.reports.Host = w.host
	shortened := false
	for failed := 0; ; {
		if w.life.Err() != nil {
			return false
		}
		session := w.sessionOf()
		if session == "" {
			select { // hello kicks
			case <-w.reports.wake:
			case <-w.life.Done():
			}
			continue
		}
		b.reports.Session = session
		out, err := w.link.Report(w.life, b.reports)
		if err == nil {
			w.heard()
			w.acknowledged(b, out)
			return true
		}
		if unknown(err) {
			w.helloAgain(session)
			continue
		}
		if failed == 0 && w.life.Err() == nil {
			w.log.Warn("reporting failed; trying again", "reports", len(b.notices), "error", err)
		}
		if f, ok := errors.AsType[*fault.Error](err); ok && f.Kind == fault.TooLarge && !shortened {
			shortened = true
			shorten(b)
			continue
		}
		pause(w.life, failed)
		failed++
	}
}

// shorten replaces output that the manager cannot take by a line that says so.
func shorten(b *batch) {
	for i := range b.reports.Logs {
		events := b.reports.Logs[i].Events
		for j := range events {
			if len(events[j].Text) > 1024 {
				events[j].Text = "[drover: a line was too large for the manager and is left out]"
			}
		}
	}
}

// acknowledged forgets what the manager has now, and ends what it refused.
func (w *worker) acknowledged(b *batch, out link.Outcome) {
	for _, m := range b.loud {
		if m.log.done() {
			w.reports.speak(m)
		}
	}
	refused := map[job.Lease]link.Refusal{}
	for _, r := range out.Refused {
		refused[r.Lease] = r
	}
	for _, n := range b.notices {
		if n.exit {
			w.settle(n.a)
		}
	}
	if len(refused) == 0 {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for l, r := range refused {
		if a := w.attempts[l]; a != nil {
			w.refuseLocked(a, r.Code+": "+r.Message)
		}
	}
}
