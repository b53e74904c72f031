// Package executortest is the contract of executor.Executor as a test suite. Every
// implementation runs it; what an executor promises is what is checked here.
package executortest

import (
	"bytes"
	"context"
	"sync"
	"testing"
	"time"

	"drover/internal/core/job"
	"drover/internal/core/resource"
	"drover/internal/executor"
)

// Subject is an implementation under test, with a host state of its own for each test.
type Subject struct {
	// Client gives a new executor on the subject's host state, as a restarted worker would.
	Client func() executor.Executor
	// Limits reports whether memory limits are kept here, and why not.
	Limits func() (bool, string)
	// Inspect counts what could leak: processes, groups, files, open descriptors, mounts.
	Inspect func() map[string]int
	// Shell is how a script is run: the words before it.
	Shell []string
	// Adapt makes an attempt fit the subject, for example gives it an image; may be nil.
	Adapt func(*executor.Attempt)
	// Container says that a container engine stands between executor and command. Then the
	// output of each stream is in order, not that of both, and gets a newline at its end;
	// a signal is known by the exit code it makes; the engine words why a command cannot
	// start, and adds to its environment.
	Container bool
	// NoUsage says why it is not known what an attempt used; "" = it is.
	NoUsage string
}

// patience is how long anything here may take on a busy machine.
const patience = 30 * time.Second

// Run runs the suite. open makes a subject whose state is gone when t ends.
func Run(t *testing.T, open func(t *testing.T) Subject) {
	for _, c := range []struct {
		name string
		test func(*testing.T, *bench)
	}{
		{"ExitCodes", testExitCodes},
		{"Output", testOutput},
		{"Flood", testFlood},
		{"CannotStart", testCannotStart},
		{"StartOnce", testStartOnce},
		{"Environment", testEnvironment},
		{"Files", testFiles},
		{"StopWithGrace", testStopWithGrace},
		{"StopIgnored", testStopIgnored},
		{"Timeout", testTimeout},
		{"BackgroundChildren", testBackgroundChildren},
		{"EscapedChild", testEscapedChild},
		{"AdoptRunning", testAdoptRunning},
		{"AdoptEnded", testAdoptEnded},
		{"AdoptOutput", testAdoptOutput},
		{"AbsentWorker", testAbsentWorker},
		{"Memory", testMemory},
		{"Usage", testUsage},
		{"CloseEnds", testCloseEnds},
		{"NothingLeft", testNothingLeft},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := &bench{t: t, s: open(t)}
			b.connect()
			t.Cleanup(func() {
				ctx, cancel := context.WithTimeout(context.Background(), patience)
				defer cancel()
				if err := b.x.Close(ctx, true); err != nil {
					t.Errorf("closing: %v", err)
				}
			})
			c.test(t, b)
		})
	}
}

// bench is a subject with a connected client.
type bench struct {
	t     *testing.T
	s     Subject
	x     executor.Executor
	out   *collector
	fence uint32
	mute  bool // output is not acknowledged
}

// connect makes a client, as a worker's start does, and returns what it adopted.
func (b *bench) connect() []executor.Handle {
	b.t.Helper()
	b.out = &collector{lines: map[job.Lease]*bytes.Buffer{}, handles: map[job.Lease]executor.Handle{}, ack: !b.mute}
	b.x = b.s.Client()
	handles, err := b.x.Adopt(b.ctx(), b.out)
	if err != nil {
		b.t.Fatalf("adopt: %v", err)
	}
	return handles
}

// reconnect lets go and connects anew.
func (b *bench) reconnect() []executor.Handle {
	b.t.Helper()
	if err := b.x.Close(b.ctx(), false); err != nil {
		b.t.Fatal(err)
	}
	return b.connect()
}

func (b *bench) ctx() context.Context {
	ctx, cancel := context.WithTimeout(b.t.Context(), patience)
	b.t.Cleanup(cancel)
	return ctx
}

// attempt makes an attempt that runs a script.
func (b *bench) attempt(script string, args ...string) executor.Attempt {
	b.fence++
	a := executor.Attempt{
		Lease:       job.Lease{Ref: job.Ref{Key: 7, Index: 3}, Attempt: 1, Fence: b.fence},
		Image:       "host",
		Command:     append(append(append([]string{}, b.s.Shell...), script, "sh"), args...),
		Environment: []string{"PATH=/usr/bin:/bin"},
		Dir:         b.t.TempDir(),
		Need:        resource.Vector{MilliVCPU: 1000, MemoryMiB: 256},
	}
	if b.s.Adapt != nil {
		b.s.Adapt(&a)
	}
	return a
}

func (b *bench) start(a executor.Attempt) executor.Handle {
	b.t.Helper()
	h, err := b.x.Start(b.ctx(), a, b.out)
	if err != nil {
		b.t.Fatalf("start %q: %v", a.Command, err)
	}
	b.out.know(h)
	return h
}

func (b *bench) wait(h executor.Handle) executor.End {
	b.t.Helper()
	end, err := h.Wait(b.ctx())
	if err != nil {
		b.t.Fatalf("wait: %v", err)
	}
	return end
}

// run runs a script to its end.
func (b *bench) run(script string, args ...string) (executor.End, string) {
	b.t.Helper()
	return b.finish(b.attempt(script, args...))
}

func (b *bench) finish(a executor.Attempt) (executor.End, string) {
	b.t.Helper()
	h := b.start(a)
	end := b.wait(h)
	out := b.out.text(a.Lease)
	if err := h.Forget(); err != nil {
		b.t.Errorf("forget: %v", err)
	}
	return end, out
}

// collector keeps output and acknowledges it, as a worker with a quick manager does.
type collector struct {
	mu      sync.Mutex
	lines   map[job.Lease]*bytes.Buffer
	total   map[job.Lease]int64
	handles map[job.Lease]executor.Handle
	ack     bool
}

// Log implements executor.Output.
func (c *collector) Log(id executor.ID, chunk []byte, _ time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := id.Lease
	b := c.lines[l]
	if b == nil {
		b = new(bytes.Buffer)
		c.lines[l] = b
	}
	b.Write(chunk)
	if h := c.handles[l]; h != nil && c.ack {
		h.Acknowledge(h.Held().Acked+int64(b.Len()), 0)
	}
}

// know tells which handle acknowledges an attempt's output.
func (c *collector) know(h executor.Handle) {
	l := h.Held().Lease
	c.mu.Lock()
	defer c.mu.Unlock()
	c.handles[l] = h
	if b := c.lines[l]; b != nil && c.ack {
		h.Acknowledge(h.Held().Acked+int64(b.Len()), 0)
	}
}

func (c *collector) text(l job.Lease) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if b := c.lines[l]; b != nil {
		return b.String()
	}
	return ""
}

// eventually waits for a condition.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("it never happened: %s", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}
