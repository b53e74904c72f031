package s3

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/versity/versitygw/auth"
	"github.com/versity/versitygw/backend"
	"github.com/versity/versitygw/s3err"
	"github.com/versity/versitygw/s3response"

	"drover/internal/store"
)

const (
	enabled   = string(types.BucketVersioningStatusEnabled)
	suspended = string(types.BucketVersioningStatusSuspended)
)

// bucket is one bucket with all that is configured for it. It is not changed once it is in
// the cache: the library asks for a bucket's ACL, policy and CORS rules with every request.
type bucket struct {
	id         int64
	name       string
	created    int64
	versioning string
	config     bucketConfig
}

// bucketConfig is what the library keeps with a bucket, in the library's own forms.
type bucketConfig struct {
	ACL       []byte            `json:"acl,omitempty"`
	Policy    []byte            `json:"policy,omitempty"`
	CORS      []byte            `json:"cors,omitempty"`
	Website   []byte            `json:"website,omitempty"`
	Lock      []byte            `json:"lock,omitempty"`
	Ownership string            `json:"ownership,omitempty"`
	Tags      map[string]string `json:"tags,omitempty"`
	Lifecycle *lifecycle        `json:"lifecycle,omitempty"`
}

func loadBuckets(tx *store.Tx) (map[string]*bucket, error) {
	rows, err := tx.Query(`SELECT id, name, created, versioning, config FROM s3_buckets`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	list := map[string]*bucket{}
	for rows.Next() {
		b := &bucket{}
		var config string
		if err := rows.Scan(&b.id, &b.name, &b.created, &b.versioning, &config); err != nil {
			return nil, err
		}
		if err := json.Unmarshal([]byte(config), &b.config); err != nil {
			return nil, fmt.Errorf("s3: read the configuration of bucket %s: %w", b.name, err)
		}
		list[b.name] = b
	}
	return list, rows.Err()
}

// bucket finds a bucket by name.
func (o *vault) bucket(name string) (*bucket, error) {
	b := (*o.buckets.Load())[name]
	if b == nil {
		return nil, errNoSuchBucket(name)
	}
	return b, nil
}

// publish puts a new or changed bucket into the cache, with its configuration as it was
// stored: what came with a request lies in memory that the library uses again. The caller
// holds bucketsMu.
func (o *vault) publish(b *bucket, config []byte) error {
	b.name, b.versioning, b.config = strings.Clone(b.name), strings.Clone(b.versioning), bucketConfig{}
	if err := json.Unmarshal(config, &b.config); err != nil {
		return err
	}
	list := maps.Clone(*o.buckets.Load())
	list[b.name] = b
	o.buckets.Store(&list)
	return nil
}

// configure changes a bucket.
func (o *vault) configure(ctx context.Context, name string, fn func(b *bucket) error) error {
	o.bucketsMu.Lock()
	defer o.bucketsMu.Unlock()
	old, err := o.bucket(name)
	if err != nil {
		return err
	}
	b := *old
	if err := fn(&b); err != nil {
		return err
	}
	config, err := json.Marshal(b.config)
	if err != nil {
		return err
	}
	err = o.db.Update(ctx, func(tx *store.Tx) error {
		_, err := tx.Exec(`UPDATE s3_buckets SET versioning = $2, config = $3 WHERE id = $1`, b.id, b.versioning, string(config))
		return err
	})
	if err != nil {
		return o.explain("bucket "+name, err)
	}
	return o.publish(&b, config)
}

// CreateBucket implements backend.Backend.
func (o *vault) CreateBucket(ctx context.Context, in *awss3.CreateBucketInput, acl []byte) error {
	name := *in.Bucket
	acl, err := o.owned(acl)
	if err != nil {
		return err
	}
	b := &bucket{name: name, created: o.now().UnixMicro(), config: bucketConfig{ACL: acl, Ownership: string(in.ObjectOwnership)}}
	if in.CreateBucketConfiguration != nil {
		tags, err := backend.ParseCreateBucketTags(in.CreateBucketConfiguration.Tags)
		if err == nil {
			err = checkOnPut(ctx, tags)
		}
		if err != nil {
			return err
		}
		b.config.Tags = tags
	}
	if in.ObjectLockEnabledForBucket != nil && *in.ObjectLockEnabledForBucket {
		now := o.now()
		lock, err := json.Marshal(auth.BucketLockConfig{Enabled: true, CreatedAt: &now})
		if err != nil {
			return err
		}
		b.versioning, b.config.Lock = enabled, lock // locks protect versions
	}
	o.bucketsMu.Lock()
	defer o.bucketsMu.Unlock()
	if old, err := o.bucket(name); err == nil {
		if o.owner(old) == o.account {
			return s3err.GetBucketErr(s3err.ErrBucketAlreadyOwnedByYou, name)
		}
		return s3err.GetBucketErr(s3err.ErrBucketAlreadyExists, name)
	}
	config, err := json.Marshal(b.config)
	if err != nil {
		return err
	}
	b.id = o.next()
	err = o.db.Update(ctx, func(tx *store.Tx) error {
		_, err := tx.Exec(`INSERT INTO s3_buckets (id, name, created, versioning, config) VALUES ($1, $2, $3, $4, $5)`,
			b.id, b.name, b.created, b.versioning, string(config))
		return err
	})
	if err != nil {
		return o.explain("bucket "+name, err)
	}
	return o.publish(b, config)
}

// owned makes the account the owner in an ACL: whoever creates a bucket, it is the account's.
func (o *vault) owned(acl []byte) ([]byte, error) {
	parsed, err := auth.ParseACL(acl)
	if err != nil {
		return nil, err
	}
	parsed.Owner = o.account
	return json.Marshal(parsed)
}

// owner is the account that a bucket's ACL names.
func (o *vault) owner(b *bucket) string {
	if acl, err := auth.ParseACL(b.config.ACL); err == nil && acl.Owner != "" {
		return acl.Owner
	}
	return o.account
}

// HeadBucket implements backend.Backend.
func (o *vault) HeadBucket(_ context.Context, in *awss3.HeadBucketInput) (*awss3.HeadBucketOutput, error) {
	if _, err := o.bucket(*in.Bucket); err != nil {
		return nil, err
	}
	return &awss3.HeadBucketOutput{}, nil
}

// DeleteBucket implements backend.Backend. Uploads under way end with the bucket.
func (o *vault) DeleteBucket(ctx context.Context, name string) error {
	o.bucketsMu.Lock()
	defer o.bucketsMu.Unlock()
	b, err := o.bucket(name)
	if err != nil {
		return err
	}
	err = o.alter(ctx, b, func(c *change) error {
		for _, table := range []string{"s3_objects", "s3_versions"} {
			var one int64
			err := c.tx.Row(`SELECT 1 FROM `+table+` WHERE bucket = $1 LIMIT 1`, b.id).Scan(&one)
			if err == nil && b.versioning == "" {
				return s3err.GetBucketErr(s3err.ErrBucketNotEmpty, name)
			}
			if err == nil {
				return s3err.GetBucketErr(s3err.ErrVersionedBucketNotEmpty, name)
			}
			if !errors.Is(err, store.ErrNoRows) {
				return err
			}
		}
		for {
			var id string
			err := c.tx.Row(`SELECT id FROM s3_uploads WHERE bucket = $1 LIMIT 1`, b.id).Scan(&id)
			if errors.Is(err, store.ErrNoRows) {
				break
			}
			if err == nil {
				err = c.forgetUpload(id)
			}
			if err != nil {
				return err
			}
		}
		if _, err := c.tx.Exec(`DELETE FROM s3_house WHERE name = $1`, bucketNote(b)); err != nil {
			return err
		}
		_, err := c.tx.Exec(`DELETE FROM s3_buckets WHERE id = $1`, b.id)
		return err
	})
	if err != nil {
		return o.explain("bucket "+name, err)
	}
	list := maps.Clone(*o.buckets.Load())
	delete(list, name)
	o.buckets.Store(&list)
	return nil
}

// ListBuckets implements backend.Backend. Who may list buckets sees all of the account's.
func (o *vault) ListBuckets(_ context.Context, in s3response.ListBucketsInput) (s3response.ListAllMyBucketsResult, error) {
	out := s3response.ListAllMyBucketsResult{Owner: s3response.CanonicalUser{ID: o.account}, Prefix: in.Prefix}
	for _, b := range o.sorted() {
		if !strings.HasPrefix(b.name, in.Prefix) || b.name <= in.ContinuationToken {
			continue
		}
		if n := len(out.Buckets.Bucket); n > 0 && n == int(in.MaxBuckets) {
			out.ContinuationToken = out.Buckets.Bucket[n-1].Name
			break
		}
		out.Buckets.Bucket = append(out.Buckets.Bucket, s3response.ListAllMyBucketsEntry{Name: b.name, BucketRegion: o.region, CreationDate: time.UnixMicro(b.created).UTC()})
	}
	return out, nil
}

// ListBucketsAndOwners implements backend.Backend.
func (o *vault) ListBucketsAndOwners(context.Context) ([]s3response.Bucket, error) {
	var out []s3response.Bucket
	for _, b := range o.sorted() {
		out = append(out, s3response.Bucket{Name: b.name, Owner: o.owner(b)})
	}
	return out, nil
}

func (o *vault) sorted() []*bucket {
	return slices.SortedFunc(maps.Values(*o.buckets.Load()), func(a, b *bucket) int { return strings.Compare(a.name, b.name) })
}
