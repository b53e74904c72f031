// Package native is drover's own small API, for what AWS's has no words for: the stream of
// transitions, the report of a job, why a job waits, the hosts, and the life of the server.
//
// It promises that ListTransitions, called again and again with the Next of the answer
// before, gives every transition exactly once and in the order in which they happened, as
// long as the caller is less than a day behind; that an answer is given at once when
// there is something to say, and otherwise when the wait is over; and that one call reads
// a bounded number of rows. Times are microseconds since 1970.
package native

import (
	"context"

	"drover/internal/core/fault"
	"drover/internal/core/job"
	"drover/internal/manager"
	"drover/internal/wire"
)

// Identity is how the API presents itself on the wire.
var Identity = wire.Identity{
	Name:       "drover",
	Version:    "v1",
	Protocols:  []wire.Protocol{wire.RestJSON},
	LowerFirst: true,
}

// Ops is the table of the operations.
var Ops = wire.NewTable[*Service](Identity)

// path is where an operation lives.
func path(op string) wire.Option { return wire.POST("/drover/v1/" + op) }

// Jobs is what the API asks of the job manager; *manager.Manager has it.
type Jobs interface {
	Describe(ctx context.Context, names []string) ([]manager.View, error)
	List(ctx context.Context, q manager.ListQuery) (manager.Page, error)
	Foresee(ctx context.Context, views []manager.View) error
	Present(ctx context.Context) (manager.Present, error)
	PresentJobs(ctx context.Context, after job.Key, limit int) ([]manager.PresentJob, error)
	History(ctx context.Context, since, term, seq, most int64) ([]manager.TapeRow, error)
	ForeseeList(ctx context.Context, lines []manager.Summary) ([]*manager.Forecast, error)
	Queues(ctx context.Context) ([]job.Queue, error)
	Hosts(ctx context.Context) ([]manager.Host, error)
	Transitions(ctx context.Context, after int64, limit int) ([]manager.Transition, error)
	Changed() <-chan struct{}
	Report(ctx context.Context, id job.ID) (manager.Report, error)
	Retry(ctx context.Context, id job.ID) (manager.Receipt, *job.Spec, error)
}

// Process is what the API asks of the server that it runs in.
type Process interface {
	// Stop asks the server to end, soon after the call; with jobs it ends running jobs,
	// worker and launcher too.
	Stop(jobs bool)
	// Attach counts a client that needs the server until detach is called.
	Attach() (detach func())
}

// Logs is what the API asks of the log service.
type Logs interface {
	// WaitAfter returns nil when the stream has an event beyond the token.
	WaitAfter(ctx context.Context, group, stream, token string) error
}

// Service handles the operations.
type Service struct {
	jobs    Jobs
	logs    Logs
	process Process
	denials Denials
	events  Events
	objects Objects
	mounts  Mounts
}

// New makes the service.
func New(jobs Jobs, logs Logs, process Process) *Service {
	return &Service{jobs: jobs, logs: logs, process: process}
}

// unit reads the name of a job or of an array child.
func unit(name string) (job.ID, int32, error) {
	id, index, ok := job.ParseName(name)
	if !ok {
		return id, index, fault.New(fault.Invalid, "ValidationException", "%q is not the id of a job; it is a UUID, with :index for the child of an array", name)
	}
	return id, index, nil
}

// missing is the answer for a job that is not known.
func missing(name string) error {
	return fault.New(fault.NotFound, "ResourceNotFoundException", "there is no job %s; terminal jobs are kept for 30 days", name)
}
