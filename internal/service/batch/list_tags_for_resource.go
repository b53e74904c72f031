package batch

import (
	"context"

	"drover/internal/wire"

	"github.com/aws/aws-sdk-go-v2/service/batch"
)

var _ = wire.Op(ops, "ListTagsForResource", (*Service).ListTagsForResource,
	wire.GET("/v1/tags/{ResourceArn}"))

// ListTagsForResource answers the tags of a job, job definition, job queue or compute
// environment.
func (s *Service) ListTagsForResource(ctx context.Context, in *batch.ListTagsForResourceInput) (*batch.ListTagsForResourceOutput, error) {
	t, err := s.in(ctx).readTagged(*in.ResourceArn)
	if err != nil {
		return nil, err
	}
	tags, err := s.tagsOf(ctx, t)
	if err != nil {
		return nil, missing(err, "%s does not exist", *in.ResourceArn)
	}
	return &batch.ListTagsForResourceOutput{Tags: listed(tags)}, nil
}
