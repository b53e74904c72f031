package batch

import (
	"context"
	"strings"

	"drover/internal/core/job"
	"drover/internal/wire"

	"github.com/aws/aws-sdk-go-v2/service/batch"
)

var _ = wire.Op(ops, "UntagResource", (*Service).UntagResource,
	wire.DELETE("/v1/tags/{ResourceArn}", "TagKeys"), wire.Required("TagKeys"), wire.Length("TagKeys", 1, job.MaxTags))

// UntagResource removes tags; keys that are not there are no mistake.
func (s *Service) UntagResource(ctx context.Context, in *batch.UntagResourceInput) (*batch.UntagResourceOutput, error) {
	t, err := s.in(ctx).readTagged(*in.ResourceArn)
	if err != nil {
		return nil, err
	}
	for _, key := range in.TagKeys {
		if t.kind == "job" && strings.HasPrefix(key, droverTag) {
			return nil, invalid("tag %s was read when the job was submitted and stays", key)
		}
	}
	return nil, missing(s.retag(ctx, t, nil, in.TagKeys), "%s does not exist", *in.ResourceArn)
}
