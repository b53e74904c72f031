package executortest

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"drover/internal/core/job"
	"drover/internal/executor"
)

func checkExit(t *testing.T, what string, x job.Exit, code int32, cause job.Cause) {
	t.Helper()
	if x.Code == nil || *x.Code != code || x.Cause != cause {
		got := "none"
		if x.Code != nil {
			got = strconv.Itoa(int(*x.Code))
		}
		t.Errorf("%s: code %s cause %q reason %q, want code %d cause %q", what, got, x.Cause, x.Reason, code, cause)
	}
}

func testExitCodes(t *testing.T, b *bench) {
	for _, c := range []struct {
		script string
		code   int32
		cause  job.Cause
	}{
		{"exit 0", 0, ""},
		{"exit 1", 1, job.CauseExit},
		{"exit 137", 137, job.CauseExit},
		{"exit 255", 255, job.CauseExit},
		{"kill -TERM $$", 143, job.CauseSignal},
		{"kill -KILL $$", 137, job.CauseSignal},
		{"kill -SEGV $$", 139, job.CauseSignal},
	} {
		before := time.Now()
		a := b.attempt(c.script)
		h := b.start(a)
		end := b.wait(h)
		if b.s.Container && c.code == 137 {
			c.cause = job.CauseSignal // as the code says
		}
		checkExit(t, c.script, end.Exit, c.code, c.cause)
		started := h.Held().Started
		if started.Before(before.Add(-time.Millisecond)) || end.At.Before(started) || end.At.After(time.Now().Add(time.Millisecond)) {
			t.Errorf("%s: began %v, ended %v, ran between %v and now", c.script, started, end.At, before)
		}
		if err := h.Forget(); err != nil {
			t.Error(err)
		}
	}
}

func testOutput(t *testing.T, b *bench) {
	for _, c := range []struct{ name, script, want string }{
		{"nothing", `true`, ""},
		{"lines", `echo one; echo two`, "one\ntwo\n"},
		{"no newline", `printf end`, "end"},
		{"NUL and escapes", `printf 'a\000b\033[1m\377\n'`, "a\x00b\x1b[1m\xff\n"},
		{"both streams in order", `echo 1; echo 2 >&2; echo 3; echo 4 >&2`, "1\n2\n3\n4\n"},
		{"arguments as they are", `printf '%s|' "$@"`, "a b|$HOME|*||"},
	} {
		_, out := b.run(c.script, "a b", "$HOME", "*", "")
		if b.s.Container {
			out, c.want = strings.TrimSuffix(out, "\n"), strings.TrimSuffix(c.want, "\n")
			if c.name == "both streams in order" {
				got, want := strings.Split(out, "\n"), strings.Split(c.want, "\n")
				if slices.Sort(got); slices.Equal(got, want) {
					continue
				}
			}
		}
		if out != c.want {
			t.Errorf("%s: %q, want %q", c.name, out, c.want)
		}
	}
}

func testFlood(t *testing.T, b *bench) {
	const size = 10 << 20
	end, out := b.run(`i=0; while [ $i -lt 10 ]; do head -c 1048576 /dev/zero; i=$((i+1)); done; printf last`)
	checkExit(t, "flood", end.Exit, 0, "")
	if b.s.Container {
		out = strings.TrimSuffix(out, "\n")
	}
	if len(out) != size+4 || !strings.HasSuffix(out, "\x00last") || strings.Count(out, "\x00") != size {
		t.Errorf("%d bytes arrived, want %d", len(out), size+4)
	}
}

func testCannotStart(t *testing.T, b *bench) {
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return p
	}
	for _, c := range []struct {
		name    string
		command []string
		say     string
	}{
		{"empty", nil, "the command is empty"},
		{"not in PATH", []string{"no-such-program"}, `"no-such-program" was not found in PATH`},
		{"no file", []string{dir + "/gone"}, "does not exist"},
		{"not executable", []string{write("plain", "echo", 0o644)}, "chmod +x"},
		{"a folder", []string{dir}, "is a folder"},
		{"no interpreter", []string{write("script", "#!/no/such/interpreter\n", 0o755)}, "interpreter"},
		{"not a program", []string{write("garbage", "\x00\x01garbage", 0o755)}, "neither a program"},
		{"too long", []string{"true", strings.Repeat("x", 3<<20)}, "longer than the kernel allows"},
	} {
		a := b.attempt("")
		a.Command = c.command
		if a.Container != nil {
			plain := *a.Container
			plain.Init = false // an init process would be what starts, and fail with a code
			a.Container = &plain
		}
		end, _ := b.finish(a)
		if x := end.Exit; b.s.Container {
			if x.Code != nil && *x.Code != 0 && x.Cause == job.CauseExit && strings.Contains("no interpreter, not a program, too long", c.name) {
				continue // found out when the container ran already
			}
			if x.Code != nil || x.Cause != job.CauseStart || !strings.HasPrefix(x.Reason, "Cannot") || !strings.Contains(x.Reason, "ContainerError: ") {
				t.Errorf("%s: %+v", c.name, x)
			}
		} else if x.Code != nil || x.Cause != job.CauseStart ||
			!strings.HasPrefix(x.Reason, "CannotStartContainerError: ") || !strings.Contains(x.Reason, c.say) {
			t.Errorf("%s: %+v", c.name, x)
		}
	}
	if b.s.Container {
		return // its working folder is the image's, its files are not the host's
	}
	a := b.attempt("true")
	a.Dir = dir + "/nowhere"
	if end, _ := b.finish(a); !strings.Contains(end.Exit.Reason, "working folder") {
		t.Errorf("no folder: %+v", end.Exit)
	}
	a = b.attempt("true")
	a.Stdin = dir + "/nowhere"
	if end, _ := b.finish(a); !strings.Contains(end.Exit.Reason, "standard input") || end.Exit.Cause != job.CauseStart {
		t.Errorf("no input: %+v", end.Exit)
	}
}

func testStartOnce(t *testing.T, b *bench) {
	mark := filepath.Join(t.TempDir(), "runs")
	a := b.attempt(`echo run >> "$1"; sleep 0.1`, mark)
	h := b.start(a)
	if _, err := b.x.Start(b.ctx(), a, b.out); err == nil {
		t.Error("a held lease was started again")
	}
	b.wait(h)
	if _, err := b.x.Start(b.ctx(), a, b.out); err == nil {
		t.Error("a lease that ended and is not forgotten was started again")
	}
	for _, h := range b.reconnect() {
		b.out.know(h)
	}
	if _, err := b.x.Start(b.ctx(), a, b.out); err == nil {
		t.Error("an adopted lease was started again")
	}
	if runs, err := os.ReadFile(mark); err != nil || string(runs) != "run\n" {
		t.Errorf("it ran %q, %v", runs, err)
	}
}

func testEnvironment(t *testing.T, b *bench) {
	t.Setenv("AWS_SECRET_ACCESS_KEY", "the-servers-own")
	a := b.attempt("")
	a.Command = []string{"/usr/bin/env"}
	a.Environment = []string{"B=2", "A=1 and more", "EMPTY=", "PATH=/usr/bin:/bin", "X=a=b"}
	_, out := b.finish(a)
	got := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
	if b.s.Container {
		for _, want := range a.Environment {
			if !slices.Contains(got, want) {
				t.Errorf("the job saw %q, without %q", got, want)
			}
		}
		if strings.Contains(out, "the-servers-own") {
			t.Errorf("the job saw %q", got)
		}
		return
	}
	if !slices.Equal(got, a.Environment) {
		t.Errorf("the job saw %q, want exactly %q", got, a.Environment)
	}
	_, out = b.run(`pwd; ls /proc/$$/fd | wc -w; ulimit -c; umask; awk '{print $6==$1}' /proc/$$/stat`)
	f := strings.Fields(out)
	if len(f) != 5 || f[0] == "/" || f[2] != "0" || f[3] != "0022" || f[4] != "1" {
		t.Errorf("folder, open files, core limit, umask, own session: %q", f)
	}
	_, out = b.run(`ls -l /proc/self/fd | sed -n 's/.* \([0-9]*\) -> .*/\1/p' | sort -n | tr '\n' ' '`)
	if out != "0 1 2 3 " { // 3 is ls's own
		t.Errorf("open files of a job: %s", out)
	}
	// Signals 32 and up are the C library's own; who started the tests may have touched them.
	if _, out = b.run(`sed -n 's/^Sig\(Ign\|Blk\):\t[0-9a-f]*\([0-9a-f]\{8\}\)$/\2/p' /proc/self/status | tr '\n' ' '`); out != "00000000 00000000 " && out != "00000000 80000000 " {
		t.Errorf("blocked and ignored signals of a job: %s", out)
	}
}

func testFiles(t *testing.T, b *bench) {
	dir := t.TempDir()
	a := b.attempt(`tr a-z A-Z; echo logged >&2`)
	a.Stdin, a.Stdout = filepath.Join(dir, "in"), filepath.Join(dir, "out")
	if err := os.WriteFile(a.Stdin, []byte("hello\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, log := b.finish(a)
	got, err := os.ReadFile(a.Stdout)
	if err != nil || string(got) != "HELLO\n" || log != "logged\n" {
		t.Errorf("file %q %v, log %q", got, err, log)
	}
	if _, out := b.run(`cat; echo eof`); out != "eof\n" {
		t.Errorf("without a file standard input gave %q", out)
	}
}

func testStopWithGrace(t *testing.T, b *bench) {
	a := b.attempt(`trap 'echo bye; exit 3' TERM; echo ready; while :; do sleep 0.05; done`)
	h := b.start(a)
	eventually(t, "the job says ready", func() bool { return b.out.text(a.Lease) == "ready\n" })
	if err := h.Stop(patience, job.CauseTerminated); err != nil {
		t.Fatal(err)
	}
	checkExit(t, "stopped", b.wait(h).Exit, 3, job.CauseTerminated)
	if out := b.out.text(a.Lease); !strings.HasSuffix(out, "bye\n") {
		t.Errorf("output %q", out)
	}
}

func testStopIgnored(t *testing.T, b *bench) {
	a := b.attempt(`trap '' TERM; echo ready; while :; do sleep 0.05; done`)
	h := b.start(a)
	eventually(t, "the job says ready", func() bool { return b.out.text(a.Lease) == "ready\n" })
	begin := time.Now()
	if err := h.Stop(300*time.Millisecond, job.CauseTerminated); err != nil {
		t.Fatal(err)
	}
	checkExit(t, "killed", b.wait(h).Exit, 137, job.CauseTerminated)
	if d := time.Since(begin); d < 300*time.Millisecond {
		t.Errorf("killed after %v, before the grace was over", d)
	}
}

func testTimeout(t *testing.T, b *bench) {
	a := b.attempt(`echo begin; sleep 60`)
	a.Timeout = 200 * time.Millisecond
	h := b.start(a)
	end := b.wait(h)
	checkExit(t, "over time", end.Exit, 143, job.CauseTimeout)
	if d := end.At.Sub(h.Held().Started); d < a.Timeout {
		t.Errorf("ended after %v", d)
	}
	a = b.attempt(`exit 4`)
	a.Timeout = time.Minute
	checkExit(t, "in time", b.wait(b.start(a)).Exit, 4, job.CauseExit)
}

// gone reports whether no process has the number that a job wrote to a file.
func gone(t *testing.T, file string) func() bool {
	return func() bool {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
		if err != nil {
			t.Fatal(err)
		}
		if syscall.Kill(pid, 0) != nil {
			return true
		}
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		return err != nil || strings.Contains(string(stat), ") Z ") // dead, though nobody reaps it here
	}
}

func testBackgroundChildren(t *testing.T, b *bench) {
	file := filepath.Join(t.TempDir(), "pid")
	begin := time.Now()
	end, out := b.run(`sleep 600 & echo $! > "$1"; echo done`, file)
	checkExit(t, "main process", end.Exit, 0, "")
	if out != "done\n" {
		t.Errorf("output %q", out)
	}
	if d := time.Since(begin); d > patience/2 {
		t.Errorf("the end took %v", d)
	}
	if b.s.Container {
		return // its number is not the host's; it ended with its container's process namespace
	}
	eventually(t, "the background process is killed", gone(t, file))
}

func testEscapedChild(t *testing.T, b *bench) {
	file := filepath.Join(t.TempDir(), "pid")
	a := b.attempt(`setsid sleep 600 & while ! pgrep -P $! >/dev/null && ! kill -0 $!; do :; done; echo $! > "$1"; sleep 0.1; echo done`, file)
	h := b.start(a)
	begin := time.Now()
	checkExit(t, "main process", b.wait(h).Exit, 0, "")
	if d := time.Since(begin); d > 10*time.Second {
		t.Errorf("a process that left the session held the end up for %v", d)
	}
	if out := b.out.text(a.Lease); out != "done\n" {
		t.Errorf("output %q", out)
	}
	if b.s.Container {
		return
	}
	if ok, _ := b.s.Limits(); ok {
		eventually(t, "with control groups even that one is killed", gone(t, file))
		return
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if pid, err := strconv.Atoi(strings.TrimSpace(string(text))); err == nil {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
}

func testUsage(t *testing.T, b *bench) {
	if why := b.s.NoUsage; why != "" {
		t.Skip("what an attempt uses is not known here: " + why)
	}
	end, _ := b.run(`i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done`)
	if u := end.Exit.Usage; u.CPUMillis < 10 || u.PeakMemKiB < 256 {
		t.Errorf("a busy shell used %+v", u)
	}
}

func testMemory(t *testing.T, b *bench) {
	ok, why := b.s.Limits()
	if !ok {
		t.Skip("memory limits are not kept here: " + why)
	}
	a := b.attempt(`x=$(head -c 200000000 /dev/zero | tr '\000' x); echo "${#x}"`)
	a.Need.MemoryMiB = 32
	end, out := b.finish(a)
	if x := end.Exit; x.Code == nil || *x.Code != 137 || x.Cause != job.CauseMemory || x.Reason != job.ReasonMemory {
		t.Errorf("over its limit: %+v, output %q", x, out)
	}
	end, out = b.run(`x=$(head -c 1000000 /dev/zero | tr '\000' x); echo "${#x}"`)
	if checkExit(t, "below its limit", end.Exit, 0, ""); out != "1000000\n" {
		t.Errorf("output %q", out)
	}
	end, _ = b.run(`exit 137`)
	cause := job.CauseExit
	if b.s.Container {
		cause = job.CauseSignal
	}
	checkExit(t, "137 by itself after another was killed for memory", end.Exit, 137, cause)
}

func testCloseEnds(t *testing.T, b *bench) {
	file := filepath.Join(t.TempDir(), "pid")
	a := b.attempt(`echo $$ > "$1"; echo ready; trap '' TERM; sleep 600`, file)
	h := b.start(a)
	eventually(t, "the job runs", func() bool { return b.out.text(a.Lease) == "ready\n" })
	boot := b.x.Boot()
	if err := b.x.Close(b.ctx(), true); err != nil {
		t.Fatal(err)
	}
	if !b.s.Container { // there Inspect tells
		eventually(t, "the job is gone", gone(t, file))
	}
	// Either its end was told before the launcher left, or it counts as lost.
	if end, err := h.Wait(b.ctx()); err == nil {
		checkExit(t, "ended by close", end.Exit, 137, job.CauseTerminated)
	}
	if held := b.connect(); len(held) != 0 || b.x.Boot() == boot {
		t.Errorf("a new life holds %d attempts, boot %s after %s", len(held), b.x.Boot(), boot)
	}
}

// concurrency is how many attempts testNothingLeft runs at once.
const concurrency = 16

// warm runs that many attempts at the same time, so that whatever is kept for the next
// attempts has its full size.
func warm(t *testing.T, b *bench) {
	t.Helper()
	flag := filepath.Join(t.TempDir(), "go")
	handles := make([]executor.Handle, concurrency)
	for i := range handles {
		handles[i] = b.start(b.attempt(`while [ ! -e "$1" ]; do sleep 0.02; done`, flag))
	}
	if err := os.WriteFile(flag, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, h := range handles {
		b.wait(h)
		if err := h.Forget(); err != nil {
			t.Fatal(err)
		}
	}
}

func testNothingLeft(t *testing.T, b *bench) {
	batch := func(n int) {
		t.Helper()
		handles := make([]executor.Handle, 0, n)
		dir := t.TempDir()
		for i := range n {
			a := b.attempt("")
			a.Dir = dir
			a.Command = []string{"/bin/sh", "-c", "echo " + strconv.Itoa(i)}
			if i%3 == 0 {
				a.Command = []string{"/bin/true"}
			}
			handles = append(handles, b.start(a))
			if len(handles) < concurrency && i+1 < n {
				continue
			}
			for _, h := range handles {
				b.wait(h)
				if err := h.Forget(); err != nil {
					t.Fatal(err)
				}
			}
			handles = handles[:0]
		}
	}
	n := 1000
	switch {
	case b.s.Container:
		n = 30
	case testing.Short():
		n = 200
	}
	warm(t, b)
	before := b.s.Inspect()
	batch(n)
	eventually(t, "counts are as before", func() bool {
		after := b.s.Inspect()
		for k, v := range before {
			if after[k] > v {
				t.Logf("%s: %d before, %d after", k, v, after[k])
				return false
			}
		}
		return true
	})
}
