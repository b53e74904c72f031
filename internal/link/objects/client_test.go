package objects

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"drover/internal/core/fault"
	"drover/internal/wire/authz"
	"drover/internal/wire/sigv4"
)

// The real service is tested with this client in service/s3; here are the answers that a
// healthy service does not give.

func client(url string) *Client {
	return &Client{Endpoint: url, Credentials: Static(sigv4.Credentials{AccessKey: "AK", Secret: "S"})}
}

func TestPassingFailuresAreRepeated(t *testing.T) {
	for _, c := range []struct {
		status int
		body   string
		calls  int64
		kind   fault.Kind
		code   string
	}{
		{503, "<Error><Code>SlowDown</Code><Message>m</Message></Error>", 2, fault.Unavailable, "SlowDown"},
		{500, "", 2, fault.Internal, "InternalServerError"},
		{429, "no xml", 2, fault.Throttled, "TooManyRequests"},
		{501, "<Error><Code>NotImplemented</Code><Message>m</Message></Error>", 1, fault.NotBuilt, "NotImplemented"},
		{403, "<Error><Code>AccessDenied</Code><Message>m</Message></Error>", 1, fault.Denied, "AccessDenied"},
		{404, "<Error><Code>NoSuchKey</Code><Message>m</Message></Error>", 1, fault.NotFound, "NoSuchKey"},
		{307, "", 1, fault.Invalid, "TemporaryRedirect"},
	} {
		var calls atomic.Int64
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			calls.Add(1)
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(c.status)
			w.Write([]byte(c.body))
		}))
		cl := client(srv.URL)
		cl.Attempts = 2
		err := cl.Put(context.Background(), "b", "k", []byte("x"))
		f, ok := errors.AsType[*fault.Error](err)
		if !ok || f.Kind != c.kind || f.Code != c.code || f.Status != c.status {
			t.Errorf("%d: %#v", c.status, err)
		}
		if calls.Load() != c.calls {
			t.Errorf("%d: %d calls, want %d", c.status, calls.Load(), c.calls)
		}
		cl.Close()
		srv.Close()
	}
}

// A repeated upload sends its content again from the start.
func TestRepeatedUploadIsWhole(t *testing.T) {
	var calls atomic.Int64
	var got atomic.Value
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if calls.Add(1) == 1 {
			conn, _, _ := http.NewResponseController(w).Hijack()
			conn.Close()
			return
		}
		b := make([]byte, r.ContentLength)
		n, _ := r.Body.Read(b)
		got.Store(string(b[:n]))
	}))
	defer srv.Close()
	c := client(srv.URL)
	defer c.Close()
	if err := c.Put(context.Background(), "b", "k", []byte("content")); err != nil {
		t.Fatal(err)
	}
	if calls.Load() != 2 || got.Load() != "content" {
		t.Errorf("%d calls, body %q", calls.Load(), got.Load())
	}
}

func TestLargeUploadsGoInParts(t *testing.T) {
	var log []string
	var stored strings.Builder
	fail := ""
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		log = append(log, r.Method+" "+r.URL.RawQuery)
		switch {
		case r.URL.Query().Get("partNumber") == fail && fail != "":
			w.WriteHeader(403)
		case r.URL.RawQuery == "uploads=":
			io.WriteString(w, "<InitiateMultipartUploadResult><UploadId>id/1</UploadId></InitiateMultipartUploadResult>")
		case r.Method == "PUT":
			stored.Write(body)
			w.Header().Set("ETag", fmt.Sprintf("%q", body))
		case r.Method == "POST":
			if want := `<Part><PartNumber>3</PartNumber><ETag>&#34;9a&#34;</ETag></Part></CompleteMultipartUpload>`; !strings.HasSuffix(string(body), want) {
				t.Errorf("completed with %s", body)
			}
		}
	}))
	defer srv.Close()
	c := client(srv.URL)
	defer c.Close()
	c.single, c.part = 5, 4
	const content = "123456789a"
	if err := c.PutFrom(context.Background(), "b", "k", strings.NewReader(content), int64(len(content))); err != nil {
		t.Fatal(err)
	}
	if stored.String() != content || len(log) != 5 || log[4] != "POST uploadId=id%2F1" {
		t.Errorf("stored %q by %q", stored.String(), log)
	}
	log, fail = nil, "2"
	if err := c.PutFrom(context.Background(), "b", "k", strings.NewReader(content), int64(len(content))); !fault.Is(err, fault.Denied) {
		t.Errorf("a refused part: %v", err)
	}
	if last := log[len(log)-1]; last != "DELETE uploadId=id%2F1" {
		t.Errorf("the failed upload was not aborted: %q", log)
	}
}

func TestNoServer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	c := client("http://" + addr)
	c.Attempts = 1
	_, err = c.Head(context.Background(), "b", "k")
	if !fault.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), addr) {
		t.Errorf("%v", err)
	}
	for _, bad := range []string{"", "127.0.0.1:4580", "ftp://host", "http://"} {
		if err := client(bad).CreateBucket(context.Background(), "b"); !fault.Is(err, fault.Invalid) {
			t.Errorf("endpoint %q: %v", bad, err)
		}
	}
}

// Whatever the key, the server sees exactly it, and a signature that verifies.
func TestAnyKeyArrives(t *testing.T) {
	seen := make(chan string, 1)
	v := &sigv4.Verifier{Keys: anyKey{}}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a, err := v.Open(r)
		if err == nil {
			_, err = a.Stream()
		}
		if err != nil {
			seen <- "refused: " + err.Error()
			return
		}
		seen <- r.URL.Path
	}))
	defer srv.Close()
	c := client(srv.URL)
	defer c.Close()
	rapid.Check(t, func(t *rapid.T) {
		key := rapid.OneOf(rapid.String(), rapid.StringMatching(`[/.%+? a-z]{1,9}`)).Filter(func(s string) bool { return s != "" }).Draw(t, "key")
		if err := c.Put(context.Background(), "b", key, nil); err != nil {
			t.Fatal(err)
		}
		if got := <-seen; got != "/b/"+key {
			t.Fatalf("sent %q, arrived as %q", key, got)
		}
	})
}

type anyKey struct{}

func (anyKey) Secret(string, string, time.Time) (sigv4.Key, error) {
	return sigv4.Key{Secret: "S", Principal: authz.Principal{Kind: authz.Root}}, nil
}
