package worker

import (
	"context"
	"time"

	"drover/internal/core/job"
	"drover/internal/executor"
)

// runner is one of the worker's executors.
type runner struct {
	exec executor.Executor

	// Guarded by worker.mu.
	up   bool  // new attempts may come
	sink *sink // what new attempts use; nil while the executor is lost
}

// runners are all there are, processes first.
func (w *worker) runners() []*runner {
	if w.boxed == nil {
		return []*runner{w.hosted}
	}
	return []*runner{w.hosted, w.boxed}
}

// runnerOf gives the executor of an image; nil if this host has none for it.
func (w *worker) runnerOf(image string) *runner {
	if image == job.HostImage {
		return w.hosted
	}
	return w.boxed
}

// executorsLocked names the executors that take attempts now; worker.mu is held.
func (w *worker) executorsLocked() []string {
	var names []string
	for _, r := range w.runners() {
		if r.up {
			names = append(names, r.exec.Name())
		}
	}
	return names
}

// engine takes note that the container engine answers, or no longer does.
func (w *worker) engine(away error) {
	if away != nil {
		w.log.Warn("no container engine: only jobs with the image \"host\" start here until one answers", "error", away)
	} else {
		w.log.Info("the container engine answers: containers start here")
	}
	if away == nil {
		w.door.open()
	}
	w.mu.Lock()
	changed := w.boxed.up != (away == nil)
	w.boxed.up = away == nil
	w.mu.Unlock()
	if changed {
		w.helloAgain("")
	}
}

// sink is the executor's way to hand output over. It waits until the attempts that an
// adoption found are known.
type sink struct {
	w     *worker
	of    *runner
	ready chan struct{}
}

// Log implements executor.Output.
func (s *sink) Log(id executor.ID, chunk []byte, at time.Time) {
	<-s.ready
	s.w.mu.Lock()
	a := s.w.attempts[id.Lease]
	s.w.mu.Unlock()
	if a != nil && int(id.Member) < len(a.members) {
		s.w.output(a.members[id.Member], chunk, at)
	}
}

// adopt connects to an executor and takes over what it holds.
func (w *worker) adopt(ctx context.Context, r *runner) error {
	out := &sink{w: w, of: r, ready: make(chan struct{})}
	handles, err := r.exec.Adopt(ctx, out)
	if err != nil {
		return err
	}
	if r == w.boxed && len(handles) > 0 {
		w.door.open()
	}
	pods := map[*attempt]bool{}
	for _, h := range handles {
		if a := w.adopted(h, out); a != nil && a.asg.Pod != nil {
			pods[a] = true
		}
	}
	w.mu.Lock()
	r.sink = out
	w.mu.Unlock()
	close(out.ready)
	for a := range pods { // now that each has all of its members that there are
		w.wg.Go(func() { w.runPod(a, out) })
	}
	if len(handles) > 0 {
		w.log.Info("adopted running attempts", "executor", r.exec.Name(), "count", len(handles))
	}
	return nil
}

// sweepFolders removes what attempts that nobody holds have left.
func (w *worker) sweepFolders() {
	keep := map[string]bool{}
	w.mu.Lock()
	for _, a := range w.attempts {
		keep[a.folderName()] = true
	}
	w.mu.Unlock()
	w.folders.sweep(keep)
}

// lost is called when an executor lost its attempts: connect again, and tell the manager
// under the new boot id. The attempts' own goroutines report that their host was lost.
func (w *worker) lost(of *sink) {
	r := of.of
	w.mu.Lock()
	first := r.sink == of && w.life.Err() == nil
	if first {
		r.sink = nil
	}
	w.mu.Unlock()
	if !first {
		return
	}
	w.log.Error("an executor is gone, and with it the jobs that ran", "executor", r.exec.Name())
	w.wg.Go(func() {
		for n := 0; w.life.Err() == nil; n++ {
			err := w.adopt(w.life, r)
			if err == nil {
				w.sweepFolders()
				w.helloAgain("")
				return
			}
			w.log.Error("an executor cannot be reached", "executor", r.exec.Name(), "error", err)
			pause(w.life, n)
		}
	})
}

// sinkOf gives the output that new attempts of an executor use; nil while it is lost.
func (w *worker) sinkOf(r *runner) *sink {
	w.mu.Lock()
	defer w.mu.Unlock()
	return r.sink
}
