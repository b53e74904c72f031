package worker_test

import (
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"drover/internal/core/job"
	"drover/internal/link"
	"drover/internal/worker"
)

func TestRunsReportsAndLogs(t *testing.T) {
	r := newRig(t)
	r.run()
	a := r.assignment(`echo one; echo; echo two >&2; printf 'no end'`)
	x, log := r.finish(a)
	if !x.OK() || log != "one\ntwo\nno end" {
		t.Errorf("exit %+v, log %q", x, log)
	}
	r.m.is(t, "the start is reported once", func() bool { return r.m.started[a.Lease] == 1 })
	b := r.assignment(`echo hello; echo 'fatal: password=hunter2 is wrong' >&2; exit 3`)
	x, _ = r.finish(b)
	if x.Code == nil || *x.Code != 3 || x.Cause != job.CauseExit || x.ErrorLine != "fatal: password=**** is wrong" {
		t.Errorf("%+v", x)
	}
	c := r.assignment("")
	c.Command = []string{"no-such-program"}
	if x, _ = r.finish(c); x.Code != nil || x.Cause != job.CauseStart || !strings.Contains(x.ErrorLine, "was not found in PATH") {
		t.Errorf("%+v", x)
	}
	r.m.mu.Lock()
	defer r.m.mu.Unlock()
	if i, j := slices.Index(r.m.order, "log 1"), slices.Index(r.m.order, "exit 1"); i < 0 || j < i {
		t.Errorf("output must come before the exit: %q", r.m.order)
	}
	if r.m.started[c.Lease] != 0 {
		t.Error("a command that was not found is said to have started")
	}
}

func TestEnvironment(t *testing.T) {
	t.Setenv("AWS_SECRET_ACCESS_KEY", "the-workers-own")
	t.Setenv("AWS_CONFIG_FILE", "/root/.aws/config")
	r := newRig(t)
	r.run()
	a := r.assignment(`env; echo "cwd=$(pwd)"; ls -A . "$TMPDIR"; stat -c %a "$AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"`)
	a.Variables = []job.Variable{{Name: "MINE", Value: "a b"}, {Name: "AWS_REGION", Value: "eu-west-1"}, {Name: "AWS_BATCH_JOB_ID", Value: "forged"}}
	a.Attempt = 2
	_, log := r.finish(a)
	env := map[string]string{}
	for line := range strings.SplitSeq(log, "\n") {
		k, v, _ := strings.Cut(line, "=")
		env[k] = v
	}
	for k, want := range map[string]string{
		"AWS_BATCH_JOB_ID": "01234567-89ab-cdef-0123-456789abcdef:1", "AWS_BATCH_JOB_ATTEMPT": "2", "AWS_BATCH_JQ_NAME": "queue",
		"AWS_BATCH_CE_NAME": "local", "AWS_BATCH_JOB_ARRAY_INDEX": "1", "AWS_BATCH_JOB_ARRAY_SIZE": "1000",
		"AWS_EXECUTION_ENV": "AWS_ECS_EC2", "AWS_ENDPOINT_URL": r.url, "AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "drover-1",
		"AWS_EC2_METADATA_DISABLED": "true", "DROVER_ATTEMPT_FENCE": "1", "PATH": "/usr/bin:/bin", "MINE": "a b",
	} {
		if env[k] != want {
			t.Errorf("%s=%q, want %q", k, env[k], want)
		}
	}
	for _, k := range []string{"AWS_SECRET_ACCESS_KEY", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"} {
		if v, ok := env[k]; ok {
			t.Errorf("%s=%q leaked into the job", k, v)
		}
	}
	if env["HOME"] != env["cwd"] || !strings.HasPrefix(env["HOME"], r.dir) || env["TMPDIR"] == env["HOME"] {
		t.Errorf("HOME %q, TMPDIR %q, working folder %q", env["HOME"], env["TMPDIR"], env["cwd"])
	}
	if !strings.HasSuffix(log, "\n400") || strings.Contains(log, "total") {
		t.Errorf("the folders are not empty or the token file is open to others: %q", log)
	}
	plain := r.assignment(`env | grep -c ARRAY`)
	plain.Ref.Index = job.Whole
	if _, log = r.finish(plain); log != "0" {
		t.Errorf("a plain job has %s array variables", log)
	}
}

func TestFoldersAreFresh(t *testing.T) {
	r := newRig(t)
	r.run()
	for i := range 6 {
		x, log := r.finish(r.assignment(`find "$HOME" "$TMPDIR" -mindepth 1; mkdir -p a/b "$TMPDIR/c"; echo x > a/b/f; chmod 500 a/b a; chmod 755 .`))
		if !x.OK() || log != "" {
			t.Errorf("attempt %d: exit %+v, found %q", i, x, log)
		}
	}
	r.idle()
	if err := r.halt(); err != nil {
		t.Fatal(err)
	}
	left, err := filepath.Glob(r.dir + "/attempts/*")
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %q %v", left, err)
	}
}

func TestDuplicateAndLateMessages(t *testing.T) {
	r := newRig(t)
	r.m.twice = true
	r.run()
	a := r.assignment(`echo run`)
	if x, log := r.finish(a); !x.OK() || log != "run" {
		t.Fatalf("%+v %q", x, log)
	}
	r.m.start(a) // a message of the past
	r.m.restart()
	b := r.assignment(`echo other`)
	if _, log := r.finish(b); log != "other" {
		t.Errorf("%q", log)
	}
	r.m.mu.Lock()
	defer r.m.mu.Unlock()
	if n := len(r.m.exits[a.Lease]); n != 1 || r.m.started[a.Lease] != 1 {
		t.Errorf("one lease started %d times and ended %d times", r.m.started[a.Lease], n)
	}
}

func TestLostAnswersAndManagerRestart(t *testing.T) {
	r := newRig(t)
	r.run()
	flag := filepath.Join(t.TempDir(), "go")
	a := r.assignment(`echo before; while [ ! -e "$1" ]; do sleep 0.02; done; seq 1 20000; exit 2`, flag)
	r.m.start(a)
	r.m.is(t, "the first line", func() bool { return len(r.m.logs[a.Log]) == 1 })
	r.m.set(func() { r.m.loseNext = 3 })
	r.m.restart()
	r.m.is(t, "a second hello", func() bool { return len(r.m.hellos) >= 2 })
	r.m.mu.Lock()
	held := r.m.hellos[len(r.m.hellos)-1].Held
	r.m.mu.Unlock()
	if !slices.Equal(held, []job.Lease{a.Lease}) {
		t.Errorf("the worker says that it holds %v", held)
	}
	if err := os.WriteFile(flag, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	x := r.m.exit(t, a.Lease)
	r.m.is(t, "everything is acknowledged", func() bool { return r.m.loseNext == 0 })
	lines := strings.Split(r.m.lines(a.Log), "\n")
	if *x.Code != 2 || len(lines) != 20001 || lines[1] != "1" || lines[20000] != "20000" {
		t.Errorf("exit %+v, %d lines", x, len(lines))
	}
}

func TestRefusedAttemptsAreStopped(t *testing.T) {
	r := newRig(t)
	r.run()
	pid := filepath.Join(t.TempDir(), "pid")
	a := r.assignment(`echo $$ > "$1"; while :; do echo tick; sleep 0.05; done`, pid)
	r.m.start(a)
	r.m.is(t, "output", func() bool { return len(r.m.logs[a.Log]) > 0 })
	r.m.set(func() { r.m.refuse[a.Lease] = "StaleFence" })
	waitGone(t, pid)
	r.m.set(func() { delete(r.m.refuse, a.Lease) })
	b := r.assignment(`echo $$ > "$1"; sleep 600`, pid)
	r.m.start(b)
	r.m.is(t, "the next one runs", func() bool { return r.m.started[b.Lease] == 1 })
	r.m.set(func() { r.m.drop[b.Lease] = true })
	r.m.restart()
	waitGone(t, pid)
	r.idle()
	r.m.mu.Lock()
	defer r.m.mu.Unlock()
	if len(r.m.exits[a.Lease])+len(r.m.exits[b.Lease]) != 0 {
		t.Errorf("refused attempts still reported %+v", r.m.exits)
	}
}

// waitGone waits until the process in the file is no more.
func waitGone(t *testing.T, file string) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		text, err := os.ReadFile(file)
		var pid int
		if err == nil {
			if _, err = fmt.Sscan(string(text), &pid); err == nil && syscall.Kill(pid, 0) != nil {
				return
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("process %q lives on", text)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func TestStop(t *testing.T) {
	r := newRig(t)
	r.run()
	a := r.assignment(`trap 'echo asked; exit 9' TERM; echo ready; while :; do sleep 0.02; done`)
	r.m.start(a)
	r.m.is(t, "ready", func() bool { return len(r.m.logs[a.Log]) == 1 })
	r.m.send(link.Message{Stop: &link.Stop{Lease: a.Lease, Reason: "a user asked"}})
	if x := r.m.exit(t, a.Lease); x.Cause != job.CauseTerminated || x.Code == nil || *x.Code != 9 {
		t.Errorf("%+v", x)
	}
	if log := r.m.lines(a.Log); !strings.HasSuffix(log, "asked") {
		t.Errorf("log %q", log)
	}
}

func TestWorkerRestartAdopts(t *testing.T) {
	r := newRig(t)
	r.run()
	flag := filepath.Join(t.TempDir(), "go")
	a := r.assignment(`seq 1 1000; while [ ! -e "$1" ]; do sleep 0.02; done; seq 1001 2000; exit 4`, flag)
	b := r.assignment(`echo quick`)
	r.m.start(a)
	r.m.is(t, "output", func() bool { return len(r.m.logs[a.Log]) == 1000 })
	// The manager goes away, the second attempt ends unheard, the worker is replaced.
	r.m.start(b)
	r.m.is(t, "the second began", func() bool { return r.m.started[b.Lease] == 1 || len(r.m.exits[b.Lease]) > 0 })
	if err := r.halt(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(flag, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	r.run()
	x := r.m.exit(t, a.Lease)
	if x.Code == nil || *x.Code != 4 {
		t.Errorf("%+v", x)
	}
	lines := strings.Split(r.m.lines(a.Log), "\n")
	if len(lines) != 2000 {
		t.Errorf("%d lines over both workers", len(lines))
	}
	for i, l := range lines {
		if l != fmt.Sprint(i+1) {
			t.Fatalf("line %d is %q", i, l)
		}
	}
	if x := r.m.exit(t, b.Lease); !x.OK() {
		t.Errorf("%+v", x)
	}
	r.m.mu.Lock()
	defer r.m.mu.Unlock()
	first, last := r.m.hellos[0], r.m.hellos[len(r.m.hellos)-1]
	if first.Host != last.Host || first.Boot != last.Boot || !strings.HasPrefix(first.Host, "i-") || len(first.Host) != 19 {
		t.Errorf("host %s boot %s, then host %s boot %s", first.Host, first.Boot, last.Host, last.Boot)
	}
}

func TestLauncherKilled(t *testing.T) {
	r := newRig(t)
	r.run()
	pid := filepath.Join(t.TempDir(), "pid")
	a := r.assignment(`sleep 600 & echo $! > "$1"; echo up; wait`, pid)
	r.m.start(a)
	r.m.is(t, "it runs", func() bool { return len(r.m.logs[a.Log]) == 1 })
	if err := syscall.Kill(r.exec.LauncherPID(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if x := r.m.exit(t, a.Lease); x.Cause != job.CauseHost || x.Code != nil {
		t.Errorf("%+v", x)
	}
	waitGone(t, pid)
	r.m.is(t, "a hello with another boot id", func() bool {
		return r.m.hellos[len(r.m.hellos)-1].Boot != r.m.hellos[0].Boot
	})
	if x, log := r.finish(r.assignment(`echo again`)); !x.OK() || log != "again" {
		t.Errorf("%+v %q", x, log)
	}
}

func TestOrphaned(t *testing.T) {
	r := newRig(t)
	r.tweak = func(o *worker.Options) { o.OrphanAfter = 300 * time.Millisecond }
	r.run()
	pid := filepath.Join(t.TempDir(), "pid")
	a := r.assignment(`echo $$ > "$1"; echo up; sleep 600`, pid)
	r.m.start(a)
	r.m.is(t, "it runs", func() bool { return len(r.m.logs[a.Log]) == 1 })
	launcher := r.exec.LauncherPID()
	r.m.set(func() { r.m.down = true })
	select {
	case err := <-r.done:
		r.done = nil
		if !errors.Is(err, worker.ErrOrphaned) {
			t.Errorf("it ended with %v", err)
		}
	case <-time.After(patience):
		t.Fatal("the orphan stays")
	}
	waitGone(t, pid)
	if err := os.WriteFile(pid, []byte(fmt.Sprint(launcher)), 0o600); err != nil {
		t.Fatal(err)
	}
	waitGone(t, pid)
}

func TestDrainAndEnd(t *testing.T) {
	for _, c := range []struct {
		leave worker.Leave
		code  int32
		cause job.Cause
	}{{worker.Drain, 0, ""}, {worker.End, 143, job.CauseTerminated}} {
		r := newRig(t)
		r.launch(c.leave)
		flag := filepath.Join(t.TempDir(), "go")
		a := r.assignment(`echo up; while [ ! -e "$1" ]; do sleep 0.02; done`, flag)
		r.m.start(a)
		r.m.is(t, "it runs", func() bool { return len(r.m.logs[a.Log]) == 1 })
		r.stop()
		if c.leave == worker.Drain {
			r.m.is(t, "a hello that offers nothing", func() bool {
				return r.m.hellos[len(r.m.hellos)-1].Capacity.MilliVCPU == 0
			})
			if err := os.WriteFile(flag, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		x := r.m.exit(t, a.Lease)
		if x.Code == nil || *x.Code != c.code || x.Cause != c.cause {
			t.Errorf("leave %d: %+v", c.leave, x)
		}
		if err := <-r.done; err != nil {
			t.Error(err)
		}
		r.done = nil
		if left, _ := filepath.Glob(r.dir + "/attempts/*"); len(left) != 0 {
			t.Errorf("left behind: %q", left)
		}
	}
}

func TestOneWorkerPerFolder(t *testing.T) {
	r := newRig(t)
	r.run()
	err := worker.Run(t.Context(), worker.Options{Dir: r.dir, Endpoint: r.url, Token: "token", Executor: r.exec})
	if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("process %d", os.Getpid())) {
		t.Errorf("a second worker: %v", err)
	}
}

func TestWrongToken(t *testing.T) {
	r := newRig(t)
	r.tweak = func(o *worker.Options) { o.Token = "guess" }
	r.launch(worker.Keep)
	select {
	case err := <-r.done:
		r.done = nil
		if err == nil || !strings.Contains(err.Error(), link.CodeWrongToken) {
			t.Errorf("%v", err)
		}
	case <-time.After(patience):
		t.Fatal("a worker with a wrong token tries for ever")
	}
}

func TestVisibleSoon(t *testing.T) {
	r := newRig(t)
	r.run()
	flag := filepath.Join(t.TempDir(), "go")
	a := r.assignment(`printf 'half a line'; while [ ! -e "$1" ]; do sleep 0.02; done; echo ' and the rest'`, flag)
	r.m.start(a)
	r.m.is(t, "it runs", func() bool { return r.m.started[a.Lease] == 1 })
	begin := time.Now()
	r.m.is(t, "an unfinished line is seen", func() bool { return len(r.m.logs[a.Log]) == 1 })
	if d := time.Since(begin); d > 5*time.Second {
		t.Errorf("after %v", d)
	}
	if err := os.WriteFile(flag, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	r.m.exit(t, a.Lease)
	if log := r.m.lines(a.Log); log != "half a line\n and the rest" {
		t.Errorf("%q", log)
	}
}

func TestFindsTheManagerElsewhere(t *testing.T) {
	r := newRig(t)
	real := r.url
	var at atomic.Pointer[string]
	at.Store(&real)
	r.tweak = func(o *worker.Options) { o.Locate = func() string { return *at.Load() } }
	r.run()
	other := httptest.NewServer(link.Handler(r.m, "token"))
	defer other.Close()
	defer r.end() // the worker's connections to it end first
	at.Store(&other.URL)
	a := r.assignment(`echo "$AWS_ENDPOINT_URL"`)
	r.m.set(func() { r.m.endpoint = "" })
	r.m.restart()
	if _, log := r.finish(a); log != other.URL {
		t.Errorf("the job was told %q, and the manager is at %q", log, other.URL)
	}
}
