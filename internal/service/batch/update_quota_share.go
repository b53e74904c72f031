package batch

import (
	"context"

	"drover/internal/core/job"
	"drover/internal/wire"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
)

var _ = wire.Op(ops, "UpdateQuotaShare", (*Service).UpdateQuotaShare, wire.Required("QuotaShareArn"))

// UpdateQuotaShare changes the members that the request has. Jobs that run are left alone
// when the capacity is lowered; no other starts until enough of them have ended.
func (s *Service) UpdateQuotaShare(ctx context.Context, in *batch.UpdateQuotaShareInput) (*batch.UpdateQuotaShareOutput, error) {
	n := s.in(ctx)
	queue, name, err := n.quotaShare(*in.QuotaShareArn)
	if err != nil {
		return nil, err
	}
	q, err := s.m.UpdateQuotaShare(ctx, queue, name, func(q *job.QuotaShare) (err error) {
		if q.Enabled, err = readQuotaState(in.State, q.Enabled); err != nil {
			return err
		}
		return readQuotaShare(q, in.CapacityLimits, in.PreemptionConfiguration, in.ResourceSharingConfiguration)
	})
	if err != nil {
		return nil, clientError(err)
	}
	return &batch.UpdateQuotaShareOutput{QuotaShareName: &q.Name, QuotaShareArn: aws.String(n.quotaShareARN(q.Queue, q.Name))}, nil
}
