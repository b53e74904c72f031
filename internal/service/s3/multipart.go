package s3

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"time"

	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/versity/versitygw/backend"
	"github.com/versity/versitygw/s3err"
	"github.com/versity/versitygw/s3response"

	"drover/internal/store"
)

// upload is a row of s3_uploads.
type upload struct {
	id        string
	bucket    int64
	key       []byte
	initiated int64
	algo      string
	attrs     string
	tags      string
}

const uploadColumns = `id, bucket, key, initiated, algo, attrs, tags`

func scanUpload(row store.Scanner) (*upload, error) {
	u := &upload{}
	return u, row.Scan(&u.id, &u.bucket, &u.key, &u.initiated, &u.algo, &u.attrs, &u.tags)
}

// checksum is what the upload was created with; both are empty when it named none.
func (u *upload) checksum() (types.ChecksumAlgorithm, types.ChecksumType) { return kind(u.algo) }

// uploadOf finds an upload that is under way.
func uploadOf(tx *store.Tx, b *bucket, key, id string) (*upload, error) {
	if !isUploadID(id) {
		return nil, s3err.GetNoSuchUploadErr(id)
	}
	u, err := scanUpload(tx.Row(`SELECT `+uploadColumns+` FROM s3_uploads WHERE id = $1`, id))
	if errors.Is(err, store.ErrNoRows) || err == nil && (u.bucket != b.id || string(u.key) != plainKey(key)) {
		return nil, s3err.GetNoSuchUploadErr(id)
	}
	return u, err
}

// isUploadID tells ids of ours from text that SQL need not see.
func isUploadID(id string) bool {
	return len(id) == 26 && strings.Trim(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") == ""
}

// CreateMultipartUpload implements backend.Backend.
func (o *vault) CreateMultipartUpload(ctx context.Context, in s3response.CreateMultipartUploadInput) (out s3response.InitiateMultipartUploadResult, err error) {
	defer func() { err = o.explain(what(*in.Bucket, *in.Key), err) }()
	b, err := o.bucket(*in.Bucket)
	if err != nil {
		return out, err
	}
	v, err := asked(b, *in.Key, attributes{
		ContentType: str(in.ContentType), ContentEncoding: str(in.ContentEncoding), ContentDisposition: str(in.ContentDisposition), ContentLanguage: str(in.ContentLanguage),
		CacheControl: str(in.CacheControl), Expires: str(in.Expires), Redirect: str(in.WebsiteRedirectLocation), Metadata: lowerKeys(in.Metadata),
	}, in.ObjectLockMode, in.ObjectLockRetainUntilDate, in.ObjectLockLegalHoldStatus, in.Tagging)
	if err != nil {
		return out, err
	}
	attrs, err := json.Marshal(v.attrs)
	if err != nil {
		return out, err
	}
	id := rand.Text()
	err = o.alter(ctx, b, func(c *change) error {
		_, err := c.tx.Exec(`INSERT INTO s3_uploads (`+uploadColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
			id, b.id, v.key, o.now().UnixMicro(), algoText(in.ChecksumAlgorithm, in.ChecksumType), string(attrs), v.tags)
		return err
	})
	return s3response.InitiateMultipartUploadResult{Bucket: b.name, Key: string(v.key), UploadId: id}, err
}

// AbortMultipartUpload implements backend.Backend.
func (o *vault) AbortMultipartUpload(ctx context.Context, in *awss3.AbortMultipartUploadInput) error {
	b, err := o.bucket(*in.Bucket)
	if err != nil {
		return err
	}
	err = o.alter(ctx, b, func(c *change) error {
		u, err := uploadOf(c.tx, b, *in.Key, str(in.UploadId))
		if err != nil {
			return err
		}
		if in.IfMatchInitiatedTime != nil && !in.IfMatchInitiatedTime.Equal(time.UnixMicro(u.initiated).Truncate(time.Second)) {
			return s3err.GetAPIError(s3err.ErrPreconditionFailed)
		}
		return c.forgetUpload(u.id)
	})
	return o.explain(what(*in.Bucket, *in.Key), err)
}

// forgetUpload removes an upload with its parts.
func (c *change) forgetUpload(id string) error {
	if err := c.dropParts(id); err != nil {
		return err
	}
	_, err := c.tx.Exec(`DELETE FROM s3_uploads WHERE id = $1`, id)
	return err
}

// under finds the upload for a part that is about to be sent.
func (o *vault) under(ctx context.Context, name, key, id *string) (b *bucket, u *upload, err error) {
	if b, err = o.bucket(*name); err != nil {
		return nil, nil, err
	}
	err = o.db.View(ctx, func(tx *store.Tx) (err error) {
		u, err = uploadOf(tx, b, *key, str(id))
		return err
	})
	return b, u, err
}

// UploadPart implements backend.Backend.
func (o *vault) UploadPart(ctx context.Context, in *awss3.UploadPartInput) (*awss3.UploadPartOutput, error) {
	out, err := o.uploadPart(ctx, in)
	return out, o.explain(what(*in.Bucket, *in.Key), err)
}

func (o *vault) uploadPart(ctx context.Context, in *awss3.UploadPartInput) (*awss3.UploadPartOutput, error) {
	b, u, err := o.under(ctx, in.Bucket, in.Key, in.UploadId)
	if err != nil {
		return nil, err
	}
	algorithm, value := sumsOfUploadPart(in).first()
	created, t := u.checksum()
	read, err := newBody(in.Body, created, algorithm, value)
	if err != nil {
		return nil, err
	}
	_, trailing := in.Body.(interface{ Algorithm() string })
	given := algorithm
	if trailing {
		given = read.algorithm
	}
	switch {
	case created != "" && given != "" && given != created:
		return nil, s3err.GetChecksumTypeMismatchErr(created, given)
	case created != "" && given == "" && t == types.ChecksumTypeComposite:
		return nil, s3err.GetChecksumTypeMismatchErr(created, "null")
	}
	if created == "" { // the whole object's checksum will be combined of these
		if err := read.alsoCRC64(); err != nil {
			return nil, err
		}
	}
	size := int64(-1)
	if in.ContentLength != nil {
		size = *in.ContentLength
	}
	p, err := o.takePart(ctx, b, u, *in.PartNumber, read, size, in.ContentMD5)
	if err != nil {
		return nil, err
	}
	out := &awss3.UploadPartOutput{ETag: &p.etag}
	if created != "" || given != "" {
		sumsOfUploadPartResult(out).set(read.algorithm, read.sum())
	}
	return out, nil
}

// takePart stores a part, in place of the one of the same number.
func (o *vault) takePart(ctx context.Context, b *bucket, u *upload, number int32, read *body, size int64, md5 *string) (*part, error) {
	content, err := o.intake(ctx, read, size, false)
	if err != nil {
		return nil, err
	}
	if err := read.checkMD5(md5); err != nil {
		o.discard(ctx, content)
		return nil, err
	}
	p := &part{number: number, size: content.size, etag: read.etag(), sum: read.sum(), blob: content.id}
	if a, _ := u.checksum(); a == "" {
		p.sum = read.crc64Sum()
	}
	err = o.alter(ctx, b, func(c *change) error {
		if _, err := uploadOf(c.tx, b, spellKey(string(u.key)), u.id); err != nil {
			return err
		}
		p.modified = o.now().UnixMicro()
		old, err := partsOf(c.tx, u.id, number-1, 1)
		if err != nil {
			return err
		}
		if len(old) == 1 && old[0].number == number {
			if err := c.trash(grave{blobs: blobsOf(old)}); err != nil {
				return err
			}
		}
		_, err = c.tx.Exec(`INSERT INTO s3_parts (upload, number, start, size, modified, etag, sum, blob) VALUES ($1, $2, 0, $3, $4, $5, $6, $7)
			ON CONFLICT (upload, number) DO UPDATE SET size = excluded.size, modified = excluded.modified, etag = excluded.etag, sum = excluded.sum, blob = excluded.blob`,
			u.id, number, p.size, p.modified, p.etag, p.sum, string(p.blob))
		return err
	})
	if err != nil {
		o.discard(ctx, content)
		return nil, err
	}
	return p, nil
}

// UploadPartCopy implements backend.Backend.
func (o *vault) UploadPartCopy(ctx context.Context, in *awss3.UploadPartCopyInput) (s3response.CopyPartResult, error) {
	out, err := o.uploadPartCopy(ctx, in)
	return out, o.explain(what(*in.Bucket, *in.Key), err)
}

func (o *vault) uploadPartCopy(ctx context.Context, in *awss3.UploadPartCopyInput) (out s3response.CopyPartResult, err error) {
	b, u, err := o.under(ctx, in.Bucket, in.Key, in.UploadId)
	if err != nil {
		return out, err
	}
	from, err := o.sourceOf(ctx, in.CopySource, in.ExpectedSourceBucketOwner)
	if err != nil {
		return out, err
	}
	if err := readConditions(from.version, in.CopySourceIfMatch, in.CopySourceIfNoneMatch, in.CopySourceIfModifiedSince, in.CopySourceIfUnmodifiedSince); err != nil {
		return out, err
	}
	offset, length, err := copyRange(from.size, str(in.CopySourceRange))
	if err != nil {
		return out, err
	}
	if length > maxCopy {
		return out, s3err.GetCopySourceObjectTooLargeErr(maxCopy)
	}
	r, err := o.openSource(ctx, from, offset, length)
	if err != nil {
		return out, err
	}
	defer r.Close()
	created, _ := u.checksum()
	read, err := newBody(r, created, "", "")
	if err != nil {
		return out, err
	}
	p, err := o.takePart(ctx, b, u, *in.PartNumber, read, length, nil)
	if err != nil {
		return out, err
	}
	out = s3response.CopyPartResult{ETag: &p.etag, LastModified: time.UnixMicro(p.modified).UTC(), CopySourceVersionId: str(versionOf(from.bucket, from.version))}
	if created != "" {
		sumsOfPartCopy(&out).set(created, p.sum)
	}
	return out, nil
}

// copyRange reads "bytes=first-last" of a part copy; unlike in reads all of it must be there.
func copyRange(size int64, header string) (offset, length int64, err error) {
	offset, length, err = backend.ParseCopySourceRange(size, header)
	if err == nil && offset+length > size { // the library counts an open end one too far
		length = size - offset
	}
	return offset, length, err
}

// ListParts implements backend.Backend.
func (o *vault) ListParts(ctx context.Context, in *awss3.ListPartsInput) (out s3response.ListPartsResult, err error) {
	defer func() { err = o.explain(what(*in.Bucket, *in.Key), err) }()
	b, err := o.bucket(*in.Bucket)
	if err != nil {
		return out, err
	}
	after := 0
	if m := str(in.PartNumberMarker); m != "" {
		if after, err = strconv.Atoi(m); err != nil {
			return out, s3err.GetInvalidArgMaxLimiter("part-number-marker", m)
		}
	}
	limit := pageSize(in.MaxParts)
	var u *upload
	var parts []part
	err = o.db.View(ctx, func(tx *store.Tx) (err error) {
		if u, err = uploadOf(tx, b, *in.Key, str(in.UploadId)); err == nil {
			parts, err = partsOf(tx, u.id, int32(min(after, maxParts)), limit+1)
		}
		return err
	})
	if err != nil {
		return out, err
	}
	algorithm, t := u.checksum()
	owner := o.owner(b)
	out = s3response.ListPartsResult{Bucket: b.name, Key: string(u.key), UploadID: u.id, PartNumberMarker: after, MaxParts: limit, IsTruncated: len(parts) > limit,
		StorageClass: types.StorageClassStandard, Owner: s3response.Owner{ID: owner, DisplayName: owner}, Initiator: s3response.Initiator{ID: owner, DisplayName: owner},
		ChecksumAlgorithm: orNull(algorithm), ChecksumType: orNull(t)}
	for _, p := range parts[:min(limit, len(parts))] {
		e := s3response.Part{PartNumber: int(p.number), LastModified: time.UnixMicro(p.modified).UTC(), ETag: p.etag, Size: p.size}
		if algorithm != "" {
			sumsOfPart(&e).set(algorithm, p.sum)
		}
		out.Parts = append(out.Parts, e)
		out.NextPartNumberMarker = e.PartNumber
	}
	return out, nil
}

// orNull is how the library writes that an upload names no checksum.
func orNull[T ~string](v T) T {
	if v == "" {
		return "null"
	}
	return v
}
