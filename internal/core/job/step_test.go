package job_test

import (
	"testing"

	"pgregory.net/rapid"

	"drover/internal/core/fault"
	"drover/internal/core/job"
)

func code(n int32) *int32 { return &n }

// unitIn gives a unit in a status, on its first attempt where there is one.
func unitIn(s job.Status) job.Unit {
	u := job.Unit{Status: s}
	if s.Live() || s.Terminal() {
		u.Attempt, u.Fence, u.Host, u.Placed = 1, 1, "i-1", 100
	}
	if s == job.Running || s.Terminal() {
		u.Started = 110
	}
	if s.Terminal() {
		u.Exit, u.Stopped, u.StatusReason = &job.Exit{Code: code(0)}, 120, job.ReasonExited
	}
	return u
}

var (
	success = &job.Exit{Code: code(0)}
	failure = &job.Exit{Code: code(3), Cause: job.CauseExit}
	noStart = &job.Exit{Cause: job.CauseStart}
	timeout = &job.Exit{Code: code(137), Cause: job.CauseTimeout}
	stopped = &job.Exit{Code: code(143), Cause: job.CauseTerminated}
)

// What Step does with each event in each status. A word is the status after it, "=" an
// event that is taken and changes nothing of the status, "!" and a code a refusal.
func TestStepTable(t *testing.T) {
	statuses := []job.Status{job.Submitted, job.Pending, job.Runnable, job.Starting, job.Running, job.Succeeded, job.Failed}
	for _, c := range []struct {
		name string
		ev   job.Event
		want [7]string // in the order of statuses
	}{
		{"release", job.Event{Kind: job.Release}, [7]string{"RUNNABLE", "RUNNABLE", "!IllegalStep", "!IllegalStep", "!IllegalStep", "!IllegalStep", "!IllegalStep"}},
		{"place", job.Event{Kind: job.Place, Host: "i-1"}, [7]string{"!IllegalStep", "!IllegalStep", "STARTING", "!IllegalStep", "!IllegalStep", "!IllegalStep", "!IllegalStep"}},
		{"start", job.Event{Kind: job.Start, Fence: 1}, [7]string{"!StaleFence", "!StaleFence", "!StaleFence", "RUNNING", "=", "!AlreadySettled", "!AlreadySettled"}},
		{"start, stale", job.Event{Kind: job.Start, Fence: 9}, [7]string{"!StaleFence", "!StaleFence", "!StaleFence", "!StaleFence", "!StaleFence", "!StaleFence", "!StaleFence"}},
		{"success", job.Event{Kind: job.Finish, Fence: 1, Exit: success}, [7]string{"!StaleFence", "!StaleFence", "!StaleFence", "!IllegalStep", "SUCCEEDED", "!AlreadySettled", "!AlreadySettled"}},
		{"failure", job.Event{Kind: job.Finish, Fence: 1, Exit: failure}, [7]string{"!StaleFence", "!StaleFence", "!StaleFence", "!IllegalStep", "RUNNABLE", "!AlreadySettled", "!AlreadySettled"}},
		{"no start", job.Event{Kind: job.Finish, Fence: 1, Exit: noStart}, [7]string{"!StaleFence", "!StaleFence", "!StaleFence", "RUNNABLE", "RUNNABLE", "!AlreadySettled", "!AlreadySettled"}},
		{"timeout", job.Event{Kind: job.Finish, Fence: 1, Exit: timeout}, [7]string{"!StaleFence", "!StaleFence", "!StaleFence", "!IllegalStep", "FAILED", "!AlreadySettled", "!AlreadySettled"}},
		{"finish, stale", job.Event{Kind: job.Finish, Fence: 9, Exit: success}, [7]string{"!StaleFence", "!StaleFence", "!StaleFence", "!StaleFence", "!StaleFence", "!StaleFence", "!StaleFence"}},
		{"lose", job.Event{Kind: job.Lose, Fence: 1}, [7]string{"!StaleFence", "!StaleFence", "!StaleFence", "RUNNABLE", "RUNNABLE", "!AlreadySettled", "!AlreadySettled"}},
		{"cancel", job.Event{Kind: job.Cancel, Reason: "no"}, [7]string{"FAILED", "=", "FAILED", "=", "=", "=", "="}},
		{"terminate", job.Event{Kind: job.Terminate, Reason: "no"}, [7]string{"FAILED", "FAILED", "FAILED", "=", "=", "=", "="}},
		{"preempt", job.Event{Kind: job.Preempt, Fence: 1, Reason: "no"}, [7]string{"!StaleFence", "!StaleFence", "!StaleFence", "=", "=", "!AlreadySettled", "!AlreadySettled"}},
		{"preempt, stale", job.Event{Kind: job.Preempt, Fence: 9, Reason: "no"}, [7]string{"!StaleFence", "!StaleFence", "!StaleFence", "!StaleFence", "!StaleFence", "!StaleFence", "!StaleFence"}},
		{"doom", job.Event{Kind: job.Doom, Reason: "no"}, [7]string{"FAILED", "FAILED", "FAILED", "=", "=", "=", "="}},
	} {
		for i, s := range statuses {
			before := unitIn(s)
			after, ch, err := job.Step(before, job.Retry{Attempts: 2}, c.ev, 1000)
			got := after.Status.String()
			switch {
			case err != nil:
				got = "!" + fault.From(err).Code
				if after != before {
					t.Errorf("%s in %s: refused, and the unit changed: %+v", c.name, s, after)
				}
			case after.Status == s:
				got = "="
			}
			if got != c.want[i] {
				t.Errorf("%s in %s: %s, want %s", c.name, s, got, c.want[i])
			}
			if ch.Moved() != (after.Status != s) || ch.To != after.Status {
				t.Errorf("%s in %s: the change says %s to %s, the unit is %s", c.name, s, ch.From, ch.To, after.Status)
			}
			if want := s.Live() && (c.ev.Kind == job.Finish || c.ev.Kind == job.Lose) && err == nil; ch.Ended != want {
				t.Errorf("%s in %s: ended %t", c.name, s, ch.Ended)
			}
			if want := s.Live() && err == nil && (c.ev.Kind == job.Terminate || c.ev.Kind == job.Preempt); ch.Stop != want {
				t.Errorf("%s in %s: stop %t", c.name, s, ch.Stop)
			}
			if s.Terminal() && after != before {
				t.Errorf("%s changed a %s unit: %+v", c.name, s, after)
			}
		}
	}
}

// The life of a unit that is retried once, step by step.
func TestStepLife(t *testing.T) {
	u := job.Unit{Status: job.Submitted}
	step := func(ev job.Event, now int64) {
		t.Helper()
		var err error
		if u, _, err = job.Step(u, job.Retry{Attempts: 2}, ev, now); err != nil {
			t.Fatal(err)
		}
	}
	step(job.Event{Kind: job.Release}, 10)
	if u.Ready != 10 {
		t.Errorf("ready at %d", u.Ready)
	}
	step(job.Event{Kind: job.Place, Host: "i-1", Environment: "e", Log: "l1"}, 20)
	if u.Attempt != 1 || u.Fence != 1 || u.Placed != 20 || u.Host != "i-1" || u.Log != "l1" {
		t.Errorf("placed: %+v", u)
	}
	step(job.Event{Kind: job.Lose, Fence: 1}, 30)
	if u.Status != job.Runnable || u.AttemptWhy != "Host EC2 (instance i-1) terminated." || u.Stopped != 30 || u.Exit.Cause != job.CauseHost || u.Ready != 10 {
		t.Errorf("lost: %+v", u)
	}
	step(job.Event{Kind: job.Place, Host: "i-2", Log: "l2"}, 40)
	if u.Attempt != 2 || u.Fence != 2 || u.Exit != nil || u.Stopped != 0 || u.AttemptWhy != "" || u.StatusReason != "" {
		t.Errorf("placed again: %+v", u)
	}
	if _, _, err := job.Step(u, job.Retry{}, job.Event{Kind: job.Finish, Fence: 1, Exit: success}, 45); fault.From(err).Code != "StaleFence" {
		t.Errorf("the first attempt's report: %v", err)
	}
	step(job.Event{Kind: job.Start, Fence: 2, At: 42}, 50)
	if u.Started != 42 {
		t.Errorf("started at %d, by the worker's clock 42", u.Started)
	}
	step(job.Event{Kind: job.Finish, Fence: 2, Exit: failure, At: 48}, 60)
	if u.Status != job.Failed || u.Stopped != 48 || u.StatusReason != job.ReasonExited || *u.Exit.Code != 3 {
		t.Errorf("failed for good: %+v", u)
	}
}

// The words are an API: clients match them (reference: clients, fact 9).
func TestStepReasons(t *testing.T) {
	for _, c := range []struct {
		name   string
		unit   job.Unit
		ev     job.Event
		status job.Status
		reason string
	}{
		{"a cancelled job fails when its dependencies end", job.Unit{Status: job.Pending, Cancelled: true, UserReason: "mine"}, job.Event{Kind: job.Release}, job.Failed, "mine"},
		{"also when they fail", job.Unit{Status: job.Pending, Cancelled: true, UserReason: "mine"}, job.Event{Kind: job.Doom, Reason: "dep"}, job.Failed, "mine"},
		{"terminated while it ran, and it ended well", job.Unit{Status: job.Running, Fence: 1, Terminated: true, UserReason: "stop it"}, job.Event{Kind: job.Finish, Fence: 1, Exit: success}, job.Failed, "stop it"},
		{"terminated without a reason", job.Unit{Status: job.Running, Fence: 1, Terminated: true}, job.Event{Kind: job.Finish, Fence: 1, Exit: failure}, job.Failed, "Essential container in task exited"},
		{"terminated, and its host was lost", job.Unit{Status: job.Running, Fence: 1, Host: "i-1", Terminated: true}, job.Event{Kind: job.Lose, Fence: 1}, job.Failed, "Host EC2 (instance i-1) terminated."},
		{"out of time", job.Unit{Status: job.Running, Fence: 1}, job.Event{Kind: job.Finish, Fence: 1, Exit: timeout}, job.Failed, "Job attempt duration exceeded timeout"},
		{"no input", job.Unit{Status: job.Starting, Attempt: 9, Fence: 1}, job.Event{Kind: job.Finish, Fence: 1, Exit: &job.Exit{Cause: job.CauseStageIn}}, job.Failed, "Task failed to start"},
		{"no result", job.Unit{Status: job.Running, Attempt: 9, Fence: 1}, job.Event{Kind: job.Finish, Fence: 1, Exit: &job.Exit{Code: code(0), Cause: job.CauseStageOut}}, job.Failed, "Essential container in task exited"},
		{"an end without words", job.Unit{Status: job.Running, Attempt: 9, Fence: 1, Host: "i-1"}, job.Event{Kind: job.Finish, Fence: 1}, job.Failed, "Host EC2 (instance i-1) terminated."},
	} {
		u, _, err := job.Step(c.unit, job.Retry{Attempts: 9}, c.ev, 5)
		if err != nil || u.Status != c.status || u.StatusReason != c.reason {
			t.Errorf("%s: %s %q, %v; want %s %q", c.name, u.Status, u.StatusReason, err, c.status, c.reason)
		}
	}
	u, ch, _ := job.Step(unitIn(job.Running), job.Retry{}, job.Event{Kind: job.Terminate, Reason: "first"}, 5)
	u, _, _ = job.Step(u, job.Retry{}, job.Event{Kind: job.Terminate, Reason: "second"}, 6)
	if !ch.Stop || u.UserReason != "first" {
		t.Errorf("terminated twice: the reason is %q", u.UserReason)
	}
}

// An attempt that is stopped to make room does not count, and only then.
func TestPreempt(t *testing.T) {
	running := job.Unit{Status: job.Running, Attempt: 1, Fence: 1, Host: "i-1", Placed: 1, Started: 1}
	why := job.PreemptedFor("queue-priority", "x", "high")
	for _, c := range []struct {
		name      string
		before    *job.Event // of the preemption
		end       job.Event
		status    job.Status
		preempted int32
		reason    string
	}{
		{"stopped", nil, job.Event{Kind: job.Finish, Fence: 1, Exit: stopped}, job.Runnable, 1, why},
		{"its host was lost", nil, job.Event{Kind: job.Lose, Fence: 1}, job.Runnable, 1, why},
		{"it succeeded before", nil, job.Event{Kind: job.Finish, Fence: 1, Exit: success}, job.Succeeded, 0, job.ReasonExited},
		{"it failed before", nil, job.Event{Kind: job.Finish, Fence: 1, Exit: failure}, job.Failed, 0, job.ReasonExited},
		{"its time was over before", nil, job.Event{Kind: job.Finish, Fence: 1, Exit: timeout}, job.Failed, 0, job.ReasonTimeout},
		{"a user had ended it", &job.Event{Kind: job.Terminate, Reason: "mine"}, job.Event{Kind: job.Finish, Fence: 1, Exit: stopped}, job.Failed, 0, "mine"},
	} {
		u := running
		if c.before != nil {
			u, _, _ = job.Step(u, job.Retry{}, *c.before, 5)
		}
		u, ch, err := job.Step(u, job.Retry{}, job.Event{Kind: job.Preempt, Fence: 1, Reason: why}, 5)
		if err != nil || ch.Stop != (c.before == nil) || u.Preempting() != ch.Stop {
			t.Errorf("%s: stop %t, %v", c.name, ch.Stop, err)
		}
		if again, ch, _ := job.Step(u, job.Retry{}, job.Event{Kind: job.Preempt, Fence: 1, Reason: "another"}, 5); ch.Stop || again != u {
			t.Errorf("%s: preempted twice: %+v", c.name, again)
		}
		u, _, err = job.Step(u, job.Retry{}, c.end, 9)
		if err != nil || u.Status != c.status || u.Preempted != c.preempted || u.StatusReason != c.reason || u.Preempting() {
			t.Errorf("%s: %+v, %v", c.name, u, err)
		}
	}
}

// Whatever happens, in whatever order and however the clocks jump: a terminal status stays,
// attempts and fences only rise and stay within the bound, and times do not run backwards.
func TestStepProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		retry := job.Retry{Attempts: rapid.Int32Range(0, 4).Draw(t, "attempts")}
		u := job.Unit{Status: job.Submitted}
		now := int64(1_000_000)
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			now = max(1, now+rapid.Int64Range(-5000, 5000).Draw(t, "clock"))
			ev := job.Event{
				Kind:   job.EventKind(rapid.IntRange(int(job.Release), int(job.Preempt)).Draw(t, "kind")),
				Fence:  u.Fence + uint32(rapid.SampledFrom([]int{0, 0, 0, 0, -1, 1}).Draw(t, "fence")),
				Exit:   rapid.SampledFrom([]*job.Exit{nil, success, failure, noStart, timeout, stopped}).Draw(t, "exit"),
				At:     max(0, now+rapid.Int64Range(-9000, 9000).Draw(t, "at")),
				Reason: "r", Host: "i-1",
			}
			before := u
			var err error
			u, _, err = job.Step(u, retry, ev, now)
			switch {
			case err != nil && u != before:
				t.Fatalf("refused, and changed: %+v to %+v", before, u)
			case before.Status.Terminal() && u != before:
				t.Fatalf("%+v was terminal and became %+v", before, u)
			case u.Attempt < before.Attempt || u.Fence < before.Fence || u.Attempt-u.Preempted > retry.Max() || u.Preempted < before.Preempted:
				t.Fatalf("attempt %d fence %d after attempt %d fence %d of %d", u.Attempt, u.Fence, before.Attempt, before.Fence, retry.Max())
			case u.Status.Terminal() && u.Stopped == 0, u.Status == job.Failed && u.StatusReason == "":
				t.Fatalf("it ended without time or reason: %+v", u)
			case u.Started != 0 && u.Started < u.Placed, u.Attempt > 0 && u.Stopped != 0 && u.Stopped < max(u.Placed, u.Started):
				t.Fatalf("times run backwards: %+v", u)
			case u.Status.Live() && u.Exit != nil, u.Status.Live() && u.Stopped != 0:
				t.Fatalf("it runs and has ended: %+v", u)
			}
		}
	})
}
