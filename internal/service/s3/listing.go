package s3

import (
	"context"
	"net/url"
	"strings"

	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/versity/versitygw/s3response"

	"drover/internal/store"
)

// Listings. The library ignores encoding-type=url, by which clients ask for keys in a form
// that XML can carry.

// urlKeys is the user value that says that the client asked for URL-encoded keys.
const urlKeys = "drover-url-keys"

// spelling is how names are written into a listing.
type spelling bool

func spellingOf(ctx context.Context) spelling { return spelling(ctx.Value(urlKeys) != nil) }

func (s spelling) text(v string) string {
	if !s {
		return v
	}
	return strings.ReplaceAll(strings.ReplaceAll(url.QueryEscape(v), "+", "%20"), "%2F", "/")
}

// ptr is nil for an empty name: the element is then left out.
func (s spelling) ptr(v string) *string { return ptr(s.text(v)) }

func (s spelling) encoding() types.EncodingType {
	if s {
		return types.EncodingTypeUrl
	}
	return ""
}

// maxPage is the most that one listing gives.
const maxPage = 1000

func pageSize(asked *int32) int {
	if asked == nil {
		return maxPage
	}
	return int(min(max(*asked, 0), maxPage))
}

// listed is a page of current objects.
type listed struct {
	objects   []s3response.Object
	prefixes  []types.CommonPrefix
	truncated bool
	last      string
}

func (o *vault) list(ctx context.Context, name, prefix, delimiter, marker string, limit int, owner bool) (out listed, err error) {
	b, err := o.bucket(name)
	if err != nil {
		return out, err
	}
	var who *types.Owner
	if owner {
		id := o.owner(b)
		who = &types.Owner{ID: &id, DisplayName: &id}
	}
	s := spellingOf(ctx)
	err = o.db.View(ctx, func(tx *store.Tx) (err error) {
		w := newWalk(tx, b, prefix, delimiter, marker, limit)
		var v version
		w.page = func(w *walk, from []byte, limit int, row func(key []byte) bool) (bool, error) {
			return objectPage(w, &v, from, limit, row)
		}
		out.truncated, err = w.run(
			func() bool { return v.marker },
			func() { out.objects = append(out.objects, v.listed(s, who)) },
			func(p string) { out.prefixes = append(out.prefixes, types.CommonPrefix{Prefix: ptr(s.text(p))}) })
		out.last = w.last
		return err
	})
	return out, o.explain("bucket "+name, err)
}

// objectPage reads current objects into v.
func objectPage(w *walk, v *version, from []byte, limit int, row func(key []byte) bool) (more bool, err error) {
	to, end := w.to, ``
	args := []any{w.bucket, from, limit}
	if to != nil {
		args, end = append(args, to), ` AND key < $4`
	}
	rows, err := w.tx.Query(`SELECT key, marker, modified, size, etag, algo FROM s3_objects WHERE bucket = $1 AND key >= $2`+end+` ORDER BY key LIMIT $3`, args...)
	if err != nil {
		return false, err
	}
	defer rows.Close()
	n := 0
	for rows.Next() {
		if err := rows.Scan(&v.key, &v.marker, &v.modified, &v.size, &v.etag, &v.algo); err != nil {
			return false, err
		}
		n++
		if !row(v.key) {
			return true, nil
		}
	}
	return n == limit, rows.Err()
}

// listed is the version as listings show it.
func (v *version) listed(s spelling, owner *types.Owner) s3response.Object {
	algorithm, t := kind(v.algo)
	etag, size, key := v.etag, v.size, s.text(string(v.key))
	out := s3response.Object{ETag: &etag, Key: &key, LastModified: aTime(v.time()), Size: &size, StorageClass: types.ObjectStorageClassStandard, ChecksumType: t, Owner: owner}
	if algorithm != "" {
		out.ChecksumAlgorithm = []types.ChecksumAlgorithm{algorithm}
	}
	return out
}

// ListObjects lists a bucket, version 1.
func (o *vault) ListObjects(ctx context.Context, in *awss3.ListObjectsInput) (s3response.ListObjectsResult, error) {
	limit := pageSize(in.MaxKeys)
	page, err := o.list(ctx, *in.Bucket, str(in.Prefix), str(in.Delimiter), str(in.Marker), limit, true)
	if err != nil {
		return s3response.ListObjectsResult{}, err
	}
	s, keys := spellingOf(ctx), int32(limit)
	out := s3response.ListObjectsResult{Name: in.Bucket, Prefix: s.ptr(str(in.Prefix)), Marker: s.ptr(str(in.Marker)), Delimiter: s.ptr(str(in.Delimiter)), MaxKeys: &keys,
		IsTruncated: &page.truncated, Contents: page.objects, CommonPrefixes: page.prefixes, EncodingType: s.encoding()}
	if page.truncated {
		out.NextMarker = s.ptr(page.last)
	}
	if leavePage(ctx, func(p *pageWriter) { p.v1(&out) }) {
		out.Contents, out.CommonPrefixes = nil, nil // the library need not encode what it does not send
	}
	return out, nil
}

// ListObjectsV2 lists a bucket, version 2.
func (o *vault) ListObjectsV2(ctx context.Context, in *awss3.ListObjectsV2Input) (out s3response.ListObjectsV2Result, err error) {
	marker := str(in.StartAfter)
	if token := str(in.ContinuationToken); token != "" {
		if marker, err = keyOf(token); err != nil {
			return out, err
		}
	}
	limit := pageSize(in.MaxKeys)
	page, err := o.list(ctx, *in.Bucket, str(in.Prefix), str(in.Delimiter), marker, limit, in.FetchOwner != nil && *in.FetchOwner)
	if err != nil {
		return out, err
	}
	s, keys, count := spellingOf(ctx), int32(limit), int32(len(page.objects)+len(page.prefixes))
	out = s3response.ListObjectsV2Result{Name: in.Bucket, Prefix: s.ptr(str(in.Prefix)), StartAfter: s.ptr(str(in.StartAfter)), Delimiter: s.ptr(str(in.Delimiter)), MaxKeys: &keys,
		KeyCount: &count, ContinuationToken: ptr(str(in.ContinuationToken)), IsTruncated: &page.truncated, Contents: page.objects, CommonPrefixes: page.prefixes, EncodingType: s.encoding()}
	if page.truncated {
		out.NextContinuationToken = ptr(tokenOf(page.last))
	}
	if leavePage(ctx, func(p *pageWriter) { p.v2(&out) }) {
		out.Contents, out.CommonPrefixes = nil, nil
	}
	return out, nil
}
