package docker_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moby/moby/client"
	"go.uber.org/goleak"

	"drover/internal/core/job"
	"drover/internal/executor"
	"drover/internal/executor/docker"
	"drover/internal/executor/docker/inside"
	"drover/internal/executor/dockertest"
	"drover/internal/executor/executortest"
)

// TestMain makes the test binary what containers get as their redirection.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == inside.RedirectCommand {
		fmt.Fprintln(os.Stderr, inside.Redirect(os.Args[2:]))
		os.Exit(127)
	}
	goleak.VerifyTestMain(m)
}

// host is the state folder of one test and the label of its containers.
type host struct {
	t    testing.TB
	dir  string
	name string
	api  *client.Client
	opts docker.Options
}

func newHost(t testing.TB) *host {
	t.Helper()
	api := dockertest.Engine(t)
	dir := t.TempDir()
	h := &host{t: t, dir: dir, api: api, name: "test-" + strings.ReplaceAll(strings.TrimPrefix(dir, "/"), "/", "-")}
	h.opts = docker.Options{Dir: filepath.Join(dir, "docker"), Host: h.name, Exe: os.Args[0], AllowVolumes: []string{dockertest.HostFolder, os.TempDir()}}
	return h
}

func (h *host) client() *docker.Executor {
	h.t.Helper()
	x, err := docker.New(h.opts)
	if err != nil {
		h.t.Fatal(err)
	}
	return x
}

func (h *host) containers() int {
	found, err := h.api.ContainerList(context.Background(), client.ContainerListOptions{All: true, Filters: client.Filters{}.Add("label", "drover.host="+h.name)})
	if err != nil {
		h.t.Fatal(err)
	}
	return len(found.Items)
}

func (h *host) inspect() map[string]int {
	count := func(pattern string) int {
		m, _ := filepath.Glob(pattern)
		return len(m)
	}
	volumes, err := h.api.VolumeList(context.Background(), client.VolumeListOptions{})
	if err != nil {
		h.t.Fatal(err)
	}
	return map[string]int{
		"containers":       h.containers(),
		"volumes":          len(volumes.Items),
		"records":          count(h.opts.Dir + "/attempts/*"),
		"control groups":   count("/sys/fs/cgroup/*/drover/drover-"+h.name+"-*") + count("/sys/fs/cgroup/drover/drover-"+h.name+"-*"),
		"scratch":          count(h.opts.Dir + "/volumes/*"),
		"descriptors here": count("/proc/self/fd/*"),
	}
}

func TestContract(t *testing.T) { contract(t) }

// TestContractOnPodman is the same, on the other engine that serves the API.
func TestContractOnPodman(t *testing.T) {
	t.Setenv("DOCKER_HOST", dockertest.Podman(t))
	contract(t)
}

func contract(t *testing.T) {
	image := dockertest.HostImage(t, dockertest.Engine(t))
	executortest.Run(t, func(t *testing.T) executortest.Subject {
		h := newHost(t)
		return executortest.Subject{
			Client:    func() executor.Executor { return h.client() },
			Limits:    func() (bool, string) { return true, "" },
			Inspect:   h.inspect,
			Shell:     []string{"/bin/sh", "-c"},
			Container: true,
			Adapt: func(a *executor.Attempt) {
				a.Image = image
				a.Mounts = []executor.Mount{{Host: os.TempDir(), Path: os.TempDir()}}
				a.Container = &job.Container{Version: job.ContainerVersion, Init: true, Mounts: []job.Mount{
					{Volume: "programs", Kind: job.HostVolume, Source: dockertest.HostFolder, Path: dockertest.HostFolder, ReadOnly: true},
				}}
			},
		}
	})
}
