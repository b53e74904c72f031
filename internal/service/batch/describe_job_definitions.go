package batch

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"drover/internal/core/fault"
	"drover/internal/core/job"
	"drover/internal/wire"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
)

var _ = wire.Op(ops, "DescribeJobDefinitions", (*Service).DescribeJobDefinitions)

// maxPage is the most that one page of a describe answers, and what it answers unasked.
const maxPage = 100

// DescribeJobDefinitions answers definitions by reference, by name or all of them: for
// each name the newest revision first. When one name is asked for, ACTIVE revisions come
// before INACTIVE ones within a page, because some clients read only the first.
func (s *Service) DescribeJobDefinitions(ctx context.Context, in *batch.DescribeJobDefinitionsInput) (*batch.DescribeJobDefinitionsOutput, error) {
	status := strings.ToUpper(aws.ToString(in.Status))
	limit, err := pageSize(in.MaxResults, maxPage)
	if err != nil {
		return nil, err
	}
	n := s.in(ctx)
	if len(in.JobDefinitions) > 0 {
		if in.JobDefinitionName != nil || in.NextToken != nil {
			return nil, invalid("jobDefinitions cannot be used with jobDefinitionName or nextToken")
		}
		return s.describeNamed(ctx, n, in.JobDefinitions, status)
	}
	name := ""
	if in.JobDefinitionName != nil {
		if name, _, err = n.definition(*in.JobDefinitionName); err != nil {
			return nil, err
		}
	}
	out := &batch.DescribeJobDefinitionsOutput{JobDefinitions: []types.JobDefinition{}}
	after := aws.ToString(in.NextToken)
	// A status leaves records out, so that several pages of the manager may fill one of ours.
	for {
		defs, next, err := s.m.Definitions(ctx, name, after, limit-len(out.JobDefinitions))
		if err != nil {
			return nil, clientError(err)
		}
		if name != "" {
			slices.SortStableFunc(defs, activeFirst)
		}
		for i := range defs {
			if status == "" || status == activity(defs[i].Active) {
				detail, err := describeDefinition(n, &defs[i])
				if err != nil {
					return nil, err
				}
				out.JobDefinitions = append(out.JobDefinitions, detail)
			}
		}
		after = next
		if next == "" || len(out.JobDefinitions) >= limit {
			out.NextToken = optional(next)
			return out, nil
		}
	}
}

func activeFirst(a, b job.Definition) int {
	if a.Active != b.Active {
		if a.Active {
			return -1
		}
		return 1
	}
	return cmp.Compare(b.Revision, a.Revision)
}

// describeNamed answers the definitions that were asked for one by one; unknown ones are
// left out. A reference without revision stands for all revisions of its name.
func (s *Service) describeNamed(ctx context.Context, n names, refs []string, status string) (*batch.DescribeJobDefinitionsOutput, error) {
	if len(refs) > maxPage {
		return nil, invalid("jobDefinitions has %d entries, at most %d are allowed", len(refs), maxPage)
	}
	out := &batch.DescribeJobDefinitionsOutput{JobDefinitions: []types.JobDefinition{}}
	for _, ref := range refs {
		name, revision, err := n.definition(ref)
		if err != nil {
			return nil, err
		}
		var defs []job.Definition
		if revision == 0 {
			defs, _, err = s.m.Definitions(ctx, name, "", maxPage)
		} else {
			var d job.Definition
			if d, err = s.m.Definition(ctx, name, revision); err == nil {
				defs = []job.Definition{d}
			}
		}
		if err != nil && !fault.Is(err, fault.NotFound) {
			return nil, clientError(err)
		}
		for i := range defs {
			if status != "" && status != activity(defs[i].Active) {
				continue
			}
			detail, err := describeDefinition(n, &defs[i])
			if err != nil {
				return nil, err
			}
			out.JobDefinitions = append(out.JobDefinitions, detail)
		}
	}
	return out, nil
}

func activity(active bool) string {
	if active {
		return "ACTIVE"
	}
	return "INACTIVE"
}

// describeDefinition echoes a registration. It adds what AWS always adds (name, ARN,
// status, orchestration type, empty lists) and no default of its own: clients compare the
// answer with what they registered.
func describeDefinition(n names, d *job.Definition) (types.JobDefinition, error) {
	var in batch.RegisterJobDefinitionInput
	if err := restore(d.Detail, &in); err != nil {
		return types.JobDefinition{}, err
	}
	if in.ContainerProperties != nil {
		fillContainer(in.ContainerProperties)
	}
	if in.EcsProperties != nil {
		fillTask(&in.EcsProperties.TaskProperties[0])
	}
	if in.NodeProperties != nil {
		fillNodes(in.NodeProperties)
	}
	orchestration := types.OrchestrationTypeEcs
	if in.EksProperties != nil {
		orchestration = types.OrchestrationTypeEks
	}
	return types.JobDefinition{
		JobDefinitionName:            &d.Name,
		JobDefinitionArn:             aws.String(n.definitionARN(job.Revision(d.Name, d.Revision))),
		Revision:                     &d.Revision,
		Status:                       aws.String(activity(d.Active)),
		Type:                         aws.String(string(in.Type)),
		ContainerOrchestrationType:   orchestration,
		ContainerProperties:          in.ContainerProperties,
		EcsProperties:                in.EcsProperties,
		EksProperties:                in.EksProperties,
		NodeProperties:               in.NodeProperties,
		ConsumableResourceProperties: in.ConsumableResourceProperties,
		Parameters:                   listed(d.Parameters),
		PlatformCapabilities:         in.PlatformCapabilities,
		PropagateTags:                in.PropagateTags,
		RetryStrategy:                in.RetryStrategy,
		SchedulingPriority:           in.SchedulingPriority,
		Tags:                         listed(d.Tags),
		Timeout:                      in.Timeout,
	}, nil
}

// fillContainer gives the lists that AWS always answers, empty where nothing was given.
func fillContainer(c *types.ContainerProperties) {
	c.Command = filled(c.Command)
	c.Environment = filled(c.Environment)
	c.MountPoints = filled(c.MountPoints)
	c.ResourceRequirements = filled(c.ResourceRequirements)
	c.Secrets = filled(c.Secrets)
	c.Ulimits = filled(c.Ulimits)
	c.Volumes = filled(c.Volumes)
}

// filled gives an empty list for an absent one.
func filled[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// listed gives an empty map for an absent one.
func listed(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}

// pageSize reads maxResults: 1 to most, most if absent.
func pageSize(given *int32, most int) (int, error) {
	if given == nil {
		return most, nil
	}
	if *given < 1 {
		return 0, invalid("maxResults must be between 1 and %d, got %d", most, *given)
	}
	return min(int(*given), most), nil
}
