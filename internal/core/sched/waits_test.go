package sched_test

import (
	"strings"
	"testing"

	"drover/internal/core/job"
	"drover/internal/core/resource"
	"drover/internal/core/sched"
)

// This is the catalogue of why a unit waits: one situation a row, built on a queue q
// of one environment local of 100 vCPUs with one host h0 of 4 vCPUs and 1000 MiB. The unit
// that is asked about is job 50. What waits for a dependency never comes here: the manager
// explains it.

const asked = job.Key(50)

func demand(vcpus int64) sched.Demand { return sched.Demand{Shape: process(vcpus * 1000)} }

func queueWith(tags map[string]string) job.Queue {
	return job.Queue{Name: "q", Priority: 1, Enabled: true, Environments: []string{"local"}, Tags: tags}
}

// takes starts units that hold vCPUs on h0.
func takes(s *sched.State, k job.Key, d sched.Demand) {
	s.Take(job.Ref{Key: k, Index: job.Whole}, "q", d, []string{"h0"}, "local", 1_000_000*µs)
}

// others waits jobs that come before the one asked about.
func others(s *sched.State, d sched.Demand, keys ...job.Key) {
	for _, k := range keys {
		s.Add("q", d, k, false, job.Whole, job.Whole+1)
	}
}

func licensed(vcpus, n int64) sched.Demand {
	d := demand(vcpus)
	d.Tokens = []sched.Token{{Name: "licence", Quantity: n}}
	return d
}

func shared(vcpus int64, share string) sched.Demand {
	d := demand(vcpus)
	d.Share = share
	return d
}

var situations = []struct {
	name  string
	ask   sched.Demand
	build func(s *sched.State)
	code  string
	words string
	place int64 // position
}{
	{"next", demand(1), nil, sched.CodeNext, "the job is next", 1},
	{"the queue is gone", demand(1), func(s *sched.State) { s.RemoveQueue("q") }, sched.CodeDisabled, "job queue q does not exist", 0},
	{"no environment", demand(1), func(s *sched.State) { s.SetQueue(job.Queue{Name: "q"}) }, sched.CodeDisabled, "has no compute environment", 1},
	{"environment disabled", demand(1), func(s *sched.State) { s.SetEnvironment(job.Environment{Name: "local"}) }, sched.CodeDisabled, "compute environment local is disabled", 1},
	{"environment gone", demand(1), func(s *sched.State) { s.RemoveEnvironment("local") }, sched.CodeDisabled, "local is disabled", 1},
	{"host jobs not allowed", demand(1), func(s *sched.State) {
		s.SetEnvironment(job.Environment{Name: "local", Enabled: true, MaxMilliVCPU: 100_000})
	}, sched.CodeHostJobs, "does not allow that", 1},
	{"above maxvCpus", demand(101), nil, sched.CodeEnvironment, "asked 101.0 vCPUs, compute environment local has maxvCpus 100.0", 1},
	{"no worker", demand(1), func(s *sched.State) { s.OpenHost("h0", false) }, sched.CodeNoHost, "no worker is connected", 1},
	{"no container engine", sched.Demand{Shape: sched.Shape{Need: vector(1000, 1), Executor: sched.Docker}}, nil, sched.CodeEngine, "needs a container engine", 1},
	{"no host runs processes", demand(1), func(s *sched.State) { s.SetHost("h0", vector(4000, 1000), []string{sched.Docker}) }, sched.CodeNoHost, "runs processes", 1},
	{"a pool without hosts", demand(1), func(s *sched.State) {
		s.SetEnvironment(job.Environment{Name: "local", Enabled: true, HostJobs: true, MaxMilliVCPU: 100_000, Tags: map[string]string{sched.TagRequires: "pool=night"}})
	}, sched.CodeConstraint, "local has hosts with pool=night only, and of the 1 that could run the job none is so: pool=night is missing", 1},
	{"no host of the instance types", demand(1), func(s *sched.State) {
		s.SetEnvironment(job.Environment{Name: "local", Enabled: true, HostJobs: true, MaxMilliVCPU: 100_000, Types: []string{"m5", "c5.large"}})
		s.SetHost("h0", vector(4000, 1000), []string{sched.Process, "type=c5.xlarge"})
	}, sched.CodeConstraint, "type=m5.*|c5.large is missing", 1},
	{"too many vCPUs for any host", demand(5), nil, sched.CodeResource, "VCPU: asked 5.0, available 4.0", 1},
	{"too much memory for any host", sched.Demand{Shape: sched.Shape{Need: vector(1000, 2000), Executor: sched.Process}}, nil, sched.CodeResource, "MEMORY: asked 2000 MiB, available 1000 MiB", 1},
	{"no host has a GPU", sched.Demand{Shape: sched.Shape{Need: resource.Vector{MilliVCPU: 1000, GPU: 1}, Executor: sched.Process}}, nil, sched.CodeResource, "GPU: asked 1, available 0", 1},
	{"all GPUs busy", sched.Demand{Shape: sched.Shape{Need: resource.Vector{MilliVCPU: 1000, GPU: 1}, Executor: sched.Process}}, func(s *sched.State) {
		s.SetHost("h0", resource.Vector{MilliVCPU: 4000, MemoryMiB: 1000, GPU: 1}, []string{sched.Process})
		takes(s, 1, sched.Demand{Shape: sched.Shape{Need: resource.Vector{MilliVCPU: 1000, GPU: 1}, Executor: sched.Process}})
	}, sched.CodeCapacity, "GPU: asked 1, available 0", 1},
	{"no host has what it requires", sched.Demand{Shape: sched.Shape{Need: vector(1000, 1), Executor: sched.Process, Wants: "arch=ARM64 gpu=A100|V100"}}, func(s *sched.State) {
		s.SetHost("h0", vector(4000, 1000), []string{sched.Process, "arch=ARM64", "gpu=T4"})
	}, sched.CodeConstraint, "wants hosts with arch=ARM64 gpu=A100|V100, and of the 1 that could run it none is so: gpu=A100|V100 is missing", 1},
	{"vCPUs busy", demand(2), func(s *sched.State) { takes(s, 1, demand(3)) }, sched.CodeCapacity, "hosts are busy: VCPU: asked 2.0, available 1.0", 1},
	{"memory busy", sched.Demand{Shape: sched.Shape{Need: vector(1000, 600), Executor: sched.Process}}, func(s *sched.State) {
		takes(s, 1, sched.Demand{Shape: sched.Shape{Need: vector(1000, 600), Executor: sched.Process}})
	}, sched.CodeCapacity, "MEMORY: asked 600 MiB, available 400 MiB", 1},
	{"environment full", demand(2), func(s *sched.State) {
		s.SetEnvironment(job.Environment{Name: "local", Enabled: true, HostJobs: true, MaxMilliVCPU: 4000})
		s.Take(job.Ref{Key: 1, Index: job.Whole}, "q", demand(3), []string{"elsewhere"}, "local", 0)
	}, sched.CodeCapacity, "runs 3.0 of its 4.0 vCPUs, the job asks 2.0", 1},
	{"licences in use", licensed(1, 2), func(s *sched.State) {
		s.SetToken("licence", 3, true)
		takes(s, 1, licensed(1, 2))
	}, sched.CodeToken, "consumable resource licence: asked 2, available 1 of 3", 1},
	{"more licences than there are", licensed(1, 5), func(s *sched.State) { s.SetToken("licence", 3, true) }, sched.CodeToken, "asked 5, there are 3 in all", 1},
	{"no such licence", licensed(1, 1), nil, sched.CodeToken, "licence does not exist", 1},
	{"licences spent", licensed(1, 2), func(s *sched.State) {
		s.SetToken("licence", 3, false)
		takes(s, 1, licensed(1, 2))
		s.Release(job.Ref{Key: 1, Index: job.Whole}, 1_000_001*µs)
	}, sched.CodeToken, "asked 2, there are 1 in all", 1},
	{"licences kept for another job", licensed(1, 1), func(s *sched.State) {
		s.SetQueue(queueWith(map[string]string{sched.TagPolicy: sched.Easy}))
		s.SetToken("licence", 3, true)
		takes(s, 1, licensed(1, 2))
		others(s, licensed(1, 3), 2)
		s.Decide(1_000_001*µs, 10)
	}, sched.CodeToken, "kept for a job of queue q", 2},
	{"quota share full", shared(2, "team"), func(s *sched.State) {
		s.SetQuotas("q", []sched.QuotaShare{{Name: "team", Limit: sched.Limit{MilliVCPU: 3000}}})
		takes(s, 1, shared(2, "team"))
	}, sched.CodeQuota, "quota share team runs 2.0 of its 3.0 vCPUs, the job asks 2.0", 1},
	{"computeReservation", shared(3, "a"), func(s *sched.State) {
		s.SetEnvironment(job.Environment{Name: "local", Enabled: true, HostJobs: true, MaxMilliVCPU: 4000})
		s.SetPolicy("q", &sched.FairShare{ComputeReservation: 50})
	}, sched.CodeReserve, "the computeReservation of 50 % leaves 2.0 to the 1 active shares", 1},
	{"share over its part", shared(1, "a"), func(s *sched.State) {
		s.SetPolicy("q", &sched.FairShare{})
		takes(s, 1, shared(1, "a"))
		s.Add("q", shared(1, "b"), 2, false, job.Whole, job.Whole+1)
	}, sched.CodeShare, "share a has used more for its weight than share b", 1},
	{"behind a reservation", demand(1), func(s *sched.State) {
		s.SetQueue(queueWith(map[string]string{sched.TagPolicy: sched.Easy}))
		takes(s, 1, sched.Demand{Shape: process(3000), Timeout: 100})
		others(s, demand(4), 2)
		s.Decide(1_000_000*µs, 10)
	}, sched.CodeHold, "kept for the first job of queue q, which starts within 100 s", 2},
	{"behind maxvCpus kept for another queue", demand(1), func(s *sched.State) {
		s.SetEnvironment(job.Environment{Name: "local", Enabled: true, HostJobs: true, MaxMilliVCPU: 4000})
		s.SetHost("h0", vector(64_000, 1000), []string{sched.Process})
		s.SetQueue(job.Queue{Name: "p", Priority: 9, Enabled: true, Environments: []string{"local"}, Tags: map[string]string{sched.TagPolicy: sched.Easy}})
		takes(s, 1, demand(3))
		s.Add("p", demand(4), 2, false, job.Whole, job.Whole+1)
		s.Decide(1_000_000*µs, 10)
	}, sched.CodeHold, "vCPUs of compute environment local are kept for job queue p, whose first job asks 4.0", 1},
	{"behind the first of a strict queue", demand(1), func(s *sched.State) {
		s.SetQueue(queueWith(map[string]string{sched.TagPolicy: sched.Strict}))
		takes(s, 1, demand(2))
		others(s, demand(4), 2)
		s.Decide(1_000_000*µs, 10)
	}, sched.CodeStrict, "strictly in order", 2},
	{"too few hosts for a gang", sched.Demand{Shape: process(1000), Nodes: 5}, nil, sched.CodeGang, "needs 5 nodes at once, the connected hosts have room for 4", 1},
	{"a gang whose largest node fits nowhere", sched.Demand{Groups: []sched.Group{{Shape: process(1000), Nodes: 1}, {Shape: process(9000), Nodes: 1}}}, nil, sched.CodeResource, "no host is large enough", 1},
	{"a gang of two sizes short of nodes", sched.Demand{Groups: []sched.Group{{Shape: process(1000), Nodes: 1}, {Shape: process(3000), Nodes: 1}}}, func(s *sched.State) {
		takes(s, 1, demand(1))
	}, sched.CodeGang, "needs 2 nodes at once, 1 have room", 1},
	{"a gang short of free nodes", sched.Demand{Shape: process(4000), Nodes: 2}, func(s *sched.State) {
		s.SetHost("h1", vector(4000, 1000), []string{sched.Process})
		s.OpenHost("h1", true)
		takes(s, 1, demand(1))
	}, sched.CodeGang, "needs 2 nodes at once, 1 have room", 1},
	{"far behind", demand(4), func(s *sched.State) {
		takes(s, 1, demand(1))
		others(s, demand(4), 2, 3, 4)
		s.Add("q", demand(4), 5, false, 0, 10)
	}, sched.CodeCapacity, "hosts are busy", 14},
}

func TestSituations(t *testing.T) {
	if len(situations) < 25 {
		t.Fatalf("%d situations", len(situations))
	}
	for _, c := range situations {
		s := cluster(4)
		if c.build != nil {
			c.build(s)
		}
		s.Add("q", c.ask, asked, false, job.Whole, job.Whole+1)
		r := s.Explain("q", c.ask, job.Ref{Key: asked, Index: job.Whole}, 1_000_000*µs)
		if r.Code != c.code || !strings.Contains(r.Text, c.words) || r.Position != c.place {
			t.Errorf("%s: %+v\nwant %s with %q at position %d", c.name, r, c.code, c.words, c.place)
		}
		if (r.Remedy == "") != (c.code == sched.CodeNext) {
			t.Errorf("%s: what would unblock it: %q", c.name, r.Remedy)
		}
		// What is explained is what happens: it starts only if it is said to be next.
		started := false
		for _, p := range s.Decide(1_000_000*µs, 100).Places {
			started = started || p.Ref.Key == asked
		}
		if said := r.Code == sched.CodeNext || r.Code == sched.CodeShare; started != said {
			t.Errorf("%s: started %v, but it was said: %+v", c.name, started, r)
		}
	}
}
