package launcher

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// socketPath is the socket's path as the kernel takes it: at most 107 bytes. For a deeper
// folder the way leads through an open descriptor of it, which release closes.
func socketPath(dir string) (path string, release func(), err error) {
	path = filepath.Join(dir, socketName)
	if len(path) <= 100 {
		return path, func() {}, nil
	}
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", nil, fmt.Errorf("cannot open %s: %w", dir, err)
	}
	return fmt.Sprintf("/proc/self/fd/%d/%s", fd, socketName), func() { _ = unix.Close(fd) }, nil
}

// listen opens the socket. The lock is held, so one that is there is nobody's.
func listen(dir string) (*net.UnixListener, error) {
	if err := os.Remove(filepath.Join(dir, socketName)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	path, release, err := socketPath(dir)
	if err != nil {
		return nil, err
	}
	defer release()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, err
	}
	// The file stays when the listener closes: its path may lead through a descriptor that
	// is closed by then. The next launcher removes it.
	l.SetUnlinkOnClose(false)
	return l, os.Chmod(filepath.Join(dir, socketName), 0o600)
}

// Dial connects to the launcher of a state folder and says hello. With no launcher there
// the error is syscall.ENOENT or syscall.ECONNREFUSED.
func Dial(dir string, h Hello) (*Conn, Welcome, error) {
	var w Welcome
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, w, err
	}
	path, release, err := socketPath(dir)
	if err != nil {
		return nil, w, err
	}
	defer release()
	nc, err := net.DialTimeout("unix", path, 5*time.Second)
	if err != nil {
		return nil, w, err
	}
	c := newConn(nc)
	h.Version = Version
	if err := c.SendJSON(KindHello, Key{}, h); err != nil {
		return nil, w, errors.Join(err, nc.Close())
	}
	_ = nc.SetReadDeadline(time.Now().Add(10 * time.Second))
	f, err := c.Read()
	if err == nil && (f.Kind != KindWelcome || json.Unmarshal(f.Body, &w) != nil) {
		err = errors.New("the launcher answered with something else than a welcome")
	}
	if err == nil && w.Version != Version {
		err = fmt.Errorf("the launcher (process %d) in %s is of another release; let its jobs end, stop it, and start the worker again", w.PID, dir)
	}
	if err != nil {
		return nil, w, errors.Join(err, nc.Close())
	}
	_ = nc.SetReadDeadline(time.Time{})
	return c, w, nil
}

// Spawn starts a launcher on the state folder: `exe launcher --dir dir`, in a session of
// its own, with nearly no environment. It does not wait until it serves; Dial tells.
func Spawn(exe, dir string) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	log, err := os.OpenFile(filepath.Join(dir, logName), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	if st, err := log.Stat(); err == nil && st.Size() > 1<<20 {
		_ = log.Truncate(0) // a few lines a life: old ones are worth little
	}
	cmd := exec.Command(exe, "launcher", "--dir", dir)
	cmd.Env = []string{"PATH=" + defaultPath}
	cmd.Dir = "/"
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("cannot start the launcher: %w", err)
	}
	go func() { _ = cmd.Wait() }() // only so that it is no zombie while this process lives
	return nil
}

// LastWords gives the end of the launcher's log, for the error of one that does not come up.
func LastWords(dir string) string {
	b, err := os.ReadFile(filepath.Join(dir, logName))
	if err != nil {
		return ""
	}
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	return lines[len(lines)-1]
}
