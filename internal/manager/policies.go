package manager

import (
	"cmp"
	"maps"
	"slices"

	"drover/internal/core/fault"
	"drover/internal/core/job"
)

// taken is the refusal of a second thing of a name.
func taken(kind, name string) error {
	return fault.New(fault.Conflict, "ClientException", "Object already exists: %s %s", kind, name)
}

// CreatePolicy adds a scheduling policy.
func (c *Core) CreatePolicy(p job.SchedulingPolicy) error {
	if _, ok := c.policies[p.Name]; ok {
		return taken("scheduling policy", p.Name)
	}
	c.putPolicy(p)
	return nil
}

func (c *Core) putPolicy(p job.SchedulingPolicy) {
	c.policies[p.Name] = p
	c.feedPolicy(p.Name)
	c.batch.Records = append(c.batch.Records, RecordRow{KindPolicy, p.Name, p})
}

// UpdatePolicy changes a scheduling policy; the queues that use it follow at once.
func (c *Core) UpdatePolicy(name string, change func(*job.SchedulingPolicy) error) (job.SchedulingPolicy, error) {
	p, ok := c.policies[name]
	if !ok {
		return p, client("Scheduling policy %s does not exist", name)
	}
	if err := change(&p); err != nil {
		return p, err
	}
	c.putPolicy(p)
	return p, nil
}

// DeletePolicy removes a scheduling policy that no queue uses.
func (c *Core) DeletePolicy(name string) error {
	if _, ok := c.policies[name]; !ok {
		return nil
	}
	for _, q := range c.Queues() {
		if q.Policy == name {
			return client("Cannot delete, found existing JobQueue relationship: scheduling policy %s is used by job queue %s", name, q.Name)
		}
	}
	delete(c.policies, name)
	c.batch.Records = append(c.batch.Records, RecordRow{Kind: KindPolicy, Key: name})
	return nil
}

// Policies lists the scheduling policies by name.
func (c *Core) Policies() []job.SchedulingPolicy {
	return slices.SortedFunc(maps.Values(c.policies), func(a, b job.SchedulingPolicy) int { return cmp.Compare(a.Name, b.Name) })
}

// CreateQuotaShare adds a quota share to a queue whose policy divides it so.
func (c *Core) CreateQuotaShare(s job.QuotaShare) error {
	q, ok := c.queues[s.Queue]
	switch {
	case !ok:
		return client("Job queue %s does not exist", s.Queue)
	case !c.policies[q.Policy].Quota:
		return client("Job queue %s has no scheduling policy with a quotaSharePolicy: quota shares need one", s.Queue)
	}
	if _, ok := c.quotas[s.Key()]; ok {
		return taken("quota share", s.Key())
	}
	if n := len(c.QuotaShares(s.Queue)); n >= job.MaxQuotaShares {
		return client("Job queue %s has %d quota shares, at most %d are allowed", s.Queue, n, job.MaxQuotaShares)
	}
	c.putQuotaShare(s)
	return nil
}

func (c *Core) putQuotaShare(s job.QuotaShare) {
	c.quotas[s.Key()] = s
	c.feedQueue(c.queues[s.Queue])
	c.batch.Records = append(c.batch.Records, RecordRow{KindQuotaShare, s.Key(), s})
}

// UpdateQuotaShare changes a quota share.
func (c *Core) UpdateQuotaShare(queue, name string, change func(*job.QuotaShare) error) (job.QuotaShare, error) {
	s, ok := c.quotas[job.QuotaKey(queue, name)]
	if !ok {
		return s, client("Quota share %s of job queue %s does not exist", name, queue)
	}
	if err := change(&s); err != nil {
		return s, err
	}
	c.putQuotaShare(s)
	return s, nil
}

// DeleteQuotaShare removes a disabled quota share that no job needs any more.
func (c *Core) DeleteQuotaShare(queue, name string) error {
	s, ok := c.quotas[job.QuotaKey(queue, name)]
	if !ok {
		return nil
	}
	if s.Enabled {
		return client("Cannot delete quota share %s: it is ENABLED; disable it first", s.Key())
	}
	for _, e := range c.living() {
		if e.spec.Queue == queue && e.spec.QuotaShare == name {
			return client("Cannot delete quota share %s: job %s has not ended", s.Key(), e.spec.ID)
		}
	}
	delete(c.quotas, s.Key())
	c.feedQueue(c.queues[queue])
	c.batch.Records = append(c.batch.Records, RecordRow{Kind: KindQuotaShare, Key: s.Key()})
	return nil
}

// QuotaShares lists the quota shares of a queue by name.
func (c *Core) QuotaShares(queue string) []job.QuotaShare {
	all := slices.SortedFunc(maps.Values(c.quotas), func(a, b job.QuotaShare) int { return cmp.Compare(a.Name, b.Name) })
	return slices.DeleteFunc(all, func(s job.QuotaShare) bool { return s.Queue != queue })
}

// living lists the jobs in memory that have not ended, in order of submission.
func (c *Core) living() []*entry {
	var out []*entry
	for _, k := range c.keys() {
		if e := c.peek(k); !e.unit.Status.Terminal() {
			out = append(out, e)
		}
	}
	return out
}

// acceptableShare checks what a submission says of its share against the queue's policy.
func (c *Core) acceptableShare(s *job.Spec, q *job.Queue) error {
	p, shared := c.policies[q.Policy]
	fair := shared && p.Fair != nil
	switch {
	case fair && s.Share == "":
		return client("Job queue %s has a fair share scheduling policy: give the job a shareIdentifier", q.Name)
	case !fair && s.Share != "":
		return client("Job with shareIdentifier or schedulingPriority can onlybe submitted to job queue with fair share scheduling policy.")
	case p.Quota && s.QuotaShare == "":
		return client("Job queue %s is divided into quota shares: name one with the tag drover:quota-share", q.Name)
	case !p.Quota && s.QuotaShare != "":
		return client("Job queue %s is not divided into quota shares: leave out the tag drover:quota-share", q.Name)
	case p.Quota:
		share, ok := c.quotas[job.QuotaKey(q.Name, s.QuotaShare)]
		if !ok {
			return client("Quota share %s of job queue %s does not exist", s.QuotaShare, q.Name)
		}
		if !share.Enabled {
			return client("Quota share %s of job queue %s is DISABLED", s.QuotaShare, q.Name)
		}
	case fair:
		return c.acceptableIdentifier(s.Share, q.Name)
	}
	return nil
}

// acceptableIdentifier refuses a new share identifier when too many are active.
func (c *Core) acceptableIdentifier(share, queue string) error {
	active := c.shares[queue]
	if active[share] == 0 && len(active) >= job.MaxActiveShares {
		return client("Job queue %s has %d active share identifiers, at most %d are allowed", queue, len(active), job.MaxActiveShares)
	}
	return nil
}
