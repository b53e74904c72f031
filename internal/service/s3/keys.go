package s3

import (
	"encoding/base64"
	"net/url"
	"strings"

	"drover/internal/core/fault"
)

// Keys are opaque bytes, but the library refuses or folds those that look like odd paths.
// So the front spells such keys differently, and the backend takes that back: mark and '0'
// make a segment that is empty, "." or ".." an ordinary one, mark and '1' stand for a mark,
// mark and '2' break a "?versionId=" in a key that the library would cut there. All other
// keys are spelled as they are. The mark is a character that XML documents cannot hold, so
// keys in them need no spelling.
const mark = '\x02'

const maxKey = 1024

func spellKey(key string) string {
	if !oddKey(key) {
		return key
	}
	key = strings.ReplaceAll(key, string(mark), string(mark)+"1")
	key = strings.ReplaceAll(key, "?versionId=", "?"+string(mark)+"2versionId=")
	segments := strings.Split(key, "/")
	for i, s := range segments {
		if s == "." || s == ".." || s == "" && (i < len(segments)-1 || i == 0) {
			segments[i] = string(mark) + "0" + s
		}
	}
	return strings.Join(segments, "/")
}

func oddKey(key string) bool {
	if strings.IndexByte(key, mark) >= 0 || strings.Contains(key, "?versionId=") {
		return true
	}
	first := true
	for s := range strings.SplitSeq(key, "/") {
		if s == "." || s == ".." || s == "" && first {
			return true
		}
		first = false
	}
	return strings.Contains(key, "//")
}

// plainKey takes spellKey back.
func plainKey(key string) string {
	if strings.IndexByte(key, mark) < 0 {
		return key
	}
	var b strings.Builder
	for i := 0; i < len(key); i++ {
		if key[i] != mark {
			b.WriteByte(key[i])
			continue
		}
		if i++; i < len(key) && key[i] == '1' {
			b.WriteByte(mark)
		}
	}
	return b.String()
}

// spellPath spells the key in an escaped path that begins with a bucket.
func spellPath(path string) (string, error) {
	bucket, key, _ := strings.Cut(path[1:], "/")
	if key == "" {
		return path, nil
	}
	plain, err := url.PathUnescape(key)
	if err != nil {
		return "", fault.New(fault.Invalid, "InvalidURI", "The key in the path cannot be read: %v.", err)
	}
	if len(plain) > maxKey {
		return "", fault.New(fault.Invalid, "KeyTooLongError", "Your key is too long: %d bytes, at most %d are allowed.", len(plain), maxKey)
	}
	if !oddKey(plain) {
		return path, nil
	}
	return "/" + bucket + "/" + escapeKey(spellKey(plain)), nil
}

// spellSource spells the key in an x-amz-copy-source header.
func spellSource(source string) string {
	source = strings.TrimPrefix(source, "/")
	from, version, versioned := strings.Cut(source, "?versionId=")
	plain, err := url.QueryUnescape(from)
	if err != nil {
		return source // for the library to refuse
	}
	bucket, key, _ := strings.Cut(plain, "/")
	if !oddKey(key) {
		return source
	}
	source = bucket + "/" + escapeKey(spellKey(key))
	if versioned {
		source += "?versionId=" + version
	}
	return source
}

// escapeKey escapes every byte that is not safe in a path or a header.
func escapeKey(key string) string {
	const hex = "0123456789ABCDEF"
	b := make([]byte, 0, len(key)+32)
	for _, c := range []byte(key) {
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("/-_.~", c) >= 0 {
			b = append(b, c)
		} else {
			b = append(b, '%', hex[c>>4], hex[c&15])
		}
	}
	return string(b)
}

// A continuation token is a key in letters that XML and URLs carry.
func tokenOf(key string) string { return base64.RawURLEncoding.EncodeToString([]byte(key)) }

func keyOf(token string) (string, error) {
	key, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil {
		return "", apiError(400, "InvalidArgument", "The continuation token provided is incorrect")
	}
	return string(key), nil
}

// successor is the first key that does not start with prefix and sorts after all that do,
// or nil when there is none.
func successor(prefix string) []byte {
	b := []byte(prefix)
	for len(b) > 0 {
		last := len(b) - 1
		if b[last] < 0xff {
			b[last]++
			return b
		}
		b = b[:last]
	}
	return nil
}
