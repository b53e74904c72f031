package sim

import (
	"slices"
	"strings"

	"drover/internal/core/job"
	"drover/internal/core/sched"
	"drover/internal/manager"
)

// Hosts are of three kinds, told by what their workers say of them. Some jobs and
// environments want hosts of some kinds only, and both change: a worker may come back with
// other words, an environment may be given other terms. What must hold is the invariant
// "terms": a lease is granted on a host whose words, as the journal has them, meet what the
// job and the environment want; and the journal has no words that the host never said.

// kinds of hosts. Of the first kind there may be none: nobody wants a host that says nothing.
var kinds = [...][]string{
	{"process"},
	{"process", "arch=ARM64", "pool=night", "type=c5.large"},
	{"process", "arch=X86_64", "pool=day", "pool=spare", "type=m5.xlarge"},
}

// kindOf is the kind of the nth host: of the first two one has one kind and one the other.
func (w *world) kindOf(n int) int {
	if n < 2 {
		return 1 + n
	}
	p := plan{seed: w.opt.Seed}
	return int(p.roll(int32(n), 0, 20) % uint64(len(kinds)))
}

// renamed gives a host other words, as a worker that is started with other attributes does.
func (h *host) renamed() {
	kind := h.w.rng.IntN(len(kinds))
	h.w.note("host %s says %v from now on", h.id, kinds[kind])
	h.says(kind)
}

func (h *host) says(kind int) {
	h.words = kinds[kind]
	h.said[kind] = true
}

// complete adds what hosts are missing for every unit to find one some day.
func (w *world) complete() {
	for kind := 1; kind < len(kinds); kind++ {
		if !slices.ContainsFunc(w.hosts, func(h *host) bool { return !h.gone && slices.Equal(h.words, kinds[kind]) }) {
			w.addHostOf(kind)
		}
	}
}

// wanted is what a plan wants of hosts. Its gangs must fit on the smallest world.
func (p *plan) wanted() string {
	all := [...]string{"pool=night", "pool=day|night", "arch=X86_64", "arch=ARM64|X86_64 pool=spare", "pool=spare", "type=c5.large|c5.xlarge"}
	n := p.roll(0, 0, 11)
	switch {
	case n%4 != 0:
		return ""
	case p.nodes > 0:
		return "arch=ARM64|X86_64"
	}
	return all[n>>8%uint64(len(all))]
}

// termed gives an environment terms of its own: one of several, or none.
func termed(e job.Environment, n int) job.Environment {
	e.Tags, e.Types = nil, nil
	switch n % 6 {
	case 1:
		e.Tags = map[string]string{sched.TagRequires: "pool=night"}
	case 2:
		e.Tags = map[string]string{sched.TagRequires: "arch=ARM64|X86_64"}
	case 3:
		e.Types = []string{"c5", "c6g.large"}
	case 4:
		e.Types = []string{"m5.xlarge"}
		e.Tags = map[string]string{sched.TagRequires: "pool=spare"}
	case 5:
		e.Types = []string{"optimal"}
	}
	return e
}

// meets reports whether a host of those words meets terms such as "arch=ARM64 pool=a|b": the
// rule, written once more and plainly.
func meets(terms string, words []string) bool {
	for _, term := range strings.Fields(terms) {
		key, values, _ := strings.Cut(term, "=")
		found := false
		for _, v := range strings.Split(values, "|") {
			found = found || slices.Contains(words, key+"="+v)
		}
		if !found {
			return false
		}
	}
	return true
}

// ofTypes reports whether a host of those words is of one of some instance types or
// families. One that does not say its type is.
func ofTypes(types, words []string) bool {
	if len(types) == 0 || slices.Contains(types, "optimal") {
		return true
	}
	untold := true
	for _, word := range words {
		is, ok := strings.CutPrefix(word, "type=")
		if !ok {
			continue
		}
		untold = false
		family, _, _ := strings.Cut(is, ".")
		if slices.Contains(types, is) || slices.Contains(types, family) {
			return true
		}
	}
	return untold
}

// suits reports whether a host of those words will do for a plan in an environment.
func suits(p *plan, e *job.Environment, words []string) bool {
	return meets(p.requires, words) && meets(e.Tags[sched.TagRequires], words) && ofTypes(e.Types, words)
}

// said is called when a host's row has become durable.
func (c *checker) said(r *manager.HostRow) {
	for _, h := range c.w.hosts {
		if h.id != r.ID || r.Gone {
			continue
		}
		for kind, ever := range h.said {
			if ever && slices.Equal(kinds[kind], r.Executors) {
				return
			}
		}
		c.w.broken("terms", "host %s is on record with %v, which its worker never said", r.ID, r.Executors)
	}
}

// placed is called when a lease has become durable: the host suits, by what was on record of
// it and of the environment at some time since the batch before.
func (c *checker) placed(p *plan, r *manager.UnitRow, in *manager.Batch) {
	words := [][]string{c.hosts[r.Host].spoke}
	for _, h := range in.Hosts {
		if h.ID == r.Host {
			words = append(words, h.Executors)
		}
	}
	envs := []job.Environment{c.were[r.Environment]}
	for _, x := range in.Records {
		if e, ok := x.Value.(job.Environment); ok && e.Name == r.Environment {
			envs = append(envs, e)
		}
	}
	for i := range envs {
		if slices.ContainsFunc(words, func(is []string) bool { return suits(p, &envs[i], is) }) {
			if p.requires != "" || envs[i].Types != nil || envs[i].Tags != nil {
				c.w.stats.Chosen++
			}
			return
		}
	}
	e := &envs[len(envs)-1]
	c.w.broken("terms", "%s wants %q, environment %s %v %v; it got a lease on host %s of %v", unitName(p.name, r.Ref), p.requires, e.Name, e.Tags, e.Types, r.Host, words)
}
