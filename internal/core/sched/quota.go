package sched

// QuotaShare is what units of one share of a queue may hold together, and how the share
// and the others of its queue use what is idle.
type QuotaShare struct {
	Name    string
	Limit   Limit // its own
	Lends   bool  // what it leaves idle may be borrowed
	Borrows bool  // it may hold more than its own of what others lend
	Borrow  int32 // percent of Limit that it may borrow; below 0 = as much as there is
	Urgent  bool  // its units of higher priority stop those of lower
}

// pool is what the lending shares of a queue own together, and what they hold of that. What
// is borrowed is never more than what lenders leave idle as long as the pool is not
// overdrawn.
type pool struct{ owned, held Limit }

// SetQuotas divides a queue into quota shares; nil is none.
func (s *State) SetQuotas(queueName string, quotas []QuotaShare) {
	s.idle = false
	s.version++
	q := s.queue(queueName)
	if q == nil {
		return
	}
	if (len(q.quotas) > 0) != (len(quotas) > 0) && !q.yields {
		s.yielding += 1 - 2*min(len(q.quotas), 1)
	}
	q.quotas, q.pool = quotas, pool{}
	for _, x := range quotas {
		if x.Lends {
			q.pool.owned = q.pool.owned.plus(x.Limit, 1)
		}
	}
	for _, sh := range q.shares {
		q.terms(sh)
		q.pool.held = q.pool.held.plus(sh.lent(sh.running), 1)
	}
}

func (l Limit) plus(o Limit, sign int64) Limit {
	return Limit{l.MilliVCPU + sign*o.MilliVCPU, l.GPU + sign*o.GPU}
}

// over reports whether l is above a bound, of which 0 is none.
func (l Limit) over(bound Limit) bool {
	return bound.MilliVCPU > 0 && l.MilliVCPU > bound.MilliVCPU || bound.GPU > 0 && l.GPU > bound.GPU
}

// lent is the part of what a share holds that counts in the pool of its queue.
func (sh *share) lent(l Limit) Limit {
	if !sh.quota.Lends {
		return Limit{}
	}
	if sh.quota.Limit.MilliVCPU == 0 {
		l.MilliVCPU = 0
	}
	if sh.quota.Limit.GPU == 0 {
		l.GPU = 0
	}
	return l
}

// most is what a share may hold with all that it may borrow; 0 is no bound.
func (q *queue) most(sh *share) Limit {
	x := sh.quota
	switch {
	case !x.Borrows:
		return x.Limit
	case x.Borrow < 0:
		return q.pool.owned
	}
	m := Limit{x.Limit.MilliVCPU * int64(100+x.Borrow) / 100, x.Limit.GPU * int64(100+x.Borrow) / 100}
	return Limit{min(m.MilliVCPU, q.pool.owned.MilliVCPU), min(m.GPU, q.pool.owned.GPU)}
}

// rowIn is the level of the vCPUs that a share may still hold, at most.
func (q *queue) rowIn(sh *share) uint8 {
	own := sh.quota.Limit.MilliVCPU
	if len(q.quotas) == 0 || own == 0 {
		return levels - 1
	}
	room := own - sh.running.MilliVCPU
	if sh.quota.Borrows {
		room = max(room, q.most(sh).MilliVCPU-sh.running.MilliVCPU)
	}
	return uint8(level(room / 1000))
}

func (c *class) amount() Limit {
	return Limit{c.whole.MilliVCPU, c.whole.GPU}
}

// owns reports whether a share may hold so much more without borrowing.
func (sh *share) owns(l Limit) bool { return !sh.running.plus(l, 1).over(sh.quota.Limit) }

// within reports whether a share may hold a unit of a class beside what it holds.
func (q *queue) within(sh *share, c *class) bool {
	if len(q.quotas) == 0 {
		return true
	}
	l := c.amount()
	if sh.owns(l) {
		return true
	}
	return sh.quota.Borrows && !sh.running.plus(l, 1).over(q.most(sh)) && !q.pool.held.plus(sh.lent(l), 1).over(q.pool.owned)
}
