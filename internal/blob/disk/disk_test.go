package disk

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"drover/internal/blob"
	"drover/internal/blob/blobtest"
)

func open(t testing.TB, dir string, opt Options) *Store {
	t.Helper()
	if opt.Fatal == nil {
		opt.Fatal = func(err error) { t.Errorf("fatal: %v", err) }
	}
	s, err := Open(dir, opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestConformance(t *testing.T) {
	blobtest.Run(t, func(t *testing.T) blob.Store { return open(t, t.TempDir(), Options{}) })
}

// Every flipped bit is found by whoever reads its block, and nothing wrong is given.
func TestDamage(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	p := blobtest.Content(1, 2*blob.BlockSize+1000)
	info, err := s.Put(t.Context(), bytes.NewReader(p), -1)
	if err != nil {
		t.Fatal(err)
	}
	path := s.path(info.ID)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	end := len(whole)
	for i := range 60 {
		at := (i * 7919 * 131) % end
		if i%3 == 0 {
			at = len(p) + (i*5)%(end-len(p)) // in the checksums and the footer
		}
		flip(t, path, int64(at))
		r, err := s.Get(t.Context(), info.ID, 0, -1)
		var got []byte
		if err == nil {
			got, err = io.ReadAll(r)
			r.Close()
		}
		var d *blob.Damage
		if !errors.As(err, &d) {
			t.Fatalf("bit at %d: %v", at, err)
		}
		if at < len(p) && (d.Offset != int64(at)/blob.BlockSize*blob.BlockSize || d.ID != info.ID || d.Where != path) {
			t.Errorf("bit at %d: %v", at, d)
		}
		if !bytes.Equal(got, p[:len(got)]) || int64(len(got)) > d.Offset {
			t.Errorf("bit at %d: %d bytes were given", at, len(got))
		}
		flip(t, path, int64(at))
	}
	// Other blocks of a damaged content are still good.
	flip(t, path, 5)
	if r, err := s.Get(t.Context(), info.ID, blob.BlockSize+1, 10); err != nil {
		t.Error(err)
	} else if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, p[blob.BlockSize+1:blob.BlockSize+11]) {
		t.Errorf("range behind the damage: %v", err)
	}
	for _, n := range []int64{0, 10, int64(end) - 1, blob.BlockSize} {
		if err := os.Truncate(path, n); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Get(t.Context(), info.ID, 0, 1); !errors.As(err, new(*blob.Damage)) {
			t.Errorf("cut to %d bytes: %v", n, err)
		}
		if err := os.WriteFile(path, whole, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// Another content's file, whole in itself.
	other, err := s.Put(t.Context(), strings.NewReader("other"), -1)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(s.path(other.ID), path); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get(t.Context(), info.ID, 0, -1); !errors.As(err, new(*blob.Damage)) {
		t.Errorf("another's file: %v", err)
	}
}

func flip(t *testing.T, path string, at int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var b [1]byte
	if _, err := f.ReadAt(b[:], at); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 1 << (at % 8)
	if _, err := f.WriteAt(b[:], at); err != nil {
		t.Fatal(err)
	}
}

// An operation that fails leaves nothing, ends the process if it was an fsync, and says
// "disk full" if that was it.
func TestFailingDisk(t *testing.T) {
	for _, op := range []string{"create", "write", "sync", "rename", "syncdir"} {
		for _, cause := range []error{syscall.EIO, syscall.ENOSPC} {
			t.Run(op+" "+cause.Error(), func(t *testing.T) {
				var deadly []error
				var on atomic.Bool
				s := open(t, t.TempDir(), Options{Fatal: func(err error) { deadly = append(deadly, err) }, hook: func(o, _ string) error {
					if o == op && on.Load() {
						return cause
					}
					return nil
				}})
				before, err := s.Put(t.Context(), strings.NewReader("before"), -1)
				if err != nil {
					t.Fatal(err)
				}
				on.Store(true)
				_, err = s.Put(t.Context(), bytes.NewReader(make([]byte, blob.BlockSize+1)), -1)
				if !errors.Is(err, cause) {
					t.Errorf("put: %v", err)
				}
				ends := op == "syncdir" || op == "sync" && cause != syscall.ENOSPC
				if (len(deadly) > 0) != ends {
					t.Errorf("fatal: %v", deadly)
				}
				if full := cause == syscall.ENOSPC && op != "rename" && op != "syncdir"; full && !errors.Is(err, blob.ErrFull) {
					t.Errorf("a full disk is not named: %v", err)
				}
				on.Store(false)
				if r, err := s.Get(t.Context(), before.ID, 0, -1); err != nil {
					t.Errorf("reads go on: %v", err)
				} else {
					r.Close()
				}
				if ends {
					return
				}
				if _, err := s.Put(t.Context(), strings.NewReader("after"), -1); err != nil {
					t.Errorf("writes recover: %v", err)
				}
				n := 0
				for range s.Scan(t.Context(), "") {
					n++
				}
				if n != 2 {
					t.Errorf("%d contents, want 2", n)
				}
			})
		}
	}
}

func TestReadErrorIsDamage(t *testing.T) {
	var on atomic.Bool
	s := open(t, t.TempDir(), Options{hook: func(o, _ string) error {
		if o == "read" && on.Load() {
			return syscall.EIO
		}
		return nil
	}})
	info, err := s.Put(t.Context(), strings.NewReader("x"), -1)
	if err != nil {
		t.Fatal(err)
	}
	on.Store(true)
	if _, err := s.Get(t.Context(), info.ID, 0, -1); !errors.As(err, new(*blob.Damage)) {
		t.Errorf("unreadable file: %v", err)
	}
}

// Folders are filled one after another, reopening goes on where it was, and Scan removes
// those that are empty again.
func TestFolders(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{NoSync: true})
	ids := map[blob.ID]bool{}
	for range maxFiles + 3 {
		info, err := s.Put(t.Context(), strings.NewReader("x"), 1)
		if err != nil {
			t.Fatal(err)
		}
		ids[info.ID] = true
	}
	if got, err := s.folders(); err != nil || len(got) != 2 {
		t.Fatalf("folders: %v, %v", got, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir, Options{NoSync: true})
	if s.current.name != "000002" || s.current.files != 3 {
		t.Errorf("reopened in %s with %d files", s.current.name, s.current.files)
	}
	for e, err := range s.Scan(t.Context(), "") {
		if err != nil || !ids[e.ID] {
			t.Fatalf("%+v, %v", e, err)
		}
		delete(ids, e.ID)
		if err := s.Delete(t.Context(), e.ID); err != nil {
			t.Fatal(err)
		}
	}
	if len(ids) > 0 {
		t.Errorf("%d contents were not scanned", len(ids))
	}
	for range s.Scan(t.Context(), "") {
	}
	if got, err := s.folders(); err != nil || len(got) != 1 {
		t.Errorf("folders after all is deleted: %v, %v", got, err)
	}
}

// TestKill kills a process that puts and reports ids, and finds every id it reported.
func TestKill(t *testing.T) {
	if dir := os.Getenv("DROVER_BLOB_CHILD"); dir != "" {
		child(dir)
	}
	dir := t.TempDir()
	reported, temporaries := 0, 0
	for range 5 {
		cmd := exec.Command(os.Args[0], "-test.run=^TestKill$")
		cmd.Env = append(os.Environ(), "DROVER_BLOB_CHILD="+dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		var ids []blob.ID
		var sizes []int
		for lines.Scan() {
			var id string
			var size int
			if _, err := fmt.Sscan(lines.Text(), &id, &size); err != nil {
				break // the last line may be cut
			}
			ids, sizes = append(ids, blob.ID(id)), append(sizes, size)
			if len(ids) == 25 {
				_ = cmd.Process.Kill()
			}
		}
		_ = cmd.Wait()
		if len(ids) < 25 {
			t.Fatalf("the child reported %d contents", len(ids))
		}
		reported += len(ids)
		s := open(t, dir, Options{})
		for i, id := range ids {
			r, err := s.Get(t.Context(), id, 0, -1)
			if err != nil {
				t.Fatalf("an acknowledged content is lost: %v", err)
			}
			got, err := io.ReadAll(r)
			r.Close()
			if err != nil || !bytes.Equal(got, blobtest.Content(uint64(sizes[i]), sizes[i])) {
				t.Fatalf("content %s: %d bytes, %v", id, len(got), err)
			}
		}
		for e, err := range s.Scan(t.Context(), "") {
			if err != nil {
				t.Fatal(err)
			}
			if e.Temporary {
				temporaries++
				if err := s.Delete(t.Context(), e.ID); err != nil {
					t.Fatal(err)
				}
				if _, err := os.Stat(filepath.Join(dir, string(e.ID[:folderLen]), string(e.ID[folderLen:]))); !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("a temporary is still there: %v", err)
				}
			}
		}
		_ = s.Close()
	}
	t.Logf("%d contents acknowledged over 5 kills, %d temporaries found", reported, temporaries)
}

func child(dir string) {
	s, err := Open(dir, Options{})
	if err != nil {
		panic(err)
	}
	lines := make(chan string)
	for c := range 4 {
		go func() {
			for i := c; ; i += 4 {
				size := i * 40009 % (2 * blob.BlockSize)
				info, err := s.Put(context.Background(), bytes.NewReader(blobtest.Content(uint64(size), size)), -1)
				if err != nil {
					panic(err)
				}
				lines <- fmt.Sprintf("%s %d\n", info.ID, size)
			}
		}()
	}
	for l := range lines {
		os.Stdout.WriteString(l)
	}
}

func BenchmarkPut(b *testing.B) {
	for _, size := range []int{4 << 10, 64 << 10} {
		for _, clients := range []int{1, 8} {
			b.Run(fmt.Sprintf("%dKiB-%d", size>>10, clients), func(b *testing.B) {
				s := open(b, b.TempDir(), Options{})
				p := blobtest.Content(1, size)
				b.SetBytes(int64(size))
				b.SetParallelism((clients + 1) / 2)
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						if _, err := s.Put(context.Background(), bytes.NewReader(p), int64(size)); err != nil {
							b.Error(err)
						}
					}
				})
			})
		}
	}
}
