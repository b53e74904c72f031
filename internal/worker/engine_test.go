package worker_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"drover/internal/core/job"
	"drover/internal/executor"
	"drover/internal/executor/process"
	"drover/internal/link"
	"drover/internal/worker"
)

// boxes is a container engine whose containers are processes. It keeps what it was asked
// for, and is up or away as a test says.
type boxes struct {
	*process.Executor
	mu      sync.Mutex
	got     map[job.Lease]executor.Attempt
	away    error
	changed chan struct{}
}

func newBoxes(dir string) *boxes {
	return &boxes{Executor: process.New(process.Options{Dir: dir, Exe: os.Args[0]}), got: map[job.Lease]executor.Attempt{}, changed: make(chan struct{}, 1)}
}

func (b *boxes) Name() string { return "docker" }

func (b *boxes) set(away error) {
	b.mu.Lock()
	b.away = away
	b.mu.Unlock()
	b.changed <- struct{}{}
}

func (b *boxes) Watch(ctx context.Context, changed func(error)) {
	for {
		b.mu.Lock()
		away := b.away
		b.mu.Unlock()
		changed(away)
		select {
		case <-b.changed:
		case <-ctx.Done():
			return
		}
	}
}

func (b *boxes) Start(ctx context.Context, a executor.Attempt, out executor.Output) (executor.Handle, error) {
	b.mu.Lock()
	b.got[a.Lease] = a
	b.mu.Unlock()
	for _, m := range a.Mounts { // what a mount does
		for i := range a.Command {
			a.Command[i] = strings.ReplaceAll(a.Command[i], m.Path, m.Host)
		}
	}
	return b.Executor.Start(ctx, a, out)
}

func (b *boxes) asked(l job.Lease) executor.Attempt {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.got[l]
}

// withBoxes is a rig whose workers have an engine.
func withBoxes(t *testing.T) (*rig, func() *boxes) {
	r := newRig(t)
	dir := filepath.Join(t.TempDir(), "boxes")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	var now *boxes
	r.tweak = func(o *worker.Options) {
		now = newBoxes(dir)
		o.Containers, o.HostNetwork = now, true
	}
	t.Cleanup(func() {
		r.end()
		x := process.New(process.Options{Dir: dir, Exe: os.Args[0]})
		if _, err := x.Adopt(context.Background(), deaf{}); err == nil {
			_ = x.Close(context.Background(), true)
		}
	})
	return r, func() *boxes { return now }
}

// told waits until the manager was told of these executors.
func (r *rig) told(names ...string) {
	r.t.Helper()
	r.m.is(r.t, "hello lists "+strings.Join(names, ", "), func() bool {
		n := len(r.m.hellos)
		return n > 0 && slices.Equal(r.m.hellos[n-1].Executors, names)
	})
}

func TestEngineComesAndGoes(t *testing.T) {
	r, now := withBoxes(t)
	r.run()
	r.told("process", "docker")
	now().set(errors.New("it was stopped"))
	r.told("process")
	now().set(nil)
	r.told("process", "docker")
	r.m.mu.Lock()
	defer r.m.mu.Unlock()
	for _, h := range r.m.hellos {
		if h.Boot != r.m.hellos[0].Boot {
			t.Errorf("the boot id went from %s to %s: the manager would give up the processes that run", r.m.hellos[0].Boot, h.Boot)
		}
	}
}

func TestContainersBesideProcesses(t *testing.T) {
	secrets := t.TempDir()
	if err := os.WriteFile(filepath.Join(secrets, "pw"), []byte("hunter2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r, now := withBoxes(t)
	inner := r.tweak
	r.tweak = func(o *worker.Options) { inner(o); o.Secrets = worker.DirSecrets(secrets) }
	r.run()
	r.told("process", "docker")
	plain := r.assignment(`echo "$HOME" | grep -c attempts`)
	if x, out := r.finish(plain); !x.OK() || out != "1" || now().asked(plain.Lease).Image != "" {
		t.Errorf("a process: %+v %q", x, out)
	}
	a := r.assignment(`env`)
	a.Image = "team/image:1"
	a.Container = &job.Container{Version: job.ContainerVersion, User: "7", Secrets: []job.Reference{{Name: "PW", From: "pw"}}}
	a.Variables = []job.Variable{{Name: "MINE", Value: "1"}}
	x, out := r.finish(a)
	got := now().asked(a.Lease)
	if !x.OK() || got.Image != "team/image:1" || got.Container.User != "7" || !got.HostNetwork || got.Name != a.UnitName() || len(got.Mounts) != 0 {
		t.Errorf("a container: %+v from %+v", x, got)
	}
	env := map[string]string{}
	for line := range strings.SplitSeq(out, "\n") {
		k, v, _ := strings.Cut(line, "=")
		env[k] = v
	}
	endpoint := env["AWS_ENDPOINT_URL"]
	if !strings.HasPrefix(endpoint, "http://127.0.0.1:") || endpoint == r.url || env["MINE"] != "1" || env["PW"] != "hunter2" ||
		!strings.HasPrefix(env["AWS_CONTAINER_CREDENTIALS_FULL_URI"], endpoint+"/v1/credentials/") || len(env["AWS_CONTAINER_AUTHORIZATION_TOKEN"]) != 48 ||
		!strings.HasPrefix(env["ECS_CONTAINER_METADATA_URI_V4"], endpoint+"/v4/") {
		t.Errorf("it sees %q", env)
	}
	for _, name := range []string{"HOME", "TMPDIR", "PATH", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"} {
		if v, ok := env[name]; ok && name != "PATH" { // a shell makes a PATH of its own
			t.Errorf("%s=%s is the host's", name, v)
		}
	}
	for _, e := range got.Environment {
		if strings.HasPrefix(e, "PATH=") {
			t.Errorf("%s is the host's", e)
		}
	}
	a = r.assignment(`true`)
	a.Image = "team/image:1"
	a.Container = &job.Container{Version: job.ContainerVersion, Secrets: []job.Reference{{Name: "PW", From: "none"}}}
	if x, _ := r.finish(a); x.Cause != job.CauseStart || !strings.HasPrefix(x.Reason, "ResourceInitializationError: ") || !strings.Contains(x.Reason, "no secret none") {
		t.Errorf("a secret that is not there: %+v", x)
	}
}

func TestNoEngineForImage(t *testing.T) {
	r := newRig(t)
	r.run()
	a := r.assignment(`echo ran`)
	a.Image = "team/image:1"
	if x, out := r.finish(a); x.Code != nil || x.Cause != job.CauseStart || !strings.Contains(x.Reason, "no container engine") || out != "" {
		t.Errorf("an image ran as a process: %+v %q", x, out)
	}
}

// TestContainerStaging: the command gets the container's paths, the engine the folders
// behind them.
func TestContainerStaging(t *testing.T) {
	r, now := withBoxes(t)
	r.run()
	r.told("process", "docker")
	plan := r.plan(link.StagePlan{In: "s3://in/data/", Out: "s3://out/res/"}, r.item("a b.txt", "one"), r.item("b.txt", "two"))
	a := r.staged(plan, 0, `tr a-z A-Z < "$1" > "$2"`, "{in}", "{out}")
	a.Image = "team/image:1"
	x, _ := r.finish(a)
	got := now().asked(a.Lease)
	if out, _ := r.s3.get("out/res/a b.txt"); !x.OK() || out != "ONE" {
		t.Errorf("%+v, result %q", x, out)
	}
	if len(got.Mounts) != 2 || got.Mounts[0].Path != "/drover/in" || got.Mounts[1].Path != "/drover/out" {
		t.Errorf("mounts %+v", got.Mounts)
	}
	// A result that is a link leads to nothing of the host.
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("of the host"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, script := range []string{`ln -s "$2" "$1"`, `ln -s ../../../../../../../.."$2" "$1"`, `mkfifo "$1"`} {
		a = r.staged(plan, 1, script, "{out}", secret)
		a.Image = "team/image:1"
		x, _ = r.finish(a)
		if out, ok := r.s3.get("out/res/b.txt"); x.Cause != job.CauseStageOut || ok {
			t.Errorf("%s: %+v, result %q", script, x, out)
		}
	}
}

// TestContainersAreAdopted: a worker that is replaced takes over both kinds.
func TestContainersAreAdopted(t *testing.T) {
	r, _ := withBoxes(t)
	r.run()
	r.told("process", "docker")
	flag := filepath.Join(t.TempDir(), "go")
	script := `echo one; while [ ! -e "$1" ]; do sleep 0.02; done; echo two`
	a, b := r.assignment(script, flag), r.assignment(script, flag)
	b.Image = "team/image:1"
	for _, asg := range []job.Assignment{a, b} {
		r.m.start(asg)
		r.m.is(t, "it writes", func() bool { return len(r.m.logs[asg.Log]) == 1 })
	}
	if err := r.halt(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(flag, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	r.run()
	for _, asg := range []job.Assignment{a, b} {
		if x := r.m.exit(t, asg.Lease); !x.OK() || r.m.lines(asg.Log) != "one\ntwo" {
			t.Errorf("%s: %+v %q", asg.Image, x, r.m.lines(asg.Log))
		}
	}
}
