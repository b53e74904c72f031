package manager

import (
	"cmp"
	"context"
	"maps"
	"slices"

	"drover/internal/core/job"
)

// frontJobs is how many units a Snapshot names (AWS Batch API Reference, GetJobQueueSnapshot).
const frontJobs = 100

// Snapshot is a queue as the scheduler sees it now.
type Snapshot struct {
	At        int64 // µs
	Front     []FrontJob
	Fair      bool       // shared by share identifier
	Quota     bool       // divided into quota shares
	MilliVCPU int64      // held by the queue's running units
	Shares    []ShareUse // by share, the one that holds most first; none without a policy
}

// FrontJob is a RUNNABLE unit among the first of its queue, in the order of dispatch.
type FrontJob struct {
	ID    job.ID
	Index int32 // job.Whole, or the first child of an array that waits there
	Share string
	Since int64 // µs; since when it is at its position
}

// ShareUse is what the running units of a share hold.
type ShareUse struct {
	Share     string
	MilliVCPU int64
}

// Snapshot describes a queue; ok is false if there is none of that name.
func (c *Core) Snapshot(name string, now int64) (s Snapshot, ok bool) {
	q, ok := c.queues[name]
	if !ok {
		return s, false
	}
	p, shared := c.policies[q.Policy]
	s = Snapshot{At: now, Fair: shared && p.Fair != nil, Quota: p.Quota}
	for _, f := range c.sched.Snapshot(name, frontJobs) {
		e := c.peek(f.Key)
		s.Front = append(s.Front, FrontJob{ID: e.spec.ID, Index: f.Index, Share: cmp.Or(e.spec.Share, e.spec.QuotaShare), Since: cmp.Or(f.Since, e.demand(f.Index).Since)})
	}
	use := map[string]int64{}
	for _, id := range c.order {
		for r, e := range c.hosts[id].live {
			if e.spec.Queue == name {
				held := e.need(r.Index).MilliVCPU
				s.MilliVCPU += held
				use[cmp.Or(e.spec.Share, e.spec.QuotaShare)] += held
			}
		}
	}
	if shared {
		for _, share := range slices.Sorted(maps.Keys(use)) {
			s.Shares = append(s.Shares, ShareUse{share, use[share]})
		}
		slices.SortStableFunc(s.Shares, func(a, b ShareUse) int { return cmp.Compare(b.MilliVCPU, a.MilliVCPU) })
	}
	return s, true
}

// Snapshot describes a queue as it is now.
func (m *Manager) Snapshot(ctx context.Context, queue string) (s Snapshot, err error) {
	var ok bool
	if err = m.ask(ctx, func(c *Core) { s, ok = c.Snapshot(queue, m.instant().Wall) }); err == nil && !ok {
		err = client("job queue %s does not exist", queue)
	}
	return s, err
}
