package native

import (
	"context"
	"slices"

	"drover/internal/core/job"
	"drover/internal/manager"
	"drover/internal/wire"
)

// Bounds of one call.
const (
	maxTransitions = 10_000
	readPage       = 1_000
	maxRead        = 100_000 // rows looked at before an answer is given, even an empty one
)

// ListTransitionsInput asks for what happened after a point.
type ListTransitionsInput struct {
	After       *int64   // Next of the answer before; absent: begin now
	Limit       *int32   // most transitions in the answer; 1,000 if absent
	WaitSeconds *int32   // how long to wait for the first one; 0 if absent
	Job         *string  // only of this job and its children
	To          []string // only to these statuses
}

// ListTransitionsOutput is what happened.
type ListTransitionsOutput struct {
	Transitions []Transition `json:"transitions"`
	Next        int64        `json:"next"` // After of the next call
}

// Transition says that a job, or the children First to Last of an array, went from one
// status to another.
type Transition struct {
	Seq   int64  `json:"seq"`
	At    int64  `json:"at"`
	Job   string `json:"job"`
	First *int32 `json:"first,omitempty"` // absent: the job itself
	Last  *int32 `json:"last,omitempty"`
	From  string `json:"from"`
	To    string `json:"to"`
}

var _ = wire.Op(Ops, "ListTransitions", (*Service).ListTransitions, path("listtransitions"),
	wire.Range("Limit", 1, maxTransitions), wire.Range("WaitSeconds", 0, maxWaitSeconds),
	wire.Length("To", 0, 7))

// ListTransitions gives the transitions after a point, and waits for one if there is none.
func (s *Service) ListTransitions(ctx context.Context, in *ListTransitionsInput) (*ListTransitionsOutput, error) {
	if in.After == nil {
		tail, err := s.tail(ctx)
		return &ListTransitionsOutput{Next: tail}, err
	}
	match, err := filter(in)
	if err != nil {
		return nil, err
	}
	limit := int(given(in.Limit, readPage))
	out := &ListTransitionsOutput{Next: *in.After}
	read := 0
	err = follow(ctx, in.WaitSeconds, s.jobs.Changed, func() (found, error) {
		page := min(readPage, limit-len(out.Transitions))
		rows, err := s.jobs.Transitions(ctx, out.Next, page)
		if err != nil {
			return nothing, err
		}
		for _, r := range rows {
			out.Next = r.Seq
			if match(r) {
				out.Transitions = append(out.Transitions, transition(r))
			}
		}
		read += len(rows)
		switch {
		case len(out.Transitions) == limit || read >= maxRead:
			return answer, nil
		case len(rows) == page:
			return onward, nil
		case len(out.Transitions) > 0:
			return answer, nil
		}
		return nothing, nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// filter compiles the conditions of a call.
func filter(in *ListTransitionsInput) (func(manager.Transition) bool, error) {
	var id job.ID
	if in.Job != nil {
		var err error
		if id, _, err = unit(*in.Job); err != nil {
			return nil, err
		}
	}
	return func(t manager.Transition) bool {
		return (in.Job == nil || t.ID == id) && (len(in.To) == 0 || slices.Contains(in.To, t.To.String()))
	}, nil
}

func transition(t manager.Transition) Transition {
	out := Transition{Seq: t.Seq, At: t.At, Job: t.ID.String(), From: t.From.String(), To: t.To.String()}
	if t.Lo != job.Whole {
		out.First, out.Last = &t.Lo, &t.Hi
	}
	return out
}

// tail finds the number of the newest transition. The rows only offer a way forward, so it
// doubles its steps until nothing lies ahead and then halves them: about 60 reads of one
// row for the longest history there can be.
func (s *Service) tail(ctx context.Context) (int64, error) {
	var low int64 // there is a row at low, or low is 0
	ahead := func(of int64) (bool, error) {
		rows, err := s.jobs.Transitions(ctx, of, 1)
		if err != nil || len(rows) == 0 {
			return false, err
		}
		low = rows[0].Seq
		return true, nil
	}
	step := int64(1)
	for {
		more, err := ahead(low + step - 1)
		if err != nil {
			return 0, err
		}
		if !more {
			break
		}
		step *= 2
	}
	for step > 1 {
		step /= 2
		if _, err := ahead(low + step - 1); err != nil {
			return 0, err
		}
	}
	return low, nil
}
