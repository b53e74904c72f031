package blob

import (
	"context"
	"fmt"
	"io"
	"io/fs"
)

// Source gives a content block by block to the reader that NewReader makes of it, and holds
// what that takes: a file or a connection, and a buffer.
type Source interface {
	// Next gives verified bytes from offset at on, at least one: the rest of the block in
	// which at lies, even where that goes beyond the range. They stay as they are until the
	// next call. at is where the range begins, then always where the bytes given before
	// ended; an error is the last answer.
	Next(at int64) ([]byte, error)
	// Close is called once, and nothing after it.
	Close() error
}

// End gives where a range of a content of size bytes ends (exclusive); length -1 means to
// the end of the content. A range that leaves the content is an error.
func End(id ID, size, offset, length int64) (int64, error) {
	if length == -1 {
		length = size - offset
	}
	if offset < 0 || length < 0 || offset > size || length > size-offset {
		return 0, fmt.Errorf("blob: bytes %d+%d of content %s, which has %d", offset, length, id, size)
	}
	return offset + length, nil
}

// NewReader gives the bytes from offset to end (exclusive) of a content of size bytes. From
// then on src is the reader's, which closes it with itself, or at once if NewReader fails.
//
// It promises:
//
//   - It gives what src gave, in order, without a gap and without a byte beyond end.
//   - It asks for the first block before it returns, for each other one when all before it
//     has been read and ctx has not ended, and for none where the range is empty.
//   - An error comes behind the good bytes before it, and again whenever one reads on:
//     that of src or ctx as it is, io.EOF at the end, fs.ErrClosed after Close.
//   - It is also an io.WriterTo, which hands over whole blocks without another copy.
//   - It belongs to one goroutine, and its second Close does nothing.
func NewReader(ctx context.Context, src Source, size, offset, end int64) (Reader, error) {
	r := &reader{ctx: ctx, src: src, size: size, pos: offset, end: end}
	if r.pos < r.end {
		if err := r.next(); err != nil {
			_ = src.Close()
			return nil, err
		}
	}
	return r, nil
}

type reader struct {
	ctx   context.Context
	src   Source // nil once closed
	size  int64
	pos   int64 // where ready ends
	end   int64
	ready []byte // of src, not yet given
	err   error  // once there is nothing more to come
}

// next makes the bytes at pos ready.
func (r *reader) next() error {
	p, err := r.src.Next(r.pos)
	if err != nil {
		return err
	}
	if len(p) == 0 {
		return io.ErrNoProgress
	}
	r.ready = p[:min(int64(len(p)), r.end-r.pos)]
	r.pos += int64(len(r.ready))
	return nil
}

// fill makes bytes ready if there are none, and says why it cannot.
func (r *reader) fill() error {
	switch {
	case len(r.ready) > 0 || r.err != nil:
	case r.pos >= r.end:
		r.err = io.EOF
	default:
		if r.err = r.ctx.Err(); r.err == nil {
			r.err = r.next()
		}
	}
	return r.err
}

// Size implements Reader.
func (r *reader) Size() int64 { return r.size }

// Read implements io.Reader.
func (r *reader) Read(p []byte) (int, error) {
	if err := r.fill(); err != nil {
		return 0, err
	}
	n := copy(p, r.ready)
	r.ready = r.ready[n:]
	return n, nil
}

// WriteTo implements io.WriterTo.
func (r *reader) WriteTo(w io.Writer) (total int64, err error) {
	for {
		if err := r.fill(); err == io.EOF {
			return total, nil
		} else if err != nil {
			return total, err
		}
		n, err := w.Write(r.ready)
		r.ready, total = r.ready[n:], total+int64(n)
		if err != nil {
			return total, err
		}
	}
}

// Close implements io.Closer.
func (r *reader) Close() error {
	if r.src == nil {
		return nil
	}
	src := r.src
	r.src, r.ready, r.err = nil, nil, fs.ErrClosed
	return src.Close()
}
