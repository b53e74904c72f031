package e2e

import (
	"bytes"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"

	"drover/internal/wire/keys"
)

// s3 is the Go SDK's client with the root key.
func (s *server) s3(tune ...func(*awss3.Options)) *awss3.Client {
	s.t.Helper()
	k, err := keys.LoadOrCreate(filepath.Join(s.data, "credentials"))
	if err != nil {
		s.t.Fatal(err)
	}
	return awss3.New(awss3.Options{BaseEndpoint: &s.endpoint, Region: "drover-1", UsePathStyle: true, Credentials: credentials.NewStaticCredentialsProvider(k.AccessKey, k.Secret, "")}, tune...)
}

func (s *server) put(t *testing.T, c *awss3.Client, bucket, key, text string) {
	t.Helper()
	if _, err := c.PutObject(t.Context(), &awss3.PutObjectInput{Bucket: &bucket, Key: &key, Body: strings.NewReader(text)}); err != nil {
		t.Fatal(err)
	}
}

// submitTrue submits a job that ends well at once.
func (s *server) submitTrue(t *testing.T) string {
	t.Helper()
	s.define("true", "0.5", 1)
	return s.submit(&batch.SubmitJobInput{JobDefinition: aws.String("true")}, "true")
}

// safeBuffer may be read while a process writes to it.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
