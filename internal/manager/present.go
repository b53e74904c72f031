package manager

import (
	"context"

	"drover/internal/core/forecast"
	"drover/internal/core/job"
	"drover/internal/store"
)

// Present is the configuration and the hosts of now: with the jobs of PresentJobs all that
// a simulation needs to go on from here.
type Present struct {
	At    int64 // µs
	Image Image // without jobs
	Hosts []Host
}

// Present reads the configuration.
func (m *Manager) Present(ctx context.Context) (Present, error) {
	p := Present{}
	err := m.db.View(ctx, func(tx *store.Tx) (err error) {
		p.Image = Image{}
		if err := loadRecords(tx, &p.Image); err != nil {
			return err
		}
		var top int64
		if err := tx.Row(`SELECT COALESCE(MAX(key), 0) FROM jobs`).Scan(&top); err != nil {
			return err
		}
		p.Image.NextKey = job.Key(top + 1)
		p.Image.Usage, err = loadUsage(tx)
		return err
	})
	if err != nil {
		return p, err
	}
	err = m.ask(ctx, func(c *Core) { p.At, p.Hosts = m.instant().Wall, c.Hosts() })
	return p, err
}

// PresentJob is a job that has not ended, without what only its worker must know, and how
// long units of it are expected to run.
type PresentJob struct {
	Loaded
	Run  forecast.Run   // of a unit that begins
	Ends []forecast.End // of those that run
}

// PresentJobs reads up to limit jobs that have not ended, in the order of their keys.
func (m *Manager) PresentJobs(ctx context.Context, after job.Key, limit int) ([]PresentJob, error) {
	var jobs []Loaded
	err := m.db.View(ctx, func(tx *store.Tx) (err error) {
		jobs, err = loadJobs(tx, `status < 6 AND key > $1 ORDER BY key LIMIT $2`, int64(after), int64(limit))
		return err
	})
	if err != nil {
		return nil, err
	}
	out := make([]PresentJob, len(jobs))
	for i := range jobs {
		jobs[i].Spec = bare(jobs[i].Spec)
		jobs[i].Common = "" // it has all of that in it
		for n := range jobs[i].Units {
			u := &jobs[i].Units[n].Unit
			u.Log, u.UserReason, u.StatusReason, u.AttemptWhy, u.Exit = "", "", "", "", nil
		}
		out[i].Loaded = jobs[i]
	}
	err = m.ask(ctx, func(c *Core) {
		now := m.instant().Wall
		for i := range out {
			out[i].Run, out[i].Ends = c.expected(out[i].Row.Key, now)
		}
	})
	return out, err
}

// bare is of a spec only what a decision rests on: no commands, no variables, no secrets.
func bare(s *job.Spec) *job.Spec {
	out := &job.Spec{
		Version: s.Version, Key: s.Key, ID: s.ID, Name: s.Name, Queue: s.Queue, Definition: s.Definition, Image: s.Image, Need: s.Need, Size: s.Size, Retry: s.Retry,
		TimeoutSeconds: s.TimeoutSeconds, Dependencies: s.Dependencies, Share: s.Share, Priority: s.Priority, QuotaShare: s.QuotaShare, Consumables: s.Consumables,
		After: s.After, MaxRunning: s.MaxRunning, Counted: s.Counted, GrowMemory: s.GrowMemory, Requires: wants(s.Requires, s.Container),
	}
	if s.Nodes != nil {
		out.Nodes = &job.Nodes{Count: s.Nodes.Count, Main: s.Nodes.Main}
		for _, g := range s.Nodes.Groups {
			out.Nodes.Groups = append(out.Nodes.Groups, job.NodeGroup{First: g.First, Last: g.Last, Range: g.Range, Work: job.Work{Image: g.Image, Need: g.Need}})
		}
	}
	return out
}

// expected is how long units of a job will run, and when those that run will end.
func (c *Core) expected(k job.Key, now int64) (forecast.Run, []forecast.End) {
	e := c.peek(k)
	if e == nil {
		return forecast.Run{}, nil
	}
	var ends []forecast.End
	end := func(i int32) {
		u := e.get(i)
		if !u.Status.Live() {
			return
		}
		ends = append(ends, forecast.End{Ref: job.Ref{Key: k, Index: i}, At: u.Placed + stretched(c.expectedRun(e.spec, e.spec.Queue, now-u.Placed), now-u.Placed)})
	}
	if e.array == nil {
		end(job.Whole)
	} else {
		for _, i := range e.array.Active() {
			end(i)
		}
	}
	return c.expectedRun(e.spec, e.spec.Queue, 0), ends
}
