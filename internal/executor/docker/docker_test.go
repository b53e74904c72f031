package docker_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/moby/moby/client"

	"drover/internal/core/job"
	"drover/internal/core/resource"
	"drover/internal/executor"
	"drover/internal/executor/docker"
	"drover/internal/executor/dockertest"
)

const patience = 60 * time.Second

// prog is this process's own: test programs run side by side.
var prog = fmt.Sprintf("drover-test/prog:%d", os.Getpid())

// progImage loads the image whose entrypoint is the static test program.
func progImage(t testing.TB, api *client.Client) v1.Image {
	t.Helper()
	img := dockertest.Image(t, v1.Config{Entrypoint: []string{"/prog"}, Cmd: []string{"echo=the image's own command"}, Env: []string{"FROM=image"}, WorkingDir: "/tmp"},
		dockertest.Program(t), dockertest.Entry{Name: "tmp", Mode: 0o1777})
	dockertest.Load(t, api, prog, img)
	return img
}

// desk is a host with an executor.
type desk struct {
	*host
	x     *docker.Executor
	out   *output
	fence uint32
}

type output struct {
	mu   sync.Mutex
	text map[executor.ID]*bytes.Buffer
}

func (o *output) Log(id executor.ID, chunk []byte, _ time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.text[id] == nil {
		o.text[id] = new(bytes.Buffer)
	}
	o.text[id].Write(chunk)
}

func (o *output) of(l job.Lease) string { return o.member(l, 0) }

func (o *output) member(l job.Lease, i int32) string {
	o.mu.Lock()
	defer o.mu.Unlock()
	if b := o.text[executor.ID{Lease: l, Member: i}]; b != nil {
		return b.String()
	}
	return ""
}

// newDesk makes one whose options a test may change first.
func newDesk(t testing.TB, change func(*docker.Options)) *desk {
	t.Helper()
	d := &desk{host: newHost(t)}
	if change != nil {
		change(&d.opts)
	}
	d.open()
	t.Cleanup(func() {
		if err := d.x.Close(context.Background(), true); err != nil {
			t.Error(err)
		}
	})
	return d
}

// open makes an executor, as a worker that starts does, and gives what it adopted.
func (d *desk) open() []executor.Handle {
	d.t.Helper()
	d.x, d.out = d.client(), &output{text: map[executor.ID]*bytes.Buffer{}}
	held, err := d.x.Adopt(d.ctx(), d.out)
	if err != nil {
		d.t.Fatal(err)
	}
	return held
}

func (d *desk) ctx() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	d.t.Cleanup(cancel)
	return ctx
}

func (d *desk) attempt(command ...string) executor.Attempt {
	d.fence++
	return executor.Attempt{
		Lease: job.Lease{Ref: job.Ref{Key: 1, Index: job.Whole}, Attempt: 1, Fence: d.fence}, Name: "job-id",
		Image: prog, Command: command, Need: resource.Vector{MilliVCPU: 500, MemoryMiB: 64},
	}
}

func (d *desk) start(a executor.Attempt) executor.Handle {
	d.t.Helper()
	h, err := d.x.Start(d.ctx(), a, d.out)
	if err != nil {
		d.t.Fatal(err)
	}
	return h
}

func (d *desk) wait(h executor.Handle) job.Exit {
	d.t.Helper()
	end, err := h.Wait(d.ctx())
	if err != nil {
		d.t.Fatal(err)
	}
	return end.Exit
}

// run runs an attempt to its end and forgets it.
func (d *desk) run(a executor.Attempt) (job.Exit, string) {
	d.t.Helper()
	h := d.start(a)
	exit := d.wait(h)
	if err := h.Forget(); err != nil {
		d.t.Error(err)
	}
	return exit, d.out.of(a.Lease)
}

func (d *desk) good(a executor.Attempt, want string) {
	d.t.Helper()
	exit, out := d.run(a)
	if !exit.OK() || out != want {
		d.t.Errorf("%q: %+v, output %q, want %q", a.Command, exit, out, want)
	}
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it never happened: %s", what)
		}
	}
}

func box(c job.Container) *job.Container {
	c.Version = job.ContainerVersion
	return &c
}

func TestImageDefaults(t *testing.T) {
	d := newDesk(t, nil)
	progImage(t, d.api)
	d.good(d.attempt(), "the image's own command\n")
	a := d.attempt("env=FROM", "env=MINE", "user")
	a.Environment = []string{"MINE=1"}
	d.good(a, "image\n1\n0:0\n")
	a = d.attempt("user")
	a.Container = box(job.Container{User: "1234:56"})
	d.good(a, "1234:56\n")
}

// TestIsolation looks at what the engine was asked for and at what the job finds.
func TestIsolation(t *testing.T) {
	d := newDesk(t, nil)
	progImage(t, d.api)
	// CHOWN DAC_OVERRIDE FOWNER FSETID KILL SETGID SETUID SETPCAP NET_BIND_SERVICE SYS_CHROOT MKNOD AUDIT_WRITE SETFCAP:
	// Docker's own a80425fb without bit 13, NET_RAW.
	d.good(d.attempt("caps"), "CapEff: 00000000a80405fb\nNoNewPrivs: 1\n")
	a := d.attempt("sleep=1m")
	a.Tags = map[string]string{"team": "x"}
	h := d.start(a)
	found, err := d.api.ContainerList(d.ctx(), client.ContainerListOptions{Filters: client.Filters{}.Add("label", "drover.host="+d.name)})
	if err != nil || len(found.Items) != 1 {
		t.Fatal(found, err)
	}
	labels := found.Items[0].Labels
	if labels["drover.job"] != "job-id" || labels["drover.lease"] != "1/-1/1/2/0" || labels["drover.tag.team"] != "x" {
		t.Errorf("labels %v", labels)
	}
	c, err := d.api.ContainerInspect(d.ctx(), found.Items[0].ID, client.ContainerInspectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	g := c.Container.HostConfig
	if g.Memory != 64<<20 || g.MemorySwap != g.Memory || g.CPUShares != 512 || g.NanoCPUs != 0 || g.PidsLimit == nil || *g.PidsLimit != 4096 {
		t.Errorf("limits %+v", g.Resources)
	}
	if g.Privileged || g.IpcMode != "private" || g.PidMode != "" || g.UTSMode != "" || g.UsernsMode != "" || len(g.Binds) != 0 || len(c.Container.Mounts) != 0 || g.NetworkMode.IsHost() {
		t.Errorf("it shares with the host: %+v", g)
	}
	if err := h.Stop(time.Millisecond, job.CauseTerminated); err != nil {
		t.Fatal(err)
	}
	if x := d.wait(h); x.Cause != job.CauseTerminated {
		t.Errorf("%+v", x)
	}
}

func TestContainerProperties(t *testing.T) {
	data := t.TempDir()
	if err := os.WriteFile(filepath.Join(data, "file"), []byte("of the host\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	d := newDesk(t, func(o *docker.Options) { o.AllowVolumes = []string{data}; o.HardCPU = true })
	progImage(t, d.api)

	a := d.attempt("read=/data/file", "write=/data/new")
	a.Container = box(job.Container{Mounts: []job.Mount{{Volume: "v", Kind: job.HostVolume, Source: data, Path: "/data"}}})
	d.good(a, "of the host\n")
	if b, err := os.ReadFile(data + "/new"); err != nil || string(b) != "written" {
		t.Errorf("%q %v", b, err)
	}

	a = d.attempt("write=/data/again")
	a.Container = box(job.Container{Mounts: []job.Mount{{Volume: "v", Kind: job.HostVolume, Source: data, Path: "/data", ReadOnly: true}}})
	if x, out := d.run(a); x.Code == nil || *x.Code != 100 || !strings.Contains(out, "read-only") {
		t.Errorf("a read-only mount: %+v %q", x, out)
	}

	a = d.attempt("write=/data/file", "read=/data/file")
	a.Container = box(job.Container{Mounts: []job.Mount{{Volume: "v", Kind: job.HostVolume, Source: data + "/made/for it", Path: "/data"}}})
	d.good(a, "written")

	a = d.attempt("write=/one/file", "read=/two/file")
	a.Container = box(job.Container{User: "99", Mounts: []job.Mount{
		{Volume: "scratch", Kind: job.ScratchVolume, Path: "/one"}, {Volume: "scratch", Kind: job.ScratchVolume, Path: "/two", ReadOnly: true},
	}})
	d.good(a, "written")

	a = d.attempt("write=/tmp/file")
	a.Container = box(job.Container{ReadonlyRoot: true})
	if x, out := d.run(a); x.OK() || !strings.Contains(out, "read-only") {
		t.Errorf("a read-only root: %+v %q", x, out)
	}

	a = d.attempt("write=/tmp/file", "read=/tmp/file", "limit", "write=/dev/shm/f")
	a.Container = box(job.Container{
		ReadonlyRoot: true, Init: true, SharedMemoryMiB: 8, Tmpfs: []job.Tmpfs{{Path: "/tmp", SizeMiB: 4, Options: []string{"noexec"}}},
		Ulimits: []job.Ulimit{{Name: "nofile", Soft: 2000, Hard: 2000}},
	})
	if x, out := d.run(a); !x.OK() || out != "written2000 2000\n" {
		t.Errorf("tmpfs, ulimits, init: %+v %q", x, out)
	}
	eventually(t, "containers and scratch volumes go", func() bool {
		left, _ := filepath.Glob(d.opts.Dir + "/volumes/*")
		return d.containers() == 0 && len(left) == 0
	})
}

// TestRefusals: what the operator has not allowed ends the attempt with the reason, and
// nothing runs.
func TestRefusals(t *testing.T) {
	allowed, secret := t.TempDir(), t.TempDir()
	if err := os.Symlink(secret, filepath.Join(allowed, "link")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/nowhere", filepath.Join(allowed, "dangling")); err != nil {
		t.Fatal(err)
	}
	host := func(source string) *job.Container {
		return box(job.Container{Mounts: []job.Mount{{Volume: "v", Kind: job.HostVolume, Source: source, Path: "/v"}}})
	}
	d := newDesk(t, func(o *docker.Options) { o.AllowVolumes = []string{allowed}; o.AllowDevices = []string{"/dev/null"} })
	progImage(t, d.api)
	future := &job.Container{Version: job.ContainerVersion + 1}
	for _, c := range []struct {
		name string
		c    *job.Container
		say  string
	}{
		{"privileged", box(job.Container{Privileged: true}), "--allow-privileged"},
		{"device", box(job.Container{Devices: []job.Device{{Host: "/dev/kmsg"}}}), "the device /dev/kmsg is not allowed"},
		{"other folder", host(secret), "lies in no folder that this host allows"},
		{"dots", host(allowed + "/../" + filepath.Base(secret)), "lies in no folder that this host allows"},
		{"root", host("/"), "lies in no folder that this host allows"},
		{"link out", host(allowed + "/link"), "it is " + secret},
		{"link out and on", host(allowed + "/link/new"), "it is " + secret},
		{"link to nothing", host(allowed + "/dangling/x"), "symbolic link to nothing"},
		{"relative", host("data"), "not an absolute path"},
		{"beside", host(allowed + "x"), "lies in no folder that this host allows"},
		{"EFS", box(job.Container{Mounts: []job.Mount{{Volume: "v", Kind: job.EFSVolume, Source: "fs-1", Path: "/v"}}}), "EFS"},
		{"over the root", box(job.Container{Mounts: []job.Mount{{Volume: "v", Kind: job.ScratchVolume, Path: "/"}}}), "containerPath"},
		{"tmpfs over the root", box(job.Container{Tmpfs: []job.Tmpfs{{Path: "/", SizeMiB: 1}}}), "containerPath"},
		{"tmpfs of any size", box(job.Container{Tmpfs: []job.Tmpfs{{Path: "/x", SizeMiB: 1, Options: []string{"size=1g"}}}}), "change its size"},
		{"ephemeral storage", box(job.Container{EphemeralGiB: 21}), "ephemeralStorage"},
		{"later form", future, "same release"},
	} {
		a := d.attempt("echo=ran")
		a.Container = c.c
		x, out := d.run(a)
		if x.Code != nil || x.Cause != job.CauseStart || !strings.HasPrefix(x.Reason, "CannotCreateContainerError: ") || !strings.Contains(x.Reason, c.say) || out != "" {
			t.Errorf("%s: %+v, output %q", c.name, x, out)
		}
	}
	if d.containers() != 0 {
		t.Errorf("%d containers were made", d.containers())
	}
	if left, _ := filepath.Glob(secret + "/*"); len(left) != 0 {
		t.Errorf("made in a folder that is not allowed: %v", left)
	}
}

// TestNeverTheEngine: a job that has the engine's socket owns the host, so that is not
// mounted whatever is allowed; nor is what belongs to the worker.
func TestNeverTheEngine(t *testing.T) {
	d := newDesk(t, func(o *docker.Options) { o.AllowVolumes = []string{"/"} })
	socket := strings.TrimPrefix(d.api.DaemonHost(), "unix://")
	progImage(t, d.api)
	for _, source := range []string{socket, filepath.Dir(socket), "/", d.opts.Dir, filepath.Join(d.opts.Dir, "attempts")} {
		a := d.attempt("echo=ran")
		a.Container = box(job.Container{Mounts: []job.Mount{{Volume: "v", Kind: job.HostVolume, Source: source, Path: "/v"}}})
		if x, out := d.run(a); x.Cause != job.CauseStart || !strings.Contains(x.Reason, "belongs to the host's worker") || out != "" {
			t.Errorf("%s: %+v %q", source, x, out)
		}
	}
}

// TestTimeoutWhileAway: the time of an attempt runs on while no worker watches.
func TestTimeoutWhileAway(t *testing.T) {
	d := newDesk(t, nil)
	progImage(t, d.api)
	a := d.attempt("echo=begin", "sleep=10m")
	a.Timeout = 2 * time.Second
	began := time.Now()
	d.start(a)
	if err := d.x.Close(d.ctx(), false); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Until(began.Add(a.Timeout + 200*time.Millisecond))) // it is the passing of time that is tested
	held := d.open()
	if len(held) != 1 {
		t.Fatalf("%d adopted", len(held))
	}
	adopted := time.Now()
	x := d.wait(held[0])
	if x.Cause != job.CauseTimeout || x.Code == nil {
		t.Errorf("%+v", x)
	}
	if d := time.Since(adopted); d > 10*time.Second {
		t.Errorf("it ended %v after it was adopted", d)
	}
}

// TestRemovedByOthers: a container that somebody removes counts as lost with its host.
func TestRemovedByOthers(t *testing.T) {
	d := newDesk(t, nil)
	progImage(t, d.api)
	remove := func() {
		t.Helper()
		found, err := d.api.ContainerList(d.ctx(), client.ContainerListOptions{All: true, Filters: client.Filters{}.Add("label", "drover.host="+d.name)})
		if err != nil || len(found.Items) != 1 {
			t.Fatal(found, err)
		}
		if _, err := d.api.ContainerRemove(d.ctx(), found.Items[0].ID, client.ContainerRemoveOptions{Force: true}); err != nil {
			t.Fatal(err)
		}
	}
	h := d.start(d.attempt("sleep=10m"))
	if err := d.x.Close(d.ctx(), false); err != nil {
		t.Fatal(err)
	}
	remove()
	held := d.open()
	if len(held) != 1 {
		t.Fatalf("%d adopted", len(held))
	}
	if x := d.wait(held[0]); x.Cause != job.CauseHost || x.Code != nil {
		t.Errorf("removed while no worker watched: %+v", x)
	}
	if err := held[0].Forget(); err != nil {
		t.Error(err)
	}
	h = d.start(d.attempt("sleep=10m"))
	remove()
	if x := d.wait(h); x.Cause == job.CauseExit || x.OK() {
		t.Errorf("removed while it was watched: %+v", x)
	}
}

// TestSweep: what has this host's label and no record goes; another host's stays.
func TestSweep(t *testing.T) {
	d := newDesk(t, nil)
	progImage(t, d.api)
	other := newDesk(t, nil)
	kept := d.start(d.attempt("sleep=10m"))
	lost := d.start(d.attempt("sleep=10m"))
	there := other.start(other.attempt("sleep=10m"))
	if err := d.x.Close(d.ctx(), false); err != nil {
		t.Fatal(err)
	}
	l := lost.Held().Lease
	if err := os.Remove(filepath.Join(d.opts.Dir, "attempts", "1--1-2-0")); err != nil || l.Fence != 2 {
		t.Fatal(err, l)
	}
	held := d.open()
	if len(held) != 1 || held[0].Held().Lease != kept.Held().Lease {
		t.Fatalf("adopted %v", held)
	}
	ctx, stop := context.WithCancel(d.ctx())
	defer stop()
	up := make(chan error, 1)
	done := make(chan struct{})
	go func() { defer close(done); d.x.Watch(ctx, func(away error) { up <- away }) }()
	if err := <-up; err != nil {
		t.Fatal(err)
	}
	if d.containers() != 1 || other.containers() != 1 {
		t.Errorf("%d containers here and %d of another host are left", d.containers(), other.containers())
	}
	stop()
	<-done
	_ = there.Stop(0, job.CauseTerminated)
}

// TestRedirect: files as input and output go through byte for byte, for an image that has
// nothing but its program.
func TestRedirect(t *testing.T) {
	d := newDesk(t, nil)
	if !static(t) {
		t.Skip("SKIP: the test binary is not static, as a program in an empty image must be; run with CGO_ENABLED=0")
	}
	progImage(t, d.api)
	dir := t.TempDir()
	for _, f := range []struct{ name, text, want string }{{"plain", "no newline", "NO NEWLINE"}, {"binary", "a\x00\xff\nb", "A\x00\xef\xbf\xbd\nB"}, {"empty", "", ""}} {
		a := d.attempt("upper", "error=logged")
		a.Mounts = []executor.Mount{{Host: dir, Path: "/files"}}
		a.Stdin, a.Stdout = filepath.Join(dir, f.name), filepath.Join(dir, f.name+".out")
		if err := os.WriteFile(a.Stdin, []byte(f.text), 0o644); err != nil {
			t.Fatal(err)
		}
		d.good(a, "logged\n")
		if got, err := os.ReadFile(a.Stdout); err != nil || string(got) != f.want {
			t.Errorf("%s: %q %v, want %q", f.name, got, err, f.want)
		}
	}
	a := d.attempt("upper")
	a.Stdin = filepath.Join(dir, "plain")
	if x, _ := d.run(a); x.Cause != job.CauseStart || !strings.Contains(x.Reason, "no folder that the container sees") {
		t.Errorf("a file outside: %+v", x)
	}
}

// static reports whether this test binary runs without a dynamic linker.
func static(t *testing.T) bool {
	t.Helper()
	b, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	return !bytes.Contains(b[:min(len(b), 1<<16)], []byte("/ld-linux")) && !bytes.Contains(b[:min(len(b), 1<<16)], []byte("/ld-musl"))
}
