// Package executor is the port through which a worker runs one attempt of one job on its
// host. It promises nothing by itself: executor/executortest holds the promises that every
// implementation keeps (start once, exit code exact, output complete and in order, stop
// with grace, adoption after the worker's restart, nothing left behind).
package executor

import (
	"context"
	"time"

	"drover/internal/core/job"
	"drover/internal/core/resource"
)

// Attempt is what to run. Everything is ready: the folder exists, the environment is whole.
type Attempt struct {
	Lease       job.Lease
	Image       string
	Command     []string // argv; never a shell string
	Environment []string // NAME=value, the whole environment
	Dir         string   // working folder
	Need        resource.Vector
	Timeout     time.Duration // 0 = none; counted from the start of the command
	Stdin       string        // file; "" = empty input
	Stdout      string        // file that gets standard output; "" = standard output is log
}

// Output receives an attempt's log bytes as they are written, in order. It may block for
// back-pressure. The chunk is only valid during the call.
type Output interface {
	Log(l job.Lease, chunk []byte, at time.Time)
}

// Executor runs attempts.
type Executor interface {
	// Name is the word that Hello.Executors carries.
	Name() string
	// Boot changes whenever earlier attempts can no longer be known.
	Boot() string
	// Prepare makes everything ready that can be shared or repeated (pull an image).
	Prepare(ctx context.Context, a Attempt) error
	// Start begins the attempt. An error means that nothing runs; a command that cannot
	// be started is not an error but an exit with CauseStart. Ending ctx does not end the job.
	Start(ctx context.Context, a Attempt, out Output) (Handle, error)
	// Adopt gives handles for everything that survived the worker's restart, running or
	// ended and not yet forgotten. Output continues where the last acknowledged byte was.
	Adopt(ctx context.Context, out Output) ([]Handle, error)
}

// Handle is one started attempt.
type Handle interface {
	Lease() job.Lease
	Started() time.Time
	// Wait returns once the attempt has ended and all its output went to Output. Ending
	// ctx ends the wait, never the job.
	Wait(ctx context.Context) (job.Exit, error)
	// Stop asks the command to end: SIGTERM, then SIGKILL after grace. It does not wait.
	Stop(grace time.Duration, cause job.Cause) error
	// Forget releases what is kept for adoption, once the exit is acknowledged.
	Forget() error
}
