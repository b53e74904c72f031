// Package objects is the small S3 client of drover's own parts: the command line and the
// worker use the object store through the same door as every customer.
//
// It signs each request, escapes any UTF-8 key, keeps connections, proves what it uploads
// (SHA-256 in the signature up to 1 MiB, a CRC-32 the server checks above) and reports
// errors as *fault.Error with S3's code. Requests are repeated after connection errors and
// answers that say "later" (429, 5xx other than 501), a few times with growing pauses;
// every operation here may be repeated. Uploads above 4 GiB go in parts.
package objects

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"drover/internal/core/fault"
	"drover/internal/wire/sigv4"
)

// Client is an S3 client. Endpoint and Credentials must be set before the first call; it
// may be used from any goroutine then, and must not be copied.
type Client struct {
	Endpoint    string // such as http://127.0.0.1:4580; buckets are path segments
	Region      string // "" means drover-1; drover takes any
	Credentials func(context.Context) (sigv4.Credentials, error)
	HTTP        *http.Client // nil: one with 64 idle connections
	Attempts    int          // per request; 0 means 6, spread over about 3 s

	once         sync.Once
	base         *url.URL
	bad          error
	single, part int64 // limits of an upload in one request and of a part; tests lower them
}

// Static gives always the same credentials.
func Static(c sigv4.Credentials) func(context.Context) (sigv4.Credentials, error) {
	return func(context.Context) (sigv4.Credentials, error) { return c, nil }
}

const (
	defaultRegion   = "drover-1"
	defaultAttempts = 6
	firstPause      = 100 * time.Millisecond
	longestPause    = 2 * time.Second
	maxAnswer       = 8 << 20 // of an XML document
	maxError        = 64 << 10
)

func (c *Client) prepare() error {
	c.once.Do(func() {
		if c.single == 0 {
			c.single, c.part = singleLimit, partSize
		}
		c.base, c.bad = url.Parse(c.Endpoint)
		if c.bad != nil || c.base.Host == "" || c.base.Scheme != "http" && c.base.Scheme != "https" {
			c.bad = fault.New(fault.Invalid, "InvalidEndpoint", "the endpoint %q is no http:// or https:// address", c.Endpoint)
		}
		if c.HTTP == nil {
			c.HTTP = &http.Client{
				Transport: &http.Transport{
					Proxy:                 http.ProxyFromEnvironment,
					DialContext:           (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
					MaxIdleConns:          256,
					MaxIdleConnsPerHost:   64,
					IdleConnTimeout:       90 * time.Second,
					ExpectContinueTimeout: time.Second,
					DisableCompression:    true, // objects are bytes, not representations
					WriteBufferSize:       64 << 10,
					ReadBufferSize:        64 << 10,
				},
				CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
			}
		}
	})
	return c.bad
}

// request is one S3 request, which may be sent several times.
type request struct {
	method, bucket, key string
	query               string
	header              http.Header
	body                func() io.Reader // nil: none
	size                int64
	hash                string // of the body, or UNSIGNED-PAYLOAD
}

// small makes the request carry data, hashed.
func (q *request) small(data []byte) *request {
	q.body = func() io.Reader { return bytes.NewReader(data) }
	q.size, q.hash = int64(len(data)), sigv4.HashBody(data)
	return q
}

// do sends until an answer is good or final. The caller closes the body.
func (c *Client) do(ctx context.Context, q *request) (*http.Response, error) {
	if err := c.prepare(); err != nil {
		return nil, err
	}
	attempts := c.Attempts
	if attempts <= 0 {
		attempts = defaultAttempts
	}
	pause := firstPause
	for try := 1; ; try++ {
		res, err := c.send(ctx, q)
		if err == nil {
			return res, nil
		}
		if try >= attempts || ctx.Err() != nil || !passing(err) {
			return nil, err
		}
		wait := time.NewTimer(pause/2 + rand.N(pause/2+1))
		select {
		case <-wait.C:
		case <-ctx.Done():
			wait.Stop()
			return nil, err
		}
		pause = min(2*pause, longestPause)
	}
}

// passing reports whether the same request may succeed later.
func passing(err error) bool {
	return fault.Is(err, fault.Unavailable) || fault.Is(err, fault.Throttled) || fault.Is(err, fault.Internal)
}

func (c *Client) send(ctx context.Context, q *request) (*http.Response, error) {
	creds, err := c.Credentials(ctx)
	if err != nil {
		return nil, fmt.Errorf("get credentials for the object store: %w", err)
	}
	u := *c.base
	path := "/" + q.bucket
	if q.key != "" {
		path += "/" + q.key
	}
	u.Path, u.RawPath, u.RawQuery = path, escape(path), q.query
	req := (&http.Request{Method: q.method, URL: &u, Host: u.Host, Header: q.header.Clone(), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1}).WithContext(ctx)
	if req.Header == nil {
		req.Header = http.Header{}
	}
	hash := sigv4.EmptyHash
	if q.body != nil {
		hash = q.hash
		req.ContentLength = q.size
		req.Body = http.NoBody
		if q.size > 0 {
			req.Body = io.NopCloser(q.body())
		}
	}
	region := c.Region
	if region == "" {
		region = defaultRegion
	}
	sigv4.Sign(req, hash, creds, "s3", region, time.Now())
	res, err := c.HTTP.Do(req)
	if err != nil {
		if e := ctx.Err(); e != nil {
			return nil, fmt.Errorf("%s: %w", q.name(), e)
		}
		return nil, fault.Wrap(err, fault.Unavailable, "ConnectionError", "%s: the object store at %s cannot be reached: is the server running?", q.name(), c.Endpoint)
	}
	if res.StatusCode >= 200 && res.StatusCode < 300 {
		return res, nil
	}
	defer res.Body.Close()
	return nil, q.failure(res)
}

func (q *request) name() string {
	if q.bucket == "" {
		return q.method + " s3://"
	}
	return q.method + " s3://" + q.bucket + "/" + q.key
}

// failure reads an error answer; HEAD answers have only a status.
func (q *request) failure(res *http.Response) error {
	var doc struct{ Code, Message string }
	data, _ := io.ReadAll(io.LimitReader(res.Body, maxError)) // a cut error document is as good as none
	if xml.Unmarshal(data, &doc) != nil || doc.Code == "" {
		doc.Code = strings.ReplaceAll(http.StatusText(res.StatusCode), " ", "")
		doc.Message = "the object store answered " + res.Status
	}
	kind := fault.Invalid
	switch s := res.StatusCode; {
	case s == 404:
		kind = fault.NotFound
	case s == 401, s == 403:
		kind = fault.Denied
	case s == 409, s == 412, s == 304:
		kind = fault.Conflict
	case s == 413:
		kind = fault.TooLarge
	case s == 429:
		kind = fault.Throttled
	case s == 501:
		kind = fault.NotBuilt
	case s == 503, s == 502, s == 504:
		kind = fault.Unavailable
	case s >= 500:
		kind = fault.Internal
	case s == 400 && doc.Code == "RequestTimeout":
		kind = fault.Unavailable
	}
	f := fault.New(kind, doc.Code, "%s: %s", q.name(), doc.Message)
	f.Status = res.StatusCode
	return f
}

// run is do for requests whose answer has no content, or a small XML document.
func (c *Client) run(ctx context.Context, q *request, out any) error {
	res, err := c.do(ctx, q)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	data, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return fault.Wrap(err, fault.Unavailable, "ConnectionError", "%s: the answer ended early", q.name())
	}
	if out == nil {
		return nil
	}
	if err := xml.Unmarshal(data, out); err != nil {
		return fault.Wrap(err, fault.Internal, "MalformedAnswer", "%s: the answer is no XML document: is %s an S3 endpoint?", q.name(), c.Endpoint)
	}
	return nil
}

// escape percent-encodes a path for URL and signature alike: all but unreserved characters
// and slashes. It is byte-wise, so that any key passes.
func escape(path string) string {
	const hexDigits = "0123456789ABCDEF"
	var b strings.Builder
	b.Grow(len(path) + 16)
	for _, c := range []byte(path) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9',
			c == '-', c == '.', c == '_', c == '~', c == '/':
			b.WriteByte(c)
		default:
			b.WriteByte('%')
			b.WriteByte(hexDigits[c>>4])
			b.WriteByte(hexDigits[c&15])
		}
	}
	return b.String()
}

// IsNotFound reports whether err says that an object or bucket does not exist.
func IsNotFound(err error) bool { return fault.Is(err, fault.NotFound) }

// Close ends idle connections.
func (c *Client) Close() {
	if c.prepare() == nil {
		c.HTTP.CloseIdleConnections()
	}
}

func codeIs(err error, code string) bool {
	f, ok := errors.AsType[*fault.Error](err)
	return ok && f.Code == code
}
