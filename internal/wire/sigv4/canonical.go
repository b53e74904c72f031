package sigv4

import (
	"bytes"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

const upperHex = "0123456789ABCDEF"

func unreserved(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
		c == '-' || c == '.' || c == '_' || c == '~'
}

func appendEncoded(b []byte, c byte) []byte {
	return append(b, '%', upperHex[c>>4], upperHex[c&15])
}

func fromHex(c byte) (byte, bool) {
	switch {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10, true
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}

// appendStrict writes s, a percent-encoded text as it came over the wire, in the one
// spelling that signatures are computed over: unreserved characters plain, all others as
// %XX in upper case. An encoded slash stays encoded, so that two different paths never
// have the same canonical form. ok is false for a % without two hex digits.
func appendStrict(b []byte, s string, slash, plusIsSpace bool) (_ []byte, ok bool) {
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '%':
			if i+2 >= len(s) {
				return b, false
			}
			hi, ok1 := fromHex(s[i+1])
			lo, ok2 := fromHex(s[i+2])
			if !ok1 || !ok2 {
				return b, false
			}
			i += 2
			if d := hi<<4 | lo; unreserved(d) {
				b = append(b, d)
			} else {
				b = appendEncoded(b, d)
			}
		case unreserved(c), slash && c == '/':
			b = append(b, c)
		case plusIsSpace && c == '+':
			b = append(b, "%20"...)
		default:
			b = appendEncoded(b, c)
		}
	}
	return b, true
}

// appendPath writes the canonical path.
func appendPath(b []byte, escaped string, raw bool) (_ []byte, ok bool) {
	if escaped == "" {
		return append(b, '/'), true
	}
	if raw {
		return appendStrict(b, escaped, true, false)
	}
	if strings.Contains(escaped, "//") || strings.Contains(escaped, "/.") {
		escaped = normalise(escaped)
	}
	for i := 0; i < len(escaped); i++ {
		if c := escaped[i]; unreserved(c) || c == '/' {
			b = append(b, c)
		} else {
			b = appendEncoded(b, c)
		}
	}
	return b, true
}

// normalise removes dot segments and doubled slashes (RFC 3986, section 5.2.4, and AWS's
// own rule for slashes); a slash at the end stays.
func normalise(path string) string {
	var keep []string
	last := ""
	for seg := range strings.SplitSeq(path, "/") {
		last = seg
		switch seg {
		case "", ".":
		case "..":
			if len(keep) > 0 {
				keep = keep[:len(keep)-1]
			}
		default:
			keep = append(keep, seg)
		}
	}
	out := "/" + strings.Join(keep, "/")
	if (last == "" || last == "." || last == "..") && out != "/" {
		out += "/"
	}
	return out
}

// appendQuery writes the canonical query: every pair in strict encoding, sorted by name
// and then value, duplicates and empty values kept. The pair named skip is left out (the
// signature itself, which cannot sign itself).
func appendQuery(b []byte, rawQuery, skip string) (_ []byte, ok bool) {
	if rawQuery == "" {
		return b, true
	}
	type pair struct{ name, value string }
	var few [16]pair
	pairs := few[:0]
	for part := range strings.SplitSeq(rawQuery, "&") {
		if part == "" {
			continue
		}
		name, value, _ := strings.Cut(part, "=")
		n, ok1 := appendStrict(make([]byte, 0, len(name)+8), name, false, true)
		v, ok2 := appendStrict(make([]byte, 0, len(value)+8), value, false, true)
		if !ok1 || !ok2 {
			return b, false
		}
		if skip != "" && string(n) == skip {
			continue
		}
		pairs = append(pairs, pair{string(n), string(v)})
	}
	slices.SortFunc(pairs, func(x, y pair) int {
		if c := strings.Compare(x.name, y.name); c != 0 {
			return c
		}
		return strings.Compare(x.value, y.value)
	})
	for i, p := range pairs {
		if i > 0 {
			b = append(b, '&')
		}
		b = append(b, p.name...)
		b = append(b, '=')
		b = append(b, p.value...)
	}
	return b, true
}

// appendTrimmed writes a header value without outer blanks and with inner runs of blanks
// made one.
func appendTrimmed(b []byte, v string) []byte {
	start := len(b)
	blank := false
	for i := 0; i < len(v); i++ {
		if c := v[i]; c == ' ' || c == '\t' {
			blank = true
			continue
		}
		if blank && len(b) > start {
			b = append(b, ' ')
		}
		blank = false
		b = append(b, v[i])
	}
	return b
}

// appendHeader writes one canonical header line; ok is false if the request does not
// have the header. Go's server moves some headers out of the map: they are taken from
// where it puts them.
func appendHeader(b []byte, r *http.Request, name string) (_ []byte, ok bool) {
	b = append(b, name...)
	b = append(b, ':')
	switch name {
	case "host":
		host := r.Host
		if host == "" && r.URL != nil {
			host = r.URL.Host
		}
		b = appendTrimmed(b, host)
		return append(b, '\n'), true
	case "content-length":
		if v := r.Header["Content-Length"]; len(v) == 0 {
			if r.ContentLength < 0 {
				return b, false
			}
			b = strconv.AppendInt(b, r.ContentLength, 10)
			return append(b, '\n'), true
		}
	case "transfer-encoding":
		if v := r.Header["Transfer-Encoding"]; len(v) == 0 && len(r.TransferEncoding) > 0 {
			b = append(b, strings.Join(r.TransferEncoding, ",")...)
			return append(b, '\n'), true
		}
	}
	values, found := r.Header[http.CanonicalHeaderKey(name)]
	if !found {
		return b, false
	}
	for i, v := range values {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendTrimmed(b, v)
	}
	return append(b, '\n'), true
}

// keySlashes spells the slashes in the key of an S3 path plainly; ok is false if they are.
// The AWS SDK for Java sends dir//x as dir/%2Fx, because its HTTP client would fold it, and
// signs dir//x; to S3 both are the same key. The bucket's part is left alone: there an
// encoded slash is another address.
func keySlashes(path string) (plain string, ok bool) {
	bucket := strings.IndexByte(strings.TrimPrefix(path, "/"), '/') + 2
	if bucket < 2 || bucket > len(path) {
		return path, false
	}
	plain = path[:bucket] + strings.NewReplacer("%2F", "/", "%2f", "/").Replace(path[bucket:])
	return plain, plain != path
}

// appendCanonical writes the canonical request.
func appendCanonical(b []byte, r *http.Request, path string, signed []string, payload, skipQuery string, raw bool) (_ []byte, ok bool) {
	b = append(b, r.Method...)
	b = append(b, '\n')
	if b, ok = appendPath(b, path, raw); !ok {
		return b, false
	}
	b = append(b, '\n')
	if b, ok = appendQuery(b, r.URL.RawQuery, skipQuery); !ok {
		return b, false
	}
	b = append(b, '\n')
	for _, name := range signed {
		if b, ok = appendHeader(b, r, name); !ok {
			return b, false
		}
	}
	b = append(b, '\n')
	for i, name := range signed {
		if i > 0 {
			b = append(b, ';')
		}
		b = append(b, name...)
	}
	b = append(b, '\n')
	return append(b, payload...), true
}

// unsignedAmz finds a header that drover may act on and that the signature does not
// cover. The names below are exempt: they only describe the client.
func unsignedAmz(h http.Header, signed []string) string {
	found := ""
	for name := range h {
		if len(name) < 6 || !strings.EqualFold(name[:6], "x-amz-") {
			continue
		}
		lower := strings.ToLower(name)
		if lower == "x-amz-user-agent" || slices.Contains(signed, lower) {
			continue
		}
		if found == "" || lower < found {
			found = lower
		}
	}
	return found
}

// lowerName reports whether a signed header's name is spelled as it must be.
func lowerName(s string) bool {
	return s != "" && !bytes.ContainsFunc([]byte(s), func(c rune) bool {
		return c <= ' ' || c >= 0x7f || 'A' <= c && c <= 'Z' || c == ':' || c == ';' || c == ','
	})
}
