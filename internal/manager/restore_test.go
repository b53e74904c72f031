package manager

import (
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"drover/internal/core/job"
	"drover/internal/core/resource"
	"drover/internal/store"
	"drover/internal/store/storetest"
)

// A Core that is made of the rows of a real store, in several parts, is the one that left them.
func TestRestore(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		j, err := NewJournal(t.Context(), db)
		if err != nil {
			t.Fatal(err)
		}
		m := &Manager{opt: DefaultOptions(), journal: j, db: db, log: slog.New(slog.DiscardHandler), start: time.Now()}
		c, err := m.restore(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		leaveAllKinds(t, c, func() {
			b, done := c.Take(), make(chan error, 1)
			j.Commit(b, func(err error) { done <- err })
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			c.Committed(b.Seq)
		})
		again, err := m.restore(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(c.Picture(), again.Picture()); d != "" {
			t.Error(d)
		}
		if c.shelf.n < 2*loadChunk || again.shelf.n != c.shelf.n {
			t.Errorf("%d jobs lie on the shelf, %d after the restart", c.shelf.n, again.shelf.n)
		}
	})
}

// leaveAllKinds leaves jobs of every kind that a restart may find.
func leaveAllKinds(t *testing.T, c *Core, commit func()) {
	now := Instant{Wall: 1_700_000_000_000_000, Mono: 1}
	n := 0
	submit := func(change func(*job.Spec)) *job.Spec {
		n++
		now.Wall, now.Mono = now.Wall+1000, now.Mono+1000
		s := &job.Spec{Version: job.SpecVersion, ID: NewID(time.UnixMicro(now.Wall)), Name: fmt.Sprint("j-", n), Queue: "q", Definition: "d:1", Image: job.HostImage, Command: []string{"run", fmt.Sprint(n)},
			Need: resource.Vector{MilliVCPU: 1000, MemoryMiB: 4}, Retry: job.Retry{Attempts: 2}, Tags: map[string]string{"n": fmt.Sprint(n % 7)}}
		change(s)
		if _, err := c.Submit([]*job.Spec{s}, now); err != nil {
			t.Fatal(err)
		}
		return s
	}
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	check(c.CreateEnvironment(job.Environment{Name: "e", Managed: true, Enabled: true, MaxMilliVCPU: 64000, HostJobs: true}))
	check(c.CreateQueue(job.Queue{Name: "q", Enabled: true, Environments: []string{"e"}}))
	c.Hello(Hello{Host: "h", Boot: "b", Capacity: resource.Vector{MilliVCPU: 10_000, MemoryMiB: 1000}, Executors: []string{"process"}}, "s", now)
	end := func(s *job.Spec, i int32, code int32) {
		t.Helper()
		u := c.entry(s.Key).get(i)
		refused, err := c.Report("h", "s", []job.Report{{Lease: u.Lease(job.Ref{Key: s.Key, Index: i}), Exit: &job.Exit{Code: &code}}}, now)
		check(err)
		if refused != nil {
			t.Fatal(refused)
		}
	}
	plain := func(*job.Spec) {}
	ended, retried, array := submit(plain), submit(plain), submit(func(s *job.Spec) { s.Size = 5 })
	c.Schedule(100, now)
	end(ended, job.Whole, 0)
	end(array, 1, 0)
	end(array, 3, 1) // waits for another attempt
	submit(func(s *job.Spec) { s.Need.MilliVCPU = 2000 })
	c.Schedule(100, now) // fills the host but for what is lent back below
	commit()
	end(retried, job.Whole, 1)
	var last *job.Spec
	for range 2*loadChunk + 50 {
		last = submit(func(s *job.Spec) {
			s.Need.MilliVCPU = 50_000
			s.Dependencies = []job.Dependency{{ID: ended.ID}}
		})
	}
	waiting := submit(func(s *job.Spec) { s.Dependencies = []job.Dependency{{ID: last.ID}} })
	submit(func(s *job.Spec) { s.Dependencies = []job.Dependency{{ID: waiting.ID}, {ID: ended.ID}} })
	submit(func(s *job.Spec) { s.Size, s.Need.MilliVCPU = 10_000, 50_000 })
	cancelled := submit(func(s *job.Spec) { s.Size, s.Need.MilliVCPU = 10, 50_000 })
	commit()
	check(c.Cancel(cancelled.ID, 4, "not this one", now))
	check(c.Cancel(submit(plain).ID, job.Whole, "nor this", now))
	if !c.TagJob(last.ID, map[string]string{"colour": "red"}, []string{"n"}) {
		t.Fatal("not tagged")
	}
	for c.Work(now); c.Busy(); c.Work(now) {
	}
	commit()
}
