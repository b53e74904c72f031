package native

import (
	"context"
	"encoding/json"
	"strconv"

	"drover/internal/core/fault"
	"drover/internal/manager"
	"drover/internal/wire"
)

// Events renders state changes as EventBridge events; the batch service does.
type Events interface {
	Events(ctx context.Context, cursor string, limit int, match func(manager.Transition) bool) (events []json.RawMessage, next string, err error)
}

// Tell lets the service answer ListEvents.
func (s *Service) Tell(e Events) *Service {
	s.events = e
	return s
}

// ListEventsInput asks for the events after a point.
type ListEventsInput struct {
	After       *string // Next of the answer before; absent: begin now; empty: the oldest that are kept
	Limit       *int32  // most events in the answer; 100 if absent
	WaitSeconds *int32  // how long to wait for the first one; 0 if absent
	Job         *string // only of this job and its children
}

// ListEventsOutput is what happened, in the shape of EventBridge.
type ListEventsOutput struct {
	Events []string `json:"events"` // JSON objects
	Next   string   `json:"next"`   // After of the next call
}

var _ = wire.Op(Ops, "ListEvents", (*Service).ListEvents, path("listevents"),
	wire.Range("Limit", 1, 500), wire.Range("WaitSeconds", 0, maxWaitSeconds))

// ListEvents gives the state changes of jobs after a point as EventBridge would deliver
// them, and waits for one if there is none.
func (s *Service) ListEvents(ctx context.Context, in *ListEventsInput) (*ListEventsOutput, error) {
	if s.events == nil {
		return nil, fault.New(fault.NotBuilt, "NotImplemented", "this server has no service whose events it could tell")
	}
	if in.After == nil {
		tail, err := s.tail(ctx)
		return &ListEventsOutput{Next: strconv.FormatInt(tail, 10), Events: []string{}}, err
	}
	match, err := filter(&ListTransitionsInput{Job: in.Job})
	if err != nil {
		return nil, err
	}
	limit := int(given(in.Limit, 100))
	out := &ListEventsOutput{}
	out.Events, out.Next, err = eventsAfter(ctx, in.WaitSeconds, s.jobs.Changed, *in.After, func(after string) ([]json.RawMessage, string, error) {
		return s.events.Events(ctx, after, limit, match)
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}
