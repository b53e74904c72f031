package sched

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"strings"

	"drover/internal/core/job"
)

// Policies of a queue, from its tag drover:policy.
const (
	Strict = "strict" // the first unit, or none
	Easy   = "easy"   // in order; room is kept for the first that does not fit, others go around it
	FIFO   = "fifo"   // easy, but room is kept only once the first has been passed over for long
	LXF    = "lxf"    // easy in the order of (wait + expected run) / expected run
)

// policy is one of them, as a number.
type policy uint8

const (
	patient policy = iota // FIFO
	eager                 // Easy
	strictly
	expanding // LXF
)

func policyOf(word string) policy {
	switch word {
	case Strict:
		return strictly
	case Easy:
		return eager
	case LXF:
		return expanding
	}
	return patient
}

// Tags of a queue, and of an environment.
const (
	TagPolicy   = "drover:policy"
	TagOvertake = "drover:max-overtake"     // seconds that policy fifo lets the first unit be passed over
	TagExpected = "drover:expected-seconds" // how long units without a timeout run
	TagWeight   = "drover:weight"           // part of a queue among those of its priority
	TagPlace    = "drover:placement"        // of an environment: spread (default) or pack
	TagPreempt  = "drover:preemptible"      // true: units of queues of a higher priority may stop those of this one
	TagProtect  = "drover:preempt-after"    // seconds that a unit of the queue has run before it is stopped to make room
)

const (
	defaultOvertake = 600     // seconds
	defaultDecay    = 600     // seconds
	defaultProtect  = 60      // seconds
	unknownRun      = 3600    // seconds that units run of which nothing is known, for policy lxf
	minRun          = 10      // seconds: shorter expectations count as this in policy lxf
	second          = 1000000 // µs
)

// queue is a job queue and what waits in it.
type queue struct {
	// What next looks at comes first: it is one line of the cache.
	waiting int64
	use     float64 // running over weight
	pass    uint64
	hold    *hold
	due     *share // whose first unit has been passed over for too long
	headed  bool   // the first unit has had its turn
	done    bool
	policy  policy
	row     uint8 // rowOf, as of when it was last promising
	wait    set   // classes of which something waits
	blocked set   // classes that cannot be placed in this pass, for other reasons than room on hosts

	job.Queue
	running  int64 // milli vCPU
	weight   float64
	envs     []*environment
	overtake int64 // µs
	expected int64 // µs that a unit without a timeout runs; 0 = unknown
	fair     *FairShare
	rate     float64 // at which usage is forgotten, a µs
	quotas   []QuotaShare
	pool     pool
	yields   bool     // TagPreempt
	protect  int64    // µs
	shares   []*share // by name
	byName   map[string]*share
	lists    []int32
	moved    int64 // when something last left the queue
	history  history
}

// share is one share identifier, or quota share, of a queue. Without either there is one, "".
type share struct {
	waiting   int64
	used      float64 // milli vCPU times µs, decayed, as of stamp
	stamp     int64
	weight    float64
	running   Limit
	pass      uint64
	wait      set
	blocked   set
	heads     []int64 // by class: order of the head, or never
	firsts    []lead  // by 64 classes: the one whose head goes first, or nobody
	fifos     []fifo  // by class
	front     int32   // class of the first unit, or unknown
	overtaken int64   // since when the first unit has been passed over (µs); 0 = it has not
	quota     QuotaShare
	leaving   Limit // what of running is being stopped
	last      int64 // when it last had anything
	version   uint64
	queue     *queue
	hopeless  set // classes that will not fit as things are, however long they wait
	name      string
}

// SetQueue adds a queue or changes it.
func (s *State) SetQueue(q job.Queue) {
	s.idle = false
	o := s.queue(q.Name)
	if o == nil {
		o = &queue{byName: map[string]*share{}}
		o.rate = math.Ln2 / o.decay()
		s.queues = append(s.queues, o)
	}
	o.Queue = q
	o.policy = policyOf(q.Tags[TagPolicy])
	o.overtake = number(q.Tags[TagOvertake], defaultOvertake) * second
	o.expected = number(q.Tags[TagExpected], 0) * second
	o.yields = q.Tags[TagPreempt] == "true"
	o.protect = number(q.Tags[TagProtect], defaultProtect) * second
	o.weight = 1
	if w, err := strconv.ParseFloat(q.Tags[TagWeight], 64); err == nil && w > 0 && w <= 1e6 {
		o.weight = w
	}
	o.runs(0)
	s.endAll(o)
	slices.SortFunc(s.queues, func(a, b *queue) int {
		return cmp.Or(cmp.Compare(b.Priority, a.Priority), strings.Compare(a.Name, b.Name))
	})
	s.resolve()
}

// runs adds to what the queue runs.
func (q *queue) runs(milli int64) {
	q.running += milli
	q.use = float64(q.running) / q.weight
}

func number(text string, otherwise int64) int64 {
	if n, err := strconv.ParseInt(text, 10, 32); err == nil && n >= 0 {
		return n
	}
	return otherwise
}

// resolve finds the environments of the queues again.
func (s *State) resolve() {
	s.idle = false
	s.version++
	s.impatient, s.yielding = 0, 0
	for _, q := range s.queues {
		if q.yields || len(q.quotas) > 0 {
			s.yielding++
		}
		if q.policy != patient {
			s.impatient++
		}
		q.envs = q.envs[:0]
		for _, name := range q.Environments {
			if e := s.environment(name); e != nil {
				q.envs = append(q.envs, e)
			}
		}
	}
}

// RemoveQueue forgets a queue and whatever waits in it.
func (s *State) RemoveQueue(name string) {
	q := s.queue(name)
	if q == nil {
		return
	}
	s.endAll(q)
	s.served(q)
	for _, sh := range q.shares {
		for c := range sh.fifos {
			f := &sh.fifos[c]
			for !f.empty() {
				for i := len(f.recs) - 1; i >= int(f.lo); i-- {
					if kids := f.recs[i].kids; kids == plain {
						s.count(q, sh, -1)
					} else if kids >= 0 {
						s.count(q, sh, -s.kids[kids].size())
					} else {
						continue
					}
					s.drop(q, sh, int32(c), i)
					break
				}
			}
		}
	}
	s.queues = slices.DeleteFunc(s.queues, func(o *queue) bool { return o == q })
	s.idle = false
}

func (s *State) queue(name string) *queue {
	for _, q := range s.queues {
		if q.Name == name {
			return q
		}
	}
	return nil
}

func (q *queue) shareNamed(name string) *share { return q.byName[name] }

// manyShares is how many idle shares a queue remembers before it forgets the oldest.
const manyShares = 1000

// share finds a share, or begins it.
func (q *queue) share(name string) *share {
	if sh := q.byName[name]; sh != nil {
		return sh
	}
	if len(q.shares) >= manyShares {
		q.shares = slices.DeleteFunc(q.shares, func(sh *share) bool {
			idle := sh.waiting == 0 && sh.running == Limit{} && q.due != sh
			if idle {
				delete(q.byName, sh.name)
			}
			return idle
		})
	}
	sh := &share{queue: q, name: name, front: unknown}
	q.byName[name] = sh
	i, _ := slices.BinarySearchFunc(q.shares, name, func(o *share, n string) int { return strings.Compare(o.name, n) })
	q.shares = slices.Insert(q.shares, i, sh)
	q.terms(sh)
	return sh
}

// terms gives a share its weight and limit.
func (q *queue) terms(sh *share) {
	sh.weight, sh.quota = 1, QuotaShare{}
	if q.fair != nil {
		for _, w := range q.fair.Weights {
			if p, prefix := strings.CutSuffix(w.Identifier, "*"); w.Identifier == sh.name || prefix && strings.HasPrefix(sh.name, p) {
				sh.weight = w.Factor
				break
			}
		}
	}
	for _, x := range q.quotas {
		if x.Name == sh.name {
			sh.quota = x
		}
	}
}

// SetPolicy gives a queue its fair-share policy; nil is first in, first out.
func (s *State) SetPolicy(queueName string, p *FairShare) {
	s.idle = false
	s.version++
	if q := s.queue(queueName); q != nil {
		q.fair = p
		q.rate = math.Ln2 / q.decay()
		for _, sh := range q.shares {
			q.terms(sh)
		}
	}
}

// Charge adds to the usage of a share what it used before this State began: vCPU
// thousandths times microseconds, as of the time at.
func (s *State) Charge(queueName, share string, amount float64, at int64) {
	if q := s.queue(queueName); q != nil {
		sh := q.share(share)
		q.settle(sh, max(at, sh.stamp))
		sh.used += amount
		sh.last = max(sh.last, at)
	}
}

// decay is the time in which remembered usage halves (µs).
func (q *queue) decay() float64 {
	if q.fair == nil || q.fair.ShareDecaySeconds <= 0 {
		return defaultDecay * second
	}
	return float64(q.fair.ShareDecaySeconds) * second
}

// settle brings a share's usage up to now: what it used halves with every decay, and what
// runs adds to it all the time.
func (q *queue) settle(sh *share, now int64) {
	if now <= sh.stamp {
		sh.stamp = now // the clock may have been set back
		return
	}
	if sh.stamp == 0 || sh.used == 0 && sh.running.MilliVCPU == 0 {
		sh.stamp = now
		return
	}
	x := q.rate * float64(now-sh.stamp)
	left, grown := 1-x+x*x/2, 1-x/2 // of exp(-x) and (1-exp(-x))/x what counts, when little time has passed
	if x > 1e-3 {
		left = math.Exp(-x)
		grown = (1 - left) / x
	}
	sh.used = sh.used*left + float64(sh.running.MilliVCPU)*grown*float64(now-sh.stamp)
	sh.stamp = now
}

// backdate adds what a unit that is taken over has used since it was placed, up to the
// share's stamp; from there on it counts as running.
func (q *queue) backdate(sh *share, milli, placed int64) {
	if sh.stamp == 0 || placed >= sh.stamp {
		q.settle(sh, placed)
		sh.stamp = placed
		return
	}
	sh.used += float64(milli) * (1 - math.Exp(-q.rate*float64(sh.stamp-placed))) / q.rate
}

// key ranks the shares of a fair-share queue, the lowest first: what the share used,
// spread over the time in which it is forgotten, and what it runs now, times its weight
// factor. Both parts are vCPUs: in a steady state they are equal, and each is in inverse
// proportion to the weight. The second part keeps a burst of placements at one instant
// as fair as placements over time.
func (q *queue) key(sh *share, now int64) float64 {
	q.settle(sh, now)
	return (sh.used*q.rate + float64(sh.running.MilliVCPU)) * sh.weight
}

// asked lets the shares be ranked as of now for somebody who only asks, and gives what puts
// them back: to settle usage at one more time changes its last digits, and with them which
// of two shares goes first.
func (q *queue) asked() (back func()) {
	type usage struct {
		used  float64
		stamp int64
	}
	was := make([]usage, len(q.shares))
	for i, sh := range q.shares {
		was[i] = usage{sh.used, sh.stamp}
	}
	return func() {
		for i, sh := range q.shares {
			sh.used, sh.stamp = was[i].used, was[i].stamp
		}
	}
}

// active is the number of shares that have something, or had it within the decay time.
func (q *queue) active(now int64) int {
	n := 0
	for _, sh := range q.shares {
		if sh.waiting > 0 || sh.running != (Limit{}) || sh.last > 0 && now-sh.last < int64(q.decay()) {
			n++
		}
	}
	return n
}

// ceiling is how much of max a fair-share queue may use: computeReservation leaves the
// rest to shares that are not active.
func (q *queue) ceiling(most, now int64) int64 {
	if q.fair == nil || q.fair.ComputeReservation <= 0 {
		return most
	}
	kept := math.Pow(float64(q.fair.ComputeReservation)/100, float64(q.active(now)))
	return most - int64(kept*float64(most))
}

// fifo is the FIFO of a class, until one of another class is begun.
func (sh *share) fifo(c int32) *fifo {
	for int(c) >= len(sh.fifos) { // by 64 at once, as the sets and leads go
		sh.fifos = append(sh.fifos, make([]fifo, 64)...)
		for range 64 {
			sh.heads = append(sh.heads, never)
		}
		sh.firsts = append(sh.firsts, nobody())
	}
	return &sh.fifos[c]
}

// enlist and forget count the shares of a queue in which units of a class wait.
func (q *queue) enlist(c int32) {
	for int(c) >= len(q.lists) {
		q.lists = append(q.lists, 0)
	}
	q.lists[c]++
	q.wait.add(c)
}

func (q *queue) forget(c int32) {
	if q.lists[c]--; q.lists[c] == 0 {
		q.wait.remove(c)
	}
}

// history is how long units of unknown ends ran.
type history struct {
	ran  [64]uint32 // by the half octave of seconds
	nine int64      // what ninety gives; 0 = it must be found
}

func (h *history) note(µs int64) {
	h.ran[min(int(2*math.Log2(1+float64(max(µs, 0))/second)), len(h.ran)-1)]++
	h.nine = 0
}

// ninety is the time within which nine of ten ended (µs); 0 if nothing is known. It is asked
// for each run of each host when room is kept.
func (h *history) ninety() int64 {
	if h.nine > 0 {
		return h.nine
	}
	total := 0
	for _, n := range h.ran {
		total += int(n)
	}
	if total == 0 {
		return 0
	}
	sum := 0
	for i, n := range h.ran {
		if sum += int(n); sum*10 >= total*9 {
			h.nine = int64(math.Exp2(float64(i+1)/2) * second)
			break
		}
	}
	return h.nine
}
