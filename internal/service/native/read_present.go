package native

import (
	"context"
	"encoding/json"
	"strconv"

	"drover/internal/core/fault"
	"drover/internal/core/job"
	"drover/internal/manager"
	"drover/internal/wire"
)

// ReadPresentInput asks for a page of what waits and runs now.
type ReadPresentInput struct {
	Token *string // of the page before; absent: the first page, which has the configuration
	Limit *int32  // jobs of a page, 1000 if absent
}

// ReadPresentOutput is what a simulation needs to go on from now. Present and jobs are in
// the manager's own form, which belongs to the version of the server.
type ReadPresentOutput struct {
	Present json.RawMessage   `json:"present,omitempty"`
	Jobs    []json.RawMessage `json:"jobs"`
	Next    string            `json:"next,omitempty"`
}

var _ = wire.Op(Ops, "ReadPresent", (*Service).ReadPresent, path("readpresent"), wire.Range("Limit", 1, 5000))

// ReadPresent gives the queues, hosts and all jobs that have not ended, page by page.
func (s *Service) ReadPresent(ctx context.Context, in *ReadPresentInput) (*ReadPresentOutput, error) {
	out := &ReadPresentOutput{}
	after, limit := job.Key(0), int(given(in.Limit, 1000))
	if in.Token == nil {
		p, err := s.jobs.Present(ctx)
		if err != nil {
			return nil, err
		}
		if out.Present, err = json.Marshal(p); err != nil {
			return nil, err
		}
	} else {
		n, err := strconv.ParseInt(*in.Token, 10, 64)
		if err != nil {
			return nil, fault.New(fault.Invalid, "ValidationException", "the token is not one that drover gave")
		}
		after = job.Key(n)
	}
	jobs, err := s.jobs.PresentJobs(ctx, after, limit)
	if err != nil {
		return nil, err
	}
	for i := range jobs {
		b, err := json.Marshal(&jobs[i])
		if err != nil {
			return nil, err
		}
		out.Jobs = append(out.Jobs, b)
	}
	if len(jobs) == limit {
		out.Next = strconv.FormatInt(int64(jobs[limit-1].Row.Key), 10)
	}
	return out, nil
}

// Presence reads what ReadPresent gives.
func (o *ReadPresentOutput) Presence() (manager.Present, []manager.PresentJob, error) {
	var p manager.Present
	if len(o.Present) > 0 {
		if err := json.Unmarshal(o.Present, &p); err != nil {
			return p, nil, err
		}
	}
	jobs := make([]manager.PresentJob, len(o.Jobs))
	for i := range jobs {
		if err := json.Unmarshal(o.Jobs[i], &jobs[i]); err != nil {
			return p, nil, err
		}
		jobs[i].Spec.Key = jobs[i].Row.Key
	}
	return p, jobs, nil
}
