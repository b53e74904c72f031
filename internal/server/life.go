package server

import (
	"context"
	"sync"
	"time"
)

// lingerFor is how long an embedded server stays after its last client has gone, so that
// one drover map after another finds it.
const lingerFor = 5 * time.Second

// life is when and how the server ends. It counts the clients of an embedded server.
type life struct {
	embedded bool
	ended    chan struct{} // closed when the server must end

	mu       sync.Mutex
	attached int
	over     bool
	jobs     bool // running jobs, worker and launcher end too
	timer    *time.Timer
	leave    context.Context // ends when workers must leave
	send     context.CancelFunc
}

func newLife(embedded bool) *life {
	l := &life{embedded: embedded, ended: make(chan struct{}), jobs: embedded}
	l.leave, l.send = context.WithCancel(context.Background())
	if embedded {
		// Whoever started the server has this long to attach.
		l.timer = time.AfterFunc(6*lingerFor, func() { l.idle() })
	}
	return l
}

// Stop implements native.Process.
func (l *life) Stop(jobs bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.jobs = l.jobs || jobs
	l.end()
}

func (l *life) end() {
	if !l.over {
		l.over = true
		close(l.ended)
	}
}

// Attach implements native.Process.
func (l *life) Attach() (detach func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.attached++
	if l.timer != nil {
		l.timer.Stop()
	}
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.attached--
		if l.embedded && l.attached == 0 {
			l.timer.Reset(lingerFor)
		}
	}
}

func (l *life) idle() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.attached == 0 {
		l.end()
	}
}

// endJobs says whether jobs end with the server.
func (l *life) endJobs() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.jobs
}

// leaving reports whether workers are being told to leave.
func (l *life) leaving() bool { return l.leave.Err() != nil }
