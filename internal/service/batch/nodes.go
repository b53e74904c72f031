package batch

import (
	"context"
	"slices"

	"drover/internal/core/job"
	"drover/internal/manager"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
)

// checkMultinode checks what a registration of type multinode may have beside nodeProperties.
func checkMultinode(in *batch.RegisterJobDefinitionInput) error {
	if in.NodeProperties == nil {
		return invalid("a job definition of type multinode needs nodeProperties")
	}
	if m := present(
		"containerProperties", in.ContainerProperties != nil,
		"ecsProperties", in.EcsProperties != nil,
		"eksProperties", in.EksProperties != nil,
	); m != "" {
		return invalid(errorExecuting+"%s should not be set for a job definition of type multinode; give each node range of nodeProperties its container.", m)
	}
	if slices.Contains(in.PlatformCapabilities, types.PlatformCapabilityFargate) {
		return invalid(errorExecuting + "multi-node parallel jobs cannot run on Fargate resources; leave FARGATE out of platformCapabilities.")
	}
	if in.ConsumableResourceProperties != nil {
		return invalid("consumableResourceProperties of a job definition of type multinode belong into its node ranges")
	}
	return nil
}

// readNodes reads nodeProperties and puts their words in canonical form.
func readNodes(n names, in *batch.RegisterJobDefinitionInput) (*job.NodeTemplate, error) {
	p := in.NodeProperties
	switch {
	case p.NumNodes == nil:
		return nil, invalid("nodeProperties needs numNodes")
	case p.MainNode == nil:
		return nil, invalid("nodeProperties needs mainNode")
	}
	t := &job.NodeTemplate{Count: *p.NumNodes, Main: *p.MainNode}
	var instance string
	for i := range p.NodeRangeProperties {
		r, err := readNodeRange(n, &p.NodeRangeProperties[i], in.Parameters, &instance)
		if err != nil {
			return nil, err
		}
		t.Ranges = append(t.Ranges, r)
	}
	return t, t.Check()
}

// readNodeRange reads one node range. All of them must name the same instance type, if any.
func readNodeRange(n names, p *types.NodeRangeProperty, parameters map[string]string, instance *string) (r job.NodeRange, err error) {
	if r.Span, err = job.ParseSpan(aws.ToString(p.TargetNodes)); err != nil {
		return r, err
	}
	if p.EksProperties != nil {
		return r, notBuilt("eksProperties of a node range")
	}
	c := p.Container
	if (c != nil) == (p.EcsProperties != nil) {
		return r, invalid("the node range %s needs a container or ecsProperties, and not both", aws.ToString(p.TargetNodes))
	}
	kinds := slices.Clone(p.InstanceTypes)
	if c != nil {
		kinds = append(kinds, aws.ToString(c.InstanceType))
	}
	if len(p.InstanceTypes) > 1 {
		return r, invalid("instanceTypes of a node range has %d entries, at most 1 is allowed", len(p.InstanceTypes))
	}
	for _, kind := range kinds {
		if kind == "" {
			continue
		}
		if *instance != "" && kind != *instance {
			return r, invalid("all nodes of a multi-node parallel job must have the same instance type, got %s and %s", *instance, kind)
		}
		*instance = kind
	}
	if r.Consumables, err = readConsumables(n, p.ConsumableResourceProperties); err != nil {
		return r, err
	}
	if c != nil {
		return r, readNodeContainer(&r, c, parameters)
	}
	if r.Pod, err = readPod(p.EcsProperties, false); err != nil {
		return r, err
	}
	r.Image, r.Need, r.Container = r.Pod.Members[0].Image, r.Pod.Need(), askedOfTask(&p.EcsProperties.TaskProperties[0])
	return r, nil
}

// readNodeContainer reads the one container of a node range.
func readNodeContainer(r *job.NodeRange, c *types.ContainerProperties, parameters map[string]string) (err error) {
	plain := *c
	plain.InstanceType = nil // which no other job may have
	if err := checkContainer(&plain, false); err != nil {
		return err
	}
	if r.Need, err = definitionNeed(&plain); err != nil {
		return err
	}
	c.ResourceRequirements = plain.ResourceRequirements
	r.OldCPU, r.OldMemory = !requires(c.ResourceRequirements, types.ResourceTypeVcpu), !requires(c.ResourceRequirements, types.ResourceTypeMemory)
	if r.Environment, err = readVariables(c.Environment); err != nil {
		return err
	}
	r.Image, r.Command, r.Container = *c.Image, c.Command, asked(c)
	return checkCommand(c.Command, parameters)
}

// checkNodesFit refuses what only jobs of the other kind have.
func checkNodesFit(p *prepared, in *batch.SubmitJobInput) error {
	if p.nodes == nil {
		if in.NodeOverrides != nil {
			return invalid(errorExecuting + "nodeOverrides should only be set for a job definition of type multinode; use containerOverrides.")
		}
		return nil
	}
	if m := present(
		"containerOverrides", in.ContainerOverrides != nil,
		"ecsPropertiesOverride", in.EcsPropertiesOverride != nil,
		"eksPropertiesOverride", in.EksPropertiesOverride != nil,
		"consumableResourcePropertiesOverride", in.ConsumableResourcePropertiesOverride != nil,
	); m != "" {
		return invalid(errorExecuting+"%s should not be set for multi-node parallel jobs; use nodeOverrides.", m)
	}
	if in.ArrayProperties != nil {
		return invalid(errorExecuting + "a multi-node parallel job cannot be an array job; leave arrayProperties out.")
	}
	for _, tag := range [...]string{onMemoryTag, stageTag, job.InputsTag, job.OutputsTag} {
		if _, ok := in.Tags[tag]; ok {
			return invalid("tag %s cannot be used with multi-node parallel jobs", tag)
		}
	}
	return nil
}

// overrideNodes reads nodeOverrides, and what of the definition's nodes the job then keeps
// to be described; nil if that is as defined.
func overrideNodes(n names, p *prepared, o *types.NodeOverrides) (*job.NodesOverride, *types.NodeProperties, error) {
	if o == nil {
		return nil, nil, nil
	}
	over := &job.NodesOverride{Count: aws.ToInt32(o.NumNodes)}
	if o.NumNodes != nil && *o.NumNodes < 1 {
		return nil, nil, invalid("numNodes of nodeOverrides must be between 1 and %d, got %d", job.MaxNodes, *o.NumNodes)
	}
	for i := range o.NodePropertyOverrides {
		v, err := overrideNode(n, &o.NodePropertyOverrides[i])
		if err != nil {
			return nil, nil, err
		}
		over.Nodes = append(over.Nodes, v)
	}
	kept := *p.nodes
	if o.NumNodes != nil {
		kept.NumNodes = o.NumNodes
	}
	return over, &kept, nil
}

func overrideNode(n names, p *types.NodePropertyOverride) (v job.NodeOverride, err error) {
	if v.Span, err = job.ParseSpan(aws.ToString(p.TargetNodes)); err != nil {
		return v, err
	}
	if p.EksPropertiesOverride != nil {
		return v, notBuilt("eksPropertiesOverride of nodes")
	}
	if v.Members, err = overrideMembers(p.EcsPropertiesOverride); err != nil {
		return v, err
	}
	if p.ConsumableResourcePropertiesOverride != nil {
		if v.Consumables, err = readConsumables(n, p.ConsumableResourcePropertiesOverride); err != nil {
			return v, err
		}
		v.Consumables = filled(v.Consumables)
	}
	o := p.ContainerOverrides
	if o == nil {
		return v, nil
	}
	w, err := readNeed(o.ResourceRequirements)
	if err != nil {
		return v, err
	}
	if v.OldNeed, err = legacyNeed(o.Vcpus, o.Memory); err != nil {
		return v, err
	}
	if v.Environment, err = readVariables(o.Environment); err != nil {
		return v, err
	}
	v.Need, v.Command = w.need, o.Command
	if w.requirements != nil {
		o.ResourceRequirements = w.requirements
	}
	return v, checkCommand(o.Command, nil)
}

// keptNodes is what a job keeps of its nodes: where single nodes were overridden a range
// for each run of nodes that are alike, in place of those of the definition.
func keptNodes(kept *types.NodeProperties, nodes *job.Nodes, o *types.NodeOverrides) *types.NodeProperties {
	if o == nil || len(o.NodePropertyOverrides) == 0 {
		return kept
	}
	out := *kept
	out.NodeRangeProperties = nil
	for i := range nodes.Groups {
		g := &nodes.Groups[i]
		r := kept.NodeRangeProperties[g.Range]
		r.TargetNodes = aws.String(job.Span{From: g.First, To: g.Last}.String())
		var c types.ContainerProperties
		if r.Container != nil {
			c = *r.Container
		}
		for j := range o.NodePropertyOverrides {
			v := &o.NodePropertyOverrides[j]
			if s, err := job.ParseSpan(aws.ToString(v.TargetNodes)); err == nil && s.From <= g.First && (s.To < 0 || s.To >= g.Last) {
				overrideRange(&r, &c, v)
			}
		}
		if r.Container != nil {
			r.Container = &c
		}
		g.Range = int32(i)
		out.NodeRangeProperties = append(out.NodeRangeProperties, r)
	}
	return &out
}

// overrideRange puts what a submission says of nodes onto what is described of them.
func overrideRange(r *types.NodeRangeProperty, c *types.ContainerProperties, v *types.NodePropertyOverride) {
	if len(v.InstanceTypes) > 0 {
		r.InstanceTypes = v.InstanceTypes
	}
	if v.ConsumableResourcePropertiesOverride != nil {
		r.ConsumableResourceProperties = v.ConsumableResourcePropertiesOverride
	}
	if e := v.EcsPropertiesOverride; e != nil && len(e.TaskProperties) > 0 && r.EcsProperties != nil {
		r.EcsProperties = &types.EcsProperties{TaskProperties: []types.EcsTaskProperties{*mergeTask(&r.EcsProperties.TaskProperties[0], e)}}
	}
	o := v.ContainerOverrides
	if o == nil {
		return
	}
	if o.InstanceType != nil {
		c.InstanceType = o.InstanceType
	}
	c.ResourceRequirements = mergeRequirements(c.ResourceRequirements, o.ResourceRequirements)
	if o.Vcpus != nil && !requires(c.ResourceRequirements, types.ResourceTypeVcpu) {
		c.Vcpus = o.Vcpus
	}
	if o.Memory != nil && !requires(c.ResourceRequirements, types.ResourceTypeMemory) {
		c.Memory = o.Memory
	}
}

// checkNodeQueue refuses a queue none of whose environments can run multi-node parallel
// jobs: AWS Batch runs them on MANAGED environments of type EC2 alone.
func (s *Service) checkNodeQueue(ctx context.Context, q *job.Queue) error {
	all, err := s.m.Environments(ctx)
	if err != nil {
		return clientError(err)
	}
	for i := range all {
		if !slices.Contains(q.Environments, all[i].Name) {
			continue
		}
		d, err := readEnvironmentDetail(&all[i])
		if err != nil {
			return err
		}
		if all[i].Managed && (d.ComputeResources == nil || d.ComputeResources.Type == types.CRTypeEc2) {
			return nil
		}
	}
	return invalid(errorExecuting+"multi-node parallel jobs need a MANAGED compute environment of type EC2, and job queue %s has none.", q.Name)
}

// describeNodes echoes the nodes of a job with the commands that they run.
func describeNodes(spec *job.Spec, kept *types.NodeProperties) *types.NodeProperties {
	out := *kept
	out.NodeRangeProperties = slices.Clone(kept.NodeRangeProperties)
	for i := range spec.Nodes.Groups {
		g := &spec.Nodes.Groups[i]
		r := &out.NodeRangeProperties[g.Range]
		if g.Pod != nil {
			r.EcsProperties = describeNodePod(g.Pod, r.EcsProperties)
			continue
		}
		c := *r.Container
		c.Command, c.Environment = filled(g.Command), writeVariables(g.Environment)
		r.Container = &c
	}
	return &out
}

// describeNodePod echoes the containers of a node with the commands that they run.
func describeNodePod(p *job.Pod, kept *types.EcsProperties) *types.EcsProperties {
	t := kept.TaskProperties[0]
	t.Containers = slices.Clone(t.Containers)
	for i := range t.Containers {
		c, m := &t.Containers[i], &p.Members[i]
		c.Command, c.Environment = filled(m.Command), writeVariables(m.Environment)
	}
	return &types.EcsProperties{TaskProperties: []types.EcsTaskProperties{t}}
}

// nodeView is the view of a node as that of a job which runs what the node does, and what
// is kept of its range.
func nodeView(v *manager.View, node int32, kept *types.NodeProperties) (*manager.View, *types.NodeRangeProperty) {
	g := v.Spec.Nodes.Of(node)
	one, spec := *v, *v.Spec
	spec.Image, spec.Command, spec.Environment, spec.Container, spec.Pod = g.Image, g.Command, g.Environment, g.Container, g.Pod
	one.Spec = &spec
	return &one, &kept.NodeRangeProperties[g.Range]
}

// fillNodes gives the lists that AWS always answers.
func fillNodes(p *types.NodeProperties) {
	for i := range p.NodeRangeProperties {
		if c := p.NodeRangeProperties[i].Container; c != nil {
			fillContainer(c)
		}
		if e := p.NodeRangeProperties[i].EcsProperties; e != nil {
			fillTask(&e.TaskProperties[0])
		}
	}
}
