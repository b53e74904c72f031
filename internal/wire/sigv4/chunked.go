package sigv4

import (
	"bufio"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"io"
	"net/http"
	"slices"
	"strings"

	"drover/internal/core/fault"
)

const (
	maxChunkLine   = 1024      // a chunk's size line, or one trailing header
	maxTrailers    = 16        // trailing headers of one body
	maxChunkSize   = 1 << 34   // larger than any part; guards the arithmetic
	chunkBuffer    = 32 * 1024 // read ahead of a chunked body
	signatureField = "chunk-signature="
	trailerSigName = "x-amz-trailer-signature"
)

// chain carries the signature from chunk to chunk.
type chain struct {
	key          [32]byte
	stamp, scope string
	previous     string
}

func (c *chain) next(kind string, parts ...string) string {
	text := strings.Join(append([]string{algorithm + kind, c.stamp, c.scope, c.previous}, parts...), "\n")
	out := sign(&c.key, []byte(text))
	return string(out[:])
}

// chunkReader decodes aws-chunked bodies:
//
//	<hex size>[;chunk-signature=<64 hex>]\r\n <bytes> \r\n   repeated
//	0[;chunk-signature=...]\r\n
//	<name>:<value>\r\n ...            trailing headers, where announced
//	x-amz-trailer-signature:<hex>\r\n signed trailers only
//	\r\n
//
// It accepts exactly that: a missing end, a wrong or missing signature, more or fewer
// bytes than announced, and trailers nobody announced are faults.
type chunkReader struct {
	in       *bufio.Reader
	links    *chain // nil when chunks are unsigned
	mode     Mode
	body     *Body
	expected []string // announced trailing headers, lower case

	left  int64 // bytes of the chunk still to give
	total int64 // bytes given
	sum   hash.Hash
	sig   string // signature of the chunk being read
	open  bool   // inside a chunk
	err   error
}

func newChunked(r *http.Request, links *chain, mode Mode) (*Body, error) {
	length, err := decodedLength(r)
	if err != nil {
		return nil, err
	}
	if mode == UnsignedTrailer {
		links = nil
	}
	b := &Body{Mode: mode, DecodedLength: length}
	c := &chunkReader{in: bufio.NewReaderSize(bodyOf(r), chunkBuffer), links: links, mode: mode, body: b, sum: sha256.New()}
	if mode != SignedChunks {
		b.trailer = http.Header{}
		for _, line := range r.Header["X-Amz-Trailer"] {
			for name := range strings.SplitSeq(line, ",") {
				if name = strings.ToLower(strings.TrimSpace(name)); name != "" {
					c.expected = append(c.expected, name)
				}
			}
		}
		if len(c.expected) > maxTrailers {
			return nil, withStatus(refuse(CodeUnsupported, "x-amz-trailer names more than %d headers.", maxTrailers), 400)
		}
	}
	b.Reader = c
	return b, nil
}

func (c *chunkReader) Read(p []byte) (int, error) {
	if c.err != nil {
		return 0, c.err
	}
	if len(p) == 0 {
		return 0, nil
	}
	for !c.open || c.left == 0 {
		if c.err = c.advance(); c.err != nil {
			return 0, c.err
		}
	}
	if int64(len(p)) > c.left {
		p = p[:c.left]
	}
	n, err := c.in.Read(p)
	if n > 0 {
		if c.links != nil { // hashing what nobody signed would halve the speed of uploads
			c.sum.Write(p[:n])
		}
		c.left -= int64(n)
		c.total += int64(n)
	}
	if err != nil {
		c.err = errCut(unexpected(err))
	}
	return n, c.err
}

// advance closes the chunk at hand and opens the next; after the last one it reads the
// end of the body and returns io.EOF.
func (c *chunkReader) advance() error {
	if c.open {
		if err := c.closeChunk(); err != nil {
			return err
		}
	}
	size, err := c.openChunk()
	if err != nil {
		return err
	}
	if c.total+size > c.body.DecodedLength {
		return errChunk("the chunks hold more than the %d bytes announced in x-amz-decoded-content-length", c.body.DecodedLength)
	}
	if size > 0 {
		return nil
	}
	return c.finish()
}

func (c *chunkReader) openChunk() (int64, error) {
	line, err := c.line()
	if err != nil {
		return 0, err
	}
	digits, rest, extended := strings.Cut(line, ";")
	size, ok := parseHexSize(digits)
	if !ok {
		return 0, errChunk("a chunk begins with %q instead of its size in hex", clip(digits))
	}
	c.sig = ""
	if c.links != nil {
		sig, found := strings.CutPrefix(rest, signatureField)
		if !extended || !found || len(sig) != 64 {
			return 0, errMismatch()
		}
		c.sig = sig
	}
	c.left, c.open = size, true
	c.sum.Reset()
	return size, nil
}

func (c *chunkReader) closeChunk() error {
	var end [2]byte
	if _, err := io.ReadFull(c.in, end[:]); err != nil {
		return errCut(unexpected(err))
	}
	if end != [2]byte{'\r', '\n'} {
		return errChunk("a chunk is longer than its size says")
	}
	c.open = false
	return c.checkChunk()
}

func (c *chunkReader) checkChunk() error {
	if c.links == nil {
		return nil
	}
	want := c.links.next("-PAYLOAD", EmptyHash, hex.EncodeToString(c.sum.Sum(nil)))
	if !hmac.Equal([]byte(want), []byte(c.sig)) {
		return errMismatch()
	}
	c.links.previous = want
	return nil
}

// finish reads what follows the last chunk.
func (c *chunkReader) finish() error {
	if err := c.checkChunk(); err != nil {
		return err
	}
	if c.total != c.body.DecodedLength {
		return errChunk("the chunks hold %d bytes but x-amz-decoded-content-length announced %d", c.total, c.body.DecodedLength)
	}
	var err error
	if c.mode == SignedChunks {
		err = c.blank()
	} else {
		err = c.readTrailers()
	}
	if err != nil {
		return err
	}
	if _, err := c.in.ReadByte(); err != io.EOF {
		return errChunk("bytes follow the end of the last chunk")
	}
	return io.EOF
}

// blank reads the empty line at the end; some clients leave it out.
func (c *chunkReader) blank() error {
	if _, err := c.in.Peek(1); err == io.EOF {
		return nil
	}
	line, err := c.line()
	if err == nil && line != "" {
		return errChunk("text follows the last chunk")
	}
	return err
}

func (c *chunkReader) readTrailers() error {
	var signed strings.Builder
	signature := ""
	for {
		line, err := c.line()
		if err != nil {
			return err
		}
		if line == "" {
			break
		}
		name, value, ok := strings.Cut(line, ":")
		name, value = strings.ToLower(strings.TrimSpace(name)), strings.TrimSpace(value)
		if !ok || signature != "" {
			return errChunk("a trailing header is malformed or follows the trailer signature")
		}
		if name == trailerSigName && c.mode == SignedTrailer {
			signature = value
			continue
		}
		key := http.CanonicalHeaderKey(name)
		if !slices.Contains(c.expected, name) || len(c.body.trailer[key]) > 0 {
			return errChunk("the trailing header %q was not announced in x-amz-trailer, or is repeated", clip(name))
		}
		c.body.trailer[key] = []string{value}
		signed.WriteString(name + ":" + value + "\n")
	}
	if len(c.body.trailer) != len(c.expected) {
		return errChunk("trailing headers announced in x-amz-trailer are missing")
	}
	if c.mode != SignedTrailer {
		return nil
	}
	want := c.links.next("-TRAILER", HashBody([]byte(signed.String())))
	if !hmac.Equal([]byte(want), []byte(signature)) {
		return errMismatch()
	}
	return nil
}

// line reads up to CRLF (or LF, which some clients send in trailers).
func (c *chunkReader) line() (string, error) {
	var line []byte
	for {
		part, err := c.in.ReadSlice('\n')
		line = append(line, part...)
		if len(line) > maxChunkLine {
			return "", errChunk("a chunk's size line or a trailing header is longer than %d bytes", maxChunkLine)
		}
		if err == bufio.ErrBufferFull {
			continue
		}
		if err != nil {
			return string(line), errCut(unexpected(err))
		}
		return strings.TrimRight(string(line), "\r\n"), nil
	}
}

func parseHexSize(s string) (n int64, ok bool) {
	if s == "" || len(s) > 16 {
		return 0, false
	}
	for i := range len(s) {
		d, ok := fromHex(s[i])
		if n = n<<4 | int64(d); !ok || n > maxChunkSize {
			return 0, false
		}
	}
	return n, true
}

func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

func errChunk(format string, args ...any) error {
	return withStatus(fault.New(fault.Invalid, CodeIncompleteBd, format, args...), 400)
}
