package launcher

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// TestThreadIsNeverTheMainOne makes many threads at once: none runs on the process's main
// thread, which never ends, and each runs on one of its own.
func TestThreadIsNeverTheMainOne(t *testing.T) {
	seen := map[int]bool{}
	var threads []*thread
	for range 100 {
		th := newThread()
		threads = append(threads, th)
		th.do(func() { seen[unix.Gettid()] = true })
	}
	for _, th := range threads {
		th.stop()
	}
	if seen[os.Getpid()] || len(seen) != len(threads) {
		t.Errorf("%d threads ran on %d threads of the system, the main one among them: %v", len(threads), len(seen), seen[os.Getpid()])
	}
}
