package sigv4

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"pgregory.net/rapid"

	"drover/internal/core/fault"
)

func codeOf(err error) string {
	if err == nil {
		return ""
	}
	return fault.From(err).Code
}

const testStamp = "20260102T030405Z"

// sdkSigned builds a random request and signs it with the AWS SDK's own signer.
func sdkSigned(t *rapid.T, presign bool) (r *http.Request, body, service string, creds Credentials) {
	creds = Credentials{AccessKey: "AKIA" + rapid.StringMatching(`[A-Z0-9]{4,16}`).Draw(t, "key"), Secret: rapid.StringMatching(`[ -~]{1,60}`).Draw(t, "secret")}
	if rapid.Bool().Draw(t, "session") {
		creds.SessionToken = rapid.StringMatching(`[A-Za-z0-9+/=]{8,60}`).Draw(t, "token")
	}
	service = rapid.SampledFrom([]string{"s3", "batch", "logs", "sts"}).Draw(t, "service")
	region := rapid.SampledFrom([]string{"drover-1", "us-east-1"}).Draw(t, "region")
	body = rapid.StringN(0, 200, 400).Draw(t, "body")
	u := &url.URL{Scheme: "http", Host: rapid.SampledFrom([]string{"127.0.0.1:4580", "localhost", "[::1]:8080"}).Draw(t, "host")}
	segment := rapid.StringMatching(`[a-zA-Z0-9 :+@!$&'()*,;=~._/%äß-]{1,12}`)
	for i := range rapid.IntRange(1, 4).Draw(t, "segments") {
		s := segment.Draw(t, "segment")
		if service != "s3" { // the SDK does not normalise paths; AWS and we do
			s = strings.Trim(strings.ReplaceAll(s, "/", "-"), ".") + "x"
		}
		u.Path += "/" + s
		_ = i
	}
	u.RawPath = escapeAll(u.Path)
	q := url.Values{}
	for range rapid.IntRange(0, 4).Draw(t, "params") {
		q.Add(rapid.StringMatching(`[a-zA-Z0-9 +&=-]{1,8}`).Draw(t, "name"), rapid.String().Draw(t, "value"))
	}
	u.RawQuery = q.Encode()
	r, err := http.NewRequest(rapid.SampledFrom([]string{"GET", "PUT", "POST", "DELETE"}).Draw(t, "method"), u.String(), strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for range rapid.IntRange(0, 3).Draw(t, "headers") {
		r.Header.Add("X-Amz-Meta-"+rapid.StringMatching(`[a-z]{1,6}`).Draw(t, "meta"), rapid.StringMatching(`[ -~]{0,20}`).Draw(t, "metaValue"))
	}
	hash := HashBody([]byte(body))
	when := at(testStamp)()
	signer := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = service == "s3" })
	ac := aws.Credentials{AccessKeyID: creds.AccessKey, SecretAccessKey: creds.Secret, SessionToken: creds.SessionToken}
	if presign {
		if service == "s3" {
			hash = UnsignedPayload
		}
		p := r.URL.Query()
		p.Set("X-Amz-Expires", "600")
		r.URL.RawQuery = p.Encode()
		signed, _, err := signer.PresignHTTP(context.Background(), ac, r, hash, service, region, when)
		if err != nil {
			t.Fatal(err)
		}
		if r.URL, err = url.Parse(signed); err != nil {
			t.Fatal(err)
		}
	} else {
		if service == "s3" {
			r.Header.Set("X-Amz-Content-Sha256", hash)
		}
		if err := signer.SignHTTP(context.Background(), ac, r, hash, service, region, when); err != nil {
			t.Fatal(err)
		}
	}
	return r, body, service, creds
}

func escapeAll(path string) string {
	return strings.ReplaceAll(strings.ReplaceAll(url.QueryEscape(path), "+", "%20"), "%2F", "/")
}

// received turns a client's request into what a server gets.
func received(t interface{ Fatal(...any) }, r *http.Request, body string) *http.Request {
	u, err := url.ParseRequestURI(r.URL.RequestURI())
	if err != nil {
		t.Fatal(err)
	}
	return &http.Request{Method: r.Method, URL: u, Header: r.Header.Clone(), Host: r.Host,
		Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body))}
}

// accept verifies a request to its end.
func accept(v *Verifier, r *http.Request) error {
	_, b, err := v.Verify(r)
	if err == nil {
		_, err = io.Copy(io.Discard, b.Reader)
	}
	return err
}

// TestAgreesWithTheSDK: what the AWS SDK signs is accepted, our own signature of the same
// request is the same, and no part of the request can be changed afterwards.
func TestAgreesWithTheSDK(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		presign := rapid.Bool().Draw(t, "presign")
		r, body, service, creds := sdkSigned(t, presign)
		v := &Verifier{Keys: oneKey(creds), Now: at(testStamp)}
		if presign && service != "s3" && body != "" {
			body = "" // signed as it was: with the hash of the body
			return
		}
		if err := accept(v, received(t, r, body)); err != nil {
			t.Fatalf("the SDK's request is refused: %v\n%s %s\n%v", err, r.Method, r.URL.RequestURI(), r.Header)
		}
		if !presign {
			ours := received(t, r, body)
			want := ours.Header.Get("Authorization")
			ours.Header.Del("Authorization")
			region := strings.Split(want, "/")[2]
			Sign(ours, HashBody([]byte(body)), creds, service, region, at(testStamp)())
			if got := ours.Header.Get("Authorization"); got != want {
				t.Fatalf("we sign\n%s\nthe SDK\n%s", got, want)
			}
		}
		for name, change := range mutations(service, presign, body) {
			m := received(t, r, body)
			if !change(m) {
				continue
			}
			if err := accept(v, m); err == nil {
				t.Fatalf("%s: accepted\n%s %s\n%v", name, m.Method, m.URL.RequestURI(), m.Header)
			}
		}
	})
}

// mutations are the ways to change a signed request; each reports whether it applied.
// house:table one line or two for each part of a request, read side by side
func mutations(service string, presign bool, body string) map[string]func(*http.Request) bool {
	edit := func(s string) string { // changes the last character
		if s == "" {
			return "0"
		}
		c := s[len(s)-1] ^ 1
		return s[:len(s)-1] + string(rune(c))
	}
	reparse := func(r *http.Request, target string) bool {
		u, err := url.ParseRequestURI(target)
		if err != nil {
			return false
		}
		r.URL = u
		return true
	}
	m := map[string]func(*http.Request) bool{
		"method": func(r *http.Request) bool { r.Method = "PATCH"; return true },
		"host":   func(r *http.Request) bool { r.Host += "x"; return true },
		"path":   func(r *http.Request) bool { return reparse(r, "/y"+r.URL.RequestURI()) },
		"slash": func(r *http.Request) bool {
			return service == "s3" && reparse(r, "/"+r.URL.EscapedPath()+"?"+r.URL.RawQuery)
		},
		"slash encoded": func(r *http.Request) bool {
			p := r.URL.EscapedPath()
			return reparse(r, "/"+strings.Replace(p[1:]+"/z", "/", "%2F", 1)+"?"+r.URL.RawQuery)
		},
		"query added":    func(r *http.Request) bool { r.URL.RawQuery += "&zz=1"; return true },
		"query no value": func(r *http.Request) bool { r.URL.RawQuery += "&acl"; return true },
		"query removed": func(r *http.Request) bool {
			for name := range r.URL.Query() {
				if !strings.HasPrefix(name, "X-Amz-") {
					q := r.URL.Query()
					q.Del(name)
					r.URL.RawQuery = q.Encode()
					return true
				}
			}
			return false
		},
		"new x-amz header": func(r *http.Request) bool { r.Header.Set("X-Amz-Copy-Source", "/b/k"); return true },
		"new target":       func(r *http.Request) bool { r.Header.Set("X-Amz-Target", "Logs.DeleteLogGroup"); return true },
		"meta changed": func(r *http.Request) bool {
			for name := range r.Header {
				if strings.HasPrefix(name, "X-Amz-Meta-") {
					r.Header.Set(name, r.Header.Get(name)+"x")
					return true
				}
			}
			return false
		},
		"meta removed": func(r *http.Request) bool {
			for name := range r.Header {
				if strings.HasPrefix(name, "X-Amz-Meta-") {
					r.Header.Del(name)
					return true
				}
			}
			return false
		},
		"body": func(r *http.Request) bool {
			r.Body = io.NopCloser(strings.NewReader(edit(body)))
			return !presign || service != "s3"
		},
		"body longer": func(r *http.Request) bool {
			r.Body = io.NopCloser(strings.NewReader(body + "x"))
			return !presign || service != "s3"
		},
	}
	if presign {
		mutateQuery(m, edit)
	} else {
		mutateHeader(m, edit, service)
	}
	return m
}

// mutateQuery adds the ways to change a presigned request's own parameters.
func mutateQuery(m map[string]func(*http.Request) bool, edit func(string) string) {
	param := func(name string, f func(string) string) func(*http.Request) bool {
		return func(r *http.Request) bool {
			q := r.URL.Query()
			if !q.Has(name) {
				return false
			}
			q.Set(name, f(q.Get(name)))
			r.URL.RawQuery = q.Encode()
			return true
		}
	}
	for _, p := range []string{"X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires", "X-Amz-Signature", "X-Amz-SignedHeaders", "X-Amz-Security-Token", "X-Amz-Algorithm"} {
		m[p] = param(p, edit)
		m[p+" twice"] = func(r *http.Request) bool {
			if !r.URL.Query().Has(p) {
				return false
			}
			r.URL.RawQuery += "&" + p + "=" + url.QueryEscape(r.URL.Query().Get(p))
			return true
		}
		m[p+" gone"] = func(r *http.Request) bool {
			q := r.URL.Query()
			had := q.Has(p)
			q.Del(p)
			r.URL.RawQuery = q.Encode()
			return had
		}
	}
	m["life longer"] = param("X-Amz-Expires", func(string) string { return "604800" })
	m["credentials in the header too"] = func(r *http.Request) bool { r.Header.Set("Authorization", "AWS4-HMAC-SHA256 x"); return true }
}

// mutateHeader adds the ways to change what a header signature consists of.
func mutateHeader(m map[string]func(*http.Request) bool, edit func(string) string, service string) {
	for _, h := range []string{"X-Amz-Date", "X-Amz-Security-Token", "X-Amz-Content-Sha256", "Authorization"} {
		m[h] = func(r *http.Request) bool {
			if r.Header.Get(h) == "" {
				return false
			}
			r.Header.Set(h, edit(r.Header.Get(h)))
			return true
		}
		m[h+" twice"] = func(r *http.Request) bool {
			if r.Header.Get(h) == "" {
				return false
			}
			r.Header.Add(h, r.Header.Get(h))
			return true
		}
		m[h+" gone"] = func(r *http.Request) bool {
			had := r.Header.Get(h) != ""
			r.Header.Del(h)
			return had
		}
	}
	for old, new := range map[string]string{"/drover-1/": "/drover-2/", "/us-east-1/": "/us-west-1/", "/" + service + "/": "/iam/", "/20260102/": "/20260103/", "aws4_request": "aws5_request", "host": "hosu", ";": ","} {
		m["scope "+old] = func(r *http.Request) bool {
			a := r.Header.Get("Authorization")
			r.Header.Set("Authorization", strings.Replace(a, old, new, 1))
			return strings.Contains(a, old)
		}
	}
	m["credentials in the query too"] = func(r *http.Request) bool {
		r.URL.RawQuery += "&X-Amz-Algorithm=AWS4-HMAC-SHA256"
		return true
	}
}

func TestRefusals(t *testing.T) {
	creds := Credentials{AccessKey: "AKIATEST", Secret: "s", SessionToken: "tok"}
	creds.Expires = at(testStamp)().Add(5 * time.Minute)
	signed := func(service, hash string, edit func(*http.Request)) *http.Request {
		r := request(t, "POST /", "", "Host:h")
		Sign(r, hash, creds, service, "drover-1", at(testStamp)())
		if edit != nil {
			edit(r)
		}
		return r
	}
	replace := func(old, new string) func(*http.Request) {
		return func(r *http.Request) {
			r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), old, new, 1))
		}
	}
	for _, k := range []struct {
		name, now, code, words string
		r                      *http.Request
	}{
		{"good", testStamp, "", "", signed("batch", EmptyHash, nil)},
		{"14 minutes late", "20260102T031805Z", CodeExpiredToken, "expired", signed("batch", EmptyHash, nil)},
		{"16 minutes late", "20260102T032005Z", CodeSkewed, "Signature expired: 20260102T030405Z is now earlier than 20260102T030505Z (20260102T032005Z - 15 min.)", signed("batch", EmptyHash, nil)},
		{"16 minutes early", "20260102T024805Z", CodeSkewed, "Signature not yet current: 20260102T030405Z is still later than", signed("batch", EmptyHash, nil)},
		{"nothing signed", testStamp, CodeMissingToken, "Missing Authentication Token", request(t, "POST /", "", "Host:h")},
		{"unknown key", testStamp, CodeUnknownKey, "security token", signed("batch", EmptyHash, replace("AKIATEST", "AKIAOTHER"))},
		{"foreign token", testStamp, CodeUnknownKey, "security token", signed("batch", EmptyHash, func(r *http.Request) { r.Header.Set("X-Amz-Security-Token", "other") })},
		{"ECDSA", testStamp, CodeUnsupported, "SigV4a", signed("batch", EmptyHash, replace("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256"))},
		{"version 2", testStamp, CodeUnsupported, "version 2", request(t, "GET /", "", "Host:h", "Authorization:AWS AKIATEST:c2ln")},
		{"version 2 query", testStamp, CodeUnsupported, "version 2", request(t, "GET /?AWSAccessKeyId=AKIATEST&Signature=x&Expires=1", "", "Host:h")},
		{"bearer", testStamp, CodeIncomplete, "not supported", request(t, "GET /", "", "Host:h", "Authorization:Bearer x")},
		{"no signature part", testStamp, CodeIncomplete, "requires", signed("batch", EmptyHash, func(r *http.Request) {
			a, _, _ := strings.Cut(r.Header.Get("Authorization"), ", Signature=")
			r.Header.Set("Authorization", a)
		})},
		{"host unsigned", testStamp, CodeMismatch, "Host", signed("batch", EmptyHash, replace("SignedHeaders=host;", "SignedHeaders="))},
		{"unsorted headers", testStamp, CodeIncomplete, "sorted", signed("batch", EmptyHash, replace("host;x-amz-date", "x-amz-date;host"))},
		{"short scope", testStamp, CodeIncomplete, "form", signed("batch", EmptyHash, replace("/aws4_request", ""))},
		{"unsigned payload elsewhere", testStamp, CodeUnsupported, "SHA-256", signed("batch", UnsignedPayload, nil)},
		{"streaming elsewhere", testStamp, CodeUnsupported, "SHA-256", signed("batch", streamUnsignedTrailer, nil)},
		{"ECDSA chunks", testStamp, CodeUnsupported, "SigV4a", signed("s3", "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD", nil)},
		{"unknown payload form", testStamp, CodeUnsupported, "must be", signed("s3", "STREAMING-NOTHING", nil)},
		{"no decoded length", testStamp, "MissingContentLength", "decoded", signed("s3", streamSigned, nil)},
		{"no payload hash for s3", testStamp, CodeUnsupported, "x-amz-content-sha256", func() *http.Request {
			r := signed("s3", EmptyHash, replace(";x-amz-content-sha256", ""))
			r.Header.Del("X-Amz-Content-Sha256")
			return r
		}()},
	} {
		v := &Verifier{Keys: oneKey(creds), Now: at(k.now)}
		err := accept(v, k.r)
		if codeOf(err) != k.code || err != nil && !strings.Contains(err.Error(), k.words) {
			t.Errorf("%s: %v, want %s ... %s", k.name, err, k.code, k.words)
		}
	}
}

func TestPresignedLimits(t *testing.T) {
	v := &Verifier{Keys: oneKey(s3Key), Now: at(testStamp)}
	for _, life := range []time.Duration{0, -time.Second, time.Second, 7 * 24 * time.Hour, 7*24*time.Hour + time.Second} {
		u, _ := url.Parse("http://h/b/k?versionId=3")
		Presign(&http.Request{Method: "GET", URL: u, Header: http.Header{}}, "", s3Key, "s3", "r", at(testStamp)(), life)
		err := accept(v, request(t, "GET "+u.RequestURI(), "", "Host:h"))
		if good := life >= time.Second && life <= 7*24*time.Hour; (err == nil) != good {
			t.Errorf("%v: %v", life, err)
		}
	}
}

func TestPaths(t *testing.T) {
	for _, k := range []struct {
		path string
		raw  bool
		want string
	}{
		{"", false, "/"}, {"", true, "/"},
		{"/a//b/./c/../d", false, "/a/b/d"}, {"/a//b/./c/../d", true, "/a//b/./c/../d"},
		{"/..", false, "/"}, {"/a/..", false, "/"}, {"/a/b/..", false, "/a/"}, {"/a/", false, "/a/"}, {"//", false, "/"},
		{"/v1/tags/arn%3Aaws%2Fx", false, "/v1/tags/arn%253Aaws%252Fx"},
		{"/b/a%2fb%41+c@d*", true, "/b/a%2FbA%2Bc%40d%2A"},
		{"/.hidden/a.b", false, "/.hidden/a.b"},
	} {
		if got, ok := appendPath(nil, k.path, k.raw); !ok || string(got) != k.want {
			t.Errorf("%q raw %v: %q, want %q", k.path, k.raw, got, k.want)
		}
	}
	if _, ok := appendPath(nil, "/a%zz", true); ok {
		t.Error("a broken escape has a canonical form")
	}
}

func TestKeyCacheIsBoundedAndFollowsTheSecret(t *testing.T) {
	var c keyCache
	for i := range 3 * keyCacheSize {
		c.put(cacheKey{accessKey: fmt.Sprint(i)}, "s", [32]byte{})
	}
	if len(c.young) > keyCacheSize || len(c.old) > keyCacheSize {
		t.Errorf("%d + %d entries", len(c.young), len(c.old))
	}
	last := cacheKey{accessKey: fmt.Sprint(3*keyCacheSize - 1)}
	if _, ok := c.get(last, "s"); !ok {
		t.Error("the last entry is gone")
	}
	if _, ok := c.get(last, "other"); ok {
		t.Error("a replaced secret still finds the old key")
	}
}

func TestTooLargeBody(t *testing.T) {
	r := request(t, "POST /", strings.Repeat("x", 101), "Host:h")
	Sign(r, HashBody([]byte(strings.Repeat("x", 101))), s3Key, "batch", "r", at(testStamp)())
	v := &Verifier{Keys: oneKey(s3Key), Now: at(testStamp), MaxBody: 100}
	if err := accept(v, r); !fault.Is(err, fault.TooLarge) {
		t.Error(err)
	}
}

// The AWS SDK for Java signs a key with doubled slashes as it is and sends every second one
// encoded. An encoded slash in the bucket's part stays another address.
func TestEncodedSlashesInKeys(t *testing.T) {
	now, err := time.Parse("20060102T150405Z", testStamp)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		signed, sent string
		ok           bool
	}{
		{"/bucket/dir//x", "/bucket/dir/%2Fx", true},
		{"/bucket//x", "/bucket/%2fx", true},
		{"/bucket/dir/%2Fx", "/bucket/dir/%2Fx", true},
		{"/bucket/dir/x", "/bucket/dir/%2Fx", false},
		{"/bucket/dir/x", "/bucket%2Fdir/x", false},
		{"/bucket/dir%252Fx", "/bucket/dir%2Fx", false},
	} {
		r, err := http.NewRequest("GET", "http://127.0.0.1"+c.signed, nil)
		if err != nil {
			t.Fatal(err)
		}
		Sign(r, EmptyHash, s3Key, "s3", "drover-1", now)
		if r.URL, err = url.Parse("http://127.0.0.1" + c.sent); err != nil {
			t.Fatal(err)
		}
		v := &Verifier{Keys: oneKey(s3Key), Now: at(testStamp)}
		if _, _, err := v.Verify(r); (err == nil) != c.ok {
			t.Errorf("signed as %s and sent as %s: %v", c.signed, c.sent, err)
		}
	}
}
