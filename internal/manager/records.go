package manager

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"drover/internal/core/fault"
	"drover/internal/core/job"
	"drover/internal/core/sched"
)

// CreateQueue adds a job queue.
func (c *Core) CreateQueue(q job.Queue) error {
	if _, ok := c.queues[q.Name]; ok {
		return fault.New(fault.Conflict, "ClientException", "Object already exists: job queue %s", q.Name)
	}
	if err := c.checkQueue(q); err != nil {
		return err
	}
	c.putQueue(q)
	return nil
}

func (c *Core) checkQueue(q job.Queue) error {
	for _, name := range q.Environments {
		if _, ok := c.envs[name]; !ok {
			return client("Compute environment %s does not exist", name)
		}
	}
	if _, ok := c.policies[q.Policy]; q.Policy != "" && !ok {
		return client("Scheduling policy %s does not exist", q.Policy)
	}
	return nil
}

// checkPolicyChange keeps the rules of AWS Batch: a policy may be replaced by another of
// its kind, not removed, and not added to a queue that was made without.
func (c *Core) checkPolicyChange(old, q job.Queue) error {
	switch {
	case old.Policy == q.Policy:
		return nil
	case q.Policy == "":
		return client("Job queue %s: its scheduling policy can be replaced, not removed", q.Name)
	case old.Policy == "":
		return client("Job queue %s was created without a scheduling policy, and none can be added; create another queue", q.Name)
	case c.policies[old.Policy].Quota != c.policies[q.Policy].Quota:
		return client("Job queue %s: a fairsharePolicy cannot be replaced by a quotaSharePolicy, nor the other way round", q.Name)
	}
	return nil
}

func (c *Core) putQueue(q job.Queue) {
	c.queues[q.Name] = q
	c.feedQueue(q)
	c.batch.Records = append(c.batch.Records, RecordRow{KindQueue, q.Name, q})
}

// UpdateQueue changes a job queue.
func (c *Core) UpdateQueue(name string, change func(*job.Queue) error) (job.Queue, error) {
	q, ok := c.queues[name]
	if !ok {
		return q, client("Job queue %s does not exist", name)
	}
	old := q
	if err := change(&q); err != nil {
		return q, err
	}
	if err := c.checkQueue(q); err != nil {
		return q, err
	}
	if err := c.checkPolicyChange(old, q); err != nil {
		return q, err
	}
	c.putQueue(q)
	return q, nil
}

// DeleteQueue removes a disabled job queue; its jobs are terminated (EmptyQueue does that in
// parts before).
func (c *Core) DeleteQueue(name string, now Instant) error {
	q, ok := c.queues[name]
	if !ok {
		return nil // deleting what is not there is done already
	}
	if q.Enabled {
		return enabledQueue(name)
	}
	for _, k := range c.keys() {
		if e := c.peek(k); e.spec.Queue == name && !e.unit.Status.Terminal() {
			if err := c.end(e.spec.ID, job.Whole, job.Event{Kind: job.Terminate, Reason: queueDeleted(name)}, now); err != nil {
				return err
			}
		}
	}
	for _, s := range c.QuotaShares(name) {
		delete(c.quotas, s.Key())
		c.batch.Records = append(c.batch.Records, RecordRow{Kind: KindQuotaShare, Key: s.Key()})
	}
	delete(c.queues, name)
	c.sched.RemoveQueue(name)
	c.sched.RemoveToken(queueToken(name))
	c.batch.Records = append(c.batch.Records, RecordRow{Kind: KindQueue, Key: name})
	return nil
}

// CreateEnvironment adds a compute environment.
func (c *Core) CreateEnvironment(e job.Environment) error {
	if _, ok := c.envs[e.Name]; ok {
		return fault.New(fault.Conflict, "ClientException", "Object already exists: compute environment %s", e.Name)
	}
	c.putEnvironment(e)
	return nil
}

func (c *Core) putEnvironment(e job.Environment) {
	c.envs[e.Name] = e
	c.sched.SetEnvironment(e)
	c.batch.Records = append(c.batch.Records, RecordRow{KindEnvironment, e.Name, e})
}

// UpdateEnvironment changes a compute environment.
func (c *Core) UpdateEnvironment(name string, change func(*job.Environment) error) (job.Environment, error) {
	e, ok := c.envs[name]
	if !ok {
		return e, client("Compute environment %s does not exist", name)
	}
	if err := change(&e); err != nil {
		return e, err
	}
	c.putEnvironment(e)
	return e, nil
}

// DeleteEnvironment removes a disabled compute environment that no queue uses.
func (c *Core) DeleteEnvironment(name string) error {
	e, ok := c.envs[name]
	if !ok {
		return nil
	}
	if e.Enabled {
		return client("Cannot delete, resource must be disabled: compute environment %s", name)
	}
	for _, q := range c.Queues() {
		if slices.Contains(q.Environments, name) {
			return client("Cannot delete, found existing JobQueue relationship: compute environment %s is used by job queue %s", name, q.Name)
		}
	}
	delete(c.envs, name)
	c.sched.RemoveEnvironment(name)
	c.batch.Records = append(c.batch.Records, RecordRow{Kind: KindEnvironment, Key: name})
	return nil
}

// Queues lists the job queues by name.
func (c *Core) Queues() []job.Queue {
	return slices.SortedFunc(maps.Values(c.queues), func(a, b job.Queue) int { return cmp.Compare(a.Name, b.Name) })
}

// Environments lists the compute environments by name.
func (c *Core) Environments() []job.Environment {
	return slices.SortedFunc(maps.Values(c.envs), func(a, b job.Environment) int { return cmp.Compare(a.Name, b.Name) })
}

// TagJob changes the tags of a job in memory; ok is false if it is not there.
func (c *Core) TagJob(id job.ID, set map[string]string, remove []string) (ok bool) {
	e := c.find(id)
	if e == nil {
		return false
	}
	e.tags = retag(e.tags, set, remove)
	c.touch(e)
	return true
}

func retag(old, set map[string]string, remove []string) map[string]string {
	tags := maps.Clone(old)
	if tags == nil {
		tags = map[string]string{}
	}
	for _, k := range remove {
		delete(tags, k)
	}
	maps.Copy(tags, set)
	return tags
}

// Explain says why a unit in memory waits, and at which place; nil if it does not, or is not
// there. To find the place it looks at all that wait with it.
func (c *Core) Explain(id job.ID, i int32, now int64) *Wait { return c.explain(id, i, now, true) }

// Why is Explain without the place.
func (c *Core) Why(id job.ID, i int32, now int64) *Wait { return c.explain(id, i, now, false) }

func (c *Core) explain(id job.ID, i int32, now int64, place bool) *Wait {
	e := c.peekID(id)
	if _, node := job.NodeOf(i); node {
		i = job.Whole // a node waits with its job
	}
	if e == nil || e.array == nil && i != job.Whole {
		return nil
	}
	var s job.Status
	switch {
	case e.array != nil && i == job.Whole:
		counts := e.array.Counts()
		if counts[job.Runnable] == 0 && counts[job.Pending] == 0 {
			return nil
		}
		s = job.Pending
		if counts[job.Runnable] > 0 {
			s = job.Runnable
		}
	case e.has(i):
		s = e.get(i).Status
	}
	switch s {
	case job.Pending:
		return e.dependencyWait(i)
	case job.Runnable:
		var r sched.Reason
		if place {
			r = c.sched.Explain(e.spec.Queue, e.demand(i), job.Ref{Key: e.spec.Key, Index: i}, now)
		} else {
			r = c.sched.Why(e.spec.Queue, e.demand(i), now)
		}
		w := &Wait{Code: r.Code, Reason: r.Text, Remedy: r.Remedy, Position: r.Position}
		if why := e.get(i).AttemptWhy; strings.HasPrefix(why, job.PreemptedPrefix) {
			w.Reason += "; its last attempt was stopped: " + why
		}
		return w
	}
	return nil
}

// Bounds of one step of ending many jobs.
const (
	endLooked = 5000 // jobs looked at
	endEnded  = 500  // jobs ended
)

// EndSome terminates jobs of a queue ("" = of all queues) behind one, in order of submission.
// It does a part of them, and says how far it came; more is false at the end.
func (c *Core) EndSome(queue, reason string, after job.Key, now Instant) (next job.Key, more bool) {
	keys := c.keysFrom(after, endLooked)
	ended := 0
	for _, k := range keys {
		if ended == endEnded {
			return after, true
		}
		after = k
		if queue != "" && c.commonSpec(k).Queue != queue || c.jobs[k] != nil && c.jobs[k].unit.Status.Terminal() {
			continue
		}
		// A unit refuses to be terminated only if it does not exist.
		_ = c.end(c.entry(k).spec.ID, job.Whole, job.Event{Kind: job.Terminate, Reason: reason}, now)
		ended++
	}
	return after, len(keys) == endLooked
}

// EmptyQueue is EndSome for a queue that is about to be deleted; it must be disabled.
func (c *Core) EmptyQueue(name string, after job.Key, now Instant) (next job.Key, more bool, err error) {
	q, ok := c.queues[name]
	switch {
	case !ok:
		return 0, false, nil
	case q.Enabled:
		return 0, false, enabledQueue(name)
	}
	next, more = c.EndSome(name, queueDeleted(name), after, now)
	return next, more, nil
}

func enabledQueue(name string) error {
	return client("Cannot delete job queue %s: it is ENABLED; disable it first", name)
}

func queueDeleted(name string) string { return "Job queue " + name + " was deleted" }
