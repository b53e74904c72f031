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
	leaving  map[job.Ref]bool
	finished int
	pool     bool // environment y has the hosts of the night's pool only
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

// vcpus is the milli vCPU that those nodes hold together which are not gone.
func vcpus(d sched.Demand, gone map[int]bool) (sum int64) {
	for n, need := range needs(d) {
		if !gone[n] {
			sum += need.MilliVCPU
		}
	}
	return sum
}

func newCosmos(t *rapid.T) *cosmos {
	c := &cosmos{
		s: sched.New(), now: 1_000_000_000_000_000, next: 1, fair: map[string]*sched.FairShare{}, quotas: map[string][]sched.QuotaShare{}, hosts: map[string]resource.Vector{},
		tokens: map[string]int64{"licence": 3, "seat": 5}, demands: map[job.Ref]sched.Demand{}, queueOf: map[job.Ref]string{}, waiting: map[job.Ref]bool{}, running: map[job.Ref]held{}, leaving: map[job.Ref]bool{},
	}
	c.pool = rapid.Bool().Draw(t, "pool")
	for _, name := range []string{"x", "y"} {
		c.envs = append(c.envs, job.Environment{Name: name, Enabled: true, HostJobs: true, MaxMilliVCPU: rapid.Int64Range(8, 60).Draw(t, "max") * 1000,
			Spot: name == "y", Tags: map[string]string{sched.TagPlace: rapid.SampledFrom([]string{"pack", "spread"}).Draw(t, "placement")}})
	}
	if c.pool {
		c.envs[1].Tags[sched.TagRequires] = "pool=night"
	}
	policies := rapid.SampledFrom([]string{sched.Strict, sched.Easy, sched.FIFO, sched.FIFO, sched.LXF})
	for i, name := range []string{"a", "b", "c"} {
		q := job.Queue{Name: name, Priority: rapid.Int32Range(0, 1).Draw(t, "priority"), Enabled: true, Environments: [][]string{{"x", "y"}, {"y"}, {"x"}}[i],
			Tags: map[string]string{sched.TagPolicy: policies.Draw(t, "policy"), sched.TagOvertake: "60", sched.TagProtect: "20", sched.TagPreempt: rapid.SampledFrom([]string{"", "true"}).Draw(t, "yields"), sched.TagExpected: rapid.SampledFrom([]string{"", "30"}).Draw(t, "expected")}}
		c.queues = append(c.queues, q)
	}
	if rapid.Bool().Draw(t, "fair") {
		c.fair["a"] = &sched.FairShare{ShareDecaySeconds: 60, Weights: []sched.Weight{{Identifier: "u*", Factor: 0.5}}}
	}
	if rapid.Bool().Draw(t, "quota") {
		c.quotas["b"] = []sched.QuotaShare{
			{Name: "u1", Limit: sched.Limit{MilliVCPU: 4000}, Lends: true, Borrows: rapid.Bool().Draw(t, "borrows"), Borrow: rapid.SampledFrom([]int32{-1, 50}).Draw(t, "borrow")},
			{Name: "u2", Limit: sched.Limit{GPU: 1}},
			{Name: "v", Limit: sched.Limit{MilliVCPU: 6000}, Lends: rapid.Bool().Draw(t, "lends"), Urgent: rapid.Bool().Draw(t, "urgent")},
		}
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
		words := []string{sched.Process}
		if night(id) {
			words = append(words, "pool=night")
		}
		s.SetHost(id, c.hosts[id], words)
		s.OpenHost(id, true)
	}
}

// night reports whether a host is of the night's pool.
func night(host string) bool { return host[len(host)-1]%2 == 0 }

// inside reports whether an environment may use a host.
func (c *cosmos) inside(environment, host string) bool {
	return !c.pool || environment != "y" || night(host)
}

func (c *cosmos) submit(t *rapid.T) {
	q := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "queue")
	d := sched.Demand{
		Shape: sched.Shape{Executor: sched.Process, Need: resource.Vector{MilliVCPU: rapid.Int64Range(1, 12).Draw(t, "need") * 500, MemoryMiB: rapid.Int64Range(1, 6).Draw(t, "memory") * 512,
			GPU: rapid.SampledFrom([]int64{0, 0, 0, 1}).Draw(t, "gpu")}},
		Timeout: rapid.SampledFrom([]int32{0, 10, 60, 600}).Draw(t, "timeout"), Priority: rapid.SampledFrom([]int32{0, 0, 5}).Draw(t, "urgency"), Since: c.now,
		Nodes: rapid.SampledFrom([]int32{0, 0, 0, 1, 2}).Draw(t, "nodes"), Image: rapid.SampledFrom([]uint8{0, 0, 1, 2}).Draw(t, "image"),
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
	if c.leaving[r] { // it was stopped: it waits again
		delete(c.leaving, r)
		again = true
	}
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
	c.preempted(t, p)
	if len(p.Places) < limit && len(c.s.Reservations()) == 0 {
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
			if !c.inside(h.Environment, id) {
				t.Fatalf("%v runs on host %s, which is not one of environment %s", r, id, h.Environment)
			}
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
			most := x.Limit
			if x.Borrows {
				most.MilliVCPU = c.lent(q)
				if x.Borrow >= 0 {
					most.MilliVCPU = min(most.MilliVCPU, x.Limit.MilliVCPU*int64(100+x.Borrow)/100)
				}
			}
			if u := shares[q+"/"+x.Name]; x.Limit.MilliVCPU > 0 && u.MilliVCPU > most.MilliVCPU || x.Limit.GPU > 0 && u.GPU > most.GPU {
				t.Fatalf("quota share %s/%s holds %+v of %+v", q, x.Name, u, most)
			}
		}
	}
	if c.s.Waiting() != int64(len(c.waiting)) {
		t.Fatalf("%d wait, want %d", c.s.Waiting(), len(c.waiting))
	}
}

// lent is what the shares of a queue that lend own together.
func (c *cosmos) lent(q string) (sum int64) {
	for _, x := range c.quotas[q] {
		if x.Lends {
			sum += x.Limit.MilliVCPU
		}
	}
	return sum
}

func (c *cosmos) queue(name string) job.Queue {
	return c.queues[slices.IndexFunc(c.queues, func(x job.Queue) bool { return x.Name == name })]
}

// preempted holds what is stopped against the rules, written once more: only units that may
// be, once, and none without which the other could start just as well.
func (c *cosmos) preempted(t *rapid.T, p sched.Plan) {
	for _, x := range p.Preempt {
		h, runs := c.running[x.Victim]
		if _, waits := c.waiting[x.For]; !runs || !waits || c.leaving[x.Victim] {
			t.Fatalf("%+v: the victim runs %t and leaves %t, the other waits %t", x, runs, c.leaving[x.Victim], waits)
		}
		v, w := c.queue(c.queueOf[x.Victim]), c.queue(c.queueOf[x.For])
		d, e := c.demands[x.Victim], c.demands[x.For]
		ok := c.now-h.placed >= 20_000_000
		switch x.Rule {
		case sched.ByPriority:
			ok = ok && v.Tags[sched.TagPreempt] == "true" && w.Priority > v.Priority
		case sched.ByReclaim:
			ok = ok && v.Name == w.Name && d.Share != e.Share && c.share(v.Name, d.Share) > c.limit(v.Name, d.Share) && c.share(w.Name, e.Share)+vcpus(e, nil) <= c.limit(w.Name, e.Share)
		case sched.ByUrgency:
			ok = ok && v.Name == w.Name && d.Share == e.Share && e.Priority > d.Priority
		default:
			ok = false
		}
		if !ok {
			t.Fatalf("%v of queue %s may not be stopped for %v of queue %s by rule %s", x.Victim, v.Name, x.For, w.Name, x.Rule)
		}
		c.leaving[x.Victim] = true
	}
	for _, x := range p.Preempt {
		if len(c.s.Reservations()) > 1 || slices.ContainsFunc(p.Preempt, func(o sched.Preemption) bool { return o.For != x.For }) {
			break // what is kept for others is no room for this one
		}
		delete(c.leaving, x.Victim)
		if c.starts(x.For) {
			t.Fatalf("%v need not have been stopped for %v:\n%s", x.Victim, x.For, c.s.Picture())
		}
		c.leaving[x.Victim] = true
	}
}

// share is the milli vCPU that a share holds and goes on to hold; limit is what it owns.
func (c *cosmos) share(q, name string) (sum int64) {
	for r, h := range c.running {
		if d := c.demands[r]; c.queueOf[r] == q && d.Share == name && !c.leaving[r] {
			sum += vcpus(d, h.gone)
		}
	}
	return sum
}

func (c *cosmos) limit(q, name string) int64 {
	for _, x := range c.quotas[q] {
		if x.Name == name && x.Limit.MilliVCPU > 0 {
			return x.Limit.MilliVCPU
		}
	}
	return 1 << 60
}

// starts reports whether a unit would fit on hosts, in an environment and by tokens once all
// that leaves has left.
func (c *cosmos) starts(r job.Ref) bool {
	d := c.demands[r]
	if len(d.Groups) > 0 {
		return false // who sits where is the matter of TestGangs
	}
	free, envs, tokens := maps.Clone(c.hosts), map[string]int64{}, maps.Clone(c.tokens)
	for o, h := range c.running {
		if x := c.demands[o]; !c.leaving[o] {
			for n, id := range h.hosts() {
				if !h.gone[n] {
					free[id] = free[id].Sub(needs(x)[n])
				}
			}
			envs[h.Environment] += vcpus(x, h.gone)
			for _, k := range x.Tokens {
				tokens[k.Name] -= k.Quantity
			}
		} else {
			for _, k := range x.Tokens {
				if k.Name == "seat" {
					tokens[k.Name] -= k.Quantity // spent, whatever becomes of it
				}
			}
		}
	}
	for _, k := range d.Tokens {
		if tokens[k.Name] < k.Quantity {
			return false
		}
	}
	q := c.queue(c.queueOf[r])
	room := slices.ContainsFunc(c.envs, func(e job.Environment) bool {
		nodes := 0
		for id, f := range free {
			if d.Need.Fits(f) && c.inside(e.Name, id) {
				nodes++
			}
		}
		return slices.Contains(q.Environments, e.Name) && envs[e.Name]+vcpus(d, nil) <= e.MaxMilliVCPU && nodes >= int(max(d.Nodes, 1))
	})
	return room && c.share(q.Name, d.Share)+vcpus(d, nil) <= c.limit(q.Name, d.Share)
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
		if c.leaving[r] {
			s.Leave(r)
		}
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
