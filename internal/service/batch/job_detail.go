package batch

import (
	"encoding/json"

	"drover/internal/core/fault"
	"drover/internal/core/job"
	"drover/internal/manager"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
)

// jobDetail is what a job keeps, beside its spec, for DescribeJobs to echo.
type jobDetail struct {
	Container *types.ContainerProperties // without command and environment, which the spec has
	Ecs       *types.EcsTaskProperties   // of several containers, without what the spec has of each
	Nodes     *types.NodeProperties      // of a multi-node parallel job
	Platforms []types.PlatformCapability
}

// keepDetail writes the jobDetail of a job with these container properties.
func keepDetail(p *prepared, c *types.ContainerProperties, t *types.EcsTaskProperties) json.RawMessage {
	if t != nil {
		return compact(&jobDetail{Ecs: keptTask(t), Platforms: p.platforms})
	}
	rest := *c
	rest.Command, rest.Environment, rest.Image = nil, nil, nil
	return compact(&jobDetail{Container: &rest, Platforms: p.platforms})
}

// details reads the jobDetail of many jobs. Jobs of one definition mostly keep the same,
// which is then read once; nobody may change what it gives.
type details map[string]jobDetail

func (d details) of(spec *job.Spec) (jobDetail, error) {
	if kept, ok := d[string(spec.Detail)]; ok {
		return kept, nil
	}
	var kept jobDetail
	if err := restore(spec.Detail, &kept); err != nil {
		return kept, fault.Wrap(err, fault.Internal, "ServerException", "the record of job %s cannot be read", spec.ID)
	}
	if kept.Ecs != nil {
		fillTask(kept.Ecs)
	}
	if kept.Nodes != nil {
		fillNodes(kept.Nodes)
	}
	if kept.Container == nil {
		kept.Container = &types.ContainerProperties{}
	}
	fillContainer(kept.Container)
	d[string(spec.Detail)] = kept
	return kept, nil
}

// describeJob writes the JobDetail of a job or array child.
func describeJob(n names, v *manager.View, kept jobDetail) types.JobDetail {
	spec, u := v.Spec, &v.Unit
	id := job.Name(spec.ID, v.Index)
	d := types.JobDetail{
		JobId: &id, JobArn: aws.String(n.jobARN(id)), JobName: &spec.Name,
		JobQueue:             aws.String(n.queueARN(spec.Queue)),
		JobDefinition:        aws.String(n.definitionARN(spec.Definition)),
		Status:               types.JobStatus(u.Status.String()),
		StatusReason:         statusReason(u, v.Wait),
		CreatedAt:            millis(v.Created),
		StartedAt:            millis(u.Started),
		IsCancelled:          &u.Cancelled,
		IsTerminated:         &u.Terminated,
		Attempts:             describeAttempts(n, spec.PodOf(v.Index), v.Attempts),
		DependsOn:            writeDependencies(spec.Dependencies),
		Parameters:           listed(spec.Parameters),
		Tags:                 listed(spec.Tags),
		PlatformCapabilities: filled(kept.Platforms),
		PropagateTags:        &spec.PropagateTags,
		RetryStrategy:        writeRetry(spec.Retry),
		ArrayProperties:      describeArray(v),
		ShareIdentifier:      optional(spec.Share),

		ConsumableResourceProperties: writeConsumables(n, spec.Consumables),
	}
	node, isNode := job.NodeOf(v.Index)
	switch {
	case spec.Nodes != nil && kept.Nodes != nil && isNode:
		d.NodeDetails = &types.NodeDetails{NodeIndex: &node, IsMainNode: aws.Bool(node == spec.Nodes.Main)}
		one, r := nodeView(v, node, kept.Nodes)
		if one.Spec.Pod != nil {
			d.EcsProperties = describePod(n, one, &r.EcsProperties.TaskProperties[0])
		} else {
			d.Container = describeContainer(n, one, r.Container)
		}
	case spec.Nodes != nil && kept.Nodes != nil:
		d.NodeProperties = describeNodes(spec, kept.Nodes)
	case spec.Pod != nil && kept.Ecs != nil:
		d.EcsProperties = describePod(n, v, kept.Ecs)
	default:
		d.Container = describeContainer(n, v, kept.Container)
	}
	if u.Status.Terminal() {
		d.StoppedAt = millis(u.Stopped)
	}
	if spec.TimeoutSeconds > 0 {
		d.Timeout = &types.JobTimeout{AttemptDurationSeconds: &spec.TimeoutSeconds}
	}
	if spec.Priority > 0 {
		d.SchedulingPriority = &spec.Priority
	}
	return d
}

// statusReason is the unit's own reason or, while it waits, why it waits.
func statusReason(u *job.Unit, w *manager.Wait) *string {
	if w == nil || u.Status.Terminal() || u.Status.Live() {
		return optional(u.StatusReason)
	}
	text := w.Code
	if w.Reason != "" {
		text += " - " + w.Reason
	}
	if w.Remedy != "" {
		text += "; " + w.Remedy
	}
	return optional(text)
}

// describeArray writes the array's side of a parent or child; nil for a plain job.
func describeArray(v *manager.View) *types.ArrayPropertiesDetail {
	switch {
	case v.Spec.Size == 0:
		return nil
	case v.Index != job.Whole:
		return &types.ArrayPropertiesDetail{Index: &v.Index}
	}
	return &types.ArrayPropertiesDetail{Size: &v.Spec.Size, StatusSummary: summary(v.Counts), StatusSummaryLastUpdatedAt: millis(v.Changed)}
}

// summary writes how many children are in each status: always all seven, as AWS does.
func summary(c *job.Counts) map[string]int32 {
	m := make(map[string]int32, job.Failed)
	for s := job.Submitted; s <= job.Failed; s++ {
		m[s.String()] = 0
		if c != nil {
			m[s.String()] = c[s]
		}
	}
	return m
}

func describeAttempts(n names, p *job.Pod, attempts []manager.Attempt) []types.AttemptDetail {
	out := make([]types.AttemptDetail, len(attempts))
	for i := range attempts {
		a := &attempts[i]
		if p != nil {
			out[i] = types.AttemptDetail{
				Container: &types.AttemptContainerDetail{NetworkInterfaces: []types.NetworkInterface{}},
				StartedAt: millis(a.Started), StoppedAt: millis(a.Stopped), StatusReason: optional(a.Why),
				TaskProperties: []types.AttemptEcsTaskDetails{describeTask(n, p, a)},
			}
			continue
		}
		c := &types.AttemptContainerDetail{
			ContainerInstanceArn: optional(n.instanceARN(a.Host)),
			TaskArn:              optional(n.taskARN(a.Log)),
			NetworkInterfaces:    interfaces(a),
		}
		if a.Started != 0 || a.Stopped != 0 {
			c.LogStreamName = optional(a.Log)
		}
		if a.Exit != nil {
			c.ExitCode, c.Reason = a.Exit.Code, optional(a.Exit.Reason)
		}
		out[i] = types.AttemptDetail{
			Container: c, StartedAt: millis(a.Started), StoppedAt: millis(a.Stopped),
			StatusReason: optional(a.Why), TaskProperties: []types.AttemptEcsTaskDetails{},
		}
	}
	return out
}

// interfaces is where the other nodes reach an attempt, if it is that of a node.
func interfaces(a *manager.Attempt) []types.NetworkInterface {
	if a.Address == "" {
		return []types.NetworkInterface{}
	}
	return []types.NetworkInterface{{PrivateIpv4Address: &a.Address}}
}

// describeContainer writes the container of a job: what was asked for, and of the latest
// attempt where it ran and how it ended.
func describeContainer(n names, v *manager.View, c *types.ContainerProperties) *types.ContainerDetail {
	d := &types.ContainerDetail{
		Image: &v.Spec.Image, Command: filled(v.Spec.Command), Environment: writeVariables(v.Spec.Environment),
		ResourceRequirements: c.ResourceRequirements, Vcpus: c.Vcpus, Memory: c.Memory,
		JobRoleArn: c.JobRoleArn, ExecutionRoleArn: c.ExecutionRoleArn, InstanceType: c.InstanceType,
		EnableExecuteCommand: c.EnableExecuteCommand, EphemeralStorage: c.EphemeralStorage,
		FargatePlatformConfiguration: c.FargatePlatformConfiguration, LinuxParameters: c.LinuxParameters,
		LogConfiguration: c.LogConfiguration, MountPoints: c.MountPoints, NetworkConfiguration: c.NetworkConfiguration,
		Privileged: c.Privileged, ReadonlyRootFilesystem: c.ReadonlyRootFilesystem,
		RepositoryCredentials: c.RepositoryCredentials, RuntimePlatform: c.RuntimePlatform,
		Secrets: c.Secrets, Ulimits: c.Ulimits, User: c.User, Volumes: c.Volumes,
		NetworkInterfaces: []types.NetworkInterface{},
	}
	if len(v.Attempts) == 0 {
		return d
	}
	last := &v.Attempts[len(v.Attempts)-1]
	d.ContainerInstanceArn = optional(n.instanceARN(last.Host))
	d.TaskArn = optional(n.taskARN(last.Log))
	d.NetworkInterfaces = interfaces(last)
	if last.Started != 0 || last.Stopped != 0 {
		d.LogStreamName = optional(last.Log)
	}
	if last.Exit != nil {
		d.ExitCode, d.Reason = last.Exit.Code, optional(last.Exit.Reason)
	}
	return d
}
