package batch

import (
	"context"
	"maps"

	"drover/internal/core/job"
	"drover/internal/wire"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
)

var _ = wire.Op(ops, "CreateSchedulingPolicy", (*Service).CreateSchedulingPolicy, wire.Required("Name"))

// CreateSchedulingPolicy makes a policy that queues can be shared by.
func (s *Service) CreateSchedulingPolicy(ctx context.Context, in *batch.CreateSchedulingPolicyInput) (*batch.CreateSchedulingPolicyOutput, error) {
	p := job.SchedulingPolicy{Name: *in.Name, Tags: maps.Clone(in.Tags)}
	if !job.ValidName(p.Name) {
		return nil, invalid("name %q must be 1 to 128 letters, digits, - and _", p.Name)
	}
	if err := checkTags(in.Tags, nil); err != nil {
		return nil, err
	}
	if err := readPolicy(&p, in.FairsharePolicy, in.QuotaSharePolicy); err != nil {
		return nil, err
	}
	all, err := s.m.Policies(ctx)
	if err != nil {
		return nil, clientError(err)
	}
	if limit := s.limits.Policies; limit > 0 && len(all) >= limit {
		return nil, invalid("there are %d scheduling policies, at most %d are allowed", len(all), limit)
	}
	if err := s.m.CreatePolicy(ctx, p); err != nil {
		return nil, clientError(err)
	}
	return &batch.CreateSchedulingPolicyOutput{Name: &p.Name, Arn: aws.String(s.in(ctx).policyARN(p.Name))}, nil
}
