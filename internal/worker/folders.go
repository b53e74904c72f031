package worker

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync"
)

const (
	idleFolders = 256 // empty folders kept for the next attempts
	tokenLen    = 48  // hex digits of a credentials token
)

// folders gives each attempt a folder of its own. Making and removing one costs about as
// much as a tenth of starting a process, so folders that a job left empty are used again.
type folders struct {
	dir string

	mu   sync.Mutex // guards the rest
	idle []*folder
	made int
	used map[string]bool // names in use
}

// folder is what one attempt has:
//
//	work/   its working folder and HOME
//	tmp/    its TMPDIR
//	in/     staged input, where there is some
//	out/    its result, where that is staged
//	token   proves to the credentials endpoint who asks
type folder struct {
	name, path string
	token      string
	tokenAt    *os.File // kept open, so that a new token costs one write
	staged     bool     // in and out were used
}

func (f *folder) work() string      { return f.path + "/work" }
func (f *folder) tmp() string       { return f.path + "/tmp" }
func (f *folder) in() string        { return f.path + "/in" }
func (f *folder) out() string       { return f.path + "/out" }
func (f *folder) tokenFile() string { return f.path + "/token" }

func openFolders(dir string) (*folders, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("cannot make the folder for attempts: %w", err)
	}
	return &folders{dir: dir, used: map[string]bool{}}, nil
}

// take gives an empty folder with a new token.
func (s *folders) take() (*folder, error) {
	s.mu.Lock()
	var f *folder
	if n := len(s.idle); n > 0 {
		f, s.idle = s.idle[n-1], s.idle[:n-1]
	} else {
		for {
			s.made++
			if name := strconv.Itoa(s.made); !s.used[name] {
				f = &folder{name: name, path: filepath.Join(s.dir, name)}
				break
			}
		}
	}
	s.used[f.name] = true
	s.mu.Unlock()
	if err := f.ready(); err != nil {
		s.remove(f)
		return nil, err
	}
	return f, nil
}

// ready makes what is missing and writes a new token.
func (f *folder) ready() error {
	f.token = randomHex(tokenLen / 2)
	if f.tokenAt != nil {
		_, err := f.tokenAt.WriteAt([]byte(f.token), 0)
		return err
	}
	if err := os.RemoveAll(f.path); err != nil {
		return err
	}
	for _, d := range []string{f.path, f.work(), f.tmp()} {
		if err := os.Mkdir(d, 0o700); err != nil {
			return err
		}
	}
	t, err := os.OpenFile(f.tokenFile(), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o400)
	if err != nil {
		return err
	}
	f.tokenAt = t
	_, err = t.Write([]byte(f.token))
	return err
}

// stage makes the folders for staged files.
func (f *folder) stage() error {
	f.staged = true
	for _, d := range []string{f.in(), f.out()} {
		if err := os.Mkdir(d, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return nil
}

// adopt gives the folder of an attempt that an earlier worker started. It is removed after
// use, because its token file is not open here.
func (s *folders) adopt(name string) *folder {
	if _, err := strconv.Atoi(name); err != nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.used[name] = true
	return &folder{name: name, path: filepath.Join(s.dir, name)}
}

// put takes a folder back: emptied, for the next attempt, or removed.
func (s *folders) put(f *folder) {
	if !f.clean() {
		s.remove(f)
		return
	}
	s.mu.Lock()
	keep := len(s.idle) < idleFolders
	if keep {
		s.idle = append(s.idle, f)
		delete(s.used, f.name)
	}
	s.mu.Unlock()
	if !keep {
		s.remove(f)
	}
}

// clean empties the folder and reports whether it is as new.
func (f *folder) clean() bool {
	if f.tokenAt == nil {
		return false
	}
	if st, err := os.Lstat(f.tokenFile()); err != nil || st.Mode() != 0o400 {
		return false
	}
	if mine, err := f.tokenAt.Stat(); err != nil || mine.Size() != tokenLen {
		return false
	}
	subs := []string{f.work(), f.tmp()}
	if f.staged {
		subs = append(subs, f.in(), f.out())
	}
	for _, d := range subs {
		if !empty(d) {
			return false
		}
	}
	return true
}

// empty empties a folder, one file deep, and reports whether it is as it was made.
func empty(dir string) bool {
	d, err := os.Open(dir)
	if err != nil {
		return false
	}
	defer d.Close()
	st, err := d.Stat()
	if err != nil || st.Mode() != fs.ModeDir|0o700 {
		return false
	}
	names, err := d.Readdirnames(16)
	if err != nil && !errors.Is(err, io.EOF) || len(names) == 16 {
		return false
	}
	for _, n := range names {
		if os.Remove(filepath.Join(dir, n)) != nil {
			return false
		}
	}
	return true
}

// remove deletes a folder with all that a job may have put there.
func (s *folders) remove(f *folder) {
	if f.tokenAt != nil {
		_ = f.tokenAt.Close()
		f.tokenAt = nil
	}
	removeTree(f.path)
	s.mu.Lock()
	delete(s.used, f.name)
	s.mu.Unlock()
}

// removeTree deletes a folder even if a job took its write permissions away.
func removeTree(path string) {
	if os.RemoveAll(path) == nil {
		return
	}
	_ = filepath.WalkDir(path, func(p string, d fs.DirEntry, err error) error {
		if d != nil && d.IsDir() {
			_ = os.Chmod(p, 0o700)
		}
		return nil
	})
	_ = os.RemoveAll(path) // what still is there goes with the next worker's sweep
}

// sweep removes folders of attempts that nobody holds.
func (s *folders) sweep(keep map[string]bool) {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return
	}
	for _, e := range entries {
		s.mu.Lock()
		used := s.used[e.Name()] || keep[e.Name()]
		for _, f := range s.idle {
			used = used || f.name == e.Name()
		}
		s.mu.Unlock()
		if !used {
			removeTree(filepath.Join(s.dir, e.Name()))
		}
	}
}

// close gives up the idle folders; with all, when no attempt is left, everything: what ended
// while the worker was leaving has not given its folder back.
func (s *folders) close(all bool) {
	s.mu.Lock()
	idle := s.idle
	s.idle = nil
	s.mu.Unlock()
	for _, f := range idle {
		s.remove(f)
	}
	if all {
		removeTree(s.dir)
	}
}
