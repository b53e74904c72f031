package s3

import (
	"context"

	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/versity/versitygw/s3response"

	"drover/internal/store"
)

// ListObjectVersions lists a bucket with all versions, the newest of a key first.
func (o *vault) ListObjectVersions(ctx context.Context, in *awss3.ListObjectVersionsInput) (out s3response.ListVersionsResult, err error) {
	b, err := o.bucket(*in.Bucket)
	if err != nil {
		return out, err
	}
	s, limit := spellingOf(ctx), pageSize(in.MaxKeys)
	keys, id := int32(limit), o.owner(b)
	truncated := false
	l := &versionLister{owner: &types.Owner{ID: &id, DisplayName: &id}, s: s, out: &out}
	out = s3response.ListVersionsResult{Name: in.Bucket, Prefix: s.ptr(str(in.Prefix)), Delimiter: s.ptr(str(in.Delimiter)), MaxKeys: &keys, EncodingType: s.encoding(),
		KeyMarker: s.ptr(str(in.KeyMarker)), VersionIdMarker: ptr(str(in.VersionIdMarker)), IsTruncated: &truncated}
	err = o.db.View(ctx, func(tx *store.Tx) (err error) {
		w := newWalk(tx, b, str(in.Prefix), str(in.Delimiter), str(in.KeyMarker), limit)
		if err := l.markVersion(w, str(in.KeyMarker), str(in.VersionIdMarker)); err != nil {
			return err
		}
		w.page = l.page
		truncated, err = w.run(
			func() bool { return false }, l.key,
			func(p string) {
				l.vid = ""
				out.CommonPrefixes = append(out.CommonPrefixes, types.CommonPrefix{Prefix: ptr(s.text(p))})
			})
		if truncated {
			out.NextKeyMarker, out.NextVersionIdMarker = s.ptr(w.last), ptr(l.vid)
		}
		return err
	})
	return out, o.explain("bucket "+b.name, err)
}

// versionLister reads versions for a walk. A walk knows keys only, so the lister remembers
// behind which version of a key the next page begins.
type versionLister struct {
	owner *types.Owner
	s     spelling
	out   *s3response.ListVersionsResult

	after     []byte // key whose versions up to afterRank were given
	afterRank int64

	v         version
	isCurrent bool
	vid       string // of the version given last
}

// markVersion makes the walk begin within a key.
func (l *versionLister) markVersion(w *walk, key, vid string) error {
	if key == "" || vid == "" || key < w.prefix {
		return nil
	}
	if _, folded := w.common(key); folded {
		return nil
	}
	v, _, err := exactly(w.tx, w.bucket, []byte(key), vid)
	if err != nil {
		return err
	}
	rank, ok := rankOf(vid) // the version may have been deleted since
	if v != nil {
		rank, ok = v.rank, true
	}
	if ok {
		l.after, l.afterRank, w.from = []byte(key), rank, []byte(key)
	}
	return nil
}

func (l *versionLister) page(w *walk, from []byte, limit int, row func(key []byte) bool) (bool, error) {
	rank := int64(-1 << 63)
	start := from
	// The walk asks for what follows the key given last; its other versions come first.
	if l.after != nil && (string(from) == string(l.after) || string(from) == string(l.after)+"\x00") {
		start, rank = l.after, l.afterRank
	}
	end := ``
	args := []any{w.bucket, start, rank, limit}
	if w.to != nil {
		args, end = append(args, w.to), ` AND key < $5`
	}
	where := ` WHERE bucket = $1 AND key >= $2` + end + ` AND (key > $2 OR rank > $3)`
	cols := `key, rank, vid, marker, modified, size, etag, algo`
	rows, err := w.tx.Query(`SELECT `+cols+`, 1 AS latest FROM s3_objects`+where+` UNION ALL SELECT `+cols+`, 0 FROM s3_versions`+where+` ORDER BY key, rank LIMIT $4`, args...)
	if err != nil {
		return false, err
	}
	defer rows.Close()
	n := 0
	for rows.Next() {
		v := &l.v
		if err := rows.Scan(&v.key, &v.rank, &v.vid, &v.marker, &v.modified, &v.size, &v.etag, &v.algo, &l.isCurrent); err != nil {
			return false, err
		}
		n++
		if !row(v.key) {
			return true, nil
		}
	}
	return n == limit, rows.Err()
}

// key takes the version that was read last.
func (l *versionLister) key() {
	v := &l.v
	l.after, l.afterRank, l.vid = v.key, v.rank, v.vid
	key, vid, latest := l.s.text(string(v.key)), v.vid, l.isCurrent
	if v.marker {
		l.out.DeleteMarkers = append(l.out.DeleteMarkers, types.DeleteMarkerEntry{IsLatest: &latest, Key: &key, LastModified: aTime(v.time()), Owner: l.owner, VersionId: &vid})
		return
	}
	algorithm, t := kind(v.algo)
	etag, size := v.etag, v.size
	e := s3response.ObjectVersion{ETag: &etag, IsLatest: &latest, Key: &key, LastModified: aTime(v.time()), Owner: l.owner, Size: &size,
		StorageClass: types.ObjectVersionStorageClassStandard, VersionId: &vid, ChecksumType: t}
	if algorithm != "" {
		e.ChecksumAlgorithm = []types.ChecksumAlgorithm{algorithm}
	}
	l.out.Versions = append(l.out.Versions, e)
}
