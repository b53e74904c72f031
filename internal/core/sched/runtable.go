package sched

import (
	"slices"

	"drover/internal/core/job"
)

// runTable finds the place of a run by its unit. It is a hash table with open addressing: a
// unit starts and ends with each placement, and this takes a third of the time of a map.
type runTable struct {
	slots []runSlot // a power of two
	n     int
}

// runSlot is 16 bytes, so that none lies in two lines of the cache.
type runSlot struct {
	key   job.Key
	index int32
	at    int32 // one more than the place in State.runs; 0 = free
}

func (s *runSlot) ref() job.Ref { return job.Ref{Key: s.key, Index: s.index} }

// home is the slot at which the search for a unit begins.
func (t *runTable) home(r job.Ref) int {
	x := uint64(r.Key)<<20 ^ uint64(uint32(r.Index))
	x *= 0x9e3779b97f4a7c15
	return int((x ^ x>>29) & uint64(len(t.slots)-1))
}

func (t *runTable) get(r job.Ref) (int32, bool) {
	if t.n == 0 {
		return 0, false
	}
	for i := t.home(r); ; i = (i + 1) & (len(t.slots) - 1) {
		switch s := &t.slots[i]; {
		case s.at == 0:
			return 0, false
		case s.key == r.Key && s.index == r.Index:
			return s.at - 1, true
		}
	}
}

// put adds a unit that is not there.
func (t *runTable) put(r job.Ref, at int32) {
	if 2*(t.n+1) > len(t.slots) {
		old := t.slots
		t.slots = make([]runSlot, max(64, 2*len(old)))
		for _, s := range old {
			if s.at > 0 {
				t.insert(s)
			}
		}
	}
	t.insert(runSlot{r.Key, r.Index, at + 1})
	t.n++
}

func (t *runTable) insert(s runSlot) {
	i := t.home(s.ref())
	for t.slots[i].at > 0 {
		i = (i + 1) & (len(t.slots) - 1)
	}
	t.slots[i] = s
}

// remove takes a unit that is there out, and moves up those behind it that had to give way.
func (t *runTable) remove(r job.Ref) {
	mask := len(t.slots) - 1
	i := t.home(r)
	for t.slots[i].at == 0 || t.slots[i].ref() != r {
		i = (i + 1) & mask
	}
	for j := (i + 1) & mask; t.slots[j].at > 0; j = (j + 1) & mask {
		if home := t.home(t.slots[j].ref()); (j-home)&mask >= (j-i)&mask {
			t.slots[i] = t.slots[j]
			i = j
		}
	}
	t.slots[i] = runSlot{}
	t.n--
}

// runSlab holds the runs in pieces that stay where they are: a unit starts with each
// placement, and none waits for a hundred thousand others to be copied.
type runSlab struct {
	pieces []*[slabRuns]run
	n      int32 // places that have been given out
}

// slabRuns is how many runs lie in one piece.
const slabRuns = 1 << 9

// run is the run at place i. It stays there until it is released.
func (s *State) run(i int32) *run { return &s.runs.pieces[i/slabRuns][i%slabRuns] }

// grow gives a place that no run has had.
func (l *runSlab) grow() int32 {
	if l.n%slabRuns == 0 {
		l.pieces = append(l.pieces, new([slabRuns]run))
	}
	l.n++
	return l.n - 1
}

// clone copies the slab; what its runs point at is that of the original.
func (l *runSlab) clone() runSlab {
	c := runSlab{make([]*[slabRuns]run, len(l.pieces)), l.n}
	for i, p := range l.pieces {
		piece := *p
		c.pieces[i] = &piece
	}
	return c
}

// refs lists the units in their order.
func (t *runTable) refs() []job.Ref {
	out := make([]job.Ref, 0, t.n)
	for _, s := range t.slots {
		if s.at > 0 {
			out = append(out, s.ref())
		}
	}
	slices.SortFunc(out, job.Ref.Compare)
	return out
}
