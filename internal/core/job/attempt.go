package job

import "drover/internal/core/resource"

// Cause is the class of a failure, for reports that group failures.
type Cause string

// The causes. A succeeded attempt has none.
const (
	CauseExit       Cause = "exit"       // the command ended with a code above 0
	CauseSignal     Cause = "signal"     // a signal ended it
	CauseMemory     Cause = "memory"     // over its memory limit
	CauseTimeout    Cause = "timeout"    // over its timeout
	CauseHost       Cause = "host"       // its host was lost
	CauseStart      Cause = "start"      // the command could not be started
	CauseStageIn    Cause = "stage-in"   // its input could not be fetched
	CauseStageOut   Cause = "stage-out"  // its result could not be stored
	CauseTerminated Cause = "terminated" // a user ended it
	CauseCancelled  Cause = "cancelled"  // a user cancelled it before it started
	CauseDependency Cause = "dependency" // a job it depends on failed
)

// Words of AWS Batch that clients match on.
const (
	ReasonExited       = "Essential container in task exited"
	ReasonStart        = "Task failed to start"
	ReasonTimeout      = "Job attempt duration exceeded timeout"
	ReasonMemory       = "OutOfMemoryError: Container killed due to memory usage"
	ReasonDependency   = "Dependent Job failed"
	ReasonNoFailure    = "No job that it depends on has failed (drover:after=failure)"
	ReasonArrayFailed  = "Array Child Job failed"
	ReasonArraySuccess = "Array Child Job succeeded"
)

// HostLost is the statusReason of an attempt whose host went away.
func HostLost(instance string) string { return "Host EC2 (instance " + instance + ") terminated." }

// PreemptedPrefix begins the statusReason of an attempt that was stopped to make room.
const PreemptedPrefix = "Preempted by rule "

// PreemptedFor is the statusReason of an attempt that was stopped to make room, by a rule of
// the scheduler, for a unit by its public name, of a queue.
func PreemptedFor(rule, unit, queue string) string {
	return PreemptedPrefix + rule + " to make room for job " + unit + " of job queue " + queue
}

// Usage is what an attempt consumed.
type Usage struct {
	CPUMillis  int64 `json:"cpuMillis"`
	PeakMemKiB int64 `json:"peakMemKiB"`
	BytesIn    int64 `json:"bytesIn"`
	BytesOut   int64 `json:"bytesOut"`
}

// Exit is how an attempt ended, told by the worker.
type Exit struct {
	Code      *int32       `json:"code,omitempty"`      // absent when nothing ran
	Reason    string       `json:"reason,omitempty"`    // container.reason, e.g. ReasonMemory
	Cause     Cause        `json:"cause,omitempty"`     // empty when it succeeded
	ErrorLine string       `json:"errorLine,omitempty"` // last line of output of a failed attempt, secrets masked, ≤ 512 bytes
	Usage     Usage        `json:"usage"`
	Members   []MemberExit `json:"members,omitempty"` // of a pod, in its order
}

// OK reports whether the attempt succeeded.
func (e *Exit) OK() bool { return e.Code != nil && *e.Code == 0 && e.Cause == "" }

// Lease is the right to run one attempt. Fence rises by one with each lease of a unit;
// everything a worker says about the attempt carries it.
type Lease struct {
	Ref     Ref    `json:"ref"`
	Attempt int32  `json:"attempt"` // from 1
	Fence   uint32 `json:"fence"`
}

// Assignment is a lease with all that a worker needs to run the attempt.
type Assignment struct {
	Lease
	ID             ID                `json:"id"`
	Name           string            `json:"name"`
	Queue          string            `json:"queue"`
	Environment    string            `json:"environment"` // compute environment
	Definition     string            `json:"definition"`  // "name:revision"
	Image          string            `json:"image"`
	Command        []string          `json:"command,omitempty"`
	Variables      []Variable        `json:"variables,omitempty"`
	Need           resource.Vector   `json:"need"`
	Size           int32             `json:"size,omitempty"`   // children of the array, as the job is told
	Number         *int32            `json:"number,omitempty"` // of the child, as the job is told, where it is not Ref.Index: in a retry
	TimeoutSeconds int32             `json:"timeoutSeconds,omitempty"`
	Container      *Container        `json:"container,omitempty"` // as in Spec; shared, never written to
	Pod            *Pod              `json:"pod,omitempty"`       // as in Spec; shared, never written to
	Tags           map[string]string `json:"tags,omitempty"`      // propagated to the containers
	Seat           *Seat             `json:"seat,omitempty"`      // of a node of a multi-node parallel job
	Stage          string            `json:"stage,omitempty"`
	Inputs         string            `json:"inputs,omitempty"`
	Outputs        string            `json:"outputs,omitempty"`
	Submitter      *Submitter        `json:"-"`   // of no concern to the worker, which gets credentials
	Log            string            `json:"log"` // log stream in group /aws/batch/job
}

// Moves reports whether the worker moves data for the attempt.
func (a *Assignment) Moves() bool { return a.Stage+a.Inputs+a.Outputs != "" }

// UnitName is the public id of the unit that the assignment runs.
func (a *Assignment) UnitName() string { return Name(a.ID, a.Ref.Index) }

// Child is the number of an array child as the job is told.
func (a *Assignment) Child() int32 {
	if a.Number != nil {
		return *a.Number
	}
	return a.Ref.Index
}

// Report is one thing a worker says about an attempt.
type Report struct {
	Lease
	Started bool   `json:"started,omitempty"` // the command runs
	Address string `json:"address,omitempty"` // with Started, of a node: the IPv4 address at which other nodes reach it
	Exit    *Exit  `json:"exit,omitempty"`    // the attempt ended
	At      int64  `json:"at"`                // µs since 1970, by the worker's clock
}
