package process_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"drover/internal/core/job"
	"drover/internal/core/resource"
	"drover/internal/executor"
	"drover/internal/executor/process"
)

func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// adopt connects and sees to it that the launcher leaves at the test's end.
func (h *host) adopt(t *testing.T, o process.Options) *process.Executor {
	t.Helper()
	o.Dir, o.Exe = h.dir, os.Args[0]
	x := process.New(o)
	if _, err := x.Adopt(within(t), nothing{}); err != nil {
		t.Fatal(err)
	}
	h.last = x
	t.Cleanup(func() {
		if err := x.Close(within(t), true); err != nil {
			t.Error(err)
		}
	})
	return x
}

// sleepers starts n attempts that would run for long, each with a child.
func sleepers(t *testing.T, x *process.Executor, n int) []executor.Handle {
	t.Helper()
	handles := make([]executor.Handle, n)
	for i := range handles {
		h, err := x.Start(within(t), executor.Attempt{
			Lease:       job.Lease{Ref: job.Ref{Key: 9, Index: int32(i)}, Attempt: 1, Fence: 1},
			Command:     []string{"/bin/sh", "-c", "setsid sleep 600 & sleep 600 & wait"},
			Environment: []string{"PATH=/usr/bin:/bin"}, Dir: t.TempDir(), Need: resource.Vector{MemoryMiB: 64},
		}, nothing{})
		if err != nil {
			t.Fatal(err)
		}
		handles[i] = h
	}
	return handles
}

func alive(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err == nil && !strings.Contains(string(stat), ") Z ")
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it never happened: %s", what)
		}
	}
}

// groups counts the control groups of the host's launcher.
func (h *host) groups() int {
	sum := sha256.Sum256([]byte(h.dir))
	name := "drover-" + hex.EncodeToString(sum[:4])
	n := 0
	_ = filepath.WalkDir("/sys/fs/cgroup", func(p string, d os.DirEntry, err error) error {
		if err == nil && d.IsDir() && filepath.Base(filepath.Dir(p)) == name {
			n++
		}
		return nil // groups of others come and go meanwhile
	})
	return n
}

// TestLauncherKilled: the jobs' main processes die with their launcher, and the next one
// sweeps whatever else there is.
// processes are those whose working folder is one of this host's.
func (h *host) processes() (pids []int) {
	stats, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, f := range stats {
		pid, _ := strconv.Atoi(strings.Split(f, "/")[2])
		cwd, _ := os.Readlink("/proc/" + strconv.Itoa(pid) + "/cwd")
		if strings.HasPrefix(cwd, filepath.Dir(h.dir)) {
			pids = append(pids, pid)
		}
	}
	return pids
}

func TestLauncherKilled(t *testing.T) {
	h := newHost(t)
	x := h.adopt(t, process.Options{})
	handles := sleepers(t, x, 3)
	kept, _ := x.Limits()
	if n := h.groups(); kept && n < len(handles) {
		t.Errorf("%d attempts run in %d control groups", len(handles), n)
	}
	var pids []int
	until(t, "the sleepers' children run too: nine processes", func() bool {
		pids = h.processes()
		return len(pids) >= 9
	})
	boot := x.Boot()
	if err := syscall.Kill(x.LauncherPID(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for _, a := range handles {
		if _, err := a.Wait(within(t)); !errors.Is(err, executor.ErrLost) {
			t.Errorf("waiting for a lost attempt: %v", err)
		}
	}
	if _, err := x.Start(within(t), executor.Attempt{Lease: job.Lease{Fence: 5}}, nothing{}); !errors.Is(err, executor.ErrLost) {
		t.Errorf("starting without a launcher: %v", err)
	}
	held, err := x.Adopt(within(t), nothing{})
	if err != nil || len(held) != 0 || x.Boot() == boot {
		t.Fatalf("the next life holds %d, boot %s after %s, %v", len(held), x.Boot(), boot, err)
	}
	until(t, "all processes are gone", func() bool {
		for _, pid := range pids {
			cwd, _ := os.Readlink("/proc/" + strconv.Itoa(pid) + "/cwd")
			ours := strings.HasPrefix(cwd, filepath.Dir(h.dir))
			if ours && alive(pid) && pid != x.LauncherPID() {
				if kept {
					return false
				}
				stat, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
				if !strings.Contains(string(stat), "sleep") { // without control groups a session of its own escapes
					return false
				}
			}
		}
		return true
	})
	if err := x.Close(within(t), true); err != nil {
		t.Fatal(err)
	}
	until(t, "all control groups are gone", func() bool { return h.groups() == 0 })
}

func TestOneLauncherPerFolder(t *testing.T) {
	h := newHost(t)
	x := h.adopt(t, process.Options{})
	out, err := exec.Command(os.Args[0], "launcher", "--dir", h.dir).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "process "+strconv.Itoa(x.LauncherPID())) {
		t.Errorf("a second launcher: %v %s", err, out)
	}
}

func TestNewerWorkerReplaces(t *testing.T) {
	h := newHost(t)
	first := process.New(process.Options{Dir: h.dir, Exe: os.Args[0]})
	if _, err := first.Adopt(within(t), nothing{}); err != nil {
		t.Fatal(err)
	}
	old := sleepers(t, first, 1)[0]
	second := h.adopt(t, process.Options{})
	if _, err := old.Wait(within(t)); !errors.Is(err, executor.ErrLost) {
		t.Errorf("the older worker's handle: %v", err)
	}
	if _, err := first.Adopt(within(t), nothing{}); err == nil || !strings.Contains(err.Error(), "another worker took over") {
		t.Errorf("the older worker comes back: %v", err)
	}
	if second.Boot() != first.Boot() {
		t.Errorf("the launcher was restarted")
	}
}

// TestLauncherLeavesAlone: without a worker a launcher ends its jobs and goes.
func TestLauncherLeavesAlone(t *testing.T) {
	h := newHost(t)
	x := process.New(process.Options{Dir: h.dir, Exe: os.Args[0], OrphanAfter: 300 * time.Millisecond})
	if _, err := x.Adopt(within(t), nothing{}); err != nil {
		t.Fatal(err)
	}
	pid := x.LauncherPID()
	sleepers(t, x, 2)
	if err := x.Close(within(t), false); err != nil {
		t.Fatal(err)
	}
	until(t, "the launcher is gone", func() bool { return !alive(pid) })
	left, err := filepath.Glob(h.dir + "/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range left {
		switch filepath.Base(f) {
		case "launcher.lock", "launcher.log", "launcher.sock":
		default:
			t.Errorf("left behind: %s", f)
		}
	}
}
