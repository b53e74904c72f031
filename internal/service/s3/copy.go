package s3

import (
	"context"
	"errors"
	"io"

	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/versity/versitygw/backend"
	"github.com/versity/versitygw/s3err"
	"github.com/versity/versitygw/s3response"

	"drover/internal/blob"
)

// maxCopy is the largest object that one copy may make; larger ones are copied in parts.
const maxCopy = 5 << 30

// source is the object that a copy reads.
type source struct {
	*found
	bucket    *bucket
	key       string
	versionID string // as the request gave it
	what      string
}

// sourceOf finds what an x-amz-copy-source header names.
func (o *vault) sourceOf(ctx context.Context, header, owner *string) (*source, error) {
	name, key, vid, err := backend.ParseCopySource(str(header))
	if err != nil {
		return nil, err
	}
	b, err := o.bucket(name)
	if err != nil {
		return nil, err
	}
	if str(owner) != "" && o.owner(b) != *owner {
		return nil, s3err.GetAPIError(s3err.ErrAccessDenied)
	}
	s := &source{bucket: b, key: plainKey(key), versionID: vid, what: what(name, key)}
	s.found, err = o.find(ctx, b, s.key, vid, true)
	return s, err
}

// openSource opens a range of the source, looking again when it was replaced meanwhile.
func (o *vault) openSource(ctx context.Context, s *source, offset, length int64) (io.ReadCloser, error) {
	r, err := o.open(ctx, s.bucket, s.found, offset, length)
	if errors.Is(err, blob.ErrNotFound) {
		return nil, apiError(409, "OperationAborted", "The source object was replaced while it was copied. Please try again.")
	}
	if err != nil {
		return nil, o.explain(s.what, err)
	}
	return &watched{ReadCloser: r, o: o, what: s.what}, nil
}

// CopyObject implements backend.Backend. The content is copied, and so verified.
func (o *vault) CopyObject(ctx context.Context, in s3response.CopyObjectInput) (s3response.CopyObjectOutput, error) {
	out, err := o.copy(ctx, &in)
	return out, o.explain(what(*in.Bucket, *in.Key), err)
}

func (o *vault) copy(ctx context.Context, in *s3response.CopyObjectInput) (out s3response.CopyObjectOutput, err error) {
	b, err := o.bucket(*in.Bucket)
	if err != nil {
		return out, err
	}
	from, err := o.sourceOf(ctx, in.CopySource, in.ExpectedSourceBucketOwner)
	if err != nil {
		return out, err
	}
	if from.size > maxCopy {
		return out, s3err.GetCopySourceObjectTooLargeErr(maxCopy)
	}
	if err := readConditions(from.version, in.CopySourceIfMatch, in.CopySourceIfNoneMatch, in.CopySourceIfModifiedSince, in.CopySourceIfUnmodifiedSince); err != nil {
		return out, err
	}
	replaces := in.MetadataDirective == types.MetadataDirectiveReplace
	v, err := newVersion(*in.Key)
	if err != nil {
		return out, err
	}
	if from.bucket.id == b.id && from.key == string(v.key) && from.versionID == "" && !replaces && str(in.WebsiteRedirectLocation) == "" &&
		in.TaggingDirective != types.TaggingDirectiveReplace && in.StorageClass == "" {
		return out, s3err.GetAPIError(s3err.ErrInvalidCopyDest)
	}
	if err := o.copyAttributes(b, v, from, in, replaces); err != nil {
		return out, err
	}
	algorithm, _ := kind(from.algo)
	if in.ChecksumAlgorithm != "" {
		algorithm = in.ChecksumAlgorithm
	}
	r, err := o.openSource(ctx, from, 0, from.size)
	if err != nil {
		return out, err
	}
	defer r.Close()
	read, err := newBody(r, algorithm, "", "")
	if err != nil {
		return out, err
	}
	content, err := o.intake(ctx, read, from.size, true)
	if err != nil {
		return out, err
	}
	v.etag, v.attrs.Sum, v.algo = read.etag(), read.sum(), algoText(read.algorithm, types.ChecksumTypeFullObject)
	versioned, err := o.store(ctx, b, v, content, eventCopy, nil)
	if err != nil {
		return out, err
	}
	result := &s3response.CopyObjectResult{ETag: &v.etag, LastModified: aTime(v.time()), ChecksumType: types.ChecksumTypeFullObject}
	sumsOfCopy(result).set(read.algorithm, v.attrs.Sum)
	out = s3response.CopyObjectOutput{CopyObjectResult: result, CopySourceVersionId: versionOf(from.bucket, from.version)}
	if versioned {
		out.VersionId = &v.vid
	}
	return out, nil
}

// copyAttributes fills in what the copy carries beside its content.
func (o *vault) copyAttributes(b *bucket, v *version, from *source, in *s3response.CopyObjectInput, replaces bool) error {
	if replaces {
		v.attrs = attributes{
			ContentType: str(in.ContentType), ContentEncoding: str(in.ContentEncoding), ContentDisposition: str(in.ContentDisposition), ContentLanguage: str(in.ContentLanguage),
			CacheControl: str(in.CacheControl), Expires: str(in.Expires), Metadata: lowerKeys(in.Metadata),
		}
	} else {
		v.attrs = from.attrs
		v.attrs.Parts, v.attrs.Retention, v.attrs.Hold = 0, "", nil
	}
	v.attrs.Redirect = str(in.WebsiteRedirectLocation) // never copied
	if err := v.attrs.lock(b, in.ObjectLockMode, in.ObjectLockRetainUntilDate, in.ObjectLockLegalHoldStatus); err != nil {
		return err
	}
	v.tags = from.tags
	if in.TaggingDirective == types.TaggingDirectiveReplace {
		var err error
		v.tags, err = headerTags(in.Tagging)
		return err
	}
	return nil
}
