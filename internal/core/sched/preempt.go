package sched

import (
	"cmp"
	"slices"

	"drover/internal/core/job"
	"drover/internal/core/resource"
)

// Rule says by what right a unit is stopped for another.
type Rule string

// The rules. By each of them the one that is stopped can never stop the other in turn.
const (
	ByPriority Rule = "queue-priority"       // of a queue of higher priority for one of a queue with TagPreempt
	ByReclaim  Rule = "quota-reclaim"        // a quota share takes back what another borrowed
	ByUrgency  Rule = "quota-share-priority" // of higher schedulingPriority in one quota share that allows it
)

// Preemption is a running unit that must be stopped so that another can start. It still
// holds its room, and is not chosen again; the room it leaves is kept for the other one.
type Preemption struct {
	Victim job.Ref
	For    job.Ref
	Rule   Rule
}

// Bounds of preemption: so many units have room made for them in one round and at one time,
// and no round comes sooner than that after the last one.
const (
	roundUnits = 4
	roundHosts = 10_000 // that a round looks at, again for each unit: the others are the next one's
	roundEvery = second / 10
	roundIdle  = second       // after a round in which nothing was stopped
	maxVictims = 64           // for one unit
	frontUnits = 4            // kinds of units of a share that are looked at
	makeWithin = 600 * second // for which room is kept at most
	keepWithin = 60 * second  // that is complete
)

// preempt chooses what must be stopped, once a pass has placed all that fits: for the first
// units of each queue, queues of high priority first, the smallest set that lets them start.
func (s *State) preempt() []Preemption {
	if s.waiting == 0 || s.yielding == 0 {
		return nil
	}
	if s.now < s.preemptAt && s.preemptAt <= s.now+roundIdle { // else the clock was set back
		s.due = min(s.due, s.preemptAt)
		return nil
	}
	if !s.contested() {
		return nil
	}
	out, all := s.round()
	s.preemptAt = s.now + roundIdle
	if len(out) > 0 || !all {
		s.preemptAt = s.now + roundEvery
	}
	s.due = min(s.due, s.preemptAt)
	return out
}

// round makes room for a few units. It goes on where the last one had to stop; all says that
// it came to the end.
func (s *State) round() (out []Preemption, all bool) {
	left := min(roundUnits, max(roundUnits, len(s.byID)/50)-s.making)
	tries, at := max(1, min(roundUnits, roundHosts/max(len(s.byID), 1))), 0
	for _, q := range s.queues {
		if q.waiting == 0 || left <= 0 || !s.mayStop(q) {
			continue
		}
		for _, f := range s.fronts(q) {
			if at++; at <= s.tried {
				continue
			}
			for left > 0 && f.share.fifos[f.class].atLeast(s, s.makingFor(f.share, f.class)+1) {
				if tries--; tries < 0 {
					s.tried = at - 1
					return out, false
				}
				set := s.roomMade(q, f.share, f.class)
				if len(set) == 0 {
					break
				}
				out = append(out, set...)
				left--
			}
		}
	}
	s.tried = 0
	return out, true
}

// contested reports whether any queue may stop what runs.
func (s *State) contested() bool {
	for _, q := range s.queues {
		if q.waiting > 0 && s.mayStop(q) {
			return true
		}
	}
	return false
}

// mayStop reports whether there is anything that units of a queue may stop at all.
func (s *State) mayStop(q *queue) bool {
	for _, o := range s.queues {
		if o.yields && o.running > 0 && o.Priority < q.Priority {
			return true
		}
	}
	for _, sh := range q.shares {
		if sh.running.over(sh.quota.Limit) || sh.quota.Urgent && sh.waiting > 0 && sh.running != (Limit{}) {
			return true
		}
	}
	return false
}

// front is the head of a FIFO that is among the first of its queue.
type front struct {
	share *share
	class int32
}

// fronts lists the first kinds of units of each share of a queue, in the queue's order.
func (s *State) fronts(q *queue) []front {
	var out []front
	for _, sh := range q.shares {
		if sh.waiting == 0 {
			continue
		}
		s.frontOf(sh) // sees to it that hopeless is up to date
		first := len(out)
		for w, m := range sh.wait {
			for m &^= sh.hopeless.word(w) | s.sick.word(w); m != 0; m &= m - 1 {
				c := int32(w*64) + lowest(m)
				at := first
				for at < len(out) && !s.goesBefore(q, sh, c, sh, out[at].class) {
					at++
				}
				if at < first+frontUnits {
					out = slices.Insert(out, at, front{sh, c})
					out = out[:min(len(out), first+frontUnits)]
				}
			}
		}
	}
	slices.SortStableFunc(out, func(a, b front) int {
		if q.fair != nil && a.share != b.share {
			return cmp.Compare(q.key(a.share, s.now), q.key(b.share, s.now))
		}
		switch {
		case s.goesBefore(q, a.share, a.class, b.share, b.class):
			return -1
		case s.goesBefore(q, b.share, b.class, a.share, a.class):
			return 1
		}
		return 0
	})
	if q.policy == strictly && len(out) > 1 {
		out = out[:1]
	}
	return out
}

// atLeast reports whether n units wait in a FIFO.
func (f *fifo) atLeast(s *State, n int64) bool {
	for i := int(f.lo); i < len(f.recs) && n > 0; i++ {
		switch k := f.recs[i].kids; {
		case k >= 0:
			n -= s.kids[k].size()
		case k == plain:
			n--
		}
	}
	return n <= 0
}

// nth is the unit of a FIFO that n others of it go before.
func (s *State) nth(f *fifo, n int64) job.Ref {
	for _, r := range f.live() {
		ref := job.Ref{Key: keyOf(r.order), Index: job.Whole}
		switch {
		case r.kids == dead:
			continue
		case r.kids >= 0:
			if size := s.kids[r.kids].size(); n >= size {
				n -= size
				continue
			}
			ref.Index = s.kids[r.kids].at(n)
		case n > 0:
			n--
			continue
		}
		return ref
	}
	return s.first(f)
}

// makingFor counts the units of a FIFO for which room is being made.
func (s *State) makingFor(sh *share, c int32) (n int64) {
	for _, h := range s.holds {
		if h.rule != "" && h.share == sh && h.class == c {
			n++
		}
	}
	return n
}

// take starts the units for which room was being made, where it is there now.
func (s *State) take(limit int) {
	for i := 0; i < len(s.holds) && len(s.places) < limit; i++ {
		h := s.holds[i]
		if h.rule == "" {
			continue
		}
		q, c := h.queue, h.class
		if !h.share.fifos[c].atLeast(s, s.makingFor(h.share, c)) { // others of its kind went elsewhere
			s.end(h)
			i--
			continue
		}
		if q.pass != s.pass {
			q.turn(s)
		}
		ok := s.taken(h)
		if i == len(s.holds) || s.holds[i] != h { // it was set aside
			return
		}
		if ok {
			s.end(h)
			i--
		} else if h.left == 0 { // all have stopped, and it lacks something else now
			h.until = min(h.until, s.now+keepWithin)
		}
	}
}

// want is a unit for which room is to be made in an environment.
type want struct {
	queue *queue
	share *share
	class *class
	env   *environment
	own   *hold   // what is kept for it already
	set   []int32 // whom to stop
	hosts []int32
	needs []resource.Vector // per host: what the unit takes there
}

// roomMade is makeRoom, but that what cannot be decided on is set aside.
func (s *State) roomMade(q *queue, sh *share, c int32) (out []Preemption) {
	s.at = c
	defer s.rescue()
	return s.makeRoom(q, sh, c)
}

// taken is place for a unit for which room was made, with the same care.
func (s *State) taken(h *hold) (ok bool) {
	defer s.rescue()
	return s.place(h.queue, h.share, h.class, h)
}

// makeRoom stops the smallest set of units that lets the head of a class start, and keeps
// the room for it.
func (s *State) makeRoom(q *queue, sh *share, c int32) []Preemption {
	k := &s.classes[c]
	own := q.hold
	if own != nil && (own.share != sh || own.class != c) {
		own = nil
	}
	for _, t := range k.tokens {
		if o := s.tokens[t.Name]; o == nil || o.hold != nil && o.hold != own {
			return nil // it would have to wait for another
		}
	}
	var best *want
	for _, e := range q.envs {
		if !e.takes(k) || k.whole.MilliVCPU > q.ceiling(e.MaxMilliVCPU, s.now) || e.hold != nil && e.hold != own {
			continue
		}
		w := &want{queue: q, share: sh, class: k, env: e, own: own}
		switch {
		case !s.solve(w):
		case len(w.set) == 0: // what is being stopped already is enough
			return nil
		case best == nil || len(w.set) < len(best.set):
			best = w
		}
	}
	if best == nil {
		return nil
	}
	if own != nil {
		s.end(own) // this room comes sooner
	}
	s.holdSeq++
	rule, _ := s.right(s.run(best.set[0]), best.upTo(0))
	h := &hold{seq: s.holdSeq, queue: q, share: sh, class: c, order: sh.heads[c], rule: rule, until: s.now + makeWithin}
	for n, i := range best.hosts {
		s.unfile(i)
		s.hosts[i].hold = h
		h.hosts, h.needs = append(h.hosts, i), append(h.needs, best.needs[n])
		h.beside = append(h.beside, resource.Vector{MilliVCPU: -1})
	}
	s.holds = append(s.holds, h)
	s.stir(h)
	s.making++
	unit := s.nth(&sh.fifos[c], s.makingFor(sh, c)-1)
	var out []Preemption
	for n, i := range best.set {
		rule, _ := s.right(s.run(i), best.upTo(n))
		out = append(out, Preemption{Victim: s.run(i).ref, For: unit, Rule: rule})
	}
	for _, i := range best.set {
		s.leave(i)
		s.run(i).extend().makes = h.seq
		h.left++
	}
	s.refresh(h)
	return out
}

// Leave says that a unit that runs is being stopped: its room will come back soon.
func (s *State) Leave(r job.Ref) {
	if i, ok := s.runAt.get(r); ok && !s.run(i).leaving {
		s.leave(i)
	}
}

func (s *State) leave(i int32) {
	u := s.run(i)
	u.leaving = true
	u.parts(func(p *part) {
		if p.host >= 0 {
			s.stirHost(p.host)
		}
	})
	whole := u.whole()
	u.env.leaving += whole.MilliVCPU
	if u.share != nil {
		u.share.leaving = u.share.leaving.plus(Limit{whole.MilliVCPU, whole.GPU}, 1)
	}
}

func (u *run) amount() Limit {
	v := u.whole()
	return Limit{v.MilliVCPU, v.GPU}
}

// right says by which rule a unit may be stopped for another, if it may.
func (s *State) right(u *run, w *want) (Rule, bool) {
	q := u.queue()
	if q == nil || u.leaving || s.now-u.placed < q.protect {
		return "", false
	}
	switch {
	case q.yields && w.queue.Priority > q.Priority && w.queue.within(w.share, w.class):
		return ByPriority, true
	case q != w.queue || len(q.quotas) == 0:
		return "", false
	case u.share == w.share:
		return ByUrgency, u.share.quota.Urgent && u.priority < w.class.Priority
	}
	return ByReclaim, s.borrowed(u, w) && s.entitled(w)
}

// borrowed reports whether a share holds more than its own by that unit, even without what
// is being stopped.
func (s *State) borrowed(u *run, w *want) bool {
	held := u.share.running.plus(u.share.leaving, -1)
	for _, i := range w.set {
		if o := s.run(i); o.share == u.share && o != u {
			held = held.plus(o.amount(), -1)
		}
	}
	own, l := u.share.quota.Limit, u.amount()
	return own.MilliVCPU > 0 && held.MilliVCPU > own.MilliVCPU && l.MilliVCPU > 0 || own.GPU > 0 && held.GPU > own.GPU && l.GPU > 0
}

// entitled reports whether the unit asks for no more than its share owns.
func (s *State) entitled(w *want) bool {
	l := w.class.amount()
	for _, h := range s.holds {
		if h.rule != "" && h.share == w.share {
			l = l.plus(s.classes[h.class].amount(), 1)
		}
	}
	return w.share.owns(l)
}

// prefers reports whether a is stopped rather than b: what runs on Spot, then the youngest.
func (s *State) prefers(a, b int32) bool {
	x, y := s.run(a), s.run(b)
	if x.env.Spot != y.env.Spot {
		return x.env.Spot
	}
	return cmp.Or(cmp.Compare(y.placed, x.placed), x.ref.Compare(y.ref)) < 0
}

// solve finds the units to stop, and the hosts on which the unit then starts.
func (s *State) solve(w *want) bool {
	if !s.solveHosts(w) {
		return false
	}
	for gap := s.gaps(w); gap.any(); gap = s.gaps(w) {
		best, most := int32(-1), 0.0
		for r := range s.runs.n {
			u := s.run(r)
			if u.env == nil || slices.Contains(w.set, r) {
				continue
			}
			if c := gap.closes(u, w); c > 0 && c >= most {
				if _, ok := s.right(u, w); ok && (c > most || s.prefers(r, best)) {
					best, most = r, c
				}
			}
		}
		if best < 0 || len(w.set) == maxVictims {
			return false
		}
		w.set = append(w.set, best)
	}
	s.prune(w)
	for n, i := range w.set { // together they may be more than one may take
		if _, ok := s.right(s.run(i), w.upTo(n)); !ok {
			return false
		}
	}
	return true
}

// upTo is w with the first n of its victims only.
func (w *want) upTo(n int) *want {
	o := *w
	o.set = w.set[:n]
	return &o
}

// prune leaves out who does not help, beginning with whom one would rather keep.
func (s *State) prune(w *want) {
	slices.SortFunc(w.set, func(a, b int32) int {
		if s.prefers(a, b) {
			return -1
		}
		return 1
	})
	for n := len(w.set) - 1; n >= 0; n-- {
		try := *w
		try.set = slices.Delete(slices.Clone(w.set), n, n+1)
		if gap := s.gaps(&try); !gap.any() && (s.seated(&try) || s.reseated(&try)) {
			*w = try
		}
	}
}

// reseated reports whether the unit fits on some hosts once w.set has ended, and chooses them:
// who is stopped for a token may leave enough room too.
func (s *State) reseated(w *want) bool {
	enough := len(w.set)
	w.hosts, w.needs = nil, nil
	return s.solveHosts(w) && len(w.set) == enough
}

// seated reports whether the unit fits on the hosts chosen for it once w.set has ended.
func (s *State) seated(w *want) bool {
	for n, i := range w.hosts {
		if !w.needs[n].Fits(s.freed(i, w.set)) {
			return false
		}
	}
	return true
}

// freed is what a host has free once all that is being stopped there, and set, has ended.
func (s *State) freed(i int32, set []int32) resource.Vector {
	h := &s.hosts[i]
	free := h.free
	for _, r := range h.runs {
		if s.run(r).leaving || slices.Contains(set, r) {
			free = free.Add(s.run(r).on(i))
		}
	}
	return free
}

// gap is what a unit lacks besides hosts.
type gap struct {
	vcpu, shareVCPU, shareGPU int64
	tokens                    []Token
}

func (g *gap) any() bool { return g.vcpu > 0 || g.shareVCPU > 0 || g.shareGPU > 0 || len(g.tokens) > 0 }

// gaps is what the unit of w lacks under maxvCpus, of its share and of tokens, once all
// that is being stopped, and w.set, has ended.
func (s *State) gaps(w *want) (g gap) {
	need, e := w.class.amount(), w.env
	g.vcpu = e.used - e.leaving + need.MilliVCPU - w.queue.ceiling(e.MaxMilliVCPU, s.now)
	held := w.share.running.plus(w.share.leaving, -1).plus(need, 1)
	for _, i := range w.set {
		u := s.run(i)
		if u.env == e {
			g.vcpu -= u.whole().MilliVCPU
		}
		if u.share == w.share {
			held = held.plus(u.amount(), -1)
		}
	}
	if own := w.share.quota.Limit; !w.queue.within(w.share, w.class) {
		if own.MilliVCPU > 0 {
			g.shareVCPU = held.MilliVCPU - own.MilliVCPU
		}
		if own.GPU > 0 {
			g.shareGPU = held.GPU - own.GPU
		}
	}
	for _, t := range w.class.tokens {
		if lack := s.tokenGap(t, w.set); lack > 0 {
			g.tokens = append(g.tokens, Token{t.Name, lack})
		}
	}
	return g
}

// tokenGap is how many tokens of a name are missing.
func (s *State) tokenGap(t Token, set []int32) int64 {
	k := s.tokens[t.Name]
	if k == nil {
		return t.Quantity
	}
	lack := k.used + t.Quantity - k.total
	if lack <= 0 || !k.replenishable {
		return lack
	}
	for i := range s.runs.n {
		if u := s.run(i); u.leaving || slices.Contains(set, i) {
			lack -= u.has(t.Name)
		}
	}
	return lack
}

// has is how many tokens of a name a unit holds.
func (u *run) has(name string) int64 {
	for _, t := range u.tokens() {
		if t.Name == name {
			return t.Quantity
		}
	}
	return 0
}

// closes is how much of the gaps goes when a unit ends: each counts as 1.
func (g *gap) closes(u *run, w *want) (sum float64) {
	part := func(gives, lacks int64) {
		if lacks > 0 && gives > 0 {
			sum += float64(min(gives, lacks)) / float64(lacks)
		}
	}
	whole := u.whole()
	if u.env == w.env {
		part(whole.MilliVCPU, g.vcpu)
	}
	if u.share == w.share {
		part(whole.MilliVCPU, g.shareVCPU)
		part(whole.GPU, g.shareGPU)
	}
	for _, t := range g.tokens {
		part(u.has(t.Name), t.Quantity)
	}
	return sum
}

// offer is a host on which the unit, or one node of it, starts once set has ended.
type offer struct {
	host   int32
	set    []int32
	steady int   // of them not on Spot
	lost   int64 // work that they have done (milli vCPU times µs)
}

func (o *offer) compare(p *offer) int {
	return cmp.Or(cmp.Compare(len(o.set), len(p.set)), cmp.Compare(o.steady, p.steady), cmp.Compare(o.lost, p.lost))
}

// solveHosts finds the hosts where the fewest units must be stopped; of those where the
// least work is lost. Each node of a gang gets one of its own and, once each host has one,
// another.
func (s *State) solveHosts(w *want) bool {
	for _, g := range w.class.largest {
		for rest := int(g.Nodes); rest > 0; {
			best := s.cheapest(w, g.Shape, rest)
			if len(best) == 0 {
				return false
			}
			for _, o := range best {
				if n := slices.Index(w.hosts, o.host); n >= 0 {
					w.needs[n] = w.needs[n].Add(g.Need)
				} else {
					w.hosts, w.needs = append(w.hosts, o.host), append(w.needs, g.Need)
				}
				for _, r := range o.set {
					if !slices.Contains(w.set, r) {
						w.set = append(w.set, r)
					}
				}
			}
			rest -= len(best)
		}
	}
	return true
}

// cheapest gives up to n hosts for one more node each.
func (s *State) cheapest(w *want, shape Shape, n int) []offer {
	var best []offer // sorted
	for _, i := range s.byID {
		h := &s.hosts[i]
		if !s.suits(h, &shape, w.env) || h.hold != nil && h.hold != w.own {
			continue
		}
		o, ok := s.offer(i, w, shape.Need)
		if !ok || len(best) == n && o.compare(&best[n-1]) >= 0 {
			continue
		}
		at := len(best)
		for at > 0 && o.compare(&best[at-1]) < 0 {
			at--
		}
		best = slices.Insert(best, at, o)
		best = best[:min(len(best), n)]
		if len(best) == n && len(best[n-1].set) == 0 {
			break // it cannot be better
		}
	}
	return best
}

// offer finds the few units to stop on host i, beside those that w stops already: at each
// step the one that gives most of what is missing, of equals the one that is stopped rather.
func (s *State) offer(i int32, w *want, need resource.Vector) (o offer, ok bool) {
	o.host = i
	if n := slices.Index(w.hosts, i); n >= 0 {
		need = need.Add(w.needs[n])
	}
	try := *w
	for free := s.freed(i, w.set); !need.Fits(free); {
		best, most := int32(-1), 0.0
		for _, r := range s.hosts[i].runs {
			u := s.run(r)
			if slices.Contains(try.set, r) {
				continue
			}
			if c := covers(u.on(i), need.Sub(free)); c > 0 && c >= most {
				if _, ok := s.right(u, &try); ok && (c > most || s.prefers(r, best)) {
					best, most = r, c
				}
			}
		}
		if best < 0 || len(o.set) == maxVictims {
			return o, false
		}
		o.set = append(o.set, best)
		try.set = append(slices.Clip(w.set), o.set...)
		free = free.Add(s.run(best).on(i))
	}
	for _, r := range o.set {
		u := s.run(r)
		if !u.env.Spot {
			o.steady++
		}
		o.lost += (s.now - u.placed) / second * u.whole().MilliVCPU
	}
	return o, true
}

// covers is how much of what is missing a unit gives, each resource counting as 1.
func covers(gives, lacks resource.Vector) (sum float64) {
	for _, x := range [3][2]int64{{gives.MilliVCPU, lacks.MilliVCPU}, {gives.MemoryMiB, lacks.MemoryMiB}, {gives.GPU, lacks.GPU}} {
		if x[1] > 0 && x[0] > 0 {
			sum += float64(min(x[0], x[1])) / float64(x[1])
		}
	}
	return sum
}
