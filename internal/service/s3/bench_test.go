package s3

import (
	"bytes"
	"crypto/md5"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/versity/versitygw/s3api"
	"github.com/versity/versitygw/s3api/middlewares"

	"drover/internal/blob/blobtest"
	"drover/internal/wire/sigv4"
)

// BenchmarkSmallObjects compares 4 KiB objects with 8 clients through the front, durable
// and not, and at the library's own server on a unix socket.
func BenchmarkSmallObjects(b *testing.B) {
	for _, way := range []string{"front-durable", "front", "library-socket"} {
		b.Run(way, func(b *testing.B) {
			r := open(b, func(o *Options) { o.NoFsync = way != "front-durable" })
			r.bucket("bench")
			c := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
			url := r.url
			if way == "library-socket" {
				socket := filepath.Join(b.TempDir(), "s")
				key := middlewares.RootUserConfig{Access: testKey, Secret: testSecret}
				up := make(chan struct{})
				srv, err := s3api.New(r.s.library.backend, key, "drover-1", owner{}, nil, nil, nil, nil, s3api.WithQuiet(), s3api.WithKeepAlive(),
					s3api.WithConcurrencyLimiter(1000, 1000), s3api.WithOnListen(func() { close(up) }))
				if err != nil {
					b.Fatal(err)
				}
				done := make(chan error, 1)
				go func() { done <- srv.ServeMultiPort([]string{socket}) }()
				<-up
				c.Transport.(*http.Transport).Dial = func(string, string) (net.Conn, error) { return net.Dial("unix", socket) }
				url = "http://library"
				defer func() { c.CloseIdleConnections(); srv.ShutDown(); <-done }()
			}
			defer c.CloseIdleConnections()
			data := make([]byte, 4<<10)
			hash := sigv4.HashBody(data)
			do := func(method string, n int64, body []byte, hash string) {
				req, _ := http.NewRequest(method, fmt.Sprintf("%s/bench/o/%04d", url, n%2000), bytes.NewReader(body))
				sigv4.Sign(req, hash, sigv4.Credentials{AccessKey: testKey, Secret: testSecret}, "s3", "drover-1", time.Now())
				res, err := c.Do(req)
				if err != nil {
					b.Error(err)
					return
				}
				io.Copy(io.Discard, res.Body)
				res.Body.Close()
				if res.StatusCode != 200 {
					b.Errorf("%s: %s", method, res.Status)
				}
			}
			for n := range int64(2000) {
				do("PUT", n, data, hash)
			}
			for _, op := range []string{"PUT", "GET"} {
				b.Run(op, func(b *testing.B) {
					var next atomic.Int64
					b.SetParallelism(4) // 8 clients on 2 cores
					b.RunParallel(func(pb *testing.PB) {
						for pb.Next() {
							if op == "PUT" {
								do("PUT", next.Add(1), data, hash)
							} else {
								do("GET", next.Add(1), nil, sigv4.EmptyHash)
							}
						}
					})
					b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "op/s")
				})
			}
		})
	}
}

// BenchmarkLargeObjects measures 64 MiB objects with two clients beside the floor: an HTTP
// server that does nothing but hash (MD5 and SHA-256), write and fsync them.
func BenchmarkLargeObjects(b *testing.B) {
	const size = 64 << 20
	data := blobtest.Content(1, size)
	hash := sigv4.HashBody(data)
	dir := b.TempDir()
	floor := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path := filepath.Join(dir, filepath.Base(r.URL.Path))
		if r.Method == "GET" {
			f, err := os.Open(path)
			if err != nil {
				panic(err)
			}
			defer f.Close()
			m, s := md5.New(), sha256.New()
			io.Copy(io.MultiWriter(w, m, s), f)
			return
		}
		f, err := os.Create(path)
		if err != nil {
			panic(err)
		}
		defer f.Close()
		if _, err := io.Copy(io.MultiWriter(f, md5.New(), sha256.New()), r.Body); err != nil {
			panic(err)
		}
		if err := f.Sync(); err != nil {
			panic(err)
		}
	}))
	defer floor.Close()
	r := open(b, nil)
	r.bucket("large")
	for _, c := range []struct{ what, url string }{{"floor", floor.URL}, {"drover", r.url + "/large"}} {
		for _, method := range []string{"PUT", "GET"} {
			b.Run(c.what+"/"+method, func(b *testing.B) {
				b.SetBytes(size)
				b.SetParallelism(1)
				var n atomic.Int64
				b.RunParallel(func(pb *testing.PB) {
					key := fmt.Sprint("/k", n.Add(1)%2)
					for pb.Next() {
						var body io.Reader
						h := sigv4.EmptyHash
						if method == "PUT" {
							body, h = bytes.NewReader(data), hash
						}
						req, _ := http.NewRequest(method, c.url+key, body)
						sigv4.Sign(req, h, sigv4.Credentials{AccessKey: testKey, Secret: testSecret}, "s3", "drover-1", time.Now())
						res, err := http.DefaultClient.Do(req)
						if err != nil {
							b.Error(err)
							return
						}
						got, err := io.Copy(io.Discard, res.Body)
						res.Body.Close()
						if err != nil || res.StatusCode != 200 || method == "GET" && got != size {
							b.Errorf("%s: %s, %d bytes, %v", method, res.Status, got, err)
						}
					}
				})
			})
		}
	}
}
