package s3

import (
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"hash"
	"io"
	"strings"

	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/versity/versitygw/s3api/middlewares"
	"github.com/versity/versitygw/s3api/utils"
	"github.com/versity/versitygw/s3err"
	"github.com/versity/versitygw/s3response"
)

// The SDK has one field for each checksum algorithm, in a dozen structures. sumFields lists
// them once.
type sumFields struct {
	CRC32, CRC32C, SHA1, SHA256, CRC64NVME, SHA512, MD5, XXHASH64, XXHASH3, XXHASH128 **string
}

// of gives the field of an algorithm, or nil.
func (f *sumFields) of(a types.ChecksumAlgorithm) **string {
	switch a {
	case types.ChecksumAlgorithmCrc32:
		return f.CRC32
	case types.ChecksumAlgorithmCrc32c:
		return f.CRC32C
	case types.ChecksumAlgorithmSha1:
		return f.SHA1
	case types.ChecksumAlgorithmSha256:
		return f.SHA256
	case types.ChecksumAlgorithmCrc64nvme:
		return f.CRC64NVME
	case types.ChecksumAlgorithmSha512:
		return f.SHA512
	case types.ChecksumAlgorithmMd5:
		return f.MD5
	case types.ChecksumAlgorithmXxhash64:
		return f.XXHASH64
	case types.ChecksumAlgorithmXxhash3:
		return f.XXHASH3
	case types.ChecksumAlgorithmXxhash128:
		return f.XXHASH128
	}
	return nil
}

// set writes a checksum into the field of its algorithm.
func (f sumFields) set(a types.ChecksumAlgorithm, sum string) {
	if p := f.of(a); p != nil && sum != "" {
		*p = &sum
	}
}

// first gives the checksum that is there; several are refused by the library.
func (f sumFields) first() (types.ChecksumAlgorithm, string) {
	for _, a := range types.ChecksumAlgorithm("").Values() {
		if p := f.of(a); p != nil && *p != nil && **p != "" {
			return a, **p
		}
	}
	return "", ""
}

func (f sumFields) count() (n int) {
	for _, a := range types.ChecksumAlgorithm("").Values() {
		if p := f.of(a); p != nil && *p != nil && **p != "" {
			n++
		}
	}
	return n
}

func sumsOfPut(v *s3response.PutObjectInput) sumFields {
	return sumFields{&v.ChecksumCRC32, &v.ChecksumCRC32C, &v.ChecksumSHA1, &v.ChecksumSHA256, &v.ChecksumCRC64NVME, &v.ChecksumSHA512, &v.ChecksumMD5, &v.ChecksumXXHASH64, &v.ChecksumXXHASH3, &v.ChecksumXXHASH128}
}

func sumsOfPutResult(v *s3response.PutObjectOutput) sumFields {
	return sumFields{&v.ChecksumCRC32, &v.ChecksumCRC32C, &v.ChecksumSHA1, &v.ChecksumSHA256, &v.ChecksumCRC64NVME, &v.ChecksumSHA512, &v.ChecksumMD5, &v.ChecksumXXHASH64, &v.ChecksumXXHASH3, &v.ChecksumXXHASH128}
}

func sumsOfGet(v *awss3.GetObjectOutput) sumFields {
	return sumFields{&v.ChecksumCRC32, &v.ChecksumCRC32C, &v.ChecksumSHA1, &v.ChecksumSHA256, &v.ChecksumCRC64NVME, &v.ChecksumSHA512, &v.ChecksumMD5, &v.ChecksumXXHASH64, &v.ChecksumXXHASH3, &v.ChecksumXXHASH128}
}

func sumsOfHead(v *awss3.HeadObjectOutput) sumFields {
	return sumFields{&v.ChecksumCRC32, &v.ChecksumCRC32C, &v.ChecksumSHA1, &v.ChecksumSHA256, &v.ChecksumCRC64NVME, &v.ChecksumSHA512, &v.ChecksumMD5, &v.ChecksumXXHASH64, &v.ChecksumXXHASH3, &v.ChecksumXXHASH128}
}

func sumsOfCopy(v *s3response.CopyObjectResult) sumFields {
	return sumFields{&v.ChecksumCRC32, &v.ChecksumCRC32C, &v.ChecksumSHA1, &v.ChecksumSHA256, &v.ChecksumCRC64NVME, &v.ChecksumSHA512, &v.ChecksumMD5, &v.ChecksumXXHASH64, &v.ChecksumXXHASH3, &v.ChecksumXXHASH128}
}

func sumsOfUploadPart(v *awss3.UploadPartInput) sumFields {
	return sumFields{&v.ChecksumCRC32, &v.ChecksumCRC32C, &v.ChecksumSHA1, &v.ChecksumSHA256, &v.ChecksumCRC64NVME, &v.ChecksumSHA512, &v.ChecksumMD5, &v.ChecksumXXHASH64, &v.ChecksumXXHASH3, &v.ChecksumXXHASH128}
}

func sumsOfUploadPartResult(v *awss3.UploadPartOutput) sumFields {
	return sumFields{&v.ChecksumCRC32, &v.ChecksumCRC32C, &v.ChecksumSHA1, &v.ChecksumSHA256, &v.ChecksumCRC64NVME, &v.ChecksumSHA512, &v.ChecksumMD5, &v.ChecksumXXHASH64, &v.ChecksumXXHASH3, &v.ChecksumXXHASH128}
}

func sumsOfPartCopy(v *s3response.CopyPartResult) sumFields {
	return sumFields{&v.ChecksumCRC32, &v.ChecksumCRC32C, &v.ChecksumSHA1, &v.ChecksumSHA256, &v.ChecksumCRC64NVME, &v.ChecksumSHA512, &v.ChecksumMD5, &v.ChecksumXXHASH64, &v.ChecksumXXHASH3, &v.ChecksumXXHASH128}
}

func sumsOfPart(v *s3response.Part) sumFields {
	return sumFields{&v.ChecksumCRC32, &v.ChecksumCRC32C, &v.ChecksumSHA1, &v.ChecksumSHA256, &v.ChecksumCRC64NVME, &v.ChecksumSHA512, &v.ChecksumMD5, &v.ChecksumXXHASH64, &v.ChecksumXXHASH3, &v.ChecksumXXHASH128}
}

func sumsOfObjectPart(v *types.ObjectPart) sumFields {
	return sumFields{&v.ChecksumCRC32, &v.ChecksumCRC32C, &v.ChecksumSHA1, &v.ChecksumSHA256, &v.ChecksumCRC64NVME, &v.ChecksumSHA512, &v.ChecksumMD5, &v.ChecksumXXHASH64, &v.ChecksumXXHASH3, &v.ChecksumXXHASH128}
}

func sumsOfCompletedPart(v *types.CompletedPart) sumFields {
	return sumFields{&v.ChecksumCRC32, &v.ChecksumCRC32C, &v.ChecksumSHA1, &v.ChecksumSHA256, &v.ChecksumCRC64NVME, &v.ChecksumSHA512, &v.ChecksumMD5, &v.ChecksumXXHASH64, &v.ChecksumXXHASH3, &v.ChecksumXXHASH128}
}

func sumsOfComplete(v *awss3.CompleteMultipartUploadInput) sumFields {
	return sumFields{&v.ChecksumCRC32, &v.ChecksumCRC32C, &v.ChecksumSHA1, &v.ChecksumSHA256, &v.ChecksumCRC64NVME, &v.ChecksumSHA512, &v.ChecksumMD5, &v.ChecksumXXHASH64, &v.ChecksumXXHASH3, &v.ChecksumXXHASH128}
}

func sumsOfCompleteResult(v *s3response.CompleteMultipartUploadResult) sumFields {
	return sumFields{&v.ChecksumCRC32, &v.ChecksumCRC32C, &v.ChecksumSHA1, &v.ChecksumSHA256, &v.ChecksumCRC64NVME, &v.ChecksumSHA512, &v.ChecksumMD5, &v.ChecksumXXHASH64, &v.ChecksumXXHASH3, &v.ChecksumXXHASH128}
}

func sumsOfAttributes(v *types.Checksum) sumFields {
	return sumFields{&v.ChecksumCRC32, &v.ChecksumCRC32C, &v.ChecksumSHA1, &v.ChecksumSHA256, &v.ChecksumCRC64NVME, &v.ChecksumSHA512, &v.ChecksumMD5, &v.ChecksumXXHASH64, &v.ChecksumXXHASH3, &v.ChecksumXXHASH128}
}

// defaultAlgorithm is what AWS computes when the client names none.
const defaultAlgorithm = types.ChecksumAlgorithmCrc64nvme

// body computes the hashes of a content while it is read, and checks what the client said
// about them at its end.
type body struct {
	r         io.Reader
	md5       hash.Hash
	algorithm types.ChecksumAlgorithm
	sum       func() string
	crc64     *utils.HashReader // beside another algorithm, where asked for
}

// newBody reads r. announced is the algorithm that the request names without a value, value
// the checksum it gives; a trailer wins over both.
func newBody(r io.Reader, announced types.ChecksumAlgorithm, algorithm types.ChecksumAlgorithm, value string) (*body, error) {
	b := &body{r: r, md5: md5.New(), algorithm: algorithm}
	if r == nil {
		b.r = strings.NewReader("")
	}
	if t, ok := r.(middlewares.ChecksumReader); ok && t.Algorithm() != "" {
		b.algorithm = types.ChecksumAlgorithm(strings.ToUpper(t.Algorithm()))
		b.sum = t.Checksum
		return b, nil
	}
	if b.algorithm == "" {
		b.algorithm = announced
	}
	if b.algorithm == "" {
		b.algorithm = defaultAlgorithm
	}
	h, err := utils.NewHashReader(b.r, value, utils.HashType(strings.ToLower(string(b.algorithm))))
	if err != nil {
		return nil, apiError(400, "InvalidRequest", "The checksum algorithm "+string(b.algorithm)+" is not known.")
	}
	b.r, b.sum = h, h.Sum
	return b, nil
}

// alsoCRC64 computes that checksum too.
func (b *body) alsoCRC64() error {
	if b.algorithm == defaultAlgorithm {
		return nil
	}
	h, err := utils.NewHashReader(b.r, "", utils.HashTypeCRC64NVME)
	if err != nil {
		return err
	}
	b.r, b.crc64 = h, h
	return nil
}

// crc64Sum is that checksum once all is read.
func (b *body) crc64Sum() string {
	if b.crc64 != nil {
		return b.crc64.Sum()
	}
	return b.sum()
}

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	b.md5.Write(p[:n])
	return n, err
}

func (b *body) etag() string { return `"` + hex.EncodeToString(b.md5.Sum(nil)) + `"` }

// checkMD5 compares the Content-MD5 header, if the request has one.
func (b *body) checkMD5(header *string) error {
	if header == nil || *header == "" {
		return nil
	}
	if sum := base64.StdEncoding.EncodeToString(b.md5.Sum(nil)); sum != *header {
		return s3err.GetBadDigestErr(sum, *header)
	}
	return nil
}
