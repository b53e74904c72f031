package process_test

import (
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"drover/internal/core/job"
	"drover/internal/core/resource"
	"drover/internal/executor"
)

// The two benchmarks below are to be compared: what the launcher and its client cost on
// top of a bare spawn whose output is caught by a pipe. Run both with
//
//	go test ./internal/executor/process -run '^$' -bench . -benchtime 2000x -count 3

const atOnce = 8

// cpu is the CPU time of this process and, with children, of all it waited for.
func cpu(t testing.TB, who int) time.Duration {
	t.Helper()
	var u unix.Rusage
	if err := unix.Getrusage(who, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// cpuOf is the CPU time of another process and of all it waited for.
func cpuOf(t testing.TB, pid int) time.Duration {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		t.Fatal(err)
	}
	f := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	ticks := 0
	for _, i := range []int{11, 12, 13, 14} { // utime stime cutime cstime
		n, err := strconv.Atoi(f[i])
		if err != nil {
			t.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

// BenchmarkBareSpawn is os/exec with a pipe.
func BenchmarkBareSpawn(b *testing.B) {
	before := cpu(b, unix.RUSAGE_SELF) + cpu(b, unix.RUSAGE_CHILDREN)
	each(b, func(int) {
		cmd := exec.Command("/bin/true")
		cmd.Env = []string{"PATH=/usr/bin:/bin"}
		cmd.Dir = "/tmp"
		out, err := cmd.StdoutPipe()
		if err != nil {
			b.Error(err)
			return
		}
		cmd.Stderr = cmd.Stdout
		if err := cmd.Start(); err != nil {
			b.Error(err)
			return
		}
		_, _ = io.Copy(io.Discard, out)
		if err := cmd.Wait(); err != nil {
			b.Error(err)
		}
	})
	used := cpu(b, unix.RUSAGE_SELF) + cpu(b, unix.RUSAGE_CHILDREN) - before
	b.ReportMetric(float64(used.Microseconds())/float64(b.N), "µs-cpu/op")
}

// BenchmarkExecutor is a whole attempt: start, output, exit, forget.
func BenchmarkExecutor(b *testing.B) {
	h := newHost(b)
	x := h.client()
	ctx := context.Background()
	if _, err := x.Adopt(ctx, nothing{}); err != nil {
		b.Fatal(err)
	}
	defer func() {
		if err := x.Close(ctx, true); err != nil {
			b.Error(err)
		}
	}()
	env := []string{"PATH=/usr/bin:/bin", "HOME=/tmp", "TMPDIR=/tmp"}
	for i := range 20 {
		env = append(env, "AWS_SOMETHING_"+strconv.Itoa(i)+"=as long as a value usually is")
	}
	note := []byte(strings.Repeat("n", 500))
	dir := b.TempDir()
	before := cpu(b, unix.RUSAGE_SELF) + cpuOf(b, x.LauncherPID())
	each(b, func(i int) {
		a := executor.Attempt{
			Lease: job.Lease{Ref: job.Ref{Key: 1, Index: int32(i)}, Attempt: 1, Fence: 1}, Command: []string{"/bin/true"}, Environment: env,
			Dir: dir, Need: resource.Vector{MilliVCPU: 1000, MemoryMiB: 64}, Note: note,
		}
		h, err := x.Start(ctx, a, nothing{})
		if err != nil {
			b.Error(err)
			return
		}
		if end, err := h.Wait(ctx); err != nil || !end.Exit.OK() {
			b.Errorf("%+v %v", end, err)
		}
		if err := h.Forget(); err != nil {
			b.Error(err)
		}
	})
	used := cpu(b, unix.RUSAGE_SELF) + cpuOf(b, x.LauncherPID()) - before
	b.ReportMetric(float64(used.Microseconds())/float64(b.N), "µs-cpu/op")
}

type nothing struct{}

func (nothing) Log(executor.ID, []byte, time.Time) {}

// each calls do b.N times, several at once.
func each(b *testing.B, do func(i int)) {
	b.Helper()
	b.ResetTimer()
	defer b.StopTimer()
	var wg sync.WaitGroup
	next := make(chan int)
	for range atOnce {
		wg.Go(func() {
			for i := range next {
				do(i)
			}
		})
	}
	for i := range b.N {
		next <- i
	}
	close(next)
	wg.Wait()
}
