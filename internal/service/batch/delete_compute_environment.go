package batch

import (
	"context"
	"slices"

	"drover/internal/wire"

	"github.com/aws/aws-sdk-go-v2/service/batch"
)

var _ = wire.Op(ops, "DeleteComputeEnvironment", (*Service).DeleteComputeEnvironment,
	wire.Required("ComputeEnvironment"))

// DeleteComputeEnvironment removes a DISABLED environment that no queue uses. It is absent
// when this answers.
func (s *Service) DeleteComputeEnvironment(ctx context.Context, in *batch.DeleteComputeEnvironmentInput) (*batch.DeleteComputeEnvironmentOutput, error) {
	ref := *in.ComputeEnvironment
	name, err := s.in(ctx).environment(ref)
	if err != nil {
		return nil, err
	}
	e, ok, err := s.findEnvironment(ctx, name)
	switch {
	case err != nil:
		return nil, err
	case !ok:
		return nil, noEnvironment(ref)
	case e.Enabled:
		return nil, invalid("Cannot delete, compute environment %s must be DISABLED first", name)
	}
	queues, err := s.m.Queues(ctx)
	if err != nil {
		return nil, clientError(err)
	}
	for i := range queues {
		if slices.Contains(queues[i].Environments, name) {
			return nil, invalid("Cannot delete, found existing JobQueue relationship")
		}
	}
	return nil, missing(s.m.DeleteEnvironment(ctx, name), "compute environment %s does not exist", ref)
}
