package main

import (
	"bytes"
	"crypto/md5"
	"encoding/base64"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"time"

	"drover/bench/rig"
	"drover/internal/wire/sigv4"
)

// target is one S3 that requests are sent to.
type target struct {
	url  string
	key  sigv4.Credentials
	http *http.Client
}

func newTarget(url string, key sigv4.Credentials) *target {
	return &target{url: url, key: key, http: &http.Client{Transport: &http.Transport{
		MaxIdleConnsPerHost: 64, DisableCompression: true, WriteBufferSize: 64 << 10, ReadBufferSize: 64 << 10}}}
}

// do sends one request and reads the answer to its end.
func (t *target) do(method, path string, body []byte, hash string) (n int64, err error) {
	var from io.Reader
	if body != nil {
		from = bytes.NewReader(body)
	}
	req, err := http.NewRequest(method, t.url+path, from)
	if err != nil {
		return 0, err
	}
	if method == http.MethodPost { // of documents; S3 wants to see that they arrived whole
		sum := md5.Sum(body)
		req.Header.Set("Content-MD5", base64.StdEncoding.EncodeToString(sum[:]))
	}
	sigv4.Sign(req, hash, t.key, "s3", "drover-1", time.Now())
	res, err := t.http.Do(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	var head [200]byte
	if res.StatusCode/100 != 2 {
		k, _ := io.ReadFull(res.Body, head[:])
		return 0, fmt.Errorf("%s %s: %s: %s", method, path, res.Status, head[:k])
	}
	return io.Copy(io.Discard, res.Body)
}

func (t *target) makeBucket(name string) error {
	_, err := t.do(http.MethodPut, "/"+name, nil, sigv4.EmptyHash)
	return err
}

// rate calls do with 0, 1, … from a number of clients for a while and gives calls a second.
func rate(clients int, during time.Duration, do func(i int64) error) (float64, error) {
	end := time.Now().Add(during)
	return rig.Rate(clients, func(i int64) error {
		if !time.Now().Before(end) {
			return rig.ErrEnough
		}
		return do(i)
	})
}

// noise is content that no disk or server makes smaller, and the same each time.
func noise(size int) []byte {
	data := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(data) // never fails
	return data
}
