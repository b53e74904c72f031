// Package launcher is the small process that owns a host's job processes, their output
// and their exit codes, so that the worker and the manager can be restarted, upgraded or
// killed while jobs run.
//
// It promises:
//
//   - One launcher per state folder, found by a lock file and a Unix socket in it. It runs
//     in a session of its own and talks to one worker at a time; a newer one replaces the
//     older.
//   - An attempt is started at most once. What it wrote and how it ended is kept until the
//     worker has acknowledged it; a worker that connects again is told all of the rest.
//   - A job never waits for its worker: output that nobody fetches is kept in memory
//     (256 KiB), then in a file (64 MiB), then counted and dropped with a line that says so.
//   - When the main process ends, everything that it left in its process group or control
//     group is killed. As root, memory limits are kept by control groups (v1, v2, hybrid).
//   - Timeouts and the grace of a stop are kept here, so that they hold while no worker is
//     there. Nothing of the launcher's own environment, files or limits reaches a job.
//   - When the launcher itself is killed its jobs die with it (parent-death signal), and
//     what else they left is killed by the next launcher (control groups, and a record of
//     processes with their start times). The next one has another Boot id.
package launcher

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	lockName      = "launcher.lock"
	socketName    = "launcher.sock"
	recordsName   = "launcher.jobs"
	logName       = "launcher.log"
	defaultOrphan = 10 * time.Minute
)

// Main runs a launcher on the state folder until it is told to leave, its worker has been
// away for too long, or ctx ends; its jobs are killed then. It changes the whole process
// (signals, limits, umask), so it must be the process's only purpose.
func Main(ctx context.Context, dir string) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	prepareProcess()
	ctx, release := signal.NotifyContext(ctx, syscall.SIGTERM)
	defer release()
	lock, err := takeLock(dir)
	if err != nil {
		return err
	}
	defer lock.Close()
	s, err := newServer(dir)
	if err != nil {
		return err
	}
	defer s.close()
	l, err := listen(dir)
	if err != nil {
		return err
	}
	defer l.Close()
	go s.accept(l)
	s.mu.Lock()
	s.expectWorker()
	s.mu.Unlock()
	if s.groups != nil {
		s.groups.warm(2 * runtime.NumCPU())
	}
	select {
	case <-ctx.Done():
		s.leave()
	case <-s.left:
	}
	<-s.left
	return nil
}

// prepareProcess makes this process a good parent: nothing of it leaks into children.
func prepareProcess() {
	debug.SetGCPercent(400) // a small heap; collecting it more often would cost more than it saves
	_ = unix.CloseRange(3, ^uint(0), unix.CLOSE_RANGE_CLOEXEC)
	_ = unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{})
	unix.Umask(0o022)
	// A handled signal is back at its default in a child, an ignored one stays ignored.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGPIPE, syscall.SIGUSR1, syscall.SIGUSR2)
}

// takeLock makes this the folder's only launcher.
func takeLock(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(dir, lockName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		pid, _ := os.ReadFile(f.Name())
		_ = f.Close()
		return nil, fmt.Errorf("another launcher (process %s) serves %s", strings.TrimSpace(string(pid)), dir)
	}
	if err := f.Truncate(0); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if _, err := f.WriteString(strconv.Itoa(os.Getpid()) + "\n"); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func newServer(dir string) (*server, error) {
	var id [8]byte
	_, _ = rand.Read(id[:]) // never fails (crypto/rand)
	bootID, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return nil, fmt.Errorf("/proc is needed: %w", err)
	}
	if err := os.RemoveAll(filepath.Join(dir, "spill")); err != nil {
		return nil, err
	}
	s := &server{
		dir:      dir,
		boot:     hex.EncodeToString(id[:]),
		attempts: map[Key]*attempt{},
		left:     make(chan struct{}),
		orphan:   defaultOrphan,
		oomScore: protectFromOOM(),
		log: func(format string, args ...any) {
			fmt.Fprintf(os.Stderr, "%s launcher: %s\n", time.Now().Format(time.RFC3339), fmt.Sprintf(format, args...))
		},
	}
	s.buffers.New = func() any { return new([readMax]byte) }
	if s.null, err = os.Open(os.DevNull); err != nil {
		return nil, err
	}
	if s.records, err = openRecords(filepath.Join(dir, recordsName), strings.TrimSpace(string(bootID))); err != nil {
		return nil, err
	}
	if s.groups, err = openCgroups(dir); err != nil {
		s.limits = "memory limits are not kept: " + err.Error()
	} else {
		s.limits = s.groups.kind()
	}
	n := 4 * runtime.NumCPU()
	s.launching = make(chan struct{}, n)
	s.threads = make(chan *thread, n)
	if s.groups == nil || s.groups.v2 {
		for range n {
			s.threads <- newThread()
		}
	}
	return s, nil
}

func (s *server) close() {
	for len(s.threads) > 0 {
		(<-s.threads).stop()
	}
	if s.groups != nil {
		s.groups.close()
	}
	s.records.close()
	_ = s.null.Close()
	_ = os.RemoveAll(filepath.Join(s.dir, "spill"))
}

// protectFromOOM makes the kernel prefer other victims. It gives the value that jobs get
// back, nil if nothing changed.
func protectFromOOM() []byte {
	const file = "/proc/self/oom_score_adj"
	was, err := os.ReadFile(file)
	if err != nil || os.WriteFile(file, []byte("-500"), 0) != nil {
		return nil
	}
	if n, _ := strconv.Atoi(strings.TrimSpace(string(was))); n < 0 {
		return []byte("0")
	}
	return was
}

func (s *server) accept(l *net.UnixListener) {
	for {
		nc, err := l.AcceptUnix()
		if err != nil {
			return // closed
		}
		if !sameUser(nc) {
			_ = nc.Close()
			continue
		}
		go s.serve(nc)
	}
}

// sameUser keeps other users out, whatever the folder's mode is.
func sameUser(nc *net.UnixConn) bool {
	raw, err := nc.SyscallConn()
	if err != nil {
		return false
	}
	ok := false
	err = raw.Control(func(fd uintptr) {
		c, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
		ok = err == nil && (int(c.Uid) == os.Geteuid() || c.Uid == 0)
	})
	return err == nil && ok
}
