package process_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"drover/internal/executor"
	"drover/internal/executor/executortest"
	"drover/internal/executor/launcher"
	"drover/internal/executor/process"
)

// TestMain makes the test binary a launcher when it is called as one.
func TestMain(m *testing.M) {
	if len(os.Args) == 4 && os.Args[1] == "launcher" && os.Args[2] == "--dir" {
		if err := launcher.Main(context.Background(), os.Args[3]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// host is the state folder of one test.
type host struct {
	dir  string
	last *process.Executor
}

func newHost(t testing.TB) *host { return &host{dir: t.TempDir()} }

func (h *host) client() *process.Executor {
	h.last = process.New(process.Options{Dir: h.dir, Exe: os.Args[0]})
	return h.last
}

func (h *host) inspect() map[string]int {
	pid := strconv.Itoa(h.last.LauncherPID())
	count := func(pattern string) int {
		m, _ := filepath.Glob(pattern)
		return len(m)
	}
	lines := func(file string) int {
		b, _ := os.ReadFile(file)
		return strings.Count(string(b), "\n")
	}
	n := map[string]int{
		"descriptors of the launcher": count("/proc/" + pid + "/fd/*"),
		"descriptors here":            count("/proc/self/fd/*"),
		"mounts":                      lines("/proc/self/mountinfo"),
		"files":                       count(h.dir+"/*") + count(h.dir+"/spill/*"),
		"control groups":              count("/sys/fs/cgroup/memory/drover-*/*/tasks") + count("/sys/fs/cgroup/memory/*/*/drover-*/*/tasks"),
	}
	children := 0
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, s := range stats {
		b, _ := os.ReadFile(s)
		if i := strings.LastIndexByte(string(b), ')'); i > 0 {
			if f := strings.Fields(string(b[i+1:])); len(f) > 1 && f[1] == pid {
				children++
			}
		}
	}
	n["children of the launcher"] = children
	return n
}

func TestContract(t *testing.T) {
	executortest.Run(t, func(t *testing.T) executortest.Subject {
		h := newHost(t)
		return executortest.Subject{
			Client:  func() executor.Executor { return h.client() },
			Limits:  func() (bool, string) { return h.last.Limits() },
			Inspect: h.inspect,
			Shell:   []string{"/bin/sh", "-c"},
		}
	})
}
