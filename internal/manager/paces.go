package manager

import (
	"fmt"
	"slices"
	"strconv"

	"drover/internal/core/forecast"
	"drover/internal/core/job"
	"drover/internal/store"
)

// paces is how long attempts ran, by job definition: what a forecast expects of others. It is
// read anew from the last attempts when a manager begins, and no decision rests on it.
type paces struct {
	by  map[string]*pace
	seq uint64
}

type pace struct {
	forecast.Sample
	used uint64 // seq when it was last added to
}

// maxPaces is how many job definitions are remembered; the ones that ran long ago go first.
const maxPaces = 8192

// Pace is how long one attempt of a job definition held its place.
type Pace struct {
	Definition string
	Micros     int64
	Limit      int32 // its timeout (s); 0 = none
	Kind       string
}

// heard takes note of an attempt that ended by itself.
func (p *paces) heard(s *job.Spec, u job.Unit, placed int64, now Instant) {
	if u.Exit == nil || u.Terminated || u.Exit.Cause != "" && u.Exit.Cause != job.CauseExit && u.Exit.Cause != job.CauseTimeout {
		return
	}
	p.note(s.Definition, now.Wall-placed, s.TimeoutSeconds)
	p.note(kind(s), now.Wall-placed, s.TimeoutSeconds)
}

// kind is jobs of one definition that ask for the same: they are more alike than others.
func kind(s *job.Spec) string {
	return s.Definition + " " + strconv.FormatInt(s.Need.MilliVCPU, 10) + " " + strconv.FormatInt(int64(s.TimeoutSeconds), 10)
}

// enough is how many attempts of a kind say more than all of its definition.
const enough = 4

// of gives what is known of jobs like this one; nil = nothing.
func (p *paces) of(s *job.Spec) *pace {
	if k := p.by[kind(s)]; k != nil && k.Known() >= enough {
		return k
	}
	return p.by[s.Definition]
}

func (p *paces) note(definition string, micros int64, limit int32) {
	if p.by == nil {
		p.by = map[string]*pace{}
	}
	s := p.by[definition]
	if s == nil {
		if len(p.by) >= maxPaces {
			p.forget()
		}
		s = &pace{}
		p.by[definition] = s
	}
	p.seq++
	s.used = p.seq
	s.Note(micros, limit)
}

// forget drops the half that was used longest ago.
func (p *paces) forget() {
	used := make([]uint64, 0, len(p.by))
	for _, s := range p.by {
		used = append(used, s.used)
	}
	slices.Sort(used)
	for name, s := range p.by {
		if s.used <= used[len(used)/2] {
			delete(p.by, name)
		}
	}
}

func (p *paces) load(rows []Pace) {
	for _, r := range rows {
		p.note(r.Definition, r.Micros, r.Limit)
		p.note(r.Kind, r.Micros, r.Limit)
	}
}

// Bounds of what is read of the past when a manager begins.
const (
	pacedJobs  = 1000
	pacedUnits = 16 // of each
)

// loadPaces reads how long attempts of the jobs that ended last ran.
func loadPaces(tx *store.Tx) ([]Pace, error) {
	rows, err := tx.Query(`SELECT key, definition, spec FROM jobs WHERE status >= 6 ORDER BY stopped DESC LIMIT $1`, int64(pacedJobs))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	type ended struct {
		key  int64
		pace Pace
	}
	var jobs []ended
	known := specs{}
	for rows.Next() {
		var e ended
		var spec []byte
		if err := rows.Scan(&e.key, &e.pace.Definition, &spec); err != nil {
			return nil, err
		}
		s, _, err := known.read(spec)
		if err != nil {
			return nil, fmt.Errorf("the stored job %d: %w", e.key, err)
		}
		s.Definition = e.pace.Definition
		e.pace.Limit, e.pace.Kind = s.TimeoutSeconds, kind(s)
		jobs = append(jobs, e)
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	rows.Close()
	slices.Reverse(jobs)
	var out []Pace
	for _, e := range jobs {
		if out, err = loadPace(tx, e.key, e.pace, out); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func loadPace(tx *store.Tx, key int64, p Pace, out []Pace) ([]Pace, error) {
	rows, err := tx.Query(`SELECT stopped - placed FROM units WHERE job = $1 AND started > 0 AND stopped > placed AND (cause = '' OR cause = 'exit' OR cause = 'timeout') LIMIT $2`, key, int64(pacedUnits))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		if err := rows.Scan(&p.Micros); err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, rows.Err()
}
