package batch

import (
	"context"

	"drover/internal/core/job"
	"drover/internal/wire"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
)

var _ = wire.Op(ops, "UpdateJobQueue", (*Service).UpdateJobQueue, wire.Required("JobQueue"))

// UpdateJobQueue changes the members that the request has and leaves the others.
func (s *Service) UpdateJobQueue(ctx context.Context, in *batch.UpdateJobQueueInput) (*batch.UpdateJobQueueOutput, error) {
	n := s.in(ctx)
	name, err := n.queue(*in.JobQueue)
	if err != nil {
		return nil, err
	}
	if err := refuseServiceOrder(in.ServiceEnvironmentOrder); err != nil {
		return nil, err
	}
	policy, err := s.readQueuePolicy(n, in.SchedulingPolicyArn)
	if err != nil {
		return nil, err
	}
	limits, err := s.readTimeLimits(in.JobStateTimeLimitActions)
	if err != nil {
		return nil, err
	}
	if err := checkPriorityOfQueue(in.Priority); err != nil {
		return nil, err
	}
	var order []string
	var numbers []int32
	if in.ComputeEnvironmentOrder != nil {
		if order, numbers, err = s.readOrder(ctx, n, in.ComputeEnvironmentOrder); err != nil {
			return nil, err
		}
	}
	defer s.catalog.forgetQueues()
	q, err := s.m.UpdateQueue(ctx, name, func(q *job.Queue) error {
		enabled, err := readQueueState(in.State, q.Enabled)
		if err != nil {
			return err
		}
		q.Enabled = enabled
		if in.Priority != nil {
			q.Priority = *in.Priority
		}
		if in.SchedulingPolicyArn != nil {
			q.Policy = policy
		}
		if in.JobStateTimeLimitActions != nil {
			q.TimeLimits = limits
		}
		if order == nil {
			return nil
		}
		d, err := readQueueDetail(q)
		d.Order = numbers
		q.Environments, q.Detail = order, compact(&d)
		return err
	})
	if err != nil {
		return nil, missing(err, "job queue %s does not exist", *in.JobQueue)
	}
	return &batch.UpdateJobQueueOutput{JobQueueName: &q.Name, JobQueueArn: aws.String(n.queueARN(q.Name))}, nil
}
