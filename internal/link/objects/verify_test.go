package objects

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestFetchCompares(t *testing.T) {
	for _, c := range []struct{ header, value, say string }{
		{"X-Amz-Checksum-Crc32", "y/Q5Jg==", ""},
		{"X-Amz-Checksum-Crc32c", "4waSgw==", ""},
		{"X-Amz-Checksum-Crc64nvme", "rosUhgp5mIg=", ""},
		{"X-Amz-Checksum-Sha256", "FeKw09M4f+/05tP2c/JcfbKJJ0n5nCkDf1nDk7E9RsU=", "has the checksum"},
		{"X-Amz-Checksum-Crc32", "AAAAAA==", "has the checksum"},
		{"X-Amz-Checksum-Crc32", "AAAAAA==-3", ""}, // of parts
	} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("If-None-Match") == `"e"` {
				w.WriteHeader(http.StatusNotModified)
				return
			}
			w.Header().Set("ETag", `"e"`)
			w.Header().Set(c.header, c.value)
			io.WriteString(w, "123456789")
		}))
		cl := client(srv.URL)
		o, err := cl.Fetch(context.Background(), "b", "k", `"other"`)
		if err != nil || o.Size != 9 || o.ETag != `"e"` {
			t.Fatalf("%+v, %v", o, err)
		}
		_, err = io.ReadAll(o.Body)
		if c.say == "" && err != nil || c.say != "" && (err == nil || !strings.Contains(err.Error(), c.say)) {
			t.Errorf("%s %s: %v", c.header, c.value, err)
		}
		o.Body.Close()
		if o, err := cl.Fetch(context.Background(), "b", "k", `"e"`); err != nil || !o.Unchanged {
			t.Errorf("unchanged: %+v, %v", o, err)
		}
		cl.Close()
		srv.Close()
	}
}
