package docker

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"drover/internal/core/job"
	"drover/internal/executor"
	"drover/internal/executor/docker/inside"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
	"github.com/moby/moby/client"
)

// pauseMemory bounds the container that holds a pod's namespaces.
const pauseMemory = 64 << 20

// pod is what the containers of one attempt have in common: a container of its own that
// does nothing but hold their network, and what other namespaces they share. It is there
// before the first of them and until the last is forgotten, so that each may come and go.
type pod struct {
	mu    sync.Mutex // held while it is made
	ready bool
}

func pauseName(pod string) string { return pod + "-pause" }

// paused reports whether an attempt's containers need one that holds their namespaces.
func paused(a executor.Attempt) bool {
	s := a.Shared
	return s != nil && (!a.HostNetwork || s.PIDMode == job.TaskNamespace || s.IPCMode == job.TaskNamespace)
}

func (x *Executor) checkShared(a executor.Attempt) error {
	switch s := a.Shared; {
	case s == nil:
		return nil
	case s.PIDMode == job.HostNamespace && !x.opts.AllowPrivileged:
		return errors.New("pidMode host shows a job every process of the host and is not allowed on this one; start its worker with --allow-privileged")
	case s.IPCMode == job.HostNamespace && !x.opts.AllowPrivileged:
		return errors.New("ipcMode host shares the memory of the host's own programs and is not allowed on this one; start its worker with --allow-privileged")
	case paused(a) && x.opts.Exe == "":
		return errors.New("several containers in one network need the program of the worker, which is not known")
	}
	return nil
}

// join puts a container into the namespaces of its pod.
func join(host *container.HostConfig, a executor.Attempt, pod string) {
	in := "container:" + pauseName(pod)
	if !a.HostNetwork {
		host.NetworkMode = container.NetworkMode(in)
	}
	switch a.Shared.PIDMode {
	case job.TaskNamespace:
		host.PidMode = container.PidMode(in)
	case job.HostNamespace:
		host.PidMode = "host"
	}
	switch a.Shared.IPCMode {
	case job.TaskNamespace:
		host.IpcMode = container.IpcMode(in)
	case job.HostNamespace:
		host.IpcMode = container.IPCModeHost
	}
}

// share sees to it that the container which holds a pod's namespaces runs. It is made of
// the image that is there anyway and the worker's own program.
func (x *Executor) share(ctx context.Context, a executor.Attempt, i *image, name string, network container.NetworkMode) error {
	if !paused(a) {
		return nil
	}
	x.mu.Lock()
	p := x.pods[name]
	if p == nil {
		p = &pod{}
		x.pods[name] = p
	}
	x.mu.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ready {
		return nil
	}
	err := x.patiently(ctx, startFor, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, startFor)
		defer cancel()
		_, err := x.api.ContainerCreate(ctx, x.pauseSpec(a, i, name, network))
		if err != nil && !errdefs.IsConflict(err) { // a conflict: an earlier call, or worker, made it
			return err
		}
		_, err = x.api.ContainerStart(ctx, pauseName(name), client.ContainerStartOptions{})
		return err
	})
	if err != nil {
		return fmt.Errorf("the network that the job's containers share cannot be made: %w", err)
	}
	p.ready = true
	return nil
}

func (x *Executor) pauseSpec(a executor.Attempt, i *image, name string, network container.NetworkMode) client.ContainerCreateOptions {
	pids := int64(64)
	host := &container.HostConfig{
		NetworkMode: network, IpcMode: "shareable", ReadonlyRootfs: true,
		SecurityOpt: []string{"no-new-privileges"}, CapDrop: []string{"ALL"},
		Mounts:    []mount.Mount{bind(x.opts.Exe, redirectPath, true)},
		LogConfig: container.LogConfig{Type: "none"},
		Resources: container.Resources{Memory: pauseMemory, MemorySwap: pauseMemory, CPUShares: 2, PidsLimit: &pids},
	}
	return client.ContainerCreateOptions{Name: pauseName(name), HostConfig: host, Config: &container.Config{
		Image: i.id, Entrypoint: []string{redirectPath, inside.PauseCommand}, User: "65534:65534",
		Labels: map[string]string{labelHost: x.opts.Host, labelJob: a.Name},
	}}
}
