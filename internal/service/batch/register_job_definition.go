package batch

import (
	"context"
	"maps"
	"slices"

	"drover/internal/core/job"
	"drover/internal/core/resource"
	"drover/internal/wire"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
)

var _ = wire.Op(ops, "RegisterJobDefinition", (*Service).RegisterJobDefinition,
	wire.Required("JobDefinitionName", "Type"))

// RegisterJobDefinition adds the next revision of a definition. Revision numbers are never
// used twice, also not after revisions were deregistered.
func (s *Service) RegisterJobDefinition(ctx context.Context, in *batch.RegisterJobDefinitionInput) (*batch.RegisterJobDefinitionOutput, error) {
	d, err := s.readDefinition(s.in(ctx), in)
	if err != nil {
		return nil, err
	}
	if err := s.passRolesOf(ctx, in); err != nil {
		return nil, err
	}
	kept, err := s.m.RegisterDefinition(ctx, d)
	if err != nil {
		return nil, clientError(err)
	}
	s.catalog.forgetDefinition(kept.Name, 0)
	return &batch.RegisterJobDefinitionOutput{
		JobDefinitionName: &kept.Name,
		JobDefinitionArn:  aws.String(s.in(ctx).definitionARN(job.Revision(kept.Name, kept.Revision))),
		Revision:          &kept.Revision,
	}, nil
}

// readDefinition checks a registration and puts its words in canonical form.
func (s *Service) readDefinition(n names, in *batch.RegisterJobDefinitionInput) (job.Definition, error) {
	if err := s.checkRegistration(in); err != nil {
		return job.Definition{}, err
	}
	d, err := readWhatRuns(n, in)
	if err != nil {
		return d, err
	}
	retry, err := readRetry(in.RetryStrategy)
	if err != nil {
		return d, err
	}
	timeout, err := s.readTimeout(in.Timeout)
	if err != nil {
		return d, err
	}
	if err := checkTags(in.Tags, nil); err != nil {
		return d, err
	}
	consumables, err := readConsumables(n, in.ConsumableResourceProperties)
	if err != nil {
		return d, err
	}
	d.Name, d.Active, d.TimeoutSeconds, d.Consumables = *in.JobDefinitionName, true, timeout, consumables
	d.Parameters, d.Tags = maps.Clone(in.Parameters), maps.Clone(in.Tags)
	d.PropagateTags, d.Priority = aws.ToBool(in.PropagateTags), aws.ToInt32(in.SchedulingPriority)
	if retry != nil {
		d.Retry = *retry
		in.RetryStrategy = writeRetry(*retry)
	}
	kept := *in
	kept.Tags = nil // they change; the definition itself does not
	d.Detail = compact(&kept)
	if limit := s.limits.DefinitionBytes; limit > 0 && len(d.Detail) > limit {
		return d, invalid("Job definition size must be less than %s, got %d bytes", kib(limit), len(d.Detail))
	}
	return d, nil
}

// readWhatRuns reads the one of the properties that a definition has: what its jobs run.
func readWhatRuns(n names, in *batch.RegisterJobDefinitionInput) (d job.Definition, err error) {
	if err := checkCommand(nil, in.Parameters); err != nil {
		return d, err
	}
	onFargate := slices.Contains(in.PlatformCapabilities, types.PlatformCapabilityFargate)
	switch {
	case in.EksProperties != nil:
		return d, checkEks(in)
	case in.EcsProperties != nil:
		return readEcs(in.EcsProperties, onFargate)
	case in.NodeProperties != nil:
		d.Nodes, err = readNodes(n, in)
		return d, err
	}
	c := in.ContainerProperties
	if err := checkContainer(c, onFargate); err != nil {
		return d, err
	}
	d.Image, d.Command = *c.Image, c.Command
	if d.Need, err = definitionNeed(c); err != nil {
		return d, err
	}
	if onFargate {
		if err := checkFargateRole(c.ExecutionRoleArn); err != nil {
			return d, err
		}
		if err := checkFargateSize(d.Need); err != nil {
			return d, err
		}
	}
	if d.Environment, err = readVariables(c.Environment); err != nil {
		return d, err
	}
	return d, checkCommand(c.Command, nil)
}

// readEcs reads ecsProperties into a definition.
func readEcs(e *types.EcsProperties, onFargate bool) (d job.Definition, err error) {
	if d.Pod, err = readPod(e, onFargate); err != nil {
		return d, err
	}
	d.Image, d.Need = d.Pod.Members[0].Image, d.Pod.Need()
	if onFargate {
		if err := checkFargateRole(e.TaskProperties[0].ExecutionRoleArn); err != nil {
			return d, err
		}
		return d, checkFargateSize(d.Need)
	}
	return d, nil
}

// checkRegistration checks what does not lie in containerProperties.
func (s *Service) checkRegistration(in *batch.RegisterJobDefinitionInput) (err error) {
	if !job.ValidName(*in.JobDefinitionName) {
		return invalid("Job definition name should match valid pattern: %q must be 1 to 128 letters, digits, - and _", *in.JobDefinitionName)
	}
	if in.Type, err = word("type", in.Type, types.JobDefinitionTypeContainer, types.JobDefinitionTypeMultinode); err != nil {
		return err
	}
	for i, p := range in.PlatformCapabilities {
		if in.PlatformCapabilities[i], err = word("platformCapabilities", p, types.PlatformCapabilityEc2, types.PlatformCapabilityFargate); err != nil {
			return err
		}
	}
	if in.Type == types.JobDefinitionTypeMultinode {
		if err := checkMultinode(in); err != nil {
			return err
		}
		return checkPriority("schedulingPriority", in.SchedulingPriority)
	}
	if in.NodeProperties != nil {
		return invalid("nodeProperties are for job definitions of type multinode")
	}
	given := 0
	for _, is := range []bool{in.ContainerProperties != nil, in.EcsProperties != nil, in.EksProperties != nil} {
		if is {
			given++
		}
	}
	if given != 1 {
		return invalid("a job definition of type container needs exactly one of containerProperties, ecsProperties and eksProperties")
	}
	return checkPriority("schedulingPriority", in.SchedulingPriority)
}

// definitionNeed reads what a definition asks for. vCPUs and memory must be given, each
// once: in resourceRequirements or in the older members.
func definitionNeed(c *types.ContainerProperties) (need resource.Vector, err error) {
	w, err := readNeed(c.ResourceRequirements)
	if err != nil {
		return need, err
	}
	old, err := legacyNeed(c.Vcpus, c.Memory)
	if err != nil {
		return need, err
	}
	if w.requirements != nil {
		c.ResourceRequirements = w.requirements
	}
	need = w.need
	if need.MilliVCPU == 0 {
		need.MilliVCPU = old.MilliVCPU
	}
	if need.MemoryMiB == 0 {
		need.MemoryMiB = old.MemoryMiB
	}
	switch {
	case need.MilliVCPU == 0:
		return need, invalid("Container properties need vCPUs: give resourceRequirements an entry of type VCPU")
	case need.MemoryMiB == 0:
		return need, invalid("Container properties need memory: give resourceRequirements an entry of type MEMORY, in MiB")
	}
	return need, nil
}
