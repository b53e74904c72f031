package batch

import (
	"slices"
	"unicode/utf8"

	"drover/internal/core/job"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
)

// The bounds of containerProperties (AWS Batch API Reference, ContainerProperties).
const (
	maxImage      = 255
	minStorageGiB = 21
	maxStorageGiB = 200
)

// ulimitNames are the limits that a container may have.
var ulimitNames = [...]string{
	"core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice",
	"nofile", "nproc", "rss", "rtprio", "rttime", "sigpending", "stack",
}

// checkContainer checks containerProperties and puts their enum words in canonical form.
func checkContainer(c *types.ContainerProperties, fargate bool) error {
	switch image := aws.ToString(c.Image); {
	case image == "":
		return invalid("containerProperties needs an image")
	case utf8.RuneCountInString(image) > maxImage:
		return invalid("image has %d characters, at most %d are allowed", utf8.RuneCountInString(image), maxImage)
	case c.InstanceType != nil:
		return invalid("instanceType is only for multi-node parallel jobs")
	case !fargate && c.NetworkConfiguration != nil:
		return invalid("Error executing request, Exception : networkConfiguration not applicable for EC2.")
	case !fargate && c.FargatePlatformConfiguration != nil:
		return invalid("Error executing request, Exception : fargatePlatformConfiguration not applicable for EC2.")
	}
	for _, check := range []func(*types.ContainerProperties) error{
		checkVolumes, checkUlimits, checkLinux, checkSecrets, checkLog, checkPlatform,
	} {
		if err := check(c); err != nil {
			return err
		}
	}
	if fargate {
		if err := checkFargate(c); err != nil {
			return err
		}
	}
	if aws.ToString(c.Image) == job.HostImage {
		return checkHostImage(c)
	}
	return nil
}

// checkHostImage refuses what a process of the host cannot honour, so that nothing is
// dropped in silence. Empty lists, empty structures and false flags ask for nothing and pass:
// Metaflow sends an empty linuxParameters with every definition.
func checkHostImage(c *types.ContainerProperties) error {
	member := present(
		"volumes", len(c.Volumes) > 0,
		"mountPoints", len(c.MountPoints) > 0,
		"ulimits", len(c.Ulimits) > 0,
		"user", aws.ToString(c.User) != "",
		"privileged", aws.ToBool(c.Privileged),
		"readonlyRootFilesystem", aws.ToBool(c.ReadonlyRootFilesystem),
		"linuxParameters", asksOfLinux(c.LinuxParameters),
		"secrets", len(c.Secrets) > 0,
		"logConfiguration", c.LogConfiguration != nil,
		"networkConfiguration", c.NetworkConfiguration != nil,
		"repositoryCredentials", c.RepositoryCredentials != nil,
		"ephemeralStorage", c.EphemeralStorage != nil,
		"runtimePlatform", c.RuntimePlatform != nil,
		"fargatePlatformConfiguration", c.FargatePlatformConfiguration != nil,
		"enableExecuteCommand", aws.ToBool(c.EnableExecuteCommand),
	)
	if member != "" {
		return invalid("%s needs a container: image %q runs the command as a process of the worker's host; leave %s out or name a container image", member, job.HostImage, member)
	}
	return nil
}

func asksOfLinux(l *types.LinuxParameters) bool {
	return l != nil && (len(l.Devices) > 0 || len(l.Tmpfs) > 0 || aws.ToBool(l.InitProcessEnabled) ||
		l.MaxSwap != nil || l.Swappiness != nil || l.SharedMemorySize != nil)
}

func checkVolumes(c *types.ContainerProperties) error {
	var known []string
	for i := range c.Volumes {
		v := &c.Volumes[i]
		name := aws.ToString(v.Name)
		if !job.ValidName(name) {
			return invalid("volume name %q must be 1 to 128 letters, digits, - and _", name)
		}
		if slices.Contains(known, name) {
			return invalid("volume %s is defined twice", name)
		}
		known = append(known, name)
		if v.EfsVolumeConfiguration != nil && aws.ToString(v.EfsVolumeConfiguration.FileSystemId) == "" {
			return invalid("efsVolumeConfiguration of volume %s needs a fileSystemId", name)
		}
	}
	for _, m := range c.MountPoints {
		if aws.ToString(m.ContainerPath) == "" {
			return invalid("a mountPoint needs a containerPath")
		}
		if !slices.Contains(known, aws.ToString(m.SourceVolume)) {
			return invalid("mountPoint %s names the volume %q, which is not in volumes", *m.ContainerPath, aws.ToString(m.SourceVolume))
		}
	}
	return nil
}

func checkUlimits(c *types.ContainerProperties) error {
	for _, u := range c.Ulimits {
		name := aws.ToString(u.Name)
		switch {
		case !slices.Contains(ulimitNames[:], name):
			return invalid("ulimit name %q is not one that a container can have", name)
		case u.SoftLimit == nil || u.HardLimit == nil:
			return invalid("ulimit %s needs softLimit and hardLimit", name)
		case *u.SoftLimit > *u.HardLimit && *u.HardLimit >= 0:
			return invalid("ulimit %s: softLimit %d is above hardLimit %d", name, *u.SoftLimit, *u.HardLimit)
		}
	}
	return nil
}

func checkLinux(c *types.ContainerProperties) error {
	l := c.LinuxParameters
	if l == nil {
		return nil
	}
	for _, d := range l.Devices {
		if aws.ToString(d.HostPath) == "" {
			return invalid("a device of linuxParameters needs a hostPath")
		}
		for i, p := range d.Permissions {
			w, err := word("device permission", p, types.DeviceCgroupPermissionRead, types.DeviceCgroupPermissionWrite, types.DeviceCgroupPermissionMknod)
			if err != nil {
				return err
			}
			d.Permissions[i] = w
		}
	}
	for _, t := range l.Tmpfs {
		if aws.ToString(t.ContainerPath) == "" || aws.ToInt32(t.Size) < 1 {
			return invalid("a tmpfs of linuxParameters needs a containerPath and a size of at least 1 MiB")
		}
	}
	switch {
	case l.SharedMemorySize != nil && *l.SharedMemorySize < 1:
		return invalid("sharedMemorySize must be at least 1 MiB, got %d", *l.SharedMemorySize)
	case l.MaxSwap != nil && *l.MaxSwap < 0:
		return invalid("maxSwap must be at least 0, got %d", *l.MaxSwap)
	case l.Swappiness != nil && (*l.Swappiness < 0 || *l.Swappiness > 100):
		return invalid("swappiness must be between 0 and 100, got %d", *l.Swappiness)
	}
	return nil
}

func checkSecrets(c *types.ContainerProperties) error {
	list := c.Secrets
	if c.LogConfiguration != nil {
		list = slices.Concat(list, c.LogConfiguration.SecretOptions)
	}
	for _, s := range list {
		if err := job.CheckVariable(aws.ToString(s.Name)); err != nil {
			return err
		}
		if aws.ToString(s.ValueFrom) == "" {
			return invalid("secret %s needs a valueFrom", *s.Name)
		}
	}
	return nil
}

func checkLog(c *types.ContainerProperties) (err error) {
	if c.LogConfiguration != nil {
		c.LogConfiguration.LogDriver, err = word("logDriver", c.LogConfiguration.LogDriver, types.LogDriver("").Values()...)
	}
	return err
}

func checkPlatform(c *types.ContainerProperties) (err error) {
	if e := c.EphemeralStorage; e != nil {
		if n := aws.ToInt32(e.SizeInGiB); n < minStorageGiB || n > maxStorageGiB {
			return invalid("ephemeralStorage sizeInGiB must be between %d and %d, got %d", minStorageGiB, maxStorageGiB, n)
		}
	}
	if r := c.RuntimePlatform; r != nil && r.CpuArchitecture != nil {
		w, err := word("cpuArchitecture", *r.CpuArchitecture, "X86_64", "ARM64")
		if err != nil {
			return err
		}
		r.CpuArchitecture = &w
	}
	if n := c.NetworkConfiguration; n != nil {
		n.AssignPublicIp, err = optionalWord("assignPublicIp", n.AssignPublicIp, types.AssignPublicIpEnabled, types.AssignPublicIpDisabled)
	}
	return err
}
