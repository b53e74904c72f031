package launcher

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	maxPIDs      = "4096"  // most processes and threads of one attempt
	idleGroups   = 64      // groups kept for the next attempts
	reuseBelow   = 2 << 20 // charged to an empty group: what the kernel caches per CPU
	noLimit      = int64(0)
	emptyTimeout = time.Second
	closeTimeout = 15 * time.Second // for all groups together, when the launcher leaves
)

// cgroups gives each attempt a control group of its own below the launcher's, with a
// memory limit. Making a group and, on v1, moving a thread into it costs up to 11 ms (the
// kernel waits for all CPUs); so groups are kept and used again when they are empty.
type cgroups struct {
	v2   bool
	base string // folder below which the groups are, in the memory hierarchy
	pids string // the same in the pids hierarchy; "" = no such limit (v1), or as base (v2)
	swap bool   // v1: swap is limited too

	warming sync.WaitGroup

	mu     sync.Mutex // guards the rest
	idle   []*group
	made   int
	closed bool
}

// group is one control group.
type group struct {
	of     *cgroups
	name   string
	dir    string
	limit  int64   // bytes; noLimit = none
	thread *thread // v1: lives in the group and forks its processes
	fd     int     // v2: the folder, for clone3; -1 on v1
	procs  *os.File
	usage  *os.File
	events *os.File
	killed int64 // processes that the kernel had killed for memory before this attempt
}

// openCgroups finds the memory controller and sweeps what an earlier launcher left. Why
// there are no limits is told in words.
func openCgroups(dir string) (*cgroups, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("not running as root")
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	self, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256([]byte(dir))
	name := "drover-" + hex.EncodeToString(sum[:4])
	h := parseHierarchies(string(mounts), string(self))
	switch {
	case h.memory != "":
		return openV1(h, name)
	case h.unified != "":
		return openV2(h.unified, name)
	}
	return nil, errors.New("no memory controller is mounted")
}

// hierarchies are the folders of this process's own groups.
type hierarchies struct {
	memory, pids string // v1
	unified      string // v2
}

// parseHierarchies reads /proc/self/mountinfo and /proc/self/cgroup (cgroups(7)).
func parseHierarchies(mounts, self string) hierarchies {
	var h hierarchies
	own := map[string]string{} // controller, or "" for v2 → path
	for line := range strings.Lines(self) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(f) != 3 {
			continue
		}
		for c := range strings.SplitSeq(f[1], ",") {
			own[c] = f[2]
		}
	}
	place := func(root, point, controller string) string {
		path, ok := own[controller]
		if !ok {
			return ""
		}
		if root != "/" {
			path = strings.TrimPrefix(path, root)
		}
		return filepath.Join(point, path)
	}
	for line := range strings.Lines(mounts) {
		before, after, ok := strings.Cut(strings.TrimSpace(line), " - ")
		f, g := strings.Fields(before), strings.Fields(after)
		if !ok || len(f) < 5 || len(g) < 3 {
			continue
		}
		switch g[0] {
		case "cgroup2":
			h.unified = place(f[3], f[4], "")
		case "cgroup":
			for o := range strings.SplitSeq(g[2], ",") {
				switch o {
				case "memory":
					h.memory = place(f[3], f[4], "memory")
				case "pids":
					h.pids = place(f[3], f[4], "pids")
				}
			}
		}
	}
	return h
}

func openV1(h hierarchies, name string) (*cgroups, error) {
	c := &cgroups{base: filepath.Join(h.memory, name)}
	if err := makeGroup(c.base); err != nil {
		return nil, err
	}
	if h.pids != "" && makeGroup(filepath.Join(h.pids, name)) == nil {
		c.pids = filepath.Join(h.pids, name)
	}
	_, err := os.Stat(filepath.Join(c.base, "memory.memsw.limit_in_bytes"))
	c.swap = err == nil
	c.sweep()
	return c, nil
}

// openV2 makes the base below the own group, where the memory controller must be handed
// down. The kernel allows that only for a group without processes of its own, or for the
// root; so if the launcher is alone there it steps one level down, and else the base goes
// below the root.
func openV2(own, name string) (*cgroups, error) {
	c := &cgroups{v2: true}
	var err error
	for _, parent := range []string{own, "/sys/fs/cgroup"} {
		if err = handDown(parent, name); err != nil {
			continue
		}
		c.base, c.pids = filepath.Join(parent, name), filepath.Join(parent, name)
		if err = makeGroup(c.base); err != nil {
			continue
		}
		if err = os.WriteFile(filepath.Join(c.base, "cgroup.subtree_control"), []byte("+memory +pids"), 0); err != nil {
			_ = os.Remove(c.base)
			continue
		}
		c.sweep()
		return c, nil
	}
	return nil, fmt.Errorf("the memory controller cannot be handed down: %w", err)
}

func handDown(parent, name string) error {
	control := filepath.Join(parent, "cgroup.subtree_control")
	if have, err := os.ReadFile(control); err == nil && strings.Contains(string(have), "memory") && strings.Contains(string(have), "pids") {
		return nil
	}
	err := os.WriteFile(control, []byte("+memory +pids"), 0)
	if !errors.Is(err, unix.EBUSY) {
		return err
	}
	procs, err := os.ReadFile(filepath.Join(parent, "cgroup.procs"))
	if err != nil {
		return err
	}
	if strings.TrimSpace(string(procs)) != strconv.Itoa(os.Getpid()) {
		return unix.EBUSY
	}
	leaf := filepath.Join(parent, name+"-launcher")
	if err := makeGroup(leaf); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(leaf, "cgroup.procs"), []byte("0"), 0); err != nil {
		return err
	}
	return os.WriteFile(control, []byte("+memory +pids"), 0)
}

func makeGroup(dir string) error {
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return nil
}

// kind says how limits are kept, for the log.
func (c *cgroups) kind() string {
	if c.v2 {
		return "cgroup v2"
	}
	return "cgroup v1"
}

// sweep kills and removes every group below the base: an earlier launcher's.
func (c *cgroups) sweep() {
	for _, base := range []string{c.base, c.pids} {
		if base == "" {
			continue
		}
		entries, _ := os.ReadDir(base)
		for _, e := range entries {
			if e.IsDir() {
				removeGroup(filepath.Join(base, e.Name()))
			}
		}
	}
}

// removeGroup kills what is in a group and removes it.
func removeGroup(dir string) {
	deadline := time.Now().Add(emptyTimeout)
	for {
		err := os.Remove(dir)
		if err == nil || errors.Is(err, os.ErrNotExist) || time.Now().After(deadline) {
			return
		}
		procs, _ := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
		killAll(procs)
		time.Sleep(2 * time.Millisecond) // the kernel tells nobody on v1 when a group is empty
	}
}

// killAll kills every process in the text of a cgroup.procs file, except this one (whose
// threads live in v1 groups). It returns how many there were.
func killAll(procs []byte) int {
	n := 0
	for f := range bytes.FieldsSeq(procs) {
		pid, err := strconv.Atoi(string(f))
		if err != nil || pid <= 1 || pid == os.Getpid() {
			continue
		}
		n++
		_ = unix.Kill(pid, unix.SIGKILL)
	}
	return n
}

// take gives an empty group with a limit of so many bytes.
func (c *cgroups) take(limit int64) (*group, error) {
	c.mu.Lock()
	var g *group
	if n := len(c.idle); n > 0 {
		g, c.idle = c.idle[n-1], c.idle[:n-1]
	} else {
		c.made++
	}
	name := strconv.Itoa(c.made)
	c.mu.Unlock()
	if g == nil {
		var err error
		if g, err = c.make(name); err != nil {
			return nil, err
		}
	}
	if g.limit != limit {
		if err := g.setLimit(limit); err != nil {
			g.remove()
			return nil, err
		}
	}
	return g, nil
}

// warm makes up to n groups ahead of the first attempts, in the background.
func (c *cgroups) warm(n int) {
	c.warming.Go(func() {
		groups := make([]*group, 0, n)
		for range n {
			c.mu.Lock()
			c.made++
			name, closed := strconv.Itoa(c.made), c.closed
			c.mu.Unlock()
			if closed {
				break
			}
			g, err := c.make(name)
			if err != nil {
				break
			}
			groups = append(groups, g)
		}
		for _, g := range groups {
			c.put(g)
		}
	})
}

func (c *cgroups) make(name string) (_ *group, err error) {
	g := &group{of: c, name: name, dir: filepath.Join(c.base, name), fd: -1}
	defer func() {
		if err != nil {
			g.remove()
		}
	}()
	if err = makeGroup(g.dir); err != nil {
		return nil, err
	}
	usage, events := "memory.usage_in_bytes", "memory.oom_control"
	if c.v2 {
		usage, events = "memory.current", "memory.events"
		g.fd, err = unix.Open(g.dir, unix.O_DIRECTORY|unix.O_CLOEXEC|unix.O_PATH, 0)
		if err != nil {
			return nil, err
		}
		_ = os.WriteFile(filepath.Join(g.dir, "pids.max"), []byte(maxPIDs), 0) // absent controller: no limit
	}
	for _, f := range []struct {
		to   **os.File
		name string
	}{{&g.procs, "cgroup.procs"}, {&g.usage, usage}, {&g.events, events}} {
		if *f.to, err = os.Open(filepath.Join(g.dir, f.name)); err != nil {
			return nil, err
		}
	}
	if !c.v2 {
		err = g.settle()
	}
	return g, err
}

// settle gives a v1 group its thread, and both a pids limit.
func (g *group) settle() error {
	g.thread = newThread()
	var err error
	g.thread.do(func() {
		tid := []byte(strconv.Itoa(unix.Gettid()))
		if err = os.WriteFile(filepath.Join(g.dir, "tasks"), tid, 0); err != nil || g.of.pids == "" {
			return
		}
		dir := filepath.Join(g.of.pids, g.name)
		if makeGroup(dir) == nil {
			_ = os.WriteFile(filepath.Join(dir, "pids.max"), []byte(maxPIDs), 0) // a courtesy limit
			_ = os.WriteFile(filepath.Join(dir, "tasks"), tid, 0)
		}
	})
	return err
}

func (g *group) setLimit(limit int64) error {
	write := func(file, value string) error {
		return os.WriteFile(filepath.Join(g.dir, file), []byte(value), 0)
	}
	old := g.limit
	g.limit = limit
	if g.of.v2 {
		value := "max"
		if limit != noLimit {
			value = strconv.FormatInt(limit, 10)
			_ = write("memory.swap.max", "0") // absent without swap accounting
		}
		return write("memory.max", value)
	}
	value := strconv.FormatInt(limit, 10)
	if limit == noLimit {
		value = "-1"
	}
	files := []string{"memory.memsw.limit_in_bytes", "memory.limit_in_bytes"}
	if limit != noLimit && (old == noLimit || limit < old) { // memory must never be above memory+swap
		files[0], files[1] = files[1], files[0]
	}
	for _, f := range files {
		if f == "memory.memsw.limit_in_bytes" && !g.of.swap {
			continue
		}
		if err := write(f, value); err != nil {
			return err
		}
	}
	return nil
}

// read gives the content of a small kernel file that is kept open.
func read(f *os.File, buf []byte) []byte {
	n, _ := f.ReadAt(buf, 0)
	return buf[:n]
}

// outOfMemory reports whether the kernel killed a process of the group for memory since
// the group was taken.
func (g *group) outOfMemory() bool {
	n := g.oomKills()
	hit := n > g.killed
	g.killed = n
	return hit
}

func (g *group) oomKills() int64 {
	var buf [512]byte
	for line := range bytes.Lines(read(g.events, buf[:])) {
		if v, ok := bytes.CutPrefix(line, []byte("oom_kill ")); ok {
			n, _ := strconv.ParseInt(string(bytes.TrimSpace(v)), 10, 64)
			return n
		}
	}
	return 0
}

// empty kills what is left in the group and reports whether it became empty in time.
func (g *group) empty() bool {
	var buf [4096]byte
	deadline := time.Now().Add(emptyTimeout)
	for killAll(read(g.procs, buf[:])) > 0 {
		if time.Now().After(deadline) {
			return false
		}
		time.Sleep(time.Millisecond)
	}
	return true
}

// put takes back an empty group. One that still is charged for memory (files that the job
// left in a memory file system) is not used again.
func (c *cgroups) put(g *group) {
	if g.charged() {
		_ = os.WriteFile(filepath.Join(g.dir, "memory.force_empty"), []byte("0"), 0) // v1 only
		if g.charged() {
			g.remove()
			return
		}
	}
	c.mu.Lock()
	keep := len(c.idle) < idleGroups && !c.closed
	if keep {
		c.idle = append(c.idle, g)
	}
	c.mu.Unlock()
	if !keep {
		g.remove()
	}
}

func (g *group) charged() bool {
	var buf [32]byte
	n, err := strconv.ParseInt(string(bytes.TrimSpace(read(g.usage, buf[:]))), 10, 64)
	return err != nil || n > reuseBelow
}

// remove ends the group.
func (g *group) remove() {
	if g.thread != nil {
		g.thread.stop()
	}
	for _, f := range []*os.File{g.procs, g.usage, g.events} {
		if f != nil {
			_ = f.Close()
		}
	}
	if g.fd >= 0 {
		_ = unix.Close(g.fd)
	}
	removeGroup(g.dir)
	if g.of.pids != "" && !g.of.v2 {
		removeGroup(filepath.Join(g.of.pids, g.name))
	}
}

// close removes everything; no attempt runs any more.
func (c *cgroups) close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.warming.Wait()
	c.mu.Lock()
	idle := c.idle
	c.idle = nil
	c.mu.Unlock()
	var wg sync.WaitGroup
	for _, g := range idle {
		wg.Go(g.remove)
	}
	wg.Wait()
	// A group may stay busy for seconds after its last thread has gone, when the kernel has
	// many groups to move (a container engine at work): stay until it lets go.
	for deadline := time.Now().Add(closeTimeout); ; {
		c.sweep()
		removeGroup(c.base)
		if c.pids != "" && !c.v2 {
			removeGroup(c.pids)
		}
		if c.gone() || time.Now().After(deadline) {
			return
		}
	}
}

// gone reports whether nothing of the groups is left.
func (c *cgroups) gone() bool {
	for _, dir := range []string{c.base, c.pids} {
		if dir == "" {
			continue
		}
		if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
			return false
		}
	}
	return true
}
