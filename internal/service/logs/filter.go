package logs

import (
	"bytes"
	"cmp"
	"math"
	"slices"

	"drover/internal/store"
)

// filter searches chunks in the order (time of the earliest event, stream, number), or
// backward in that order.
type filter struct {
	group   int64
	pattern *pattern
	window  window
	prefix  string
	newest  bool
	limit   int
	after   place // the chunk where the page starts; afterwards where the next one does
	resumed bool  // after is from a token

	found   []found
	more    bool // after is not the end
	bytes   int
	scanned int
	chunks  int
}

type found struct {
	line
	stream int64
	name   string
}

// candidate is a chunk that may hold events in the window.
type candidate struct{ at, stream, number int64 }

func (c candidate) compare(o candidate) int {
	return cmp.Or(cmp.Compare(c.at, o.at), cmp.Compare(c.stream, o.stream), cmp.Compare(c.number, o.number))
}

const (
	candidatesAtOnce = 512
	// chunksPerPage bounds the chunks that a page looks at: small ones, or such of streams
	// that the prefix passes over, would never reach scanText.
	chunksPerPage = 20_000
)

// run looks at chunks until the page is full or there are no more.
func (f *filter) run(tx *store.Tx, names []string) error {
	var streams []int64
	for _, n := range names {
		id, _, err := streamIn(tx, f.group, n)
		if err != nil {
			return err
		}
		if !slices.Contains(streams, id) {
			streams = append(streams, id)
		}
	}
	if !f.resumed {
		f.after = f.start()
	}
	for {
		list, err := f.candidates(tx, streams)
		if err != nil {
			return err
		}
		for _, c := range list {
			if err := f.look(tx, c); err != nil || f.more {
				return err
			}
		}
		if len(list) < candidatesAtOnce {
			return nil
		}
	}
}

// start is before the first chunk. Chunks that start up to chunkSpan before the window
// may reach into it.
func (f *filter) start() place {
	if f.newest {
		return place{at: f.window.to, id: math.MaxInt64, number: math.MaxInt64}
	}
	if f.window.from < math.MinInt64+chunkSpan {
		return place{at: math.MinInt64}
	}
	return place{at: f.window.from - chunkSpan}
}

const (
	oldestInGroup = `SELECT first_ms, stream_id, number FROM log_chunks
		WHERE group_id = $1 AND (first_ms, stream_id, number) >= ($2, $3, $4) AND first_ms < $5 AND first_ms >= $6 AND last_ms >= $8
		ORDER BY first_ms, stream_id, number LIMIT $7`
	newestInGroup = `SELECT first_ms, stream_id, number FROM log_chunks
		WHERE group_id = $1 AND (first_ms, stream_id, number) <= ($2, $3, $4) AND first_ms < $5 AND first_ms >= $6 AND last_ms >= $8
		ORDER BY first_ms DESC, stream_id DESC, number DESC LIMIT $7`
	oldestInStream = `SELECT first_ms, stream_id, number FROM log_chunks
		WHERE stream_id = $1 AND (first_ms, stream_id, number) >= ($2, $3, $4) AND first_ms < $5 AND first_ms >= $6 AND last_ms >= $8
		ORDER BY first_ms, number LIMIT $7`
	newestInStream = `SELECT first_ms, stream_id, number FROM log_chunks
		WHERE stream_id = $1 AND (first_ms, stream_id, number) <= ($2, $3, $4) AND first_ms < $5 AND first_ms >= $6 AND last_ms >= $8
		ORDER BY first_ms DESC, number DESC LIMIT $7`
)

// candidates gives the next chunks in order, of the streams given or of the whole group.
func (f *filter) candidates(tx *store.Tx, streams []int64) ([]candidate, error) {
	low := f.start().at
	if f.newest {
		low = max(f.window.from, math.MinInt64+chunkSpan) - chunkSpan
	}
	query, of := oldestInGroup, []int64{f.group}
	switch {
	case len(streams) > 0 && f.newest:
		query, of = newestInStream, streams
	case len(streams) > 0:
		query, of = oldestInStream, streams
	case f.newest:
		query = newestInGroup
	}
	var list []candidate
	for _, id := range of {
		rows, err := tx.Query(query, id, f.after.at, f.after.id, f.after.number, f.window.to, low, candidatesAtOnce, f.window.from)
		if err != nil {
			return nil, err
		}
		for rows.Next() {
			var c candidate
			if err := rows.Scan(&c.at, &c.stream, &c.number); err != nil {
				return nil, err
			}
			list = append(list, c)
		}
		if err := rows.Err(); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(list, func(a, b candidate) int {
		if f.newest {
			a, b = b, a
		}
		return a.compare(b)
	})
	return list[:min(len(list), candidatesAtOnce)], nil
}

// look searches one chunk and moves after past what it looked at.
func (f *filter) look(tx *store.Tx, c candidate) error {
	if f.chunks == chunksPerPage || f.scanned > scanText {
		f.stop(c, 0)
		return nil
	}
	f.chunks++
	skip := 0
	if f.after.at == c.at && f.after.id == c.stream && f.after.number == c.number {
		skip = int(min(f.after.skip, chunkEvents))
	}
	name, lines, err := f.open(tx, c)
	if err != nil {
		return err
	}
	if f.newest {
		slices.Reverse(lines)
	}
	for i, l := range lines {
		f.scanned += len(l.Text)
		if i < skip || !f.window.has(l.At) || !f.pattern.matches(l.Text) {
			continue
		}
		cost := len(l.Text) + eventOverhead
		if len(f.found) == f.limit || len(f.found) > 0 && f.bytes+cost > pageBytes {
			f.stop(c, i)
			return nil
		}
		f.bytes += cost
		f.found = append(f.found, found{line: l, stream: c.stream, name: name})
	}
	f.after = place{at: c.at, id: c.stream, number: c.number, skip: int64(len(lines))}
	return nil
}

// stop ends the page before event number i of the chunk.
func (f *filter) stop(c candidate, i int) {
	f.more = true
	f.after = place{at: c.at, id: c.stream, number: c.number, skip: int64(i)}
}

// open reads a chunk; there are no lines if its stream was deleted or is not asked for.
func (f *filter) open(tx *store.Tx, c candidate) (string, []line, error) {
	rows, err := tx.Query(`SELECT s.name, c.ingested_ms, c.data
		FROM log_chunks c JOIN log_streams s ON s.id = c.stream_id AND s.deleted = 0
		WHERE c.stream_id = $1 AND c.number = $2 AND s.name >= $3`,
		c.stream, c.number, []byte(f.prefix))
	if err != nil {
		return "", nil, err
	}
	defer rows.Close()
	if !rows.Next() {
		return "", nil, rows.Err()
	}
	var name, data []byte
	var ingested int64
	if err := rows.Scan(&name, &ingested, &data); err != nil || !bytes.HasPrefix(name, []byte(f.prefix)) {
		return "", nil, err
	}
	events, err := decode(data)
	if err != nil {
		return "", nil, err
	}
	lines := make([]line, len(events))
	for i, e := range events {
		lines[i] = line{Number: c.number + int64(i), Ingested: ingested, Event: e}
	}
	return string(name), lines, nil
}
