package batch

import (
	"context"

	"drover/internal/wire"

	"github.com/aws/aws-sdk-go-v2/service/batch"
)

var _ = wire.Op(ops, "DeleteSchedulingPolicy", (*Service).DeleteSchedulingPolicy, wire.Required("Arn"))

// DeleteSchedulingPolicy removes a policy that no queue uses. Deleting one that does not
// exist succeeds.
func (s *Service) DeleteSchedulingPolicy(ctx context.Context, in *batch.DeleteSchedulingPolicyInput) (*batch.DeleteSchedulingPolicyOutput, error) {
	name, err := s.in(ctx).policy("arn", *in.Arn)
	if err != nil {
		return nil, err
	}
	return nil, clientError(s.m.DeletePolicy(ctx, name))
}
