package sched

import (
	"cmp"
	"slices"
)

// span is children [lo, hi) of a job; a plain job is [job.Whole, job.Whole+1).
type span struct{ lo, hi int32 }

// spans is a set of children: sorted, disjoint, not touching each other, none empty. Changing
// it costs the spans it holds, not the children.
type spans []span

// find gives the first span that ends at or after lo.
func (s spans) find(lo int32) int {
	i, _ := slices.BinarySearchFunc(s, lo, func(p span, lo int32) int { return cmp.Compare(p.hi, lo) })
	return i
}

// add joins n in and returns how many children are new.
func (s *spans) add(n span) (fresh int64) {
	i := s.find(n.lo)
	j := i
	fresh = int64(n.hi - n.lo)
	for ; j < len(*s) && (*s)[j].lo <= n.hi; j++ {
		p := (*s)[j]
		fresh -= int64(max(min(p.hi, n.hi)-max(p.lo, n.lo), 0))
	}
	if i < j {
		n.lo, n.hi = min(n.lo, (*s)[i].lo), max(n.hi, (*s)[j-1].hi)
	}
	*s = slices.Replace(*s, i, j, n)
	return fresh
}

// remove cuts n out and returns how many children went.
func (s *spans) remove(n span) (gone int64) {
	i := s.find(n.lo)
	j := i
	var rest [2]span
	keep := rest[:0]
	for ; j < len(*s) && (*s)[j].lo < n.hi; j++ {
		p := (*s)[j]
		gone += int64(max(min(p.hi, n.hi)-max(p.lo, n.lo), 0))
		if p.lo < n.lo {
			keep = append(keep, span{p.lo, min(p.hi, n.lo)})
		}
		if p.hi > n.hi {
			keep = append(keep, span{n.hi, p.hi})
		}
	}
	if i == 0 && len(keep) == 0 {
		*s = (*s)[j:] // from the front, child by child: do not move the rest
	} else {
		*s = slices.Replace(*s, i, j, keep...)
	}
	return gone
}

// pop takes the first child out of a set that is not empty.
func (s *spans) pop() int32 {
	p := &(*s)[0]
	i := p.lo
	if p.lo++; p.lo == p.hi {
		*s = (*s)[1:]
	}
	return i
}

// size is the number of children.
func (s spans) size() int64 {
	var n int64
	for _, p := range s {
		n += int64(p.hi - p.lo)
	}
	return n
}

// at is the n-th child, from 0.
func (s spans) at(n int64) int32 {
	for _, p := range s {
		if size := int64(p.hi - p.lo); n >= size {
			n -= size
			continue
		}
		return p.lo + int32(n)
	}
	return s[len(s)-1].hi - 1
}
