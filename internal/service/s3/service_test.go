package s3

import (
	"encoding/xml"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"drover/internal/wire"
	"drover/internal/wire/sigv4"
)

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
		"localhost": "", "localhost:4580": "", "127.0.0.1:4580": "", "b.localhost:4580": "b", "a.b.localhost": "a.b", "s3.localhost": "", "b.s3.localhost:4580": "b",
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

// Without extended attributes metadata goes to side files.
func TestSideFiles(t *testing.T) {
	r := open(t, func(o *Options) {
		o.attributes = func(string) error { return errors.New("not here") }
	})
	b := r.bucket("side")
	if _, err := r.client.PutObject(ctx, &awss3.PutObjectInput{Bucket: &b, Key: aws.String("d/k"), Body: strings.NewReader("v"), ContentType: aws.String("text/x"), Metadata: map[string]string{"m": "1"}}); err != nil {
		t.Fatal(err)
	}
	out, err := r.client.GetObject(ctx, &awss3.GetObjectInput{Bucket: &b, Key: aws.String("d/k")})
	if err != nil {
		t.Fatal(err)
	}
	if got := read(t, out.Body); got != "v" || *out.ContentType != "text/x" || out.Metadata["m"] != "1" || out.ETag == nil {
		t.Errorf("%q %+v", got, out)
	}
	if _, err := r.client.CreateBucket(ctx, &awss3.CreateBucketInput{Bucket: &b}); code(err) != "BucketAlreadyOwnedByYou" {
		t.Errorf("created twice: %v", err)
	}
}

// What a write is answered for is on disk: the file itself, and every folder on its way.
func TestWritesAreSynced(t *testing.T) {
	var mu sync.Mutex
	synced := map[fileID]bool{}
	r := open(t, func(o *Options) {
		o.fsync = func(fd int) error {
			var st unix.Stat_t
			if err := unix.Fstat(fd, &st); err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			synced[fileID{uint64(st.Dev), st.Ino}] = true
			return unix.Fsync(fd)
		}
	})
	check := func(what string, paths ...string) {
		t.Helper()
		for _, p := range paths {
			id, err := identify(filepath.Join(r.s.opts.Dir, "buckets", p))
			if err != nil {
				t.Fatal(err)
			}
			if !synced[id] {
				t.Errorf("%s: %s was not fsynced", what, p)
			}
		}
		clear(synced)
	}
	b := r.bucket("synced")
	check("create bucket", ".", "synced")
	r.put(b, "x/y/k", "v")
	check("put", "synced/x/y/k", "synced/x/y", "synced/x", "synced")
	r.put(b, "x/y/k", "again")
	check("overwrite", "synced/x/y/k", "synced/x/y")
	r.put(b, "folder/", "")
	check("folder marker", "synced/folder", "synced")
	if _, err := r.client.CopyObject(ctx, &awss3.CopyObjectInput{Bucket: &b, Key: aws.String("c/k"), CopySource: aws.String("synced/x/y/k")}); err != nil {
		t.Fatal(err)
	}
	check("copy", "synced/c/k", "synced/c", "synced")
	up, err := r.client.CreateMultipartUpload(ctx, &awss3.CreateMultipartUploadInput{Bucket: &b, Key: aws.String("m/k")})
	if err != nil {
		t.Fatal(err)
	}
	part, err := r.client.UploadPart(ctx, &awss3.UploadPartInput{Bucket: &b, Key: up.Key, UploadId: up.UploadId, PartNumber: aws.Int32(1), Body: strings.NewReader("v")})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.client.CompleteMultipartUpload(ctx, &awss3.CompleteMultipartUploadInput{Bucket: &b, Key: up.Key, UploadId: up.UploadId,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: []types.CompletedPart{{ETag: part.ETag, PartNumber: aws.Int32(1), ChecksumCRC32: part.ChecksumCRC32}}}}); err != nil {
		t.Fatal(err)
	}
	check("multipart", "synced/m/k", "synced/m", "synced")
}

// Open and Close leave no goroutine, socket or folder behind.
func TestNothingIsLeft(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	cycle := func() {
		s, err := Open(ctx, Options{Dir: t.TempDir(), Region: "drover-1", Account: testAccount})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	cycle() // the library's own once-per-process goroutines start here
	before := goleak.IgnoreCurrent()
	start := time.Now()
	cycle()
	t.Logf("open and close took %s", time.Since(start))
	// fasthttp's worker pool has a cleaner that sees its end up to ten seconds later.
	goleak.VerifyNone(t, before, goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"))
	if left, err := os.ReadDir(os.Getenv("TMPDIR")); err != nil || len(left) != 0 {
		t.Errorf("left in the temporary folder: %v, %v", left, err)
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
