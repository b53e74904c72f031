package s3

import (
	"context"
	"errors"

	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/versity/versitygw/backend"
	"github.com/versity/versitygw/s3err"
	"github.com/versity/versitygw/s3response"
)

// deleted is how one deletion ended.
type deleted struct {
	vid    string
	marker bool
	err    error
}

// DeleteObject implements backend.Backend.
func (o *vault) DeleteObject(ctx context.Context, in *awss3.DeleteObjectInput) (*awss3.DeleteObjectOutput, error) {
	vid := str(in.VersionId)
	b, err := o.bucket(*in.Bucket)
	if err == nil {
		err = checkVersionID(vid)
	}
	if err != nil {
		return nil, err
	}
	conditional := in.IfMatch != nil || in.IfMatchLastModifiedTime != nil || in.IfMatchSize != nil
	cond := func(v *version) error {
		if !conditional {
			return nil
		}
		if v == nil {
			return errNoSuchKey()
		}
		return backend.EvaluateObjectDeletePreconditions(v.etag, v.second(), v.size, backend.ObjectDeletePreconditions{
			IfMatch: in.IfMatch, IfMatchLastModTime: in.IfMatchLastModifiedTime, IfMatchSize: in.IfMatchSize})
	}
	key := []byte(plainKey(*in.Key))
	if len(key) > maxKey {
		return &awss3.DeleteObjectOutput{}, nil // it cannot be there
	}
	var d deleted
	err = o.alter(ctx, b, func(c *change) (err error) {
		d, err = c.delete(key, vid, cond)
		return err
	})
	if err != nil {
		return nil, o.explain(what(*in.Bucket, *in.Key), err)
	}
	out := &awss3.DeleteObjectOutput{VersionId: ptr(d.vid)}
	if d.marker {
		out.DeleteMarker = yes()
	}
	return out, nil
}

// delete deletes what a key names, or one version.
func (c *change) delete(key []byte, vid string, cond condition) (d deleted, err error) {
	if vid != "" {
		return c.deleteVersion(key, vid, cond)
	}
	cur, err := current(c.tx, c.bucket.id, key)
	if err != nil {
		return d, err
	}
	if err := cond(alive(cur)); err != nil {
		return d, err
	}
	if c.bucket.versioning == "" {
		if cur == nil {
			return d, nil
		}
		if err := c.supersede(cur, key); err != nil {
			return d, err
		}
		return d, c.event(eventDelete, cur)
	}
	m := &version{key: key, marker: true}
	if err := c.replace(cur, m, nil, eventMarker); err != nil {
		return d, err
	}
	return deleted{vid: m.vid, marker: true}, nil
}

// deleteVersion deletes one version for good. What was before it is current again.
func (c *change) deleteVersion(key []byte, vid string, cond condition) (d deleted, err error) {
	d.vid = vid
	if c.bucket.versioning == "" {
		d.vid = ""
	}
	v, isCurrent, err := exactly(c.tx, c.bucket.id, key, vid)
	if err != nil {
		return d, err
	}
	if err := cond(v); err != nil || v == nil {
		return d, err
	}
	d.marker = v.marker
	if err := c.drop(v); err != nil {
		return d, err
	}
	table := "s3_versions"
	if isCurrent {
		table = "s3_objects"
	}
	if _, err := c.tx.Exec(`DELETE FROM `+table+` WHERE bucket = $1 AND key = $2 AND rank = $3`, c.bucket.id, key, v.rank); err != nil {
		return d, err
	}
	if isCurrent {
		before, err := newest(c.tx, c.bucket.id, key)
		if err != nil {
			return d, err
		}
		if before != nil {
			if _, err := c.tx.Exec(`DELETE FROM s3_versions WHERE bucket = $1 AND key = $2 AND rank = $3`, c.bucket.id, key, before.rank); err != nil {
				return d, err
			}
			if err := before.insert(c.tx); err != nil {
				return d, err
			}
		}
	}
	return d, c.event(eventDelete, v)
}

// deleteGroup is how many deletions of one request share a transaction: others wait
// meanwhile.
const deleteGroup = 200

// DeleteObjects implements backend.Backend. Each group of deletions is one transaction; what
// one of its keys is refused for does not touch the others.
func (o *vault) DeleteObjects(ctx context.Context, in *awss3.DeleteObjectsInput) (out s3response.DeleteResult, err error) {
	b, err := o.bucket(*in.Bucket)
	if err != nil {
		return out, err
	}
	for list := in.Delete.Objects; len(list) > 0; {
		group := list[:min(len(list), deleteGroup)]
		list = list[len(group):]
		results := make([]deleted, len(group))
		failed := o.alter(ctx, b, func(c *change) error {
			for i := range group {
				var err error
				if results[i], err = c.deleteOne(&group[i]); err != nil {
					return err
				}
			}
			return nil
		})
		for i, obj := range group {
			r := results[i]
			if failed != nil {
				r.err = failed
			}
			if r.err != nil {
				out.Error = append(out.Error, s3err.ObjectDeleteError(obj.Key, obj.VersionId, o.explain(what(b.name, str(obj.Key)), r.err)))
				continue
			}
			d := types.DeletedObject{Key: obj.Key, VersionId: ptr(str(obj.VersionId))}
			if r.marker {
				d.DeleteMarker, d.DeleteMarkerVersionId = yes(), &r.vid
			}
			out.Deleted = append(out.Deleted, d)
		}
	}
	return out, nil
}

// deleteOne deletes one of many. What it is refused for is in the result; an error ends the
// whole group.
func (c *change) deleteOne(obj *types.ObjectIdentifier) (deleted, error) {
	key, vid := str(obj.Key), str(obj.VersionId)
	if err := checkVersionID(vid); err != nil {
		return deleted{err: err}, nil
	}
	if len(key) > maxKey {
		return deleted{}, nil // it cannot be there
	}
	d, err := c.delete([]byte(key), vid, func(v *version) error {
		if obj.ETag == nil && obj.Size == nil && obj.LastModifiedTime == nil {
			return nil
		}
		if v == nil {
			return errNoSuchKey()
		}
		return backend.EvaluateObjectDeletePreconditions(v.etag, v.second(), v.size, backend.ObjectDeletePreconditions{
			IfMatch: trimmed(obj.ETag), IfMatchLastModTime: obj.LastModifiedTime, IfMatchSize: obj.Size})
	})
	if _, refused := errors.AsType[s3err.S3Error](err); refused { // by the condition, before anything was written
		return deleted{err: err}, nil
	}
	return d, err
}

func trimmed(etag *string) *string {
	if etag == nil {
		return nil
	}
	return ptr(trimETag(*etag))
}
