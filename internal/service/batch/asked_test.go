package batch

import (
	"testing"

	"drover/internal/core/job"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
	"github.com/google/go-cmp/cmp"
)

func TestAsked(t *testing.T) {
	if got := asked(&types.ContainerProperties{Image: aws.String("busybox"), Command: []string{"true"}, Privileged: aws.Bool(false)}); got != nil {
		t.Errorf("nothing was asked for and %+v came out", got)
	}
	got := asked(&types.ContainerProperties{
		Image: aws.String("busybox"), User: aws.String("1000:100"), Privileged: aws.Bool(true), ReadonlyRootFilesystem: aws.Bool(true),
		JobRoleArn: aws.String("arn:role"), ExecutionRoleArn: aws.String("arn:exec"),
		Volumes: []types.Volume{
			{Name: aws.String("data"), Host: &types.Host{SourcePath: aws.String("/data")}},
			{Name: aws.String("scratch")},
			{Name: aws.String("nfs"), EfsVolumeConfiguration: &types.EFSVolumeConfiguration{FileSystemId: aws.String("fs-1")}},
		},
		MountPoints: []types.MountPoint{
			{SourceVolume: aws.String("data"), ContainerPath: aws.String("/in"), ReadOnly: aws.Bool(true)},
			{SourceVolume: aws.String("scratch"), ContainerPath: aws.String("/tmp")},
			{SourceVolume: aws.String("nfs"), ContainerPath: aws.String("/nfs")},
		},
		Ulimits: []types.Ulimit{{Name: aws.String("nofile"), SoftLimit: aws.Int32(10), HardLimit: aws.Int32(20)}},
		Secrets: []types.Secret{{Name: aws.String("PW"), ValueFrom: aws.String("pw")}},
		LinuxParameters: &types.LinuxParameters{
			InitProcessEnabled: aws.Bool(true), SharedMemorySize: aws.Int32(64), MaxSwap: aws.Int32(0), Swappiness: aws.Int32(60),
			Tmpfs:   []types.Tmpfs{{ContainerPath: aws.String("/t"), Size: aws.Int32(5), MountOptions: []string{"noexec"}}},
			Devices: []types.Device{{HostPath: aws.String("/dev/fuse"), Permissions: []types.DeviceCgroupPermission{"READ", "MKNOD"}}},
		},
		LogConfiguration:      &types.LogConfiguration{LogDriver: types.LogDriverAwslogs, Options: map[string]string{"b": "2", "a": "1"}},
		RepositoryCredentials: &types.RepositoryCredentials{CredentialsParameter: aws.String("reg")},
		EphemeralStorage:      &types.EphemeralStorage{SizeInGiB: aws.Int32(30)},
		RuntimePlatform:       &types.RuntimePlatform{CpuArchitecture: aws.String("ARM64")},
	})
	want := &job.Container{
		Version: job.ContainerVersion, User: "1000:100", Privileged: true, ReadonlyRoot: true, JobRole: "arn:role", ExecutionRole: "arn:exec",
		Mounts: []job.Mount{
			{Volume: "data", Kind: job.HostVolume, Source: "/data", Path: "/in", ReadOnly: true},
			{Volume: "scratch", Kind: job.ScratchVolume, Path: "/tmp"},
			{Volume: "nfs", Kind: job.EFSVolume, Source: "fs-1", Path: "/nfs"},
		},
		Ulimits: []job.Ulimit{{Name: "nofile", Soft: 10, Hard: 20}},
		Secrets: []job.Reference{{Name: "PW", From: "pw"}},
		Init:    true, SharedMemoryMiB: 64, MaxSwapMiB: aws.Int32(0), Swappiness: aws.Int32(60),
		Tmpfs:     []job.Tmpfs{{Path: "/t", SizeMiB: 5, Options: []string{"noexec"}}},
		Devices:   []job.Device{{Host: "/dev/fuse", Permissions: "rm"}},
		LogDriver: "awslogs", LogOptions: []job.Variable{{Name: "a", Value: "1"}, {Name: "b", Value: "2"}},
		RegistrySecret: "reg", EphemeralGiB: 30, Architecture: "ARM64",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}
