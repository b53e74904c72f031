package launcher

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"drover/internal/core/job"
)

const (
	timeoutGrace = 30 * time.Second // between SIGTERM and SIGKILL of a job over its timeout
	drainTime    = time.Second      // for output after the command's end, if something still holds its pipe
	readMax      = 64 << 10
)

// attempt is one command and what is known of it.
//
//	launching ─→ running ─→ ended ─→ (forgotten)
//	    └──── not started ────↑
type attempt struct {
	key  Key
	spec *Start
	out  output

	// Guarded by server.mu.
	pid     int
	live    bool      // pid is ours: not reaped
	started int64     // µs; 0 = the command never ran
	stop    job.Cause // why it was asked to stop
	grace   time.Duration
	kill    *time.Timer // SIGKILL at the end of the grace
	clock   *time.Timer // the timeout
	ended   *Ended
	dirty   bool // in server.dirty
	told    struct{ start, end bool }

	// Of the goroutine that runs it.
	pidfd int
	pipe  *os.File
	slot  int
	group *group
}

// run takes an attempt from launch to end. It is the attempt's goroutine.
func (s *server) run(a *attempt) {
	defer s.running.Done()
	reason := s.launch(a)
	if reason != "" {
		s.releaseGroup(a)
		s.end(a, &Ended{Exit: job.Exit{Reason: reason, Cause: job.CauseStart}, At: time.Now().UnixMicro()})
		return
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		s.readOutput(a)
	}()
	ended := s.wait(a)
	s.releaseGroup(a)
	select {
	case <-read:
	default: // mostly the last bytes are on their way; else a process that left the group holds the pipe
		_ = a.pipe.SetReadDeadline(time.Now().Add(drainTime))
		<-read
	}
	_ = a.pipe.Close()
	a.out.finish(time.Now())
	s.records.done(a.slot)
	s.end(a, ended)
}

func (s *server) end(a *attempt, e *Ended) {
	s.mu.Lock()
	if e.Exit.Code == nil && a.stop != "" {
		e.Exit.Cause = a.stop // asked to stop before it ran
	}
	a.ended = e
	a.spec.Command, a.spec.Environment = nil, nil
	if a.clock != nil {
		a.clock.Stop()
	}
	if a.kill != nil {
		a.kill.Stop()
	}
	s.markLocked(a)
	s.mu.Unlock()
}

// launch starts the command. A reason says why it could not.
func (s *server) launch(a *attempt) (reason string) {
	spec := a.spec
	if len(spec.Command) == 0 {
		return cannotStart("the command is empty; give the job definition a command")
	}
	path, reason := lookPath(spec.Command[0], spec.Environment, spec.Dir)
	if reason != "" {
		return reason
	}
	stdin := s.null
	if spec.Stdin != "" {
		f, err := os.Open(spec.Stdin)
		if err != nil {
			return cannotStart("its standard input: %v", err)
		}
		defer f.Close()
		stdin = f
	}
	var stdout *os.File
	if spec.Stdout != "" {
		f, err := os.OpenFile(spec.Stdout, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
		if err != nil {
			return cannotStart("its standard output: %v", err)
		}
		defer f.Close()
		stdout = f
	}
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
		return cannotStart("no pipe for its output: %v", err)
	}
	_ = unix.SetNonblock(p[0], true) // a fresh pipe's end: cannot fail
	a.pipe = os.NewFile(uintptr(p[0]), "output")
	files := []uintptr{stdin.Fd(), uintptr(p[1]), uintptr(p[1])}
	if stdout != nil {
		files[1] = stdout.Fd()
	}
	err := s.fork(a, path, files)
	_ = unix.Close(p[1])
	if err == nil {
		return ""
	}
	_ = a.pipe.Close()
	if g, ok := errors.AsType[*groupError](err); ok {
		return cannotStart("no control group for its memory limit: %v", g.err)
	}
	return startReason(err, path, spec.Dir)
}

type groupError struct{ err error }

func (e *groupError) Error() string { return e.err.Error() }

// fork creates the process, inside its control group from its first instruction on.
func (s *server) fork(a *attempt, path string, files []uintptr) (err error) {
	sys := &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL, PidFD: &a.pidfd}
	if s.groups != nil {
		if a.group, err = s.groups.take(a.spec.MemoryMiB << 20); err != nil {
			return &groupError{err}
		}
		if a.group.fd >= 0 {
			sys.UseCgroupFD, sys.CgroupFD = true, a.group.fd
		}
	}
	var pid int
	create := func() {
		a.slot = s.records.begin(a.spec.Dir)
		pid, _, err = syscall.StartProcess(path, a.spec.Command, &syscall.ProcAttr{
			Dir: a.spec.Dir, Env: a.spec.Environment, Files: files, Sys: sys,
		})
		if err != nil {
			s.records.done(a.slot)
			return
		}
		s.records.started(a.slot, pid)
	}
	s.launching <- struct{}{}
	if a.group != nil && a.group.thread != nil {
		a.group.thread.do(create)
	} else {
		t := <-s.threads
		t.do(create)
		s.threads <- t
	}
	<-s.launching
	if err != nil {
		return err
	}
	if s.oomScore != nil {
		_ = os.WriteFile("/proc/"+strconv.Itoa(pid)+"/oom_score_adj", s.oomScore, 0) // raising is always allowed
	}
	s.mu.Lock()
	a.pid, a.live, a.started = pid, true, time.Now().UnixMicro()
	if t := a.spec.TimeoutMillis; t > 0 {
		a.clock = time.AfterFunc(time.Duration(t)*time.Millisecond, func() { s.stop(a, timeoutGrace, job.CauseTimeout) })
	}
	if a.stop != "" {
		s.signalStop(a)
	}
	s.markLocked(a)
	s.mu.Unlock()
	return nil
}

// stop asks a running command to end. A second call can only shorten the grace.
func (s *server) stop(a *attempt, grace time.Duration, cause job.Cause) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a.ended != nil {
		return
	}
	if a.stop == "" {
		a.stop, a.grace = cause, grace
		if a.live {
			s.signalStop(a)
		}
		return
	}
	if grace < a.grace {
		a.grace = grace
		if a.kill != nil {
			a.kill.Reset(grace)
		}
	}
}

// signalStop sends SIGTERM now and SIGKILL after the grace. server.mu is held, so the
// process is not reaped and its number is nobody else's.
func (s *server) signalStop(a *attempt) {
	if a.grace > 0 {
		_ = unix.Kill(-a.pid, unix.SIGTERM)
	}
	a.kill = time.AfterFunc(a.grace, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if a.live {
			_ = unix.Kill(-a.pid, unix.SIGKILL)
		}
	})
}

// wait returns when the main process has ended; everything else in its group is dead then.
func (s *server) wait(a *attempt) *Ended {
	s.awaitExit(a)
	at := time.Now().UnixMicro()
	s.mu.Lock()
	_ = unix.Kill(-a.pid, unix.SIGKILL) // its group, while the dead leader still holds the number
	a.live = false
	stop := a.stop
	s.mu.Unlock()
	var status unix.WaitStatus
	var used unix.Rusage
	for {
		_, err := unix.Wait4(a.pid, &status, 0, &used)
		if err != unix.EINTR {
			break
		}
	}
	memory := a.group != nil && (status.Signaled() || status.ExitStatus() != 0) && a.group.outOfMemory()
	e := &Ended{Exit: exitOf(status, memory, stop), At: at}
	e.Exit.Usage = job.Usage{
		CPUMillis: (used.Utime.Nano() + used.Stime.Nano() + 500_000) / 1_000_000,
		// At least the launcher's own peak: the kernel carries it over exec.
		PeakMemKiB: used.Maxrss,
	}
	return e
}

// exitOf puts an exit into the words of the job model.
func exitOf(status unix.WaitStatus, memory bool, stop job.Cause) job.Exit {
	code := int32(status.ExitStatus())
	cause := job.Cause("")
	if status.Signaled() {
		code, cause = 128+int32(status.Signal()), job.CauseSignal
	} else if code != 0 {
		cause = job.CauseExit
	}
	x := job.Exit{Code: &code, Cause: cause}
	switch {
	case stop != "":
		x.Cause = stop
	case memory:
		x.Cause, x.Reason = job.CauseMemory, job.ReasonMemory
	}
	return x
}

// awaitExit blocks until the process is a zombie. With a pidfd no OS thread waits.
func (s *server) awaitExit(a *attempt) {
	if a.pidfd >= 0 && s.pollExit(a) {
		return
	}
	for {
		err := unix.Waitid(unix.P_PID, a.pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if err != unix.EINTR {
			return
		}
	}
}

func (s *server) pollExit(a *attempt) bool {
	_ = unix.SetNonblock(a.pidfd, true) // so that it is watched by the poller, not by a thread
	f := os.NewFile(uintptr(a.pidfd), "pidfd")
	defer f.Close()
	raw, err := f.SyscallConn()
	if err != nil {
		return false
	}
	gone := false
	err = raw.Read(func(fd uintptr) bool {
		var info unix.Siginfo
		err := unix.Waitid(unix.P_PIDFD, int(fd), &info, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
		gone = err == nil && info.Signo != 0
		return gone || (err != nil && err != unix.EINTR && err != unix.EAGAIN)
	})
	return err == nil && gone
}

// readOutput moves the pipe's bytes to a.out until its end. A buffer is held only while
// there is something to read.
func (s *server) readOutput(a *attempt) {
	raw, err := a.pipe.SyscallConn()
	if err != nil {
		return
	}
	for open := true; open; {
		var buf *[readMax]byte
		n := 0
		err := raw.Read(func(fd uintptr) bool {
			if buf == nil {
				buf = s.buffers.Get().(*[readMax]byte)
			}
			var e error
			n, e = unix.Read(int(fd), buf[:])
			if e == unix.EAGAIN {
				s.buffers.Put(buf)
				buf = nil
				return false
			}
			if e == unix.EINTR {
				n = 0
				return true
			}
			open = e == nil && n > 0
			return true
		})
		if err != nil {
			open = false // the drain's deadline
		} else if n > 0 {
			a.out.write(buf[:n], time.Now())
			s.mark(a)
		}
		if buf != nil {
			s.buffers.Put(buf)
		}
	}
}

// releaseGroup ends what is left in the control group and gives it back.
func (s *server) releaseGroup(a *attempt) {
	g := a.group
	if g == nil {
		return
	}
	a.group = nil
	if g.empty() {
		s.groups.put(g)
		return
	}
	s.log("a control group of %s did not become empty; its processes cannot be killed", fmt.Sprint(a.key))
	go g.remove()
}

// spillPath is where the output of an attempt goes that its worker does not fetch.
func (s *server) spillPath(k Key) string {
	return filepath.Join(s.dir, "spill", fmt.Sprintf("%d-%d-%d-%d", k.Job, k.Index, k.Fence, k.Member))
}
