package docker

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/moby/moby/client"
)

const (
	window   = 256 << 10 // bytes given out and not acknowledged
	stride   = 4 << 10   // bytes between places that are remembered until they are acknowledged
	maxFrame = 4 << 20
)

// frame is one message of a container's log: a line, or a part of a long one.
type frame struct {
	stream  byte // 1 = standard output, 2 = standard error
	at      time.Time
	payload []byte // good until the next read
}

// frames reads the engine's multiplexed form, with the time before each message.
type frames struct {
	r   *bufio.Reader
	buf []byte
}

func (f *frames) next() (frame, error) {
	var head [8]byte
	if _, err := io.ReadFull(f.r, head[:]); err != nil {
		return frame{}, err
	}
	n := binary.BigEndian.Uint32(head[4:])
	if n > maxFrame {
		return frame{}, fmt.Errorf("the engine sends a log message of %d bytes", n)
	}
	if cap(f.buf) < int(n) {
		f.buf = make([]byte, n)
	}
	f.buf = f.buf[:n]
	if _, err := io.ReadFull(f.r, f.buf); err != nil {
		return frame{}, errors.Join(io.ErrUnexpectedEOF, err)
	}
	if head[0] != 1 && head[0] != 2 {
		return frame{}, fmt.Errorf("the engine cannot read the log: %s", bytes.TrimSpace(f.buf))
	}
	stamp, payload, ok := bytes.Cut(f.buf, []byte{' '})
	at, err := time.Parse(time.RFC3339Nano, string(stamp))
	if !ok || err != nil {
		return frame{}, fmt.Errorf("a log message without its time: %.60q", f.buf)
	}
	return frame{stream: head[0], at: at, payload: payload}, nil
}

// place is where in a container's log reading has come to. The engine gives the messages
// from a second on, always in the same order, so how many of them were read says where to
// go on. Going back a second finds those whose times are a little out of order.
type place struct {
	bytes  int64           // of output, given out or acknowledged before
	owed   int64           // of those, how many are still to be passed over
	second int64           // the latest of a message; 0 = none yet
	read   [back + 1]int64 // messages of that second, of the one before…
}

const back = 1 // seconds

// pass goes behind a message.
func (p *place) pass(f frame) {
	s := f.at.Unix()
	for ; p.second < s; p.second++ {
		if p.second < s-back-1 { // nothing that is counted is left
			p.second, p.read = s-back-1, [back + 1]int64{}
		}
		copy(p.read[1:], p.read[:])
		p.read[0] = 0
	}
	if age := p.second - s; age <= back {
		p.read[age]++
	}
}

// since is the second to read from, and skip how many messages from there on were read.
func (p *place) since() (second, skip int64) {
	for _, n := range p.read {
		skip += n
	}
	return p.second - back, skip
}

// errPlace means that the log no longer has the message behind which to go on.
var errPlace = errors.New("the container's log does not have what was read of it")

// errRepeats means that the engine gives output again: Docker does, to who follows a log,
// when the log goes on in another file.
var errRepeats = errors.New("the engine repeats output")

// perMessage is about what a message takes in the engine's log beside its text.
const perMessage = 48

// read gives out what the log has behind the place; with follow it goes on until the
// container ends.
func (h *handle) read(ctx context.Context, follow bool) error {
	err := h.readFrom(ctx, follow, h.place.second != 0, 0)
	if errors.Is(err, errRepeats) {
		err = h.readFrom(ctx, false, true, 0) // without following all comes once
	}
	if !errors.Is(err, errPlace) {
		return err
	}
	if h.place.bytes < h.x.logFile() { // all of it is there still
		return h.readFrom(ctx, follow, false, 0)
	}
	h.place = place{bytes: h.place.bytes + int64(len(gap)), second: h.place.second}
	h.out.Log(h.id, bytes.Clone(gap), time.Now())
	return h.readFrom(ctx, follow, true, 0)
}

// readSettled gives out what the log of a running container has, but for the last second,
// in which a line may be there only in part.
func (h *handle) readSettled(ctx context.Context) error {
	return h.readFrom(ctx, false, h.place.second != 0, time.Now().Unix()-1)
}

// readFrom reads from the place's second on, or without one from the log's beginning, and
// up to the second until, 0 being the log's end.
func (h *handle) readFrom(ctx context.Context, follow, known bool, until int64) error {
	o := client.ContainerLogsOptions{ShowStdout: true, ShowStderr: true, Timestamps: true, Follow: follow}
	var messages int64 // to leave out
	if known {
		var second int64
		second, messages = h.place.since()
		o.Since = fmt.Sprintf("%d.000000000", second)
	} else {
		h.place = place{bytes: h.place.bytes, owed: h.place.bytes}
	}
	body, err := h.x.api.ContainerLogs(ctx, h.name, o)
	if err != nil {
		return err
	}
	defer body.Close()
	in := &frames{r: bufio.NewReaderSize(body, 32<<10)}
	var latest time.Time
	for {
		f, err := in.next()
		if errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			if messages > 0 {
				return errPlace
			}
			return nil
		}
		if err != nil {
			return err
		}
		if follow && f.at.Before(latest) && h.logged >= h.x.logFile()/2 {
			return errRepeats // or two messages are a little out of order: asking again is right in both cases
		}
		if until > 0 && f.at.Unix() >= until {
			return nil
		}
		if f.at.After(latest) {
			latest = f.at
		}
		h.logged += int64(len(f.payload)) + perMessage
		switch {
		case messages > 0 && f.at.Unix() > h.place.second:
			return errPlace // what is to be left out was read by that second: some of it is gone
		case messages > 0:
			messages--
			continue
		case h.place.owed >= int64(len(f.payload)): // acknowledged, or empty
			h.place.owed -= int64(len(f.payload))
			h.place.pass(f)
			continue
		}
		chunk := f.payload[h.place.owed:] // above 0 when a part of a line was acknowledged
		if err := h.room(ctx); err != nil {
			return err
		}
		h.place.owed = 0
		h.place.pass(f)
		h.place.bytes += int64(len(chunk))
		h.remember()
		h.out.Log(h.id, bytes.Clone(chunk), f.at)
	}
}

// remember notes the place, so that after a restart reading goes on there: the beginning of
// the log may be gone by then. It comes before the output is given out, which may be
// acknowledged at once.
func (h *handle) remember() {
	h.mu.Lock()
	defer h.mu.Unlock()
	last := h.acked
	if n := len(h.places); n > 0 {
		last = h.places[n-1].bytes
	}
	if h.place.bytes-last >= stride {
		h.places = append(h.places, h.place)
	}
}

// missed output is told in the output itself.
var gap = []byte("[drover: this container wrote more than is kept of its output; some is missing or repeated here]\n")

// room waits until less than a window of output is not acknowledged.
func (h *handle) room(ctx context.Context) error {
	for {
		h.mu.Lock()
		full := h.place.bytes-h.acked >= window
		again := h.moved
		h.mu.Unlock()
		if !full {
			return nil
		}
		select {
		case <-again:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
