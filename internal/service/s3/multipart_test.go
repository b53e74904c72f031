package s3

import (
	"bytes"
	"crypto/md5"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/versity/versitygw/s3response"

	"drover/internal/blob/blobtest"
	"drover/internal/store"
	"drover/internal/store/storetest"
)

const minPart = 5 << 20

func (r *rig) upload(bucket, key string, tune ...func(*awss3.CreateMultipartUploadInput)) *string {
	r.t.Helper()
	in := &awss3.CreateMultipartUploadInput{Bucket: &bucket, Key: &key}
	for _, f := range tune {
		f(in)
	}
	out, err := r.client.CreateMultipartUpload(ctx, in)
	if err != nil {
		r.t.Fatal(err)
	}
	return out.UploadId
}

func (r *rig) part(bucket, key string, id *string, number int32, p []byte) types.CompletedPart {
	r.t.Helper()
	out, err := r.client.UploadPart(ctx, &awss3.UploadPartInput{Bucket: &bucket, Key: &key, UploadId: id, PartNumber: &number, Body: bytes.NewReader(p)})
	if err != nil {
		r.t.Fatal(err)
	}
	return types.CompletedPart{PartNumber: &number, ETag: out.ETag, ChecksumCRC32: out.ChecksumCRC32}
}

func (r *rig) complete(bucket, key string, id *string, parts ...types.CompletedPart) (*awss3.CompleteMultipartUploadOutput, error) {
	return r.client.CompleteMultipartUpload(ctx, &awss3.CompleteMultipartUploadInput{Bucket: &bucket, Key: &key, UploadId: id, MultipartUpload: &types.CompletedMultipartUpload{Parts: parts}})
}

// Parts come in any order, replace each other, and those that are not listed are forgotten;
// the object has AWS's ETag, and its parts can be read by number and in any range.
func TestMultipart(t *testing.T) {
	r := open(t, func(o *Options) { o.NoFsync = true })
	b, key := r.bucket("multi"), "dir//big"
	one, two, three := blobtest.Content(1, minPart), blobtest.Content(2, minPart+123457), blobtest.Content(3, 1000)
	id := r.upload(b, key, func(in *awss3.CreateMultipartUploadInput) {
		in.ContentType, in.Metadata, in.Tagging = aws.String("x/y"), map[string]string{"m": "1"}, aws.String("k=v")
	})
	p9 := r.part(b, key, id, 9, three)
	r.part(b, key, id, 2, []byte("replaced"))
	p2 := r.part(b, key, id, 2, two)
	r.part(b, key, id, 5, []byte("not listed"))
	p1 := r.part(b, key, id, 1, one)
	list, err := r.client.ListParts(ctx, &awss3.ListPartsInput{Bucket: &b, Key: &key, UploadId: id, MaxParts: aws.Int32(3)})
	if err != nil || len(list.Parts) != 3 || !*list.IsTruncated || *list.NextPartNumberMarker != "5" || *list.Parts[1].Size != int64(len(two)) {
		t.Errorf("parts: %+v, %v", list, err)
	}
	for what, parts := range map[string][]types.CompletedPart{
		"InvalidPartOrder": {p2, p1}, "InvalidPart": {p1, {PartNumber: aws.Int32(3), ETag: p2.ETag, ChecksumCRC32: p2.ChecksumCRC32}}, "EntityTooSmall": {p9, {PartNumber: aws.Int32(10), ETag: p9.ETag}},
	} {
		if what == "EntityTooSmall" {
			p10 := r.part(b, key, id, 10, []byte("x"))
			parts[1] = p10
		}
		if _, err := r.complete(b, key, id, parts...); code(err) != what {
			t.Errorf("%s: %v", what, err)
		}
	}
	done, err := r.complete(b, key, id, p1, p2, p9)
	if err != nil {
		t.Fatal(err)
	}
	whole := slices.Concat(one, two, three)
	m1, m2, m3 := md5.Sum(one), md5.Sum(two), md5.Sum(three)
	if want := fmt.Sprintf(`"%x-3"`, md5.Sum(slices.Concat(m1[:], m2[:], m3[:]))); *done.ETag != want {
		t.Errorf("ETag %s, want %s", *done.ETag, want)
	}
	if again, err := r.complete(b, key, id, p1, p2, p9); err != nil || *again.ETag != *done.ETag {
		t.Errorf("completed again: %v", err)
	}
	if r.get(b, key) != string(whole) {
		t.Error("the object is not its parts")
	}
	for _, rg := range [][2]int{{0, 0}, {minPart - 1, minPart}, {minPart - 10, 2*minPart + 123457 + 10}, {len(whole) - 1001, len(whole) - 1}} {
		out, err := r.client.GetObject(ctx, &awss3.GetObjectInput{Bucket: &b, Key: &key, Range: aws.String(fmt.Sprintf("bytes=%d-%d", rg[0], rg[1]))})
		if err != nil {
			t.Fatal(err)
		}
		if read(t, out.Body) != string(whole[rg[0]:rg[1]+1]) {
			t.Errorf("range %v differs", rg)
		}
	}
	out, err := r.client.GetObject(ctx, &awss3.GetObjectInput{Bucket: &b, Key: &key, PartNumber: aws.Int32(2)})
	if err != nil || read(t, out.Body) != string(two) || *out.PartsCount != 3 || *out.ContentType != "x/y" || out.Metadata["m"] != "1" || *out.TagCount != 1 {
		t.Errorf("part 2: %+v, %v", out, err)
	}
	n := 0
	for range r.s.vault.blobs.Scan(ctx, "") {
		n++
	}
	if n != 3 {
		t.Errorf("%d contents, want those of the 3 parts", n)
	}
	if _, err := r.client.DeleteObject(ctx, &awss3.DeleteObjectInput{Bucket: &b, Key: &key}); err != nil {
		t.Fatal(err)
	}
	expectEmpty(t, r.s.vault)
}

func TestPartCopyAndAbort(t *testing.T) {
	r := open(t, func(o *Options) { o.NoFsync = true })
	b, key := r.bucket("copies"), "to"
	src := blobtest.Content(5, minPart+1000)
	r.put(b, "from", string(src))
	id := r.upload(b, key)
	var parts []types.CompletedPart
	for i, rg := range []*string{nil, aws.String("bytes=7-1006")} {
		out, err := r.client.UploadPartCopy(ctx, &awss3.UploadPartCopyInput{Bucket: &b, Key: &key, UploadId: id, PartNumber: aws.Int32(int32(i + 1)), CopySource: aws.String(b + "/from"), CopySourceRange: rg})
		if err != nil {
			t.Fatal(err)
		}
		parts = append(parts, types.CompletedPart{PartNumber: aws.Int32(int32(i + 1)), ETag: out.CopyPartResult.ETag, ChecksumCRC32: out.CopyPartResult.ChecksumCRC32})
	}
	if _, err := r.complete(b, key, id, parts...); err != nil {
		t.Fatal(err)
	}
	if got := r.get(b, key); got != string(src)+string(src[7:1007]) {
		t.Errorf("%d bytes", len(got))
	}
	if _, err := r.client.UploadPartCopy(ctx, &awss3.UploadPartCopyInput{Bucket: &b, Key: &key, UploadId: r.upload(b, key), PartNumber: aws.Int32(1), CopySource: aws.String(b + "/from"),
		CopySourceRange: aws.String(fmt.Sprintf("bytes=0-%d", len(src)))}); code(err) != "InvalidArgument" {
		t.Errorf("range behind the source: %v", err)
	}
	for _, k := range []string{"a/1", "a/1", "a/2", "b", "c/x/y"} {
		r.part(b, k, r.upload(b, k), 1, []byte("x"))
	}
	in := &awss3.ListMultipartUploadsInput{Bucket: &b, MaxUploads: aws.Int32(2)}
	var got []string
	for {
		out, err := r.client.ListMultipartUploads(ctx, in)
		if err != nil {
			t.Fatal(err)
		}
		for _, u := range out.Uploads {
			got = append(got, *u.Key)
			if _, err := r.client.AbortMultipartUpload(ctx, &awss3.AbortMultipartUploadInput{Bucket: &b, Key: u.Key, UploadId: u.UploadId}); err != nil {
				t.Error(err)
			}
			if _, err := r.client.UploadPart(ctx, &awss3.UploadPartInput{Bucket: &b, Key: u.Key, UploadId: u.UploadId, PartNumber: aws.Int32(1), Body: strings.NewReader("x")}); code(err) != "NoSuchUpload" {
				t.Errorf("part of an aborted upload: %v", err)
			}
		}
		if !*out.IsTruncated {
			break
		}
		in.KeyMarker, in.UploadIdMarker = out.NextKeyMarker, out.NextUploadIdMarker
	}
	if want := []string{"a/1", "a/1", "a/2", "b", "c/x/y", "to"}; !slices.Equal(got, want) {
		t.Errorf("uploads %q, want %q", got, want)
	}
	out, err := r.client.DeleteObjects(ctx, &awss3.DeleteObjectsInput{Bucket: &b, Delete: &types.Delete{Objects: []types.ObjectIdentifier{{Key: aws.String("from")}, {Key: &key}}}})
	if err != nil || len(out.Errors) > 0 {
		t.Errorf("%+v, %v", out, err)
	}
	expectEmpty(t, r.s.vault)
}

// A bucket that is deleted takes its uploads along.
func TestDeleteBucketEndsUploads(t *testing.T) {
	r := open(t, nil)
	b := r.bucket("ends")
	r.part(b, "k", r.upload(b, "k"), 1, []byte("x"))
	if _, err := r.client.DeleteBucket(ctx, &awss3.DeleteBucketInput{Bucket: &b}); err != nil {
		t.Fatal(err)
	}
	expectEmpty(t, r.s.vault)
}

// Whoever reads an object of parts reads all of it, although it is replaced meanwhile.
func TestReplacedWhileRead(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		v := openVaultOn(t, db, nil)
		b, key := "replaced", "k"
		if err := v.CreateBucket(ctx, &awss3.CreateBucketInput{Bucket: &b}, nil); err != nil {
			t.Fatal(err)
		}
		whole := joined(t, v, b, key)
		out, err := v.GetObject(ctx, &awss3.GetObjectInput{Bucket: &b, Key: &key})
		if err != nil {
			t.Fatal(err)
		}
		head := make([]byte, 1000)
		if _, err := io.ReadFull(out.Body, head); err != nil {
			t.Fatal(err)
		}
		if _, err := v.PutObject(ctx, s3response.PutObjectInput{Bucket: &b, Key: &key, Body: strings.NewReader("new")}); err != nil {
			t.Fatal(err)
		}
		if _, err := v.sweep(ctx, v.now().Add(1<<40)); err != nil { // nor does a sweep disturb
			t.Fatal(err)
		}
		if rest := read(t, out.Body); string(head)+rest != string(whole) {
			t.Errorf("the reader got %d bytes", len(head)+len(rest))
		}
		if _, err := v.DeleteObject(ctx, &awss3.DeleteObjectInput{Bucket: &b, Key: &key}); err != nil {
			t.Fatal(err)
		}
		expectEmpty(t, v)
	})
}

// joined makes an object of two parts.
func joined(t testing.TB, v *vault, b, key string) []byte {
	t.Helper()
	up, err := v.CreateMultipartUpload(ctx, s3response.CreateMultipartUploadInput{Bucket: &b, Key: &key})
	if err != nil {
		t.Fatal(err)
	}
	whole := blobtest.Content(rand.Uint64(), minPart+4242)
	var parts []types.CompletedPart
	for i, p := range [][]byte{whole[:minPart], whole[minPart:]} {
		out, err := v.UploadPart(ctx, &awss3.UploadPartInput{Bucket: &b, Key: &key, UploadId: &up.UploadId, PartNumber: aws.Int32(int32(i + 1)), Body: bytes.NewReader(p)})
		if err != nil {
			t.Fatal(err)
		}
		parts = append(parts, types.CompletedPart{ETag: out.ETag, PartNumber: aws.Int32(int32(i + 1))})
	}
	if _, _, err := v.CompleteMultipartUpload(ctx, &awss3.CompleteMultipartUploadInput{Bucket: &b, Key: &key, UploadId: &up.UploadId, MultipartUpload: &types.CompletedMultipartUpload{Parts: parts}}); err != nil {
		t.Fatal(err)
	}
	return whole
}
