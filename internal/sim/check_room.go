package sim

import (
	"drover/internal/core/resource"
	"drover/internal/manager"
)

// account adds or takes what a unit's lease holds.
func (c *checker) account(b *book, r *manager.UnitRow, sign int64) {
	if !r.Status.Live() {
		return
	}
	k := c.hosts[r.Host]
	if k == nil {
		c.w.broken("I15", "%s has a lease on unknown host %q", unitName(b.plan.name, r.Ref), r.Host)
	}
	n := b.plan.holds(r.Ref.Index)
	k.used = k.used.Add(resource.Vector{MilliVCPU: sign * n.MilliVCPU, MemoryMiB: sign * n.MemoryMiB, GPU: sign * n.GPU})
	c.used[r.Environment] += sign * n.MilliVCPU
	if isNode(r.Ref) {
		return // the tokens are the job's
	}
	for _, t := range b.plan.tokens {
		c.held[t.Name] += sign * t.Quantity
	}
}

// capacity is I15. A host or an environment may be above its limit after the limit was
// lowered, but no lease may be granted then. granted has the names of both.
func (c *checker) capacity(b *manager.Batch, granted map[string]bool) {
	for i := range b.Units {
		r := &b.Units[i]
		if k := c.hosts[r.Host]; r.Status.Live() && granted[r.Host] && !k.used.Fits(k.capacity) && !k.used.Fits(k.last) {
			c.w.broken("I15", "host %s has %+v and its leases hold %+v", r.Host, k.capacity, k.used)
		}
	}
	for _, e := range c.w.paper.envs {
		if granted[e.Name] && c.used[e.Name] > max(e.MaxMilliVCPU, c.were[e.Name].MaxMilliVCPU) {
			c.w.broken("I15", "environment %s has maxvCpus %d and its leases hold %d", e.Name, e.MaxMilliVCPU, c.used[e.Name])
		}
	}
}

// tokens holds the consumable resources against what was leased: no more than there is, and
// what cannot be replenished goes off the total once for each lease.
func (c *checker) tokens() {
	for _, r := range c.w.paper.consumables {
		if r.Replenishable && c.held[r.Name] > r.Total {
			c.w.broken("tokens", "leases hold %d of the %d tokens of %s", c.held[r.Name], r.Total, r.Name)
		}
		if !r.Replenishable && r.Total != sheets-c.taken[r.Name] {
			c.w.broken("tokens", "%d of %d tokens of %s are left after leases took %d", r.Total, sheets, r.Name, c.taken[r.Name])
		}
	}
}
