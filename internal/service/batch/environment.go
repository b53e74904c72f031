package batch

import (
	"context"
	"fmt"
	"slices"

	"drover/internal/core/fault"
	"drover/internal/core/job"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
)

// environmentDetail is what a compute environment keeps to be described.
type environmentDetail struct {
	Type             types.CEType
	ComputeResources *types.ComputeResource
	ServiceRole      *string
	Context          *string
	UnmanagedvCpus   *int32
	UpdatePolicy     *types.UpdatePolicy
}

func readEnvironmentDetail(e *job.Environment) (environmentDetail, error) {
	var d environmentDetail
	if err := restore(e.Detail, &d); err != nil {
		return d, fault.Wrap(err, fault.Internal, "ServerException", "the record of compute environment %s cannot be read", e.Name)
	}
	return d, nil
}

// findEnvironment reads one environment; ok is false if there is none of that name.
func (s *Service) findEnvironment(ctx context.Context, name string) (e job.Environment, ok bool, err error) {
	all, err := s.m.Environments(ctx)
	if err != nil {
		return e, false, clientError(err)
	}
	i := slices.IndexFunc(all, func(e job.Environment) bool { return e.Name == name })
	if i < 0 {
		return e, false, nil
	}
	return all[i], true, nil
}

func noEnvironment(ref string) error {
	return invalid("compute environment %s does not exist", ref)
}

// describeEnvironment writes the detail of an environment. What it was created with is
// echoed; it is VALID at once, because this host's worker is there already.
func describeEnvironment(n names, e *job.Environment) (types.ComputeEnvironmentDetail, error) {
	kept, err := readEnvironmentDetail(e)
	if err != nil {
		return types.ComputeEnvironmentDetail{}, err
	}
	d := types.ComputeEnvironmentDetail{
		ComputeEnvironmentName:     &e.Name,
		ComputeEnvironmentArn:      aws.String(n.environmentARN(e.Name)),
		Type:                       kept.Type,
		State:                      environmentState(e.Enabled),
		Status:                     types.CEStatusValid,
		StatusReason:               aws.String(health(e)),
		EcsClusterArn:              aws.String(n.clusterARN()),
		ContainerOrchestrationType: types.OrchestrationTypeEcs,
		ComputeResources:           kept.ComputeResources,
		ServiceRole:                kept.ServiceRole,
		Context:                    kept.Context,
		UnmanagedvCpus:             kept.UnmanagedvCpus,
		UpdatePolicy:               kept.UpdatePolicy,
		Tags:                       listed(e.Tags),
	}
	if r := d.ComputeResources; r != nil {
		r.Subnets = filled(r.Subnets)
		if r.Type == types.CRTypeEc2 || r.Type == types.CRTypeSpot {
			r.InstanceTypes = filled(r.InstanceTypes)
		}
	}
	return d, nil
}

// health begins with AWS's words and says who runs the jobs.
func health(e *job.Environment) string {
	if !e.Managed {
		return "ComputeEnvironment Healthy"
	}
	return fmt.Sprintf("ComputeEnvironment Healthy: backed by this host's worker, up to %d vCPUs or what the host has", e.MaxMilliVCPU/1000)
}

func environmentState(enabled bool) types.CEState {
	if enabled {
		return types.CEStateEnabled
	}
	return types.CEStateDisabled
}

// readEnvironmentState reads a state; absent is the given default.
func readEnvironmentState(st types.CEState, unsaid bool) (bool, error) {
	w, err := optionalWord("state", st, types.CEStateEnabled, types.CEStateDisabled)
	if w == "" {
		return unsaid, err
	}
	return w == types.CEStateEnabled, nil
}

func fargate(t types.CRType) bool {
	return t == types.CRTypeFargate || t == types.CRTypeFargateSpot
}

// spot reports whether capacity of the type may be taken away at any time.
func spot(t types.CRType) bool { return t == types.CRTypeSpot || t == types.CRTypeFargateSpot }

// checkResources checks computeResources and puts their words in canonical form.
func checkResources(r *types.ComputeResource) (err error) {
	if r.Type, err = word("computeResources type", r.Type, types.CRType("").Values()...); err != nil {
		return err
	}
	if r.AllocationStrategy, err = optionalWord("allocationStrategy", r.AllocationStrategy, types.CRAllocationStrategy("").Values()...); err != nil {
		return err
	}
	if r.Subnets == nil {
		return invalid("computeResources needs subnets; the list may be empty")
	}
	if fargate(r.Type) {
		if m := present(
			"instanceTypes", len(r.InstanceTypes) > 0, "instanceRole", aws.ToString(r.InstanceRole) != "",
			"minvCpus", r.MinvCpus != nil, "desiredvCpus", r.DesiredvCpus != nil, "bidPercentage", r.BidPercentage != nil,
			"allocationStrategy", r.AllocationStrategy != "", "ec2Configuration", len(r.Ec2Configuration) > 0,
			"ec2KeyPair", r.Ec2KeyPair != nil, "launchTemplate", r.LaunchTemplate != nil, "imageId", r.ImageId != nil,
			"placementGroup", r.PlacementGroup != nil, "tags", len(r.Tags) > 0,
		); m != "" {
			return invalid("Error executing request, Exception : %s is not applicable for Fargate.", m)
		}
	} else {
		switch {
		case aws.ToString(r.InstanceRole) == "":
			return invalid("Error executing request, Exception : Instance role is required.")
		case len(r.InstanceTypes) == 0:
			return invalid("Error executing request, Exception : Instance types are required: give computeResources instanceTypes, for example optimal.")
		}
	}
	return checkCounts(r)
}

// checkCounts checks the numbers of computeResources.
func checkCounts(r *types.ComputeResource) error {
	low, high := aws.ToInt32(r.MinvCpus), aws.ToInt32(r.MaxvCpus)
	switch {
	case r.MaxvCpus == nil:
		return invalid("Error executing request, Exception : Resource maxvCpus is required.")
	case high < 1:
		return invalid("maxvCpus must be at least 1, got %d", high)
	case low < 0 || low > high:
		return invalid("minvCpus must be between 0 and maxvCpus %d, got %d", high, low)
	case r.DesiredvCpus != nil && (*r.DesiredvCpus < low || *r.DesiredvCpus > high):
		return invalid("desiredvCpus must be between minvCpus %d and maxvCpus %d, got %d", low, high, *r.DesiredvCpus)
	case r.BidPercentage != nil && (*r.BidPercentage < 1 || *r.BidPercentage > 100):
		return invalid("bidPercentage must be between 1 and 100, got %d", *r.BidPercentage)
	}
	if p := r.ScalingPolicy; p != nil {
		if m := aws.ToInt32(p.MinScaleDownDelayMinutes); m != 0 && (m < 20 || m > 10080) {
			return invalid("minScaleDownDelayMinutes must be 0 or between 20 and 10080, got %d", m)
		}
	}
	return nil
}
