package manager

import (
	"context"

	"drover/internal/core/job"
)

// Held is what is known of a lease's attempt: the zero Held of one that is over.
type Held struct {
	Unit string // the public name of its job or array child
	Role string // the ARN of the role that it runs with; "" for none

	Submitter *job.Submitter // whose rights move its data; nil = its own
}

// HeldBy tells which of the leases are valid now, and of what, in their order.
func (m *Manager) HeldBy(ctx context.Context, leases []job.Lease) (held []Held, err error) {
	err = m.ask(ctx, func(c *Core) {
		held = make([]Held, len(leases))
		for i, l := range leases {
			if !c.Holds(l) {
				continue
			}
			s := c.jobs[l.Ref.Key].spec
			box := s.Container
			if n, ok := job.NodeOf(l.Ref.Index); ok {
				box = s.Nodes.Of(n).Container
			}
			held[i] = Held{Unit: job.Name(s.ID, l.Ref.Index), Role: box.Role(), Submitter: s.Submitter}
		}
	})
	return held, err
}
