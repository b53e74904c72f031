package s3

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/versity/versitygw/backend"
	"github.com/versity/versitygw/s3err"
	"github.com/versity/versitygw/s3response"

	"drover/internal/blob"
	"drover/internal/store"
)

// maxLooks bounds how often a read starts anew because the object was replaced under it.
const maxLooks = 10

// GetObject implements backend.Backend.
func (o *vault) GetObject(ctx context.Context, in *awss3.GetObjectInput) (*awss3.GetObjectOutput, error) {
	for range maxLooks {
		out, err := o.get(ctx, in)
		if !errors.Is(err, blob.ErrNotFound) {
			return out, o.explain(what(*in.Bucket, *in.Key), err)
		}
	}
	err := &blob.Damage{Where: "the contents' folder", Reason: "the content is missing"}
	return nil, o.explain(what(*in.Bucket, *in.Key), err)
}

func (o *vault) get(ctx context.Context, in *awss3.GetObjectInput) (*awss3.GetObjectOutput, error) {
	b, err := o.bucket(*in.Bucket)
	if err != nil {
		return nil, err
	}
	f, err := o.find(ctx, b, plainKey(*in.Key), str(in.VersionId), true)
	if err != nil {
		if f != nil { // a delete marker
			return &awss3.GetObjectOutput{DeleteMarker: yes(), LastModified: aTime(f.time()), VersionId: versionOf(b, f.version)}, err
		}
		return nil, err
	}
	if err := readConditions(f.version, in.IfMatch, in.IfNoneMatch, in.IfModifiedSince, in.IfUnmodifiedSince); err != nil {
		return nil, err
	}
	r, err := o.rangeOf(ctx, f.version, str(in.Range), in.PartNumber)
	if err != nil {
		return nil, err
	}
	body, err := o.open(ctx, b, f, r.offset, r.length)
	if err != nil {
		return nil, err
	}
	a := &f.attrs
	out := &awss3.GetObjectOutput{
		Body: io.ReadCloser(&watched{ReadCloser: body, o: o, what: what(*in.Bucket, *in.Key)}), AcceptRanges: ptr("bytes"), ContentLength: &r.length, ContentRange: r.header,
		PartsCount: r.parts, ETag: &f.etag, LastModified: aTime(f.time()), StorageClass: types.StorageClassStandard, VersionId: versionOf(b, f.version),
		ContentType: ptr(a.ContentType), ContentEncoding: ptr(a.ContentEncoding), ContentDisposition: ptr(a.ContentDisposition), ContentLanguage: ptr(a.ContentLanguage),
		CacheControl: ptr(a.CacheControl), ExpiresString: ptr(a.Expires), WebsiteRedirectLocation: ptr(a.Redirect), Metadata: a.Metadata, TagCount: f.tagCount(),
	}
	if in.ChecksumMode == types.ChecksumModeEnabled && r.length == f.size {
		algorithm, t := kind(f.algo)
		sumsOfGet(out).set(algorithm, a.Sum)
		out.ChecksumType = t
	}
	return out, nil
}

// HeadObject implements backend.Backend.
func (o *vault) HeadObject(ctx context.Context, in *awss3.HeadObjectInput) (*awss3.HeadObjectOutput, error) {
	out, err := o.head(ctx, in)
	return out, o.explain(what(*in.Bucket, *in.Key), err)
}

func (o *vault) head(ctx context.Context, in *awss3.HeadObjectInput) (*awss3.HeadObjectOutput, error) {
	b, err := o.bucket(*in.Bucket)
	if err != nil {
		return nil, err
	}
	f, err := o.find(ctx, b, plainKey(*in.Key), str(in.VersionId), false)
	if err != nil {
		if f != nil {
			return &awss3.HeadObjectOutput{DeleteMarker: yes(), LastModified: aTime(f.time()), VersionId: versionOf(b, f.version)}, err
		}
		return nil, err
	}
	if err := readConditions(f.version, in.IfMatch, in.IfNoneMatch, in.IfModifiedSince, in.IfUnmodifiedSince); err != nil {
		return nil, err
	}
	r, err := o.rangeOf(ctx, f.version, str(in.Range), in.PartNumber)
	if err != nil {
		return nil, err
	}
	a := &f.attrs
	out := &awss3.HeadObjectOutput{
		AcceptRanges: ptr("bytes"), ContentLength: &r.length, ContentRange: r.header, PartsCount: r.parts, ETag: &f.etag, LastModified: aTime(f.time()),
		StorageClass: types.StorageClassStandard, VersionId: versionOf(b, f.version), TagCount: f.tagCount(),
		ContentType: ptr(a.ContentType), ContentEncoding: ptr(a.ContentEncoding), ContentDisposition: ptr(a.ContentDisposition), ContentLanguage: ptr(a.ContentLanguage),
		CacheControl: ptr(a.CacheControl), ExpiresString: ptr(a.Expires), WebsiteRedirectLocation: ptr(a.Redirect), Metadata: a.Metadata,
	}
	if a.Hold != nil {
		out.ObjectLockLegalHoldStatus = types.ObjectLockLegalHoldStatusOff
		if *a.Hold {
			out.ObjectLockLegalHoldStatus = types.ObjectLockLegalHoldStatusOn
		}
	}
	if a.Retention != "" {
		var r types.ObjectLockRetention
		if err := json.Unmarshal([]byte(a.Retention), &r); err != nil {
			return nil, err
		}
		out.ObjectLockMode, out.ObjectLockRetainUntilDate = types.ObjectLockMode(r.Mode), r.RetainUntilDate
	}
	if in.ChecksumMode == types.ChecksumModeEnabled && r.length == f.size {
		algorithm, t := kind(f.algo)
		sumsOfHead(out).set(algorithm, a.Sum)
		out.ChecksumType = t
	}
	return out, nil
}

// find looks up a version for reading. For a delete marker it gives both it and the error.
func (o *vault) find(ctx context.Context, b *bucket, key, vid string, content bool) (*found, error) {
	if err := checkVersionID(vid); err != nil {
		return nil, err
	}
	f, err := o.lookup(ctx, b, key, vid, content)
	switch {
	case err != nil:
		return nil, err
	case f == nil && vid != "":
		return nil, s3err.GetNoSuchVersionErr(key, vid)
	case f == nil:
		return nil, errNoSuchKey()
	case f.marker && vid != "":
		return f, s3err.GetAPIError(s3err.ErrMethodNotAllowed)
	case f.marker:
		return f, errNoSuchKey()
	}
	return f, nil
}

// readConditions judges the conditions of reads. HTTP dates have whole seconds: what was
// modified within the second named is not modified after it.
func readConditions(v *version, match, none *string, since, unmodified *time.Time) error {
	if unmodified != nil {
		unmodified = aTime(unmodified.Add(time.Second - 1))
	}
	return backend.EvaluatePreconditions(v.etag, v.second(), backend.PreConditions{IfMatch: match, IfNoneMatch: none, IfModSince: since, IfUnmodeSince: unmodified})
}

// wanted is the range of an answer.
type wanted struct {
	offset, length int64
	header         *string
	parts          *int32
}

// rangeOf reads the Range header or the part number; both together the library refuses.
func (o *vault) rangeOf(ctx context.Context, v *version, header string, number *int32) (wanted, error) {
	if number != nil {
		return o.partRange(ctx, v, *number)
	}
	offset, length, partial, err := backend.ParseObjectRange(v.size, header)
	w := wanted{offset: offset, length: length}
	if partial {
		w.header = contentRange(offset, length, v.size)
	}
	return w, err
}

func (o *vault) partRange(ctx context.Context, v *version, number int32) (wanted, error) {
	w := wanted{length: v.size}
	upload, ok := v.upload()
	if !ok {
		if number > 1 {
			return w, s3err.GetInvalidPartNumberRangeErr(1, number)
		}
		if v.size > 0 {
			w.header = contentRange(0, v.size, v.size)
		}
		return w, nil
	}
	var parts []part
	err := o.db.View(ctx, func(tx *store.Tx) (err error) {
		parts, err = partsOf(tx, upload, 0, maxParts)
		return err
	})
	if err != nil {
		return w, err
	}
	count := int32(len(parts))
	if number > count {
		return w, s3err.GetInvalidPartNumberRangeErr(count, number)
	}
	p := parts[number-1] // AWS counts the parts that were completed, not their numbers
	w.offset, w.length, w.parts = p.start, p.size, &count
	w.header = contentRange(p.start, p.size, v.size)
	return w, nil
}

func contentRange(offset, length, size int64) *string {
	s := fmt.Sprintf("bytes %d-%d/%d", offset, offset+length-1, size)
	return &s
}

// GetObjectAttributes implements backend.Backend.
func (o *vault) GetObjectAttributes(ctx context.Context, in *awss3.GetObjectAttributesInput) (out s3response.GetObjectAttributesResponse, err error) {
	defer func() { err = o.explain(what(*in.Bucket, *in.Key), err) }()
	b, err := o.bucket(*in.Bucket)
	if err != nil {
		return out, err
	}
	f, err := o.find(ctx, b, plainKey(*in.Key), str(in.VersionId), false)
	if err != nil {
		if f != nil {
			return s3response.GetObjectAttributesResponse{DeleteMarker: yes(), VersionId: versionOf(b, f.version)}, err
		}
		return out, err
	}
	algorithm, t := kind(f.algo)
	sum := &types.Checksum{ChecksumType: t}
	sumsOfAttributes(sum).set(algorithm, f.attrs.Sum)
	out = s3response.GetObjectAttributesResponse{ETag: ptr(trimETag(f.etag)), ObjectSize: &f.size, StorageClass: types.StorageClassStandard,
		LastModified: aTime(f.time()), VersionId: versionOf(b, f.version), Checksum: sum}
	upload, ok := f.upload()
	if !ok {
		return out, nil
	}
	limit := int32(1000)
	if in.MaxParts != nil {
		limit = *in.MaxParts
	}
	after, _ := strconv.Atoi(str(in.PartNumberMarker)) // the library has checked it
	var parts []part
	err = o.db.View(ctx, func(tx *store.Tx) (err error) {
		parts, err = partsOf(tx, upload, int32(after), int(limit)+1)
		return err
	})
	if err != nil {
		return out, err
	}
	list := &s3response.ObjectParts{PartNumberMarker: after, MaxParts: int(limit), IsTruncated: len(parts) > int(limit)}
	for _, p := range parts[:min(len(parts), int(limit))] {
		op := types.ObjectPart{PartNumber: &p.number, Size: &p.size}
		sumsOfObjectPart(&op).set(algorithm, p.sum)
		list.Parts = append(list.Parts, op)
		list.NextPartNumberMarker = int(p.number)
	}
	out.ObjectParts = list
	return out, nil
}

func (v *version) tagCount() *int32 {
	n := int32(len(v.tagMap()))
	if n == 0 {
		return nil
	}
	return &n
}

// versionOf is the version id that answers carry: none in buckets that never had versions.
func versionOf(b *bucket, v *version) *string {
	if b.versioning == "" {
		return ptr("")
	}
	return &v.vid
}

func yes() *bool { t := true; return &t }

func aTime(t time.Time) *time.Time { return &t }
