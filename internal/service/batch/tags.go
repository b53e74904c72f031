package batch

import (
	"context"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"drover/internal/core/job"
	"drover/internal/core/sched"
	"drover/internal/wire"
)

// Tags that drover understands. SDKs refuse members that are not in their model, so what
// drover has beyond AWS Batch is said in tags.
const (
	droverTag = "drover:"

	stageTag      = "drover:stage"       // job: the s3:// URL of a staging plan
	tokenTag      = "drover:token"       // job: makes repeated submissions one
	quotaShareTag = "drover:quota-share" // job: the quota share of its queue that it belongs to
	afterTag      = "drover:after"       // job: success, any or failure of the jobs that it depends on
	maximumTag    = "drover:max-running" // array job, queue: how many of its units may run together
	requiresTag   = sched.TagRequires    // job: attributes that its host must have; environment: that its hosts have
	onMemoryTag   = "drover:on-oom"      // job: grow = retry with more memory after running out of it
	hostJobsTag   = "drover:host-jobs"   // compute environment: image host is allowed
)

// checkTags checks the tags of a thing; known lists the drover: tags that it may have.
func checkTags(tags map[string]string, known []string) error {
	if len(tags) > job.MaxTags {
		return invalid("there are %d tags, at most %d are allowed", len(tags), job.MaxTags)
	}
	for key, value := range tags {
		if err := job.CheckTag(key, value); err != nil {
			return err
		}
		if strings.HasPrefix(strings.ToLower(key), droverTag) && !slices.Contains(known, key) {
			if len(known) == 0 {
				return invalid("tag %s is not one that drover knows here", key)
			}
			return invalid("tag %s is not one that drover knows here; it knows %s", key, strings.Join(known, ", "))
		}
	}
	return nil
}

// readJobTags checks the tags of a submission and puts what those of drover say into the spec.
func readJobTags(spec *job.Spec, tags map[string]string) error {
	if len(tags) == 0 {
		return nil
	}
	if err := checkTags(tags, []string{stageTag, job.InputsTag, job.OutputsTag, tokenTag, quotaShareTag, afterTag, maximumTag, onMemoryTag, requiresTag}); err != nil {
		return err
	}
	if stage, ok := tags[stageTag]; ok {
		u, err := url.Parse(stage)
		if err != nil || u.Scheme != "s3" || u.Host == "" || strings.Trim(u.Path, "/") == "" {
			return invalid("tag %s must be the s3://bucket/key of a staging plan, got %q", stageTag, stage)
		}
		spec.Stage = stage
	}
	if err := readData(spec, tags); err != nil {
		return err
	}
	if token, ok := tags[tokenTag]; ok {
		if token == "" {
			return invalid("tag %s must not be empty", tokenTag)
		}
		spec.Token = token
	}
	if share, ok := tags[quotaShareTag]; ok {
		if !job.ValidName(share) {
			return invalid("tag %s must be the name of a quota share, got %q", quotaShareTag, share)
		}
		spec.QuotaShare = share
	}
	return readBehaviour(spec, tags)
}

// propagate puts the tags that the job's attempts get together: the definition's, over which
// the job's own win. AWS finds out that there are too many when the job was accepted.
func propagate(spec *job.Spec, definition map[string]string) {
	if !spec.PropagateTags || len(definition)+len(spec.Tags) == 0 {
		return
	}
	spec.TaskTags = maps.Clone(definition)
	if spec.TaskTags == nil {
		spec.TaskTags = map[string]string{}
	}
	maps.Copy(spec.TaskTags, spec.Tags)
	if n := len(spec.TaskTags); n > job.MaxTags {
		spec.Doom = "The job's tags cannot be propagated: job and job definition have " + strconv.Itoa(n) + " together, at most " + strconv.Itoa(job.MaxTags) + " are allowed"
		spec.TaskTags = nil
	}
}

// readData reads what objects a job needs and makes.
func readData(spec *job.Spec, tags map[string]string) error {
	inputs, hasInputs := tags[job.InputsTag]
	outputs, hasOutputs := tags[job.OutputsTag]
	if (hasInputs || hasOutputs || spec.Stage != "") && spec.Pod != nil {
		return invalid("tags %s, %s and %s are for jobs of one container", stageTag, job.InputsTag, job.OutputsTag)
	}
	if (hasInputs || hasOutputs) && spec.Stage != "" {
		return invalid("tag %s cannot be combined with %s and %s: a job of drover map has its data from its plan", stageTag, job.InputsTag, job.OutputsTag)
	}
	for _, t := range []struct {
		has        bool
		tag, value string
	}{{hasInputs, job.InputsTag, inputs}, {hasOutputs, job.OutputsTag, outputs}} {
		if !t.has {
			continue
		}
		if _, err := job.ParseData(t.tag, t.value, spec.Size > 0); err != nil {
			return err
		}
	}
	spec.Inputs, spec.Outputs = inputs, outputs
	return nil
}

// submitter is whose rights move a job's data: those of its role if it has one, which the
// submitter was allowed to pass, else the submitter's own. It is nil where the attempt's own
// credentials say the same: for the account's root, and for jobs without data.
func submitter(ctx context.Context, spec *job.Spec) *job.Submitter {
	p, ok := wire.PrincipalFrom(ctx)
	if !ok || !p.Governed() || spec.Container.Role() != "" || spec.Stage+spec.Inputs+spec.Outputs == "" {
		return nil
	}
	return &job.Submitter{ARN: p.ARN, User: p.User, Role: p.Role, ID: p.ID, SessionName: p.SessionName, Limits: p.Limits}
}

// readBehaviour reads the tags that change how a job waits and is retried.
func readBehaviour(spec *job.Spec, tags map[string]string) (err error) {
	if v, ok := tags[afterTag]; ok {
		switch v {
		case "success":
		case "any":
			spec.After = job.AfterAny
		case "failure":
			spec.After = job.AfterFailure
		default:
			return invalid("tag %s must be success, any or failure, got %q", afterTag, v)
		}
		whole := func(d job.Dependency) bool { return d.Kind == job.AfterJob }
		if len(spec.Dependencies) == 0 || !slices.ContainsFunc(spec.Dependencies, whole) {
			return invalid("tag %s is for jobs that depend on others: give dependsOn", afterTag)
		}
		if slices.ContainsFunc(spec.Dependencies, func(d job.Dependency) bool { return !whole(d) }) {
			return invalid("tag %s cannot be combined with dependencies of type N_TO_N or SEQUENTIAL", afterTag)
		}
	}
	if spec.MaxRunning, err = readMaximum(tags); err != nil {
		return err
	}
	if spec.MaxRunning > 0 && spec.Size == 0 {
		return invalid("tag %s on a job is for array jobs: give arrayProperties, or tag the job queue", maximumTag)
	}
	if v, ok := tags[requiresTag]; ok {
		if spec.Requires, err = job.ParseRequires(v); err != nil {
			return err
		}
	}
	if v, ok := tags[onMemoryTag]; ok {
		if v != "grow" {
			return invalid("tag %s must be grow, got %q", onMemoryTag, v)
		}
		spec.GrowMemory = true
	}
	return nil
}

// readMaximum reads how many units may run together; 0 = as many as fit.
func readMaximum(tags map[string]string) (int32, error) {
	v, ok := tags[maximumTag]
	if !ok {
		return 0, nil
	}
	n, err := strconv.ParseInt(v, 10, 32)
	if err != nil || n < 1 {
		return 0, invalid("tag %s must be a number above 0, got %q", maximumTag, v)
	}
	return int32(n), nil
}

// readQueueTags checks the tags of a queue and puts what those of drover say into it.
func readQueueTags(q *job.Queue) (err error) {
	known := []string{maximumTag, sched.TagPolicy, sched.TagOvertake, sched.TagExpected, sched.TagWeight, sched.TagPreempt, sched.TagProtect}
	if err := checkTags(q.Tags, known); err != nil {
		return err
	}
	if q.MaxRunning, err = readMaximum(q.Tags); err != nil {
		return err
	}
	if v, ok := q.Tags[sched.TagPolicy]; ok && v != sched.FIFO && v != sched.Easy && v != sched.Strict && v != sched.LXF {
		return invalid("tag %s must be %s, %s, %s or %s, got %q", sched.TagPolicy, sched.FIFO, sched.Easy, sched.Strict, sched.LXF, v)
	}
	for _, tag := range []string{sched.TagOvertake, sched.TagExpected, sched.TagProtect} {
		if v, ok := q.Tags[tag]; ok {
			if n, err := strconv.ParseInt(v, 10, 32); err != nil || n < 0 {
				return invalid("tag %s must be a number of seconds, got %q", tag, v)
			}
		}
	}
	if v, ok := q.Tags[sched.TagPreempt]; ok && v != "true" && v != "false" {
		return invalid("tag %s must be true or false, got %q", sched.TagPreempt, v)
	}
	if v, ok := q.Tags[sched.TagWeight]; ok {
		if w, err := strconv.ParseFloat(v, 64); err != nil || !(w > 0 && w <= 1e6) {
			return invalid("tag %s must be a number above 0, got %q", sched.TagWeight, v)
		}
	}
	return nil
}

// readEnvironmentTags checks the tags of a compute environment and reads whether it
// allows host jobs.
func readEnvironmentTags(tags map[string]string) (hostJobs bool, err error) {
	if err := checkTags(tags, []string{hostJobsTag, requiresTag, sched.TagPlace}); err != nil {
		return false, err
	}
	if v, ok := tags[sched.TagPlace]; ok && v != "spread" && v != "pack" {
		return false, invalid("tag %s must be spread or pack, got %q", sched.TagPlace, v)
	}
	if v, ok := tags[requiresTag]; ok {
		if _, err := job.ParseRequires(v); err != nil {
			return false, err
		}
	}
	switch v, ok := tags[hostJobsTag]; {
	case !ok || v == "false":
		return false, nil
	case v == "true":
		return true, nil
	default:
		return false, invalid("tag %s must be true or false, got %q", hostJobsTag, v)
	}
}
