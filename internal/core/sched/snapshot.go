package sched

import "slices"

// cursor walks one FIFO.
type cursor struct {
	share *share
	class int32
	at    int
}

// Snapshot lists the first n entries of a queue in the order of dispatch. In a fair-share
// queue that is the order which would follow if nothing ended: each entry counts as running
// once it is listed.
func (s *State) Snapshot(queueName string, n int) []Front {
	q := s.queue(queueName)
	if q == nil {
		return nil
	}
	defer q.asked()()
	var walks []*cursor
	keys := map[*share]float64{}
	for _, sh := range q.shares {
		keys[sh] = q.key(sh, s.now)
		for c, f := range sh.fifos {
			if !f.empty() {
				walks = append(walks, &cursor{sh, int32(c), int(f.lo)})
			}
		}
	}
	var out []Front
	for len(out) < n && len(walks) > 0 {
		var best *cursor
		for _, w := range walks {
			if best == nil || s.walksBefore(q, keys, w, best) {
				best = w
			}
		}
		f := best.share.fifos[best.class]
		r := f.recs[best.at]
		front := Front{Key: keyOf(r.order), Index: plain, Share: best.share.name, Since: max(int64(r.since)*second, q.moved)}
		units := int64(1)
		if r.kids >= 0 {
			front.Index, units = s.kids[r.kids][0].lo, s.kids[r.kids].size()
		}
		out = append(out, front)
		keys[best.share] += float64(s.classes[best.class].whole.MilliVCPU*units) * best.share.weight
		for best.at++; best.at < len(f.recs) && f.recs[best.at].kids == dead; best.at++ {
		}
		if best.at == len(f.recs) {
			walks = slices.DeleteFunc(walks, func(w *cursor) bool { return w == best })
		}
	}
	return out
}

func (s *State) walksBefore(q *queue, keys map[*share]float64, a, b *cursor) bool {
	if x, y := keys[a.share], keys[b.share]; q.fair != nil && a.share != b.share && x != y {
		return x < y
	}
	k, l := &s.classes[a.class], &s.classes[b.class]
	if k.Priority != l.Priority {
		return k.Priority > l.Priority
	}
	x, y := a.share.fifos[a.class].recs[a.at], b.share.fifos[b.class].recs[b.at]
	if q.policy == expanding && x.order >= 0 && y.order >= 0 {
		if f, g := s.expands(q, a.class, x.since), s.expands(q, b.class, y.since); f != g {
			return f > g
		}
	}
	return x.order < y.order
}

// ahead counts the units of a share that go before the one of an order and class.
func (s *State) ahead(q *queue, sh *share, c int32, order int64, since uint32) int64 {
	var n int64
	for o := range sh.fifos {
		f := &sh.fifos[o]
		if f.empty() || s.classes[o].Priority < s.classes[c].Priority {
			continue
		}
		all := s.classes[o].Priority > s.classes[c].Priority
		for _, r := range f.live() {
			before := r.order < order
			if q.policy == expanding && r.order >= 0 && order >= 0 {
				if x, y := s.expands(q, int32(o), r.since), s.expands(q, c, since); x != y {
					before = x > y
				}
			}
			switch {
			case !all && !before || r.kids == dead:
			case r.kids >= 0:
				n += s.kids[r.kids].size()
			default:
				n++
			}
		}
	}
	return n
}
