package worker_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"drover/internal/core/job"
	"drover/internal/core/resource"
	"drover/internal/executor/process"
)

// BenchmarkWorker is a whole attempt from the manager's message to its reported exit, with
// 16 under way; the CPU time is that of the worker, of this made-up manager (both in this
// process), of the launcher and of the jobs. Compare with BenchmarkBareSpawn of
// internal/executor/process:
//
//	go test ./internal/worker -run '^$' -bench . -benchtime 2000x
func BenchmarkWorker(b *testing.B) {
	r := newRig(b)
	r.run()
	id, _ := job.ParseID("01234567-89ab-cdef-0123-456789abcdef")
	send := func(i int) {
		r.m.start(job.Assignment{
			Lease: job.Lease{Ref: job.Ref{Key: 1, Index: int32(i)}, Attempt: 1, Fence: 1},
			ID:    id, Name: "bench", Queue: "default", Environment: "local", Definition: "def:1", Image: process.Image,
			Command: []string{"/bin/true"}, Need: resource.Vector{MilliVCPU: 1000, MemoryMiB: 64}, Size: int32(b.N),
			Log: "def/default/" + strconv.Itoa(i),
		})
	}
	cpu := func() time.Duration {
		var u unix.Rusage
		if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return time.Duration(u.Utime.Nano()+u.Stime.Nano()) + cpuOf(b, r.exec.LauncherPID())
	}
	before := cpu()
	b.ResetTimer()
	const underWay = 16
	sent := 0
	for ended := 0; ended < b.N; {
		for ; sent < b.N && sent < ended+underWay; sent++ {
			send(sent)
		}
		r.m.mu.Lock()
		ended = len(r.m.exits)
		wake := r.m.wake
		r.m.mu.Unlock()
		if sent == min(b.N, ended+underWay) && ended < b.N {
			<-wake
		}
	}
	b.StopTimer()
	b.ReportMetric(float64((cpu()-before).Microseconds())/float64(b.N), "µs-cpu/op")
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
