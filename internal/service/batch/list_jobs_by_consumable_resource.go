package batch

import (
	"context"

	"drover/internal/core/job"
	"drover/internal/manager"
	"drover/internal/wire"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
)

var _ = wire.Op(ops, "ListJobsByConsumableResource", (*Service).ListJobsByConsumableResource, wire.Required("ConsumableResource"))

// ListJobsByConsumableResource lists the jobs that need a resource, in order of submission;
// array children with their parent.
func (s *Service) ListJobsByConsumableResource(ctx context.Context, in *batch.ListJobsByConsumableResourceInput) (*batch.ListJobsByConsumableResourceOutput, error) {
	n := s.in(ctx)
	r, err := s.findConsumable(ctx, n, *in.ConsumableResource)
	if err != nil {
		return nil, err
	}
	q := manager.ConsumerQuery{Resource: r.Name, Token: aws.ToString(in.NextToken)}
	if q.Limit, err = pageSize(in.MaxResults, maxPage); err != nil {
		return nil, err
	}
	if len(in.Filters) > 0 {
		if err := readConsumerFilter(in.Filters, &q); err != nil {
			return nil, err
		}
	}
	views, next, err := s.m.Consumers(ctx, q)
	if err != nil {
		return nil, clientError(err)
	}
	out := &batch.ListJobsByConsumableResourceOutput{Jobs: make([]types.ListJobsByConsumableResourceSummary, len(views)), NextToken: optional(next)}
	for i := range views {
		out.Jobs[i] = summarizeConsumer(n, &views[i], r.Name)
	}
	return out, nil
}

func readConsumerFilter(filters []types.KeyValuesPair, q *manager.ConsumerQuery) error {
	name, value, err := oneFilter(filters)
	if err != nil {
		return err
	}
	if name, err = word("filter name", name, "JOB_STATUS", "JOB_NAME"); err != nil {
		return err
	}
	if name == "JOB_NAME" {
		q.Name = value
		return nil
	}
	status, err := word("filter JOB_STATUS", types.JobStatus(value), types.JobStatus("").Values()...)
	q.Status, _ = job.ParseStatus(string(status))
	return err
}

func summarizeConsumer(n names, v *manager.View, resource string) types.ListJobsByConsumableResourceSummary {
	s, u := v.Spec, &v.Unit
	out := types.ListJobsByConsumableResourceSummary{
		JobArn: aws.String(n.jobARN(s.ID.String())), JobName: &s.Name, JobQueueArn: aws.String(n.queueARN(s.Queue)),
		JobDefinitionArn: aws.String(n.definitionARN(s.Definition)), JobStatus: aws.String(u.Status.String()),
		StatusReason: optional(u.StatusReason), CreatedAt: millis(v.Created), StartedAt: millis(u.Started),
		ShareIdentifier: optional(s.Share), ConsumableResourceProperties: writeConsumables(n, s.Consumables),
	}
	for i := range s.Consumables {
		if s.Consumables[i].Name == resource {
			out.Quantity = &s.Consumables[i].Quantity
		}
	}
	return out
}
