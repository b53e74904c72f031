package native

import (
	"context"
	"time"

	"drover/internal/wire"
)

// StopServerInput says how.
type StopServerInput struct {
	Jobs *bool // end running jobs, worker and launcher too
}

// StopServerOutput has nothing to add: the server ends soon after the answer.
type StopServerOutput struct{}

var _ = wire.Op(Ops, "StopServer", (*Service).StopServer, path("stopserver"))

// StopServer asks the server to end. Only the account's root may.
func (s *Service) StopServer(ctx context.Context, in *StopServerInput) (*StopServerOutput, error) {
	if err := rootOnly(ctx, "stop the server"); err != nil {
		return nil, err
	}
	s.process.Stop(in.Jobs != nil && *in.Jobs)
	return &StopServerOutput{}, nil
}

// AttachInput says for how long.
type AttachInput struct {
	WaitSeconds *int32 // how long the call is held open; 20 if absent
}

// AttachOutput has nothing to add: the call's length is what counts.
type AttachOutput struct{}

var _ = wire.Op(Ops, "Attach", (*Service).Attach, path("attach"), wire.Range("WaitSeconds", 0, maxWaitSeconds))

// Attach is held open by a client that needs the server, call after call. An embedded
// server ends itself soon after the last such client is gone, however it went.
func (s *Service) Attach(ctx context.Context, in *AttachInput) (*AttachOutput, error) {
	defer s.process.Attach()()
	wait := int32(maxWaitSeconds)
	if in.WaitSeconds != nil {
		wait = *in.WaitSeconds
	}
	t := time.NewTimer(time.Duration(wait) * time.Second)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
	return &AttachOutput{}, nil
}
