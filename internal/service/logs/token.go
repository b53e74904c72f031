package logs

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
)

// Tokens of GetLogEvents look like f/STREAM/NUMBER (forward, from NUMBER on) and
// b/STREAM/NUMBER (backward, before NUMBER).

func eventToken(onward bool, stream, next int64) string {
	way := "b"
	if onward {
		way = "f"
	}
	return fmt.Sprintf("%s/%d/%d", way, stream, next)
}

// parseEventToken reads a token of the stream.
func parseEventToken(token string, stream int64) (onward bool, next int64, err error) {
	f := strings.Split(token, "/")
	if len(f) == 3 && (f[0] == "f" || f[0] == "b") && f[1] == strconv.FormatInt(stream, 10) {
		if next, ok := number(f[2]); ok {
			return f[0] == "f", next, nil
		}
	}
	return false, 0, badToken()
}

func badToken() error {
	return invalid("The specified nextToken is invalid.")
}

// number reads a number that is not negative, in the only way that a token writes it.
func number(s string) (int64, bool) {
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil && n >= 0 && s == strconv.FormatInt(n, 10)
}

// place is where a list goes on: after this place in its order. Lists by name use name
// only, lists by time at and id, FilterLogEvents all but name.
type place struct {
	at, id, number int64
	skip           int64 // events of the chunk at this place that were looked at already
	name           string
}

// pageToken writes a place; kind keeps the tokens of different lists apart.
func pageToken(kind string, p place) string {
	s := fmt.Sprintf("%s/%d/%d/%d/%d/%s", kind, p.at, p.id, p.number, p.skip, p.name)
	return base64.RawURLEncoding.EncodeToString([]byte(s))
}

// parsePageToken reads what pageToken wrote for the same kind.
func parsePageToken(kind, token string) (place, error) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(token)
	f := strings.SplitN(string(b), "/", 6)
	if err != nil || len(f) != 6 || f[0] != kind || len(f[5]) > maxName {
		return place{}, badToken()
	}
	p := place{name: f[5]}
	for i, dst := range []*int64{&p.at, &p.id, &p.number, &p.skip} {
		n, err := strconv.ParseInt(f[1+i], 10, 64)
		if err != nil || f[1+i] != strconv.FormatInt(n, 10) {
			return place{}, badToken()
		}
		*dst = n
	}
	return p, nil
}
