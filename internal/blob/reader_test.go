package blob

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"slices"
	"testing"
	"testing/iotest"
)

var errBroken = errors.New("the cable is out")

// shelf is a Source whose blocks have a few bytes. It spoils what it gave before as soon as
// it is asked again, and complains when it is asked what a reader must not ask.
type shelf struct {
	t      testing.TB
	all    []byte
	block  int
	broken int // the block that gives errBroken; -1 for none
	empty  bool

	asked  []int64
	before []byte // given last
	ended  bool   // by an error
	closed int
}

func (s *shelf) Next(at int64) ([]byte, error) {
	if s.ended || s.closed > 0 || at < 0 || at >= int64(len(s.all)) {
		s.t.Errorf("asked for %d of %d bytes; ended %v, closed %d", at, len(s.all), s.ended, s.closed)
	}
	s.asked = append(s.asked, at)
	clear(s.before)
	n := int(at) / s.block
	if n == s.broken {
		s.ended = true
		return []byte("not to be given"), errBroken
	}
	if s.empty {
		s.ended = true
		return nil, nil
	}
	s.before = bytes.Clone(s.all[at:min(len(s.all), (n+1)*s.block)])
	return s.before, nil
}

func (s *shelf) Close() error {
	s.closed++
	return errBroken
}

func newShelf(t testing.TB, size, block int) *shelf {
	s := &shelf{t: t, all: make([]byte, size), block: block, broken: -1}
	for i := range s.all {
		s.all[i] = byte(i%251 + 1)
	}
	return s
}

func open(t testing.TB, s *shelf, offset, end int64) Reader {
	t.Helper()
	r, err := NewReader(t.Context(), s, int64(len(s.all)), offset, end)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestEnd(t *testing.T) {
	const most = 1<<63 - 1
	for _, c := range []struct {
		size, offset, length, end int64
		ok                        bool
	}{
		{10, 0, 10, 10, true}, {10, 0, -1, 10, true}, {10, 4, 3, 7, true}, {10, 4, -1, 10, true},
		{10, 10, 0, 10, true}, {10, 10, -1, 10, true}, {0, 0, -1, 0, true}, {10, 3, 0, 3, true},
		{10, 0, 11, 0, false}, {10, 10, 1, 0, false}, {10, 11, 0, 0, false}, {10, 11, -1, 0, false},
		{10, -1, 5, 0, false}, {10, -1, -1, 0, false}, {10, 0, -2, 0, false}, {10, 1, most, 0, false}, {10, most, -1, 0, false},
	} {
		end, err := End("id", c.size, c.offset, c.length)
		if end != c.end || (err == nil) != c.ok {
			t.Errorf("%d+%d of %d bytes: %d, %v", c.offset, c.length, c.size, end, err)
		}
	}
}

// What is asked for, and when.
func TestReaderAsks(t *testing.T) {
	for _, c := range []struct {
		offset, end int64
		first, all  []int64
	}{
		{0, 25, []int64{0}, []int64{0, 10, 20}},
		{0, 20, []int64{0}, []int64{0, 10}},
		{7, 11, []int64{7}, []int64{7, 10}},
		{10, 20, []int64{10}, []int64{10}},
		{12, 13, []int64{12}, []int64{12}},
		{5, 5, nil, nil},
		{25, 25, nil, nil},
	} {
		s := newShelf(t, 25, 10)
		r := open(t, s, c.offset, c.end)
		if !slices.Equal(s.asked, c.first) {
			t.Errorf("%d to %d: asked for %v before it is read, want %v", c.offset, c.end, s.asked, c.first)
		}
		if got, err := io.ReadAll(iotest.OneByteReader(r)); err != nil || !bytes.Equal(got, s.all[c.offset:c.end]) {
			t.Errorf("%d to %d: %d bytes, %v", c.offset, c.end, len(got), err)
		}
		if !slices.Equal(s.asked, c.all) {
			t.Errorf("%d to %d: asked for %v, want %v", c.offset, c.end, s.asked, c.all)
		}
		if r.Size() != 25 {
			t.Errorf("it says the content has %d bytes", r.Size())
		}
	}
}

func TestReaderErrors(t *testing.T) {
	s := newShelf(t, 25, 10)
	s.broken = 0
	if r, err := NewReader(t.Context(), s, 25, 0, 25); err != errBroken || r != nil || s.closed != 1 {
		t.Errorf("a bad first block: %v, %v, closed %d times", r, err, s.closed)
	}
	s = newShelf(t, 25, 10)
	s.empty = true
	if r, err := NewReader(t.Context(), s, 25, 0, 25); err != io.ErrNoProgress || r != nil || s.closed != 1 {
		t.Errorf("a source that gives nothing: %v, %v, closed %d times", r, err, s.closed)
	}
	s = newShelf(t, 25, 10)
	s.broken = 1
	r := open(t, s, 3, 25)
	var got bytes.Buffer
	for range 2 { // and again
		if _, err := got.ReadFrom(struct{ io.Reader }{r}); err != errBroken {
			t.Errorf("a bad second block: %v", err)
		}
		if _, err := io.Copy(&got, r); err != errBroken {
			t.Errorf("a bad second block, copied: %v", err)
		}
	}
	if !bytes.Equal(got.Bytes(), s.all[3:10]) {
		t.Errorf("before the bad block it gave %v", got.Bytes())
	}
}

// An ended context stops what would be asked for, and no byte that is there.
func TestReaderContext(t *testing.T) {
	s := newShelf(t, 25, 10)
	ctx, cancel := context.WithCancel(t.Context())
	r, err := NewReader(ctx, s, 25, 0, 25)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if got, err := io.ReadAll(r); !errors.Is(err, context.Canceled) || len(got) != 10 || len(s.asked) != 1 {
		t.Errorf("%d bytes, %v, asked for %v", len(got), err, s.asked)
	}
}

func TestReaderClose(t *testing.T) {
	s := newShelf(t, 25, 10)
	r := open(t, s, 0, 25)
	if err := r.Close(); err != errBroken {
		t.Errorf("the source's error is lost: %v", err)
	}
	if err := r.Close(); err != nil || s.closed != 1 {
		t.Errorf("the second time: %v, closed %d times", err, s.closed)
	}
	if n, err := r.Read(make([]byte, 5)); n != 0 || err != fs.ErrClosed {
		t.Errorf("after Close: %d bytes, %v", n, err)
	}
	if n, err := io.Copy(io.Discard, r); n != 0 || err != fs.ErrClosed {
		t.Errorf("after Close, copied: %d bytes, %v", n, err)
	}
}

// meek takes a few bytes of each Write and says so, and now and then an error with it.
type meek struct {
	bytes.Buffer
	takes, calls int
}

func (m *meek) Write(p []byte) (int, error) {
	if m.calls++; m.calls%2 == 0 {
		return 0, errBroken
	}
	return m.Buffer.Write(p[:min(len(p), m.takes)])
}

// A writer that fails loses nothing: what it did not take is given next.
func TestReaderWriteTo(t *testing.T) {
	s := newShelf(t, 25, 10)
	r := open(t, s, 2, 24).(io.WriterTo)
	m := &meek{takes: 3}
	total := int64(0)
	for tries := 0; ; tries++ {
		n, err := r.WriteTo(m)
		if total += n; err == nil {
			break
		}
		if err != errBroken || tries > 100 {
			t.Fatal(err)
		}
	}
	if total != 22 || !bytes.Equal(m.Bytes(), s.all[2:24]) {
		t.Errorf("%d bytes: %v", total, m.Bytes())
	}
}

// FuzzReader reads any range of any content in steps of any length, by either door.
func FuzzReader(f *testing.F) {
	f.Add(uint16(25), uint8(10), uint16(3), uint16(20), uint8(255), []byte{4, 0, 9, 255})
	f.Add(uint16(4096), uint8(64), uint16(0), uint16(4096), uint8(7), []byte{64, 63, 65, 200, 3})
	f.Add(uint16(1), uint8(0), uint16(1), uint16(0), uint8(0), []byte{})
	f.Fuzz(func(t *testing.T, size uint16, block uint8, offset, length uint16, broken uint8, steps []byte) {
		s := newShelf(t, int(size), int(block)+1)
		if broken < 255 {
			s.broken = int(broken)
		}
		end, err := End("id", int64(size), int64(offset), int64(length))
		if err != nil {
			return
		}
		good, wrong := end, error(nil) // what must come, and how it must end
		if from := int64(s.broken * s.block); s.broken >= 0 && from < end && int64(offset) < from+int64(s.block) && int64(offset) < end {
			good, wrong = max(from, int64(offset)), errBroken
		}
		r, err := NewReader(t.Context(), s, int64(size), int64(offset), end)
		if err != nil {
			if err != wrong || good != int64(offset) || s.closed != 1 {
				t.Fatalf("%v, closed %d times", err, s.closed)
			}
			return
		}
		var got bytes.Buffer
		for _, step := range steps {
			n, err := io.CopyN(&got, struct{ io.Reader }{r}, int64(step))
			if n < int64(step) != (err != nil) {
				t.Fatalf("%d of %d bytes, %v", n, step, err)
			}
		}
		_, err = io.Copy(&got, r)
		if err != wrong || !bytes.Equal(got.Bytes(), s.all[offset:good]) {
			t.Errorf("bytes %d to %d, good to %d: %d bytes, %v", offset, end, good, got.Len(), err)
		}
		if last := len(s.asked) - 1; last >= 0 && s.asked[last] >= end {
			t.Errorf("asked for %v, beyond %d", s.asked, end)
		}
	})
}
