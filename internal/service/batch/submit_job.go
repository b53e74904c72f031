package batch

import (
	"context"
	"encoding/json"
	"maps"
	"slices"

	"drover/internal/core/fault"
	"drover/internal/core/job"
	"drover/internal/core/resource"
	"drover/internal/wire"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
)

var _ = wire.Op(ops, "SubmitJob", (*Service).SubmitJob,
	wire.Required("JobName", "JobQueue", "JobDefinition"))

// SubmitJob puts a definition and what the request says beside it together and hands the
// job to the manager. When it answers, the job is durable.
func (s *Service) SubmitJob(ctx context.Context, in *batch.SubmitJobInput) (*batch.SubmitJobOutput, error) {
	n := s.in(ctx)
	if err := s.checkSubmission(in); err != nil {
		return nil, err
	}
	q, err := s.submitQueue(ctx, n, *in.JobQueue)
	if err != nil {
		return nil, err
	}
	share, err := readShare(&q, in)
	if err != nil {
		return nil, err
	}
	p, err := s.submitDefinition(ctx, n, *in.JobDefinition)
	if err != nil {
		return nil, err
	}
	if err := s.permitDefinition(ctx, &p.def); err != nil {
		return nil, err
	}
	if p.nodes != nil {
		err = s.passNodeRoles(ctx, p.nodes)
	} else {
		err = s.passRoles(ctx, &p.container)
	}
	if err != nil {
		return nil, err
	}
	if p.nodes != nil {
		if err := s.checkNodeQueue(ctx, &q); err != nil {
			return nil, err
		}
	}
	if p.eks != nil {
		return nil, refuseEks(p, in)
	}
	spec, err := s.resolve(n, p, in)
	if err != nil {
		return nil, err
	}
	spec.Name, spec.Queue, spec.Share = *in.JobName, q.Name, share
	if o := in.ConsumableResourcePropertiesOverride; o != nil {
		if spec.Consumables, err = readConsumables(n, o); err != nil {
			return nil, err
		}
	}
	if spec.Dependencies, err = s.readDependencies(n, in.DependsOn, spec.Size > 0); err != nil {
		return nil, err
	}
	if err := readJobTags(spec, in.Tags); err != nil {
		return nil, err
	}
	spec.Tags = maps.Clone(in.Tags)
	propagate(spec, p.def.Tags)
	spec.Submitter = submitter(ctx, spec)
	receipts, err := s.m.Submit(ctx, []*job.Spec{spec})
	if err != nil {
		return nil, clientError(err)
	}
	id := receipts[0].ID.String()
	return &batch.SubmitJobOutput{JobId: &id, JobName: in.JobName, JobArn: aws.String(n.jobARN(id))}, nil
}

// readShare reads whose share the job belongs to. Whether the queue's policy wants one is
// the manager's to say; a queue that has no policy is refused here, in AWS's words.
func readShare(q *job.Queue, in *batch.SubmitJobInput) (string, error) {
	if (in.ShareIdentifier != nil || in.SchedulingPriorityOverride != nil) && q.Policy == "" {
		return "", invalid("Job with shareIdentifier or schedulingPriority can onlybe submitted to job queue with fair share scheduling policy.")
	}
	share := aws.ToString(in.ShareIdentifier)
	if in.ShareIdentifier != nil && !job.ValidShare(share) {
		return "", invalid("shareIdentifier %q must be 1 to %d letters and digits", share, job.MaxShareIdentifier)
	}
	return share, nil
}

// checkSubmission checks what needs neither queue nor definition.
func (s *Service) checkSubmission(in *batch.SubmitJobInput) error {
	if !job.ValidJobName(*in.JobName) {
		return invalid("Error executing request, Exception : Job name should match valid pattern: %q must be 1 to 128 letters, digits, - and _, the first a letter or digit", *in.JobName)
	}
	return s.checkSize(in)
}

// checkSize keeps the limits on the size of a request. Writing the request out to weigh it
// costs more than the rest of a submission, so that is only done when it could be near.
func (s *Service) checkSize(in *batch.SubmitJobInput) error {
	limit, override := s.limits.SubmitBytes, s.limits.OverrideBytes
	rough := 1024 + 6*textBytes(in)
	if override > 0 && in.ContainerOverrides != nil && rough > override {
		if n := len(compact(in.ContainerOverrides)); n > override {
			return invalid("Container Overrides length must be at most %d, got %d", override, n)
		}
	}
	if limit > 0 && rough > limit {
		if n := len(compact(in)); n > limit {
			return invalid("Job size must be less than %s, got %d bytes", kib(limit), n)
		}
	}
	return nil
}

// textBytes adds up the request's texts, with room for the JSON around each; a byte of
// text takes at most six in JSON.
func textBytes(in *batch.SubmitJobInput) int {
	const around = 16
	n := 0
	for k, v := range in.Parameters {
		n += len(k) + len(v) + around
	}
	for k, v := range in.Tags {
		n += len(k) + len(v) + around
	}
	for i := range in.DependsOn {
		n += len(aws.ToString(in.DependsOn[i].JobId)) + 2*around
	}
	n += overrideBytes(in.ContainerOverrides)
	if o := in.NodeOverrides; o != nil {
		for i := range o.NodePropertyOverrides {
			n += 4*around + overrideBytes(o.NodePropertyOverrides[i].ContainerOverrides)
		}
	}
	if r := in.RetryStrategy; r != nil {
		for _, e := range r.EvaluateOnExit {
			n += len(aws.ToString(e.OnReason)) + len(aws.ToString(e.OnStatusReason)) + len(aws.ToString(e.OnExitCode)) + 4*around
		}
	}
	return n + len(*in.JobQueue) + len(*in.JobDefinition)
}

func overrideBytes(o *types.ContainerOverrides) (n int) {
	const around = 16
	if o == nil {
		return 0
	}
	for _, w := range o.Command {
		n += len(w) + around
	}
	for i := range o.Environment {
		n += len(aws.ToString(o.Environment[i].Name)) + len(aws.ToString(o.Environment[i].Value)) + 2*around
	}
	return n
}

func (s *Service) submitQueue(ctx context.Context, n names, ref string) (job.Queue, error) {
	name, err := n.queue(ref)
	if err != nil {
		return job.Queue{}, err
	}
	q, ok, err := s.catalog.queue(ctx, name)
	switch {
	case err != nil:
		return q, clientError(err)
	case !ok:
		return q, invalid("JobQueue %s not found: it does not exist.", ref)
	case !q.Enabled:
		return q, invalid("JobQueue %s is DISABLED: jobs can only be submitted to an ENABLED queue", ref)
	}
	return q, nil
}

func (s *Service) submitDefinition(ctx context.Context, n names, ref string) (*prepared, error) {
	name, revision, err := n.definition(ref)
	if err != nil {
		return nil, err
	}
	p, err := s.catalog.definition(ctx, name, revision)
	switch {
	case fault.Is(err, fault.NotFound) && revision == 0:
		return nil, invalid("JobDefinition name %s does not exist or is not in ACTIVE status", ref)
	case fault.Is(err, fault.NotFound):
		return nil, invalid("JobDefinition %s not found: it does not exist.", ref)
	case err != nil:
		return nil, clientError(err)
	case !p.def.Active:
		return nil, invalid("JobDefinition %s does not exist or is not in ACTIVE status", ref)
	}
	return p, nil
}

// resolve reads the overrides and puts them on the definition.
func (s *Service) resolve(n names, p *prepared, in *batch.SubmitJobInput) (*job.Spec, error) {
	over := job.Override{Parameters: in.Parameters, PropagateTags: in.PropagateTags, Priority: in.SchedulingPriorityOverride}
	if err := checkPriority("schedulingPriorityOverride", in.SchedulingPriorityOverride); err != nil {
		return nil, err
	}
	if err := checkOverridesFit(p, in); err != nil {
		return nil, err
	}
	detail := p.detail
	var err error
	var nodes *types.NodeProperties
	if over.Nodes, nodes, err = overrideNodes(n, p, in.NodeOverrides); err != nil {
		return nil, err
	}
	if p.ecs != nil {
		var kept *types.EcsTaskProperties
		if over.Members, kept, err = overridePod(p, in.EcsPropertiesOverride); err != nil {
			return nil, err
		}
		if len(over.Members) > 0 {
			detail = keepDetail(p, nil, kept)
		}
	} else if o := in.ContainerOverrides; o != nil {
		over.Command = o.Command
		if over.Environment, err = readVariables(o.Environment); err != nil {
			return nil, err
		}
		if over.Need, detail, err = overrideNeed(p, o); err != nil {
			return nil, err
		}
	}
	if err := checkCommand(over.Command, in.Parameters); err != nil {
		return nil, err
	}
	if over.Retry, err = readRetry(in.RetryStrategy); err != nil {
		return nil, err
	}
	if over.TimeoutSeconds, err = s.readTimeout(in.Timeout); err != nil {
		return nil, err
	}
	spec, err := job.Resolve(&p.def, &over)
	if err != nil {
		return nil, err
	}
	if slices.Contains(p.platforms, types.PlatformCapabilityFargate) {
		if err := checkFargateSize(spec.Need); err != nil {
			return nil, err
		}
	}
	if spec.Nodes != nil {
		if nodes != nil {
			detail = compact(&jobDetail{Nodes: keptNodes(nodes, spec.Nodes, in.NodeOverrides), Platforms: p.platforms})
		}
		spec.Detail = detail
		return &spec, nil
	}
	spec.Detail = detail
	spec.Container = p.asked
	if in.ArrayProperties != nil && in.ArrayProperties.Size != nil {
		spec.Size = *in.ArrayProperties.Size
		if most := s.limits.ArrayMax; spec.Size < 2 || most > 0 && spec.Size > most {
			return nil, invalid("Error executing request, Exception : Array job size must be between 2 and %d, got %d", most, spec.Size)
		}
	}
	return &spec, nil
}

// checkOverridesFit refuses overrides of another kind of definition than the job has.
func checkOverridesFit(p *prepared, in *batch.SubmitJobInput) error {
	if err := checkNodesFit(p, in); err != nil {
		return err
	}
	switch {
	case p.ecs != nil && in.ContainerOverrides != nil:
		return invalid(errorExecuting + "containerOverrides should not be set for a job definition with ecsProperties; use ecsPropertiesOverride.")
	case p.ecs == nil && in.EcsPropertiesOverride != nil:
		return invalid(errorExecuting + "ecsPropertiesOverride should only be set for a job definition with ecsProperties; use containerOverrides.")
	case in.EksPropertiesOverride != nil:
		return invalid(errorExecuting + "eksPropertiesOverride should only be set for Batch on EKS jobs; use containerOverrides.")
	}
	return nil
}

// overrideNeed reads what a submission asks for in place of its definition, and what the
// job then keeps to be described. As AWS has it, the older vcpus and memory do not
// override what the definition says in resourceRequirements.
func overrideNeed(p *prepared, o *types.ContainerOverrides) (over resource.Vector, detail json.RawMessage, err error) {
	if o.InstanceType != nil {
		return over, nil, invalid("instanceType is only for multi-node parallel jobs")
	}
	if o.Vcpus == nil && o.Memory == nil && len(o.ResourceRequirements) == 0 {
		return over, p.detail, nil
	}
	w, err := readNeed(o.ResourceRequirements)
	if err != nil {
		return over, nil, err
	}
	old, err := legacyNeed(o.Vcpus, o.Memory)
	if err != nil {
		return over, nil, err
	}
	over = w.need
	c := p.container
	c.ResourceRequirements = mergeRequirements(c.ResourceRequirements, w.requirements)
	if old.MilliVCPU != 0 && !requires(c.ResourceRequirements, types.ResourceTypeVcpu) {
		over.MilliVCPU, c.Vcpus = old.MilliVCPU, o.Vcpus
	}
	if old.MemoryMiB != 0 && !requires(c.ResourceRequirements, types.ResourceTypeMemory) {
		over.MemoryMiB, c.Memory = old.MemoryMiB, o.Memory
	}
	return over, keepDetail(p, &c, nil), nil
}

func requires(list []types.ResourceRequirement, kind types.ResourceType) bool {
	return slices.ContainsFunc(list, func(r types.ResourceRequirement) bool { return r.Type == kind })
}

// mergeRequirements lets each requirement of over take the place of the one of its type.
func mergeRequirements(base, over []types.ResourceRequirement) []types.ResourceRequirement {
	if len(over) == 0 {
		return base
	}
	out := slices.Clone(base)
	for _, r := range over {
		if i := slices.IndexFunc(out, func(b types.ResourceRequirement) bool { return b.Type == r.Type }); i >= 0 {
			out[i] = r
		} else {
			out = append(out, r)
		}
	}
	return out
}
