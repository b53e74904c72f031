package server_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"

	"drover/internal/blob/blobtest"
	"drover/internal/link/external"
	"drover/internal/server"
	"drover/internal/wire/keys"
)

// clientOf is an S3 client of a running server.
func clientOf(t *testing.T, opt server.Options, endpoint string) *awss3.Client {
	t.Helper()
	creds, err := keys.LoadOrCreate(filepath.Join(opt.Data, "credentials"))
	if err != nil {
		t.Fatal(err)
	}
	at := external.Address{Endpoint: endpoint, Region: "drover-1"}
	at.Use(creds.AccessKey, creds.Secret, "")
	c, err := at.Client(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func keysFile(t *testing.T, of ...byte) string {
	t.Helper()
	text := ""
	for _, b := range of {
		text += base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{b}, 32)) + "\n"
	}
	path := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func putObject(t *testing.T, c *awss3.Client, bucket, key string, p []byte) *awss3.PutObjectOutput {
	t.Helper()
	out, err := c.PutObject(t.Context(), &awss3.PutObjectInput{Bucket: &bucket, Key: &key, Body: bytes.NewReader(p)})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func getObject(t *testing.T, c *awss3.Client, bucket, key, span string) ([]byte, *awss3.GetObjectOutput) {
	t.Helper()
	in := &awss3.GetObjectInput{Bucket: &bucket, Key: &key}
	if span != "" {
		in.Range = &span
	}
	out, err := c.GetObject(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Body.Close()
	p, err := io.ReadAll(out.Body)
	if err != nil {
		t.Fatal(err)
	}
	return p, out
}

func apiCode(err error) string {
	if e, ok := errors.AsType[smithy.APIError](err); ok {
		return e.ErrorCode()
	}
	return ""
}

// refuses starts a server that must not start.
func refuses(t *testing.T, opt server.Options, words ...string) {
	t.Helper()
	opt.Log = slog.New(slog.DiscardHandler)
	err := server.Run(t.Context(), opt)
	for _, w := range words {
		if err == nil || !strings.Contains(err.Error(), w) {
			t.Errorf("the server says: %v; want %q in it", err, w)
		}
	}
}

// TestEncryptedObjects writes, restarts with other keys and looks at the disk.
func TestEncryptedObjects(t *testing.T) {
	opt := options(t)
	opt.Contents.KeyFile = keysFile(t, 1)
	endpoint, stop := run(t, opt)
	c := clientOf(t, opt, endpoint)
	b := "sealed"
	if _, err := c.CreateBucket(t.Context(), &awss3.CreateBucketInput{Bucket: &b}); err != nil {
		t.Fatal(err)
	}
	small, large := []byte("a very secret sentence"), append([]byte(strings.Repeat("a very secret sentence ", 1000)), blobtest.Content(1, 3<<20)...)
	if out := putObject(t, c, b, "small", small); out.ServerSideEncryption != types.ServerSideEncryptionAes256 {
		t.Errorf("the answer says %q", out.ServerSideEncryption)
	}
	asked := &awss3.PutObjectInput{Bucket: &b, Key: aws.String("large"), Body: bytes.NewReader(large), ServerSideEncryption: types.ServerSideEncryptionAes256}
	if _, err := c.PutObject(t.Context(), asked); err != nil {
		t.Fatal(err)
	}
	for name, in := range map[string]*awss3.PutObjectInput{
		"KMS":   {ServerSideEncryption: types.ServerSideEncryptionAwsKms},
		"SSE-C": {SSECustomerAlgorithm: aws.String("AES256"), SSECustomerKey: aws.String(strings.Repeat("k", 32))},
	} {
		in.Bucket, in.Key, in.Body = &b, aws.String("refused"), strings.NewReader("x")
		if _, err := c.PutObject(t.Context(), in); apiCode(err) != "NotImplemented" || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if e, err := c.GetBucketEncryption(t.Context(), &awss3.GetBucketEncryptionInput{Bucket: &b}); err != nil ||
		e.ServerSideEncryptionConfiguration.Rules[0].ApplyServerSideEncryptionByDefault.SSEAlgorithm != types.ServerSideEncryptionAes256 {
		t.Errorf("GetBucketEncryption: %+v, %v", e, err)
	}
	check := func(c *awss3.Client) {
		t.Helper()
		if p, out := getObject(t, c, b, "small", ""); !bytes.Equal(p, small) || out.ServerSideEncryption != types.ServerSideEncryptionAes256 {
			t.Errorf("small: %q, %q", p, out.ServerSideEncryption)
		}
		if p, _ := getObject(t, c, b, "large", ""); !bytes.Equal(p, large) {
			t.Error("large is another")
		}
		if p, _ := getObject(t, c, b, "large", "bytes=2000000-2000099"); !bytes.Equal(p, large[2000000:2000100]) {
			t.Error("a range is another")
		}
	}
	check(c)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if err := filepath.WalkDir(filepath.Join(opt.Data, "objects"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if bytes.Contains(text, small) {
			t.Errorf("%s holds the plain content", path)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}

	with := func(file string) server.Options { o := opt; o.Contents.KeyFile = file; return o }
	refuses(t, with(""), "are encrypted", "--objects-key")
	refuses(t, with(keysFile(t, 2)), "does not have the key")
	refuses(t, with(filepath.Join(t.TempDir(), "none")), "make one with")
	both := with(keysFile(t, 2, 1)) // the new key first
	endpoint, stop = run(t, both)
	c = clientOf(t, both, endpoint)
	check(c)
	putObject(t, c, b, "newer", small)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	refuses(t, opt, "does not have the key")

	if _, err := server.Doctor(t.Context(), opt.Data, opt.Account, server.Contents{}); err == nil || !strings.Contains(err.Error(), "--objects-key") {
		t.Errorf("doctor without keys: %v", err)
	}
	found, err := server.Doctor(t.Context(), opt.Data, opt.Account, both.Contents)
	if err != nil || !found.Healthy() || found.Objects != 3 {
		t.Errorf("doctor: %+v, %v", found, err)
	}

	plain := options(t)
	endpoint, stop = run(t, plain)
	c = clientOf(t, plain, endpoint)
	if _, err := c.CreateBucket(t.Context(), &awss3.CreateBucketInput{Bucket: &b}); err != nil {
		t.Fatal(err)
	}
	asked.Body = bytes.NewReader(large)
	if _, err := c.PutObject(t.Context(), asked); apiCode(err) != "NotImplemented" || !strings.Contains(err.Error(), "--objects-key") {
		t.Errorf("encryption asked of a server without keys: %v", err)
	}
	if _, err := c.GetBucketEncryption(t.Context(), &awss3.GetBucketEncryptionInput{Bucket: &b}); apiCode(err) != "ServerSideEncryptionConfigurationNotFoundError" {
		t.Errorf("GetBucketEncryption without keys: %v", err)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	plain.Contents.KeyFile = opt.Contents.KeyFile
	refuses(t, plain, "are not encrypted")
}

// TestObjectsElsewhere keeps contents, encrypted, in another drover's S3.
func TestObjectsElsewhere(t *testing.T) {
	o := startOther(t)
	at := o.bucket(t, "elsewhere")
	access, secret, _, err := o.at.Keys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("AWS_ACCESS_KEY_ID", access)
	t.Setenv("AWS_SECRET_ACCESS_KEY", secret)
	at.Prefix = "here"
	opt := options(t)
	opt.Contents = server.Contents{Address: at.String(), KeyFile: keysFile(t, 1)}
	endpoint, stop := run(t, opt)
	c := clientOf(t, opt, endpoint)
	b := "front"
	if _, err := c.CreateBucket(t.Context(), &awss3.CreateBucketInput{Bucket: &b}); err != nil {
		t.Fatal(err)
	}
	p := blobtest.Content(5, 10<<20)
	putObject(t, c, b, "dir/../large", p)
	putObject(t, c, b, "small", p[:100])
	putObject(t, c, b, "gone", p[:100_000])
	if _, err := c.DeleteObject(t.Context(), &awss3.DeleteObjectInput{Bucket: &b, Key: aws.String("gone")}); err != nil {
		t.Fatal(err)
	}
	if got, _ := getObject(t, c, b, "dir/../large", ""); !bytes.Equal(got, p) {
		t.Error("large is another")
	}
	if got, _ := getObject(t, c, b, "dir/../large", "bytes=9000000-9999999"); !bytes.Equal(got, p[9000000:10000000]) {
		t.Error("a range is another")
	}
	there := func() (names []string) {
		list, err := o.client.ListObjectsV2(t.Context(), &awss3.ListObjectsV2Input{Bucket: &at.Bucket})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range list.Contents {
			names = append(names, *e.Key)
		}
		return names
	}
	if names := there(); len(names) != 2 || !strings.HasPrefix(names[0], "here/c/") || names[1] != "here/drover-store" {
		t.Errorf("the external bucket holds %q", names)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}

	where := func(address string) server.Options { o := opt; o.Contents.Address = address; return o }
	refuses(t, where(""), "are in s3://elsewhere/here", "start with --objects '")
	refuses(t, where("s3://elsewhere/there?endpoint="+o.endpoint), "not in s3://elsewhere/there")
	second := options(t)
	second.Contents.Address = at.String()
	refuses(t, second, "another drover")
	files := options(t)
	_, stopFiles := run(t, files)
	if err := stopFiles(); err != nil {
		t.Fatal(err)
	}
	files.Contents.Address = at.String()
	refuses(t, files, "are files there")

	// What a crash left there goes with the sweep.
	orphan := "here/c/" + strings.Repeat("b", 26)
	putObject(t, o.client, at.Bucket, orphan, p[:1000])
	found, err := server.Doctor(t.Context(), opt.Data, opt.Account, server.Contents{KeyFile: opt.Contents.KeyFile})
	if err != nil || !found.Healthy() || found.Objects != 2 || found.Removed != 1 {
		t.Errorf("doctor: %+v, %v", found, err)
	}
	if names := there(); len(names) != 2 {
		t.Errorf("after doctor the external bucket holds %q", names)
	}
	if _, err := o.client.DeleteObject(t.Context(), &awss3.DeleteObjectInput{Bucket: &at.Bucket, Key: aws.String(there()[0])}); err != nil {
		t.Fatal(err)
	}
	found, err = server.Doctor(t.Context(), opt.Data, opt.Account, server.Contents{KeyFile: opt.Contents.KeyFile})
	if err != nil || len(found.Damaged) != 1 || found.Damaged[0].Key != "dir/../large" {
		t.Errorf("doctor of a lost content: %+v, %v", found, err)
	}
}
