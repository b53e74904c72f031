package s3

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
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
	var v *version
	versioned := false
	for range maxLooks {
		v, versioned, err = o.complete(ctx, b, in)
		if !errors.Is(err, errPartsChanged) {
			break
		}
	}
	if errors.Is(err, errPartsChanged) {
		err = apiError(409, "OperationAborted", "Parts were uploaded while the upload was completed. Please try again.")
	}
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

// errPartsChanged says that the parts are not those any more for which the object was planned.
var errPartsChanged = errors.New("s3: parts of the upload changed")

// complete plans the object outside of the transaction, for which others wait, and makes it
// in one if the parts are still the same.
func (o *vault) complete(ctx context.Context, b *bucket, in *awss3.CompleteMultipartUploadInput) (v *version, versioned bool, err error) {
	key, id := *in.Key, str(in.UploadId)
	j := &joining{in: in}
	var parts []part
	err = o.db.View(ctx, func(tx *store.Tx) (err error) {
		if j.u, err = uploadOf(tx, b, key, id); err == nil {
			parts, err = partsOf(tx, id, 0, maxParts)
		}
		return err
	})
	if _, gone := errors.AsType[s3err.S3Error](err); gone {
		return o.repeated(ctx, b, in, err)
	}
	var plan *version
	if err == nil {
		plan, err = j.plan(parts)
	}
	if err != nil {
		return nil, false, err
	}
	cond := putCondition(in.IfMatch, in.IfNoneMatch)
	err = o.alter(ctx, b, func(c *change) error {
		if _, err := uploadOf(c.tx, b, key, id); err != nil {
			return errPartsChanged // ended meanwhile: look again
		}
		now, err := partsOf(c.tx, id, 0, maxParts)
		if err != nil {
			return err
		}
		if !slices.Equal(now, parts) {
			return errPartsChanged
		}
		cur, err := current(c.tx, b.id, j.u.key)
		if err != nil {
			return err
		}
		if err := cond(alive(cur)); err != nil {
			return err
		}
		if err := j.apply(c, parts); err != nil {
			return err
		}
		made := *plan
		v, versioned = &made, c.bucket.versioning == enabled
		return c.replace(cur, v, nil, eventComplete)
	})
	return v, versioned, err
}

// repeated finds the object that an upload has become already, or gives the refusal.
func (o *vault) repeated(ctx context.Context, b *bucket, in *awss3.CompleteMultipartUploadInput, refusal error) (v *version, versioned bool, err error) {
	if !isUploadID(str(in.UploadId)) {
		return nil, false, refusal
	}
	key, place := []byte(plainKey(*in.Key)), "u:"+*in.UploadId
	err = o.db.View(ctx, func(tx *store.Tx) (err error) {
		for _, table := range []string{"s3_objects", "s3_versions"} {
			v, err = optional(scanVersion(tx.Row(`SELECT `+columns+` FROM `+table+` WHERE bucket = $1 AND key = $2 AND place = $3`, b.id, key, place)))
			if err != nil || v != nil {
				return err
			}
		}
		return refusal
	})
	if err != nil {
		return nil, false, err
	}
	return v, v.vid != nullVersion, nil
}

// joining makes an object of parts.
type joining struct {
	u      *upload
	in     *awss3.CompleteMultipartUploadInput
	have   map[int32]*part
	starts map[int32]int64 // of those whose place is not yet right
	size   int64
	sum    string
	etags  []types.CompletedPart
}

// plan checks what the client lists against the parts that are there, and says what the
// object will be.
func (j *joining) plan(parts []part) (*version, error) {
	created, t := j.u.checksum()
	if j.in.ChecksumType != "" && j.in.ChecksumType != t {
		return nil, s3err.GetChecksumTypeMismatchOnMpErr(orNull(t))
	}
	j.starts = map[int32]int64{}
	j.have = make(map[int32]*part, len(parts))
	for i := range parts {
		j.have[parts[i].number] = &parts[i]
	}
	algorithm, kindOf := created, t
	if algorithm == "" {
		algorithm, kindOf = defaultAlgorithm, types.ChecksumTypeFullObject
	}
	if err := j.walk(created, algorithm, kindOf); err != nil {
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
	return v, nil
}

// apply gives the parts their places and forgets the upload with those that were not listed.
func (j *joining) apply(c *change, parts []part) error {
	for _, p := range parts {
		start, moved := j.starts[p.number]
		if !moved {
			continue
		}
		if _, err := c.tx.Exec(`UPDATE s3_parts SET start = $3 WHERE upload = $1 AND number = $2`, j.u.id, p.number, start); err != nil {
			return err
		}
	}
	if err := j.leaveOut(c, parts); err != nil {
		return err
	}
	_, err := c.tx.Exec(`DELETE FROM s3_uploads WHERE id = $1`, j.u.id)
	return err
}

// walk goes over the client's list.
func (j *joining) walk(created, algorithm types.ChecksumAlgorithm, t types.ChecksumType) error {
	var composite *utils.CompositeChecksumReader
	var crc *combiner
	var err error
	if t == types.ChecksumTypeComposite {
		composite, err = utils.NewCompositeChecksumReader(utils.HashType(strings.ToLower(string(algorithm))))
	} else {
		crc, err = newCombiner(algorithm)
	}
	if err != nil {
		return err
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
			j.starts[p.number] = j.size
		}
		j.size += p.size
		j.etags = append(j.etags, types.CompletedPart{ETag: &p.etag, PartNumber: &p.number})
		switch {
		case composite != nil:
			err = composite.Process(p.sum)
		case i == 0:
			j.sum = p.sum
		default:
			j.sum, err = crc.add(j.sum, p.sum, p.size)
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
