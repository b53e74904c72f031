package batch

import (
	"net/url"
	"slices"
	"strings"

	"drover/internal/core/job"
)

// Tags that drover understands. SDKs refuse members that are not in their model, so what
// drover has beyond AWS Batch is said in tags.
const (
	droverTag = "drover:"

	stageTag      = "drover:stage"       // job: the s3:// URL of a staging plan
	tokenTag      = "drover:token"       // job: makes repeated submissions one
	quotaShareTag = "drover:quota-share" // job: the quota share of its queue that it belongs to
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
	if err := checkTags(tags, []string{stageTag, tokenTag, quotaShareTag}); err != nil {
		return err
	}
	if stage, ok := tags[stageTag]; ok {
		u, err := url.Parse(stage)
		if err != nil || u.Scheme != "s3" || u.Host == "" || strings.Trim(u.Path, "/") == "" {
			return invalid("tag %s must be the s3://bucket/key of a staging plan, got %q", stageTag, stage)
		}
		spec.Stage = stage
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
	return nil
}

// readEnvironmentTags checks the tags of a compute environment and reads whether it
// allows host jobs.
func readEnvironmentTags(tags map[string]string) (hostJobs bool, err error) {
	if err := checkTags(tags, []string{hostJobsTag}); err != nil {
		return false, err
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
