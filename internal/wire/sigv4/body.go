package sigv4

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"io"
	"net/http"
	"strconv"
	"strings"

	"drover/internal/core/fault"
)

// Mode says how the bytes of a body are vouched for.
type Mode uint8

// The modes of a body.
const (
	Whole           Mode = iota // read and checked before the request was handed on
	Hashed                      // compared with its signed SHA-256 at the end
	Unsigned                    // not covered: UNSIGNED-PAYLOAD, or an anonymous request
	SignedChunks                // every chunk signed, each signature over the one before
	SignedTrailer               // as SignedChunks, with signed trailing headers
	UnsignedTrailer             // chunks not signed, with trailing headers (a checksum)
)

// Body is a request's content, decoded from its transfer form.
//
// Reader checks while it reads: a body that is not what was signed ends in a fault
// instead of io.EOF. Nothing read from it may take effect before io.EOF has been seen.
type Body struct {
	Mode          Mode
	DecodedLength int64 // bytes that Reader will give; -1 when not announced
	Reader        io.Reader

	trailer http.Header
}

// Trailer gives the headers that followed the body; it is complete once Reader has
// returned io.EOF, and nil for bodies without trailers.
func (b *Body) Trailer() http.Header { return b.trailer }

func wholeBody(data []byte) *Body {
	return &Body{Mode: Whole, DecodedLength: int64(len(data)), Reader: bytes.NewReader(data)}
}

// WholeBody wraps content that has been checked already.
func WholeBody(data []byte) *Body { return wholeBody(data) }

// Anonymous is the body of a request that carries no signature. One that announces
// unsigned chunks is decoded; the other chunked forms need a key and are refused.
func Anonymous(r *http.Request) (*Body, error) {
	payload, err := oneHeader(r.Header, "X-Amz-Content-Sha256")
	if err != nil {
		return nil, err
	}
	switch {
	case payload == "" || payload == UnsignedPayload:
		return &Body{Mode: Unsigned, DecodedLength: r.ContentLength, Reader: bodyOf(r)}, nil
	case isHash(payload):
		return hashed(r, payload), nil
	case payload == streamUnsignedTrailer:
		return newChunked(r, nil, UnsignedTrailer)
	}
	return nil, errPayloadForm(payload)
}

func errPayloadForm(payload string) error {
	if strings.HasPrefix(payload, "STREAMING-AWS4-ECDSA") {
		return withStatus(refuse(CodeUnsupported, "drover does not verify SigV4a (ECDSA) chunk signatures. Please use AWS4-HMAC-SHA256 with a single region."), 400)
	}
	return withStatus(refuse(CodeUnsupported, "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, a STREAMING form, or a SHA-256 in hex."), 400)
}

// Stream compares the signature of a request whose body is read later, as S3's are, and
// returns the body in a form that checks itself.
func (a *Auth) Stream() (*Body, error) {
	payload := a.payload
	if a.version2 {
		if err := a.compare2(); err != nil {
			return nil, err
		}
		if isHash(payload) {
			return hashed(a.r, payload), nil
		}
		return &Body{Mode: Unsigned, DecodedLength: a.r.ContentLength, Reader: bodyOf(a.r)}, nil
	}
	if payload == "" {
		if !a.Presigned {
			return nil, withStatus(refuse(CodeUnsupported, "Missing required header for this request: x-amz-content-sha256"), 400)
		}
		payload = UnsignedPayload
	}
	mode := Hashed
	switch payload {
	case UnsignedPayload:
		mode = Unsigned
	case streamSigned:
		mode = SignedChunks
	case streamSignedTrailer:
		mode = SignedTrailer
	case streamUnsignedTrailer:
		mode = UnsignedTrailer
	default:
		if !isHash(payload) {
			return nil, errPayloadForm(payload)
		}
	}
	if mode >= SignedChunks && a.Presigned {
		return nil, withStatus(refuse(CodeUnsupported, "A presigned request cannot carry a streaming (aws-chunked) payload."), 400)
	}
	key, err := a.compare(payload)
	if err != nil {
		return nil, err
	}
	switch mode {
	case Unsigned:
		return &Body{Mode: Unsigned, DecodedLength: a.r.ContentLength, Reader: bodyOf(a.r)}, nil
	case Hashed:
		return hashed(a.r, payload), nil
	}
	return newChunked(a.r, &chain{key: *key, stamp: a.stamp, scope: a.scope, previous: a.given}, mode)
}

func bodyOf(r *http.Request) io.Reader {
	if r.Body == nil {
		return http.NoBody
	}
	return r.Body
}

func hashed(r *http.Request, want string) *Body {
	return &Body{Mode: Hashed, DecodedLength: r.ContentLength,
		Reader: &hashReader{from: bodyOf(r), sum: sha256.New(), want: want}}
}

// hashReader turns io.EOF into a fault when the bytes before it are not those signed.
type hashReader struct {
	from io.Reader
	sum  hash.Hash
	want string
	err  error
}

func (h *hashReader) Read(p []byte) (int, error) {
	if h.err != nil {
		return 0, h.err
	}
	n, err := h.from.Read(p)
	h.sum.Write(p[:n])
	switch {
	case err == io.EOF:
		h.err = io.EOF
		if hex.EncodeToString(h.sum.Sum(nil)) != h.want {
			h.err = errBodyHash()
		}
	case err != nil:
		h.err = errCut(err)
	}
	return n, h.err
}

func errCut(cause error) error {
	return withStatus(fault.Wrap(cause, fault.Invalid, CodeIncompleteBd, "You did not provide the number of bytes specified by the Content-Length HTTP header."), 400)
}

func decodedLength(r *http.Request) (int64, error) {
	text, err := oneHeader(r.Header, "X-Amz-Decoded-Content-Length")
	if err != nil {
		return 0, err
	}
	if text == "" {
		return 0, withStatus(refuse("MissingContentLength", "You must provide the x-amz-decoded-content-length HTTP header with a streaming payload."), 411)
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 {
		return 0, withStatus(refuse(CodeUnsupported, "x-amz-decoded-content-length must be a number of bytes."), 400)
	}
	return n, nil
}
