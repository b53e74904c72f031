package batch

import (
	"context"

	"drover/internal/wire"

	"github.com/aws/aws-sdk-go-v2/service/batch"
)

var _ = wire.Op(ops, "DescribeQuotaShare", (*Service).DescribeQuotaShare, wire.Required("QuotaShareArn"))

// DescribeQuotaShare describes one quota share.
func (s *Service) DescribeQuotaShare(ctx context.Context, in *batch.DescribeQuotaShareInput) (*batch.DescribeQuotaShareOutput, error) {
	n := s.in(ctx)
	q, err := s.findQuotaShare(ctx, n, *in.QuotaShareArn)
	if err != nil {
		return nil, err
	}
	d, err := describeQuotaShare(n, &q)
	if err != nil {
		return nil, err
	}
	return &batch.DescribeQuotaShareOutput{
		QuotaShareArn: d.QuotaShareArn, QuotaShareName: d.QuotaShareName, JobQueueArn: d.JobQueueArn, State: d.State, Status: d.Status,
		CapacityLimits: d.CapacityLimits, PreemptionConfiguration: d.PreemptionConfiguration,
		ResourceSharingConfiguration: d.ResourceSharingConfiguration, Tags: listed(q.Tags),
	}, nil
}
