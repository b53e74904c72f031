package batch

import (
	"context"
	"unicode/utf8"

	"drover/internal/core/job"
	"drover/internal/wire"

	"github.com/aws/aws-sdk-go-v2/service/batch"
)

var _ = wire.Op(ops, "CancelJob", (*Service).CancelJob, wire.Required("JobId", "Reason"))

// CancelJob fails a job that has not started; it leaves one that has alone.
func (s *Service) CancelJob(ctx context.Context, in *batch.CancelJobInput) (*batch.CancelJobOutput, error) {
	id, index, err := s.ending(ctx, in.JobId, in.Reason)
	if err != nil {
		return nil, err
	}
	return nil, missing(s.m.Cancel(ctx, id, index, *in.Reason), "Job %s does not exist", *in.JobId)
}

// ending reads the job and the reason of a request that ends a job.
func (s *Service) ending(ctx context.Context, ref, reason *string) (job.ID, int32, error) {
	if n := utf8.RuneCountInString(*reason); n > job.MaxReasonChars {
		return job.ID{}, 0, invalid("reason has %d characters, at most %d are allowed", n, job.MaxReasonChars)
	}
	if err := job.CheckText("reason", *reason); err != nil {
		return job.ID{}, 0, err
	}
	return s.in(ctx).job("jobId", *ref)
}
