package batch

import (
	"slices"
	"strings"

	"drover/internal/core/job"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
)

// asked gives what containerProperties ask of the container, in the form that workers
// know; nil if nothing.
func asked(c *types.ContainerProperties) *job.Container {
	a := job.Container{
		User:           aws.ToString(c.User),
		Privileged:     aws.ToBool(c.Privileged),
		ReadonlyRoot:   aws.ToBool(c.ReadonlyRootFilesystem),
		JobRole:        aws.ToString(c.JobRoleArn),
		ExecutionRole:  aws.ToString(c.ExecutionRoleArn),
		ExecuteCommand: aws.ToBool(c.EnableExecuteCommand),
		Mounts:         askedMounts(c),
		Secrets:        askedSecrets(c.Secrets),
	}
	empty := true
	for _, given := range []bool{
		a.User != "", a.Privileged, a.ReadonlyRoot, a.JobRole != "", a.ExecutionRole != "", a.ExecuteCommand,
		len(a.Mounts) > 0, len(a.Secrets) > 0, len(c.Ulimits) > 0, c.LinuxParameters != nil, c.LogConfiguration != nil,
		c.RepositoryCredentials != nil, c.EphemeralStorage != nil, c.RuntimePlatform != nil, c.NetworkConfiguration != nil,
	} {
		empty = empty && !given
	}
	if empty {
		return nil
	}
	a.Version = job.ContainerVersion
	for _, u := range c.Ulimits {
		a.Ulimits = append(a.Ulimits, job.Ulimit{Name: aws.ToString(u.Name), Soft: int64(aws.ToInt32(u.SoftLimit)), Hard: int64(aws.ToInt32(u.HardLimit))})
	}
	if l := c.LinuxParameters; l != nil {
		askLinux(&a, l)
	}
	if l := c.LogConfiguration; l != nil {
		a.LogDriver = string(l.LogDriver)
		for name, value := range l.Options {
			a.LogOptions = append(a.LogOptions, job.Variable{Name: name, Value: value})
		}
		slices.SortFunc(a.LogOptions, func(x, y job.Variable) int { return strings.Compare(x.Name, y.Name) })
	}
	if r := c.RepositoryCredentials; r != nil {
		a.RegistrySecret = aws.ToString(r.CredentialsParameter)
	}
	if e := c.EphemeralStorage; e != nil {
		a.EphemeralGiB = aws.ToInt32(e.SizeInGiB)
	}
	if p := c.RuntimePlatform; p != nil {
		a.Architecture = aws.ToString(p.CpuArchitecture)
	}
	if n := c.NetworkConfiguration; n != nil {
		a.AssignPublicIP = n.AssignPublicIp == types.AssignPublicIpEnabled
	}
	return &a
}

// askedOfTask is what several containers ask for together: their roles, and hosts of their
// architecture.
func askedOfTask(t *types.EcsTaskProperties) *job.Container {
	return asked(&types.ContainerProperties{JobRoleArn: t.TaskRoleArn, ExecutionRoleArn: t.ExecutionRoleArn, RuntimePlatform: t.RuntimePlatform})
}

func askedSecrets(list []types.Secret) []job.Reference {
	var out []job.Reference
	for _, s := range list {
		out = append(out, job.Reference{Name: aws.ToString(s.Name), From: aws.ToString(s.ValueFrom)})
	}
	return out
}

// askedMounts puts each mount point and its volume together; checkVolumes has seen to it
// that there is one.
func askedMounts(c *types.ContainerProperties) []job.Mount {
	var out []job.Mount
	for _, p := range c.MountPoints {
		m := job.Mount{Volume: aws.ToString(p.SourceVolume), Path: aws.ToString(p.ContainerPath), ReadOnly: aws.ToBool(p.ReadOnly), Kind: job.ScratchVolume}
		for i := range c.Volumes {
			v := &c.Volumes[i]
			if aws.ToString(v.Name) != m.Volume {
				continue
			}
			switch {
			case v.EfsVolumeConfiguration != nil:
				m.Kind, m.Source = job.EFSVolume, aws.ToString(v.EfsVolumeConfiguration.FileSystemId)
			case v.S3filesVolumeConfiguration != nil:
				m.Kind, m.Source = job.S3Volume, aws.ToString(v.S3filesVolumeConfiguration.FileSystemArn)
			case v.Host != nil && aws.ToString(v.Host.SourcePath) != "":
				m.Kind, m.Source = job.HostVolume, *v.Host.SourcePath
			}
		}
		out = append(out, m)
	}
	return out
}

func askLinux(a *job.Container, l *types.LinuxParameters) {
	a.Init = aws.ToBool(l.InitProcessEnabled)
	a.SharedMemoryMiB = aws.ToInt32(l.SharedMemorySize)
	a.MaxSwapMiB, a.Swappiness = l.MaxSwap, l.Swappiness
	for _, t := range l.Tmpfs {
		a.Tmpfs = append(a.Tmpfs, job.Tmpfs{Path: aws.ToString(t.ContainerPath), SizeMiB: aws.ToInt32(t.Size), Options: t.MountOptions})
	}
	for _, d := range l.Devices {
		device := job.Device{Host: aws.ToString(d.HostPath), Path: aws.ToString(d.ContainerPath)}
		for _, p := range d.Permissions {
			device.Permissions += string(p[:1]) // READ, WRITE, MKNOD
		}
		device.Permissions = strings.ToLower(device.Permissions)
		a.Devices = append(a.Devices, device)
	}
}
