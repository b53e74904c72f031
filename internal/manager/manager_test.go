package manager_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"drover/internal/core/job"
	"drover/internal/core/resource"
	"drover/internal/manager"
	"drover/internal/store"
	"drover/internal/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

// open starts a manager on db with one queue and one environment.
func open(t *testing.T, db *store.DB) *manager.Manager {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	m, err := manager.Open(ctx, db, manager.DefaultOptions(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- m.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return m
}

func setUp(t *testing.T, m *manager.Manager) {
	t.Helper()
	ctx := t.Context()
	if err := m.CreateEnvironment(ctx, job.Environment{Name: "local", Managed: true, Enabled: true, MaxMilliVCPU: 64000, HostJobs: true}); err != nil {
		t.Fatal(err)
	}
	if err := m.CreateQueue(ctx, job.Queue{Name: "default", Priority: 1, Enabled: true, Environments: []string{"local"}}); err != nil {
		t.Fatal(err)
	}
}

func spec(size int32) *job.Spec {
	return &job.Spec{Name: "j", Queue: "default", Definition: "d:1", Image: job.HostImage, Command: []string{"true"},
		Need: resource.Vector{MilliVCPU: 1000, MemoryMiB: 4}, Size: size, Retry: job.Retry{Attempts: 1}}
}

func submit(t *testing.T, m *manager.Manager, s *job.Spec) job.ID {
	t.Helper()
	r, err := m.Submit(t.Context(), []*job.Spec{s})
	if err != nil {
		t.Fatal(err)
	}
	return r[0].ID
}

// worker answers every assignment with the exit code that code gives.
func worker(t *testing.T, m *manager.Manager, host string, vcpus int64, code func(job.Lease) int32) {
	t.Helper()
	ctx := t.Context()
	session, _, err := m.Hello(ctx, manager.Hello{Host: host, Boot: "b", Capacity: resource.Vector{MilliVCPU: vcpus * 1000, MemoryMiB: 1 << 20}, Executors: []string{"process"}})
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		ack := int64(0)
		for ctx.Err() == nil {
			letters, err := m.Poll(ctx, host, session, ack, time.Second)
			if err != nil {
				return
			}
			var reports []job.Report
			for _, l := range letters {
				ack = l.Seq
				if l.Start != nil {
					c := code(l.Start.Lease)
					x := &job.Exit{Code: &c}
					if c != 0 {
						x.Cause = job.CauseExit
					}
					reports = append(reports, job.Report{Lease: l.Start.Lease, Started: true, Exit: x})
				}
			}
			if len(reports) > 0 {
				if _, err := m.ReportAttempts(ctx, host, session, reports); err != nil {
					return
				}
			}
		}
	}()
}

func waitFor(t *testing.T, m *manager.Manager, name string, want job.Status) manager.View {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		ch := m.Changed()
		v, err := m.Describe(t.Context(), []string{name})
		if err != nil {
			t.Fatal(err)
		}
		if len(v) == 1 && v[0].Unit.Status == want {
			return v[0]
		}
		if time.Now().After(deadline) {
			t.Fatalf("job %s did not become %s: %+v", name, want, v)
		}
		select {
		case <-ch:
		case <-time.After(time.Second):
		}
	}
}

func ok(job.Lease) int32 { return 0 }

func TestPlainAndArray(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		m := open(t, db)
		setUp(t, m)
		plain := submit(t, m, spec(0))
		v, err := m.Describe(t.Context(), []string{plain.String()})
		if err != nil || len(v) != 1 || v[0].Unit.Status != job.Runnable || v[0].Wait == nil {
			t.Fatalf("before any worker: %+v, %v", v, err)
		}
		worker(t, m, "i-00000000000000001", 4, ok)
		got := waitFor(t, m, plain.String(), job.Succeeded)
		if len(got.Attempts) != 1 || got.Attempts[0].Exit == nil || got.Unit.Stopped == 0 {
			t.Errorf("attempts of a plain job: %+v", got)
		}
		array := submit(t, m, spec(1000))
		got = waitFor(t, m, array.String(), job.Succeeded)
		if got.Counts[job.Succeeded] != 1000 {
			t.Errorf("counts = %v", got.Counts)
		}
		r, err := m.Report(t.Context(), array)
		if err != nil || r.Attempts != 1000 {
			t.Errorf("report = %+v, %v", r, err)
		}
		tr, err := m.Transitions(t.Context(), 0, 100000)
		if err != nil || len(tr) < 4 {
			t.Errorf("transitions = %d, %v", len(tr), err)
		}
	})
}

func TestDependencies(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		m := open(t, db)
		setUp(t, m)
		a := submit(t, m, spec(50))
		s := spec(50)
		s.Dependencies = []job.Dependency{{Kind: job.NToN, ID: a}}
		b := submit(t, m, s)
		s = spec(0)
		s.Dependencies = []job.Dependency{{Kind: job.AfterJob, ID: b}}
		last := submit(t, m, s)
		s = spec(20)
		s.Dependencies = []job.Dependency{{Kind: job.Sequential}, {Kind: job.AfterJob, ID: a}}
		chain := submit(t, m, s)
		failing := spec(30)
		failing.Name = "failing"
		f := submit(t, m, failing)
		s = spec(30)
		s.Dependencies = []job.Dependency{{Kind: job.NToN, ID: f}}
		after := submit(t, m, s)
		fv, _ := m.Describe(t.Context(), []string{f.String()})
		worker(t, m, "i-00000000000000001", 4, func(l job.Lease) int32 {
			if l.Ref.Key == fv[0].Key && l.Ref.Index%3 == 0 {
				return 7
			}
			return 0
		})
		for _, id := range []job.ID{a, b, last, chain} {
			waitFor(t, m, id.String(), job.Succeeded)
		}
		waitFor(t, m, f.String(), job.Failed)
		v := waitFor(t, m, after.String(), job.Failed)
		if v.Counts[job.Succeeded] != 20 || v.Counts[job.Failed] != 10 {
			t.Errorf("N_TO_N on a partly failed array: %v", v.Counts)
		}
		r, err := m.Report(t.Context(), f)
		if err != nil || len(r.Failures) != 1 || r.Failures[0].Count != 10 || *r.Failures[0].ExitCode != 7 {
			t.Errorf("failures = %+v, %v", r.Failures, err)
		}
	})
}
