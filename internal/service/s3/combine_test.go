package s3

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/versity/versitygw/s3api/utils"

	"drover/internal/blob/blobtest"
)

// Combined checksums are those of the whole, whatever the sizes of the parts.
func TestCombine(t *testing.T) {
	for _, a := range []types.ChecksumAlgorithm{types.ChecksumAlgorithmCrc32, types.ChecksumAlgorithmCrc32c, types.ChecksumAlgorithmCrc64nvme} {
		sum := func(p []byte) string {
			h, err := utils.NewHashReader(bytes.NewReader(p), "", utils.HashType(strings.ToLower(string(a))))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, h); err != nil {
				t.Fatal(err)
			}
			return h.Sum()
		}
		c, err := newCombiner(a)
		if err != nil {
			t.Fatal(err)
		}
		var whole []byte
		got := sum(nil)
		for i, n := range []int{1, 0, 7, 1000, 1000, 65536, 3, 99999, 1000} {
			part := blobtest.Content(uint64(i), n)
			whole = append(whole, part...)
			if got, err = c.add(got, sum(part), int64(n)); err != nil || got != sum(whole) {
				t.Errorf("%s after part %d of %d bytes: %s, %v, want %s", a, i, n, got, err, sum(whole))
			}
		}
		if _, err := c.add("AA==", got, 1); err == nil {
			t.Errorf("%s takes a checksum of 8 bits", a)
		}
	}
	if _, err := newCombiner(types.ChecksumAlgorithmSha256); err == nil {
		t.Error("SHA-256 cannot be combined")
	}
}
