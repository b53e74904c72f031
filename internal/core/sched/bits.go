package sched

import "math/bits"

// set is a set of small numbers (classes).
type set []uint64

func (b set) has(i int32) bool { return int(i>>6) < len(b) && b[i>>6]&(1<<(i&63)) != 0 }

func (b *set) add(i int32) {
	for int(i>>6) >= len(*b) {
		*b = append(*b, 0)
	}
	(*b)[i>>6] |= 1 << (i & 63)
}

func (b set) remove(i int32) {
	if int(i>>6) < len(b) {
		b[i>>6] &^= 1 << (i & 63)
	}
}

// or adds all of o.
func (b *set) or(o set) {
	for len(*b) < len(o) {
		*b = append(*b, 0)
	}
	for w, m := range o {
		(*b)[w] |= m
	}
}

// word is the w-th 64 members, none where the set is short.
func (b set) word(w int) uint64 {
	if w < len(b) {
		return b[w]
	}
	return 0
}

func lowest(m uint64) int32 { return int32(bits.TrailingZeros64(m)) }
