package launcher

import (
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// thread runs functions, one at a time, on one OS thread that nothing else uses and that
// lives until stop. Two things need that: a job's parent-death signal fires when the
// *thread* that forked it ends (prctl(2)), and on cgroup v1 a child is born in the group
// of the thread that forks it.
type thread struct {
	work chan func()
}

func newThread() *thread {
	t := &thread{work: make(chan func())}
	go t.run()
	return t
}

func (t *thread) run() {
	runtime.LockOSThread() // never unlocked: the OS thread ends with this goroutine
	if unix.Gettid() == os.Getpid() {
		// The process's main thread is the one that the runtime never ends: it would stay in
		// its control group, which then could not be removed. Hold it here, out of the way of
		// all threads to come, and run on another.
		go t.run()
		select {}
	}
	for f := range t.work {
		f()
	}
}

// do runs f on the thread and returns when f has.
func (t *thread) do(f func()) {
	done := make(chan struct{})
	t.work <- func() { defer close(done); f() }
	<-done
}

// stop ends the thread once it is idle.
func (t *thread) stop() { close(t.work) }
