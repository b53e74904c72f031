package s3

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync"
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
	o := Options{Dir: t.TempDir(), Region: "drover-1", Account: testAccount, Durable: true}
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

func TestKeysAreOpaque(t *testing.T) {
	r := open(t, nil)
	b := r.bucket("keys")
	for _, k := range []string{"plain", "sp ace", "a+b", "a%2Fb", "100%", "%41", "ü/ß", "日本/語", "q?x=y&z", "h#ash", "a;b=c", "tilde~", "quote'\"", "back\\slash",
		"star*", "[brackets]", "a,b", "\x01control", ".hidden", "..dots", "a..b/c.", "Case", "case", "at@:colon", "emoji🐑", "trailing ", " leading", "a\tb", strings.Repeat("x", 255) + "/" + strings.Repeat("y", 255)} {
		r.put(b, k, "content of "+k)
		if got := r.get(b, k); got != "content of "+k {
			t.Errorf("%q came back as %q", k, got)
		}
	}
	list, err := r.client.ListObjectsV2(ctx, &awss3.ListObjectsV2Input{Bucket: &b, EncodingType: types.EncodingTypeUrl})
	if err != nil || *list.KeyCount != 29 {
		t.Errorf("listed %d keys, %v", *list.KeyCount, err)
	}
}

// Keys that a file system would fold into others are refused, and never reach another's file.
func TestKeysThatFilesCannotHold(t *testing.T) {
	r := open(t, nil)
	b := r.bucket("keys")
	r.put(b, "k", "precious")
	r.put(b, "a/k", "precious")
	for _, k := range []string{"/k", "//k", "a//k", "a/./k", "a/../k", "./k", "../keys/k", "a/../../keys/k", "..", ".", "nul\x00byte", ".sgwtmp/x", strings.Repeat("z", 256), strings.Repeat("a/", 600) + "b"} {
		if _, err := r.client.PutObject(ctx, &awss3.PutObjectInput{Bucket: &b, Key: &k, Body: strings.NewReader("overwritten")}); err == nil {
			t.Errorf("put %q was taken", k)
		} else if c := code(err); c == "InternalError" {
			t.Errorf("put %q: %v", k, err)
		}
		if _, err := r.client.GetObject(ctx, &awss3.GetObjectInput{Bucket: &b, Key: &k}); err == nil {
			t.Errorf("get %q found something", k)
		}
		if _, err := r.client.CopyObject(ctx, &awss3.CopyObjectInput{Bucket: &b, Key: aws.String("copy"), CopySource: aws.String(b + "/" + (&escaper{}).path(k))}); err == nil {
			t.Errorf("copy from %q found something", k)
		}
		_, _ = r.client.DeleteObject(ctx, &awss3.DeleteObjectInput{Bucket: &b, Key: &k})
		_, _ = r.client.DeleteObjects(ctx, &awss3.DeleteObjectsInput{Bucket: &b, Delete: &types.Delete{Objects: []types.ObjectIdentifier{{Key: &k}}}})
	}
	for _, k := range []string{"k", "a/k"} {
		if got := r.get(b, k); got != "precious" {
			t.Errorf("%s = %q", k, got)
		}
	}
}

type escaper struct{}

func (*escaper) path(k string) string {
	var b strings.Builder
	for i := range len(k) {
		fmt.Fprintf(&b, "%%%02X", k[i])
	}
	return b.String()
}

func TestSignatures(t *testing.T) {
	r := open(t, nil)
	b := r.bucket("signed")
	r.put(b, "k", "v")
	wrong := clientOf(r.url, "not the secret")
	if _, err := wrong.GetObject(ctx, &awss3.GetObjectInput{Bucket: &b, Key: aws.String("k")}); code(err) != "SignatureDoesNotMatch" {
		t.Errorf("wrong secret: %v", err)
	}
	pre := awss3.NewPresignClient(r.client)
	get, err := pre.PresignGetObject(ctx, &awss3.GetObjectInput{Bucket: &b, Key: aws.String("k"), ResponseContentType: aws.String("text/x-special")})
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.Get(get.URL)
	if err != nil {
		t.Fatal(err)
	}
	if got := read(t, res.Body); got != "v" || res.Header.Get("Content-Type") != "text/x-special" || res.Header.Get("X-Amz-Request-Id") == "" {
		t.Errorf("presigned GET: %d %q %v", res.StatusCode, got, res.Header)
	}
	put, err := pre.PresignPutObject(ctx, &awss3.PutObjectInput{Bucket: &b, Key: aws.String("up load")})
	if err != nil {
		t.Fatal(err)
	}
	req, _ := http.NewRequest("PUT", put.URL, strings.NewReader("presigned"))
	req.Header = put.SignedHeader
	if res, err = http.DefaultClient.Do(req); err != nil || res.StatusCode != 200 {
		t.Fatalf("presigned PUT: %v, %v", res, err)
	}
	res.Body.Close()
	if got := r.get(b, "up load"); got != "presigned" {
		t.Errorf("presigned upload = %q", got)
	}
	res, err = http.Get(r.url + "/signed/k")
	if err != nil {
		t.Fatal(err)
	}
	if got := read(t, res.Body); res.StatusCode != 403 || !strings.Contains(got, "<Code>AccessDenied</Code>") {
		t.Errorf("anonymous GET: %d %s", res.StatusCode, got)
	}
}

func TestAnonymousByPolicy(t *testing.T) {
	r := open(t, nil)
	b := r.bucket("public")
	r.put(b, "open/k", "v")
	policy := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":["s3:GetObject","s3:PutObject"],"Resource":"arn:aws:s3:::public/open/*"},
		{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::000000000000:root"},"Action":"s3:*","Resource":["arn:aws:s3:::public","arn:aws:s3:::public/*"]}]}`
	if _, err := r.client.PutBucketPolicy(ctx, &awss3.PutBucketPolicyInput{Bucket: &b, Policy: &policy}); err != nil {
		t.Fatal(err)
	}
	r.put(b, "closed/k", "v")
	for path, want := range map[string]int{"/public/open/k": 200, "/public/closed/k": 403, "/public/open/../closed/k": 404, "/public": 403, "/": 403} {
		req, _ := http.NewRequest("GET", r.url, nil)
		req.URL.Opaque = path
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != want && !(want == 404 && res.StatusCode == 403) {
			t.Errorf("anonymous GET %s: %d, want %d", path, res.StatusCode, want)
		}
	}
	req, _ := http.NewRequest("PUT", r.url+"/public/open/new", strings.NewReader("from nobody"))
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if got := r.get(b, "open/new"); res.StatusCode != 200 || got != "from nobody" {
		t.Errorf("anonymous PUT: %d, %q", res.StatusCode, got)
	}
}

// A body that differs from what was signed leaves nothing behind.
func TestTamperedBodies(t *testing.T) {
	r := open(t, nil)
	b := r.bucket("tampered")
	const body = "the content that was signed"
	cases := []struct {
		name, hash, send string
		length           int64
		want             string
	}{
		{"hash", sigv4.HashBody([]byte(body)), "the content that was forged", -1, "XAmzContentSHA256Mismatch"},
		{"whole", sigv4.HashBody([]byte(body)), body, -1, ""},
		{"unsigned", sigv4.UnsignedPayload, body, -1, ""},
	}
	for _, c := range cases {
		req, _ := http.NewRequest("PUT", r.url+"/tampered/"+c.name, strings.NewReader(c.send))
		sigv4.Sign(req, c.hash, sigv4.Credentials{AccessKey: testKey, Secret: testSecret}, "s3", "drover-1", time.Now())
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		got := read(t, res.Body)
		if c.want == "" && res.StatusCode != 200 || c.want != "" && !strings.Contains(got, "<Code>"+c.want+"</Code>") {
			t.Errorf("%s: %d %s", c.name, res.StatusCode, got)
		}
		_, err = r.client.HeadObject(ctx, &awss3.HeadObjectInput{Bucket: &b, Key: &c.name})
		if stored := err == nil; stored != (c.want == "") {
			t.Errorf("%s: stored = %v", c.name, stored)
		}
	}
	// A connection that breaks in the middle of an upload.
	pr, pw := io.Pipe()
	req, _ := http.NewRequest("PUT", r.url+"/tampered/cut", pr)
	req.ContentLength = 1 << 20
	sigv4.Sign(req, sigv4.UnsignedPayload, sigv4.Credentials{AccessKey: testKey, Secret: testSecret}, "s3", "drover-1", time.Now())
	go func() { _, _ = pw.Write(make([]byte, 1000)); pw.CloseWithError(errors.New("cut")) }()
	if res, err := http.DefaultClient.Do(req); err == nil {
		res.Body.Close()
		t.Errorf("cut upload answered %d", res.StatusCode)
	}
	if _, err := r.client.HeadObject(ctx, &awss3.HeadObjectInput{Bucket: &b, Key: aws.String("cut")}); err == nil {
		t.Error("a cut upload was stored")
	}
}

// Checksums in trailing headers, signed chunks and their damage are the library's clients'
// common upload forms over TLS; the bodies here are built as sigv4.Body, as wire makes them.
func TestChunkedUploads(t *testing.T) {
	r := open(t, nil)
	b := r.bucket("chunked")
	send := func(key, crc, content string) (int, string) {
		raw := fmt.Sprintf("%x\r\n%s\r\n0\r\nx-amz-checksum-crc32:%s\r\n\r\n", len(content), content, crc)
		req, _ := http.NewRequest("PUT", r.url+"/chunked/"+key, strings.NewReader(raw))
		req.Header.Set("X-Amz-Decoded-Content-Length", fmt.Sprint(len(content)))
		req.Header.Set("X-Amz-Trailer", "x-amz-checksum-crc32")
		req.Header.Set("X-Amz-Sdk-Checksum-Algorithm", "CRC32")
		req.Header.Set("Content-Encoding", "gzip,aws-chunked")
		sigv4.Sign(req, "STREAMING-UNSIGNED-PAYLOAD-TRAILER", sigv4.Credentials{AccessKey: testKey, Secret: testSecret}, "s3", "drover-1", time.Now())
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, read(t, res.Body)
	}
	if status, body := send("good", "DUoRhQ==", "hello world"); status != 200 {
		t.Errorf("good trailer: %d %s", status, body)
	}
	head, err := r.client.HeadObject(ctx, &awss3.HeadObjectInput{Bucket: &b, Key: aws.String("good"), ChecksumMode: types.ChecksumModeEnabled})
	if err != nil || aws.ToString(head.ChecksumCRC32) != "DUoRhQ==" || *head.ContentLength != 11 || aws.ToString(head.ContentEncoding) != "gzip" {
		t.Errorf("head = %+v, %v", head, err)
	}
	if status, body := send("bad", "AAAAAA==", "hello world"); status != 400 || !strings.Contains(body, "BadDigest") {
		t.Errorf("bad trailer: %d %s", status, body)
	}
	if _, err := r.client.HeadObject(ctx, &awss3.HeadObjectInput{Bucket: &b, Key: aws.String("bad")}); err == nil {
		t.Error("an object with a wrong checksum was stored")
	}
}

func TestRefusedOperationsNameThemselves(t *testing.T) {
	r := open(t, nil)
	b := r.bucket("refused")
	_, err := r.client.GetBucketLifecycleConfiguration(ctx, &awss3.GetBucketLifecycleConfigurationInput{Bucket: &b})
	if code(err) != "NotImplemented" || !strings.Contains(err.Error(), "GetBucketLifecycleConfiguration") {
		t.Errorf("lifecycle: %v", err)
	}
	_, err = r.client.PutBucketNotificationConfiguration(ctx, &awss3.PutBucketNotificationConfigurationInput{Bucket: &b, NotificationConfiguration: &types.NotificationConfiguration{}})
	if code(err) != "NotImplemented" || !strings.Contains(err.Error(), "PutBucketNotificationConfiguration") {
		t.Errorf("notification: %v", err)
	}
}

func TestVirtualHosts(t *testing.T) {
	for host, want := range map[string]string{
		"localhost": "", "localhost:4580": "", "127.0.0.1:4580": "", "b.localhost:4580": "b", "a.b.localhost": "a.b",
		"s3.amazonaws.com": "", "s3.eu-west-1.amazonaws.com": "", "b.s3.amazonaws.com": "b", "b.s3.eu-west-1.amazonaws.com:443": "b",
		"a.s3.b.s3.eu-west-1.amazonaws.com": "a.s3.b", "b.s3-us-west-2.amazonaws.com": "b", "sqs.us-east-1.amazonaws.com": "",
	} {
		if got := hostBucket(host); got != want {
			t.Errorf("%s names bucket %q, want %q", host, got, want)
		}
	}
	r := open(t, nil)
	r.bucket("virtual")
	r.put("virtual", "k y", "v")
	req, _ := http.NewRequest("GET", r.url+"/k%20y", nil)
	req.Host = "virtual.localhost:4580"
	sigv4.Sign(req, sigv4.UnsignedPayload, sigv4.Credentials{AccessKey: testKey, Secret: testSecret}, "s3", "drover-1", time.Now())
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if got := read(t, res.Body); got != "v" {
		t.Errorf("virtual host: %d %s", res.StatusCode, got)
	}
}

func TestConcurrentPuts(t *testing.T) {
	r := open(t, nil)
	b := r.bucket("concurrent")
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 20 {
				r.put(b, fmt.Sprintf("d%d/%d", j%3, i*100+j), "v")
				r.put(b, "same", strings.Repeat(fmt.Sprint(i), 5000))
			}
		})
	}
	wg.Wait()
	got := r.get(b, "same")
	if len(got) != 5000 || strings.Trim(got, got[:1]) != "" {
		t.Error("concurrent puts of one key mixed their contents")
	}
	list, err := r.client.ListObjectsV2(ctx, &awss3.ListObjectsV2Input{Bucket: &b})
	if err != nil || *list.KeyCount != 161 {
		t.Errorf("%d keys, %v", *list.KeyCount, err)
	}
}

// A second Open moves the process away from the first one's files: it must refuse, not
// serve the other's.
func TestMovedWorkingFolder(t *testing.T) {
	r := open(t, nil)
	b := r.bucket("home")
	r.put(b, "k", "v")
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chdir("/"); err != nil {
		t.Fatal(err)
	}
	_, err = r.client.GetObject(ctx, &awss3.GetObjectInput{Bucket: &b, Key: aws.String("k")})
	if err := os.Chdir(here); err != nil {
		t.Fatal(err)
	}
	if code(err) != "ServiceUnavailable" {
		t.Errorf("in a foreign folder: %v", err)
	}
	if got := r.get(b, "k"); got != "v" {
		t.Errorf("back home: %q", got)
	}
}

func TestReopen(t *testing.T) {
	dir := t.TempDir()
	was, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	t.Run("first", func(t *testing.T) {
		r := open(t, func(o *Options) { o.Dir = dir })
		r.put(r.bucket("kept"), "k", "v")
	})
	t.Run("second", func(t *testing.T) {
		r := open(t, func(o *Options) { o.Dir = dir })
		if got := r.get("kept", "k"); got != "v" {
			t.Errorf("after reopening: %q", got)
		}
		if _, err := r.client.CreateBucket(ctx, &awss3.CreateBucketInput{Bucket: aws.String("kept")}); code(err) != "BucketAlreadyOwnedByYou" {
			t.Errorf("still the owner: %v", err)
		}
	})
	if now, err := os.Getwd(); err != nil || now != was {
		t.Errorf("working folder is %s after Close, was %s (%v)", now, was, err)
	}
}

func TestErrorDocument(t *testing.T) {
	r := open(t, nil)
	for _, path := range []string{"/no-such-bucket/k", "/no-such-bucket/k?lifecycle", "//k"} {
		res, err := http.Get(r.url + path)
		if err != nil {
			t.Fatal(err)
		}
		var doc struct {
			XMLName                  xml.Name `xml:"Error"`
			Code, Message, RequestId string
		}
		if err := xml.Unmarshal([]byte(read(t, res.Body)), &doc); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		if doc.Code == "" || doc.Message == "" || doc.RequestId == "" || res.Header.Get("Date") == "" || !slices.Equal(res.Header["X-Amz-Request-Id"], []string{doc.RequestId}) {
			t.Errorf("%s: %d %+v %v", path, res.StatusCode, doc, res.Header)
		}
	}
}

// The table names exactly the operations of the SDK that the build is pinned to.
func TestOperationsAreTheSDKs(t *testing.T) {
	var want []string
	c := reflect.TypeFor[*awss3.Client]()
	for i := range c.NumMethod() {
		if m := c.Method(i); m.Type.NumIn() == 4 && m.Type.NumOut() == 2 {
			want = append(want, m.Name)
		}
	}
	var got []string
	built := 0
	for _, row := range Operations() {
		got = append(got, row.Operation)
		if row.State == wire.Built {
			built++
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("operations %d, SDK %d:\n%v\n%v", len(got), len(want), got, want)
	}
	if built < 45 {
		t.Errorf("only %d operations are served", built)
	}
}
