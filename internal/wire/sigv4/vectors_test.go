package sigv4

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"drover/internal/wire/authz"
)

// onlyKey is a key source of one key.
type onlyKey struct{ c Credentials }

func oneKey(c Credentials) KeySource { return onlyKey{c} }

func (k onlyKey) Secret(accessKey, token string, now time.Time) (Key, error) {
	switch {
	case accessKey != k.c.AccessKey || token != k.c.SessionToken:
		return Key{}, ErrUnknownKey()
	case !k.c.Expires.IsZero() && now.After(k.c.Expires):
		return Key{}, ErrExpiredToken()
	}
	return Key{Secret: k.c.Secret, Principal: authz.Principal{Account: "000000000000", Kind: authz.Root, ARN: "arn:aws:iam::000000000000:root"}}, nil
}

func at(stamp string) func() time.Time {
	t, err := time.Parse(isoBasic, stamp)
	if err != nil {
		panic(err)
	}
	return func() time.Time { return t }
}

// request builds a request as the server would see it: "GET /path?query" and headers.
func request(t testing.TB, line string, body string, headers ...string) *http.Request {
	t.Helper()
	method, target, _ := strings.Cut(line, " ")
	u, err := url.ParseRequestURI(target)
	if err != nil {
		t.Fatal(err)
	}
	r := &http.Request{Method: method, URL: u, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body))}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ":")
		if strings.EqualFold(name, "host") {
			r.Host = value
			continue
		}
		r.Header.Add(name, value)
	}
	return r
}

// The secrets and signatures below are those of AWS's published examples.
var (
	suiteKey = Credentials{AccessKey: "AKIDEXAMPLE", Secret: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"}
	s3Key    = Credentials{AccessKey: "AKIAIOSFODNN7EXAMPLE", Secret: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"}
)

func TestPublishedSuite(t *testing.T) {
	const scope = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
	for _, k := range []struct{ name, line, body, signed, signature, extra string }{
		{"get-vanilla", "GET /", "", "host;x-amz-date", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31", ""},
		{"get-vanilla-query-order-key-case", "GET /?Param2=value2&Param1=value1", "", "host;x-amz-date", "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500", ""},
		{"post-vanilla", "POST /", "", "host;x-amz-date", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b", ""},
		{"post-x-www-form-urlencoded", "POST /", "Param1=value1", "content-type;host;x-amz-date", "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a", "Content-Type:application/x-www-form-urlencoded"},
	} {
		t.Run(k.name, func(t *testing.T) {
			v := &Verifier{Keys: oneKey(suiteKey), Now: at("20150830T123600Z")}
			headers := []string{"Host:example.amazonaws.com", "X-Amz-Date:20150830T123600Z"}
			if k.extra != "" {
				headers = append(headers, k.extra)
			}
			r := request(t, k.line, k.body, headers...)
			r.Header.Set("Authorization", scope+"SignedHeaders="+k.signed+", Signature="+k.signature)
			if _, _, err := v.Verify(r); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestPublishedS3Examples(t *testing.T) {
	const scope = "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,"
	for _, k := range []struct{ name, line, body, auth string }{
		{"GET object", "GET /test.txt", "", "SignedHeaders=host;range;x-amz-content-sha256;x-amz-date,Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"},
		{"PUT object", "PUT /test%24file.text", "Welcome to Amazon S3.", "SignedHeaders=date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class,Signature=98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"},
		{"PUT object, path not encoded", "PUT /test$file.text", "Welcome to Amazon S3.", "SignedHeaders=date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class,Signature=98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"},
		{"GET lifecycle", "GET /?lifecycle", "", "SignedHeaders=host;x-amz-content-sha256;x-amz-date,Signature=fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"},
		{"list objects", "GET /?max-keys=2&prefix=J", "", "SignedHeaders=host;x-amz-content-sha256;x-amz-date,Signature=34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"},
	} {
		t.Run(k.name, func(t *testing.T) {
			v := &Verifier{Keys: oneKey(s3Key), Now: at("20130524T000000Z")}
			headers := []string{"Host:examplebucket.s3.amazonaws.com", "X-Amz-Date:20130524T000000Z", "X-Amz-Content-Sha256:" + HashBody([]byte(k.body))}
			if strings.Contains(k.auth, ";range;") {
				headers = append(headers, "Range:bytes=0-9")
			}
			if k.body != "" {
				headers = append(headers, "Date:Fri, 24 May 2013 00:00:00 GMT", "X-Amz-Storage-Class:REDUCED_REDUNDANCY")
			}
			r := request(t, k.line, k.body, headers...)
			r.Header.Set("Authorization", scope+k.auth)
			_, b, err := v.Verify(r)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(b.Reader); err != nil || string(got) != k.body || b.Mode != Hashed {
				t.Fatalf("%q %v", got, err)
			}
		})
	}
}

const presignedExample = "/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request" +
	"&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"

func TestPublishedPresignedExample(t *testing.T) {
	for _, k := range []struct{ now, code string }{
		{"20130524T000000Z", ""},
		{"20130524T235959Z", ""},
		{"20130523T235000Z", ""}, // a client whose clock is ahead
		{"20130523T234000Z", CodeSkewed},
		{"20130525T000001Z", CodeExpired},
	} {
		v := &Verifier{Keys: oneKey(s3Key), Now: at(k.now)}
		_, b, err := v.Verify(request(t, "GET "+presignedExample, "", "Host:examplebucket.s3.amazonaws.com"))
		if codeOf(err) != k.code || err == nil && b.Mode != Unsigned {
			t.Errorf("at %s: %v", k.now, err)
		}
	}
	u, _ := url.Parse("https://examplebucket.s3.amazonaws.com/test.txt")
	made := Presign(&http.Request{Method: "GET", URL: u, Header: http.Header{}}, "", s3Key, "s3", "us-east-1", at("20130524T000000Z")(), 24*time.Hour)
	if made != "https://examplebucket.s3.amazonaws.com"+presignedExample {
		t.Errorf("Presign made\n%s", made)
	}
}
