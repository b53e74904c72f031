package worker

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"drover/internal/core/job"
)

// takeLock makes this the folder's only worker.
func takeLock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("cannot open the worker's lock file: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		pid, _ := os.ReadFile(path)
		_ = f.Close()
		return nil, fmt.Errorf("another worker (process %s) works in %s; give this one a folder of its own or stop that one",
			strings.TrimSpace(string(pid)), filepath.Dir(path))
	}
	if err := f.Truncate(0); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if _, err := f.WriteString(strconv.Itoa(os.Getpid()) + "\n"); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

var instancePattern = regexp.MustCompile(`^i-[0-9a-f]{17}$`)

// HostID gives the id of the worker's host, which stays the same while the state folder does.
func HostID(dir string) (string, error) { return instanceID(dir) }

// instanceID gives the host's name, which stays the same while the folder does.
func instanceID(dir string) (string, error) {
	path := filepath.Join(dir, "instance-id")
	if b, err := os.ReadFile(path); err == nil && instancePattern.MatchString(strings.TrimSpace(string(b))) {
		return strings.TrimSpace(string(b)), nil
	}
	id := "i-" + randomHex(9)[:17]
	return id, writeFile(path, id+"\n")
}

// writeFile replaces a small state file as a whole.
func writeFile(path, text string) error {
	if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
		return fmt.Errorf("cannot keep the worker's state: %w", err)
	}
	return os.Rename(path+".new", path)
}

// randomHex gives 2n hex digits that nobody can guess.
func randomHex(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails (crypto/rand)
	return hex.EncodeToString(b)
}

// settledMost is how many ended leases are remembered.
const settledMost = 8192

// settled remembers the leases that ended here last, so that a late message cannot start
// one of them again.
type settled struct {
	set  map[job.Lease]struct{}
	ring []job.Lease
	next int
}

func (s *settled) add(l job.Lease) {
	if s.set == nil {
		s.set = make(map[job.Lease]struct{}, settledMost)
		s.ring = make([]job.Lease, 0, settledMost)
	}
	if _, ok := s.set[l]; ok {
		return
	}
	s.set[l] = struct{}{}
	if len(s.ring) < settledMost {
		s.ring = append(s.ring, l)
		return
	}
	delete(s.set, s.ring[s.next])
	s.ring[s.next] = l
	s.next = (s.next + 1) % settledMost
}

func (s *settled) has(l job.Lease) bool {
	_, ok := s.set[l]
	return ok
}
