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
	maxFrame = 4 << 20
	margin   = time.Second // how far the times of two messages may be out of order
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

// place is where in a container's log reading has come to: behind the nth of the messages
// that look the same.
type place struct {
	bytes  int64 // of output
	at     time.Time
	stream byte
	size   int
	nth    int
}

func (p *place) is(f frame) bool {
	return f.stream == p.stream && len(f.payload) == p.size && f.at.Equal(p.at)
}

// pass goes behind a message.
func (p *place) pass(f frame) {
	if p.is(f) {
		p.nth++
	} else {
		p.at, p.stream, p.size, p.nth = f.at, f.stream, len(f.payload), 1
	}
}

// errPlace means that the log no longer has the message behind which to go on.
var errPlace = errors.New("the container's log does not have what was read of it")

// read gives out what the log has behind the place; with follow it goes on until the
// container ends.
func (h *handle) read(ctx context.Context, follow bool) error {
	err := h.readFrom(ctx, follow, !h.place.at.IsZero())
	if errors.Is(err, errPlace) {
		err = h.readFrom(ctx, follow, false)
	}
	return err
}

func (h *handle) readFrom(ctx context.Context, follow, known bool) error {
	o := client.ContainerLogsOptions{ShowStdout: true, ShowStderr: true, Timestamps: true, Follow: follow}
	if known {
		since := h.place.at.Add(-margin)
		o.Since = fmt.Sprintf("%d.%09d", since.Unix(), since.Nanosecond())
	}
	body, err := h.x.api.ContainerLogs(ctx, h.name, o)
	if err != nil {
		return err
	}
	defer body.Close()
	in := &frames{r: bufio.NewReaderSize(body, 32<<10)}
	skip, seen := int64(0), 0
	if !known {
		skip = h.place.bytes
		h.place = place{bytes: skip}
	}
	for {
		f, err := in.next()
		if errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			if known && seen < h.place.nth {
				return errPlace
			}
			return nil
		}
		if err != nil {
			return err
		}
		switch {
		case known && seen < h.place.nth: // read before, up to the nth of its kind
			if h.place.is(f) {
				seen++
			}
			continue
		case !known && skip >= int64(len(f.payload)):
			skip -= int64(len(f.payload))
			h.place.pass(f)
			continue
		}
		chunk := f.payload[skip:] // above 0 when a part of a line was acknowledged
		if err := h.room(ctx); err != nil {
			return err
		}
		skip = 0
		h.place.pass(f)
		h.place.bytes += int64(len(chunk))
		h.out.Log(h.lease, bytes.Clone(chunk), f.at)
	}
}

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
