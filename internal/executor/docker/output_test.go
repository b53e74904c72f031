package docker

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"drover/internal/executor"
)

// logServer is an engine that only has one container's log. It breaks off where a test
// says so, and keeps Docker's rule for since.
type logServer struct {
	mu     sync.Mutex
	frames []frame
	breaks []int // after so many frames of each request in turn; -1 = at the log's end
}

func (s *logServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !strings.HasSuffix(r.URL.Path, "/logs") { // the version is asked for first
		w.Header().Set("Api-Version", "1.41")
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	stop := -1
	if len(s.breaks) > 0 {
		stop, s.breaks = s.breaks[0], s.breaks[1:]
	}
	var since time.Time
	if text := r.URL.Query().Get("since"); text != "" && text != "0" {
		sec, nano, _ := strings.Cut(text, ".")
		a, _ := strconv.ParseInt(sec, 10, 64)
		b, _ := strconv.ParseInt(nano, 10, 64)
		since = time.Unix(a, b)
	}
	w.Header().Set("Content-Type", "application/vnd.docker.multiplexed-stream")
	n := 0
	for _, f := range s.frames {
		if f.at.Before(since) {
			continue
		}
		if n == stop {
			panic(http.ErrAbortHandler)
		}
		n++
		_, _ = w.Write(encode(f))
		w.(http.Flusher).Flush()
	}
}

func encode(f frame) []byte {
	body := append([]byte(f.at.UTC().Format("2006-01-02T15:04:05.000000000Z07:00")+" "), f.payload...)
	head := make([]byte, 8, 8+len(body))
	head[0] = f.stream
	binary.BigEndian.PutUint32(head[4:], uint32(len(body)))
	return append(head, body...)
}

type collect struct{ bytes.Buffer }

func (c *collect) Log(_ executor.ID, chunk []byte, _ time.Time) { c.Write(chunk) }

// TestReadResumes: wherever reading breaks off, and wherever an acknowledgement was, each
// byte comes once and in order, also when many messages have the same time or times are a
// little out of order.
func TestReadResumes(t *testing.T) {
	s := &logServer{}
	socket := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: s}
	done := make(chan struct{})
	go func() { defer close(done); _ = srv.Serve(l) }()
	t.Cleanup(func() { _ = srv.Close(); <-done })
	x, err := New(Options{Dir: t.TempDir(), Host: "h", Address: "unix://" + socket})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = x.Close(t.Context(), false) })
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 1))
		s.frames, s.breaks = nil, nil
		at := time.Unix(1_700_000_000, 0)
		var whole []byte
		for i := range 1 + r.IntN(40) {
			if r.IntN(3) > 0 {
				at = at.Add(time.Duration(r.IntN(int(time.Second))))
			}
			f := frame{stream: byte(1 + r.IntN(2)), at: at.Add(-time.Duration(r.IntN(2) * r.IntN(int(time.Second/2))))}
			f.payload = fmt.Appendf(nil, "%d\n", i%(1+r.IntN(5)))
			if r.IntN(8) == 0 {
				f.payload = bytes.Repeat([]byte("x"), r.IntN(2000))
			}
			s.frames = append(s.frames, f)
			whole = append(whole, f.payload...)
		}
		tries := r.IntN(5)
		for range tries {
			s.breaks = append(s.breaks, r.IntN(len(s.frames)+1))
		}
		s.breaks = append(s.breaks, -1)
		acked := int64(r.IntN(len(whole) + 1))
		if r.IntN(2) == 0 {
			acked = 0
		}
		out := &collect{}
		h := newHandle(x, nil, out)
		h.name, h.acked, h.place.bytes = "c", acked, acked
		for len(s.breaks) > 0 {
			_ = h.read(t.Context(), false) // broken off: goes on with the next
		}
		if got := out.Bytes(); !bytes.Equal(got, whole[acked:]) {
			t.Fatalf("seed %d: %d bytes %.80q, want %d %.80q", seed, len(got), got, len(whole)-int(acked), whole[acked:])
		}
	}
}

// FuzzFrames: whatever an engine sends, reading it ends, in bounds.
func FuzzFrames(f *testing.F) {
	good := encode(frame{stream: 1, at: time.Unix(1, 2), payload: []byte("line\n")})
	f.Add(good)
	f.Add(good[:len(good)-2])
	f.Add(append(append([]byte{}, good...), 3, 0, 0, 0, 0, 0, 0, 2, 'n', 'o'))
	f.Add([]byte{1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		in := &frames{r: bufio.NewReader(bytes.NewReader(b))}
		total := 0
		for {
			fr, err := in.next()
			if err != nil {
				if err == io.EOF && total == 0 && len(b) >= 8 {
					t.Fatalf("%d bytes and no message", len(b))
				}
				return
			}
			total += 8 + len(fr.payload)
			if total > len(b) || fr.stream != 1 && fr.stream != 2 {
				t.Fatalf("%d bytes gave %d, stream %d", len(b), total, fr.stream)
			}
		}
	})
}
