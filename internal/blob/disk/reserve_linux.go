package disk

import (
	"os"

	"golang.org/x/sys/unix"

	"drover/internal/blob"
)

// reserve asks for the space of a content of known size, so that it lies together. What
// the file system cannot do is found out when writing.
func reserve(f *os.File, size int64) {
	if size > blob.BlockSize {
		_ = unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_KEEP_SIZE, 0, size)
	}
}
