package objects

import (
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"hash"
	"hash/crc32"
	"hash/crc64"
	"io"
	"net/http"
	"strings"

	"drover/internal/core/fault"
)

// Object is what Fetch answers with.
type Object struct {
	Body      io.ReadCloser // nil if it is Unchanged
	Size      int64         // -1 if the server does not say
	ETag      string
	Unchanged bool // it still has the ETag that was given
}

// Fetch reads an object, unless it still has the given ETag ("" = read it in any case). What
// the server keeps as checksum of the whole object is compared: a reader of damaged content
// ends in an error, not in io.EOF.
func (c *Client) Fetch(ctx context.Context, bucket, key, etag string) (*Object, error) {
	q := &request{method: http.MethodGet, bucket: bucket, key: key, header: http.Header{"X-Amz-Checksum-Mode": {"ENABLED"}}}
	if etag != "" {
		q.header.Set("If-None-Match", etag)
	}
	res, err := c.do(ctx, q)
	if err != nil {
		if etag != "" && fault.From(err).Status == http.StatusNotModified {
			return &Object{ETag: etag, Unchanged: true}, nil
		}
		return nil, err
	}
	o := &Object{Body: res.Body, Size: res.ContentLength, ETag: res.Header.Get("ETag")}
	if sum, want := checksum(res.Header); sum != nil {
		o.Body = &verified{ReadCloser: res.Body, sum: sum, want: want, name: q.name()}
	}
	return o, nil
}

// nvme is the polynomial of CRC-64/NVME, bits reversed as hash/crc64 wants it.
const nvme = 0x9a6c9329ac4bc9b5

// checksum gives the first checksum of a whole object that an answer has; those of multipart
// objects are often checksums of checksums, with the number of parts behind a dash.
func checksum(h http.Header) (sum hash.Hash, want string) {
	if h.Get("X-Amz-Checksum-Type") == "COMPOSITE" {
		return nil, ""
	}
	for _, k := range []struct {
		name string
		make func() hash.Hash
	}{
		{"Crc32c", func() hash.Hash { return crc32.New(crc32.MakeTable(crc32.Castagnoli)) }},
		{"Crc32", func() hash.Hash { return crc32.NewIEEE() }},
		{"Crc64nvme", func() hash.Hash { return crc64.New(crc64.MakeTable(nvme)) }},
		{"Sha256", sha256.New},
		{"Sha1", sha1.New},
	} {
		if v := h.Get("X-Amz-Checksum-" + k.name); v != "" && !strings.Contains(v, "-") {
			return k.make(), v
		}
	}
	return nil, ""
}

// verified compares a checksum at the end of what it reads.
type verified struct {
	io.ReadCloser
	sum  hash.Hash
	want string
	name string
}

func (v *verified) Read(p []byte) (int, error) {
	n, err := v.ReadCloser.Read(p)
	v.sum.Write(p[:n])
	if err == io.EOF {
		if got := base64.StdEncoding.EncodeToString(v.sum.Sum(nil)); got != v.want {
			return n, fmt.Errorf("%s: the content that arrived has the checksum %s, the object %s", v.name, got, v.want)
		}
	}
	return n, err
}
