package job

import "drover/internal/core/fault"

// Unit is the state of one thing that can run: a plain job or one child of an array.
type Unit struct {
	Status       Status
	Attempt      int32  // number of the current or latest attempt; 0 before the first
	Fence        uint32 // highest fence given out so far
	Cancelled    bool   // CancelJob was called
	Terminated   bool   // TerminateJob was called
	StatusReason string // why it is where it is, in AWS's words
	UserReason   string // what the user gave with cancel or terminate
	Host         string // instance id of the current or latest attempt
	Environment  string // compute environment of the current or latest attempt
	MemoryMiB    int64  // of the current or next attempt; 0 = what the job asks for
	Log          string // log stream of the current or latest attempt
	Address      string // of a node that has started: the IPv4 address at which others reach it
	Ready        int64  // when it first became RUNNABLE by itself; 0 = with its whole array
	Placed       int64  // when the current attempt got its lease (µs)
	Started      int64  // when it began to run; 0 = not yet
	Stopped      int64  // when the unit became terminal, or its last attempt ended
	Exit         *Exit  // how the latest attempt ended; nil while one is under way
	AttemptWhy   string // statusReason of the latest ended attempt; while one is under way, why it is being preempted
	Preempted    int32  // attempts that were preempted: they do not count against the retry strategy
}

// Preempting reports whether the attempt under way is being stopped to make room.
func (u *Unit) Preempting() bool { return u.Status.Live() && u.AttemptWhy != "" }

// Lease is the unit's current lease.
func (u *Unit) Lease(r Ref) Lease { return Lease{Ref: r, Attempt: u.Attempt, Fence: u.Fence} }

// EventKind says what happened to a unit.
type EventKind uint8

// What can happen to a unit.
const (
	Release   EventKind = iota + 1 // its dependencies are satisfied
	Place                          // it got a host; Host, Environment, Log are set
	Start                          // its worker says that the command runs
	Finish                         // its worker says that the attempt ended; Exit is set
	Lose                           // its host is gone
	Cancel                         // a user cancels it; Reason is set
	Terminate                      // a user terminates it; Reason is set
	Doom                           // a job it depends on failed; Reason is set
	Preempt                        // its attempt is stopped to make room for another unit; Reason is set
)

// Event is one happening. Start, Finish, Lose and Preempt carry the fence of the attempt
// they speak of.
type Event struct {
	Kind                   EventKind
	Fence                  uint32
	Exit                   *Exit
	Reason                 string
	Host, Environment, Log string
	Address                string // with Start, of a node
	At                     int64  // when it happened, if that was before now (µs); 0 = now
}

// Change says what a step did, for the caller to record and to act on.
type Change struct {
	From, To Status
	Ended    bool // an attempt ended
	Stop     bool // the running attempt must be stopped
}

// Moved reports whether the status changed.
func (c Change) Moved() bool { return c.From != c.To }

// Stale is the refusal of a report whose fence is not the current one.
func Stale(said, current uint32) error {
	return fault.New(fault.Conflict, "StaleFence", "this attempt lost its lease: its fence is %d, the current fence is %d; stop it", said, current)
}

// Settled is the refusal of a report on an attempt whose end is recorded already: by an
// earlier copy of the report, or by the manager when it gave up the host. A worker drops
// the attempt either way; only an accepted report promises that its words are the record.
func Settled(fence uint32) error {
	return fault.New(fault.Conflict, "AlreadySettled", "the attempt with fence %d has ended and its end is recorded; forget it", fence)
}

// Step moves a unit by one event. On an error the unit is unchanged. A repeated Start is
// accepted and changes nothing; a repeated end is refused with Settled. A Finish with an
// exit code must come after a Start, so that no status is skipped.
func Step(u Unit, retry Retry, ev Event, now int64) (Unit, Change, error) {
	from := u.Status
	var c Change
	var err error
	switch ev.Kind {
	case Release:
		u, err = release(u, now)
	case Place:
		u, err = place(u, ev, now)
	case Start:
		u, err = start(u, ev, now)
	case Finish, Lose:
		u, c.Ended, err = end(u, retry, ev, now)
	case Cancel:
		u = cancel(u, ev.Reason, now)
	case Terminate:
		u, c.Stop = terminate(u, ev.Reason, now)
	case Preempt:
		u, c.Stop, err = preempt(u, ev)
	case Doom:
		if u.Cancelled {
			ev.Reason = u.UserReason
		}
		if !u.Status.Terminal() && !u.Status.Live() {
			u = fail(u, ev.Reason, now)
		}
	}
	c.From, c.To = from, u.Status
	return u, c, err
}

func fail(u Unit, reason string, now int64) Unit {
	u.Status, u.StatusReason, u.Stopped = Failed, reason, max(now, u.Stopped)
	return u
}

func release(u Unit, now int64) (Unit, error) {
	if u.Status != Submitted && u.Status != Pending {
		return u, fault.New(fault.Conflict, "IllegalStep", "a %s job cannot be released", u.Status)
	}
	if u.Cancelled {
		return fail(u, u.UserReason, now), nil
	}
	u.Status, u.StatusReason, u.Ready = Runnable, "", now
	return u, nil
}

func place(u Unit, ev Event, now int64) (Unit, error) {
	if u.Status != Runnable {
		return u, fault.New(fault.Conflict, "IllegalStep", "a %s job cannot be placed", u.Status)
	}
	u.Status, u.StatusReason = Starting, ""
	u.Attempt++
	u.Fence++
	u.Host, u.Environment, u.Log = ev.Host, ev.Environment, ev.Log
	u.Placed, u.Started, u.Stopped, u.Exit, u.AttemptWhy, u.Address = now, 0, 0, nil, "", ""
	return u, nil
}

// when clamps a worker's time into what the manager knows to be possible. The manager's
// own clock may have been set back since earliest, so that now is no better.
func when(at, earliest, now int64) int64 {
	if at == 0 || at > now {
		at = now
	}
	return max(at, earliest)
}

func start(u Unit, ev Event, now int64) (Unit, error) {
	if ev.Fence != u.Fence {
		return u, Stale(ev.Fence, u.Fence)
	}
	if !u.Status.Live() {
		return u, Settled(ev.Fence)
	}
	if u.Status == Starting {
		u.Status, u.Started, u.Address = Running, when(ev.At, u.Placed, now), ev.Address
	}
	return u, nil // already running: a repeated report
}

func end(u Unit, retry Retry, ev Event, now int64) (Unit, bool, error) {
	if ev.Fence != u.Fence {
		return u, false, Stale(ev.Fence, u.Fence)
	}
	if !u.Status.Live() {
		return u, false, Settled(ev.Fence)
	}
	x := ev.Exit
	if ev.Kind == Lose || x == nil {
		x = &Exit{Cause: CauseHost}
	}
	if u.Status == Starting && x.Code != nil {
		return u, false, fault.New(fault.Conflict, "IllegalStep", "an attempt that has an exit code has run: it must start before it ends")
	}
	u.Exit = x
	u.Stopped = when(ev.At, max(u.Placed, u.Started), now)
	asked := u.AttemptWhy // why it was to be preempted, if it was
	why := attemptReason(u, x, ev.Kind == Lose)
	u.AttemptWhy, u.StatusReason = why, why
	switch {
	case u.Terminated:
		if u.UserReason != "" {
			u.StatusReason = u.UserReason
		}
		u.Status = Failed
	case x.OK():
		u.Status = Succeeded
	case x.Cause == CauseTimeout:
		u.Status = Failed
	case asked != "" && (x.Cause == CauseTerminated || x.Cause == CauseHost):
		u.Status, u.AttemptWhy, u.StatusReason = Runnable, asked, asked
		u.Preempted++
	case retry.Again(u.Attempt-u.Preempted, why, x.Reason, x.Code):
		u.Status = Runnable
	default:
		u.Status = Failed
	}
	return u, true, nil
}

// preempt asks a running attempt to make room. It ends like any other: if it comes to its
// end before the stop reaches it, that end counts. Stopped, or lost with its host, it
// begins again and has used no attempt of its retry strategy.
func preempt(u Unit, ev Event) (_ Unit, stop bool, err error) {
	switch {
	case ev.Fence != u.Fence:
		return u, false, Stale(ev.Fence, u.Fence)
	case !u.Status.Live():
		return u, false, Settled(ev.Fence)
	case u.Terminated || u.Preempting():
		return u, false, nil // it is being stopped already
	}
	u.AttemptWhy = ev.Reason
	return u, true, nil
}

func attemptReason(u Unit, x *Exit, lost bool) string {
	switch {
	case lost || x.Cause == CauseHost:
		return HostLost(u.Host)
	case x.Cause == CauseTimeout:
		return ReasonTimeout
	case x.Cause == CauseStart || x.Cause == CauseStageIn:
		return ReasonStart
	}
	return ReasonExited
}

// cancel follows CancelJob: jobs that have not started fail at once, except that a
// PENDING job fails when its dependencies have ended; started ones are left alone.
func cancel(u Unit, reason string, now int64) Unit {
	if u.Status.Terminal() || u.Status.Live() {
		return u
	}
	u.Cancelled, u.UserReason = true, reason
	if u.Status == Pending {
		return u
	}
	return fail(u, reason, now)
}

// terminate follows TerminateJob: started jobs are stopped and then FAILED, earlier ones
// fail at once.
func terminate(u Unit, reason string, now int64) (_ Unit, stop bool) {
	switch {
	case u.Status.Terminal():
		return u, false
	case u.Status.Live():
		if !u.Terminated {
			u.Terminated, u.UserReason = true, reason
		}
		return u, true
	}
	u.Terminated, u.UserReason = true, reason
	return fail(u, reason, now), false
}
