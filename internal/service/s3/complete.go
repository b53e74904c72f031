package s3

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/versity/versitygw/backend"
	"github.com/versity/versitygw/s3api/utils"
	"github.com/versity/versitygw/s3err"
	"github.com/versity/versitygw/s3response"

	"drover/internal/blob"
	"drover/internal/store"
)

func blobsOf(parts []part) []blob.ID {
	list := make([]blob.ID, len(parts))
	for i, p := range parts {
		list[i] = p.blob
	}
	return list
}

// CompleteMultipartUpload implements backend.Backend. No content is copied: the parts
// become the object's. It is one transaction, and repeating it after success answers the
// same, because clients repeat what they got no answer for.
func (o *vault) CompleteMultipartUpload(ctx context.Context, in *awss3.CompleteMultipartUploadInput) (out s3response.CompleteMultipartUploadResult, vid string, err error) {
	name, key := *in.Bucket, *in.Key
	defer func() { err = o.explain(what(name, key), err) }()
	if in.MultipartUpload == nil || len(in.MultipartUpload.Parts) == 0 {
		return out, "", s3err.GetAPIError(s3err.ErrMalformedXML)
	}
	b, err := o.bucket(name)
	if err != nil {
		return out, "", err
	}
	cond := putCondition(in.IfMatch, in.IfNoneMatch)
	var v *version
	versioned := false
	err = o.alter(ctx, b, func(c *change) error {
		cur, err := current(c.tx, b.id, []byte(plainKey(key)))
		if err != nil {
			return err
		}
		u, err := uploadOf(c.tx, b, key, str(in.UploadId))
		if err != nil {
			if v, err = o.repeated(c, in, err); v != nil {
				versioned = v.vid != nullVersion
			}
			return err
		}
		if err := cond(alive(cur)); err != nil {
			return err
		}
		j := joining{u: u, in: in}
		if v, err = j.join(c); err != nil {
			return err
		}
		versioned = c.bucket.versioning == enabled
		return c.replace(cur, v, nil, eventComplete)
	})
	if err != nil {
		return out, "", err
	}
	algorithm, t := kind(v.algo)
	plain := string(v.key)
	out = s3response.CompleteMultipartUploadResult{Bucket: &name, Key: &plain, ETag: &v.etag, ChecksumType: &t}
	sumsOfCompleteResult(&out).set(algorithm, v.attrs.Sum)
	if versioned {
		vid = v.vid
	}
	return out, vid, nil
}

// repeated finds the object that an upload has become already, or gives the refusal.
func (o *vault) repeated(c *change, in *awss3.CompleteMultipartUploadInput, refusal error) (*version, error) {
	if _, ok := errors.AsType[s3err.S3Error](refusal); !ok || !isUploadID(str(in.UploadId)) {
		return nil, refusal
	}
	key, place := []byte(plainKey(*in.Key)), "u:"+*in.UploadId
	for _, table := range []string{"s3_objects", "s3_versions"} {
		v, err := optional(scanVersion(c.tx.Row(`SELECT `+columns+` FROM `+table+` WHERE bucket = $1 AND key = $2 AND place = $3`, c.bucket.id, key, place)))
		if err != nil || v != nil {
			return v, err
		}
	}
	return nil, refusal
}

// joining makes an object of parts.
type joining struct {
	u     *upload
	in    *awss3.CompleteMultipartUploadInput
	have  map[int32]*part
	size  int64
	sum   string
	etags []types.CompletedPart
}

// join checks what the client lists against the parts that are there, fixes their places in
// the object and forgets the others.
func (j *joining) join(c *change) (*version, error) {
	created, t := j.u.checksum()
	if j.in.ChecksumType != "" && j.in.ChecksumType != t {
		return nil, s3err.GetChecksumTypeMismatchOnMpErr(orNull(t))
	}
	parts, err := partsOf(c.tx, j.u.id, 0, maxParts)
	if err != nil {
		return nil, err
	}
	j.have = make(map[int32]*part, len(parts))
	for i := range parts {
		j.have[parts[i].number] = &parts[i]
	}
	algorithm, kindOf := created, t
	if algorithm == "" {
		algorithm, kindOf = defaultAlgorithm, types.ChecksumTypeFullObject
	}
	if err := j.walk(c.tx, created, algorithm, kindOf); err != nil {
		return nil, err
	}
	if j.in.MpuObjectSize != nil && j.size != *j.in.MpuObjectSize {
		return nil, s3err.GetIncorrectMpObjectSizeErr(j.size, *j.in.MpuObjectSize)
	}
	if p := sumsOfComplete(j.in); created != "" {
		if want := p.of(created); want != nil && *want != nil {
			got := **want
			if kindOf == types.ChecksumTypeComposite && !strings.Contains(got, "-") {
				got = fmt.Sprintf("%s-%d", got, len(j.etags))
			}
			if got != j.sum {
				return nil, s3err.GetChecksumBadDigestErr(created)
			}
		}
	}
	etag, err := backend.ComputeMultipartETagFromPartETags(j.etags)
	if err != nil {
		return nil, err
	}
	v := &version{key: j.u.key, size: j.size, etag: etag, algo: algoText(algorithm, kindOf), place: "u:" + j.u.id, tags: j.u.tags}
	if err := json.Unmarshal([]byte(j.u.attrs), &v.attrs); err != nil {
		return nil, err
	}
	v.attrs.Sum, v.attrs.Parts = j.sum, int32(len(j.etags))
	if err := j.leaveOut(c, parts); err != nil {
		return nil, err
	}
	_, err = c.tx.Exec(`DELETE FROM s3_uploads WHERE id = $1`, j.u.id)
	return v, err
}

// walk goes over the client's list.
func (j *joining) walk(tx *store.Tx, created, algorithm types.ChecksumAlgorithm, t types.ChecksumType) error {
	var composite *utils.CompositeChecksumReader
	if t == types.ChecksumTypeComposite {
		var err error
		if composite, err = utils.NewCompositeChecksumReader(utils.HashType(strings.ToLower(string(algorithm)))); err != nil {
			return err
		}
	}
	list := j.in.MultipartUpload.Parts
	before := int32(0)
	for i := range list {
		p, err := j.check(&list[i], before, created)
		if err != nil {
			return err
		}
		if i < len(list)-1 && p.size < backend.MinPartSize {
			return s3err.GetEntityTooSmallErr(p.size, backend.MinPartSize)
		}
		before = p.number
		if p.start != j.size {
			if _, err := tx.Exec(`UPDATE s3_parts SET start = $3 WHERE upload = $1 AND number = $2`, j.u.id, p.number, j.size); err != nil {
				return err
			}
		}
		j.size += p.size
		j.etags = append(j.etags, types.CompletedPart{ETag: &p.etag, PartNumber: &p.number})
		switch {
		case composite != nil:
			err = composite.Process(p.sum)
		case i == 0:
			j.sum = p.sum
		default:
			j.sum, err = utils.AddCRCChecksum(algorithm, j.sum, p.sum, p.size)
		}
		if err != nil {
			return fmt.Errorf("s3: combine the checksums of upload %s: %w", j.u.id, err)
		}
	}
	if composite != nil {
		j.sum = fmt.Sprintf("%s-%d", composite.Sum(), len(list))
	}
	return nil
}

// check compares one listed part with the one that is there.
func (j *joining) check(want *types.CompletedPart, before int32, created types.ChecksumAlgorithm) (*part, error) {
	if want.PartNumber == nil || want.ETag == nil {
		return nil, s3err.GetAPIError(s3err.ErrMalformedXML)
	}
	number := *want.PartNumber
	if number < 1 {
		return nil, s3err.GetInvalidArgumentErr(s3err.InvalidArgCompleteMpPartNumber, fmt.Sprint(number))
	}
	if number <= before {
		return nil, s3err.GetAPIError(s3err.ErrInvalidPartOrder)
	}
	p := j.have[number]
	if p == nil || !backend.AreEtagsSame(p.etag, *want.ETag) {
		return nil, s3err.GetInvalidPartErr(j.u.id, number, *want.ETag)
	}
	sums := sumsOfCompletedPart(want)
	algorithm, sum := sums.first()
	switch {
	case sums.count() > 1:
		return nil, s3err.GetInvalidArgumentErr(s3err.InvalidArgChecksumPart, sum)
	case sum == "" && created != "" && j.in.ChecksumType != types.ChecksumTypeFullObject && j.composite():
		return nil, apiError(400, "InvalidRequest", fmt.Sprintf("The upload was created using a %s checksum. The complete request must include the checksum for each part. It was missing for part %d in the request.", strings.ToLower(string(created)), number))
	case sum == "":
		return p, nil
	case !utils.IsValidChecksum(sum, algorithm):
		return nil, s3err.GetInvalidArgumentErr(s3err.InvalidArgChecksumPart, sum)
	case algorithm != created || sum != p.sum: // what the upload did not ask for is not kept, so it cannot be compared
		return nil, s3err.GetInvalidPartErr(j.u.id, number, *want.ETag)
	}
	return p, nil
}

func (j *joining) composite() bool {
	_, t := j.u.checksum()
	return t == types.ChecksumTypeComposite
}

// leaveOut forgets the parts that the client did not list.
func (j *joining) leaveOut(c *change, parts []part) error {
	listed := make(map[int32]bool, len(j.etags))
	for _, p := range j.etags {
		listed[*p.PartNumber] = true
	}
	var g grave
	for _, p := range parts {
		if listed[p.number] {
			continue
		}
		if _, err := c.tx.Exec(`DELETE FROM s3_parts WHERE upload = $1 AND number = $2`, j.u.id, p.number); err != nil {
			return err
		}
		g.blobs = append(g.blobs, p.blob)
	}
	return c.trash(g)
}
