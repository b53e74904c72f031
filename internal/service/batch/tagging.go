package batch

import (
	"context"
	"maps"
	"slices"

	"drover/internal/core/arn"
	"drover/internal/core/fault"
	"drover/internal/core/job"
	"drover/internal/manager"
)

// tagged is a thing with tags, named by its ARN.
type tagged struct {
	kind     string // as in the ARN
	name     string
	queue    string // of a quota share
	revision int32  // of a definition
	id       job.ID
}

// readTagged reads the ARN of a thing that can have tags.
func (n names) readTagged(ref string) (tagged, error) {
	a, ok := arn.Parse(ref)
	if !ok || a.Service != "batch" {
		return tagged{}, invalid("resourceArn %q is not an ARN of AWS Batch", ref)
	}
	kind, _ := a.Kind()
	t := tagged{kind: kind}
	name, err := n.resource(kind, "resourceArn", ref)
	if err != nil {
		return t, err
	}
	ok = true
	switch kind {
	case "job":
		var index int32
		t.id, index, ok = job.ParseName(name)
		if ok && index != job.Whole {
			return t, invalid("array children have no tags of their own: use the ARN of the array %s", t.id)
		}
	case "job-definition":
		t.name, t.revision, ok = job.ParseRevision(name)
		ok = ok && t.revision > 0
	case "job-queue", "compute-environment", "scheduling-policy", "consumable-resource":
		t.name, ok = name, job.ValidName(name)
	case "quota-share":
		t.queue, t.name, err = n.quotaShare(ref)
		return t, err
	case "service-environment", "service-job":
		return t, invalid("%s", noServiceJobs)
	default:
		ok = false
	}
	if !ok {
		return t, invalid("resourceArn %q is not the ARN of a job, job definition, job queue, compute environment, scheduling policy, consumable resource or quota share", ref)
	}
	return t, nil
}

// tagsOf reads a thing's tags; a fault.NotFound if there is no such thing.
func (s *Service) tagsOf(ctx context.Context, t tagged) (map[string]string, error) {
	gone := fault.New(fault.NotFound, "ClientException", "")
	switch t.kind {
	case "job":
		views, err := s.m.Describe(ctx, []string{t.id.String()})
		if err != nil || len(views) == 0 {
			return nil, orElse(err, gone)
		}
		return views[0].Spec.Tags, nil
	case "job-definition":
		d, err := s.m.Definition(ctx, t.name, t.revision)
		return d.Tags, err
	case "job-queue":
		q, ok, err := s.catalog.queue(ctx, t.name)
		if err != nil || !ok {
			return nil, orElse(err, gone)
		}
		return q.Tags, nil
	case "scheduling-policy":
		all, err := s.m.Policies(ctx)
		i := slices.IndexFunc(all, func(p job.SchedulingPolicy) bool { return p.Name == t.name })
		if err != nil || i < 0 {
			return nil, orElse(err, gone)
		}
		return all[i].Tags, nil
	case "consumable-resource":
		all, err := s.m.Consumables(ctx)
		i := slices.IndexFunc(all, func(r manager.Stock) bool { return r.Name == t.name })
		if err != nil || i < 0 {
			return nil, orElse(err, gone)
		}
		return all[i].Tags, nil
	case "quota-share":
		all, err := s.m.QuotaShares(ctx, t.queue)
		i := slices.IndexFunc(all, func(q job.QuotaShare) bool { return q.Name == t.name })
		if err != nil || i < 0 {
			return nil, orElse(err, gone)
		}
		return all[i].Tags, nil
	}
	e, ok, err := s.findEnvironment(ctx, t.name)
	if err != nil || !ok {
		return nil, orElse(err, gone)
	}
	return e.Tags, nil
}

func orElse(err error, other error) error {
	if err != nil {
		return err
	}
	return other
}

// retag changes the tags of a thing. The result is checked as a whole before anything is
// written.
func (s *Service) retag(ctx context.Context, t tagged, put map[string]string, remove []string) error {
	merge := func(old map[string]string) map[string]string {
		m := make(map[string]string, len(old)+len(put))
		maps.Copy(m, old)
		maps.Copy(m, put)
		for _, k := range remove {
			delete(m, k)
		}
		return m
	}
	switch t.kind {
	case "job":
		old, err := s.tagsOf(ctx, t)
		if err != nil {
			return err
		}
		if len(merge(old)) > job.MaxTags {
			return checkTags(merge(old), nil)
		}
		return s.m.TagJob(ctx, t.id, put, remove)
	case "job-definition":
		defer s.catalog.forgetDefinition(t.name, t.revision)
		_, err := s.m.UpdateDefinition(ctx, t.name, t.revision, func(d *job.Definition) error {
			d.Tags = merge(d.Tags)
			return checkTags(d.Tags, nil)
		})
		return err
	case "job-queue":
		defer s.catalog.forgetQueues()
		_, err := s.m.UpdateQueue(ctx, t.name, func(q *job.Queue) error {
			q.Tags = merge(q.Tags)
			return readQueueTags(q)
		})
		return err
	case "scheduling-policy":
		_, err := s.m.UpdatePolicy(ctx, t.name, func(p *job.SchedulingPolicy) error {
			p.Tags = merge(p.Tags)
			return checkTags(p.Tags, nil)
		})
		return err
	case "consumable-resource":
		_, err := s.m.UpdateConsumable(ctx, t.name, func(r *job.Consumable, _ int64) error {
			r.Tags = merge(r.Tags)
			return checkTags(r.Tags, nil)
		})
		return err
	case "quota-share":
		_, err := s.m.UpdateQuotaShare(ctx, t.queue, t.name, func(q *job.QuotaShare) error {
			q.Tags = merge(q.Tags)
			return checkTags(q.Tags, nil)
		})
		return err
	}
	_, err := s.m.UpdateEnvironment(ctx, t.name, func(e *job.Environment) error {
		e.Tags = merge(e.Tags)
		var err error
		e.HostJobs, err = readEnvironmentTags(e.Tags)
		return err
	})
	return err
}
