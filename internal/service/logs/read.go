package logs

import (
	"slices"

	"drover/internal/store"
)

// line is an event with its place in the stream.
type line struct {
	Number   int64
	Ingested int64 // ms
	Event
}

// window is a range of event times, from inclusive, to exclusive, in ms.
type window struct{ from, to int64 }

func (w window) has(at int64) bool { return w.from <= at && at < w.to }

// reader collects one page of a stream's events.
type reader struct {
	// next is where the page starts and, afterwards, where the next one does: onward, the
	// number of the first event to look at; backward, the one after the last to look at.
	next   int64
	onward bool
	limit  int
	window window // events outside of it are passed over

	lines   []line // the page; after read in the order of the numbers
	full    bool   // something was left when the page ended
	bytes   int
	scanned int
}

const (
	chunksAtOnce = 256 // rows of one query

	chunksFrom = `SELECT number, ingested_ms, data FROM log_chunks
		WHERE stream_id = $1
			AND number >= COALESCE((SELECT MAX(number) FROM log_chunks WHERE stream_id = $1 AND number <= $2), 0)
			AND number + events > $2 AND last_ms >= $3 AND first_ms < $4
		ORDER BY number LIMIT $5`
	chunksBefore = `SELECT number, ingested_ms, data FROM log_chunks
		WHERE stream_id = $1 AND number < $2 AND last_ms >= $3 AND first_ms < $4
		ORDER BY number DESC LIMIT $5`
)

// read fills the page.
func (r *reader) read(tx *store.Tx, stream int64) error {
	query := chunksBefore
	if r.onward {
		query = chunksFrom
	}
	for more := true; more && !r.full; {
		n, err := r.some(tx, query, stream)
		if err != nil {
			return err
		}
		more = n == chunksAtOnce
	}
	if !r.onward {
		slices.Reverse(r.lines)
	}
	return nil
}

// some reads the chunks of one query, or of a part of it if the page is full before.
func (r *reader) some(tx *store.Tx, query string, stream int64) (n int, err error) {
	rows, err := tx.Query(query, stream, r.next, r.window.from, r.window.to, chunksAtOnce)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	for ; !r.full && rows.Next(); n++ {
		var number, ingested int64
		var data []byte
		if err := rows.Scan(&number, &ingested, &data); err != nil {
			return n, err
		}
		events, err := decode(data)
		if err != nil {
			return n, err
		}
		r.take(number, ingested, events)
	}
	return n, rows.Err()
}

// take looks at the events of a chunk in the reader's direction.
func (r *reader) take(number, ingested int64, events []Event) {
	for i := range events {
		if !r.onward {
			i = len(events) - 1 - i
		}
		l := line{Number: number + int64(i), Ingested: ingested, Event: events[i]}
		r.scanned += len(l.Text)
		if r.onward != (l.Number >= r.next) {
			continue
		}
		if r.window.has(l.At) && !r.add(l) {
			return
		}
		r.next = l.Number
		if r.onward {
			r.next++
		}
	}
	r.full = r.full || r.scanned > scanText
}

// add puts a line on the page, if it has room.
func (r *reader) add(l line) bool {
	cost := len(l.Text) + eventOverhead
	if len(r.lines) == r.limit || len(r.lines) > 0 && r.bytes+cost > pageBytes {
		r.full = true
		return false
	}
	r.bytes += cost
	r.lines = append(r.lines, l)
	return true
}
