package sched

import (
	"cmp"
	"slices"

	"drover/internal/core/job"
	"drover/internal/core/resource"
)

// run is a unit that holds room.
type run struct {
	ref    job.Ref
	queue  *queue // nil if it was not known
	share  *share
	env    *environment
	host   int32   // -1 = unknown
	rest   []int32 // further hosts, of a gang
	need   resource.Vector
	tokens []Token
	placed int64
	end    int64 // when it must have ended (µs); 0 = unknown
}

// detach forgets host i, which is gone.
func (r *run) detach(i int32) {
	if r.host == i {
		r.host = -1
	}
	r.rest = slices.DeleteFunc(r.rest, func(o int32) bool { return o == i })
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
			s.release(t.hold.queue)
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
		if k == nil || k.used+t.Quantity > k.total || k.hold.binds(own) {
			return t, true
		}
	}
	return Token{}, false
}

// Take accounts for a unit that runs already (after a restart of the manager).
func (s *State) Take(r job.Ref, queueName string, d Demand, hostID, env string, placed int64) {
	u := run{ref: r, queue: s.queue(queueName), host: -1, need: d.Need, tokens: d.Tokens, placed: placed}
	if d.Timeout > 0 {
		u.end = placed + int64(d.Timeout)*second
	}
	if u.queue != nil {
		u.share = u.queue.share(d.Share)
		if u.end == 0 && u.queue.expected > 0 {
			u.end = placed + u.queue.expected
		}
	}
	if i, ok := s.hostAt[hostID]; ok {
		u.host = i
	}
	u.env = s.environment(env)
	if u.env == nil { // it was removed, and something runs in it still
		u.env = &environment{Environment: job.Environment{Name: env}, gone: true}
		s.environments = append(s.environments, u.env)
	}
	if u.queue != nil {
		u.queue.backdate(u.share, d.Need.MilliVCPU*int64(d.nodes()), placed)
	}
	s.begin(u)
}

// begin accounts for a run.
func (s *State) begin(u run) {
	var i int32
	if n := len(s.freeRuns); n > 0 {
		i = s.freeRuns[n-1]
		s.freeRuns = s.freeRuns[:n-1]
	} else {
		i = int32(len(s.runs))
		s.runs = append(s.runs, run{})
	}
	s.runs[i] = u
	s.runAt[u.ref] = i
	if u.host >= 0 {
		s.change(u.host, resource.Vector{}.Sub(u.need))
		s.hosts[u.host].runs = append(s.hosts[u.host].runs, i)
	}
	for _, h := range u.rest {
		s.change(h, resource.Vector{}.Sub(u.need))
		s.hosts[h].runs = append(s.hosts[h].runs, i)
	}
	s.account(&u, 1)
	for _, t := range u.tokens {
		if k := s.tokens[t.Name]; k != nil {
			k.used += t.Quantity
		}
	}
}

// account adds a run to what its environment, queue and share use, or takes it off.
func (s *State) account(u *run, sign int64) {
	whole := times(u.need, sign*int64(1+len(u.rest)))
	u.env.used += whole.MilliVCPU
	if u.queue == nil {
		return
	}
	u.queue.running += whole.MilliVCPU
	if s.now > 0 { // else units are taken over, and the usage is as of when the last was placed
		u.queue.settle(u.share, s.now)
	}
	u.share.running.MilliVCPU += whole.MilliVCPU
	u.share.running.GPU += whole.GPU
	u.share.last = max(s.now, u.placed)
}

// Release gives back what a unit held.
func (s *State) Release(r job.Ref, now int64) {
	i, ok := s.runAt[r]
	if !ok {
		return
	}
	s.clock(now)
	s.idle = false
	u := s.runs[i]
	delete(s.runAt, r)
	s.account(&u, -1)
	if u.host >= 0 {
		s.vacate(u.host, i, u.need)
	}
	for _, h := range u.rest {
		s.vacate(h, i, u.need)
	}
	s.runs[i] = run{}
	s.freeRuns = append(s.freeRuns, i)
	for _, t := range u.tokens {
		if k := s.tokens[t.Name]; k != nil {
			k.used -= t.Quantity
			if !k.replenishable {
				k.total -= t.Quantity
			}
		}
	}
	if u.queue != nil && u.end == 0 {
		u.queue.history.note(now - u.placed)
	}
	s.bury(u.env)
}

func (s *State) vacate(host, i int32, need resource.Vector) {
	h := &s.hosts[host]
	if at := slices.Index(h.runs, i); at >= 0 {
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
	if u.end > 0 {
		return ending{max(u.end, s.now), true, u.need}
	}
	at := u.placed
	if u.queue != nil {
		at += u.queue.history.ninety()
	}
	if at <= s.now { // older than most: as long again as it has run
		at = s.now + max(s.now-u.placed, second)
	}
	return ending{at, false, u.need}
}

// whenFits is when free, with what endings give back, will hold need, and what is left
// beside it then. known is false if that rests on a unit of unknown end.
func (s *State) whenFits(free, need resource.Vector, ends []ending) (at int64, known bool, rest resource.Vector, ok bool) {
	if need.Fits(free) {
		return s.now, true, free.Sub(need), true
	}
	slices.SortFunc(ends, func(a, b ending) int { return cmp.Compare(a.at, b.at) })
	known = true
	for i, e := range ends {
		free = free.Add(e.gives)
		known = known && e.known
		if need.Fits(free) && (i+1 == len(ends) || ends[i+1].at > e.at) {
			return e.at, known, free.Sub(need), true
		}
	}
	return 0, false, resource.Vector{}, false
}

// hostFits is whenFits for one node of a class on host i.
func (s *State) hostFits(i int32, c *class) (at int64, known bool, rest resource.Vector, ok bool) {
	h := &s.hosts[i]
	s.ends = s.ends[:0]
	for _, r := range h.runs {
		s.ends = append(s.ends, s.expect(&s.runs[r]))
	}
	return s.whenFits(h.free, c.Need, s.ends)
}
