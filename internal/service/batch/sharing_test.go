package batch_test

import (
	"fmt"
	"strings"
	"testing"

	"drover/internal/core/job"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
)

func fair(shares ...string) *types.FairsharePolicy {
	p := &types.FairsharePolicy{ComputeReservation: aws.Int32(5), ShareDecaySeconds: aws.Int32(60), ShareDistribution: []types.ShareAttributes{}}
	for _, s := range shares {
		p.ShareDistribution = append(p.ShareDistribution, types.ShareAttributes{ShareIdentifier: &s, WeightFactor: aws.Float32(0.5)})
	}
	return p
}

// policy makes a scheduling policy and gives its ARN.
func (w *world) policy(t *testing.T, name string, f *types.FairsharePolicy, q *types.QuotaSharePolicy) string {
	t.Helper()
	out, err := w.CreateSchedulingPolicy(t.Context(), &batch.CreateSchedulingPolicyInput{Name: &name, FairsharePolicy: f, QuotaSharePolicy: q})
	return *must(t, out, err).Arn
}

// shared makes a queue with a policy.
func (w *world) shared(t *testing.T, name, policy string) {
	t.Helper()
	_, err := w.CreateJobQueue(t.Context(), &batch.CreateJobQueueInput{
		JobQueueName: &name, Priority: aws.Int32(1), SchedulingPolicyArn: &policy,
		ComputeEnvironmentOrder: []types.ComputeEnvironmentOrder{{Order: aws.Int32(1), ComputeEnvironment: aws.String("local")}},
	})
	must(t, 0, err)
}

// The sequence of Terraform's aws_batch_scheduling_policy, and the rules around it.
func TestLifeOfSchedulingPolicy(t *testing.T) {
	w, ctx := newWorld(t, job.DroverLimits()), t.Context()
	arn := w.policy(t, "p", fair("a", "B*"), nil)
	if arn != prefix+"scheduling-policy/p" {
		t.Errorf("ARN %s", arn)
	}
	_, err := w.CreateSchedulingPolicy(ctx, &batch.CreateSchedulingPolicyInput{Name: aws.String("p")})
	refused(t, err, "Object already exists")
	describe := func(arns ...string) []types.SchedulingPolicyDetail {
		out, err := w.DescribeSchedulingPolicies(ctx, &batch.DescribeSchedulingPoliciesInput{Arns: arns})
		return must(t, out, err).SchedulingPolicies
	}
	none := prefix + "scheduling-policy/none"
	diff(t, "fairsharePolicy", describe(none, arn)[0].FairsharePolicy, fair("a", "B*"))
	if got := describe(none); len(got) != 0 || got == nil {
		t.Errorf("unknown policies: %v, want an empty list", got)
	}
	_, err = w.UpdateSchedulingPolicy(ctx, &batch.UpdateSchedulingPolicyInput{Arn: &arn, FairsharePolicy: fair("c")})
	must(t, 0, err)
	diff(t, "after the update", describe(arn)[0].FairsharePolicy, fair("c"))
	_, err = w.UpdateSchedulingPolicy(ctx, &batch.UpdateSchedulingPolicyInput{Arn: &arn, QuotaSharePolicy: &types.QuotaSharePolicy{IdleResourceAssignmentStrategy: "FIFO"}})
	refused(t, err, "kind cannot be changed")

	for i := range 3 {
		w.policy(t, fmt.Sprint("q", i), nil, nil)
	}
	var listed []string
	var token *string
	for {
		out, err := w.ListSchedulingPolicies(ctx, &batch.ListSchedulingPoliciesInput{MaxResults: aws.Int32(3), NextToken: token})
		for _, p := range must(t, out, err).SchedulingPolicies {
			listed = append(listed, strings.TrimPrefix(*p.Arn, prefix+"scheduling-policy/"))
		}
		if token = out.NextToken; token == nil {
			break
		}
	}
	diff(t, "list", listed, []string{"p", "q0", "q1", "q2"})

	w.shared(t, "fair", arn)
	if got := w.queue(t, "fair").SchedulingPolicyArn; aws.ToString(got) != arn {
		t.Errorf("the queue's policy is %s", aws.ToString(got))
	}
	_, err = w.DeleteSchedulingPolicy(ctx, &batch.DeleteSchedulingPolicyInput{Arn: &arn})
	refused(t, err, "found existing JobQueue relationship")
	change := func(queue, policy string) error {
		_, err := w.UpdateJobQueue(ctx, &batch.UpdateJobQueueInput{JobQueue: &queue, SchedulingPolicyArn: &policy})
		return err
	}
	refused(t, change("fair", ""), "replaced, not removed")
	refused(t, change("default", arn), "none can be added")
	quota := w.policy(t, "quota", nil, &types.QuotaSharePolicy{IdleResourceAssignmentStrategy: "fifo"})
	refused(t, change("fair", quota), "cannot be replaced by")
	must(t, 0, change("fair", prefix+"scheduling-policy/q0"))
	_, err = w.DeleteSchedulingPolicy(ctx, &batch.DeleteSchedulingPolicyInput{Arn: &arn})
	must(t, 0, err)
	if len(describe(arn)) != 0 {
		t.Error("the policy is still there")
	}
	_, err = w.DeleteSchedulingPolicy(ctx, &batch.DeleteSchedulingPolicyInput{Arn: &arn})
	must(t, 0, err)
}

func TestBadSchedulingPolicies(t *testing.T) {
	w := newWorld(t, job.DroverLimits())
	weight := func(f float32) *types.FairsharePolicy {
		p := fair("a")
		p.ShareDistribution[0].WeightFactor = &f
		return p
	}
	for words, in := range map[string]*batch.CreateSchedulingPolicyInput{
		"1 to 128 letters":     {Name: aws.String("a b")},
		"not both":             {Name: aws.String("x"), FairsharePolicy: fair(), QuotaSharePolicy: &types.QuotaSharePolicy{IdleResourceAssignmentStrategy: "FIFO"}},
		"must be one of FIFO":  {Name: aws.String("x"), QuotaSharePolicy: &types.QuotaSharePolicy{IdleResourceAssignmentStrategy: "LIFO"}},
		"a* and ab overlap":    {Name: aws.String("x"), FairsharePolicy: fair("a*", "ab")},
		"between 0 and 604800": {Name: aws.String("x"), FairsharePolicy: &types.FairsharePolicy{ShareDecaySeconds: aws.Int32(604801)}},
		"between 0 and 99":     {Name: aws.String("x"), FairsharePolicy: &types.FairsharePolicy{ComputeReservation: aws.Int32(100)}},
		"0.0001 and 999.9999":  {Name: aws.String("x"), FairsharePolicy: weight(1000)},
		"weightFactor of a":    {Name: aws.String("x"), FairsharePolicy: weight(0)},
		"letters and digits":   {Name: aws.String("x"), FairsharePolicy: fair("a-b")},
		"at most 500":          {Name: aws.String("x"), FairsharePolicy: fair(make([]string, 501)...)},
	} {
		_, err := w.CreateSchedulingPolicy(t.Context(), in)
		refused(t, err, words)
	}
	out, err := w.ListSchedulingPolicies(t.Context(), &batch.ListSchedulingPoliciesInput{})
	if n := len(must(t, out, err).SchedulingPolicies); n != 0 {
		t.Errorf("refused requests left %d policies", n)
	}
	_, err = w.DescribeSchedulingPolicies(t.Context(), &batch.DescribeSchedulingPoliciesInput{Arns: make([]string, 101)})
	refused(t, err, "at most 100")
}

// shareIdentifier is wanted where the queue shares by it, and nowhere else.
func TestShareIdentifierBelongsToFairQueues(t *testing.T) {
	w := newWorld(t, job.DroverLimits())
	w.register(t, hostJob("d"))
	w.shared(t, "fair", w.policy(t, "p", fair("a"), nil))
	submit := func(queue string, change func(*batch.SubmitJobInput)) error {
		in := &batch.SubmitJobInput{JobName: aws.String("j"), JobQueue: &queue, JobDefinition: aws.String("d")}
		change(in)
		out, err := w.SubmitJob(t.Context(), in)
		if err == nil {
			d := w.describe(t, *out.JobId)
			if aws.ToString(d.ShareIdentifier) != aws.ToString(in.ShareIdentifier) || aws.ToInt32(d.SchedulingPriority) != aws.ToInt32(in.SchedulingPriorityOverride) {
				t.Errorf("share %s, priority %d", aws.ToString(d.ShareIdentifier), aws.ToInt32(d.SchedulingPriority))
			}
		}
		return err
	}
	must(t, 0, submit("fair", func(in *batch.SubmitJobInput) {
		in.ShareIdentifier, in.SchedulingPriorityOverride = aws.String("a"), aws.Int32(9999)
	}))
	list, err := w.ListJobs(t.Context(), &batch.ListJobsInput{JobQueue: aws.String("fair"), JobStatus: "RUNNABLE", Filters: []types.KeyValuesPair{{Name: aws.String("SHARE_IDENTIFIER"), Values: []string{"a"}}}})
	if l := must(t, list, err).JobSummaryList; len(l) != 1 || aws.ToString(l[0].ShareIdentifier) != "a" {
		t.Errorf("jobs of share a: %+v", l)
	}
	refused(t, submit("fair", func(*batch.SubmitJobInput) {}), "give the job a shareIdentifier")
	refused(t, submit("fair", func(in *batch.SubmitJobInput) { in.ShareIdentifier = aws.String("a-b") }), "letters and digits")
	refused(t, submit("fair", func(in *batch.SubmitJobInput) {
		in.ShareIdentifier, in.SchedulingPriorityOverride = aws.String("a"), aws.Int32(10000)
	}), "between 0 and 9999")
	refused(t, submit("default", func(in *batch.SubmitJobInput) { in.ShareIdentifier = aws.String("a") }), "can onlybe submitted")
	refused(t, submit("default", func(in *batch.SubmitJobInput) { in.SchedulingPriorityOverride = aws.Int32(1) }), "can onlybe submitted")
}

func TestActiveShareIdentifiersAreBounded(t *testing.T) {
	w := newWorld(t, job.DroverLimits())
	w.register(t, hostJob("d"))
	w.shared(t, "fair", w.policy(t, "p", nil, nil))
	specs := make([]*job.Spec, job.MaxActiveShares)
	for i := range specs {
		specs[i] = &job.Spec{Name: "j", Queue: "fair", Image: "host", Share: fmt.Sprint("s", i)}
	}
	receipts, err := w.m.Submit(t.Context(), specs)
	must(t, 0, err)
	in := &batch.SubmitJobInput{JobName: aws.String("j"), JobQueue: aws.String("fair"), JobDefinition: aws.String("d"), ShareIdentifier: aws.String("another")}
	_, err = w.SubmitJob(t.Context(), in)
	refused(t, err, "at most 500")
	in.ShareIdentifier = aws.String("s7")
	w.submit(t, in)
	must(t, 0, w.m.Cancel(t.Context(), receipts[9].ID, job.Whole, "enough"))
	in.ShareIdentifier = aws.String("another")
	w.submit(t, in)
}

func quotaShare(name string) *batch.CreateQuotaShareInput {
	return &batch.CreateQuotaShareInput{
		QuotaShareName: &name, JobQueue: aws.String("quota"), Tags: map[string]string{"a": "b"},
		CapacityLimits:               []types.QuotaShareCapacityLimit{{CapacityUnit: aws.String("VCPU"), MaxCapacity: aws.Int32(2)}},
		PreemptionConfiguration:      &types.QuotaSharePreemptionConfiguration{InSharePreemption: "DISABLED"},
		ResourceSharingConfiguration: &types.QuotaShareResourceSharingConfiguration{Strategy: "RESERVE"},
	}
}

func TestLifeOfQuotaShare(t *testing.T) {
	w, ctx := newWorld(t, job.DroverLimits()), t.Context()
	w.register(t, hostJob("d"))
	_, err := w.CreateQuotaShare(ctx, &batch.CreateQuotaShareInput{
		QuotaShareName: aws.String("a"), JobQueue: aws.String("default"), CapacityLimits: quotaShare("").CapacityLimits,
		PreemptionConfiguration: quotaShare("").PreemptionConfiguration, ResourceSharingConfiguration: quotaShare("").ResourceSharingConfiguration,
	})
	refused(t, err, "quotaSharePolicy")
	w.shared(t, "quota", w.policy(t, "p", nil, &types.QuotaSharePolicy{IdleResourceAssignmentStrategy: "FIFO"}))
	out, err := w.CreateQuotaShare(ctx, quotaShare("a"))
	arn := must(t, out, err).QuotaShareArn
	refuses(t, w, w.CreateQuotaShare, func() *batch.CreateQuotaShareInput { return quotaShare("a") }, map[string]func(*batch.CreateQuotaShareInput){
		"Object already exists": func(*batch.CreateQuotaShareInput) {},
		"must be one of":        func(in *batch.CreateQuotaShareInput) { in.ResourceSharingConfiguration.Strategy = "GIVE" },
		"or -1 for no limit, got -2": func(in *batch.CreateQuotaShareInput) {
			in.ResourceSharingConfiguration = &types.QuotaShareResourceSharingConfiguration{Strategy: "LEND_AND_BORROW", BorrowLimit: aws.Int32(-2)}
		},
		"borrowLimit is only": func(in *batch.CreateQuotaShareInput) { in.ResourceSharingConfiguration.BorrowLimit = aws.Int32(3) },
		"inSharePreemption":   func(in *batch.CreateQuotaShareInput) { in.PreemptionConfiguration.InSharePreemption = "maybe" },
		"must be VCPU or GPU": func(in *batch.CreateQuotaShareInput) { in.CapacityLimits[0].CapacityUnit = aws.String("ml.m5.large") },
		"at least 1, got 0":   func(in *batch.CreateQuotaShareInput) { in.CapacityLimits[0].MaxCapacity = aws.Int32(0) },
		"names VCPU twice": func(in *batch.CreateQuotaShareInput) {
			in.CapacityLimits = append(in.CapacityLimits, in.CapacityLimits...)
		},
		"none does not exist": func(in *batch.CreateQuotaShareInput) { in.JobQueue = aws.String("none") },
	})
	_, err = w.UpdateQuotaShare(ctx, &batch.UpdateQuotaShareInput{QuotaShareArn: arn, CapacityLimits: []types.QuotaShareCapacityLimit{{CapacityUnit: aws.String("GPU"), MaxCapacity: aws.Int32(1)}}})
	must(t, 0, err)
	d, err := w.DescribeQuotaShare(ctx, &batch.DescribeQuotaShareInput{QuotaShareArn: arn})
	diff(t, "limits", must(t, d, err).CapacityLimits, []types.QuotaShareCapacityLimit{{CapacityUnit: aws.String("GPU"), MaxCapacity: aws.Int32(1)}})
	if d.State != "ENABLED" || d.Status != "VALID" || *d.JobQueueArn != prefix+"job-queue/quota" || d.ResourceSharingConfiguration.Strategy != "RESERVE" || d.Tags["a"] != "b" {
		t.Errorf("described: %+v", d)
	}
	_, err = w.UpdateQuotaShare(ctx, &batch.UpdateQuotaShareInput{QuotaShareArn: arn, PreemptionConfiguration: &types.QuotaSharePreemptionConfiguration{InSharePreemption: "enabled"},
		ResourceSharingConfiguration: &types.QuotaShareResourceSharingConfiguration{Strategy: "LEND_AND_BORROW"}})
	must(t, arn, err)
	d, err = w.DescribeQuotaShare(ctx, &batch.DescribeQuotaShareInput{QuotaShareArn: arn})
	if r := must(t, d, err).ResourceSharingConfiguration; r.Strategy != "LEND_AND_BORROW" || *r.BorrowLimit != -1 || d.PreemptionConfiguration.InSharePreemption != "ENABLED" {
		t.Errorf("it lends and borrows: %+v %+v", r, d.PreemptionConfiguration)
	}
	list, err := w.ListQuotaShares(ctx, &batch.ListQuotaSharesInput{JobQueue: aws.String("quota")})
	if q := must(t, list, err).QuotaShares; len(q) != 1 || *q[0].QuotaShareArn != *arn {
		t.Errorf("list: %+v", q)
	}

	submit := func(tags map[string]string) (string, error) {
		out, err := w.SubmitJob(ctx, &batch.SubmitJobInput{JobName: aws.String("j"), JobQueue: aws.String("quota"), JobDefinition: aws.String("d"), Tags: tags})
		if err != nil {
			return "", err
		}
		return *out.JobId, nil
	}
	_, err = submit(nil)
	refused(t, err, "name one with the tag drover:quota-share")
	_, err = submit(map[string]string{"drover:quota-share": "b"})
	refused(t, err, "Quota share b of job queue quota does not exist")
	_, err = submit(map[string]string{"drover:quota-share": "a b"})
	refused(t, err, "must be the name of a quota share")
	_, err = w.SubmitJob(ctx, &batch.SubmitJobInput{JobName: aws.String("j"), JobQueue: aws.String("default"), JobDefinition: aws.String("d"), Tags: map[string]string{"drover:quota-share": "a"}})
	refused(t, err, "is not divided into quota shares")
	id, err := submit(map[string]string{"drover:quota-share": "a"})
	must(t, 0, err)

	remove := func() error {
		_, err := w.DeleteQuotaShare(ctx, &batch.DeleteQuotaShareInput{QuotaShareArn: arn})
		return err
	}
	refused(t, remove(), "disable it first")
	_, err = w.UpdateQuotaShare(ctx, &batch.UpdateQuotaShareInput{QuotaShareArn: arn, State: "DISABLED"})
	must(t, 0, err)
	_, err = submit(map[string]string{"drover:quota-share": "a"})
	refused(t, err, "is DISABLED")
	refused(t, remove(), "has not ended")
	_, err = w.TerminateJob(ctx, &batch.TerminateJobInput{JobId: &id, Reason: aws.String("x")})
	must(t, 0, err)
	must(t, 0, remove())
	must(t, 0, remove())
	_, err = w.DescribeQuotaShare(ctx, &batch.DescribeQuotaShareInput{QuotaShareArn: arn})
	refused(t, err, "does not exist")
}

// The operations of SageMaker's service jobs say why they are refused; their lists are empty.
func TestServiceJobsAreRefused(t *testing.T) {
	w, ctx := newWorld(t, job.DroverLimits()), t.Context()
	_, err := w.SubmitServiceJob(ctx, &batch.SubmitServiceJobInput{
		JobName: aws.String("j"), JobQueue: aws.String("default"), ServiceJobType: "SAGEMAKER_TRAINING", ServiceRequestPayload: aws.String("{}"),
	})
	refused(t, err, "SageMaker")
	_, err = w.CreateServiceEnvironment(ctx, &batch.CreateServiceEnvironmentInput{
		ServiceEnvironmentName: aws.String("s"), ServiceEnvironmentType: "SAGEMAKER_TRAINING",
		CapacityLimits: []types.CapacityLimit{{MaxCapacity: aws.Int32(1)}},
	})
	refused(t, err, "SageMaker")
	_, err = w.DescribeServiceJob(ctx, &batch.DescribeServiceJobInput{JobId: aws.String("x")})
	refused(t, err, "SageMaker")
	_, err = w.TerminateServiceJob(ctx, &batch.TerminateServiceJobInput{JobId: aws.String("x"), Reason: aws.String("r")})
	refused(t, err, "SageMaker")
	_, err = w.UpdateServiceJob(ctx, &batch.UpdateServiceJobInput{JobId: aws.String("x"), SchedulingPriority: aws.Int32(1)})
	refused(t, err, "SageMaker")
	_, err = w.UpdateServiceEnvironment(ctx, &batch.UpdateServiceEnvironmentInput{ServiceEnvironment: aws.String("s")})
	refused(t, err, "SageMaker")
	_, err = w.DeleteServiceEnvironment(ctx, &batch.DeleteServiceEnvironmentInput{ServiceEnvironment: aws.String("s")})
	refused(t, err, "SageMaker")
	jobs, err := w.ListServiceJobs(ctx, &batch.ListServiceJobsInput{})
	if l := must(t, jobs, err).JobSummaryList; l == nil || len(l) != 0 {
		t.Errorf("service jobs: %v, want []", l)
	}
	envs, err := w.DescribeServiceEnvironments(ctx, &batch.DescribeServiceEnvironmentsInput{})
	if l := must(t, envs, err).ServiceEnvironments; l == nil || len(l) != 0 {
		t.Errorf("service environments: %v, want []", l)
	}
}

func TestQueueSnapshot(t *testing.T) {
	w, ctx := newWorld(t, job.DroverLimits()), t.Context()
	w.register(t, hostJob("d"))
	w.shared(t, "fair", w.policy(t, "p", fair("a"), nil))
	in := &batch.SubmitJobInput{JobName: aws.String("j"), JobQueue: aws.String("fair"), JobDefinition: aws.String("d"), ShareIdentifier: aws.String("a")}
	ids := []string{w.submit(t, in), w.submit(t, in)}
	get := func(queue string) *batch.GetJobQueueSnapshotOutput {
		out, err := w.GetJobQueueSnapshot(ctx, &batch.GetJobQueueSnapshotInput{JobQueue: &queue})
		return must(t, out, err)
	}
	s := get(prefix + "job-queue/fair")
	var front []string
	for _, j := range s.FrontOfQueue.Jobs {
		front = append(front, strings.TrimPrefix(*j.JobArn, prefix+"job/"))
		if *j.EarliestTimeAtPosition < 1e12 {
			t.Errorf("at its position since %d", *j.EarliestTimeAtPosition)
		}
	}
	diff(t, "front", front, ids)
	h := newHand(t, w.m, 4)
	h.next()
	h.next()
	s = get("fair")
	if len(s.FrontOfQueue.Jobs) != 0 || s.FrontOfQueue.Jobs == nil || *s.QueueUtilization.TotalCapacityUsage[0].Quantity != 0.5 {
		t.Errorf("while both run: %+v", s)
	}
	u := s.QueueUtilization.FairshareUtilization
	if *u.ActiveShareCount != 1 || *u.TopCapacityUtilization[0].ShareIdentifier != "a" || *u.TopCapacityUtilization[0].CapacityUsage[0].Quantity != 0.5 {
		t.Errorf("by share: %+v", u)
	}
	if s = get("default"); s.FrontOfQuotaShares != nil || s.QueueUtilization.FairshareUtilization != nil {
		t.Errorf("a queue without policy: %+v", s)
	}
	_, err := w.GetJobQueueSnapshot(ctx, &batch.GetJobQueueSnapshotInput{JobQueue: aws.String("none")})
	refused(t, err, "does not exist")
}

// A queue's limits on waiting are echoed, and kept within AWS's bounds under its limits.
func TestQueueTimeLimits(t *testing.T) {
	w, ctx := newWorld(t, job.AWSLimits()), t.Context()
	action := func(seconds int32) []types.JobStateTimeLimitAction {
		return []types.JobStateTimeLimitAction{{Action: "cancel", State: "runnable", MaxTimeSeconds: &seconds, Reason: aws.String("CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY")}}
	}
	update := func(list []types.JobStateTimeLimitAction) error {
		_, err := w.UpdateJobQueue(ctx, &batch.UpdateJobQueueInput{JobQueue: aws.String("default"), JobStateTimeLimitActions: list})
		return err
	}
	must(t, 0, update(action(600)))
	want := action(600)
	want[0].Action, want[0].State = "CANCEL", "RUNNABLE"
	diff(t, "actions", w.queue(t, "default").JobStateTimeLimitActions, want)
	refused(t, update(action(599)), "between 600 and 86400")
	refused(t, update(action(86_401)), "between 600 and 86400")
	refused(t, update(append(action(600), action(700)...)), "twice")
	bad := action(600)
	bad[0].Action = "TERMINATE"
	refused(t, update(bad), "must be one of CANCEL")
	bad = action(600)
	bad[0].State = "RUNNING"
	refused(t, update(bad), "must be one of RUNNABLE")
	diff(t, "after refusals", w.queue(t, "default").JobStateTimeLimitActions, want)
	must(t, 0, update([]types.JobStateTimeLimitAction{}))
	if got := w.queue(t, "default").JobStateTimeLimitActions; len(got) != 0 || got == nil {
		t.Errorf("after their removal: %v", got)
	}
}
