package dockertest

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/moby/moby/client"
)

// Daemon is an engine of a test's own, which it may stop and kill. It lives in a network
// namespace of its own and has no bridge, so containers have the network "none".
type Daemon struct {
	t           testing.TB
	dir, Socket string
	restore     bool
	cmd         *exec.Cmd
	done        chan struct{}
	below       *exec.Cmd // containerd, which outlives it
}

const daemonStarts = 60 * time.Second

// Own starts an engine for this test alone. With restore, its containers run on while it
// is away. It is skipped unless DROVER_TEST_INSTALL is 1, as in .ci/run: an engine leaves
// control groups and mounts on the machine if it is killed in the middle.
func Own(t testing.TB, restore bool) *Daemon {
	t.Helper()
	if os.Getenv("DROVER_TEST_INSTALL") != "1" {
		t.Skip("SKIP: DROVER_TEST_INSTALL is not 1, and a second Docker daemon would change this machine")
	}
	if os.Geteuid() != 0 {
		t.Skip("SKIP: only root can start a Docker daemon")
	}
	if _, err := exec.LookPath("dockerd"); err != nil {
		t.Skip("SKIP: no dockerd: " + err.Error())
	}
	dir, err := os.MkdirTemp("/tmp", "dd") // short: it holds socket names
	must(t, err)
	d := &Daemon{t: t, dir: dir, Socket: filepath.Join(dir, "d.sock"), restore: restore}
	t.Cleanup(d.end)
	if d.below, err = d.spawn("containerd", "--root", dir+"/cd", "--state", dir+"/cs", "--address", dir+"/c.sock"); err != nil {
		t.Skip("SKIP: no containerd: " + err.Error())
	}
	d.Start()
	return d
}

// Start starts it and waits until it answers.
func (d *Daemon) Start() {
	d.t.Helper()
	args := []string{"--data-root", d.dir + "/data", "--exec-root", d.dir + "/exec", "--pidfile", d.dir + "/pid",
		"-H", "unix://" + d.Socket, "--bridge=none", "--iptables=false", "--ip6tables=false", "--shutdown-timeout=3",
		"--containerd", d.dir + "/c.sock"}
	if d.restore {
		args = append(args, "--live-restore")
	}
	var err error
	d.cmd, err = d.spawn("dockerd", args...)
	must(d.t, err)
	d.done = make(chan struct{})
	go func(cmd *exec.Cmd, done chan struct{}) { defer close(done); _ = cmd.Wait() }(d.cmd, d.done)
	api := d.Client()
	defer api.Close()
	for end := time.Now().Add(daemonStarts); ; time.Sleep(50 * time.Millisecond) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		_, err := api.ServerVersion(ctx, client.ServerVersionOptions{})
		cancel()
		if err == nil {
			return
		}
		select {
		case <-d.done:
			text, _ := os.ReadFile(d.dir + "/log")
			d.t.Skipf("SKIP: a Docker daemon cannot run here: %s", text[max(0, len(text)-500):])
		default:
		}
		if time.Now().After(end) {
			d.t.Fatalf("the Docker daemon does not answer: %v", err)
		}
	}
}

func (d *Daemon) spawn(program string, args ...string) (*exec.Cmd, error) {
	log, err := os.OpenFile(d.dir+"/log", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.Command(program, args...)
	cmd.Stdout, cmd.Stderr = log, log
	// A network of its own: without a bridge a daemon removes the one of the machine's daemon.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Cloneflags: syscall.CLONE_NEWNET}
	return cmd, cmd.Start()
}

// Client gives a client; the caller closes it.
func (d *Daemon) Client() *client.Client {
	d.t.Helper()
	api, err := client.New(client.WithHost("unix://" + d.Socket))
	must(d.t, err)
	return api
}

// Stop ends it as an administrator would, or with kill as a crash does, and waits.
func (d *Daemon) Stop(kill bool) {
	d.t.Helper()
	how := syscall.SIGTERM
	if kill {
		how = syscall.SIGKILL
	}
	must(d.t, d.cmd.Process.Signal(how))
	<-d.done
}

// Freeze makes it hang, and Thaw ends that.
func (d *Daemon) Freeze() { d.t.Helper(); must(d.t, d.cmd.Process.Signal(syscall.SIGSTOP)) }

// Thaw lets a frozen daemon go on.
func (d *Daemon) Thaw() { d.t.Helper(); must(d.t, d.cmd.Process.Signal(syscall.SIGCONT)) }

// Up reports whether something answers at the socket.
func (d *Daemon) Up() bool {
	c, err := net.Dial("unix", d.Socket)
	if err == nil {
		_ = c.Close()
	}
	return err == nil
}

// end stops everything that the daemon started and removes its folder.
func (d *Daemon) end() {
	if d.cmd != nil {
		_ = d.cmd.Process.Signal(syscall.SIGCONT)
		_ = d.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-d.done:
		case <-time.After(20 * time.Second):
			_ = d.cmd.Process.Kill()
		}
	}
	if d.below != nil {
		_ = d.below.Process.Signal(syscall.SIGTERM)
		_ = d.below.Wait()
	}
	mounts, _ := filepath.Glob(d.dir + "/data/overlay2/*/merged")
	for _, m := range mounts {
		_ = syscall.Unmount(m, syscall.MNT_DETACH)
	}
	_ = syscall.Unmount(d.dir+"/data", syscall.MNT_DETACH)
	_ = os.RemoveAll(d.dir)
}
