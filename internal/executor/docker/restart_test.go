package docker_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"drover/internal/core/job"
	"drover/internal/executor"
	"drover/internal/executor/docker"
	"drover/internal/executor/dockertest"
)

// restartable is a desk on an engine of its own.
func restartable(t *testing.T, restore bool) (*dockertest.Daemon, *desk) {
	t.Helper()
	own := dockertest.Own(t, restore)
	api := own.Client()
	dir := t.TempDir()
	h := &host{t: t, dir: dir, api: api, name: "test-" + filepath.Base(filepath.Dir(dir))}
	h.opts = docker.Options{Dir: filepath.Join(dir, "docker"), Host: h.name, Exe: os.Args[0], Address: "unix://" + own.Socket, Network: "none", AllowVolumes: []string{dir}}
	d := &desk{host: h}
	d.open()
	progImage(t, api)
	t.Cleanup(func() {
		if err := d.x.Close(context.Background(), true); err != nil {
			t.Error(err)
		}
		_ = api.Close()
	})
	return own, d
}

// states collects what Watch says.
type states struct {
	mu   sync.Mutex
	last error
	n    int
}

func (s *states) changed(away error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last, s.n = away, s.n+1
}

func (s *states) is(up bool) func() bool {
	return func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.n > 0 && (s.last == nil) == up
	}
}

func (d *desk) watch(t *testing.T) *states {
	s := &states{}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); d.x.Watch(ctx, s.changed) }()
	t.Cleanup(func() { stop(); <-done })
	eventually(t, "the engine is seen", s.is(true))
	return s
}

// TestEngineRestartsContainersLive: with live restore an attempt does not notice that its
// engine was killed; nothing of its output is lost or comes twice.
func TestEngineRestartsContainersLive(t *testing.T) {
	own, d := restartable(t, true)
	s := d.watch(t)
	a := d.attempt("echo=one", "sleep=3s", "echo=two", "sleep=4s", "echo=three", "exit=7")
	h := d.start(a)
	eventually(t, "it runs", func() bool { return d.out.of(a.Lease) == "one\n" })
	own.Stop(true)
	eventually(t, "the engine is missed", s.is(false))
	late := d.attempt("echo=late")
	waits := make(chan executor.Handle)
	go func() { waits <- d.start(late) }() // an attempt that comes now waits for it
	own.Start()
	eventually(t, "the engine is seen again", s.is(true))
	if x := d.wait(h); x.Code == nil || *x.Code != 7 || x.Cause != job.CauseExit {
		t.Errorf("%+v", x)
	}
	if out := d.out.of(a.Lease); out != "one\ntwo\nthree\n" {
		t.Errorf("output %q", out)
	}
	if x := d.wait(<-waits); !x.OK() || d.out.of(late.Lease) != "late\n" {
		t.Errorf("started while the engine was away: %+v %q", x, d.out.of(late.Lease))
	}
}

// TestEngineStopsContainersEnd: without live restore its containers end with the engine,
// and that is a loss of the host, not a failure of the job.
func TestEngineStopsContainersEnd(t *testing.T) {
	for _, kill := range []bool{false, true} {
		t.Run(fmt.Sprint("kill=", kill), func(t *testing.T) {
			own, d := restartable(t, false)
			a := d.attempt("echo=one", "sleep=10m")
			h := d.start(a)
			eventually(t, "it runs", func() bool { return d.out.of(a.Lease) == "one\n" })
			own.Stop(kill)
			own.Start()
			x := d.wait(h)
			if x.Cause != job.CauseHost || x.Code != nil || !strings.Contains(x.Reason, "engine of this host was stopped") {
				t.Errorf("%+v", x)
			}
			if out := d.out.of(a.Lease); out != "one\n" {
				t.Errorf("output %q", out)
			}
			// The verdict stays when the worker is restarted before it was told.
			if err := d.x.Close(d.ctx(), false); err != nil {
				t.Fatal(err)
			}
			held := d.open()
			if len(held) != 1 {
				t.Fatalf("%d adopted", len(held))
			}
			if y := d.wait(held[0]); y.Cause != x.Cause || y.Reason != x.Reason {
				t.Errorf("after a restart %+v", y)
			}
		})
	}
}

// TestEngineHangs: a frozen engine delays, and loses nothing.
func TestEngineHangs(t *testing.T) {
	own, d := restartable(t, true)
	a := d.attempt("echo=one", "sleep=500ms", "echo=two")
	h := d.start(a)
	own.Freeze()
	time.Sleep(time.Second) // the container ends meanwhile
	own.Thaw()
	if x := d.wait(h); !x.OK() || d.out.of(a.Lease) != "one\ntwo\n" {
		t.Errorf("%+v %q", x, d.out.of(a.Lease))
	}
}

// TestNoEngine: without an engine adoption works, Watch says what is wrong, and closing
// does not wait.
func TestNoEngine(t *testing.T) {
	dir := t.TempDir()
	x, err := docker.New(docker.Options{Dir: dir, Host: "h", Address: "unix://" + dir + "/none.sock"})
	if err != nil {
		t.Fatal(err)
	}
	held, err := x.Adopt(t.Context(), nil)
	if err != nil || len(held) != 0 {
		t.Fatal(held, err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	says := make(chan error, 1)
	done := make(chan struct{})
	go func() { defer close(done); x.Watch(ctx, func(away error) { says <- away }) }()
	if err := <-says; err == nil || !strings.Contains(err.Error(), "none.sock") {
		t.Errorf("it says %v", err)
	}
	if err := x.Close(t.Context(), true); err != nil {
		t.Error(err)
	}
	<-done
	for _, address := range []string{"tcp://127.0.0.1:2375", "nonsense"} {
		if _, err := docker.New(docker.Options{Dir: dir, Address: address}); err == nil {
			t.Errorf("%s was taken for an engine of this host", address)
		}
	}
}
