package server_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"

	"drover/internal/blob"
	"drover/internal/blob/blobtest"
	"drover/internal/blob/s3"
	"drover/internal/link/external"
	"drover/internal/wire/keys"
)

// other is a second drover, whose S3 is the external one.
type other struct {
	endpoint string
	at       external.Address // without bucket
	client   *awss3.Client
}

func startOther(t *testing.T) *other {
	t.Helper()
	opt := options(t)
	endpoint, stop := run(t, opt)
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
	creds, err := keys.LoadOrCreate(filepath.Join(opt.Data, "credentials"))
	if err != nil {
		t.Fatal(err)
	}
	o := &other{endpoint: endpoint, at: external.Address{Endpoint: endpoint, Region: "drover-1"}}
	o.at.Use(creds.AccessKey, creds.Secret, "")
	if o.client, err = o.at.Client(t.Context()); err != nil {
		t.Fatal(err)
	}
	return o
}

// bucket makes a bucket there.
func (o *other) bucket(t *testing.T, name string) external.Address {
	t.Helper()
	if _, err := o.client.CreateBucket(t.Context(), &awss3.CreateBucketInput{Bucket: &name}); err != nil {
		t.Fatal(err)
	}
	at := o.at
	at.Bucket = name
	return at
}

func TestContentsInExternalS3(t *testing.T) {
	o := startOther(t)
	at := o.bucket(t, "contents")
	n := 0
	blobtest.Run(t, func(t *testing.T) blob.Store {
		n++
		fresh := at
		fresh.Prefix = "folder/" + string(rune('a'+n))
		s, err := s3.Open(t.Context(), fresh, "me")
		if err != nil {
			t.Fatal(err)
		}
		return s
	})
}

// broken stands between a store and its S3 and cuts or delays what it is told to.
type broken struct {
	*httptest.Server
	answers atomic.Int64 // bodies of which are cut after that many bytes; -1 = none
	cuts    atomic.Int64
}

func between(t *testing.T, endpoint string) *broken {
	to, err := url.Parse(endpoint)
	if err != nil {
		t.Fatal(err)
	}
	b := &broken{}
	b.answers.Store(-1)
	relay := &httputil.ReverseProxy{
		ErrorLog: log.New(io.Discard, "", 0),
		Rewrite:  func(r *httputil.ProxyRequest) { r.SetURL(to); r.Out.Host = r.In.Host },
		ModifyResponse: func(res *http.Response) error {
			if after := b.answers.Load(); after >= 0 && res.Request.Method == "GET" && res.ContentLength > after {
				b.cuts.Add(1)
				res.Body = struct {
					io.Reader
					io.Closer
				}{io.MultiReader(io.LimitReader(res.Body, after), brokenPipe{}), res.Body}
			}
			return nil
		},
	}
	b.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if p := recover(); p != nil {
				panic(http.ErrAbortHandler)
			}
		}()
		relay.ServeHTTP(w, r)
	}))
	t.Cleanup(b.Close)
	return b
}

type brokenPipe struct{}

func (brokenPipe) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestLargeContentsGoUpInParts(t *testing.T) {
	o := startOther(t)
	at := o.bucket(t, "large")
	b := between(t, o.endpoint)
	at.Endpoint = b.URL
	s, err := s3.Open(t.Context(), at, "me")
	if err != nil {
		t.Fatal(err)
	}
	const part = 8 * blob.BlockSize
	for n, hints := range map[int][]int64{part: {part, -1, 100}, part + 1: {part + 1, -1}, 3*part + 4711: {-1}} {
		p := blobtest.Content(uint64(n), n)
		for _, announced := range hints {
			info, err := s.Put(t.Context(), bytes.NewReader(p), announced)
			if err != nil {
				t.Fatal(err)
			}
			r, err := s.Get(t.Context(), info.ID, 0, -1)
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(r)
			if err != nil || !bytes.Equal(got, p) || r.Size() != int64(n) {
				t.Errorf("%d bytes came back as %d, %v", n, len(got), err)
			}
			r.Close()
		}
	}

	// A connection that breaks in mid-body is asked for the rest, a few times.
	n := 3 * blob.BlockSize
	p := blobtest.Content(1, n)
	info, err := s.Put(t.Context(), bytes.NewReader(p), int64(n))
	if err != nil {
		t.Fatal(err)
	}
	b.answers.Store(blob.BlockSize + 100_000)
	r, err := s.Get(t.Context(), info.ID, 5, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, p[5:]) || b.cuts.Load() == 0 {
		t.Errorf("after %d cuts: %d bytes, %v", b.cuts.Load(), len(got), err)
	}
	b.answers.Store(1000)
	if _, err := s.Get(t.Context(), info.ID, 0, -1); err == nil || b.cuts.Load() > 20 {
		t.Errorf("an answer that always breaks: %v after %d cuts", err, b.cuts.Load())
	}
	b.answers.Store(-1)

	// A source that fails in the second part leaves nothing, not even an upload.
	before := count(t, s)
	failed := errors.New("the client left")
	if _, err := s.Put(t.Context(), io.MultiReader(bytes.NewReader(make([]byte, part+9)), errReader{failed}), -1); !errors.Is(err, failed) {
		t.Errorf("a failing source: %v", err)
	}
	if now := count(t, s); now != before {
		t.Errorf("%d entries, %d before", now, before)
	}
	// An upload of a crash is shown and removed.
	key := "c/" + strings.Repeat("a", 26)
	if _, err := o.client.CreateMultipartUpload(t.Context(), &awss3.CreateMultipartUploadInput{Bucket: &at.Bucket, Key: &key}); err != nil {
		t.Fatal(err)
	}
	var temporary []blob.ID
	for e, err := range s.Scan(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		if e.Temporary && !e.Modified.IsZero() {
			temporary = append(temporary, e.ID)
		}
	}
	if len(temporary) != 1 {
		t.Fatalf("temporary entries: %v", temporary)
	}
	if err := s.Delete(t.Context(), temporary[0]); err != nil {
		t.Fatal(err)
	}
	if now := count(t, s); now != before {
		t.Errorf("after removal %d entries, %d before", now, before)
	}
}

type errReader struct{ err error }

func (r errReader) Read([]byte) (int, error) { return 0, r.err }

func count(t *testing.T, s blob.Store) (n int) {
	t.Helper()
	for _, err := range s.Scan(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	return n
}

// TestExternalDamage changes what lies in the bucket behind the store's back.
func TestExternalDamage(t *testing.T) {
	o := startOther(t)
	at := o.bucket(t, "damage")
	s, err := s3.Open(t.Context(), at, "me")
	if err != nil {
		t.Fatal(err)
	}
	n := 2*blob.BlockSize + 500
	info, err := s.Put(t.Context(), bytes.NewReader(blobtest.Content(3, n)), -1)
	if err != nil {
		t.Fatal(err)
	}
	key := "c/" + string(info.ID)
	out, err := o.client.GetObject(t.Context(), &awss3.GetObjectInput{Bucket: &at.Bucket, Key: &key})
	if err != nil {
		t.Fatal(err)
	}
	whole, _ := io.ReadAll(out.Body)
	for _, c := range []struct {
		name   string
		change func(p []byte) []byte
		offset int64
	}{
		{"a bit", func(p []byte) []byte { p[blob.BlockSize+100] ^= 1; return p }, blob.BlockSize},
		{"cut between frames", func(p []byte) []byte { return p[:2*(blob.BlockSize+4)] }, blob.BlockSize},
		{"cut in a frame", func(p []byte) []byte { return p[:len(p)-7] }, 2 * blob.BlockSize},
		{"cut to nothing", func(p []byte) []byte { return nil }, 0},
		{"frames exchanged", func(p []byte) []byte {
			f := blob.BlockSize + 4
			return append(append(bytes.Clone(p[f:2*f]), p[:f]...), p[2*f:]...)
		}, 0},
		{"longer", func(p []byte) []byte { return append(p, 0, 0, 0, 0, 0) }, 2 * blob.BlockSize},
	} {
		if _, err := o.client.PutObject(t.Context(), &awss3.PutObjectInput{Bucket: &at.Bucket, Key: &key, Body: bytes.NewReader(c.change(bytes.Clone(whole)))}); err != nil {
			t.Fatal(err)
		}
		var got []byte
		r, err := s.Get(t.Context(), info.ID, 0, -1)
		if err == nil {
			got, err = io.ReadAll(r)
			r.Close()
		}
		d, ok := errors.AsType[*blob.Damage](err)
		if !ok || d.Offset != c.offset || int64(len(got)) > d.Offset {
			t.Errorf("%s: %d bytes, %v", c.name, len(got), err)
		}
	}
}

// TestExternalTroubles words what is wrong with the external store.
func TestExternalTroubles(t *testing.T) {
	o := startOther(t)
	at := o.bucket(t, "troubles")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := s3.Open(ctx, at, "me"); err != nil {
		t.Fatal(err)
	}
	refused := func(name string, at external.Address, owner string, words ...string) {
		t.Helper()
		_, err := s3.Open(ctx, at, owner)
		for _, w := range words {
			if err == nil || !strings.Contains(err.Error(), w) {
				t.Errorf("%s: %v; want %q in it", name, err, w)
			}
		}
	}
	refused("another's prefix", at, "you", "another drover", "s3://troubles/PREFIX")
	missing := at
	missing.Bucket = "no-such-bucket"
	refused("no bucket", missing, "me", "no-such-bucket does not exist at "+o.endpoint)
	denied := at
	denied.Use("AKIAIOSFODNN7EXAMPLE", "secret", "")
	refused("foreign keys", denied, "me", "refuses the credentials", "troubles")
	gone := at
	gone.Endpoint = "http://127.0.0.1:1"
	refused("no server", gone, "me", "http://127.0.0.1:1 does not answer")

	for text, words := range map[string]string{
		"bucket": "is not the address", "s3:///x": "names no bucket", "s3://key:secret@bucket": "holds no keys",
		"s3://b?endpoint=minio:9000": "is not a URL", "s3://b?regio=x": "no option", "s3://b?style=old": "neither",
	} {
		if _, err := external.Parse(text); err == nil || !strings.Contains(err.Error(), words) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", text, err)
		}
	}
	full := "s3://bucket/a/b?endpoint=https://minio.example.org:9000&region=eu-west-1&profile=x&style=host"
	a, err := external.Parse(full)
	if err != nil || a.String() != full || a.Key("k") != "a/b/k" {
		t.Errorf("%+v %v: %s", a, err, a.String())
	}
	file := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(file, []byte("[default]\naws_access_key_id = one\naws_secret_access_key = two\n[other]\naws_access_key_id = three\naws_secret_access_key = four\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("AWS_ACCESS_KEY_ID", "of the environment")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "of the environment")
	for options, want := range map[string]string{"credentials=" + file: "one", "credentials=" + file + "&profile=other": "three", "region=x": "of the environment"} {
		a, err := external.Parse("s3://bucket?" + options)
		if err != nil {
			t.Fatal(err)
		}
		if access, _, _, err := a.Keys(t.Context()); err != nil || access != want {
			t.Errorf("%s: the key %q, %v", options, access, err)
		}
	}
	none := external.Address{Bucket: "b", Credentials: file, Profile: "absent"}
	if _, _, _, err := none.Keys(t.Context()); err == nil || !strings.Contains(err.Error(), "[absent]") {
		t.Errorf("a section that is not there: %v", err)
	}
}
