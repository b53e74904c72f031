package native

import (
	"context"

	"drover/internal/wire"
)

// ListHostsInput asks for nothing in particular.
type ListHostsInput struct{}

// ListHostsOutput is every host that the manager knows.
type ListHostsOutput struct {
	Hosts []Host `json:"hosts"`
}

// Host is a worker's host.
type Host struct {
	Id            string   `json:"id"`
	MilliVcpu     int64    `json:"milliVcpu"`
	FreeMilliVcpu int64    `json:"freeMilliVcpu"`
	MemoryMiB     int64    `json:"memoryMiB"`
	FreeMemoryMiB int64    `json:"freeMemoryMiB"`
	Executors     []string `json:"executors"`
	Connected     bool     `json:"connected"`
	LastSeen      int64    `json:"lastSeen"`
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
