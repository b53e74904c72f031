package batch_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"drover/internal/core/job"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
)

// counts is how much there is of everything, to see that a refused request left nothing.
func (w *world) counts(t *testing.T) string {
	t.Helper()
	defs, _, err := w.m.Definitions(t.Context(), "", "", 1000)
	must(t, 0, err)
	queues, err := w.m.Queues(t.Context())
	must(t, 0, err)
	environments, err := w.m.Environments(t.Context())
	must(t, 0, err)
	seen, err := w.m.Transitions(t.Context(), 0, 1000)
	must(t, 0, err)
	return fmt.Sprint(len(defs), len(queues), len(environments), len(seen))
}

// refuses changes a good request in one way after the other, and wants each refused with
// words of its own and nothing left behind.
func refuses[In, Out any](t *testing.T, w *world, call func(context.Context, *In, ...func(*batch.Options)) (*Out, error), good func() *In, changes map[string]func(*In)) {
	t.Helper()
	before := w.counts(t)
	for words, change := range changes {
		in := good()
		change(in)
		_, err := call(t.Context(), in)
		refused(t, err, words)
	}
	if after := w.counts(t); after != before {
		t.Errorf("refused requests left something: %s, before %s", after, before)
	}
}

func TestBadRegistrations(t *testing.T) {
	w := newWorld(t, job.DroverLimits())
	refuses(t, w, w.RegisterJobDefinition, func() *batch.RegisterJobDefinitionInput { return hostJob("bad") }, map[string]func(*batch.RegisterJobDefinitionInput){
		"should match valid pattern": func(in *batch.RegisterJobDefinitionInput) { in.JobDefinitionName = aws.String("a b") },
		"must be 1 to 128": func(in *batch.RegisterJobDefinitionInput) {
			in.JobDefinitionName = aws.String(strings.Repeat("a", 129))
		},
		"type \"cron\" must be":                    func(in *batch.RegisterJobDefinitionInput) { in.Type = "cron" },
		"type multinode needs nodeProperties":      func(in *batch.RegisterJobDefinitionInput) { in.Type = "MULTINODE" },
		"needs exactly one of containerProperties": func(in *batch.RegisterJobDefinitionInput) { in.ContainerProperties = nil },
		"nodeProperties are for": func(in *batch.RegisterJobDefinitionInput) {
			in.NodeProperties = &types.NodeProperties{MainNode: aws.Int32(0), NumNodes: aws.Int32(1), NodeRangeProperties: []types.NodeRangeProperty{}}
		},
		"exactly one of": func(in *batch.RegisterJobDefinitionInput) {
			in.EcsProperties = &types.EcsProperties{TaskProperties: []types.EcsTaskProperties{}}
		},
		"ecsProperties and eksProperties": func(in *batch.RegisterJobDefinitionInput) { in.EksProperties = &types.EksProperties{} },
		"needs consumableResource and quantity": func(in *batch.RegisterJobDefinitionInput) {
			in.ConsumableResourceProperties = &types.ConsumableResourceProperties{ConsumableResourceList: []types.ConsumableResourceRequirement{{}}}
		},
		"platformCapabilities \"MOON\"": func(in *batch.RegisterJobDefinitionInput) {
			in.PlatformCapabilities = []types.PlatformCapability{"MOON"}
		},
		"schedulingPriority must be":                         func(in *batch.RegisterJobDefinitionInput) { in.SchedulingPriority = aws.Int32(10000) },
		"RetryAttempts must be provided with retry strategy": func(in *batch.RegisterJobDefinitionInput) { in.RetryStrategy = &types.RetryStrategy{} },
		"between 1 and 10": func(in *batch.RegisterJobDefinitionInput) {
			in.RetryStrategy = &types.RetryStrategy{Attempts: aws.Int32(11)}
		},
		"attemptDurationSeconds must be at least 1": func(in *batch.RegisterJobDefinitionInput) {
			in.Timeout = &types.JobTimeout{AttemptDurationSeconds: aws.Int32(0)}
		},
		"reserved: keys":               func(in *batch.RegisterJobDefinitionInput) { in.Tags = map[string]string{"AWS:x": ""} },
		"not one that drover":          func(in *batch.RegisterJobDefinitionInput) { in.Tags = map[string]string{"drover:token": "x"} },
		"command must not contain NUL": func(in *batch.RegisterJobDefinitionInput) { in.ContainerProperties.Command = []string{"a\x00"} },
		"needs an image":               func(in *batch.RegisterJobDefinitionInput) { in.ContainerProperties.Image = aws.String("") },
		"at most 255": func(in *batch.RegisterJobDefinitionInput) {
			in.ContainerProperties.Image = aws.String(strings.Repeat("i", 256))
		},
		"need vCPUs": func(in *batch.RegisterJobDefinitionInput) {
			in.ContainerProperties.ResourceRequirements = in.ContainerProperties.ResourceRequirements[1:]
		},
		"need memory": func(in *batch.RegisterJobDefinitionInput) {
			in.ContainerProperties.ResourceRequirements = in.ContainerProperties.ResourceRequirements[:1]
		},
		"vcpus must be":  func(in *batch.RegisterJobDefinitionInput) { in.ContainerProperties.Vcpus = aws.Int32(0) },
		"memory must be": func(in *batch.RegisterJobDefinitionInput) { in.ContainerProperties.Memory = aws.Int32(3) },
		"steps of 0.01": func(in *batch.RegisterJobDefinitionInput) {
			in.ContainerProperties.ResourceRequirements[0].Value = aws.String("0.255")
		},
		"at least 4": func(in *batch.RegisterJobDefinitionInput) {
			in.ContainerProperties.ResourceRequirements[1].Value = aws.String("3")
		},
		"VCPU twice": func(in *batch.RegisterJobDefinitionInput) {
			in.ContainerProperties.ResourceRequirements[1] = in.ContainerProperties.ResourceRequirements[0]
		},
		"type \"DISK\" must be": func(in *batch.RegisterJobDefinitionInput) {
			in.ContainerProperties.ResourceRequirements[0].Type = "DISK"
		},
		"must not start with AWS_BATCH": func(in *batch.RegisterJobDefinitionInput) {
			in.ContainerProperties.Environment = []types.KeyValuePair{{Name: aws.String("AWS_BATCH_X"), Value: aws.String("")}}
		},
		"has no name": func(in *batch.RegisterJobDefinitionInput) {
			in.ContainerProperties.Environment = []types.KeyValuePair{{}}
		},
		"instanceType is only for multi": func(in *batch.RegisterJobDefinitionInput) { in.ContainerProperties.InstanceType = aws.String("m5") },
		"networkConfiguration not applicable for EC2": func(in *batch.RegisterJobDefinitionInput) {
			in.ContainerProperties.NetworkConfiguration = &types.NetworkConfiguration{}
		},
		"size must be less than 1024 KiB": func(in *batch.RegisterJobDefinitionInput) {
			in.ContainerProperties.Command = []string{strings.Repeat("x", 1<<20)}
		},
	})
}

// What only a container can honour is refused on image host, member by member, and kept
// on any other image.
func TestHostImageRefusesContainerMembers(t *testing.T) {
	w := newWorld(t, job.DroverLimits())
	for member, change := range map[string]func(*types.ContainerProperties){
		"volumes": func(c *types.ContainerProperties) { c.Volumes = []types.Volume{{Name: aws.String("v")}} },
		"ulimits": func(c *types.ContainerProperties) {
			c.Ulimits = []types.Ulimit{{Name: aws.String("core"), SoftLimit: aws.Int32(0), HardLimit: aws.Int32(0)}}
		},
		"user":                   func(c *types.ContainerProperties) { c.User = aws.String("root") },
		"privileged":             func(c *types.ContainerProperties) { c.Privileged = aws.Bool(true) },
		"readonlyRootFilesystem": func(c *types.ContainerProperties) { c.ReadonlyRootFilesystem = aws.Bool(true) },
		"linuxParameters":        func(c *types.ContainerProperties) { c.LinuxParameters = &types.LinuxParameters{MaxSwap: aws.Int32(0)} },
		"secrets": func(c *types.ContainerProperties) {
			c.Secrets = []types.Secret{{Name: aws.String("s"), ValueFrom: aws.String("x")}}
		},
		"logConfiguration": func(c *types.ContainerProperties) { c.LogConfiguration = &types.LogConfiguration{LogDriver: "awslogs"} },
		"repositoryCredentials": func(c *types.ContainerProperties) {
			c.RepositoryCredentials = &types.RepositoryCredentials{CredentialsParameter: aws.String("x")}
		},
		"ephemeralStorage": func(c *types.ContainerProperties) {
			c.EphemeralStorage = &types.EphemeralStorage{SizeInGiB: aws.Int32(21)}
		},
		"runtimePlatform": func(c *types.ContainerProperties) {
			c.RuntimePlatform = &types.RuntimePlatform{CpuArchitecture: aws.String("arm64")}
		},
		"enableExecuteCommand": func(c *types.ContainerProperties) { c.EnableExecuteCommand = aws.Bool(true) },
	} {
		in := hostJob("member")
		change(in.ContainerProperties)
		_, err := w.RegisterJobDefinition(t.Context(), in)
		refused(t, err, member+" needs a container")
		in.ContainerProperties.Image = aws.String("busybox")
		w.register(t, in)
	}
	// False flags, empty lists and empty structures ask for nothing.
	in := hostJob("nothing")
	in.ContainerProperties.Privileged, in.ContainerProperties.Volumes, in.ContainerProperties.Ulimits = aws.Bool(false), []types.Volume{}, []types.Ulimit{}
	in.ContainerProperties.LinuxParameters = &types.LinuxParameters{Devices: []types.Device{}, InitProcessEnabled: aws.Bool(false)}
	w.register(t, in)
}

func TestBadContainers(t *testing.T) {
	w := newWorld(t, job.DroverLimits())
	for words, change := range map[string]func(*types.ContainerProperties){
		"not in volumes":           func(c *types.ContainerProperties) { c.MountPoints[0].SourceVolume = aws.String("zzz") },
		"containerPath":            func(c *types.ContainerProperties) { c.MountPoints[0].ContainerPath = nil },
		"defined twice":            func(c *types.ContainerProperties) { c.Volumes[1].Name = c.Volumes[0].Name },
		"volume name":              func(c *types.ContainerProperties) { c.Volumes[1].Name = aws.String("") },
		"needs a fileSystemId":     func(c *types.ContainerProperties) { c.Volumes[1].EfsVolumeConfiguration.FileSystemId = aws.String("") },
		"is not one that a":        func(c *types.ContainerProperties) { c.Ulimits[0].Name = aws.String("beer") },
		"is above hardLimit":       func(c *types.ContainerProperties) { c.Ulimits[0].SoftLimit = aws.Int32(9) },
		"logDriver":                func(c *types.ContainerProperties) { c.LogConfiguration.LogDriver = "papyrus" },
		"needs a valueFrom":        func(c *types.ContainerProperties) { c.Secrets[0].ValueFrom = aws.String("") },
		"needs a hostPath":         func(c *types.ContainerProperties) { c.LinuxParameters.Devices[0].HostPath = aws.String("") },
		"device permission":        func(c *types.ContainerProperties) { c.LinuxParameters.Devices[0].Permissions[0] = "EAT" },
		"a size of at least 1 MiB": func(c *types.ContainerProperties) { c.LinuxParameters.Tmpfs[0].Size = aws.Int32(0) },
		"swappiness":               func(c *types.ContainerProperties) { c.LinuxParameters.Swappiness = aws.Int32(101) },
		"maxSwap":                  func(c *types.ContainerProperties) { c.LinuxParameters.MaxSwap = aws.Int32(-1) },
		"sharedMemorySize":         func(c *types.ContainerProperties) { c.LinuxParameters.SharedMemorySize = aws.Int32(0) },
		"between 21 and 200": func(c *types.ContainerProperties) {
			c.EphemeralStorage = &types.EphemeralStorage{SizeInGiB: aws.Int32(20)}
		},
		"cpuArchitecture": func(c *types.ContainerProperties) {
			c.RuntimePlatform = &types.RuntimePlatform{CpuArchitecture: aws.String("Z80")}
		},
		"fargatePlatformConfiguration not applicable": func(c *types.ContainerProperties) {
			c.FargatePlatformConfiguration = &types.FargatePlatformConfiguration{}
		},
	} {
		in := full("bad")
		change(in.ContainerProperties)
		_, err := w.RegisterJobDefinition(t.Context(), in)
		refused(t, err, words)
	}
}

func TestBadSubmissions(t *testing.T) {
	w := newWorld(t, job.DroverLimits())
	in := hostJob("d")
	w.register(t, in)
	in.ContainerProperties.Command = []string{"Ref::missing"}
	in.JobDefinitionName = aws.String("open")
	w.register(t, in)
	refuses(t, w, w.SubmitJob, func() *batch.SubmitJobInput {
		return &batch.SubmitJobInput{JobName: aws.String("j"), JobQueue: aws.String("default"), JobDefinition: aws.String("d")}
	}, map[string]func(*batch.SubmitJobInput){
		"Job name should match valid pattern": func(in *batch.SubmitJobInput) { in.JobName = aws.String("-x") },
		"the first a letter":                  func(in *batch.SubmitJobInput) { in.JobName = aws.String("ünx") },
		"JobQueue nowhere not found":          func(in *batch.SubmitJobInput) { in.JobQueue = aws.String("nowhere") },
		"supported pattern":                   func(in *batch.SubmitJobInput) { in.JobQueue = aws.String("no where") },
		"is not the ARN of a job queue":       func(in *batch.SubmitJobInput) { in.JobQueue = aws.String("arn:aws:batch:x") },
		"ARN of a job queue":                  func(in *batch.SubmitJobInput) { in.JobQueue = aws.String(prefix + "job-definition/d:1") },
		"jobQueue arn:aws:batch:x:999999999999:job-queue/default belongs to account": func(in *batch.SubmitJobInput) {
			in.JobQueue = aws.String("arn:aws:batch:x:999999999999:job-queue/default")
		},
		"JobDefinition name zzz does not exist or is not in ACTIVE status":     func(in *batch.SubmitJobInput) { in.JobDefinition = aws.String("zzz") },
		"JobDefinition d:7 not found":                                          func(in *batch.SubmitJobInput) { in.JobDefinition = aws.String("d:7") },
		"name d:x is not supported pattern":                                    func(in *batch.SubmitJobInput) { in.JobDefinition = aws.String("d:x") },
		"name d:01 is not":                                                     func(in *batch.SubmitJobInput) { in.JobDefinition = aws.String("d:01") },
		"Unable to substitute value. No parameter found for reference missing": func(in *batch.SubmitJobInput) { in.JobDefinition = aws.String("open") },
		"Array job size must be between 2 and 1000000, got 1":                  func(in *batch.SubmitJobInput) { in.ArrayProperties = &types.ArrayProperties{Size: aws.Int32(1)} },
		"got 1000001": func(in *batch.SubmitJobInput) {
			in.ArrayProperties = &types.ArrayProperties{Size: aws.Int32(1_000_001)}
		},
		"can onlybe submitted to job queue with fair share": func(in *batch.SubmitJobInput) { in.ShareIdentifier = aws.String("s") },
		"Job with shareIdentifier or schedulingPriority":    func(in *batch.SubmitJobInput) { in.SchedulingPriorityOverride = aws.Int32(1) },
		"nodeOverrides should only be set":                  func(in *batch.SubmitJobInput) { in.NodeOverrides = &types.NodeOverrides{} },
		"ecsPropertiesOverride should only":                 func(in *batch.SubmitJobInput) { in.EcsPropertiesOverride = &types.EcsPropertiesOverride{} },
		"eksPropertiesOverride should only":                 func(in *batch.SubmitJobInput) { in.EksPropertiesOverride = &types.EksPropertiesOverride{} },
		"tag drover:speed is not one":                       func(in *batch.SubmitJobInput) { in.Tags = map[string]string{"drover:speed": "1"} },
		"tag Drover:stage is not one":                       func(in *batch.SubmitJobInput) { in.Tags = map[string]string{"Drover:stage": "s3://a/b"} },
		"tag drover:inputs names nothing":                   func(in *batch.SubmitJobInput) { in.Tags = map[string]string{"drover:inputs": ""} },
		"is not a path in the job's working folder":         func(in *batch.SubmitJobInput) { in.Tags = map[string]string{"drover:inputs": "s3://bucket/key=../x"} },
		"end the key with":                                  func(in *batch.SubmitJobInput) { in.Tags = map[string]string{"drover:outputs": "s3://bucket/key=x/"} },
		"only the children of an array have":                func(in *batch.SubmitJobInput) { in.Tags = map[string]string{"drover:inputs": "s3://bucket/@index"} },
		"tag drover:stage cannot be combined with": func(in *batch.SubmitJobInput) {
			in.Tags = map[string]string{"drover:inputs": "s3://bucket/a", "drover:stage": "s3://b/plan"}
		},
		"must be the s3://bucket/key":     func(in *batch.SubmitJobInput) { in.Tags = map[string]string{"drover:stage": "http://x/y"} },
		"parameters must not contain NUL": func(in *batch.SubmitJobInput) { in.Parameters = map[string]string{"a": "\x00"} },
		"environment must not contain NUL": func(in *batch.SubmitJobInput) {
			in.ContainerOverrides = &types.ContainerOverrides{Environment: []types.KeyValuePair{{Name: aws.String("A"), Value: aws.String("\x00")}}}
		},
		"must not be empty":              func(in *batch.SubmitJobInput) { in.Tags = map[string]string{"drover:token": ""} },
		"has 257 characters":             func(in *batch.SubmitJobInput) { in.Tags = map[string]string{"k": strings.Repeat("ü", 257)} },
		"must have 1 to 128":             func(in *batch.SubmitJobInput) { in.Tags = map[string]string{strings.Repeat("k", 129): ""} },
		"attemptDurationSeconds must be": func(in *batch.SubmitJobInput) { in.Timeout = &types.JobTimeout{AttemptDurationSeconds: aws.Int32(-5)} },
		"RetryAttempts must be provided": func(in *batch.SubmitJobInput) {
			in.RetryStrategy = &types.RetryStrategy{EvaluateOnExit: []types.EvaluateOnExit{{Action: "EXIT", OnReason: aws.String("*")}}}
		},
		"has 6 entries": func(in *batch.SubmitJobInput) {
			in.RetryStrategy = rules(6, types.EvaluateOnExit{Action: "EXIT", OnReason: aws.String("*")})
		},
		"action \"SHRUG\" must be one of RETRY, EXIT": func(in *batch.SubmitJobInput) { in.RetryStrategy = rules(1, types.EvaluateOnExit{Action: "SHRUG"}) },
		"has no condition":                            func(in *batch.SubmitJobInput) { in.RetryStrategy = rules(1, types.EvaluateOnExit{Action: "EXIT"}) },
		"onReason has 513 characters": func(in *batch.SubmitJobInput) {
			in.RetryStrategy = rules(1, types.EvaluateOnExit{Action: "EXIT", OnReason: aws.String(strings.Repeat("r", 513))})
		},
		"onStatusReason \"a*b\" may have a * only": func(in *batch.SubmitJobInput) {
			in.RetryStrategy = rules(1, types.EvaluateOnExit{Action: "EXIT", OnStatusReason: aws.String("a*b")})
		},
		"onExitCode \"1x\" must be digits": func(in *batch.SubmitJobInput) {
			in.RetryStrategy = rules(1, types.EvaluateOnExit{Action: "EXIT", OnExitCode: aws.String("1x")})
		},
		"names must not start with AWS_BATCH": func(in *batch.SubmitJobInput) {
			in.ContainerOverrides = &types.ContainerOverrides{Environment: []types.KeyValuePair{{Name: aws.String("AWS_BATCH")}}}
		},
		"instanceType is only for multi-node": func(in *batch.SubmitJobInput) {
			in.ContainerOverrides = &types.ContainerOverrides{InstanceType: aws.String("m5")}
		},
		"resourceRequirements GPU: \"0\" is not": func(in *batch.SubmitJobInput) {
			in.ContainerOverrides = &types.ContainerOverrides{ResourceRequirements: []types.ResourceRequirement{{Type: "gpu", Value: aws.String("0")}}}
		},
		"Job cannot have more than 10000 dependencies": func(in *batch.SubmitJobInput) { in.DependsOn = make([]types.JobDependency, 10_001) },
		"Job size must be less than 1024": func(in *batch.SubmitJobInput) {
			in.NodeOverrides = &types.NodeOverrides{NodePropertyOverrides: []types.NodePropertyOverride{{TargetNodes: aws.String("0:"), ContainerOverrides: &types.ContainerOverrides{Command: []string{strings.Repeat("x", 1<<20)}}}}}
		},
		"Job size must be less than 1024 KiB": func(in *batch.SubmitJobInput) { in.Parameters = map[string]string{"p": strings.Repeat("x", 1<<20)} },
	})
}

func rules(n int, r types.EvaluateOnExit) *types.RetryStrategy {
	s := &types.RetryStrategy{Attempts: aws.Int32(2)}
	for range n {
		s.EvaluateOnExit = append(s.EvaluateOnExit, r)
	}
	return s
}

// Under --limits=aws each quota holds to the unit.
func TestLimitsOfAWS(t *testing.T) {
	w, ctx := newWorld(t, job.AWSLimits()), t.Context()
	w.register(t, hostJob("d"))
	base := func() *batch.SubmitJobInput {
		return &batch.SubmitJobInput{JobName: aws.String("j"), JobQueue: aws.String("default"), JobDefinition: aws.String("d")}
	}
	first := w.submit(t, base())
	deps := func(n int) (list []types.JobDependency) {
		for range n {
			list = append(list, types.JobDependency{JobId: &first})
		}
		return list
	}
	// {"jobDefinition":"d","jobName":"j","jobQueue":"default","parameters":{"p":"..."}}
	fixed := len(`{"jobDefinition":"d","jobName":"j","jobQueue":"default","parameters":{"p":""}}`)
	size := func(n int) map[string]string { return map[string]string{"p": strings.Repeat("x", n-fixed)} }
	overrides := len(`{"command":[""]}`)
	for _, c := range []struct {
		words string
		good  func(*batch.SubmitJobInput)
		bad   func(*batch.SubmitJobInput)
	}{
		{"Job cannot have more than 20 dependencies", func(in *batch.SubmitJobInput) { in.DependsOn = deps(20) }, func(in *batch.SubmitJobInput) { in.DependsOn = deps(21) }},
		{"between 2 and 10000", func(in *batch.SubmitJobInput) { in.ArrayProperties = &types.ArrayProperties{Size: aws.Int32(10_000)} }, func(in *batch.SubmitJobInput) { in.ArrayProperties = &types.ArrayProperties{Size: aws.Int32(10_001)} }},
		{"Job size must be less than 30 KiB, got 30721", func(in *batch.SubmitJobInput) { in.Parameters = size(30 << 10) }, func(in *batch.SubmitJobInput) { in.Parameters = size(30<<10 + 1) }},
		{"Container Overrides length must be at most 8192", func(in *batch.SubmitJobInput) {
			in.ContainerOverrides = &types.ContainerOverrides{Command: []string{strings.Repeat("x", 8192-overrides)}}
		}, func(in *batch.SubmitJobInput) {
			in.ContainerOverrides = &types.ContainerOverrides{Command: []string{strings.Repeat("x", 8193-overrides)}}
		}},
		{"attemptDurationSeconds must be at least 60", func(in *batch.SubmitJobInput) { in.Timeout = &types.JobTimeout{AttemptDurationSeconds: aws.Int32(60)} }, func(in *batch.SubmitJobInput) { in.Timeout = &types.JobTimeout{AttemptDurationSeconds: aws.Int32(59)} }},
	} {
		good, bad := base(), base()
		c.good(good)
		c.bad(bad)
		w.submit(t, good)
		_, err := w.SubmitJob(ctx, bad)
		refused(t, err, c.words)
	}
	big := hostJob("big")
	big.ContainerProperties.Command = []string{strings.Repeat("x", 24<<10)}
	_, err := w.RegisterJobDefinition(ctx, big)
	refused(t, err, "Job definition size must be less than 24 KiB")
	for i := range 50 {
		_, err = w.CreateComputeEnvironment(ctx, managed(fmt.Sprintf("ce%d", i)))
		if want := i < 49; (err == nil) != want { // "local" is the fiftieth
			t.Fatalf("environment %d: %v", i, err)
		}
	}
	refused(t, err, "at most 50 are allowed")
	order := func(n int) (list []types.ComputeEnvironmentOrder) {
		for i := range n {
			list = append(list, types.ComputeEnvironmentOrder{Order: aws.Int32(int32(i)), ComputeEnvironment: aws.String(fmt.Sprintf("ce%d", i))})
		}
		return list
	}
	for i := range 50 {
		_, err = w.CreateJobQueue(ctx, &batch.CreateJobQueueInput{JobQueueName: aws.String(fmt.Sprintf("q%d", i)), Priority: aws.Int32(1), ComputeEnvironmentOrder: order(3)})
		if want := i < 49; (err == nil) != want {
			t.Fatalf("queue %d: %v", i, err)
		}
	}
	refused(t, err, "at most 50 are allowed")
	_, err = w.UpdateJobQueue(ctx, &batch.UpdateJobQueueInput{JobQueue: aws.String("q0"), ComputeEnvironmentOrder: order(4)})
	refused(t, err, "at most 3 are allowed")
}

func TestBadEnvironmentsAndQueues(t *testing.T) {
	w, ctx := newWorld(t, job.DroverLimits()), t.Context()
	far := &batch.CreateComputeEnvironmentInput{ComputeEnvironmentName: aws.String("far"), Type: "MANAGED",
		ComputeResources: &types.ComputeResource{Type: "fargate", MaxvCpus: aws.Int32(4), Subnets: []string{"s"}}}
	_, err := w.CreateComputeEnvironment(ctx, far)
	must(t, 0, err)
	refuses(t, w, w.CreateComputeEnvironment, func() *batch.CreateComputeEnvironmentInput { return managed("bad") }, map[string]func(*batch.CreateComputeEnvironmentInput){
		"must be 1 to 128":                              func(in *batch.CreateComputeEnvironmentInput) { in.ComputeEnvironmentName = aws.String("a.b") },
		"type \"BORROWED\" must be":                     func(in *batch.CreateComputeEnvironmentInput) { in.Type = "BORROWED" },
		"state \"ASLEEP\" must be":                      func(in *batch.CreateComputeEnvironmentInput) { in.State = "ASLEEP" },
		"needs computeResources":                        func(in *batch.CreateComputeEnvironmentInput) { in.ComputeResources = nil },
		"only for compute environments of type MANAGED": func(in *batch.CreateComputeEnvironmentInput) { in.Type = "UNMANAGED" },
		"of type UNMANAGED":                             func(in *batch.CreateComputeEnvironmentInput) { in.UnmanagedvCpus = aws.Int32(3) },
		"eksConfiguration is not": func(in *batch.CreateComputeEnvironmentInput) {
			in.EksConfiguration = &types.EksConfiguration{EksClusterArn: aws.String("x"), KubernetesNamespace: aws.String("y")}
		},
		"computeResources type":       func(in *batch.CreateComputeEnvironmentInput) { in.ComputeResources.Type = "EC3" },
		"allocationStrategy":          func(in *batch.CreateComputeEnvironmentInput) { in.ComputeResources.AllocationStrategy = "WORST_FIT" },
		"Instance role is required.":  func(in *batch.CreateComputeEnvironmentInput) { in.ComputeResources.InstanceRole = nil },
		"Instance types are required": func(in *batch.CreateComputeEnvironmentInput) { in.ComputeResources.InstanceTypes = nil },
		"maxvCpus must be at least 1": func(in *batch.CreateComputeEnvironmentInput) { in.ComputeResources.MaxvCpus = aws.Int32(0) },
		"minvCpus must be":            func(in *batch.CreateComputeEnvironmentInput) { in.ComputeResources.MinvCpus = aws.Int32(9) },
		"desiredvCpus must be":        func(in *batch.CreateComputeEnvironmentInput) { in.ComputeResources.DesiredvCpus = aws.Int32(9) },
		"bidPercentage must be":       func(in *batch.CreateComputeEnvironmentInput) { in.ComputeResources.BidPercentage = aws.Int32(0) },
		"minScaleDownDelayMinutes": func(in *batch.CreateComputeEnvironmentInput) {
			in.ComputeResources.ScalingPolicy = &types.ComputeScalingPolicy{MinScaleDownDelayMinutes: aws.Int32(5)}
		},
		"instanceTypes is not applicable for Fargate": func(in *batch.CreateComputeEnvironmentInput) { in.ComputeResources.Type = "FARGATE" },
		"drover:requires: \"gpu\" is not":             func(in *batch.CreateComputeEnvironmentInput) { in.Tags = map[string]string{"drover:requires": "gpu"} },
		"drover:host-jobs must be":                    func(in *batch.CreateComputeEnvironmentInput) { in.Tags = map[string]string{"drover:host-jobs": "yes"} },
	})
	one := func(refs ...string) (list []types.ComputeEnvironmentOrder) {
		for i, ref := range refs {
			list = append(list, types.ComputeEnvironmentOrder{Order: aws.Int32(int32(i)), ComputeEnvironment: &ref})
		}
		return list
	}
	refuses(t, w, w.CreateJobQueue, func() *batch.CreateJobQueueInput {
		return &batch.CreateJobQueueInput{JobQueueName: aws.String("bad"), Priority: aws.Int32(1), ComputeEnvironmentOrder: one("local")}
	}, map[string]func(*batch.CreateJobQueueInput){
		"jobQueueName":                func(in *batch.CreateJobQueueInput) { in.JobQueueName = aws.String("a/b") },
		"Object already exists":       func(in *batch.CreateJobQueueInput) { in.JobQueueName = aws.String("default") },
		"priority must be at least 0": func(in *batch.CreateJobQueueInput) { in.Priority = aws.Int32(-1) },
		"at least one compute":        func(in *batch.CreateJobQueueInput) { in.ComputeEnvironmentOrder = nil },
		"environment none does not":   func(in *batch.CreateJobQueueInput) { in.ComputeEnvironmentOrder = one("none") },
		"names local twice": func(in *batch.CreateJobQueueInput) {
			in.ComputeEnvironmentOrder = one("local", prefix+"compute-environment/local")
		},
		"cannot mix EC2 and FARGATE":             func(in *batch.CreateJobQueueInput) { in.ComputeEnvironmentOrder = one("local", "far") },
		"must be the ARN of a scheduling policy": func(in *batch.CreateJobQueueInput) { in.SchedulingPolicyArn = aws.String("arn") },
		"policy none does not exist": func(in *batch.CreateJobQueueInput) {
			in.SchedulingPolicyArn = aws.String(prefix + "scheduling-policy/none")
		},
		"SageMaker": func(in *batch.CreateJobQueueInput) {
			in.ServiceEnvironmentOrder = []types.ServiceEnvironmentOrder{{Order: aws.Int32(1), ServiceEnvironment: aws.String("s")}}
		},
		"reason \"x\" must be one of": func(in *batch.CreateJobQueueInput) {
			in.JobStateTimeLimitActions = []types.JobStateTimeLimitAction{{Action: "CANCEL", State: "RUNNABLE", MaxTimeSeconds: aws.Int32(600), Reason: aws.String("x")}}
		},
		"jobQueueType EKS is not":                     func(in *batch.CreateJobQueueInput) { in.JobQueueType = "EKS" },
		"state \"OPEN\" must be":                      func(in *batch.CreateJobQueueInput) { in.State = "OPEN" },
		"drover:max-running must be a number above 0": func(in *batch.CreateJobQueueInput) { in.Tags = map[string]string{"drover:max-running": "0"} },
		"drover:policy must be":                       func(in *batch.CreateJobQueueInput) { in.Tags = map[string]string{"drover:policy": "magic"} },
		"drover:preemptible must be":                  func(in *batch.CreateJobQueueInput) { in.Tags = map[string]string{"drover:preemptible": "maybe"} },
		"drover:preempt-after must be":                func(in *batch.CreateJobQueueInput) { in.Tags = map[string]string{"drover:preempt-after": "-1"} },
		"drover:weight must be":                       func(in *batch.CreateJobQueueInput) { in.Tags = map[string]string{"drover:weight": "-1"} },
		"drover:max-overtake must be":                 func(in *batch.CreateJobQueueInput) { in.Tags = map[string]string{"drover:max-overtake": "soon"} },
		"not one that drover knows":                   func(in *batch.CreateJobQueueInput) { in.Tags = map[string]string{"drover:token": "1"} },
	})
	_, err = w.UpdateComputeEnvironment(ctx, &batch.UpdateComputeEnvironmentInput{ComputeEnvironment: aws.String("none")})
	refused(t, err, "does not exist")
	_, err = w.UpdateJobQueue(ctx, &batch.UpdateJobQueueInput{JobQueue: aws.String("none")})
	refused(t, err, "does not exist")
	_, err = w.UpdateComputeEnvironment(ctx, &batch.UpdateComputeEnvironmentInput{ComputeEnvironment: aws.String("local"), ComputeResources: &types.ComputeResourceUpdate{MaxvCpus: aws.Int32(-1)}})
	refused(t, err, "maxvCpus must be at least 1")
	if *w.environment(t, "local").ComputeResources.MaxvCpus != 16 {
		t.Error("a refused update changed the environment")
	}
}
