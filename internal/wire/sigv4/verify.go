package sigv4

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"drover/internal/core/fault"
	"drover/internal/wire/authz"
)

// Verifier checks the signatures of requests against a key source. Its zero value is
// not ready: Keys must be set. It is safe for concurrent use.
type Verifier struct {
	Keys    KeySource
	MaxBody int64            // what Verify reads of a body it must hold; 0: 1 MiB
	Now     func() time.Time // nil: time.Now
	V2      *Version2        // lets version 2 signatures in; nil: they are refused

	cache keyCache
}

// Auth is a request whose signature parts have been read and whose key is known, but
// whose signature has not been compared yet: for most services that takes the body.
// Exactly one of Check and Stream must be called before anything is done with it.
type Auth struct {
	Principal authz.Principal
	Service   string // signing name in the credential scope
	Region    string
	Presigned bool

	v       *Verifier
	r       *http.Request
	key     Key
	date    string // yyyymmdd
	stamp   string // the X-Amz-Date text
	scope   string // date/region/service/aws4_request
	signed  []string
	given   string // signature in hex
	payload string // declared payload hash; "" when the request declares none

	version2 bool // stamp is the date that is signed, given is in base64
}

// Signed reports whether a request claims to be signed at all, in any form drover knows
// of. A request for which it is false is anonymous.
func Signed(r *http.Request) bool {
	if _, ok := r.Header["Authorization"]; ok {
		return true
	}
	q := r.URL.RawQuery
	// The version 2 form counts as signed: it is refused, never taken as anonymous.
	return strings.Contains(q, "X-Amz-") && (strings.Contains(q, "X-Amz-Algorithm") || strings.Contains(q, "X-Amz-Credential") ||
		strings.Contains(q, "X-Amz-Signature")) || strings.Contains(q, "AWSAccessKeyId=")
}

// Open reads the signature parts of a request, looks its key up and checks everything
// that can be checked without the body: times, scope, session token and which headers
// are signed.
func (v *Verifier) Open(r *http.Request) (*Auth, error) {
	a := &Auth{v: v, r: r}
	header, inHeader := r.Header["Authorization"]
	inQuery := strings.Contains(r.URL.RawQuery, "X-Amz-Algorithm=") || strings.Contains(r.URL.RawQuery, "X-Amz-Signature=")
	var err error
	switch {
	case isVersion2(r) && len(header) <= 1 && !inQuery:
		return a, a.readVersion2()
	case inHeader && inQuery, len(header) > 1:
		return nil, withStatus(refuse(CodeUnsupported, "Only one auth mechanism allowed: the request carries more than one set of credentials."), 400)
	case inHeader:
		err = a.readHeader(header[0])
	case inQuery:
		err = a.readQuery()
	default:
		err = refuse(CodeMissingToken, "Missing Authentication Token: sign the request with your access key.")
	}
	if err != nil {
		return nil, err
	}
	if name := unsignedAmz(r.Header, a.signed); name != "" {
		return nil, refuse(CodeDenied, "There were headers present in the request which were not signed: %s.", name)
	}
	return a, nil
}

func withStatus(e *fault.Error, status int) *fault.Error {
	e.Status = status
	return e
}

func (v *Verifier) now() time.Time {
	if v.Now != nil {
		return v.Now()
	}
	return time.Now()
}

func (a *Auth) lookUp(token string, now time.Time) error {
	key, err := a.v.Keys.Secret(a.Principal.AccessKey, token, now)
	if err != nil {
		return err
	}
	key.Principal.AccessKey = a.Principal.AccessKey
	a.key, a.Principal = key, key.Principal
	return nil
}

// scratch holds a canonical request and the string to sign while they are computed.
type scratch struct{ canonical, text []byte }

// compare computes the signature over the payload text and compares it.
func (a *Auth) compare(payload string) (*[32]byte, error) {
	k := cacheKey{a.Principal.AccessKey, a.date, a.Region, a.Service}
	key, cached := a.v.cache.get(k, a.key.Secret)
	if !cached {
		key = signingKey(a.key.Secret, a.date, a.Region, a.Service)
	}
	skip := ""
	if a.Presigned {
		skip = "X-Amz-Signature"
	}
	path := a.r.URL.EscapedPath()
	good := a.signedAs(&key, path, payload, skip)
	if !good && RawPath(a.Service) {
		if plain, other := keySlashes(path); other {
			good = a.signedAs(&key, plain, payload, skip)
		}
	}
	if !good {
		return nil, errMismatch()
	}
	if !cached {
		a.v.cache.put(cacheKey{strings.Clone(k.accessKey), strings.Clone(k.date), strings.Clone(k.region), strings.Clone(k.service)}, a.key.Secret, key)
	}
	return &key, nil
}

// signedAs reports whether the signature is right for the request with the path.
func (a *Auth) signedAs(key *[32]byte, path, payload, skip string) bool {
	s := scratches.Get().(*scratch)
	defer scratches.Put(s)
	var ok bool
	s.canonical, ok = appendCanonical(s.canonical[:0], a.r, path, a.signed, payload, skip, RawPath(a.Service))
	if !ok {
		return false
	}
	s.text = appendStringToSign(s.text[:0], a.stamp, a.scope, s.canonical)
	want := sign(key, s.text)
	return hmac.Equal(want[:], []byte(a.given))
}

// scratches recycles the two buffers of compare.
var scratches = sync.Pool{New: func() any { return new(scratch) }}

// NeedsBody reports whether the signature can be compared only with the whole body at
// hand, because the request does not declare its hash.
func (a *Auth) NeedsBody() bool { return a.payload == "" }

// Check compares the signature of a request whose whole body the caller holds, and the
// body with its signed hash. After it returns nil the body may be acted on.
func (a *Auth) Check(body []byte) error {
	payload := a.payload
	if payload == "" && RawPath(a.Service) && a.Presigned {
		payload = UnsignedPayload
	}
	if payload == UnsignedPayload && RawPath(a.Service) {
		_, err := a.compare(payload)
		return err
	}
	if payload != "" && !isHash(payload) {
		return withStatus(refuse(CodeUnsupported, "x-amz-content-sha256 must be the SHA-256 of the body in hex for this service."), 400)
	}
	sum := sha256.Sum256(body)
	var actual [64]byte
	hex.Encode(actual[:], sum[:])
	if payload == "" {
		_, err := a.compare(string(actual[:]))
		return err
	}
	if _, err := a.compare(payload); err != nil {
		return err
	}
	if payload != string(actual[:]) {
		return errBodyHash()
	}
	return nil
}

func errBodyHash() error {
	return withStatus(refuse(CodeBodyHash, "The provided 'x-amz-content-sha256' header does not match what was computed."), 400)
}

func isHash(s string) bool {
	if len(s) != 64 {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// Verify is Open followed by the comparison that fits the service: S3 bodies stream and
// are checked while they are read; all others are read whole (at most MaxBody bytes) and
// checked before Verify returns.
func (v *Verifier) Verify(r *http.Request) (authz.Principal, *Body, error) {
	a, err := v.Open(r)
	if err != nil {
		return authz.Principal{}, nil, err
	}
	if RawPath(a.Service) {
		b, err := a.Stream()
		if err != nil {
			return authz.Principal{}, nil, err
		}
		return a.Principal, b, nil
	}
	limit := v.MaxBody
	if limit <= 0 {
		limit = 1 << 20
	}
	data, err := ReadLimited(nil, r.Body, limit)
	if err != nil {
		return authz.Principal{}, nil, err
	}
	if err := a.Check(data); err != nil {
		return authz.Principal{}, nil, err
	}
	return a.Principal, wholeBody(data), nil
}

// ReadLimited reads all of body behind buf; more than limit bytes is a TooLarge fault.
func ReadLimited(buf []byte, body io.Reader, limit int64) ([]byte, error) {
	if body == nil {
		return buf, nil
	}
	if cap(buf) < 512 {
		buf = make([]byte, 0, 2048)
	}
	for {
		if len(buf) == cap(buf) {
			buf = slices.Grow(buf, len(buf))
		}
		n, err := body.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if int64(len(buf)) > limit {
			return buf, fault.New(fault.TooLarge, "RequestEntityTooLarge", "the request body is larger than the %d bytes that this operation takes", limit)
		}
		if err == io.EOF {
			return buf, nil
		}
		if err != nil {
			return buf, withStatus(fault.Wrap(err, fault.Invalid, CodeIncompleteBd, "the request body ended before it was complete"), 400)
		}
	}
}
