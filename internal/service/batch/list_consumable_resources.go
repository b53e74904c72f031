package batch

import (
	"context"
	"slices"
	"strings"

	"drover/internal/manager"
	"drover/internal/wire"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
)

var _ = wire.Op(ops, "ListConsumableResources", (*Service).ListConsumableResources)

// ListConsumableResources lists the resources by name, those that match the filter if
// there is one.
func (s *Service) ListConsumableResources(ctx context.Context, in *batch.ListConsumableResourcesInput) (*batch.ListConsumableResourcesOutput, error) {
	pattern := ""
	if len(in.Filters) > 0 {
		name, value, err := oneFilter(in.Filters)
		if err != nil {
			return nil, err
		}
		if _, err := word("filter name", name, "CONSUMABLE_RESOURCE_NAME"); err != nil {
			return nil, err
		}
		pattern = value
	}
	all, err := s.m.Consumables(ctx)
	if err != nil {
		return nil, clientError(err)
	}
	all = slices.DeleteFunc(all, func(r manager.Stock) bool { return pattern != "" && !matchesName(pattern, r.Name) })
	part, next, err := page(all, func(r *manager.Stock) string { return r.Name }, in.MaxResults, in.NextToken)
	if err != nil {
		return nil, err
	}
	n := s.in(ctx)
	out := &batch.ListConsumableResourcesOutput{ConsumableResources: make([]types.ConsumableResourceSummary, len(part)), NextToken: next}
	for i := range part {
		out.ConsumableResources[i] = summarizeConsumable(n, &part[i])
	}
	return out, nil
}

// oneFilter reads the one filter with one value that a list may have.
func oneFilter(filters []types.KeyValuesPair) (name, value string, err error) {
	if len(filters) != 1 || len(filters[0].Values) != 1 {
		return "", "", invalid("give one filter with one value")
	}
	return aws.ToString(filters[0].Name), filters[0].Values[0], nil
}

// matchesName compares whatever the case; a final * stands for anything that follows.
func matchesName(pattern, name string) bool {
	if prefix, ok := strings.CutSuffix(pattern, "*"); ok {
		return len(name) >= len(prefix) && strings.EqualFold(name[:len(prefix)], prefix)
	}
	return strings.EqualFold(pattern, name)
}
