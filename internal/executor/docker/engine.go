package docker

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/client"
)

const (
	checkEvery = 5 * time.Second // between looks at an engine that answers
	retryEvery = time.Second     // and at one that does not
)

// away reports whether an error means that the engine is not there or hangs, so that the
// same question may have another answer later.
func away(err error) bool {
	if err == nil {
		return false
	}
	var timeout net.Error
	return client.IsErrConnectionFailed(err) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ENOENT) ||
		errors.Is(err, context.DeadlineExceeded) || errdefs.IsUnavailable(err) || errors.As(err, &timeout) && timeout.Timeout()
}

// patiently repeats do while the engine is away, for as long as limit after it first was;
// 0 = as long as ctx lasts.
func (x *Executor) patiently(ctx context.Context, limit time.Duration, do func(context.Context) error) error {
	var until time.Time
	for n := 0; ; n++ {
		err := do(ctx)
		if !away(err) || ctx.Err() != nil {
			return err
		}
		x.suspect()
		now := time.Now()
		switch {
		case n == 0 && limit > 0:
			until = now.Add(limit)
		case limit > 0 && now.After(until):
			return err
		}
		t := time.NewTimer(min(50*time.Millisecond<<min(n, 6), 2*time.Second))
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return ctx.Err()
		}
	}
}

// listens reports whether the engine takes new connections. One that is told to end stops
// doing that first, then ends its containers, and all that time still answers on the
// connections that it has.
func (x *Executor) listens() bool {
	c, err := net.DialTimeout("unix", x.socket(), time.Second)
	if err == nil {
		_ = c.Close()
	}
	return err == nil
}

// suspect makes Watch look at once.
func (x *Executor) suspect() {
	select {
	case x.nudge <- struct{}{}:
	default:
	}
}

// Watch implements executor.Engine.
func (x *Executor) Watch(ctx context.Context, changed func(away error)) {
	first, up := true, false
	for ctx.Err() == nil && x.life.Err() == nil {
		err := x.look(ctx)
		if ctx.Err() != nil || x.life.Err() != nil {
			return
		}
		if now := err == nil; first || now != up {
			first, up = false, now
			changed(err)
		}
		pause := checkEvery
		if !up {
			pause = retryEvery
		}
		nudge := x.nudge
		if !up {
			nudge = nil // known already; whoever noticed does not make it come back sooner
		}
		t := time.NewTimer(pause)
		select {
		case <-t.C:
		case <-nudge:
		case <-ctx.Done():
		case <-x.life.Done():
		}
		t.Stop()
	}
}

// look asks the engine whether it is there. At the first answer what nobody has is removed.
func (x *Executor) look(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, callFor)
	defer cancel()
	x.mu.Lock()
	known := x.swept
	x.mu.Unlock()
	if known {
		_, err := x.api.Ping(ctx, client.PingOptions{})
		return err
	}
	if err := x.learn(ctx); err != nil {
		return err
	}
	return x.sweep(ctx)
}

// learn asks the engine, once, what kind it is.
func (x *Executor) learn(ctx context.Context) error {
	x.mu.Lock()
	known := x.learned
	x.mu.Unlock()
	if known {
		return nil
	}
	v, err := x.api.ServerVersion(ctx, client.ServerVersionOptions{})
	if err != nil {
		return err
	}
	info, err := x.api.Info(ctx, client.InfoOptions{})
	if err != nil {
		return err
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.keeps = info.Info.LiveRestoreEnabled
	x.groups = findGroups(cgroupRoot, info.Info.CgroupDriver, info.Info.CgroupVersion)
	for _, c := range v.Components {
		x.podman = x.podman || strings.Contains(c.Name, "Podman")
	}
	x.learned = true
	return nil
}

// sweep removes this host's containers that have no record: their making was given up.
func (x *Executor) sweep(ctx context.Context) error {
	names, err := x.list(ctx)
	if err != nil {
		return err
	}
	x.mu.Lock()
	kept, scratch := map[string]bool{}, map[string]bool{}
	for _, h := range x.handles {
		if h.rec != nil {
			s := h.rec.get()
			kept[s.Container], scratch[s.scratch()] = true, true
			if s.Pod != "" {
				kept[pauseName(s.Pod)] = true
			}
		}
	}
	x.swept = true
	x.mu.Unlock()
	for _, name := range names {
		if !kept[name] {
			x.log.Warn("removing a container that no attempt has", "container", name)
			if err := x.remove(ctx, name); err != nil {
				return err
			}
		}
	}
	x.sweepGroups(kept)
	folders, _ := os.ReadDir(x.scratch()) // none: nothing was ever shared
	for _, f := range folders {
		if !scratch[f.Name()] {
			_ = os.RemoveAll(filepath.Join(x.scratch(), f.Name())) // what is left goes when the folder is given up
		}
	}
	return nil
}

// list names the containers of this host.
func (x *Executor) list(ctx context.Context) ([]string, error) {
	found, err := x.api.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: client.Filters{}.Add("label", labelHost+"="+x.opts.Host)})
	if err != nil {
		return nil, err
	}
	var names []string
	for _, c := range found.Items {
		for _, n := range c.Names {
			names = append(names, strings.TrimPrefix(n, "/"))
			break
		}
	}
	return names, nil
}

// remove removes a container and its volumes, killing it if it runs.
func (x *Executor) remove(ctx context.Context, name string) error {
	_, err := x.api.ContainerRemove(ctx, name, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
	if errdefs.IsNotFound(err) || errdefs.IsConflict(err) && strings.Contains(err.Error(), "already in progress") {
		err = nil
	}
	return err
}

// release removes the container of an attempt, and with the last one of a pod what the pod
// had in common.
func (x *Executor) release(ctx context.Context, s said) error {
	if err := x.remove(ctx, s.Container); err != nil {
		return err
	}
	if err := x.ungroup(s.Container); err != nil {
		x.log.Debug("a control group is left behind", "error", err)
	}
	if s.Pod != "" {
		x.mu.Lock()
		for _, h := range x.handles {
			if h.rec != nil && h.rec.get().Pod == s.Pod {
				x.mu.Unlock()
				return nil
			}
		}
		delete(x.pods, s.Pod)
		x.mu.Unlock()
		if err := x.remove(ctx, pauseName(s.Pod)); err != nil {
			return err
		}
	}
	_ = os.RemoveAll(filepath.Join(x.scratch(), s.scratch())) // what is left goes when the folder is given up
	return nil
}
