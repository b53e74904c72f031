package manager

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"drover/internal/core/fault"
	"drover/internal/core/job"
	"drover/internal/store"
)

const jobColumns = `key, created, spec, status, reason, base, base_reason, counts, flags, user_reason, ready, stopped, tags, changed`

// loadChunk is how many jobs a part of an image has.
const loadChunk = 1000

// Load begins a new term of leadership and reads the image in one snapshot.
func (j *journal) Load(ctx context.Context, part func(Image)) error {
	if err := j.lead(ctx); err != nil {
		return err
	}
	return j.db.View(ctx, func(tx *store.Tx) error {
		var img Image
		var top int64
		if err := tx.Row(`SELECT COALESCE(MAX(key), 0) FROM jobs`).Scan(&top); err != nil {
			return err
		}
		img.NextKey = job.Key(top + 1)
		if err := loadRecords(tx, &img); err != nil {
			return err
		}
		var err error
		if img.Usage, err = loadUsage(tx); err != nil {
			return err
		}
		if img.Paces, err = loadPaces(tx); err != nil {
			return err
		}
		part(img)
		return loadLive(tx, part)
	})
}

// loadLive reads the jobs that have not ended, chunk by chunk. While it reads the rows of one
// chunk, what is in those of the chunk before is made out.
func loadLive(tx *store.Tx, part func(Image)) error {
	l := loader{tx: tx, specs: specs{}, tags: map[string]map[string]string{}}
	seen := map[job.ID]bool{} // jobs that others depend on
	before := func() error { return nil }
	for after := int64(0); ; {
		rows, err := l.rows(`status < 6 AND key > $1 ORDER BY key LIMIT $2`, after, int64(loadChunk))
		if err = errors.Join(err, before()); err != nil || len(rows) == 0 {
			return err
		}
		after = rows[len(rows)-1].key
		var jobs []Loaded
		read := make(chan error, 1)
		go func() {
			var err error
			jobs, err = l.read(rows)
			read <- err
		}()
		before = func() error {
			if err := <-read; err != nil {
				return err
			}
			if err := l.units(jobs); err != nil {
				return err
			}
			ended, err := l.endedDependencies(jobs, seen)
			if err == nil {
				part(Image{Jobs: append(ended, jobs...)})
			}
			return err
		}
	}
}

func loadRecords(tx *store.Tx, img *Image) error {
	var errs [5]error
	img.Queues, errs[0] = scanAll(tx, queueTable)
	img.Environments, errs[1] = scanAll(tx, environmentTable)
	img.Policies, errs[2] = scanAll(tx, policyTable)
	img.Consumables, errs[3] = scanAll(tx, consumableTable)
	img.QuotaShares, errs[4] = scanAll(tx, quotaShareTable)
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	rows, err := tx.Query(`SELECT json FROM hosts ORDER BY id`)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var text string
		var h HostRow
		if err := rows.Scan(&text); err != nil {
			return err
		}
		if err := json.Unmarshal([]byte(text), &h); err != nil {
			return fmt.Errorf("the stored host %q: %w", text, err)
		}
		img.Hosts = append(img.Hosts, h)
	}
	return rows.Err()
}

// loadUsage reads what has not been forgotten yet; Purge deletes the rest.
func loadUsage(tx *store.Tx) ([]UsageRow, error) {
	rows, err := tx.Query(`SELECT at, queue, share, amount FROM usage WHERE at > (SELECT COALESCE(MAX(at), 0) FROM usage) - $1 ORDER BY at, queue, share`, usageKept.Microseconds())
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []UsageRow
	for rows.Next() {
		var u UsageRow
		if err := rows.Scan(&u.At, &u.Queue, &u.Share, &u.Amount); err != nil {
			return nil, err
		}
		out = append(out, u)
	}
	return out, rows.Err()
}

func scanAll[T any](tx *store.Tx, t *store.Table[T]) ([]T, error) {
	var out []T
	after := ""
	for {
		page, err := t.Scan(tx, "", after, 500)
		if err != nil || len(page) == 0 {
			return out, err
		}
		for _, e := range page {
			out = append(out, e.Value)
		}
		after = page[len(page)-1].Key
	}
}

// maxSeen bounds the memory of what endedDependencies has looked up already.
const maxSeen = 100_000

// endedDependencies finds jobs that have ended but on which some of these depend: whether
// those may start follows from them. What it has looked for lately it does not look for again.
func (l *loader) endedDependencies(jobs []Loaded, seen map[job.ID]bool) ([]Loaded, error) {
	var out []Loaded
	for _, w := range jobs {
		for _, d := range w.Spec.Dependencies {
			if d.Kind == job.Sequential || seen[d.ID] {
				continue
			}
			if len(seen) >= maxSeen {
				clear(seen)
			}
			seen[d.ID] = true
			found, err := l.jobs(`id = $1 AND status >= 6`, d.ID[:])
			if err != nil {
				return nil, err
			}
			out = append(out, found...)
		}
	}
	return out, nil
}

// Find gives jobs by id or token.
func (j *journal) Find(ctx context.Context, ids []job.ID, tokens []string) ([]Loaded, error) {
	var out []Loaded
	err := j.db.View(ctx, func(tx *store.Tx) error {
		out = nil
		for _, id := range ids {
			l, err := loadJobs(tx, `id = $1`, id[:])
			if err != nil {
				return err
			}
			out = append(out, l...)
		}
		for _, t := range tokens {
			l, err := loadJobs(tx, `token = $1`, t)
			if err != nil {
				return err
			}
			out = append(out, l...)
		}
		return nil
	})
	return out, err
}

func loadJobs(tx *store.Tx, where string, args ...any) ([]Loaded, error) {
	return (&loader{tx: tx}).jobs(where, args...)
}

// loader reads jobs. With maps it keeps what many of them share, which nobody may write to.
type loader struct {
	tx    *store.Tx
	specs specs
	tags  map[string]map[string]string
}

func (d *loader) jobs(where string, args ...any) ([]Loaded, error) {
	rows, err := d.rows(where, args...)
	if err != nil {
		return nil, err
	}
	out, err := d.read(rows)
	if err != nil {
		return nil, err
	}
	return out, d.units(out)
}

// storedJob is the row of a job.
type storedJob struct {
	key, created, status, base, flags, ready, stopped, changed int64
	spec                                                       []byte
	reason, baseReason, counts, userReason                     string
	tags                                                       *string
}

func (d *loader) rows(where string, args ...any) ([]storedJob, error) {
	rows, err := d.tx.Query(`SELECT `+jobColumns+` FROM jobs WHERE `+where, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []storedJob
	for rows.Next() {
		out = append(out, storedJob{})
		if err := out[len(out)-1].scan(rows); err != nil {
			return nil, err
		}
	}
	return out, rows.Err()
}

func (v *storedJob) scan(row store.Scanner) error {
	return row.Scan(&v.key, &v.created, &v.spec, &v.status, &v.reason, &v.base, &v.baseReason, &v.counts, &v.flags, &v.userReason, &v.ready, &v.stopped, &v.tags, &v.changed)
}

// read makes out what is in rows.
func (d *loader) read(rows []storedJob) ([]Loaded, error) {
	out := make([]Loaded, len(rows))
	for i := range rows {
		var err error
		if out[i], err = d.readOne(&rows[i]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// units reads the units of jobs that have some.
func (d *loader) units(jobs []Loaded) error {
	for i := range jobs {
		if !jobs[i].Row.Begun {
			continue
		}
		if err := loadUnits(d.tx, &jobs[i]); err != nil {
			return err
		}
	}
	return nil
}

func scanJob(row store.Scanner) (Loaded, error) {
	var v storedJob
	if err := v.scan(row); err != nil {
		return Loaded{}, err
	}
	return (&loader{}).readOne(&v)
}

func (d *loader) readOne(v *storedJob) (Loaded, error) {
	l := Loaded{Created: v.created, Row: JobRow{
		Key: job.Key(v.key), Status: job.Status(v.status), Reason: v.reason, Base: job.Status(v.base), BaseReason: v.baseReason,
		Cancelled: v.flags&flagCancelled != 0, Terminated: v.flags&flagTerminated != 0, Begun: v.flags&flagBegun != 0,
		UserReason: v.userReason, Ready: v.ready, Stopped: v.stopped, Changed: v.changed,
	}}
	var err error
	if l.Spec, l.Common, err = d.specs.read(v.spec); err != nil {
		return l, fmt.Errorf("the stored job %d: %w", v.key, err)
	}
	if l.Spec.Version != job.SpecVersion {
		return l, fault.New(fault.Internal, "ServerException", "job %s was stored by another version of drover (format %d, this one reads %d)", l.Spec.ID, l.Spec.Version, job.SpecVersion)
	}
	l.Spec.Key = job.Key(v.key)
	if l.Spec.Size > 0 {
		if err := json.Unmarshal([]byte(v.counts), &l.Row.Counts); err != nil {
			return l, fmt.Errorf("the stored counts of job %d: %w", v.key, err)
		}
	}
	if v.tags != nil {
		if l.Row.Tags, err = d.readTags(*v.tags); err != nil {
			return l, fmt.Errorf("the stored tags of job %d: %w", v.key, err)
		}
	}
	return l, nil
}

func (d *loader) readTags(text string) (map[string]string, error) {
	if t, ok := d.tags[text]; ok {
		return t, nil
	}
	var t map[string]string
	if err := json.Unmarshal([]byte(text), &t); err != nil {
		return nil, err
	}
	if len(d.tags) >= maxCommon {
		clear(d.tags)
	}
	if d.tags != nil {
		d.tags[text] = t
	}
	return t, nil
}

// loadUnits reads which children left the base, and the whole of those that may still move.
func loadUnits(tx *store.Tx, l *Loaded) error {
	if l.Spec.Size > 0 {
		rows, err := tx.Query(`SELECT idx, status FROM units WHERE job = $1 ORDER BY idx`, int64(l.Row.Key))
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var idx, status int64
			if err := rows.Scan(&idx, &status); err != nil {
				return err
			}
			l.Touched = append(l.Touched, ChildStatus{int32(idx), job.Status(status)})
		}
		if err := rows.Err(); err != nil {
			return err
		}
		rows.Close()
	}
	where := `job = $1 AND status < 6`
	if l.Spec.Size == 0 {
		where = `job = $1` // of a plain job the last attempt too, when it has ended; and the nodes
	}
	units, err := queryUnits(tx, `SELECT `+unitColumns+` FROM units WHERE `+where+` ORDER BY idx`, int64(l.Row.Key))
	l.Units = units
	return err
}

func queryUnits(tx *store.Tx, query string, args ...any) ([]UnitRow, error) {
	rows, err := tx.Query(query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []UnitRow
	for rows.Next() {
		u, err := scanUnit(rows)
		if err != nil {
			return nil, err
		}
		out = append(out, u)
	}
	return out, rows.Err()
}

func scanUnit(row store.Scanner) (UnitRow, error) {
	var r UnitRow
	var key, idx, status, fl, attempt, fence, ended, preempted int64
	var code, cost *int64
	var cause, members string
	var x job.Exit
	u := &r.Unit
	err := row.Scan(&key, &idx, &status, &fl, &u.StatusReason, &u.UserReason, &u.Ready, &attempt, &fence, &u.Host, &u.Environment, &u.Log, &u.Placed, &u.Started, &u.Stopped,
		&u.AttemptWhy, &ended, &code, &x.Reason, &cause, &x.ErrorLine, &x.Usage.CPUMillis, &x.Usage.PeakMemKiB, &x.Usage.BytesIn, &x.Usage.BytesOut, &cost, &u.MemoryMiB, &members, &u.Address, &preempted)
	if err != nil {
		return r, err
	}
	r.Ref = job.Ref{Key: job.Key(key), Index: int32(idx)}
	u.Status, u.Attempt, u.Fence, u.Preempted = job.Status(status), int32(attempt), uint32(fence), int32(preempted)
	u.Cancelled, u.Terminated = fl&flagCancelled != 0, fl&flagTerminated != 0
	if ended != 0 {
		if code != nil {
			c := int32(*code)
			x.Code = &c
		}
		x.Cause = job.Cause(cause)
		if members != "" {
			if err := json.Unmarshal([]byte(members), &x.Members); err != nil {
				return r, fmt.Errorf("how the containers of an attempt ended cannot be read: %w", err)
			}
		}
		u.Exit = &x
	}
	return r, nil
}
