package s3

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"sort"

	"drover/internal/blob"
	"drover/internal/store"
)

// found is a version that a read has looked up, with its content if that is inline.
type found struct {
	*version
	data []byte
}

// lookup finds what a key names, or one of its versions. A delete marker is found too.
func (o *vault) lookup(ctx context.Context, b *bucket, key, vid string, content bool) (*found, error) {
	if len(key) > maxKey {
		return nil, errNoSuchKey()
	}
	f := &found{}
	err := o.db.View(ctx, func(tx *store.Tx) (err error) {
		if vid == "" {
			f.version, err = current(tx, b.id, []byte(key))
		} else {
			f.version, _, err = exactly(tx, b.id, []byte(key), vid)
		}
		if err == nil && content && f.version != nil && f.inline() {
			err = tx.Row(`SELECT data FROM s3_inline WHERE id = $1`, -f.rank).Scan(&f.data)
		}
		return err
	})
	if err != nil || f.version == nil {
		return nil, err
	}
	return f, nil
}

// open gives the bytes of a version from offset on. When a content was removed between the
// lookup and here it answers blob.ErrNotFound, and the caller looks again.
func (o *vault) open(ctx context.Context, b *bucket, f *found, offset, length int64) (io.ReadCloser, error) {
	if f.size == 0 || length == 0 {
		return io.NopCloser(bytes.NewReader(nil)), nil
	}
	if id, ok := f.blob(); ok {
		return o.blobs.Get(ctx, id, offset, length)
	}
	if upload, ok := f.upload(); ok {
		return o.openParts(ctx, upload, offset, length)
	}
	if o.seal != nil {
		plain, err := o.seal.Unseal(inlineName(-f.rank), f.data)
		if err != nil {
			return nil, &blob.Damage{ID: blob.ID(fmt.Sprint("row ", -f.rank)), Where: "s3_inline of the object database", Reason: err.Error()}
		}
		f.data = plain
	}
	if int64(len(f.data)) != f.size || int64(crc32.Checksum(f.data, castagnoli())) != f.crc {
		return nil, &blob.Damage{ID: blob.ID(fmt.Sprint("row ", -f.rank)), Where: "s3_inline of the object database", Reason: "the content is not what was written"}
	}
	return io.NopCloser(bytes.NewReader(f.data[offset : offset+length])), nil
}

// openParts reads parts one after another. They stay until the reader is closed.
func (o *vault) openParts(ctx context.Context, upload string, offset, length int64) (io.ReadCloser, error) {
	o.hold(upload)
	r := &partsReader{o: o, ctx: ctx, upload: upload, pos: offset, left: length}
	err := o.db.View(ctx, func(tx *store.Tx) (err error) {
		r.parts, err = partsOf(tx, upload, 0, maxParts)
		return err
	})
	o.keep(upload, r.parts)
	if err == nil && len(r.parts) == 0 {
		err = blob.ErrNotFound
	}
	if err == nil {
		err = r.next() // damage at the beginning is an error, not a cut answer
	}
	if err != nil {
		_ = r.Close()
		return nil, err
	}
	return r, nil
}

type partsReader struct {
	o      *vault
	ctx    context.Context
	upload string
	parts  []part
	pos    int64 // in the object, of the next byte
	left   int64
	in     io.ReadCloser
	inLeft int64
	closed bool
}

// next opens the part in which pos lies.
func (r *partsReader) next() (err error) {
	i := sort.Search(len(r.parts), func(i int) bool { return r.parts[i].start > r.pos }) - 1
	if i < 0 || r.pos >= r.parts[i].start+r.parts[i].size {
		return fmt.Errorf("s3: upload %s has no part at offset %d", r.upload, r.pos)
	}
	p := r.parts[i]
	from := r.pos - p.start
	n := min(p.size-from, r.left)
	r.in, err = r.o.blobs.Get(r.ctx, p.blob, from, n)
	r.inLeft = n
	if errors.Is(err, blob.ErrNotFound) {
		err = &blob.Damage{ID: p.blob, Offset: 0, Where: fmt.Sprintf("part %d", p.number), Reason: "the content is missing"}
	}
	return err
}

func (r *partsReader) Read(p []byte) (int, error) {
	if r.left == 0 {
		return 0, io.EOF
	}
	if r.inLeft == 0 {
		if r.in != nil {
			_ = r.in.Close() // read to its end
			r.in = nil
		}
		if err := r.next(); err != nil {
			return 0, err
		}
	}
	n, err := r.in.Read(p[:min(int64(len(p)), r.inLeft)])
	r.pos, r.left, r.inLeft = r.pos+int64(n), r.left-int64(n), r.inLeft-int64(n)
	if err == io.EOF {
		err = nil
		if r.inLeft > 0 {
			err = io.ErrUnexpectedEOF
		}
	}
	return n, err
}

func (r *partsReader) Close() error {
	if r.closed {
		return nil
	}
	r.closed = true
	r.o.release(r.upload)
	if r.in == nil {
		return nil
	}
	return r.in.Close()
}

// watched logs damage that is met when the answer has begun; the client sees a cut
// connection.
type watched struct {
	io.ReadCloser
	o    *vault
	what string
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.ReadCloser.Read(p)
	if _, ok := errors.AsType[*blob.Damage](err); ok {
		err = w.o.explain(w.what, err)
	}
	return n, err
}
