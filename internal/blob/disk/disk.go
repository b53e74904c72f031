// Package disk keeps blobs in files of one folder.
//
// It promises what package blob says, for power cuts and kill -9 too. A content is one file:
//
//	<root>/<folder>/<name>     the bytes, 4 bytes of CRC-32C per block, a footer
//	<root>/<folder>/<name>~    the same while it is written
//
// The id is folder and name. Put writes name~, fsyncs it, renames it and fsyncs the folder.
// All Puts of a time share one folder until it holds maxFiles, so that one fsync of the
// folder serves all that wait for it. The footer's checksum covers the id, so that a file
// in a wrong place is damage and not another content.
//
// A failed fsync ends the process (Options.Fatal): after it nobody knows what is on disk.
package disk

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"drover/internal/blob"
)

const (
	maxFiles   = 4096 // in a folder before the next is begun
	folderLen  = 6    // hexadecimal digits
	nameLen    = 20   // base32 digits, 100 random bits
	unfinished = "~"
)

// Options configure a Store.
type Options struct {
	// NoSync answers Puts before they are on disk: after a power cut they may be gone.
	NoSync bool
	// Fatal is called when an fsync failed; by default it ends the process with status 70.
	Fatal func(error)

	// Tests make operations fail: "create", "write", "sync", "rename", "syncdir", "read".
	hook func(op, path string) error
}

// Store is an open folder of blobs.
type Store struct {
	root string
	opt  Options

	mu      sync.Mutex // guards current and what it counts
	current *folder
}

var _ blob.Store = (*Store)(nil)

// Open opens the folder, making it if it is absent. One process at a time may write to it.
func Open(root string, opt Options) (*Store, error) {
	if opt.Fatal == nil {
		opt.Fatal = exit
	}
	if opt.hook == nil {
		opt.hook = func(string, string) error { return nil }
	}
	if err := os.MkdirAll(root, 0o700); err != nil {
		return nil, fmt.Errorf("blob: make %s: %w", root, err)
	}
	s := &Store{root: root, opt: opt}
	folders, err := s.folders()
	if err != nil {
		return nil, err
	}
	next := uint64(1)
	if len(folders) > 0 {
		last := folders[len(folders)-1]
		next, _ = strconv.ParseUint(last, 16, 32) // folders gives only numbers
		if names, err := s.names(last); err != nil {
			return nil, err
		} else if len(names) >= maxFiles {
			next++
		} else {
			return s, s.use(next, len(names))
		}
	}
	return s, s.use(next, 0)
}

// Close implements blob.Store.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.current.dir.Close(); err != nil && !errors.Is(err, fs.ErrClosed) {
		return fmt.Errorf("blob: close %s: %w", s.root, err)
	}
	return nil
}

// exit is Fatal until Options name another; 70 is EX_SOFTWARE of sysexits.
func exit(err error) {
	fmt.Fprintf(os.Stderr, "drover: the object store failed and cannot go on: %v\n", err)
	os.Exit(70)
}

// folder is where new files go, and whoever waits for its fsync.
type folder struct {
	name string
	path string
	dir  *os.File

	mu    sync.Mutex // guards what follows
	cond  sync.Cond
	asked uint64 // fsyncs asked for
	done  uint64 // of those, done
	busy  bool
	err   error // of the fsync that failed; there is none after it

	files int // made here; guarded by Store.mu
	users int // Puts that will still sync it; guarded by Store.mu
	left  bool
}

// use makes folder number n the current one. The caller holds mu or is alone.
func (s *Store) use(n uint64, files int) error {
	name := fmt.Sprintf("%0*x", folderLen, n)
	f := &folder{name: name, path: filepath.Join(s.root, name), files: files}
	f.cond.L = &f.mu
	if err := os.Mkdir(f.path, 0o700); err == nil {
		if err := s.syncFolder(s.root); err != nil {
			return err
		}
	} else if !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("blob: make %s: %w", f.path, full(err))
	}
	var err error
	if f.dir, err = os.Open(f.path); err != nil {
		return fmt.Errorf("blob: open %s: %w", f.path, err)
	}
	s.current = f
	return nil
}

// enter gives the folder for one more file; leave must follow.
func (s *Store) enter() (*folder, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if old := s.current; old.files >= maxFiles {
		n, _ := strconv.ParseUint(old.name, 16, 32)
		if err := s.use(n+1, 0); err != nil {
			return nil, err
		}
		old.left = true
		old.tidy()
	}
	s.current.files++
	s.current.users++
	return s.current, nil
}

func (s *Store) leave(f *folder) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f.users--
	f.tidy()
}

// tidy closes a folder that is full when nobody needs it any more.
func (f *folder) tidy() {
	if f.left && f.users == 0 {
		_ = f.dir.Close() // only ever read from
	}
}

// sync returns when an fsync of the folder has succeeded that began after the call.
func (s *Store) sync(f *folder) error {
	if s.opt.NoSync {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked++
	for ticket := f.asked; f.done < ticket && f.err == nil; {
		if f.busy {
			f.cond.Wait()
			continue
		}
		f.busy = true
		upTo := f.asked
		f.mu.Unlock()
		err := s.opt.hook("syncdir", f.path)
		if err == nil {
			err = f.dir.Sync()
		}
		f.mu.Lock()
		f.busy, f.done, f.err = false, upTo, err
		f.cond.Broadcast()
	}
	if f.err != nil {
		return s.fatal(fmt.Errorf("blob: fsync %s: %w", f.path, f.err))
	}
	return nil
}

func (s *Store) syncFolder(path string) error {
	if s.opt.NoSync {
		return nil
	}
	d, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("blob: open %s: %w", path, err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return s.fatal(fmt.Errorf("blob: fsync %s: %w", path, err))
	}
	return nil
}

// fatal reports a failed fsync and returns it for stores whose hook returns.
func (s *Store) fatal(err error) error {
	s.opt.Fatal(err)
	return err
}

// full marks errors that mean a lack of space.
func full(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("%w: %w", blob.ErrFull, err)
	}
	return err
}

// newName draws the name of a file.
func newName() string { return strings.ToLower(rand.Text())[:nameLen] }

// path is where an id lies, or "" for what cannot be an id of this store.
func (s *Store) path(id blob.ID) string {
	name := strings.TrimSuffix(string(id), unfinished)
	if len(name) != folderLen+nameLen || !isFolder(name[:folderLen]) {
		return ""
	}
	for _, c := range []byte(name[folderLen:]) {
		if (c < 'a' || c > 'z') && (c < '2' || c > '7') {
			return ""
		}
	}
	return filepath.Join(s.root, name[:folderLen], string(id)[folderLen:])
}

func isFolder(name string) bool {
	if len(name) != folderLen {
		return false
	}
	for _, c := range []byte(name) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// Delete implements blob.Store. It does not fsync: a content that is back after a power cut
// is garbage that Scan shows.
func (s *Store) Delete(_ context.Context, id blob.ID) error {
	p := s.path(id)
	if p == "" {
		return nil
	}
	if err := os.Remove(p); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("blob: delete %s: %w", id, err)
	}
	return nil
}

// Scan implements blob.Store. Full folders that have become empty are removed on the way.
func (s *Store) Scan(ctx context.Context, after blob.ID) iter.Seq2[blob.Entry, error] {
	return func(yield func(blob.Entry, error) bool) {
		folders, err := s.folders()
		if err != nil {
			yield(blob.Entry{}, err)
			return
		}
		for _, f := range folders {
			if len(after) >= folderLen && f < string(after)[:folderLen] {
				continue
			}
			if !s.scanFolder(ctx, f, after, yield) {
				return
			}
		}
	}
}

func (s *Store) scanFolder(ctx context.Context, name string, after blob.ID, yield func(blob.Entry, error) bool) bool {
	names, err := s.names(name)
	if err != nil {
		return yield(blob.Entry{}, err)
	}
	s.mu.Lock()
	old := name < s.current.name
	s.mu.Unlock()
	if len(names) == 0 && old {
		_ = os.Remove(filepath.Join(s.root, name)) // fails if it is not empty after all
	}
	for _, n := range names {
		id := blob.ID(name + n)
		if id <= after || s.path(id) == "" {
			continue
		}
		if err := ctx.Err(); err != nil {
			return yield(blob.Entry{}, err)
		}
		st, err := os.Lstat(filepath.Join(s.root, name, n))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return yield(blob.Entry{}, fmt.Errorf("blob: scan: %w", err))
		}
		if !yield(blob.Entry{ID: id, Size: st.Size(), Modified: st.ModTime(), Temporary: strings.HasSuffix(n, unfinished)}, nil) {
			return false
		}
	}
	return true
}

func (s *Store) folders() ([]string, error) {
	names, err := readNames(s.root)
	return slices.DeleteFunc(names, func(n string) bool { return !isFolder(n) }), err
}

func (s *Store) names(folder string) ([]string, error) {
	return readNames(filepath.Join(s.root, folder))
}

// readNames gives the sorted names in a folder, none if it is gone.
func readNames(dir string) ([]string, error) {
	d, err := os.Open(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("blob: %w", err)
	}
	defer d.Close()
	names, err := d.Readdirnames(-1)
	if err != nil {
		return nil, fmt.Errorf("blob: list %s: %w", dir, err)
	}
	slices.Sort(names)
	return names, nil
}
