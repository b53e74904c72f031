package batch

import (
	"context"

	"drover/internal/core/job"
	"drover/internal/wire"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
)

var _ = wire.Op(ops, "DeregisterJobDefinition", (*Service).DeregisterJobDefinition,
	wire.Required("JobDefinition"))

// DeregisterJobDefinition makes one revision INACTIVE. It stays describable, and doing it
// again changes nothing.
func (s *Service) DeregisterJobDefinition(ctx context.Context, in *batch.DeregisterJobDefinitionInput) (*batch.DeregisterJobDefinitionOutput, error) {
	ref := aws.ToString(in.JobDefinition)
	name, revision, err := s.in(ctx).definition(ref)
	if err != nil {
		return nil, err
	}
	if revision == 0 {
		return nil, invalid("jobDefinition %q has no revision: give name:revision or the ARN with it", ref)
	}
	now := s.now().UnixMicro()
	_, err = s.m.UpdateDefinition(ctx, name, revision, func(d *job.Definition) error {
		if d.Active {
			d.Active, d.Deregistered = false, now
		}
		return nil
	})
	s.catalog.forgetDefinition(name, revision)
	return nil, missing(err, "JobDefinition %s not found: it does not exist", ref)
}
