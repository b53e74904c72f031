package s3

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/versity/versitygw/s3response"

	"drover/internal/store"
)

// The largest upload, 10,000 parts, becomes an object and is forgotten again, each in one
// transaction.
func TestMostParts(t *testing.T) {
	v := openVaultOn(t, nil, nil)
	b, key := "most", "parts"
	if err := v.CreateBucket(ctx, &awss3.CreateBucketInput{Bucket: &b}, nil); err != nil {
		t.Fatal(err)
	}
	up, err := v.CreateMultipartUpload(ctx, s3response.CreateMultipartUploadInput{Bucket: &b, Key: &key})
	if err != nil {
		t.Fatal(err)
	}
	etag := `"` + strings.Repeat("0123", 8) + `"`
	list := make([]types.CompletedPart, maxParts)
	err = v.db.Update(ctx, func(tx *store.Tx) error {
		for i := range list {
			list[i] = types.CompletedPart{PartNumber: aws.Int32(int32(i + 1)), ETag: &etag}
			if _, err := tx.Exec(`INSERT INTO s3_parts (upload, number, start, size, modified, etag, sum, blob) VALUES ($1, $2, 0, $3, 1, $4, 'AAAAAAAAAAA=', $5)`,
				up.UploadId, i+1, minPart, etag, fmt.Sprintf("000001%020d", i)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	if _, _, err := v.CompleteMultipartUpload(ctx, &awss3.CompleteMultipartUploadInput{Bucket: &b, Key: &key, UploadId: &up.UploadId, MultipartUpload: &types.CompletedMultipartUpload{Parts: list}}); err != nil {
		t.Fatal(err)
	}
	completed := time.Since(start)
	head, err := v.HeadObject(ctx, &awss3.HeadObjectInput{Bucket: &b, Key: &key, PartNumber: aws.Int32(maxParts)})
	if err != nil || *head.PartsCount != maxParts || *head.ContentRange != fmt.Sprintf("bytes %d-%d/%d", (maxParts-1)*minPart, maxParts*minPart-1, maxParts*minPart) {
		t.Errorf("%+v, %v", head, err)
	}
	start = time.Now()
	if _, err := v.DeleteObject(ctx, &awss3.DeleteObjectInput{Bucket: &b, Key: &key}); err != nil {
		t.Fatal(err)
	}
	t.Logf("completed in %v, deleted in %v", completed, time.Since(start))
	expectEmpty(t, v)
}
