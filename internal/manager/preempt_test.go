package manager_test

import (
	"fmt"
	"strings"
	"testing"

	"drover/internal/core/job"
	"drover/internal/core/sched"
)

// A preempted unit is told to stop, again to each new session of its worker; stopped, it
// waits in front of its queue with all its attempts, and says why.
func TestPreemption(t *testing.T) {
	r := newRig(t, 2)
	for _, q := range []job.Queue{
		{Name: "low", Priority: 1, Enabled: true, Environments: []string{"local"}, Tags: map[string]string{sched.TagPreempt: "true"}},
		{Name: "high", Priority: 9, Enabled: true, Environments: []string{"local"}},
	} {
		if err := r.c.CreateQueue(q); err != nil {
			t.Fatal(err)
		}
	}
	in := func(queue string, size int32) *job.Spec {
		s := r.spec(size)
		s.Queue, s.Retry.Attempts = queue, 1
		return s
	}
	r.submit(in("low", 3)) // two run, one waits
	r.pass(100 * second)
	r.take()
	r.c.Heartbeat("h0", "s-h0", r.now)
	high := in("high", 0)
	r.submit(high)
	if got := r.take(); got != "stop 1:0/1" && got != "stop 1:1/1" {
		t.Fatalf("sent %q", got)
	}
	victim := r.units["1:0"]
	index := int32(0)
	if !victim.Preempting() {
		victim, index = r.units["1:1"], 1
	}
	if w := r.c.Explain(high.ID, job.Whole, r.now.Wall); w.Code != sched.CodeMaking {
		t.Errorf("the other one waits because of %+v", w)
	}
	r.hello("h0", "b", 2, lease(1, 0, 1), lease(1, 1, 1))
	r.settle()
	if got := r.take(); !strings.HasPrefix(got, "stop 1:") {
		t.Errorf("a new session is told %q", got)
	}
	code := int32(143)
	r.report("h0", job.Report{Lease: lease(1, index, 1), Exit: &job.Exit{Code: &code, Cause: job.CauseTerminated}})
	if got := r.take(); got != "start 2:-1/1" {
		t.Errorf("then %q started", got)
	}
	u := r.c.Explain(job.ID{1}, index, r.now.Wall)
	if u == nil || u.Position != 1 || !strings.Contains(u.Reason, job.PreemptedPrefix+"queue-priority to make room for job "+high.ID.String()+" of job queue high") {
		t.Errorf("the preempted one waits: %+v", u)
	}
	r.report("h0", exited(lease(2, job.Whole, 1), 0), exited(lease(1, 1-index, 1), 0))
	r.report("h0", job.Report{Lease: lease(1, index, 2), Exit: &job.Exit{Code: &code, Cause: job.CauseExit}})
	if u := r.units[fmt.Sprintf("1:%d", index)]; u.Status != job.Failed || u.Attempt != 2 || u.Preempted != 1 {
		t.Errorf("its one attempt failed: %+v", u)
	}
}
