package s3

import (
	"context"
	"errors"
	"fmt"
	"time"

	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/versity/versitygw/s3response"

	"drover/internal/store"
)

// ListMultipartUploads implements backend.Backend.
func (o *vault) ListMultipartUploads(ctx context.Context, in *awss3.ListMultipartUploadsInput) (out s3response.ListMultipartUploadsResult, err error) {
	b, err := o.bucket(*in.Bucket)
	if err != nil {
		return out, err
	}
	s, limit, owner := spellingOf(ctx), pageSize(in.MaxUploads), o.owner(b)
	out = s3response.ListMultipartUploadsResult{Bucket: b.name, Prefix: s.text(str(in.Prefix)), Delimiter: s.text(str(in.Delimiter)), KeyMarker: s.text(str(in.KeyMarker)),
		UploadIDMarker: str(in.UploadIdMarker), MaxUploads: limit, EncodingType: string(s.encoding())}
	err = o.db.View(ctx, func(tx *store.Tx) error {
		w := newWalk(tx, b, str(in.Prefix), str(in.Delimiter), str(in.KeyMarker), limit)
		l := &uploadLister{}
		if err := l.markUpload(w, str(in.KeyMarker), str(in.UploadIdMarker)); err != nil {
			return err
		}
		w.page = l.page
		truncated, err := w.run(func() bool { return false }, func() {
			u := &l.u
			l.after, l.afterTime, l.afterID = u.key, u.initiated, u.id
			algorithm, t := u.checksum()
			out.Uploads = append(out.Uploads, s3response.Upload{Key: s.text(string(u.key)), UploadID: u.id, StorageClass: types.StorageClassStandard, Initiated: time.UnixMicro(u.initiated).UTC(),
				Owner: s3response.Owner{ID: owner, DisplayName: owner}, Initiator: s3response.Initiator{ID: owner, DisplayName: owner}, ChecksumAlgorithm: algorithm, ChecksumType: t})
			out.NextUploadIDMarker = u.id
		}, func(p string) {
			out.CommonPrefixes = append(out.CommonPrefixes, s3response.CommonPrefix{Prefix: s.text(p)})
			out.NextUploadIDMarker = ""
		})
		out.IsTruncated = truncated
		if truncated {
			out.NextKeyMarker = s.text(w.last)
		} else {
			out.NextUploadIDMarker = ""
		}
		return err
	})
	return out, o.explain("bucket "+b.name, err)
}

// uploadLister reads uploads for a walk, and remembers behind which upload of a key the
// next page begins.
type uploadLister struct {
	u         upload
	after     []byte
	afterTime int64
	afterID   string
}

func (l *uploadLister) markUpload(w *walk, key, id string) error {
	if key == "" || !isUploadID(id) || key < w.prefix {
		return nil
	}
	u, err := scanUpload(w.tx.Row(`SELECT `+uploadColumns+` FROM s3_uploads WHERE id = $1`, id))
	if errors.Is(err, store.ErrNoRows) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("find the upload marker: %w", err)
	}
	if _, folded := w.common(key); !folded && string(u.key) == key {
		l.after, l.afterTime, l.afterID, w.from = u.key, u.initiated, u.id, u.key
	}
	return nil
}

func (l *uploadLister) page(w *walk, from []byte, limit int, row func(key []byte) bool) (bool, error) {
	start, since, id := from, int64(-1), ""
	if l.after != nil && (string(from) == string(l.after) || string(from) == string(l.after)+"\x00") {
		start, since, id = l.after, l.afterTime, l.afterID
	}
	end := ``
	args := []any{w.bucket, start, since, id, limit}
	if w.to != nil {
		args, end = append(args, w.to), ` AND key < $6`
	}
	rows, err := w.tx.Query(`SELECT `+uploadColumns+` FROM s3_uploads WHERE bucket = $1 AND key >= $2`+end+
		` AND (key > $2 OR initiated > $3 OR initiated = $3 AND id > $4) ORDER BY key, initiated, id LIMIT $5`, args...)
	if err != nil {
		return false, err
	}
	defer rows.Close()
	n := 0
	for rows.Next() {
		u := &l.u
		if err := rows.Scan(&u.id, &u.bucket, &u.key, &u.initiated, &u.algo, &u.attrs, &u.tags); err != nil {
			return false, err
		}
		n++
		if !row(u.key) {
			return true, nil
		}
	}
	return n == limit, rows.Err()
}
