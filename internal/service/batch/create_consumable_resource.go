package batch

import (
	"context"
	"maps"

	"drover/internal/core/job"
	"drover/internal/wire"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
)

var _ = wire.Op(ops, "CreateConsumableResource", (*Service).CreateConsumableResource, wire.Required("ConsumableResourceName"))

// CreateConsumableResource makes a resource that running jobs hold some of.
func (s *Service) CreateConsumableResource(ctx context.Context, in *batch.CreateConsumableResourceInput) (*batch.CreateConsumableResourceOutput, error) {
	r := job.Consumable{Name: *in.ConsumableResourceName, Total: aws.ToInt64(in.TotalQuantity), Tags: maps.Clone(in.Tags)}
	if !job.ValidName(r.Name) {
		return nil, invalid("consumableResourceName %q must be 1 to 128 letters, digits, - and _", r.Name)
	}
	kind, err := optionalWord("resourceType", aws.ToString(in.ResourceType), replenishable, nonReplenishable)
	if err != nil {
		return nil, err
	}
	r.Replenishable = kind != nonReplenishable
	if r.Total < 0 {
		return nil, invalid("totalQuantity must not be negative, got %d", r.Total)
	}
	if err := checkTags(in.Tags, nil); err != nil {
		return nil, err
	}
	if err := s.m.CreateConsumable(ctx, r); err != nil {
		return nil, clientError(err)
	}
	return &batch.CreateConsumableResourceOutput{
		ConsumableResourceName: &r.Name, ConsumableResourceArn: aws.String(s.in(ctx).consumableARN(r.Name)),
	}, nil
}
