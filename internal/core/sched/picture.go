package sched

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Picture writes the State as text, the same text for the same State however it came to be:
// the fault simulation compares a State that was fed step by step with one rebuilt from the
// journal. Whether a host is open is left out, for that is a matter of sessions.
func (s *State) Picture() string {
	var b strings.Builder
	fmt.Fprintf(&b, "waiting %d\n", s.waiting)
	for _, q := range s.queues {
		fmt.Fprintf(&b, "queue %s %d %v\n", q.Name, q.Priority, q.Environments)
		buckets := slices.DeleteFunc(slices.Clone(q.buckets), func(k *bucket) bool { return len(k.entries) == 0 })
		slices.SortFunc(buckets, func(x, y *bucket) int { return cmp.Compare(fmt.Sprint(x.shape), fmt.Sprint(y.shape)) })
		for _, k := range buckets {
			fmt.Fprintf(&b, " %v:", k.shape)
			for _, e := range k.entries {
				fmt.Fprintf(&b, " %d/%d%v", e.key, e.order, e.spans)
			}
			b.WriteByte('\n')
		}
	}
	envs := slices.DeleteFunc(slices.Clone(s.environments), func(e *environment) bool { return e.gone })
	slices.SortFunc(envs, func(x, y *environment) int { return cmp.Compare(x.Name, y.Name) })
	for _, e := range envs {
		fmt.Fprintf(&b, "environment %s uses %d of %d\n", e.Name, e.used, e.MaxMilliVCPU)
	}
	for _, h := range s.hosts {
		fmt.Fprintf(&b, "host %s %v free %v\n", h.id, h.capacity, h.free)
	}
	return b.String()
}
