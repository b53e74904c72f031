package logs

import (
	"context"

	"drover/internal/core/fault"
	"drover/internal/store"
)

// Chunk is a run of numbered events of one stream, as a worker sends them.
type Chunk struct {
	Group, Stream string
	First         int64 // number of Events[0]; the first event of a stream is 0
	Events        []Event
}

// Append keeps the events of many streams in one commit and returns when they are
// durable. Events that a stream has already are dropped. Groups and streams are made as
// needed; a chunk without events only makes its stream.
func (s *Service) Append(ctx context.Context, chunks []Chunk) error {
	drafts, err := s.drafts(chunks)
	if err != nil || len(drafts) == 0 {
		return err
	}
	now := nowMillis()
	err = s.db.Update(ctx, func(tx *store.Tx) error {
		return s.write(tx, drafts, now)
	})
	if err == nil {
		s.committed(drafts)
	}
	return err
}

// draft is what is to be written to one stream.
type draft struct {
	name  streamName
	parts []part
	want  plan        // what to write when the stream is as expected
	from  streamState // the stream before; id 0 = not known, taken as new
	to    streamState // after; set when it was written
}

// part is a run of events; number -1 = they follow whatever the stream has.
type part struct {
	number int64
	events []Event
}

// plan is what a draft comes to for a stream whose next event has the number next.
type plan struct {
	next   int64 // before
	after  int64
	chunks []chunk
	size   int
	first  int64 // earliest and latest event, if there are chunks
	last   int64
}

// drafts orders the chunks by stream and encodes what is likely to be written, so that
// the store's one writer has little left to do.
func (s *Service) drafts(chunks []Chunk) ([]*draft, error) {
	drafts := make([]*draft, 0, len(chunks))
	seen := make(map[streamName]*draft, len(chunks))
	for _, c := range chunks {
		if err := checkChunk(c); err != nil {
			return nil, err
		}
		name := streamName{c.Group, c.Stream}
		d := seen[name]
		if d == nil {
			d = &draft{name: name}
			d.from, _ = s.known.get(name)
			seen[name] = d
			drafts = append(drafts, d)
		}
		d.parts = append(d.parts, part{c.First, cleaned(c.Events)})
	}
	for _, d := range drafts {
		d.want = d.plan(d.from.next)
	}
	return drafts, nil
}

func checkChunk(c Chunk) error {
	if err := checkGroup(c.Group); err != nil {
		return err
	}
	if c.First < 0 {
		return fault.New(fault.Invalid, codeInvalidParameter, "the first event of a chunk for log stream %s has the number %d: numbers start at 0", c.Stream, c.First)
	}
	return checkStream(c.Stream)
}

const maxTime = 253_402_300_799_999 // the last millisecond of the year 9999

// cleaned gives the events with times and texts as they can be kept.
func cleaned(events []Event) []Event {
	out := make([]Event, len(events))
	for i, e := range events {
		out[i] = Event{At: min(max(e.At, 0), maxTime), Text: clean(e.Text)}
	}
	return out
}

// plan says what the draft comes to for a stream whose next event has the number next.
func (d *draft) plan(next int64) plan {
	p := plan{next: next, after: next}
	for _, part := range d.parts {
		number, events := part.number, part.events
		if number < 0 {
			number = p.after
		}
		if have := p.after - number; have > 0 {
			events = events[min(have, int64(len(events))):]
			number = p.after
		}
		if len(events) == 0 {
			continue
		}
		for _, c := range pack(number, events) {
			if len(p.chunks) == 0 {
				p.first, p.last = c.first, c.last
			}
			p.first, p.last = min(p.first, c.first), max(p.last, c.last)
			p.size += c.size
			p.chunks = append(p.chunks, c)
		}
		p.after = number + int64(len(events))
	}
	return p
}

// fit adapts the plan to a stream whose next event has the number next, encoding again
// only where that changes what is kept. It may be called again.
func (d *draft) fit(next int64) *plan {
	w := &d.want
	switch {
	case w.next == next:
	case len(d.parts) == 1 && d.parts[0].number < 0:
		for i := range w.chunks {
			w.chunks[i].number += next - w.next
		}
		w.after += next - w.next
		w.next = next
	case len(w.chunks) > 0 && w.next < next && next <= w.chunks[0].number:
		w.next = next
	default:
		*w = d.plan(next)
	}
	return w
}

// committed remembers and tells what was written.
func (s *Service) committed(drafts []*draft) {
	names := make([]streamName, 0, len(drafts))
	for _, d := range drafts {
		s.known.put(d.name, d.to)
		if len(d.want.chunks) > 0 {
			names = append(names, d.name)
		}
	}
	s.tails.wake(names)
}
