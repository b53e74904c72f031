package batch

import (
	"context"

	"drover/internal/wire"

	"github.com/aws/aws-sdk-go-v2/service/batch"
)

var _ = wire.Op(ops, "TagResource", (*Service).TagResource,
	wire.POST("/v1/tags/{ResourceArn}"), wire.Required("Tags"))

// TagResource adds tags to a job, job definition, job queue or compute environment.
func (s *Service) TagResource(ctx context.Context, in *batch.TagResourceInput) (*batch.TagResourceOutput, error) {
	t, err := s.in(ctx).readTagged(*in.ResourceArn)
	if err != nil {
		return nil, err
	}
	if t.kind == "job" {
		// What drover's own tags say is frozen at submission.
		if err := checkTags(in.Tags, nil); err != nil {
			return nil, err
		}
	}
	return nil, missing(s.retag(ctx, t, in.Tags, nil), "%s does not exist", *in.ResourceArn)
}
