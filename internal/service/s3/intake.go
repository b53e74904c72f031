package s3

import (
	"bytes"
	"context"
	"errors"
	"hash/crc32"
	"io"
	"sync"

	"drover/internal/blob"
	"drover/internal/store"
)

// inlineSize is the largest content that is kept in SQL. Its fsync is the transaction's.
const inlineSize = 32 << 10

// stored is a content on its way to the row that will name it.
type stored struct {
	size int64
	data []byte // of small contents
	crc  int64
	id   blob.ID // of others
}

func (s *stored) place() string {
	if s.id == "" {
		return ""
	}
	return "b:" + string(s.id)
}

// intake reads a content to its end. Whoever calls it names the content in a row, or calls
// discard. A content that must not be inline always becomes a blob.
func (o *vault) intake(ctx context.Context, r io.Reader, size int64, inline bool) (*stored, error) {
	if !inline {
		info, err := o.blobs.Put(ctx, r, size)
		return &stored{size: info.Size, id: info.ID}, err
	}
	small := smalls.Get().(*[inlineSize + 1]byte)
	defer smalls.Put(small)
	n, err := io.ReadFull(r, small[:])
	switch {
	case err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF):
		data := bytes.Clone(small[:n])
		return &stored{size: int64(n), data: data, crc: int64(crc32.Checksum(data, castagnoli()))}, nil
	case err != nil:
		return nil, err
	}
	info, err := o.blobs.Put(ctx, io.MultiReader(bytes.NewReader(small[:]), r), size)
	return &stored{size: info.Size, id: info.ID}, err
}

var smalls = sync.Pool{New: func() any { return new([inlineSize + 1]byte) }}

func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }

// discard removes a content that no row came to name.
func (o *vault) discard(ctx context.Context, s *stored) {
	if s == nil || s.id == "" {
		return
	}
	if err := o.blobs.Delete(context.WithoutCancel(ctx), s.id); err != nil {
		o.log.Warn("s3: a content that nothing names is still there; the next sweep removes it", "content", s.id, "err", err)
	}
}

// part is a row of s3_parts.
type part struct {
	number   int32
	start    int64
	size     int64
	modified int64
	etag     string
	sum      string
	blob     blob.ID
}

const maxParts = 10000

// partsOf gives at most limit parts after a number.
func partsOf(tx *store.Tx, upload string, after int32, limit int) ([]part, error) {
	rows, err := tx.Query(`SELECT number, start, size, modified, etag, sum, blob FROM s3_parts WHERE upload = $1 AND number > $2 ORDER BY number LIMIT $3`, upload, after, limit)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []part
	for rows.Next() {
		var p part
		if err := rows.Scan(&p.number, &p.start, &p.size, &p.modified, &p.etag, &p.sum, &p.blob); err != nil {
			return nil, err
		}
		list = append(list, p)
	}
	return list, rows.Err()
}
