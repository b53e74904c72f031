package sched

import (
	"maps"
	"slices"

	"drover/internal/core/job"
)

// Clone gives a State that decides from here on as this one would, and shares nothing with
// it that either changes. With depth above 0 only the first so many records of each FIFO are
// taken along: what waits further back is not known to the clone, so that a copy for looking
// a little ahead costs little even when millions wait.
func (s *State) Clone(depth int) *State {
	c := *s
	m := &cloning{from: s, to: &c, depth: depth,
		queues: map[*queue]*queue{}, shares: map[*share]*share{}, envs: map[*environment]*environment{}, holds: map[*hold]*hold{}, grids: map[*grid]*grid{}}
	c.hostAt, c.classOf = maps.Clone(s.hostAt), maps.Clone(s.classOf)
	c.runAt.slots = slices.Clone(s.runAt.slots)
	c.byID, c.freeHosts, c.fresh, c.kinds = slices.Clone(s.byID), slices.Clone(s.freeHosts), slices.Clone(s.fresh), slices.Clone(s.kinds)
	c.classes, c.needs, c.priorities, c.freeClasses = slices.Clone(s.classes), slices.Clone(s.needs), slices.Clone(s.priorities), slices.Clone(s.freeClasses)
	c.ladders = slices.Clone(s.ladders)
	c.kids, c.freeKids = cloneKids(s.kids), slices.Clone(s.freeKids)
	c.wanted, c.likely, c.wide, c.near, c.sick, c.short, c.aside = slices.Clone(s.wanted), slices.Clone(s.likely), slices.Clone(s.wide), slices.Clone(s.near), slices.Clone(s.sick), slices.Clone(s.short), nil
	c.freeRuns, c.warm = slices.Clone(s.freeRuns), slices.Clone(s.warm)
	c.places, c.ends, c.found, c.picks, c.starting = nil, nil, nil, nil, starting{}
	c.environments = make([]*environment, len(s.environments))
	for i, e := range s.environments {
		c.environments[i] = m.environment(e)
	}
	c.queues = make([]*queue, len(s.queues))
	for i, q := range s.queues {
		c.queues[i] = m.queue(q)
	}
	c.grids = make([]*grid, len(s.grids))
	for i, g := range s.grids {
		c.grids[i] = m.grid(g)
	}
	c.holds = make([]*hold, len(s.holds))
	for i, h := range s.holds {
		c.holds[i] = m.hold(h)
	}
	c.hosts = slices.Clone(s.hosts)
	for i := range c.hosts {
		h := &c.hosts[i]
		h.hold, h.grid, h.runs = m.hold(h.hold), m.grid(h.grid), slices.Clone(h.runs)
	}
	c.runs = s.runs.clone()
	for i := range c.runs.n {
		r := c.run(i)
		r.share, r.env = m.share(r.share), m.environment(r.env)
		if r.more != nil {
			r.more = &more{slices.Clone(r.more.rest), r.more.tokens, r.more.makes}
		}
	}
	c.tokens = make(map[string]*token, len(s.tokens))
	for _, name := range slices.Sorted(maps.Keys(s.tokens)) {
		k := *s.tokens[name]
		k.hold = m.hold(k.hold)
		c.tokens[name] = &k
	}
	return &c
}

// cloning remembers what has been copied already: the parts of a State point at each other.
type cloning struct {
	from, to *State
	depth    int
	queues   map[*queue]*queue
	shares   map[*share]*share
	envs     map[*environment]*environment
	holds    map[*hold]*hold
	grids    map[*grid]*grid
}

func (m *cloning) queue(q *queue) *queue {
	if q == nil || m.queues[q] != nil {
		return m.queues[q]
	}
	c := *q
	m.queues[q] = &c
	c.wait, c.blocked, c.lists = slices.Clone(q.wait), slices.Clone(q.blocked), slices.Clone(q.lists)
	c.hold, c.due = m.hold(q.hold), m.share(q.due)
	c.envs = make([]*environment, len(q.envs))
	for i, e := range q.envs {
		c.envs[i] = m.environment(e)
	}
	c.shares, c.byName = make([]*share, len(q.shares)), make(map[string]*share, len(q.shares))
	for i, sh := range q.shares {
		n := m.share(sh)
		c.shares[i], c.byName[n.name] = n, n
		m.fifos(&c, n, sh)
	}
	return &c
}

func (m *cloning) share(sh *share) *share {
	if sh == nil || m.shares[sh] != nil {
		return m.shares[sh]
	}
	c := *sh
	m.shares[sh] = &c
	c.wait, c.blocked, c.hopeless, c.heads, c.firsts = slices.Clone(sh.wait), slices.Clone(sh.blocked), slices.Clone(sh.hopeless), slices.Clone(sh.heads), slices.Clone(sh.firsts)
	c.fifos = nil // fifos fills them in
	c.queue = m.queue(sh.queue)
	return &c
}

// fifos copies what waits in a share, as deep as is wanted.
func (m *cloning) fifos(q *queue, to, from *share) {
	to.fifos = make([]fifo, len(from.fifos))
	for i := range from.fifos {
		f, n := &from.fifos[i], &to.fifos[i]
		recs := f.live()
		n.dead = f.dead
		if m.depth > 0 && len(recs) > m.depth {
			n.dead = 0
			for _, r := range recs[:m.depth] {
				if r.kids == dead {
					n.dead++
				}
			}
			for _, r := range recs[m.depth:] {
				m.to.count(q, to, -m.from.units(r))
			}
			recs = recs[:m.depth]
		}
		n.recs = slices.Clone(recs)
	}
}

// units is how many units a record stands for.
func (s *State) units(r rec) int64 {
	switch {
	case r.kids >= 0:
		return s.kids[r.kids].size()
	case r.kids == dead:
		return 0
	}
	return 1
}

func (m *cloning) environment(e *environment) *environment {
	if e == nil || m.envs[e] != nil {
		return m.envs[e]
	}
	c := *e
	m.envs[e] = &c
	c.hold = m.hold(e.hold)
	return &c
}

func (m *cloning) hold(h *hold) *hold {
	if h == nil || m.holds[h] != nil {
		return m.holds[h]
	}
	c := *h
	m.holds[h] = &c
	c.queue, c.share, c.env = m.queue(h.queue), m.share(h.share), m.environment(h.env)
	c.hosts, c.beside, c.needs = slices.Clone(h.hosts), slices.Clone(h.beside), slices.Clone(h.needs)
	return &c
}

func (m *cloning) grid(g *grid) *grid {
	if g == nil || m.grids[g] != nil {
		return m.grids[g]
	}
	c := *g
	m.grids[g] = &c
	return &c
}

// cloneKids copies the waiting children of arrays into one piece of memory.
func cloneKids(kids []spans) []spans {
	total := 0
	for _, k := range kids {
		total += len(k)
	}
	all, out := make([]span, 0, total), make([]spans, len(kids))
	for i, k := range kids {
		at := len(all)
		all = append(all, k...)
		out[i] = all[at:len(all):len(all)]
	}
	return out
}

// Running is a unit that holds room, as EachRunning tells it.
type Running struct {
	Ref    job.Ref
	Queue  string // "" = it was not known when the unit was taken over
	Placed int64  // µs
	End    int64  // when it must have ended by its timeout or its queue's expectation (µs); 0 = unknown
}

// EachRunning calls f with every unit that holds room, in no order of meaning but always
// the same for the same State.
func (s *State) EachRunning(f func(Running)) {
	for i := range s.runs.n {
		u := s.run(i)
		if at, ok := s.runAt.get(u.ref); !ok || at != i {
			continue
		}
		r := Running{Ref: u.ref, Placed: u.placed, End: u.end}
		if q := u.queue(); q != nil {
			r.Queue = q.Name
		}
		f(r)
	}
}

// Line is one record that waits: a plain job, or all waiting children of an array.
type Line struct {
	Queue   string
	Key     job.Key
	Units   int64
	Timeout int32 // seconds; 0 = none
}

// EachWaiting calls f with the first n records of every FIFO.
func (s *State) EachWaiting(n int, f func(Line)) {
	for _, q := range s.queues {
		for _, sh := range q.shares {
			for c := range sh.fifos {
				o := &sh.fifos[c]
				left := n
				for _, r := range o.live() {
					if left == 0 {
						break
					}
					if r.kids == dead {
						continue
					}
					left--
					f(Line{Queue: q.Name, Key: keyOf(r.order), Units: s.units(r), Timeout: s.classes[c].Timeout})
				}
			}
		}
	}
}

// FIFOs is the number of FIFOs in which something waits.
func (s *State) FIFOs() int {
	n := 0
	for _, q := range s.queues {
		for _, sh := range q.shares {
			for c := range sh.fifos {
				if !sh.fifos[c].empty() {
					n++
				}
			}
		}
	}
	return n
}

// ExpectedOf is how long units of a queue without a timeout run by its tag
// drover:expected-seconds (µs); 0 = it does not say.
func (s *State) ExpectedOf(queueName string) int64 {
	if q := s.queue(queueName); q != nil {
		return q.expected
	}
	return 0
}

// Due is when time alone changes what Decide would decide (µs); ok is false if it never does.
func (s *State) Due() (at int64, ok bool) { return s.due, s.due != never }

// Quiet reports whether Decide would have no occasion to look at anything.
func (s *State) Quiet(now int64) bool {
	return s.waiting == 0 || s.idle && now >= s.now && now < s.due
}
