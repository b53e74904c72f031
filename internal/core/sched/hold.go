package sched

import (
	"cmp"
	"slices"

	"drover/internal/core/job"
	"drover/internal/core/resource"
)

// hold is room kept for the first unit of a queue: on hosts, under an environment's
// maxvCpus, or of tokens, whichever it lacks. Others may use the room if they are sure to
// have ended when it is needed, or if they fit beside the unit.
type hold struct {
	seq    uint64 // the oldest goes first where two need the same
	queue  *queue
	share  *share
	class  int32
	order  int64
	vain   int64 // when hosts were looked for in vain (µs)
	hosts  []int32
	needs  []resource.Vector // per host: what the unit takes there
	beside []resource.Vector // per host: what is left beside the unit at that time
	env    *environment
	spare  int64 // milli vCPU of env left beside the unit

	roomAt    int64 // when env is expected to have room for the unit
	roomKnown bool  // that rests on known ends only
	counted   int64 // when the two were found

	shadow int64 // when the unit is expected to start
	known  bool  // the shadow rests on known ends only

	stale   bool // what it rests on has changed since it was refreshed
	untried bool // the unit may fit for what has changed since it was tried
	loud    bool // what the unit lacks may come from anywhere

	rule  Rule  // why others are stopped to make the room; "" = they are not
	left  int   // of them, those that have not stopped yet
	until int64 // the room is made by then, or given up
}

// stands reports whether the unit that the room is kept for still waits as the first of
// its class.
func (h *hold) stands() bool {
	if h.rule != "" {
		return h.until > 0 && int(h.class) < len(h.share.heads) && h.share.heads[h.class] != never
	}
	return int(h.class) < len(h.share.heads) && h.share.heads[h.class] == h.order
}

// unitOf is the unit that a hold keeps room for. Of several for which room is made the first
// that waits has the first room.
func (s *State) unitOf(h *hold) job.Ref {
	n := int64(0)
	for _, o := range s.holds {
		if o == h {
			break
		}
		if o.rule != "" && h.rule != "" && o.share == h.share && o.class == h.class {
			n++
		}
	}
	return s.nth(&h.share.fifos[h.class], n)
}

// binds reports whether the hold stands in the way of a unit for which own is held. An
// older hold is not bound by a younger one, so that no two wait for each other; but nobody
// takes what others are stopped for: that room comes, or is given up.
func (h *hold) binds(own *hold) bool {
	return h != nil && h != own && (own == nil || own.seq > h.seq || h.rule != "")
}

// release gives up what is held for a queue.
func (s *State) release(q *queue) {
	if q.hold != nil {
		s.end(q.hold)
	}
}

// end gives up what a hold keeps.
func (s *State) end(h *hold) {
	if h.queue.hold == h {
		h.queue.hold = nil
		s.due = min(s.due, s.now) // its share may be overdue still
	}
	if h.rule != "" {
		s.making--
	}
	if s.holds = slices.DeleteFunc(s.holds, func(o *hold) bool { return o == h }); len(s.holds) == 0 {
		s.mostHeld = 0
	}
	s.letGo(h)
}

// endAll gives up all that is kept for a queue.
func (s *State) endAll(q *queue) {
	for _, h := range slices.Clone(s.holds) {
		if h.queue == q {
			s.end(h)
		}
	}
}

func (s *State) letGo(h *hold) {
	s.idle, s.loosened = false, true
	for _, i := range h.hosts {
		s.hosts[i].hold = nil
		s.opened(i)
	}
	if h.env != nil {
		h.env.hold = nil
	}
	for _, t := range s.classes[h.class].tokens {
		if k := s.tokens[t.Name]; k != nil && k.hold == h {
			clear(s.short)
			k.hold = nil
		}
	}
	h.hosts, h.needs, h.beside, h.env = nil, nil, nil, nil
}

// reserve keeps room for the first unit of a queue, which does not fit now. Room on the
// same hosts as before is kept if the unit is the same: what it waits for is under way.
func (s *State) reserve(q *queue, sh *share, c int32) {
	h := q.hold
	if h != nil && (h.share != sh || h.class != c || h.order != sh.heads[c]) {
		s.release(q)
		h = nil
	}
	if h == nil {
		s.holdSeq++
		h = &hold{seq: s.holdSeq, queue: q, share: sh, class: c, order: sh.heads[c]}
		q.hold = h
		s.holds = append(s.holds, h)
	}
	s.refresh(h)
	h.untried = h.loud
}

// reviewEvery is how often holds are looked at even if nothing has happened to them (µs):
// what is expected of runs without a known end changes with time alone.
const reviewEvery = second

// review looks at the holds that something has happened to. Most events are about none of
// them, and must not cost what all of them cost.
func (s *State) review() {
	all := s.now >= s.reviewAt || s.reviewed != s.version
	if !all && !s.restless {
		return
	}
	if all {
		s.reviewAt, s.reviewed = s.now+reviewEvery, s.version
	}
	for i := 0; i < len(s.holds); i++ {
		h := s.holds[i]
		if all || h.loud {
			s.stir(h)
		}
		switch stands := h.stands() && (h.rule == "" || s.now <= h.until); {
		case !stands:
			h.until = 0
		case h.stale:
			s.refreshed(h)
		}
		switch {
		case i == len(s.holds) || s.holds[i] != h: // it was set aside
			i = -1
		case !h.stands():
			s.end(h)
			i--
		}
	}
	s.restless = slices.ContainsFunc(s.holds, func(h *hold) bool { return h.loud || h.untried })
}

// stir says that something has happened to a hold.
func (s *State) stir(h *hold) {
	h.stale, h.untried, s.restless = true, true, true
}

// rouse says that another unit may come before that of a hold.
func (s *State) rouse(h *hold) {
	h.untried, s.restless = true, true
}

// stirHost says that something has happened on host i.
func (s *State) stirHost(i int32) {
	if h := s.hosts[i].hold; h != nil {
		s.stir(h)
	}
}

// quiet reports whether the unit of a hold that did not fit does not fit still.
func (s *State) quiet(h *hold) bool {
	return !h.untried && !s.wide.has(h.class) && !s.near.has(h.class)
}

// isLoud reports whether the unit of a hold may start for other reasons than what happens on
// the hosts that are kept for it, or on those that have room again.
func (s *State) isLoud(h *hold) bool {
	q, c := h.queue, &s.classes[h.class]
	return h.rule != "" || len(h.hosts) == 0 || len(c.tokens) > 0 || len(q.quotas) > 0 ||
		q.fair != nil && q.fair.ComputeReservation > 0 || s.room(q, c, h, q.envs) == nil
}

// crowded says that an environment has got fuller: units for which hosts are kept may not
// find room under its maxvCpus any more, and must have that kept too.
func (s *State) crowded(e *environment) {
	if e.used+s.mostHeld <= e.MaxMilliVCPU {
		return
	}
	for _, h := range s.holds {
		if !h.loud && e.used+s.classes[h.class].whole.MilliVCPU > e.MaxMilliVCPU {
			s.stir(h)
		}
	}
}

// refreshed is refresh, but that what cannot be decided on is set aside.
func (s *State) refreshed(h *hold) {
	defer s.rescue()
	s.refresh(h)
}

// refresh looks anew what a hold needs, and when it will have it.
func (s *State) refresh(h *hold) {
	s.at = h.class
	s.look(h)
	h.stale, h.loud = false, s.isLoud(h)
	s.restless = s.restless || h.loud
	s.mostHeld = max(s.mostHeld, s.classes[h.class].whole.MilliVCPU)
}

func (s *State) look(h *hold) {
	c := &s.classes[h.class]
	h.shadow = s.now
	_, lacks := s.lacks(c, h)
	h.known = !lacks
	if lacks || h.rule != "" { // nobody is stopped for a unit whose tokens others take meanwhile
		for _, t := range c.tokens {
			if k := s.tokens[t.Name]; k != nil && k.hold == nil {
				k.hold = h
			}
		}
	}
	s.holdEnvironment(h, c)
	for _, e := range h.queue.envs {
		if len(h.hosts) > 0 || !e.takes(c) || c.whole.MilliVCPU > e.MaxMilliVCPU || h.env != nil && h.env != e {
			continue
		}
		if s.find(h.queue, h.class, e, h) {
			return // there are hosts enough: it lacks something else
		}
		if h.rule == "" {
			s.chooseHosts(h, c, e)
		}
		if e.wants == "" {
			break // the others have no hosts that this one has not
		}
	}
	for n, i := range h.hosts {
		at, known, rest, ok := s.hostFits(i, h.needs[n])
		if !ok { // the host became too small
			hosts := h.hosts
			h.hosts, h.needs, h.beside, h.until = nil, nil, nil, 0
			for _, i := range hosts {
				s.hosts[i].hold = nil
				s.opened(i)
			}
			return
		}
		h.known = h.known && known
		h.shadow = max(h.shadow, at)
		if h.beside[n] != rest {
			h.beside[n] = rest
			s.opened(i)
		}
	}
}

// chooseHosts takes the hosts of an environment on which the unit will fit the soonest: each node one of its
// own, and once each host has one, another.
func (s *State) chooseHosts(h *hold, c *class, e *environment) {
	held := 0
	for _, o := range s.holds {
		held += len(o.hosts)
	}
	if held > 0 && held+int(c.Nodes) > len(s.byID)/50 {
		return // what is held for all stays a small part
	}
	if many := len(s.byID) > someHosts; many && s.now < h.vain+reviewEvery && s.now >= h.vain {
		return
	} else if many && s.chose == s.pass { // a pass chooses for one hold only: it must not take long
		s.due = s.now
		return
	}
	h.vain = s.now
	var hosts []int32
	var needs []resource.Vector
	for _, g := range c.largest {
		for rest := int(g.Nodes); rest > 0; {
			best := s.soonest(h.seq, g.Shape, e, rest, hosts, needs)
			if len(best) == 0 {
				return // too big for what there is: keeping room would not help it
			}
			for _, i := range best {
				if n := slices.Index(hosts, i); n >= 0 {
					needs[n] = needs[n].Add(g.Need)
					continue
				}
				hosts, needs = append(hosts, i), append(needs, g.Need)
			}
			rest -= len(best)
		}
	}
	s.chose, h.vain = s.pass, 0
	for n, i := range hosts {
		s.unfile(i)
		s.hosts[i].hold = h
		h.hosts, h.needs = append(h.hosts, i), append(h.needs, needs[n])
		h.beside = append(h.beside, resource.Vector{MilliVCPU: -1})
	}
}

// someHosts is how many of the hosts that suit are looked at to find the soonest, or four for
// each node if that is more. Looking at ten thousand would take an event longer than it may.
const someHosts = 250

// sample calls look with hosts until it has said so often that they suit: all in their order
// if there are no more, else some from all over, other ones for each hold (seq).
func (s *State) sample(seq uint64, enough int, look func(i int32) bool) {
	n, at, step := len(s.byID), 0, 1
	if n > enough {
		at = int(seq % uint64(n))
		for step = n * 5 / 8; gcd(step, n) > 1; step++ { // near the golden section: no two are close before many are taken
		}
	}
	for range n {
		if look(s.byID[at]) {
			if enough--; enough == 0 {
				return
			}
		}
		at = (at + step) % n
	}
}

func gcd(a, b int) int {
	for b > 0 {
		a, b = b, a%b
	}
	return a
}

// soonest gives up to n hosts on which one more node fits beside those that are chosen
// already, the ones on which it does so first.
func (s *State) soonest(seq uint64, shape Shape, e *environment, n int, hosts []int32, needs []resource.Vector) []int32 {
	type offer struct {
		at   int64
		host int32
	}
	var best []offer // sorted
	s.sample(seq, max(someHosts, 4*n), func(i int32) bool {
		if s.hosts[i].hold != nil || !s.suits(&s.hosts[i], &shape, e) {
			return false
		}
		need := shape.Need
		if at := slices.Index(hosts, i); at >= 0 {
			need = need.Add(needs[at])
		}
		if len(best) == n && !s.fitsBefore(i, need, best[n-1].at) {
			return true
		}
		at, _, _, ok := s.hostFits(i, need)
		if !ok {
			return false
		}
		if len(best) == n {
			best = best[:n-1]
		}
		to, _ := slices.BinarySearchFunc(best, at+1, func(o offer, at int64) int { return cmp.Compare(o.at, at) })
		best = slices.Insert(best, to, offer{at, i})
		return true
	})
	out := make([]int32, len(best))
	for i, o := range best {
		out[i] = o.host
	}
	return out
}

// hopeless reports whether a unit cannot fit as things are, however much ends.
func (s *State) hopeless(q *queue, sh *share, n int32) bool {
	c := &s.classes[n]
	if c.amount().over(q.most(sh)) {
		return true
	}
	for _, t := range c.tokens {
		if k := s.tokens[t.Name]; k == nil || t.Quantity > k.total {
			return true
		}
	}
	for _, e := range q.envs {
		if !e.takes(c) || c.whole.MilliVCPU > e.MaxMilliVCPU {
			continue
		}
		if c.Nodes == 1 && slices.ContainsFunc(s.byID, func(i int32) bool { return s.suits(&s.hosts[i], &c.sections[0].Shape, e) }) {
			return false
		}
		if c.Nodes > 1 && s.seats(c, e, s.empty, nil) == c.Nodes {
			return false
		}
		if e.wants == "" {
			break // the others have no hosts that this one has not
		}
	}
	return true
}

// despair passes over a class in the choice of whom to keep room for.
func (s *State) despair(sh *share, c int32) {
	sh.hopeless.add(c)
	if sh.front == c {
		sh.front, sh.overtaken = unknown, 0
	}
}

const (
	someRuns = 200  // up to so many runs are looked through with every event to see when an environment has room, more once a reviewEvery
	manyRuns = 5000 // at most
)

// holdEnvironment keeps room under maxvCpus if no environment has enough of it.
func (s *State) holdEnvironment(h *hold, c *class) {
	was := h.env
	if was != nil {
		was.hold, h.env = nil, nil
		defer func() { s.loosened = s.loosened || h.env != was }()
	}
	need := c.whole.MilliVCPU
	var first *environment
	for _, e := range h.queue.envs {
		if !e.takes(c) || e.hold != nil {
			continue
		}
		most := h.queue.ceiling(e.MaxMilliVCPU, s.now)
		if e.used+need <= most {
			return
		}
		if first == nil && need <= most {
			first = e
		}
	}
	if first == nil {
		return
	}
	h.env, first.hold = first, h
	if first != was || s.runAt.n <= someRuns || s.now >= h.counted+reviewEvery {
		s.countOut(h, first, need)
	}
	h.shadow, h.known = max(h.shadow, h.roomAt), h.known && h.roomKnown
}

// countOut finds when an environment will have room for a hold, and what is left beside it
// then.
func (s *State) countOut(h *hold, first *environment, need int64) {
	h.counted, h.roomAt, h.roomKnown, h.spare = s.now, s.now, false, 0
	if s.runAt.n > manyRuns {
		return
	}
	s.ends = s.ends[:0]
	for i := range s.runs.n {
		if u := s.run(i); u.env == first {
			e := s.expect(u)
			e.gives = resource.Vector{MilliVCPU: u.whole().MilliVCPU}
			s.ends = append(s.ends, e)
		}
	}
	room := resource.Vector{MilliVCPU: first.MaxMilliVCPU - first.used}
	at, known, rest, _ := s.whenFits(room, resource.Vector{MilliVCPU: need}, s.ends)
	h.roomAt, h.roomKnown, h.spare = at, known, rest.MilliVCPU
}

// over reports whether a unit of a class that starts now is sure to have ended when the
// held room is needed.
func (h *hold) over(s *State, q *queue, c *class) bool {
	run := int64(c.Timeout) * second
	if run == 0 {
		run = q.expected
	}
	return h.known && run > 0 && s.now+run <= h.shadow
}

// yields reports whether the hold of host i lets a node of a class start there.
func (s *State) yields(i int32, q *queue, c *class, need resource.Vector, own *hold) bool {
	h := s.hosts[i].hold
	return !h.binds(own) || h.over(s, q, c) || need.Fits(h.beside[slices.Index(h.hosts, i)])
}

// spend takes what a node uses beside a held unit.
func (s *State) spend(i int32, q *queue, c *class, need resource.Vector, own *hold) {
	if h := s.hosts[i].hold; h != nil && h != own && !h.over(s, q, c) {
		n := slices.Index(h.hosts, i)
		h.beside[n] = h.beside[n].Sub(need)
	}
}
