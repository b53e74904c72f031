// Package blob keeps contents under ids that mean nothing, for those who keep names elsewhere.
//
// A content is written once, never changed, read in any range, and deleted. Who stores one
// writes its id into a database row; what no row names is garbage, which Scan shows.
//
// Every implementation promises, and package blobtest checks:
//
//   - Durable: when Put returns an id, the content is on disk and stays through a power cut.
//   - Whole or nothing: a Put that fails or is killed leaves no content that Get serves; what
//     it left behind, Scan shows as Temporary and Delete removes.
//   - Verified: each block of BlockSize bytes carries a checksum that is compared whenever a
//     byte of the block is read, ranges included. A reader gives only verified bytes and then
//     a *Damage that names the first bad offset. Get reads its first block before it
//     returns, so that damage there is an error and no cut answer.
//   - Open readers outlive Delete: they go on to their end.
//   - Bounded: a Put and a reader hold a few blocks each, whatever the size of the content.
package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"time"
)

// BlockSize is how many bytes share a checksum.
const BlockSize = 1 << 20

// ID names a content. It is ASCII, at most 64 bytes, and chosen by the store.
type ID string

// Info describes a stored content.
type Info struct {
	ID   ID
	Size int64
}

// Entry is one line of a Scan.
type Entry struct {
	ID        ID
	Size      int64 // on disk, with checksums
	Modified  time.Time
	Temporary bool // not a content: what a Put left that did not end
}

// Store keeps contents. Its methods may be called from any goroutine.
type Store interface {
	// Put stores all that r gives until io.EOF; any other error of r ends the Put, is
	// returned as it is, and leaves nothing. size announces the length, -1 if unknown; it
	// is a hint for allocation and is not checked.
	Put(ctx context.Context, r io.Reader, size int64) (Info, error)
	// Get opens length bytes from offset on; length -1 means to the end. A range that
	// leaves the content is an error. The caller closes the reader.
	Get(ctx context.Context, id ID, offset, length int64) (Reader, error)
	// Delete removes a content or a temporary; what does not exist is no error.
	Delete(ctx context.Context, id ID) error
	// Scan gives what is stored in the order of ids, from after on (exclusive).
	Scan(ctx context.Context, after ID) iter.Seq2[Entry, error]
	// Close releases what the store holds; open readers go on.
	Close() error
}

// Reader gives the verified bytes of a range.
type Reader interface {
	io.ReadCloser
	Size() int64 // of the whole content
}

var (
	// ErrNotFound is what Get answers for an id that the store does not hold.
	ErrNotFound = errors.New("blob: no such content")
	// ErrFull is in the chain of Put's error when the disk is full or the quota used up.
	// Reads go on, and later Puts are tried again.
	ErrFull = errors.New("disk full")
)

// Damage says that stored bytes are no longer what was written.
type Damage struct {
	ID     ID
	Offset int64  // of the first byte that cannot be trusted
	Where  string // file or address, for whoever repairs it
	Reason string
}

func (d *Damage) Error() string {
	return fmt.Sprintf("blob: content %s is damaged at offset %d (%s): %s", d.ID, d.Offset, d.Where, d.Reason)
}
