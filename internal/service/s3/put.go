package s3

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/versity/versitygw/backend"
	"github.com/versity/versitygw/s3err"
	"github.com/versity/versitygw/s3response"
)

// Names of events, as AWS spells them.
const (
	eventPut      = "ObjectCreated:Put"
	eventCopy     = "ObjectCreated:Copy"
	eventComplete = "ObjectCreated:CompleteMultipartUpload"
	eventDelete   = "ObjectRemoved:Delete"
	eventMarker   = "ObjectRemoved:DeleteMarkerCreated"
)

// PutObject implements backend.Backend.
func (o *vault) PutObject(ctx context.Context, in s3response.PutObjectInput) (s3response.PutObjectOutput, error) {
	out, err := o.put(ctx, &in)
	return out, o.explain(what(*in.Bucket, *in.Key), err)
}

// what names an object in logs and messages.
func what(bucket, key string) string { return "s3://" + bucket + "/" + plainKey(key) }

func (o *vault) put(ctx context.Context, in *s3response.PutObjectInput) (out s3response.PutObjectOutput, err error) {
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
	condition := putCondition(in.IfMatch, in.IfNoneMatch)
	if in.IfMatch != nil || in.IfNoneMatch != nil { // refuse before the body is sent; judged again with the write
		if err := o.ahead(ctx, b, v.key, condition); err != nil {
			return out, err
		}
	}
	algorithm, value := sumsOfPut(in).first()
	size := int64(-1)
	if in.ContentLength != nil {
		size = *in.ContentLength
	}
	read, err := newBody(in.Body, in.ChecksumAlgorithm, algorithm, value)
	if err != nil {
		return out, err
	}
	content, err := o.intake(ctx, read, size, true)
	if err != nil {
		return out, err
	}
	if err := read.checkMD5(in.ContentMD5); err != nil {
		o.discard(ctx, content)
		return out, err
	}
	v.etag, v.attrs.Sum, v.algo = read.etag(), read.sum(), algoText(read.algorithm, types.ChecksumTypeFullObject)
	versioned, err := o.store(ctx, b, v, content, eventPut, condition)
	if err != nil {
		return out, err
	}
	out = s3response.PutObjectOutput{ETag: v.etag, Size: &v.size, ChecksumType: types.ChecksumTypeFullObject}
	if versioned {
		out.VersionID = v.vid
	}
	sumsOfPutResult(&out).set(read.algorithm, v.attrs.Sum)
	return out, nil
}

// newVersion begins a version of a key as the library spells it.
func newVersion(key string) (*version, error) {
	plain := plainKey(key)
	if len(plain) > maxKey {
		return nil, s3err.GetKeyTooLongErr(int64(len(plain)), maxKey)
	}
	return &version{key: []byte(plain)}, nil
}

// asked begins the version that a request describes, with its lock and its tags.
func asked(b *bucket, key string, a attributes, mode types.ObjectLockMode, until *time.Time, hold types.ObjectLockLegalHoldStatus, tagging *string) (*version, error) {
	v, err := newVersion(key)
	if err != nil {
		return nil, err
	}
	v.attrs = a
	if err := v.attrs.lock(b, mode, until, hold); err != nil {
		return nil, err
	}
	v.tags, err = headerTags(tagging)
	return v, err
}

// headerTags is what a row keeps of the header x-amz-tagging.
func headerTags(header *string) (string, error) {
	tags, err := backend.ParseObjectTags(str(header))
	if err != nil {
		return "", err
	}
	return tagText(tags)
}

// condition judges what a key names now: nil for nothing.
type condition func(cur *version) error

func putCondition(match, none *string) condition {
	return func(cur *version) error {
		etag := ""
		if cur != nil {
			etag = cur.etag
		}
		return backend.EvaluateObjectPutPreconditions(etag, match, none, cur != nil)
	}
}

// ahead judges a condition before the work, so that a refusal is cheap.
func (o *vault) ahead(ctx context.Context, b *bucket, key []byte, c condition) error {
	f, err := o.lookup(ctx, b, string(key), "", false)
	if err != nil {
		return err
	}
	if f == nil {
		return c(nil)
	}
	return c(alive(f.version))
}

// alive is what reads would find: no delete marker.
func alive(v *version) *version {
	if v == nil || v.marker {
		return nil
	}
	return v
}

// store makes v with its content what its key names, if the condition holds; one of many
// that ask for the same wins. The content is discarded when it fails.
func (o *vault) store(ctx context.Context, b *bucket, v *version, content *stored, event string, cond condition) (versioned bool, err error) {
	v.size, v.crc, v.place = content.size, content.crc, content.place()
	err = o.alter(ctx, b, func(c *change) error {
		cur, err := current(c.tx, c.bucket.id, v.key)
		if err != nil {
			return err
		}
		if cond != nil {
			if err := cond(alive(cur)); err != nil {
				return err
			}
		}
		versioned = c.bucket.versioning == enabled
		return c.replace(cur, v, content.data, event)
	})
	if err != nil {
		o.discard(ctx, content)
	}
	return versioned, err
}

// lock sets retention and legal hold as a request asks for them.
func (a *attributes) lock(b *bucket, mode types.ObjectLockMode, until *time.Time, hold types.ObjectLockLegalHoldStatus) error {
	if (mode != "" || hold == types.ObjectLockLegalHoldStatusOn) && !b.locked() {
		return s3err.GetAPIError(s3err.ErrMissingObjectLockConfigurationNoSpaces)
	}
	if mode != "" {
		text, err := json.Marshal(types.ObjectLockRetention{Mode: types.ObjectLockRetentionMode(mode), RetainUntilDate: until})
		if err != nil {
			return err
		}
		a.Retention = string(text)
	}
	if hold == types.ObjectLockLegalHoldStatusOn {
		on := true
		a.Hold = &on
	}
	return nil
}

// lowerKeys spells the names of metadata as S3 does.
func lowerKeys(m map[string]string) map[string]string {
	if len(m) == 0 {
		return nil
	}
	out := make(map[string]string, len(m))
	for k, v := range m {
		out[strings.ToLower(k)] = v
	}
	return out
}

func str(p *string) string {
	if p == nil {
		return ""
	}
	return *p
}

// ptr is nil for an empty string: the header is then left out.
func ptr(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func trimETag(etag string) string { return strings.Trim(etag, `"`) }
