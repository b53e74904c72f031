package s3

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strconv"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"drover/internal/blob"
)

// reopens is how often a reader asks again for one frame when the connection breaks.
const reopens = 3

// Get implements blob.Store.
func (s *Store) Get(ctx context.Context, id blob.ID, offset, length int64) (blob.Reader, error) {
	key := s.key(id)
	if key == "" {
		return nil, blob.ErrNotFound
	}
	if offset < 0 || length < -1 {
		return nil, fmt.Errorf("blob: bytes %d+%d of content %s", offset, length, id)
	}
	r := &reader{s: s, ctx: ctx, id: id, key: key, next: offset / blob.BlockSize, pos: offset, end: -1}
	if length > 0 && offset <= 1<<62-length {
		r.end = offset + length
	}
	if err := r.open(offset, length); err != nil {
		_ = r.Close()
		return nil, err
	}
	return r, nil
}

// reader gives verified bytes of one object.
type reader struct {
	s      *Store
	ctx    context.Context
	id     blob.ID
	key    string
	etag   *string // of the first answer; later ones must be of the same object
	size   int64   // of the content; -1 until it is known
	frames int64
	next   int64 // frame to read
	pos    int64 // of the next byte to give
	end    int64 // -1 until the size is known

	body    io.ReadCloser
	reopens int
	block   *[frameSize]byte
	ready   []byte
	err     error
}

var blocks = sync.Pool{New: func() any { return new([frameSize]byte) }}

func (r *reader) damage(offset int64, format string, args ...any) error {
	return &blob.Damage{ID: r.id, Offset: offset, Where: r.s.at.Place() + " key " + r.key, Reason: fmt.Sprintf(format, args...)}
}

// open finds out the size, checks the range and reads the first frame. One request does it
// unless the range is empty.
func (r *reader) open(offset, length int64) error {
	r.size = -1
	if length != 0 {
		if err := r.request(); err != nil {
			return err
		}
	}
	if r.size < 0 { // nothing to read at offset, or nothing wanted
		if err := r.head(); err != nil {
			return err
		}
	}
	if length < 0 {
		length = r.size - offset
	}
	if length < 0 || offset > r.size || length > r.size-offset {
		return fmt.Errorf("blob: bytes %d+%d of content %s, which has %d", offset, length, r.id, r.size)
	}
	r.end = offset + length
	if r.pos < r.end {
		return r.fill()
	}
	return nil
}

// request asks for the frames from next on, up to the last one wanted. Where the object has
// none there, the size stays unknown.
func (r *reader) request() error {
	want := "bytes=" + strconv.FormatInt(r.next*frameSize, 10) + "-"
	if r.end >= 0 {
		last := (r.end - 1) / blob.BlockSize
		want += strconv.FormatInt((last+1)*frameSize-1, 10)
	}
	out, err := r.s.client.GetObject(r.ctx, &s3.GetObjectInput{Bucket: &r.s.at.Bucket, Key: &r.key, Range: &want, IfMatch: r.etag})
	switch {
	case isMissing(err):
		return blob.ErrNotFound
	case isCode(err, "InvalidRange"):
		return nil
	case isCode(err, "PreconditionFailed"):
		return r.damage(r.next*blob.BlockSize, "the object was replaced while it was read")
	case err != nil:
		return r.s.at.Explain(err)
	}
	r.body, r.etag = out.Body, out.ETag
	_, text, ok := strings.Cut(aws.ToString(out.ContentRange), "/")
	total, e := strconv.ParseInt(text, 10, 64)
	if !ok || e != nil {
		return r.damage(0, "the answer to a range has the Content-Range %q", aws.ToString(out.ContentRange))
	}
	return r.setTotal(total)
}

func (r *reader) head() error {
	out, err := r.s.client.HeadObject(r.ctx, &s3.HeadObjectInput{Bucket: &r.s.at.Bucket, Key: &r.key})
	if isMissing(err) {
		return blob.ErrNotFound
	}
	if err != nil {
		return r.s.at.Explain(err)
	}
	return r.setTotal(aws.ToInt64(out.ContentLength))
}

// setTotal takes the size of the object, and from it that of the content.
func (r *reader) setTotal(total int64) error {
	r.frames = (total + frameSize - 1) / frameSize
	rest := total - (r.frames-1)*frameSize // the last frame
	if total < sumSize || r.frames > 1 && rest <= sumSize {
		return r.damage(0, "the object has %d bytes, which is no whole number of frames: it was cut", total)
	}
	size := total - r.frames*sumSize
	if r.size >= 0 && r.size != size {
		return r.damage(r.next*blob.BlockSize, "the object changed its size while it was read")
	}
	r.size = size
	return nil
}

// fill reads and verifies the next frame.
func (r *reader) fill() error {
	start := r.next * blob.BlockSize
	n := min(r.size-start, blob.BlockSize)
	if r.block == nil {
		r.block = blocks.Get().(*[frameSize]byte)
	}
	p := r.block[:n+sumSize]
	if err := r.read(p); err != nil {
		return err
	}
	if frameSum(r.id, r.next, r.next == r.frames-1, p[:n]) != binary.BigEndian.Uint32(p[n:]) {
		return r.damage(start, "the checksum of these %d bytes is not the one that was written", n)
	}
	r.next, r.reopens = r.next+1, 0
	r.ready = p[r.pos-start : min(n, r.end-start)]
	return nil
}

// read reads one whole frame, asking again where the connection broke.
func (r *reader) read(p []byte) error {
	for {
		if r.body == nil {
			if err := r.request(); err != nil {
				return err
			}
			if r.body == nil {
				return r.damage(r.next*blob.BlockSize, "the object ends before this")
			}
		}
		_, err := io.ReadFull(r.body, p)
		if err == nil {
			return nil
		}
		_ = r.body.Close()
		r.body = nil
		if ended := r.ctx.Err(); ended != nil {
			return ended
		}
		if r.reopens++; r.reopens > reopens {
			return fmt.Errorf("blob: the connection to %s broke %d times at one place: %w", r.s.at.Place(), r.reopens, err)
		}
	}
}

// Size implements blob.Reader.
func (r *reader) Size() int64 { return r.size }

// Read implements io.Reader.
func (r *reader) Read(p []byte) (int, error) {
	for len(r.ready) == 0 {
		switch {
		case r.err != nil:
		case r.pos >= r.end:
			r.err = io.EOF
		default:
			if r.err = r.ctx.Err(); r.err == nil {
				r.err = r.fill()
			}
			if errors.Is(r.err, blob.ErrNotFound) { // it was there
				r.err = r.damage(r.pos, "the object was deleted while it was read")
			}
		}
		if r.err != nil {
			return 0, r.err
		}
	}
	n := copy(p, r.ready)
	r.ready = r.ready[n:]
	r.pos += int64(n)
	return n, nil
}

// Close implements io.Closer.
func (r *reader) Close() error {
	if r.block != nil {
		blocks.Put(r.block)
		r.block = nil
	}
	r.ready, r.err = nil, fs.ErrClosed
	if r.body == nil {
		return nil
	}
	err := r.body.Close()
	r.body = nil
	return err
}
