package batch

import (
	"context"

	"drover/internal/core/job"
	"drover/internal/wire"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
)

var _ = wire.Op(ops, "UpdateConsumableResource", (*Service).UpdateConsumableResource, wire.Required("ConsumableResource"))

// UpdateConsumableResource changes the total of a resource; a clientToken makes repeated
// requests one. Without an operation nothing changes.
func (s *Service) UpdateConsumableResource(ctx context.Context, in *batch.UpdateConsumableResourceInput) (*batch.UpdateConsumableResourceOutput, error) {
	n := s.in(ctx)
	name, err := n.consumable(*in.ConsumableResource)
	if err != nil {
		return nil, err
	}
	u := job.ConsumableUpdate{Token: aws.ToString(in.ClientToken), Quantity: aws.ToInt64(in.Quantity)}
	if u.Operation, err = word("operation", aws.ToString(in.Operation), "SET", "ADD", "REMOVE"); err != nil {
		return nil, err
	}
	if in.Quantity == nil {
		return nil, invalid("operation %s needs a quantity", u.Operation)
	}
	r, err := s.m.UpdateConsumable(ctx, name, func(r *job.Consumable, now int64) error { return r.Update(u, now) })
	if err != nil {
		return nil, clientError(err)
	}
	return &batch.UpdateConsumableResourceOutput{
		ConsumableResourceName: &r.Name, ConsumableResourceArn: aws.String(n.consumableARN(r.Name)), TotalQuantity: &r.Total,
	}, nil
}
