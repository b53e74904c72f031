package s3

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"
)

// innerSigner signs requests for the library, in its own reading of AWS's rules: it demands
// that Host and every X-Amz-* header be signed, and it rebuilds path and query from what
// fasthttp parsed. Working on the same parsed request makes the two agree by construction,
// which a general signer working on net/http's request would not.
type innerSigner struct {
	access, secret, region string
	day                    atomic.Pointer[dayKey]
}

type dayKey struct {
	day string
	key []byte
}

func newInnerSigner(access, secret, region string) *innerSigner {
	return &innerSigner{access: access, secret: secret, region: region}
}

const unsignedPayload = "UNSIGNED-PAYLOAD"

// sign adds X-Amz-Date, X-Amz-Content-Sha256 and Authorization. Bodies are not hashed again:
// the front has verified them.
func (s *innerSigner) sign(req *fasthttp.Request, now time.Time) {
	stamp := now.UTC().Format("20060102T150405Z")
	h := &req.Header
	h.Set("X-Amz-Date", stamp)
	h.Set("X-Amz-Content-Sha256", unsignedPayload)

	var list []header
	list = append(list, header{"host", string(h.Host())})
	for k, v := range h.All() {
		if name := strings.ToLower(string(k)); strings.HasPrefix(name, "x-amz-") {
			list = append(list, header{name, strings.Join(strings.FieldsFunc(string(v), isSpace), " ")})
		}
	}
	slices.SortStableFunc(list, func(a, b header) int { return strings.Compare(a.name, b.name) })

	var canon, names strings.Builder
	canon.Grow(512)
	canon.Write(h.Method())
	canon.WriteByte('\n')
	writeEscaped(&canon, decodedPath(req))
	canon.WriteByte('\n')
	canon.WriteString(canonicalQuery(req.URI().QueryArgs()))
	canon.WriteByte('\n')
	for i := 0; i < len(list); {
		canon.WriteString(list[i].name)
		canon.WriteByte(':')
		canon.WriteString(list[i].value)
		if i > 0 {
			names.WriteByte(';')
		}
		names.WriteString(list[i].name)
		j := i + 1
		for ; j < len(list) && list[j].name == list[i].name; j++ {
			canon.WriteByte(',')
			canon.WriteString(list[j].value)
		}
		canon.WriteByte('\n')
		i = j
	}
	canon.WriteByte('\n')
	canon.WriteString(names.String())
	canon.WriteByte('\n')
	canon.WriteString(unsignedPayload)

	scope := stamp[:8] + "/" + s.region + "/s3/aws4_request"
	text := canon.String()
	hash := sha256.Sum256([]byte(text))
	sig := mac(s.keyFor(stamp[:8]), "AWS4-HMAC-SHA256\n"+stamp+"\n"+scope+"\n"+hex.EncodeToString(hash[:]))
	h.Set("Authorization", "AWS4-HMAC-SHA256 Credential="+s.access+"/"+scope+
		", SignedHeaders="+names.String()+", Signature="+hex.EncodeToString(sig))
}

type header struct{ name, value string }

func isSpace(r rune) bool { return r == ' ' }

// keyFor derives the day's signing key once a day.
func (s *innerSigner) keyFor(day string) []byte {
	if k := s.day.Load(); k != nil && k.day == day {
		return k.key
	}
	key := []byte("AWS4" + s.secret)
	for _, part := range []string{day, s.region, "s3", "aws4_request"} {
		key = mac(key, part)
	}
	s.day.Store(&dayKey{day, key})
	return key
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

// canonicalQuery sorts by name, then value.
func canonicalQuery(args *fasthttp.Args) string {
	if args.Len() == 0 {
		return ""
	}
	q := make(url.Values, args.Len())
	for k, v := range args.All() {
		q.Add(string(k), string(v))
	}
	for _, values := range q {
		slices.Sort(values)
	}
	return strings.ReplaceAll(q.Encode(), "+", "%20")
}

// decodedPath is the path as the library has it when it verifies: it has decoded it once.
func decodedPath(req *fasthttp.Request) string {
	raw := string(req.URI().PathOriginal())
	if path, err := url.PathUnescape(raw); err == nil {
		return path
	}
	return raw // the library refuses it before it looks at the signature
}

// writeEscaped escapes all but unreserved characters and "/".
func writeEscaped(b *strings.Builder, path string) {
	const hexDigits = "0123456789ABCDEF"
	for _, c := range []byte(path) {
		switch {
		case 'A' <= c && c <= 'Z', 'a' <= c && c <= 'z', '0' <= c && c <= '9',
			c == '-', c == '_', c == '.', c == '~', c == '/':
			b.WriteByte(c)
		default:
			b.WriteByte('%')
			b.WriteByte(hexDigits[c>>4])
			b.WriteByte(hexDigits[c&15])
		}
	}
}
