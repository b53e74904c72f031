package native

import (
	"cmp"
	"context"
	"slices"

	"drover/internal/core/fault"
	"drover/internal/core/job"
	"drover/internal/manager"
	"drover/internal/wire"
)

// ListJobsInput selects jobs.
type ListJobsInput struct {
	Queue  *string // name; absent: all queues
	Array  *string // children of this array, in their order, in place of a queue's jobs
	Status *string
	Name   *string // a final * matches a prefix
	Limit  *int32  // 100 if absent
	Token  *string // of the page before; for the children of an array
}

// ListJobsOutput is jobs, newest first, or children.
type ListJobsOutput struct {
	Jobs []JobSummary `json:"jobs"`
	Next string       `json:"next,omitempty"` // Token of the next page of children
}

// JobSummary is one line of a list.
type JobSummary struct {
	Job        string  `json:"job"`
	Index      *int32  `json:"index,omitempty"`
	Name       string  `json:"name"`
	Queue      string  `json:"queue"`
	Definition string  `json:"definition"`
	Status     string  `json:"status"`
	Reason     string  `json:"reason,omitempty"`
	Size       int32   `json:"size"`
	Counts     *Counts `json:"counts,omitempty"`
	Created    int64   `json:"created"`
	Started    int64   `json:"started"`
	Stopped    int64   `json:"stopped"`

	Forecast *Forecast `json:"forecast,omitempty"` // until it has ended
}

var _ = wire.Op(Ops, "ListJobs", (*Service).ListJobs, path("listjobs"),
	wire.Range("Limit", 1, 1000),
	wire.Enum("Status", "SUBMITTED", "PENDING", "RUNNABLE", "STARTING", "RUNNING", "SUCCEEDED", "FAILED"))

// ListJobs lists the newest jobs of one queue or of all, or the children of an array.
func (s *Service) ListJobs(ctx context.Context, in *ListJobsInput) (*ListJobsOutput, error) {
	q := manager.ListQuery{Limit: int(given(in.Limit, 100)), NewestFirst: true}
	if in.Status != nil {
		q.Status, _ = job.ParseStatus(*in.Status)
	}
	if in.Name != nil {
		q.Name = *in.Name
	}
	switch {
	case in.Array != nil && in.Queue != nil:
		return nil, fault.New(fault.Invalid, "ValidationException", "give queue or array, not both")
	case in.Array != nil:
		return s.children(ctx, *in.Array, in.Token, q)
	case in.Queue != nil:
		q.Queue = *in.Queue
		page, err := s.jobs.List(ctx, q)
		if err != nil {
			return nil, err
		}
		return s.listed(ctx, page.Jobs, "")
	}
	queues, err := s.jobs.Queues(ctx)
	if err != nil {
		return nil, err
	}
	var all []manager.Summary
	for _, queue := range queues {
		q.Queue = queue.Name
		page, err := s.jobs.List(ctx, q)
		if err != nil {
			return nil, err
		}
		all = append(all, page.Jobs...)
	}
	slices.SortFunc(all, func(a, b manager.Summary) int {
		return cmp.Or(cmp.Compare(b.Created, a.Created), cmp.Compare(b.Key, a.Key))
	})
	return s.listed(ctx, all[:min(len(all), q.Limit)], "")
}

func (s *Service) children(ctx context.Context, array string, token *string, q manager.ListQuery) (*ListJobsOutput, error) {
	id, index, err := unit(array)
	if err != nil {
		return nil, err
	}
	if index != job.Whole {
		return nil, fault.New(fault.Invalid, "ValidationException", "%s is a child; give the array's own id", array)
	}
	q.Array, q.NewestFirst = id, false
	if token != nil {
		q.Token = *token
	}
	page, err := s.jobs.List(ctx, q)
	if err != nil {
		return nil, err
	}
	return s.listed(ctx, page.Jobs, page.Next)
}

// listed is the answer with these lines.
func (s *Service) listed(ctx context.Context, lines []manager.Summary, next string) (*ListJobsOutput, error) {
	seen, err := s.jobs.ForeseeList(ctx, lines)
	if err != nil {
		return nil, err
	}
	out := &ListJobsOutput{Jobs: summaries(lines), Next: next}
	for i, f := range seen {
		out.Jobs[i].Forecast = forecast(f)
	}
	return out, nil
}

func summaries(all []manager.Summary) []JobSummary {
	var out []JobSummary
	for i := range all {
		m := &all[i]
		j := JobSummary{
			Job: job.Name(m.ID, m.Index), Name: m.Name, Queue: m.Queue, Definition: m.Definition,
			Status: m.Unit.Status.String(), Reason: m.Unit.StatusReason, Size: m.Size,
			Created: m.Created, Started: m.Unit.Started, Stopped: m.Unit.Stopped,
		}
		if m.Index != job.Whole {
			j.Index = &m.Index
		}
		if m.Counts != nil {
			c := counts(m.Counts)
			j.Counts = &c
		}
		out = append(out, j)
	}
	return out
}
