package server_test

import (
	"bytes"
	"context"
	"encoding/xml"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"drover/internal/blob/blobtest"
	"drover/internal/link/external"
	"drover/internal/server"
	"drover/internal/service/native"
	"drover/internal/wire"
	"drover/internal/wire/keys"
)

// asRoot calls drover's own API.
func asRoot(t *testing.T, opt server.Options, endpoint string) *wire.Client {
	t.Helper()
	creds, err := keys.LoadOrCreate(filepath.Join(opt.Data, "credentials"))
	if err != nil {
		t.Fatal(err)
	}
	return &wire.Client{Endpoint: endpoint, Region: "drover-1", Credentials: creds}
}

func mountBucket(t *testing.T, c *wire.Client, name string, at external.Address) error {
	t.Helper()
	access, secret, _, err := at.Keys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	address := at.String()
	_, err = native.Call[native.MountBucketOutput](t.Context(), c, "MountBucket", &native.MountBucketInput{Bucket: &name, Address: &address, AccessKey: &access, SecretKey: &secret})
	return err
}

// TestMountedBucket is the conformance suite of mounts: what clients do to any bucket, once on
// a whole bucket and once below a prefix.
func TestMountedBucket(t *testing.T) {
	o := startOther(t)
	opt := options(t)
	endpoint, stop := run(t, opt)
	defer stop()
	root, c := asRoot(t, opt, endpoint), clientOf(t, opt, endpoint)
	for name, prefix := range map[string]string{"whole": "", "below": "deep/folder"} {
		t.Run(name, func(t *testing.T) {
			at := o.bucket(t, "their-"+name)
			at.Prefix = prefix
			if err := mountBucket(t, root, name, at); err != nil {
				t.Fatal(err)
			}
			m := &mountSuite{T: t, c: c, b: name, at: at, there: o.client}
			t.Run("objects", m.objects)
			t.Run("lists", m.lists)
			t.Run("deletes", m.deletes)
			t.Run("uploads", m.uploads)
			t.Run("copies", m.copies)
			t.Run("conditions", m.conditions)
			t.Run("presigned", m.presigned)
			t.Run("refusals", m.refusals)
		})
	}
}

type mountSuite struct {
	*testing.T
	c, there *awss3.Client
	b        string
	at       external.Address
}

func (m *mountSuite) objects(t *testing.T) {
	for i, key := range []string{"plain", "dir/", "a//b", "ü ?&=+%", "..x/y.."} {
		p := blobtest.Content(uint64(i), 1000*i)
		_, err := m.c.PutObject(t.Context(), &awss3.PutObjectInput{Bucket: &m.b, Key: &key, Body: bytes.NewReader(p), ContentType: aws.String("text/x-odd"), Metadata: map[string]string{"colour": "blue"}})
		if err != nil {
			t.Fatalf("put %q: %v", key, err)
		}
		if there, _ := getObject(t, m.there, m.at.Bucket, m.at.Key(key), ""); !bytes.Equal(there, p) {
			t.Errorf("%q is another over there", key)
		}
		got, out := getObject(t, m.c, m.b, key, "")
		if !bytes.Equal(got, p) || aws.ToString(out.ContentType) != "text/x-odd" || out.Metadata["colour"] != "blue" {
			t.Errorf("%q came back as %d bytes, %v %v", key, len(got), out.ContentType, out.Metadata)
		}
		head, err := m.c.HeadObject(t.Context(), &awss3.HeadObjectInput{Bucket: &m.b, Key: &key})
		if err != nil || aws.ToInt64(head.ContentLength) != int64(len(p)) || head.VersionId != nil {
			t.Errorf("head of %q: %+v, %v", key, head, err)
		}
	}
	large := blobtest.Content(9, 6<<20)
	putObject(t, m.c, m.b, "large", large)
	if got, out := getObject(t, m.c, m.b, "large", "bytes=5000000-5000099"); !bytes.Equal(got, large[5000000:5000100]) || aws.ToString(out.ContentRange) == "" {
		t.Error("a range is another")
	}
	if _, err := m.c.GetObject(t.Context(), &awss3.GetObjectInput{Bucket: &m.b, Key: aws.String("large"), Range: aws.String("bytes=9000000-")}); apiCode(err) != "InvalidRange" {
		t.Errorf("a range behind the end: %v", err)
	}
	if _, err := m.c.GetObject(t.Context(), &awss3.GetObjectInput{Bucket: &m.b, Key: aws.String("none")}); apiCode(err) != "NoSuchKey" {
		t.Errorf("get of nothing: %v", err)
	}
	if _, err := m.c.PutObjectTagging(t.Context(), &awss3.PutObjectTaggingInput{Bucket: &m.b, Key: aws.String("large"), Tagging: &types.Tagging{TagSet: []types.Tag{{Key: aws.String("deep/folder/k"), Value: aws.String("v")}}}}); err != nil {
		t.Error(err)
	}
	if tags, err := m.c.GetObjectTagging(t.Context(), &awss3.GetObjectTaggingInput{Bucket: &m.b, Key: aws.String("large")}); err != nil || len(tags.TagSet) != 1 || *tags.TagSet[0].Key != "deep/folder/k" {
		t.Errorf("tags: %+v, %v", tags, err)
	}
}

func (m *mountSuite) lists(t *testing.T) {
	var want []string
	for i := range 7 {
		key := fmt.Sprintf("list/%d/x y", i)
		want = append(want, key)
		putObject(t, m.c, m.b, key, []byte(key))
	}
	if m.at.Prefix != "" {
		putObject(t, m.there, m.at.Bucket, "list/elsewhere", nil) // beside the mount
	}
	var got []string
	pages := awss3.NewListObjectsV2Paginator(m.c, &awss3.ListObjectsV2Input{Bucket: &m.b, Prefix: aws.String("list/"), MaxKeys: aws.Int32(3), StartAfter: aws.String("list/0")})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if aws.ToString(page.Name) != m.b || aws.ToString(page.Prefix) != "list/" {
			t.Errorf("the page is of %v, prefix %v", *page.Name, *page.Prefix)
		}
		for _, e := range page.Contents {
			got = append(got, *e.Key)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("v2 gave %q", got)
	}
	got = nil
	in := &awss3.ListObjectsInput{Bucket: &m.b, Prefix: aws.String("list/"), MaxKeys: aws.Int32(2), Marker: aws.String("list/1"), EncodingType: types.EncodingTypeUrl}
	for {
		page, err := m.c.ListObjects(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range page.Contents {
			got = append(got, strings.ReplaceAll(*e.Key, "%20", " "))
		}
		if !aws.ToBool(page.IsTruncated) {
			break
		}
		in.Marker = aws.String(got[len(got)-1])
	}
	if !slices.Equal(got, want[1:]) {
		t.Errorf("v1 gave %q", got)
	}
	page, err := m.c.ListObjectsV2(t.Context(), &awss3.ListObjectsV2Input{Bucket: &m.b, Prefix: aws.String("list/"), Delimiter: aws.String("/")})
	if err != nil || len(page.CommonPrefixes) != 7 || aws.ToString(page.CommonPrefixes[2].Prefix) != "list/2/" {
		t.Errorf("by a delimiter: %+v, %v", page, err)
	}
}

func (m *mountSuite) deletes(t *testing.T) {
	var ids []types.ObjectIdentifier
	for i := range 4 {
		key := fmt.Sprintf("gone/<&>/%d", i)
		putObject(t, m.c, m.b, key, []byte("x"))
		if i > 0 {
			ids = append(ids, types.ObjectIdentifier{Key: &key})
			continue
		}
		if _, err := m.c.DeleteObject(t.Context(), &awss3.DeleteObjectInput{Bucket: &m.b, Key: &key}); err != nil {
			t.Error(err)
		}
	}
	out, err := m.c.DeleteObjects(t.Context(), &awss3.DeleteObjectsInput{Bucket: &m.b, Delete: &types.Delete{Objects: ids}})
	if err != nil || len(out.Deleted) != 3 || len(out.Errors) > 0 || aws.ToString(out.Deleted[0].Key) != "gone/<&>/1" {
		t.Errorf("delete-many: %+v, %v", out, err)
	}
	page, err := m.c.ListObjectsV2(t.Context(), &awss3.ListObjectsV2Input{Bucket: &m.b, Prefix: aws.String("gone/")})
	if err != nil || len(page.Contents) != 0 {
		t.Errorf("left are %+v, %v", page, err)
	}
}

func (m *mountSuite) uploads(t *testing.T) {
	key := "joined & more"
	made, err := m.c.CreateMultipartUpload(t.Context(), &awss3.CreateMultipartUploadInput{Bucket: &m.b, Key: &key})
	if err != nil || aws.ToString(made.Bucket) != m.b || aws.ToString(made.Key) != key {
		t.Fatalf("%+v, %v", made, err)
	}
	p := blobtest.Content(4, 5<<20+777)
	var done []types.CompletedPart
	for i, part := range [][]byte{p[:5<<20], p[5<<20:]} {
		n := int32(i + 1)
		out, err := m.c.UploadPart(t.Context(), &awss3.UploadPartInput{Bucket: &m.b, Key: &key, UploadId: made.UploadId, PartNumber: &n, Body: bytes.NewReader(part)})
		if err != nil {
			t.Fatal(err)
		}
		done = append(done, types.CompletedPart{PartNumber: &n, ETag: out.ETag})
	}
	parts, err := m.c.ListParts(t.Context(), &awss3.ListPartsInput{Bucket: &m.b, Key: &key, UploadId: made.UploadId})
	if err != nil || len(parts.Parts) != 2 || aws.ToString(parts.Key) != key {
		t.Errorf("parts: %+v, %v", parts, err)
	}
	list, err := m.c.ListMultipartUploads(t.Context(), &awss3.ListMultipartUploadsInput{Bucket: &m.b, Prefix: aws.String("joined")})
	if err != nil || len(list.Uploads) != 1 || aws.ToString(list.Uploads[0].Key) != key {
		t.Errorf("uploads: %+v, %v", list, err)
	}
	whole, err := m.c.CompleteMultipartUpload(t.Context(), &awss3.CompleteMultipartUploadInput{Bucket: &m.b, Key: &key, UploadId: made.UploadId, MultipartUpload: &types.CompletedMultipartUpload{Parts: done}})
	if err != nil || aws.ToString(whole.Bucket) != m.b || aws.ToString(whole.Key) != key {
		t.Fatalf("%+v, %v", whole, err)
	}
	if got, _ := getObject(t, m.c, m.b, key, ""); !bytes.Equal(got, p) {
		t.Error("what was joined is another")
	}
	if made, err = m.c.CreateMultipartUpload(t.Context(), &awss3.CreateMultipartUploadInput{Bucket: &m.b, Key: &key}); err == nil {
		_, err = m.c.AbortMultipartUpload(t.Context(), &awss3.AbortMultipartUploadInput{Bucket: &m.b, Key: &key, UploadId: made.UploadId})
	}
	if err != nil {
		t.Error(err)
	}
	if _, err = m.c.ListParts(t.Context(), &awss3.ListPartsInput{Bucket: &m.b, Key: &key, UploadId: made.UploadId}); apiCode(err) != "NoSuchUpload" {
		t.Errorf("parts of an aborted upload: %v", err)
	}
}

func (m *mountSuite) copies(t *testing.T) {
	putObject(t, m.c, m.b, "from here", []byte("content"))
	if _, err := m.c.CopyObject(t.Context(), &awss3.CopyObjectInput{Bucket: &m.b, Key: aws.String("to"), CopySource: aws.String(m.b + "/from%20here")}); err != nil {
		t.Fatal(err)
	}
	if got, _ := getObject(t, m.c, m.b, "to", ""); string(got) != "content" {
		t.Errorf("the copy is %q", got)
	}
	own := "own-" + m.b
	if _, err := m.c.CreateBucket(t.Context(), &awss3.CreateBucketInput{Bucket: &own}); err != nil {
		t.Fatal(err)
	}
	putObject(t, m.c, own, "k", []byte("x"))
	for to, source := range map[string]string{m.b: own + "/k", own: m.b + "/to"} {
		if _, err := m.c.CopyObject(t.Context(), &awss3.CopyObjectInput{Bucket: &to, Key: aws.String("k"), CopySource: &source}); apiCode(err) != "NotImplemented" {
			t.Errorf("copy of %s into %s: %v", source, to, err)
		}
	}
}

func (m *mountSuite) conditions(t *testing.T) {
	once := func() error {
		_, err := m.c.PutObject(t.Context(), &awss3.PutObjectInput{Bucket: &m.b, Key: aws.String("once"), Body: strings.NewReader("x"), IfNoneMatch: aws.String("*")})
		return err
	}
	if err := once(); err != nil {
		t.Fatal(err)
	}
	if err := once(); apiCode(err) != "PreconditionFailed" {
		t.Errorf("the second of two: %v", err)
	}
	head, err := m.c.HeadObject(t.Context(), &awss3.HeadObjectInput{Bucket: &m.b, Key: aws.String("once")})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.c.GetObject(t.Context(), &awss3.GetObjectInput{Bucket: &m.b, Key: aws.String("once"), IfNoneMatch: head.ETag}); err == nil || !strings.Contains(err.Error(), "304") {
		t.Errorf("get of what has not changed: %v", err)
	}
}

func (m *mountSuite) presigned(t *testing.T) {
	signer := awss3.NewPresignClient(m.c)
	put, err := signer.PresignPutObject(t.Context(), &awss3.PutObjectInput{Bucket: &m.b, Key: aws.String("by url")})
	if err != nil {
		t.Fatal(err)
	}
	r, _ := http.NewRequest("PUT", put.URL, strings.NewReader("from a browser"))
	res, err := http.DefaultClient.Do(r)
	if err != nil || res.StatusCode != 200 {
		t.Fatal(res, err)
	}
	res.Body.Close()
	get, err := signer.PresignGetObject(t.Context(), &awss3.GetObjectInput{Bucket: &m.b, Key: aws.String("by url")})
	if err != nil {
		t.Fatal(err)
	}
	res, err = http.Get(get.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if p, _ := io.ReadAll(res.Body); string(p) != "from a browser" || !strings.Contains(res.Header.Get("X-Drover-Mounted"), m.at.Bucket) {
		t.Errorf("%d %q %q", res.StatusCode, p, res.Header.Get("X-Drover-Mounted"))
	}
	res, err = http.Get(strings.Replace(get.URL, "by%20url", "once", 1))
	if err != nil || res.StatusCode != 403 {
		t.Errorf("another key by the same signature: %v %v", res, err)
	}
	res.Body.Close()
}

func (m *mountSuite) refusals(t *testing.T) {
	v, err := m.c.GetBucketVersioning(t.Context(), &awss3.GetBucketVersioningInput{Bucket: &m.b})
	if err != nil || v.Status != "" {
		t.Errorf("versioning: %+v, %v", v, err)
	}
	_, err = m.c.PutBucketVersioning(t.Context(), &awss3.PutBucketVersioningInput{Bucket: &m.b, VersioningConfiguration: &types.VersioningConfiguration{Status: types.BucketVersioningStatusEnabled}})
	if apiCode(err) != "NotImplemented" || !strings.Contains(err.Error(), "passes through") {
		t.Errorf("versions: %v", err)
	}
	_, err = m.c.ListObjectVersions(t.Context(), &awss3.ListObjectVersionsInput{Bucket: &m.b})
	if apiCode(err) != "NotImplemented" {
		t.Errorf("list of versions: %v", err)
	}
	for _, key := range []string{"../up", "x/./y", "deep/.."} {
		if _, err := m.c.PutObject(t.Context(), &awss3.PutObjectInput{Bucket: &m.b, Key: &key, Body: strings.NewReader("x")}); apiCode(err) != "InvalidArgument" {
			t.Errorf("put %q: %v", key, err)
		}
		ids := []types.ObjectIdentifier{{Key: &key}}
		if _, err := m.c.DeleteObjects(t.Context(), &awss3.DeleteObjectsInput{Bucket: &m.b, Delete: &types.Delete{Objects: ids}}); apiCode(err) != "InvalidArgument" {
			t.Errorf("delete-many %q: %v", key, err)
		}
	}
	if _, err = m.c.DeleteBucket(t.Context(), &awss3.DeleteBucketInput{Bucket: &m.b}); apiCode(err) != "MethodNotAllowed" || !strings.Contains(err.Error(), "unmount") {
		t.Errorf("delete of the bucket: %v", err)
	}
	corrupt := strings.NewReader("not this")
	if _, err = m.c.PutObject(t.Context(), &awss3.PutObjectInput{Bucket: &m.b, Key: aws.String("corrupt"), Body: corrupt, ContentMD5: aws.String("XrY7u+Ae7tCTyyK7j1rNww==")}); apiCode(err) != "BadDigest" {
		t.Errorf("a body that is not what was said: %v", err)
	}
	if _, err := m.c.HeadObject(t.Context(), &awss3.HeadObjectInput{Bucket: &m.b, Key: aws.String("corrupt")}); err == nil {
		t.Error("it is there all the same")
	}
}

// TestMounts makes and takes away mounts, and looks for their keys.
func TestMounts(t *testing.T) {
	o := startOther(t)
	at := o.bucket(t, "theirs")
	_, secret, _, err := at.Keys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	opt := options(t)
	endpoint, stop := run(t, opt)
	root, c := asRoot(t, opt, endpoint), clientOf(t, opt, endpoint)
	if err := mountBucket(t, root, "mounted", at); err != nil {
		t.Fatal(err)
	}
	if err := mountBucket(t, root, "mounted", at); err == nil || !strings.Contains(err.Error(), "already") {
		t.Errorf("the second of a name: %v", err)
	}
	bad := at
	bad.Use("AKIAIOSFODNN7EXAMPLE", "wrong", "")
	if err := mountBucket(t, root, "bad", bad); err == nil || !strings.Contains(err.Error(), "refuses the credentials") {
		t.Errorf("wrong keys: %v", err)
	}
	putObject(t, c, "mounted", "k", []byte("v"))
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if err := filepath.WalkDir(opt.Data, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if strings.Contains(string(text), secret) {
			if st, _ := d.Info(); d.Name() != "mounts.json" || st.Mode().Perm() != 0o600 {
				t.Errorf("%s holds the mount's secret", path)
			}
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}

	endpoint, stop = run(t, opt)
	defer stop()
	root, c = asRoot(t, opt, endpoint), clientOf(t, opt, endpoint)
	if p, _ := getObject(t, c, "mounted", "k", ""); string(p) != "v" {
		t.Errorf("after a restart: %q", p)
	}
	list, err := native.Call[native.ListStoredBucketsOutput](t.Context(), root, "ListStoredBuckets", &native.ListStoredBucketsInput{})
	if err != nil || len(list.Buckets) != 1 || !strings.Contains(list.Buckets[0].Mount, "s3://theirs at "+o.endpoint) {
		t.Errorf("buckets: %+v, %v", list, err)
	}
	res, err := http.Get(endpoint + "/mounted/k")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var e struct{ Code string }
	if xml.NewDecoder(res.Body).Decode(&e); res.StatusCode != 403 || e.Code != "AccessDenied" {
		t.Errorf("without a signature: %d %+v", res.StatusCode, e)
	}
	if _, err := native.Call[native.UnmountBucketOutput](t.Context(), root, "UnmountBucket", &native.UnmountBucketInput{Bucket: aws.String("mounted")}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.HeadBucket(t.Context(), &awss3.HeadBucketInput{Bucket: aws.String("mounted")}); err == nil {
		t.Error("the bucket is still there")
	}
	if p, _ := getObject(t, o.client, "theirs", "k", ""); string(p) != "v" {
		t.Error("unmounting took the object")
	}
	away := at
	away.Endpoint = "http://127.0.0.1:1"
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := mountBucket(t, root, "away", away); err == nil || !strings.Contains(err.Error(), "does not answer") || ctx.Err() != nil {
		t.Errorf("nobody there: %v", err)
	}
}
