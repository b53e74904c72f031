package batch

import (
	"cmp"
	"context"
	"slices"

	"drover/internal/core/fault"
	"drover/internal/core/job"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
)

// queueDetail is what a queue keeps to be described.
type queueDetail struct {
	Order []int32 // the order numbers as given, one for each environment of the queue
	Type  types.JobQueueType
}

func readQueueDetail(q *job.Queue) (queueDetail, error) {
	var d queueDetail
	if err := restore(q.Detail, &d); err != nil {
		return d, fault.Wrap(err, fault.Internal, "ServerException", "the record of job queue %s cannot be read", q.Name)
	}
	return d, nil
}

// readOrder checks computeEnvironmentOrder against the environments that exist and gives
// their names and order numbers, first to try first.
func (s *Service) readOrder(ctx context.Context, n names, list []types.ComputeEnvironmentOrder) (order []string, numbers []int32, err error) {
	if len(list) == 0 {
		return nil, nil, invalid("computeEnvironmentOrder needs at least one compute environment")
	}
	if limit := s.limits.EnvironmentsPerQueue; limit > 0 && len(list) > limit {
		return nil, nil, invalid("computeEnvironmentOrder has %d entries, at most %d are allowed", len(list), limit)
	}
	all, err := s.m.Environments(ctx)
	if err != nil {
		return nil, nil, clientError(err)
	}
	sorted := slices.Clone(list)
	slices.SortStableFunc(sorted, func(a, b types.ComputeEnvironmentOrder) int {
		return cmp.Compare(aws.ToInt32(a.Order), aws.ToInt32(b.Order))
	})
	var onFargate [2]bool
	for _, o := range sorted {
		ref := aws.ToString(o.ComputeEnvironment)
		if ref == "" || o.Order == nil {
			return nil, nil, invalid("an entry of computeEnvironmentOrder needs order and computeEnvironment")
		}
		name, err := n.environment(ref)
		if err != nil {
			return nil, nil, err
		}
		i := slices.IndexFunc(all, func(e job.Environment) bool { return e.Name == name })
		switch {
		case i < 0:
			return nil, nil, noEnvironment(ref)
		case slices.Contains(order, name):
			return nil, nil, invalid("computeEnvironmentOrder names %s twice", name)
		case len(numbers) > 0 && numbers[len(numbers)-1] == *o.Order:
			return nil, nil, invalid("computeEnvironmentOrder has the order %d twice", *o.Order)
		}
		d, err := readEnvironmentDetail(&all[i])
		if err != nil {
			return nil, nil, err
		}
		kind := 0
		if d.ComputeResources != nil && fargate(d.ComputeResources.Type) {
			kind = 1
		}
		onFargate[kind] = true
		order, numbers = append(order, name), append(numbers, *o.Order)
	}
	if onFargate[0] && onFargate[1] {
		return nil, nil, invalid("a job queue cannot mix EC2 and FARGATE compute environments")
	}
	return order, numbers, nil
}

// describeQueue writes the detail of a queue; it is VALID at once.
func describeQueue(n names, q *job.Queue) (types.JobQueueDetail, error) {
	kept, err := readQueueDetail(q)
	if err != nil {
		return types.JobQueueDetail{}, err
	}
	d := types.JobQueueDetail{
		JobQueueName:             &q.Name,
		JobQueueArn:              aws.String(n.queueARN(q.Name)),
		Priority:                 &q.Priority,
		State:                    types.JQStateDisabled,
		Status:                   types.JQStatusValid,
		StatusReason:             aws.String("JobQueue Healthy"),
		JobQueueType:             kept.Type,
		JobStateTimeLimitActions: writeTimeLimits(q.TimeLimits),
		ServiceEnvironmentOrder:  []types.ServiceEnvironmentOrder{},
		ComputeEnvironmentOrder:  make([]types.ComputeEnvironmentOrder, len(q.Environments)),
		Tags:                     listed(q.Tags),
	}
	if q.Enabled {
		d.State = types.JQStateEnabled
	}
	if q.Policy != "" {
		d.SchedulingPolicyArn = aws.String(n.policyARN(q.Policy))
	}
	for i, e := range q.Environments {
		number := int32(i + 1)
		if i < len(kept.Order) {
			number = kept.Order[i]
		}
		d.ComputeEnvironmentOrder[i] = types.ComputeEnvironmentOrder{ComputeEnvironment: aws.String(n.environmentARN(e)), Order: &number}
	}
	return d, nil
}

// readQueueState reads a state; absent is the given default.
func readQueueState(st types.JQState, unsaid bool) (bool, error) {
	w, err := optionalWord("state", st, types.JQStateEnabled, types.JQStateDisabled)
	if w == "" {
		return unsaid, err
	}
	return w == types.JQStateEnabled, nil
}

func noQueue(ref string) error { return invalid("job queue %s does not exist", ref) }

// readQueuePolicy reads the ARN of a queue's scheduling policy; empty is none.
func (s *Service) readQueuePolicy(n names, ref *string) (string, error) {
	if aws.ToString(ref) == "" {
		return "", nil
	}
	return n.policy("schedulingPolicyArn", *ref)
}

// refuseServiceOrder refuses the environments of service jobs.
func refuseServiceOrder(list []types.ServiceEnvironmentOrder) error {
	if len(list) > 0 {
		return invalid("serviceEnvironmentOrder: %s", noServiceJobs)
	}
	return nil
}

// The reasons for which a job may wait too long (AWS Batch User Guide, jobs stuck in
// RUNNABLE). drover never finds the last one.
var limitReasons = [...]string{
	"CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY", "MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE",
	"MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT", "MISCONFIGURATION:SERVICE_ROLE_PERMISSIONS",
}

// readTimeLimits checks jobStateTimeLimitActions.
func (s *Service) readTimeLimits(list []types.JobStateTimeLimitAction) ([]job.TimeLimit, error) {
	var out []job.TimeLimit
	for _, a := range list {
		if _, err := word("state", a.State, types.JobStateTimeLimitActionsStateRunnable); err != nil {
			return nil, err
		}
		if _, err := word("action", a.Action, types.JobStateTimeLimitActionsActionCancel); err != nil {
			return nil, err
		}
		reason, err := word("reason", aws.ToString(a.Reason), limitReasons[:]...)
		if err != nil {
			return nil, err
		}
		seconds := aws.ToInt32(a.MaxTimeSeconds)
		if low, high := s.limits.StateLimitMin, s.limits.StateLimitMax; seconds < low || seconds > high {
			return nil, invalid("maxTimeSeconds must be between %d and %d, got %d", low, high, seconds)
		}
		if slices.ContainsFunc(out, func(l job.TimeLimit) bool { return l.Reason == reason }) {
			return nil, invalid("jobStateTimeLimitActions has the reason %s twice", reason)
		}
		out = append(out, job.TimeLimit{Reason: reason, Seconds: seconds})
	}
	return out, nil
}

func writeTimeLimits(list []job.TimeLimit) []types.JobStateTimeLimitAction {
	out := make([]types.JobStateTimeLimitAction, len(list))
	for i := range list {
		out[i] = types.JobStateTimeLimitAction{
			Action: types.JobStateTimeLimitActionsActionCancel, State: types.JobStateTimeLimitActionsStateRunnable,
			Reason: &list[i].Reason, MaxTimeSeconds: &list[i].Seconds,
		}
	}
	return out
}
