package manager_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"drover/internal/core/fault"
	"drover/internal/core/job"
	"drover/internal/core/resource"
	"drover/internal/manager"
)

const second = int64(1_000_000)

// rig is a Core with a clock of its own and no journal: every batch counts as durable.
type rig struct {
	t     *testing.T
	c     *manager.Core
	now   manager.Instant
	ids   byte
	moves []string            // transitions, in words
	sends []manager.Send      // since the last look
	units map[string]job.Unit // latest rows, by "key:index"
	rows  map[job.Key]manager.JobRow
	hosts []manager.HostRow

	records []manager.RecordRow
	usage   []manager.UsageRow
}

func newRig(t *testing.T, vcpus ...int64) *rig {
	img := manager.Image{
		Environments: []job.Environment{{Name: "local", Enabled: true, HostJobs: true, MaxMilliVCPU: 1_000_000}},
		Queues:       []job.Queue{{Name: "default", Enabled: true, Environments: []string{"local"}}, {Name: "off", Environments: []string{"local"}}},
	}
	r := &rig{t: t, now: manager.Instant{Wall: 1000 * second, Mono: 10 * second}, units: map[string]job.Unit{}, rows: map[job.Key]manager.JobRow{}}
	r.c = manager.New(manager.Options{LeaseTTL: 30 * second, KeepEnded: 60 * second}, img, r.now)
	for i, v := range vcpus {
		r.hello(fmt.Sprintf("h%d", i), "b", v)
	}
	return r
}

func (r *rig) hello(host, boot string, vcpus int64, held ...job.Lease) []job.Lease {
	drop := r.c.Hello(manager.Hello{Host: host, Boot: boot, Capacity: resource.Vector{MilliVCPU: vcpus * 1000, MemoryMiB: 1 << 20}, Executors: []string{"process"}, Held: held}, "s-"+host, r.now)
	return drop
}

func (r *rig) pass(d int64) {
	r.now.Mono += d
	r.now.Wall += d
}

// settle does all settling and placing, and takes the batches.
func (r *rig) settle() {
	r.t.Helper()
	for turns := 0; ; turns++ {
		r.c.Work(r.now)
		r.c.Schedule(10_000, r.now)
		if !r.c.Pending() && !r.c.Busy() {
			return
		}
		if turns > 1000 {
			r.t.Fatal("the Core is busy for ever")
		}
		b := r.c.Take()
		for _, m := range b.Transitions {
			move := fmt.Sprintf("%d[%d-%d] %s>%s", m.Key, m.Lo, m.Hi, m.From, m.To)
			if m.From == m.To {
				move += " " + m.Why
			}
			r.moves = append(r.moves, move)
		}
		for _, u := range b.Units {
			r.units[fmt.Sprintf("%d:%d", u.Ref.Key, u.Ref.Index)] = u.Unit
		}
		for _, j := range b.Jobs {
			r.rows[j.Key] = j
		}
		r.sends = append(r.sends, b.Sends...)
		r.hosts = append(r.hosts, b.Hosts...)
		r.records = append(r.records, b.Records...)
		r.usage = append(r.usage, b.Usage...)
		r.c.Committed(b.Seq)
	}
}

func (r *rig) spec(size int32, deps ...job.Dependency) *job.Spec {
	r.ids++
	return &job.Spec{ID: job.ID{r.ids}, Name: "j", Queue: "default", Definition: "d:1", Image: job.HostImage, Size: size,
		Need: resource.Vector{MilliVCPU: 1000, MemoryMiB: 1}, Retry: job.Retry{Attempts: 3}, Dependencies: deps}
}

func (r *rig) submit(specs ...*job.Spec) {
	r.t.Helper()
	if _, err := r.c.Submit(specs, r.now); err != nil {
		r.t.Fatal(err)
	}
	r.settle()
}

func (r *rig) report(host string, reports ...job.Report) []error {
	r.t.Helper()
	refused, err := r.c.Report(host, "s-"+host, reports, r.now)
	if err != nil {
		r.t.Fatal(err)
	}
	r.settle()
	return refused
}

// take gives the messages since the last look, in words.
func (r *rig) take() string {
	var out []string
	for _, s := range r.sends {
		if s.Start != nil {
			out = append(out, fmt.Sprintf("start %d:%d/%d", s.Start.Ref.Key, s.Start.Ref.Index, s.Start.Fence))
		} else {
			out = append(out, fmt.Sprintf("stop %d:%d/%d", s.Stop.Lease.Ref.Key, s.Stop.Lease.Ref.Index, s.Stop.Lease.Fence))
		}
	}
	r.sends = nil
	return strings.Join(out, ", ")
}

func lease(k job.Key, i int32, fence uint32) job.Lease {
	return job.Lease{Ref: job.Ref{Key: k, Index: i}, Attempt: int32(fence), Fence: fence}
}

func exited(l job.Lease, code int32) job.Report {
	x := &job.Exit{Code: &code}
	if code != 0 {
		x.Cause = job.CauseExit
	}
	return job.Report{Lease: l, Exit: x}
}

func (r *rig) want(k job.Key, s job.Status, counts map[job.Status]int32) {
	r.t.Helper()
	row := r.rows[k]
	var c job.Counts
	for s, n := range counts {
		c[s] = n
	}
	if row.Status != s || row.Counts != c {
		r.t.Errorf("job %d is %s %v, want %s %v; moves %v", k, row.Status, row.Counts, s, c, r.moves)
	}
}

func after(id byte) job.Dependency  { return job.Dependency{Kind: job.AfterJob, ID: job.ID{id}} }
func paired(id byte) job.Dependency { return job.Dependency{Kind: job.NToN, ID: job.ID{id}} }

func TestChildCancelledWhilePending(t *testing.T) {
	for _, code := range []int32{0, 1} {
		r := newRig(t, 4)
		one := r.spec(0)
		one.Retry.Attempts = 1
		r.submit(one)
		r.submit(r.spec(3, after(1)))
		if err := r.c.Cancel(job.ID{2}, 1, "not this one", r.now); err != nil {
			t.Fatal(err)
		}
		r.settle()
		if u := r.units["2:1"]; u.Status != job.Pending || !u.Cancelled {
			t.Fatalf("a PENDING child that is cancelled waits for its dependencies: %+v", u)
		}
		r.report("h0", exited(lease(1, job.Whole, 1), code))
		if u := r.units["2:1"]; u.Status != job.Failed || u.StatusReason != "not this one" {
			t.Errorf("after exit %d: %+v", code, u)
		}
		if code == 0 {
			r.want(2, job.Pending, map[job.Status]int32{job.Starting: 2, job.Failed: 1})
		} else {
			r.want(2, job.Failed, map[job.Status]int32{job.Failed: 3})
		}
	}
}

// Children that fail with their array's base are heard of by those who wait child by child,
// though the array itself goes on.
func TestBaseFailureIsHeard(t *testing.T) {
	r := newRig(t, 1)
	r.submit(r.spec(3))
	r.submit(r.spec(3, paired(1)))
	if err := r.c.Terminate(job.ID{1}, job.Whole, "enough", r.now); err != nil {
		t.Fatal(err)
	}
	r.settle()
	r.want(1, job.Pending, map[job.Status]int32{job.Starting: 1, job.Failed: 2})
	r.want(2, job.Pending, map[job.Status]int32{job.Pending: 1, job.Failed: 2})
	r.report("h0", exited(lease(1, 0, 1), 143))
	r.want(1, job.Failed, map[job.Status]int32{job.Failed: 3})
	r.want(2, job.Failed, map[job.Status]int32{job.Failed: 3})
	if r.rows[1].Reason != "enough" {
		t.Errorf("the parent's reason is %q", r.rows[1].Reason)
	}
}

// A running child of a cancelled array may finish, but does not begin again.
func TestCancelledArrayDoesNotRetry(t *testing.T) {
	r := newRig(t, 2)
	r.submit(r.spec(3))
	if err := r.c.Cancel(job.ID{1}, job.Whole, "enough", r.now); err != nil {
		t.Fatal(err)
	}
	r.settle()
	r.want(1, job.Pending, map[job.Status]int32{job.Starting: 2, job.Failed: 1})
	r.report("h0", exited(lease(1, 0, 1), 0), exited(lease(1, 1, 1), 1))
	r.want(1, job.Failed, map[job.Status]int32{job.Succeeded: 1, job.Failed: 2})
}

// The dependency of a cancelled array ends in the same turn in which a child of it could
// have been released.
func TestCancelBeatsRelease(t *testing.T) {
	r := newRig(t, 2)
	r.submit(r.spec(2))
	r.submit(r.spec(2, paired(1), after(1)))
	if err := r.c.Cancel(job.ID{2}, job.Whole, "enough", r.now); err != nil {
		t.Fatal(err)
	}
	r.settle()
	r.report("h0", exited(lease(1, 0, 1), 0), exited(lease(1, 1, 1), 0))
	r.want(1, job.Succeeded, map[job.Status]int32{job.Succeeded: 2})
	r.want(2, job.Failed, map[job.Status]int32{job.Failed: 2})
	if m := strings.Join(r.moves, " "); strings.Contains(m, "2[0-0] PENDING>RUNNABLE") || strings.Contains(m, "2[1-1] PENDING>RUNNABLE") {
		t.Errorf("a child was released after the cancel: %s", m)
	}
}

// Settling is done in chunks, and each chunk goes on where the last one ended.
func TestWorkInChunks(t *testing.T) {
	const size = 3000
	r := newRig(t)
	r.submit(r.spec(size))
	r.submit(r.spec(size, paired(1)))
	r.submit(r.spec(size, paired(2)))
	if err := r.c.Terminate(job.ID{1}, job.Whole, "enough", r.now); err != nil {
		t.Fatal(err)
	}
	turns := 0
	for ; r.c.Busy(); turns++ {
		r.c.Work(r.now)
	}
	r.settle()
	for k := job.Key(1); k <= 3; k++ {
		r.want(k, job.Failed, map[job.Status]int32{job.Failed: size})
	}
	// Two arrays walked once, and one task for each child of the second that failed.
	if most := 3*size/500 + 10; turns > most {
		t.Errorf("%d turns for %d units, want at most %d", turns, 3*size, most)
	}
}

func TestSequential(t *testing.T) {
	r := newRig(t, 4)
	s := r.spec(3, job.Dependency{Kind: job.Sequential})
	s.Retry.Attempts = 1
	r.submit(s)
	if got := r.take(); got != "start 1:0/1" {
		t.Fatal(got)
	}
	r.report("h0", exited(lease(1, 0, 1), 0))
	if got := r.take(); got != "start 1:1/1" {
		t.Fatal(got)
	}
	r.report("h0", exited(lease(1, 1, 1), 1))
	r.want(1, job.Failed, map[job.Status]int32{job.Succeeded: 1, job.Failed: 2})
	if u := r.units["1:2"]; u.StatusReason != job.ReasonDependency {
		t.Errorf("the child behind the one that failed: %+v", u)
	}
}

func code(err error) string {
	if err == nil {
		return ""
	}
	return fault.From(err).Code
}

func TestSubmitRefusals(t *testing.T) {
	r := newRig(t)
	first := r.spec(5)
	first.Token = "t"
	r.submit(first)
	bad := func(change func(*job.Spec)) *job.Spec {
		s := r.spec(5)
		change(s)
		return s
	}
	for name, specs := range map[string][]*job.Spec{
		"unknown queue":            {bad(func(s *job.Spec) { s.Queue = "none" })},
		"disabled queue":           {bad(func(s *job.Spec) { s.Queue = "off" })},
		"unknown dependency":       {bad(func(s *job.Spec) { s.Dependencies = []job.Dependency{after(200)} })},
		"depends on itself":        {bad(func(s *job.Spec) { s.Dependencies = []job.Dependency{{ID: s.ID}} })},
		"N_TO_N of another size":   {bad(func(s *job.Spec) { s.Size, s.Dependencies = 4, []job.Dependency{paired(1)} })},
		"N_TO_N of a plain job":    {bad(func(s *job.Spec) { s.Size, s.Dependencies = 0, []job.Dependency{paired(1)} })},
		"an id that exists":        {bad(func(s *job.Spec) { s.ID = job.ID{1} })},
		"one token for two":        {bad(func(s *job.Spec) { s.Token = "u" }), bad(func(s *job.Spec) { s.Token = "u" })},
		"one id for two":           {bad(func(s *job.Spec) { s.ID = job.ID{99} }), bad(func(s *job.Spec) { s.ID = job.ID{99} })},
		"a token of another job":   {bad(func(s *job.Spec) { s.Token, s.Name = "t", "other" })},
		"another retry strategy":   {bad(func(s *job.Spec) { s.Token, s.Retry.Attempts = "t", 9 })},
		"other dependencies":       {bad(func(s *job.Spec) { s.Token, s.Dependencies = "t", []job.Dependency{paired(1)} })},
		"the second of two is bad": {bad(func(*job.Spec) {}), bad(func(s *job.Spec) { s.Queue = "none" })},
	} {
		if _, err := r.c.Submit(specs, r.now); err == nil {
			t.Errorf("%s: accepted", name)
		}
		if r.c.Pending() {
			t.Fatalf("%s: refused, and something was decided", name)
		}
	}
	same := r.spec(5)
	same.Token = "t"
	out, err := r.c.Submit([]*job.Spec{same}, r.now)
	if err != nil || !out[0].Repeated || out[0].ID != first.ID || r.c.Pending() {
		t.Errorf("the same request under its token: %+v, %v", out, err)
	}
}

// A job may depend on one before it in the same submission.
func TestSubmitSiblings(t *testing.T) {
	r := newRig(t, 4)
	a := r.spec(2)
	b := r.spec(2, job.Dependency{Kind: job.NToN, ID: a.ID})
	c := r.spec(0, job.Dependency{ID: b.ID})
	r.submit(a, b, c)
	r.report("h0", exited(lease(1, 0, 1), 0), exited(lease(1, 1, 1), 0))
	r.report("h0", exited(lease(2, 0, 1), 0), exited(lease(2, 1, 1), 0))
	r.report("h0", exited(lease(3, job.Whole, 1), 0))
	if r.rows[3].Status != job.Succeeded {
		t.Errorf("the last of the chain is %s: %v", r.rows[3].Status, r.moves)
	}
}

// Ended jobs leave memory; a submission that names them asks the journal, once.
func TestTryAsksTheJournal(t *testing.T) {
	r := newRig(t, 1)
	first := r.spec(0)
	first.Token = "t"
	r.submit(first)
	created := manager.Loaded{Spec: first, Row: r.rows[1]}
	r.report("h0", exited(lease(1, job.Whole, 1), 0))
	created.Row = r.rows[1]
	for range 4 {
		r.pass(20 * second)
		if err := r.c.Heartbeat("h0", "s-h0", r.now); err != nil {
			t.Fatal(err)
		}
		r.c.Tick(r.now)
	}
	again := r.spec(0)
	again.Token = "t"
	sub := &manager.Submission{Specs: []*job.Spec{again, r.spec(0, after(1), after(77))}}
	_, missing, err := r.c.Try(sub, r.now)
	if err != nil || !slices.Equal(missing.Tokens, []string{"t"}) || !slices.Equal(missing.IDs, []job.ID{{1}, {77}}) {
		t.Fatalf("missing %+v, %v", missing, err)
	}
	sub.Found(missing, []manager.Loaded{created})
	_, missing, err = r.c.Try(sub, r.now)
	if !missing.Empty() || err == nil || !strings.Contains(err.Error(), "does not exist") {
		t.Fatalf("the journal does not know job 77: missing %+v, %v", missing, err)
	}
	sub = &manager.Submission{Specs: []*job.Spec{again, r.spec(0, after(1))}}
	out, missing, err := r.c.Try(sub, r.now)
	if err != nil || !missing.Empty() || !out[0].Repeated || out[0].Key != 1 {
		t.Fatalf("it is back in memory: %+v %+v %v", out, missing, err)
	}
	// What was read before it ended is not taken in: nobody would follow it.
	ghost := r.spec(0)
	ghost.Key = 50
	r.c.Adopt([]manager.Loaded{{Spec: ghost, Row: manager.JobRow{Key: 50, Status: job.Running}}}, r.now)
	if _, err := r.c.Submit([]*job.Spec{r.spec(0, job.Dependency{ID: ghost.ID})}, r.now); err == nil {
		t.Error("a job that was read while it ran was adopted")
	}
}

// Two copies of a request look for their token, and find nothing. The job of the first one
// has ended and has left memory when the second goes on, after a pause of the process: it
// must look again.
func TestLookupThatIsOutOfDate(t *testing.T) {
	r := newRig(t, 1)
	copyOf := func() (*manager.Submission, *job.Spec) {
		s := r.spec(0)
		s.Token = "t"
		return &manager.Submission{Specs: []*job.Spec{s}}, s
	}
	try := func(c *manager.Core, sub *manager.Submission) ([]manager.Receipt, manager.Missing) {
		t.Helper()
		out, missing, err := c.Try(sub, r.now)
		if err != nil {
			t.Fatal(err)
		}
		return out, missing
	}
	first, spec := copyOf()
	next, _ := copyOf()
	third, _ := copyOf()
	for _, sub := range []*manager.Submission{first, next, third} {
		_, missing := try(r.c, sub)
		sub.Found(missing, nil)
	}
	if out, missing := try(r.c, first); len(out) != 1 || !missing.Empty() {
		t.Fatal("the first copy was not accepted", out, missing)
	}
	r.settle()
	created := manager.Loaded{Spec: spec, Row: r.rows[1]}
	r.report("h0", exited(lease(1, job.Whole, 1), 0))
	created.Row = r.rows[1]
	r.pass(100 * second)
	r.c.Tick(r.now)
	_, missing := try(r.c, next)
	if !slices.Equal(missing.Tokens, []string{"t"}) {
		t.Fatal("what was found 100 s ago was believed")
	}
	next.Found(missing, []manager.Loaded{created})
	if out, missing := try(r.c, next); len(out) != 1 || !out[0].Repeated || out[0].Key != 1 || !missing.Empty() {
		t.Error("the second copy is another job:", out, missing)
	}
	// A Core that was made anew knows nothing of what has ended.
	fresh := manager.New(manager.Options{LeaseTTL: 30 * second, KeepEnded: 60 * second}, manager.Image{NextKey: 2,
		Queues: []job.Queue{{Name: "default", Enabled: true}}}, r.now)
	if _, missing := try(fresh, third); !slices.Equal(missing.Tokens, []string{"t"}) {
		t.Error("a new Core believed what an earlier one was told")
	}
}

func TestHello(t *testing.T) {
	r := newRig(t, 4)
	r.submit(r.spec(3))
	if got := r.take(); got != "start 1:0/1, start 1:1/1, start 1:2/1" {
		t.Fatal(got)
	}
	if err := r.c.Terminate(job.ID{1}, 2, "stop", r.now); err != nil {
		t.Fatal(err)
	}
	r.settle()
	if got := r.take(); got != "stop 1:2/1" {
		t.Fatal(got)
	}
	// The worker comes back: it has 0 and 2, never got 1, and has things that are not its own.
	drop := r.hello("h0", "b", 4, lease(1, 0, 1), lease(1, 2, 1), lease(1, 1, 7), lease(9, 0, 1))
	r.settle()
	if got := r.take(); got != "start 1:1/1, stop 1:2/1" || !slices.Equal(drop, []job.Lease{lease(1, 1, 7), lease(9, 0, 1)}) {
		t.Errorf("sent %s, drop %v", got, drop)
	}
	// Its launcher is a new one: everything it had is lost, and starts again under a new fence.
	drop = r.hello("h0", "b2", 4, lease(1, 0, 1))
	r.settle()
	if got := r.take(); got != "start 1:0/2, start 1:1/2" || len(drop) != 1 {
		t.Errorf("sent %s, drop %v", got, drop)
	}
	if u := r.units["1:2"]; u.Status != job.Failed || u.StatusReason != "stop" || u.AttemptWhy != job.HostLost("h0") {
		t.Errorf("what was being stopped: %+v", u)
	}
	if refused := r.report("h0", exited(lease(1, 0, 1), 0), exited(lease(1, 2, 1), 0), exited(lease(8, 0, 1), 0)); code(refused[0]) != "StaleFence" || code(refused[1]) != "AlreadySettled" || code(refused[2]) != "UnknownJob" {
		t.Errorf("refused %v", refused)
	}
}

func TestLeases(t *testing.T) {
	r := newRig(t, 1)
	one := r.spec(0)
	one.Retry.Attempts = 1
	r.submit(one)
	for range 29 {
		r.pass(second)
		r.c.Tick(r.now)
	}
	if !r.c.Holds(lease(1, job.Whole, 1)) || r.c.Holds(lease(1, job.Whole, 2)) {
		t.Fatal("the lease is not held before it ran out, or under another fence")
	}
	r.pass(300 * second) // the manager's process stood still: it could not have heard
	r.c.Tick(r.now)
	for range 30 {
		r.pass(second)
		r.c.Tick(r.now)
	}
	if !r.c.Holds(lease(1, job.Whole, 1)) {
		t.Fatal("no term of grace after a pause")
	}
	r.pass(2 * second)
	r.c.Tick(r.now)
	r.settle()
	if r.c.Holds(lease(1, job.Whole, 1)) || r.units["1:-1"].StatusReason != job.HostLost("h0") {
		t.Errorf("a silent host: %+v", r.units["1:-1"])
	}
	if err := r.c.Heartbeat("h0", "s-h0", r.now); code(err) != "UnknownSession" {
		t.Errorf("its heartbeat: %v", err)
	}
	if last := r.hosts[len(r.hosts)-1]; !last.Gone || last.Session != "s-h0" {
		t.Errorf("its row: %+v", last)
	}
}

// A report of an end says the start too, so that no status is skipped; and clocks that jump
// do not make times run backwards.
func TestEndWithoutStart(t *testing.T) {
	r := newRig(t, 1)
	r.submit(r.spec(0))
	r.moves = nil
	r.now.Wall -= 500 * second
	r.report("h0", exited(lease(1, job.Whole, 1), 0))
	if got := strings.Join(r.moves, " "); got != "1[-1--1] STARTING>RUNNING 1[-1--1] RUNNING>SUCCEEDED" {
		t.Error(got)
	}
	if u := r.units["1:-1"]; u.Started < u.Placed || u.Stopped < u.Started {
		t.Errorf("times run backwards: %+v", u)
	}
}

func TestDeleteQueue(t *testing.T) {
	r := newRig(t, 2)
	r.submit(r.spec(3))
	r.submit(r.spec(0, after(1)))
	if err := r.c.DeleteQueue("default", r.now); code(err) != "ClientException" {
		t.Errorf("an enabled queue was deleted: %v", err)
	}
	if _, err := r.c.UpdateQueue("default", func(q *job.Queue) error { q.Enabled = false; return nil }); err != nil {
		t.Fatal(err)
	}
	if err := r.c.DeleteQueue("default", r.now); err != nil {
		t.Fatal(err)
	}
	r.settle()
	r.want(1, job.Pending, map[job.Status]int32{job.Starting: 2, job.Failed: 1})
	r.want(2, job.Failed, nil)
	r.report("h0", exited(lease(1, 0, 1), 143), exited(lease(1, 1, 1), 143))
	r.want(1, job.Failed, map[job.Status]int32{job.Failed: 3})
	if err := r.c.DeleteQueue("default", r.now); err != nil {
		t.Errorf("deleted twice: %v", err)
	}
}

func TestPost(t *testing.T) {
	p := manager.NewPost()
	send := func(host, session string, n int) {
		var sends []manager.Send
		for range n {
			sends = append(sends, manager.Send{Host: host, Session: session, Stop: &manager.StopOrder{}})
		}
		p.Deliver(sends)
	}
	if _, _, err := p.Collect("h", "s1", 0); code(err) != "UnknownSession" {
		t.Errorf("no session yet: %v", err)
	}
	p.Open("h", "s1")
	letters, wake, err := p.Collect("h", "s1", 0)
	if err != nil || len(letters) != 0 {
		t.Fatal(letters, err)
	}
	send("h", "s0", 1) // of a session that has ended
	select {
	case <-wake:
		t.Error("woken for another session's message")
	default:
	}
	send("h", "s1", 300)
	select {
	case <-wake:
	default:
		t.Error("not woken")
	}
	letters, _, _ = p.Collect("h", "s1", 0)
	if len(letters) != 256 || letters[0].Seq != 1 {
		t.Errorf("%d letters from %d", len(letters), letters[0].Seq)
	}
	again, _, _ := p.Collect("h", "s1", 0)
	if len(again) != 256 || again[0].Seq != 1 {
		t.Error("what was not acknowledged did not come again")
	}
	letters, _, _ = p.Collect("h", "s1", 256)
	if len(letters) != 44 || letters[0].Seq != 257 {
		t.Errorf("%d letters behind 256", len(letters))
	}
	_, wake, _ = p.Collect("h", "s1", 300)
	p.Open("h", "s2")
	select {
	case <-wake:
	default:
		t.Error("the end of the session did not wake its poll")
	}
	if _, _, err := p.Collect("h", "s1", 300); code(err) != "UnknownSession" {
		t.Errorf("an ended session: %v", err)
	}
	p.Done(&manager.Batch{Hosts: []manager.HostRow{{ID: "h", Gone: true, Session: "s1"}}})
	if _, _, err := p.Collect("h", "s2", 0); err != nil {
		t.Errorf("the end of the session before ended this one: %v", err)
	}
	p.Done(&manager.Batch{Hosts: []manager.HostRow{{ID: "h", Gone: true, Session: "s2"}}})
	if _, _, err := p.Collect("h", "s2", 0); code(err) != "UnknownSession" {
		t.Errorf("a host that was given up: %v", err)
	}
}

// Answers leave when the batch they rest on is durable, in order, and not before.
func TestDesk(t *testing.T) {
	r := newRig(t)
	d := manager.NewDesk(r.c, manager.NewPost())
	var answers []string
	take := func(name string, run func(c *manager.Core)) {
		d.Take(manager.Command{Run: func(c *manager.Core, _ manager.Instant) { run(c) }, Answer: func(err error) { answers = append(answers, fmt.Sprint(name, " ", err)) }}, r.now)
	}
	var done []func(error)
	var seqs []int64
	decide := func() {
		d.Decide(r.now, func() bool { return false }, func(b *manager.Batch, f func(error)) { done, seqs = append(done, f), append(seqs, b.Seq) })
	}
	said := func(want ...string) {
		t.Helper()
		if !slices.Equal(answers, want) {
			t.Fatalf("answers %q, want %q", answers, want)
		}
	}
	submit := func(c *manager.Core) {
		if _, err := c.Submit([]*job.Spec{r.spec(0)}, r.now); err != nil {
			t.Error(err)
		}
	}
	look := func(*manager.Core) {}

	take("look", look)
	decide()
	said("look <nil>") // nothing is under way that it could have seen
	answers = nil
	take("submit", submit)
	decide()
	take("look", look) // it has seen the submit, which is not durable
	decide()
	if said(); len(done) != 2 || d.Room() || d.InFlight() != 2 {
		t.Fatalf("%d batches, room %t", len(done), d.Room())
	}
	take("late", submit)
	decide()
	if len(done) != 2 {
		t.Fatal("a third batch, though there is room for two")
	}
	done[0](nil)
	said("submit <nil>")
	d.Settled(seqs[0], nil)
	done[1](nil)
	d.Settled(seqs[1], nil)
	said("submit <nil>", "look <nil>")
	decide()
	full := errors.New("full")
	done[2](full)
	d.Settled(seqs[2], full)
	said("submit <nil>", "look <nil>", "late full")
	take("lost", submit)
	d.Abandon(full)
	said("submit <nil>", "look <nil>", "late full", "lost full")
}
