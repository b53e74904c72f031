package job

import (
	"strconv"

	"drover/internal/core/resource"
)

// Pod is the containers that one attempt runs together on one host (ecsProperties of a job
// definition, or of one node range). They share the host's side of the attempt: volumes,
// network, role. Its JSON form is stored in specs and sent to workers; Version tells which
// form it is, and a worker refuses one that it does not know.
type Pod struct {
	Version int       `json:"v"`
	Members []Member  `json:"members"`
	PIDMode Namespace `json:"pidMode,omitempty"`
	IPCMode Namespace `json:"ipcMode,omitempty"`
}

// PodVersion is written into each Pod.
const PodVersion = 1

// MaxMembers is how many containers a pod may have, as AWS Batch has it.
const MaxMembers = 10

// Namespace is whose processes, or whose shared memory, the members see.
type Namespace string

// The namespaces, in AWS's words. "" is a namespace for each member.
const (
	HostNamespace Namespace = "host"
	TaskNamespace Namespace = "task"
	NoNamespace   Namespace = "none"
)

// Member is one container of a pod.
type Member struct {
	Name         string          `json:"name"`
	Image        string          `json:"image"`
	Command      []string        `json:"command,omitempty"` // Ref:: already replaced
	Environment  []Variable      `json:"environment,omitempty"`
	Need         resource.Vector `json:"need"`
	Optional     bool            `json:"optional,omitempty"` // not essential: the pod goes on without it
	After        []MemberAfter   `json:"after,omitempty"`
	StartSeconds int32           `json:"startSeconds,omitempty"` // how long others wait for its end; 0 = without end
	StopSeconds  int32           `json:"stopSeconds,omitempty"`  // between SIGTERM and SIGKILL; 0 = as everywhere
	Container    *Container      `json:"container,omitempty"`    // nil = nothing beside the image asked for
}

// MemberAfter is one entry of a member's dependsOn.
type MemberAfter struct {
	Name string    `json:"name"`
	When Condition `json:"when"`
}

// Condition is what of another member a member waits for.
type Condition string

// The conditions, in AWS's words.
const (
	WhenStart    Condition = "START"    // it runs, or has run
	WhenComplete Condition = "COMPLETE" // it has ended
	WhenSuccess  Condition = "SUCCESS"  // it has ended with exit code 0
)

// Need is what a pod holds on its host.
func (p *Pod) Need() resource.Vector {
	var sum resource.Vector
	for i := range p.Members {
		sum = sum.Add(p.Members[i].Need)
	}
	return sum
}

// Index is the number of the member of that name; -1 if there is none.
func (p *Pod) Index(name string) int {
	for i := range p.Members {
		if p.Members[i].Name == name {
			return i
		}
	}
	return -1
}

// Host reports whether the members are processes of the host.
func (p *Pod) Host() bool { return p.Members[0].Image == HostImage }

// Check says what is wrong with a pod's members among each other; nil if nothing is.
func (p *Pod) Check() error {
	if n := len(p.Members); n == 0 || n > MaxMembers {
		return invalid("taskProperties needs 1 to %d containers, got %d", MaxMembers, n)
	}
	essential := false
	for i := range p.Members {
		m := &p.Members[i]
		essential = essential || !m.Optional
		if p.Index(m.Name) != i {
			return invalid("container name %q is used twice: each container of a job needs a name of its own", m.Name)
		}
		if (m.Image == HostImage) != p.Host() {
			return invalid("the containers of a job are all processes of the host (image %q) or all containers: %s differs from %s", HostImage, m.Name, p.Members[0].Name)
		}
		for _, a := range m.After {
			if err := p.checkAfter(m, a); err != nil {
				return err
			}
		}
	}
	if !essential {
		return invalid("at least one container of a job must be essential")
	}
	return p.checkCycles()
}

func (p *Pod) checkAfter(m *Member, a MemberAfter) error {
	at := p.Index(a.Name)
	switch {
	case at < 0:
		return invalid("container %s depends on the container %q, which the job does not have", m.Name, a.Name)
	case a.Name == m.Name:
		return invalid("container %s depends on itself", m.Name)
	case a.When != WhenStart && !p.Members[at].Optional:
		return invalid("container %s depends on the end of %s (%s), which is essential: the condition %s cannot be set on an essential container", m.Name, a.Name, a.When, a.When)
	}
	return nil
}

// checkCycles refuses members that wait for each other: of a pod without cycles, members
// that wait for none of the rest can be taken away until nothing is left.
func (p *Pod) checkCycles() error {
	taken := make([]bool, len(p.Members))
	for left := len(taken); left > 0; {
		before := left
		for i := range p.Members {
			free := !taken[i]
			for _, a := range p.Members[i].After {
				free = free && taken[p.Index(a.Name)]
			}
			if free {
				taken[i] = true
				left--
			}
		}
		if left == before {
			for i := range taken {
				if !taken[i] {
					return invalid("the dependsOn of container %s leads back to itself", p.Members[i].Name)
				}
			}
		}
	}
	return nil
}

// MemberPhase is how far a member is within one attempt.
type MemberPhase uint8

// The phases.
const (
	MemberWaits  MemberPhase = iota // not begun
	MemberBegins                    // its start was asked for
	MemberRuns
	MemberEnded // or can never run
)

// MemberState is where one member is.
type MemberState struct {
	Phase   MemberPhase
	Started int64 // µs; 0 = it has not run
	Ended   int64 // µs
	Stopped bool  // it was asked to end, by the pod or by a user
	Exit    *Exit // once it has ended; nil = it never began
}

// PodStep is what is to be done next.
type PodStep struct {
	Start []int  // members to begin
	Stop  []int  // members to ask to end
	Fail  []int  // members that can never run: their Exit is Why
	Why   []Exit // one for each of Fail
	Wake  int64  // when to ask again if nothing happens (µs); 0 = nothing is awaited by time
	Over  bool   // nothing runs and nothing is to start
}

// Next says what to do with the members of an attempt, of which at says where each is. With
// stop the attempt is to end, whatever its members are at. It is asked again after anything
// has happened, until it says that all is over.
//
// The rules are those of Amazon ECS: a member starts when all that it depends on is as its
// conditions say; when an essential one has ended, or can never run, the others are stopped,
// each before those that it depends on; one that is not essential may fail.
func (p *Pod) Next(at []MemberState, stop bool, now int64) PodStep {
	var s PodStep
	for i := range at {
		stop = stop || at[i].Phase == MemberEnded && !p.Members[i].Optional
	}
	if stop {
		return p.wind(at)
	}
	s.Over = true
	for i := range at {
		s.Over = s.Over && at[i].Phase == MemberEnded
		if at[i].Phase != MemberWaits {
			continue
		}
		ready, never := true, ""
		for _, a := range p.Members[i].After {
			ok, why, wake := p.met(at, a, now)
			ready = ready && ok
			if why != "" && never == "" {
				never = why
			}
			if wake != 0 && (s.Wake == 0 || wake < s.Wake) {
				s.Wake = wake
			}
		}
		switch {
		case never != "":
			s.Fail = append(s.Fail, i)
			s.Why = append(s.Why, Exit{Cause: CauseStart, Reason: "CannotStartContainerError: dependency graph: " + never})
		case ready:
			s.Start = append(s.Start, i)
		}
	}
	return s
}

// met reports whether what a member waits for in another has come; why says that it never
// will, and wake when it will be too late.
func (p *Pod) met(at []MemberState, a MemberAfter, now int64) (ok bool, why string, wake int64) {
	k := p.Index(a.Name)
	m, s := &p.Members[k], &at[k]
	switch {
	case a.When == WhenStart && s.Started != 0:
		return true, "", 0
	case s.Phase == MemberEnded && s.Started == 0:
		return false, "container " + m.Name + " did not start", 0
	case s.Phase == MemberEnded && (a.When == WhenComplete || s.Exit != nil && s.Exit.OK()):
		return true, "", 0
	case s.Phase == MemberEnded:
		return false, "container " + m.Name + " did not exit successfully", 0
	case a.When != WhenStart && m.StartSeconds > 0 && s.Started != 0:
		wake = s.Started + int64(m.StartSeconds)*1_000_000
		if now >= wake {
			return false, "container " + m.Name + " did not end within its startTimeout of " + strconv.Itoa(int(m.StartSeconds)) + " s", 0
		}
	}
	return false, "", wake
}

// wind ends a pod: members that wait never begin, and one that runs is stopped when all that
// were started after it on its account have ended.
func (p *Pod) wind(at []MemberState) PodStep {
	s := PodStep{Over: true}
	for i := range at {
		live := at[i].Phase == MemberBegins || at[i].Phase == MemberRuns
		s.Over = s.Over && !live
		if !live || at[i].Stopped {
			continue
		}
		needed := false
		for k := range at {
			for _, a := range p.Members[k].After {
				needed = needed || a.Name == p.Members[i].Name && (at[k].Phase == MemberBegins || at[k].Phase == MemberRuns)
			}
		}
		if !needed {
			s.Stop = append(s.Stop, i)
		}
	}
	return s
}

// MemberExit is how one member of a pod ended.
type MemberExit struct {
	Name   string `json:"name"`
	Code   *int32 `json:"code,omitempty"` // absent when it did not run
	Reason string `json:"reason,omitempty"`
	Ran    bool   `json:"ran,omitempty"`
}

// Result makes the attempt's exit of what became of its members, when all is over. The
// first essential member that failed by itself decides; if none did, the first that ended.
// What a member did after it was asked to end does not count: AWS's documents say that the
// others are stopped, not what their codes then mean. A lost host, a timeout and a user's
// wish go before all.
func (p *Pod) Result(at []MemberState, stop Cause) Exit {
	decides := -1
	var lost, late bool
	for i := range at {
		x := at[i].Exit
		if x == nil {
			continue
		}
		lost = lost || x.Cause == CauseHost
		late = late || x.Cause == CauseTimeout
		if p.Members[i].Optional || at[i].Stopped {
			continue
		}
		if decides < 0 || before(&at[i], &at[decides]) {
			decides = i
		}
	}
	for i := 0; i < len(at) && decides < 0; i++ { // all were asked to end
		if at[i].Exit != nil && !p.Members[i].Optional {
			decides = i
		}
	}
	var e Exit
	if decides >= 0 {
		e = *at[decides].Exit
	}
	switch {
	case lost:
		e.Code, e.Cause = nil, CauseHost
	case stop != "":
		e.Cause = stop
	case late:
		e.Cause = CauseTimeout
	}
	e.Usage = Usage{}
	for i := range at {
		m := MemberExit{Name: p.Members[i].Name, Ran: at[i].Started != 0}
		if x := at[i].Exit; x != nil {
			m.Code, m.Reason = x.Code, x.Reason
			e.Usage = e.Usage.add(x.Usage)
		}
		e.Members = append(e.Members, m)
	}
	return e
}

// before reports whether a decides rather than b: failures first, then the earlier end.
func before(a, b *MemberState) bool {
	if a.Exit.OK() != b.Exit.OK() {
		return !a.Exit.OK()
	}
	return a.Ended < b.Ended
}

// add sums up what two members used; their peaks may not have been at one time, so that
// the sum is the most that they can have had together.
func (u Usage) add(o Usage) Usage {
	return Usage{u.CPUMillis + o.CPUMillis, u.PeakMemKiB + o.PeakMemKiB, u.BytesIn + o.BytesIn, u.BytesOut + o.BytesOut}
}

// MemberOverride is what a submission says of one member; what is zero leaves it as it is.
type MemberOverride struct {
	Name        string // "" = the only one
	Command     []string
	Environment []Variable
	Need        resource.Vector
}

// Resolve gives a pod with overrides and parameters put on it; the given one stays as it is.
func (p *Pod) Resolve(over []MemberOverride, parameters map[string]string) (*Pod, error) {
	out := *p
	out.Members = make([]Member, len(p.Members))
	copy(out.Members, p.Members)
	for _, o := range over {
		i := p.Index(o.Name)
		if o.Name == "" && len(p.Members) == 1 {
			i = 0
		}
		if i < 0 {
			return nil, invalid("ecsPropertiesOverride names the container %q, which the job definition does not have", o.Name)
		}
		m := &out.Members[i]
		if len(o.Command) > 0 {
			m.Command = o.Command
		}
		m.Environment = mergeVariables(m.Environment, o.Environment)
		m.Need = mergeNeed(m.Need, o.Need)
	}
	for i := range out.Members {
		m := &out.Members[i]
		var err error
		if m.Command, err = Substitute(m.Command, parameters); err != nil {
			return nil, err
		}
	}
	return &out, nil
}

// Grow gives a pod the memory that an attempt of it was granted, where that is more than its
// members ask for: each gets its part.
func (p *Pod) Grow(memoryMiB int64) *Pod {
	had := p.Need().MemoryMiB
	if memoryMiB <= had || had == 0 {
		return p
	}
	out := *p
	out.Members = make([]Member, len(p.Members))
	copy(out.Members, p.Members)
	for i := range out.Members {
		n := &out.Members[i].Need
		n.MemoryMiB = n.MemoryMiB * memoryMiB / had
	}
	return &out
}

// MemberLog is the log stream of one member of an attempt whose own is log: a definition's
// name, the container's and the attempt's.
func MemberLog(log, member string) string {
	first, last := -1, -1
	for i := range len(log) {
		if log[i] == '/' {
			if first < 0 {
				first = i
			}
			last = i
		}
	}
	if first < 0 || first == last {
		return log
	}
	return log[:first+1] + member + log[last:]
}
