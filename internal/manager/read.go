package manager

import (
	"context"
	"encoding/json"

	"drover/internal/core/job"
	"drover/internal/store"
)

// exists is a ClientException if the unit does not.
func (m *Manager) exists(ctx context.Context, id job.ID, index int32) error {
	return m.db.View(ctx, func(tx *store.Tx) error {
		if n, ok := job.NodeOf(index); ok {
			v, ok, err := describe(tx, id, index)
			if err == nil && (!ok || v.Spec.Nodes == nil) {
				err = client("Job %s does not exist", job.Name(id, index))
			}
			if err == nil {
				err = oneNode(id, n)
			}
			return err
		}
		var size int64
		err := tx.Row(`SELECT size FROM jobs WHERE id = $1`, id[:]).Scan(&size)
		if isNoRows(err) || err == nil && index != job.Whole && int64(index) >= size {
			return client("Job %s does not exist", job.Name(id, index))
		}
		return err
	})
}

// Describe gives the recorded state of units by name; unknown names are left out.
func (m *Manager) Describe(ctx context.Context, names []string) ([]View, error) {
	views := make([]View, 0, len(names))
	err := m.db.View(ctx, func(tx *store.Tx) error {
		views = views[:0]
		for _, n := range names {
			id, index, ok := job.ParseName(n)
			if !ok {
				continue
			}
			v, ok, err := describe(tx, id, index)
			if err != nil {
				return err
			}
			if ok {
				views = append(views, v)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return views, m.explain(ctx, views)
}

// explain adds to views of units that wait why they do.
func (m *Manager) explain(ctx context.Context, views []View) error {
	var waiting bool
	for _, v := range views {
		waiting = waiting || v.Unit.Status == job.Runnable || v.Unit.Status == job.Pending
	}
	if !waiting {
		return nil
	}
	return m.ask(ctx, func(c *Core) {
		for i := range views {
			if s := views[i].Unit.Status; s == job.Runnable || s == job.Pending {
				views[i].Wait = c.Why(views[i].Spec.ID, views[i].Index, m.instant().Wall)
			}
		}
	})
}

func describe(tx *store.Tx, id job.ID, index int32) (View, bool, error) {
	l, err := scanJob(tx.Row(`SELECT `+jobColumns+` FROM jobs WHERE id = $1`, id[:]))
	if isNoRows(err) {
		return View{}, false, nil
	}
	if err != nil {
		return View{}, false, err
	}
	s, r := l.Spec, &l.Row
	if n, node := job.NodeOf(index); node && (s.Nodes == nil || n >= s.Nodes.Count) || index != job.Whole && !node && index >= s.Size {
		return View{}, false, nil
	}
	s.Tags = r.Tags
	v := View{Key: s.Key, Spec: s, Index: index, Created: l.Created}
	v.Unit = job.Unit{Status: r.Status, StatusReason: r.Reason, Cancelled: r.Cancelled, Terminated: r.Terminated, UserReason: r.UserReason, Ready: r.Ready, Stopped: r.Stopped}
	if s.Size > 0 && index == job.Whole {
		v.Counts, v.Changed = &r.Counts, r.Changed
		return v, true, nil
	}
	units, err := queryUnits(tx, `SELECT `+unitColumns+` FROM units WHERE job = $1 AND idx = $2`, int64(s.Key), int64(index))
	if err != nil {
		return v, false, err
	}
	if len(units) == 0 {
		if _, node := job.NodeOf(index); node {
			return v, true, nil // before the first attempt a node is as its job
		}
		if index != job.Whole { // untouched: the base holds
			v.Unit = job.Unit{Status: r.Base, StatusReason: r.BaseReason, Cancelled: r.Cancelled, Terminated: r.Terminated, Ready: r.Ready}
			if r.Base.Terminal() {
				v.Unit.Stopped = max(r.Stopped, l.Created)
			}
		}
		return v, true, nil
	}
	v.Unit = units[0].Unit
	if v.Unit.Ready == 0 {
		v.Unit.Ready = r.Ready
	}
	v.Attempts, err = attempts(tx, units[0])
	return v, true, err
}

// attempts lists the attempts of a unit, oldest first.
func attempts(tx *store.Tx, u UnitRow) ([]Attempt, error) {
	var out []Attempt
	// The one attempt of a unit that ended with it says why both did.
	if u.Attempt > 1 || u.Attempt == 1 && u.StatusReason != u.AttemptWhy {
		past, err := queryUnits(tx, `SELECT `+unitColumns+` FROM attempts WHERE job = $1 AND idx = $2 ORDER BY attempt`, int64(u.Ref.Key), int64(u.Ref.Index))
		if err != nil {
			return nil, err
		}
		for _, p := range past {
			out = append(out, attemptOf(&p.Unit))
		}
	}
	// A unit that waited to be tried again when it was ended has an end of its own, later
	// than that of its last attempt.
	if n := len(out); u.Attempt > 0 && (n == 0 || out[n-1].Number < u.Attempt) {
		out = append(out, attemptOf(&u.Unit))
	}
	return out, nil
}

func attemptOf(u *job.Unit) Attempt {
	return Attempt{
		Number: u.Attempt, Fence: u.Fence, Host: u.Host, Environment: u.Environment, Log: u.Log,
		Placed: u.Placed, Started: u.Started, Stopped: u.Stopped, Address: u.Address, Exit: u.Exit, Why: u.AttemptWhy,
	}
}

// Transitions gives rows of the outbox after a number, oldest first.
func (m *Manager) Transitions(ctx context.Context, after int64, limit int) ([]Transition, error) {
	var out []Transition
	err := m.db.View(ctx, func(tx *store.Tx) error {
		out = nil
		rows, err := tx.Query(`SELECT o.seq, o.at, o.job, o.lo, o.hi, o.before, o.after, o.why, j.id FROM outbox o JOIN jobs j ON j.key = o.job WHERE o.seq > $1 ORDER BY o.seq LIMIT $2`, after, int64(limit))
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var t Transition
			var key, lo, hi, from, to int64
			var id []byte
			if err := rows.Scan(&t.Seq, &t.At, &key, &lo, &hi, &from, &to, &t.Why, &id); err != nil {
				return err
			}
			t.Key, t.Lo, t.Hi, t.From, t.To = job.Key(key), int32(lo), int32(hi), job.Status(from), job.Status(to)
			copy(t.ID[:], id)
			out = append(out, t)
		}
		return rows.Err()
	})
	return out, err
}

// tagEnded changes the tags of a job that is no longer in memory.
func (m *Manager) tagEnded(ctx context.Context, id job.ID, set map[string]string, remove []string) error {
	return m.db.Update(ctx, func(tx *store.Tx) error {
		var text *string
		if err := tx.Row(`SELECT tags FROM jobs WHERE id = $1`, id[:]).Scan(&text); err != nil {
			return err
		}
		var old map[string]string
		if text != nil {
			if err := json.Unmarshal([]byte(*text), &old); err != nil {
				return err
			}
		}
		b, err := json.Marshal(retag(old, set, remove))
		if err != nil {
			return err
		}
		_, err = tx.Exec(`UPDATE jobs SET tags = $2 WHERE id = $1`, id[:], string(b))
		return err
	})
}
