package launcher

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"drover/internal/core/job"
)

// Version of the conversation between worker and launcher. A worker that meets a launcher
// of another version must let it end its jobs first.
const Version = 2

// Kind says what a frame is.
type Kind uint8

// The frames. A frame is a length (4 bytes), a kind (1), a key (20) and a body.
const (
	KindHello    Kind = iota + 1 // worker: JSON Hello
	KindStart                    // worker: JSON Start
	KindStop                     // worker: JSON Stop
	KindAck                      // worker: bytes (8), mark (8)
	KindForget                   // worker: empty
	KindLeave                    // worker: empty; end everything and go
	KindWelcome                  // launcher: JSON Welcome
	KindStarted                  // launcher: JSON Started
	KindOutput                   // launcher: offset (8), ms since 1970 (8), bytes
	KindEnded                    // launcher: JSON Ended, after all output
	KindReplaced                 // launcher: a newer worker took over; do not come back
)

const (
	frameHead  = 4 + 1 + 20
	maxFrame   = 16 << 20 // command and environment (the kernel allows about 2 MiB) and the note
	outputHead = 16
)

// Key names an attempt, or one member of it, in a frame: a lease without its attempt number.
type Key struct {
	Job    job.Key
	Index  int32
	Fence  uint32
	Member int32
}

// KeyOf is the key of a lease's attempt, or of a member of it.
func KeyOf(l job.Lease, member int32) Key { return Key{l.Ref.Key, l.Ref.Index, l.Fence, member} }

// Hello is a worker's first frame.
type Hello struct {
	Version      int   `json:"version"`
	PID          int   `json:"pid"`
	OrphanMillis int64 `json:"orphanMillis"` // how long to stay without a worker
}

// Welcome answers Hello.
type Welcome struct {
	Version int    `json:"version"`
	PID     int    `json:"pid"`
	Boot    string `json:"boot"`
	Limits  string `json:"limits"` // how memory limits are kept: "cgroup v1", "cgroup v2", or why they are not
	Limited bool   `json:"limited"`
	Held    []Held `json:"held,omitempty"`
}

// Held is an attempt that the launcher knows.
type Held struct {
	Lease   job.Lease `json:"lease"`
	Member  int32     `json:"member,omitempty"`
	Started int64     `json:"started"` // µs
	Note    []byte    `json:"note,omitempty"`
	Acked   int64     `json:"acked"`
	Mark    int64     `json:"mark"`
}

// Start asks for an attempt.
type Start struct {
	Lease         job.Lease `json:"lease"`
	Member        int32     `json:"member,omitempty"`
	Note          []byte    `json:"note,omitempty"`
	Command       []string  `json:"command"`
	Environment   []string  `json:"environment"`
	Dir           string    `json:"dir"`
	MemoryMiB     int64     `json:"memoryMiB,omitempty"`
	TimeoutMillis int64     `json:"timeoutMillis,omitempty"`
	Stdin         string    `json:"stdin,omitempty"`
	Stdout        string    `json:"stdout,omitempty"`
}

// Started says that the command runs, or that the launcher has the lease already.
type Started struct {
	At   int64 `json:"at"` // µs
	Held bool  `json:"held,omitempty"`
}

// Stop asks to end an attempt.
type Stop struct {
	GraceMillis int64     `json:"graceMillis"`
	Cause       job.Cause `json:"cause"`
}

// Ended says how an attempt ended.
type Ended struct {
	Exit job.Exit `json:"exit"`
	At   int64    `json:"at"` // µs
}

// Frame is one message. Body is only valid until the next frame is read.
type Frame struct {
	Kind Kind
	Key  Key
	Body []byte
}

// appendHead appends a frame's head for a body of n bytes.
func appendHead(b []byte, kind Kind, k Key, n int) []byte {
	b = binary.LittleEndian.AppendUint32(b, uint32(frameHead-4+n))
	b = append(b, byte(kind))
	b = binary.LittleEndian.AppendUint64(b, uint64(k.Job))
	b = binary.LittleEndian.AppendUint32(b, uint32(k.Index))
	b = binary.LittleEndian.AppendUint32(b, k.Fence)
	return binary.LittleEndian.AppendUint32(b, uint32(k.Member))
}

// appendJSON appends a frame with a JSON body.
func appendJSON(b []byte, kind Kind, k Key, v any) []byte {
	body, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("launcher: a %T has no JSON: %v", v, err)) // plain structs of strings and numbers
	}
	return append(appendHead(b, kind, k, len(body)), body...)
}

// readFrame reads one frame into buf, which it may grow.
func readFrame(r *bufio.Reader, buf []byte) (Frame, []byte, error) {
	var head [frameHead]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return Frame{}, buf, err
	}
	n := int(binary.LittleEndian.Uint32(head[:])) - (frameHead - 4)
	if n < 0 || n > maxFrame {
		return Frame{}, buf, fmt.Errorf("a frame of %d bytes", n)
	}
	if cap(buf) < n {
		buf = make([]byte, max(n, 4096))
	}
	f := Frame{Kind: Kind(head[4]), Body: buf[:n], Key: Key{
		Job:   job.Key(binary.LittleEndian.Uint64(head[5:])),
		Index: int32(binary.LittleEndian.Uint32(head[13:])),
		Fence: binary.LittleEndian.Uint32(head[17:]),

		Member: int32(binary.LittleEndian.Uint32(head[21:])),
	}}
	_, err := io.ReadFull(r, f.Body)
	return f, buf, err
}

// Output splits the body of a KindOutput frame.
func (f Frame) Output() (offset int64, at time.Time, chunk []byte, err error) {
	if len(f.Body) < outputHead {
		return 0, time.Time{}, nil, fmt.Errorf("an output frame of %d bytes", len(f.Body))
	}
	offset = int64(binary.LittleEndian.Uint64(f.Body))
	at = time.UnixMilli(int64(binary.LittleEndian.Uint64(f.Body[8:])))
	return offset, at, f.Body[outputHead:], nil
}

// writeTimeout is how long a peer may leave a full socket unread before it counts as gone.
const writeTimeout = 20 * time.Second

// Conn is a worker's connection to its launcher. Send is safe for concurrent use; Read
// belongs to one goroutine.
type Conn struct {
	nc  net.Conn
	r   *bufio.Reader
	buf []byte

	mu      sync.Mutex // guards the rest
	out     []byte     // frames that wait for the write in flight
	spare   []byte
	writing bool
	err     error
}

func newConn(nc net.Conn) *Conn { return &Conn{nc: nc, r: bufio.NewReaderSize(nc, 64<<10)} }

// Read gives the next frame.
func (c *Conn) Read() (f Frame, err error) {
	f, c.buf, err = readFrame(c.r, c.buf)
	return f, err
}

// Buffered reports whether another frame has begun to arrive.
func (c *Conn) Buffered() bool { return c.r.Buffered() > 0 }

// CloseWrite says that nothing more will be sent. The launcher takes in what was sent
// before and hangs up.
func (c *Conn) CloseWrite() error {
	if u, ok := c.nc.(*net.UnixConn); ok {
		return u.CloseWrite()
	}
	return c.nc.Close()
}

// Close ends the connection.
func (c *Conn) Close() error { return c.nc.Close() }

// SendJSON sends a frame with a JSON body.
func (c *Conn) SendJSON(kind Kind, k Key, v any) error {
	return c.send(appendJSON(nil, kind, k, v))
}

// SendAck acknowledges output.
func (c *Conn) SendAck(k Key, n, mark int64) error {
	b := appendHead(make([]byte, 0, frameHead+16), KindAck, k, 16)
	b = binary.LittleEndian.AppendUint64(b, uint64(n))
	return c.send(binary.LittleEndian.AppendUint64(b, uint64(mark)))
}

// SendEmpty sends a frame without a body.
func (c *Conn) SendEmpty(kind Kind, k Key) error { return c.send(appendHead(nil, kind, k, 0)) }

// send writes at once when the connection is idle; while a write is in flight frames
// gather, and the writer takes all of them with its next write.
func (c *Conn) send(frame []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return c.err
	}
	c.out = append(c.out, frame...)
	if c.writing {
		return nil
	}
	c.writing = true
	for len(c.out) > 0 && c.err == nil {
		batch := c.out
		c.out = c.spare[:0]
		c.mu.Unlock()
		err := c.nc.SetWriteDeadline(time.Now().Add(writeTimeout))
		if err == nil {
			_, err = c.nc.Write(batch)
		}
		if err != nil {
			_ = c.nc.Close() // Read ends too, and with it the connection's life
		}
		c.mu.Lock()
		c.err, c.spare = err, nil
		if cap(batch) <= 256<<10 {
			c.spare = batch
		}
	}
	c.writing = false
	return c.err
}
