package native

import (
	"context"

	"drover/internal/wire"
)

// ListHostsInput asks for nothing in particular.
type ListHostsInput struct{}

// ListHostsOutput is every host that the manager knows.
type ListHostsOutput struct{ Hosts []Host }

// Host is a worker's host.
type Host struct {
	Id                       string
	MilliVcpu, FreeMilliVcpu int64
	MemoryMiB, FreeMemoryMiB int64
	Executors                []string
	Connected                bool
	LastSeen                 int64
}

var _ = wire.Op(Ops, "ListHosts", (*Service).ListHosts, path("listhosts"))

// ListHosts lists the hosts with what they have and what is free.
func (s *Service) ListHosts(ctx context.Context, _ *ListHostsInput) (*ListHostsOutput, error) {
	hosts, err := s.jobs.Hosts(ctx)
	if err != nil {
		return nil, err
	}
	out := &ListHostsOutput{}
	for _, h := range hosts {
		out.Hosts = append(out.Hosts, Host{
			Id: h.ID, MilliVcpu: h.Capacity.MilliVCPU, FreeMilliVcpu: h.Free.MilliVCPU,
			MemoryMiB: h.Capacity.MemoryMiB, FreeMemoryMiB: h.Free.MemoryMiB,
			Executors: h.Executors, Connected: h.Connected, LastSeen: h.LastSeen,
		})
	}
	return out, nil
}
