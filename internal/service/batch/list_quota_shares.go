package batch

import (
	"context"

	"drover/internal/core/job"
	"drover/internal/wire"

	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
)

var _ = wire.Op(ops, "ListQuotaShares", (*Service).ListQuotaShares, wire.Required("JobQueue"))

// ListQuotaShares lists the quota shares of a queue by name.
func (s *Service) ListQuotaShares(ctx context.Context, in *batch.ListQuotaSharesInput) (*batch.ListQuotaSharesOutput, error) {
	n := s.in(ctx)
	queue, err := n.queue(*in.JobQueue)
	if err != nil {
		return nil, err
	}
	if _, ok, err := s.catalog.queue(ctx, queue); err != nil {
		return nil, clientError(err)
	} else if !ok {
		return nil, noQueue(*in.JobQueue)
	}
	all, err := s.m.QuotaShares(ctx, queue)
	if err != nil {
		return nil, clientError(err)
	}
	part, next, err := page(all, func(q *job.QuotaShare) string { return q.Name }, in.MaxResults, in.NextToken)
	if err != nil {
		return nil, err
	}
	out := &batch.ListQuotaSharesOutput{QuotaShares: make([]types.QuotaShareDetail, len(part)), NextToken: next}
	for i := range part {
		if out.QuotaShares[i], err = describeQuotaShare(n, &part[i]); err != nil {
			return nil, err
		}
	}
	return out, nil
}
