package objects

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/xml"
	"fmt"
	"hash/crc32"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"drover/internal/core/fault"
	"drover/internal/wire/sigv4"
)

// Info describes an object.
type Info struct {
	Key      string
	Size     int64
	ETag     string
	Modified time.Time
}

const (
	hashedLimit = 1 << 20   // larger bodies are proved by CRC-32 instead of SHA-256
	singleLimit = 4 << 30   // larger ones go in parts; S3 takes 5 GiB at once
	partSize    = 512 << 20 // 10,000 parts are 4.8 TiB
)

// Put stores data as an object.
func (c *Client) Put(ctx context.Context, bucket, key string, data []byte) error {
	return c.PutFrom(ctx, bucket, key, bytes.NewReader(data), int64(len(data)))
}

// PutFrom stores size bytes of from, such as an *os.File. They are read more than once and
// must not change meanwhile; if they do the upload fails.
func (c *Client) PutFrom(ctx context.Context, bucket, key string, from io.ReaderAt, size int64) error {
	if err := c.prepare(); err != nil {
		return err
	}
	if size > c.single {
		return c.putParts(ctx, bucket, key, from, size)
	}
	q := &request{method: http.MethodPut, bucket: bucket, key: key}
	if err := q.content(from, 0, size); err != nil {
		return err
	}
	return c.run(ctx, q, nil)
}

// content makes the request carry a section of from.
func (q *request) content(from io.ReaderAt, off, size int64) error {
	if size <= hashedLimit {
		data := make([]byte, size)
		if n, err := from.ReadAt(data, off); int64(n) < size {
			return fmt.Errorf("%s: read the content: %w", q.name(), err)
		}
		q.small(data)
		return nil
	}
	sum := crc32.NewIEEE()
	if n, err := io.Copy(sum, io.NewSectionReader(from, off, size)); err != nil || n < size {
		if err == nil {
			err = io.ErrUnexpectedEOF
		}
		return fmt.Errorf("%s: read the content: %w", q.name(), err)
	}
	q.header = http.Header{"X-Amz-Checksum-Crc32": {base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, sum.Sum32()))}}
	q.body = func() io.Reader { return io.NewSectionReader(from, off, size) }
	q.size, q.hash = size, sigv4.UnsignedPayload
	return nil
}

func (c *Client) putParts(ctx context.Context, bucket, key string, from io.ReaderAt, size int64) error {
	var up struct {
		UploadID string `xml:"UploadId"`
	}
	if err := c.run(ctx, &request{method: http.MethodPost, bucket: bucket, key: key, query: "uploads="}, &up); err != nil {
		return err
	}
	id := url.QueryEscape(up.UploadID)
	type part struct {
		PartNumber int
		ETag       string
	}
	var done struct {
		XMLName xml.Name `xml:"CompleteMultipartUpload"`
		Part    []part
	}
	send := func() error {
		for off := int64(0); off < size; off += c.part {
			n := len(done.Part) + 1
			q := &request{method: http.MethodPut, bucket: bucket, key: key, query: "partNumber=" + strconv.Itoa(n) + "&uploadId=" + id}
			if err := q.content(from, off, min(c.part, size-off)); err != nil {
				return err
			}
			res, err := c.do(ctx, q)
			if err != nil {
				return err
			}
			res.Body.Close()
			done.Part = append(done.Part, part{n, res.Header.Get("ETag")})
		}
		doc, err := xml.Marshal(done)
		if err != nil {
			return err
		}
		return c.run(ctx, (&request{method: http.MethodPost, bucket: bucket, key: key, query: "uploadId=" + id}).small(doc), nil)
	}
	err := send()
	if err != nil { // leave no parts behind; the first error is the one to report
		clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		_ = c.run(clean, &request{method: http.MethodDelete, bucket: bucket, key: key, query: "uploadId=" + id}, nil)
	}
	return err
}

// Get reads an object; the caller closes the reader. A reader that ends early ends in an
// error, not in io.EOF.
func (c *Client) Get(ctx context.Context, bucket, key string) (io.ReadCloser, int64, error) {
	res, err := c.do(ctx, &request{method: http.MethodGet, bucket: bucket, key: key})
	if err != nil {
		return nil, 0, err
	}
	return res.Body, res.ContentLength, nil
}

// GetAll reads an object of at most limit bytes into memory.
func (c *Client) GetAll(ctx context.Context, bucket, key string, limit int64) ([]byte, error) {
	r, size, err := c.Get(ctx, bucket, key)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	if size > limit {
		return nil, fault.New(fault.TooLarge, "EntityTooLarge", "GET s3://%s/%s: the object has %d bytes, more than the %d expected here", bucket, key, size, limit)
	}
	data, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, fault.Wrap(err, fault.Unavailable, "ConnectionError", "GET s3://%s/%s: the content ended early", bucket, key)
	}
	return data, nil
}

// Head describes an object.
func (c *Client) Head(ctx context.Context, bucket, key string) (Info, error) {
	res, err := c.do(ctx, &request{method: http.MethodHead, bucket: bucket, key: key})
	if err != nil {
		return Info{}, err
	}
	res.Body.Close()
	modified, _ := http.ParseTime(res.Header.Get("Last-Modified")) // zero when the server gives none
	return Info{Key: key, Size: res.ContentLength, ETag: res.Header.Get("ETag"), Modified: modified}, nil
}

// Delete deletes an object; one that does not exist is no error.
func (c *Client) Delete(ctx context.Context, bucket, key string) error {
	return c.run(ctx, &request{method: http.MethodDelete, bucket: bucket, key: key}, nil)
}

const maxDelete = 1000 // keys in one request

// DeleteMany deletes objects, a thousand at a time. The error names the first that could
// not be deleted.
func (c *Client) DeleteMany(ctx context.Context, bucket string, keys []string) error {
	for len(keys) > 0 {
		n := min(len(keys), maxDelete)
		if err := c.deleteSome(ctx, bucket, keys[:n]); err != nil {
			return err
		}
		keys = keys[n:]
	}
	return nil
}

func (c *Client) deleteSome(ctx context.Context, bucket string, keys []string) error {
	type object struct{ Key string }
	doc := struct {
		XMLName xml.Name `xml:"Delete"`
		Quiet   bool
		Object  []object
	}{Quiet: true}
	for _, k := range keys {
		if !speakable(k) { // XML has no word for control characters
			if err := c.Delete(ctx, bucket, k); err != nil {
				return err
			}
			continue
		}
		doc.Object = append(doc.Object, object{k})
	}
	if len(doc.Object) == 0 {
		return nil
	}
	body, err := xml.Marshal(doc)
	if err != nil {
		return err
	}
	sum := binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE(body))
	q := (&request{method: http.MethodPost, bucket: bucket, query: "delete=",
		header: http.Header{"X-Amz-Checksum-Crc32": {base64.StdEncoding.EncodeToString(sum)}}}).small(body)
	var out struct {
		Error []struct{ Key, Code, Message string }
	}
	if err := c.run(ctx, q, &out); err != nil {
		return err
	}
	if len(out.Error) > 0 {
		e := out.Error[0]
		return fault.New(fault.Conflict, e.Code, "delete s3://%s/%s: %s (%d of %d not deleted)", bucket, e.Key, e.Message, len(out.Error), len(keys))
	}
	return nil
}

func speakable(key string) bool {
	return !strings.ContainsFunc(key, func(r rune) bool { return r < ' ' && r != '\t' || r == 0xFFFE || r == 0xFFFF || r == '\uFFFD' })
}

// List iterates over the objects below a prefix in the order of their keys, beginning
// behind the key after ("" = at the first). It ends at the first error.
func (c *Client) List(ctx context.Context, bucket, prefix, after string) iter.Seq2[Info, error] {
	return func(yield func(Info, error) bool) {
		q := url.Values{"list-type": {"2"}, "encoding-type": {"url"}}
		if prefix != "" {
			q.Set("prefix", prefix)
		}
		if after != "" {
			q.Set("start-after", after)
		}
		for {
			var page struct {
				IsTruncated           bool
				EncodingType          string
				NextContinuationToken string
				Contents              []struct {
					Key, ETag    string
					Size         int64
					LastModified time.Time
				}
			}
			if err := c.run(ctx, &request{method: http.MethodGet, bucket: bucket, query: strings.ReplaceAll(q.Encode(), "+", "%20")}, &page); err != nil {
				yield(Info{}, err)
				return
			}
			for _, o := range page.Contents {
				key := o.Key
				if page.EncodingType == "url" {
					var err error
					if key, err = url.QueryUnescape(key); err != nil {
						yield(Info{}, fault.Wrap(err, fault.Internal, "MalformedAnswer", "list s3://%s/%s: the key %q is not URL-encoded", bucket, prefix, o.Key))
						return
					}
				}
				if !yield(Info{Key: key, Size: o.Size, ETag: o.ETag, Modified: o.LastModified}, nil) {
					return
				}
			}
			if !page.IsTruncated || page.NextContinuationToken == "" {
				return
			}
			q.Set("continuation-token", page.NextContinuationToken)
		}
	}
}

// CreateBucket makes a bucket; one that is ours already is no error.
func (c *Client) CreateBucket(ctx context.Context, bucket string) error {
	err := c.run(ctx, &request{method: http.MethodPut, bucket: bucket}, nil)
	if codeIs(err, "BucketAlreadyOwnedByYou") {
		return nil
	}
	return err
}

// DeleteBucket deletes an empty bucket; one that does not exist is no error.
func (c *Client) DeleteBucket(ctx context.Context, bucket string) error {
	err := c.run(ctx, &request{method: http.MethodDelete, bucket: bucket}, nil)
	if codeIs(err, "NoSuchBucket") {
		return nil
	}
	return err
}
