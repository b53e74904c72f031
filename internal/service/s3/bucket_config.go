package s3

import (
	"context"
	"encoding/json"

	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/versity/versitygw/auth"
	"github.com/versity/versitygw/s3err"
	"github.com/versity/versitygw/s3response"
)

// What is configured for buckets. The library validates and interprets it all.

// document gives one configured document, or the refusal when there is none.
func (o *vault) document(name string, of func(*bucketConfig) []byte, none s3err.ErrorCode) ([]byte, error) {
	b, err := o.bucket(name)
	if err != nil {
		return nil, err
	}
	d := of(&b.config)
	if len(d) == 0 {
		return nil, s3err.GetBucketErr(none, name)
	}
	return d, nil
}

// GetBucketAcl implements backend.Backend.
func (o *vault) GetBucketAcl(_ context.Context, in *awss3.GetBucketAclInput) ([]byte, error) {
	b, err := o.bucket(*in.Bucket)
	if err != nil {
		return nil, err
	}
	return b.config.ACL, nil
}

// PutBucketAcl implements backend.Backend.
func (o *vault) PutBucketAcl(ctx context.Context, name string, acl []byte) error {
	return o.configure(ctx, name, func(b *bucket) error { b.config.ACL = acl; return nil })
}

// GetBucketPolicy implements backend.Backend.
func (o *vault) GetBucketPolicy(_ context.Context, name string) ([]byte, error) {
	return o.document(name, func(c *bucketConfig) []byte { return c.Policy }, s3err.ErrNoSuchBucketPolicy)
}

// PutBucketPolicy implements backend.Backend.
func (o *vault) PutBucketPolicy(ctx context.Context, name string, policy []byte) error {
	return o.configure(ctx, name, func(b *bucket) error { b.config.Policy = policy; return nil })
}

// DeleteBucketPolicy implements backend.Backend.
func (o *vault) DeleteBucketPolicy(ctx context.Context, name string) error {
	return o.PutBucketPolicy(ctx, name, nil)
}

// GetBucketCors implements backend.Backend.
func (o *vault) GetBucketCors(_ context.Context, name string) ([]byte, error) {
	return o.document(name, func(c *bucketConfig) []byte { return c.CORS }, s3err.ErrNoSuchCORSConfiguration)
}

// PutBucketCors implements backend.Backend.
func (o *vault) PutBucketCors(ctx context.Context, name string, cors []byte) error {
	return o.configure(ctx, name, func(b *bucket) error { b.config.CORS = cors; return nil })
}

// DeleteBucketCors implements backend.Backend.
func (o *vault) DeleteBucketCors(ctx context.Context, name string) error {
	return o.PutBucketCors(ctx, name, nil)
}

// GetBucketWebsite implements backend.Backend.
func (o *vault) GetBucketWebsite(_ context.Context, name string) ([]byte, error) {
	return o.document(name, func(c *bucketConfig) []byte { return c.Website }, s3err.ErrNoSuchWebsiteConfiguration)
}

// PutBucketWebsite implements backend.Backend.
func (o *vault) PutBucketWebsite(ctx context.Context, name string, website []byte) error {
	return o.configure(ctx, name, func(b *bucket) error { b.config.Website = website; return nil })
}

// DeleteBucketWebsite implements backend.Backend.
func (o *vault) DeleteBucketWebsite(ctx context.Context, name string) error {
	return o.PutBucketWebsite(ctx, name, nil)
}

// GetBucketOwnershipControls implements backend.Backend.
func (o *vault) GetBucketOwnershipControls(_ context.Context, name string) (types.ObjectOwnership, error) {
	d, err := o.document(name, func(c *bucketConfig) []byte { return []byte(c.Ownership) }, s3err.ErrOwnershipControlsNotFound)
	return types.ObjectOwnership(d), err
}

// PutBucketOwnershipControls implements backend.Backend.
func (o *vault) PutBucketOwnershipControls(ctx context.Context, name string, ownership types.ObjectOwnership) error {
	return o.configure(ctx, name, func(b *bucket) error { b.config.Ownership = string(ownership); return nil })
}

// DeleteBucketOwnershipControls implements backend.Backend.
func (o *vault) DeleteBucketOwnershipControls(ctx context.Context, name string) error {
	return o.PutBucketOwnershipControls(ctx, name, "")
}

// GetBucketTagging implements backend.Backend.
func (o *vault) GetBucketTagging(_ context.Context, name string) (map[string]string, error) {
	b, err := o.bucket(name)
	if err == nil && len(b.config.Tags) == 0 {
		err = s3err.GetBucketErr(s3err.ErrBucketTaggingNotFound, name)
	}
	if err != nil {
		return nil, err
	}
	return b.config.Tags, nil
}

// PutBucketTagging implements backend.Backend.
func (o *vault) PutBucketTagging(ctx context.Context, name string, tags map[string]string) error {
	if err := checkOnPut(ctx, tags); err != nil {
		return err
	}
	return o.configure(ctx, name, func(b *bucket) error { b.config.Tags = tags; return nil })
}

// DeleteBucketTagging implements backend.Backend.
func (o *vault) DeleteBucketTagging(ctx context.Context, name string) error {
	return o.PutBucketTagging(ctx, name, nil)
}

// PutBucketVersioning implements backend.Backend.
func (o *vault) PutBucketVersioning(ctx context.Context, name string, status types.BucketVersioningStatus) error {
	return o.configure(ctx, name, func(b *bucket) error {
		if string(status) == suspended && b.locked() {
			return s3err.GetAPIError(s3err.ErrSuspendedVersioningNotAllowed)
		}
		b.versioning = string(status)
		return nil
	})
}

// GetBucketVersioning implements backend.Backend.
func (o *vault) GetBucketVersioning(_ context.Context, name string) (s3response.GetBucketVersioningOutput, error) {
	b, err := o.bucket(name)
	if err != nil || b.versioning == "" {
		return s3response.GetBucketVersioningOutput{}, err
	}
	status := types.BucketVersioningStatus(b.versioning)
	return s3response.GetBucketVersioningOutput{Status: &status}, nil
}

// locked reports whether object locks are on.
func (b *bucket) locked() bool {
	var c auth.BucketLockConfig
	return len(b.config.Lock) > 0 && json.Unmarshal(b.config.Lock, &c) == nil && c.Enabled
}

// GetObjectLockConfiguration implements backend.Backend.
func (o *vault) GetObjectLockConfiguration(_ context.Context, name string) ([]byte, error) {
	return o.document(name, func(c *bucketConfig) []byte { return c.Lock }, s3err.ErrObjectLockConfigurationNotFound)
}

// PutObjectLockConfiguration implements backend.Backend.
func (o *vault) PutObjectLockConfiguration(ctx context.Context, name string, config []byte) error {
	return o.configure(ctx, name, func(b *bucket) error {
		if b.versioning != enabled {
			return s3err.GetAPIError(s3err.ErrObjectLockConfigurationNotAllowed)
		}
		b.config.Lock = config
		return nil
	})
}

// ChangeBucketOwner implements backend.Backend.
func (o *vault) ChangeBucketOwner(ctx context.Context, name, owner string) error {
	return auth.UpdateBucketACLOwner(ctx, o, name, owner)
}
