package s3

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"drover/internal/blob"
)

const (
	sumSize   = crc32.Size
	frameSize = blob.BlockSize + sumSize
	perPart   = 8 // frames; S3 wants parts of 5 MiB or more, but the last
	partSize  = perPart * frameSize
	maxParts  = 10_000
	inFlight  = 3 // parts of one Put that are held and under way
)

// frameSum is the checksum of one frame: of the id, the number, whether it is the last, and
// the bytes.
func frameSum(id blob.ID, number int64, last bool, p []byte) uint32 {
	var head [9]byte
	binary.BigEndian.PutUint64(head[:], uint64(number))
	if last {
		head[8] = 1
	}
	table := crc32.MakeTable(crc32.Castagnoli) // the library keeps it
	sum := crc32.Update(crc32.Checksum([]byte(id), table), table, head[:])
	return crc32.Update(sum, table, p)
}

// framer cuts a content into frames. It reads one byte ahead to know the last one.
type framer struct {
	id     blob.ID
	from   io.Reader
	number int64
	size   int64 // of the content so far
	ahead  [1]byte
	has    bool // ahead holds the first byte of the next frame
	ended  bool
}

// append puts the next frame behind buf, which has room for it; last says that it was the last.
func (f *framer) append(buf []byte) (_ []byte, last bool, err error) {
	at := len(buf)
	frame := buf[at : at+blob.BlockSize]
	n := 0
	if f.has {
		frame[0], n = f.ahead[0], 1
	}
	if !f.ended {
		var got int
		got, err = io.ReadFull(f.from, frame[n:])
		n += got
		if err == nil {
			_, err = io.ReadFull(f.from, f.ahead[:])
			f.has = err == nil
		}
		if err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF) {
			f.ended, err = true, nil
		}
		if err != nil {
			return buf, false, err
		}
	}
	buf = buf[:at+n]
	buf = binary.BigEndian.AppendUint32(buf, frameSum(f.id, f.number, f.ended, frame[:n]))
	f.number++
	f.size += int64(n)
	return buf, f.ended, nil
}

// buffers recycles the memory of whole parts and of single frames.
type buffers struct{ whole, single *sync.Pool }

func newBuffers() buffers {
	of := func(size int) *sync.Pool { return &sync.Pool{New: func() any { return make([]byte, 0, size) }} }
	return buffers{whole: of(partSize), single: of(frameSize)}
}

// firstBuffer is how much memory the first part may take for a content of the announced size.
func firstBuffer(size int64) int {
	if size < 0 || size >= partSize-perPart*sumSize {
		return partSize
	}
	return int(size/blob.BlockSize+1) * frameSize
}

// fill reads frames into a buffer of at least room bytes until a part is whole or the
// content has ended. Contents that are longer than announced get a larger buffer.
func (b buffers) fill(ctx context.Context, f *framer, room int) (part []byte, last bool, err error) {
	switch {
	case room >= partSize:
		part = b.whole.Get().([]byte)[:0]
	case room <= frameSize:
		part = b.single.Get().([]byte)[:0]
	default:
		part = make([]byte, 0, room)
	}
	for !last && len(part) < partSize {
		if err = ctx.Err(); err == nil {
			if cap(part)-len(part) < frameSize {
				small := part
				part = append(b.whole.Get().([]byte)[:0], small...)
				b.give(small)
			}
			part, last, err = f.append(part)
		}
		if err != nil {
			b.give(part)
			return nil, false, err
		}
	}
	return part, last, nil
}

func (b buffers) give(part []byte) {
	switch cap(part) {
	case partSize:
		b.whole.Put(part)
	case frameSize:
		b.single.Put(part)
	}
}

// putParts uploads a content whose first part is full.
func (s *Store) putParts(ctx context.Context, f *framer, first []byte) error {
	key := s.key(f.id)
	made, err := s.client.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: &s.at.Bucket, Key: &key})
	if err != nil {
		s.parts.give(first)
		return err
	}
	u := &upload{s: s, key: key, id: made.UploadId, room: make(chan struct{}, inFlight)}
	done, err := u.send(ctx, f, first)
	if err == nil {
		_, err = s.client.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{Bucket: &s.at.Bucket, Key: &key, UploadId: u.id,
			MultipartUpload: &types.CompletedMultipartUpload{Parts: done}})
	}
	if err != nil {
		// What cannot be aborted, Scan shows.
		_, _ = s.client.AbortMultipartUpload(context.WithoutCancel(ctx), &s3.AbortMultipartUploadInput{Bucket: &s.at.Bucket, Key: &key, UploadId: u.id})
	}
	return err
}

// upload is one multipart upload under way.
type upload struct {
	s    *Store
	key  string
	id   *string
	room chan struct{} // bounds the parts under way
	wg   sync.WaitGroup

	mu     sync.Mutex // guards the rest
	done   []types.CompletedPart
	failed error
}

// send uploads all parts, a few at a time, and waits for them.
func (u *upload) send(ctx context.Context, f *framer, part []byte) ([]types.CompletedPart, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var err error
	for number, last := int32(1), false; ; number++ {
		u.room <- struct{}{}
		u.mu.Lock()
		u.done = append(u.done, types.CompletedPart{PartNumber: aws.Int32(number)})
		err = u.failed
		u.mu.Unlock()
		if err != nil {
			u.s.parts.give(part)
			break
		}
		u.wg.Add(1)
		go u.sendPart(ctx, cancel, number, part)
		if last {
			break
		}
		if number == maxParts {
			err = fmt.Errorf("a content of more than %d bytes cannot be stored in %s; upload the object in smaller parts", int64(maxParts)*perPart*blob.BlockSize, u.s.at.Place())
			break
		}
		if part, last, err = u.s.parts.fill(ctx, f, partSize); err != nil {
			break
		}
	}
	if err != nil {
		cancel()
	}
	u.wg.Wait()
	if u.failed != nil && (err == nil || errors.Is(err, context.Canceled)) {
		err = u.failed
	}
	return u.done, err
}

func (u *upload) sendPart(ctx context.Context, cancel func(), number int32, part []byte) {
	defer u.wg.Done()
	out, err := u.s.client.UploadPart(ctx, &s3.UploadPartInput{Bucket: &u.s.at.Bucket, Key: &u.key, UploadId: u.id, PartNumber: &number, Body: bytes.NewReader(part)})
	u.s.parts.give(part)
	u.mu.Lock()
	if err == nil {
		u.done[number-1].ETag = out.ETag
	} else if u.failed == nil {
		u.failed = err
		cancel()
	}
	u.mu.Unlock()
	<-u.room
}
