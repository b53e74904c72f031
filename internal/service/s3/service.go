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
//   - What was answered stays: a write is answered after its content and the transaction
//     that names it are on disk (NoFsync turns that off for contents over 32 KiB).
//   - One winner: conditional writes and deletes are judged in the transaction that does
//     them.
//   - Nothing damaged is served: contents carry a checksum per block that is compared with
//     every read, ranges too. Damage met after an answer has begun cuts the connection.
//   - Keys are opaque: any 1,024 bytes, "a" and "a/b" side by side, "//" and ".." included.
//   - A disk that is full refuses writes and goes on reading, until there is space again.
//   - A failed fsync ends the process: only a restart knows what is on disk.
//
// Names, versions, uploads and contents up to 32 KiB lie in SQL, other contents in a
// blob.Store under ids that mean nothing; see vault.
package s3

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"

	"drover/internal/blob"
	"drover/internal/store"
)

// Options configure a Service. Dir, Region and Account are required.
type Options struct {
	Dir     string   // holds objects.db and contents/; made if absent
	Region  string   // the region buckets report; requests may name any
	Account string   // 12 digits; owner id of every bucket
	Domains []string // names of this server: bucket.NAME is a bucket's virtual-host address
	NoFsync bool     // answer large writes before they are on disk; see the package comment
	Log     *slog.Logger

	DB    *store.DB  // instead of objects.db; the caller closes it after the Service
	Blobs blob.Store // instead of contents/; closed with the Service
	Seal  Sealer     // of contents in SQL, where Blobs are sealed too; nil = they are plain
}

// Sealer encrypts contents that are kept in SQL. What was sealed under a name is opened under
// it only.
type Sealer interface {
	Seal(name string, plain []byte) ([]byte, error)
	Unseal(name string, sealed []byte) ([]byte, error)
}

// Service is an open S3. Its methods may be called from any goroutine.
type Service struct {
	opts    Options
	library *library
	vault   *vault
	mounts  *mounts
	forms   FormVerifier // nil: forms with a policy are refused
	closed  atomic.Bool
}

// Open opens the store in Dir and starts the library over it. Call it before other goroutines
// print to standard output: the library announces itself there.
func Open(ctx context.Context, opts Options) (*Service, error) {
	if opts.Dir == "" || opts.Region == "" || opts.Account == "" {
		return nil, errors.New("s3: Dir, Region and Account are required")
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	if err := os.MkdirAll(opts.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("s3: make %s: %w", opts.Dir, err)
	}
	v, err := openVault(ctx, opts)
	if err != nil {
		return nil, fmt.Errorf("s3: %w", err)
	}
	s := &Service{opts: opts, vault: v}
	if s.mounts, err = openMounts(opts.Dir); err != nil {
		v.Shutdown()
		return nil, fmt.Errorf("s3: %w", err)
	}
	if s.library, err = startLibrary(ctx, v, opts); err != nil {
		v.Shutdown()
		return nil, fmt.Errorf("s3: start the library: %w", err)
	}
	return s, nil
}

// TakeForms lets browsers' upload forms in, whose signatures v proves. It is called before
// the first request.
func (s *Service) TakeForms(v FormVerifier) { s.forms = v }

// Close ends the service; requests that come later are answered 503.
func (s *Service) Close() error {
	if !s.closed.Swap(true) {
		s.vault.Shutdown()
	}
	return nil
}
