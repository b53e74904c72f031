package logs

import (
	"errors"
	"fmt"
	"strings"

	"drover/internal/store"
)

// write puts the drafts of Append into the store. It may run several times.
func (s *Service) write(tx *store.Tx, drafts []*draft, now int64) error {
	b := batch{tx: tx, now: now, groups: map[string]*groupShare{}}
	var fresh []*draft
	for _, d := range drafts {
		g, err := b.group(d.name.group, s.config.JobRetention)
		if err != nil {
			return err
		}
		done := false
		if d.from.id != 0 && d.from.group == g.id {
			if done, err = b.extend(d, d.from); err != nil {
				return err
			}
		}
		if !done {
			fresh = append(fresh, d)
		}
	}
	if err := b.create(fresh); err != nil {
		return err
	}
	return b.finish()
}

// batch is one transaction that writes events.
type batch struct {
	tx     *store.Tx
	now    int64
	groups map[string]*groupShare
	order  []*groupShare // of groups, as they were met
	rows   []any         // arguments of chunks that wait to be inserted
}

// groupShare is a group and how much the batch adds to it.
type groupShare struct{ id, size int64 }

// group finds a group or makes it.
func (b *batch) group(name string, jobRetention int) (*groupShare, error) {
	if g := b.groups[name]; g != nil {
		return g, nil
	}
	id, err := b.groupID(name, jobRetention)
	if err != nil {
		return nil, err
	}
	g := &groupShare{id: id}
	b.groups[name] = g
	b.order = append(b.order, g)
	return g, nil
}

func (b *batch) groupID(name string, jobRetention int) (int64, error) {
	var id int64
	err := b.tx.Row(`SELECT id FROM log_groups WHERE name = $1`, []byte(name)).Scan(&id)
	if !errors.Is(err, store.ErrNoRows) {
		return id, err
	}
	days := 0
	if name == JobGroup {
		days = jobRetention
	}
	return insertGroup(b.tx, name, b.now, days, classStandard, nil)
}

// extend writes a draft to a stream that was in the given state; it is false if the
// stream is not in that state any more.
func (b *batch) extend(d *draft, st streamState) (bool, error) {
	p := d.fit(st.next)
	d.to = streamState{st.group, st.id, p.after}
	if len(p.chunks) == 0 {
		var n int
		err := b.tx.Row(`SELECT count(*) FROM log_streams WHERE id = $1 AND next_number = $2 AND deleted = 0`, st.id, st.next).Scan(&n)
		return n > 0, err
	}
	n, err := b.tx.Exec(`UPDATE log_streams SET
			next_number = $1,
			first_ms = CASE WHEN first_ms IS NULL OR first_ms > $2 THEN $2 ELSE first_ms END,
			last_ms = CASE WHEN first_ms IS NULL OR last_ms < $3 THEN $3 ELSE last_ms END,
			ingested_ms = $4
		WHERE id = $5 AND group_id = $6 AND next_number = $7 AND deleted = 0`,
		p.after, p.first, p.last, b.now, st.id, st.group, st.next)
	if err != nil || n == 0 {
		return false, err
	}
	return true, b.chunks(d, p)
}

// create makes the streams of the drafts, with their events. Those that exist already
// are extended.
func (b *batch) create(drafts []*draft) error {
	for len(drafts) > 0 {
		n := 1
		if len(drafts) >= rowsAtOnce {
			n = rowsAtOnce
		}
		if err := b.createSome(drafts[:n]); err != nil {
			return err
		}
		drafts = drafts[n:]
	}
	return nil
}

func (b *batch) createSome(drafts []*draft) error {
	made, err := b.insertStreams(drafts)
	if err != nil {
		return err
	}
	for _, d := range drafts {
		group := b.groups[d.name.group].id
		id, ok := made[streamKey{group, d.name.stream}]
		if !ok {
			if err := b.reload(d, group); err != nil {
				return err
			}
			continue
		}
		p := d.fit(0)
		d.to = streamState{group, id, p.after}
		if err := b.chunks(d, p); err != nil {
			return err
		}
	}
	return nil
}

type streamKey struct {
	group int64
	name  string
}

// insertStreams makes the streams that do not exist and gives their ids.
func (b *batch) insertStreams(drafts []*draft) (map[streamKey]int64, error) {
	args := make([]any, 0, len(drafts)*streamColumns)
	for _, d := range drafts {
		p := d.fit(0)
		first, last, ingested := any(nil), b.now, any(nil)
		if len(p.chunks) > 0 {
			first, last, ingested = p.first, p.last, b.now
		}
		args = append(args, b.groups[d.name.group].id, []byte(d.name.stream), b.now, p.after, first, last, ingested, 0)
	}
	query := insertStream
	if len(drafts) > 1 {
		query = insertStreams
	}
	rows, err := b.tx.Query(query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	made := make(map[streamKey]int64, len(drafts))
	for rows.Next() {
		var id int64
		var key streamKey
		if err := rows.Scan(&id, &key.group, &key.name); err != nil {
			return nil, err
		}
		made[key] = id
	}
	return made, rows.Err()
}

// reload extends a stream by what the store has of it.
func (b *batch) reload(d *draft, group int64) error {
	id, next, err := streamIn(b.tx, group, d.name.stream)
	if err != nil {
		return err
	}
	done, err := b.extend(d, streamState{group, id, next})
	if err == nil && !done {
		err = fmt.Errorf("log stream %s changed inside a transaction", d.name.stream)
	}
	return err
}

// chunks takes the chunks of a plan for insertion.
func (b *batch) chunks(d *draft, p *plan) error {
	b.groups[d.name.group].size += int64(p.size)
	for _, c := range p.chunks {
		b.rows = append(b.rows, d.to.id, c.number, d.to.group, c.events, c.first, c.last, b.now, c.size, c.data)
		if len(b.rows) == rowsAtOnce*chunkColumns {
			if _, err := b.tx.Exec(insertChunks, b.rows...); err != nil {
				return err
			}
			b.rows = b.rows[:0]
		}
	}
	return nil
}

// finish writes what waits and what the batch adds to each group.
func (b *batch) finish() error {
	for ; len(b.rows) > 0; b.rows = b.rows[chunkColumns:] {
		if _, err := b.tx.Exec(insertChunk, b.rows[:chunkColumns]...); err != nil {
			return err
		}
	}
	for _, g := range b.order {
		if g.size == 0 {
			continue
		}
		if _, err := b.tx.Exec(`UPDATE log_groups SET bytes = bytes + $1 WHERE id = $2`, g.size, g.id); err != nil {
			return err
		}
	}
	return nil
}

const (
	rowsAtOnce    = 32 // rows of a statement that inserts many: it costs little more than one
	streamColumns = 8
	chunkColumns  = 9

	intoStreams = `INSERT INTO log_streams (group_id, name, created_ms, next_number, first_ms, last_ms, ingested_ms, deleted) VALUES `
	intoChunks  = `INSERT INTO log_chunks (stream_id, number, group_id, events, first_ms, last_ms, ingested_ms, size, data) VALUES `
	ifAbsent    = ` ON CONFLICT (group_id, name) DO NOTHING RETURNING id, group_id, name`
)

var (
	insertStream  = intoStreams + tuples(1, streamColumns) + ifAbsent
	insertStreams = intoStreams + tuples(rowsAtOnce, streamColumns) + ifAbsent
	insertChunk   = intoChunks + tuples(1, chunkColumns)
	insertChunks  = intoChunks + tuples(rowsAtOnce, chunkColumns)
)

// tuples writes "($1, $2), ($3, $4)" for so many rows and columns.
func tuples(rows, columns int) string {
	var b strings.Builder
	for r := range rows {
		for c := range columns {
			switch {
			case c > 0:
				b.WriteString(", ")
			case r > 0:
				b.WriteString("), (")
			default:
				b.WriteString("(")
			}
			fmt.Fprintf(&b, "$%d", r*columns+c+1)
		}
	}
	return b.String() + ")"
}
