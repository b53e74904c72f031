package batch

import (
	"context"
	"slices"

	"drover/internal/manager"
	"drover/internal/wire"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
)

var _ = wire.Op(ops, "DescribeConsumableResource", (*Service).DescribeConsumableResource, wire.Required("ConsumableResource"))

// DescribeConsumableResource describes one resource, with how much of it is in use now.
func (s *Service) DescribeConsumableResource(ctx context.Context, in *batch.DescribeConsumableResourceInput) (*batch.DescribeConsumableResourceOutput, error) {
	n := s.in(ctx)
	r, err := s.findConsumable(ctx, n, *in.ConsumableResource)
	if err != nil {
		return nil, err
	}
	return &batch.DescribeConsumableResourceOutput{
		ConsumableResourceArn: aws.String(n.consumableARN(r.Name)), ConsumableResourceName: &r.Name,
		AvailableQuantity: &r.Available, InUseQuantity: &r.InUse, TotalQuantity: &r.Total,
		CreatedAt: millis(r.Created), ResourceType: resourceType(&r.Consumable), Tags: listed(r.Tags),
	}, nil
}

// findConsumable finds a resource by its name or ARN.
func (s *Service) findConsumable(ctx context.Context, n names, ref string) (r manager.Stock, err error) {
	name, err := n.consumable(ref)
	if err != nil {
		return r, err
	}
	all, err := s.m.Consumables(ctx)
	if err != nil {
		return r, clientError(err)
	}
	i := slices.IndexFunc(all, func(o manager.Stock) bool { return o.Name == name })
	if i < 0 {
		return r, noConsumable(ref)
	}
	return all[i], nil
}
