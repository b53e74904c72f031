package sigv4

import (
	"bufio"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"drover/internal/core/fault"
	"drover/internal/wire/authz"
)

type exampleKey struct{}

func (exampleKey) Secret(id, _ string, _ time.Time) (Key, error) {
	if id != "AKIAIOSFODNN7EXAMPLE" {
		return Key{}, ErrUnknownKey()
	}
	return Key{Secret: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", Principal: authz.Principal{Kind: authz.Root}}, nil
}

func verifier2(now time.Time) *Verifier {
	return &Verifier{Keys: exampleKey{}, Now: func() time.Time { return now }, V2: &Version2{
		Region: "drover-1", Allow: func(*http.Request) error { return nil },
		Bucket: func(host string) string {
			bucket, ok := strings.CutSuffix(strings.TrimSuffix(host, ":8080"), ".s3.amazonaws.com")
			if !ok && host != "s3.amazonaws.com" {
				return strings.TrimSuffix(host, ":8080")
			}
			if !ok {
				return ""
			}
			return bucket
		},
	}}
}

func request2(t *testing.T, text string) *http.Request {
	t.Helper()
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(strings.ReplaceAll(text, "\n", "\r\n") + "\r\n\r\n")))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// The examples of Amazon's documentation of version 2.
func examples2() map[string]string {
	return map[string]string{
		"get": `GET /photos/puppy.jpg HTTP/1.1
Host: johnsmith.s3.amazonaws.com
Date: Tue, 27 Mar 2007 19:36:42 +0000
Authorization: AWS AKIAIOSFODNN7EXAMPLE:bWq2s1WEIj+Ydj0vQ697zp+IXMU=`,
		"put": `PUT /photos/puppy.jpg HTTP/1.1
Content-Type: image/jpeg
Content-Length: 0
Host: johnsmith.s3.amazonaws.com
Date: Tue, 27 Mar 2007 21:15:45 +0000
Authorization: AWS AKIAIOSFODNN7EXAMPLE:MyyxeRY7whkBe+bq8fHCL/2kKUg=`,
		"list": `GET /?prefix=photos&max-keys=50&marker=puppy HTTP/1.1
User-Agent: Mozilla/5.0
Host: johnsmith.s3.amazonaws.com
Date: Tue, 27 Mar 2007 19:42:41 +0000
Authorization: AWS AKIAIOSFODNN7EXAMPLE:htDYFYduRNen8P9ZfE/s9SuKy0U=`,
		"sub-resource": `GET /?acl HTTP/1.1
Host: johnsmith.s3.amazonaws.com
Date: Tue, 27 Mar 2007 19:44:46 +0000
Authorization: AWS AKIAIOSFODNN7EXAMPLE:c2WLPFtWHVgbEmeEG93a4cG37dM=`,
		"all buckets": `GET / HTTP/1.1
Host: s3.amazonaws.com
Date: Wed, 28 Mar 2007 01:29:59 +0000
Authorization: AWS AKIAIOSFODNN7EXAMPLE:qGdzdERIC03wnaRNKh6OqZehG9s=`,
		"unicode": `GET /dictionary/fran%C3%A7ais/pr%c3%a9f%c3%a8re HTTP/1.1
Host: s3.amazonaws.com
Date: Wed, 28 Mar 2007 01:49:49 +0000
Authorization: AWS AKIAIOSFODNN7EXAMPLE:DNEZGsoieTZ92F3bUfSPQcbGmlM=`,
		"upload": `PUT /db-backup.dat.gz HTTP/1.1
User-Agent: curl/7.15.5
Host: static.johnsmith.net:8080
Date: Tue, 27 Mar 2007 21:06:08 +0000
x-amz-acl: public-read
content-type: application/x-download
Content-MD5: 4gJE4saaMU4BqNR0kLY+lw==
X-Amz-Meta-ReviewedBy: joe@johnsmith.net
X-Amz-Meta-ReviewedBy: jane@johnsmith.net
X-Amz-Meta-FileChecksum: 0x02661779
X-Amz-Meta-ChecksumAlgorithm: crc32
Content-Disposition: attachment; filename=database.dat
Content-Encoding: gzip
Content-Length: 5913339
Authorization: AWS AKIAIOSFODNN7EXAMPLE:ilyl83RwaSoYIEdixDQcA4OnAnc=`,
	}
}

func TestVersion2Examples(t *testing.T) {
	for name, text := range examples2() {
		r := request2(t, text)
		now, err := time.Parse(time.RFC1123Z, r.Header.Get("Date"))
		if err != nil {
			t.Fatal(err)
		}
		v := verifier2(now.Add(time.Minute))
		p, body, err := v.Verify(r)
		if err != nil || p.Kind != authz.Root || body.Mode != Unsigned {
			t.Errorf("%s: %v", name, err)
		}
		for what, spoil := range map[string]func(r *http.Request){
			"the method":    func(r *http.Request) { r.Method = "DELETE" },
			"the path":      func(r *http.Request) { r.URL.Path += "x"; r.URL.RawPath = "" },
			"the bucket":    func(r *http.Request) { r.Host = "other.s3.amazonaws.com" },
			"a parameter":   func(r *http.Request) { r.URL.RawQuery = "policy" },
			"a header":      func(r *http.Request) { r.Header.Set("X-Amz-Copy-Source", "/a/b") },
			"the key":       func(r *http.Request) { r.Header.Set("Authorization", "AWS AKIAOTHER:"+"x") },
			"the signature": func(r *http.Request) { r.Header.Set("Authorization", r.Header.Get("Authorization")[:40]+"=") },
		} {
			bad := request2(t, text)
			spoil(bad)
			if _, _, err := v.Verify(bad); err == nil {
				t.Errorf("%s: with another %s it passes", name, what)
			}
		}
		if _, _, err := verifier2(now.Add(16 * time.Minute)).Verify(request2(t, text)); code2(err) != CodeSkewed {
			t.Errorf("%s: too late: %v", name, err)
		}
		if _, _, err := (&Verifier{Keys: exampleKey{}, Now: v.Now}).Verify(request2(t, text)); code2(err) != CodeUnsupported {
			t.Errorf("%s: where it is not allowed: %v", name, err)
		}
		v.V2.Allow = func(*http.Request) error { return refuse(CodeUnsupported, "not here") }
		if _, _, err := v.Verify(request2(t, text)); err == nil || !strings.Contains(err.Error(), "not here") {
			t.Errorf("%s: where it is refused: %v", name, err)
		}
	}
}

func code2(err error) string {
	if f, ok := errors.AsType[*fault.Error](err); ok {
		return f.Code
	}
	return fmt.Sprint(err)
}

func TestVersion2Query(t *testing.T) {
	// The documentation's example, whose signature is valid until 2007.
	const text = `GET /photos/puppy.jpg?AWSAccessKeyId=AKIAIOSFODNN7EXAMPLE&Signature=NpgCjnDzrM%2BWFzoENXmpNDUsSn8%3D&Expires=1175139620 HTTP/1.1
Host: johnsmith.s3.amazonaws.com`
	end := time.Unix(1175139620, 0)
	if _, _, err := verifier2(end.Add(-time.Minute)).Verify(request2(t, text)); err != nil {
		t.Error(err)
	}
	for name, c := range map[string]struct {
		text string
		now  time.Time
		code string
	}{
		"too late":      {text, end.Add(time.Second), CodeExpired},
		"too long":      {text, end.Add(-8 * 24 * time.Hour), CodeIncomplete},
		"longer":        {strings.Replace(text, "1175139620", "1175139621", 1), end, CodeMismatch},
		"another key":   {strings.Replace(text, "puppy", "kitty", 1), end, CodeMismatch},
		"twice":         {strings.Replace(text, "&Expires", "&Signature=x&Expires", 1), end, CodeDenied},
		"no date":       {strings.Replace(text, "1175139620", "soon", 1), end, CodeDenied},
		"sub-resource":  {strings.Replace(text, "?AWS", "?acl&AWS", 1), end, CodeMismatch},
		"other answer":  {strings.Replace(text, "?AWS", "?response-content-type=text/html&AWS", 1), end, CodeMismatch},
		"header signed": {text + "\nx-amz-meta-a: b", end, CodeMismatch},
	} {
		if _, _, err := verifier2(c.now).Verify(request2(t, c.text)); code2(err) != c.code {
			t.Errorf("%s: %v, want %s", name, err, c.code)
		}
	}
}
