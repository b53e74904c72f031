package batch

import (
	"context"

	"drover/internal/wire"

	"github.com/aws/aws-sdk-go-v2/service/batch"
)

var _ = wire.Op(ops, "TerminateJob", (*Service).TerminateJob, wire.Required("JobId", "Reason"))

// TerminateJob stops a job that runs and cancels one that does not run yet. A job that has
// ended stays as it is.
func (s *Service) TerminateJob(ctx context.Context, in *batch.TerminateJobInput) (*batch.TerminateJobOutput, error) {
	id, index, err := s.ending(ctx, in.JobId, in.Reason)
	if err != nil {
		return nil, err
	}
	return nil, missing(s.m.Terminate(ctx, id, index, *in.Reason), "Job %s does not exist", *in.JobId)
}
