package s3

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
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
	o := &object{s: s, ctx: ctx, id: id, key: key, next: offset / blob.BlockSize, end: -1}
	if length > 0 && offset <= 1<<62-length {
		o.end = offset + length
	}
	if err := o.open(offset, length); err != nil {
		_ = o.Close()
		return nil, err
	}
	return blob.NewReader(ctx, o, o.size, offset, o.end)
}

// object is the blob.Source of one object.
type object struct {
	s      *Store
	ctx    context.Context
	id     blob.ID
	key    string
	etag   *string // of the first answer; later ones must be of the same object
	size   int64   // of the content; -1 until it is known
	frames int64
	next   int64 // frame to read
	given  bool  // a frame was
	end    int64 // of the range; -1 until the size is known

	body    io.ReadCloser
	reopens int
	block   *[frameSize]byte
}

var blocks = sync.Pool{New: func() any { return new([frameSize]byte) }}

func (o *object) damage(offset int64, format string, args ...any) error {
	return &blob.Damage{ID: o.id, Offset: offset, Where: o.s.at.Place() + " key " + o.key, Reason: fmt.Sprintf(format, args...)}
}

// open asks for the range, finds out the size and checks that the range is within. One
// request does it unless the range is empty.
func (o *object) open(offset, length int64) (err error) {
	o.size = -1
	if length != 0 {
		if err := o.request(); err != nil {
			return err
		}
	}
	if o.size < 0 { // nothing to read at offset, or nothing wanted
		if err := o.head(); err != nil {
			return err
		}
	}
	o.end, err = blob.End(o.id, o.size, offset, length)
	return err
}

// request asks for the frames from next on, up to the last one wanted. Where the object has
// none there, the size stays unknown.
func (o *object) request() error {
	want := "bytes=" + strconv.FormatInt(o.next*frameSize, 10) + "-"
	if o.end >= 0 {
		last := (o.end - 1) / blob.BlockSize
		want += strconv.FormatInt((last+1)*frameSize-1, 10)
	}
	out, err := o.s.client.GetObject(o.ctx, &s3.GetObjectInput{Bucket: &o.s.at.Bucket, Key: &o.key, Range: &want, IfMatch: o.etag})
	switch {
	case isMissing(err):
		return blob.ErrNotFound
	case isCode(err, "InvalidRange"):
		return nil
	case isCode(err, "PreconditionFailed"):
		return o.damage(o.next*blob.BlockSize, "the object was replaced while it was read")
	case err != nil:
		return o.s.at.Explain(err)
	}
	o.body, o.etag = out.Body, out.ETag
	_, text, ok := strings.Cut(aws.ToString(out.ContentRange), "/")
	total, e := strconv.ParseInt(text, 10, 64)
	if !ok || e != nil {
		return o.damage(0, "the answer to a range has the Content-Range %q", aws.ToString(out.ContentRange))
	}
	return o.setTotal(total)
}

func (o *object) head() error {
	out, err := o.s.client.HeadObject(o.ctx, &s3.HeadObjectInput{Bucket: &o.s.at.Bucket, Key: &o.key})
	if isMissing(err) {
		return blob.ErrNotFound
	}
	if err != nil {
		return o.s.at.Explain(err)
	}
	return o.setTotal(aws.ToInt64(out.ContentLength))
}

// setTotal takes the size of the object, and from it that of the content.
func (o *object) setTotal(total int64) error {
	o.frames = (total + frameSize - 1) / frameSize
	rest := total - (o.frames-1)*frameSize // the last frame
	if total < sumSize || o.frames > 1 && rest <= sumSize {
		return o.damage(0, "the object has %d bytes, which is no whole number of frames: it was cut", total)
	}
	size := total - o.frames*sumSize
	if o.size >= 0 && o.size != size {
		return o.damage(o.next*blob.BlockSize, "the object changed its size while it was read")
	}
	o.size = size
	return nil
}

// Next reads and verifies the next frame.
func (o *object) Next(at int64) ([]byte, error) {
	start := o.next * blob.BlockSize
	n := min(o.size-start, blob.BlockSize)
	if o.block == nil {
		o.block = blocks.Get().(*[frameSize]byte)
	}
	p := o.block[:n+sumSize]
	if err := o.read(p); errors.Is(err, blob.ErrNotFound) && o.given {
		return nil, o.damage(at, "the object was deleted while it was read")
	} else if err != nil {
		return nil, err
	}
	if frameSum(o.id, o.next, o.next == o.frames-1, p[:n]) != binary.BigEndian.Uint32(p[n:]) {
		return nil, o.damage(start, "the checksum of these %d bytes is not the one that was written", n)
	}
	o.next, o.reopens, o.given = o.next+1, 0, true
	return p[at-start : n], nil
}

// read reads one whole frame, asking again where the connection broke.
func (o *object) read(p []byte) error {
	for {
		if o.body == nil {
			if err := o.request(); err != nil {
				return err
			}
			if o.body == nil {
				return o.damage(o.next*blob.BlockSize, "the object ends before this")
			}
		}
		_, err := io.ReadFull(o.body, p)
		if err == nil {
			return nil
		}
		_ = o.body.Close()
		o.body = nil
		if ended := o.ctx.Err(); ended != nil {
			return ended
		}
		if o.reopens++; o.reopens > reopens {
			return fmt.Errorf("blob: the connection to %s broke %d times at one place: %w", o.s.at.Place(), o.reopens, err)
		}
	}
}

// Close implements blob.Source.
func (o *object) Close() error {
	if o.block != nil {
		blocks.Put(o.block)
	}
	if o.body == nil {
		return nil
	}
	return o.body.Close()
}
