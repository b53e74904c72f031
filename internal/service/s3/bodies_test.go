package s3

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"drover/internal/core/fault"
	"drover/internal/wire/authz"
	"drover/internal/wire/sigv4"
)

func TestSignatures(t *testing.T) {
	r := open(t, nil)
	b := r.bucket("signed")
	r.put(b, "k", "v")
	wrong := clientOf(r.url, "not the secret")
	if _, err := wrong.GetObject(ctx, &awss3.GetObjectInput{Bucket: &b, Key: aws.String("k")}); code(err) != "SignatureDoesNotMatch" {
		t.Errorf("wrong secret: %v", err)
	}
	pre := awss3.NewPresignClient(r.client)
	get, err := pre.PresignGetObject(ctx, &awss3.GetObjectInput{Bucket: &b, Key: aws.String("k"), ResponseContentType: aws.String("text/x-special")})
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.Get(get.URL)
	if err != nil {
		t.Fatal(err)
	}
	if got := read(t, res.Body); got != "v" || res.Header.Get("Content-Type") != "text/x-special" || res.Header.Get("X-Amz-Request-Id") == "" {
		t.Errorf("presigned GET: %d %q %v", res.StatusCode, got, res.Header)
	}
	put, err := pre.PresignPutObject(ctx, &awss3.PutObjectInput{Bucket: &b, Key: aws.String("up load")})
	if err != nil {
		t.Fatal(err)
	}
	req, _ := http.NewRequest("PUT", put.URL, strings.NewReader("presigned"))
	req.Header = put.SignedHeader
	if res, err = http.DefaultClient.Do(req); err != nil || res.StatusCode != 200 {
		t.Fatalf("presigned PUT: %v, %v", res, err)
	}
	res.Body.Close()
	if got := r.get(b, "up load"); got != "presigned" {
		t.Errorf("presigned upload = %q", got)
	}
	res, err = http.Get(r.url + "/signed/k")
	if err != nil {
		t.Fatal(err)
	}
	if got := read(t, res.Body); res.StatusCode != 403 || !strings.Contains(got, "<Code>AccessDenied</Code>") {
		t.Errorf("anonymous GET: %d %s", res.StatusCode, got)
	}
}

func TestAnonymousByPolicy(t *testing.T) {
	r := open(t, nil)
	b := r.bucket("public")
	r.put(b, "open/k", "v")
	policy := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":["s3:GetObject","s3:PutObject"],"Resource":"arn:aws:s3:::public/open/*"},
		{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::000000000000:root"},"Action":"s3:*","Resource":["arn:aws:s3:::public","arn:aws:s3:::public/*"]}]}`
	if _, err := r.client.PutBucketPolicy(ctx, &awss3.PutBucketPolicyInput{Bucket: &b, Policy: &policy}); err != nil {
		t.Fatal(err)
	}
	r.put(b, "closed/k", "v")
	for path, want := range map[string]int{"/public/open/k": 200, "/public/closed/k": 403, "/public/open/../closed/k": 404, "/public": 403, "/": 403} {
		req, _ := http.NewRequest("GET", r.url, nil)
		req.URL.Opaque = path
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != want && !(want == 404 && res.StatusCode == 403) {
			t.Errorf("anonymous GET %s: %d, want %d", path, res.StatusCode, want)
		}
	}
	req, _ := http.NewRequest("PUT", r.url+"/public/open/new", strings.NewReader("from nobody"))
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if got := r.get(b, "open/new"); res.StatusCode != 200 || got != "from nobody" {
		t.Errorf("anonymous PUT: %d, %q", res.StatusCode, got)
	}
}

// A body that differs from what was signed leaves nothing behind.
func TestTamperedBodies(t *testing.T) {
	r := open(t, nil)
	b := r.bucket("tampered")
	const body = "the content that was signed"
	cases := []struct {
		name, hash, send string
		length           int64
		want             string
	}{
		{"hash", sigv4.HashBody([]byte(body)), "the content that was forged", -1, "XAmzContentSHA256Mismatch"},
		{"whole", sigv4.HashBody([]byte(body)), body, -1, ""},
		{"unsigned", sigv4.UnsignedPayload, body, -1, ""},
	}
	for _, c := range cases {
		req, _ := http.NewRequest("PUT", r.url+"/tampered/"+c.name, strings.NewReader(c.send))
		sigv4.Sign(req, c.hash, sigv4.Credentials{AccessKey: testKey, Secret: testSecret}, "s3", "drover-1", time.Now())
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		got := read(t, res.Body)
		if c.want == "" && res.StatusCode != 200 || c.want != "" && !strings.Contains(got, "<Code>"+c.want+"</Code>") {
			t.Errorf("%s: %d %s", c.name, res.StatusCode, got)
		}
		_, err = r.client.HeadObject(ctx, &awss3.HeadObjectInput{Bucket: &b, Key: &c.name})
		if stored := err == nil; stored != (c.want == "") {
			t.Errorf("%s: stored = %v", c.name, stored)
		}
	}
	// A connection that breaks in the middle of an upload.
	pr, pw := io.Pipe()
	req, _ := http.NewRequest("PUT", r.url+"/tampered/cut", pr)
	req.ContentLength = 1 << 20
	sigv4.Sign(req, sigv4.UnsignedPayload, sigv4.Credentials{AccessKey: testKey, Secret: testSecret}, "s3", "drover-1", time.Now())
	go func() { _, _ = pw.Write(make([]byte, 1000)); pw.CloseWithError(errors.New("cut")) }()
	if res, err := http.DefaultClient.Do(req); err == nil {
		res.Body.Close()
		t.Errorf("cut upload answered %d", res.StatusCode)
	}
	if _, err := r.client.HeadObject(ctx, &awss3.HeadObjectInput{Bucket: &b, Key: aws.String("cut")}); err == nil {
		t.Error("a cut upload was stored")
	}
}

// Checksums in trailing headers, signed chunks and their damage are the library's clients'
// common upload forms over TLS; the bodies here are built as sigv4.Body, as wire makes them.
func TestChunkedUploads(t *testing.T) {
	r := open(t, nil)
	b := r.bucket("chunked")
	send := func(key, crc, content string) (int, string) {
		raw := fmt.Sprintf("%x\r\n%s\r\n0\r\nx-amz-checksum-crc32:%s\r\n\r\n", len(content), content, crc)
		req, _ := http.NewRequest("PUT", r.url+"/chunked/"+key, strings.NewReader(raw))
		req.Header.Set("X-Amz-Decoded-Content-Length", fmt.Sprint(len(content)))
		req.Header.Set("X-Amz-Trailer", "x-amz-checksum-crc32")
		req.Header.Set("X-Amz-Sdk-Checksum-Algorithm", "CRC32")
		req.Header.Set("Content-Encoding", "gzip,aws-chunked")
		sigv4.Sign(req, "STREAMING-UNSIGNED-PAYLOAD-TRAILER", sigv4.Credentials{AccessKey: testKey, Secret: testSecret}, "s3", "drover-1", time.Now())
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, read(t, res.Body)
	}
	if status, body := send("good", "DUoRhQ==", "hello world"); status != 200 {
		t.Errorf("good trailer: %d %s", status, body)
	}
	head, err := r.client.HeadObject(ctx, &awss3.HeadObjectInput{Bucket: &b, Key: aws.String("good"), ChecksumMode: types.ChecksumModeEnabled})
	if err != nil || aws.ToString(head.ChecksumCRC32) != "DUoRhQ==" || *head.ContentLength != 11 || aws.ToString(head.ContentEncoding) != "gzip" {
		t.Errorf("head = %+v, %v", head, err)
	}
	if status, body := send("bad", "AAAAAA==", "hello world"); status != 400 || !strings.Contains(body, "BadDigest") {
		t.Errorf("bad trailer: %d %s", status, body)
	}
	if _, err := r.client.HeadObject(ctx, &awss3.HeadObjectInput{Bucket: &b, Key: aws.String("bad")}); err == nil {
		t.Error("an object with a wrong checksum was stored")
	}
}

// A control document may carry its checksum in a trailer too.
func TestDocumentWithTrailer(t *testing.T) {
	r := open(t, nil)
	b := r.bucket("trailers")
	r.put(b, "k", "v")
	send := func(doc string) (int, string) {
		const signed = "<Delete><Object><Key>k</Key></Object></Delete>"
		sum := base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE([]byte(signed))))
		raw := fmt.Sprintf("%x\r\n%s\r\n0\r\nx-amz-checksum-crc32:%s\r\n\r\n", len(doc), doc, sum)
		req, _ := http.NewRequest("POST", r.url+"/trailers?delete", strings.NewReader(raw))
		req.Header.Set("X-Amz-Decoded-Content-Length", fmt.Sprint(len(doc)))
		req.Header.Set("X-Amz-Trailer", "x-amz-checksum-crc32")
		req.Header.Set("X-Amz-Sdk-Checksum-Algorithm", "CRC32")
		sigv4.Sign(req, "STREAMING-UNSIGNED-PAYLOAD-TRAILER", sigv4.Credentials{AccessKey: testKey, Secret: testSecret}, "s3", "drover-1", time.Now())
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, read(t, res.Body)
	}
	if status, body := send("<Delete><Object><Key>K</Key></Object></Delete>"); status != 400 || !strings.Contains(body, "BadDigest") {
		t.Errorf("damaged document: %d %s", status, body)
	}
	if got := r.get(b, "k"); got != "v" {
		t.Errorf("k = %q", got)
	}
	if status, body := send("<Delete><Object><Key>k</Key></Object></Delete>"); status != 200 || !strings.Contains(body, "<Deleted>") {
		t.Errorf("good document: %d %s", status, body)
	}
}

// When a later chunk of a body fails its proof, what came before has no effect.
func TestLateProofFails(t *testing.T) {
	r := open(t, nil)
	b := r.bucket("late")
	r.put(b, "k", "before")
	const size = 1 << 20
	bad := io.MultiReader(bytes.NewReader(make([]byte, size)), iotest.ErrReader(fault.New(fault.Unsigned, "SignatureDoesNotMatch", "chunk")))
	w := httptest.NewRecorder()
	r.s.Serve(w, httptest.NewRequest("PUT", "/late/k", nil), authz.Principal{Kind: authz.Root}, &sigv4.Body{Mode: sigv4.SignedChunks, DecodedLength: size, Reader: bad})
	if w.Code != 403 || !strings.Contains(w.Body.String(), "<Code>SignatureDoesNotMatch</Code>") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if got := r.get(b, "k"); got != "before" {
		t.Errorf("k is now %d bytes", len(got))
	}
	for _, length := range []int64{size - 1, size + 1} {
		w := httptest.NewRecorder()
		r.s.Serve(w, httptest.NewRequest("PUT", "/late/k", nil), authz.Principal{Kind: authz.Root}, &sigv4.Body{DecodedLength: length, Reader: bytes.NewReader(make([]byte, size))})
		if w.Code != 400 || !strings.Contains(w.Body.String(), "<Code>IncompleteBody</Code>") {
			t.Errorf("%d bytes announced as %d: %d %s", size, length, w.Code, w.Body)
		}
	}
	if got := r.get(b, "k"); got != "before" {
		t.Errorf("k is now %d bytes", len(got))
	}
	for e, err := range r.s.vault.blobs.Scan(ctx, "") {
		t.Errorf("left behind: %+v, %v", e, err)
	}
}
