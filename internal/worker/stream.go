package worker

import (
	"bytes"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"drover/internal/executor"
	"drover/internal/link"
)

const (
	maxEvent     = 256<<10 - 26 // as CloudWatch Logs: 256 KiB, of which 26 bytes are the event's own
	partialAfter = 500 * time.Millisecond
	lastLineKept = 4 << 10
)

// entry is one event that the manager has not acknowledged yet.
type entry struct {
	event link.Event
	end   int64 // output bytes up to here are in events before or in this one…
	mark  int64 // …of which there are so many
}

// stream turns an attempt's output into numbered events: one a line, empty lines left out
// (CloudWatch Logs has no empty events), longer ones cut, a line without its end after
// half a second.
type stream struct {
	mu      sync.Mutex // guards the rest
	handle  executor.Handle
	dropped bool // nobody wants the output: acknowledge and forget it

	read    int64 // output bytes taken in
	partial []byte
	since   time.Time // when the partial line began
	at      int64     // ms, of its first byte
	count   int64     // events made so far
	pending []entry
	taken   int // so many of pending are in the request under way
	last    []byte
}

func newStream(acked, mark int64) *stream { return &stream{read: acked, count: mark} }

// attach names the handle that acknowledgements go to.
func (s *stream) attach(h executor.Handle) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.handle = h
	if s.dropped {
		h.Acknowledge(s.read, s.count)
	}
}

// write takes output in. It reports whether there is something to send, and whether an
// unfinished line waits.
func (s *stream) write(chunk []byte, at, now time.Time) (ready, waits bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.read += int64(len(chunk))
	if s.dropped {
		if s.handle != nil {
			s.handle.Acknowledge(s.read, s.count)
		}
		return false, false
	}
	ms := at.UnixMilli()
	rest := chunk
	end := s.read - int64(len(chunk)) // offset of rest
	for len(rest) > 0 {
		i := bytes.IndexByte(rest, '\n')
		piece, next := rest, rest[len(rest):]
		if i >= 0 {
			piece, next = rest[:i], rest[i+1:]
		}
		if len(s.partial) == 0 {
			s.at, s.since = ms, now
		}
		if room := maxEvent - len(s.partial); len(piece) > room {
			piece, next, i = piece[:room], rest[room:], -1
		}
		s.partial = append(s.partial, piece...)
		end += int64(len(rest) - len(next))
		rest = next
		if i >= 0 || len(s.partial) >= maxEvent {
			s.emit(end, i >= 0)
		}
	}
	return len(s.pending) > s.taken, len(s.partial) > 0
}

// emit makes events of the partial line, which ends at the offset. A line that goes on
// keeps back a character of which only a part is there.
func (s *stream) emit(end int64, whole bool) {
	line := s.partial
	kept := 0
	if !whole {
		kept = cutRune(line)
		line = line[:len(line)-kept]
	}
	if len(line) > 0 {
		s.remember(line)
		text := strings.ToValidUTF8(string(line), "\uFFFD")
		before, mark := s.tail()
		for len(text) > maxEvent { // replacing made it longer
			n := maxEvent
			for !utf8.RuneStart(text[n]) {
				n--
			}
			s.push(text[:n], before, mark)
			text = text[n:]
		}
		s.push(text, end-int64(kept), s.count+1)
	}
	if kept > 0 {
		copy(s.partial, s.partial[len(line):])
	}
	s.partial = s.partial[:kept]
	if kept == 0 && cap(s.partial) > 16<<10 {
		s.partial = nil
	}
}

func (s *stream) push(text string, end, mark int64) {
	s.count++
	s.pending = append(s.pending, entry{link.Event{At: s.at, Text: text}, end, mark})
}

// tail gives where the last event ended, and its number.
func (s *stream) tail() (end, mark int64) {
	if n := len(s.pending); n > 0 {
		return s.pending[n-1].end, s.pending[n-1].mark
	}
	return 0, 0 // an acknowledgement of nothing
}

// cutRune is how many bytes at the end are the beginning of a character. Of a line that is
// nothing else it is 0, so that half a character does not wait for ever.
func cutRune(b []byte) int {
	for n := 1; n <= min(utf8.UTFMax-1, len(b)); n++ {
		c := b[len(b)-n]
		if utf8.RuneStart(c) {
			if c >= utf8.RuneSelf && !utf8.FullRune(b[len(b)-n:]) && n < len(b) {
				return n
			}
			return 0
		}
	}
	return 0
}

func (s *stream) remember(line []byte) {
	if t := bytes.TrimSpace(line); len(t) > 0 {
		s.last = append(s.last[:0], t[:min(len(t), lastLineKept)]...)
	}
}

// lastLine is the last line that is not blank.
func (s *stream) lastLine() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.last)
}

// flush makes an event of a line that has been unfinished for long enough. It reports
// whether there is something to send, and whether a line still waits.
func (s *stream) flush(now time.Time) (ready, waits bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.partial) > 0 && now.Sub(s.since) >= partialAfter {
		s.emit(s.read, false)
		s.since = now
	}
	return len(s.pending) > s.taken, len(s.partial) > 0
}

// finish ends the stream: an unfinished line is a line.
func (s *stream) finish(time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.partial) > 0 {
		s.emit(s.read, true)
	}
}

// take gives the next events of at most limit bytes, and the number of the first. Only one
// request at a time takes; done or undo ends it.
func (s *stream) take(limit int) (events []link.Event, first int64, size int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	first = s.count - int64(len(s.pending))
	for _, e := range s.pending {
		cost := len(e.event.Text) + 26
		if len(events) > 0 && size+cost > limit {
			break
		}
		events = append(events, e.event)
		size += cost
	}
	s.taken = len(events)
	return events, first, size
}

// all reports whether everything is on its way or acknowledged.
func (s *stream) all() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.taken == len(s.pending)
}

// silent reports whether there was no output so far.
func (s *stream) silent() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.count == 0
}

// done acknowledges what take gave. It reports whether there is more.
func (s *stream) done() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.taken == 0 {
		return len(s.pending) > 0
	}
	n := min(s.taken, len(s.pending))
	s.taken = 0
	if n > 0 {
		if e := s.pending[n-1]; s.handle != nil && e.end > 0 {
			s.handle.Acknowledge(e.end, e.mark)
		}
		s.pending = s.pending[n:]
	}
	return len(s.pending) > 0
}

// discard gives the output up: from now on it is acknowledged as it comes.
func (s *stream) discard() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dropped = true
	s.pending, s.partial, s.taken = nil, nil, 0
	if s.handle != nil && s.read > 0 {
		s.handle.Acknowledge(s.read, s.count)
	}
}
