package batch

import (
	"context"
	"maps"
	"slices"
	"strings"

	"drover/internal/core/job"
	"drover/internal/wire"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
)

var _ = wire.Op(ops, "DescribeComputeEnvironments", (*Service).DescribeComputeEnvironments)

// DescribeComputeEnvironments answers environments by name or ARN, or all of them in
// order of name. Unknown ones are left out.
func (s *Service) DescribeComputeEnvironments(ctx context.Context, in *batch.DescribeComputeEnvironmentsInput) (*batch.DescribeComputeEnvironmentsOutput, error) {
	n := s.in(ctx)
	limit, err := pageSize(in.MaxResults, maxPage)
	if err != nil {
		return nil, err
	}
	all, err := s.m.Environments(ctx)
	if err != nil {
		return nil, clientError(err)
	}
	nameOf := func(e job.Environment) string { return e.Name }
	page, next, err := choose(all, nameOf, in.ComputeEnvironments, n.environment, aws.ToString(in.NextToken), limit)
	if err != nil {
		return nil, err
	}
	out := &batch.DescribeComputeEnvironmentsOutput{ComputeEnvironments: make([]types.ComputeEnvironmentDetail, len(page)), NextToken: optional(next)}
	for i := range page {
		if out.ComputeEnvironments[i], err = describeEnvironment(n, &page[i]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// choose picks a page of named things: those that refs name, in their order and each once,
// or without refs all of them by name. The token of a page is the last name on it.
func choose[T any](all []T, nameOf func(T) string, refs []string, read func(string) (string, error), token string, limit int) (page []T, next string, err error) {
	byName := make(map[string]T, len(all))
	for _, one := range all {
		byName[nameOf(one)] = one
	}
	order, err := chosenNames(byName, refs, read)
	if err != nil {
		return nil, "", err
	}
	if token != "" {
		name, ok := strings.CutPrefix(token, pageToken)
		if i := slices.Index(order, name); ok && i >= 0 {
			order = order[i+1:]
		} else if i, found := slices.BinarySearch(order, name); ok && !found && len(refs) == 0 {
			order = order[i:] // the thing that ended the page before is gone
		} else {
			return nil, "", invalid("nextToken is not one that this operation gave")
		}
	}
	for _, name := range order {
		if len(page) == limit {
			return page, pageToken + nameOf(page[limit-1]), nil
		}
		page = append(page, byName[name])
	}
	return page, "", nil
}

// pageToken marks the tokens of choose.
const pageToken = "after:"

func chosenNames[T any](byName map[string]T, refs []string, read func(string) (string, error)) ([]string, error) {
	if len(refs) == 0 {
		return slices.Sorted(maps.Keys(byName)), nil
	}
	var order []string
	for _, ref := range refs {
		name, err := read(ref)
		if err != nil {
			return nil, err
		}
		if _, ok := byName[name]; ok && !slices.Contains(order, name) {
			order = append(order, name)
		}
	}
	return order, nil
}
