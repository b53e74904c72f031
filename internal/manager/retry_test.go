package manager_test

import (
	"strings"
	"testing"
	"time"

	"drover/internal/core/job"
	"drover/internal/core/resource"
	"drover/internal/manager"
	"drover/internal/store"
	"drover/internal/store/storetest"
)

// A retry runs the children that failed under their own numbers, also when it is the retry
// of a retry, and nothing else.
func TestRetryOfFailedChildren(t *testing.T) {
	m := open(t, storetest.SQLite(t))
	ctx := t.Context()
	setUp(t, m)
	session, _, err := m.Hello(ctx, manager.Hello{Host: "h", Boot: "b", Capacity: spec(0).Need.Add(spec(0).Need), Executors: []string{"process"}})
	if err != nil {
		t.Fatal(err)
	}
	// runs works off n units and says which children they were; those of fail fail.
	ack := int64(0)
	runs := func(n int, fail ...int32) (seen []int32) {
		for len(seen) < n {
			letters, err := m.Poll(ctx, "h", session, ack, 20*1e9)
			if err != nil || len(letters) == 0 {
				t.Fatal("no work", err)
			}
			for _, l := range letters {
				ack = l.Seq
				a := l.Start
				if a.Size != 6 {
					t.Errorf("a child of %d, want 6", a.Size)
				}
				code := int32(0)
				for _, f := range fail {
					if f == a.Child() {
						code = 1
					}
				}
				x := exited(a.Lease, code)
				x.Started = true
				if _, err := m.ReportAttempts(ctx, "h", session, []job.Report{x}); err != nil {
					t.Fatal(err)
				}
				seen = append(seen, a.Child())
			}
		}
		return seen
	}
	s := spec(6)
	s.Retry.Attempts = 1
	first := submit(t, m, s)
	if _, _, err := m.Retry(ctx, first); err == nil || !strings.Contains(err.Error(), "wait until it has ended") {
		t.Errorf("the retry of a job that runs: %v", err)
	}
	runs(6, 1, 3, 4)
	waitFor(t, m, first.String(), job.Failed)
	again, _, err := m.Retry(ctx, first)
	if err != nil {
		t.Fatal(err)
	}
	if got := runs(3, 4); len(got) != 3 || got[0] != 1 || got[1] != 3 || got[2] != 4 {
		t.Errorf("the retry ran %v, want [1 3 4]", got)
	}
	waitFor(t, m, again.ID.String(), job.Failed)
	last, _, err := m.Retry(ctx, again.ID)
	if err != nil {
		t.Fatal(err)
	}
	if got := runs(1); got[0] != 4 {
		t.Errorf("the retry of the retry ran %v, want [4]", got)
	}
	waitFor(t, m, last.ID.String(), job.Succeeded)
	if _, _, err := m.Retry(ctx, last.ID); err == nil || !strings.Contains(err.Error(), "nothing to retry") {
		t.Errorf("the retry of a success: %v", err)
	}
	if _, _, err := m.Retry(ctx, job.ID{9}); err == nil || !strings.Contains(err.Error(), "does not exist") {
		t.Errorf("the retry of nothing: %v", err)
	}
}

// A job that is cancelled while it waits to be tried again ends then; its attempt ended before.
func TestCancelBetweenAttempts(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		m := open(t, db)
		ctx := t.Context()
		setUp(t, m)
		hello := manager.Hello{Host: "h", Boot: "b", Capacity: spec(0).Need, Executors: []string{"process"}}
		session, _, err := m.Hello(ctx, hello)
		if err != nil {
			t.Fatal(err)
		}
		s := spec(0)
		s.Retry.Attempts = 2
		id := submit(t, m, s)
		letters, err := m.Poll(ctx, "h", session, 0, 20*time.Second)
		if err != nil || len(letters) != 1 {
			t.Fatal(letters, err)
		}
		hello.Capacity, hello.Held = resource.Vector{}, []job.Lease{letters[0].Start.Lease}
		if session, _, err = m.Hello(ctx, hello); err != nil { // no room for another attempt
			t.Fatal(err)
		}
		x := exited(letters[0].Start.Lease, 1)
		x.Started = true
		if _, err := m.ReportAttempts(ctx, "h", session, []job.Report{x}); err != nil {
			t.Fatal(err)
		}
		was := waitFor(t, m, id.String(), job.Runnable)
		if err := m.Cancel(ctx, id, job.Whole, "enough"); err != nil {
			t.Fatal(err)
		}
		is := waitFor(t, m, id.String(), job.Failed)
		if len(was.Attempts) != 1 || len(is.Attempts) != 1 || is.Attempts[0].Stopped != was.Attempts[0].Stopped {
			t.Errorf("the attempt was %+v and after the cancel it is %+v", was.Attempts, is.Attempts)
		}
		if is.Unit.StatusReason != "enough" || is.Unit.Stopped <= is.Attempts[0].Stopped {
			t.Errorf("the job ended %d because of %q, its attempt %d", is.Unit.Stopped, is.Unit.StatusReason, is.Attempts[0].Stopped)
		}
	})
}
