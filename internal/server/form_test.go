package server_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"mime/multipart"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"

	"drover/internal/blob/blobtest"
	"drover/internal/server"
	"drover/internal/wire/keys"
	"drover/internal/wire/sigv4"
)

// formSuite posts forms as a browser does.
type formSuite struct {
	*testing.T
	opt      server.Options
	endpoint string
	c        *awss3.Client
	b        string
}

func startForms(t *testing.T) *formSuite {
	f := &formSuite{T: t, opt: options(t), b: "forms"}
	endpoint, stop := run(t, f.opt)
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
	f.endpoint, f.c = endpoint, clientOf(t, f.opt, endpoint)
	if _, err := f.c.CreateBucket(t.Context(), &awss3.CreateBucketInput{Bucket: &f.b}); err != nil {
		t.Fatal(err)
	}
	return f
}

// sign has the SDK make a form for one key.
func (t *formSuite) sign(conditions ...any) map[string]string {
	t.Helper()
	made, err := awss3.NewPresignClient(t.c).PresignPostObject(t.Context(), &awss3.PutObjectInput{Bucket: &t.b, Key: aws.String("in/a ü")}, func(o *awss3.PresignPostOptions) {
		o.Conditions, o.Expires = conditions, 10*time.Minute
	})
	if err != nil {
		t.Fatal(err)
	}
	return made.Values
}

func (t *formSuite) post(fields map[string]string, name string, file []byte) *http.Response {
	t.Helper()
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	for _, k := range slices.Sorted(maps.Keys(fields)) {
		if err := w.WriteField(k, fields[k]); err != nil {
			t.Fatal(err)
		}
	}
	if name != "" {
		part, err := w.CreateFormFile("file", name)
		if err != nil {
			t.Fatal(err)
		}
		part.Write(file)
	}
	w.Close()
	r, err := http.NewRequestWithContext(t.Context(), "POST", t.endpoint+"/"+t.b, &body)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", w.FormDataContentType())
	res, err := http.DefaultTransport.RoundTrip(r) // redirects are for the test to see
	if err != nil {
		t.Fatal(err)
	}
	text, _ := io.ReadAll(res.Body)
	res.Body.Close()
	res.Body = io.NopCloser(bytes.NewReader(text))
	return res
}

// refused posts a form that must be refused.
func (t *formSuite) refused(what, code string, fields map[string]string, name string, file []byte) {
	t.Helper()
	res := t.post(fields, name, file)
	if text, _ := io.ReadAll(res.Body); !strings.Contains(string(text), "<Code>"+code+"</Code>") {
		t.Errorf("%s: %d %s, want %s", what, res.StatusCode, text, code)
	}
}

// with is a form with some fields changed.
func with(fields map[string]string, more ...string) map[string]string {
	fields = maps.Clone(fields)
	for i := 0; i < len(more); i += 2 {
		maps.DeleteFunc(fields, func(k, _ string) bool { return strings.EqualFold(k, more[i]) })
		fields[more[i]] = more[i+1]
	}
	return fields
}

// TestUploadForms posts a form that is right, made by the SDK, and many that are not what was signed.
func TestUploadForms(test *testing.T) {
	t := startForms(test)
	large := blobtest.Content(1, 3<<20)
	good := t.sign([]any{"starts-with", "$Content-Type", "text/"}, []any{"content-length-range", 10, 4 << 20}, map[string]string{"x-amz-meta-colour": "blue"}, []any{"starts-with", "$success_action_status", ""})
	full := with(good, "Content-Type", "text/plain", "x-amz-meta-colour", "blue")
	if res := t.post(full, "large.txt", large); res.StatusCode != 204 || res.Header.Get("ETag") == "" {
		text, _ := io.ReadAll(res.Body)
		t.Fatalf("%d %s", res.StatusCode, text)
	}
	if p, out := getObject(test, t.c, t.b, "in/a ü", ""); !bytes.Equal(p, large) || aws.ToString(out.ContentType) != "text/plain" || out.Metadata["colour"] != "blue" {
		t.Errorf("%d bytes, %+v", len(p), out)
	}
	small := []byte("0123456789")
	if res := t.post(with(full, "success_action_status", "201"), "small", small); res.StatusCode != 201 {
		t.Error(res.StatusCode)
	} else if text, _ := io.ReadAll(res.Body); !strings.Contains(string(text), "<Key>in/a ü</Key>") {
		t.Errorf("%s", text)
	}

	t.refused("another type", "AccessDenied", with(full, "Content-Type", "image/png"), "bad", small)
	t.refused("another value", "AccessDenied", with(full, "x-amz-meta-colour", "red"), "bad", small)
	t.refused("no value", "AccessDenied", with(good, "Content-Type", "text/plain"), "bad", small)
	t.refused("a field that was not signed", "AccessDenied", with(full, "x-amz-meta-extra", "1"), "bad", small)
	t.refused("an ACL that was not signed", "AccessDenied", with(full, "acl", "public-read"), "bad", small)
	t.refused("another key", "AccessDenied", with(full, "key", "elsewhere"), "bad", small)
	t.refused("too small", "EntityTooSmall", full, "bad", small[:9])
	t.refused("too large", "EntityTooLarge", full, "bad", make([]byte, 4<<20+1))
	t.refused("another signature", "SignatureDoesNotMatch", with(full, "x-amz-signature", strings.Repeat("0", 64)), "bad", small)
	t.refused("another policy", "SignatureDoesNotMatch", with(full, "policy", base64.StdEncoding.EncodeToString([]byte(`{"expiration":"2099-01-01T00:00:00Z","conditions":[]}`))), "bad", small)
	t.refused("an unknown key", "InvalidAccessKeyId", with(full, "x-amz-credential", "AKIAIOSFODNN7EXAMPLE"+full["X-Amz-Credential"][strings.Index(full["X-Amz-Credential"], "/"):]), "bad", small)
	t.refused("no file", "InvalidArgument", full, "", nil)
	t.refused("no key", "InvalidArgument", map[string]string{"a": "b"}, "bad", small)
	t.refused("fields that are too long", "MaxPostPreDataLengthExceeded", with(full, "x-ignore-this", strings.Repeat("x", 20<<10)), "bad", small)
	t.refused("nobody", "AccessDenied", map[string]string{"key": "k"}, "bad", small)
	if p, _ := getObject(test, t.c, t.b, "in/a ü", ""); !bytes.Equal(p, small) {
		t.Error("a refused file has replaced the one that was taken")
	}

}

// TestFormPolicies posts forms whose policy is signed, but wrong.
func TestFormPolicies(test *testing.T) {
	t := startForms(test)
	small := []byte("0123456789")
	creds, err := keys.LoadOrCreate(filepath.Join(t.opt.Data, "credentials"))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []struct{ policy, code string }{
		{`{"expiration":"2001-01-01T00:00:00Z","conditions":[]}`, "AccessDenied"},
		{`{"expiration":"tomorrow","conditions":[]}`, "InvalidPolicyDocument"},
		{`{"expiration":"2099-01-01T00:00:00Z"}`, "InvalidPolicyDocument"},
		{`{"expiration":"2099-01-01T00:00:00Z","conditions":[["like","$key","x"]]}`, "InvalidPolicyDocument"},
		{`{"expiration":"2099-01-01T00:00:00Z","conditions":[["content-length-range","a",1]]}`, "InvalidPolicyDocument"},
		{`not JSON`, "InvalidPolicyDocument"},
	} {
		t.refused(p.policy, p.code, with(signForm(creds, p.policy, time.Now()), "key", "k"), "bad", small)
	}
	redirect := fmt.Sprintf(`{"expiration":"2099-01-01T00:00:00Z","conditions":[{"bucket":"%s"},["starts-with","$key","in/"],["starts-with","$x-amz-",""],["starts-with","$success_action_redirect",""],["starts-with","$x-amz-algorithm",""],["starts-with","$x-amz-credential",""],["starts-with","$x-amz-date",""]]}`, t.b)
	if res := t.post(with(signForm(creds, redirect, time.Now()), "key", "in/${filename}", "success_action_redirect", "https://example.org/done?a=b"), "f", small); res.StatusCode != 303 ||
		!strings.HasPrefix(res.Header.Get("Location"), "https://example.org/done?a=b&bucket=forms&etag=") || !strings.Contains(res.Header.Get("Location"), "key=in%2Ff") {
		text, _ := io.ReadAll(res.Body)
		t.Errorf("redirect: %d %s %s", res.StatusCode, res.Header.Get("Location"), text)
	}
	t.refused("an old form", "AccessDenied", with(signForm(creds, redirect, time.Now().Add(-8*24*time.Hour)), "key", "k"), "bad", small)
	if !json.Valid([]byte(redirect)) {
		t.Error("the test's policy is no JSON")
	}
}

// signForm signs a policy as browsers' servers do.
func signForm(creds sigv4.Credentials, policy string, at time.Time) map[string]string {
	stamp := at.UTC().Format("20060102T150405Z")
	text := base64.StdEncoding.EncodeToString([]byte(policy))
	scope := stamp[:8] + "/drover-1/s3/aws4_request"
	return map[string]string{"policy": text, "x-amz-algorithm": "AWS4-HMAC-SHA256", "x-amz-credential": creds.AccessKey + "/" + scope, "x-amz-date": stamp,
		"x-amz-signature": sigv4.SignPolicy(text, creds.Secret, stamp[:8], "drover-1")}
}
