package native

import (
	"context"

	"drover/internal/core/upkeep"
	"drover/internal/wire"
)

// Mounts are buckets that pass through to another S3.
type Mounts interface {
	Mount(ctx context.Context, name, address, access, secret string) error
	Unmount(ctx context.Context, name string) error
	Buckets() []upkeep.StoredBucket
}

// Pass lets the service answer for buckets.
func (s *Service) Pass(m Mounts) *Service {
	s.mounts = m
	return s
}

// MountBucketInput names a bucket and what it passes through to.
type MountBucketInput struct {
	Bucket    *string
	Address   *string // s3://bucket/prefix?endpoint=…
	AccessKey *string
	SecretKey *string // kept by the server, and given to nobody
}

// MountBucketOutput is empty.
type MountBucketOutput struct{}

var _ = wire.Op(Ops, "MountBucket", (*Service).MountBucket, path("mountbucket"), wire.Required("Bucket", "Address", "AccessKey", "SecretKey"))

// MountBucket makes a bucket whose objects are those of another S3. Only the account's root may.
func (s *Service) MountBucket(ctx context.Context, in *MountBucketInput) (*MountBucketOutput, error) {
	if err := s.mayMount(ctx); err != nil {
		return nil, err
	}
	return &MountBucketOutput{}, s.mounts.Mount(ctx, *in.Bucket, *in.Address, *in.AccessKey, *in.SecretKey)
}

// UnmountBucketInput names a mounted bucket.
type UnmountBucketInput struct{ Bucket *string }

// UnmountBucketOutput is empty.
type UnmountBucketOutput struct{}

var _ = wire.Op(Ops, "UnmountBucket", (*Service).UnmountBucket, path("unmountbucket"), wire.Required("Bucket"))

// UnmountBucket takes a mounted bucket away; its objects stay where they are.
func (s *Service) UnmountBucket(ctx context.Context, in *UnmountBucketInput) (*UnmountBucketOutput, error) {
	if err := s.mayMount(ctx); err != nil {
		return nil, err
	}
	return &UnmountBucketOutput{}, s.mounts.Unmount(ctx, *in.Bucket)
}

func (s *Service) mayMount(ctx context.Context) error {
	if err := rootOnly(ctx, "mount buckets"); err != nil {
		return err
	}
	if s.mounts == nil {
		return errNoObjects()
	}
	return nil
}

// ListStoredBucketsInput is empty.
type ListStoredBucketsInput struct{}

// ListStoredBucketsOutput lists buckets, and of mounted ones what they pass through to.
type ListStoredBucketsOutput struct {
	Buckets []upkeep.StoredBucket `json:"buckets"`
}

var _ = wire.Op(Ops, "ListStoredBuckets", (*Service).ListStoredBuckets, path("liststoredbuckets"))

// ListStoredBuckets lists all buckets of the account.
func (s *Service) ListStoredBuckets(context.Context, *ListStoredBucketsInput) (*ListStoredBucketsOutput, error) {
	if s.mounts == nil {
		return nil, errNoObjects()
	}
	return &ListStoredBucketsOutput{s.mounts.Buckets()}, nil
}
