package batch

import (
	"context"

	"drover/internal/core/job"
	"drover/internal/wire"

	"github.com/aws/aws-sdk-go-v2/service/batch"
)

var _ = wire.Op(ops, "UpdateSchedulingPolicy", (*Service).UpdateSchedulingPolicy, wire.Required("Arn"))

// UpdateSchedulingPolicy replaces what a policy says by another of its kind; the queues
// that use it follow at once.
func (s *Service) UpdateSchedulingPolicy(ctx context.Context, in *batch.UpdateSchedulingPolicyInput) (*batch.UpdateSchedulingPolicyOutput, error) {
	name, err := s.in(ctx).policy("arn", *in.Arn)
	if err != nil {
		return nil, err
	}
	_, err = s.m.UpdatePolicy(ctx, name, func(p *job.SchedulingPolicy) error {
		if in.FairsharePolicy == nil && in.QuotaSharePolicy == nil {
			return nil
		}
		if p.Quota != (in.QuotaSharePolicy != nil) {
			return invalid("scheduling policy %s: its kind cannot be changed between fairsharePolicy and quotaSharePolicy", name)
		}
		return readPolicy(p, in.FairsharePolicy, in.QuotaSharePolicy)
	})
	return nil, clientError(err)
}
