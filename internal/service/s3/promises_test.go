package s3

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/versity/versitygw/s3response"

	"drover/internal/blob"
	"drover/internal/blob/blobtest"
	"drover/internal/blob/disk"
	"drover/internal/store"
	"drover/internal/store/storetest"
)

// Of many that ask for the same, one wins.
func TestOneWinner(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		v := openVaultOn(t, db, nil)
		b := "winner"
		if err := v.CreateBucket(ctx, &awss3.CreateBucketInput{Bucket: &b}, nil); err != nil {
			t.Fatal(err)
		}
		for round := range 5 {
			key := fmt.Sprint("k", round)
			race := func(what string, one func(i int) error) {
				t.Helper()
				var won atomic.Int32
				var all sync.WaitGroup
				for i := range 8 {
					all.Go(func() {
						switch err := one(i); code(err) {
						case "<nil>":
							won.Add(1)
						default:
							if !strings.Contains(err.Error(), "PreconditionFailed") && !strings.Contains(err.Error(), "NoSuchKey") {
								t.Errorf("%s: %v", what, err)
							}
						}
					})
				}
				all.Wait()
				if won.Load() != 1 {
					t.Errorf("%s: %d winners", what, won.Load())
				}
			}
			put := func(match, none *string) func(i int) error {
				return func(i int) error {
					_, err := v.PutObject(ctx, s3response.PutObjectInput{Bucket: &b, Key: &key, Body: strings.NewReader(strings.Repeat(fmt.Sprint(i), 10+40_000*(i%2))), IfMatch: match, IfNoneMatch: none})
					return err
				}
			}
			race("create", put(nil, aws.String("*")))
			head, err := v.HeadObject(ctx, &awss3.HeadObjectInput{Bucket: &b, Key: &key})
			if err != nil {
				t.Fatal(err)
			}
			etag := ptr(trimETag(*head.ETag))
			if _, err := v.PutObject(ctx, s3response.PutObjectInput{Bucket: &b, Key: &key, Body: strings.NewReader("base"), IfMatch: etag}); err != nil {
				t.Fatal(err)
			}
			head, _ = v.HeadObject(ctx, &awss3.HeadObjectInput{Bucket: &b, Key: &key})
			etag = ptr(trimETag(*head.ETag))
			race("replace", put(etag, nil))
			head, _ = v.HeadObject(ctx, &awss3.HeadObjectInput{Bucket: &b, Key: &key})
			etag = ptr(trimETag(*head.ETag))
			race("delete", func(int) error {
				_, err := v.DeleteObject(ctx, &awss3.DeleteObjectInput{Bucket: &b, Key: &key, IfMatch: etag})
				return err
			})
		}
		expectEmpty(t, v)
	})
}

// Every stored byte that is changed is noticed, named and not served.
func TestDamage(t *testing.T) {
	r := open(t, func(o *Options) { o.NoFsync = true })
	b := r.bucket("damage")
	small, large := "a small content", string(blobtest.Content(1, 3*blob.BlockSize+99))
	r.put(b, "small", small)
	r.put(b, "large", large)
	parts := joined(t, r.s.vault, b, "parts")
	if v, err := r.s.Verify(ctx, func(d Damaged) { t.Errorf("damaged: %+v", d) }); err != nil || v.Objects != 3 || v.Bytes != int64(len(small)+len(large)+len(parts)) {
		t.Fatalf("verified %+v, %v", v, err)
	}
	if err := r.s.vault.db.Update(ctx, func(tx *store.Tx) error {
		_, err := tx.Exec(`UPDATE s3_inline SET data = $1`, []byte("A small content"))
		return err
	}); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(r.s.opts.Dir, "contents", "*", "*"))
	if err != nil || len(files) != 3 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, f := range files {
		p, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		p[len(p)/2] ^= 4
		if err := os.WriteFile(f, p, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.client.GetObject(ctx, &awss3.GetObjectInput{Bucket: &b, Key: aws.String("small")}); code(err) != "InternalError" || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("small: %v", err)
	}
	for key, whole := range map[string]string{"large": large, "parts": string(parts)} {
		out, err := r.client.GetObject(ctx, &awss3.GetObjectInput{Bucket: &b, Key: &key})
		if err != nil {
			if code(err) != "InternalError" {
				t.Errorf("%s: %v", key, err)
			}
			continue
		}
		got, err := io.ReadAll(out.Body)
		if err == nil || len(got) >= len(whole) || string(got) != whole[:len(got)] {
			t.Errorf("%s: %d of %d bytes were served, %v", key, len(got), len(whole), err)
		}
		if _, err := r.client.CopyObject(ctx, &awss3.CopyObjectInput{Bucket: &b, Key: aws.String("copy"), CopySource: aws.String(b + "/" + key)}); err == nil {
			t.Errorf("%s was copied", key)
		}
	}
	// A range beside the damage is good, one over it is not.
	at := len(large) / 2 / blob.BlockSize * blob.BlockSize
	out, err := r.client.GetObject(ctx, &awss3.GetObjectInput{Bucket: &b, Key: aws.String("large"), Range: aws.String(fmt.Sprintf("bytes=0-%d", at-1))})
	if err != nil || read(t, out.Body) != large[:at] {
		t.Errorf("range before the damage: %v", err)
	}
	if _, err := r.client.GetObject(ctx, &awss3.GetObjectInput{Bucket: &b, Key: aws.String("large"), Range: aws.String(fmt.Sprintf("bytes=%d-%d", at, at))}); code(err) != "InternalError" {
		t.Errorf("range over the damage: %v", err)
	}
	var found []string
	if _, err := r.s.Verify(ctx, func(d Damaged) { found = append(found, fmt.Sprintf("%s at %d", d.Key, d.Offset)) }); err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf("large at %d", at); len(found) != 3 || !slices.Contains(found, want) || !slices.Contains(found, "small at 0") {
		t.Errorf("found %q, want also %q", found, want)
	}
}

// fullDisk refuses contents while on.
type fullDisk struct {
	blob.Store
	on atomic.Bool
}

func (f *fullDisk) Put(ctx context.Context, r io.Reader, size int64) (blob.Info, error) {
	if f.on.Load() {
		return blob.Info{}, fmt.Errorf("write: %w", blob.ErrFull)
	}
	return f.Store.Put(ctx, r, size)
}

func TestFullDisk(t *testing.T) {
	real, err := disk.Open(t.TempDir(), disk.Options{})
	if err != nil {
		t.Fatal(err)
	}
	full := &fullDisk{Store: real}
	r := open(t, func(o *Options) { o.Blobs = full })
	b := r.bucket("full")
	large := strings.Repeat("x", 100_000)
	r.put(b, "before", large)
	full.on.Store(true)
	if _, err := r.client.PutObject(ctx, &awss3.PutObjectInput{Bucket: &b, Key: aws.String("k"), Body: strings.NewReader(large)}); code(err) != "InsufficientStorage" {
		t.Errorf("put on a full disk: %v", err)
	}
	if r.get(b, "before") != large {
		t.Error("reads go on")
	}
	full.on.Store(false)
	r.put(b, "k", large)
}

// A sweep removes what no row names and nothing else.
func TestSweep(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		v := openVaultOn(t, db, nil)
		b := "swept"
		if err := v.CreateBucket(ctx, &awss3.CreateBucketInput{Bucket: &b}, nil); err != nil {
			t.Fatal(err)
		}
		if err := v.PutBucketVersioning(ctx, b, types.BucketVersioningStatusEnabled); err != nil {
			t.Fatal(err)
		}
		bodies := map[string]string{}
		for i := range 6 { // the older ones become versions
			body := strings.Repeat(fmt.Sprint(i), inlineSize+1+i)
			out, err := v.PutObject(ctx, s3response.PutObjectInput{Bucket: &b, Key: aws.String(fmt.Sprint("k", i%2)), Body: strings.NewReader(body)})
			if err != nil {
				t.Fatal(err)
			}
			bodies[out.VersionID] = body
		}
		whole := joined(t, v, b, "parts")
		var orphans []blob.ID
		for i := range 3 {
			info, err := v.blobs.Put(ctx, bytes.NewReader(blobtest.Content(uint64(i), 1000)), -1)
			if err != nil {
				t.Fatal(err)
			}
			orphans = append(orphans, info.ID)
		}
		if err := db.Update(ctx, func(tx *store.Tx) error { // as a crash before the removal leaves it
			_, err := tx.Exec(`INSERT INTO s3_trash (blob) VALUES ($1)`, string(orphans[0]))
			return err
		}); err != nil {
			t.Fatal(err)
		}
		if s, err := v.sweep(ctx, v.now().Add(-SweepGrace)); err != nil || s.Removed != 0 || s.Contents != 6+2+2 {
			t.Errorf("young contents: %+v, %v", s, err)
		}
		if s, err := v.sweep(ctx, v.now().Add(SweepGrace)); err != nil || s.Removed != 2 || s.Bytes < 2000 {
			t.Errorf("swept %+v, %v", s, err)
		}
		if s, err := v.sweep(ctx, v.now().Add(SweepGrace)); err != nil || s.Removed != 0 || s.Contents != 8 {
			t.Errorf("swept again: %+v, %v", s, err)
		}
		for vid, body := range bodies {
			for _, k := range []string{"k0", "k1"} {
				out, err := v.GetObject(ctx, &awss3.GetObjectInput{Bucket: &b, Key: &k, VersionId: &vid})
				if err == nil && read(t, out.Body) != body {
					t.Errorf("version %s is damaged", vid)
				}
			}
		}
		out, err := v.GetObject(ctx, &awss3.GetObjectInput{Bucket: &b, Key: aws.String("parts")})
		if err != nil || read(t, out.Body) != string(whole) {
			t.Errorf("parts: %v", err)
		}
	})
}
