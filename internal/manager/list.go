package manager

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"drover/internal/core/job"
	"drover/internal/store"
)

// List gives one page of jobs, or of an array's children.
func (m *Manager) List(ctx context.Context, q ListQuery) (Page, error) {
	var p Page
	err := m.db.View(ctx, func(tx *store.Tx) (err error) {
		if q.Array != (job.ID{}) {
			p, err = listChildren(tx, q)
		} else if q.Gang != (job.ID{}) {
			p, err = listNodes(tx, q)
		} else {
			p, err = listQueue(tx, q)
		}
		return err
	})
	return p, err
}

// maxScan bounds the rows that one page of a filtered list looks at.
const maxScan = 20_000

func listQueue(tx *store.Tx, q ListQuery) (Page, error) {
	var p Page
	where := []string{`queue = $1`}
	args := []any{q.Queue}
	add := func(cond string, v any) {
		args = append(args, v)
		where = append(where, fmt.Sprintf(cond, len(args)))
	}
	if q.Status != 0 {
		add(`status = $%d`, int64(q.Status))
	}
	if q.CreatedBefore != 0 {
		add(`created < $%d`, q.CreatedBefore)
	}
	if q.CreatedAfter != 0 {
		add(`created > $%d`, q.CreatedAfter)
	}
	if q.Share != "" {
		add(`share = $%d`, q.Share)
	}
	order, cmp := "", ">"
	if q.NewestFirst {
		order, cmp = " DESC", "<"
	}
	if q.Token != "" {
		k, err := strconv.ParseInt(q.Token, 10, 64)
		if err != nil {
			return p, client("the nextToken is not one that drover gave")
		}
		add(`key `+cmp+` $%d`, k)
	}
	rows, err := tx.Query(fmt.Sprintf(`SELECT key, id, name, definition, share, size, nodes, created, status, reason, counts, ready, stopped, changed FROM jobs WHERE %s ORDER BY key%s LIMIT %d`,
		strings.Join(where, " AND "), order, maxScan), args...)
	if err != nil {
		return p, err
	}
	defer rows.Close()
	var last int64
	scanned := 0
	for rows.Next() {
		if len(p.Jobs) == q.Limit {
			p.Next = strconv.FormatInt(last, 10)
			return p, nil
		}
		var s Summary
		var key, size, nodes, status int64
		var id []byte
		var counts string
		if err := rows.Scan(&key, &id, &s.Name, &s.Definition, &s.Share, &size, &nodes, &s.Created, &status, &s.Unit.StatusReason, &counts, &s.Unit.Ready, &s.Unit.Stopped, &s.Changed); err != nil {
			return p, err
		}
		last, scanned = key, scanned+1
		if !matches(q.Name, s.Name) || !matchesDefinition(q.Definition, s.Definition) {
			continue
		}
		s.Key, s.Queue, s.Index, s.Size, s.Nodes = job.Key(key), q.Queue, job.Whole, int32(size), int32(nodes)
		copy(s.ID[:], id)
		s.Unit.Status = job.Status(status)
		if size > 0 {
			s.Counts = &job.Counts{}
			if err := json.Unmarshal([]byte(counts), s.Counts); err != nil {
				return p, err
			}
		}
		p.Jobs = append(p.Jobs, s)
	}
	if err := rows.Err(); err != nil {
		return p, err
	}
	if scanned == maxScan {
		p.Next = strconv.FormatInt(last, 10)
	}
	rows.Close()
	return p, fillUnits(tx, p.Jobs)
}

// fillUnits adds the attempt times of plain jobs, and what they ask for.
func fillUnits(tx *store.Tx, jobs []Summary) error {
	kept := specs{}
	for i := range jobs {
		s := &jobs[i]
		if s.Size > 0 {
			continue
		}
		var stored []byte
		if err := tx.Row(`SELECT spec FROM jobs WHERE key = $1`, int64(s.Key)).Scan(&stored); err != nil {
			return err
		}
		spec, _, err := kept.read(stored)
		if err != nil {
			return fmt.Errorf("the stored job %d: %w", s.Key, err)
		}
		s.MilliVCPU = milliVCPU(spec)
		units, err := queryUnits(tx, `SELECT `+unitColumns+` FROM units WHERE job = $1 AND idx = -1`, int64(s.Key))
		if err != nil {
			return err
		}
		if len(units) > 0 {
			s.Unit = units[0].Unit
		}
	}
	return nil
}

// milliVCPU is what all of a job that is no array asks for.
func milliVCPU(s *job.Spec) int64 {
	if s.Nodes == nil {
		return s.Need.MilliVCPU
	}
	sum := int64(0)
	for i := range s.Nodes.Groups {
		g := &s.Nodes.Groups[i]
		sum += g.Need.MilliVCPU * int64(g.Last-g.First+1)
	}
	return sum
}

func matches(pattern, s string) bool {
	if pattern == "" {
		return true
	}
	if p, ok := prefixPattern(pattern); ok {
		return len(s) >= len(p) && strings.EqualFold(s[:len(p)], p)
	}
	return strings.EqualFold(pattern, s)
}

func matchesDefinition(pattern, s string) bool {
	if !strings.Contains(pattern, ":") {
		s, _, _ = strings.Cut(s, ":")
	}
	return matches(pattern, s)
}

func listChildren(tx *store.Tx, q ListQuery) (Page, error) {
	var p Page
	l, err := scanJob(tx.Row(`SELECT `+jobColumns+` FROM jobs WHERE id = $1`, q.Array[:]))
	if isNoRows(err) {
		return p, client("Array job %s does not exist", q.Array)
	}
	if err != nil {
		return p, err
	}
	next := int64(0)
	if q.Token != "" {
		if next, err = strconv.ParseInt(q.Token, 10, 64); err != nil {
			return p, client("the nextToken is not one that drover gave")
		}
	}
	s := l.Spec
	line := func(i int64, u job.Unit) {
		p.Jobs = append(p.Jobs, Summary{Key: s.Key, ID: s.ID, Index: int32(i), Name: s.Name, Queue: s.Queue, Definition: s.Definition, Share: s.Share, Unit: u, Created: l.Created, MilliVCPU: s.Need.MilliVCPU})
	}
	base := job.Unit{Status: l.Row.Base, StatusReason: l.Row.BaseReason, Ready: l.Row.Ready}
	if l.Row.Base.Terminal() {
		base.Stopped = max(l.Row.Stopped, l.Created)
	}
	rows, err := tx.Query(`SELECT `+unitColumns+` FROM units WHERE job = $1 AND idx >= $2 ORDER BY idx`, int64(s.Key), next)
	if err != nil {
		return p, err
	}
	defer rows.Close()
	// Rows and the gaps between them, in order of index. A gap shares the base status.
	gap := func(to int64) {
		for ; next < to && len(p.Jobs) < q.Limit; next++ {
			if q.Status != 0 && q.Status != base.Status {
				next = to
				return
			}
			line(next, base)
		}
	}
	for len(p.Jobs) < q.Limit && rows.Next() {
		u, err := scanUnit(rows)
		if err != nil {
			return p, err
		}
		gap(int64(u.Ref.Index))
		if len(p.Jobs) == q.Limit {
			break
		}
		next = int64(u.Ref.Index) + 1
		if q.Status == 0 || u.Status == q.Status {
			line(int64(u.Ref.Index), u.Unit)
		}
	}
	if err := rows.Err(); err != nil {
		return p, err
	}
	if len(p.Jobs) < q.Limit {
		gap(int64(s.Size))
	}
	if next < int64(s.Size) {
		p.Next = strconv.FormatInt(next, 10)
	}
	return p, nil
}

// listNodes gives one page of the nodes of a multi-node parallel job.
func listNodes(tx *store.Tx, q ListQuery) (Page, error) {
	var p Page
	l, err := scanJob(tx.Row(`SELECT `+jobColumns+` FROM jobs WHERE id = $1`, q.Gang[:]))
	if isNoRows(err) || err == nil && l.Spec.Nodes == nil {
		return p, client("Multi-node parallel job %s does not exist", q.Gang)
	}
	if err != nil {
		return p, err
	}
	first := int64(0)
	if q.Token != "" {
		if first, err = strconv.ParseInt(q.Token, 10, 32); err != nil || first < 0 {
			return p, client("the nextToken is not one that drover gave")
		}
	}
	s, r := l.Spec, &l.Row
	rows, err := queryUnits(tx, `SELECT `+unitColumns+` FROM units WHERE job = $1 AND idx < -1 ORDER BY idx DESC`, int64(s.Key))
	if err != nil {
		return p, err
	}
	for n := int32(first); n < s.Nodes.Count; n++ {
		u := job.Unit{Status: r.Status, StatusReason: r.Reason, Ready: r.Ready, Stopped: r.Stopped} // as its job
		if len(rows) > 0 {
			u = rows[n].Unit
		}
		if q.Status != 0 && u.Status != q.Status {
			continue
		}
		if len(p.Jobs) == q.Limit {
			p.Next = strconv.Itoa(int(n))
			break
		}
		p.Jobs = append(p.Jobs, Summary{Key: s.Key, ID: s.ID, Index: job.Node(n), Name: s.Name, Queue: s.Queue, Definition: s.Definition, Share: s.Share,
			Nodes: s.Nodes.Count, Main: n == s.Nodes.Main, Unit: u, Created: l.Created, MilliVCPU: s.Nodes.Of(n).Need.MilliVCPU})
	}
	return p, nil
}
