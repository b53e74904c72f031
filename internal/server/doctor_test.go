package server_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"drover/internal/server"
	"drover/internal/wire/keys"
)

// The doctor finds nothing in a healthy folder, names a damaged object with its offset, and
// is refused while the server runs.
func TestDoctor(t *testing.T) {
	opt := options(t)
	endpoint, stop := run(t, opt)
	creds, err := keys.LoadOrCreate(filepath.Join(opt.Data, "credentials"))
	if err != nil {
		t.Fatal(err)
	}
	objects := s3.New(s3.Options{BaseEndpoint: &endpoint, Region: "drover-1", UsePathStyle: true, Credentials: credentials.NewStaticCredentialsProvider(creds.AccessKey, creds.Secret, "")})
	if _, err := objects.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String("data")}); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"good", "bad"} {
		if _, err := objects.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("data"), Key: &key, Body: strings.NewReader(strings.Repeat(key, 1<<19))}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := server.Doctor(t.Context(), opt.Data, opt.Account, server.Contents{}); err == nil || !strings.Contains(err.Error(), "runs on") {
		t.Errorf("beside a server: %v", err)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	c, err := server.Doctor(t.Context(), opt.Data, opt.Account, server.Contents{})
	if err != nil || !c.Healthy() || c.Objects != 2 || c.Bytes != 7<<19 || len(c.Databases) != 3 {
		t.Fatalf("%+v, %v", c, err)
	}
	files, _ := filepath.Glob(filepath.Join(opt.Data, "objects", "contents", "*", "*"))
	for _, f := range files {
		if p, err := os.ReadFile(f); err != nil {
			t.Fatal(err)
		} else if bytes.HasPrefix(p, []byte("bad")) {
			p[1<<20+5] ^= 1
			if err := os.WriteFile(f, p, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	if c, err = server.Doctor(t.Context(), opt.Data, opt.Account, server.Contents{}); err != nil || c.Healthy() || len(c.Damaged) != 1 || c.Damaged[0].Key != "bad" || c.Damaged[0].Offset != 1<<20 {
		t.Errorf("%+v, %v", c, err)
	}
	if _, err := server.Doctor(t.Context(), filepath.Join(opt.Data, "none"), opt.Account, server.Contents{}); err == nil {
		t.Error("a folder that is not there")
	}
}
