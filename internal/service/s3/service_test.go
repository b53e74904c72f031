package s3

import (
	"encoding/xml"
	"fmt"
	"log/slog"
	"net/http"
	"os"
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

	"drover/internal/wire"
	"drover/internal/wire/sigv4"
)

func TestRefusedOperationsNameThemselves(t *testing.T) {
	r := open(t, nil)
	b := r.bucket("refused")
	_, err := r.client.GetBucketReplication(ctx, &awss3.GetBucketReplicationInput{Bucket: &b})
	if code(err) != "NotImplemented" || !strings.Contains(err.Error(), "GetBucketReplication") {
		t.Errorf("replication: %v", err)
	}
	notify := func(c types.NotificationConfiguration) error {
		_, err := r.client.PutBucketNotificationConfiguration(ctx, &awss3.PutBucketNotificationConfigurationInput{Bucket: &b, NotificationConfiguration: &c})
		return err
	}
	arn := aws.String("arn:aws:sqs:drover-1:000000000000:q")
	if err := notify(types.NotificationConfiguration{QueueConfigurations: []types.QueueConfiguration{{QueueArn: arn, Events: []types.Event{"s3:ObjectCreated:*"}}}}); code(err) != "InvalidArgument" || !strings.Contains(err.Error(), "SQS") || !strings.Contains(err.Error(), *arn) {
		t.Errorf("notification of a queue: %v", err)
	}
	if err := notify(types.NotificationConfiguration{EventBridgeConfiguration: &types.EventBridgeConfiguration{}}); code(err) != "InvalidArgument" {
		t.Errorf("notification of a bus: %v", err)
	}
	if err := notify(types.NotificationConfiguration{}); err != nil {
		t.Errorf("no notification: %v", err)
	}
	if out, err := r.client.GetBucketNotificationConfiguration(ctx, &awss3.GetBucketNotificationConfigurationInput{Bucket: &b}); err != nil || len(out.QueueConfigurations) > 0 {
		t.Errorf("notifications: %+v, %v", out, err)
	}
	if _, err := r.client.GetBucketNotificationConfiguration(ctx, &awss3.GetBucketNotificationConfigurationInput{Bucket: aws.String("no-such-bucket")}); code(err) != "NoSuchBucket" {
		t.Errorf("notifications of no bucket: %v", err)
	}
}

func TestVirtualHosts(t *testing.T) {
	for host, want := range map[string]string{
		"localhost": "", "localhost:4580": "", "127.0.0.1:4580": "", "b.localhost:4580": "b", "a.b.localhost": "a.b", "s3.localhost": "", "b.s3.localhost:4580": "b",
		"s3.amazonaws.com": "", "s3.eu-west-1.amazonaws.com": "", "b.s3.amazonaws.com": "b", "b.s3.eu-west-1.amazonaws.com:443": "b",
		"a.s3.b.s3.eu-west-1.amazonaws.com": "a.s3.b", "b.s3-us-west-2.amazonaws.com": "b", "sqs.us-east-1.amazonaws.com": "",
		"store.example.org": "", "b.store.example.org:4582": "b", "long.store.example.org": "", "b.long.store.example.org": "b", "b.example.org": "",
	} {
		if got := hostBucket(host, []string{"long.store.example.org", "store.example.org"}); got != want {
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

func TestReopen(t *testing.T) {
	dir := t.TempDir()
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

// testLog shows what the service logs only when the test fails.
func testLog(t testing.TB) *slog.Logger {
	return slog.New(slog.NewTextHandler(testWriter{t}, &slog.HandlerOptions{Level: slog.LevelWarn}))
}

type testWriter struct{ t testing.TB }

func (w testWriter) Write(p []byte) (int, error) {
	w.t.Log(strings.TrimSpace(string(p)))
	return len(p), nil
}
