package manager

import (
	"drover/internal/core/job"
	"drover/internal/core/resource"
)

// Instant is the time of a decision. Wall is for people and records (µs since 1970) and may
// jump; Mono only rises (µs since some start) and is what leases are counted in.
type Instant struct{ Wall, Mono int64 }

// Batch is everything that a run of decisions changed: the rows of one transaction, and
// the messages that may leave once it is durable.
type Batch struct {
	Seq         int64 // rises by one with each batch of a Core
	NewJobs     []NewJob
	Jobs        []JobRow
	Units       []UnitRow
	History     []UnitRow // ended attempts that another one follows
	Transitions []Transition
	Records     []RecordRow
	Hosts       []HostRow
	Usage       []UsageRow
	Tape        []byte // what the scheduler was told and decided
	TapeAt      int64  // up to when
	Sends       []Send
}

// Empty reports whether there is nothing to commit or to send.
func (b *Batch) Empty() bool {
	return len(b.NewJobs)+len(b.Jobs)+len(b.Units)+len(b.History)+len(b.Transitions)+len(b.Records)+len(b.Hosts)+len(b.Usage)+len(b.Sends) == 0
}

// NewJob is the immutable part of a submitted job.
type NewJob struct {
	Spec    *job.Spec
	Common  string // its common part
	Created int64
}

// JobRow is the state of a plain job or of an array parent.
type JobRow struct {
	Key        job.Key
	Status     job.Status
	Reason     string // statusReason
	Base       job.Status
	BaseReason string // statusReason of untouched children
	Counts     job.Counts
	Cancelled  bool
	Terminated bool
	UserReason string
	Begun      bool  // one of its units has a row of its own
	Ready      int64 // when it, or its untouched children, became RUNNABLE
	Stopped    int64
	Changed    int64 // when one of its units last changed
	Tags       map[string]string
}

// UnitRow is the state of one unit and its latest attempt.
type UnitRow struct {
	Ref job.Ref
	job.Unit
}

// RecordRow is a configuration record that was put or deleted.
type RecordRow struct {
	Kind  RecordKind
	Key   string
	Value any // a job.Queue, job.Environment, job.SchedulingPolicy, job.Consumable or job.QuotaShare; nil = deleted
}

// RecordKind names a kind of configuration record.
type RecordKind string

// The kinds.
const (
	KindQueue       RecordKind = "queue"
	KindEnvironment RecordKind = "environment"
	KindPolicy      RecordKind = "scheduling-policy"
	KindConsumable  RecordKind = "consumable-resource"
	KindQuotaShare  RecordKind = "quota-share"
)

// HostRow is what is known of a host across restarts. Gone means: forget it.
type HostRow struct {
	ID        string          `json:"id"`
	Boot      string          `json:"boot"`
	Capacity  resource.Vector `json:"capacity"`
	Executors []string        `json:"executors"`
	Gone      bool            `json:"-"`
	Session   string          `json:"-"` // with Gone: the session that ends
}

// Send is a message for a worker. It is dropped if the host's session has changed: the
// new session's Hello tells the worker what it needs to know.
type Send struct {
	Host    string
	Session string
	Start   *job.Assignment
	Stop    *StopOrder
}

// StopOrder tells a worker to end an attempt.
type StopOrder struct {
	Lease  job.Lease
	Reason string
}

// Loaded is a job as the journal holds it.
type Loaded struct {
	Spec    *job.Spec // what it shares with others nobody may write to
	Common  string    // its common part; "" = not known
	Created int64
	Row     JobRow
	Touched []ChildStatus // children that left the base, in order
	Units   []UnitRow     // units of it that are not terminal, in order
}

// ChildStatus is the status of one child.
type ChildStatus struct {
	Index  int32
	Status job.Status
}

// Image is all that a Core needs to go on after a restart.
type Image struct {
	NextKey      job.Key
	Jobs         []Loaded // not terminal, in order of key; before them ended ones that they depend on
	Queues       []job.Queue
	Environments []job.Environment
	Policies     []job.SchedulingPolicy
	Consumables  []job.Consumable
	QuotaShares  []job.QuotaShare
	Usage        []UsageRow // amounts of a minute added up
	Paces        []Pace     // how long recent attempts ran, the oldest first
	Hosts        []HostRow
}
