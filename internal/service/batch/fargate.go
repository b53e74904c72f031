package batch

import (
	"fmt"
	"slices"
	"strings"

	"drover/internal/core/job"
	"drover/internal/core/resource"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
)

// fargateSizes are the pairs of vCPUs and memory that AWS Fargate has (AWS Batch API
// Reference, ResourceRequirement): for each number of vCPUs the least memory, the most and
// the step between, in MiB.
var fargateSizes = [...]struct {
	milli             int64
	least, most, step int64
}{
	{250, 512, 2048, 512}, // 512, 1024 and 2048
	{500, 1024, 4096, 1024},
	{1000, 2048, 8192, 1024},
	{2000, 4096, 16384, 1024},
	{4000, 8192, 30720, 1024},
	{8000, 16384, 61440, 4096},
	{16000, 32768, 122880, 8192},
}

// checkFargateSize refuses what Fargate does not have.
func checkFargateSize(need resource.Vector) error {
	for _, s := range fargateSizes {
		if s.milli != need.MilliVCPU {
			continue
		}
		m := need.MemoryMiB
		if m >= s.least && m <= s.most && (m-s.least)%s.step == 0 && !(s.milli == 250 && m == 1536) {
			return nil
		}
		return fargateSizeError(need, fmt.Sprintf("with %s vCPU the memory is %d to %d MiB in steps of %d", resource.FormatVCPU(s.milli), s.least, s.most, s.step))
	}
	return fargateSizeError(need, "Fargate has 0.25, 0.5, 1, 2, 4, 8 and 16 vCPU")
}

func fargateSizeError(need resource.Vector, hint string) error {
	return invalid(errorExecuting+"Fargate resource requirements (%.2f vCPU, %d MiB) not valid: %s.", float64(need.MilliVCPU)/1000, need.MemoryMiB, hint)
}

// checkFargateRole refuses a definition for Fargate without an execution role.
func checkFargateRole(role *string) error {
	if aws.ToString(role) == "" {
		return invalid(errorExecuting + "executionRoleArn is required for Fargate: give the role with which image and logs are reached.")
	}
	return nil
}

// checkFargate refuses what a container on Fargate cannot have.
func checkFargate(c *types.ContainerProperties) error {
	l := c.LinuxParameters
	if l == nil {
		l = &types.LinuxParameters{}
	}
	m := present(
		"image host", aws.ToString(c.Image) == job.HostImage,
		"privileged", aws.ToBool(c.Privileged),
		"instanceType", c.InstanceType != nil,
		"linuxParameters devices", len(l.Devices) > 0,
		"linuxParameters sharedMemorySize", l.SharedMemorySize != nil,
		"linuxParameters tmpfs", len(l.Tmpfs) > 0,
		"linuxParameters maxSwap", l.MaxSwap != nil,
		"linuxParameters swappiness", l.Swappiness != nil,
		"resourceRequirements GPU", slices.ContainsFunc(c.ResourceRequirements, func(r types.ResourceRequirement) bool { return strings.EqualFold(string(r.Type), "GPU") }),
		"ulimits other than nofile", slices.ContainsFunc(c.Ulimits, func(u types.Ulimit) bool { return aws.ToString(u.Name) != "nofile" }),
		"host volumes", slices.ContainsFunc(c.Volumes, func(v types.Volume) bool { return v.Host != nil && aws.ToString(v.Host.SourcePath) != "" }),
	)
	if m != "" {
		return invalid(errorExecuting+"%s is not applicable for Fargate.", m)
	}
	if c.LogConfiguration != nil {
		if d := c.LogConfiguration.LogDriver; d != types.LogDriverAwslogs && d != types.LogDriverSplunk && d != types.LogDriverAwsfirelens {
			return invalid(errorExecuting+"logDriver %s is not applicable for Fargate; it has awslogs, splunk and awsfirelens.", d)
		}
	}
	if f := c.FargatePlatformConfiguration; f != nil {
		return checkFargateVersion(f.PlatformVersion)
	}
	return nil
}

func checkFargateVersion(given *string) error {
	v := aws.ToString(given)
	if v == "" || v == latestFargate {
		return nil
	}
	parts := strings.Split(v, ".")
	digits := func(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }
	if len(parts) != 3 || slices.ContainsFunc(parts, func(s string) bool { return !digits(s) }) {
		return invalid("platformVersion %q must be LATEST or a version such as 1.4.0", v)
	}
	return nil
}
