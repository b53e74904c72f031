package sched

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"drover/internal/core/resource"
)

// Group is a run of nodes of a gang that ask for the same.
type Group struct {
	Shape
	Nodes int32
}

// run of nodes of one group, with the number of its first.
type section struct {
	Group
	first int32
}

// sections are the nodes of a demand in their order; a plain unit is a gang of one.
func (d *Demand) sections() []section {
	if len(d.Groups) == 0 {
		return []section{{Group: Group{Shape: d.Shape, Nodes: max(d.Nodes, 1)}}}
	}
	out := make([]section, len(d.Groups))
	first := int32(0)
	for i, g := range d.Groups {
		out[i] = section{g, first}
		first += g.Nodes
	}
	return out
}

// nodes is how many there are.
func (d *Demand) nodes() int32 {
	if len(d.Groups) == 0 {
		return max(d.Nodes, 1)
	}
	n := int32(0)
	for _, g := range d.Groups {
		n += g.Nodes
	}
	return n
}

// gangKey tells apart gangs of different groups; "" for a demand with one Shape.
func (d *Demand) gangKey() string {
	if len(d.Groups) == 0 {
		return ""
	}
	var b strings.Builder
	for _, g := range d.Groups {
		for _, n := range [...]int64{int64(g.Nodes), g.Need.MilliVCPU, g.Need.MemoryMiB, g.Need.GPU} {
			b.WriteString(strconv.FormatInt(n, 10) + " ")
		}
		b.WriteString(g.Executor + " " + g.Wants + ";")
	}
	return b.String()
}

// largestFirst is the order in which hosts are looked for: what is hard to place goes first.
func largestFirst(list []section) []section {
	out := slices.Clone(list)
	slices.SortStableFunc(out, func(a, b section) int {
		return cmp.Or(cmp.Compare(b.Need.GPU, a.Need.GPU), cmp.Compare(b.Need.MilliVCPU, a.Need.MilliVCPU), cmp.Compare(b.Need.MemoryMiB, a.Need.MemoryMiB))
	})
	return out
}

// whole is what all nodes hold together, and least what each of them asks at least.
func measure(list []section) (whole, least resource.Vector) {
	least = list[0].Need
	for _, g := range list {
		n := int64(g.Nodes)
		whole = whole.Add(resource.Vector{MilliVCPU: g.Need.MilliVCPU * n, MemoryMiB: g.Need.MemoryMiB * n, GPU: g.Need.GPU * n})
		least = resource.Vector{
			MilliVCPU: min(least.MilliVCPU, g.Need.MilliVCPU), MemoryMiB: min(least.MemoryMiB, g.Need.MemoryMiB), GPU: min(least.GPU, g.Need.GPU),
		}
	}
	return whole, least
}

// need is what node n asks for.
func (c *class) need(n int) resource.Vector {
	for i := len(c.sections) - 1; i > 0; i-- {
		if n >= int(c.sections[i].first) {
			return c.sections[i].Need
		}
	}
	return c.sections[0].Need
}

// uses reports whether a node of the class needs the executor.
func (c *class) uses(executor string) bool {
	return slices.ContainsFunc(c.sections, func(g section) bool { return g.Executor == executor })
}

// pick is a host that nodes of the gang under way are to go to.
type pick struct {
	host int32
	took resource.Vector
}

// findGang chooses the hosts of a gang, into s.found in the order of its nodes. A node gets
// a host of its own while there is one, then it shares one that the gang has already. Nodes
// that ask for different things may not find a place that way and do in another: they are
// then seated as Explain does.
func (s *State) findGang(q *queue, c int32, e *environment, own *hold) bool {
	k := &s.classes[c]
	s.found = append(s.found[:0], make([]int32, k.Nodes)...)
	if s.spread(q, c, e, own) {
		return true
	}
	return len(k.sections) > 1 && s.seats(k, e, func(i int32) (resource.Vector, bool) {
		h := &s.hosts[i]
		return h.free, h.open && !h.gone && (!h.hold.binds(own) || h.hold.over(s, q, k))
	}, s.found) == k.Nodes
}

// spread chooses hosts for the nodes of a gang one by one. What a node takes is off its host
// meanwhile, and given back in the end: nothing is accounted for here.
func (s *State) spread(q *queue, c int32, e *environment, own *hold) bool {
	k := &s.classes[c]
	s.picks = s.picks[:0]
	ok := true
	for _, g := range k.largest {
		apart := true // there may be hosts left that the gang has not
		for n := g.first; ok && n < g.first+g.Nodes; n++ {
			i := int32(-1)
			if apart {
				i = s.findOne(q, c, g.Shape, e, own)
				apart = i >= 0
			}
			if i < 0 {
				i = s.sharing(q, k, g.Shape, e, own)
			}
			if ok = i >= 0; ok {
				s.choose(i, g.Need)
				s.found[n] = i
			}
		}
	}
	for _, p := range s.picks {
		h := &s.hosts[p.host]
		h.free, h.picked = h.free.Add(p.took), 0
		s.file(p.host)
	}
	return ok
}

// choose takes a node's need off a host for the time of the search.
func (s *State) choose(i int32, need resource.Vector) {
	s.unfile(i)
	h := &s.hosts[i]
	if h.picked == 0 {
		s.picks = append(s.picks, pick{host: i})
		h.picked = int32(len(s.picks))
	}
	h.free = h.free.Sub(need)
	p := &s.picks[h.picked-1]
	p.took = p.took.Add(need)
}

// sharing finds a host for one more node among those that the gang has already.
func (s *State) sharing(q *queue, k *class, shape Shape, e *environment, own *hold) int32 {
	best := int32(-1)
	for _, p := range s.picks {
		h := &s.hosts[p.host]
		if !shape.Need.Fits(h.free) || !e.has(&shape, s.words(h)) || h.hold.binds(own) && !h.hold.over(s, q, k) {
			continue
		}
		if best < 0 || e.pack && h.free.MilliVCPU < s.hosts[best].free.MilliVCPU || !e.pack && h.free.MilliVCPU > s.hosts[best].free.MilliVCPU {
			best = p.host
		}
	}
	return best
}

// seats is how many nodes of a class find a place on hosts of an environment with the given room, the largest
// first, each on the first host that has room for it, of those first that the fewest kinds of
// its nodes could use; room says no for a host that is not to be counted. found, if not nil,
// gets the host of each node.
func (s *State) seats(k *class, e *environment, room func(i int32) (resource.Vector, bool), found []int32) int32 {
	left := make([]resource.Vector, len(s.hosts))
	open := make([]bool, len(s.hosts))
	for _, i := range s.byID {
		left[i], open[i] = room(i)
	}
	order := s.byID
	if len(k.largest) > 1 {
		order = s.leastUseful(k, left)
	}
	seated := int32(0)
	for _, g := range k.largest {
		n := int32(0)
		for _, i := range order {
			for n < g.Nodes && open[i] && e.has(&g.Shape, s.words(&s.hosts[i])) && g.Need.Fits(left[i]) {
				left[i] = left[i].Sub(g.Need)
				if found != nil {
					found[g.first+n] = i
				}
				n++
			}
		}
		seated += n
	}
	return seated
}

// leastUseful sorts the hosts by how many kinds of nodes of a gang have room on them.
func (s *State) leastUseful(k *class, left []resource.Vector) []int32 {
	kinds := make([]int, len(s.hosts))
	for _, i := range s.byID {
		for _, g := range k.largest {
			if g.Need.Fits(left[i]) {
				kinds[i]++
			}
		}
	}
	order := slices.Clone(s.byID)
	slices.SortStableFunc(order, func(a, b int32) int { return cmp.Compare(kinds[a], kinds[b]) })
	return order
}

// empty is the room of a host that runs nothing.
func (s *State) empty(i int32) (resource.Vector, bool) {
	h := &s.hosts[i]
	return h.capacity, h.open && !h.gone
}
