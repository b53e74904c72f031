package docker_test

import (
	"strings"
	"testing"

	"drover/internal/core/job"
	"drover/internal/executor"
	"drover/internal/executor/docker"
	"drover/internal/executor/dockertest"
)

// The containers of a pod have one network, one set of scratch volumes and, when they ask
// for it, one set of processes; also when a worker that came later starts the last of them.
func TestPodShares(t *testing.T) {
	d := newDesk(t, func(o *docker.Options) { o.Exe = dockertest.Static(t) })
	progImage(t, d.api)
	d.fence = 1
	shared := &executor.Shared{PIDMode: job.TaskNamespace, IPCMode: job.TaskNamespace}
	member := func(i int32, command ...string) executor.Attempt {
		a := d.attempt(command...)
		a.Lease.Fence, a.Member, a.Shared = 1, i, shared
		a.Container = &job.Container{Version: job.ContainerVersion, Mounts: []job.Mount{{Volume: "v", Kind: job.ScratchVolume, Path: "/v"}}}
		return a
	}
	first := d.start(member(0, "serve=127.0.0.1:8080", "write=/v/file", "echo=up", "sleep=10m"))
	l := first.Held().Lease
	if at := first.Held().Started; at.IsZero() {
		t.Fatalf("it did not start: %+v", d.wait(first))
	}
	eventually(t, "the first serves", func() bool { return d.out.member(l, 0) == "up\n" })
	second := d.start(member(1, "get=http://127.0.0.1:8080/", "read=/v/file", "echo=", "processes", "exit=4"))
	if exit := d.wait(second); exit.Code == nil || *exit.Code != 4 {
		t.Fatalf("%+v %q", exit, d.out.member(l, 1))
	}
	if got := d.out.member(l, 1); got != "200\nhello\nwritten\n3\n" { // what holds the namespaces, the first, itself
		t.Errorf("the second says %q", got)
	}
	if err := d.x.Close(d.ctx(), false); err != nil {
		t.Fatal(err)
	}
	held := d.open()
	if len(held) != 2 {
		t.Fatalf("adopted %d members", len(held))
	}
	third := d.start(member(2, "get=http://127.0.0.1:8080/", "read=/v/file"))
	if exit := d.wait(third); !exit.OK() || d.out.member(l, 2) != "200\nhello\nwritten" {
		t.Errorf("%+v %q", exit, d.out.member(l, 2))
	}
	for _, h := range held {
		if err := h.Stop(0, job.CauseTerminated); err != nil {
			t.Error(err)
		}
		d.wait(h)
	}
	for _, h := range append(held, third) {
		if err := h.Forget(); err != nil {
			t.Error(err)
		}
	}
	eventually(t, "nothing is left", func() bool {
		left := d.inspect()
		return left["containers"]+left["records"]+left["scratch"] == 0
	})
}

func TestPodRefusals(t *testing.T) {
	d := newDesk(t, nil)
	for name, c := range map[string]struct {
		shared executor.Shared
		says   string
	}{
		"pid": {executor.Shared{PIDMode: job.HostNamespace}, "pidMode host"},
		"ipc": {executor.Shared{IPCMode: job.HostNamespace}, "ipcMode host"},
	} {
		a := d.attempt("echo=x")
		a.Shared = &c.shared
		if err := d.x.Prepare(d.ctx(), a); err == nil || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), "--allow-privileged") {
			t.Errorf("%s: %v", name, err)
		}
	}
	d = newDesk(t, func(o *docker.Options) { o.Exe = "" })
	a := d.attempt("echo=x")
	a.Shared = &executor.Shared{}
	if err := d.x.Prepare(d.ctx(), a); err == nil {
		t.Error("a pod without what holds its network")
	}
}
