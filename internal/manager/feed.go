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
	most := int64(noMaximum)
	if q.MaxRunning > 0 {
		most = int64(q.MaxRunning)
	}
	c.sched.SetToken(queueToken(q.Name), most, true)
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
		out = append(out, sched.QuotaShare{Name: s.Name, Limit: sched.Limit{MilliVCPU: s.Max("VCPU") * 1000, GPU: s.Max("GPU")},
			Lends: s.Lends, Borrows: s.Borrows, Borrow: s.Borrow, Urgent: s.Urgent})
	}
	return out
}

// feedConsumable tells the scheduler how much there is of a resource. One that was deleted
// is forgotten when no unit holds any of it.
func (c *Core) feedConsumable(r *consumable) {
	if r.deleted && r.held == 0 {
		delete(c.consumables, r.Name)
		c.sched.RemoveToken(r.Name)
		return
	}
	c.sched.SetToken(r.Name, r.all(), r.Replenishable)
}

// noMaximum is the tokens of a queue that has no tag drover:max-running.
const noMaximum = 1 << 40

// queueToken and jobToken name the tokens by which the units of a queue, or of an array,
// that run together are counted. No consumable resource can have such a name.
func queueToken(name string) string { return "max-running of job queue " + name }
func jobToken(id job.ID) string     { return "max-running of job " + id.String() }

// feedMaximum gives an array that bounds its running children the tokens for it.
func (c *Core) feedMaximum(s *job.Spec) {
	if s.MaxRunning > 0 {
		c.sched.SetToken(jobToken(s.ID), int64(s.MaxRunning), true)
	}
}

// tokens are what each unit of a job holds while it runs, in the scheduler's form.
func tokens(s *job.Spec) []sched.Token {
	if len(s.Consumables) == 0 && s.MaxRunning == 0 && !s.Counted {
		return nil
	}
	out := make([]sched.Token, 0, len(s.Consumables)+2)
	for _, n := range s.Consumables {
		out = append(out, sched.Token{Name: n.Name, Quantity: n.Quantity})
	}
	if s.MaxRunning > 0 {
		out = append(out, sched.Token{Name: jobToken(s.ID), Quantity: 1})
	}
	if s.Counted {
		out = append(out, sched.Token{Name: queueToken(s.Queue), Quantity: 1})
	}
	return out
}
