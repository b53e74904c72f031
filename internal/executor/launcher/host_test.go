package launcher

import (
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestParseHierarchies(t *testing.T) {
	hybridMounts := `24 30 0:21 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw
33 24 0:28 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory
34 24 0:29 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids
35 24 0:30 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
`
	hybridSelf := "8:pids:/\n4:memory:/a/b\n1:name=systemd:/\n0::/user\n"
	for _, c := range []struct {
		name, mounts, self string
		want               hierarchies
	}{
		{"hybrid", hybridMounts, hybridSelf, hierarchies{"/sys/fs/cgroup/memory/a/b", "/sys/fs/cgroup/pids", "/sys/fs/cgroup/unified/user"}},
		{"v2", "30 24 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate\n", "0::/system.slice/x.service\n",
			hierarchies{unified: "/sys/fs/cgroup/system.slice/x.service"}},
		{"controllers mounted together", "30 24 0:26 / /cg/cpu,memory rw - cgroup cgroup rw,cpu,memory\n", "3:cpu,memory:/g\n",
			hierarchies{memory: "/cg/cpu,memory/g"}},
		{"in a container", "30 24 0:26 /docker/abc /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n", "3:memory:/docker/abc\n",
			hierarchies{memory: "/sys/fs/cgroup/memory"}},
		{"nothing", "", "", hierarchies{}},
		{"garbage", "x\n - \n1 2 3 - cgroup\n", ":::\nx\n", hierarchies{}},
	} {
		if got := parseHierarchies(c.mounts, c.self); got != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
}

func TestParseStat(t *testing.T) {
	session, start, err := parseStat("42 (a) b) (c) S 1 7 9 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 1 0 12345 0 0")
	if err != nil || session != 9 || start != 12345*tick {
		t.Errorf("session %d start %d %v", session, start, err)
	}
	for _, bad := range []string{"", "1 (x) S", ")", "1 (x) S 1 2 x 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 5"} {
		if _, _, err := parseStat(bad); err == nil {
			t.Errorf("%q accepted", bad)
		}
	}
}

// sleeper starts a process in a session of its own.
func sleeper(t *testing.T, dir string, env ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("/bin/sh", "-c", "sleep 600 & wait")
	cmd.Dir, cmd.Env = dir, env
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL); _ = cmd.Wait() })
	return cmd
}

func ended(cmd *exec.Cmd, within time.Duration) bool {
	done := make(chan struct{})
	go func() { _, _ = cmd.Process.Wait(); close(done) }()
	select {
	case <-done:
		return true
	case <-time.After(within):
		return false
	}
}

func TestSweepKillsOnlyOurs(t *testing.T) {
	bootID := "boot-1"
	file := filepath.Join(t.TempDir(), "records")
	r, err := openRecords(file, bootID)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	slot := r.begin(dir)
	ours := sleeper(t, dir, "HOME="+dir)
	r.started(slot, ours.Process.Pid)
	free := r.begin(dir)
	r.done(free)
	stranger := sleeper(t, t.TempDir())
	slot = r.begin(dir)
	r.started(slot, stranger.Process.Pid)
	// The stranger got the number of a process that was started an hour before it.
	s := r.mem[slot*slotSize:]
	hour := uint64(time.Hour)
	binary.LittleEndian.PutUint64(s[4:], binary.LittleEndian.Uint64(s[4:])-hour)
	binary.LittleEndian.PutUint64(s[12:], binary.LittleEndian.Uint64(s[12:])-hour)
	old, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	r.close()
	if _, err := os.Stat(file); !os.IsNotExist(err) {
		t.Errorf("closing leaves the file: %v", err)
	}
	sweepRecords(old, "boot-2")
	if syscall.Kill(ours.Process.Pid, 0) != nil {
		t.Error("records of another boot were believed")
	}
	sweepRecords(old, bootID)
	if !ended(ours, 10*time.Second) {
		t.Error("what a dead launcher left lives on")
	}
	if ended(stranger, 50*time.Millisecond) {
		t.Error("a process with a recycled number was killed")
	}
}

func TestSweepFindsDescendants(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(t.TempDir(), "records")
	r, err := openRecords(file, "b")
	if err != nil {
		t.Fatal(err)
	}
	slot := r.begin(dir)
	cmd := exec.Command("/bin/sh", "-c", `sleep 600 & echo $! > "$HOME/child"`)
	cmd.Env = []string{"HOME=" + dir}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r.started(slot, cmd.Process.Pid)
	if err := cmd.Wait(); err != nil { // the leader is dead, as after its launcher's death
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "child"))
	if err != nil {
		t.Fatal(err)
	}
	child, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	old, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	r.close()
	sweepRecords(old, "b")
	deadline := time.Now().Add(10 * time.Second)
	for dead := false; !dead; time.Sleep(5 * time.Millisecond) {
		stat, err := os.ReadFile("/proc/" + string(strings.TrimSpace(string(text))) + "/stat")
		dead = err != nil || strings.Contains(string(stat), ") Z ")
		if time.Now().After(deadline) {
			_ = syscall.Kill(child, syscall.SIGKILL)
			t.Fatal("a descendant lives on")
		}
	}
}

func FuzzSweepRecords(f *testing.F) {
	f.Add([]byte("boot"))
	f.Add(make([]byte, 3*slotSize))
	f.Fuzz(func(t *testing.T, b []byte) {
		sweepRecords(b, "\x01never a boot id") // must not panic; a foreign boot id kills nothing
		if len(b) >= slotSize {
			for i := slotSize; i+slotSize <= len(b); i += slotSize {
				clear(b[i : i+4]) // no process numbers: nothing may be killed by a fuzzer
			}
			sweepRecords(b, strings.TrimRight(string(b[:slotSize]), "\x00"))
		}
	})
}

func TestDeepFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("deep/", 40))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Dial(dir, Hello{}); !os.IsNotExist(err) && !strings.Contains(err.Error(), "no such file") {
		t.Errorf("nobody there: %v", err)
	}
	l, err := listen(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	greeted := make(chan error, 1)
	go func() {
		nc, err := l.AcceptUnix()
		if err != nil {
			greeted <- err
			return
		}
		defer nc.Close()
		c := newConn(nc)
		if _, err = c.Read(); err == nil {
			err = c.SendJSON(KindWelcome, Key{}, Welcome{Version: Version + 1, PID: 77})
		}
		greeted <- err
	}()
	_, _, err = Dial(dir, Hello{})
	if err == nil || !strings.Contains(err.Error(), "process 77") || !strings.Contains(err.Error(), "another release") {
		t.Errorf("a launcher of another release: %v", err)
	}
	if err := <-greeted; err != nil {
		t.Error(err)
	}
}

func TestLookPath(t *testing.T) {
	dir := t.TempDir()
	for name, mode := range map[string]os.FileMode{"prog": 0o755, "plain": 0o644} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, mode); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct{ name, path, want, say string }{
		{"prog", "/nowhere:" + dir, dir + "/prog", ""},
		{"prog", "", "", "not found in PATH"},
		{"prog", ".::relative", "", "not found in PATH"},
		{"plain", dir, "", "is not executable"},
		{"./prog", "/nowhere", "./prog", ""},
		{"", dir, "", "empty"},
	} {
		got, reason := lookPath(c.name, []string{"PATH=" + c.path}, dir)
		if got != c.want || !strings.Contains(reason, c.say) || (reason == "") != (c.say == "") {
			t.Errorf("%q in %q: %q %q", c.name, c.path, got, reason)
		}
	}
}
