package sched

import (
	"math"
	"slices"

	"drover/internal/core/job"
)

// Decide places waiting units until nothing fits or limit is reached. What it places is
// accounted for and no longer waits.
func (s *State) Decide(now int64, limit int) Plan {
	s.clock(now)
	if s.waiting == 0 || s.idle && s.now < s.due {
		return Plan{}
	}
	s.places = s.places[:0]
	for range maxPasses {
		s.loosened = false
		if s.onePass(limit); !s.loosened || len(s.places) >= limit {
			break
		}
	}
	var stop []Preemption
	if len(s.places) < limit {
		stop = s.preempt()
	}
	return Plan{append([]Placement(nil), s.places...), stop}
}

// maxPasses is how often Decide begins anew because room that was kept has been given up,
// after others had been turned away for it.
const maxPasses = 4

// onePass lets every queue place what it can.
func (s *State) onePass(limit int) {
	s.pass++
	s.overdue()
	s.review()
	if s.making > 0 {
		s.take(limit)
	}
	s.loosened = false
	for i, j := 0, 0; i < len(s.queues); i = j {
		for j = i; j < len(s.queues) && s.queues[j].Priority == s.queues[i].Priority; j++ {
		}
		for {
			q := s.next(s.queues[i:j])
			if q == nil {
				break
			}
			if len(s.places) >= limit {
				return
			}
			s.decideOn(q)
		}
	}
	s.drained()
}

// decideOn is serve, but that what cannot be decided on is set aside.
func (s *State) decideOn(q *queue) {
	s.at = unknown
	defer s.rescue()
	s.serve(q)
}

// clock sets the time. It may have been set back: then what was to happen later is looked
// at now.
func (s *State) clock(now int64) {
	if now < s.now {
		s.due, s.reviewAt = now, now
	}
	s.now = now
}

// drained ends a pass that has placed all that fits.
func (s *State) drained() {
	s.idle = !s.loosened
	s.wide.or(s.near) // these were not tried: nobody waits, or something else is in the way
	clear(s.near)
	for _, i := range s.fresh {
		s.hosts[i].fresh = false
	}
	s.fresh = s.fresh[:0]
}

// Reservations is what is kept free, and for whom.
func (s *State) Reservations() (out []Reservation) {
	for _, h := range s.holds {
		if !h.stands() {
			continue
		}
		r := Reservation{Queue: h.queue.Name, Ref: s.unitOf(h)}
		if h.known {
			r.Shadow = h.shadow
		}
		for _, i := range h.hosts {
			r.Hosts = append(r.Hosts, s.hosts[i].id)
		}
		out = append(out, r)
	}
	return out
}

// overdue finds the units that have been passed over for too long under policy fifo.
func (s *State) overdue() {
	if s.now < s.due {
		return
	}
	s.due, s.late = never, 0
	for _, q := range s.queues {
		q.due = nil
		if q.policy != patient || q.hold != nil {
			continue
		}
		for _, sh := range q.shares {
			sh.overtaken = min(sh.overtaken, max(s.now, 1))
			switch {
			case sh.overtaken == 0 || sh.waiting == 0:
			case s.now-sh.overtaken < q.overtake:
				s.due = min(s.due, q.overdueAt(sh))
			case q.due == nil || sh.overtaken < q.due.overtaken:
				q.due = sh
			}
		}
		if q.due != nil {
			s.late++
		}
	}
}

// next is the queue of one priority whose turn it is; nil if none of them has a unit that
// may be placed.
func (s *State) next(queues []*queue) *queue {
	if !s.survey() && s.impatient+s.late == 0 && !s.restless {
		return nil
	}
	var best *queue
	var least float64
	for _, q := range queues {
		if q.waiting == 0 || best != nil && q.use >= least {
			continue
		}
		if q.pass != s.pass {
			q.turn(s)
		}
		if q.done || !s.begins(q) && !s.promising(q) {
			continue
		}
		best, least = q, q.use
	}
	return best
}

// begins reports whether the first unit of a queue is to be tried before all others.
func (s *State) begins(q *queue) bool {
	switch {
	case q.headed:
		return false
	case q.hold != nil:
		return !s.quiet(q.hold)
	}
	return q.policy != patient || q.due != nil
}

// turn begins the part of a queue in a pass.
func (q *queue) turn(s *State) {
	q.pass, q.headed, q.done = s.pass, false, false
	clear(q.blocked)
}

// survey finds the classes of which something waits and that may fit, and reports whether
// there are any.
func (s *State) survey() bool {
	row, some := rowOf(s.environments), false
	s.likely = s.likely[:0]
	for w, m := range s.wanted {
		if m &= (s.wide.word(w) | s.near.word(w)) &^ s.short.word(w); m != 0 {
			m = s.upTo(row, w, m)
		}
		s.likely = append(s.likely, m)
		some = some || m != 0
	}
	return some
}

// promising reports whether some class that waits in the queue may fit.
func (s *State) promising(q *queue) bool {
	const unset = levels
	for row, w := uint8(unset), 0; w < len(q.wait); w++ {
		if q.wait[w]&s.likely.word(w) == 0 {
			continue
		}
		if row == unset {
			row = rowOf(q.envs)
			q.row = row
		}
		if q.wait[w]&s.offered(q, w) != 0 {
			return true
		}
	}
	return false
}

// offered is those of 64 classes that may fit, and of which nothing known stands in the way
// of a queue.
func (s *State) offered(q *queue, w int) uint64 {
	m := s.likely.word(w)
	if m != 0 {
		m = s.upTo(q.row, w, m) &^ q.blocked.word(w)
	}
	return m
}

// upTo is those of 64 classes that ask no more vCPUs than some amount of a level.
func (s *State) upTo(row uint8, w int, m uint64) uint64 {
	if row < levels-1 {
		m &= s.ladders[w].vcpu[row].any()
	}
	return m
}

// rowOf is the level of the vCPUs that a unit may have under the maxvCpus of one of some
// environments. Where that is what there is least of, most classes wait for it and not for
// hosts, and must not be tried one by one with each event.
func rowOf(envs []*environment) uint8 {
	most := int64(0)
	for _, e := range envs {
		room := e.MaxMilliVCPU - e.used
		if e.hold != nil && !e.hold.known {
			room = min(room, e.hold.spare)
		}
		most = max(most, room)
	}
	return uint8(level(most / 1000))
}

// serve gives a queue its turn: it places one unit, or rules out something.
func (s *State) serve(q *queue) {
	if s.begins(q) {
		s.serveFirst(q)
		return
	}
	q.headed = true
	sh, c, passed := s.pick(q, false)
	if sh == nil {
		q.done = true
		return
	}
	if q.policy != patient {
		s.place(q, sh, c, nil)
		return
	}
	around := s.frontOf(sh) != c
	if s.place(q, sh, c, nil) {
		s.overtake(q, passed)
		if around {
			s.overtake(q, sh)
		}
	}
}

// overtake takes note that something was placed while the first unit of a share waits on.
func (s *State) overtake(q *queue, sh *share) {
	if sh != nil && sh.overtaken == 0 && s.frontOf(sh) != unknown {
		sh.overtaken = max(s.now, 1)
		s.due = min(s.due, q.overdueAt(sh))
	}
}

// overdueAt is when overdue shall look at a share that is passed over. It is a little later
// than it might be: of a thousand shares one is overdue with each event, and each look is at
// all of them.
func (q *queue) overdueAt(sh *share) int64 {
	return sh.overtaken + q.overtake + min(q.overtake/64, second)
}

// serveFirst tries the unit that comes before all others, whether or not it may fit, and
// keeps room for it if it does not.
func (s *State) serveFirst(q *queue) {
	var sh *share
	var c int32
	switch {
	case q.hold != nil && q.hold.stands() && (q.policy == patient || q.fair != nil):
		// Among shares another one comes first with each placement: if the room were kept for
		// that, it would be for nobody long enough.
		sh, c = q.hold.share, q.hold.class
	case q.policy != patient:
		sh, c, _ = s.pick(q, true)
	case q.due != nil && s.frontOf(q.due) != unknown:
		sh, c = q.due, s.frontOf(q.due)
	}
	if sh == nil {
		s.release(q)
		s.served(q)
		q.headed = true
		return
	}
	var own *hold
	if h := q.hold; h != nil && h.share == sh && h.class == c && h.stands() {
		own = h
	}
	if s.place(q, sh, c, own) {
		s.release(q)
		s.served(q)
		sh.overtaken = 0
		return
	}
	switch {
	case q.policy == strictly:
		q.done = true
	case s.making > 0 && s.makingFor(sh, c) > 0: // room is being made for it
	case s.hopeless(q, sh, c): // keeping room would not help it; look at the next one
		s.release(q)
		s.despair(sh, c)
		return
	default:
		s.reserve(q, sh, c)
		s.served(q)
	}
	q.headed = true
}

// served says that the share of a queue that was passed over for too long is so no more, or
// that room is kept for it.
func (s *State) served(q *queue) {
	if q.due != nil {
		q.due = nil
		s.late--
	}
}

// frontOf is the class of the first unit of a share, first in first out.
func (s *State) frontOf(sh *share) int32 {
	if sh.version != s.version { // what was hopeless may be so no more
		sh.version, sh.front = s.version, unknown
		clear(sh.hopeless)
	}
	if sh.front != unknown {
		return sh.front
	}
	best := nobody()
	for w, m := range sh.wait {
		best = s.foremost(sh, w, m&^(sh.hopeless.word(w)|s.sick.word(w)), best)
	}
	sh.front = best.class
	return sh.front
}

// pick chooses the share and class that come first: among all that wait, or among those
// that may fit. passed is the share that should have come first.
func (s *State) pick(q *queue, all bool) (best *share, class int32, passed *share) {
	if q.fair != nil {
		return s.pickFair(q, all)
	}
	class = unknown
	for _, sh := range q.shares {
		if sh.waiting == 0 {
			continue
		}
		if c := s.inside(q, sh, all); c != unknown && (best == nil || s.goesBefore(q, sh, c, best, class)) {
			best, class = sh, c
		}
	}
	return best, class, nil
}

// pickFair is pick in a fair-share queue: the share first, then what is first in it.
func (s *State) pickFair(q *queue, all bool) (best *share, class int32, passed *share) {
	bestKey, firstKey := math.Inf(1), math.Inf(1)
	for _, sh := range q.shares {
		if sh.waiting == 0 {
			continue
		}
		key := q.key(sh, s.now)
		if key < firstKey {
			firstKey, passed = key, sh
		}
		if key < bestKey && s.offers(q, sh, all) {
			best, bestKey = sh, key
		}
	}
	if best == nil {
		return nil, unknown, passed
	}
	if passed == best {
		passed = nil
	}
	return best, s.inside(q, best, all), passed
}

// offers reports whether inside would find a class in the share.
func (s *State) offers(q *queue, sh *share, all bool) bool {
	if all {
		s.frontOf(sh) // sees to it that hopeless is up to date
		for w, m := range sh.wait {
			if m &^= s.sick.word(w); m != 0 && (q.policy == strictly || m&^sh.hopeless.word(w) != 0) {
				return true
			}
		}
		return false
	}
	row, fresh := q.rowIn(sh), sh.pass == s.pass
	for w, m := range sh.wait {
		if m &= s.offered(q, w); m == 0 {
			continue
		}
		if fresh {
			m &^= sh.blocked.word(w)
		}
		if s.upTo(row, w, m) != 0 {
			return true
		}
	}
	return false
}

// inside is the class of a share that comes first; unknown if none may fit.
func (s *State) inside(q *queue, sh *share, all bool) int32 {
	if sh.pass != s.pass {
		sh.pass = s.pass
		clear(sh.blocked)
	}
	if all {
		s.frontOf(sh) // sees to it that hopeless is up to date
	}
	best, row := nobody(), q.rowIn(sh)
	for w, m := range sh.wait {
		m &^= s.sick.word(w)
		if all && q.policy != strictly {
			m &^= sh.hopeless.word(w)
		} else if !all {
			m = s.upTo(row, w, m&s.offered(q, w)) &^ sh.blocked.word(w)
		}
		if q.policy != expanding {
			best = s.foremost(sh, w, m, best)
			continue
		}
		for ; m != 0; m &= m - 1 {
			if c := int32(w*64) + lowest(m); best.class == unknown || s.goesBefore(q, sh, c, sh, best.class) {
				best = s.lead(sh, c)
			}
		}
	}
	return best.class
}

// lead is a class whose head may be the first of several, and what that depends on.
type lead struct {
	order    int64
	priority int32
	class    int32
}

// nobody is the lead that comes after all others.
func nobody() lead { return lead{never, math.MinInt32, unknown} }

func (s *State) lead(sh *share, c int32) lead { return lead{sh.heads[c], s.priorities[c], c} }

// before reports whether l goes before o, first in first out.
func (l *lead) before(o *lead) bool {
	return l.priority > o.priority || l.priority == o.priority && l.order < o.order
}

// foremost is what goes first, of best and the classes of word w in m. Mostly it is the first
// of all in the word, which the share remembers.
func (s *State) foremost(sh *share, w int, m uint64, best lead) lead {
	if m == 0 {
		return best
	}
	first := &sh.firsts[w]
	if first.class == unknown {
		*first = s.scan(sh, w, sh.wait.word(w), nobody())
	}
	switch {
	case first.class == unknown || m&(1<<(first.class&63)) == 0:
		return s.scan(sh, w, m, best)
	case first.before(&best):
		return *first
	}
	return best
}

// scan is foremost the long way.
func (s *State) scan(sh *share, w int, m uint64, best lead) lead {
	for ; m != 0; m &= m - 1 {
		c := int32(w*64) + lowest(m)
		if l := s.lead(sh, c); l.before(&best) {
			best = l
		}
	}
	return best
}

// goesBefore reports whether the head of class a in share x goes before that of b in y.
func (s *State) goesBefore(q *queue, x *share, a int32, y *share, b int32) bool {
	k, l := &s.classes[a], &s.classes[b]
	if len(q.quotas) > 0 {
		if owns := x.owns(k.amount()); owns != y.owns(l.amount()) {
			return owns // who borrows comes after who does not
		}
	}
	if k.Priority != l.Priority {
		return k.Priority > l.Priority
	}
	m, n := x.heads[a], y.heads[b]
	if q.policy == expanding && m >= 0 && n >= 0 {
		if f, g := s.expansion(q, x, a), s.expansion(q, y, b); f != g {
			return f > g
		}
	}
	return m < n
}

// expansion is the expands of the head of a class.
func (s *State) expansion(q *queue, sh *share, c int32) float64 {
	f := &sh.fifos[c]
	return s.expands(q, c, f.recs[f.lo].since)
}

// expands is (wait + expected run) over the expected run of a unit that waits since then.
func (s *State) expands(q *queue, c int32, since uint32) float64 {
	run := int64(s.classes[c].Timeout)
	if run == 0 {
		if run = q.expected / second; run == 0 {
			run = unknownRun
		}
	}
	wait := max(float64(s.now)/second-float64(since), 0)
	return (wait + float64(run)) / float64(max(run, minRun))
}

// place starts the head of a class if it can: own is what is held for it.
func (s *State) place(q *queue, sh *share, c int32, own *hold) bool {
	k := &s.classes[c]
	s.at = c
	s.attempts++
	ref := s.first(&sh.fifos[c]) // read now: it is far away, and here by the time that it is needed
	if _, lacks := s.lacks(k, own); lacks {
		if q.blocked.add(c); own == nil {
			s.short.add(c)
		}
		return false
	}
	if !q.within(sh, k) {
		sh.blocked.add(c)
		return false
	}
	e := s.room(q, k, own, q.envs)
	for e != nil && !s.find(q, c, e, own) {
		if e.wants == "" { // on no host at all
			s.wide.remove(c)
			s.near.remove(c)
			return false
		}
		e = s.room(q, k, own, q.envs[slices.Index(q.envs, e)+1:])
	}
	if e == nil {
		q.blocked.add(c)
		return false
	}
	s.start(q, sh, c, e, ref, own)
	return true
}

// room is the first of some environments of the queue that takes a unit of the class.
func (s *State) room(q *queue, c *class, own *hold, envs []*environment) *environment {
	need := c.whole.MilliVCPU
	for _, e := range envs {
		if !e.takes(c) || e.used+need > e.MaxMilliVCPU || q.fair != nil && e.used+need > q.ceiling(e.MaxMilliVCPU, s.now) {
			if q.fair != nil && q.fair.ComputeReservation > 0 {
				s.due = min(s.due, s.now+10*second) // shares stop being active as time passes
			}
			continue
		}
		if h := e.hold; h.binds(own) && !h.over(s, q, c) && need > h.spare {
			continue
		}
		return e
	}
	return nil
}

func (e *environment) takes(c *class) bool {
	return e.Enabled && !e.gone && (e.HostJobs || !c.uses(Process))
}

// find chooses the hosts of a unit in an environment, into s.found.
func (s *State) find(q *queue, c int32, e *environment, own *hold) bool {
	if s.classes[c].Nodes > 1 {
		return s.findGang(q, c, e, own)
	}
	s.found = s.found[:0]
	i := s.findOne(q, c, s.classes[c].sections[0].Shape, e, own)
	if i < 0 {
		return false
	}
	s.found = append(s.found, i)
	return true
}

// findOne chooses a host for one node of a class, which the gang does not have yet.
func (s *State) findOne(q *queue, c int32, shape Shape, e *environment, own *hold) int32 {
	k := &s.classes[c]
	best := int32(-1)
	consider := func(i int32) {
		h := &s.hosts[i]
		if !h.open || h.gone || h.picked != 0 || !shape.Need.Fits(h.free) || !e.has(&shape, s.words(h)) || !s.yields(i, q, k, shape.Need, own) {
			return
		}
		if best < 0 || e.pack && h.free.MilliVCPU < s.hosts[best].free.MilliVCPU || !e.pack && h.free.MilliVCPU > s.hosts[best].free.MilliVCPU {
			best = i
		}
	}
	if own != nil {
		for _, i := range own.hosts {
			consider(i)
		}
		if best >= 0 {
			return best
		}
	}
	wide := s.wide.has(c) || k.Nodes > 1 && s.near.has(c) // the other nodes of a gang may run anywhere
	switch {
	case wide && len(s.grids) == 0:
		for _, i := range s.byID {
			consider(i)
		}
	case wide:
		if i := s.search(shape, e); i >= 0 {
			return s.warmer(i, k, &shape, e)
		}
		for _, h := range s.holds {
			for _, i := range h.hosts {
				consider(i)
			}
		}
	case s.near.has(c):
		for _, i := range s.fresh {
			consider(i)
		}
	}
	return s.warmer(best, k, &shape, e)
}

// start places the head of a class on the hosts that find found.
func (s *State) start(q *queue, sh *share, c int32, e *environment, ref job.Ref, own *hold) {
	k := &s.classes[c]
	u := run{ref: ref, share: sh, env: e, part: part{s.found[0], k.need(0)}, placed: s.now, priority: k.Priority}
	if len(k.tokens) > 0 {
		u.extend().tokens = k.tokens
	}
	p := Placement{Queue: q.Name, Environment: e.Name, Host: s.hosts[s.found[0]].id}
	for n, i := range s.found[1:] {
		m := u.extend()
		m.rest = append(m.rest, part{i, k.need(n + 1)})
		p.Others = append(p.Others, s.hosts[i].id)
	}
	if run := int64(k.Timeout) * second; run > 0 {
		u.end = s.now + run
	} else if q.expected > 0 {
		u.end = s.now + q.expected
	}
	for n, i := range s.found {
		s.spend(i, q, k, k.need(n), own)
		if k.Image != 0 {
			s.heat(k.Image, i)
		}
	}
	if h := e.hold; h != nil && h != own && !h.over(s, q, k) {
		h.spare -= k.whole.MilliVCPU
	}
	first, f := sh.front == c, &sh.fifos[c]
	p.Ref, s.starting = ref, starting{ref, q, sh, c, f.recs[f.lo]}
	s.begin(u)
	s.pop(q, sh, c)
	if first {
		sh.overtaken = 0
	}
	if len(s.fresh) <= 4 {
		clear(s.near)
		for _, i := range s.fresh {
			if h := &s.hosts[i]; h.open && !h.gone {
				s.fitting(h.free, &s.near)
			}
		}
	}
	s.starting.queue = nil // it has started
	s.places = append(s.places, p)
}
