package manager

import (
	"context"
	"time"

	"drover/internal/core/fault"
	"drover/internal/core/job"
	"drover/internal/store"
)

var _ Service = (*Manager)(nil)

// Submit accepts jobs, all or none, and returns when they are durable.
func (m *Manager) Submit(ctx context.Context, specs []*job.Spec) ([]Receipt, error) {
	now := time.Now()
	for _, s := range specs {
		s.Version = job.SpecVersion
		if s.ID == (job.ID{}) {
			s.ID = NewID(now)
		}
	}
	sub := &Submission{Specs: specs}
	for {
		var out []Receipt
		var missing Missing
		err := m.do(ctx, func(c *Core, now Instant) (err error) {
			out, missing, err = c.Try(sub, now)
			return err
		})
		if err != nil || missing.Empty() {
			return out, err
		}
		found, err := m.journal.Find(ctx, missing.IDs, missing.Tokens)
		if err != nil {
			return nil, err
		}
		sub.Found(missing, found)
	}
}

// Cancel follows CancelJob. An unknown job is a ClientException.
func (m *Manager) Cancel(ctx context.Context, id job.ID, index int32, reason string) error {
	return m.endJob(ctx, id, index, func(c *Core, now Instant) error { return c.Cancel(id, index, reason, now) })
}

// Terminate follows TerminateJob.
func (m *Manager) Terminate(ctx context.Context, id job.ID, index int32, reason string) error {
	return m.endJob(ctx, id, index, func(c *Core, now Instant) error { return c.Terminate(id, index, reason, now) })
}

func (m *Manager) endJob(ctx context.Context, id job.ID, index int32, end func(*Core, Instant) error) error {
	if err := m.exists(ctx, id, index); err != nil {
		return err
	}
	return m.do(ctx, end)
}

// TagJob changes a job's tags.
func (m *Manager) TagJob(ctx context.Context, id job.ID, set map[string]string, remove []string) error {
	if err := m.exists(ctx, id, job.Whole); err != nil {
		return err
	}
	var ok bool
	err := m.do(ctx, func(c *Core, _ Instant) error { ok = c.TagJob(id, set, remove); return nil })
	if err != nil || ok {
		return err
	}
	return m.tagEnded(ctx, id, set, remove)
}

// CreateQueue adds a job queue.
func (m *Manager) CreateQueue(ctx context.Context, q job.Queue) error {
	return m.do(ctx, func(c *Core, _ Instant) error { return c.CreateQueue(q) })
}

// UpdateQueue changes a job queue.
func (m *Manager) UpdateQueue(ctx context.Context, name string, change func(*job.Queue) error) (q job.Queue, err error) {
	err = m.do(ctx, func(c *Core, _ Instant) (err error) { q, err = c.UpdateQueue(name, change); return err })
	return q, err
}

// DeleteQueue removes a disabled job queue and terminates its jobs.
func (m *Manager) DeleteQueue(ctx context.Context, name string) error {
	for after, more := job.Key(0), true; more; {
		if err := m.do(ctx, func(c *Core, now Instant) (err error) { after, more, err = c.EmptyQueue(name, after, now); return err }); err != nil {
			return err
		}
	}
	return m.do(ctx, func(c *Core, now Instant) error { return c.DeleteQueue(name, now) })
}

// Queues lists the job queues.
func (m *Manager) Queues(ctx context.Context) (out []job.Queue, err error) {
	err = m.ask(ctx, func(c *Core) { out = c.Queues() })
	return out, err
}

// CreateEnvironment adds a compute environment.
func (m *Manager) CreateEnvironment(ctx context.Context, e job.Environment) error {
	return m.do(ctx, func(c *Core, _ Instant) error { return c.CreateEnvironment(e) })
}

// UpdateEnvironment changes a compute environment.
func (m *Manager) UpdateEnvironment(ctx context.Context, name string, change func(*job.Environment) error) (e job.Environment, err error) {
	err = m.do(ctx, func(c *Core, _ Instant) (err error) { e, err = c.UpdateEnvironment(name, change); return err })
	return e, err
}

// DeleteEnvironment removes a disabled compute environment that no queue uses.
func (m *Manager) DeleteEnvironment(ctx context.Context, name string) error {
	return m.do(ctx, func(c *Core, _ Instant) error { return c.DeleteEnvironment(name) })
}

// Environments lists the compute environments.
func (m *Manager) Environments(ctx context.Context) (out []job.Environment, err error) {
	err = m.ask(ctx, func(c *Core) { out = c.Environments() })
	return out, err
}

// Hosts lists the hosts.
func (m *Manager) Hosts(ctx context.Context) (out []Host, err error) {
	err = m.ask(ctx, func(c *Core) { out = c.Hosts() })
	return out, err
}

// Hello opens a session for a worker's host; it returns the session and the leases that
// the worker holds in vain.
func (m *Manager) Hello(ctx context.Context, h Hello) (session string, drop []job.Lease, err error) {
	session = newSession()
	err = m.do(ctx, func(c *Core, now Instant) error {
		drop = m.post.Greet(c, h, session, now)
		return nil
	})
	return session, drop, err
}

// Poll waits for messages after ack until some come, hold has passed, or ctx ends.
func (m *Manager) Poll(ctx context.Context, host, session string, ack int64, hold time.Duration) ([]Letter, error) {
	t := time.NewTimer(hold)
	defer t.Stop()
	for {
		letters, wake, err := m.post.Collect(host, session, ack)
		if err != nil || len(letters) > 0 {
			return letters, err
		}
		select {
		case <-wake:
		case <-t.C:
			return nil, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-m.stopped:
			return nil, nil
		}
	}
}

// ReportAttempts takes in what a worker says of attempts: one error (or nil) for each report.
func (m *Manager) ReportAttempts(ctx context.Context, host, session string, reports []job.Report) (refused []error, err error) {
	err = m.do(ctx, func(c *Core, now Instant) (err error) {
		refused, err = c.Report(host, session, reports, now)
		return err
	})
	return refused, err
}

// Heartbeat renews a host's leases.
func (m *Manager) Heartbeat(ctx context.Context, host, session string) error {
	return m.send(ctx, func(c *Core, now Instant) error { return c.Heartbeat(host, session, now) }, true)
}

// Holds reports whether a lease is valid now.
func (m *Manager) Holds(ctx context.Context, l job.Lease) bool {
	var ok bool
	return m.ask(ctx, func(c *Core) { ok = c.Holds(l) }) == nil && ok
}

// RegisterDefinition stores a definition under the next revision of its name.
func (m *Manager) RegisterDefinition(ctx context.Context, d job.Definition) (job.Definition, error) {
	err := m.db.Update(ctx, func(tx *store.Tx) error {
		last, rev, err := revisionTable.Get(tx, d.Name)
		if err != nil && !fault.Is(err, fault.NotFound) {
			return err
		}
		d.Revision, d.Active = last+1, true
		if _, err := revisionTable.Put(tx, d.Name, d.Revision, rev); err != nil {
			return err
		}
		_, err = definitionTable.Put(tx, definitionKey(d.Name, d.Revision), d, store.Absent)
		return err
	})
	return d, err
}

// UpdateDefinition changes a stored revision.
func (m *Manager) UpdateDefinition(ctx context.Context, name string, revision int32, change func(*job.Definition) error) (d job.Definition, err error) {
	err = m.db.Update(ctx, func(tx *store.Tx) error {
		var rev int64
		var err error
		if d, rev, err = definitionTable.Get(tx, definitionKey(name, revision)); err != nil {
			return err
		}
		if err := change(&d); err != nil {
			return err
		}
		_, err = definitionTable.Put(tx, definitionKey(name, revision), d, rev)
		return err
	})
	return d, err
}

// Running is the number of units that have a lease.
func (m *Manager) Running(ctx context.Context) (n int, err error) {
	err = m.ask(ctx, func(c *Core) { n = c.Running() })
	return n, err
}

// TerminateAll ends every job that has not ended.
func (m *Manager) TerminateAll(ctx context.Context, reason string) error {
	for after, more := job.Key(0), true; more; {
		if err := m.do(ctx, func(c *Core, now Instant) error { after, more = c.EndSome("", reason, after, now); return nil }); err != nil {
			return err
		}
	}
	return nil
}
