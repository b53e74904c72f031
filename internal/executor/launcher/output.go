package launcher

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// Bounds on the output of one attempt that its worker has not acknowledged.
const (
	memoryMax  = 256 << 10              // kept in memory
	spillMax   = 64 << 20               // then in a file
	windowMax  = 256 << 10              // on its way to the worker
	chunkMax   = 64 << 10               // in one frame
	patience   = time.Second            // wait for room before output is dropped
	markEvery  = 100 * time.Millisecond // how exactly times of written output are remembered
	marksLimit = 512
)

// stamp remembers when the output at an offset was written.
type stamp struct {
	offset int64
	at     int64 // ms since 1970
}

// output holds what a job wrote from the first unacknowledged byte on: at first in memory,
// then in a ring within a file, and when that is full too, after a moment's patience, only
// as a count that becomes a line of its own. So a job writes on whatever its worker does.
type output struct {
	spill string // path of the file, made when needed

	mu      sync.Mutex // guards the rest
	epoch   uint64     // which connection sent counts for
	acked   int64      // offset of mem[0]
	mark    int64      // the worker's number for acked
	mem     []byte     // [acked, acked+len(mem))
	file    *os.File
	tail    int64 // the ring holds [max(acked+len(mem)), tail)
	sent    int64
	dropped int64
	midline bool // the last byte kept is not a newline
	room    chan struct{}
	stamps  []stamp
}

func (o *output) memEnd() int64 { return o.acked + int64(len(o.mem)) }

// end is the offset after the last byte kept.
func (o *output) end() int64 { return max(o.memEnd(), o.tail) }

// spilled is the number of bytes in the ring.
func (o *output) spilled() int64 { return o.end() - o.memEnd() }

// write keeps p. While the ring is full it waits for acknowledgements as long as they come
// at least every second, and then drops.
func (o *output) write(p []byte, now time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for len(p) > 0 {
		room := o.free()
		if room < int64(len(p)) && o.dropped == 0 && o.wait() {
			continue
		}
		need := int64(len(p))
		if o.dropped > 0 {
			need = spillMax / 8 // one long gap rather than many short ones
		}
		if room < need {
			o.dropped += int64(len(p))
			return
		}
		if o.dropped > 0 {
			o.keepMarker(now)
			if o.dropped > 0 { // the disk is still full
				o.dropped += int64(len(p))
				return
			}
		}
		n := min(room, int64(len(p)))
		o.keep(p[:n], now)
		p = p[n:]
	}
}

// finish ends the output: what was dropped last is said.
func (o *output) finish(now time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.dropped > 0 {
		o.keepMarker(now)
	}
}

// free is how many bytes can be kept now.
func (o *output) free() int64 {
	if o.spilled() == 0 && len(o.mem) < memoryMax {
		return memoryMax - int64(len(o.mem)) + spillMax
	}
	return spillMax - o.spilled()
}

// wait waits for an acknowledgement, at most for a moment. The lock is released meanwhile.
func (o *output) wait() bool {
	if o.room == nil {
		o.room = make(chan struct{})
	}
	room := o.room
	o.mu.Unlock()
	defer o.mu.Lock()
	t := time.NewTimer(patience)
	defer t.Stop()
	select {
	case <-room:
		return true
	case <-t.C:
		return false
	}
}

func (o *output) keepMarker(now time.Time) {
	line := fmt.Sprintf("[drover: %d bytes of output dropped here: the job wrote faster than its log could be stored]\n", o.dropped)
	if o.midline {
		line = "\n" + line
	}
	o.dropped = 0
	o.keep([]byte(line), now)
}

// keep appends p, of which the caller knows that it fits (a marker may exceed the ring's
// bound by its own length, so the ring is a little larger than spillMax).
func (o *output) keep(p []byte, now time.Time) {
	o.stamp(now)
	o.midline = p[len(p)-1] != '\n'
	if o.spilled() == 0 {
		n := min(len(p), memoryMax-len(o.mem))
		if n > 0 {
			o.mem = append(o.mem, p[:n]...)
			p = p[n:]
		}
	}
	if len(p) == 0 {
		return
	}
	from := o.end()
	if err := o.ring(p, from, (*os.File).WriteAt); err != nil {
		o.dropped += int64(len(p)) // the disk is full: the job goes on, its log says so
		return
	}
	o.tail = from + int64(len(p))
}

const ringSize = spillMax + 4096

// ring reads or writes p at its place in the ring.
func (o *output) ring(p []byte, offset int64, do func(*os.File, []byte, int64) (int, error)) error {
	if o.file == nil {
		if err := os.MkdirAll(filepath.Dir(o.spill), 0o700); err != nil {
			return err
		}
		f, err := os.OpenFile(o.spill, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
		if err != nil {
			return err
		}
		o.file = f
	}
	for len(p) > 0 {
		at := offset % ringSize
		n := min(int64(len(p)), ringSize-at)
		if _, err := do(o.file, p[:n], at); err != nil {
			return err
		}
		p, offset = p[n:], offset+n
	}
	return nil
}

// stamp notes the time at the current end, now and then.
func (o *output) stamp(now time.Time) {
	ms := now.UnixMilli()
	if n := len(o.stamps); n > 0 && ms-o.stamps[n-1].at < markEvery.Milliseconds() {
		return
	}
	if len(o.stamps) >= marksLimit { // long backlog: keep every second one
		kept := o.stamps[:0]
		for i := 0; i < len(o.stamps); i += 2 {
			kept = append(kept, o.stamps[i])
		}
		o.stamps = kept
	}
	o.stamps = append(o.stamps, stamp{o.end(), ms})
}

// attach begins a new connection's view: everything unacknowledged will be sent again.
func (o *output) attach(epoch uint64) (acked, mark int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.epoch, o.sent = epoch, o.acked
	return o.acked, o.mark
}

// appendNext appends a frame with the next unsent bytes. It reports whether there are more
// that may go now, and whether everything was sent.
func (o *output) appendNext(b []byte, k Key, epoch uint64) (_ []byte, more, drained bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if epoch != o.epoch {
		return b, false, false
	}
	limit := min(o.end(), o.acked+windowMax)
	n := min(limit-o.sent, chunkMax)
	if n <= 0 {
		return b, false, o.sent == o.end()
	}
	at := o.stamps[0].at
	for _, s := range o.stamps { // the chunk ends where a later stamp begins
		if s.offset > o.sent {
			n = min(n, s.offset-o.sent)
			break
		}
		at = s.at
	}
	if o.sent < o.memEnd() {
		n = min(n, o.memEnd()-o.sent)
	}
	b = appendHead(b, KindOutput, k, outputHead+int(n))
	b = binary.LittleEndian.AppendUint64(b, uint64(o.sent))
	b = binary.LittleEndian.AppendUint64(b, uint64(at))
	if o.sent < o.memEnd() {
		from := o.sent - o.acked
		b = append(b, o.mem[from:from+n]...)
	} else {
		size := len(b)
		b = append(b, make([]byte, n)...)
		if err := o.ring(b[size:], o.sent, (*os.File).ReadAt); err != nil {
			copy(b[size:], fmt.Sprintf("\n[drover: output could not be read back: %v]\n", err))
		}
	}
	o.sent += n
	return b, o.sent < limit, o.sent == o.end()
}

// ack forgets everything before offset n.
func (o *output) ack(n, mark int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if n <= o.acked || n > o.sent {
		return
	}
	cut := n - o.acked
	if cut >= int64(len(o.mem)) {
		o.mem = o.mem[:0]
		if cap(o.mem) > 64<<10 {
			o.mem = nil
		}
	} else {
		o.mem = o.mem[cut:]
	}
	o.acked, o.mark = n, mark
	for len(o.stamps) > 1 && o.stamps[1].offset <= o.acked {
		o.stamps = o.stamps[1:]
	}
	if o.tail > 0 && o.acked >= o.tail && o.file != nil {
		o.tail = 0
		_ = o.file.Truncate(0) // only gives the space back early
	}
	if o.room != nil {
		close(o.room)
		o.room = nil
	}
}

// discard drops everything, with the file.
func (o *output) discard() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.file != nil {
		_ = o.file.Close()
		_ = os.Remove(o.spill)
		o.file = nil
	}
	o.mem, o.stamps, o.tail = nil, nil, 0
	if o.room != nil {
		close(o.room)
		o.room = nil
	}
}
