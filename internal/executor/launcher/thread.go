package launcher

import "runtime"

// thread runs functions, one at a time, on one OS thread that nothing else uses and that
// lives until stop. Two things need that: a job's parent-death signal fires when the
// *thread* that forked it ends (prctl(2)), and on cgroup v1 a child is born in the group
// of the thread that forks it.
type thread struct {
	work chan func()
}

func newThread() *thread {
	t := &thread{work: make(chan func())}
	go func() {
		runtime.LockOSThread() // never unlocked: the OS thread ends with this goroutine
		for f := range t.work {
			f()
		}
	}()
	return t
}

// do runs f on the thread and returns when f has.
func (t *thread) do(f func()) {
	done := make(chan struct{})
	t.work <- func() { defer close(done); f() }
	<-done
}

// stop ends the thread once it is idle.
func (t *thread) stop() { close(t.work) }
