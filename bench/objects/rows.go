package main

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"drover/bench/rig"
	"drover/internal/wire/sigv4"
)

const (
	smallSize = 4 << 10
	smallKeys = 2000
	clients   = 8
	largeSize = 64 << 20
)

// store is a drover with its two ports.
type store struct {
	*rig.Instance
	main, direct *target
}

func (b *bench) launch() (*store, error) {
	in, err := rig.Launch(b.Drover, b.Dir, "--no-worker", "--s3-listen", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	return b.open(in)
}

// open finds the two ports of an instance, and stops it if it cannot.
func (b *bench) open(in *rig.Instance) (_ *store, err error) {
	defer func() {
		if err != nil {
			err = errors.Join(err, in.Stop())
		}
	}()
	text, err := os.ReadFile(filepath.Join(in.Data, "server.json"))
	for end := time.Now().Add(10 * time.Second); err != nil && time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		text, err = os.ReadFile(filepath.Join(in.Data, "server.json")) // it answers a moment before it is announced
	}
	if err != nil {
		return nil, err
	}
	var at map[string]any
	if err := json.Unmarshal(text, &at); err != nil {
		return nil, err
	}
	direct, ok := at["s3"].(string)
	if !ok {
		return nil, fmt.Errorf("server.json names no direct port: %s", text)
	}
	return &store{in, newTarget(in.Endpoint, in.Client.Credentials), newTarget(direct, in.Client.Credentials)}, nil
}

// launchFilled is launch with n objects in a bucket.
func (b *bench) launchFilled(bucket string, n int, key func(int) string) (*store, error) {
	s, err := b.launch()
	if err != nil {
		return nil, err
	}
	if err := errors.Join(s.direct.makeBucket(bucket), s.Stop()); err != nil {
		return nil, err
	}
	if err := fill(s.Data, bucket, n, key); err != nil {
		return nil, err
	}
	in, err := rig.LaunchOn(b.Drover, s.Data, time.Minute, "--no-worker", "--s3-listen", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	return b.open(in)
}

// small compares objects of 4 KiB: durable here, without fsync there.
func (b *bench) small() error {
	s, err := b.launch()
	if err != nil {
		return err
	}
	defer s.Stop()
	url, stop, err := b.startPeer("posix")
	if err != nil {
		return err
	}
	defer stop()
	data := noise(smallSize)
	hash := sigv4.HashBody(data)
	path := func(i int64) string { return fmt.Sprintf("/bench/o/%04d", i%smallKeys) }
	targets := []*target{s.direct, newTarget(url, peerKey), s.main}
	rates := map[string][][]float64{"PUT": make([][]float64, 3), "GET": make([][]float64, 3)}
	for i, t := range targets[:2] {
		if err := t.makeBucket("bench"); err != nil {
			return fmt.Errorf("target %d: %w", i, err)
		}
		if _, err := rig.Rate(clients, func(i int64) error {
			if i >= smallKeys {
				return rig.ErrEnough
			}
			_, err := t.do(http.MethodPut, path(i), data, hash)
			return err
		}); err != nil {
			return err
		}
	}
	for range b.runs {
		for i, t := range targets {
			for _, op := range []string{"PUT", "GET"} {
				r, err := rate(clients, b.during, func(n int64) error {
					if op == "PUT" {
						_, err := t.do(op, path(n), data, hash)
						return err
					}
					k, err := t.do(op, path(n), nil, sigv4.EmptyHash)
					if err == nil && k != smallSize {
						err = fmt.Errorf("GET gave %d bytes", k)
					}
					return err
				})
				if err != nil {
					return err
				}
				rates[op][i] = append(rates[op][i], r)
			}
		}
	}
	b.ratio("PUT 4 KiB, 8 clients, against posix", "/s", rates["PUT"][0], rates["PUT"][1], 0.6)
	b.ratio("GET 4 KiB, 8 clients, against posix", "/s", rates["GET"][0], rates["GET"][1], 1)
	b.ratio("PUT 4 KiB, main port against direct", "/s", rates["PUT"][2], rates["PUT"][0], 0.5)
	b.ratio("GET 4 KiB, main port against direct", "/s", rates["GET"][2], rates["GET"][0], 0.5)
	return nil
}

// large compares objects of 64 MiB with a bare copy.
func (b *bench) large() error {
	s, err := b.launch()
	if err != nil {
		return err
	}
	defer s.Stop()
	url, stop, err := b.startPeer("copy")
	if err != nil {
		return err
	}
	defer stop()
	if err := s.direct.makeBucket("large"); err != nil {
		return err
	}
	data := noise(largeSize)
	hash := sigv4.HashBody(data)
	targets := []*target{s.direct, newTarget(url, peerKey)}
	rates := map[string][][]float64{"PUT": make([][]float64, 2), "GET": make([][]float64, 2)}
	for range 2*b.runs + 1 {
		for i, t := range targets {
			for _, op := range []string{"PUT", "GET"} {
				body, h := data, hash
				if op == "GET" {
					body, h = nil, sigv4.EmptyHash
				}
				start := time.Now()
				n, err := t.do(op, "/large/object", body, h)
				if err != nil || op == "GET" && n != largeSize {
					return fmt.Errorf("%s gave %d bytes: %w", op, n, err)
				}
				rates[op][i] = append(rates[op][i], largeSize/1e6/time.Since(start).Seconds())
			}
		}
	}
	b.ratio("PUT 64 MiB, against a copy that hashes", "MB/s", rates["PUT"][0], rates["PUT"][1], 0.7)
	b.ratio("GET 64 MiB, against a copy that hashes", "MB/s", rates["GET"][0], rates["GET"][1], 0.9)
	return nil
}

// list measures pages of a bucket with many keys.
func (b *bench) list() error {
	s, err := b.launchFilled("listed", b.keys, func(i int) string { return fmt.Sprintf("raw/%04d/%04d/object-%07d.json", i/100, i/10, i) })
	if err != nil {
		return err
	}
	defer s.Stop()
	middle := fmt.Sprintf("raw/%04d/", b.keys/200)
	for _, c := range []struct {
		what, prefix, delimiter, after string
		must                           float64 // ms
	}{
		{"a page of 1,000 keys", "", "", middle, 5},
		{"a page with a delimiter, 100 keys each", "raw/", "/", "", 20},
		{"a page with a delimiter, 10 keys each", middle, "/", "", 20},
	} {
		q := url.Values{"list-type": {"2"}, "prefix": {c.prefix}, "delimiter": {c.delimiter}, "start-after": {c.after}}
		var took []float64
		for range 40 {
			start := time.Now()
			if _, err := s.direct.do(http.MethodGet, "/listed?"+q.Encode(), nil, sigv4.EmptyHash); err != nil {
				return err
			}
			took = append(took, time.Since(start).Seconds()*1000)
		}
		ms := rig.Median(took)
		b.limit(fmt.Sprintf("%s of %d", c.what, b.keys), fmt.Sprintf("%.1f ms", ms), fmt.Sprintf("<= %.0f", c.must), ms <= c.must)
	}
	return nil
}

// events measures how many changes a second are written down and told to a follower.
func (b *bench) events() error {
	const n, group = 60_000, 1000
	key := func(i int) string { return fmt.Sprintf("key-%07d", i) }
	s, err := b.launchFilled("gone", n, key)
	if err != nil {
		return err
	}
	defer s.Stop()
	told := make(chan error, 1)
	start := time.Now()
	go func() { told <- follow(s, n) }()
	if _, err := rig.Rate(clients, func(i int64) error {
		if i >= n/group {
			return rig.ErrEnough
		}
		type object struct{ Key string }
		doc := struct {
			XMLName xml.Name `xml:"Delete"`
			Quiet   bool
			Object  []object
		}{Quiet: true}
		for k := range group {
			doc.Object = append(doc.Object, object{key(int(i)*group + k)})
		}
		text, err := xml.Marshal(doc)
		if err == nil {
			_, err = s.direct.do(http.MethodPost, "/gone?delete=", text, sigv4.HashBody(text))
		}
		return err
	}); err != nil {
		return err
	}
	if err := <-told; err != nil {
		return err
	}
	perSecond := n / time.Since(start).Seconds()
	b.limit("events written and followed", fmt.Sprintf("%.0f /s", perSecond), ">= 10000", perSecond >= 10_000)
	return nil
}

// memory lets GiBs flow through, in and out, and compares what the server holds.
func (b *bench) memory() error {
	s, err := b.launch()
	if err != nil {
		return err
	}
	defer s.Stop()
	if err := s.direct.makeBucket("flow"); err != nil {
		return err
	}
	data := noise(largeSize)
	hash := sigv4.HashBody(data)
	var first, last int64
	const perGiB = 1 << 30 / largeSize
	for i := range b.gib * perGiB {
		path := fmt.Sprintf("/flow/%d", i%4)
		if _, err := s.direct.do(http.MethodPut, path, data, hash); err != nil {
			return err
		}
		if _, err := s.direct.do(http.MethodGet, path, nil, sigv4.EmptyHash); err != nil {
			return err
		}
		if last, err = rig.Resident(s.Cmd.Process.Pid); err != nil {
			return err
		}
		if i == perGiB-1 {
			first = last
		}
	}
	const slack = 16 << 20
	b.limit(fmt.Sprintf("memory after 1 and %d GiB in and out", b.gib), fmt.Sprintf("%d, %d MiB", first>>20, last>>20), "flat", last <= first+slack)
	return nil
}
