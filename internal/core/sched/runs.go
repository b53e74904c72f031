package sched

import (
	"slices"

	"drover/internal/core/job"
	"drover/internal/core/resource"
)

// run is a unit that holds room. It is 96 bytes, two lines of the cache wherever it lies:
// what few units have is kept apart.
type run struct {
	ref      job.Ref
	share    *share // nil if its queue was not known
	env      *environment
	part           // of a plain unit all of it, of a gang the first node
	more     *more // nil if there is nothing of it
	placed   int64
	end      int64 // when it must have ended (µs); 0 = unknown
	priority int32 // schedulingPriority
	leaving  bool  // it is being stopped
}

// more is what few runs have.
type more struct {
	rest   []part // the further nodes of a gang
	tokens []Token
	makes  uint64 // hold.seq of the room that is made by stopping it
}

// queue is the queue that a run came from; nil if it was not known.
func (r *run) queue() *queue {
	if r.share == nil {
		return nil
	}
	return r.share.queue
}

// rest is the further nodes of a gang.
func (r *run) rest() []part {
	if r.more == nil {
		return nil
	}
	return r.more.rest
}

func (r *run) tokens() []Token {
	if r.more == nil {
		return nil
	}
	return r.more.tokens
}

// extend makes place for what few runs have.
func (r *run) extend() *more {
	if r.more == nil {
		r.more = &more{}
	}
	return r.more
}

// part is what one node holds. Once it is given back its need is zero.
type part struct {
	host int32 // -1 = unknown
	need resource.Vector
}

// parts calls f for each node.
func (r *run) parts(f func(p *part)) {
	f(&r.part)
	if r.more != nil {
		for i := range r.more.rest {
			f(&r.more.rest[i])
		}
	}
}

// whole is what all nodes hold together.
func (r *run) whole() resource.Vector {
	sum := r.need
	for _, p := range r.rest() {
		sum = sum.Add(p.need)
	}
	return sum
}

// on is what the nodes on host i hold together.
func (r *run) on(i int32) (sum resource.Vector) {
	r.parts(func(p *part) {
		if p.host == i {
			sum = sum.Add(p.need)
		}
	})
	return sum
}

// detach forgets host i, which is gone.
func (r *run) detach(i int32) {
	r.parts(func(p *part) {
		if p.host == i {
			p.host = -1
		}
	})
}

// token is a consumable resource.
type token struct {
	total, used   int64
	replenishable bool
	hold          *hold // kept for somebody
}

// SetToken says how many tokens of a name there are, those in use included. Tokens that
// are not replenishable are spent when the unit that holds them ends: from then on there
// are so many fewer, and whoever keeps the total must subtract them too.
func (s *State) SetToken(name string, total int64, replenishable bool) {
	s.idle = false
	clear(s.short)
	s.version++
	t := s.tokens[name]
	if t == nil {
		t = &token{}
		s.tokens[name] = t
	}
	t.total, t.replenishable = total, replenishable
}

// RemoveToken forgets a consumable resource: units that ask for it wait.
func (s *State) RemoveToken(name string) {
	if t := s.tokens[name]; t != nil {
		if t.hold != nil {
			s.end(t.hold)
		}
		delete(s.tokens, name)
	}
}

// TokenUse is how much of a consumable resource there is, and how much of it is in use.
func (s *State) TokenUse(name string) (total, used int64) {
	if t := s.tokens[name]; t != nil {
		return t.total, t.used
	}
	return 0, 0
}

// lacks gives the first token of which a class cannot have enough now.
func (s *State) lacks(c *class, own *hold) (Token, bool) {
	for _, t := range c.tokens {
		k := s.tokens[t.Name]
		if k == nil || k.used+s.kept(k.hold, t.Name, own)+t.Quantity > k.total {
			return t, true
		}
	}
	return Token{}, false
}

// kept is how many tokens of a name a hold keeps from who has own.
func (s *State) kept(h *hold, name string, own *hold) int64 {
	if h.binds(own) {
		for _, t := range s.classes[h.class].tokens {
			if t.Name == name {
				return t.Quantity
			}
		}
	}
	return 0
}

// Take accounts for a unit that runs already (after a restart of the manager). hosts has the
// host of each node, "" for one that has given its room back.
func (s *State) Take(r job.Ref, queueName string, d Demand, hosts []string, env string, placed int64) {
	u := run{ref: r, placed: placed, priority: d.Priority}
	if len(d.Tokens) > 0 {
		u.extend().tokens = d.Tokens
	}
	s.takeParts(&u, &d, hosts)
	if d.Timeout > 0 {
		u.end = placed + int64(d.Timeout)*second
	}
	if q := s.queue(queueName); q != nil {
		u.share = q.share(d.Share)
		if u.end == 0 && q.expected > 0 {
			u.end = placed + q.expected
		}
	}
	u.env = s.environment(env)
	if u.env == nil { // it was removed, and something runs in it still
		u.env = &environment{Environment: job.Environment{Name: env}, gone: true}
		s.environments = append(s.environments, u.env)
	}
	if q := u.queue(); q != nil {
		q.backdate(u.share, u.whole().MilliVCPU, placed)
	}
	if d.Image != 0 {
		u.parts(func(p *part) {
			if p.host >= 0 {
				s.heat(d.Image, p.host)
			}
		})
	}
	s.begin(u)
}

// takeParts finds what each node of a run holds.
func (s *State) takeParts(u *run, d *Demand, hosts []string) {
	if n := int(d.nodes()) - 1; n > 0 {
		u.extend().rest = make([]part, n)
	}
	list, n := d.sections(), 0
	u.parts(func(p *part) {
		for len(list) > 1 && n >= int(list[1].first) {
			list = list[1:]
		}
		p.host = -1
		if n < len(hosts) && hosts[n] != "" {
			p.need = list[0].Need
			if i, ok := s.hostAt[hosts[n]]; ok {
				p.host = i
			}
		}
		n++
	})
}

// begin accounts for a run.
func (s *State) begin(u run) {
	var i int32
	if n := len(s.freeRuns); n > 0 {
		i = s.freeRuns[n-1]
		s.freeRuns = s.freeRuns[:n-1]
	} else {
		i = s.runs.grow()
	}
	*s.run(i) = u
	s.runAt.put(u.ref, i)
	s.occupy(i)
}

// occupy accounts for run i on its hosts, in its environment, queue and share, and for its
// tokens.
func (s *State) occupy(i int32) {
	u := s.run(i)
	u.parts(func(p *part) {
		if p.host < 0 {
			return
		}
		s.change(p.host, resource.Vector{}.Sub(p.need))
		if h := &s.hosts[p.host]; len(u.rest()) == 0 || !slices.Contains(h.runs, i) {
			h.runs = append(h.runs, i)
		}
	})
	s.account(u, u.whole())
	for _, t := range u.tokens() {
		if k := s.tokens[t.Name]; k != nil {
			k.used += t.Quantity
		}
	}
}

// account adds to what the environment, queue and share of a run use.
func (s *State) account(u *run, whole resource.Vector) {
	u.env.used += whole.MilliVCPU
	if whole.MilliVCPU > 0 && len(s.holds) > 0 {
		s.crowded(u.env)
	}
	if u.leaving {
		u.env.leaving += whole.MilliVCPU
	}
	q := u.queue()
	if q == nil {
		return
	}
	q.runs(whole.MilliVCPU)
	if s.now > 0 { // else units are taken over, and the usage is as of when the last was placed
		q.settle(u.share, s.now)
	}
	held := Limit{whole.MilliVCPU, whole.GPU}
	u.share.running = u.share.running.plus(held, 1)
	if u.leaving {
		u.share.leaving = u.share.leaving.plus(held, 1)
	}
	if len(q.quotas) > 0 {
		q.pool.held = q.pool.held.plus(u.share.lent(held), 1)
	}
	u.share.last = max(s.now, u.placed)
}

// Release gives back what a unit held.
func (s *State) Release(r job.Ref, now int64) {
	i, ok := s.runAt.get(r)
	if !ok {
		return
	}
	s.clock(now)
	s.idle = false
	u := *s.run(i)
	s.runAt.remove(r)
	s.account(&u, resource.Vector{}.Sub(u.whole()))
	u.parts(func(p *part) { s.vacate(p, i, false) })
	if u.more != nil && u.more.makes > 0 {
		for _, h := range s.holds {
			if h.seq == u.more.makes {
				h.left--
			}
		}
	}
	*s.run(i) = run{}
	s.freeRuns = append(s.freeRuns, i)
	if len(u.tokens()) > 0 {
		clear(s.short)
	}
	for _, t := range u.tokens() {
		if k := s.tokens[t.Name]; k != nil {
			k.used -= t.Quantity
			if !k.replenishable {
				k.total -= t.Quantity
			}
		}
	}
	if q := u.queue(); q != nil && u.end == 0 {
		q.history.note(now - u.placed)
	}
	s.bury(u.env)
}

// ReleaseNode gives back what one node of a gang held. The gang itself still runs.
func (s *State) ReleaseNode(r job.Ref, node int32, now int64) {
	i, ok := s.runAt.get(r)
	if !ok || int(node) > len(s.run(i).rest()) {
		return
	}
	s.clock(now)
	s.idle = false
	u := s.run(i)
	p := &u.part
	if node > 0 {
		p = &u.more.rest[node-1]
	}
	s.account(u, resource.Vector{}.Sub(p.need))
	host := p.host
	s.vacate(p, i, host >= 0 && u.on(host) != p.need)
	s.bury(u.env)
}

// vacate gives back what a node of run i holds; stays says that the run has others there.
func (s *State) vacate(p *part, i int32, stays bool) {
	host, need := p.host, p.need
	p.host, p.need = -1, resource.Vector{}
	if host < 0 {
		return
	}
	h := &s.hosts[host]
	if at := slices.Index(h.runs, i); at >= 0 && !stays {
		h.runs[at] = h.runs[len(h.runs)-1]
		h.runs = h.runs[:len(h.runs)-1]
	}
	s.unfile(host)
	h.free = h.free.Add(need)
	s.opened(host)
	if !h.open {
		s.file(host)
	}
}

// ending is a run as a reservation sees it: room that comes back at a time.
type ending struct {
	at    int64
	known bool
	gives resource.Vector
}

// expect is when a run will probably have ended.
func (s *State) expect(u *run) ending {
	if u.leaving {
		return ending{s.now - 1, false, u.need} // before all others: it is stopped to give this room
	}
	if u.end > 0 {
		return ending{max(u.end, s.now), true, u.whole()}
	}
	at := u.placed
	if q := u.queue(); q != nil {
		at += q.history.ninety()
	}
	if at <= s.now { // older than most: as long again as it has run
		at = s.now + max(s.now-u.placed, second)
	}
	return ending{at, false, u.whole()}
}

// whenFits is when free, with what endings give back, will hold need, and what is left
// beside it then. known is false if that rests on a unit of unknown end.
func (s *State) whenFits(free, need resource.Vector, ends []ending) (at int64, known bool, rest resource.Vector, ok bool) {
	if need.Fits(free) {
		return s.now, true, free.Sub(need), true
	}
	heapify(ends)
	known = true
	for len(ends) > 0 {
		e := ends[0]
		ends[0] = ends[len(ends)-1]
		ends = ends[:len(ends)-1]
		sink(ends, 0)
		free = free.Add(e.gives)
		known = known && e.known
		if need.Fits(free) && (len(ends) == 0 || ends[0].at > e.at) {
			return e.at, known, free.Sub(need), true
		}
	}
	return 0, false, resource.Vector{}, false
}

// heapify makes ends a heap, the soonest first: of thousands mostly the first few are wanted.
func heapify(ends []ending) {
	for i := len(ends)/2 - 1; i >= 0; i-- {
		sink(ends, i)
	}
}

// sink moves ends[i] down to its place in the heap.
func sink(ends []ending, i int) {
	for {
		c := 2*i + 1
		if c+1 < len(ends) && ends[c+1].at < ends[c].at {
			c++
		}
		if c >= len(ends) || ends[i].at <= ends[c].at {
			return
		}
		ends[i], ends[c] = ends[c], ends[i]
		i = c
	}
}

// fitsBefore reports whether host i will have room for need before a time.
func (s *State) fitsBefore(i int32, need resource.Vector, at int64) bool {
	h := &s.hosts[i]
	free := h.free
	for _, r := range h.runs {
		if u := s.run(r); s.expect(u).at < at {
			free = free.Add(u.on(i))
		}
	}
	return s.now < at && need.Fits(free)
}

// hostFits is whenFits on host i.
func (s *State) hostFits(i int32, need resource.Vector) (at int64, known bool, rest resource.Vector, ok bool) {
	h := &s.hosts[i]
	s.ends = s.ends[:0]
	for _, r := range h.runs {
		u := s.run(r)
		e := s.expect(u)
		e.gives = u.on(i)
		s.ends = append(s.ends, e)
	}
	return s.whenFits(h.free, need, s.ends)
}
