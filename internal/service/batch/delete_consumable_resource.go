package batch

import (
	"context"

	"drover/internal/wire"

	"github.com/aws/aws-sdk-go-v2/service/batch"
)

var _ = wire.Op(ops, "DeleteConsumableResource", (*Service).DeleteConsumableResource, wire.Required("ConsumableResource"))

// DeleteConsumableResource removes a resource, also while jobs hold some of it. Jobs that
// need it and have not started wait until there is one of its name again.
func (s *Service) DeleteConsumableResource(ctx context.Context, in *batch.DeleteConsumableResourceInput) (*batch.DeleteConsumableResourceOutput, error) {
	name, err := s.in(ctx).consumable(*in.ConsumableResource)
	if err != nil {
		return nil, err
	}
	return nil, clientError(s.m.DeleteConsumable(ctx, name))
}
