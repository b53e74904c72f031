package batch_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"drover/internal/core/job"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
)

func TestOneJobFromSubmitToEnd(t *testing.T) {
	w := newWorld(t, job.DroverLimits())
	in := hostJob("d")
	in.ContainerProperties.Command = []string{"say", "Ref::what", "x=Ref::what.txt"}
	in.ContainerProperties.Environment = []types.KeyValuePair{{Name: aws.String("A"), Value: aws.String("1")}, {Name: aws.String("B"), Value: aws.String("2")}}
	in.Parameters = map[string]string{"what": "hello", "other": "o"}
	w.register(t, in)
	id := w.submit(t, &batch.SubmitJobInput{
		JobName: aws.String("My-Job_1"), JobQueue: aws.String(prefix + "job-queue/default"), JobDefinition: aws.String("d:1"),
		Parameters: map[string]string{"what": "bye"},
		ContainerOverrides: &types.ContainerOverrides{
			Environment:          []types.KeyValuePair{{Name: aws.String("B"), Value: aws.String("3")}, {Name: aws.String("C"), Value: aws.String("4")}},
			ResourceRequirements: []types.ResourceRequirement{{Type: "memory", Value: aws.String("128")}},
		},
		RetryStrategy: &types.RetryStrategy{Attempts: aws.Int32(2)}, Timeout: &types.JobTimeout{AttemptDurationSeconds: aws.Int32(90)},
		Tags: map[string]string{"k": "v"}, PropagateTags: aws.Bool(true),
	})
	d := w.describe(t, id)
	if d.Status != types.JobStatusRunnable || !strings.Contains(aws.ToString(d.StatusReason), "DROVER:NO_HOST - no worker is connected") {
		t.Errorf("before any worker: %s %q", d.Status, aws.ToString(d.StatusReason))
	}
	if d.StartedAt != nil || d.StoppedAt != nil || d.Container.ExitCode != nil || d.Container.LogStreamName != nil || len(d.Attempts) != 0 || d.Attempts == nil {
		t.Errorf("a job that waits has an attempt: %+v", d)
	}
	h := newHand(t, w.m, 4)
	a := h.next()
	diff(t, "command", a.Command, []string{"say", "bye", "x=bye.txt"})
	diff(t, "variables", a.Variables, []job.Variable{{Name: "A", Value: "1"}, {Name: "B", Value: "3"}, {Name: "C", Value: "4"}})
	if a.Need.MilliVCPU != 250 || a.Need.MemoryMiB != 128 || a.TimeoutSeconds != 90 {
		t.Errorf("assignment: %+v", a)
	}
	h.ended(a.Lease, 3)
	b := h.next()
	h.started(b.Lease)
	if d = w.waitFor(t, id, types.JobStatusRunning); d.Container.LogStreamName == nil || d.StartedAt == nil || d.Container.ExitCode != nil || d.StoppedAt != nil {
		t.Errorf("while it runs: %+v", d.Container)
	}
	h.ended(b.Lease, 0)
	d = w.waitFor(t, id, types.JobStatusSucceeded)
	if *d.JobArn != prefix+"job/"+id || *d.JobName != "My-Job_1" || *d.JobQueue != prefix+"job-queue/default" || *d.JobDefinition != prefix+"job-definition/d:1" {
		t.Errorf("names: %s %s %s %s", *d.JobArn, *d.JobName, *d.JobQueue, *d.JobDefinition)
	}
	if !(*d.CreatedAt > 1e12 && *d.CreatedAt <= *d.StartedAt && *d.StartedAt <= *d.StoppedAt && *d.StoppedAt < 1e14) {
		t.Errorf("times in ms: %d %d %d", *d.CreatedAt, *d.StartedAt, *d.StoppedAt)
	}
	diff(t, "attempt exits", []int32{*d.Attempts[0].Container.ExitCode, *d.Attempts[1].Container.ExitCode}, []int32{3, 0})
	for i, at := range d.Attempts {
		task := (*at.Container.TaskArn)[strings.LastIndex(*at.Container.TaskArn, "/")+1:]
		if *at.Container.LogStreamName != "d/default/"+task || !strings.HasPrefix(*at.Container.TaskArn, "arn:aws:ecs:eu-west-9:"+account+":task/") {
			t.Errorf("attempt %d: stream %s, task %s", i, *at.Container.LogStreamName, *at.Container.TaskArn)
		}
		if !strings.HasSuffix(*at.Container.ContainerInstanceArn, "/"+host) || at.StartedAt == nil || at.StoppedAt == nil || *at.StatusReason != job.ReasonExited {
			t.Errorf("attempt %d: %+v", i, at)
		}
	}
	if *d.Container.LogStreamName != *d.Attempts[1].Container.LogStreamName || *d.Container.ExitCode != 0 {
		t.Errorf("the container is not that of the last attempt: %+v", d.Container)
	}
	diff(t, "requirements", d.Container.ResourceRequirements, []types.ResourceRequirement{{Type: "VCPU", Value: aws.String("0.25")}, {Type: "MEMORY", Value: aws.String("128")}})
	diff(t, "parameters", d.Parameters, map[string]string{"what": "bye", "other": "o"})
	diff(t, "tags", d.Tags, map[string]string{"k": "v"})
	diff(t, "retry", d.RetryStrategy, &types.RetryStrategy{Attempts: aws.Int32(2), EvaluateOnExit: []types.EvaluateOnExit{}})
	diff(t, "timeout", d.Timeout, &types.JobTimeout{AttemptDurationSeconds: aws.Int32(90)})
	if !*d.PropagateTags || *d.IsCancelled || *d.IsTerminated {
		t.Errorf("flags: %+v", d)
	}
}

// Old clients still send vcpus and memory: they count unless the definition has
// resourceRequirements, which they never override.
func TestLegacyNeed(t *testing.T) {
	w := newWorld(t, job.DroverLimits())
	old := hostJob("old")
	old.ContainerProperties.ResourceRequirements = nil
	old.ContainerProperties.Vcpus, old.ContainerProperties.Memory = aws.Int32(2), aws.Int32(100)
	w.register(t, old)
	w.register(t, hostJob("new"))
	legacy := &types.ContainerOverrides{Vcpus: aws.Int32(1), Memory: aws.Int32(300)}
	requirement := &types.ContainerOverrides{ResourceRequirements: []types.ResourceRequirement{{Type: "VCPU", Value: aws.String("3")}}}
	for _, c := range []struct {
		definition string
		over       *types.ContainerOverrides
		vcpus, mem int64
	}{
		{"old", nil, 2000, 100}, {"old", legacy, 1000, 300}, {"old", requirement, 3000, 100},
		{"new", nil, 250, 64}, {"new", legacy, 250, 64}, {"new", requirement, 3000, 64},
	} {
		id := w.submit(t, &batch.SubmitJobInput{JobName: aws.String("j"), JobQueue: aws.String("default"), JobDefinition: &c.definition, ContainerOverrides: c.over})
		v, err := w.m.Describe(t.Context(), []string{id})
		if got := must(t, v, err)[0].Spec.Need; got.MilliVCPU != c.vcpus || got.MemoryMiB != c.mem {
			t.Errorf("%s with %+v: %+v", c.definition, c.over, got)
		}
	}
}

func TestArray(t *testing.T) {
	w, ctx := newWorld(t, job.DroverLimits()), t.Context()
	w.register(t, hostJob("d"))
	id := w.submit(t, &batch.SubmitJobInput{JobName: aws.String("a"), JobQueue: aws.String("default"), JobDefinition: aws.String("d"), ArrayProperties: &types.ArrayProperties{Size: aws.Int32(3)}})
	h := newHand(t, w.m, 4)
	leases := map[int32]job.Assignment{}
	for range 3 {
		a := h.next()
		leases[a.Ref.Index] = a
	}
	h.started(leases[0].Lease)
	h.ended(leases[1].Lease, 7)
	d := w.waitFor(t, id+":1", types.JobStatusFailed)
	if *d.JobId != id+":1" || *d.ArrayProperties.Index != 1 || d.ArrayProperties.Size != nil || *d.Container.ExitCode != 7 || d.StoppedAt == nil || *d.JobArn != prefix+"job/"+id+":1" {
		t.Errorf("child: %+v", d)
	}
	d = w.describe(t, id)
	if at := aws.ToInt64(d.ArrayProperties.StatusSummaryLastUpdatedAt); at < *d.CreatedAt || at > time.Now().UnixMilli() {
		t.Errorf("statusSummaryLastUpdatedAt is %d", at)
	}
	d.ArrayProperties.StatusSummaryLastUpdatedAt = nil
	diff(t, "array", d.ArrayProperties, &types.ArrayPropertiesDetail{Size: aws.Int32(3), StatusSummary: map[string]int32{
		"SUBMITTED": 0, "PENDING": 0, "RUNNABLE": 0, "STARTING": 1, "RUNNING": 1, "SUCCEEDED": 0, "FAILED": 1,
	}})
	if d.Status != types.JobStatusPending || d.Container.ExitCode != nil {
		t.Errorf("parent while children run: %s", d.Status)
	}
	list := func(in *batch.ListJobsInput) (ids []string) {
		in.ArrayJobId = &id
		out, err := w.ListJobs(ctx, in)
		for _, j := range must(t, out, err).JobSummaryList {
			ids = append(ids, strings.TrimPrefix(*j.JobId, id))
		}
		return ids
	}
	diff(t, "RUNNING is the default", list(&batch.ListJobsInput{}), []string{":0"})
	diff(t, "FAILED", list(&batch.ListJobsInput{JobStatus: "failed"}), []string{":1"})
	h.ended(leases[0].Lease, 0)
	h.ended(leases[2].Lease, 0)
	if d = w.waitFor(t, id, types.JobStatusFailed); d.StoppedAt == nil {
		t.Errorf("an ended array has no stoppedAt")
	}
}

func TestDependencies(t *testing.T) {
	w, ctx := newWorld(t, job.DroverLimits()), t.Context()
	w.register(t, hostJob("d"))
	base := func() *batch.SubmitJobInput {
		return &batch.SubmitJobInput{JobName: aws.String("j"), JobQueue: aws.String("default"), JobDefinition: aws.String("d")}
	}
	array := base()
	array.ArrayProperties = &types.ArrayProperties{Size: aws.Int32(2)}
	array.DependsOn = []types.JobDependency{{Type: "sequential"}}
	first := w.submit(t, array)
	second := base()
	second.ArrayProperties = &types.ArrayProperties{Size: aws.Int32(2)}
	second.DependsOn = []types.JobDependency{{JobId: &first, Type: "n_to_n"}}
	paired := w.submit(t, second)
	last := base()
	last.DependsOn = []types.JobDependency{{JobId: &paired}, {JobId: &first}}
	id := w.submit(t, last)
	d := w.describe(t, id)
	if d.Status != types.JobStatusPending || !strings.Contains(*d.StatusReason, "waits for 2 of 2") {
		t.Errorf("%s %s", d.Status, aws.ToString(d.StatusReason))
	}
	diff(t, "dependsOn", d.DependsOn, []types.JobDependency{{JobId: &paired}, {JobId: &first}})
	diff(t, "N_TO_N", w.describe(t, paired).DependsOn, []types.JobDependency{{JobId: &first, Type: "N_TO_N"}})
	diff(t, "SEQUENTIAL", w.describe(t, first).DependsOn, []types.JobDependency{{Type: "SEQUENTIAL"}})

	wrong := func(words string, size int32, deps ...types.JobDependency) {
		t.Helper()
		in := base()
		in.DependsOn = deps
		if size > 0 {
			in.ArrayProperties = &types.ArrayProperties{Size: &size}
		}
		_, err := w.SubmitJob(ctx, in)
		refused(t, err, words)
	}
	wrong("does not exist", 0, types.JobDependency{JobId: aws.String("00000000-0000-4000-8000-000000000000")})
	wrong("is not a job id", 0, types.JobDependency{JobId: aws.String("x")})
	wrong("same size", 3, types.JobDependency{JobId: &first, Type: "N_TO_N"})
	wrong("only for array jobs", 0, types.JobDependency{JobId: &first, Type: "N_TO_N"})
	wrong("only for array jobs", 0, types.JobDependency{Type: "SEQUENTIAL"})
	wrong("takes no jobId", 2, types.JobDependency{JobId: &first, Type: "SEQUENTIAL"})
	wrong("needs a jobId", 0, types.JobDependency{})
	wrong("must be one of", 2, types.JobDependency{JobId: &first, Type: "AFTER"})
	wrong("is an array child", 0, types.JobDependency{JobId: aws.String(first + ":0")})
	wrong("belongs to account", 0, types.JobDependency{JobId: aws.String("arn:aws:batch:x:999999999999:job/" + first)})
}

func TestCancelAndTerminate(t *testing.T) {
	w, ctx := newWorld(t, job.DroverLimits()), t.Context()
	w.register(t, hostJob("d"))
	submit := func() string {
		return w.submit(t, &batch.SubmitJobInput{JobName: aws.String("j"), JobQueue: aws.String("default"), JobDefinition: aws.String("d")})
	}
	cancel := func(id string) error {
		_, err := w.CancelJob(ctx, &batch.CancelJobInput{JobId: &id, Reason: aws.String("changed my mind")})
		return err
	}
	terminate := func(id string) error {
		_, err := w.TerminateJob(ctx, &batch.TerminateJobInput{JobId: &id, Reason: aws.String("enough")})
		return err
	}
	waiting := submit()
	must(t, 0, cancel(waiting))
	d := w.waitFor(t, waiting, types.JobStatusFailed)
	if !*d.IsCancelled || *d.StatusReason != "changed my mind" || d.StoppedAt == nil || d.StartedAt != nil || d.Container.ExitCode != nil {
		t.Errorf("cancelled before its start: %+v", d)
	}
	must(t, 0, terminate(prefix+"job/"+waiting)) // ended already: nothing happens
	if d = w.describe(t, waiting); *d.IsTerminated || *d.StatusReason != "changed my mind" {
		t.Errorf("a terminal job was changed: %+v", d)
	}
	h := newHand(t, w.m, 4)
	running := submit()
	a := h.next()
	h.started(a.Lease)
	must(t, 0, cancel(running))
	if d = w.describe(t, running); d.Status != types.JobStatusRunning || *d.IsCancelled {
		t.Errorf("cancel touched a running job: %s", d.Status)
	}
	must(t, 0, terminate(running))
	if l := <-h.stops; l != a.Lease {
		t.Errorf("stop for %+v, want %+v", l, a.Lease)
	}
	h.ended(a.Lease, 143)
	d = w.waitFor(t, running, types.JobStatusFailed)
	if !*d.IsTerminated || *d.StatusReason != "enough" || *d.Container.ExitCode != 143 {
		t.Errorf("terminated: %+v", d)
	}
	const nobody = "00000000-0000-4000-8000-000000000000"
	refused(t, cancel(nobody), "does not exist")
	refused(t, terminate(nobody+":0"), "does not exist")
	refused(t, terminate("nonsense"), "is not a job id")
	long := strings.Repeat("é", 1025)
	_, err := w.TerminateJob(ctx, &batch.TerminateJobInput{JobId: &running, Reason: &long})
	refused(t, err, "at most 1024")
}

func TestDescribeJobsLeavesOutWhatIsUnknown(t *testing.T) {
	w, ctx := newWorld(t, job.DroverLimits()), t.Context()
	w.register(t, hostJob("d"))
	id := w.submit(t, &batch.SubmitJobInput{JobName: aws.String("j"), JobQueue: aws.String("default"), JobDefinition: aws.String("d")})
	out, err := w.DescribeJobs(ctx, &batch.DescribeJobsInput{Jobs: []string{strings.Repeat("a", 32), id + ":0", id + "#0", prefix + "job/" + id}})
	if len(must(t, out, err).Jobs) != 1 {
		t.Errorf("%d jobs", len(out.Jobs))
	}
	out, err = w.DescribeJobs(ctx, &batch.DescribeJobsInput{Jobs: []string{"x"}})
	if must(t, out, err).Jobs == nil {
		t.Error("an empty list must be written as []")
	}
	_, err = w.DescribeJobs(ctx, &batch.DescribeJobsInput{Jobs: make([]string, 101)})
	refused(t, err, "Maximum number of jobs supported is 100")
}

func TestListJobs(t *testing.T) {
	w, ctx := newWorld(t, job.DroverLimits()), t.Context()
	w.register(t, hostJob("one"))
	w.register(t, hostJob("two"))
	var ids []string
	for _, name := range []string{"red-1", "red-2", "blue-1"} {
		ids = append(ids, w.submit(t, &batch.SubmitJobInput{JobName: &name, JobQueue: aws.String("default"), JobDefinition: aws.String(map[bool]string{true: "one", false: "two"}[name[0] == 'r'])}))
	}
	list := func(in *batch.ListJobsInput) (got []string) {
		t.Helper()
		in.JobQueue = aws.String(prefix + "job-queue/default")
		for p := batch.NewListJobsPaginator(w, in); p.HasMorePages(); {
			out, err := p.NextPage(ctx)
			for _, j := range must(t, out, err).JobSummaryList {
				got = append(got, *j.JobName)
				if *j.JobArn != prefix+"job/"+*j.JobId || j.CreatedAt == nil || !strings.HasPrefix(*j.JobDefinition, prefix) {
					t.Errorf("summary: %+v", j)
				}
			}
		}
		return got
	}
	filter := func(name, value string) *batch.ListJobsInput {
		return &batch.ListJobsInput{Filters: []types.KeyValuesPair{{Name: &name, Values: []string{value}}}}
	}
	diff(t, "default is RUNNING", list(&batch.ListJobsInput{}), []string(nil))
	diff(t, "by status, paged", list(&batch.ListJobsInput{JobStatus: "Runnable", MaxResults: aws.Int32(1)}), []string{"red-1", "red-2", "blue-1"})
	diff(t, "by name, newest first", list(filter("JOB_NAME", "RED*")), []string{"red-2", "red-1"})
	diff(t, "by definition", list(filter("job_definition", "two")), []string{"blue-1"})
	diff(t, "by definition ARN", list(filter("JOB_DEFINITION", prefix+"job-definition/one:1")), []string{"red-2", "red-1"})
	diff(t, "after", list(filter("AFTER_CREATED_AT", "4000000000000")), []string(nil))
	diff(t, "before", list(filter("BEFORE_CREATED_AT", "4000000000000")), []string{"blue-1", "red-2", "red-1"})

	for words, in := range map[string]*batch.ListJobsInput{
		"exactly one of":          {},
		"does not exist":          {JobQueue: aws.String("nowhere")},
		"must be one of":          {JobQueue: aws.String("default"), JobStatus: "LOST"},
		"one filter":              {JobQueue: aws.String("default"), Filters: []types.KeyValuesPair{{}, {}}},
		"filter name":             {JobQueue: aws.String("default"), Filters: []types.KeyValuesPair{{Name: aws.String("X"), Values: []string{"1"}}}},
		"milliseconds":            {JobQueue: aws.String("default"), Filters: []types.KeyValuesPair{{Name: aws.String("AFTER_CREATED_AT"), Values: []string{"noon"}}}},
		"filters cannot be used":  {ArrayJobId: &ids[0], Filters: []types.KeyValuesPair{{Name: aws.String("JOB_NAME"), Values: []string{"1"}}}},
		"Multi-node parallel job": {MultiNodeJobId: &ids[0]},
		"not a whole job":         {MultiNodeJobId: aws.String(ids[0] + "#1")},
		"maxResults":              {JobQueue: aws.String("default"), MaxResults: aws.Int32(0)},
		"nextToken is not one":    {JobQueue: aws.String("default"), NextToken: aws.String("?")},
		"is an array child":       {ArrayJobId: aws.String(ids[0] + ":1")},
		"belongs to account 9999": {JobQueue: aws.String("arn:aws:batch:eu-west-9:999999999999:job-queue/default")},
	} {
		_, err := w.ListJobs(ctx, in)
		refused(t, err, words)
	}
}

// A job in a list says the vCPUs that it asks for: an override's, those of all its
// containers, those of all its nodes. An array parent asks for none: its children do.
func TestCapacityUsage(t *testing.T) {
	w, ctx := newWorld(t, job.DroverLimits()), t.Context()
	w.register(t, hostJob("one"))
	w.register(t, hostPod("pod"))
	w.register(t, mpi("gang"))
	submit := func(name, definition string, change func(*batch.SubmitJobInput)) string {
		in := &batch.SubmitJobInput{JobName: &name, JobQueue: aws.String("default"), JobDefinition: &definition}
		if change != nil {
			change(in)
		}
		return w.submit(t, in)
	}
	submit("plain", "one", nil)
	submit("more", "one", func(in *batch.SubmitJobInput) {
		in.ContainerOverrides = &types.ContainerOverrides{ResourceRequirements: resources("2.5", "64")}
	})
	submit("pod", "pod", nil)
	array := submit("array", "one", func(in *batch.SubmitJobInput) { in.ArrayProperties = &types.ArrayProperties{Size: aws.Int32(2)} })
	gang := submit("gang", "gang", func(in *batch.SubmitJobInput) {
		in.NodeOverrides = &types.NodeOverrides{NodePropertyOverrides: []types.NodePropertyOverride{{TargetNodes: aws.String("1:1"), ContainerOverrides: &types.ContainerOverrides{ResourceRequirements: resources("1", "64")}}}}
	})
	used := func(in *batch.ListJobsInput) (got []string) {
		t.Helper()
		out, err := w.ListJobs(ctx, in)
		for _, j := range must(t, out, err).JobSummaryList {
			line := *j.JobName
			for _, u := range j.CapacityUsage {
				line += fmt.Sprintf(" %g %s", *u.Quantity, *u.CapacityUnit)
			}
			got = append(got, line)
		}
		return got
	}
	diff(t, "of the queue", used(&batch.ListJobsInput{JobQueue: aws.String("default"), JobStatus: "RUNNABLE"}), []string{"plain 0.25 VCPU", "more 2.5 VCPU", "pod 0.5 VCPU", "gang 2.5 VCPU"})
	diff(t, "of the arrays", used(&batch.ListJobsInput{JobQueue: aws.String("default"), JobStatus: "PENDING"}), []string{"array"})
	diff(t, "of the children", used(&batch.ListJobsInput{ArrayJobId: &array, JobStatus: "RUNNABLE"}), []string{"array 0.25 VCPU", "array 0.25 VCPU"})
	diff(t, "of the nodes", used(&batch.ListJobsInput{MultiNodeJobId: &gang, JobStatus: "RUNNABLE"}), []string{"gang 0.5 VCPU", "gang 1 VCPU", "gang 0.5 VCPU", "gang 0.5 VCPU"})
}
