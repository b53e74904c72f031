package launcher

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// records is a small file that says which processes run, kept in shared memory: writing
// costs nothing, and it outlives a launcher that is killed. The next one reads it and ends
// what is left.
//
// A process is known by its number and by when it started, so that one that got the same
// number later is never touched.
type records struct {
	file *os.File
	mem  []byte
	mu   sync.Mutex // guards free
	free []int      // slots not in use
}

const (
	slotSize  = 512
	slotCount = 4096 // attempts beyond this many at once are not recorded
	slotDir   = 28   // pid 4, from 8, to 8, length of dir 8 (only 2 used)
)

// openRecords ends what an earlier launcher left and starts a new file.
func openRecords(path, bootID string) (*records, error) {
	if old, err := os.ReadFile(path); err == nil {
		sweepRecords(old, bootID)
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	if err := f.Truncate(slotSize * (slotCount + 1)); err != nil {
		_ = f.Close()
		return nil, err
	}
	mem, err := unix.Mmap(int(f.Fd()), 0, slotSize*(slotCount+1), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	copy(mem[:slotSize], bootID)
	r := &records{file: f, mem: mem}
	for i := slotCount; i >= 1; i-- {
		r.free = append(r.free, i)
	}
	return r, nil
}

func (r *records) close() {
	_ = unix.Munmap(r.mem)
	_ = r.file.Close()
	_ = os.Remove(r.file.Name())
}

// begin notes that a process is about to start in dir. It returns the slot, 0 for none.
func (r *records) begin(dir string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := len(r.free)
	if n == 0 || len(dir) > slotSize-slotDir {
		return 0
	}
	slot := r.free[n-1]
	r.free = r.free[:n-1]
	s := r.mem[slot*slotSize:]
	binary.LittleEndian.PutUint64(s[4:], uint64(sinceBoot()))
	binary.LittleEndian.PutUint64(s[20:], uint64(len(dir)))
	copy(s[slotDir:], dir)
	return slot
}

// started notes the process.
func (r *records) started(slot, pid int) {
	if slot > 0 {
		s := r.mem[slot*slotSize:]
		binary.LittleEndian.PutUint64(s[12:], uint64(sinceBoot()))
		binary.LittleEndian.PutUint32(s, uint32(pid))
	}
}

// done frees the slot.
func (r *records) done(slot int) {
	if slot > 0 {
		binary.LittleEndian.PutUint32(r.mem[slot*slotSize:], 0)
		r.mu.Lock()
		r.free = append(r.free, slot)
		r.mu.Unlock()
	}
}

// sinceBoot is the kernel's own clock for start times, in ns.
func sinceBoot() int64 {
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts) != nil {
		return 0
	}
	return ts.Nano()
}

// tick is the unit of start times in /proc/<pid>/stat: USER_HZ is 100 on every
// architecture that Go supports.
const tick = int64(10_000_000)

type record struct {
	pid      int
	from, to int64 // ns since boot
	dir      string
}

// sweepRecords kills what is left of the processes in a records file. The main process of
// an attempt is known by number and start time. Others of its session are killed only if
// their environment or working folder names the attempt's folder.
func sweepRecords(old []byte, bootID string) {
	if len(old) < slotSize || strings.TrimRight(string(old[:slotSize]), "\x00") != bootID {
		return // the host was restarted: nothing can be left
	}
	bySession := map[int]record{}
	for i := slotSize; i+slotSize <= len(old); i += slotSize {
		s := old[i : i+slotSize]
		r := record{
			pid:  int(binary.LittleEndian.Uint32(s)),
			from: int64(binary.LittleEndian.Uint64(s[4:])),
			to:   int64(binary.LittleEndian.Uint64(s[12:])),
		}
		if n := binary.LittleEndian.Uint64(s[20:]); n <= slotSize-slotDir {
			r.dir = string(s[slotDir : slotDir+n])
		}
		if r.pid > 1 {
			bySession[r.pid] = r
		}
	}
	if len(bySession) == 0 {
		return
	}
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid <= 1 || pid == os.Getpid() {
			continue
		}
		session, start, err := procStat(pid)
		r, ok := bySession[session]
		if err != nil || !ok || start < r.from-tick {
			continue
		}
		if (pid == r.pid && start <= r.to+tick) || (pid != r.pid && mentions(pid, r.dir)) {
			_ = unix.Kill(pid, unix.SIGKILL)
		}
	}
}

// procStat reads a process's session and start time (proc_pid_stat(5), fields 6 and 22).
func procStat(pid int) (session int, start int64, err error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, 0, err
	}
	return parseStat(string(b))
}

func parseStat(s string) (session int, start int64, err error) {
	i := strings.LastIndexByte(s, ')') // the command before it may hold anything
	f := strings.Fields(s[i+1:])
	if i < 0 || len(f) < 20 {
		return 0, 0, fmt.Errorf("%q is not the stat of a process", s)
	}
	if session, err = strconv.Atoi(f[3]); err != nil {
		return 0, 0, err
	}
	ticks, err := strconv.ParseInt(f[19], 10, 64)
	return session, ticks * tick, err
}

// mentions reports whether a process works in dir or was told of it.
func mentions(pid int, dir string) bool {
	if dir == "" {
		return false
	}
	proc := filepath.Join("/proc", strconv.Itoa(pid))
	if cwd, err := os.Readlink(filepath.Join(proc, "cwd")); err == nil && (cwd == dir || strings.HasPrefix(cwd, dir+"/")) {
		return true
	}
	env, err := os.ReadFile(filepath.Join(proc, "environ"))
	return err == nil && strings.Contains(string(env), dir)
}
