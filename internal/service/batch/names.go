package batch

import (
	"strings"

	"drover/internal/core/arn"
	"drover/internal/core/job"
)

// cluster is the name of the one ECS cluster that tasks and container instances are named
// under. Clients only pass the names on; there is no ECS API behind them.
const cluster = "drover"

// names is the account and region under which things have their ARNs.
type names struct {
	account string
	region  string
}

func (n names) batch(resource string) string {
	return "arn:aws:batch:" + n.region + ":" + n.account + ":" + resource
}

func (n names) ecs(resource string) string {
	return "arn:aws:ecs:" + n.region + ":" + n.account + ":" + resource
}

// jobARN is the ARN of a job or of an array child, by its public id.
func (n names) jobARN(name string) string { return n.batch("job/" + name) }

// queueARN is the ARN of a job queue.
func (n names) queueARN(name string) string { return n.batch("job-queue/" + name) }

// environmentARN is the ARN of a compute environment.
func (n names) environmentARN(name string) string { return n.batch("compute-environment/" + name) }

// policyARN is the ARN of a scheduling policy.
func (n names) policyARN(name string) string { return n.batch("scheduling-policy/" + name) }

// consumableARN is the ARN of a consumable resource.
func (n names) consumableARN(name string) string { return n.batch("consumable-resource/" + name) }

// quotaShareARN is the ARN of a quota share of a queue.
func (n names) quotaShareARN(queue, name string) string {
	return n.batch("quota-share/" + queue + "/" + name)
}

// definitionARN is the ARN of a job definition, by its "name:revision".
func (n names) definitionARN(revision string) string { return n.batch("job-definition/" + revision) }

// clusterARN is the ARN of the cluster that all compute environments show.
func (n names) clusterARN() string { return n.ecs("cluster/" + cluster) }

// taskARN is the ARN of the task of an attempt, taken from its log stream: clients rebuild
// the stream's name from the ARN's last part. It is empty if there is no stream yet.
func (n names) taskARN(logStream string) string {
	if logStream == "" {
		return ""
	}
	return n.ecs("task/" + cluster + "/" + logStream[strings.LastIndexByte(logStream, '/')+1:])
}

// instanceARN is the ARN of the container instance that a host counts as, by its instance id.
// It is empty if there is no host yet.
func (n names) instanceARN(host string) string {
	if host == "" {
		return ""
	}
	return n.ecs("container-instance/" + cluster + "/" + host)
}

// resource reads a name of some kind or an ARN of one. Any region is accepted, because
// old clients cannot be kept from using their own; another account is not.
func (n names) resource(kind, member, ref string) (string, error) {
	if !strings.HasPrefix(ref, "arn:") {
		return ref, nil
	}
	a, ok := arn.Parse(ref)
	if !ok || a.Service != "batch" {
		return "", invalid("%s %q is not the ARN of a %s", member, ref, strings.ReplaceAll(kind, "-", " "))
	}
	if a.Account != n.account {
		return "", invalid("%s %s belongs to account %s, this is account %s: it does not exist here", member, ref, a.Account, n.account)
	}
	k, name := a.Kind()
	if k != kind {
		return "", invalid("%s %q is not the ARN of a %s", member, ref, strings.ReplaceAll(kind, "-", " "))
	}
	return name, nil
}

// queue reads a queue's name or ARN.
func (n names) queue(ref string) (string, error) {
	name, err := n.resource("job-queue", "jobQueue", ref)
	if err == nil && !job.ValidName(name) {
		err = invalid("Provided name %s is not supported pattern[a-zA-Z_0-9-]{1,128}", ref)
	}
	return name, err
}

// environment reads a compute environment's name or ARN.
func (n names) environment(ref string) (string, error) {
	name, err := n.resource("compute-environment", "computeEnvironment", ref)
	if err == nil && !job.ValidName(name) {
		err = invalid("Provided name %s is not supported pattern[a-zA-Z_0-9-]{1,128}", ref)
	}
	return name, err
}

// policy reads the ARN of a scheduling policy, which has no other name in the API.
func (n names) policy(member, ref string) (string, error) {
	if !strings.HasPrefix(ref, "arn:") {
		return "", invalid("%s %q must be the ARN of a scheduling policy", member, ref)
	}
	name, err := n.resource("scheduling-policy", member, ref)
	if err == nil && !job.ValidName(name) {
		err = invalid("%s %q is not the ARN of a scheduling policy", member, ref)
	}
	return name, err
}

// consumable reads a consumable resource's name or ARN.
func (n names) consumable(ref string) (string, error) {
	name, err := n.resource("consumable-resource", "consumableResource", ref)
	if err == nil && !job.ValidName(name) {
		err = invalid("Provided name %s is not supported pattern[a-zA-Z_0-9-]{1,128}", ref)
	}
	return name, err
}

// quotaShare reads the ARN of a quota share.
func (n names) quotaShare(ref string) (queue, name string, err error) {
	if !strings.HasPrefix(ref, "arn:") {
		return "", "", invalid("quotaShareArn %q must be the ARN of a quota share", ref)
	}
	both, err := n.resource("quota-share", "quotaShareArn", ref)
	if err != nil {
		return "", "", err
	}
	queue, name, ok := strings.Cut(both, "/")
	if !ok || !job.ValidName(queue) || !job.ValidName(name) {
		return "", "", invalid("quotaShareArn %q is not the ARN of a quota share", ref)
	}
	return queue, name, nil
}

// definition reads a definition's name, name:revision or ARN; revision 0 is the latest
// active one.
func (n names) definition(ref string) (name string, revision int32, err error) {
	full, err := n.resource("job-definition", "jobDefinition", ref)
	if err != nil {
		return "", 0, err
	}
	name, revision, ok := job.ParseRevision(full)
	if !ok {
		return "", 0, invalid("Provided name %s is not supported pattern[a-zA-Z_0-9-]{1,128}", ref)
	}
	return name, revision, nil
}

// job reads a job's public id or its ARN.
func (n names) job(member, ref string) (id job.ID, index int32, err error) {
	name, err := n.resource("job", member, ref)
	if err != nil {
		return id, 0, err
	}
	id, index, ok := job.ParseName(name)
	if !ok {
		return id, 0, invalid("%s %q is not a job id", member, ref)
	}
	return id, index, nil
}
