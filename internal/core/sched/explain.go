package sched

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"drover/internal/core/job"
	"drover/internal/core/resource"
)

// Codes of a wait. The CAPACITY and MISCONFIGURATION ones are AWS Batch's own words.
const (
	CodeCapacity    = "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY"
	CodeEnvironment = "MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE"
	CodeResource    = "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT"
	CodeDisabled    = "DROVER:ENVIRONMENT_DISABLED"
	CodeEngine      = "DROVER:NO_CONTAINER_ENGINE"
	CodeHostJobs    = "DROVER:HOST_JOBS_NOT_ALLOWED"
	CodeNoHost      = "DROVER:NO_HOST"
	CodeDependency  = "DROVER:DEPENDENCY"
	CodeNext        = "DROVER:NEXT"
	CodeToken       = "DROVER:CONSUMABLE_RESOURCE"
	CodeQuota       = "DROVER:QUOTA_SHARE_LIMIT"
	CodeShare       = "DROVER:SHARE_OVER_ITS_PART"
	CodeReserve     = "DROVER:COMPUTE_RESERVATION"
	CodeHold        = "DROVER:BEHIND_A_RESERVATION"
	CodeStrict      = "DROVER:BEHIND_THE_FIRST"
	CodeGang        = "DROVER:TOO_FEW_NODES"
	CodeMaking      = "DROVER:PREEMPTING"
	CodeQuarantine  = "DROVER:QUARANTINED"
	CodeConstraint  = "DROVER:NO_SUCH_HOST"
)

// Reason is why a unit waits: a code, a sentence with numbers, and what would unblock it.
type Reason struct {
	Code, Text, Remedy string
	Position           int64 // 1 = first in its share of the queue; 0 = it does not wait here
}

func because(code, format string, args ...any) Reason {
	return Reason{Code: code, Text: fmt.Sprintf(format, args...)}
}

func (r Reason) remedy(text string) Reason {
	r.Remedy = text
	return r
}

// Explain says why a unit waits in a queue, and where in it.
func (s *State) Explain(queueName string, d Demand, r job.Ref, now int64) Reason {
	why, ok := s.made(queueName, r)
	if !ok {
		why = s.Why(queueName, d, now)
	}
	why.Position = s.position(queueName, &d, r)
	return why
}

// position is a unit's place among those of its share, from 1; 0 if it does not wait. It
// looks at all that wait there.
func (s *State) position(queueName string, d *Demand, r job.Ref) int64 {
	q := s.queue(queueName)
	if q == nil {
		return 0
	}
	c, sh := s.intern(d), q.share(d.Share)
	if int(c) >= len(sh.fifos) {
		return 0
	}
	for _, again := range [2]bool{true, false} {
		order := Order(r.Key, again)
		if i, ok := sh.fifos[c].find(order); ok && sh.fifos[c].recs[i].kids != dead {
			return s.ahead(q, sh, c, order, sh.fifos[c].recs[i].since) + 1
		}
	}
	return 0
}

// Why says why units of a demand wait in a queue, as of now. Of several environments the
// one that comes closest to running them explains.
func (s *State) Why(queueName string, d Demand, now int64) Reason {
	q := s.queue(queueName)
	if q == nil {
		return because(CodeDisabled, "the job queue %s does not exist any more", queueName).remedy("terminate the job")
	}
	defer func(was int64) { s.now = was }(s.now) // nothing is decided
	s.now = now
	c := s.intern(&d)
	sh := q.share(d.Share)
	x := asking{s, q, sh, &s.classes[c], d.Share}
	if s.sick.has(c) {
		return because(CodeQuarantine, "drover failed to decide on jobs that ask what this one asks, and has set them aside; other jobs are not affected").remedy("report it with the server's log, which has the failure; a restart of the server tries again, and so does a job that asks for something else")
	}
	best, rank := because(CodeDisabled, "the job queue %s has no compute environment", q.Name).remedy("add one with UpdateJobQueue"), -1
	if b, ok := x.barred(); ok {
		best, rank = b, 100
	}
	for _, name := range q.Environments {
		if b, n := x.check(name); n > rank {
			best, rank = b, n
		}
	}
	return best
}

// asking is one question to Explain.
type asking struct {
	s     *State
	queue *queue
	share *share
	class *class
	name  string // of the share
}

// made says that room is being made for a unit, if it is.
func (s *State) made(queueName string, r job.Ref) (Reason, bool) {
	for _, h := range s.holds {
		if h.rule != "" && h.queue.Name == queueName && h.stands() && s.unitOf(h) == r {
			return because(CodeMaking, "room is being made for it: by rule %s, %d running jobs are being stopped", h.rule, h.left).remedy("it starts when they have stopped"), true
		}
	}
	return Reason{}, false
}

// barred names what bars a unit whatever its environment.
func (x *asking) barred() (Reason, bool) {
	if t, lacks := x.s.lacks(x.class, nil); lacks {
		k := x.s.tokens[t.Name]
		switch {
		case k == nil:
			return because(CodeToken, "consumable resource %s does not exist", t.Name).remedy("create it with CreateConsumableResource, or terminate the job"), true
		case t.Quantity > k.total:
			return because(CodeToken, "consumable resource %s: asked %d, there are %d in all", t.Name, t.Quantity, k.total).remedy("ask for less, or raise its total with UpdateConsumableResource"), true
		case k.used+t.Quantity <= k.total:
			return because(CodeToken, "consumable resource %s: asked %d, what is free is kept for a job of queue %s that goes first", t.Name, t.Quantity, k.hold.queue.Name).remedy("wait for that job to start"), true
		}
		return because(CodeToken, "consumable resource %s: asked %d, available %d of %d", t.Name, t.Quantity, k.total-k.used, k.total).remedy("wait for jobs that hold it to end, or raise its total"), true
	}
	if !x.queue.within(x.share, x.class) {
		return x.overQuota(), true
	}
	return Reason{}, false
}

// overQuota says how far the unit is beyond what its quota share may hold.
func (x *asking) overQuota() Reason {
	sh, l := x.share, x.class.amount()
	most, next := x.queue.most(sh), sh.running.plus(l, 1)
	if next.over(most) {
		n, of, asks, unit := resource.FormatVCPU(sh.running.MilliVCPU), resource.FormatVCPU(most.MilliVCPU), resource.FormatVCPU(l.MilliVCPU), "vCPUs"
		if !next.over(Limit{MilliVCPU: most.MilliVCPU}) {
			n, of, asks, unit = strconv.FormatInt(sh.running.GPU, 10), strconv.FormatInt(most.GPU, 10), strconv.FormatInt(l.GPU, 10), "GPUs"
		}
		its := "its"
		if sh.quota.Borrows {
			its = "at most"
		}
		return because(CodeQuota, "quota share %s runs %s of %s %s %s, the job asks %s", x.name, n, its, of, unit, asks).remedy("wait for jobs of the share to end, or raise its limit")
	}
	p := x.queue.pool
	return because(CodeQuota, "quota share %s would have to borrow, and the shares of job queue %s that lend run %s of their %s vCPUs and %d of their %d GPUs", x.name, x.queue.Name,
		resource.FormatVCPU(p.held.MilliVCPU), resource.FormatVCPU(p.owned.MilliVCPU), p.held.GPU, p.owned.GPU).remedy("wait for their jobs to end, or raise the share's limit")
}

// check runs the placement's own checks in order; the later one fails, the higher its rank.
func (x *asking) check(name string) (Reason, int) {
	e := x.s.environment(name)
	v := x.class.whole.MilliVCPU
	switch {
	case e == nil || e.gone || !e.Enabled:
		return because(CodeDisabled, "compute environment %s is disabled", name).remedy("enable it with UpdateComputeEnvironment"), 0
	case x.class.uses(Process) && !e.HostJobs:
		return because(CodeHostJobs, "image host means a process of the host, and compute environment %s does not allow that", name).remedy("use the environment local, or tag this one drover:host-jobs=true"), 1
	case v > e.MaxMilliVCPU:
		return because(CodeEnvironment, "asked %s vCPUs, compute environment %s has maxvCpus %s", resource.FormatVCPU(v), name, resource.FormatVCPU(e.MaxMilliVCPU)).remedy("ask for less or raise maxvCpus"), 2
	}
	if r, n := x.hosts(e); n > 0 {
		return r, n
	}
	return x.room(e)
}

// hosts looks for hosts of an environment that could run the unit if they were empty.
func (x *asking) hosts(e *environment) (Reason, int) {
	for _, g := range x.class.sections {
		if r, n := x.able(g.Shape, e); n > 0 {
			return r, n
		}
	}
	if nodes := x.class.Nodes; nodes > 1 {
		if seats := x.s.seats(x.class, e, x.s.empty, nil); seats < nodes {
			return because(CodeGang, "the job needs %d nodes at once, the connected hosts have room for %d", nodes, seats).remedy("add hosts, or ask for fewer or smaller nodes"), 5
		}
	}
	return Reason{}, 0
}

// able looks for a host that could run a unit, or a node of one, if it were empty.
func (x *asking) able(shape Shape, e *environment) (Reason, int) {
	var open, able, alike, inside, large int
	var missed, barred string // a term that a host lacks, of the job's and of the environment's
	var widest resource.Vector
	need := shape.Need
	for _, i := range x.s.byID {
		h := &x.s.hosts[i]
		if !h.open {
			continue
		}
		open++
		if !slices.Contains(x.s.words(h), shape.Executor) {
			continue
		}
		able++
		if term := shape.unmet(x.s.words(h)); term != "" {
			missed = term
			continue
		}
		alike++
		if term := unmet(e.wants, x.s.words(h)); term != "" {
			barred = term
			continue
		}
		inside++
		if need.Fits(h.capacity) {
			large++
		}
		if h.capacity.GPU > widest.GPU || h.capacity.GPU == widest.GPU && h.capacity.MilliVCPU >= widest.MilliVCPU {
			widest = h.capacity
		}
	}
	switch {
	case open == 0:
		return because(CodeNoHost, "no worker is connected").remedy("start one with drover worker, or wait for it to come back"), 3
	case able == 0 && shape.Executor == Docker:
		return because(CodeEngine, "the job's image needs a container engine, and no connected host has one").remedy("use image host, or install a container engine on a host"), 4
	case able == 0:
		return because(CodeNoHost, "no connected host runs processes").remedy("start one with drover worker"), 4
	case alike == 0:
		return because(CodeConstraint, "the job wants hosts with %s, and of the %d that could run it none is so: %s is missing", shape.Wants, able, missed).remedy("add such a host (drover worker --attribute), or ask for another"), 5
	case inside == 0:
		return because(CodeConstraint, "compute environment %s has hosts with %s only, and of the %d that could run the job none is so: %s is missing", e.Name, plainly(e.wants), alike, plainly(barred)).remedy("add such a host (drover worker --attribute), or change the instance types or the tag drover:requires of the compute environment"), 5
	case large == 0:
		missing := need.Missing(widest)
		if missing == "" {
			missing = "no host has all of what it asks"
		}
		return because(CodeResource, "no host is large enough: %s", missing).remedy("ask for less, or add a larger host"), 5
	}
	return Reason{}, 0
}

// room looks at what is free now in an environment and on hosts.
func (x *asking) room(e *environment) (Reason, int) {
	s, q, c := x.s, x.queue, x.class
	v := c.whole.MilliVCPU
	vcpu := resource.FormatVCPU
	if e.used+v > e.MaxMilliVCPU {
		return because(CodeCapacity, "compute environment %s runs %s of its %s vCPUs, the job asks %s", e.Name, vcpu(e.used), vcpu(e.MaxMilliVCPU), vcpu(v)).remedy("wait for jobs to end, or raise maxvCpus"), 6
	}
	if most := q.ceiling(e.MaxMilliVCPU, s.now); e.used+v > most {
		return because(CodeReserve, "compute environment %s runs %s vCPUs; of its %s the computeReservation of %d %% leaves %s to the %d active shares", e.Name, vcpu(e.used), vcpu(e.MaxMilliVCPU),
			q.fair.ComputeReservation, vcpu(most), q.active(s.now)).remedy("wait for jobs to end, or lower computeReservation"), 6
	}
	if h := e.hold; h != nil && !x.mine(h) && !h.over(s, q, c) && v > h.spare {
		return because(CodeHold, "the free vCPUs of compute environment %s are kept for job queue %s, whose first job asks %s", e.Name, h.queue.Name, vcpu(s.classes[h.class].whole.MilliVCPU)).remedy("wait for that job to start, or give this one a timeout, so that it may go first"), 7
	}
	if c.Nodes > 1 {
		return x.gang(e)
	}
	free, fits, held := x.free(e)
	switch {
	case fits:
		return x.turn()
	case held != nil:
		return behind(s, held, v)
	}
	return because(CodeCapacity, "hosts are busy: %s", c.sections[0].Need.Missing(free)).remedy("wait for jobs to end, or add a host"), 7
}

// behind explains a unit that would fit where room is kept for another.
func behind(s *State, held *hold, milliVCPU int64) (Reason, int) {
	text := "the room on the hosts is kept for the first job of queue " + held.queue.Name
	if held.known {
		text += fmt.Sprintf(", which starts within %d s", max(held.shadow-s.now, 0)/second)
	}
	return because(CodeHold, "%s; the job asks %s vCPUs and would delay it", text, resource.FormatVCPU(milliVCPU)).remedy("wait for that job to start, or give this one a timeout, so that it may go first"), 8
}

// gang looks how many nodes have room now, and how many would have if nothing were kept.
func (x *asking) gang(e *environment) (Reason, int) {
	var held *hold
	seats := x.s.seats(x.class, e, func(i int32) (resource.Vector, bool) {
		h := &x.s.hosts[i]
		if h.hold != nil && !x.mine(h.hold) && !h.hold.over(x.s, x.queue, x.class) {
			held = h.hold
			return h.free, false
		}
		return h.free, h.open && !h.gone
	}, nil)
	nodes := x.class.Nodes
	if seats >= nodes {
		return x.turn()
	}
	if held != nil {
		all := x.s.seats(x.class, e, func(i int32) (resource.Vector, bool) {
			return x.s.hosts[i].free, x.s.hosts[i].open && !x.s.hosts[i].gone
		}, nil)
		if all >= nodes {
			return behind(x.s, held, x.class.whole.MilliVCPU)
		}
	}
	return because(CodeGang, "the job needs %d nodes at once, %d have room", nodes, seats).remedy("wait for jobs to end, or add hosts"), 8
}

// mine reports whether room is kept for a unit of the very class.
func (x *asking) mine(h *hold) bool {
	return h.share == x.share && &x.s.classes[h.class] == x.class
}

// free looks for a host on which the unit fits now, and finds what is kept for others there.
func (x *asking) free(e *environment) (widest resource.Vector, fits bool, held *hold) {
	shape := x.class.sections[0].Shape
	for _, i := range x.s.byID {
		h := &x.s.hosts[i]
		if !h.open || !e.has(&shape, x.s.words(h)) || !shape.Need.Fits(h.capacity) {
			continue
		}
		if shape.Need.Fits(h.free) {
			if x.s.yields(i, x.queue, x.class, shape.Need, nil) || x.mine(h.hold) {
				fits = true
			} else {
				held = h.hold
			}
			continue
		}
		if h.free.MilliVCPU >= widest.MilliVCPU {
			widest = h.free
		}
	}
	return widest, fits, held
}

// turn explains a unit for which there is room, but that is not the next to go.
func (x *asking) turn() (Reason, int) {
	s, q := x.s, x.queue
	defer q.asked()()
	if q.policy == strictly {
		if sh, c, _ := s.pick(q, true); sh != nil && &s.classes[c] != x.class {
			return because(CodeStrict, "job queue %s starts its jobs strictly in order, and its first job does not fit", q.Name).remedy("terminate that job, or tag the queue drover:policy=fifo"), 8
		}
	}
	if q.fair != nil {
		mine := q.key(x.share, s.now)
		for _, sh := range q.shares {
			if sh.waiting > 0 && sh != x.share && q.key(sh, s.now) < mine {
				return because(CodeShare, "share %s has used more for its weight than share %s, which goes first", x.name, sh.name).remedy("wait, or lower its weightFactor"), 8
			}
		}
	}
	return because(CodeNext, "there is room; the job is next to be placed"), 8
}

// plainly gives what an environment wants of its hosts in words for people.
func plainly(terms string) string { return strings.ReplaceAll(terms, "?=", "=") }
