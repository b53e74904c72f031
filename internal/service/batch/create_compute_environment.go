package batch

import (
	"context"
	"maps"

	"drover/internal/core/job"
	"drover/internal/wire"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
)

var _ = wire.Op(ops, "CreateComputeEnvironment", (*Service).CreateComputeEnvironment,
	wire.Required("ComputeEnvironmentName", "Type"))

// CreateComputeEnvironment makes a compute environment; it is VALID when this answers.
func (s *Service) CreateComputeEnvironment(ctx context.Context, in *batch.CreateComputeEnvironmentInput) (*batch.CreateComputeEnvironmentOutput, error) {
	e, err := readEnvironment(in)
	if err != nil {
		return nil, err
	}
	all, err := s.m.Environments(ctx)
	if err != nil {
		return nil, clientError(err)
	}
	if limit := s.limits.Environments; limit > 0 && len(all) >= limit {
		return nil, invalid("there are %d compute environments, at most %d are allowed", len(all), limit)
	}
	for i := range all {
		if all[i].Name == e.Name {
			return nil, invalid("Object already exists: compute environment %s", e.Name)
		}
	}
	if err := s.m.CreateEnvironment(ctx, e); err != nil {
		return nil, clientError(err)
	}
	return &batch.CreateComputeEnvironmentOutput{
		ComputeEnvironmentName: &e.Name,
		ComputeEnvironmentArn:  aws.String(s.in(ctx).environmentARN(e.Name)),
	}, nil
}

func readEnvironment(in *batch.CreateComputeEnvironmentInput) (job.Environment, error) {
	e := job.Environment{Name: *in.ComputeEnvironmentName, Tags: maps.Clone(in.Tags)}
	kind, err := word("type", in.Type, types.CETypeManaged, types.CETypeUnmanaged)
	if err != nil {
		return e, err
	}
	if !job.ValidName(e.Name) {
		return e, invalid("computeEnvironmentName %q must be 1 to 128 letters, digits, - and _", e.Name)
	}
	if in.EksConfiguration != nil {
		return e, notBuilt("eksConfiguration")
	}
	if e.Enabled, err = readEnvironmentState(in.State, true); err != nil {
		return e, err
	}
	if e.HostJobs, err = readEnvironmentTags(in.Tags); err != nil {
		return e, err
	}
	e.Managed = kind == types.CETypeManaged
	switch {
	case e.Managed && in.ComputeResources == nil:
		return e, invalid("a MANAGED compute environment needs computeResources")
	case e.Managed && in.UnmanagedvCpus != nil:
		return e, invalid("unmanagedvCpus is only for compute environments of type UNMANAGED")
	case !e.Managed && in.ComputeResources != nil:
		return e, invalid("computeResources is only for compute environments of type MANAGED")
	case in.UnmanagedvCpus != nil && *in.UnmanagedvCpus < 0:
		return e, invalid("unmanagedvCpus must be at least 0, got %d", *in.UnmanagedvCpus)
	}
	if r := in.ComputeResources; r != nil {
		if err := checkResources(r); err != nil {
			return e, err
		}
		e.MaxMilliVCPU, e.Spot, e.Types = int64(*r.MaxvCpus)*1000, spot(r.Type), r.InstanceTypes
	}
	d := environmentDetail{
		Type: kind, ComputeResources: in.ComputeResources, Context: in.Context, UnmanagedvCpus: in.UnmanagedvCpus,
		ServiceRole: optional(aws.ToString(in.ServiceRole)), // Terraform sends "" for none
	}
	e.Detail = compact(&d)
	return e, nil
}
