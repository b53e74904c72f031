// Package s3 is drover's S3: a front of ours over the versitygw library, which runs in
// this process.
//
// The front gets requests whose signature wire has verified already. It decides who may
// pass (the account's root and attempt sessions: everything; the anonymous principal: what
// a bucket policy allows, which the library judges), names operations it does not serve,
// turns virtual-host addresses into paths, and hands the request to the library signed
// again with a key that never leaves this process, because the library accepts one region
// only and knows none of our keys. Paths and queries are passed on byte for byte: S3 keys
// are opaque. Bodies stream in both directions and are never held whole, except for the
// XML documents of control operations (at most 8 MiB).
//
// Promises:
//   - What a client signed is checked before it has an effect: an object appears only after
//     its last byte, every chunk signature, its declared length and its checksums agreed.
//   - A PUT, copy, completed multipart upload or bucket creation is answered after its data
//     and directory entries are fsynced, which the library alone does not do (NoFsync turns
//     it off; the answer may then precede the disk by half a minute). Deletions, tags, ACLs,
//     policies and single parts are not fsynced: after a power cut a deleted object may be
//     back, and a part may be missing, which CompleteMultipartUpload then says. Where the
//     file system has no extended attributes (old tmpfs), metadata sits in side files that
//     are not fsynced either.
//   - A key that the files below cannot hold exactly (empty, "." or ".." segments, segments
//     over 255 bytes, NUL) is refused on write and absent on read; it never aliases another
//     key. A key and another key below it ("a" and "a/b") cannot exist together, which S3
//     allows: the second is refused with ObjectParentIsFile or ExistingObjectIsDirectory.
//
// The library addresses its files relative to the process's working folder. So there can be
// one Service per process, Open moves the process into the bucket folder, and nothing else
// in the process may change folder or use relative paths while it is open. If somebody does,
// requests are refused (503) rather than served from the wrong place.
package s3

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// Options configure a Service. Dir, Region and Account are required.
type Options struct {
	Dir     string // holds buckets/, versions/ and, where needed, meta/; made if absent
	Region  string // the region buckets report; requests may name any
	Account string // 12 digits; owner id of every bucket
	NoFsync bool   // answer writes before they are on disk; see the package comment
	Log     *slog.Logger

	// Tests forbid the one and watch the other.
	attributes func(dir string) error // xattrsWork
	fsync      func(fd int) error     // unix.Fsync
}

// Service is an open S3. Its methods may be called from any goroutine.
type Service struct {
	opts    Options
	library *library
	home    fileID // the bucket folder, which must stay the working folder
	was     string // the working folder before Open
	closed  atomic.Bool
}

// Open starts the library over Dir. The process's working folder is Dir/buckets until Close;
// Dir itself may be relative. Call it before other goroutines print to standard output: the
// library announces itself there, and Open silences that for the moment.
func Open(ctx context.Context, opts Options) (*Service, error) {
	if opts.Dir == "" || opts.Region == "" || opts.Account == "" {
		return nil, errors.New("s3: Dir, Region and Account are required")
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	if opts.attributes == nil {
		opts.attributes = xattrsWork
	}
	if opts.fsync == nil {
		opts.fsync = unix.Fsync
	}
	dir, err := filepath.Abs(opts.Dir)
	if err != nil {
		return nil, fmt.Errorf("s3: find %s: %w", opts.Dir, err)
	}
	opts.Dir = dir
	was, err := os.Getwd()
	if err != nil {
		return nil, fmt.Errorf("s3: find the working folder: %w", err)
	}
	backend, err := openBackend(opts)
	if err != nil {
		return nil, err
	}
	s := &Service{opts: opts, was: was}
	if s.home, err = identify("."); err == nil {
		s.library, err = startLibrary(ctx, backend, opts)
	}
	if err != nil {
		backend.Shutdown()
		return nil, errors.Join(fmt.Errorf("s3: start the library over %s: %w", opts.Dir, err), os.Chdir(was))
	}
	return s, nil
}

// Close ends the service; requests that come later are answered 503. It returns the process
// to the working folder it had before Open, if that still exists.
func (s *Service) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	s.library.backend.Shutdown()
	if here, err := identify("."); err != nil || here != s.home {
		return nil // somebody else moved the process; leave it where they want it
	}
	if err := os.Chdir(s.was); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("s3: leave the bucket folder: %w", err)
	}
	return nil
}

// fileID tells two folders apart whatever they are called.
type fileID struct{ dev, ino uint64 }

func identify(path string) (fileID, error) {
	var st syscall.Stat_t
	if err := syscall.Stat(path, &st); err != nil {
		return fileID{}, fmt.Errorf("s3: stat %s: %w", path, err)
	}
	return fileID{uint64(st.Dev), st.Ino}, nil
}
