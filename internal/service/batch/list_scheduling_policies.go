package batch

import (
	"context"

	"drover/internal/core/job"
	"drover/internal/wire"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
)

var _ = wire.Op(ops, "ListSchedulingPolicies", (*Service).ListSchedulingPolicies)

// ListSchedulingPolicies lists the ARNs of the policies.
func (s *Service) ListSchedulingPolicies(ctx context.Context, in *batch.ListSchedulingPoliciesInput) (*batch.ListSchedulingPoliciesOutput, error) {
	all, err := s.m.Policies(ctx)
	if err != nil {
		return nil, clientError(err)
	}
	part, next, err := page(all, func(p *job.SchedulingPolicy) string { return p.Name }, in.MaxResults, in.NextToken)
	if err != nil {
		return nil, err
	}
	out := &batch.ListSchedulingPoliciesOutput{SchedulingPolicies: make([]types.SchedulingPolicyListingDetail, len(part)), NextToken: next}
	for i := range part {
		out.SchedulingPolicies[i].Arn = aws.String(s.in(ctx).policyARN(part[i].Name))
	}
	return out, nil
}
