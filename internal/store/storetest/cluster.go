package storetest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

var errAbsent = errors.New("no PostgreSQL on this machine")

// cluster is a PostgreSQL server in a temporary folder, reached by a Unix socket only.
type cluster struct {
	dir  string
	proc *exec.Cmd
	log  *os.File
}

// start makes a cluster and waits until it answers. Flushes are off: what is tested is
// the store on PostgreSQL, not PostgreSQL on the disk.
func start() (_ *cluster, err error) {
	bin, err := binaries()
	if err != nil {
		return nil, err
	}
	cred, err := credential()
	if err != nil {
		return nil, err
	}
	sweep()
	// A short name: the path of a socket has 107 bytes at most.
	dir, err := os.MkdirTemp("", fmt.Sprintf("drover-pg-%d-", os.Getpid()))
	if err != nil {
		return nil, err
	}
	c := &cluster{dir: dir}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.stop())
		}
	}()
	if cred != nil {
		if err := os.Chown(dir, int(cred.Uid), int(cred.Gid)); err != nil {
			return nil, err
		}
	}
	data := filepath.Join(dir, "data")
	initdb := c.command(cred, filepath.Join(bin, "initdb"), "--pgdata", data, "--username=drover",
		"--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions")
	if out, err := initdb.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w: %s", err, out)
	}
	if c.log, err = os.Create(filepath.Join(dir, "log")); err != nil {
		return nil, err
	}
	// #nosec: the program is the machine's own PostgreSQL
	c.proc = c.command(cred, filepath.Join(bin, "postgres"), "-D", data, "-k", dir,
		"-c", "listen_addresses=", "-c", "fsync=off", "-c", "full_page_writes=off",
		"-c", "max_connections=100", "-c", "shared_buffers=32MB", "-c", "autovacuum=off")
	c.proc.Stdout, c.proc.Stderr = c.log, c.log
	if err := c.proc.Start(); err != nil {
		c.proc = nil
		return nil, fmt.Errorf("start PostgreSQL: %w", err)
	}
	return c, c.wait()
}

func (c *cluster) command(cred *syscall.Credential, name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Dir = c.dir
	// A test binary that is killed takes its server with it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: cred, Pdeathsig: syscall.SIGKILL, Setpgid: true}
	return cmd
}

// wait returns when the server takes connections; it has 30 s.
func (c *cluster) wait() error {
	var err error
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if err = c.run("SELECT 1"); err == nil {
			return nil
		}
	}
	text, _ := os.ReadFile(filepath.Join(c.dir, "log"))
	return fmt.Errorf("PostgreSQL does not answer: %w: %s", err, text)
}

func (c *cluster) url(database string) string {
	return fmt.Sprintf("postgres:///%s?host=%s&user=drover&sslmode=disable", database, c.dir)
}

// run executes one statement as the administrator.
func (c *cluster) run(sql string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, c.url("postgres"))
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, sql)
	return errors.Join(err, conn.Close(ctx))
}

// stop ends the server at once (SIGQUIT) and removes its folder.
func (c *cluster) stop() error {
	if c.proc != nil {
		_ = c.proc.Process.Signal(syscall.SIGQUIT) // gone already is as good
		_ = c.proc.Wait()                          // it answers SIGQUIT with a status other than 0
	}
	if c.log != nil {
		_ = c.log.Close()
	}
	return os.RemoveAll(c.dir)
}

// sweep removes what killed test binaries left. Their servers died with them.
func sweep() {
	left, err := filepath.Glob(filepath.Join(os.TempDir(), "drover-pg-*-*"))
	if err != nil {
		return
	}
	for _, dir := range left {
		var pid int
		if _, err := fmt.Sscanf(filepath.Base(dir), "drover-pg-%d-", &pid); err != nil {
			continue
		}
		if errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
			_ = os.RemoveAll(dir) // somebody else may be at it, or it may not be ours
		}
	}
}

// binaries finds the folder of the newest Debian installation, or of PATH's postgres.
func binaries() (string, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil {
		return "", err
	}
	best, newest := "", 0
	for _, p := range found {
		if v, err := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(p)))); err == nil && v > newest {
			best, newest = filepath.Dir(p), v
		}
	}
	if best != "" {
		return best, nil
	}
	if p, err := exec.LookPath("initdb"); err == nil {
		return filepath.Dir(p), nil
	}
	return "", errAbsent
}

// credential is the user postgres when we are root, whom PostgreSQL refuses.
func credential() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return nil, errAbsent
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}
