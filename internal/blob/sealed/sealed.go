// Package sealed keeps blobs encrypted in another store.
//
// It promises what package blob says, and that whoever reads or changes what lies in the
// store below, without a key of the ring, learns of contents no more than their sizes, and
// that every change, cut or exchange within a content is damage. What is sealed looks so:
//
//	header: "drvseal" 1 | key id, 8 bytes | salt, 32 bytes
//	frame, frame, … each ends with a tag of 16 bytes; with the header before the first,
//	                every frame is one block of the store below, the last one shorter
//
// Each content has an AES-256-GCM key of its own, HKDF-SHA-256 of the ring's key and the
// salt. A frame's nonce is its number and whether it is the last, its additional data the
// header. So a range is read by its own frames alone; the header of a content that was read
// a moment ago is remembered.
//
// It does not hide which of two contents is which from someone who can exchange whole
// contents below and also the rows that name them.
package sealed

import (
	"context"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"sync"

	"drover/internal/blob"
)

const (
	magic      = "drvseal\x01"
	saltSize   = 32
	headerSize = 8 + 8 + saltSize
	tagSize    = 16
	frameSize  = blob.BlockSize // with tag, the first also with the header
	firstRoom  = frameSize - headerSize - tagSize
	room       = frameSize - tagSize
	remembered = 4096
)

// Store seals what it puts into the store below.
type Store struct {
	below blob.Store
	ring  *Ring

	mu    sync.Mutex // guards known
	known map[blob.ID]*content
}

var _ blob.Store = (*Store)(nil)

// content is what reading needs to know.
type content struct {
	aead   cipher.AEAD
	header [headerSize]byte
	size   int64 // plain
	total  int64 // sealed
}

// New wraps a store that holds nothing but what was sealed.
func New(below blob.Store, ring *Ring) *Store {
	return &Store{below: below, ring: ring, known: map[blob.ID]*content{}}
}

// Close implements blob.Store.
func (s *Store) Close() error { return s.below.Close() }

// Scan implements blob.Store; sizes are those below.
func (s *Store) Scan(ctx context.Context, after blob.ID) iter.Seq2[blob.Entry, error] {
	return s.below.Scan(ctx, after)
}

// Delete implements blob.Store.
func (s *Store) Delete(ctx context.Context, id blob.ID) error {
	s.mu.Lock()
	delete(s.known, id)
	s.mu.Unlock()
	return s.below.Delete(ctx, id)
}

// sealedSize is how much a content of n bytes takes below.
func sealedSize(n int64) int64 {
	frames := int64(1)
	if n > firstRoom {
		frames += (n - firstRoom + room - 1) / room
	}
	return headerSize + n + frames*tagSize
}

// frameAt gives the frame of a plain offset, and where that frame begins.
func frameAt(offset int64) (number, start int64) {
	if offset < firstRoom {
		return 0, 0
	}
	number = 1 + (offset-firstRoom)/room
	return number, firstRoom + (number-1)*room
}

func nonce(number int64, last bool) []byte {
	n := make([]byte, 12)
	binary.BigEndian.PutUint64(n, uint64(number))
	if last {
		n[11] = 1
	}
	return n
}

// fresh begins a content with the ring's first key.
func (r *Ring) fresh() (*content, error) {
	c := &content{}
	at := copy(c.header[:], magic)
	at += copy(c.header[at:], r.keys[0].id[:])
	rand.Read(c.header[at:])
	var err error
	c.aead, err = r.keys[0].aead(c.header[at:])
	return c, err
}

// unlock reads a header.
func (r *Ring) unlock(header []byte) (*content, error) {
	c := &content{}
	copy(c.header[:], header)
	if string(c.header[:len(magic)]) != magic {
		return nil, errors.New("it does not begin as what drover seals")
	}
	id := keyID(c.header[len(magic):])
	k := r.find(id)
	if k == nil {
		return nil, fmt.Errorf("it is sealed with the key %s, which the key file %s does not have; add that key", id, r.path)
	}
	var err error
	c.aead, err = k.aead(c.header[headerSize-saltSize:])
	return c, err
}

// Put implements blob.Store.
func (s *Store) Put(ctx context.Context, r io.Reader, size int64) (blob.Info, error) {
	c, err := s.ring.fresh()
	if err != nil {
		return blob.Info{}, err
	}
	if size >= 0 {
		size = sealedSize(size)
	}
	w := &sealer{content: c, from: r, block: blocks.Get().(*block)}
	defer w.close()
	info, err := s.below.Put(ctx, w, size)
	info.Size = w.size
	return info, err
}

type block [frameSize]byte

var blocks = sync.Pool{New: func() any { return new(block) }}

// sealer gives the sealed form of what it reads. It reads one byte ahead to know the last frame.
type sealer struct {
	*content
	from   io.Reader
	block  *block
	ready  []byte // of block
	ahead  [1]byte
	has    bool
	ended  bool // nothing more to read
	number int64
	size   int64
	err    error
}

func (w *sealer) close() { blocks.Put(w.block) }

// Read implements io.Reader.
func (w *sealer) Read(p []byte) (int, error) {
	if len(w.ready) == 0 {
		if w.err == nil {
			w.err = w.fill()
		}
		if w.err != nil {
			return 0, w.err
		}
	}
	n := copy(p, w.ready)
	w.ready = w.ready[n:]
	return n, nil
}

// fill seals the next frame in place.
func (w *sealer) fill() error {
	if w.ended {
		return io.EOF
	}
	at := 0
	if w.number == 0 {
		at = copy(w.block[:], w.header[:])
	}
	plain := w.block[at : frameSize-tagSize]
	n := 0
	if w.has {
		plain[0], n = w.ahead[0], 1
	}
	got, err := io.ReadFull(w.from, plain[n:])
	n += got
	if err == nil {
		_, err = io.ReadFull(w.from, w.ahead[:])
		w.has = err == nil
	}
	if w.ended = err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF); err != nil && !w.ended {
		return err
	}
	sealed := w.aead.Seal(plain[:0], nonce(w.number, w.ended), plain[:n], w.header[:])
	w.ready = w.block[:at+len(sealed)]
	w.number++
	w.size += int64(n)
	return nil
}

// Get implements blob.Store.
func (s *Store) Get(ctx context.Context, id blob.ID, offset, length int64) (blob.Reader, error) {
	if offset < 0 || length < -1 || length > 1<<62 {
		return nil, fmt.Errorf("blob: bytes %d+%d of content %s", offset, length, id)
	}
	s.mu.Lock()
	c := s.known[id]
	s.mu.Unlock()
	f := &frames{id: id, content: c}
	var err error
	if c == nil {
		err = f.meet(ctx, s, offset, length)
	}
	end := int64(0)
	if err == nil {
		end, err = f.open(ctx, s, offset, length)
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return blob.NewReader(ctx, f, f.size, offset, end)
}

// frames is the blob.Source that opens the frames of a range.
type frames struct {
	*content
	id     blob.ID
	below  blob.Reader
	block  *block
	number int64 // of the frame to read
	start  int64 // where it begins, plain
}

// meet learns the header of a content. Where the whole of it is wanted, it is being read already.
func (f *frames) meet(ctx context.Context, s *Store, offset, length int64) error {
	want := int64(headerSize)
	if offset == 0 && length >= 0 {
		want = sealedSize(length)
	} else if offset == 0 {
		want = -1
	}
	below, err := s.below.Get(ctx, f.id, 0, want)
	if err != nil {
		return f.plainly(err)
	}
	var header [headerSize]byte
	if _, err := io.ReadFull(below, header[:]); err != nil {
		_ = below.Close()
		if errors.Is(err, io.ErrUnexpectedEOF) || err == io.EOF {
			return f.damage(0, "it is shorter than a header")
		}
		return f.plainly(err)
	}
	c, err := s.ring.unlock(header[:])
	if err != nil {
		_ = below.Close()
		return f.damage(0, "%v", err)
	}
	c.total = below.Size()
	count := (c.total + frameSize - 1) / frameSize
	c.size = c.total - headerSize - count*tagSize
	if c.size < 0 || sealedSize(c.size) != c.total {
		_ = below.Close()
		return f.damage(0, "its %d bytes are no whole number of frames: it was cut", c.total)
	}
	f.content = c
	s.remember(f.id, c)
	if want == -1 || want == c.total && want > headerSize {
		f.below = below
		return nil
	}
	return below.Close()
}

func (s *Store) remember(id blob.ID, c *content) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.known) >= remembered {
		clear(s.known) // whoever is read often is met again soon
	}
	s.known[id] = c
}

// open checks the range, gives its end and begins to read below.
func (f *frames) open(ctx context.Context, s *Store, offset, length int64) (int64, error) {
	end, err := blob.End(f.id, f.size, offset, length)
	if err != nil {
		return 0, err
	}
	if f.below == nil {
		f.number, f.start = frameAt(min(offset, max(f.size-1, 0)))
		last, _ := frameAt(max(end-1, f.start))
		from := f.number * frameSize
		if from == 0 {
			from = headerSize
		}
		if f.below, err = s.below.Get(ctx, f.id, from, min((last+1)*frameSize, f.total)-from); err != nil {
			return 0, f.plainly(err)
		}
	}
	if offset == end { // nothing will be asked for; a content that is missing or damaged says so all the same
		_, err = f.Next(f.start)
	}
	return end, err
}

// Next reads and opens the next frame.
func (f *frames) Next(at int64) ([]byte, error) {
	if f.block == nil {
		f.block = blocks.Get().(*block)
	}
	n := min(firstRoom, f.size)
	if f.number > 0 {
		n = min(room, f.size-f.start)
	}
	sealed := f.block[:n+tagSize]
	if _, err := io.ReadFull(f.below, sealed); err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) || err == io.EOF {
			return nil, f.damage(f.start, "it ends before this")
		}
		return nil, f.plainly(err)
	}
	plain, err := f.aead.Open(sealed[:0], nonce(f.number, f.start+n == f.size), sealed, f.header[:])
	if err != nil {
		return nil, f.damage(f.start, "these %d bytes do not open with their key: they were changed, or are another content's", n)
	}
	plain = plain[at-f.start:]
	f.number, f.start = f.number+1, f.start+n
	return plain, nil
}

func (f *frames) damage(offset int64, format string, args ...any) error {
	return &blob.Damage{ID: f.id, Offset: offset, Where: "sealed content", Reason: fmt.Sprintf(format, args...)}
}

// plainly puts the offset of damage below into terms of the content.
func (f *frames) plainly(err error) error {
	d, ok := errors.AsType[*blob.Damage](err)
	if !ok {
		return err
	}
	moved := *d
	moved.Offset = 0
	if number := d.Offset / frameSize; number > 0 {
		moved.Offset = firstRoom + (number-1)*room
	}
	return &moved
}

// Close implements blob.Source.
func (f *frames) Close() error {
	if f.block != nil {
		blocks.Put(f.block)
	}
	if f.below == nil {
		return nil
	}
	return f.below.Close()
}

// Seal seals a small content that is kept elsewhere, under a name that Unseal must be given.
func (r *Ring) Seal(name string, plain []byte) ([]byte, error) {
	c, err := r.fresh()
	if err != nil {
		return nil, err
	}
	out := make([]byte, headerSize, headerSize+len(plain)+tagSize)
	copy(out, c.header[:])
	return c.aead.Seal(out, nonce(0, true), plain, append(c.header[:], name...)), nil
}

// Unseal opens what Seal made.
func (r *Ring) Unseal(name string, sealed []byte) ([]byte, error) {
	if len(sealed) < headerSize+tagSize {
		return nil, errors.New("it is shorter than a header")
	}
	c, err := r.unlock(sealed[:headerSize])
	if err != nil {
		return nil, err
	}
	plain, err := c.aead.Open(nil, nonce(0, true), sealed[headerSize:], append(c.header[:], name...))
	if err != nil {
		return nil, errors.New("it does not open with its key: it was changed, or is another's")
	}
	return plain, nil
}
