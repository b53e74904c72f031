package batch

import (
	"slices"
	"strings"

	"drover/internal/core/fault"
	"drover/internal/core/job"
	"drover/internal/manager"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
)

// The bounds of ecsProperties (AWS Batch API Reference, TaskContainerProperties).
const (
	minContainerTimeout    = 2
	maxFargateTimeout      = 120
	maxContainerName       = 255
	soleContainer          = "default" // of one container that was given no name
	latestFargate          = "LATEST"
	errorExecuting         = "Error executing request, Exception : "
	oneTaskPropertiesEntry = "ecsProperties needs taskProperties with exactly one entry"
)

// readPod checks ecsProperties, puts their words in canonical form and gives the pod that
// they describe, for a job definition as for a node range.
func readPod(e *types.EcsProperties, onFargate bool) (*job.Pod, error) {
	if len(e.TaskProperties) != 1 {
		return nil, invalid("%s, got %d", oneTaskPropertiesEntry, len(e.TaskProperties))
	}
	t := &e.TaskProperties[0]
	if n := len(t.Containers); n == 0 || n > job.MaxMembers {
		return nil, invalid("taskProperties needs 1 to %d containers, got %d", job.MaxMembers, n)
	}
	if err := checkTask(t, onFargate); err != nil {
		return nil, err
	}
	p := &job.Pod{Version: job.PodVersion, PIDMode: job.Namespace(aws.ToString(t.PidMode)), IPCMode: job.Namespace(aws.ToString(t.IpcMode))}
	for i := range t.Containers {
		m, err := readMember(t, i, onFargate)
		if err != nil {
			return nil, err
		}
		p.Members = append(p.Members, m)
	}
	if p.Host() && (p.PIDMode != "" || p.IPCMode != "") {
		return nil, invalid("pidMode and ipcMode need containers: image %q runs the commands as processes of the worker's host", job.HostImage)
	}
	return p, p.Check()
}

// checkTask checks what taskProperties say of all containers together.
func checkTask(t *types.EcsTaskProperties, onFargate bool) (err error) {
	if t.PidMode, err = mode("pidMode", t.PidMode, "host", "task"); err != nil {
		return err
	}
	if t.IpcMode, err = mode("ipcMode", t.IpcMode, "host", "task", "none"); err != nil {
		return err
	}
	switch m := present(
		"networkConfiguration", t.NetworkConfiguration != nil,
		"platformVersion", aws.ToString(t.PlatformVersion) != "",
	); {
	case !onFargate && m != "":
		return invalid(errorExecuting+"%s not applicable for EC2.", m)
	case onFargate && t.IpcMode != nil:
		return invalid(errorExecuting + "ipcMode is not applicable for Fargate.")
	case onFargate && aws.ToString(t.PidMode) == "host":
		return invalid(errorExecuting + "pidMode host is not applicable for Fargate; use task.")
	}
	whole := taskAsContainer(t)
	if err := checkPlatform(&whole); err != nil {
		return err
	}
	return checkVolumes(&whole)
}

// mode reads the word of a namespace; nil and "" are none.
func mode(member string, given *string, allowed ...string) (*string, error) {
	if aws.ToString(given) == "" {
		return nil, nil
	}
	w, err := word(member, *given, allowed...)
	return &w, err
}

// taskAsContainer is what taskProperties say for all containers, in the form that one
// container has it.
func taskAsContainer(t *types.EcsTaskProperties) types.ContainerProperties {
	return types.ContainerProperties{
		JobRoleArn: t.TaskRoleArn, ExecutionRoleArn: t.ExecutionRoleArn, Volumes: t.Volumes, EphemeralStorage: t.EphemeralStorage,
		NetworkConfiguration: t.NetworkConfiguration, RuntimePlatform: t.RuntimePlatform, EnableExecuteCommand: t.EnableExecuteCommand,
	}
}

// asContainer is one of taskProperties' containers in the form of containerProperties.
func asContainer(t *types.EcsTaskProperties, c *types.TaskContainerProperties) types.ContainerProperties {
	return types.ContainerProperties{
		Image: c.Image, Command: c.Command, Environment: c.Environment, LinuxParameters: c.LinuxParameters,
		LogConfiguration: c.LogConfiguration, MountPoints: c.MountPoints, Privileged: c.Privileged,
		ReadonlyRootFilesystem: c.ReadonlyRootFilesystem, RepositoryCredentials: c.RepositoryCredentials,
		ResourceRequirements: c.ResourceRequirements, Secrets: c.Secrets, Ulimits: c.Ulimits, User: c.User,
		Volumes: t.Volumes, EphemeralStorage: t.EphemeralStorage, RuntimePlatform: t.RuntimePlatform,
		EnableExecuteCommand: t.EnableExecuteCommand,
	}
}

func readMember(t *types.EcsTaskProperties, i int, onFargate bool) (m job.Member, err error) {
	c := &t.Containers[i]
	m.Name = aws.ToString(c.Name)
	if m.Name == "" && len(t.Containers) == 1 {
		m.Name = soleContainer
	}
	if !validContainerName(m.Name) {
		return m, invalid("container name %q must be 1 to %d letters, digits, - and _", m.Name, maxContainerName)
	}
	if c.FirelensConfiguration != nil {
		return m, notBuilt("firelensConfiguration")
	}
	view := asContainer(t, c)
	if aws.ToString(view.Image) == job.HostImage { // what all share is of no use to a process, and is not this container's ask
		view.EnableExecuteCommand = nil
	}
	if err := checkContainer(&view, onFargate); err != nil {
		return m, inContainer(m.Name, err)
	}
	m.Image, m.Command, m.Optional = *c.Image, c.Command, c.Essential != nil && !*c.Essential
	if err := checkCommand(c.Command, nil); err != nil {
		return m, inContainer(m.Name, err)
	}
	if m.Environment, err = readVariables(c.Environment); err != nil {
		return m, inContainer(m.Name, err)
	}
	if m.Need, err = definitionNeed(&view); err != nil {
		return m, inContainer(m.Name, err)
	}
	c.ResourceRequirements = view.ResourceRequirements
	if m.StartSeconds, err = containerTimeout("startTimeout", c.StartTimeout, onFargate); err != nil {
		return m, inContainer(m.Name, err)
	}
	if m.StopSeconds, err = containerTimeout("stopTimeout", c.StopTimeout, onFargate); err != nil {
		return m, inContainer(m.Name, err)
	}
	m.After, err = readMemberAfter(c)
	m.Container = asked(&view)
	return m, err
}

// inContainer says which container a refusal is about.
func inContainer(name string, err error) error {
	return invalid("container %s: %s", name, fault.From(err).Message)
}

func validContainerName(s string) bool {
	ok := func(c rune) bool {
		return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_'
	}
	return s != "" && len(s) <= maxContainerName && !strings.ContainsFunc(s, func(c rune) bool { return !ok(c) })
}

func containerTimeout(member string, given *int32, onFargate bool) (int32, error) {
	if given == nil {
		return 0, nil
	}
	if *given < minContainerTimeout || onFargate && *given > maxFargateTimeout {
		return 0, invalid("%s must be at least %d seconds and on Fargate at most %d, got %d", member, minContainerTimeout, maxFargateTimeout, *given)
	}
	return *given, nil
}

func readMemberAfter(c *types.TaskContainerProperties) (out []job.MemberAfter, err error) {
	for i := range c.DependsOn {
		d := &c.DependsOn[i]
		w, err := word("condition", aws.ToString(d.Condition), string(job.WhenStart), string(job.WhenComplete), string(job.WhenSuccess))
		if err != nil {
			return nil, err
		}
		d.Condition = &w
		out = append(out, job.MemberAfter{Name: aws.ToString(d.ContainerName), When: job.Condition(w)})
	}
	return out, nil
}

// overridePod reads ecsPropertiesOverride, and what the job then keeps of its containers to
// be described.
func overridePod(p *prepared, o *types.EcsPropertiesOverride) ([]job.MemberOverride, *types.EcsTaskProperties, error) {
	over, err := overrideMembers(o)
	if err != nil || len(over) == 0 {
		return nil, p.ecs, err
	}
	for i := range over {
		if over[i].Name == "" && len(p.def.Pod.Members) == 1 {
			over[i].Name = p.def.Pod.Members[0].Name
		}
		if p.def.Pod.Index(over[i].Name) < 0 {
			return nil, nil, invalid("ecsPropertiesOverride names the container %q, which the job definition does not have", over[i].Name)
		}
	}
	return over, mergeTask(p.ecs, o), nil
}

// overrideMembers reads ecsPropertiesOverride.
func overrideMembers(o *types.EcsPropertiesOverride) ([]job.MemberOverride, error) {
	if o == nil || len(o.TaskProperties) == 0 {
		return nil, nil
	}
	if len(o.TaskProperties) > 1 {
		return nil, invalid("ecsPropertiesOverride taskProperties has %d entries, at most 1 is allowed", len(o.TaskProperties))
	}
	var out []job.MemberOverride
	for i := range o.TaskProperties[0].Containers {
		c := &o.TaskProperties[0].Containers[i]
		m := job.MemberOverride{Name: aws.ToString(c.Name), Command: c.Command}
		if slices.ContainsFunc(out, func(x job.MemberOverride) bool { return x.Name == m.Name }) {
			return nil, invalid("ecsPropertiesOverride names the container %s twice", m.Name)
		}
		var err error
		if m.Environment, err = readVariables(c.Environment); err != nil {
			return nil, inContainer(m.Name, err)
		}
		if err := checkCommand(c.Command, nil); err != nil {
			return nil, inContainer(m.Name, err)
		}
		w, err := readNeed(c.ResourceRequirements)
		if err != nil {
			return nil, inContainer(m.Name, err)
		}
		m.Need, c.ResourceRequirements = w.need, w.requirements
		out = append(out, m)
	}
	return out, nil
}

// mergeTask is what is described of containers with their overrides, as overrideMembers
// left them, put on.
func mergeTask(t *types.EcsTaskProperties, o *types.EcsPropertiesOverride) *types.EcsTaskProperties {
	kept := *t
	kept.Containers = slices.Clone(t.Containers)
	for _, over := range o.TaskProperties[0].Containers {
		for i := range kept.Containers {
			if c := &kept.Containers[i]; aws.ToString(c.Name) == aws.ToString(over.Name) || over.Name == nil {
				c.ResourceRequirements = mergeRequirements(c.ResourceRequirements, over.ResourceRequirements)
			}
		}
	}
	return &kept
}

// keptTask is what a job keeps of its containers beside what its spec has.
func keptTask(t *types.EcsTaskProperties) *types.EcsTaskProperties {
	if t == nil {
		return nil
	}
	rest := *t
	rest.Containers = slices.Clone(t.Containers)
	for i := range rest.Containers {
		c := &rest.Containers[i]
		c.Image, c.Command, c.Environment = nil, nil, nil
	}
	return &rest
}

// fillTask gives the lists that AWS always answers, empty where nothing was given.
func fillTask(t *types.EcsTaskProperties) {
	t.Volumes = filled(t.Volumes)
	for i := range t.Containers {
		c := &t.Containers[i]
		c.Command, c.Environment, c.DependsOn = filled(c.Command), filled(c.Environment), filled(c.DependsOn)
		c.MountPoints, c.ResourceRequirements = filled(c.MountPoints), filled(c.ResourceRequirements)
		c.Secrets, c.Ulimits = filled(c.Secrets), filled(c.Ulimits)
	}
}

// describePod writes the containers of a job: what was asked for, and of the latest attempt
// where they ran and how each ended.
func describePod(n names, v *manager.View, t *types.EcsTaskProperties) *types.EcsPropertiesDetail {
	d := types.EcsTaskDetails{
		EnableExecuteCommand: t.EnableExecuteCommand, EphemeralStorage: t.EphemeralStorage, ExecutionRoleArn: t.ExecutionRoleArn,
		IpcMode: t.IpcMode, NetworkConfiguration: t.NetworkConfiguration, PidMode: t.PidMode, PlatformVersion: t.PlatformVersion,
		RuntimePlatform: t.RuntimePlatform, TaskRoleArn: t.TaskRoleArn, Volumes: t.Volumes,
		Containers: make([]types.TaskContainerDetails, len(t.Containers)),
	}
	var ends []types.AttemptTaskContainerDetails
	if k := len(v.Attempts); k > 0 {
		last := describeTask(n, v.Spec.Pod, &v.Attempts[k-1])
		d.ContainerInstanceArn, d.TaskArn, ends = last.ContainerInstanceArn, last.TaskArn, last.Containers
	}
	for i := range t.Containers {
		c, m := &t.Containers[i], &v.Spec.Pod.Members[i]
		x := &d.Containers[i]
		*x = types.TaskContainerDetails{
			Name: c.Name, Image: &m.Image, Command: filled(m.Command), Environment: writeVariables(m.Environment),
			DependsOn: c.DependsOn, Essential: aws.Bool(!m.Optional), FirelensConfiguration: c.FirelensConfiguration,
			LinuxParameters: c.LinuxParameters, LogConfiguration: c.LogConfiguration, MountPoints: c.MountPoints,
			Privileged: c.Privileged, ReadonlyRootFilesystem: c.ReadonlyRootFilesystem, RepositoryCredentials: c.RepositoryCredentials,
			ResourceRequirements: c.ResourceRequirements, Secrets: c.Secrets, StartTimeout: c.StartTimeout, StopTimeout: c.StopTimeout,
			Ulimits: c.Ulimits, User: c.User, NetworkInterfaces: []types.NetworkInterface{},
		}
		if ends != nil {
			x.ExitCode, x.Reason, x.LogStreamName, x.NetworkInterfaces = ends[i].ExitCode, ends[i].Reason, ends[i].LogStreamName, ends[i].NetworkInterfaces
		}
	}
	return &types.EcsPropertiesDetail{TaskProperties: []types.EcsTaskDetails{d}}
}

// describeTask writes what became of the containers of one attempt. Until it has ended
// nothing is known of each: their log streams are named from RUNNING on.
func describeTask(n names, p *job.Pod, a *manager.Attempt) types.AttemptEcsTaskDetails {
	d := types.AttemptEcsTaskDetails{
		ContainerInstanceArn: optional(n.instanceARN(a.Host)), TaskArn: optional(n.taskARN(a.Log)),
		Containers: make([]types.AttemptTaskContainerDetails, len(p.Members)),
	}
	for i := range p.Members {
		c := &d.Containers[i]
		c.Name, c.NetworkInterfaces = &p.Members[i].Name, interfaces(a)
		ran := a.Started != 0
		switch {
		case a.Exit != nil && i < len(a.Exit.Members):
			x := &a.Exit.Members[i]
			c.ExitCode, c.Reason, ran = x.Code, optional(x.Reason), x.Ran
		case a.Exit != nil: // it ended as a whole: an image that cannot be had, a lost host
			c.Reason = optional(a.Exit.Reason)
		}
		if ran {
			c.LogStreamName = aws.String(job.MemberLog(a.Log, p.Members[i].Name))
		}
	}
	return d
}
