package batch

import (
	"context"

	"drover/internal/wire"

	"github.com/aws/aws-sdk-go-v2/service/batch"
)

var _ = wire.Op(ops, "DeleteQuotaShare", (*Service).DeleteQuotaShare, wire.Required("QuotaShareArn"))

// DeleteQuotaShare removes a disabled quota share whose jobs have ended.
func (s *Service) DeleteQuotaShare(ctx context.Context, in *batch.DeleteQuotaShareInput) (*batch.DeleteQuotaShareOutput, error) {
	queue, name, err := s.in(ctx).quotaShare(*in.QuotaShareArn)
	if err != nil {
		return nil, err
	}
	return nil, clientError(s.m.DeleteQuotaShare(ctx, queue, name))
}
