package batch_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"drover/internal/core/job"
	service "drover/internal/service/batch"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
)

func managed(name string) *batch.CreateComputeEnvironmentInput {
	return &batch.CreateComputeEnvironmentInput{
		ComputeEnvironmentName: &name, Type: "managed", ServiceRole: aws.String(""), Tags: map[string]string{"a": "b"},
		ComputeResources: &types.ComputeResource{
			Type: "ec2", MinvCpus: aws.Int32(0), MaxvCpus: aws.Int32(8), DesiredvCpus: aws.Int32(2), InstanceTypes: []string{"optimal"},
			InstanceRole: aws.String("role"), Subnets: []string{"s-1"}, SecurityGroupIds: []string{"sg"}, AllocationStrategy: "best_fit",
		},
	}
}

func (w *world) environment(t *testing.T, ref string) *types.ComputeEnvironmentDetail {
	t.Helper()
	out, err := w.DescribeComputeEnvironments(t.Context(), &batch.DescribeComputeEnvironmentsInput{ComputeEnvironments: []string{ref}})
	if must(t, out, err).ComputeEnvironments == nil {
		t.Error("an empty list must be written as []")
	}
	if len(out.ComputeEnvironments) == 0 {
		return nil
	}
	return &out.ComputeEnvironments[0]
}

func (w *world) queue(t *testing.T, ref string) *types.JobQueueDetail {
	t.Helper()
	out, err := w.DescribeJobQueues(t.Context(), &batch.DescribeJobQueuesInput{JobQueues: []string{ref}})
	if len(must(t, out, err).JobQueues) == 0 {
		return nil
	}
	return &out.JobQueues[0]
}

func TestDefaults(t *testing.T) {
	w := newWorld(t, job.DroverLimits())
	e := w.environment(t, prefix+"compute-environment/local")
	diff(t, "local", e.ComputeResources, &types.ComputeResource{
		Type: "EC2", MinvCpus: aws.Int32(0), MaxvCpus: aws.Int32(16), InstanceTypes: []string{"optimal"}, InstanceRole: aws.String("ecsInstanceRole"), Subnets: []string{},
	})
	if e.Type != "MANAGED" || e.State != "ENABLED" || e.Status != "VALID" || !strings.HasPrefix(*e.EcsClusterArn, "arn:aws:ecs:eu-west-9:") || !strings.Contains(*e.StatusReason, "this host's worker") {
		t.Errorf("local: %+v", e)
	}
	diff(t, "tags of local", e.Tags, map[string]string{"drover:host-jobs": "true"})
	q := w.queue(t, "default")
	if q.State != "ENABLED" || q.Status != "VALID" || *q.Priority != 1 || *q.JobQueueArn != prefix+"job-queue/default" {
		t.Errorf("default: %+v", q)
	}
	// A second start changes nothing, also when the user has taken the defaults away.
	ctx := t.Context()
	_, err := w.UpdateJobQueue(ctx, &batch.UpdateJobQueueInput{JobQueue: aws.String("default"), Priority: aws.Int32(9)})
	must(t, 0, err)
	must(t, 0, service.EnsureDefaults(ctx, w.m, 4))
	if *w.queue(t, "default").Priority != 9 || *w.environment(t, "local").ComputeResources.MaxvCpus != 16 {
		t.Error("EnsureDefaults changed what was there")
	}
}

// The sequence of a Terraform apply and destroy (reference: clients, Terraform).
func TestLifeOfEnvironmentAndQueue(t *testing.T) {
	w, ctx := newWorld(t, job.DroverLimits()), t.Context()
	ce, err := w.CreateComputeEnvironment(ctx, managed("ce"))
	if *must(t, ce, err).ComputeEnvironmentArn != prefix+"compute-environment/ce" {
		t.Errorf("ARN %s", *ce.ComputeEnvironmentArn)
	}
	_, err = w.CreateComputeEnvironment(ctx, managed("ce"))
	refused(t, err, "Object already exists")
	want := managed("ce").ComputeResources
	want.Type, want.AllocationStrategy = "EC2", "BEST_FIT"
	e := w.environment(t, "ce")
	diff(t, "computeResources", e.ComputeResources, want)
	if e.ServiceRole != nil || e.UpdatePolicy != nil || e.ContainerOrchestrationType != "ECS" {
		t.Errorf("ce: %+v", e)
	}
	_, err = w.UpdateComputeEnvironment(ctx, &batch.UpdateComputeEnvironmentInput{
		ComputeEnvironment: ce.ComputeEnvironmentArn, ServiceRole: aws.String("r"),
		ComputeResources: &types.ComputeResourceUpdate{MaxvCpus: aws.Int32(12), InstanceTypes: []string{"m5.large"}},
		UpdatePolicy:     &types.UpdatePolicy{JobExecutionTimeoutMinutes: aws.Int64(30), TerminateJobsOnUpdate: aws.Bool(false)},
	})
	must(t, 0, err)
	want.MaxvCpus, want.InstanceTypes = aws.Int32(12), []string{"m5.large"}
	e = w.environment(t, "ce")
	diff(t, "after the update", e.ComputeResources, want)
	diff(t, "updatePolicy", e.UpdatePolicy, &types.UpdatePolicy{JobExecutionTimeoutMinutes: aws.Int64(30), TerminateJobsOnUpdate: aws.Bool(false)})
	_, err = w.UpdateComputeEnvironment(ctx, &batch.UpdateComputeEnvironmentInput{ComputeEnvironment: aws.String("ce"), ComputeResources: &types.ComputeResourceUpdate{DesiredvCpus: aws.Int32(1)}})
	refused(t, err, "Manually scaling down compute environment is not supported")

	jq, err := w.CreateJobQueue(ctx, &batch.CreateJobQueueInput{
		JobQueueName: aws.String("q"), Priority: aws.Int32(3), State: "enabled", Tags: map[string]string{"x": "y"},
		ComputeEnvironmentOrder: []types.ComputeEnvironmentOrder{{Order: aws.Int32(5), ComputeEnvironment: aws.String("local")}, {Order: aws.Int32(2), ComputeEnvironment: ce.ComputeEnvironmentArn}},
	})
	if *must(t, jq, err).JobQueueArn != prefix+"job-queue/q" {
		t.Errorf("ARN %s", *jq.JobQueueArn)
	}
	q := w.queue(t, *jq.JobQueueArn)
	diff(t, "order", q.ComputeEnvironmentOrder, []types.ComputeEnvironmentOrder{
		{Order: aws.Int32(2), ComputeEnvironment: ce.ComputeEnvironmentArn}, {Order: aws.Int32(5), ComputeEnvironment: aws.String(prefix + "compute-environment/local")},
	})
	diff(t, "tags", q.Tags, map[string]string{"x": "y"})

	w.register(t, hostJob("d"))
	in := &batch.SubmitJobInput{JobName: aws.String("j"), JobQueue: aws.String("q"), JobDefinition: aws.String("d")}
	id := w.submit(t, in)
	remove := func() (error, error) {
		_, e1 := w.DeleteJobQueue(ctx, &batch.DeleteJobQueueInput{JobQueue: aws.String("q")})
		_, e2 := w.DeleteComputeEnvironment(ctx, &batch.DeleteComputeEnvironmentInput{ComputeEnvironment: aws.String("ce")})
		return e1, e2
	}
	e1, e2 := remove()
	refused(t, e1, "must be DISABLED")
	refused(t, e2, "must be DISABLED")
	_, err = w.UpdateJobQueue(ctx, &batch.UpdateJobQueueInput{JobQueue: jq.JobQueueArn, State: "DISABLED"})
	must(t, 0, err)
	_, err = w.UpdateComputeEnvironment(ctx, &batch.UpdateComputeEnvironmentInput{ComputeEnvironment: aws.String("ce"), State: "DISABLED"})
	must(t, 0, err)
	_, err = w.SubmitJob(ctx, in)
	refused(t, err, "is DISABLED")
	_, err = w.DeleteComputeEnvironment(ctx, &batch.DeleteComputeEnvironmentInput{ComputeEnvironment: aws.String("ce")})
	refused(t, err, "Cannot delete, found existing JobQueue relationship")
	e1, e2 = remove()
	must(t, 0, e1)
	must(t, 0, e2)
	if w.queue(t, "q") != nil || w.environment(t, "ce") != nil {
		t.Error("what was deleted is still described")
	}
	if d := w.waitFor(t, id, types.JobStatusFailed); d.StoppedAt == nil {
		t.Error("the deleted queue's job has no stoppedAt")
	}
	e1, e2 = remove()
	refused(t, e1, "does not exist")
	refused(t, e2, "does not exist")
	_, err = w.SubmitJob(ctx, in)
	refused(t, err, "JobQueue q not found")
}

func TestEnvironmentsAndQueuesArePaged(t *testing.T) {
	w, ctx := newWorld(t, job.DroverLimits()), t.Context()
	for _, name := range []string{"b", "a", "c"} {
		_, err := w.CreateComputeEnvironment(ctx, managed(name))
		must(t, 0, err)
	}
	var names []string
	for p := batch.NewDescribeComputeEnvironmentsPaginator(w, &batch.DescribeComputeEnvironmentsInput{MaxResults: aws.Int32(3)}); p.HasMorePages(); {
		out, err := p.NextPage(ctx)
		for _, e := range must(t, out, err).ComputeEnvironments {
			names = append(names, *e.ComputeEnvironmentName)
		}
	}
	diff(t, "names", names, []string{"a", "b", "c", "local"})
	out, err := w.DescribeComputeEnvironments(ctx, &batch.DescribeComputeEnvironmentsInput{ComputeEnvironments: []string{"c", "zz", "a", "c"}})
	if len(must(t, out, err).ComputeEnvironments) != 2 || *out.ComputeEnvironments[0].ComputeEnvironmentName != "c" {
		t.Errorf("by name: %+v", out.ComputeEnvironments)
	}
	_, err = w.DescribeJobQueues(ctx, &batch.DescribeJobQueuesInput{NextToken: aws.String("guess")})
	refused(t, err, "nextToken")
}

// Whoever asks through another path than this service's cache sees its change at once.
func TestCatalogForgets(t *testing.T) {
	w, ctx := newWorld(t, job.DroverLimits()), t.Context()
	in := &batch.SubmitJobInput{JobName: aws.String("j"), JobQueue: aws.String("default"), JobDefinition: aws.String("d")}
	for revision := range 3 {
		w.register(t, hostJob("d"))
		id := w.submit(t, in)
		if got, want := *w.describe(t, id).JobDefinition, prefix+"job-definition/d:"+string(rune('1'+revision)); got != want {
			t.Errorf("definition %s, want %s", got, want)
		}
	}
	for _, state := range []types.JQState{"DISABLED", "ENABLED", "DISABLED"} {
		_, err := w.UpdateJobQueue(ctx, &batch.UpdateJobQueueInput{JobQueue: aws.String("default"), State: state})
		must(t, 0, err)
		if _, err = w.SubmitJob(ctx, in); (err == nil) != (state == "ENABLED") {
			t.Errorf("submit to a queue that is %s: %v", state, err)
		}
	}
}

func TestTagging(t *testing.T) {
	w, ctx := newWorld(t, job.DroverLimits()), t.Context()
	w.register(t, hostJob("d"))
	id := w.submit(t, &batch.SubmitJobInput{JobName: aws.String("j"), JobQueue: aws.String("default"), JobDefinition: aws.String("d"), Tags: map[string]string{"old": "1", "drover:token": "t"}})
	tag := func(ref string, tags map[string]string) error {
		_, err := w.TagResource(ctx, &batch.TagResourceInput{ResourceArn: &ref, Tags: tags})
		return err
	}
	list := func(ref string) (map[string]string, error) {
		out, err := w.ListTagsForResource(ctx, &batch.ListTagsForResourceInput{ResourceArn: &ref})
		if err != nil {
			return nil, err
		}
		return out.Tags, nil
	}
	for _, name := range []string{"job/" + id, "job-definition/d:1", "job-queue/default", "compute-environment/local"} {
		ref := prefix + name
		must(t, 0, tag(ref, map[string]string{"a b/c": "1", "x": "2"}))
		_, err := w.UntagResource(ctx, &batch.UntagResourceInput{ResourceArn: &ref, TagKeys: []string{"x", "old", "none"}})
		must(t, 0, err)
		got, err := list(ref)
		must(t, 0, err)
		delete(got, "drover:token")
		delete(got, "drover:host-jobs")
		diff(t, "tags of "+name, got, map[string]string{"a b/c": "1"})
		refused(t, tag(ref, map[string]string{"aws:x": "1"}), "must not start with aws:")
		many := map[string]string{}
		for i := range 50 {
			many[strings.Repeat("k", i+1)] = ""
		}
		refused(t, tag(ref, many), "at most 50")
		refused(t, tag(ref, map[string]string{"drover:speed": "11"}), "drover:speed is not one that drover knows")
	}
	if got := w.describe(t, id).Tags; got["a b/c"] != "1" {
		t.Errorf("tags of the job: %v", got)
	}
	refused(t, tag(prefix+"job/"+id, map[string]string{"drover:token": "u"}), "drover:token")
	for words, name := range map[string]string{
		"does not exist":              "job-queue/none",
		"job-definition/d:9 does not": "job-definition/d:9",
		"environment none does not":   "compute-environment/none",
		"00 does not exist":           "job/00000000-0000-4000-8000-000000000000",
		"array children":              "job/" + id + ":0",
		"is not the ARN":              "job-definition/d",
		"policy p does not":           "scheduling-policy/p",
		"resource r does not":         "consumable-resource/r",
		"share s of job queue q does": "quota-share/q/s",
		"SageMaker":                   "service-job/x",
		"not the ARN of a job,":       "bucket/b",
	} {
		refused(t, tag(prefix+name, map[string]string{"a": "b"}), words)
	}
	refused(t, tag("nonsense", map[string]string{"a": "b"}), "is not an ARN")
	refused(t, tag("arn:aws:batch:x:999999999999:job-queue/default", map[string]string{"a": "b"}), "belongs to account 999999999999")

	// A tag of drover on an environment is read at once.
	local := prefix + "compute-environment/local"
	must(t, 0, tag(local, map[string]string{"drover:host-jobs": "false"}))
	all, err := w.m.Environments(context.WithoutCancel(ctx))
	if must(t, all, err)[0].HostJobs {
		t.Error("host jobs are still allowed")
	}
	refused(t, tag(local, map[string]string{"drover:host-jobs": "maybe"}), "must be true or false")
}

// The scheduler learns the instance types of an environment and its pool when it is made, and
// when they change.
func TestPoolsAndTypes(t *testing.T) {
	w := newWorld(t, job.DroverLimits())
	in := managed("pool")
	in.ComputeResources.InstanceTypes = []string{"c5", "m5.large"}
	in.Tags = map[string]string{"drover:requires": "pool=night"}
	_, err := w.CreateComputeEnvironment(t.Context(), in)
	must(t, 0, err)
	told := func() (types []string, pool string) {
		all, err := w.m.Environments(t.Context())
		for _, e := range must(t, all, err) {
			if e.Name == "pool" {
				types, pool = e.Types, e.Tags["drover:requires"]
			}
		}
		return types, pool
	}
	if list, pool := told(); !slices.Equal(list, []string{"c5", "m5.large"}) || pool != "pool=night" {
		t.Errorf("told %q and %q", list, pool)
	}
	_, err = w.UpdateComputeEnvironment(t.Context(), &batch.UpdateComputeEnvironmentInput{ComputeEnvironment: aws.String("pool"), ComputeResources: &types.ComputeResourceUpdate{InstanceTypes: []string{"optimal"}}})
	must(t, 0, err)
	ref := w.environment(t, "pool").ComputeEnvironmentArn
	_, err = w.TagResource(t.Context(), &batch.TagResourceInput{ResourceArn: ref, Tags: map[string]string{"drover:requires": "pool=day"}})
	must(t, 0, err)
	if list, pool := told(); !slices.Equal(list, []string{"optimal"}) || pool != "pool=day" {
		t.Errorf("told %q and %q after the change", list, pool)
	}
}

func TestTokenMakesSubmissionsOne(t *testing.T) {
	w := newWorld(t, job.DroverLimits())
	w.register(t, hostJob("d"))
	in := &batch.SubmitJobInput{JobName: aws.String("j"), JobQueue: aws.String("default"), JobDefinition: aws.String("d"),
		Tags: map[string]string{"drover:token": "t-1", "drover:stage": "s3://b/plan.json"}}
	first := w.submit(t, in)
	if again := w.submit(t, in); again != first {
		t.Errorf("the same token gave %s and %s", first, again)
	}
	v, err := w.m.Describe(t.Context(), []string{first})
	if s := must(t, v, err)[0].Spec; s.Stage != "s3://b/plan.json" || s.Token != "t-1" {
		t.Errorf("spec: %+v", s)
	}
}
