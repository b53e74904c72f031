// Package executor is the port through which a worker runs one attempt of one job on its
// host. It promises nothing by itself: executor/executortest holds the promises that every
// implementation keeps (start once, exit code exact, output complete and in order, stop
// with grace, adoption after the worker's restart, nothing left behind).
package executor

import (
	"context"
	"errors"
	"time"

	"drover/internal/core/job"
	"drover/internal/core/resource"
)

// ErrLost means that the executor no longer knows its attempts, or cannot be asked: its
// launcher ended or was replaced. Adopt says what is left.
var ErrLost = errors.New("the executor lost its attempts")

// Attempt is what to run. Everything is ready: the folder exists, the environment is whole.
type Attempt struct {
	Lease       job.Lease
	Member      int32  // which of a pod's members this is, from 0; each is started by itself
	Name        string // the unit's public id, for people who look at the host; may be ""
	Image       string
	Command     []string // argv; never a shell string
	Environment []string // NAME=value, the whole environment
	Dir         string   // working folder of a process
	BoxDir      string   // working folder of a container; "" = its image's
	Need        resource.Vector
	Devices     []string      // the GPUs that it has, each a UUID or an index: those and no others
	Timeout     time.Duration // 0 = none; counted from the start of the command
	Stdin       string        // file; "" = empty input
	Stdout      string        // file that gets standard output; "" = standard output is log
	Note        []byte        // the worker's own words, given back at adoption

	Tags map[string]string // shown with the container, for people and their tools

	Container *job.Container // what the container is to be like; nil = nothing asked
	Mounts    []Mount        // folders of the worker that a container sees; processes see the host's

	HostNetwork bool // the container must share the host's network
	WantAddress bool // somebody must reach the container: Held tells its address

	Shared *Shared // what the containers of a pod have in common; nil = this is the only one
}

// ID names the attempt, or the member of one, at its executor.
func (a *Attempt) ID() ID { return ID{a.Lease, a.Member} }

// ID names what an executor runs: an attempt or, of a pod, one of its members.
type ID struct {
	Lease  job.Lease
	Member int32
}

// Shared says what the containers of a pod have in common beside volumes, which are the
// same for all of them: their network always, and what is asked for here.
type Shared struct {
	PIDMode, IPCMode job.Namespace
}

// Mount shows a folder of the host to a container at another path.
type Mount struct {
	Host, Path string
	ReadOnly   bool
}

// Output receives an attempt's log bytes as they are written, in order. It may block for
// back-pressure: an attempt's output is not read on while 256 KiB of it are not acknowledged.
type Output interface {
	Log(id ID, chunk []byte, at time.Time)
}

// Executor runs attempts.
type Executor interface {
	// Name is the word that Hello.Executors carries.
	Name() string
	// Boot changes whenever earlier attempts can no longer be known.
	Boot() string
	// Prepare makes everything ready that can be shared or repeated (pull an image).
	Prepare(ctx context.Context, a Attempt) error
	// Start begins the attempt, or one member of it. An error means that nothing runs; a command that cannot
	// be started is not an error but an exit with CauseStart. Ending ctx does not end the
	// job. A lease that is held already is refused.
	Start(ctx context.Context, a Attempt, out Output) (Handle, error)
	// Adopt gives handles for everything that survived the worker's restart, running or
	// ended and not yet forgotten. Output continues after the last acknowledged byte. It
	// comes first in a worker's life, and again after ErrLost.
	Adopt(ctx context.Context, out Output) ([]Handle, error)
	// Close lets go: what runs keeps running and can be adopted. With end, everything is
	// killed and whatever the executor keeps on this host (processes, groups, files) goes.
	Close(ctx context.Context, end bool) error
}

// Engine is an executor that stands on something which may be away, like a container
// engine. Adopt works while it is away; Prepare and Start wait for it within bounds.
type Engine interface {
	Executor
	// Watch calls changed with nil when the engine answers and with the reason when it
	// does not, at first and whenever that changes, until ctx ends.
	Watch(ctx context.Context, changed func(away error))
}

// Held is what is known of an attempt when its handle is given.
type Held struct {
	Lease   job.Lease
	Member  int32
	Started time.Time
	Note    []byte
	Address string // IPv4 of a container that WantAddress; "" if it has none of its own
	Acked   int64  // output bytes acknowledged so far; output continues after them
	Mark    int64  // the worker's number given with that acknowledgement
}

// ID names what the handle is of.
func (h *Held) ID() ID { return ID{h.Lease, h.Member} }

// End is how and when the command ended.
type End struct {
	Exit job.Exit
	At   time.Time
}

// Handle is one started attempt. It is safe for concurrent use.
type Handle interface {
	Held() Held
	// Wait returns once the attempt has ended and all its output went to Output. Ending
	// ctx ends the wait, never the job.
	Wait(ctx context.Context) (End, error)
	// Acknowledge says that the first n bytes of output are safe and need not come again
	// after a restart. The mark is kept with n and given back at adoption.
	Acknowledge(n, mark int64)
	// Stop asks the command to end: SIGTERM, then SIGKILL after grace. It does not wait.
	Stop(grace time.Duration, cause job.Cause) error
	// Forget releases what is kept for adoption, once the exit is acknowledged.
	Forget() error
}
