package logs

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/klauspost/compress/zstd"
)

// Event is one log line, without its newline.
type Event struct {
	At   int64 // ms since 1970
	Text string
}

// What a chunk may hold. Readers look chunkSpan before a time to find every chunk that
// reaches over it, so the span must never grow.
const (
	chunkText   = 256 << 10 // bytes of text; one longer event is a chunk of its own
	chunkEvents = 10_000
	chunkSpan   = 60_000 // ms between the earliest and the latest event

	maxEventText = 1<<20 - eventOverhead // longest event that is kept whole
	compressFrom = 256                   // shorter chunks would hardly shrink
)

// The first byte of a chunk's data says how the rest is written. Readers know every
// version that was ever written.
const (
	versionPlain = 1
	versionZstd  = 2
)

// chunk is a run of a stream's events as it is stored.
type chunk struct {
	number      int64 // of the first event
	events      int
	first, last int64 // earliest and latest time, ms
	size        int   // bytes of text
	data        []byte
}

// pack writes events, the first of which has the given number, as chunks.
func pack(number int64, events []Event) []chunk {
	var chunks []chunk
	for len(events) > 0 {
		c := measure(number, events)
		c.data = encode(events[:c.events], c.size)
		chunks = append(chunks, c)
		number += int64(c.events)
		events = events[c.events:]
	}
	return chunks
}

// measure takes as many events into a chunk as it may hold, at least one.
func measure(number int64, events []Event) chunk {
	c := chunk{number: number, first: events[0].At, last: events[0].At}
	for _, e := range events {
		first, last := min(c.first, e.At), max(c.last, e.At)
		if c.events > 0 && (c.events == chunkEvents || c.size+len(e.Text) > chunkText || span(first, last) > chunkSpan) {
			break
		}
		c.first, c.last = first, last
		c.size += len(e.Text)
		c.events++
	}
	return c
}

// span is the time between two times, of any distance.
func span(first, last int64) uint64 { return uint64(last) - uint64(first) }

// encode writes, for each event, the time since the one before, the length and the text.
func encode(events []Event, size int) []byte {
	b := make([]byte, 1, 1+size+8*len(events)+binary.MaxVarintLen64)
	b[0] = versionPlain
	var at int64
	for _, e := range events {
		b = binary.AppendVarint(b, e.At-at)
		b = binary.AppendUvarint(b, uint64(len(e.Text)))
		b = append(b, e.Text...)
		at = e.At
	}
	if len(b) <= compressFrom {
		return b
	}
	if z := encoder().EncodeAll(b[1:], []byte{versionZstd}); len(z) < len(b) {
		return z
	}
	return b
}

var errChunk = errors.New("a stored log chunk cannot be read")

// decode reads what encode wrote.
func decode(data []byte) ([]Event, error) {
	if len(data) == 0 {
		return nil, fmt.Errorf("%w: it is empty", errChunk)
	}
	b := data[1:]
	switch data[0] {
	case versionPlain:
	case versionZstd:
		var err error
		if b, err = decoder().DecodeAll(b, nil); err != nil {
			return nil, fmt.Errorf("%w: %w", errChunk, err)
		}
	default:
		return nil, fmt.Errorf("%w: version %d is newer than this drover", errChunk, data[0])
	}
	text := string(b) // one allocation that all the events share
	var events []Event
	var at int64
	for i := 0; i < len(b); {
		delta, n := binary.Varint(b[i:])
		if n <= 0 {
			return nil, fmt.Errorf("%w: bad time", errChunk)
		}
		i += n
		size, n := binary.Uvarint(b[i:])
		if n <= 0 || size > uint64(len(b)-i-n) {
			return nil, fmt.Errorf("%w: bad length", errChunk)
		}
		i += n
		at += delta
		events = append(events, Event{At: at, Text: text[i : i+int(size)]})
		i += int(size)
	}
	return events, nil
}

// clean gives an event's text as it can be kept: valid UTF-8 of bounded length.
func clean(text string) string {
	if len(text) > maxEventText {
		const mark = " [drover: event cut at 1 MiB]"
		cut := maxEventText - len(mark)
		for cut > 0 && !utf8.RuneStart(text[cut]) {
			cut--
		}
		text = text[:cut] + mark
	}
	if utf8.ValidString(text) {
		return text
	}
	// A replacement is three bytes long and may stand for one: never grow over the bound.
	text = strings.ToValidUTF8(text, "\uFFFD")
	if len(text) > maxEventText {
		return clean(text)
	}
	return text
}

// The coders are safe for concurrent use and made when first needed.
var (
	encoder = sync.OnceValue(func() *zstd.Encoder {
		e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(2),
			zstd.WithWindowSize(chunkText), zstd.WithLowerEncoderMem(true))
		if err != nil {
			panic(fmt.Sprintf("logs: the constant zstd options are wrong: %v", err))
		}
		return e
	})
	decoder = sync.OnceValue(func() *zstd.Decoder {
		d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(2), zstd.WithDecoderMaxMemory(16<<20))
		if err != nil {
			panic(fmt.Sprintf("logs: the constant zstd options are wrong: %v", err))
		}
		return d
	})
)
