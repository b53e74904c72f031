package batch

import (
	"context"

	"drover/internal/wire"

	"github.com/aws/aws-sdk-go-v2/service/batch"
)

var _ = wire.Op(ops, "DeleteJobQueue", (*Service).DeleteJobQueue, wire.Required("JobQueue"))

// DeleteJobQueue removes a DISABLED queue; its jobs are terminated. It is absent when this
// answers.
func (s *Service) DeleteJobQueue(ctx context.Context, in *batch.DeleteJobQueueInput) (*batch.DeleteJobQueueOutput, error) {
	ref := *in.JobQueue
	name, err := s.in(ctx).queue(ref)
	if err != nil {
		return nil, err
	}
	s.catalog.forgetQueues()
	q, ok, err := s.catalog.queue(ctx, name)
	switch {
	case err != nil:
		return nil, clientError(err)
	case !ok:
		return nil, noQueue(ref)
	case q.Enabled:
		return nil, invalid("Cannot delete, job queue %s must be DISABLED first", name)
	}
	defer s.catalog.forgetQueues()
	return nil, missing(s.m.DeleteQueue(ctx, name), "job queue %s does not exist", ref)
}
