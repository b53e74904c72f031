package batch_test

import (
	"fmt"
	"testing"

	"drover/internal/core/job"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
	"github.com/google/go-cmp/cmp"
)

// same compares wire values; the SDK's marker field says nothing.
var same = cmp.Options{
	cmp.FilterPath(func(p cmp.Path) bool { return p.Last().String() == ".noSmithyDocumentSerde" }, cmp.Ignore()),
}

func diff(t *testing.T, what string, got, want any) {
	t.Helper()
	if d := cmp.Diff(want, got, same); d != "" {
		t.Errorf("%s (-want +got):\n%s", what, d)
	}
}

// full is a registration with every member of containerProperties that an EC2 container
// can have, in words of odd case where that is allowed.
func full(name string) *batch.RegisterJobDefinitionInput {
	return &batch.RegisterJobDefinitionInput{
		JobDefinitionName: &name, Type: "Container", PropagateTags: aws.Bool(false), SchedulingPriority: aws.Int32(7),
		Parameters: map[string]string{"nf-token": "abc", "codec": "mp4"}, Tags: map[string]string{"team": "x"},
		PlatformCapabilities: []types.PlatformCapability{"ec2"},
		RetryStrategy: &types.RetryStrategy{Attempts: aws.Int32(3), EvaluateOnExit: []types.EvaluateOnExit{
			{Action: "retry", OnStatusReason: aws.String("Host EC2*")}, {Action: "EXIT", OnExitCode: aws.String("1*"), OnReason: aws.String("*")},
		}},
		Timeout: &types.JobTimeout{AttemptDurationSeconds: aws.Int32(60)},
		ContainerProperties: &types.ContainerProperties{
			Image: aws.String("busybox:1"), Command: []string{"run", "Ref::codec"},
			JobRoleArn: aws.String("arn:aws:iam::123456789012:role/r"), ExecutionRoleArn: aws.String("arn:aws:iam::123456789012:role/e"),
			Environment:          []types.KeyValuePair{{Name: aws.String("B"), Value: aws.String("2")}, {Name: aws.String("A"), Value: aws.String("")}},
			ResourceRequirements: []types.ResourceRequirement{{Type: "vcpu", Value: aws.String("1")}, {Type: "Memory", Value: aws.String("128")}},
			Volumes:              []types.Volume{{Name: aws.String("v"), Host: &types.Host{SourcePath: aws.String("/x")}}, {Name: aws.String("e"), EfsVolumeConfiguration: &types.EFSVolumeConfiguration{FileSystemId: aws.String("fs-1")}}},
			MountPoints:          []types.MountPoint{{SourceVolume: aws.String("v"), ContainerPath: aws.String("/y"), ReadOnly: aws.Bool(true)}},
			Ulimits:              []types.Ulimit{{Name: aws.String("nofile"), SoftLimit: aws.Int32(1), HardLimit: aws.Int32(2)}},
			User:                 aws.String("nobody"), Privileged: aws.Bool(false), ReadonlyRootFilesystem: aws.Bool(true),
			Secrets: []types.Secret{{Name: aws.String("S"), ValueFrom: aws.String("arn:aws:secretsmanager:x:1:secret:s")}},
			LogConfiguration: &types.LogConfiguration{LogDriver: "AWSLOGS", Options: map[string]string{"awslogs-group": "g"},
				SecretOptions: []types.Secret{}},
			LinuxParameters: &types.LinuxParameters{
				InitProcessEnabled: aws.Bool(true), SharedMemorySize: aws.Int32(64), MaxSwap: aws.Int32(0), Swappiness: aws.Int32(60),
				Devices: []types.Device{{HostPath: aws.String("/dev/a"), ContainerPath: aws.String("/dev/b"), Permissions: []types.DeviceCgroupPermission{"read", "MKNOD"}}},
				Tmpfs:   []types.Tmpfs{{ContainerPath: aws.String("/t"), Size: aws.Int32(5), MountOptions: []string{"noexec"}}},
			},
		},
	}
}

func TestDefinitionIsEchoedAsItCame(t *testing.T) {
	w := newWorld(t, job.DroverLimits())
	out := w.register(t, full("nf-a"))
	if *out.JobDefinitionArn != prefix+"job-definition/nf-a:1" || *out.Revision != 1 || *out.JobDefinitionName != "nf-a" {
		t.Errorf("answer: %s %d %s", *out.JobDefinitionArn, *out.Revision, *out.JobDefinitionName)
	}
	got, err := w.DescribeJobDefinitions(t.Context(), &batch.DescribeJobDefinitionsInput{JobDefinitions: []string{*out.JobDefinitionArn}})
	if len(must(t, got, err).JobDefinitions) != 1 {
		t.Fatalf("%d definitions", len(got.JobDefinitions))
	}
	want := full("nf-a")
	c := want.ContainerProperties
	c.ResourceRequirements[0].Type, c.ResourceRequirements[1].Type = types.ResourceTypeVcpu, types.ResourceTypeMemory
	c.LogConfiguration.LogDriver = types.LogDriverAwslogs
	c.LinuxParameters.Devices[0].Permissions = []types.DeviceCgroupPermission{"READ", "MKNOD"}
	want.RetryStrategy.EvaluateOnExit[0].Action = types.RetryActionRetry
	diff(t, "definition", got.JobDefinitions[0], types.JobDefinition{
		JobDefinitionArn: out.JobDefinitionArn, JobDefinitionName: aws.String("nf-a"), Revision: aws.Int32(1),
		Status: aws.String("ACTIVE"), Type: aws.String("container"), ContainerOrchestrationType: types.OrchestrationTypeEcs,
		ContainerProperties: c, Parameters: want.Parameters, Tags: want.Tags, PropagateTags: aws.Bool(false),
		PlatformCapabilities: []types.PlatformCapability{"EC2"}, RetryStrategy: want.RetryStrategy,
		SchedulingPriority: aws.Int32(7), Timeout: want.Timeout,
	})
}

// A client such as Terraform compares the answer with what it registered: nothing but
// empty lists may be added.
func TestDefinitionGetsNoDefaults(t *testing.T) {
	w := newWorld(t, job.DroverLimits())
	in := hostJob("small")
	w.register(t, in)
	got, err := w.DescribeJobDefinitions(t.Context(), &batch.DescribeJobDefinitionsInput{JobDefinitionName: aws.String("small"), Status: aws.String("ACTIVE")})
	d := must(t, got, err).JobDefinitions[0]
	diff(t, "container", d.ContainerProperties, &types.ContainerProperties{
		Image: aws.String("host"), Command: []string{"true"}, ResourceRequirements: in.ContainerProperties.ResourceRequirements,
		Environment: []types.KeyValuePair{}, MountPoints: []types.MountPoint{}, Secrets: []types.Secret{}, Ulimits: []types.Ulimit{}, Volumes: []types.Volume{},
	})
	if d.RetryStrategy != nil || d.Timeout != nil || d.PropagateTags != nil || d.SchedulingPriority != nil || d.PlatformCapabilities != nil {
		t.Errorf("defaults were added: %+v", d)
	}
}

func TestRevisionsCountOnAndStayDescribable(t *testing.T) {
	w, ctx := newWorld(t, job.DroverLimits()), t.Context()
	for range 3 {
		w.register(t, hostJob("d"))
	}
	for _, ref := range []string{"d:3", prefix + "job-definition/d:1", "d:3"} {
		_, err := w.DeregisterJobDefinition(ctx, &batch.DeregisterJobDefinitionInput{JobDefinition: &ref})
		must(t, 0, err)
	}
	if out := w.register(t, hostJob("d")); *out.Revision != 4 {
		t.Errorf("revision %d after deregistering 3, want 4", *out.Revision)
	}
	_, err := w.DeregisterJobDefinition(ctx, &batch.DeregisterJobDefinitionInput{JobDefinition: aws.String("d:4")})
	must(t, 0, err)
	status := func(in *batch.DescribeJobDefinitionsInput) string {
		got, err := w.DescribeJobDefinitions(ctx, in)
		text := ""
		for _, d := range must(t, got, err).JobDefinitions {
			text += fmt.Sprintf("%d %s ", *d.Revision, *d.Status)
		}
		return text
	}
	for want, in := range map[string]*batch.DescribeJobDefinitionsInput{
		"2 ACTIVE 4 INACTIVE 3 INACTIVE 1 INACTIVE ": {JobDefinitionName: aws.String("d")},
		"2 ACTIVE ":   {JobDefinitionName: aws.String("d"), Status: aws.String("ACTIVE")},
		"3 INACTIVE ": {JobDefinitions: []string{"d:3"}},
		"":            {JobDefinitions: []string{"d:9", "unknown"}},
	} {
		if got := status(in); got != want {
			t.Errorf("%v:\n got %s\nwant %s", in, got, want)
		}
	}
	// The name alone now means revision 2; a job cannot be submitted with an INACTIVE one.
	id := w.submit(t, &batch.SubmitJobInput{JobName: aws.String("j"), JobQueue: aws.String("default"), JobDefinition: aws.String("d")})
	if got := *w.describe(t, id).JobDefinition; got != prefix+"job-definition/d:2" {
		t.Errorf("definition by name = %s", got)
	}
	_, err = w.SubmitJob(ctx, &batch.SubmitJobInput{JobName: aws.String("j"), JobQueue: aws.String("default"), JobDefinition: aws.String("d:4")})
	refused(t, err, "is not in ACTIVE status")
	_, err = w.DeregisterJobDefinition(ctx, &batch.DeregisterJobDefinitionInput{JobDefinition: aws.String("d:2")})
	must(t, 0, err)
	_, err = w.SubmitJob(ctx, &batch.SubmitJobInput{JobName: aws.String("j"), JobQueue: aws.String("default"), JobDefinition: aws.String("d")})
	refused(t, err, "JobDefinition name d does not exist or is not in ACTIVE status")
}

func TestDefinitionsArePaged(t *testing.T) {
	w := newWorld(t, job.DroverLimits())
	for i := range 5 {
		w.register(t, hostJob(fmt.Sprintf("d%d", i)))
	}
	var names []string
	p := batch.NewDescribeJobDefinitionsPaginator(w, &batch.DescribeJobDefinitionsInput{MaxResults: aws.Int32(2), Status: aws.String("ACTIVE")})
	pages := 0
	for ; p.HasMorePages(); pages++ {
		out, err := p.NextPage(t.Context())
		for _, d := range must(t, out, err).JobDefinitions {
			names = append(names, *d.JobDefinitionName)
		}
	}
	diff(t, "names over pages", names, []string{"d0", "d1", "d2", "d3", "d4"})
	if pages != 3 {
		t.Errorf("%d pages", pages)
	}
}
