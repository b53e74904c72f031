package batch

import (
	"context"
	"slices"

	"drover/internal/core/job"
	"drover/internal/wire"

	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
)

var _ = wire.Op(ops, "DescribeSchedulingPolicies", (*Service).DescribeSchedulingPolicies, wire.Required("Arns"))

// DescribeSchedulingPolicies describes up to 100 policies; unknown ones are left out.
func (s *Service) DescribeSchedulingPolicies(ctx context.Context, in *batch.DescribeSchedulingPoliciesInput) (*batch.DescribeSchedulingPoliciesOutput, error) {
	n := s.in(ctx)
	if len(in.Arns) > maxPage {
		return nil, invalid("arns has %d entries, at most %d are allowed", len(in.Arns), maxPage)
	}
	all, err := s.m.Policies(ctx)
	if err != nil {
		return nil, clientError(err)
	}
	out := &batch.DescribeSchedulingPoliciesOutput{SchedulingPolicies: []types.SchedulingPolicyDetail{}}
	for _, ref := range in.Arns {
		name, err := n.policy("arns", ref)
		if err != nil {
			return nil, err
		}
		i := slices.IndexFunc(all, func(p job.SchedulingPolicy) bool { return p.Name == name })
		if i < 0 {
			continue
		}
		d, err := describePolicy(n, &all[i])
		if err != nil {
			return nil, err
		}
		out.SchedulingPolicies = append(out.SchedulingPolicies, d)
	}
	return out, nil
}
