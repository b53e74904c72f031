package sched_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"drover/internal/core/job"
	"drover/internal/core/resource"
	"drover/internal/core/sched"
)

// cosmos is a State with everything that it can have, beside a plain record of it: every
// unit with its demand, every host, every token. Promises are checked after each step.
type cosmos struct {
	s        *sched.State
	now      int64
	next     job.Key
	queues   []job.Queue
	fair     map[string]*sched.FairShare
	quotas   map[string][]sched.QuotaShare
	envs     []job.Environment
	hosts    map[string]resource.Vector
	tokens   map[string]int64
	demands  map[job.Ref]sched.Demand
	queueOf  map[job.Ref]string
	waiting  map[job.Ref]bool // true: to be retried
	running  map[job.Ref]held
	finished int
}

type held struct {
	sched.Placement
	placed int64
	gone   map[int]bool // nodes that have given back what they held
}

func (h *held) hosts() []string { return append([]string{h.Host}, h.Others...) }

// needs are what the nodes of a demand ask for.
func needs(d sched.Demand) (out []resource.Vector) {
	for range max(d.Nodes, 1) {
		out = append(out, d.Need)
	}
	if len(d.Groups) > 0 {
		out = nil
		for _, g := range d.Groups {
			for range g.Nodes {
				out = append(out, g.Need)
			}
		}
	}
	return out
}

func newCosmos(t *rapid.T) *cosmos {
	c := &cosmos{
		s: sched.New(), now: 1_000_000_000_000_000, next: 1, fair: map[string]*sched.FairShare{}, quotas: map[string][]sched.QuotaShare{}, hosts: map[string]resource.Vector{},
		tokens: map[string]int64{"licence": 3, "seat": 5}, demands: map[job.Ref]sched.Demand{}, queueOf: map[job.Ref]string{}, waiting: map[job.Ref]bool{}, running: map[job.Ref]held{},
	}
	for _, name := range []string{"x", "y"} {
		c.envs = append(c.envs, job.Environment{Name: name, Enabled: true, HostJobs: true, MaxMilliVCPU: rapid.Int64Range(8, 60).Draw(t, "max") * 1000,
			Tags: map[string]string{sched.TagPlace: rapid.SampledFrom([]string{"pack", "spread"}).Draw(t, "placement")}})
	}
	policies := rapid.SampledFrom([]string{sched.Strict, sched.Easy, sched.FIFO, sched.FIFO, sched.LXF})
	for i, name := range []string{"a", "b", "c"} {
		q := job.Queue{Name: name, Priority: rapid.Int32Range(0, 1).Draw(t, "priority"), Enabled: true, Environments: [][]string{{"x", "y"}, {"y"}, {"x"}}[i],
			Tags: map[string]string{sched.TagPolicy: policies.Draw(t, "policy"), sched.TagOvertake: "60", sched.TagExpected: rapid.SampledFrom([]string{"", "30"}).Draw(t, "expected")}}
		c.queues = append(c.queues, q)
	}
	if rapid.Bool().Draw(t, "fair") {
		c.fair["a"] = &sched.FairShare{ShareDecaySeconds: 60, Weights: []sched.Weight{{Identifier: "u*", Factor: 0.5}}}
	}
	if rapid.Bool().Draw(t, "quota") {
		c.quotas["b"] = []sched.QuotaShare{{Name: "u1", Limit: sched.Limit{MilliVCPU: 4000}}, {Name: "u2", Limit: sched.Limit{GPU: 1}}}
	}
	n := rapid.SampledFrom([]int{2, 5, 50}).Draw(t, "hosts") // 50: more than are walked over
	for i := range n {
		c.hosts[fmt.Sprintf("h%02d", i)] = resource.Vector{MilliVCPU: rapid.Int64Range(1, 6).Draw(t, "vcpu") * 1000, MemoryMiB: rapid.Int64Range(1, 6).Draw(t, "mem") * 1024, GPU: int64(i % 3 / 2)}
	}
	c.feed(c.s)
	return c
}

// feed gives a State the configuration.
func (c *cosmos) feed(s *sched.State) {
	for _, e := range c.envs {
		s.SetEnvironment(e)
	}
	for _, q := range c.queues {
		s.SetQueue(q)
		s.SetPolicy(q.Name, c.fair[q.Name])
		s.SetQuotas(q.Name, c.quotas[q.Name])
	}
	for _, name := range slices.Sorted(maps.Keys(c.tokens)) {
		s.SetToken(name, c.tokens[name], name == "licence")
	}
	for _, id := range slices.Sorted(maps.Keys(c.hosts)) {
		s.SetHost(id, c.hosts[id], []string{sched.Process})
		s.OpenHost(id, true)
	}
}

func (c *cosmos) submit(t *rapid.T) {
	q := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "queue")
	d := sched.Demand{
		Shape: sched.Shape{Executor: sched.Process, Need: resource.Vector{MilliVCPU: rapid.Int64Range(1, 12).Draw(t, "need") * 500, MemoryMiB: rapid.Int64Range(1, 6).Draw(t, "memory") * 512,
			GPU: rapid.SampledFrom([]int64{0, 0, 0, 1}).Draw(t, "gpu")}},
		Timeout: rapid.SampledFrom([]int32{0, 10, 60, 600}).Draw(t, "timeout"), Priority: rapid.SampledFrom([]int32{0, 0, 5}).Draw(t, "urgency"), Since: c.now,
		Nodes: rapid.SampledFrom([]int32{0, 0, 0, 1, 2}).Draw(t, "nodes"),
	}
	if rapid.IntRange(0, 5).Draw(t, "groups") == 0 {
		d.Groups = []sched.Group{{Shape: d.Shape, Nodes: rapid.Int32Range(1, 3).Draw(t, "first")}, {Shape: d.Shape, Nodes: rapid.Int32Range(1, 2).Draw(t, "second")}}
		d.Groups[1].Need = resource.Vector{MilliVCPU: 500, MemoryMiB: 2048}
	}
	if q != "c" {
		d.Share = rapid.SampledFrom([]string{"u1", "u2", "v"}).Draw(t, "share")
	}
	if rapid.IntRange(0, 4).Draw(t, "token") == 0 {
		d.Tokens = []sched.Token{{Name: rapid.SampledFrom([]string{"licence", "seat"}).Draw(t, "which"), Quantity: rapid.Int64Range(1, 3).Draw(t, "quantity")}}
	}
	lo, hi := job.Whole, job.Whole+1
	if rapid.Bool().Draw(t, "array") {
		lo, hi = 0, rapid.Int32Range(1, 5).Draw(t, "size")
	}
	c.s.Add(q, d, c.next, false, lo, hi)
	for i := lo; i < hi; i++ {
		r := job.Ref{Key: c.next, Index: i}
		c.demands[r], c.queueOf[r], c.waiting[r] = d, q, false
	}
	c.next++
}

func sorted[V any](m map[job.Ref]V) []job.Ref {
	return slices.SortedFunc(maps.Keys(m), job.Ref.Compare)
}

func (c *cosmos) end(r job.Ref, again bool) {
	d := c.demands[r]
	for _, k := range d.Tokens {
		if k.Name == "seat" {
			c.tokens["seat"] -= k.Quantity // spent
		}
	}
	c.s.Release(r, c.now)
	delete(c.running, r)
	if again {
		c.waiting[r] = true
		c.s.Add(c.queueOf[r], d, r.Key, true, r.Index, r.Index+1)
		return
	}
	c.finished++
}

func (c *cosmos) decide(t *rapid.T, limit int) sched.Plan {
	p := c.s.Decide(c.now, limit)
	if len(p.Places) > limit {
		t.Fatalf("%d placements, %d were asked for", len(p.Places), limit)
	}
	for _, u := range p.Places {
		d, q := c.demands[u.Ref], c.queueOf[u.Ref]
		if _, ok := c.waiting[u.Ref]; !ok {
			t.Fatalf("%v was placed and does not wait", u.Ref)
		}
		h := held{u, c.now, map[int]bool{}}
		if len(h.hosts()) != len(needs(d)) {
			t.Fatalf("%v needs %d nodes and got %v", u.Ref, d.Nodes, h.hosts())
		}
		i := slices.IndexFunc(c.queues, func(x job.Queue) bool { return x.Name == q })
		if !slices.Contains(c.queues[i].Environments, u.Environment) {
			t.Fatalf("%v of queue %s was placed in %s", u.Ref, q, u.Environment)
		}
		delete(c.waiting, u.Ref)
		c.running[u.Ref] = h
	}
	c.check(t)
	if len(p.Places) < limit && len(p.Reserve) == 0 {
		c.exhausted(t)
	}
	return p
}

// check holds the sums against what there is.
func (c *cosmos) check(t *rapid.T) {
	free := maps.Clone(c.hosts)
	envs, tokens := map[string]int64{}, map[string]int64{}
	shares := map[string]sched.Limit{}
	for r, h := range c.running {
		d := c.demands[r]
		var whole resource.Vector
		for n, id := range h.hosts() {
			if !h.gone[n] {
				free[id] = free[id].Sub(needs(d)[n])
				whole = whole.Add(needs(d)[n])
			}
		}
		envs[h.Environment] += whole.MilliVCPU
		for _, k := range d.Tokens {
			tokens[k.Name] += k.Quantity
		}
		key := c.queueOf[r] + "/" + d.Share
		shares[key] = sched.Limit{MilliVCPU: shares[key].MilliVCPU + whole.MilliVCPU, GPU: shares[key].GPU + whole.GPU}
	}
	for id, f := range free {
		if got := c.s.Free(id); got != f || f.Negative() {
			t.Fatalf("host %s has %+v free and says %+v", id, f, got)
		}
	}
	for _, e := range c.envs {
		if envs[e.Name] > e.MaxMilliVCPU {
			t.Fatalf("environment %s runs %d of %d", e.Name, envs[e.Name], e.MaxMilliVCPU)
		}
	}
	for name, total := range c.tokens {
		if n, used := c.s.TokenUse(name); used != tokens[name] || n != total || used > total {
			t.Fatalf("token %s: %d of %d used, it says %d of %d", name, tokens[name], total, used, n)
		}
	}
	for q, list := range c.quotas {
		for _, x := range list {
			if u := shares[q+"/"+x.Name]; x.Limit.MilliVCPU > 0 && u.MilliVCPU > x.Limit.MilliVCPU || x.Limit.GPU > 0 && u.GPU > x.Limit.GPU {
				t.Fatalf("quota share %s/%s holds %+v of %+v", q, x.Name, u, x.Limit)
			}
		}
	}
	if c.s.Waiting() != int64(len(c.waiting)) {
		t.Fatalf("%d wait, want %d", c.s.Waiting(), len(c.waiting))
	}
}

// exhausted: nothing is kept for anybody, so nothing that may start is left behind.
func (c *cosmos) exhausted(t *rapid.T) {
	for _, r := range sorted(c.waiting) {
		why := c.s.Explain(c.queueOf[r], c.demands[r], r, c.now)
		if why.Text == "" || why.Position < 1 {
			t.Fatalf("%v waits, and its reason is %+v", r, why)
		}
		i := slices.IndexFunc(c.queues, func(x job.Queue) bool { return x.Name == c.queueOf[r] })
		if why.Code == sched.CodeNext && c.queues[i].Tags[sched.TagPolicy] != sched.Strict {
			t.Fatalf("%v of queue %s is next, and was not placed:\n%s", r, c.queueOf[r], c.s.Picture())
		}
	}
}

// rebuilt is a State fed with the record alone, as after a restart.
func (c *cosmos) rebuilt() *sched.State {
	s := sched.New()
	c.feed(s)
	for _, r := range sorted(c.running) {
		h := c.running[r]
		hosts := h.hosts()
		for n := range h.gone {
			hosts[n] = ""
		}
		s.Take(r, c.queueOf[r], c.demands[r], hosts, h.Environment, h.placed)
	}
	for _, r := range sorted(c.waiting) {
		s.Add(c.queueOf[r], c.demands[r], r.Key, c.waiting[r], r.Index, r.Index+1)
	}
	return s
}

func TestWorldProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := newCosmos(t)
		for range rapid.IntRange(1, 80).Draw(t, "steps") {
			switch rapid.IntRange(0, 9).Draw(t, "what") {
			case 0, 1, 2:
				c.submit(t)
			case 3, 4:
				if refs := sorted(c.running); len(refs) > 0 {
					c.end(rapid.SampledFrom(refs).Draw(t, "ended"), rapid.IntRange(0, 4).Draw(t, "again") == 0)
				}
			case 5:
				if refs := sorted(c.running); len(refs) > 0 {
					r := rapid.SampledFrom(refs).Draw(t, "node of")
					if h := c.running[r]; len(h.Others) > 0 {
						n := rapid.IntRange(0, len(h.Others)).Draw(t, "node")
						c.s.ReleaseNode(r, int32(n), c.now)
						h.gone[n] = true
					}
				}
				if refs := sorted(c.waiting); len(refs) > 0 {
					r := rapid.SampledFrom(refs).Draw(t, "removed")
					c.s.Remove(c.queueOf[r], c.demands[r], r.Key, r.Index, r.Index+1)
					delete(c.waiting, r)
				}
			case 6:
				c.now += rapid.Int64Range(-100, 400).Draw(t, "seconds") * 1_000_000
			default:
				c.decide(t, rapid.IntRange(1, 9).Draw(t, "limit"))
			}
		}
		c.check(t)
		if was, is := c.s.Picture(), c.rebuilt().Picture(); was != is {
			t.Fatalf("it is not what a rebuilt one is:\n%s\n%s", was, is)
		}
	})
}

// Whatever is waiting, if units end one after another, the oldest of all last, then every unit that can
// run at all has run in the end: none is starved by those that come later.
func TestNoStarvation(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := newCosmos(t)
		for i := range c.queues {
			if c.queues[i].Tags[sched.TagPolicy] == sched.Strict {
				c.queues[i].Tags[sched.TagPolicy] = sched.FIFO // one that cannot run blocks its queue: that is what it promises
			}
			c.queues[i].Tags[sched.TagExpected] = ""
		}
		c.feed(c.s)
		for range 20 {
			c.submit(t)
		}
		for range 3000 {
			if len(c.waiting)+len(c.running) == 0 {
				return
			}
			c.now += 30_000_000
			c.decide(t, 100)
			if refs := sorted(c.running); len(refs) > 0 {
				c.end(refs[len(refs)-1], false)
			} else if p := c.decide(t, 100); len(p.Places) == 0 {
				break
			}
		}
		for _, r := range sorted(c.waiting) {
			switch why := c.s.Explain(c.queueOf[r], c.demands[r], r, c.now); why.Code {
			case sched.CodeEnvironment, sched.CodeResource, sched.CodeGang, sched.CodeToken, sched.CodeQuota:
			default:
				t.Fatalf("nothing runs, and %v %+v of queue %s waits: %+v", r, c.demands[r], c.queueOf[r], why)
			}
		}
	})
}
