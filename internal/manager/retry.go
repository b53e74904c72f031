package manager

import (
	"context"

	"drover/internal/core/fault"
	"drover/internal/core/job"
	"drover/internal/store"
)

// maxRetried bounds the children of one retry: their numbers are part of its spec.
const maxRetried = 100_000

// Retry submits what has failed of an ended job again, as a new job: a plain job whole, of
// an array the children that FAILED and no other. Each child sees the number and the size
// that it had in the first array. What the job depended on has ended and is left out.
func (m *Manager) Retry(ctx context.Context, id job.ID) (Receipt, *job.Spec, error) {
	var old Loaded
	err := m.db.View(ctx, func(tx *store.Tx) error {
		found, err := loadJobs(tx, `id = $1`, id[:])
		if err == nil && len(found) == 0 {
			err = fault.New(fault.NotFound, "ClientException", "Job %s does not exist", id)
		}
		if err == nil {
			old = found[0]
		}
		return err
	})
	if err != nil {
		return Receipt{}, nil, err
	}
	s, err := retrySpec(old)
	if err != nil {
		return Receipt{}, nil, err
	}
	out, err := m.Submit(ctx, []*job.Spec{s})
	if err != nil {
		return Receipt{}, nil, err
	}
	return out[0], s, nil
}

// retrySpec makes the spec of a retry.
func retrySpec(old Loaded) (*job.Spec, error) {
	s := *old.Spec
	switch {
	case !old.Row.Status.Terminal():
		return nil, client("Job %s is %s: wait until it has ended, or terminate it", s.ID, old.Row.Status)
	case old.Row.Status != job.Failed:
		return nil, client("Job %s has SUCCEEDED: there is nothing to retry", s.ID)
	case s.Stage != "":
		return nil, client("Job %s was started by drover map: go on with drover map --resume", s.ID)
	}
	s.ID, s.Token, s.After = job.ID{}, "", job.AfterSuccess
	s.Tags = old.Row.Tags
	s.Dependencies = nil
	if s.Size == 0 {
		return &s, nil
	}
	for _, d := range old.Spec.Dependencies {
		if d.Kind == job.Sequential {
			s.Dependencies = append(s.Dependencies, d)
		}
	}
	failed := failedChildren(old)
	if len(failed) > maxRetried {
		return nil, client("%d children of job %s have failed, at most %d can be retried: submit it again", len(failed), old.Spec.ID, maxRetried)
	}
	s.Size, s.Of, s.Numbers = int32(len(failed)), max(old.Spec.Of, old.Spec.Size), failed
	if was := old.Spec.Numbers; was != nil { // a retry of a retry: the numbers of the first
		for i, n := range failed {
			s.Numbers[i] = was[n]
		}
	}
	return &s, nil
}

// failedChildren lists the numbers of the children that FAILED.
func failedChildren(l Loaded) []int32 {
	var out []int32
	next := int32(0)
	gap := func(to int32) {
		for ; next < to; next++ {
			if l.Row.Base == job.Failed {
				out = append(out, next)
			}
		}
	}
	for _, c := range l.Touched {
		gap(c.Index)
		if next = c.Index + 1; c.Status == job.Failed {
			out = append(out, c.Index)
		}
	}
	gap(l.Spec.Size)
	return out
}
