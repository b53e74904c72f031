package worker_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"drover/internal/core/job"
	"drover/internal/link"
	"drover/internal/worker"
)

const sayGPUs = `echo "$CUDA_VISIBLE_DEVICES"; while [ ! -e "$1" ]; do sleep 0.02; done; test "$CUDA_VISIBLE_DEVICES" = "$NVIDIA_VISIBLE_DEVICES"`

// Two jobs of a host with two GPUs have one each, also over the worker's restart; a third
// waits until one of them is over and gets its GPU, and may not choose another.
func TestGPUJobs(t *testing.T) {
	r := newRig(t)
	r.tweak = func(o *worker.Options) {
		o.Devices = []worker.Device{{Index: 0, UUID: "GPU-a"}, {Index: 1, UUID: "GPU-b"}}
		o.Capacity.GPU = 2
	}
	r.run()
	folder := t.TempDir()
	flag := func(name string) string { return filepath.Join(folder, name) }
	release := func(name string) {
		if err := os.WriteFile(flag(name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	begin := func(name string, gpus int64) job.Assignment {
		a := r.assignment(sayGPUs, flag(name))
		a.Need.GPU = gpus
		a.Variables = []job.Variable{{Name: "CUDA_VISIBLE_DEVICES", Value: "0,1"}}
		r.m.start(a)
		return a
	}
	says := func(a job.Assignment, want string) {
		t.Helper()
		r.m.is(t, "it says its GPUs", func() bool { return len(r.m.logs[a.Log]) == 1 })
		if got := r.m.lines(a.Log); got != want {
			t.Errorf("it has GPUs %q, want %q", got, want)
		}
	}
	first := begin("first", 1)
	says(first, "GPU-a")
	second := begin("second", 1)
	says(second, "GPU-b")
	if err := r.halt(); err != nil {
		t.Fatal(err)
	}
	r.run()
	third := begin("third", 1)
	stopped := begin("stopped", 1)
	r.m.send(link.Message{Stop: &link.Stop{Lease: stopped.Lease, Reason: "a user asked"}})
	if x := r.m.exit(t, stopped.Lease); x.Cause != job.CauseTerminated {
		t.Errorf("stopped while it waited: %+v", x)
	}
	if got := r.m.lines(third.Log); got != "" {
		t.Errorf("the third runs with %q", got)
	}
	release("second")
	if x := r.m.exit(t, second.Lease); !x.OK() {
		t.Errorf("the second: %+v", x)
	}
	says(third, "GPU-b")
	many := begin("many", 3)
	if x := r.m.exit(t, many.Lease); x.Cause != job.CauseStart || !strings.Contains(x.Reason, "needs 3 GPUs and this host's worker offers 2") {
		t.Errorf("%+v", x)
	}
	release("first")
	release("third")
	for _, a := range []job.Assignment{first, third} {
		if x := r.m.exit(t, a.Lease); !x.OK() {
			t.Errorf("%+v", x)
		}
	}
	r.m.mu.Lock()
	defer r.m.mu.Unlock()
	if got := r.m.hellos[0].Capacity.GPU; got != 2 {
		t.Errorf("it offers %d GPUs", got)
	}
}

// The members of a pod that ask for GPUs have the job's in order, also those that a later
// worker starts.
func TestGPUPod(t *testing.T) {
	r := newRig(t)
	r.tweak = func(o *worker.Options) { o.Devices = []worker.Device{{Index: 0}, {Index: 1}, {Index: 2}} }
	r.run()
	flag := filepath.Join(t.TempDir(), "go")
	one, none, two := script("one", sayGPUs, flag), script("none", `echo "${CUDA_VISIBLE_DEVICES-unset}"`), script("two", sayGPUs, flag)
	one.Need.GPU, two.Need.GPU = 1, 2
	a := r.pod(sidecar(one), sidecar(none), after(two, job.WhenSuccess, "one"))
	r.m.start(a)
	r.m.is(t, "the first runs", func() bool { return len(r.m.logs[job.MemberLog(a.Log, "one")]) == 1 })
	if err := r.halt(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(flag, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	r.run()
	if x := r.m.exit(t, a.Lease); !x.OK() {
		t.Errorf("%+v", x)
	}
	for member, want := range map[string]string{"one": "0", "none": "unset", "two": "1,2"} {
		if got := r.of(a, member); got != want {
			t.Errorf("%s has %q, want %q", member, got, want)
		}
	}
}
