package sched

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Picture writes the State as text, the same text for the same State however it came to be:
// the fault simulation compares a State that was fed step by step with one rebuilt from the
// journal. Whether a host is open is left out, for that is a matter of sessions; so are what
// shares used in the past and the room that is kept, which a State finds out for itself.
func (s *State) Picture() string {
	var b strings.Builder
	fmt.Fprintf(&b, "waiting %d\n", s.waiting)
	for _, q := range s.queues {
		fmt.Fprintf(&b, "queue %s %d %v waiting %d running %d\n", q.Name, q.Priority, q.Environments, q.waiting, q.running)
		for _, sh := range q.shares {
			s.pictureShare(&b, sh)
		}
	}
	envs := slices.DeleteFunc(slices.Clone(s.environments), func(e *environment) bool { return e.gone })
	slices.SortFunc(envs, func(x, y *environment) int { return cmp.Compare(x.Name, y.Name) })
	for _, e := range envs {
		fmt.Fprintf(&b, "environment %s uses %d of %d\n", e.Name, e.used, e.MaxMilliVCPU)
	}
	for _, i := range s.byID {
		h := &s.hosts[i]
		fmt.Fprintf(&b, "host %s %v free %v\n", h.id, h.capacity, h.free)
	}
	for _, r := range s.runAt.refs() {
		at, _ := s.runAt.get(r)
		u := s.run(at)
		fmt.Fprintf(&b, "run %v in %s %v", r, u.env.Name, u.need)
		for _, p := range u.rest() {
			fmt.Fprintf(&b, " and %v", p.need)
		}
		fmt.Fprintf(&b, " placed %d ends %d leaving %t\n", u.placed, u.end, u.leaving)
	}
	for _, name := range slices.Sorted(maps.Keys(s.tokens)) {
		fmt.Fprintf(&b, "token %s %d of %d\n", name, s.tokens[name].used, s.tokens[name].total)
	}
	return b.String()
}

func (s *State) pictureShare(b *strings.Builder, sh *share) {
	if sh.waiting == 0 && sh.running == (Limit{}) {
		return
	}
	fmt.Fprintf(b, " share %q waiting %d running %v\n", sh.name, sh.waiting, sh.running)
	var lines []string
	for c := range sh.fifos {
		f := &sh.fifos[c]
		if f.empty() {
			continue
		}
		var line strings.Builder
		fmt.Fprintf(&line, "  %v:", s.classes[c].classKey)
		for _, r := range f.live() {
			switch {
			case r.kids >= 0:
				fmt.Fprintf(&line, " %d/%d%v", keyOf(r.order), r.order, s.kids[r.kids])
			case r.kids == plain:
				fmt.Fprintf(&line, " %d/%d", keyOf(r.order), r.order)
			}
		}
		lines = append(lines, line.String())
	}
	slices.Sort(lines)
	for _, l := range lines {
		b.WriteString(l + "\n")
	}
}
