package s3

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"drover/internal/wire/sigv4"
)

// A plain GET is answered without the library; what it answers is compared with the
// library's answer to the same GET with a condition that always holds.
func TestQuickAnswersLikeTheLibrary(t *testing.T) {
	t.Run("plain", func(t *testing.T) { quickAnswers(t, open(t, nil)) })
	t.Run("encrypted", func(t *testing.T) { quickAnswers(t, open(t, func(o *Options) { o.Seal = shift{} })) })
}

// shift is a Sealer for tests alone.
type shift struct{}

func (shift) Seal(_ string, plain []byte) ([]byte, error) {
	return append([]byte("sealed"), plain...), nil
}
func (shift) Unseal(_ string, b []byte) ([]byte, error) {
	return bytes.TrimPrefix(b, []byte("sealed")), nil
}

func quickAnswers(t *testing.T, r *rig) {
	r.bucket("quick")
	c, b := r.client, aws.String("quick")
	put := func(in *awss3.PutObjectInput, body string) {
		t.Helper()
		in.Bucket, in.Body = b, strings.NewReader(body)
		if _, err := c.PutObject(ctx, in); err != nil {
			t.Fatal(err)
		}
	}
	put(&awss3.PutObjectInput{Key: aws.String("plain")}, "content")
	put(&awss3.PutObjectInput{Key: aws.String("empty")}, "")
	put(&awss3.PutObjectInput{Key: aws.String("a//b/../ü %+\x01")}, "odd")
	put(&awss3.PutObjectInput{Key: aws.String("large")}, strings.Repeat("0123456789abcdef", 1<<14))
	put(&awss3.PutObjectInput{Key: aws.String("full"), ContentType: aws.String("text/html"), ContentEncoding: aws.String("gzip"), ContentDisposition: aws.String("attachment"),
		ContentLanguage: aws.String("de"), CacheControl: aws.String("no-cache"), Expires: aws.Time(time.Now()), Metadata: map[string]string{"Mixed-Case": "v", "other": "ü"},
		Tagging: aws.String("a=b&c=d"), ChecksumAlgorithm: types.ChecksumAlgorithmSha256, WebsiteRedirectLocation: aws.String("/elsewhere")}, "content")
	if _, err := c.PutBucketVersioning(ctx, &awss3.PutBucketVersioningInput{Bucket: b, VersioningConfiguration: &types.VersioningConfiguration{Status: "Enabled"}}); err != nil {
		t.Fatal(err)
	}
	put(&awss3.PutObjectInput{Key: aws.String("versioned")}, "content")
	up, err := c.CreateMultipartUpload(ctx, &awss3.CreateMultipartUploadInput{Bucket: b, Key: aws.String("parts")})
	if err != nil {
		t.Fatal(err)
	}
	part, err := c.UploadPart(ctx, &awss3.UploadPartInput{Bucket: b, Key: aws.String("parts"), UploadId: up.UploadId, PartNumber: aws.Int32(1), Body: strings.NewReader("one part")})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.CompleteMultipartUpload(ctx, &awss3.CompleteMultipartUploadInput{Bucket: b, Key: aws.String("parts"), UploadId: up.UploadId,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: []types.CompletedPart{{ETag: part.ETag, PartNumber: aws.Int32(1)}}}}); err != nil {
		t.Fatal(err)
	}
	web := &http.Client{Transport: &http.Transport{DisableCompression: true}}
	defer web.CloseIdleConnections()
	get := func(path string, header ...string) string {
		t.Helper()
		req, err := http.NewRequest("GET", r.url+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(header); i += 2 {
			req.Header.Set(header[i], header[i+1])
		}
		sigv4.Sign(req, sigv4.EmptyHash, sigv4.Credentials{AccessKey: testKey, Secret: testSecret}, "s3", "drover-1", time.Now())
		res, err := web.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		text, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatalf("GET %s %q: %v", path, header, err)
		}
		var lines []string
		for k, v := range res.Header {
			if k == "Date" || k == "X-Amz-Request-Id" || k == "X-Amz-Id-2" || k == "X-Amzn-Requestid" {
				v = []string{fmt.Sprint(len(v), v[0] != "")} // there, and another each time
			}
			lines = append(lines, fmt.Sprintf("%s: %q", k, v))
		}
		slices.Sort(lines)
		return fmt.Sprintf("%s\n%s\n%d %x", res.Status, strings.Join(lines, "\n"), len(text), bytes.Join([][]byte{text[:min(len(text), 99)]}, nil))
	}
	old := []string{"If-Modified-Since", "Mon, 01 Jan 2001 00:00:00 GMT"}
	for _, path := range []string{"/quick/plain", "/quick/empty", "/quick/a//b/../%C3%BC%20%25%2B%01", "/quick/large", "/quick/full", "/quick/versioned", "/quick/parts", "/quick/none", "/none/x", "/quick/"} {
		for _, more := range [][]string{nil, {"X-Amz-Checksum-Mode", "ENABLED"}, {"X-Amz-Checksum-Mode", "nonsense"}} {
			quick, library := get(path, more...), get(path, append(slices.Clone(old), more...)...)
			if quick != library {
				t.Errorf("GET %s %q answers\n%s\n\nand the library\n%s", path, more, quick, library)
			}
		}
	}
}
