package sched

import (
	"cmp"
	"math/bits"
	"slices"
	"strings"

	"drover/internal/core/job"
	"drover/internal/core/resource"
)

type environment struct {
	job.Environment
	used    int64 // milli vCPU
	leaving int64 // what of used is being stopped
	gone    bool  // removed, but something runs in it: one of its name would not start empty
	pack    bool
	wants   string // terms that its hosts meet; "" = any host will do
	hold    *hold  // room under maxvCpus that is kept for somebody
}

// host is one host. It is found by its place in State.hosts, which it keeps. It is two lines
// of the cache, and what a search looks at and what its neighbours in a cell change is in
// the first.
type host struct {
	free   resource.Vector
	grid   *grid // where it is filed; nil = nowhere
	hold   *hold // room that is kept for somebody
	prev   int32
	next   int32
	picked int32 // 1 + its place in State.picks while hosts of a gang are looked for
	kind   int32 // its words, in State.kinds
	cell   int16
	open   bool // takes new work
	gone   bool // the place is empty
	fresh  bool // it is in State.fresh

	runs     []int32
	id       string
	capacity resource.Vector
}

// fewHosts is up to how many hosts a walk over all of them is the quickest way.
const fewHosts = 32

func (s *State) environment(name string) *environment {
	for _, e := range s.environments {
		if e.Name == name {
			return e
		}
	}
	return nil
}

// SetEnvironment adds a compute environment or changes it.
func (s *State) SetEnvironment(e job.Environment) {
	o := s.environment(e.Name)
	if o == nil {
		o = &environment{}
		s.environments = append(s.environments, o)
	}
	o.Environment, o.gone, o.pack = e, false, e.Tags[TagPlace] == "pack"
	if was := o.wants; was != o.ofHosts() {
		o.wants = o.ofHosts()
		for _, q := range s.queues {
			if slices.Contains(q.envs, o) {
				s.endAll(q) // what is kept may be of hosts that are not its any more
			}
		}
	}
	s.resolve()
}

// RemoveEnvironment takes a compute environment away: at once, or when the last unit that
// runs in it gives its capacity back.
func (s *State) RemoveEnvironment(name string) {
	if e := s.environment(name); e != nil {
		e.gone = true
		s.bury(e)
	}
}

// bury forgets an environment that is gone and empty.
func (s *State) bury(e *environment) {
	if e.gone && e.used == 0 {
		if e.hold != nil {
			s.end(e.hold)
		}
		s.environments = slices.DeleteFunc(s.environments, func(o *environment) bool { return o == e })
		s.resolve()
	}
}

func (s *State) host(id string) *host {
	if i, ok := s.hostAt[id]; ok {
		return &s.hosts[i]
	}
	return nil
}

// SetHost adds a host or changes its capacity. A new host takes no work before OpenHost.
func (s *State) SetHost(id string, capacity resource.Vector, executors []string) {
	i, ok := s.hostAt[id]
	if !ok {
		i = int32(len(s.hosts))
		if n := len(s.freeHosts); n > 0 {
			i = s.freeHosts[n-1]
			s.freeHosts = s.freeHosts[:n-1]
		} else {
			s.hosts = append(s.hosts, host{})
		}
		s.hosts[i] = host{id: id, cell: -1, prev: -1, next: -1, fresh: s.hosts[i].fresh}
		s.hostAt[id] = i
		at, _ := slices.BinarySearchFunc(s.byID, id, func(o int32, id string) int { return strings.Compare(s.hosts[o].id, id) })
		s.byID = slices.Insert(s.byID, at, i)
	}
	s.unfile(i)
	s.version++
	h := &s.hosts[i]
	used := h.capacity.Sub(h.free)
	h.capacity, h.free, h.kind = capacity, capacity.Sub(used), s.kindOf(executors)
	s.opened(i)
}

// kindOf numbers what hosts say of themselves. It differs in few ways among many hosts.
func (s *State) kindOf(words []string) int32 {
	i := slices.IndexFunc(s.kinds, func(k []string) bool { return slices.Equal(k, words) })
	if i < 0 {
		i = len(s.kinds)
		s.kinds = append(s.kinds, words)
	}
	return int32(i)
}

// words is what a host says of itself (Shape.on).
func (s *State) words(h *host) []string { return s.kinds[h.kind] }

// OpenHost says whether the host takes new work.
func (s *State) OpenHost(id string, open bool) {
	i, ok := s.hostAt[id]
	if !ok || s.hosts[i].open == open {
		return
	}
	s.unfile(i)
	s.version++
	s.hosts[i].open = open
	if h := s.hosts[i].hold; h != nil && !open {
		s.end(h)
	}
	s.opened(i)
}

// RemoveHost forgets a host; what ran there must be released first.
func (s *State) RemoveHost(id string) {
	i, ok := s.hostAt[id]
	if !ok {
		return
	}
	if h := s.hosts[i].hold; h != nil {
		s.end(h)
	}
	s.unfile(i)
	delete(s.hostAt, id)
	s.byID = slices.DeleteFunc(s.byID, func(o int32) bool { return o == i })
	for _, r := range s.hosts[i].runs {
		s.run(r).detach(i)
	}
	s.cool(i)
	s.hosts[i] = host{gone: true, cell: -1, prev: -1, next: -1, fresh: s.hosts[i].fresh}
	s.freeHosts = append(s.freeHosts, i)
}

// Free is what a host has left.
func (s *State) Free(id string) resource.Vector {
	if h := s.host(id); h != nil {
		return h.free
	}
	return resource.Vector{}
}

// opened says that host i may have room now that it had not when it was last looked at,
// and files it by what it has.
func (s *State) opened(i int32) {
	s.idle = false
	s.stirHost(i)
	h := &s.hosts[i]
	if h.gone || !h.open {
		return
	}
	if !h.fresh {
		h.fresh = true
		s.fresh = append(s.fresh, i)
	}
	s.fitting(h.free, &s.near)
	s.file(i)
}

// change adds v to what host i has free.
func (s *State) change(i int32, v resource.Vector) {
	s.stirHost(i)
	s.unfile(i)
	s.hosts[i].free = s.hosts[i].free.Add(v)
	s.file(i)
}

// suits reports whether a node could run on a host in an environment if that were empty.
func (s *State) suits(h *host, shape *Shape, e *environment) bool {
	return !h.gone && h.open && e.has(shape, s.words(h)) && shape.Need.Fits(h.capacity)
}

// grid files the hosts of one kind (words, free GPUs) by what they have free: 64 rows
// of vCPUs by 64 columns of memory, each cell a list. A cell beyond that of a need in both
// directions holds only hosts on which it fits; the cells on the border are looked through.
type grid struct {
	words []string
	gpu   int64
	kind  int32
	rows  uint64
	cols  [64]uint64
	heads [64 * 64]int32
}

// levels is the number of rows, and of columns.
const levels = 64

// units is the least amount of a level, in units.
func units(level int) int64 {
	if level < 32 {
		return int64(level)
	}
	return int64(8+level%8) << (level/8 - 2)
}

// level is the row or column of an amount in units: exact up to 31, then eight to an octave.
func level(units int64) int {
	if units < 32 {
		return int(max(units, 0))
	}
	o := bits.Len64(uint64(units)) - 6 // 0 for 32..63
	return min(32+o*8+int(units>>(o+2))&7, 63)
}

func cellOf(v resource.Vector) (row, col int) {
	return level(v.MilliVCPU / 1000), level(v.MemoryMiB / 1024)
}

func (s *State) gridOf(h *host) *grid {
	for _, g := range s.grids {
		if g.gpu == h.free.GPU && g.kind == h.kind {
			return g
		}
	}
	g := &grid{words: s.words(h), gpu: h.free.GPU, kind: h.kind}
	for i := range g.heads {
		g.heads[i] = -1
	}
	s.grids = append(s.grids, g)
	slices.SortFunc(s.grids, func(a, b *grid) int {
		return cmp.Or(cmp.Compare(a.gpu, b.gpu), slices.Compare(a.words, b.words))
	})
	return g
}

// file puts host i into its grid, if it takes work and nobody holds it.
func (s *State) file(i int32) {
	h := &s.hosts[i]
	if h.grid != nil || h.gone || !h.open || h.hold != nil || h.free.Negative() || len(s.byID) <= fewHosts && len(s.grids) == 0 {
		return
	}
	if len(s.grids) == 0 { // there are many hosts from now on
		s.grids = append(s.grids, &grid{gpu: -1, kind: -1})
		for o := range s.hosts {
			s.file(int32(o))
		}
		return
	}
	g := s.gridOf(h)
	row, col := cellOf(h.free)
	cell := int16(row*64 + col)
	h.grid, h.cell, h.prev, h.next = g, cell, -1, g.heads[cell]
	if h.next >= 0 {
		s.hosts[h.next].prev = i
	}
	g.heads[cell] = i
	g.rows |= 1 << row
	g.cols[row] |= 1 << col
}

func (s *State) unfile(i int32) {
	h := &s.hosts[i]
	g := h.grid
	if g == nil {
		return
	}
	if h.next >= 0 {
		s.hosts[h.next].prev = h.prev
	}
	if h.prev >= 0 {
		s.hosts[h.prev].next = h.next
	} else if g.heads[h.cell] = h.next; h.next < 0 {
		row, col := h.cell/64, h.cell%64
		if g.cols[row] &^= 1 << col; g.cols[row] == 0 {
			g.rows &^= 1 << row
		}
	}
	h.grid, h.cell, h.prev, h.next = nil, -1, -1, -1
}

// search finds a host for one node among all that are filed: in an environment that packs
// one that is left with little, else one that has much.
func (s *State) search(c Shape, e *environment) int32 {
	for _, g := range s.grids {
		if g.gpu < c.Need.GPU || g.rows == 0 || !e.has(&c, g.words) {
			continue
		}
		row, col := cellOf(c.Need)
		for rows := g.rows &^ (1<<row - 1); rows != 0; {
			r := bits.TrailingZeros64(rows)
			if !e.pack {
				r = 63 - bits.LeadingZeros64(rows)
			}
			rows &^= 1 << r
			for cols := g.cols[r] &^ (1<<col - 1); cols != 0; {
				k := bits.TrailingZeros64(cols)
				if !e.pack {
					k = 63 - bits.LeadingZeros64(cols)
				}
				cols &^= 1 << k
				for i := g.heads[r*64+k]; i >= 0; i = s.hosts[i].next {
					if c.Need.Fits(s.hosts[i].free) {
						return i
					}
				}
			}
		}
	}
	return -1
}
