// Package blobtest checks the promises of package blob on any implementation.
//
// It promises that a store that passes can be used wherever a blob.Store is asked for:
// round trips and ranges around block borders, failing sources, deletes under open readers,
// scans in order, many clients at once, and bounded memory.
package blobtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/iotest"

	"drover/internal/blob"
)

// Content gives n bytes that differ from block to block and from seed to seed.
func Content(seed uint64, n int) []byte {
	p := make([]byte, n)
	var key [32]byte
	key[0], key[1] = byte(seed), byte(seed>>8)
	_, _ = rand.NewChaCha8(key).Read(p) // never fails
	return p
}

// Run checks a store that open makes afresh for each test.
func Run(t *testing.T, open func(t *testing.T) blob.Store) {
	for _, c := range []struct {
		name string
		run  func(t *testing.T, s blob.Store)
	}{
		{"round trips", roundTrips}, {"ranges", ranges}, {"failing sources", failingSources}, {"delete", deletes},
		{"scan", scan}, {"many clients", manyClients}, {"ids", ids},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, open(t)) })
	}
}

func put(t *testing.T, s blob.Store, p []byte) blob.ID {
	t.Helper()
	info, err := s.Put(t.Context(), bytes.NewReader(p), int64(len(p)))
	if err != nil {
		t.Fatal(err)
	}
	if info.Size != int64(len(p)) || info.ID == "" || len(info.ID) > 64 {
		t.Fatalf("put %d bytes: %+v", len(p), info)
	}
	return info.ID
}

func get(ctx context.Context, s blob.Store, id blob.ID, offset, length int64) ([]byte, error) {
	r, err := s.Get(ctx, id, offset, length)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	p, err := io.ReadAll(r)
	if err == nil && length < 0 && r.Size() != offset+int64(len(p)) {
		err = fmt.Errorf("the reader says the content has %d bytes", r.Size())
	}
	return p, err
}

// sizes lie around the borders of blocks.
func sizes() []int {
	b := blob.BlockSize
	return []int{0, 1, 4096, b - 1, b, b + 1, 2*b - 1, 2 * b, 3*b + 12345}
}

func roundTrips(t *testing.T, s blob.Store) {
	for i, n := range sizes() {
		p := Content(uint64(i), n)
		for _, announced := range []int64{int64(n), -1, int64(n) + 7} { // a hint, no more
			info, err := s.Put(t.Context(), iotest.HalfReader(bytes.NewReader(p)), announced)
			if err != nil || info.Size != int64(n) {
				t.Fatalf("put %d bytes: %+v, %v", n, info, err)
			}
			if got, err := get(t.Context(), s, info.ID, 0, -1); err != nil || !bytes.Equal(got, p) {
				t.Errorf("%d bytes came back as %d, %v", n, len(got), err)
			}
		}
	}
}

func ranges(t *testing.T, s blob.Store) {
	n := 3*blob.BlockSize + 777
	p := Content(9, n)
	id := put(t, s, p)
	offsets := []int{0, 1, blob.BlockSize - 1, blob.BlockSize, blob.BlockSize + 1, 2*blob.BlockSize - 3, n - 1, n}
	for _, from := range offsets {
		for _, length := range []int{-1, 0, 1, 100, blob.BlockSize, blob.BlockSize + 5, n - from} {
			want, ok := p[from:], true
			if length >= 0 {
				if ok = length <= n-from; ok {
					want = p[from : from+length]
				}
			}
			got, err := get(t.Context(), s, id, int64(from), int64(length))
			if ok != (err == nil) || ok && !bytes.Equal(got, want) {
				t.Errorf("range %d+%d: %d bytes, %v", from, length, len(got), err)
			}
		}
	}
	for _, bad := range [][2]int64{{-1, 1}, {int64(n) + 1, 0}, {1, 1<<63 - 1}} {
		if _, err := get(t.Context(), s, id, bad[0], bad[1]); err == nil {
			t.Errorf("range %v was given", bad)
		}
	}
	// In small steps, as a slow client reads.
	r, err := s.Get(t.Context(), id, 5, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if got, err := io.ReadAll(iotest.OneByteReader(io.LimitReader(r, 3000))); err != nil || !bytes.Equal(got, p[5:3005]) {
		t.Errorf("byte by byte: %d bytes, %v", len(got), err)
	}
	var rest bytes.Buffer // and the rest by WriteTo where there is one
	if _, err := io.Copy(&rest, r); err != nil || !bytes.Equal(rest.Bytes(), p[3005:]) {
		t.Errorf("the rest: %d bytes, %v", rest.Len(), err)
	}
}

func failingSources(t *testing.T, s blob.Store) {
	broken := errors.New("the client left")
	for _, n := range sizes() {
		_, err := s.Put(t.Context(), io.MultiReader(bytes.NewReader(Content(1, n)), iotest.ErrReader(broken)), int64(n)+1)
		if !errors.Is(err, broken) {
			t.Errorf("after %d bytes: %v", n, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Put(ctx, bytes.NewReader(make([]byte, 3*blob.BlockSize)), -1); !errors.Is(err, context.Canceled) {
		t.Errorf("with an ended context: %v", err)
	}
	for e, err := range s.Scan(t.Context(), "") {
		t.Errorf("left behind: %+v, %v", e, err)
	}
}

func deletes(t *testing.T, s blob.Store) {
	p := Content(3, 4*blob.BlockSize)
	id := put(t, s, p)
	r, err := s.Get(t.Context(), id, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for range 2 { // the second time is no error
		if err := s.Delete(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Get(t.Context(), id, 0, -1); !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("get of a deleted content: %v", err)
	}
	if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, p) {
		t.Errorf("the open reader gave %d bytes, %v", len(got), err)
	}
}

func scan(t *testing.T, s blob.Store) {
	var want []blob.ID
	for i := range 25 {
		want = append(want, put(t, s, Content(uint64(i), 100*i)))
	}
	slices.Sort(want)
	var got []blob.ID
	for e, err := range s.Scan(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		if e.Temporary || e.Modified.IsZero() {
			t.Errorf("entry %+v", e)
		}
		got = append(got, e.ID)
	}
	if !slices.Equal(got, want) {
		t.Errorf("scan gave %v, want %v", got, want)
	}
	got = nil
	for e, err := range s.Scan(t.Context(), want[9]) {
		if err != nil {
			t.Fatal(err)
		}
		if got = append(got, e.ID); len(got) == 5 {
			break
		}
	}
	if !slices.Equal(got, want[10:15]) {
		t.Errorf("scan after %s gave %v", want[9], got)
	}
}

func manyClients(t *testing.T, s blob.Store) {
	var all sync.WaitGroup
	for c := range 8 {
		all.Go(func() {
			for i := range 12 {
				p := Content(uint64(c*100+i), 1000*i+c)
				info, err := s.Put(t.Context(), bytes.NewReader(p), int64(len(p)))
				if err != nil {
					t.Error(err)
					return
				}
				got, err := get(t.Context(), s, info.ID, 0, -1)
				if err == nil && !bytes.Equal(got, p) {
					err = fmt.Errorf("content %s is another's", info.ID)
				}
				if i%2 == 0 {
					err = errors.Join(err, s.Delete(t.Context(), info.ID))
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	left := 0
	for range s.Scan(t.Context(), "") {
		left++
	}
	if left != 8*6 {
		t.Errorf("%d contents are left, want 48", left)
	}
}

// Ids that the store never gave name nothing, whatever they look like.
func ids(t *testing.T, s blob.Store) {
	id := put(t, s, []byte("precious"))
	for _, bad := range []blob.ID{"", ".", "..", "/etc/passwd", "../" + id, id + "x", id[1:], "000001/../" + id, id + "~", blob.ID(bytes.Repeat([]byte{'a'}, 5000)), "\x00"} {
		if _, err := s.Get(t.Context(), bad, 0, -1); !errors.Is(err, blob.ErrNotFound) {
			t.Errorf("get of %.20q: %v", bad, err)
		}
		if err := s.Delete(t.Context(), bad); err != nil {
			t.Errorf("delete of %.20q: %v", bad, err)
		}
	}
	if got, err := get(t.Context(), s, id, 0, -1); err != nil || string(got) != "precious" {
		t.Errorf("%q, %v", got, err)
	}
}
