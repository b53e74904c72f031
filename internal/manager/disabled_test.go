package manager_test

import (
	"strings"
	"testing"

	"drover/internal/core/job"
	"drover/internal/core/resource"
	"drover/internal/core/sched"
	"drover/internal/manager"
)

// A disabled queue takes no new jobs and says so; those that it has are no worse off: they
// wait for the reason that they had, and start (AWS Batch User Guide, job queue state).
func TestDisabledQueue(t *testing.T) {
	now := manager.Instant{Wall: 1_000_000_000_000_000}
	c := manager.New(manager.Options{LeaseTTL: 1 << 60}, manager.Image{
		Environments: []job.Environment{{Name: "local", Managed: true, Enabled: true, MaxMilliVCPU: 1 << 40, HostJobs: true}},
		Queues:       []job.Queue{{Name: "default", Priority: 1, Enabled: true, Environments: []string{"local"}}},
	}, now)
	s := spec(0)
	s.ID[0] = 1
	if _, err := c.Submit([]*job.Spec{s}, now); err != nil {
		t.Fatal(err)
	}
	if _, err := c.UpdateQueue("default", func(q *job.Queue) error { q.Enabled = false; return nil }); err != nil {
		t.Fatal(err)
	}
	late := spec(0)
	late.ID[0] = 2
	if _, err := c.Submit([]*job.Spec{late}, now); err == nil || !strings.Contains(err.Error(), "default is DISABLED; enable it with UpdateJobQueue") {
		t.Errorf("a submission to a disabled queue: %v", err)
	}
	if w := c.Explain(s.ID, job.Whole, now.Wall); w == nil || w.Code != sched.CodeNoHost {
		t.Errorf("the job waits for a host, and says %+v", w)
	}
	c.Hello(manager.Hello{Host: "h", Boot: "b", Capacity: resource.Vector{MilliVCPU: 1000, MemoryMiB: 100}, Executors: []string{"process"}}, "s", now)
	if n := c.Schedule(10, now); n != 1 {
		t.Errorf("%d jobs of the disabled queue start", n)
	}
}

// What waits for a dependency says for how many, and how it goes on.
func TestDependencyWait(t *testing.T) {
	now := manager.Instant{Wall: 1_000_000_000_000_000}
	c := manager.New(manager.Options{LeaseTTL: 1 << 60}, manager.Image{
		Environments: []job.Environment{{Name: "local", Managed: true, Enabled: true, MaxMilliVCPU: 1 << 40, HostJobs: true}},
		Queues:       []job.Queue{{Name: "default", Priority: 1, Enabled: true, Environments: []string{"local"}}},
	}, now)
	first, second := spec(0), spec(0)
	first.ID[0], second.ID[0] = 1, 2
	second.Dependencies = []job.Dependency{{Kind: job.AfterJob, ID: first.ID}}
	if _, err := c.Submit([]*job.Spec{first, second}, now); err != nil {
		t.Fatal(err)
	}
	if w := c.Explain(second.ID, job.Whole, now.Wall); w == nil || w.Code != sched.CodeDependency || w.Reason != "waits for 1 of 1 jobs it depends on" || w.Remedy == "" {
		t.Errorf("%+v", w)
	}
}
