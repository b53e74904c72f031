package rig

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Group is a cpuacct control group (v1) around a drover and all that it starts; the zero
// group, where there is no such controller, measures nothing.
type Group struct{ dir string }

func NewGroup() *Group {
	b, err := os.ReadFile("/proc/mounts")
	if err != nil {
		return &Group{}
	}
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) > 3 && f[2] == "cgroup" && strings.Contains(","+f[3]+",", ",cpuacct,") {
			dir := filepath.Join(f[1], fmt.Sprintf("drover-bench-%d-%d", os.Getpid(), time.Now().UnixNano()))
			if os.Mkdir(dir, 0o755) == nil {
				return &Group{dir}
			}
		}
	}
	return &Group{}
}

// Start starts a command inside the group: the thread that forks is in it for the moment.
func (g *Group) Start(cmd *exec.Cmd) error {
	if g.dir == "" {
		return cmd.Start()
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	tid := strconv.Itoa(syscall.Gettid())
	if err := os.WriteFile(filepath.Join(g.dir, "tasks"), []byte(tid), 0); err != nil {
		return err
	}
	defer func() { _ = os.WriteFile(filepath.Join(filepath.Dir(g.dir), "tasks"), []byte(tid), 0) }()
	return cmd.Start()
}

// CPU is what the group has used.
func (g *Group) CPU() (time.Duration, bool) {
	if g.dir == "" {
		return 0, false
	}
	b, err := os.ReadFile(filepath.Join(g.dir, "cpuacct.usage"))
	if err != nil {
		return 0, false
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
	return time.Duration(n), err == nil
}

// Remove deletes the group once its last process has gone.
func (g *Group) Remove() error {
	if g.dir == "" {
		return nil
	}
	var err error
	for range 200 {
		if err = os.Remove(g.dir); err == nil || errors.Is(err, os.ErrNotExist) {
			return nil
		}
		time.Sleep(25 * time.Millisecond)
	}
	return fmt.Errorf("processes are left in the bench's group: %w", err)
}
