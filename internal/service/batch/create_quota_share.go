package batch

import (
	"context"
	"maps"

	"drover/internal/core/job"
	"drover/internal/wire"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
)

var _ = wire.Op(ops, "CreateQuotaShare", (*Service).CreateQuotaShare,
	wire.Required("QuotaShareName", "JobQueue", "CapacityLimits", "PreemptionConfiguration", "ResourceSharingConfiguration"))

// CreateQuotaShare keeps a part of a queue's capacity for the jobs that name it.
func (s *Service) CreateQuotaShare(ctx context.Context, in *batch.CreateQuotaShareInput) (*batch.CreateQuotaShareOutput, error) {
	n := s.in(ctx)
	queue, err := n.queue(*in.JobQueue)
	if err != nil {
		return nil, err
	}
	q := job.QuotaShare{Name: *in.QuotaShareName, Queue: queue, Tags: maps.Clone(in.Tags)}
	if q.Enabled, err = readQuotaState(in.State, true); err != nil {
		return nil, err
	}
	if err := checkTags(in.Tags, nil); err != nil {
		return nil, err
	}
	if err := readQuotaShare(&q, in.CapacityLimits, in.PreemptionConfiguration, in.ResourceSharingConfiguration); err != nil {
		return nil, err
	}
	if err := s.m.CreateQuotaShare(ctx, q); err != nil {
		return nil, clientError(err)
	}
	return &batch.CreateQuotaShareOutput{QuotaShareName: &q.Name, QuotaShareArn: aws.String(n.quotaShareARN(queue, q.Name))}, nil
}
