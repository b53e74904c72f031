// Package s3 keeps blobs in a bucket of the user's own S3: MinIO, Ceph, SeaweedFS, AWS.
//
// It promises what package blob says, as far as the store behind it keeps what it answers.
// A content is one object, <prefix>/c/<id>:
//
//	frame, frame, … each BlockSize bytes (the last one fewer) and 4 bytes of CRC-32C
//
// A frame's checksum covers the id, the frame's number and whether it is the last, so that a
// range is verified with the one request that reads it, and an object that was cut, mixed up
// or put in another's place is damage. Contents above partSize go up in parts; what a crash
// leaves of those, Scan shows as Temporary.
//
// The object <prefix>/drover-store holds the name of the one drover that writes here. Another
// one is refused: its sweep would remove what it does not know.
package s3

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"

	"drover/internal/blob"
	"drover/internal/link/external"
)

const (
	idLen      = 26 // base32 digits, 130 random bits
	unfinished = "~"
	marker     = "drover-store"
	maxUploads = 100_000 // that a Scan reports
)

// Store is an open bucket of blobs.
type Store struct {
	at     external.Address
	client *s3.Client
	parts  buffers
}

var _ blob.Store = (*Store)(nil)

// Open reaches the bucket. owner names whose contents these are: the bucket's prefix must be
// free or have been opened under the same name.
func Open(ctx context.Context, at external.Address, owner string) (*Store, error) {
	client, err := at.Client(ctx)
	if err != nil {
		return nil, err
	}
	s := &Store{at: at, client: client, parts: newBuffers()}
	return s, s.claim(ctx, owner)
}

// claim makes sure that this drover is the one that writes here.
func (s *Store) claim(ctx context.Context, owner string) error {
	key := s.at.Key(marker)
	out, err := s.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &s.at.Bucket, Key: &key})
	switch {
	case isCode(err, "NoSuchKey", "NotFound"):
		_, err = s.client.PutObject(ctx, &s3.PutObjectInput{Bucket: &s.at.Bucket, Key: &key, Body: strings.NewReader(owner), ContentType: aws.String("text/plain")})
		return s.at.Explain(err)
	case err != nil:
		return s.at.Explain(err)
	}
	defer out.Body.Close()
	text, err := io.ReadAll(io.LimitReader(out.Body, 1<<10))
	if err != nil {
		return fmt.Errorf("read %s: %w", key, err)
	}
	if string(text) != owner {
		return fmt.Errorf("%s holds the contents of another drover (%.64q in %s); give this one a prefix of its own, as in s3://%s/PREFIX", s.at.Place(), text, key, s.at.Bucket)
	}
	return nil
}

func isCode(err error, codes ...string) bool {
	api, ok := errors.AsType[smithy.APIError](err)
	return ok && slices.Contains(codes, api.ErrorCode())
}

// isMissing tells a content that is not there from a bucket that is not there. Answers
// without a document (to HEAD) say NotFound.
func isMissing(err error) bool { return isCode(err, "NoSuchKey", "NotFound") }

func (s *Store) folder() string { return s.at.Key("c/") }

// key is the object of an id, or "" for what cannot be an id of this store.
func (s *Store) key(id blob.ID) string {
	if len(id) != idLen {
		return ""
	}
	for _, c := range []byte(id) {
		if (c < 'a' || c > 'z') && (c < '2' || c > '7') {
			return ""
		}
	}
	return s.folder() + string(id)
}

// Put implements blob.Store.
func (s *Store) Put(ctx context.Context, r io.Reader, size int64) (blob.Info, error) {
	id := blob.ID(strings.ToLower(rand.Text()))
	f := &framer{id: id, from: r}
	first, last, err := s.parts.fill(ctx, f, firstBuffer(size))
	if err != nil {
		return blob.Info{}, err
	}
	if last {
		key := s.key(id)
		_, err = s.client.PutObject(ctx, &s3.PutObjectInput{Bucket: &s.at.Bucket, Key: &key, Body: bytes.NewReader(first)})
		s.parts.give(first)
	} else {
		err = s.putParts(ctx, f, first)
	}
	if err != nil {
		return blob.Info{}, s.at.Explain(err)
	}
	return blob.Info{ID: id, Size: f.size}, nil
}

// Delete implements blob.Store.
func (s *Store) Delete(ctx context.Context, id blob.ID) error {
	if name, ok := strings.CutSuffix(string(id), unfinished); ok {
		return s.at.Explain(s.abort(ctx, s.key(blob.ID(name))))
	}
	key := s.key(id)
	if key == "" {
		return nil
	}
	_, err := s.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &s.at.Bucket, Key: &key})
	if isMissing(err) {
		return nil
	}
	return s.at.Explain(err)
}

// Close implements blob.Store.
func (s *Store) Close() error { return nil }

// Scan implements blob.Store.
func (s *Store) Scan(ctx context.Context, after blob.ID) iter.Seq2[blob.Entry, error] {
	return func(yield func(blob.Entry, error) bool) {
		uploads, err := s.uploads(ctx, s.folder())
		if err != nil {
			yield(blob.Entry{}, s.at.Explain(err))
			return
		}
		// give shows the uploads that come before a content, then the content.
		give := func(next *blob.Entry) bool {
			for len(uploads) > 0 && (next == nil || uploads[0].ID < next.ID) {
				e := uploads[0]
				uploads = uploads[1:]
				if e.ID > after && !yield(e, nil) {
					return false
				}
			}
			return next == nil || yield(*next, nil)
		}
		in := &s3.ListObjectsV2Input{Bucket: &s.at.Bucket, Prefix: aws.String(s.folder())}
		if after != "" {
			in.StartAfter = aws.String(s.folder() + string(after))
		}
		for {
			page, err := s.client.ListObjectsV2(ctx, in)
			if err != nil {
				yield(blob.Entry{}, s.at.Explain(err))
				return
			}
			for _, o := range page.Contents {
				id := blob.ID(strings.TrimPrefix(aws.ToString(o.Key), s.folder()))
				if s.key(id) == "" || id <= after {
					continue
				}
				if !give(&blob.Entry{ID: id, Size: aws.ToInt64(o.Size), Modified: aws.ToTime(o.LastModified)}) {
					return
				}
			}
			if !aws.ToBool(page.IsTruncated) {
				give(nil)
				return
			}
			in.ContinuationToken, in.StartAfter = page.NextContinuationToken, nil
		}
	}
}

// uploads lists the uploads that have not ended, as entries in the order of their ids.
func (s *Store) uploads(ctx context.Context, prefix string) ([]blob.Entry, error) {
	var list []blob.Entry
	err := s.eachUpload(ctx, prefix, func(u types.MultipartUpload) error {
		id := blob.ID(strings.TrimPrefix(aws.ToString(u.Key), s.folder()))
		if s.key(id) != "" && len(list) < maxUploads {
			list = append(list, blob.Entry{ID: id + unfinished, Modified: aws.ToTime(u.Initiated), Temporary: true})
		}
		return nil
	})
	slices.SortFunc(list, func(a, b blob.Entry) int { return strings.Compare(string(a.ID), string(b.ID)) })
	return list, err
}

func (s *Store) eachUpload(ctx context.Context, prefix string, do func(types.MultipartUpload) error) error {
	in := &s3.ListMultipartUploadsInput{Bucket: &s.at.Bucket, Prefix: &prefix}
	for {
		page, err := s.client.ListMultipartUploads(ctx, in)
		if err != nil {
			return err
		}
		for _, u := range page.Uploads {
			if err := do(u); err != nil {
				return err
			}
		}
		if !aws.ToBool(page.IsTruncated) {
			return nil
		}
		in.KeyMarker, in.UploadIdMarker = page.NextKeyMarker, page.NextUploadIdMarker
	}
}

// abort ends all uploads of a key.
func (s *Store) abort(ctx context.Context, key string) error {
	if key == "" {
		return nil
	}
	return s.eachUpload(ctx, key, func(u types.MultipartUpload) error {
		if aws.ToString(u.Key) != key {
			return nil
		}
		_, err := s.client.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: &s.at.Bucket, Key: &key, UploadId: u.UploadId})
		if isCode(err, "NoSuchUpload") {
			return nil
		}
		return err
	})
}
