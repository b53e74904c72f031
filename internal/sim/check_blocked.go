package sim

import (
	"strings"

	"drover/internal/core/job"
	"drover/internal/manager"
)

// blocked holds what is told of blocked queues against I23: the unit is RUNNABLE and has a
// reason that AWS knows, and nobody hears the same again and again: what a manager that starts
// anew tells once more, or that of a unit which was not the first for a while, is bounded.
func (c *checker) blocked(b *book, t *manager.Transition) {
	w := c.w
	name := unitName(b.plan.name, job.Ref{Index: t.Lo})
	if t.To != job.Runnable || t.Lo != t.Hi || *b.at(t.Lo) != job.Runnable {
		w.broken("I23", "%s is %s and blocks its queue by a step from %s to %s", name, *b.at(t.Lo), t.From, t.To)
	}
	if !strings.HasPrefix(t.Why, "MISCONFIGURATION:") && !strings.HasPrefix(t.Why, "CAPACITY:") {
		w.broken("I23", "%s blocks its queue because of %q", name, t.Why)
	}
	code, _, _ := strings.Cut(t.Why, " - ")
	w.stats.Blocked++
	now := told{ref: job.Ref{Key: t.Key, Index: t.Lo}, code: code, term: w.paper.term, times: 1}
	if last := c.told[b.plan.queue]; last.ref == now.ref && last.code == code && last.term == now.term {
		now.times += last.times
	}
	if now.times > maxTold {
		w.broken("I23", "that %s blocks queue %s was told %d times", name, b.plan.queue, now.times)
	}
	c.told[b.plan.queue] = now
}

// told is the last that was heard of a blocked queue.
type told struct {
	ref   job.Ref
	code  string
	term  int64 // of the manager: the next one tells it anew
	times int
}

// maxTold is how often the same may be told in one manager's term.
const maxTold = 4
