package dockertest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/moby/moby/client"
)

// Podman starts Podman's service, which speaks the Engine API, with a storage of its own for
// this test alone, and gives its address. It is skipped where Podman is absent, and unless
// DROVER_TEST_INSTALL is 1, as in .ci/run: its networks are the machine's.
func Podman(t testing.TB) (address string) {
	t.Helper()
	if os.Getenv("DROVER_TEST_INSTALL") != "1" {
		t.Skip("SKIP: DROVER_TEST_INSTALL is not 1, and Podman's networks would change this machine")
	}
	if os.Geteuid() != 0 {
		t.Skip("SKIP: only root can start Podman as a service of the machine")
	}
	program, err := exec.LookPath("podman")
	if err != nil {
		t.Skip("SKIP: no podman: " + err.Error())
	}
	dir, err := os.MkdirTemp("/tmp", "pm") // short: it holds socket names
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	must(t, os.WriteFile(dir+"/containers.conf", []byte(podmanConfig()), 0o600))
	log, err := os.Create(dir + "/log")
	must(t, err)
	defer log.Close()
	socket := filepath.Join(dir, "podman.sock")
	stores := []string{"--root", dir + "/root", "--runroot", dir + "/run"}
	run := func(args ...string) *exec.Cmd {
		cmd := exec.Command(program, append(stores[:len(stores):len(stores)], args...)...)
		cmd.Env = append(os.Environ(), "CONTAINERS_CONF="+dir+"/containers.conf")
		cmd.Stdout, cmd.Stderr = log, log
		return cmd
	}
	cmd := run("system", "service", "--time=0", "unix://"+socket)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	must(t, cmd.Start())
	done := make(chan struct{})
	go func() { defer close(done); _ = cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		<-done
		_ = run("rm", "--all", "--force", "--time=0").Run() // with its storage: otherwise mounts are left
		_ = run("system", "reset", "--force").Run()
	})
	api, err := client.New(client.WithHost("unix://" + socket))
	must(t, err)
	defer api.Close()
	for end := time.Now().Add(daemonStarts); ; time.Sleep(50 * time.Millisecond) {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		_, err := api.ServerVersion(ctx, client.ServerVersionOptions{})
		cancel()
		if err == nil {
			return "unix://" + socket
		}
		select {
		case <-done:
			text, _ := os.ReadFile(dir + "/log")
			t.Skipf("SKIP: Podman cannot run here: %s", text[max(0, len(text)-500):])
		default:
		}
		if time.Now().After(end) {
			t.Fatalf("Podman does not answer: %v", err)
		}
	}
}

// podmanConfig is what a machine without systemd, and without the right to raise limits,
// needs; the init process is whichever there is.
func podmanConfig() string {
	initPath := ""
	for _, p := range []string{"/usr/libexec/podman/catatonit", "/usr/bin/catatonit", "/usr/bin/docker-init", "/usr/bin/tini"} {
		if _, err := os.Stat(p); err == nil {
			initPath = fmt.Sprintf("init_path = %q\n", p)
			break
		}
	}
	return "[containers]\n" + initPath + "default_ulimits = [\"nofile=1024:1024\", \"nproc=4096:4096\"]\n" +
		"[engine]\n" + initPath + "cgroup_manager = \"cgroupfs\"\nevents_logger = \"file\"\n"
}
