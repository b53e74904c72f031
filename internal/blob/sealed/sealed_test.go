package sealed

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"drover/internal/blob"
	"drover/internal/blob/blobtest"
	"drover/internal/blob/disk"
)

// keyFile writes keys of one repeated byte each.
func keyFile(t *testing.T, bytesOf ...byte) string {
	t.Helper()
	text := "# keys\n\n"
	for i, b := range bytesOf {
		secret := bytes.Repeat([]byte{b}, keySize)
		if i%2 == 0 {
			text += base64.StdEncoding.EncodeToString(secret) + "\n"
		} else {
			text += fmt.Sprintf("%x\n", secret)
		}
	}
	path := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func ring(t *testing.T, bytesOf ...byte) *Ring {
	t.Helper()
	r, err := ReadKeys(keyFile(t, bytesOf...))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func below(t *testing.T, dir string) blob.Store {
	t.Helper()
	s, err := disk.Open(dir, disk.Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestConformance(t *testing.T) {
	r := ring(t, 1)
	blobtest.Run(t, func(t *testing.T) blob.Store { return New(below(t, t.TempDir()), r) })
}

func readAll(t *testing.T, s blob.Store, id blob.ID, offset, length int64) ([]byte, error) {
	t.Helper()
	r, err := s.Get(t.Context(), id, offset, length)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

// TestFrames reads around the borders of frames, by a store that knows the content and by
// one that meets it.
func TestFrames(t *testing.T) {
	dir, keys := t.TempDir(), ring(t, 1)
	s := New(below(t, dir), keys)
	for _, n := range []int{0, 1, firstRoom - 1, firstRoom, firstRoom + 1, firstRoom + room - 1, firstRoom + room, firstRoom + room + 1, firstRoom + 2*room + 99} {
		p := blobtest.Content(uint64(n), n)
		info, err := s.Put(t.Context(), bytes.NewReader(p), int64(n))
		if err != nil || info.Size != int64(n) {
			t.Fatal(info, err)
		}
		for _, from := range []int{0, 1, firstRoom - 1, firstRoom, firstRoom + 1, firstRoom + room, n - 1, n} {
			for _, length := range []int{-1, 0, 1, 17, firstRoom, room, n - from} {
				if from < 0 || from > n || length > n-from || length < -1 {
					continue
				}
				want := p[from:]
				if length >= 0 {
					want = p[from : from+length]
				}
				for _, at := range []*Store{s, New(s.below, keys)} {
					if got, err := readAll(t, at, info.ID, int64(from), int64(length)); err != nil || !bytes.Equal(got, want) {
						t.Errorf("%d bytes, %d+%d: %d bytes, %v", n, from, length, len(got), err)
					}
				}
			}
		}
	}
}

// TestNothingIsPlain looks for the content in the files.
func TestNothingIsPlain(t *testing.T) {
	dir := t.TempDir()
	s := New(below(t, dir), ring(t, 1))
	secret := []byte(strings.Repeat("a very secret sentence. ", 5000))
	ids := map[blob.ID]bool{}
	var files [][]byte
	for range 2 {
		info, err := s.Put(t.Context(), bytes.NewReader(secret), -1)
		if err != nil {
			t.Fatal(err)
		}
		ids[info.ID] = true
	}
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			b, e := os.ReadFile(path)
			files, err = append(files, b), e
		}
		return err
	})
	if err != nil || len(files) != 2 {
		t.Fatal(len(files), err)
	}
	for _, f := range files {
		if bytes.Contains(f, secret[:12]) {
			t.Error("a file holds the plain content")
		}
	}
	if bytes.Equal(files[0][headerSize:5000], files[1][headerSize:5000]) {
		t.Error("two contents that are the same look the same")
	}
}

// TestTampering changes sealed bytes below the checksums of the store, as someone would who
// can write there.
func TestTampering(t *testing.T) {
	low := below(t, t.TempDir())
	keys := ring(t, 1)
	s := New(low, keys)
	n := firstRoom + room + 1000
	info, err := s.Put(t.Context(), bytes.NewReader(blobtest.Content(7, n)), -1)
	if err != nil {
		t.Fatal(err)
	}
	whole, err := readAll(t, low, info.ID, 0, -1)
	if err != nil || int64(len(whole)) != sealedSize(int64(n)) {
		t.Fatal(len(whole), err)
	}
	other, err := s.Put(t.Context(), bytes.NewReader(blobtest.Content(8, n)), -1)
	if err != nil {
		t.Fatal(err)
	}
	foreign, _ := readAll(t, low, other.ID, 0, -1)
	for _, c := range []struct {
		name   string
		change func(p []byte) []byte
		offset int64
	}{
		{"a bit of the first frame", func(p []byte) []byte { p[headerSize+5] ^= 1; return p }, 0},
		{"a bit of the second", func(p []byte) []byte { p[frameSize+5] ^= 1; return p }, firstRoom},
		{"a bit of the last tag", func(p []byte) []byte { p[len(p)-1] ^= 1; return p }, firstRoom + room},
		{"the salt", func(p []byte) []byte { p[headerSize-1] ^= 1; return p }, 0},
		{"cut after a frame", func(p []byte) []byte { return p[:2*frameSize] }, firstRoom},
		{"cut in the header", func(p []byte) []byte { return p[:20] }, 0},
		{"a frame of another content", func(p []byte) []byte { copy(p[frameSize:2*frameSize], foreign[frameSize:]); return p }, firstRoom},
		{"plain", func([]byte) []byte { return blobtest.Content(1, 5000) }, 0},
	} {
		forged, err := low.Put(t.Context(), bytes.NewReader(c.change(bytes.Clone(whole))), -1)
		if err != nil {
			t.Fatal(err)
		}
		got, err := readAll(t, s, forged.ID, 0, -1)
		d, ok := errors.AsType[*blob.Damage](err)
		if !ok || d.Offset != c.offset || int64(len(got)) > d.Offset {
			t.Errorf("%s: %d bytes, %v; want damage at %d", c.name, len(got), err, c.offset)
		}
	}
}

// TestEmptyRanges reads nothing, and still learns of a frame that is not what it was.
func TestEmptyRanges(t *testing.T) {
	low := below(t, t.TempDir())
	s := New(low, ring(t, 1))
	for _, n := range []int{0, 1000} {
		info, err := s.Put(t.Context(), bytes.NewReader(blobtest.Content(7, n)), -1)
		if err != nil {
			t.Fatal(err)
		}
		sealed, err := readAll(t, low, info.ID, 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		sealed[len(sealed)-1] ^= 1
		forged, err := low.Put(t.Context(), bytes.NewReader(sealed), -1)
		if err != nil {
			t.Fatal(err)
		}
		for _, id := range []blob.ID{info.ID, forged.ID} {
			for range 2 { // the second time its header is known
				_, err := s.Get(t.Context(), id, int64(n), 0)
				if _, damaged := errors.AsType[*blob.Damage](err); damaged != (id == forged.ID) || !damaged && err != nil {
					t.Errorf("nothing of %d bytes, changed %v: %v", n, id == forged.ID, err)
				}
			}
		}
	}
}

// TestKeys adds a key, and takes the old one away.
func TestKeys(t *testing.T) {
	low := below(t, t.TempDir())
	p := blobtest.Content(1, 2*blob.BlockSize)
	put := func(r *Ring) blob.ID {
		info, err := New(low, r).Put(t.Context(), bytes.NewReader(p), -1)
		if err != nil {
			t.Fatal(err)
		}
		return info.ID
	}
	first, both, second := ring(t, 1), ring(t, 2, 1), ring(t, 2)
	old, fresh := put(first), put(both)
	for name, c := range map[string]struct {
		r    *Ring
		id   blob.ID
		good bool
	}{
		"the old one with the old key":  {first, old, true},
		"the old one with both":         {both, old, true},
		"the new one with both":         {both, fresh, true},
		"the new one with the new key":  {second, fresh, true},
		"the new one with the old key":  {first, fresh, false},
		"the old one with only the new": {second, old, false},
	} {
		got, err := readAll(t, New(low, c.r), c.id, 0, -1)
		if c.good && (err != nil || !bytes.Equal(got, p)) || !c.good && (err == nil || !strings.Contains(err.Error(), "add that key")) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got := both.Lacks([]string{first.Current(), second.Current()}); got != nil {
		t.Errorf("both lack %v", got)
	}
	if got := second.Lacks([]string{first.Current(), second.Current()}); len(got) != 1 || got[0] != first.Current() {
		t.Errorf("the second lacks %v", got)
	}
}

func TestSmall(t *testing.T) {
	r := ring(t, 3)
	for _, p := range [][]byte{nil, []byte("x"), blobtest.Content(1, 32<<10)} {
		s, err := r.Seal("row 5", p)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := r.Unseal("row 5", s); err != nil || !bytes.Equal(got, p) {
			t.Errorf("%d bytes: %v", len(p), err)
		}
		if _, err := r.Unseal("row 6", s); err == nil {
			t.Error("a content in another's place was opened")
		}
		for _, i := range []int{0, 10, 30, len(s) - 1} {
			bad := bytes.Clone(s)
			bad[i] ^= 4
			if _, err := r.Unseal("row 5", bad); err == nil {
				t.Errorf("with byte %d changed it was opened", i)
			}
		}
	}
}

func TestKeyFiles(t *testing.T) {
	good := keyFile(t, 1)
	if err := os.Chmod(good, 0o640); err != nil {
		t.Fatal(err)
	}
	short := filepath.Join(t.TempDir(), "short")
	empty := filepath.Join(t.TempDir(), "empty")
	if err := errors.Join(os.WriteFile(short, []byte("c2hvcnQ=\n"), 0o600), os.WriteFile(empty, []byte("# nothing\n"), 0o600)); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{good: "chmod 600", short: "line 1", empty: "holds no key", filepath.Join(t.TempDir(), "none"): "make one with"} {
		if _, err := ReadKeys(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", path, err, want)
		}
	}
}

func BenchmarkPut(b *testing.B) {
	s, err := disk.Open(b.TempDir(), disk.Options{NoSync: true})
	if err != nil {
		b.Fatal(err)
	}
	k, err := newKey(make([]byte, keySize))
	if err != nil {
		b.Fatal(err)
	}
	p := blobtest.Content(1, 64<<20)
	for name, store := range map[string]blob.Store{"plain": s, "sealed": New(s, &Ring{keys: []key{k}})} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(p)))
			for b.Loop() {
				info, err := store.Put(b.Context(), bytes.NewReader(p), int64(len(p)))
				if err != nil {
					b.Fatal(err)
				}
				r, err := store.Get(b.Context(), info.ID, 0, -1)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := io.Copy(io.Discard, r); err != nil {
					b.Fatal(err)
				}
				r.Close()
				store.Delete(b.Context(), info.ID)
			}
		})
	}
}
