package batch_test

import (
	"strconv"
	"strings"
	"testing"

	"drover/internal/core/job"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
)

func nodeContainer(command ...string) *types.ContainerProperties {
	return &types.ContainerProperties{Image: aws.String("host"), Command: command, ResourceRequirements: resources("0.5", "64"), InstanceType: aws.String("c5.large")}
}

// mpi is a registration of four nodes, of which node 2 is unlike the others.
func mpi(name string) *batch.RegisterJobDefinitionInput {
	return &batch.RegisterJobDefinitionInput{
		JobDefinitionName: &name, Type: "multinode", Parameters: map[string]string{"what": "hello"},
		RetryStrategy: &types.RetryStrategy{Attempts: aws.Int32(2)}, Timeout: &types.JobTimeout{AttemptDurationSeconds: aws.Int32(600)},
		NodeProperties: &types.NodeProperties{NumNodes: aws.Int32(4), MainNode: aws.Int32(0), NodeRangeProperties: []types.NodeRangeProperty{
			{TargetNodes: aws.String("0:"), Container: nodeContainer("run", "Ref::what"), InstanceTypes: []string{"c5.large"}},
			{TargetNodes: aws.String("2:2"), Container: nodeContainer("other")},
		}},
	}
}

func TestNodeDefinitionIsEchoedAsItCame(t *testing.T) {
	w := newWorld(t, job.AWSLimits())
	out := w.register(t, mpi("p"))
	got, err := w.DescribeJobDefinitions(t.Context(), &batch.DescribeJobDefinitionsInput{JobDefinitions: []string{*out.JobDefinitionArn}})
	d := must(t, got, err).JobDefinitions[0]
	want := mpi("p").NodeProperties
	for i := range want.NodeRangeProperties {
		fill(want.NodeRangeProperties[i].Container)
		if want.NodeRangeProperties[i].InstanceTypes == nil {
			want.NodeRangeProperties[i].InstanceTypes = d.NodeProperties.NodeRangeProperties[i].InstanceTypes
		}
	}
	diff(t, "nodeProperties", d.NodeProperties, want)
	if d.ContainerProperties != nil || *d.Type != "multinode" {
		t.Errorf("%+v", d)
	}
}

// fill adds the lists that AWS always answers.
func fill(c *types.ContainerProperties) {
	c.Environment, c.MountPoints, c.Secrets = []types.KeyValuePair{}, []types.MountPoint{}, []types.Secret{}
	c.Ulimits, c.Volumes = []types.Ulimit{}, []types.Volume{}
}

func TestBadNodeDefinitions(t *testing.T) {
	w := newWorld(t, job.DroverLimits())
	refuses(t, w, w.RegisterJobDefinition, func() *batch.RegisterJobDefinitionInput { return mpi("bad") }, map[string]func(*batch.RegisterJobDefinitionInput){
		"needs nodeProperties": func(in *batch.RegisterJobDefinitionInput) { in.NodeProperties = nil },
		"containerProperties should not be set": func(in *batch.RegisterJobDefinitionInput) {
			in.ContainerProperties = nodeContainer("x")
		},
		"cannot run on Fargate": func(in *batch.RegisterJobDefinitionInput) {
			in.PlatformCapabilities = []types.PlatformCapability{"FARGATE"}
		},
		"belong into its node ranges": func(in *batch.RegisterJobDefinitionInput) {
			in.ConsumableResourceProperties = &types.ConsumableResourceProperties{}
		},
		"mainNode must be a node index": func(in *batch.RegisterJobDefinitionInput) { in.NodeProperties.MainNode = aws.Int32(4) },
		"numNodes must be between":      func(in *batch.RegisterJobDefinitionInput) { in.NodeProperties.NumNodes = aws.Int32(0) },
		"must be a range of nodes": func(in *batch.RegisterJobDefinitionInput) {
			in.NodeProperties.NodeRangeProperties[0].TargetNodes = aws.String("all")
		},
		"node 0 is in none of the ranges": func(in *batch.RegisterJobDefinitionInput) {
			in.NodeProperties.NodeRangeProperties[0].TargetNodes = aws.String("1:")
		},
		"names nodes that do not exist": func(in *batch.RegisterJobDefinitionInput) {
			in.NodeProperties.NodeRangeProperties[1].TargetNodes = aws.String("2:9")
		},
		"needs a container": func(in *batch.RegisterJobDefinitionInput) {
			in.NodeProperties.NodeRangeProperties[1].Container = nil
		},
		"a container or ecsProperties, and not both": func(in *batch.RegisterJobDefinitionInput) {
			in.NodeProperties.NodeRangeProperties[1].EcsProperties = hostPod("x").EcsProperties
		},
		"exactly one entry": func(in *batch.RegisterJobDefinitionInput) {
			in.NodeProperties.NodeRangeProperties[1].Container = nil
			in.NodeProperties.NodeRangeProperties[1].EcsProperties = &types.EcsProperties{TaskProperties: []types.EcsTaskProperties{}}
		},
		"eksProperties of a node range is not": func(in *batch.RegisterJobDefinitionInput) {
			in.NodeProperties.NodeRangeProperties[1].EksProperties = &types.EksProperties{}
		},
		"same instance type": func(in *batch.RegisterJobDefinitionInput) {
			in.NodeProperties.NodeRangeProperties[1].Container.InstanceType = aws.String("m5.large")
		},
		"at most 1 is allowed": func(in *batch.RegisterJobDefinitionInput) {
			in.NodeProperties.NodeRangeProperties[1].InstanceTypes = []string{"c5.large", "c5.large"}
		},
		"need memory": func(in *batch.RegisterJobDefinitionInput) {
			in.NodeProperties.NodeRangeProperties[1].Container.ResourceRequirements = in.NodeProperties.NodeRangeProperties[1].Container.ResourceRequirements[:1]
		},
		"volumes needs a container": func(in *batch.RegisterJobDefinitionInput) {
			in.NodeProperties.NodeRangeProperties[1].Container.Volumes = []types.Volume{{Name: aws.String("v")}}
		},
		"schedulingPriority must be": func(in *batch.RegisterJobDefinitionInput) { in.SchedulingPriority = aws.Int32(10000) },
	})
}

func TestBadNodeSubmissions(t *testing.T) {
	w := newWorld(t, job.DroverLimits())
	w.register(t, mpi("p"))
	closed := mpi("closed")
	closed.NodeProperties.NodeRangeProperties = closed.NodeProperties.NodeRangeProperties[:1]
	closed.NodeProperties.NodeRangeProperties[0].TargetNodes = aws.String("0:3")
	w.register(t, closed)
	if _, err := w.CreateComputeEnvironment(t.Context(), &batch.CreateComputeEnvironmentInput{ComputeEnvironmentName: aws.String("own"), Type: "UNMANAGED", State: "ENABLED"}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.CreateJobQueue(t.Context(), &batch.CreateJobQueueInput{JobQueueName: aws.String("own"), Priority: aws.Int32(1), State: "ENABLED",
		ComputeEnvironmentOrder: []types.ComputeEnvironmentOrder{{Order: aws.Int32(1), ComputeEnvironment: aws.String("own")}}}); err != nil {
		t.Fatal(err)
	}
	over := func(target string, c *types.ContainerOverrides) *types.NodeOverrides {
		return &types.NodeOverrides{NodePropertyOverrides: []types.NodePropertyOverride{{TargetNodes: &target, ContainerOverrides: c}}}
	}
	refuses(t, w, w.SubmitJob, func() *batch.SubmitJobInput {
		return &batch.SubmitJobInput{JobName: aws.String("j"), JobQueue: aws.String("default"), JobDefinition: aws.String("p")}
	}, map[string]func(*batch.SubmitJobInput){
		"containerOverrides should not be set": func(in *batch.SubmitJobInput) { in.ContainerOverrides = &types.ContainerOverrides{} },
		"cannot be an array job": func(in *batch.SubmitJobInput) {
			in.ArrayProperties = &types.ArrayProperties{Size: aws.Int32(2)}
		},
		"consumableResourcePropertiesOverride should not": func(in *batch.SubmitJobInput) {
			in.ConsumableResourcePropertiesOverride = &types.ConsumableResourceProperties{}
		},
		"tag drover:on-oom cannot": func(in *batch.SubmitJobInput) { in.Tags = map[string]string{"drover:on-oom": "grow"} },
		"begins after that":        func(in *batch.SubmitJobInput) { in.NodeOverrides = &types.NodeOverrides{NumNodes: aws.Int32(2)} },
		"between 1 and 1000":       func(in *batch.SubmitJobInput) { in.NodeOverrides = &types.NodeOverrides{NumNodes: aws.Int32(0)} },
		"without an upper boundary": func(in *batch.SubmitJobInput) {
			in.JobDefinition, in.NodeOverrides = aws.String("closed"), &types.NodeOverrides{NumNodes: aws.Int32(5)}
		},
		"do not exist: the job has 4 nodes": func(in *batch.SubmitJobInput) { in.NodeOverrides = over("0:7", nil) },
		"targetNodes \"x\" must be":         func(in *batch.SubmitJobInput) { in.NodeOverrides = over("x", nil) },
		"names must not start with AWS_BATCH": func(in *batch.SubmitJobInput) {
			in.NodeOverrides = over("0:", &types.ContainerOverrides{Environment: []types.KeyValuePair{{Name: aws.String("AWS_BATCH_X"), Value: aws.String("1")}}})
		},
		"No parameter found for reference nothing": func(in *batch.SubmitJobInput) {
			in.NodeOverrides = over("0:", &types.ContainerOverrides{Command: []string{"Ref::nothing"}})
		},
		"need a MANAGED compute environment of type EC2": func(in *batch.SubmitJobInput) { in.JobQueue = aws.String("own") },
	})
	_, err := w.DescribeJobs(t.Context(), &batch.DescribeJobsInput{Jobs: []string{}})
	must(t, 0, err)
}

// TestNodesLife takes a multi-node parallel job through its life and reads what clients do.
func TestNodesLife(t *testing.T) {
	w := newWorld(t, job.DroverLimits())
	w.register(t, mpi("p"))
	h := newHand(t, w.m, 2)
	id := w.submit(t, &batch.SubmitJobInput{JobName: aws.String("j"), JobQueue: aws.String("default"), JobDefinition: aws.String("p"),
		Parameters: map[string]string{"what": "bye"},
		NodeOverrides: &types.NodeOverrides{NumNodes: aws.Int32(3), NodePropertyOverrides: []types.NodePropertyOverride{{TargetNodes: aws.String("1:1"), ContainerOverrides: &types.ContainerOverrides{
			Command: []string{"mine"}, Environment: []types.KeyValuePair{{Name: aws.String("A"), Value: aws.String("1")}},
			ResourceRequirements: []types.ResourceRequirement{{Type: "vcpu", Value: aws.String("0.25")}},
		}}}},
	})
	main := h.next()
	if main.UnitName() != id+"#0" || strings.Join(main.Command, " ") != "run bye" || main.TimeoutSeconds != 600 || main.Seat == nil || main.Seat.Count != 3 {
		t.Fatalf("%+v", main)
	}
	if d := w.describe(t, id); d.Status != types.JobStatusStarting {
		t.Errorf("the job is %s", d.Status)
	}
	h.report(job.Report{Lease: main.Lease, Started: true, Address: "127.64.0.1"})
	starts := map[string]job.Assignment{}
	for range 2 {
		a := h.next()
		starts[a.UnitName()] = a
		if a.Seat.MainAddress != "127.64.0.1" || a.TimeoutSeconds != 0 {
			t.Errorf("%+v", a)
		}
		h.report(job.Report{Lease: a.Lease, Started: true, Address: "127.64.0." + strconv.Itoa(int(2+a.Seat.Node))})
	}
	one := starts[id+"#1"]
	if strings.Join(one.Command, " ") != "mine" || one.Need.MilliVCPU != 250 || len(one.Variables) != 1 || strings.Join(starts[id+"#2"].Command, " ") != "other" {
		t.Errorf("%+v", starts)
	}
	w.checkRunningNodes(t, id)
	h.ended(starts[id+"#2"].Lease, 5)
	if d := w.waitFor(t, id+"#2", types.JobStatusFailed); *d.Container.ExitCode != 5 || *d.Attempts[0].Container.ExitCode != 5 || d.StoppedAt == nil {
		t.Errorf("%+v", d.Container)
	}
	if d := w.describe(t, id); d.Status != types.JobStatusRunning {
		t.Errorf("after the end of a child the job is %s", d.Status)
	}
	h.ended(main.Lease, 0)
	if l := <-h.stops; l != one.Lease {
		t.Errorf("%+v was stopped", l)
	}
	code := int32(143)
	h.report(job.Report{Lease: one.Lease, Exit: &job.Exit{Code: &code, Cause: job.CauseTerminated}})
	d := w.waitFor(t, id, types.JobStatusSucceeded)
	node := w.describe(t, id+"#0")
	if len(d.Attempts) != 1 || *d.Attempts[0].Container.ExitCode != 0 || *d.Attempts[0].Container.LogStreamName != *node.Container.LogStreamName || *d.StoppedAt != *node.StoppedAt || *d.StartedAt != *node.StartedAt {
		t.Errorf("the job: %+v, its main node: %+v", d.Attempts, node.Attempts)
	}
	if s := aws.ToString(w.describe(t, id+"#1").StatusReason); s != "The main node of the job has exited" {
		t.Errorf("statusReason of a stopped node: %q", s)
	}
}

// TestNodesOfSeveralContainers takes a multi-node parallel job through its life whose main
// node has one container and whose others have two each.
func TestNodesOfSeveralContainers(t *testing.T) {
	w := newWorld(t, job.DroverLimits())
	in := mpi("p")
	in.NodeProperties.MainNode = aws.Int32(2)
	r := &in.NodeProperties.NodeRangeProperties[1] // node 2
	r.Container, r.InstanceTypes, r.EcsProperties = nil, []string{"c5.large"}, hostPod("x").EcsProperties
	r.EcsProperties.TaskProperties[0].Containers[0].Command = []string{"say", "Ref::what"}
	r.EcsProperties.TaskProperties[0].Containers[1].DependsOn = nil
	w.register(t, in)
	out, err := w.DescribeJobDefinitions(t.Context(), &batch.DescribeJobDefinitionsInput{JobDefinitionName: aws.String("p")})
	kept := must(t, out, err).JobDefinitions[0].NodeProperties.NodeRangeProperties[1]
	if kept.Container != nil || *kept.EcsProperties.TaskProperties[0].Containers[1].Name != "two" || kept.EcsProperties.TaskProperties[0].Containers[1].Secrets == nil {
		t.Errorf("registered: %+v", kept)
	}
	submit := &batch.SubmitJobInput{JobName: aws.String("j"), JobQueue: aws.String("default"), JobDefinition: aws.String("p"), Parameters: map[string]string{"what": "bye"},
		NodeOverrides: &types.NodeOverrides{NodePropertyOverrides: []types.NodePropertyOverride{{TargetNodes: aws.String("1:2"), ContainerOverrides: &types.ContainerOverrides{Command: []string{"mine"}}}}}}
	_, err = w.SubmitJob(t.Context(), submit)
	refused(t, err, "containerOverrides cannot be set for nodes 2:2, which have several containers")
	members := func(name string) *types.EcsPropertiesOverride {
		return &types.EcsPropertiesOverride{TaskProperties: []types.TaskPropertiesOverride{{Containers: []types.TaskContainerOverrides{{
			Name: &name, Command: []string{"loud", "Ref::what"}, Environment: []types.KeyValuePair{{Name: aws.String("VOICE"), Value: aws.String("high")}},
			ResourceRequirements: []types.ResourceRequirement{{Type: types.ResourceTypeVcpu, Value: aws.String("0.75")}},
		}}}}}
	}
	for want, o := range map[string]types.NodePropertyOverride{
		"ecsPropertiesOverride cannot be set for nodes": {TargetNodes: aws.String("1:2"), EcsPropertiesOverride: members("one")},
		`names the container "three"`:                   {TargetNodes: aws.String("2"), EcsPropertiesOverride: members("three")},
		"eksPropertiesOverride of nodes is not":         {TargetNodes: aws.String("2"), EksPropertiesOverride: &types.EksPropertiesOverride{}},
	} {
		submit.NodeOverrides.NodePropertyOverrides[0] = o
		_, err = w.SubmitJob(t.Context(), submit)
		refused(t, err, want)
	}
	submit.NodeOverrides.NodePropertyOverrides = []types.NodePropertyOverride{
		{TargetNodes: aws.String("0:0"), ContainerOverrides: &types.ContainerOverrides{Command: []string{"mine"}}},
		{TargetNodes: aws.String("2"), EcsPropertiesOverride: members("one")},
	}
	h := newHand(t, w.m, 4)
	id := w.submit(t, submit)
	main := h.next()
	if main.UnitName() != id+"#2" || main.Pod == nil || strings.Join(main.Pod.Members[0].Command, " ") != "loud bye" || main.Need.MilliVCPU != 1000 || len(main.Pod.Members[0].Environment) == 0 || main.Seat == nil {
		t.Fatalf("%+v", main)
	}
	h.report(job.Report{Lease: main.Lease, Started: true, Address: "127.64.0.1"})
	for range 3 {
		a := h.next()
		if a.Pod != nil {
			t.Errorf("%s has several containers", a.UnitName())
		}
		h.ended(a.Lease, 0)
	}
	zero, code := int32(0), int32(143)
	h.report(job.Report{Lease: main.Lease, Exit: &job.Exit{Code: &zero, Members: []job.MemberExit{{Name: "one", Code: &zero, Ran: true}, {Name: "two", Code: &code, Ran: true}}}})
	d := w.waitFor(t, id, types.JobStatusSucceeded)
	node := w.describe(t, id+"#2")
	if node.Container != nil || d.EcsProperties != nil || len(d.Attempts) != 1 || len(node.Attempts) != 1 {
		t.Fatalf("the job: %+v, its main node: %+v", d, node)
	}
	diff(t, "the attempts of the job and of its main node", d.Attempts[0].TaskProperties, node.Attempts[0].TaskProperties)
	for i, c := range node.EcsProperties.TaskProperties[0].Containers {
		end := node.Attempts[0].TaskProperties[0].Containers[i]
		if *c.ExitCode != []int32{0, 143}[i] || *c.NetworkInterfaces[0].PrivateIpv4Address != "127.64.0.1" || *c.Name != []string{"one", "two"}[i] || *c.LogStreamName != *end.LogStreamName || !strings.HasPrefix(*c.LogStreamName, "p/"+*c.Name+"/") {
			t.Errorf("container %d: %+v, %+v", i, c, end)
		}
	}
	var said []string
	for _, r := range d.NodeProperties.NodeRangeProperties {
		if r.EcsProperties != nil {
			said = append(said, *r.TargetNodes+" "+strings.Join(r.EcsProperties.TaskProperties[0].Containers[0].Command, " "))
		} else {
			said = append(said, *r.TargetNodes+" "+strings.Join(r.Container.Command, " "))
		}
	}
	diff(t, "nodeProperties", said, []string{"0:0 mine", "1:1 run bye", "2:2 loud bye", "3:3 run bye"})
	if c := w.describe(t, id+"#3").Container; c == nil || *c.ExitCode != 0 {
		t.Errorf("node 3: %+v", c)
	}
}

// checkRunningNodes reads a running job of three nodes as clients do.
func (w *world) checkRunningNodes(t *testing.T, id string) {
	t.Helper()
	d := w.waitFor(t, id, types.JobStatusRunning)
	if d.Container != nil || d.NodeDetails != nil || d.ArrayProperties != nil || *d.NodeProperties.NumNodes != 3 || *d.NodeProperties.MainNode != 0 {
		t.Errorf("the job: %+v", d)
	}
	var said []string
	for _, r := range d.NodeProperties.NodeRangeProperties {
		said = append(said, *r.TargetNodes+" "+strings.Join(r.Container.Command, " ")+" "+*r.Container.ResourceRequirements[0].Value)
	}
	diff(t, "nodeProperties", said, []string{"0:0 run bye 0.5", "1:1 mine 0.25", "2:2 other 0.5"})
	w.waitFor(t, id+"#1", types.JobStatusRunning)
	w.waitFor(t, id+"#2", types.JobStatusRunning)
	n := w.describe(t, id+"#1")
	if *n.JobId != id+"#1" || !strings.HasSuffix(*n.JobArn, "job/"+id+"#1") || *n.NodeDetails.NodeIndex != 1 || *n.NodeDetails.IsMainNode || n.NodeProperties != nil {
		t.Errorf("node 1: %+v", n)
	}
	diff(t, "command of node 1", n.Container.Command, []string{"mine"})
	if *n.Attempts[0].Container.NetworkInterfaces[0].PrivateIpv4Address != "127.64.0.3" || *n.Container.LogStreamName == *d.Attempts[0].Container.LogStreamName {
		t.Errorf("node 1: %+v", n.Attempts)
	}
	if !*w.describe(t, id+"#0").NodeDetails.IsMainNode {
		t.Error("node 0 is not the main node")
	}
	list, err := w.ListJobs(t.Context(), &batch.ListJobsInput{MultiNodeJobId: &id, MaxResults: aws.Int32(2)})
	if page := must(t, list, err).JobSummaryList; len(page) != 2 || *page[1].JobId != id+"#1" || !*page[0].NodeProperties.IsMainNode || *page[1].NodeProperties.NumNodes != 3 {
		t.Errorf("%+v", page)
	}
	list, err = w.ListJobs(t.Context(), &batch.ListJobsInput{MultiNodeJobId: &id, NextToken: list.NextToken})
	if page := must(t, list, err).JobSummaryList; len(page) != 1 || *page[0].NodeProperties.NodeIndex != 2 || list.NextToken != nil {
		t.Errorf("%+v", page)
	}
	list, err = w.ListJobs(t.Context(), &batch.ListJobsInput{JobQueue: aws.String("default")})
	if page := must(t, list, err).JobSummaryList; len(page) != 1 || *page[0].NodeProperties.NumNodes != 3 || page[0].NodeProperties.NodeIndex != nil {
		t.Errorf("%+v", page)
	}
	if got, err := w.DescribeJobs(t.Context(), &batch.DescribeJobsInput{Jobs: []string{id + "#3", id + ":0"}}); err != nil || len(got.Jobs) != 0 {
		t.Errorf("nodes that do not exist: %+v, %v", got, err)
	}
	_, err = w.TerminateJob(t.Context(), &batch.TerminateJobInput{JobId: aws.String(id + "#1"), Reason: aws.String("x")})
	refused(t, err, "is a node of a multi-node parallel job")
	_, err = w.TerminateJob(t.Context(), &batch.TerminateJobInput{JobId: aws.String(id + "#9"), Reason: aws.String("x")})
	refused(t, err, "does not exist")
}

// A job of many nodes that is short of one says so, and a terminated one ends with all.
func TestNodesWaitAndAreTerminated(t *testing.T) {
	w := newWorld(t, job.DroverLimits())
	w.register(t, mpi("p"))
	h := newHand(t, w.m, 2)
	small := w.submit(t, &batch.SubmitJobInput{JobName: aws.String("a"), JobQueue: aws.String("default"), JobDefinition: aws.String("p")})
	main := h.next()
	id := w.submit(t, &batch.SubmitJobInput{JobName: aws.String("b"), JobQueue: aws.String("default"), JobDefinition: aws.String("p")})
	for _, name := range []string{id, id + "#3"} {
		if d := w.waitFor(t, name, types.JobStatusRunnable); !strings.Contains(aws.ToString(d.StatusReason), "the job needs 4 nodes at once, 0 have room") {
			t.Errorf("%s waits: %q", name, aws.ToString(d.StatusReason))
		}
	}
	if _, err := w.TerminateJob(t.Context(), &batch.TerminateJobInput{JobId: &small, Reason: aws.String("enough")}); err != nil {
		t.Fatal(err)
	}
	if l := <-h.stops; l != main.Lease {
		t.Errorf("%+v was stopped", l)
	}
	h.report(job.Report{Lease: main.Lease, Exit: &job.Exit{Cause: job.CauseTerminated}})
	d := w.waitFor(t, small, types.JobStatusFailed)
	n := w.describe(t, small+"#3")
	if *d.StatusReason != "enough" || !*d.IsTerminated || n.Status != types.JobStatusFailed || *n.StatusReason != "enough" || !*n.IsTerminated || len(d.Attempts) != 1 {
		t.Errorf("%+v\n%+v", d, n)
	}
	if a := h.next(); a.UnitName() != id+"#0" {
		t.Errorf("%s was started next", a.UnitName())
	}
	cancelled := w.submit(t, &batch.SubmitJobInput{JobName: aws.String("c"), JobQueue: aws.String("default"), JobDefinition: aws.String("p")})
	if _, err := w.CancelJob(t.Context(), &batch.CancelJobInput{JobId: &cancelled, Reason: aws.String("never mind")}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{cancelled, cancelled + "#1"} {
		if d := w.waitFor(t, name, types.JobStatusFailed); *d.StatusReason != "never mind" || d.StoppedAt == nil {
			t.Errorf("%s: %+v", name, d)
		}
	}
}
