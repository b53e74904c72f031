// Package docker runs attempts as containers of a Docker Engine, or of another engine that
// serves the Engine API on a socket of this host.
//
// It promises what executor/executortest checks, as far as an engine can keep it: output
// comes in lines (the engine adds a missing newline at the end), standard output and
// standard error are each in order, and a signal is known only by the exit code it makes.
// Beside that it promises:
//
//   - Every attempt has a record on disk from before its container is made until it is
//     forgotten. The engine may be restarted, hang or be away: the attempt goes on when it
//     answers again. A container that ended because its engine was stopped counts as lost
//     with its host; one that somebody removed does too.
//   - An image is fetched once, however many attempts wait for it.
//   - A container gets no privilege, device or folder of the host that the operator has not
//     allowed; asking for one ends the attempt with the reason.
//   - Containers with this host's label that have no record are removed.
//   - What is kept of a container's output is bounded; who reads in time loses nothing.
package docker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"drover/internal/core/job"
	"drover/internal/executor"

	"github.com/moby/moby/client"
)

// Name is the executor's word in Hello.
const Name = "docker"

const (
	callFor     = 30 * time.Second // a question to the engine
	startFor    = 4 * time.Minute  // making and starting a container
	pullFor     = 2 * time.Hour    // fetching an image
	closeFor    = 5 * time.Second  // what is being made when the executor lets go
	pullsAtOnce = 3
	stopGrace   = 30 * time.Second // between SIGTERM and SIGKILL when the time is over
)

// Options says which engine to use and what jobs may ask of it.
type Options struct {
	Dir  string // state folder, this executor's alone
	Host string // the worker's host id, a label of its containers
	// Address of the engine, as unix:///path; "" = DOCKER_HOST, else Docker's own socket.
	Address string
	Exe     string // program with the "redirect" command, usually this one; for Stdin and Stdout
	Network string // "bridge", "host" or the name of a network; "" = drover's own

	Registries      Registries
	AllowVolumes    []string // folders of the host below which jobs may mount
	AllowDevices    []string // devices of the host that jobs may be given
	AllowPrivileged bool
	LogMiB          int64        // of each container's output that the engine keeps on disk; 0 = 1024
	HardCPU         bool         // also cap attempts that ask for a fraction of a vCPU
	Forbidden       []string     // never mounted, whatever is allowed: the worker's own folders
	Log             *slog.Logger // nil = none
}

// Executor implements executor.Executor and executor.Engine. It is safe for concurrent use.
type Executor struct {
	opts   Options
	api    *client.Client
	log    *slog.Logger
	images images
	own    *network
	nodes  *network
	starts chan struct{} // bounds how many containers are being made or removed

	life context.Context // ends when the executor lets go
	die  context.CancelFunc
	made context.Context // of calls that make something: ends closeFor later, so that each is known to have happened or not
	cut  context.CancelFunc
	wg   sync.WaitGroup

	mu      sync.Mutex // guards the rest
	boot    string
	out     executor.Output
	handles map[key]*handle
	pods    map[string]*pod // by what their containers' names begin with
	groups  *groups         // nil = none can be made, or the engine was not asked yet
	podman  bool
	keeps   bool // the engine's containers outlive it (live restore)
	learned bool // what kind of engine it is
	swept   bool
	nudge   chan struct{} // wakes Watch
}

var _ executor.Engine = (*Executor)(nil)

// New makes an executor. It does not ask whether the engine is there: Watch tells.
func New(o Options) (*Executor, error) {
	if o.LogMiB == 0 {
		o.LogMiB = 1024
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	var opts []client.Opt
	if o.Address != "" {
		opts = append(opts, client.WithHost(o.Address))
	} else {
		opts = append(opts, client.FromEnv)
	}
	api, err := client.New(opts...)
	if err != nil {
		return nil, fmt.Errorf("the container engine's address is wrong: %w", err)
	}
	if !strings.HasPrefix(api.DaemonHost(), "unix://") {
		_ = api.Close()
		return nil, fmt.Errorf("the container engine %s is not on this host: containers need folders of the worker; give the address of a unix socket", api.DaemonHost())
	}
	x := &Executor{
		opts: o, api: api, log: o.Log, handles: map[key]*handle{}, pods: map[string]*pod{}, own: ownNetwork(), nodes: nodeNetwork(),
		starts: make(chan struct{}, max(4, 2*runtime.NumCPU())), nudge: make(chan struct{}, 1),
	}
	x.images = images{known: map[string]*image{}, pulls: make(chan struct{}, pullsAtOnce)}
	x.life, x.die = context.WithCancel(context.Background())
	x.made, x.cut = context.WithCancel(context.Background())
	return x, nil
}

// Name implements executor.Executor.
func (x *Executor) Name() string { return Name }

// Boot changes when the state folder was given up.
func (x *Executor) Boot() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.boot
}

// socket is the file that the engine listens on.
func (x *Executor) socket() string { return strings.TrimPrefix(x.api.DaemonHost(), "unix://") }

// Adopt takes over every attempt that has a record. It does not need the engine: what
// became of the containers shows when it answers.
func (x *Executor) Adopt(_ context.Context, out executor.Output) ([]executor.Handle, error) {
	if err := os.MkdirAll(x.records(), 0o700); err != nil {
		return nil, fmt.Errorf("cannot keep records of containers: %w", err)
	}
	boot, err := bootID(filepath.Join(x.opts.Dir, "boot"))
	if err != nil {
		return nil, err
	}
	held, err := readRecords(x.records())
	if err != nil {
		return nil, err
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.life.Err() != nil {
		return nil, executor.ErrLost
	}
	x.boot, x.out = boot, out
	var handles []executor.Handle
	for _, r := range held {
		k := keyOf(r.said.id())
		if x.handles[k] != nil {
			continue
		}
		h := newHandle(x, r, out)
		x.handles[k] = h
		handles = append(handles, h)
		x.wg.Go(h.resume)
	}
	return handles, nil
}

// Start implements executor.Executor.
func (x *Executor) Start(ctx context.Context, a executor.Attempt, out executor.Output) (executor.Handle, error) {
	k := keyOf(a.ID())
	x.mu.Lock()
	if x.boot == "" || x.life.Err() != nil {
		x.mu.Unlock()
		return nil, executor.ErrLost
	}
	if x.handles[k] != nil {
		x.mu.Unlock()
		return nil, fmt.Errorf("the attempt with fence %d of unit %d/%d is held already", a.Lease.Fence, a.Lease.Ref.Key, a.Lease.Ref.Index)
	}
	h := newHandle(x, nil, out)
	x.handles[k] = h // reserves the lease
	x.mu.Unlock()
	s := said{Lease: a.Lease, Member: a.Member, Name: a.Name, Container: x.containerName(a.Lease), Note: a.Note, Timeout: a.Timeout, MemoryMiB: a.Need.MemoryMiB}
	if a.Shared != nil {
		s.Pod = s.Container
		s.Container += fmt.Sprintf("-%d", a.Member)
	}
	r, err := newRecord(x.records(), s)
	if err != nil {
		x.forget(k, h)
		return nil, err
	}
	h.take(r)
	begun := make(chan struct{})
	if !x.spawn(func() { h.live(a, begun) }) {
		return nil, executor.ErrLost
	}
	select {
	case <-begun:
	case <-ctx.Done(): // asked for: it will run, and the caller has its handle
	case <-x.life.Done():
	}
	return h, nil
}

// spawn runs do beside, unless the executor has let go.
func (x *Executor) spawn(do func()) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.life.Err() != nil {
		return false
	}
	x.wg.Go(do)
	return true
}

func (x *Executor) forget(k key, h *handle) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.handles[k] == h {
		delete(x.handles, k)
	}
}

// containerName names the container of a lease, so that it is found again however making
// it ended.
func (x *Executor) containerName(l job.Lease) string {
	return fmt.Sprintf("%s%d-%d-%d", x.prefix(), l.Ref.Key, l.Ref.Index, l.Fence)
}

// prefix is what the names of this host's containers begin with.
func (x *Executor) prefix() string { return "drover-" + cleanName(x.opts.Host) + "-" }

// cleanName keeps what a container's name may have.
func cleanName(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' || r == '-' {
			return r
		}
		return '_'
	}, s)
}

// Close implements executor.Executor.
func (x *Executor) Close(ctx context.Context, end bool) error {
	x.mu.Lock()
	x.die() // with the lock, so that nothing is spawned while Wait waits
	x.mu.Unlock()
	t := time.AfterFunc(closeFor, x.cut)
	x.wg.Wait()
	t.Stop()
	x.cut()
	defer x.api.Close()
	x.mu.Lock()
	for _, h := range x.handles {
		h.lose()
	}
	held := len(x.handles)
	clear(x.handles)
	adopted := x.boot != ""
	x.boot = ""
	x.mu.Unlock()
	if !end || !adopted {
		return nil
	}
	if err := x.removeAll(ctx, held); err != nil {
		return err
	}
	x.sweepGroups(nil)
	return errors.Join(os.RemoveAll(x.records()), os.RemoveAll(x.scratch()), os.Remove(filepath.Join(x.opts.Dir, "boot")))
}

// Prepare fetches the image, and refuses what the attempt cannot have.
func (x *Executor) Prepare(ctx context.Context, a executor.Attempt) error {
	if err := x.check(a); err != nil {
		return fmt.Errorf("CannotCreateContainerError: %w", err)
	}
	_, err := x.image(ctx, a.Image)
	return err
}

// outlives reports whether containers run on while the engine is stopped.
func (x *Executor) outlives() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.keeps || x.podman
}

// isPodman reports whether the engine is Podman, once that is known.
func (x *Executor) isPodman() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.podman
}

// removeAll removes every container of this host. An engine that is away is not waited
// for when there is nothing to remove.
func (x *Executor) removeAll(ctx context.Context, held int) error {
	names, err := x.list(ctx)
	if err != nil {
		if held == 0 {
			return nil
		}
		return fmt.Errorf("the container engine does not answer; its containers with the label %s=%s are left: %w", labelHost, x.opts.Host, err)
	}
	for _, name := range names {
		err = errors.Join(err, x.remove(ctx, name))
	}
	return err
}

func (x *Executor) records() string { return filepath.Join(x.opts.Dir, "attempts") }
func (x *Executor) scratch() string { return filepath.Join(x.opts.Dir, "volumes") }
