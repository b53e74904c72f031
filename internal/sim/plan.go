package sim

import (
	"drover/internal/core/job"
	"drover/internal/core/resource"
)

// plan is what a client means to run: enough to build the request again and again, and
// how each attempt will behave.
type plan struct {
	name     string
	seed     uint64
	token    string
	queue    string
	size     int32
	need     resource.Vector
	retry    job.Retry
	timeout  int32
	deps     []job.Dependency
	huge     bool // fits nowhere
	endless  bool // runs until it is stopped
	tokens   []job.ConsumableNeed
	share    string // of a queue that is shared
	nodes    int32  // of a multi-node parallel job; 0 = none
	main     int32
	quota    string // quota share
	urgency  int32  // schedulingPriority
	requires string // of its hosts

	sent    int // requests that left
	created int // jobs in the journal
}

// spec builds the request anew: a retry never shares memory with what went before.
func (p *plan) spec() *job.Spec {
	s := &job.Spec{
		Name: p.name, Queue: p.queue, Definition: "d:1", Image: job.HostImage, Command: []string{"run", p.name},
		Need: p.need, Size: p.size, Token: p.token, TimeoutSeconds: p.timeout, Tags: map[string]string{"plan": p.name}, Share: p.share, QuotaShare: p.quota, Priority: p.urgency, Requires: p.requires,
		Retry: job.Retry{Attempts: p.retry.Attempts},
	}
	s.Retry.Rules = append(s.Retry.Rules, p.retry.Rules...)
	s.Dependencies = append(s.Dependencies, p.deps...)
	s.Consumables = append(s.Consumables, p.tokens...)
	if p.nodes > 0 {
		s.Nodes = p.gang()
	}
	return s
}

// rolls gives a number that depends on the attempt alone.
func (p *plan) roll(index, attempt int32, what uint64) uint64 {
	x := p.seed ^ uint64(uint32(index))<<32 ^ uint64(attempt)<<8 ^ what
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}

// behave says how an attempt ends, and after how long.
func (p *plan) behave(index, attempt int32) (job.Exit, int64) {
	if p.endless || p.waits(index, attempt) {
		return job.Exit{}, 1 << 60
	}
	runs := 20*ms + int64(p.roll(index, attempt, 1)%uint64(3*second))
	switch p.roll(index, attempt, 2) % 20 {
	case 0:
		runs += int64(p.roll(index, attempt, 3) % uint64(60*second))
	case 1, 2, 3:
		runs += int64(p.roll(index, attempt, 3) % uint64(12*second))
	}
	if t := int64(p.timeout) * second; t > 0 && runs > t && (p.nodes == 0 || index == job.Node(p.main)) {
		code := int32(137)
		return job.Exit{Code: &code, Cause: job.CauseTimeout}, t
	}
	var code int32
	x := job.Exit{Code: &code}
	switch p.roll(index, attempt, 4) % 16 {
	case 0, 1:
		code, x.Cause = 1, job.CauseExit
	case 2:
		code, x.Cause = 7, job.CauseExit
	case 3:
		code, x.Cause, x.Reason = 137, job.CauseMemory, job.ReasonMemory
	}
	return x, runs
}

// cannotStart is true for the few attempts whose command does not exist.
func (p *plan) cannotStart(index, attempt int32) bool { return p.roll(index, attempt, 5)%50 == 0 }

// again is the retry rule, written once more and plainly, to judge the manager by.
func (p *plan) again(attempt int32, why string, x *job.Exit) bool {
	if attempt >= max(p.retry.Attempts, 1) || x.Cause == job.CauseTimeout {
		return false
	}
	for _, r := range p.retry.Rules {
		code := "none"
		if x.Code != nil {
			code = itoa(*x.Code)
		}
		if like(r.StatusReason, why) && like(r.Reason, x.Reason) && like(r.ExitCode, code) {
			return !r.Exit
		}
	}
	return true
}

func like(pattern, s string) bool {
	if pattern == "" {
		return true
	}
	if n := len(pattern) - 1; pattern[n] == '*' {
		return len(s) >= n && s[:n] == pattern[:n]
	}
	return pattern == s
}

func itoa(n int32) string {
	if n < 0 {
		return "-" + itoa(-n)
	}
	if n < 10 {
		return string(rune('0' + n))
	}
	return itoa(n/10) + itoa(n%10)
}

// newPlan makes up a job; known are jobs that it may depend on.
func (w *world) newPlan(name string, known []*receipt) *plan {
	p := &plan{name: name, seed: w.rng.Uint64(), queue: "default", need: resource.Vector{MilliVCPU: 10 * w.between(10, 101), MemoryMiB: w.between(4, 512)}}
	switch {
	case w.chance(0.3):
		p.queue = "high"
	case w.chance(0.1):
		p.queue = "doomed"
	case p.roll(0, 0, 8)%4 == 0:
		p.queue, p.quota, p.urgency = "divided", [...]string{"lender", "borrower"}[p.roll(0, 0, 7)%2], int32(p.roll(0, 0, 9)%2)
	default:
		p.share = [...]string{"a1", "a2", "b"}[p.roll(0, 0, 7)%3]
	}
	if w.chance(0.7) {
		p.token = "token-" + name
	}
	if w.chance(0.5) {
		p.size = int32(1 + w.rng.IntN(10))
	}
	switch p.roll(0, 0, 6) % 16 {
	case 0:
		p.tokens = []job.ConsumableNeed{{Name: "licence", Quantity: 1}}
	case 1:
		p.tokens = []job.ConsumableNeed{{Name: "sheet", Quantity: 3}, {Name: "licence", Quantity: 2}}
	}
	if w.chance(0.03) {
		p.need.MilliVCPU, p.huge = 63000, true
	}
	if p.token != "" && w.chance(0.06) {
		p.endless = true
	} else if w.chance(0.15) {
		p.timeout = int32(w.between(1, 20))
	}
	p.retry.Attempts = int32(1 + w.rng.IntN(5))
	rules := []job.Rule{
		{ExitCode: "7", Exit: true}, {ExitCode: "1*"}, {Reason: "OutOfMemory*"}, {Reason: "OutOfMemory*", Exit: true},
		{StatusReason: "Host EC2*"}, {StatusReason: "Host EC2*", Exit: true}, {StatusReason: "Essential*", ExitCode: "137", Exit: true}, {StatusReason: "*", Exit: true},
	}
	if w.chance(0.4) {
		for range 1 + w.rng.IntN(3) {
			p.retry.Rules = append(p.retry.Rules, rules[w.rng.IntN(len(rules))])
		}
	}
	if p.size > 1 && w.chance(0.25) {
		p.deps = append(p.deps, job.Dependency{Kind: job.Sequential})
	}
	for range 3 {
		if len(known) == 0 || !w.chance(0.3) {
			continue
		}
		r := known[w.rng.IntN(len(known))]
		if recent := len(known) - 6; recent > 0 && w.chance(0.7) {
			r = known[recent+w.rng.IntN(6)]
		}
		d := job.Dependency{Kind: job.AfterJob, ID: r.id}
		if r.plan.size > 0 && w.chance(0.6) {
			d.Kind, p.size = job.NToN, r.plan.size
			for _, o := range p.deps {
				if o.Kind == job.NToN { // one size must suit all: keep to the first
					d.Kind = job.AfterJob
				}
			}
			if d.Kind == job.AfterJob {
				for _, o := range p.deps {
					if o.Kind == job.NToN {
						p.size = w.check.sizeOf(o.ID)
					}
				}
			}
		}
		p.deps = append(p.deps, d)
	}
	if r := p.roll(0, 0, 8); p.size == 0 && !p.huge && r%3 == 0 {
		p.nodes = 2 + int32(r>>8%3)
		p.main = int32(r >> 16 % uint64(p.nodes))
		p.need.MilliVCPU = 100 + p.need.MilliVCPU%200 // all of them fit on the smallest world
	}
	p.requires = p.wanted()
	return p
}

// receipt is a job that a client was told of.
type receipt struct {
	id   job.ID
	key  job.Key
	plan *plan
}
