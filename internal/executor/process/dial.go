package process

import (
	"errors"
	"io"
	"os"
	"syscall"
)

// absent reports whether nobody serves the launcher's socket (or one that leaves just now).
func absent(err error) bool {
	return errors.Is(err, syscall.ENOENT) || errors.Is(err, syscall.ECONNREFUSED) ||
		errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

func ownPID() int { return os.Getpid() }
