package s3

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"drover/internal/blob"
	"drover/internal/blob/blobtest"
	"drover/internal/link/external"
)

// cable is an S3 that has one object and a bad connection: it gives answers by a plan, one
// for each GET, and what the last one says for all after it.
type cable struct {
	object []byte
	plan   []string // whole, cut (after a frame and a half), dead (cut before the first byte), gone, replaced
	asked  []string // ranges
}

func (c *cable) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.asked = append(c.asked, r.Header.Get("Range"))
	step := c.plan[min(len(c.asked), len(c.plan))-1]
	w.Header().Set("ETag", `"first"`)
	refuse := func(status int, code string) {
		w.WriteHeader(status)
		fmt.Fprintf(w, "<Error><Code>%s</Code></Error>", code)
	}
	switch {
	case step == "gone":
		refuse(http.StatusNotFound, "NoSuchKey")
	case step == "replaced" && r.Header.Get("If-Match") != "":
		refuse(http.StatusPreconditionFailed, "PreconditionFailed")
	case step == "cut" || step == "dead":
		http.ServeContent(&short{w, map[string]int{"cut": frameSize * 3 / 2}[step]}, r, "", time.Time{}, bytes.NewReader(c.object))
		_ = http.NewResponseController(w).Flush() // what it has written arrives
		panic(http.ErrAbortHandler)               // the connection breaks
	default:
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(c.object))
	}
}

// short passes on so many bytes.
type short struct {
	http.ResponseWriter
	left int
}

func (s *short) Write(p []byte) (int, error) {
	n, err := s.ResponseWriter.Write(p[:min(len(p), s.left)])
	if s.left -= n; err == nil && n < len(p) {
		err = io.ErrShortWrite
	}
	return n, err
}

// A reader goes on at the frame at which the connection broke, a few times, and tells what
// has become of an object that was there.
func TestBrokenConnections(t *testing.T) {
	id := blob.ID(strings.Repeat("a", idLen))
	content := blobtest.Content(1, 4*blob.BlockSize+blob.BlockSize*7/10)
	var object []byte
	for n := 0; n*blob.BlockSize < len(content); n++ {
		p := content[n*blob.BlockSize : min((n+1)*blob.BlockSize, len(content))]
		object = binary.BigEndian.AppendUint32(append(object, p...), frameSum(id, int64(n), n == 4, p))
	}
	for _, c := range []struct {
		name   string
		plan   []string
		given  int // bytes
		asked  int
		damage string // "": no damage
		word   string // of the error
	}{
		{"whole", []string{"whole"}, len(content), 1, "", ""},
		{"cut each time", []string{"cut"}, len(content), 5, "", ""}, // a frame each time, more often than it would ask for one
		{"cut at one place", []string{"cut", "dead"}, blob.BlockSize, 1 + reopens, "", "broke 4 times at one place"},
		{"gone at once", []string{"gone"}, 0, 1, "", blob.ErrNotFound.Error()},
		{"deleted while it is read", []string{"cut", "gone"}, blob.BlockSize, 2, "deleted while it was read", ""},
		{"replaced while it is read", []string{"cut", "replaced"}, blob.BlockSize, 2, "replaced while it was read", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			far := &cable{object: object, plan: c.plan}
			srv := httptest.NewServer(far)
			defer srv.Close()
			s := &Store{at: external.Address{Bucket: "b", Endpoint: srv.URL, Region: "us-east-1"}}
			s.at.Use("AKIAIOSFODNN7EXAMPLE", "secret", "")
			var err error
			if s.client, err = s.at.Client(t.Context()); err != nil {
				t.Fatal(err)
			}
			var got []byte
			r, err := s.Get(t.Context(), id, 0, -1)
			if err == nil {
				got, err = io.ReadAll(r)
				r.Close()
			}
			if !bytes.Equal(got, content[:c.given]) || len(far.asked) != c.asked {
				t.Errorf("%d bytes, %v; asked for %q", len(got), err, far.asked)
			}
			d, ok := errors.AsType[*blob.Damage](err)
			switch {
			case c.damage != "" && (!ok || d.Offset != int64(c.given) || !strings.Contains(d.Reason, c.damage)):
				t.Errorf("%v; want damage at %d: %s", err, c.given, c.damage)
			case c.damage == "" && c.word == "" && err != nil, c.word != "" && (err == nil || !strings.Contains(err.Error(), c.word)):
				t.Errorf("%v; want %q", err, c.word)
			}
		})
	}
}
