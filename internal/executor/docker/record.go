package docker

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"drover/internal/core/job"
	"drover/internal/executor"
)

// key names an attempt, or a member of one, within a host: a unit never gets the same fence
// twice.
type key struct {
	job   job.Key
	index int32
	fence uint32

	member int32
}

func keyOf(id executor.ID) key {
	return key{id.Lease.Ref.Key, id.Lease.Ref.Index, id.Lease.Fence, id.Member}
}

// said is the part of a record that is written rarely.
type said struct {
	Lease     job.Lease     `json:"lease"`
	Member    int32         `json:"member,omitempty"`
	Pod       string        `json:"pod,omitempty"` // what its containers' names begin with, where there are several
	Name      string        `json:"name,omitempty"`
	Container string        `json:"container"` // its name at the engine
	Note      []byte        `json:"note,omitempty"`
	Timeout   time.Duration `json:"timeout,omitempty"`
	MemoryMiB int64         `json:"memoryMiB,omitempty"`
	Started   int64         `json:"started,omitempty"` // µs; 0 = not known to run
	Address   string        `json:"address,omitempty"` // on its network, where that was asked for
	Stop      job.Cause     `json:"stop,omitempty"`    // it was asked to end
	KillAt    int64         `json:"killAt,omitempty"`  // µs; when it is not asked any more
	End       *job.Exit     `json:"end,omitempty"`
	EndAt     int64         `json:"endAt,omitempty"` // µs
}

func (s *said) id() executor.ID { return executor.ID{Lease: s.Lease, Member: s.Member} }

// scratch is the folder, within that of all scratch volumes, of what the attempt shares.
func (s *said) scratch() string {
	if s.Pod != "" {
		return s.Pod
	}
	return s.Container
}

// record is what must be known of an attempt after a restart: a file that begins with some
// numbers, which change with every acknowledgement in one write, and goes on with a said.
type record struct {
	path string

	mu    sync.Mutex // guards the rest
	said  said
	file  *os.File
	acked int64
	mark  int64
	place place // where reading had come to at or before acked
}

const numbers = (2 + 3 + back) * 8 // bytes of acked, mark and place

func newRecord(dir string, s said) (*record, error) {
	r := &record{path: filepath.Join(dir, fmt.Sprintf("%d-%d-%d-%d", s.Lease.Ref.Key, s.Lease.Ref.Index, s.Lease.Fence, s.Member)), said: s}
	return r, r.write()
}

// write replaces the file as a whole; r.mu is held or nobody else has r.
func (r *record) write() error {
	text, err := json.Marshal(&r.said)
	if err != nil {
		return err
	}
	body := make([]byte, 0, numbers+len(text))
	body = r.appendNumbers(body)
	f, err := os.OpenFile(r.path+".new", os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("cannot keep the record of a container: %w", err)
	}
	if _, err = f.Write(append(body, text...)); err == nil {
		err = os.Rename(r.path+".new", r.path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("cannot keep the record of a container: %w", err), f.Close())
	}
	if r.file != nil {
		_ = r.file.Close()
	}
	r.file = f
	return nil
}

// change changes what is said and keeps it.
func (r *record) change(do func(*said)) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	do(&r.said)
	return r.write()
}

func (r *record) get() said {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.said
}

func (r *record) appendNumbers(b []byte) []byte {
	for _, n := range append([]int64{r.acked, r.mark, r.place.bytes, r.place.second}, r.place.read[:]...) {
		b = binary.LittleEndian.AppendUint64(b, uint64(n))
	}
	return b
}

// acknowledge keeps the numbers of an acknowledgement, which only rise, and a place in the
// log that is not behind it.
func (r *record) acknowledge(n, mark int64, at place) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n < r.acked || mark < r.mark || r.file == nil {
		return
	}
	r.acked, r.mark = n, mark
	if at.second != 0 {
		r.place = at
	}
	var b [numbers]byte
	_, _ = r.file.WriteAt(r.appendNumbers(b[:0]), 0) // if it fails, output comes again after a restart
}

// numbers gives what was acknowledged and where reading goes on: from the kept place, or
// where there is none from the beginning of the log, passing over what was acknowledged.
func (r *record) numbers() (acked, mark int64, at place) {
	r.mu.Lock()
	defer r.mu.Unlock()
	at = r.place
	at.bytes, at.owed = r.acked, r.acked-r.place.bytes
	return r.acked, r.mark, at
}

// close lets go of the file, and with gone removes it.
func (r *record) close(gone bool) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.file != nil {
		_ = r.file.Close()
		r.file = nil
	}
	if gone {
		if err := os.Remove(r.path); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// readRecords reads what an earlier executor kept. A file that was being written when the
// host died says nothing that is not said by the container's absence, and goes.
func readRecords(dir string) ([]*record, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("cannot read the records of containers: %w", err)
	}
	var out []*record
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if strings.HasSuffix(path, ".new") {
			_ = os.Remove(path)
			continue
		}
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			return nil, fmt.Errorf("cannot read the record of a container: %w", err)
		}
		r := &record{path: path, file: f}
		if err := r.read(); err != nil {
			_ = r.close(true)
			continue
		}
		out = append(out, r)
	}
	return out, nil
}

func (r *record) read() error {
	body, err := os.ReadFile(r.path)
	if err != nil {
		return err
	}
	if len(body) < numbers {
		return errors.New("cut off")
	}
	var n [numbers / 8]int64
	for i := range n {
		n[i] = int64(binary.LittleEndian.Uint64(body[8*i:]))
	}
	r.acked, r.mark, r.place.bytes, r.place.second = n[0], n[1], n[2], n[3]
	copy(r.place.read[:], n[4:])
	return json.NewDecoder(bytes.NewReader(body[numbers:])).Decode(&r.said)
}

// bootID gives the identity of a state folder, made when there is none.
func bootID(path string) (string, error) {
	if b, err := os.ReadFile(path); err == nil && len(b) == 32 {
		return string(b), nil
	}
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	id := hex.EncodeToString(b[:])
	if err := os.WriteFile(path+".new", []byte(id), 0o600); err != nil {
		return "", fmt.Errorf("cannot keep the identity of the container host: %w", err)
	}
	return id, os.Rename(path+".new", path)
}
