package manager

import (
	"drover/internal/core/job"
	"drover/internal/core/sched"
)

// feedQueue tells the scheduler all that it must know of a queue: the queue, the policy by
// which it is shared, and its quota shares.
func (c *Core) feedQueue(q job.Queue) {
	c.sched.SetQueue(q)
	p := c.policies[q.Policy]
	c.sched.SetPolicy(q.Name, fairShare(p.Fair))
	c.sched.SetQuotas(q.Name, c.quotaShares(q.Name, p.Quota))
}

// feedPolicy tells the scheduler of a policy that has changed.
func (c *Core) feedPolicy(name string) {
	for _, q := range c.Queues() {
		if q.Policy == name {
			c.feedQueue(q)
		}
	}
}

// fairShare is a policy in the scheduler's form.
func fairShare(f *job.FairShare) *sched.FairShare {
	if f == nil {
		return nil
	}
	out := &sched.FairShare{ShareDecaySeconds: f.DecaySeconds, ComputeReservation: f.Reservation}
	for _, w := range f.Weights {
		out.Weights = append(out.Weights, sched.Weight{Identifier: w.Share, Factor: float64(w.Weight) / job.WeightOne})
	}
	return out
}

// quotaShares is what the shares of a queue may hold, in the scheduler's form. A disabled
// share takes no new jobs; those that it has may finish.
func (c *Core) quotaShares(queue string, divided bool) []sched.QuotaShare {
	if !divided {
		return nil
	}
	var out []sched.QuotaShare
	for _, s := range c.QuotaShares(queue) {
		out = append(out, sched.QuotaShare{Name: s.Name, Limit: sched.Limit{MilliVCPU: s.Max("VCPU") * 1000, GPU: s.Max("GPU")}})
	}
	return out
}

// tokens are a job's needs of consumable resources, in the scheduler's form.
func tokens(needs []job.ConsumableNeed) []sched.Token {
	if len(needs) == 0 {
		return nil
	}
	out := make([]sched.Token, len(needs))
	for i, n := range needs {
		out[i] = sched.Token{Name: n.Name, Quantity: n.Quantity}
	}
	return out
}
