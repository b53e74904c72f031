package job

import (
	"encoding/json"

	"drover/internal/core/resource"
)

// Status is where a job is in its life.
type Status uint8

// The statuses, in the order a job passes them.
const (
	Submitted Status = iota + 1
	Pending
	Runnable
	Starting
	Running
	Succeeded
	Failed
)

var statusNames = [...]string{"", "SUBMITTED", "PENDING", "RUNNABLE", "STARTING", "RUNNING", "SUCCEEDED", "FAILED"}

// String is AWS's word for the status.
func (s Status) String() string {
	if int(s) < len(statusNames) {
		return statusNames[s]
	}
	return "UNKNOWN"
}

// ParseStatus reads AWS's word.
func ParseStatus(w string) (Status, bool) {
	for i, n := range statusNames {
		if i > 0 && n == w {
			return Status(i), true
		}
	}
	return 0, false
}

// Terminal reports whether the status can never change again.
func (s Status) Terminal() bool { return s == Succeeded || s == Failed }

// Live reports whether an attempt is under way.
func (s Status) Live() bool { return s == Starting || s == Running }

// Variable is one environment variable.
type Variable struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// DependencyKind is how a job waits for another.
type DependencyKind uint8

// The kinds of dependency (AWS Batch User Guide, job dependencies).
const (
	AfterJob   DependencyKind = iota // wait until the whole other job has SUCCEEDED
	NToN                             // child i waits for child i of the other array
	Sequential                       // child i waits for child i-1 of its own array
)

// Dependency is one entry of dependsOn. For Sequential, Key and ID are empty.
type Dependency struct {
	Kind DependencyKind `json:"kind"`
	Key  Key            `json:"key,omitempty"`
	ID   ID             `json:"id"`
}

// After is what a job waits for in the jobs that it depends on as a whole.
type After uint8

// What a job may wait for. AWS Batch knows the first alone.
const (
	AfterSuccess After = iota // all have SUCCEEDED; if one has FAILED, so does the job
	AfterAny                  // all have ended
	AfterFailure              // all have ended and one of them has FAILED; if none has, the job fails
)

// Spec is what was submitted, after the definition, its parameters and the overrides
// were put together. It never changes. Its JSON form is stored; Version tells which.
type Spec struct {
	Version        int               `json:"v"`
	Key            Key               `json:"-"` // given by the manager
	ID             ID                `json:"id"`
	Name           string            `json:"name"`
	Queue          string            `json:"queue"`      // queue name
	Definition     string            `json:"definition"` // "name:revision"
	Image          string            `json:"image"`
	Command        []string          `json:"command,omitempty"` // Ref:: already replaced
	Environment    []Variable        `json:"environment,omitempty"`
	Need           resource.Vector   `json:"need"`
	Size           int32             `json:"size,omitempty"`    // children of an array; 0 = plain job
	Numbers        []int32           `json:"numbers,omitempty"` // of a retry of some children of an array: the number that each had there
	Of             int32             `json:"of,omitempty"`      // and how many children that array had
	Retry          Retry             `json:"retry"`
	TimeoutSeconds int32             `json:"timeoutSeconds,omitempty"` // per attempt; 0 = none
	Dependencies   []Dependency      `json:"dependencies,omitempty"`
	Parameters     map[string]string `json:"parameters,omitempty"`
	Tags           map[string]string `json:"tags,omitempty"`
	PropagateTags  bool              `json:"propagateTags,omitempty"`
	TaskTags       map[string]string `json:"taskTags,omitempty"` // what PropagateTags gives the attempts: the definition's and the job's own
	Doom           string            `json:"doom,omitempty"`     // why it fails as soon as it is there: what AWS finds after SubmitJob has answered
	Share          string            `json:"share,omitempty"`
	Priority       int32             `json:"priority,omitempty"`
	QuotaShare     string            `json:"quotaShare,omitempty"`  // from the tag drover:quota-share
	Consumables    []ConsumableNeed  `json:"consumables,omitempty"` // held by each unit while it runs
	After          After             `json:"after,omitempty"`       // from the tag drover:after
	MaxRunning     int32             `json:"maxRunning,omitempty"`  // children of an array that may run together, from the tag drover:max-running; 0 = all
	Counted        bool              `json:"counted,omitempty"`     // its units count against the queue's MaxRunning; set by the manager
	GrowMemory     bool              `json:"growMemory,omitempty"`  // an attempt that ran out of memory is retried with more, from the tag drover:on-oom
	Requires       string            `json:"requires,omitempty"`    // attributes that its host must have, from the tag drover:requires
	Container      *Container        `json:"container,omitempty"`   // nil = nothing beside the image asked for; of a pod what all members share
	Pod            *Pod              `json:"pod,omitempty"`         // several containers; then Image is the first's, Need the sum, and there is no Command
	Nodes          *Nodes            `json:"nodes,omitempty"`       // of a multi-node parallel job; image, command, environment, need and container are then those of its main node
	Stage          string            `json:"stage,omitempty"`       // s3:// URL of a staging plan (link.StagePlan), from the tag drover:stage
	Inputs         string            `json:"inputs,omitempty"`      // declared data, see ParseData; from the tag drover:inputs
	Outputs        string            `json:"outputs,omitempty"`     // from the tag drover:outputs
	Submitter      *Submitter        `json:"submitter,omitempty"`   // whose rights move the job's data; nil = those of its attempts
	Token          string            `json:"token,omitempty"`       // idempotency token of the submitter
	Detail         json.RawMessage   `json:"detail,omitempty"`      // the service's own words, for DescribeJobs to echo
}

// SpecVersion is written into each Spec.
const SpecVersion = 1

// Children is the number of units a spec stands for.
func (s *Spec) Children() int32 { return max(s.Size, 1) }

// HostImage is the image name that means: run as a process of the worker's host.
const HostImage = "host"

// Definition is a registered job definition revision, as the rest of drover needs it.
type Definition struct {
	Name           string            `json:"name"`
	Revision       int32             `json:"revision"`
	Active         bool              `json:"active"`
	Deregistered   int64             `json:"deregistered,omitempty"` // µs; INACTIVE ones are kept 180 days
	Image          string            `json:"image"`
	Command        []string          `json:"command,omitempty"`
	Environment    []Variable        `json:"environment,omitempty"`
	Need           resource.Vector   `json:"need"`
	Retry          Retry             `json:"retry"`
	TimeoutSeconds int32             `json:"timeoutSeconds,omitempty"`
	Parameters     map[string]string `json:"parameters,omitempty"`
	Tags           map[string]string `json:"tags,omitempty"`
	PropagateTags  bool              `json:"propagateTags,omitempty"`
	Priority       int32             `json:"priority,omitempty"`
	Consumables    []ConsumableNeed  `json:"consumables,omitempty"`
	Pod            *Pod              `json:"pod,omitempty"`    // as in Spec
	Nodes          *NodeTemplate     `json:"nodes,omitempty"`  // of a multi-node parallel definition; then it has no image, command, environment and need of its own
	Detail         json.RawMessage   `json:"detail,omitempty"` // the registration as it came, to echo
}

// Queue is a job queue.
type Queue struct {
	Name         string            `json:"name"`
	Priority     int32             `json:"priority"` // higher first
	Enabled      bool              `json:"enabled"`
	Environments []string          `json:"environments"`         // names, in the order to try
	Policy       string            `json:"policy,omitempty"`     // name of its scheduling policy; "" = first in, first out
	TimeLimits   []TimeLimit       `json:"timeLimits,omitempty"` // jobStateTimeLimitActions
	MaxRunning   int32             `json:"maxRunning,omitempty"` // units that may run together, from the tag drover:max-running; 0 = all
	Tags         map[string]string `json:"tags,omitempty"`
	Detail       json.RawMessage   `json:"detail,omitempty"`
}

// TimeLimit is an entry of jobStateTimeLimitActions: the job at the head of the queue that
// has been RUNNABLE for so long for the reason is cancelled.
type TimeLimit struct {
	Reason  string `json:"reason"`
	Seconds int32  `json:"seconds"`
}

// Environment is a compute environment.
type Environment struct {
	Name         string            `json:"name"`
	Managed      bool              `json:"managed"`
	Enabled      bool              `json:"enabled"`
	MaxMilliVCPU int64             `json:"maxMilliVcpu"`
	HostJobs     bool              `json:"hostJobs"`        // image "host" is allowed (tag drover:host-jobs)
	Spot         bool              `json:"spot,omitempty"`  // its capacity may be taken away: what runs there is preempted first
	Types        []string          `json:"types,omitempty"` // instance types and families of its hosts; none, or optimal = any
	Tags         map[string]string `json:"tags,omitempty"`
	Detail       json.RawMessage   `json:"detail,omitempty"`
}
