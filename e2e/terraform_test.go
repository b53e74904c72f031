package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

// terraform is the AWS provider's way with Batch: the Go SDK, its paginators, its waits.
type terraform struct {
	*batch.Client
	t *testing.T
}

// TestTerraform walks the provider's create, read, update and delete of every kind of Batch
// resource that it has, with the statuses that it waits for, and a second destroy.
func TestTerraform(t *testing.T) {
	t.Parallel()
	s := serve(t)
	config := aws.Config{Region: "drover-1", BaseEndpoint: &s.endpoint,
		Credentials: credentials.NewStaticCredentialsProvider(s.client.Credentials.AccessKey, s.client.Credentials.Secret, "")}
	who, err := sts.NewFromConfig(config).GetCallerIdentity(t.Context(), &sts.GetCallerIdentityInput{})
	if err != nil || len(aws.ToString(who.Account)) != 12 {
		t.Fatalf("the provider's first call: %v, %v", who, err)
	}
	p := &terraform{batch.NewFromConfig(config), t}
	policy := p.policy()
	environment := p.environment()
	queue := p.queue(environment, policy)
	p.definition()
	p.consumable()
	p.destroy(queue, environment, policy)
}

func ok[T any](t *testing.T, v T, err error) T {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// wait is the provider's StateChangeConf: any status that is neither pending nor the target
// is an error; "" stands for what is not there.
func (p *terraform) wait(pending []string, target string, status func() string) {
	p.t.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		switch got := status(); {
		case got == target:
			return
		case !slices.Contains(pending, got):
			p.t.Fatalf("the status is %q, neither in %v nor %q", got, pending, target)
		case time.Now().After(end):
			p.t.Fatalf("the status stays %q", got)
		}
	}
}

// one reads exactly one result, or nothing; DELETED is nothing.
func one[T any](p *terraform, what string, list []T, status func(T) string) *T {
	p.t.Helper()
	if len(list) > 1 {
		p.t.Fatalf("%d results for one %s", len(list), what)
	}
	if len(list) == 0 || status(list[0]) == "DELETED" {
		return nil
	}
	return &list[0]
}

func (p *terraform) readEnvironment(name string) *types.ComputeEnvironmentDetail {
	p.t.Helper()
	var all []types.ComputeEnvironmentDetail
	for pages := batch.NewDescribeComputeEnvironmentsPaginator(p, &batch.DescribeComputeEnvironmentsInput{ComputeEnvironments: []string{name}}); pages.HasMorePages(); {
		page, err := pages.NextPage(p.t.Context())
		all = append(all, ok(p.t, page, err).ComputeEnvironments...)
	}
	return one(p, name, all, func(e types.ComputeEnvironmentDetail) string { return string(e.Status) })
}

func (p *terraform) environmentStatus(name string) func() string {
	return func() string {
		if e := p.readEnvironment(name); e != nil {
			return string(e.Status)
		}
		return ""
	}
}

// environment creates one, gives it an update policy in a second step, and changes what can
// be changed in place.
func (p *terraform) environment() string {
	p.t.Helper()
	ctx, name := p.t.Context(), "tf-environment"
	in := &batch.CreateComputeEnvironmentInput{
		ComputeEnvironmentName: &name, Type: types.CETypeManaged, ServiceRole: aws.String(""), State: types.CEStateEnabled, Tags: map[string]string{"made": "by terraform"},
		ComputeResources: &types.ComputeResource{
			Type: types.CRTypeEc2, AllocationStrategy: types.CRAllocationStrategyBestFitProgressive, InstanceTypes: []string{"c6i.large", "m6i"}, InstanceRole: aws.String("arn:aws:iam::000000000000:instance-profile/ecs"),
			MinvCpus: aws.Int32(0), MaxvCpus: aws.Int32(16), Subnets: []string{"subnet-1", "subnet-2"}, SecurityGroupIds: []string{"sg-1"},
			Ec2Configuration: []types.Ec2Configuration{{ImageType: aws.String("ECS_AL2023")}}, Ec2KeyPair: aws.String("key"),
			LaunchTemplate: &types.LaunchTemplateSpecification{LaunchTemplateId: aws.String("lt-1"), Version: aws.String("$Latest")}, Tags: map[string]string{"Name": "worker"},
		},
	}
	made, err := p.CreateComputeEnvironment(ctx, in)
	if got := aws.ToString(ok(p.t, made, err).ComputeEnvironmentName); got != name {
		p.t.Fatalf("its id would be %q", got)
	}
	p.wait([]string{"CREATING"}, "VALID", p.environmentStatus(name))
	_, err = p.UpdateComputeEnvironment(ctx, &batch.UpdateComputeEnvironmentInput{ComputeEnvironment: &name,
		UpdatePolicy: &types.UpdatePolicy{JobExecutionTimeoutMinutes: aws.Int64(60), TerminateJobsOnUpdate: aws.Bool(false)}})
	ok(p.t, 0, err)
	p.wait([]string{"UPDATING"}, "VALID", p.environmentStatus(name))

	e := p.readEnvironment(name)
	r, want := e.ComputeResources, in.ComputeResources
	if r.Type != want.Type || r.AllocationStrategy != want.AllocationStrategy || *r.MinvCpus != 0 || *r.MaxvCpus != 16 || *r.InstanceRole != *want.InstanceRole ||
		!slices.Equal(r.InstanceTypes, want.InstanceTypes) || !slices.Equal(r.Subnets, want.Subnets) || !slices.Equal(r.SecurityGroupIds, want.SecurityGroupIds) ||
		len(r.Ec2Configuration) != 1 || *r.Ec2Configuration[0].ImageType != "ECS_AL2023" || r.Tags["Name"] != "worker" ||
		r.BidPercentage != nil || *r.Ec2KeyPair != "key" || r.ImageId != nil || *r.LaunchTemplate.LaunchTemplateId != "lt-1" || *r.LaunchTemplate.Version != "$Latest" || r.PlacementGroup != nil || r.SpotIamFleetRole != nil {
		p.t.Errorf("a plan would differ: %+v", r)
	}
	if aws.ToInt64(e.UpdatePolicy.JobExecutionTimeoutMinutes) != 60 || e.EksConfiguration != nil || e.State != "ENABLED" || e.Type != "MANAGED" ||
		e.Tags["made"] != "by terraform" || !strings.HasPrefix(aws.ToString(e.EcsClusterArn), "arn:aws:ecs:") || aws.ToString(e.StatusReason) == "" {
		p.t.Errorf("a plan would differ: %+v", e)
	}
	_, err = p.UpdateComputeEnvironment(ctx, &batch.UpdateComputeEnvironmentInput{ComputeEnvironment: &name, State: types.CEStateDisabled, ComputeResources: &types.ComputeResourceUpdate{
		MaxvCpus: aws.Int32(32), MinvCpus: aws.Int32(0), InstanceTypes: []string{"optimal"}, Ec2KeyPair: aws.String(""), ImageId: aws.String(""),
		LaunchTemplate: &types.LaunchTemplateSpecification{LaunchTemplateId: aws.String("")}, Tags: map[string]string{}}})
	ok(p.t, 0, err)
	p.wait([]string{"UPDATING"}, "VALID", p.environmentStatus(name))
	e = p.readEnvironment(name)
	if r := e.ComputeResources; e.State != "DISABLED" || *r.MaxvCpus != 32 || !slices.Equal(r.InstanceTypes, []string{"optimal"}) || len(r.Tags) != 0 ||
		r.LaunchTemplate != nil || r.Ec2KeyPair != nil || r.ImageId != nil {
		p.t.Errorf("after the update: %s %+v", e.State, r)
	}
	_, err = p.UpdateComputeEnvironment(ctx, &batch.UpdateComputeEnvironmentInput{ComputeEnvironment: &name, State: types.CEStateEnabled, ComputeResources: &types.ComputeResourceUpdate{MaxvCpus: aws.Int32(32)}})
	ok(p.t, 0, err)
	p.wait([]string{"UPDATING"}, "VALID", p.environmentStatus(name))
	p.tags(*e.ComputeEnvironmentArn)
	return name
}

// tags is how the provider changes them: untag what goes, tag what comes, read all.
func (p *terraform) tags(arn string) {
	p.t.Helper()
	ctx := p.t.Context()
	_, err := p.UntagResource(ctx, &batch.UntagResourceInput{ResourceArn: &arn, TagKeys: []string{"made", "never was"}})
	ok(p.t, 0, err)
	_, err = p.TagResource(ctx, &batch.TagResourceInput{ResourceArn: &arn, Tags: map[string]string{"cost centre": "7/a+b", "empty": ""}})
	ok(p.t, 0, err)
	out, err := p.ListTagsForResource(ctx, &batch.ListTagsForResourceInput{ResourceArn: &arn})
	if tags := ok(p.t, out, err).Tags; len(tags) != 2 || tags["cost centre"] != "7/a+b" {
		p.t.Errorf("the tags of %s: %v", arn, tags)
	}
}

func (p *terraform) policy() string {
	p.t.Helper()
	ctx := p.t.Context()
	share := func(weight float32) *types.FairsharePolicy {
		return &types.FairsharePolicy{ComputeReservation: aws.Int32(0), ShareDecaySeconds: aws.Int32(3600),
			ShareDistribution: []types.ShareAttributes{{ShareIdentifier: aws.String("A1*"), WeightFactor: aws.Float32(weight)}}}
	}
	made, err := p.CreateSchedulingPolicy(ctx, &batch.CreateSchedulingPolicyInput{Name: aws.String("tf-policy"), FairsharePolicy: share(0.1), Tags: map[string]string{"made": "by terraform"}})
	arn := aws.ToString(ok(p.t, made, err).Arn)
	_, err = p.UpdateSchedulingPolicy(ctx, &batch.UpdateSchedulingPolicyInput{Arn: &arn, FairsharePolicy: share(0.2)})
	ok(p.t, 0, err)
	out, err := p.DescribeSchedulingPolicies(ctx, &batch.DescribeSchedulingPoliciesInput{Arns: []string{arn}})
	if all := ok(p.t, out, err).SchedulingPolicies; len(all) != 1 || *all[0].Name != "tf-policy" || *all[0].FairsharePolicy.ShareDecaySeconds != 3600 ||
		aws.ToInt32(all[0].FairsharePolicy.ComputeReservation) != 0 || *all[0].FairsharePolicy.ShareDistribution[0].WeightFactor != 0.2 || all[0].Tags["made"] == "" {
		p.t.Errorf("the policy: %+v", all)
	}
	p.tags(arn)
	return arn
}

func (p *terraform) readQueue(arn string) *types.JobQueueDetail {
	p.t.Helper()
	var all []types.JobQueueDetail
	for pages := batch.NewDescribeJobQueuesPaginator(p, &batch.DescribeJobQueuesInput{JobQueues: []string{arn}}); pages.HasMorePages(); {
		page, err := pages.NextPage(p.t.Context())
		all = append(all, ok(p.t, page, err).JobQueues...)
	}
	return one(p, arn, all, func(q types.JobQueueDetail) string { return string(q.Status) })
}

func (p *terraform) queueStatus(arn string) func() string {
	return func() string {
		if q := p.readQueue(arn); q != nil {
			return string(q.Status)
		}
		return ""
	}
}

func (p *terraform) queue(environment, policy string) string {
	p.t.Helper()
	ctx := p.t.Context()
	first := *p.readEnvironment(environment).ComputeEnvironmentArn
	second := *p.readEnvironment("local").ComputeEnvironmentArn
	order := []types.ComputeEnvironmentOrder{{Order: aws.Int32(1), ComputeEnvironment: &first}, {Order: aws.Int32(2), ComputeEnvironment: &second}}
	limit := []types.JobStateTimeLimitAction{{Action: types.JobStateTimeLimitActionsActionCancel, MaxTimeSeconds: aws.Int32(600), State: types.JobStateTimeLimitActionsStateRunnable, Reason: aws.String("MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT")}}
	made, err := p.CreateJobQueue(ctx, &batch.CreateJobQueueInput{JobQueueName: aws.String("tf-queue"), Priority: aws.Int32(1), State: types.JQStateEnabled,
		ComputeEnvironmentOrder: order, SchedulingPolicyArn: &policy, JobStateTimeLimitActions: limit, Tags: map[string]string{"made": "by terraform"}})
	arn := aws.ToString(ok(p.t, made, err).JobQueueArn)
	p.wait([]string{"CREATING", "UPDATING"}, "VALID", p.queueStatus(arn))
	q := p.readQueue(arn)
	if len(q.ComputeEnvironmentOrder) != 2 || *q.ComputeEnvironmentOrder[0].ComputeEnvironment != first || *q.ComputeEnvironmentOrder[1].ComputeEnvironment != second ||
		*q.Priority != 1 || q.State != "ENABLED" || *q.SchedulingPolicyArn != policy || len(q.JobStateTimeLimitActions) != 1 || *q.JobStateTimeLimitActions[0].Reason != *limit[0].Reason || q.Tags["made"] == "" {
		p.t.Errorf("a plan would differ: %+v", q)
	}
	// The policy is sent with every update, changed or not.
	_, err = p.UpdateJobQueue(ctx, &batch.UpdateJobQueueInput{JobQueue: q.JobQueueName, Priority: aws.Int32(7), SchedulingPolicyArn: &policy, ComputeEnvironmentOrder: order[:1], JobStateTimeLimitActions: []types.JobStateTimeLimitAction{}})
	ok(p.t, 0, err)
	p.wait([]string{"UPDATING"}, "VALID", p.queueStatus(arn))
	if q := p.readQueue(arn); *q.Priority != 7 || len(q.ComputeEnvironmentOrder) != 1 || len(q.JobStateTimeLimitActions) != 0 {
		p.t.Errorf("after the update: %+v", q)
	}
	p.tags(arn)
	return arn
}

// definition: an update is a new revision, of which the older one may be deregistered; what
// is read back must be what was registered, and nothing else.
func (p *terraform) definition() {
	p.t.Helper()
	ctx := p.t.Context()
	in := &batch.RegisterJobDefinitionInput{JobDefinitionName: aws.String("tf-definition"), Type: types.JobDefinitionTypeContainer, PropagateTags: aws.Bool(false), Tags: map[string]string{"made": "by terraform"},
		PlatformCapabilities: []types.PlatformCapability{types.PlatformCapabilityEc2}, Parameters: map[string]string{"param": "value"},
		RetryStrategy: &types.RetryStrategy{Attempts: aws.Int32(2), EvaluateOnExit: []types.EvaluateOnExit{{Action: "retry", OnStatusReason: aws.String("Host EC2*")}, {Action: "exit", OnReason: aws.String("*")}}},
		Timeout:       &types.JobTimeout{AttemptDurationSeconds: aws.Int32(60)},
		ContainerProperties: &types.ContainerProperties{Image: aws.String("busybox"), Command: []string{"echo", "Ref::param"}, Environment: []types.KeyValuePair{{Name: aws.String("B"), Value: aws.String("2")}, {Name: aws.String("A"), Value: aws.String("1")}},
			ResourceRequirements: []types.ResourceRequirement{{Type: "VCPU", Value: aws.String("0.25")}, {Type: "MEMORY", Value: aws.String("512")}},
			Volumes:              []types.Volume{{Name: aws.String("tmp"), Host: &types.Host{SourcePath: aws.String("/tmp")}}}, MountPoints: []types.MountPoint{{SourceVolume: aws.String("tmp"), ContainerPath: aws.String("/tmp"), ReadOnly: aws.Bool(false)}},
			Ulimits: []types.Ulimit{{Name: aws.String("nofile"), SoftLimit: aws.Int32(1024), HardLimit: aws.Int32(1024)}}}}
	register := func() string {
		out, err := p.RegisterJobDefinition(ctx, in)
		return aws.ToString(ok(p.t, out, err).JobDefinitionArn)
	}
	read := func(in *batch.DescribeJobDefinitionsInput) (all []types.JobDefinition) {
		for pages := batch.NewDescribeJobDefinitionsPaginator(p, in); pages.HasMorePages(); {
			page, err := pages.NextPage(ctx)
			all = append(all, ok(p.t, page, err).JobDefinitions...)
		}
		return all
	}
	first := register()
	got := read(&batch.DescribeJobDefinitionsInput{JobDefinitions: []string{first}})
	if len(got) != 1 {
		p.t.Fatalf("%d definitions of one ARN", len(got))
	}
	d := got[0]
	// The provider compares these as JSON, made by the SDK, without empty lists.
	if len(d.ContainerProperties.Secrets) == 0 {
		d.ContainerProperties.Secrets = nil
	}
	if a, b := plain(p.t, d.ContainerProperties), plain(p.t, in.ContainerProperties); a != b {
		p.t.Errorf("a plan would differ:\n%s\n%s", a, b)
	}
	if !strings.HasSuffix(first, ":1") || aws.ToInt32(d.Revision) != 1 || d.EcsProperties != nil || d.NodeProperties != nil || d.EksProperties != nil || aws.ToInt32(d.SchedulingPriority) != 0 ||
		aws.ToBool(d.PropagateTags) || d.Parameters["param"] != "value" || !slices.Equal(d.PlatformCapabilities, in.PlatformCapabilities) || *d.Timeout.AttemptDurationSeconds != 60 ||
		*d.RetryStrategy.Attempts != 2 || !strings.EqualFold(string(d.RetryStrategy.EvaluateOnExit[0].Action), "retry") || d.RetryStrategy.EvaluateOnExit[0].OnExitCode != nil || d.Tags["made"] == "" {
		p.t.Errorf("a plan would differ: %+v", d)
	}
	p.tags(first)
	second := register()
	_, err := p.DeregisterJobDefinition(ctx, &batch.DeregisterJobDefinitionInput{JobDefinition: &first})
	ok(p.t, 0, err)
	if d := read(&batch.DescribeJobDefinitionsInput{JobDefinitions: []string{first}}); len(d) != 1 || aws.ToString(d[0].Status) != "INACTIVE" {
		p.t.Errorf("the deregistered revision: %+v", d)
	}
	register()
	active := &batch.DescribeJobDefinitionsInput{JobDefinitionName: in.JobDefinitionName, Status: aws.String("ACTIVE"), MaxResults: aws.Int32(1)}
	for range 2 { // the second destroy finds nothing
		for _, d := range read(active) {
			_, err := p.DeregisterJobDefinition(ctx, &batch.DeregisterJobDefinitionInput{JobDefinition: d.JobDefinitionArn})
			ok(p.t, 0, err)
		}
	}
	if d := read(active); len(d) != 0 || !strings.HasSuffix(second, ":2") {
		p.t.Errorf("after the destroy %d are ACTIVE; the second was %s", len(d), second)
	}
}

func plain(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	return string(ok(t, b, err))
}

// consumable walks a consumable resource through its life; the provider's resource for it
// follows the same pattern.
func (p *terraform) consumable() {
	p.t.Helper()
	ctx, name := p.t.Context(), aws.String("tf-licence")
	made, err := p.CreateConsumableResource(ctx, &batch.CreateConsumableResourceInput{ConsumableResourceName: name, TotalQuantity: aws.Int64(5), ResourceType: aws.String("REPLENISHABLE"), Tags: map[string]string{"made": "by terraform"}})
	arn := ok(p.t, made, err).ConsumableResourceArn
	for range 2 { // with a token, sent again after a lost answer
		_, err = p.UpdateConsumableResource(ctx, &batch.UpdateConsumableResourceInput{ConsumableResource: arn, Operation: aws.String("ADD"), Quantity: aws.Int64(3), ClientToken: aws.String("apply-1")})
		ok(p.t, 0, err)
	}
	d, err := p.DescribeConsumableResource(ctx, &batch.DescribeConsumableResourceInput{ConsumableResource: arn})
	if ok(p.t, d, err); *d.TotalQuantity != 8 || *d.AvailableQuantity != 8 || *d.InUseQuantity != 0 || *d.ResourceType != "REPLENISHABLE" || *d.ConsumableResourceName != *name {
		p.t.Errorf("the resource: %+v", d)
	}
	p.tags(*arn)
	_, err = p.DeleteConsumableResource(ctx, &batch.DeleteConsumableResourceInput{ConsumableResource: arn})
	ok(p.t, 0, err)
	_, err = p.DescribeConsumableResource(ctx, &batch.DescribeConsumableResourceInput{ConsumableResource: arn})
	p.gone(err)
}

// gone makes sure of the error by which the provider knows that something is not there.
func (p *terraform) gone(err error) {
	p.t.Helper()
	if c := (*types.ClientException)(nil); !errors.As(err, &c) || !strings.Contains(c.ErrorMessage(), "does not exist") {
		p.t.Errorf("want a ClientException with \"does not exist\", got %v", err)
	}
}

// destroy takes queue, environment and policy away in the order of their dependence, and does
// it all again: what is gone is gone without an error.
func (p *terraform) destroy(queue, environment, policy string) {
	p.t.Helper()
	ctx := context.WithoutCancel(p.t.Context())
	_, err := p.DeleteSchedulingPolicy(ctx, &batch.DeleteSchedulingPolicyInput{Arn: &policy})
	if err == nil {
		p.t.Error("a policy was deleted that a queue uses")
	}
	_, err = p.UpdateJobQueue(ctx, &batch.UpdateJobQueueInput{JobQueue: &queue, State: types.JQStateDisabled})
	ok(p.t, 0, err)
	p.wait([]string{"UPDATING"}, "VALID", p.queueStatus(queue))
	_, err = p.DeleteJobQueue(ctx, &batch.DeleteJobQueueInput{JobQueue: &queue})
	ok(p.t, 0, err)
	p.wait([]string{"DELETING"}, "", p.queueStatus(queue))
	_, err = p.UpdateJobQueue(ctx, &batch.UpdateJobQueueInput{JobQueue: &queue, State: types.JQStateDisabled})
	p.gone(err)

	_, err = p.UpdateComputeEnvironment(ctx, &batch.UpdateComputeEnvironmentInput{ComputeEnvironment: &environment, State: types.CEStateDisabled})
	ok(p.t, 0, err)
	p.wait([]string{"UPDATING"}, "VALID", p.environmentStatus(environment))
	_, err = p.DeleteComputeEnvironment(ctx, &batch.DeleteComputeEnvironmentInput{ComputeEnvironment: &environment})
	ok(p.t, 0, err)
	p.wait([]string{"DELETING"}, "", p.environmentStatus(environment))
	_, err = p.UpdateComputeEnvironment(ctx, &batch.UpdateComputeEnvironmentInput{ComputeEnvironment: &environment, State: types.CEStateDisabled})
	p.gone(err)

	_, err = p.DeleteSchedulingPolicy(ctx, &batch.DeleteSchedulingPolicyInput{Arn: &policy})
	ok(p.t, 0, err)
	out, err := p.DescribeSchedulingPolicies(ctx, &batch.DescribeSchedulingPoliciesInput{Arns: []string{policy}})
	if all := ok(p.t, out, err).SchedulingPolicies; len(all) != 0 {
		p.t.Errorf("the deleted policy: %+v", all)
	}
}
