package batch

import (
	"context"

	"drover/internal/core/job"
	"drover/internal/wire"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
)

var _ = wire.Op(ops, "DescribeJobQueues", (*Service).DescribeJobQueues)

// DescribeJobQueues answers queues by name or ARN, or all of them in order of name.
// Unknown ones are left out.
func (s *Service) DescribeJobQueues(ctx context.Context, in *batch.DescribeJobQueuesInput) (*batch.DescribeJobQueuesOutput, error) {
	n := s.in(ctx)
	limit, err := pageSize(in.MaxResults, maxPage)
	if err != nil {
		return nil, err
	}
	all, err := s.m.Queues(ctx)
	if err != nil {
		return nil, clientError(err)
	}
	nameOf := func(q job.Queue) string { return q.Name }
	page, next, err := choose(all, nameOf, in.JobQueues, n.queue, aws.ToString(in.NextToken), limit)
	if err != nil {
		return nil, err
	}
	out := &batch.DescribeJobQueuesOutput{JobQueues: make([]types.JobQueueDetail, len(page)), NextToken: optional(next)}
	for i := range page {
		if out.JobQueues[i], err = describeQueue(n, &page[i]); err != nil {
			return nil, err
		}
	}
	return out, nil
}
