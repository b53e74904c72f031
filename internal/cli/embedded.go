package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"drover/internal/service/native"
)

// startWithin is how long an embedded server may take to be ready.
const startWithin = 30 * time.Second

// embedded connects to the server that runs on the data folder, or starts one in a session
// of its own, which ends itself when nobody needs it any more.
func (g *globals) embedded(ctx context.Context, sh *shell) (*connection, error) {
	if c := g.present(ctx, sh); c != nil {
		return c, nil
	}
	if err := os.MkdirAll(g.Data, 0o700); err != nil {
		return nil, wrong("the data folder %s cannot be made: %v; choose another with --data", g.Data, cause(err))
	}
	log, err := os.OpenFile(filepath.Join(g.Data, "embedded.log"), os.O_CREATE|os.O_TRUNC|os.O_RDWR, 0o600)
	if err != nil {
		return nil, wrong("nothing can be written to the data folder %s: %v; choose another with --data", g.Data, cause(err))
	}
	defer log.Close()
	ended, err := g.spawn(log)
	if err != nil {
		return nil, refused("a server for the run could not be started: %w", err)
	}
	deadline := time.Now().Add(startWithin)
	for wait := 2 * time.Millisecond; time.Now().Before(deadline); wait = min(2*wait, 50*time.Millisecond) {
		if c := g.present(ctx, sh); c != nil {
			return c, nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		select {
		case <-ended:
			// It may have lost a race against another drover map's server, which is as good.
			if ended = nil; pause(ctx, time.Second) {
				if c := g.present(ctx, sh); c != nil {
					return c, nil
				}
			}
			return nil, refused("the server for the run ended at once: %s", lastLine(log))
		case <-time.After(wait):
		}
	}
	return nil, refused("the server for the run was not ready after %s; see %s", startWithin, log.Name())
}

// present connects to the server of the data folder, if one answers.
func (g *globals) present(ctx context.Context, sh *shell) *connection {
	r, err := serverOf(g.Data)
	if err != nil || !alive(r.PID) {
		return nil
	}
	creds, err := g.credentials(sh)
	if err != nil {
		return nil
	}
	c := newConnection(r.Endpoint, region(sh), creds, nil)
	c.client.Retries = 0
	if c.greet(ctx) != nil {
		return nil
	}
	c.client.Retries = 3
	return c
}

// alive reports whether there is a process with this id.
func alive(pid int) bool {
	err := syscall.Kill(pid, 0)
	return err == nil || errors.Is(err, syscall.EPERM)
}

// spawn starts the server; ended is closed when it ends.
func (g *globals) spawn(log *os.File) (ended <-chan struct{}, err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, "serve", "--embedded", "--data", g.Data, "--listen", "127.0.0.1:0")
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	// A user's own AWS account is no business of the server's jobs.
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "AWS_") {
			cmd.Env = append(cmd.Env, v)
		}
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		// Why it ended stands in its log.
		_ = cmd.Wait()
	}()
	return done, nil
}

// lastLine is what a log ends with.
func lastLine(log *os.File) string {
	b, err := io.ReadAll(io.NewSectionReader(log, 0, 64<<10))
	if err != nil {
		return err.Error()
	}
	b = bytes.TrimSpace(b)
	if i := bytes.LastIndexByte(b, '\n'); i >= 0 {
		b = b[i+1:]
	}
	if len(b) == 0 {
		return "it said nothing"
	}
	return strings.TrimPrefix(string(b), "drover: ")
}

// stopCommand is `drover stop`.
type stopCommand struct {
	Jobs bool `help:"End running jobs, the worker and the launcher too. Without it they go on and the next server takes them over."`
}

// Help is shown by drover stop --help.
func (*stopCommand) Help() string {
	return `Stops the server that runs on the data folder and waits until it has ended. Running jobs are not touched.

  drover stop                    the next drover serve finds the jobs again
  drover stop --jobs             ends the jobs as well: SIGTERM, and SIGKILL after 30 seconds`
}

// stopWithin is how long a server may take to end: with jobs, their 30 seconds and a little.
const stopWithin = 60 * time.Second

// Run carries out the command.
func (c *stopCommand) Run(ctx context.Context, sh *shell, g *globals) error {
	r, err := serverOf(g.Data)
	if errors.Is(err, fs.ErrNotExist) {
		return refused("no server runs on %s", g.Data)
	}
	if err != nil {
		return refused("%w", err)
	}
	if !isDrover(r.PID) {
		return refused("no server runs on %s: process %d of its server.json has ended", g.Data, r.PID)
	}
	if c.Jobs {
		own := &globals{Data: g.Data}
		conn, err := own.connect(ctx, sh)
		if err != nil {
			return err
		}
		if _, err := native.Call[native.StopServerOutput](ctx, conn.client, "StopServer", &native.StopServerInput{Jobs: &c.Jobs}); err != nil {
			return err
		}
	} else if err := syscall.Kill(r.PID, syscall.SIGTERM); err != nil {
		return refused("process %d cannot be stopped: %w", r.PID, err)
	}
	deadline := time.Now().Add(stopWithin)
	for alive(r.PID) && isDrover(r.PID) {
		if time.Now().After(deadline) {
			return refused("the server (process %d) has not ended after %s; see its log", r.PID, stopWithin)
		}
		if !pause(ctx, 10*time.Millisecond) {
			return ctx.Err()
		}
	}
	if g.JSON {
		return printJSON(sh, map[string]any{"stopped": r.PID, "jobs": c.Jobs})
	}
	fmt.Fprintf(sh.out, "stopped the server of %s\n", g.Data)
	return nil
}

// isDrover reports whether the process is a drover that is not a zombie: a pid out of a
// file may have been given to another program since.
func isDrover(pid int) bool {
	exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
	if err != nil {
		return false
	}
	self, err := os.Executable()
	if err != nil {
		return false
	}
	clean := strings.TrimSuffix(exe, " (deleted)") // replaced by an upgrade
	return clean == self || filepath.Base(clean) == filepath.Base(self)
}
