package manager

import (
	"context"

	"drover/internal/core/job"
)

// CreatePolicy adds a scheduling policy.
func (m *Manager) CreatePolicy(ctx context.Context, p job.SchedulingPolicy) error {
	return m.do(ctx, func(c *Core, _ Instant) error { return c.CreatePolicy(p) })
}

// UpdatePolicy changes a scheduling policy.
func (m *Manager) UpdatePolicy(ctx context.Context, name string, change func(*job.SchedulingPolicy) error) (p job.SchedulingPolicy, err error) {
	err = m.do(ctx, func(c *Core, _ Instant) (err error) { p, err = c.UpdatePolicy(name, change); return err })
	return p, err
}

// DeletePolicy removes a scheduling policy that no queue uses.
func (m *Manager) DeletePolicy(ctx context.Context, name string) error {
	return m.do(ctx, func(c *Core, _ Instant) error { return c.DeletePolicy(name) })
}

// Policies lists the scheduling policies.
func (m *Manager) Policies(ctx context.Context) (out []job.SchedulingPolicy, err error) {
	err = m.ask(ctx, func(c *Core) { out = c.Policies() })
	return out, err
}

// CreateConsumable adds a consumable resource.
func (m *Manager) CreateConsumable(ctx context.Context, r job.Consumable) error {
	return m.do(ctx, func(c *Core, now Instant) error { return c.CreateConsumable(r, now) })
}

// UpdateConsumable changes a consumable resource.
func (m *Manager) UpdateConsumable(ctx context.Context, name string, change func(r *job.Consumable, now int64) error) (s Stock, err error) {
	err = m.do(ctx, func(c *Core, now Instant) (err error) { s, err = c.UpdateConsumable(name, change, now); return err })
	return s, err
}

// DeleteConsumable removes a consumable resource that no job needs any more.
func (m *Manager) DeleteConsumable(ctx context.Context, name string) error {
	return m.do(ctx, func(c *Core, _ Instant) error { return c.DeleteConsumable(name) })
}

// Consumables lists the consumable resources.
func (m *Manager) Consumables(ctx context.Context) (out []Stock, err error) {
	err = m.ask(ctx, func(c *Core) { out = c.Consumables() })
	return out, err
}

// CreateQuotaShare adds a quota share.
func (m *Manager) CreateQuotaShare(ctx context.Context, s job.QuotaShare) error {
	return m.do(ctx, func(c *Core, _ Instant) error { return c.CreateQuotaShare(s) })
}

// UpdateQuotaShare changes a quota share.
func (m *Manager) UpdateQuotaShare(ctx context.Context, queue, name string, change func(*job.QuotaShare) error) (s job.QuotaShare, err error) {
	err = m.do(ctx, func(c *Core, _ Instant) (err error) { s, err = c.UpdateQuotaShare(queue, name, change); return err })
	return s, err
}

// DeleteQuotaShare removes a disabled quota share that no job needs any more.
func (m *Manager) DeleteQuotaShare(ctx context.Context, queue, name string) error {
	return m.do(ctx, func(c *Core, _ Instant) error { return c.DeleteQuotaShare(queue, name) })
}

// QuotaShares lists the quota shares of a queue.
func (m *Manager) QuotaShares(ctx context.Context, queue string) (out []job.QuotaShare, err error) {
	err = m.ask(ctx, func(c *Core) { out = c.QuotaShares(queue) })
	return out, err
}
