package s3

import (
	"context"

	"github.com/versity/versitygw/s3err"
)

// Tags, retention and legal hold: what may be changed of a version that exists.

// amend changes a version in one transaction.
func (o *vault) amend(ctx context.Context, name, key, vid string, fn func(b *bucket, v *version) error) error {
	b, err := o.bucket(name)
	if err == nil {
		err = checkVersionID(vid)
	}
	if err != nil {
		return err
	}
	plain := []byte(plainKey(key))
	err = o.alter(ctx, b, func(c *change) error {
		var v *version
		var err error
		if vid == "" {
			v, err = current(c.tx, b.id, plain)
		} else {
			v, _, err = exactly(c.tx, b.id, plain, vid)
		}
		switch {
		case err != nil:
			return err
		case v == nil && vid != "":
			return s3err.GetNoSuchVersionErr(string(plain), vid)
		case v == nil:
			return errNoSuchKey()
		case v.marker:
			return s3err.GetAPIError(s3err.ErrMethodNotAllowed)
		}
		if err := fn(c.bucket, v); err != nil {
			return err
		}
		return v.update(c.tx)
	})
	return o.explain(what(name, key), err)
}

// inspect reads a version.
func (o *vault) inspect(ctx context.Context, name, key, vid string) (*bucket, *found, error) {
	b, err := o.bucket(name)
	if err != nil {
		return nil, nil, err
	}
	f, err := o.find(ctx, b, plainKey(key), vid, false)
	if err != nil && f != nil {
		err = s3err.GetAPIError(s3err.ErrMethodNotAllowed)
	}
	return b, f, o.explain(what(name, key), err)
}

// GetObjectTagging implements backend.Backend.
func (o *vault) GetObjectTagging(ctx context.Context, name, key, vid string) (map[string]string, error) {
	_, f, err := o.inspect(ctx, name, key, vid)
	if err != nil {
		return nil, err
	}
	return f.tagMap(), nil
}

// PutObjectTagging implements backend.Backend.
func (o *vault) PutObjectTagging(ctx context.Context, name, key, vid string, tags map[string]string) error {
	text, err := tagText(tags)
	if err != nil {
		return err
	}
	return o.amend(ctx, name, key, vid, func(_ *bucket, v *version) error { v.tags = text; return nil })
}

// DeleteObjectTagging implements backend.Backend.
func (o *vault) DeleteObjectTagging(ctx context.Context, name, key, vid string) error {
	return o.PutObjectTagging(ctx, name, key, vid, nil)
}

// PutObjectRetention implements backend.Backend.
func (o *vault) PutObjectRetention(ctx context.Context, name, key, vid string, retention []byte) error {
	return o.amend(ctx, name, key, vid, func(b *bucket, v *version) error {
		if !b.locked() {
			return s3err.GetAPIError(s3err.ErrMissingObjectLockConfiguration)
		}
		v.attrs.Retention = string(retention)
		return nil
	})
}

// GetObjectRetention implements backend.Backend.
func (o *vault) GetObjectRetention(ctx context.Context, name, key, vid string) ([]byte, error) {
	b, f, err := o.inspect(ctx, name, key, vid)
	switch {
	case err != nil:
		return nil, err
	case !b.locked():
		return nil, s3err.GetAPIError(s3err.ErrMissingObjectLockConfiguration)
	case f.attrs.Retention == "":
		return nil, s3err.GetAPIError(s3err.ErrNoSuchObjectLockConfiguration)
	}
	return []byte(f.attrs.Retention), nil
}

// PutObjectLegalHold implements backend.Backend.
func (o *vault) PutObjectLegalHold(ctx context.Context, name, key, vid string, on bool) error {
	return o.amend(ctx, name, key, vid, func(b *bucket, v *version) error {
		if !b.locked() {
			return s3err.GetAPIError(s3err.ErrMissingObjectLockConfiguration)
		}
		v.attrs.Hold = &on
		return nil
	})
}

// GetObjectLegalHold implements backend.Backend.
func (o *vault) GetObjectLegalHold(ctx context.Context, name, key, vid string) (*bool, error) {
	b, f, err := o.inspect(ctx, name, key, vid)
	switch {
	case err != nil:
		return nil, err
	case !b.locked():
		return nil, s3err.GetAPIError(s3err.ErrMissingObjectLockConfiguration)
	case f.attrs.Hold == nil:
		return nil, s3err.GetAPIError(s3err.ErrNoSuchObjectLockConfiguration)
	}
	return f.attrs.Hold, nil
}
