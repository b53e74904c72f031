package batch_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"drover/internal/core/job"
	"drover/internal/core/resource"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
)

func resources(vcpu, memory string) []types.ResourceRequirement {
	return []types.ResourceRequirement{{Type: "VCPU", Value: &vcpu}, {Type: "MEMORY", Value: &memory}}
}

// fullPod is a registration with every member that the containers of a job on EC2 can have,
// in words of odd case where that is allowed.
func fullPod(name string) *batch.RegisterJobDefinitionInput {
	return &batch.RegisterJobDefinitionInput{
		JobDefinitionName: &name, Type: "container", Parameters: map[string]string{"what": "hello"},
		EcsProperties: &types.EcsProperties{TaskProperties: []types.EcsTaskProperties{{
			TaskRoleArn: aws.String("arn:aws:iam::123456789012:role/r"), ExecutionRoleArn: aws.String("arn:aws:iam::123456789012:role/e"),
			PidMode: aws.String("task"), IpcMode: aws.String("task"), EnableExecuteCommand: aws.Bool(true),
			RuntimePlatform: &types.RuntimePlatform{CpuArchitecture: aws.String("X86_64"), OperatingSystemFamily: aws.String("LINUX")},
			Volumes:         []types.Volume{{Name: aws.String("shared"), Host: &types.Host{}}},
			Containers: []types.TaskContainerProperties{
				{
					Name: aws.String("fetch"), Image: aws.String("fetcher:1"), Essential: aws.Bool(false), Command: []string{"get", "Ref::what"},
					ResourceRequirements: resources("0.25", "64"), StartTimeout: aws.Int32(60), StopTimeout: aws.Int32(5),
					MountPoints: []types.MountPoint{{SourceVolume: aws.String("shared"), ContainerPath: aws.String("/data")}},
				},
				{
					Name: aws.String("work"), Image: aws.String("worker:1"), Command: []string{"run"}, User: aws.String("nobody"),
					DependsOn:            []types.TaskContainerDependency{{ContainerName: aws.String("fetch"), Condition: aws.String("success")}},
					Environment:          []types.KeyValuePair{{Name: aws.String("A"), Value: aws.String("1")}},
					ResourceRequirements: resources("1", "128"), ReadonlyRootFilesystem: aws.Bool(true), Privileged: aws.Bool(false),
					MountPoints:      []types.MountPoint{{SourceVolume: aws.String("shared"), ContainerPath: aws.String("/data"), ReadOnly: aws.Bool(true)}},
					Secrets:          []types.Secret{{Name: aws.String("S"), ValueFrom: aws.String("s")}},
					Ulimits:          []types.Ulimit{{Name: aws.String("nofile"), SoftLimit: aws.Int32(1), HardLimit: aws.Int32(2)}},
					LinuxParameters:  &types.LinuxParameters{InitProcessEnabled: aws.Bool(true)},
					LogConfiguration: &types.LogConfiguration{LogDriver: "awslogs"},
				},
			},
		}}},
	}
}

func TestPodDefinitionIsEchoedAsItCame(t *testing.T) {
	w := newWorld(t, job.DroverLimits())
	out := w.register(t, fullPod("p"))
	got, err := w.DescribeJobDefinitions(t.Context(), &batch.DescribeJobDefinitionsInput{JobDefinitions: []string{*out.JobDefinitionArn}})
	d := must(t, got, err).JobDefinitions[0]
	want := fullPod("p").EcsProperties
	want.TaskProperties[0].Containers[1].DependsOn[0].Condition = aws.String("SUCCESS")
	for i := range want.TaskProperties[0].Containers { // the lists that AWS always answers
		c := &want.TaskProperties[0].Containers[i]
		for _, list := range []*[]types.Secret{&c.Secrets} {
			if *list == nil {
				*list = []types.Secret{}
			}
		}
		if c.Environment == nil {
			c.Environment = []types.KeyValuePair{}
		}
		if c.Ulimits == nil {
			c.Ulimits = []types.Ulimit{}
		}
		if c.DependsOn == nil {
			c.DependsOn = []types.TaskContainerDependency{}
		}
	}
	diff(t, "ecsProperties", d.EcsProperties, want)
	if d.ContainerProperties != nil || d.ContainerOrchestrationType != types.OrchestrationTypeEcs {
		t.Errorf("%+v", d)
	}
}

// What a definition asks of its containers reaches the worker.
func TestPodIsAsked(t *testing.T) {
	w := newWorld(t, job.DroverLimits())
	w.register(t, fullPod("p"))
	id := w.submit(t, &batch.SubmitJobInput{JobName: aws.String("j"), JobQueue: aws.String("default"), JobDefinition: aws.String("p"),
		Parameters: map[string]string{"what": "bye"},
		EcsPropertiesOverride: &types.EcsPropertiesOverride{TaskProperties: []types.TaskPropertiesOverride{{Containers: []types.TaskContainerOverrides{{
			Name: aws.String("work"), Command: []string{"run", "Ref::what"}, ResourceRequirements: []types.ResourceRequirement{{Type: "memory", Value: aws.String("256")}},
			Environment: []types.KeyValuePair{{Name: aws.String("A"), Value: aws.String("2")}},
		}}}}},
	})
	v, err := w.m.Describe(t.Context(), []string{id})
	s := must(t, v, err)[0].Spec
	if s.Need != (resource.Vector{MilliVCPU: 1250, MemoryMiB: 320}) || s.Container.Role() != "arn:aws:iam::123456789012:role/r" || s.Container.Architecture != "X86_64" || s.Image != "fetcher:1" {
		t.Errorf("spec %+v %+v", s, s.Container)
	}
	mount := func(readOnly bool) []job.Mount {
		return []job.Mount{{Volume: "shared", Kind: job.ScratchVolume, Path: "/data", ReadOnly: readOnly}}
	}
	diff(t, "pod", s.Pod, &job.Pod{Version: 1, PIDMode: job.TaskNamespace, IPCMode: job.TaskNamespace, Members: []job.Member{
		{
			Name: "fetch", Image: "fetcher:1", Optional: true, Command: []string{"get", "bye"}, Need: resource.Vector{MilliVCPU: 250, MemoryMiB: 64},
			StartSeconds: 60, StopSeconds: 5, Container: &job.Container{Version: 1, Mounts: mount(false), ExecuteCommand: true, Architecture: "X86_64"},
		},
		{
			Name: "work", Image: "worker:1", Command: []string{"run", "bye"}, Need: resource.Vector{MilliVCPU: 1000, MemoryMiB: 256},
			Environment: []job.Variable{{Name: "A", Value: "2"}}, After: []job.MemberAfter{{Name: "fetch", When: job.WhenSuccess}},
			Container: &job.Container{Version: 1, User: "nobody", ReadonlyRoot: true, Init: true, Mounts: mount(true), ExecuteCommand: true, Architecture: "X86_64",
				Secrets: []job.Reference{{Name: "S", From: "s"}}, Ulimits: []job.Ulimit{{Name: "nofile", Soft: 1, Hard: 2}}, LogDriver: "awslogs"},
		},
	}})
	d := w.describe(t, id).EcsProperties.TaskProperties[0]
	if c := d.Containers[1]; *c.Environment[0].Value != "2" || c.Command[1] != "bye" || *c.ResourceRequirements[1].Value != "256" || *c.User != "nobody" {
		t.Errorf("described %+v", c)
	}
}

func hostPod(name string) *batch.RegisterJobDefinitionInput {
	member := func(name string, essential bool) types.TaskContainerProperties {
		return types.TaskContainerProperties{Name: &name, Image: aws.String("host"), Essential: &essential, Command: []string{"run"}, ResourceRequirements: resources("0.25", "32")}
	}
	return &batch.RegisterJobDefinitionInput{JobDefinitionName: &name, Type: "container", EcsProperties: &types.EcsProperties{TaskProperties: []types.EcsTaskProperties{{
		Containers: []types.TaskContainerProperties{member("one", true), member("two", false)},
	}}}}
}

// Each container of each attempt is described with its own exit code, reason and log
// stream, also when the server has read it from its disk.
func TestPodAttemptsAreDescribed(t *testing.T) {
	w := newWorld(t, job.DroverLimits())
	w.register(t, hostPod("p"))
	id := w.submit(t, &batch.SubmitJobInput{JobName: aws.String("j"), JobQueue: aws.String("default"), JobDefinition: aws.String("p"),
		RetryStrategy: &types.RetryStrategy{Attempts: aws.Int32(2)}})
	if d := w.describe(t, id); d.Container != nil || len(d.EcsProperties.TaskProperties[0].Containers) != 2 || d.EcsProperties.TaskProperties[0].TaskArn != nil {
		t.Errorf("before it runs: %+v", d.EcsProperties)
	}
	h := newHand(t, w.m, 4)
	for _, codes := range [][2]int32{{3, 143}, {0, 7}} {
		a := h.next()
		if len(a.Pod.Members) != 2 {
			t.Fatalf("assignment %+v", a)
		}
		x := &job.Exit{Code: &codes[0], Members: []job.MemberExit{{Name: "one", Code: &codes[0], Ran: true}, {Name: "two", Code: &codes[1], Reason: "why", Ran: codes[1] == 7}}}
		if codes[0] != 0 {
			x.Cause = job.CauseExit
		}
		if _, err := w.m.ReportAttempts(context.Background(), host, h.session, []job.Report{{Lease: a.Lease, Started: true}, {Lease: a.Lease, Exit: x}}); err != nil {
			t.Fatal(err)
		}
	}
	d := w.waitFor(t, id, types.JobStatusSucceeded)
	if len(d.Attempts) != 2 {
		t.Fatalf("%d attempts", len(d.Attempts))
	}
	for i, want := range [][2]int32{{3, 143}, {0, 7}} {
		a := d.Attempts[i]
		if a.Container.ExitCode != nil || len(a.TaskProperties) != 1 || len(a.TaskProperties[0].Containers) != 2 {
			t.Fatalf("attempt %d: %+v", i, a)
		}
		task := (*a.TaskProperties[0].TaskArn)[strings.LastIndex(*a.TaskProperties[0].TaskArn, "/")+1:]
		for k, c := range a.TaskProperties[0].Containers {
			if *c.ExitCode != want[k] || *c.Name != []string{"one", "two"}[k] {
				t.Errorf("attempt %d container %d: %+v", i, k, c)
			}
			if ran := k == 0 || i == 1; ran != (c.LogStreamName != nil) || ran && *c.LogStreamName != "p/"+*c.Name+"/"+task {
				t.Errorf("attempt %d container %d: log %s", i, k, aws.ToString(c.LogStreamName))
			}
		}
	}
	last := d.EcsProperties.TaskProperties[0]
	if *last.Containers[0].ExitCode != 0 || *last.Containers[1].ExitCode != 7 || *last.Containers[1].Reason != "why" || last.ContainerInstanceArn == nil {
		t.Errorf("%+v", last)
	}
}

// An attempt that ends as a whole, before any container began, gives its reason to each.
func TestReasonOfPodThatNeverRan(t *testing.T) {
	w := newWorld(t, job.DroverLimits())
	w.register(t, hostPod("p"))
	id := w.submit(t, &batch.SubmitJobInput{JobName: aws.String("j"), JobQueue: aws.String("default"), JobDefinition: aws.String("p")})
	h := newHand(t, w.m, 4)
	const why = "CannotPullContainerError: no such image"
	h.report(job.Report{Lease: h.next().Lease, Exit: &job.Exit{Cause: job.CauseStart, Reason: why}})
	d := w.waitFor(t, id, types.JobStatusFailed)
	for i, c := range d.Attempts[0].TaskProperties[0].Containers {
		if aws.ToString(c.Reason) != why || c.ExitCode != nil || c.LogStreamName != nil || aws.ToString(d.EcsProperties.TaskProperties[0].Containers[i].Reason) != why {
			t.Errorf("container %d: %+v", i, c)
		}
	}
}

func TestBadPods(t *testing.T) {
	w := newWorld(t, job.DroverLimits())
	task := func(in *batch.RegisterJobDefinitionInput) *types.EcsTaskProperties {
		return &in.EcsProperties.TaskProperties[0]
	}
	for name, c := range map[string]struct {
		spoil func(in *batch.RegisterJobDefinitionInput)
		says  string
	}{
		"two tasks": {func(in *batch.RegisterJobDefinitionInput) {
			in.EcsProperties.TaskProperties = append(in.EcsProperties.TaskProperties, types.EcsTaskProperties{Containers: task(in).Containers})
		}, "exactly one entry"},
		"no containers": {func(in *batch.RegisterJobDefinitionInput) { task(in).Containers = []types.TaskContainerProperties{} }, "1 to 10 containers"},
		"eleven": {func(in *batch.RegisterJobDefinitionInput) {
			task(in).Containers = slices.Repeat(task(in).Containers[:1], 11)
		}, "1 to 10 containers"},
		"both":    {func(in *batch.RegisterJobDefinitionInput) { in.ContainerProperties = full("x").ContainerProperties }, "exactly one of containerProperties, ecsProperties and eksProperties"},
		"no name": {func(in *batch.RegisterJobDefinitionInput) { task(in).Containers[0].Name = nil }, "container name"},
		"same name": {func(in *batch.RegisterJobDefinitionInput) {
			task(in).Containers[0].Name = aws.String("work")
			task(in).Containers[1].DependsOn = nil
		}, "used twice"},
		"no image": {func(in *batch.RegisterJobDefinitionInput) { task(in).Containers[0].Image = aws.String("") }, "image"},
		"no vcpu": {func(in *batch.RegisterJobDefinitionInput) {
			task(in).Containers[1].ResourceRequirements = resources("1", "128")[1:]
		}, "container work: "},
		"essential":  {func(in *batch.RegisterJobDefinitionInput) { task(in).Containers[1].Essential = aws.Bool(false) }, "at least one container of a job must be essential"},
		"on the end": {func(in *batch.RegisterJobDefinitionInput) { task(in).Containers[0].Essential = nil }, "cannot be set on an essential container"},
		"condition": {func(in *batch.RegisterJobDefinitionInput) {
			task(in).Containers[1].DependsOn[0].Condition = aws.String("LATER")
		}, "START, COMPLETE, SUCCESS"},
		"stranger": {func(in *batch.RegisterJobDefinitionInput) {
			task(in).Containers[1].DependsOn[0].ContainerName = aws.String("x")
		}, "does not have"},
		"firelens": {func(in *batch.RegisterJobDefinitionInput) {
			task(in).Containers[0].FirelensConfiguration = &types.FirelensConfiguration{Type: "fluentbit"}
		}, "firelensConfiguration is not built"},
		"volume": {func(in *batch.RegisterJobDefinitionInput) { task(in).Volumes = nil }, "not in volumes"},
		"variable": {func(in *batch.RegisterJobDefinitionInput) {
			task(in).Containers[1].Environment[0].Name = aws.String("AWS_BATCH_X")
		}, "reserved"},
		"start": {func(in *batch.RegisterJobDefinitionInput) { task(in).Containers[0].StartTimeout = aws.Int32(1) }, "startTimeout must be at least 2"},
		"pid":   {func(in *batch.RegisterJobDefinitionInput) { task(in).PidMode = aws.String("pod") }, "pidMode"},
		"network": {func(in *batch.RegisterJobDefinitionInput) {
			task(in).NetworkConfiguration = &types.NetworkConfiguration{}
		}, "networkConfiguration not applicable for EC2"},
		"version": {func(in *batch.RegisterJobDefinitionInput) { task(in).PlatformVersion = aws.String("LATEST") }, "platformVersion not applicable for EC2"},
		"storage": {func(in *batch.RegisterJobDefinitionInput) {
			task(in).EphemeralStorage = &types.EphemeralStorage{SizeInGiB: aws.Int32(5)}
		}, "between 21 and 200"},
		"host mixed": {func(in *batch.RegisterJobDefinitionInput) {
			*in = *hostPod("x")
			task(in).Containers[1].Image = aws.String("i")
		}, "all processes of the host"},
		"host volume": {func(in *batch.RegisterJobDefinitionInput) {
			*in = *hostPod("x")
			task(in).Volumes = []types.Volume{{Name: aws.String("v")}}
		}, "volumes needs a container"},
		"host pids": {func(in *batch.RegisterJobDefinitionInput) { *in = *hostPod("x"); task(in).PidMode = aws.String("task") }, "pidMode and ipcMode need containers"},
	} {
		t.Run(name, func(t *testing.T) {
			in := fullPod("p")
			c.spoil(in)
			_, err := w.RegisterJobDefinition(t.Context(), in)
			refused(t, err, c.says)
		})
	}
	w.register(t, fullPod("p"))
	w.register(t, hostJob("plain"))
	over := func(name string) *types.EcsPropertiesOverride {
		return &types.EcsPropertiesOverride{TaskProperties: []types.TaskPropertiesOverride{{Containers: []types.TaskContainerOverrides{{Name: &name}}}}}
	}
	for name, c := range map[string]struct {
		in   batch.SubmitJobInput
		says string
	}{
		"stranger":   {batch.SubmitJobInput{JobDefinition: aws.String("p"), EcsPropertiesOverride: over("x")}, "does not have"},
		"containers": {batch.SubmitJobInput{JobDefinition: aws.String("p"), ContainerOverrides: &types.ContainerOverrides{}}, "use ecsPropertiesOverride"},
		"plain":      {batch.SubmitJobInput{JobDefinition: aws.String("plain"), EcsPropertiesOverride: over("x")}, "use containerOverrides"},
		"staged":     {batch.SubmitJobInput{JobDefinition: aws.String("p"), Tags: map[string]string{"drover:inputs": "s3://b/k"}}, "jobs of one container"},
	} {
		t.Run(name, func(t *testing.T) {
			c.in.JobName, c.in.JobQueue = aws.String("j"), aws.String("default")
			_, err := w.SubmitJob(t.Context(), &c.in)
			refused(t, err, c.says)
		})
	}
}
