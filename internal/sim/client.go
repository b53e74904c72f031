package sim

import (
	"fmt"

	"drover/internal/core/fault"
	"drover/internal/core/job"
	"drover/internal/manager"
)

// client is a user who submits, cancels and terminates, and who tries again when the
// answer is lost, as the SDKs do.
type client struct {
	w     *world
	n     int
	net   wire
	left  int // things still to do
	count int
	busy  int // requests that are not answered yet
}

func (w *world) addClient(n int) {
	c := &client{w: w, n: n, left: 10 + w.rng.IntN(8)}
	c.net.w = w
	w.clients = append(w.clients, c)
	c.later()
}

func (c *client) later() {
	d := c.w.between(0, 6*second)
	if c.w.chance(0.1) {
		d += c.w.between(0, 40*second)
	}
	c.w.after(d, c.next)
}

func (c *client) done() bool { return c.left == 0 && c.busy == 0 }

// next does one thing.
func (c *client) next() {
	w := c.w
	if c.left == 0 {
		return
	}
	c.left--
	known := w.check.receipts
	switch p := w.rng.Float64(); {
	case p < 0.12 && len(known) > 0:
		c.end(job.Cancel, known[w.rng.IntN(len(known))])
	case p < 0.24 && len(known) > 0:
		c.end(job.Terminate, known[w.rng.IntN(len(known))])
	case p < 0.28 && len(known) > 0:
		c.tag(known[w.rng.IntN(len(known))])
	case p < 0.34:
		c.configure()
	case p < 0.46 && len(known) > 0:
		c.left++ // besides
		c.ask(known[w.rng.IntN(len(known))])
	default:
		plans := []*plan{c.plan()}
		if w.chance(0.1) {
			plans = append(plans, c.plan())
		}
		c.submit(plans)
	}
	c.later()
}

func (c *client) plan() *plan {
	c.count++
	p := c.w.newPlan(fmt.Sprintf("c%d-%d", c.n, c.count), c.w.check.receipts)
	c.w.check.plans[p.name] = p
	return p
}

// insist makes a request until it is answered with anything but "try later".
func insist[A any](c *client, serve func(s *server, answer func(A, error)), got func(A, error)) {
	c.busy++
	var try func()
	try = func() {
		call(&c.net, 8*second, serve, func(a A, err error) {
			if fault.Is(err, fault.Unavailable) {
				c.w.after(c.w.between(50*ms, 3*second), try)
				return
			}
			c.busy--
			got(a, err)
		})
	}
	try()
}

func (c *client) submit(plans []*plan) {
	w := c.w
	for _, p := range plans {
		w.note("client %d submits %s size %d queue %s deps %d token %t", c.n, p.name, p.size, p.queue, len(p.deps), p.token != "")
	}
	serve := func(s *server, answer func([]manager.Receipt, error)) {
		var specs []*job.Spec
		for _, p := range plans {
			p.sent++
			specs = append(specs, p.spec())
		}
		s.submit(specs, answer)
	}
	insist(c, serve, func(out []manager.Receipt, err error) {
		if err != nil {
			if !w.check.refusable(plans) {
				w.broken("I1", "the submission of %s was refused: %v", plans[0].name, err)
			}
			w.note("client %d: %s refused: %v", c.n, plans[0].name, err)
			return
		}
		for i, p := range plans {
			w.note("client %d knows %s as %d", c.n, p.name, out[i].Key)
			r := w.check.submitted(p, out[i])
			if p.endless {
				w.after(w.between(0, 30*second), func() { c.endAs(job.Terminate, r, job.Whole) })
			}
		}
		if p := plans[0]; p.token != "" && w.chance(0.1) {
			c.abuse(p)
		}
	})
}

// abuse sends another request under a token that was used.
func (c *client) abuse(p *plan) {
	serve := func(s *server, answer func([]manager.Receipt, error)) {
		spec := p.spec()
		spec.Command = []string{"something", "else"}
		s.submit([]*job.Spec{spec}, answer)
	}
	insist(c, serve, func(_ []manager.Receipt, err error) {
		if err == nil {
			c.w.broken("I3", "token %s was accepted for another request", p.token)
		}
	})
}

// end cancels or terminates a job or one of its children.
func (c *client) end(kind job.EventKind, r *receipt) {
	w := c.w
	index := job.Whole
	if r.plan.size > 0 && w.chance(0.5) {
		index = int32(w.rng.IntN(int(r.plan.size)))
	}
	c.endAs(kind, r, index)
}

func (c *client) endAs(kind job.EventKind, r *receipt, index int32) {
	w := c.w
	word, reason := "cancels", "cancelled by client"
	if kind == job.Terminate {
		word, reason = "terminates", "terminated by client"
	}
	w.note("client %d %s %d:%d", c.n, word, r.key, index)
	asked := w.now
	serve := func(s *server, answer func(none, error)) {
		do(s, false, func(core *manager.Core, at manager.Instant) (none, error) {
			if kind == job.Terminate {
				return none{}, core.Terminate(r.id, index, reason, at)
			}
			return none{}, core.Cancel(r.id, index, reason, at)
		}, answer)
	}
	insist(c, serve, func(_ none, err error) {
		if err != nil {
			w.broken("I16", "%s %d:%d: %v", word, r.key, index, err)
		}
		w.note("client %d knows that it %s %d:%d", c.n, word, r.key, index)
		w.check.endAcked(kind, r, index, asked)
	})
}

func (c *client) tag(r *receipt) {
	value := fmt.Sprint(c.w.rng.IntN(100))
	serve := func(s *server, answer func(none, error)) {
		do(s, false, func(core *manager.Core, _ manager.Instant) (none, error) {
			core.TagJob(r.id, map[string]string{"color": value}, []string{"plan"})
			return none{}, nil
		}, answer)
	}
	insist(c, serve, func(none, error) {})
}

// ask wants to know why a job waits, what its queue looks like and when jobs will start: no
// decision may rest on having been asked (history).
func (c *client) ask(r *receipt) {
	w := c.w
	w.stats.Asked++
	index := job.Whole
	if r.plan.size > 0 {
		index = int32(w.rng.IntN(int(r.plan.size)))
	}
	serve := func(s *server, answer func(*manager.Wait, error)) {
		do(s, true, func(core *manager.Core, at manager.Instant) (*manager.Wait, error) {
			core.Snapshot(r.plan.queue, at.Wall)
			core.Outlook(at)
			return core.Explain(r.id, index, at.Wall), nil
		}, answer)
	}
	insist(c, serve, func(why *manager.Wait, _ error) {
		if why != nil && (why.Code == "" || why.Reason == "") {
			w.broken("I27", "%s waits because of %+v", unitName(r.plan.name, job.Ref{Index: index}), *why)
		}
	})
}

// configure changes queues and environments under the jobs' feet.
func (c *client) configure() {
	w := c.w
	var change func(core *manager.Core, at manager.Instant) error
	switch w.rng.IntN(7) {
	case 0, 1:
		most, terms := w.between(0, 8)*1000, w.rng.IntN(12)
		w.note("client %d sets environment small to %d, terms %d", c.n, most, terms)
		change = func(core *manager.Core, _ manager.Instant) error {
			// It may be gone at the moment; that is no fault.
			_, _ = core.UpdateEnvironment("small", func(e *job.Environment) error {
				e.MaxMilliVCPU = most
				if terms < 6 { // else as it is
					*e = termed(*e, terms)
				}
				return nil
			})
			return nil
		}
	case 4:
		w.note("client %d deletes environment small", c.n)
		change = func(core *manager.Core, _ manager.Instant) error {
			_, err := core.UpdateQueue("high", func(q *job.Queue) error { q.Environments = []string{"local"}; return nil })
			if err != nil {
				return err
			}
			if _, err := core.UpdateEnvironment("small", func(e *job.Environment) error { e.Enabled = false; return nil }); err != nil {
				return nil // gone already
			}
			return core.DeleteEnvironment("small")
		}
	case 5:
		most, terms := w.between(1, 8)*1000, w.rng.IntN(12)
		w.note("client %d creates environment small with %d, terms %d", c.n, most, terms)
		change = func(core *manager.Core, _ manager.Instant) error {
			e := termed(job.Environment{Name: "small", Managed: true, Enabled: true, MaxMilliVCPU: most, HostJobs: true}, terms)
			if err := core.CreateEnvironment(e); err != nil {
				return nil // it is there
			}
			_, err := core.UpdateQueue("high", func(q *job.Queue) error { q.Environments = []string{"small", "local"}; return nil })
			return err
		}
	case 2, 3:
		priority := int32(w.rng.IntN(20))
		w.note("client %d sets the priority of default to %d", c.n, priority)
		change = func(core *manager.Core, _ manager.Instant) error {
			_, err := core.UpdateQueue("default", func(q *job.Queue) error { q.Priority = priority; return nil })
			return err
		}
	default:
		w.note("client %d deletes queue doomed", c.n)
		w.check.doomed = true
		change = func(core *manager.Core, at manager.Instant) error {
			if _, err := core.UpdateQueue("doomed", func(q *job.Queue) error { q.Enabled = false; return nil }); err != nil {
				return nil // gone already
			}
			return core.DeleteQueue("doomed", at)
		}
	}
	serve := func(s *server, answer func(none, error)) {
		do(s, false, func(core *manager.Core, at manager.Instant) (none, error) { return none{}, change(core, at) }, answer)
	}
	insist(c, serve, func(_ none, err error) {
		if err != nil {
			w.broken("configuration", "%v", err)
		}
	})
}
