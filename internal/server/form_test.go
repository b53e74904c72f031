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
	"drover/internal/wire/keys"
	"drover/internal/wire/sigv4"
)

// TestUploadForms posts forms as a browser does: one that is right, made by the SDK, and many
// that are not what was signed.
func TestUploadForms(t *testing.T) {
	opt := options(t)
	endpoint, stop := run(t, opt)
	defer stop()
	c := clientOf(t, opt, endpoint)
	b := "forms"
	if _, err := c.CreateBucket(t.Context(), &awss3.CreateBucketInput{Bucket: &b}); err != nil {
		t.Fatal(err)
	}
	sign := func(conditions ...any) map[string]string {
		t.Helper()
		made, err := awss3.NewPresignClient(c).PresignPostObject(t.Context(), &awss3.PutObjectInput{Bucket: &b, Key: aws.String("in/a ü")}, func(o *awss3.PresignPostOptions) {
			o.Conditions, o.Expires = conditions, 10*time.Minute
		})
		if err != nil {
			t.Fatal(err)
		}
		return made.Values
	}
	post := func(fields map[string]string, name string, file []byte) *http.Response {
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
		r, err := http.NewRequestWithContext(t.Context(), "POST", endpoint+"/"+b, &body)
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
	with := func(fields map[string]string, more ...string) map[string]string {
		fields = maps.Clone(fields)
		for i := 0; i < len(more); i += 2 {
			maps.DeleteFunc(fields, func(k, _ string) bool { return strings.EqualFold(k, more[i]) })
			fields[more[i]] = more[i+1]
		}
		return fields
	}

	large := blobtest.Content(1, 3<<20)
	good := sign([]any{"starts-with", "$Content-Type", "text/"}, []any{"content-length-range", 10, 4 << 20}, map[string]string{"x-amz-meta-colour": "blue"}, []any{"starts-with", "$success_action_status", ""})
	full := with(good, "Content-Type", "text/plain", "x-amz-meta-colour", "blue")
	if res := post(full, "large.txt", large); res.StatusCode != 204 || res.Header.Get("ETag") == "" {
		text, _ := io.ReadAll(res.Body)
		t.Fatalf("%d %s", res.StatusCode, text)
	}
	if p, out := getObject(t, c, b, "in/a ü", ""); !bytes.Equal(p, large) || aws.ToString(out.ContentType) != "text/plain" || out.Metadata["colour"] != "blue" {
		t.Errorf("%d bytes, %+v", len(p), out)
	}
	small := []byte("0123456789")
	if res := post(with(full, "success_action_status", "201"), "small", small); res.StatusCode != 201 {
		t.Error(res.StatusCode)
	} else if text, _ := io.ReadAll(res.Body); !strings.Contains(string(text), "<Key>in/a ü</Key>") {
		t.Errorf("%s", text)
	}

	refused := func(what, code string, fields map[string]string, name string, file []byte) {
		t.Helper()
		res := post(fields, name, file)
		if text, _ := io.ReadAll(res.Body); !strings.Contains(string(text), "<Code>"+code+"</Code>") {
			t.Errorf("%s: %d %s, want %s", what, res.StatusCode, text, code)
		}
	}
	refused("another type", "AccessDenied", with(full, "Content-Type", "image/png"), "bad", small)
	refused("another value", "AccessDenied", with(full, "x-amz-meta-colour", "red"), "bad", small)
	refused("no value", "AccessDenied", with(good, "Content-Type", "text/plain"), "bad", small)
	refused("a field that was not signed", "AccessDenied", with(full, "x-amz-meta-extra", "1"), "bad", small)
	refused("an ACL that was not signed", "AccessDenied", with(full, "acl", "public-read"), "bad", small)
	refused("another key", "AccessDenied", with(full, "key", "elsewhere"), "bad", small)
	refused("too small", "EntityTooSmall", full, "bad", small[:9])
	refused("too large", "EntityTooLarge", full, "bad", make([]byte, 4<<20+1))
	refused("another signature", "SignatureDoesNotMatch", with(full, "x-amz-signature", strings.Repeat("0", 64)), "bad", small)
	refused("another policy", "SignatureDoesNotMatch", with(full, "policy", base64.StdEncoding.EncodeToString([]byte(`{"expiration":"2099-01-01T00:00:00Z","conditions":[]}`))), "bad", small)
	refused("an unknown key", "InvalidAccessKeyId", with(full, "x-amz-credential", "AKIAIOSFODNN7EXAMPLE"+full["X-Amz-Credential"][strings.Index(full["X-Amz-Credential"], "/"):]), "bad", small)
	refused("no file", "InvalidArgument", full, "", nil)
	refused("no key", "InvalidArgument", map[string]string{"a": "b"}, "bad", small)
	refused("fields that are too long", "MaxPostPreDataLengthExceeded", with(full, "x-ignore-this", strings.Repeat("x", 20<<10)), "bad", small)
	refused("nobody", "AccessDenied", map[string]string{"key": "k"}, "bad", small)
	if p, _ := getObject(t, c, b, "in/a ü", ""); !bytes.Equal(p, small) {
		t.Error("a refused file has replaced the one that was taken")
	}

	// Policies that are signed, but wrong.
	creds, err := keys.LoadOrCreate(filepath.Join(opt.Data, "credentials"))
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
		refused(p.policy, p.code, with(signForm(creds, p.policy, time.Now()), "key", "k"), "bad", small)
	}
	redirect := fmt.Sprintf(`{"expiration":"2099-01-01T00:00:00Z","conditions":[{"bucket":"%s"},["starts-with","$key","in/"],["starts-with","$x-amz-",""],["starts-with","$success_action_redirect",""],["starts-with","$x-amz-algorithm",""],["starts-with","$x-amz-credential",""],["starts-with","$x-amz-date",""]]}`, b)
	if res := post(with(signForm(creds, redirect, time.Now()), "key", "in/${filename}", "success_action_redirect", "https://example.org/done?a=b"), "f", small); res.StatusCode != 303 ||
		!strings.HasPrefix(res.Header.Get("Location"), "https://example.org/done?a=b&bucket=forms&etag=") || !strings.Contains(res.Header.Get("Location"), "key=in%2Ff") {
		text, _ := io.ReadAll(res.Body)
		t.Errorf("redirect: %d %s %s", res.StatusCode, res.Header.Get("Location"), text)
	}
	refused("an old form", "AccessDenied", with(signForm(creds, redirect, time.Now().Add(-8*24*time.Hour)), "key", "k"), "bad", small)
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
