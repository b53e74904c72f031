package batch

import (
	"context"

	"drover/internal/core/job"
	"drover/internal/wire"

	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
)

var _ = wire.Op(ops, "DescribeJobs", (*Service).DescribeJobs, wire.Required("Jobs"))

// DescribeJobs answers the jobs and array children that were asked for, by id or ARN.
// Unknown ones are left out, whatever they look like.
func (s *Service) DescribeJobs(ctx context.Context, in *batch.DescribeJobsInput) (*batch.DescribeJobsOutput, error) {
	if len(in.Jobs) > maxPage {
		return nil, invalid("Error executing request, Exception : Maximum number of jobs supported is %d", maxPage)
	}
	n := s.in(ctx)
	ids := make([]string, 0, len(in.Jobs))
	for _, ref := range in.Jobs {
		id, err := n.resource("job", "jobs", ref)
		if err != nil {
			return nil, err
		}
		if _, _, ok := job.ParseName(id); ok {
			ids = append(ids, id)
		}
	}
	out := &batch.DescribeJobsOutput{Jobs: []types.JobDetail{}}
	if len(ids) == 0 {
		return out, nil
	}
	views, err := s.m.Describe(ctx, ids)
	if err != nil {
		return nil, clientError(err)
	}
	read := details{}
	for i := range views {
		kept, err := read.of(views[i].Spec)
		if err != nil {
			return nil, err
		}
		out.Jobs = append(out.Jobs, describeJob(n, &views[i], kept))
	}
	return out, nil
}
