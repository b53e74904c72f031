package manager

import (
	"context"

	"drover/internal/core/job"
	"drover/internal/core/resource"
)

// Receipt answers one submitted spec.
type Receipt struct {
	ID  job.ID
	Key job.Key
	// Repeated: a job with this token existed already; it is the one named.
	Repeated bool
}

// View is one job or array child as it is recorded, for describing.
type View struct {
	Key      job.Key
	Spec     *job.Spec // of the job, for a child its parent's
	Index    int32     // job.Whole, the child's number, or job.Node of a node's
	Unit     job.Unit  // status, reason, flags; of an array parent only these
	Created  int64     // µs
	Counts   *job.Counts
	Changed  int64     // of an array parent: when Counts last changed (µs)
	Attempts []Attempt // oldest first; the last one may be under way
	Wait     *Wait     // why it waits, while it is RUNNABLE or PENDING; nil otherwise
	Forecast *Forecast // when it will start and end, as far as that can be foreseen
}

// Forecast is when a unit, or all children of an array, will probably start and have ended.
type Forecast struct {
	At      int64  // when this was foreseen (µs)
	Start   int64  // of the first unit that waits; 0 = none does, or it cannot be said (µs)
	End     int64  // of the last one; 0 = it cannot be said (µs)
	Basis   string // what its own run time rests on
	Assumed int    // units that start before it of which nothing is known: an hour is assumed
	Further bool   // not before these times: the forecast looks no further
	Guessed bool   // beyond the forecast, at the pace up to there
}

// Attempt is the record of one attempt.
type Attempt struct {
	Number      int32     `json:"number"`
	Fence       uint32    `json:"fence"`
	Host        string    `json:"host"` // instance id
	Environment string    `json:"environment"`
	Log         string    `json:"log"`
	Placed      int64     `json:"placed"`            // µs
	Started     int64     `json:"started,omitempty"` // 0 = the command never ran
	Stopped     int64     `json:"stopped,omitempty"` // 0 = under way
	Address     string    `json:"address,omitempty"` // of a node that has started
	Exit        *job.Exit `json:"exit,omitempty"`
	Why         string    `json:"why,omitempty"` // statusReason
}

// Wait says why a unit does not run: a code from a closed set, a sentence with numbers,
// and what would unblock it.
type Wait struct {
	Code     string `json:"code"`
	Reason   string `json:"reason"`
	Remedy   string `json:"remedy,omitempty"`
	Position int64  `json:"position,omitempty"` // 1 = next in its queue
}

// ListQuery selects jobs for List. Exactly one of Queue, Array and Gang is set.
type ListQuery struct {
	Queue         string     // queue name
	Array         job.ID     // children of this array
	Gang          job.ID     // nodes of this multi-node parallel job
	Status        job.Status // 0 = any
	Name          string     // job name, a final * matches a prefix
	Definition    string     // definition name or name:revision, a final * matches a prefix
	Share         string
	CreatedBefore int64 // µs; 0 = no bound
	CreatedAfter  int64
	NewestFirst   bool
	Limit         int
	Token         string // of the page before
}

// Summary is one line of a list.
type Summary struct {
	Key        job.Key
	ID         job.ID
	Index      int32
	Name       string
	Queue      string
	Definition string
	Share      string
	Size       int32
	Nodes      int32 // of a multi-node parallel job, or of the one that the node belongs to
	Main       bool  // the main node of one
	Unit       job.Unit
	Created    int64
	Counts     *job.Counts
	Changed    int64 // of an array parent: when Counts last changed (µs)
	MilliVCPU  int64 // that it asks for, of all its nodes together; 0 of an array parent, whose children ask for it
}

// Page is one page of a list.
type Page struct {
	Jobs []Summary
	Next string // token of the next page; empty at the end
}

// Transition is one row of the outbox: units [Lo, Hi] of a job (both job.Whole for a plain
// job or a parent) went from one status to another.
type Transition struct {
	Seq  int64      `json:"seq"`
	At   int64      `json:"at"` // µs
	Key  job.Key    `json:"-"`
	ID   job.ID     `json:"id"`
	Lo   int32      `json:"lo"`
	Hi   int32      `json:"hi"`
	From job.Status `json:"from"`
	To   job.Status `json:"to"`
	// Why says what the statuses do not: who was preempted for whom, by which rule; and of a
	// step from RUNNABLE to RUNNABLE, which is none, why that unit blocks its queue.
	Why string `json:"why,omitempty"`
}

// Report is the summary of one job for a person: what drover map prints at its end.
type Report struct {
	ID           job.ID
	Name         string
	Status       job.Status
	Counts       job.Counts // of a plain job: a single 1
	Attempts     int64
	Created      int64 // µs
	FirstStarted int64
	Stopped      int64 // 0 while it runs
	QueueWaitP50 int64 // µs from submission (or the end of the wait for dependencies) to the start of the first attempt
	QueueWaitP95 int64
	CPUMillis    int64
	PeakMemKiB   int64
	BytesIn      int64
	BytesOut     int64
	Failures     []FailureGroup
}

// FailureGroup is one kind of failure with an example.
type FailureGroup struct {
	Cause        job.Cause
	Count        int64
	ExitCode     *int32
	Reason       string // container reason or statusReason
	Example      string // unit name
	ExampleIndex int32
	Log          string // log stream of the example
	ErrorLine    string
}

// Host is a worker's host as the manager sees it.
type Host struct {
	ID        string
	Capacity  resource.Vector
	Free      resource.Vector
	Executors []string
	Connected bool
	LastSeen  int64
}

// Service is what the services and the server ask of the manager. *Manager implements it;
// tests of the services may stand in for it.
//
// Every error is a *fault.Error. Mutations return when they are durable.
type Service interface {
	Submit(ctx context.Context, specs []*job.Spec) ([]Receipt, error) // Spec.ID is given by the manager if zero
	Cancel(ctx context.Context, id job.ID, index int32, reason string) error
	Terminate(ctx context.Context, id job.ID, index int32, reason string) error
	Retry(ctx context.Context, id job.ID) (Receipt, *job.Spec, error) // what failed of an ended job, as a new job
	Describe(ctx context.Context, names []string) ([]View, error)     // "uuid", "uuid:index" or "uuid#node"; unknown ones are left out
	List(ctx context.Context, q ListQuery) (Page, error)
	TagJob(ctx context.Context, id job.ID, set map[string]string, remove []string) error

	// Definitions. Register gives the next revision of d.Name.
	RegisterDefinition(ctx context.Context, d job.Definition) (job.Definition, error)
	UpdateDefinition(ctx context.Context, name string, revision int32, change func(*job.Definition) error) (job.Definition, error)
	Definition(ctx context.Context, name string, revision int32) (job.Definition, error)                                   // revision 0 = latest active; fault.NotFound
	Definitions(ctx context.Context, name string, after string, limit int) (defs []job.Definition, next string, err error) // name "" = all; per name newest revision first

	// Queues and compute environments. change is called on the current record under the
	// manager's own order of decisions; an error from it leaves the record alone.
	CreateQueue(ctx context.Context, q job.Queue) error
	UpdateQueue(ctx context.Context, name string, change func(*job.Queue) error) (job.Queue, error)
	DeleteQueue(ctx context.Context, name string) error // must be disabled; its jobs are terminated first
	Queues(ctx context.Context) ([]job.Queue, error)
	CreateEnvironment(ctx context.Context, e job.Environment) error
	UpdateEnvironment(ctx context.Context, name string, change func(*job.Environment) error) (job.Environment, error)
	DeleteEnvironment(ctx context.Context, name string) error // must be disabled and in no queue
	Environments(ctx context.Context) ([]job.Environment, error)

	// Scheduling policies, consumable resources and quota shares.
	CreatePolicy(ctx context.Context, p job.SchedulingPolicy) error
	UpdatePolicy(ctx context.Context, name string, change func(*job.SchedulingPolicy) error) (job.SchedulingPolicy, error)
	DeletePolicy(ctx context.Context, name string) error // no queue may use it
	Policies(ctx context.Context) ([]job.SchedulingPolicy, error)
	CreateConsumable(ctx context.Context, r job.Consumable) error
	UpdateConsumable(ctx context.Context, name string, change func(r *job.Consumable, now int64) error) (Stock, error)
	DeleteConsumable(ctx context.Context, name string) error // no job that has not ended may need it
	Consumables(ctx context.Context) ([]Stock, error)
	CreateQuotaShare(ctx context.Context, s job.QuotaShare) error
	UpdateQuotaShare(ctx context.Context, queue, name string, change func(*job.QuotaShare) error) (job.QuotaShare, error)
	DeleteQuotaShare(ctx context.Context, queue, name string) error // must be disabled, and no job that has not ended may name it
	QuotaShares(ctx context.Context, queue string) ([]job.QuotaShare, error)

	Snapshot(ctx context.Context, queue string) (Snapshot, error)
	Consumers(ctx context.Context, q ConsumerQuery) (views []View, next string, err error)

	Hosts(ctx context.Context) ([]Host, error)
	Transitions(ctx context.Context, after int64, limit int) ([]Transition, error)
	Changed() <-chan struct{} // closed at the next commit that wrote transitions
	Report(ctx context.Context, id job.ID) (Report, error)
}
