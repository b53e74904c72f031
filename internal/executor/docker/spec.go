package docker

import (
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"drover/internal/core/job"
	"drover/internal/executor"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
)

// Labels of every container, for people and for finding them again.
const (
	labelHost  = "drover.host"
	labelLease = "drover.lease" // unit key/index, attempt, fence, member
	labelJob   = "drover.job"
	labelTag   = "drover.tag." // and the name of a tag that was propagated
)

const maxPIDs = 4096

// capabilities are Docker's defaults without NET_RAW, with which a job could pretend to be
// another (Nomad's CVE-2021-32575).
func capabilities() []string {
	return []string{"AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD",
		"NET_BIND_SERVICE", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT"}
}

// check says why an attempt cannot have the container it asks for; nil if it can.
func (x *Executor) check(a executor.Attempt) error {
	if err := x.checkShared(a); err != nil {
		return err
	}
	c := a.Container
	if c == nil {
		return nil
	}
	switch {
	case c.Version > job.ContainerVersion:
		return fmt.Errorf("its container is described in form %d and this worker knows form %d; run the same release of drover on both sides", c.Version, job.ContainerVersion)
	case c.Privileged && !x.opts.AllowPrivileged:
		return errors.New("privileged is not allowed on this host; start its worker with --allow-privileged")
	case c.Architecture != "" && c.Architecture != hostArchitecture():
		return fmt.Errorf("it wants the architecture %s and this host is %s", c.Architecture, hostArchitecture())
	case c.RegistrySecret != "":
		return errors.New("repositoryCredentials are not looked up here; give the worker the registry's login with --registry-auth FILE")
	case c.EphemeralGiB > 0:
		return errors.New("ephemeralStorage cannot be kept here; leave it out")
	}
	for _, d := range c.Devices {
		if !slices.Contains(x.opts.AllowDevices, path.Clean(d.Host)) {
			return fmt.Errorf("the device %s is not allowed on this host; start its worker with --allow-device %s", d.Host, d.Host)
		}
	}
	for _, t := range c.Tmpfs {
		if !path.IsAbs(t.Path) || path.Clean(t.Path) == "/" {
			return fmt.Errorf("the containerPath %q of a tmpfs must be an absolute path below /", t.Path)
		}
		for _, o := range t.Options {
			if strings.ContainsAny(o, ",=") && strings.HasPrefix(o, "size") {
				return fmt.Errorf("the tmpfs option %q would change its size; use size", o)
			}
		}
	}
	return nil
}

func hostArchitecture() string {
	if runtime.GOARCH == "arm64" {
		return "ARM64"
	}
	return "X86_64"
}

// spec is what the engine is asked for.
func (x *Executor) spec(a executor.Attempt, i *image, s said, network container.NetworkMode) (client.ContainerCreateOptions, error) {
	var none client.ContainerCreateOptions
	if err := x.check(a); err != nil {
		return none, err
	}
	mounts, err := x.mounts(a, filepath.Join(x.scratch(), s.scratch()))
	if err != nil {
		return none, err
	}
	config := &container.Config{
		Image: i.id, Cmd: a.Command, Env: a.Environment, WorkingDir: a.BoxDir,
		Labels: map[string]string{labelHost: x.opts.Host, labelJob: a.Name, labelLease: leaseLabel(a.ID())},
	}
	for name, value := range a.Tags {
		config.Labels[labelTag+name] = value
	}
	if a.Stdin != "" || a.Stdout != "" {
		program, err := x.redirection(config, a, i)
		if err != nil {
			return none, err
		}
		mounts = append(mounts, program)
	}
	host := &container.HostConfig{
		Resources:   x.resources(a, s),
		Mounts:      mounts,
		NetworkMode: network,
		LogConfig:   x.logConfig(),
		IpcMode:     container.IPCModePrivate,
		SecurityOpt: []string{"no-new-privileges"},
		CapDrop:     []string{"ALL"},
		CapAdd:      capabilities(),
	}
	if a.Shared != nil {
		join(host, a, s.Pod)
	}
	if c := a.Container; c != nil {
		config.User = c.User
		host.ReadonlyRootfs = c.ReadonlyRoot
		host.ShmSize = int64(c.SharedMemoryMiB) << 20
		if c.Init {
			host.Init = &c.Init
		}
		if c.Privileged {
			host.Privileged, host.SecurityOpt, host.CapDrop, host.CapAdd = true, nil, nil, nil
		}
		for _, t := range c.Tmpfs {
			if host.Tmpfs == nil {
				host.Tmpfs = map[string]string{}
			}
			host.Tmpfs[t.Path] = strings.Join(append([]string{"size=" + strconv.Itoa(int(t.SizeMiB)) + "m"}, t.Options...), ",")
		}
	}
	return client.ContainerCreateOptions{Config: config, HostConfig: host, Name: s.Container}, nil
}

func leaseLabel(id executor.ID) string {
	l := id.Lease
	return fmt.Sprintf("%d/%d/%d/%d/%d", l.Ref.Key, l.Ref.Index, l.Attempt, l.Fence, id.Member)
}

// resources are a container's limits. vCPUs are shares, as AWS Batch has it: an attempt
// may use what nobody else does.
func (x *Executor) resources(a executor.Attempt, s said) container.Resources {
	pids := int64(maxPIDs)
	r := container.Resources{
		CPUShares: max(a.Need.MilliVCPU*1024/1000, 2),
		Memory:    a.Need.MemoryMiB << 20,
		PidsLimit: &pids,
	}
	r.CgroupParent = x.group(s.Container, r.CPUShares)
	r.MemorySwap = r.Memory // memory and swap together: no swap
	if x.opts.HardCPU && a.Need.MilliVCPU%1000 != 0 {
		r.NanoCPUs = a.Need.MilliVCPU * 1_000_000
	}
	if len(a.Devices) > 0 { // a count would be the same first GPUs for every container
		r.DeviceRequests = []container.DeviceRequest{{DeviceIDs: a.Devices, Capabilities: [][]string{{"gpu"}}}}
	}
	c := a.Container
	if c == nil {
		return r
	}
	if c.MaxSwapMiB != nil {
		r.MemorySwap += int64(*c.MaxSwapMiB) << 20
		if c.Swappiness != nil && *c.MaxSwapMiB > 0 {
			s := int64(*c.Swappiness)
			r.MemorySwappiness = &s
		}
	}
	for _, u := range c.Ulimits {
		r.Ulimits = append(r.Ulimits, &container.Ulimit{Name: u.Name, Soft: u.Soft, Hard: u.Hard})
	}
	for _, d := range c.Devices {
		m := container.DeviceMapping{PathOnHost: d.Host, PathInContainer: d.Path, CgroupPermissions: d.Permissions}
		if m.PathInContainer == "" {
			m.PathInContainer = d.Host
		}
		if m.CgroupPermissions == "" {
			m.CgroupPermissions = "rwm"
		}
		r.Devices = append(r.Devices, m)
	}
	return r
}

// logFiles is in how many files the engine keeps a container's output; the oldest goes when
// the last is full. With more of them, who follows a log and is late by more than one file
// would lose the rest in silence.
const logFiles = 2

// logFile is the size of one of them.
func (x *Executor) logFile() int64 { return max(x.opts.LogMiB/logFiles, 1) << 20 }

// logConfig keeps output, byte for byte, until it is read: Docker's default driver replaces
// what is not UTF-8. What is kept is bounded, for the disk is everybody's.
func (x *Executor) logConfig() container.LogConfig {
	if x.isPodman() {
		return container.LogConfig{}
	}
	return container.LogConfig{Type: "local", Config: map[string]string{"max-size": strconv.FormatInt(x.logFile(), 10), "max-file": strconv.Itoa(logFiles), "compress": "false"}}
}
