package batch

import (
	"context"

	"drover/internal/core/job"
	"drover/internal/wire"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
)

var _ = wire.Op(ops, "UpdateComputeEnvironment", (*Service).UpdateComputeEnvironment,
	wire.Required("ComputeEnvironment"))

// UpdateComputeEnvironment changes the members that the request has and leaves the others.
func (s *Service) UpdateComputeEnvironment(ctx context.Context, in *batch.UpdateComputeEnvironmentInput) (*batch.UpdateComputeEnvironmentOutput, error) {
	n := s.in(ctx)
	name, err := n.environment(*in.ComputeEnvironment)
	if err != nil {
		return nil, err
	}
	e, err := s.m.UpdateEnvironment(ctx, name, func(e *job.Environment) error { return updateEnvironment(e, in) })
	if err != nil {
		return nil, missing(err, "compute environment %s does not exist", *in.ComputeEnvironment)
	}
	return &batch.UpdateComputeEnvironmentOutput{
		ComputeEnvironmentName: &e.Name,
		ComputeEnvironmentArn:  aws.String(n.environmentARN(e.Name)),
	}, nil
}

func updateEnvironment(e *job.Environment, in *batch.UpdateComputeEnvironmentInput) error {
	d, err := readEnvironmentDetail(e)
	if err != nil {
		return err
	}
	enabled, err := readEnvironmentState(in.State, e.Enabled)
	if err != nil {
		return err
	}
	switch {
	case in.UnmanagedvCpus != nil && e.Managed:
		return invalid("unmanagedvCpus is only for compute environments of type UNMANAGED")
	case in.ComputeResources != nil && !e.Managed:
		return invalid("computeResources is only for compute environments of type MANAGED")
	case in.UnmanagedvCpus != nil && *in.UnmanagedvCpus < 0:
		return invalid("unmanagedvCpus must be at least 0, got %d", *in.UnmanagedvCpus)
	}
	if p := in.UpdatePolicy; p != nil {
		if m := p.JobExecutionTimeoutMinutes; m != nil && (*m < 1 || *m > 7200) {
			return invalid("jobExecutionTimeoutMinutes must be between 1 and 7200, got %d", *m)
		}
		d.UpdatePolicy = p
	}
	if in.UnmanagedvCpus != nil {
		d.UnmanagedvCpus = in.UnmanagedvCpus
	}
	if in.Context != nil {
		d.Context = in.Context
	}
	if aws.ToString(in.ServiceRole) != "" {
		d.ServiceRole = in.ServiceRole
	}
	if u := in.ComputeResources; u != nil {
		if err := updateResources(d.ComputeResources, u); err != nil {
			return err
		}
		e.MaxMilliVCPU, e.Spot, e.Types = int64(*d.ComputeResources.MaxvCpus)*1000, spot(d.ComputeResources.Type), d.ComputeResources.InstanceTypes
	}
	e.Enabled, e.Detail = enabled, compact(&d)
	return nil
}

// updateResources puts an update on computeResources.
func updateResources(r *types.ComputeResource, u *types.ComputeResourceUpdate) error {
	if u.DesiredvCpus != nil && *u.DesiredvCpus < aws.ToInt32(r.DesiredvCpus) {
		return invalid("Manually scaling down compute environment is not supported. Disconnecting job queues from compute environment will cause it to scale-down to minvCpus.")
	}
	set(&r.MinvCpus, u.MinvCpus)
	set(&r.MaxvCpus, u.MaxvCpus)
	set(&r.DesiredvCpus, u.DesiredvCpus)
	set(&r.BidPercentage, u.BidPercentage)
	set(&r.Ec2KeyPair, u.Ec2KeyPair)
	set(&r.ImageId, u.ImageId)
	set(&r.InstanceRole, u.InstanceRole)
	set(&r.LaunchTemplate, u.LaunchTemplate)
	if t := r.LaunchTemplate; t != nil && aws.ToString(t.LaunchTemplateId) == "" && aws.ToString(t.LaunchTemplateName) == "" {
		r.LaunchTemplate = nil // one without id and name takes it away
	}
	set(&r.PlacementGroup, u.PlacementGroup)
	for _, text := range []**string{&r.Ec2KeyPair, &r.ImageId, &r.PlacementGroup} {
		if aws.ToString(*text) == "" {
			*text = nil // "" takes it away
		}
	}
	set(&r.ScalingPolicy, u.ScalingPolicy)
	if u.AllocationStrategy != "" {
		r.AllocationStrategy = types.CRAllocationStrategy(u.AllocationStrategy)
	}
	if u.Type != "" {
		r.Type = u.Type
	}
	if u.Ec2Configuration != nil {
		r.Ec2Configuration = u.Ec2Configuration
	}
	if u.InstanceTypes != nil {
		r.InstanceTypes = u.InstanceTypes
	}
	if u.SecurityGroupIds != nil {
		r.SecurityGroupIds = u.SecurityGroupIds
	}
	if u.Subnets != nil {
		r.Subnets = u.Subnets
	}
	if u.Tags != nil {
		r.Tags = u.Tags
	}
	return checkResources(r)
}

// set changes what is there if something is given.
func set[T any](to **T, given *T) {
	if given != nil {
		*to = given
	}
}
