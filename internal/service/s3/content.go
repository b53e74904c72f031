package s3

import (
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/versity/versitygw/s3api/utils"
	"github.com/versity/versitygw/s3err"

	"drover/internal/core/fault"
	"drover/internal/wire/sigv4"
)

// content is an object's bytes on their way to the library. It gives io.EOF only if the
// body had the announced length and proved to be what was signed; anything else ends in an
// error that the library answers with, and nothing is stored. The library itself would keep
// a body that ends too early.
type content struct {
	from io.Reader
	left int64
	err  error
}

func newContent(b *sigv4.Body) *content { return &content{from: b.Reader, left: b.DecodedLength} }

func (c *content) Read(p []byte) (int, error) {
	if c.err != nil {
		return 0, c.err
	}
	n, err := c.from.Read(p)
	c.left -= int64(n)
	switch {
	case c.left < 0:
		n, c.err = 0, answer(fault.New(fault.Invalid, "IncompleteBody", "The request body is longer than its announced length."))
	case err == io.EOF && c.left > 0:
		c.err = answer(fault.New(fault.Invalid, "IncompleteBody", "You did not provide the number of bytes specified by the Content-Length HTTP header."))
	case err == io.EOF:
		c.err = io.EOF
	case err != nil:
		c.err = answer(err)
	}
	return n, c.err
}

// trailed is content whose checksum follows it in a trailing header. It implements the
// interface by which the library learns algorithm and value of such a checksum.
type trailed struct {
	content
	hash      *utils.HashReader
	algorithm string
	name      string // the trailing header
	trailer   func() http.Header
}

const checksumHeader = "X-Amz-Checksum-"

// newTrailed prepares to check the one checksum trailer that the request announces; nil if
// it announces none.
func newTrailed(b *sigv4.Body, announced string) (*trailed, error) {
	name := http.CanonicalHeaderKey(strings.TrimSpace(announced))
	if !strings.HasPrefix(name, checksumHeader) {
		return nil, nil
	}
	t := &trailed{algorithm: strings.ToLower(strings.TrimPrefix(name, checksumHeader)), name: name, trailer: b.Trailer, content: *newContent(b)}
	var err error
	if t.hash, err = utils.NewHashReader(&t.content, "", utils.HashType(t.algorithm)); err != nil {
		return nil, fault.New(fault.Invalid, "InvalidRequest", "The checksum trailer %s is of no known algorithm.", announced)
	}
	return t, nil
}

func (t *trailed) Read(p []byte) (int, error) {
	n, err := t.hash.Read(p)
	if err == io.EOF && t.trailer().Get(t.name) != t.hash.Sum() {
		err = answer(fault.New(fault.Invalid, "BadDigest", "The %s you specified did not match the calculated checksum.", strings.ToUpper(t.algorithm)))
		t.err = err
	}
	return n, err
}

// Algorithm names the checksum.
func (t *trailed) Algorithm() string { return t.algorithm }

// Checksum is the checksum of what was read, which is the verified one once all was.
func (t *trailed) Checksum() string { return t.hash.Sum() }

// maxDocument bounds the bodies of control operations; the largest S3 knows are the part
// lists and delete lists, which stay below 3 MiB.
const maxDocument = 8 << 20

// document reads the body of a control operation to its verified end.
func document(b *sigv4.Body) ([]byte, error) {
	if b.DecodedLength > maxDocument {
		return nil, errTooLong()
	}
	data, err := io.ReadAll(io.LimitReader(b.Reader, maxDocument+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxDocument {
		return nil, errTooLong()
	}
	return data, nil
}

func errTooLong() error {
	return fault.New(fault.TooLarge, "MaxMessageLengthExceeded", "Your request was too big: at most %d bytes for this operation.", maxDocument)
}

// answer turns an error met while reading a body into one that the library passes on.
func answer(err error) error {
	f, ok := errors.AsType[*fault.Error](err)
	if !ok { // the connection broke; nobody is left to read this
		return s3err.APIError{Code: "IncompleteBody", Description: "The request body ended early.", HTTPStatusCode: 400}
	}
	return s3err.APIError{Code: f.Code, Description: f.Message, HTTPStatusCode: f.HTTPStatus()}
}
