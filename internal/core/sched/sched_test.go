package sched_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"drover/internal/core/job"
	"drover/internal/core/resource"
	"drover/internal/core/sched"
)

func vector(milli, mib int64) resource.Vector {
	return resource.Vector{MilliVCPU: milli, MemoryMiB: mib}
}

func process(milli int64) sched.Shape {
	return sched.Shape{Need: vector(milli, 1), Executor: sched.Process}
}

func ask(s sched.Shape) sched.Demand { return sched.Demand{Shape: s} }

func decide(s *sched.State, limit int) []sched.Placement { return s.Decide(0, limit).Places }

// cluster is one queue on one environment of 100 vCPUs, and hosts with so many vCPUs each.
func cluster(vcpus ...int64) *sched.State {
	s := sched.New()
	s.SetEnvironment(job.Environment{Name: "local", Enabled: true, HostJobs: true, MaxMilliVCPU: 100_000})
	s.SetQueue(job.Queue{Name: "q", Priority: 1, Enabled: true, Environments: []string{"local"}})
	for i, v := range vcpus {
		id := fmt.Sprintf("h%d", i)
		s.SetHost(id, vector(v*1000, 1000), []string{sched.Process})
		s.OpenHost(id, true)
	}
	return s
}

func add(s *sched.State, queue string, shape sched.Shape, k job.Key) {
	s.Add(queue, ask(shape), k, false, job.Whole, job.Whole+1)
}

func keys(places []sched.Placement) string {
	var out []string
	for _, p := range places {
		out = append(out, fmt.Sprint(p.Ref.Key))
	}
	return strings.Join(out, " ")
}

func TestOrder(t *testing.T) {
	t.Run("first in, first out", func(t *testing.T) {
		s := cluster(2)
		for _, k := range []job.Key{3, 1, 2} {
			add(s, "q", process(1000), k)
		}
		if got := keys(decide(s, 10)); got != "1 2" {
			t.Error(got)
		}
	})
	t.Run("priority before age", func(t *testing.T) {
		s := cluster(2)
		s.SetQueue(job.Queue{Name: "high", Priority: 5, Enabled: true, Environments: []string{"local"}})
		add(s, "q", process(1000), 1)
		add(s, "q", process(1000), 2)
		add(s, "high", process(1000), 3)
		if got := keys(decide(s, 10)); got != "3 1" {
			t.Error(got)
		}
	})
	t.Run("a retried unit goes first", func(t *testing.T) {
		s := cluster(2)
		add(s, "q", process(1000), 1)
		s.Add("q", ask(process(1000)), 2, true, job.Whole, job.Whole+1)
		add(s, "q", process(1000), 3)
		if got := keys(decide(s, 10)); got != "2 1" {
			t.Error(got)
		}
	})
	t.Run("what does not fit is passed over", func(t *testing.T) {
		s := cluster(2)
		add(s, "q", process(4000), 1)
		add(s, "q", process(1000), 2)
		if got := keys(decide(s, 10)); got != "2" || s.Waiting() != 1 {
			t.Error(got, s.Waiting())
		}
	})
	t.Run("work spreads", func(t *testing.T) {
		s := cluster(2, 2)
		s.Add("q", ask(process(1000)), 1, false, 0, 4)
		var hosts []string
		for _, p := range decide(s, 10) {
			hosts = append(hosts, p.Host)
		}
		if got := strings.Join(hosts, " "); got != "h0 h1 h0 h1" {
			t.Error(got)
		}
	})
	t.Run("no more than asked for", func(t *testing.T) {
		s := cluster(8)
		s.Add("q", ask(process(1000)), 1, false, 0, 8)
		if got := decide(s, 3); len(got) != 3 || got[2].Ref != (job.Ref{Key: 1, Index: 2}) || s.Waiting() != 5 {
			t.Error(got, s.Waiting())
		}
	})
	t.Run("the environments of a queue in their order", func(t *testing.T) {
		s := cluster(8)
		s.SetEnvironment(job.Environment{Name: "first", Enabled: true, HostJobs: true, MaxMilliVCPU: 1000})
		s.SetQueue(job.Queue{Name: "q", Priority: 1, Enabled: true, Environments: []string{"first", "local"}})
		s.Add("q", ask(process(1000)), 1, false, 0, 2)
		if got := decide(s, 9); len(got) != 2 || got[0].Environment != "first" || got[1].Environment != "local" {
			t.Error(got)
		}
	})
}

// An environment that is removed while something runs in it, and comes back, is not empty.
func TestEnvironmentComesBack(t *testing.T) {
	s := cluster(8)
	small := job.Environment{Name: "small", Enabled: true, HostJobs: true, MaxMilliVCPU: 2000}
	s.SetEnvironment(small)
	s.SetQueue(job.Queue{Name: "q", Enabled: true, Environments: []string{"small"}})
	s.Add("q", ask(process(1000)), 1, false, 0, 6)
	first := decide(s, 9)
	s.RemoveEnvironment("small")
	if got := decide(s, 9); len(first) != 2 || len(got) != 0 {
		t.Fatalf("placed %v, and %v in an environment that is gone", first, got)
	}
	s.SetEnvironment(small)
	if got := decide(s, 9); len(got) != 0 {
		t.Errorf("it came back full, and took %v", got)
	}
	s.Release(first[0].Ref, 0)
	if got := decide(s, 9); len(got) != 1 {
		t.Errorf("one ended, and %v were placed", got)
	}
	s.RemoveEnvironment("small")
	s.Release(first[1].Ref, 0)
	s.Release(first[0].Ref, 0)
	if strings.Contains(s.Picture(), "small uses") {
		t.Errorf("it is empty and gone, and still there:\n%s", s.Picture())
	}
}

// Each reason names the check that fails, in the order in which they are made.
func TestExplain(t *testing.T) {
	docker := sched.Shape{Need: vector(1000, 1), Executor: sched.Docker}
	for _, c := range []struct {
		name  string
		shape sched.Shape
		build func(s *sched.State)
		code  string
		words string
	}{
		{"no queue", process(1000), func(s *sched.State) { s.RemoveQueue("q") }, sched.CodeDisabled, "job queue q"},
		{"no environment", process(1000), func(s *sched.State) { s.SetQueue(job.Queue{Name: "q"}) }, sched.CodeDisabled, "has no compute environment"},
		{"disabled", process(1000), func(s *sched.State) { s.SetEnvironment(job.Environment{Name: "local"}) }, sched.CodeDisabled, "local is disabled"},
		{"removed", process(1000), func(s *sched.State) { s.RemoveEnvironment("local") }, sched.CodeDisabled, "local"},
		{"host jobs", process(1000), func(s *sched.State) {
			s.SetEnvironment(job.Environment{Name: "local", Enabled: true, MaxMilliVCPU: 100_000})
		}, sched.CodeHostJobs, "does not allow"},
		{"above maxvCpus", process(101_000), func(*sched.State) {}, sched.CodeEnvironment, "asked 101.0 vCPUs, compute environment local has maxvCpus 100.0"},
		{"no worker", process(1000), func(s *sched.State) { s.OpenHost("h0", false) }, sched.CodeNoHost, "no worker"},
		{"no engine", docker, func(*sched.State) {}, sched.CodeEngine, "container engine"},
		{"no process executor", process(1000), func(s *sched.State) { s.SetHost("h0", vector(4000, 1000), []string{sched.Docker}) }, sched.CodeNoHost, "runs processes"},
		{"no host is large enough", process(5000), func(*sched.State) {}, sched.CodeResource, "VCPU: asked 5.0, available 4.0"},
		{"environment full", process(2000), func(s *sched.State) {
			s.Take(job.Ref{Key: 99}, "q", ask(process(99_000)), []string{"elsewhere"}, "local", 0)
		}, sched.CodeCapacity, "runs 99.0 of its 100.0 vCPUs"},
		{"hosts busy", process(2000), func(s *sched.State) { s.Take(job.Ref{Key: 99}, "q", ask(process(3000)), []string{"h0"}, "local", 0) }, sched.CodeCapacity, "hosts are busy: VCPU: asked 2.0, available 1.0"},
		{"next", process(2000), func(*sched.State) {}, sched.CodeNext, "next"},
	} {
		s := cluster(4)
		c.build(s)
		r := s.Explain("q", ask(c.shape), job.Ref{Key: 9, Index: job.Whole}, 0)
		if r.Code != c.code || !strings.Contains(r.Text, c.words) {
			t.Errorf("%s: %+v, want %s with %q", c.name, r, c.code, c.words)
		}
	}
	s := cluster(4)
	s.SetEnvironment(job.Environment{Name: "off"})
	s.SetQueue(job.Queue{Name: "q", Environments: []string{"off", "local"}})
	if r := s.Explain("q", ask(process(5000)), job.Ref{Key: 9, Index: job.Whole}, 0); r.Code != sched.CodeResource {
		t.Errorf("of two environments the one that comes closer explains: %+v", r)
	}
}

// model is what the properties of State are held against: every unit and host, plainly.
type model struct {
	s        *sched.State
	shapes   []sched.Shape
	waiting  map[job.Ref]waits
	running  []place
	capacity map[string]resource.Vector
	open     map[string]bool
	most     map[string]int64
}

type waits struct {
	queue string
	shape int
	again bool
}

type place struct {
	sched.Placement
	need resource.Vector
}

var queues = []job.Queue{
	{Name: "a", Priority: 1, Enabled: true, Environments: []string{"x", "y"}},
	{Name: "b", Priority: 9, Enabled: true, Environments: []string{"y"}},
}

func newModel(t *rapid.T) *model {
	m := &model{s: sched.New(), waiting: map[job.Ref]waits{}, capacity: map[string]resource.Vector{}, open: map[string]bool{}, most: map[string]int64{}}
	for _, q := range queues {
		m.s.SetQueue(q)
	}
	for _, name := range []string{"x", "y"} {
		m.setEnvironment(t, name)
	}
	for range 3 {
		m.shapes = append(m.shapes, sched.Shape{Need: vector(rapid.Int64Range(1, 6).Draw(t, "vcpu"), rapid.Int64Range(1, 6).Draw(t, "mem")), Executor: sched.Process})
	}
	return m
}

func (m *model) setEnvironment(t *rapid.T, name string) {
	m.most[name] = rapid.Int64Range(0, 20).Draw(t, "max")
	m.s.SetEnvironment(job.Environment{Name: name, Enabled: true, HostJobs: true, MaxMilliVCPU: m.most[name]})
}

func (m *model) used(by func(place) string) map[string]resource.Vector {
	out := map[string]resource.Vector{}
	for _, p := range m.running {
		out[by(p)] = out[by(p)].Add(p.need)
	}
	return out
}

func ofHost(p place) string        { return p.Host }
func ofEnvironment(p place) string { return p.Environment }

func TestSchedulerProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newModel(t)
		next := job.Key(1)
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			switch rapid.IntRange(0, 8).Draw(t, "what") {
			case 0, 1:
				w := waits{queue: rapid.SampledFrom([]string{"a", "b"}).Draw(t, "queue"), shape: rapid.IntRange(0, 2).Draw(t, "shape")}
				lo := rapid.Int32Range(0, 3).Draw(t, "lo")
				hi := lo + rapid.Int32Range(1, 4).Draw(t, "children")
				m.s.Add(w.queue, ask(m.shapes[w.shape]), next, w.again, lo, hi)
				m.s.Add(w.queue, ask(m.shapes[w.shape]), next, w.again, lo, hi) // waits already: not twice
				for i := lo; i < hi; i++ {
					m.waiting[job.Ref{Key: next, Index: i}] = w
				}
				next++
			case 2:
				m.remove(t)
			case 3:
				m.host(t)
			case 4:
				m.setEnvironment(t, rapid.SampledFrom([]string{"x", "y"}).Draw(t, "environment"))
			case 5:
				m.end(t)
			default:
				m.decide(t, rapid.IntRange(1, 8).Draw(t, "limit"))
			}
			m.check(t)
		}
	})
}

func (m *model) refs() []job.Ref {
	var refs []job.Ref
	for r := range m.waiting {
		refs = append(refs, r)
	}
	slices.SortFunc(refs, job.Ref.Compare)
	return refs
}

func (m *model) remove(t *rapid.T) {
	refs := m.refs()
	if len(refs) == 0 {
		return
	}
	r := rapid.SampledFrom(refs).Draw(t, "removed")
	w := m.waiting[r]
	m.s.Remove(w.queue, ask(m.shapes[w.shape]), r.Key, r.Index, r.Index+1)
	delete(m.waiting, r)
}

func (m *model) host(t *rapid.T) {
	id := rapid.SampledFrom([]string{"h0", "h1", "h2"}).Draw(t, "host")
	used := m.used(ofHost)[id]
	size := used.Add(vector(rapid.Int64Range(0, 8).Draw(t, "vcpu"), rapid.Int64Range(0, 8).Draw(t, "mem")))
	m.capacity[id], m.open[id] = size, rapid.Bool().Draw(t, "open")
	m.s.SetHost(id, size, []string{sched.Process})
	m.s.OpenHost(id, m.open[id])
}

// end gives back what one unit held; some wait for another attempt.
func (m *model) end(t *rapid.T) {
	if len(m.running) == 0 {
		return
	}
	i := rapid.IntRange(0, len(m.running)-1).Draw(t, "ended")
	p := m.running[i]
	m.running = slices.Delete(m.running, i, i+1)
	m.s.Release(p.Ref, 0)
	if rapid.Bool().Draw(t, "again") {
		shape := slices.IndexFunc(m.shapes, func(s sched.Shape) bool { return s.Need == p.need })
		w := waits{queue: rapid.SampledFrom([]string{"a", "b"}).Draw(t, "queue"), shape: shape, again: true}
		if p.Environment == "x" {
			w.queue = "a"
		}
		m.s.Add(w.queue, ask(m.shapes[shape]), p.Ref.Key, true, p.Ref.Index, p.Ref.Index+1)
		m.waiting[p.Ref] = w
	}
}

func (m *model) decide(t *rapid.T, limit int) {
	places := decide(m.s, limit)
	if len(places) > limit {
		t.Fatalf("%d placements, %d were asked for", len(places), limit)
	}
	last := ""
	for _, p := range places {
		w, ok := m.waiting[p.Ref]
		if !ok {
			t.Fatalf("%v was placed and does not wait", p.Ref)
		}
		if !m.open[p.Host] {
			t.Fatalf("%v was placed on %s, which takes nothing", p.Ref, p.Host)
		}
		if w.queue == "b" && p.Environment == "x" {
			t.Fatalf("%v of queue b was placed in x", p.Ref)
		}
		// Nothing of the same queue and shape that came before may be left behind.
		for r, o := range m.waiting {
			if o.queue == w.queue && m.shapes[o.shape] == m.shapes[w.shape] && before(r, o, p.Ref, w) {
				t.Fatalf("%v was placed before %v", p.Ref, r)
			}
		}
		// Queue b has the higher priority: once a job of queue a is placed, no more of b may follow.
		if w.queue == "b" && last == "a" {
			t.Fatalf("queue b was served after queue a")
		}
		last = w.queue
		delete(m.waiting, p.Ref)
		m.running = append(m.running, place{p, m.shapes[w.shape].Need})
	}
	for env, used := range m.used(ofEnvironment) {
		granted := slices.ContainsFunc(places, func(p sched.Placement) bool { return p.Environment == env })
		if granted && used.MilliVCPU > m.most[env] {
			t.Fatalf("environment %s has %d and runs %d", env, m.most[env], used.MilliVCPU)
		}
	}
	if len(places) < limit {
		m.exhausted(t)
	}
}

// before reports whether r goes before q in their queue.
func before(r job.Ref, w waits, q job.Ref, v waits) bool {
	if w.again != v.again {
		return w.again
	}
	return r.Compare(q) < 0
}

// exhausted: Decide stopped by itself, so nothing that waits may fit anywhere, and Explain
// must not say that it is next.
func (m *model) exhausted(t *rapid.T) {
	used, byEnv := m.used(ofHost), m.used(ofEnvironment)
	for r, w := range m.waiting {
		need := m.shapes[w.shape].Need
		for _, q := range queues {
			if q.Name != w.queue {
				continue
			}
			for _, env := range q.Environments {
				if byEnv[env].MilliVCPU+need.MilliVCPU > m.most[env] {
					continue
				}
				for h, size := range m.capacity {
					if m.open[h] && need.Fits(size.Sub(used[h])) {
						t.Fatalf("%v fits on %s in %s, and waits", r, h, env)
					}
				}
			}
		}
		if why := m.s.Explain(w.queue, ask(m.shapes[w.shape]), r, 0); why.Code == sched.CodeNext || why.Text == "" {
			t.Fatalf("%v fits nowhere, and its reason is %+v", r, why)
		}
	}
}

func (m *model) check(t *rapid.T) {
	if m.s.Waiting() != int64(len(m.waiting)) {
		t.Fatalf("%d wait, want %d", m.s.Waiting(), len(m.waiting))
	}
	used := m.used(ofHost)
	for id, size := range m.capacity {
		if free := m.s.Free(id); free.Negative() || free != size.Sub(used[id]) {
			t.Fatalf("host %s of %+v runs %+v and has %+v free", id, size, used[id], free)
		}
	}
}

// What a full cluster costs: one host gives a place back, and thousands of jobs, each of a
// shape of its own, wait for it.
func BenchmarkDecideManyShapes(b *testing.B) {
	s := cluster(4)
	for k := job.Key(1); k <= 10_000; k++ {
		add(s, "q", sched.Shape{Need: vector(1000, int64(k%900)), Executor: sched.Process}, k)
	}
	places := decide(s, 100)
	for b.Loop() {
		p := places[0]
		s.Release(p.Ref, 0)
		add(s, "q", sched.Shape{Need: vector(1000, int64(p.Ref.Key%900)), Executor: sched.Process}, p.Ref.Key+900_000)
		got := decide(s, 100)
		if len(got) == 0 {
			b.Fatal("nothing was placed")
		}
		places = append(places[1:], got...)
	}
}

func BenchmarkDecideArray(b *testing.B) {
	s := cluster(4)
	s.Add("q", ask(process(1000)), 1, false, 0, 1<<30)
	places := decide(s, 100)
	for b.Loop() {
		p := places[0]
		s.Release(p.Ref, 0)
		places = append(places[1:], decide(s, 100)...)
	}
}
