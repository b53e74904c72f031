package s3

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"

	"drover/internal/wire"
	"drover/internal/wire/authz"
	"drover/internal/wire/sigv4"
)

const (
	testAccount = "000000000000"
	testKey     = "AKIDROVERTEST0000001"
	testSecret  = "secret/of+the+test"
)

type oneKey struct{}

func (oneKey) Secret(key, token string, now time.Time) (sigv4.Key, error) {
	if key != testKey || token != "" {
		return sigv4.Key{}, sigv4.ErrUnknownKey()
	}
	return sigv4.Key{Secret: testSecret, Principal: authz.Principal{Account: testAccount, Kind: authz.Root}}, nil
}

// front is the service as the server mounts it.
func front(s *Service) http.Handler {
	m := wire.NewMux(wire.MuxOptions{Account: testAccount, DefaultRegion: "drover-1", Auth: &sigv4.Verifier{Keys: oneKey{}}})
	m.Raw("s3", s.Serve)
	return m
}

type rig struct {
	t      testing.TB
	s      *Service
	url    string
	client *awss3.Client
}

func open(t testing.TB, tune func(*Options)) *rig {
	t.Helper()
	o := Options{Dir: t.TempDir(), Region: "drover-1", Account: testAccount}
	if tune != nil {
		tune(&o)
	}
	s, err := Open(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	srv := httptest.NewServer(front(s))
	t.Cleanup(srv.Close)
	return &rig{t: t, s: s, url: srv.URL, client: clientOf(srv.URL, testSecret)}
}

func clientOf(url, secret string, tune ...func(*awss3.Options)) *awss3.Client {
	return awss3.New(awss3.Options{
		BaseEndpoint: &url, Region: "eu-west-7", UsePathStyle: true, RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider(testKey, secret, ""),
	}, tune...)
}

func (r *rig) bucket(name string) string {
	r.t.Helper()
	if _, err := r.client.CreateBucket(ctx, &awss3.CreateBucketInput{Bucket: &name}); err != nil {
		r.t.Fatal(err)
	}
	return name
}

func (r *rig) put(bucket, key, body string) *awss3.PutObjectOutput {
	r.t.Helper()
	out, err := r.client.PutObject(ctx, &awss3.PutObjectInput{Bucket: &bucket, Key: &key, Body: strings.NewReader(body)})
	if err != nil {
		r.t.Fatalf("put %q: %v", key, err)
	}
	return out
}

func (r *rig) get(bucket, key string) string {
	r.t.Helper()
	out, err := r.client.GetObject(ctx, &awss3.GetObjectInput{Bucket: &bucket, Key: &key})
	if err != nil {
		r.t.Fatalf("get %q: %v", key, err)
	}
	return read(r.t, out.Body)
}

func read(t testing.TB, b io.ReadCloser) string {
	t.Helper()
	defer b.Close()
	data, err := io.ReadAll(b)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func code(err error) string {
	if e, ok := errors.AsType[smithy.APIError](err); ok {
		return e.ErrorCode()
	}
	return fmt.Sprint(err)
}

var ctx = context.Background()

func TestObjects(t *testing.T) {
	r := open(t, nil)
	b := r.bucket("objects")
	put, err := r.client.PutObject(ctx, &awss3.PutObjectInput{Bucket: &b, Key: aws.String("a/b.txt"), Body: strings.NewReader("hello, world"),
		ContentType: aws.String("text/plain"), Metadata: map[string]string{"who": "me  and you"}, Tagging: aws.String("k=v")})
	if err != nil {
		t.Fatal(err)
	}
	if want := `"e4d7f1b4ed2e42d15898f4b27b019da4"`; *put.ETag != want {
		t.Errorf("ETag = %s, want %s", *put.ETag, want)
	}
	head, err := r.client.HeadObject(ctx, &awss3.HeadObjectInput{Bucket: &b, Key: aws.String("a/b.txt")})
	if err != nil {
		t.Fatal(err)
	}
	if *head.ContentLength != 12 || *head.ContentType != "text/plain" || head.Metadata["who"] == "" || *head.ETag != *put.ETag || head.LastModified == nil {
		t.Errorf("head = %+v", head)
	}
	part, err := r.client.GetObject(ctx, &awss3.GetObjectInput{Bucket: &b, Key: aws.String("a/b.txt"), Range: aws.String("bytes=7-10")})
	if err != nil {
		t.Fatal(err)
	}
	if got := read(t, part.Body); got != "worl" || *part.ContentRange != "bytes 7-10/12" {
		t.Errorf("range = %q, %s", got, *part.ContentRange)
	}
	if _, err := r.client.CopyObject(ctx, &awss3.CopyObjectInput{Bucket: &b, Key: aws.String("copy ü+"), CopySource: aws.String(b + "/a/b.txt")}); err != nil {
		t.Fatal(err)
	}
	if got := r.get(b, "copy ü+"); got != "hello, world" {
		t.Errorf("copy = %q", got)
	}
	acl, err := r.client.GetObjectAcl(ctx, &awss3.GetObjectAclInput{Bucket: &b, Key: aws.String("a/b.txt")})
	if err != nil {
		t.Fatal(err)
	}
	if *acl.Owner.ID != testAccount || len(acl.Grants) != 1 || acl.Grants[0].Permission != types.PermissionFullControl {
		t.Errorf("acl = %+v", acl)
	}
	if _, err := r.client.GetObjectAcl(ctx, &awss3.GetObjectAclInput{Bucket: &b, Key: aws.String("none")}); code(err) != "NoSuchKey" {
		t.Errorf("acl of nothing: %v", err)
	}
	del, err := r.client.DeleteObjects(ctx, &awss3.DeleteObjectsInput{Bucket: &b, Delete: &types.Delete{Objects: []types.ObjectIdentifier{
		{Key: aws.String("a/b.txt")}, {Key: aws.String("copy ü+")}, {Key: aws.String("x//y")}}}})
	if err != nil || len(del.Deleted) != 3 {
		t.Fatalf("delete = %+v, %v", del, err)
	}
	_, err = r.client.GetObject(ctx, &awss3.GetObjectInput{Bucket: &b, Key: aws.String("a/b.txt")})
	if code(err) != "NoSuchKey" {
		t.Errorf("get deleted: %v", err)
	}
}

func TestConditions(t *testing.T) {
	r := open(t, nil)
	b := r.bucket("conditions")
	etag := r.put(b, "k", "one").ETag
	put := func(match, none *string) error {
		_, err := r.client.PutObject(ctx, &awss3.PutObjectInput{Bucket: &b, Key: aws.String("k"), Body: strings.NewReader("two"), IfMatch: match, IfNoneMatch: none})
		return err
	}
	if err := put(nil, aws.String("*")); code(err) != "PreconditionFailed" {
		t.Errorf("If-None-Match on an existing key: %v", err)
	}
	if err := put(aws.String(`"00000000000000000000000000000000"`), nil); code(err) != "PreconditionFailed" {
		t.Errorf("wrong If-Match: %v", err)
	}
	if err := put(etag, nil); err != nil {
		t.Errorf("right If-Match: %v", err)
	}
	if got := r.get(b, "k"); got != "two" {
		t.Errorf("k = %q", got)
	}
	_, err := r.client.GetObject(ctx, &awss3.GetObjectInput{Bucket: &b, Key: aws.String("k"), IfNoneMatch: aws.String(`"b8a9f715dbb64fd5c56e7783c6820a61"`)})
	if err == nil || !strings.Contains(err.Error(), "304") {
		t.Errorf("If-None-Match GET: %v", err)
	}
}

func TestListings(t *testing.T) {
	r := open(t, nil)
	b := r.bucket("listings")
	var want []string
	for i := range 25 {
		k := fmt.Sprintf("p/%02d", i)
		r.put(b, k, k)
		want = append(want, k)
	}
	r.put(b, "q/x", "x")
	var got []string
	pages := awss3.NewListObjectsV2Paginator(r.client, &awss3.ListObjectsV2Input{Bucket: &b, Prefix: aws.String("p/"), MaxKeys: aws.Int32(10)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range page.Contents {
			got = append(got, *o.Key)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("v2: %v", got)
	}
	one, err := r.client.ListObjects(ctx, &awss3.ListObjectsInput{Bucket: &b, Delimiter: aws.String("/")})
	if err != nil || len(one.CommonPrefixes) != 2 || len(one.Contents) != 0 {
		t.Errorf("v1: %+v, %v", one, err)
	}
}

func TestBuckets(t *testing.T) {
	r := open(t, nil)
	in := &awss3.CreateBucketInput{Bucket: aws.String("bucket-one"), CreateBucketConfiguration: &types.CreateBucketConfiguration{
		LocationConstraint: "ap-south-9", Tags: []types.Tag{{Key: aws.String("a"), Value: aws.String("b + c")}}}}
	if _, err := r.client.CreateBucket(ctx, in); err != nil {
		t.Fatal(err)
	}
	if _, err := r.client.CreateBucket(ctx, in); code(err) != "BucketAlreadyOwnedByYou" {
		t.Errorf("created twice: %v", err)
	}
	tags, err := r.client.GetBucketTagging(ctx, &awss3.GetBucketTaggingInput{Bucket: in.Bucket})
	if err != nil || len(tags.TagSet) != 1 || *tags.TagSet[0].Value != "b + c" {
		t.Errorf("tags = %+v, %v", tags, err)
	}
	list, err := r.client.ListBuckets(ctx, &awss3.ListBucketsInput{})
	if err != nil || len(list.Buckets) != 1 || *list.Buckets[0].Name != "bucket-one" || *list.Owner.ID != testAccount {
		t.Errorf("list = %+v, %v", list, err)
	}
	loc, err := r.client.GetBucketLocation(ctx, &awss3.GetBucketLocationInput{Bucket: in.Bucket})
	if err != nil || loc.LocationConstraint != "drover-1" {
		t.Errorf("location = %+v, %v", loc, err)
	}
	if _, err := r.client.HeadBucket(ctx, &awss3.HeadBucketInput{Bucket: aws.String("no-such-bucket")}); code(err) != "NotFound" {
		t.Errorf("head of no bucket: %v", err)
	}
	r.put("bucket-one", "k", "v")
	if _, err := r.client.DeleteBucket(ctx, &awss3.DeleteBucketInput{Bucket: in.Bucket}); code(err) != "BucketNotEmpty" {
		t.Errorf("delete full bucket: %v", err)
	}
}

func TestMultipartAndVersions(t *testing.T) {
	r := open(t, nil)
	b := r.bucket("parts")
	if _, err := r.client.PutBucketVersioning(ctx, &awss3.PutBucketVersioningInput{Bucket: &b, VersioningConfiguration: &types.VersioningConfiguration{Status: types.BucketVersioningStatusEnabled}}); err != nil {
		t.Fatal(err)
	}
	first := r.put(b, "big", "first version").VersionId
	key := aws.String("big")
	up, err := r.client.CreateMultipartUpload(ctx, &awss3.CreateMultipartUploadInput{Bucket: &b, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	data := make([]byte, 5<<20)
	rand.Read(data)
	var parts []types.CompletedPart
	for i, chunk := range [][]byte{data, []byte("tail")} {
		p, err := r.client.UploadPart(ctx, &awss3.UploadPartInput{Bucket: &b, Key: key, UploadId: up.UploadId, PartNumber: aws.Int32(int32(i + 1)), Body: bytes.NewReader(chunk)})
		if err != nil {
			t.Fatal(err)
		}
		parts = append(parts, types.CompletedPart{ETag: p.ETag, PartNumber: aws.Int32(int32(i + 1)), ChecksumCRC32: p.ChecksumCRC32})
	}
	if _, err := r.client.CompleteMultipartUpload(ctx, &awss3.CompleteMultipartUploadInput{Bucket: &b, Key: key, UploadId: up.UploadId, MultipartUpload: &types.CompletedMultipartUpload{Parts: parts}}); err != nil {
		t.Fatal(err)
	}
	if got := r.get(b, "big"); got != string(data)+"tail" {
		t.Errorf("assembled object differs: %d bytes", len(got))
	}
	old, err := r.client.GetObject(ctx, &awss3.GetObjectInput{Bucket: &b, Key: key, VersionId: first})
	if err != nil {
		t.Fatal(err)
	}
	if got := read(t, old.Body); got != "first version" {
		t.Errorf("old version = %q", got)
	}
}

// What is kept of a request must not lie in the memory that the next requests use.
func TestBucketsAreKeptApart(t *testing.T) {
	r := open(t, nil)
	var names []string
	for i := range 30 {
		name := fmt.Sprintf("%s-%02d", strings.Repeat(string(rune('a'+i%26)), 3+i), i)
		names = append(names, r.bucket(name))
		policy := fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::%s/*"}]}`, name)
		if _, err := r.client.PutBucketPolicy(ctx, &awss3.PutBucketPolicyInput{Bucket: &name, Policy: &policy}); err != nil {
			t.Fatal(err)
		}
		if _, err := r.client.PutBucketVersioning(ctx, &awss3.PutBucketVersioningInput{Bucket: &name, VersioningConfiguration: &types.VersioningConfiguration{Status: []types.BucketVersioningStatus{"Enabled", "Suspended"}[i%2]}}); err != nil {
			t.Fatal(err)
		}
	}
	for i, name := range names {
		out, err := r.client.GetBucketPolicy(ctx, &awss3.GetBucketPolicyInput{Bucket: &name})
		if err != nil || !strings.Contains(*out.Policy, "arn:aws:s3:::"+name+"/*") {
			t.Errorf("policy of %s: %+v, %v", name, out, err)
		}
		v, err := r.client.GetBucketVersioning(ctx, &awss3.GetBucketVersioningInput{Bucket: &name})
		if err != nil || v.Status != []types.BucketVersioningStatus{"Enabled", "Suspended"}[i%2] {
			t.Errorf("versioning of %s: %+v, %v", name, v, err)
		}
	}
	slices.Sort(names)
	list, err := r.client.ListBuckets(ctx, &awss3.ListBucketsInput{})
	if err != nil {
		t.Fatal(err)
	}
	for i, b := range list.Buckets {
		if *b.Name != names[i] {
			t.Errorf("bucket %d is %q, want %q", i, *b.Name, names[i])
		}
	}
}
