package batch

import (
	"context"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"

	"drover/internal/core/arn"
	"drover/internal/core/fault"
	"drover/internal/core/job"
	"drover/internal/wire"
)

// What each operation is about, for policies, in the server's own region: any region that
// a client signs for means the same things.

// about is the ARN of what a request names by name or ARN.
func (s *Service) about(kind string, ref *string) []string {
	name := aws.ToString(ref)
	if a, ok := arn.Parse(name); ok {
		if k, n := a.Kind(); k == kind {
			name = n
		}
	}
	if kind == "job" { // a child is part of its array
		name, _, _ = strings.Cut(name, ":")
	}
	return []string{s.names.batch(kind + "/" + name)}
}

// aboutARN is the ARN that a request names, in the server's own region.
func (s *Service) aboutARN(ref *string) []string {
	a, ok := arn.Parse(aws.ToString(ref))
	if !ok {
		return []string{aws.ToString(ref)}
	}
	a.Region = s.names.region
	if kind, _ := a.Kind(); kind == "job" {
		return s.about("job", ref)
	}
	return []string{a.String()}
}

var (
	_ = wire.About(ops, "CancelJob", func(s *Service, _ context.Context, in *batch.CancelJobInput) []string {
		return s.about("job", in.JobId)
	})
	_ = wire.About(ops, "TerminateJob", func(s *Service, _ context.Context, in *batch.TerminateJobInput) []string {
		return s.about("job", in.JobId)
	})
	// The definition's revision is known when it has been looked up: SubmitJob asks for it.
	_ = wire.About(ops, "SubmitJob", func(s *Service, _ context.Context, in *batch.SubmitJobInput) []string {
		return s.about("job-queue", in.JobQueue)
	})
	_ = wire.About(ops, "RegisterJobDefinition", func(s *Service, _ context.Context, in *batch.RegisterJobDefinitionInput) []string {
		return s.about("job-definition", in.JobDefinitionName)
	})
	_ = wire.About(ops, "DeregisterJobDefinition", func(s *Service, _ context.Context, in *batch.DeregisterJobDefinitionInput) []string {
		return s.about("job-definition", in.JobDefinition)
	})
	_ = wire.About(ops, "CreateJobQueue", func(s *Service, _ context.Context, in *batch.CreateJobQueueInput) []string {
		list := s.about("job-queue", in.JobQueueName)
		return append(list, s.aboutOrder(in.ComputeEnvironmentOrder)...)
	})
	_ = wire.About(ops, "UpdateJobQueue", func(s *Service, _ context.Context, in *batch.UpdateJobQueueInput) []string {
		list := s.about("job-queue", in.JobQueue)
		return append(list, s.aboutOrder(in.ComputeEnvironmentOrder)...)
	})
	_ = wire.About(ops, "DeleteJobQueue", func(s *Service, _ context.Context, in *batch.DeleteJobQueueInput) []string {
		return s.about("job-queue", in.JobQueue)
	})
	_ = wire.About(ops, "CreateComputeEnvironment", func(s *Service, _ context.Context, in *batch.CreateComputeEnvironmentInput) []string {
		return s.about("compute-environment", in.ComputeEnvironmentName)
	})
	_ = wire.About(ops, "UpdateComputeEnvironment", func(s *Service, _ context.Context, in *batch.UpdateComputeEnvironmentInput) []string {
		return s.about("compute-environment", in.ComputeEnvironment)
	})
	_ = wire.About(ops, "DeleteComputeEnvironment", func(s *Service, _ context.Context, in *batch.DeleteComputeEnvironmentInput) []string {
		return s.about("compute-environment", in.ComputeEnvironment)
	})
	_ = wire.About(ops, "CreateConsumableResource", func(s *Service, _ context.Context, in *batch.CreateConsumableResourceInput) []string {
		return s.about("consumable-resource", in.ConsumableResourceName)
	})
	_ = wire.About(ops, "UpdateConsumableResource", func(s *Service, _ context.Context, in *batch.UpdateConsumableResourceInput) []string {
		return s.about("consumable-resource", in.ConsumableResource)
	})
	_ = wire.About(ops, "DeleteConsumableResource", func(s *Service, _ context.Context, in *batch.DeleteConsumableResourceInput) []string {
		return s.about("consumable-resource", in.ConsumableResource)
	})
	_ = wire.About(ops, "DescribeConsumableResource", func(s *Service, _ context.Context, in *batch.DescribeConsumableResourceInput) []string {
		return s.about("consumable-resource", in.ConsumableResource)
	})
	_ = wire.About(ops, "ListJobsByConsumableResource", func(s *Service, _ context.Context, in *batch.ListJobsByConsumableResourceInput) []string {
		return s.about("consumable-resource", in.ConsumableResource)
	})
	_ = wire.About(ops, "CreateSchedulingPolicy", func(s *Service, _ context.Context, in *batch.CreateSchedulingPolicyInput) []string {
		return s.about("scheduling-policy", in.Name)
	})
	_ = wire.About(ops, "GetJobQueueSnapshot", func(s *Service, _ context.Context, in *batch.GetJobQueueSnapshotInput) []string {
		return s.about("job-queue", in.JobQueue)
	})
	_ = wire.About(ops, "ListQuotaShares", func(s *Service, _ context.Context, in *batch.ListQuotaSharesInput) []string {
		return s.about("job-queue", in.JobQueue)
	})
	_ = wire.About(ops, "UpdateSchedulingPolicy", func(s *Service, _ context.Context, in *batch.UpdateSchedulingPolicyInput) []string {
		return s.aboutARN(in.Arn)
	})
	_ = wire.About(ops, "DeleteSchedulingPolicy", func(s *Service, _ context.Context, in *batch.DeleteSchedulingPolicyInput) []string {
		return s.aboutARN(in.Arn)
	})
	_ = wire.About(ops, "UpdateQuotaShare", func(s *Service, _ context.Context, in *batch.UpdateQuotaShareInput) []string {
		return s.aboutARN(in.QuotaShareArn)
	})
	_ = wire.About(ops, "DeleteQuotaShare", func(s *Service, _ context.Context, in *batch.DeleteQuotaShareInput) []string {
		return s.aboutARN(in.QuotaShareArn)
	})
	_ = wire.About(ops, "DescribeQuotaShare", func(s *Service, _ context.Context, in *batch.DescribeQuotaShareInput) []string {
		return s.aboutARN(in.QuotaShareArn)
	})
	_ = wire.About(ops, "CreateQuotaShare", func(s *Service, _ context.Context, in *batch.CreateQuotaShareInput) []string {
		list := s.about("job-queue", in.JobQueue)
		return append(list, s.names.quotaShareARN(strings.TrimPrefix(list[0], s.names.queueARN("")), aws.ToString(in.QuotaShareName)))
	})
	_ = wire.About(ops, "TagResource", func(s *Service, _ context.Context, in *batch.TagResourceInput) []string {
		return s.aboutARN(in.ResourceArn)
	})
	_ = wire.About(ops, "UntagResource", func(s *Service, _ context.Context, in *batch.UntagResourceInput) []string {
		return s.aboutARN(in.ResourceArn)
	})
	_ = wire.About(ops, "ListTagsForResource", func(s *Service, _ context.Context, in *batch.ListTagsForResourceInput) []string {
		return s.aboutARN(in.ResourceArn)
	})
)

func (s *Service) aboutOrder(order []types.ComputeEnvironmentOrder) (list []string) {
	for _, o := range order {
		list = append(list, s.about("compute-environment", o.ComputeEnvironment)...)
	}
	return list
}

// Roles is what the API asks of the service that keeps roles.
type Roles interface {
	// CheckJobRole says why jobs could not run with a role; nil: they can.
	CheckJobRole(ctx context.Context, arn string) error
}

// permitDefinition asks whether the caller may submit jobs of a definition's revision.
func (s *Service) permitDefinition(ctx context.Context, d *job.Definition) error {
	return wire.Permit(ctx, "batch:SubmitJob", s.names.definitionARN(job.Revision(d.Name, d.Revision)))
}

// ownRole reports whether an ARN could be that of a role of this account.
func (s *Service) ownRole(ref string) bool {
	a, ok := arn.Parse(ref)
	if !ok || a.Service != "iam" || a.Account != s.names.account {
		return false
	}
	kind, name := a.Kind()
	return kind == "role" && name != ""
}

// passRolesOf is passRoles for whatever a registration names roles in.
func (s *Service) passRolesOf(ctx context.Context, in *batch.RegisterJobDefinitionInput) error {
	if in.NodeProperties != nil {
		return s.passNodeRoles(ctx, in.NodeProperties)
	}
	if in.EcsProperties != nil {
		c := taskAsContainer(&in.EcsProperties.TaskProperties[0])
		return s.passRoles(ctx, &c)
	}
	return s.passRoles(ctx, in.ContainerProperties)
}

// passNodeRoles is passRoles for every node.
func (s *Service) passNodeRoles(ctx context.Context, p *types.NodeProperties) error {
	for i := range p.NodeRangeProperties {
		r := &p.NodeRangeProperties[i]
		c := r.Container
		if r.EcsProperties != nil {
			whole := taskAsContainer(&r.EcsProperties.TaskProperties[0])
			c = &whole
		}
		if err := s.passRoles(ctx, c); err != nil {
			return err
		}
	}
	return nil
}

// passRoles asks whether the caller may hand the roles of a container to its jobs: whoever
// may run a job with a role may do all that the role may. The role of a job must exist.
func (s *Service) passRoles(ctx context.Context, c *types.ContainerProperties) error {
	if c == nil {
		return nil
	}
	for _, r := range [...]struct {
		member string
		role   *string
	}{{"jobRoleArn", c.JobRoleArn}, {"executionRoleArn", c.ExecutionRoleArn}} {
		role := aws.ToString(r.role)
		if role == "" {
			continue
		}
		if err := wire.Permit(ctx, "iam:PassRole", role, wire.Conditions{"iam:PassedToService": {"ecs-tasks.amazonaws.com"}}); err != nil {
			return err
		}
		if s.roles == nil {
			continue
		}
		if err := s.roles.CheckJobRole(ctx, role); err != nil {
			f := fault.From(err)
			if r.member == "executionRoleArn" && f.Kind == fault.NotFound && s.ownRole(role) {
				continue // nobody acts as it here: the worker fetches image and secrets by itself
			}
			if f.Kind != fault.NotFound && f.Kind != fault.Invalid && f.Kind != fault.Denied {
				return clientError(err)
			}
			return invalid("Error executing request, Exception : %s %s cannot be used: %s", r.member, role, f.Message)
		}
	}
	return nil
}
