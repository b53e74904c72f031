package native

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"drover/internal/core/fault"
	"drover/internal/core/job"
	"drover/internal/manager"
	"drover/internal/wire"

	"github.com/google/go-cmp/cmp"
)

// fakeJobs is a manager whose history the test writes.
type fakeJobs struct {
	mu      sync.Mutex
	rows    []manager.Transition
	changed chan struct{}
	views   map[string]manager.View
	reports map[job.ID]manager.Report
	lists   map[string][]manager.Summary
	reads   int
}

func newFake(rows ...manager.Transition) *fakeJobs {
	return &fakeJobs{rows: rows, changed: make(chan struct{})}
}

func (f *fakeJobs) add(rows ...manager.Transition) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rows = append(f.rows, rows...)
	close(f.changed)
	f.changed = make(chan struct{})
}

func (f *fakeJobs) Changed() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.changed
}

func (f *fakeJobs) Transitions(_ context.Context, after int64, limit int) ([]manager.Transition, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reads++
	var out []manager.Transition
	for _, r := range f.rows {
		if r.Seq > after && len(out) < limit {
			out = append(out, r)
		}
	}
	return out, nil
}

func (f *fakeJobs) Present(context.Context) (manager.Present, error) {
	return manager.Present{At: 7, Hosts: []manager.Host{{ID: "h"}}}, nil
}

func (f *fakeJobs) PresentJobs(_ context.Context, after job.Key, limit int) ([]manager.PresentJob, error) {
	var out []manager.PresentJob
	for k := after + 1; k <= 5 && len(out) < limit; k++ {
		out = append(out, manager.PresentJob{Loaded: manager.Loaded{Spec: &job.Spec{Name: "j", Size: 2}, Row: manager.JobRow{Key: k}}})
	}
	return out, nil
}

func (f *fakeJobs) History(_ context.Context, since, term, seq, most int64) ([]manager.TapeRow, error) {
	var out []manager.TapeRow
	for s := seq + 1; s <= 3 && len(out) < 2; s++ {
		out = append(out, manager.TapeRow{Term: max(term, 1), Seq: s, At: since, Data: []byte{byte(s)}})
	}
	return out, nil
}

func (f *fakeJobs) Foresee(_ context.Context, views []manager.View) error {
	for i := range views {
		if views[i].Wait != nil {
			views[i].Forecast = &manager.Forecast{At: 1, Start: 2, End: 3, Basis: "b", Assumed: 4}
		}
	}
	return nil
}

func (f *fakeJobs) ForeseeList(_ context.Context, lines []manager.Summary) ([]*manager.Forecast, error) {
	return make([]*manager.Forecast, len(lines)), nil
}

func (f *fakeJobs) Describe(_ context.Context, names []string) ([]manager.View, error) {
	var out []manager.View
	for _, n := range names {
		if v, ok := f.views[n]; ok {
			out = append(out, v)
		}
	}
	return out, nil
}

func (f *fakeJobs) Queues(context.Context) ([]job.Queue, error) {
	return []job.Queue{{Name: "a"}, {Name: "b"}}, nil
}

func (f *fakeJobs) List(_ context.Context, q manager.ListQuery) (manager.Page, error) {
	var p manager.Page
	for _, s := range f.lists[q.Queue] {
		if (q.Status == 0 || s.Unit.Status == q.Status) && len(p.Jobs) < q.Limit {
			p.Jobs = append(p.Jobs, s)
		}
	}
	return p, nil
}

func (f *fakeJobs) Hosts(context.Context) ([]manager.Host, error) { return nil, nil }

func (f *fakeJobs) Report(_ context.Context, id job.ID) (manager.Report, error) {
	r, ok := f.reports[id]
	if !ok {
		return r, fault.New(fault.NotFound, "", "no such job")
	}
	return r, nil
}

func (f *fakeJobs) Retry(_ context.Context, id job.ID) (manager.Receipt, *job.Spec, error) {
	if id != one {
		return manager.Receipt{}, nil, fault.New(fault.NotFound, "", "no such job")
	}
	return manager.Receipt{ID: two}, &job.Spec{Size: 3}, nil
}

func TestRetryJob(t *testing.T) {
	f := newFake()
	f.views = map[string]manager.View{one.String(): {Spec: &job.Spec{}}}
	s := New(f, nil, &fakeProcess{})
	out, err := s.RetryJob(t.Context(), &RetryJobInput{Job: pointer(one.String())})
	if err != nil || out.Job != two.String() || out.Children != 3 {
		t.Errorf("%+v, %v", out, err)
	}
	for _, bad := range []string{"x", one.String() + ":0", two.String()} {
		if _, err := s.RetryJob(t.Context(), &RetryJobInput{Job: &bad}); err == nil {
			t.Errorf("%s is retried", bad)
		}
	}
	f.views[one.String()] = manager.View{Spec: &job.Spec{Container: &job.Container{JobRole: "arn:aws:iam::000000000000:role/r"}}}
	if _, err := s.RetryJob(t.Context(), &RetryJobInput{Job: pointer(one.String())}); err == nil {
		t.Error("somebody who may not pass the job's role has it run again")
	}
}

// fakeProcess counts what is asked of the server.
type fakeProcess struct{ stops, attached int }

func (p *fakeProcess) Stop(bool) { p.stops++ }
func (p *fakeProcess) Attach() func() {
	p.attached++
	return func() { p.attached-- }
}

var one, two = job.ID{1}, job.ID{2}

func row(seq int64, id job.ID, lo, hi int32, from, to job.Status) manager.Transition {
	return manager.Transition{Seq: seq, At: seq * 10, ID: id, Lo: lo, Hi: hi, From: from, To: to}
}

func pointer[T any](v T) *T { return &v }

func TestListTransitionsGivesEachOnceInOrder(t *testing.T) {
	var rows []manager.Transition
	for i := range int64(2500) {
		rows = append(rows, row(i+1, one, int32(i), int32(i), job.Starting, job.Running))
	}
	s := New(newFake(rows...), nil, &fakeProcess{})
	var seen int64
	after := int64(0)
	for range 100 {
		out, err := s.ListTransitions(t.Context(), &ListTransitionsInput{After: &after, Limit: pointer(int32(700))})
		if err != nil {
			t.Fatal(err)
		}
		if len(out.Transitions) == 0 {
			break
		}
		for _, tr := range out.Transitions {
			if seen++; tr.Seq != seen {
				t.Fatalf("transition %d came in place of %d", tr.Seq, seen)
			}
		}
		after = out.Next
	}
	if seen != 2500 {
		t.Errorf("%d transitions, want 2500", seen)
	}
}

func TestListTransitionsFilters(t *testing.T) {
	s := New(newFake(
		row(1, one, 0, 9, job.Runnable, job.Starting),
		row(2, two, job.Whole, job.Whole, job.Running, job.Failed),
		row(3, one, 4, 4, job.Running, job.Succeeded),
		row(4, one, 5, 5, job.Runnable, job.Starting),
	), nil, &fakeProcess{})
	out, err := s.ListTransitions(t.Context(), &ListTransitionsInput{After: pointer(int64(0)), Job: pointer(one.String()), To: []string{"SUCCEEDED", "FAILED"}})
	if err != nil {
		t.Fatal(err)
	}
	want := &ListTransitionsOutput{Next: 4, Transitions: []Transition{
		{Seq: 3, At: 30, Job: one.String(), First: pointer(int32(4)), Last: pointer(int32(4)), From: "RUNNING", To: "SUCCEEDED"},
	}}
	if d := cmp.Diff(want, out); d != "" {
		t.Error(d)
	}
	if _, err := s.ListTransitions(t.Context(), &ListTransitionsInput{After: pointer(int64(0)), Job: pointer("x")}); !fault.Is(err, fault.Invalid) {
		t.Errorf("a job that is no id gave %v", err)
	}
}

// One call passes by many rows that do not match, not all there may ever be, and the next one
// goes on behind them.
func TestListTransitionsPassesBy(t *testing.T) {
	rows := make([]manager.Transition, maxRead+2*readPage)
	for i := range rows {
		rows[i] = row(int64(i+1), one, job.Whole, job.Whole, job.Running, job.Failed)
	}
	rows[len(rows)-1].ID = two
	s := New(newFake(rows...), nil, &fakeProcess{})
	after := int64(0)
	for _, want := range []struct{ next, found int }{{maxRead, 0}, {len(rows), 1}, {len(rows), 0}} {
		out, err := s.ListTransitions(t.Context(), &ListTransitionsInput{After: &after, Job: pointer(two.String())})
		if err != nil || out.Next != int64(want.next) || len(out.Transitions) != want.found {
			t.Fatalf("after %d: %+v, %v; want %+v", after, out, err, want)
		}
		after = out.Next
	}
}

func TestListTransitionsWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		s := New(f, nil, &fakeProcess{})
		start := time.Now()
		out, err := s.ListTransitions(t.Context(), &ListTransitionsInput{After: pointer(int64(0)), WaitSeconds: pointer(int32(7))})
		if err != nil || len(out.Transitions) != 0 || time.Since(start) != 7*time.Second {
			t.Errorf("with nothing to say: %v %v after %v, want none after 7 s", out, err, time.Since(start))
		}
		start = time.Now()
		go func() {
			time.Sleep(time.Second)
			f.add(row(1, two, 0, 0, job.Runnable, job.Starting)) // does not match: the wait goes on
			time.Sleep(time.Second)
			f.add(row(2, one, 0, 0, job.Runnable, job.Starting))
		}()
		out, err = s.ListTransitions(t.Context(), &ListTransitionsInput{After: pointer(int64(0)), WaitSeconds: pointer(int32(7)), Job: pointer(one.String())})
		if err != nil || len(out.Transitions) != 1 || out.Next != 2 || time.Since(start) != 2*time.Second {
			t.Errorf("got %+v %v after %v, want one after 2 s", out, err, time.Since(start))
		}
	})
}

func TestTail(t *testing.T) {
	for _, seqs := range [][]int64{nil, {1}, {1, 2, 3}, {4000, 4001, 4007}, {1, 1 << 40}} {
		f := newFake()
		var want int64
		for _, n := range seqs {
			f.rows = append(f.rows, row(n, one, 0, 0, job.Runnable, job.Starting))
			want = n
		}
		out, err := New(f, nil, &fakeProcess{}).ListTransitions(t.Context(), &ListTransitionsInput{})
		if err != nil || out.Next != want || len(out.Transitions) != 0 {
			t.Errorf("the end of %v is %+v, %v; want %d", seqs, out, err, want)
		}
		if f.reads > 100 {
			t.Errorf("the end of %v took %d reads", seqs, f.reads)
		}
	}
}

func TestGetReport(t *testing.T) {
	f := newFake()
	code := int32(3)
	r := manager.Report{ID: one, Name: "j", Status: job.Failed, Attempts: 5, QueueWaitP50: 7,
		Failures: []manager.FailureGroup{{Cause: job.CauseExit, Count: 2, ExitCode: &code, Example: job.Name(one, 4), ExampleIndex: 4, Log: "l"}}}
	r.Counts[job.Succeeded], r.Counts[job.Failed] = 3, 2
	f.reports = map[job.ID]manager.Report{one: r}
	s := New(f, nil, &fakeProcess{})
	out, err := s.GetReport(t.Context(), &GetReportInput{Job: pointer(one.String())})
	if err != nil {
		t.Fatal(err)
	}
	if out.Counts != (Counts{Succeeded: 3, Failed: 2}) || out.Counts.Total() != 5 || out.Status != "FAILED" || *out.Failures[0].Index != 4 || *out.Failures[0].ExitCode != 3 {
		t.Errorf("report = %+v", out)
	}
	if _, err := s.GetReport(t.Context(), &GetReportInput{Job: pointer(two.String())}); !fault.Is(err, fault.NotFound) {
		t.Errorf("an unknown job gave %v", err)
	}
}

func TestGetJobView(t *testing.T) {
	f := newFake()
	code := int32(1)
	name := job.Name(one, 3)
	f.views = map[string]manager.View{name: {
		Spec: &job.Spec{ID: one, Name: "j", Queue: "q", Size: 9, Retry: job.Retry{Attempts: 2}}, Index: 3,
		Unit:     job.Unit{Status: job.Runnable},
		Attempts: []manager.Attempt{{Number: 1, Exit: &job.Exit{Code: &code, Cause: job.CauseExit, ErrorLine: "boom"}, Why: "why"}},
		Wait:     &manager.Wait{Code: "HOSTS_FULL", Reason: "r", Position: 2},
	}}
	s := New(f, nil, &fakeProcess{})
	out, err := s.GetJobView(t.Context(), &GetJobViewInput{Job: &name})
	if err != nil {
		t.Fatal(err)
	}
	want := &GetJobViewOutput{
		Job: name, Name: "j", Queue: "q", Status: "RUNNABLE", MaxAttempts: 2,
		Attempts: []Attempt{{Number: 1, ExitCode: &code, Cause: "exit", Reason: "why", ErrorLine: "boom"}},
		Wait:     &Wait{Code: "HOSTS_FULL", Reason: "r", Position: 2},
		Forecast: &Forecast{At: 1, Start: 2, End: 3, Basis: "b", Assumed: 4},
	}
	if d := cmp.Diff(want, out); d != "" {
		t.Error(d)
	}
	if _, err := s.GetJobView(t.Context(), &GetJobViewInput{Job: pointer(two.String())}); !fault.Is(err, fault.NotFound) {
		t.Errorf("an unknown job gave %v", err)
	}
}

// Each container of a job of several has its own log, and after the attempt its own end.
func TestContainersAreViewed(t *testing.T) {
	f := newFake()
	code, name := int32(3), one.String()
	f.views = map[string]manager.View{name: {
		Spec: &job.Spec{ID: one, Pod: &job.Pod{Members: []job.Member{{Name: "main"}, {Name: "side"}}}}, Index: job.Whole,
		Attempts: []manager.Attempt{
			{Number: 1, Log: "d/default/1", Exit: &job.Exit{Code: &code, Members: []job.MemberExit{{Name: "main", Code: &code, Ran: true}, {Name: "side", Reason: "why"}}}},
			{Number: 2, Log: "d/default/2"},
		},
	}}
	out, err := New(f, nil, &fakeProcess{}).GetJobView(t.Context(), &GetJobViewInput{Job: &name})
	if err != nil {
		t.Fatal(err)
	}
	want := []Attempt{
		{Number: 1, ExitCode: &code, Containers: []Container{{Name: "main", Log: "d/main/1", ExitCode: &code}, {Name: "side", Log: "d/side/1", Reason: "why"}}},
		{Number: 2, Containers: []Container{{Name: "main", Log: "d/main/2"}, {Name: "side", Log: "d/side/2"}}},
	}
	if d := cmp.Diff(want, out.Attempts); d != "" {
		t.Error(d)
	}
}

func TestListJobsIsNewestFirstOverAllQueues(t *testing.T) {
	f := newFake()
	summary := func(name string, created int64, s job.Status) manager.Summary {
		return manager.Summary{ID: one, Index: job.Whole, Name: name, Created: created, Unit: job.Unit{Status: s}}
	}
	f.lists = map[string][]manager.Summary{
		"a": {summary("a3", 3, job.Running), summary("a1", 1, job.Failed)},
		"b": {summary("b4", 4, job.Failed), summary("b2", 2, job.Failed)},
	}
	s := New(f, nil, &fakeProcess{})
	names := func(in *ListJobsInput) (all []string) {
		out, err := s.ListJobs(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		for _, j := range out.Jobs {
			all = append(all, j.Name)
		}
		return all
	}
	if d := cmp.Diff([]string{"b4", "a3", "b2"}, names(&ListJobsInput{Limit: pointer(int32(3))})); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"b4", "b2", "a1"}, names(&ListJobsInput{Status: pointer("FAILED")})); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"a3", "a1"}, names(&ListJobsInput{Queue: pointer("a")})); d != "" {
		t.Error(d)
	}
}

func TestOnlyRootStopsTheServer(t *testing.T) {
	p := &fakeProcess{}
	s := New(newFake(), nil, p)
	job := wire.WithInfo(t.Context(), wire.Info{Principal: wire.Principal{Kind: wire.Session}})
	if _, err := s.StopServer(job, &StopServerInput{}); !fault.Is(err, fault.Denied) || p.stops != 0 {
		t.Errorf("a job's credentials stopped the server (%v)", err)
	}
	root := wire.WithInfo(t.Context(), wire.Info{Principal: wire.Principal{Kind: wire.Root}})
	if _, err := s.StopServer(root, &StopServerInput{}); err != nil || p.stops != 1 {
		t.Errorf("root could not stop the server: %v", err)
	}
}

func TestAttachCountsWhileItIsHeldOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &fakeProcess{}
		s := New(newFake(), nil, p)
		ctx, leave := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			if _, err := s.Attach(ctx, &AttachInput{}); err != nil {
				t.Error(err)
			}
		}()
		synctest.Wait()
		if p.attached != 1 {
			t.Errorf("%d attached while the call is open, want 1", p.attached)
		}
		leave()
		<-done
		if p.attached != 0 {
			t.Errorf("%d attached after the client left, want 0", p.attached)
		}
	})
}

// fakeLogs has an event beyond every token but "end".
type fakeLogs struct{}

func (fakeLogs) WaitAfter(ctx context.Context, group, stream, token string) error {
	switch {
	case stream == "bad":
		return fault.New(fault.Invalid, "InvalidParameterException", "no")
	case token == "end":
		<-ctx.Done()
		return ctx.Err()
	}
	return nil
}

func TestWaitLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(newFake(), fakeLogs{}, &fakeProcess{})
		wait := func(stream string, token *string) (bool, error) {
			out, err := s.WaitLog(t.Context(), &WaitLogInput{LogGroupName: pointer("g"), LogStreamName: &stream, Token: token, WaitMillis: pointer(int32(500))})
			return err == nil && out.More, err
		}
		start := time.Now()
		if more, err := wait("s", nil); err != nil || !more || time.Since(start) != 0 {
			t.Errorf("with an event there: %t, %v after %v", more, err, time.Since(start))
		}
		if more, err := wait("s", pointer("end")); err != nil || more || time.Since(start) != 500*time.Millisecond {
			t.Errorf("at the end: %t, %v after %v", more, err, time.Since(start))
		}
		if _, err := wait("bad", nil); !fault.Is(err, fault.Invalid) {
			t.Errorf("a refusal becomes %v", err)
		}
	})
}
