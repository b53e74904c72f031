package batch

import (
	"context"
	"maps"

	"drover/internal/core/job"
	"drover/internal/wire"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
)

var _ = wire.Op(ops, "CreateJobQueue", (*Service).CreateJobQueue,
	wire.Required("JobQueueName", "Priority"))

// CreateJobQueue makes a job queue; it is VALID when this answers.
func (s *Service) CreateJobQueue(ctx context.Context, in *batch.CreateJobQueueInput) (*batch.CreateJobQueueOutput, error) {
	q, err := s.readQueue(ctx, in)
	if err != nil {
		return nil, err
	}
	all, err := s.m.Queues(ctx)
	if err != nil {
		return nil, clientError(err)
	}
	if limit := s.limits.Queues; limit > 0 && len(all) >= limit {
		return nil, invalid("there are %d job queues, at most %d are allowed", len(all), limit)
	}
	for i := range all {
		if all[i].Name == q.Name {
			return nil, invalid("Object already exists: job queue %s", q.Name)
		}
	}
	defer s.catalog.forgetQueues()
	if err := s.m.CreateQueue(ctx, q); err != nil {
		return nil, clientError(err)
	}
	return &batch.CreateJobQueueOutput{JobQueueName: &q.Name, JobQueueArn: aws.String(s.in(ctx).queueARN(q.Name))}, nil
}

func (s *Service) readQueue(ctx context.Context, in *batch.CreateJobQueueInput) (job.Queue, error) {
	q := job.Queue{Name: *in.JobQueueName, Priority: *in.Priority, Tags: maps.Clone(in.Tags)}
	if !job.ValidName(q.Name) {
		return q, invalid("jobQueueName %q must be 1 to 128 letters, digits, - and _", q.Name)
	}
	if err := refuseServiceOrder(in.ServiceEnvironmentOrder); err != nil {
		return q, err
	}
	d := queueDetail{}
	var err error
	if q.Policy, err = s.readQueuePolicy(s.in(ctx), in.SchedulingPolicyArn); err != nil {
		return q, err
	}
	if q.TimeLimits, err = s.readTimeLimits(in.JobStateTimeLimitActions); err != nil {
		return q, err
	}
	if d.Type, err = optionalWord("jobQueueType", in.JobQueueType, types.JobQueueType("").Values()...); err != nil {
		return q, err
	}
	if d.Type == types.JobQueueTypeEks || d.Type == types.JobQueueTypeSagemakerTraining {
		return q, notBuilt("jobQueueType " + string(d.Type))
	}
	if err := checkPriorityOfQueue(in.Priority); err != nil {
		return q, err
	}
	if q.Enabled, err = readQueueState(in.State, true); err != nil {
		return q, err
	}
	if err := readQueueTags(&q); err != nil {
		return q, err
	}
	if q.Environments, d.Order, err = s.readOrder(ctx, s.in(ctx), in.ComputeEnvironmentOrder); err != nil {
		return q, err
	}
	q.Detail = compact(&d)
	return q, nil
}

func checkPriorityOfQueue(p *int32) error {
	if p != nil && *p < 0 {
		return invalid("priority must be at least 0, got %d", *p)
	}
	return nil
}
