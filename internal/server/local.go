package server

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// Terms of the local worker and of ending.
const (
	workerCheck = time.Second
	endJobsFor  = 35 * time.Second // SIGTERM, 30 s, SIGKILL, and a little
	leaveFor    = 10 * time.Second
	houseEvery  = time.Minute
)

// keepWorker sees to it that a worker runs on the data folder. The worker is a process in
// a session of its own that outlives this one; the lock it holds tells that it is there.
func (s *Server) keepWorker(ctx context.Context) {
	if len(s.opt.Worker) == 0 {
		return
	}
	t := time.NewTicker(workerCheck)
	defer t.Stop()
	for {
		if !s.workerRuns() {
			if err := s.startWorker(); err != nil {
				s.log.Error("cannot start the worker", "error", err)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}

// workerLock is the file that a running worker of this data folder keeps locked.
func (s *Server) workerLock() string { return filepath.Join(s.opt.Data, "worker", "worker.lock") }

func (s *Server) workerRuns() bool {
	f, err := os.OpenFile(s.workerLock(), os.O_RDWR, 0)
	if err != nil {
		return false
	}
	defer f.Close()
	return errors.Is(syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB), syscall.EWOULDBLOCK)
}

func (s *Server) startWorker() error {
	log, err := os.OpenFile(s.path("worker.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(s.opt.Worker[0], s.opt.Worker[1:]...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return err
	}
	// Reap it if it ends before we do; its end is noticed by its lock.
	go func() {
		if err := cmd.Wait(); err != nil {
			s.log.Warn("the worker ended", "error", err, "log", s.path("worker.log"))
		}
	}()
	return nil
}

// keepHouse deletes what has been kept long enough.
func (s *Server) keepHouse(ctx context.Context) {
	t := time.NewTicker(houseEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		for more := true; more && ctx.Err() == nil; {
			n, err := s.manager.Purge(ctx, time.Now(), s.opt.Retain)
			if err != nil {
				s.log.Warn("purging ended jobs", "error", err)
			}
			k, err := s.logs.Purge(ctx, time.Now())
			if err != nil {
				s.log.Warn("purging logs", "error", err)
			}
			more = n > 0 || k > 0
		}
		if err := s.objects.KeepHouse(ctx, false); err != nil && ctx.Err() == nil {
			s.log.Warn("the object store's housekeeping", "error", err)
		}
	}
}

// wind brings the server to its end: with --drain it waits for running jobs, and where
// jobs end with the server it terminates them and sends the workers away.
func (s *Server) wind() {
	ctx := context.Background()
	if s.opt.Drain && !s.life.endJobs() {
		s.log.Info("draining: waiting until no job runs; a second signal ends the server at once")
		s.waitIdle(ctx, 0)
	}
	if !s.life.endJobs() {
		return
	}
	if err := s.manager.TerminateAll(ctx, "the server was stopped with its jobs"); err != nil {
		s.log.Error("terminating jobs", "error", err)
	}
	s.waitIdle(ctx, endJobsFor)
	s.life.send()
	deadline := time.Now().Add(leaveFor)
	for s.workerRuns() && time.Now().Before(deadline) {
		time.Sleep(20 * time.Millisecond)
	}
}

// waitIdle waits until no unit is STARTING or RUNNING, for at most limit (0 = for ever).
func (s *Server) waitIdle(ctx context.Context, limit time.Duration) {
	if limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, limit)
		defer cancel()
	}
	for {
		changed := s.manager.Changed()
		n, err := s.manager.Running(ctx)
		if err != nil || n == 0 {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}
