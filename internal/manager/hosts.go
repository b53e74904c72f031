package manager

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"drover/internal/core/fault"
	"drover/internal/core/job"
	"drover/internal/core/resource"
	"drover/internal/core/sched"
)

// host is a worker's host and the leases it holds.
type host struct {
	row     HostRow
	session string
	expires int64 // mono time at which its leases end
	seen    int64 // wall time of its last word
	live    map[job.Ref]*entry
}

// Hello is what a worker says when it opens a session.
type Hello struct {
	Host      string
	Boot      string
	Capacity  resource.Vector
	Executors []string
	Held      []job.Lease
}

func (c *Core) addHost(r HostRow, now Instant) *host {
	h := &host{row: r, expires: now.Mono + c.opt.LeaseTTL, live: map[job.Ref]*entry{}}
	c.hosts[r.ID] = h
	i, _ := slices.BinarySearch(c.order, r.ID)
	c.order = slices.Insert(c.order, i, r.ID)
	c.sched.SetHost(r.ID, r.Capacity, r.Executors)
	return h
}

// hold accounts for a unit that a host ran when the last manager ended.
func (c *Core) hold(e *entry, i int32, now Instant) {
	if e.spec.Nodes != nil {
		c.holdGang(e, now)
		return
	}
	u := e.get(i)
	if !u.Status.Live() {
		return
	}
	c.hostOf(u.Host, now).live[job.Ref{Key: e.spec.Key, Index: i}] = e
	c.sched.Take(job.Ref{Key: e.spec.Key, Index: i}, e.spec.Queue, e.demand(i), []string{u.Host}, u.Environment, u.Placed)
	if u.Terminated || u.Preempting() {
		c.sched.Leave(job.Ref{Key: e.spec.Key, Index: i})
	}
}

// hostOf finds the host of a lease.
func (c *Core) hostOf(id string, now Instant) *host {
	if h := c.hosts[id]; h != nil {
		return h
	}
	return c.addHost(HostRow{ID: id}, now) // its row is gone: let the lease run out like any other
}

// free gives back what an attempt held.
func (c *Core) free(u job.Unit, r job.Ref, now Instant) {
	if h := c.hosts[u.Host]; h != nil {
		delete(h.live, r)
	}
	e := c.jobs[r.Key]
	c.freeConsumables(e)
	if e.spec.Nodes == nil { // nodes were charged each at its end
		c.charge(e, u, e.spec.Need.MilliVCPU, now)
	}
	c.sched.Release(r, now.Wall)
}

func (h *host) leases() []job.Ref {
	return slices.SortedFunc(maps.Keys(h.live), job.Ref.Compare)
}

// Hello opens a session. It answers with the leases that the worker holds in vain, and
// sends again, with the same fence, those that it never received.
func (c *Core) Hello(m Hello, session string, now Instant) (drop []job.Lease) {
	h := c.hosts[m.Host]
	if h != nil && h.row.Boot != m.Boot {
		c.lose(h, now) // a new launcher: what the old one held is gone
	}
	if h == nil {
		h = c.addHost(HostRow{ID: m.Host}, now)
	}
	row := HostRow{ID: m.Host, Boot: m.Boot, Capacity: m.Capacity, Executors: m.Executors}
	if h.row.Boot != row.Boot || h.row.Capacity != row.Capacity || !slices.Equal(h.row.Executors, row.Executors) {
		h.row = row
		c.batch.Hosts = append(c.batch.Hosts, row)
	}
	c.sched.SetHost(m.Host, m.Capacity, m.Executors)
	c.sched.OpenHost(m.Host, true)
	h.session = session
	c.renew(h, now)
	held := map[job.Ref]bool{}
	for _, l := range m.Held {
		if e := h.live[l.Ref]; e != nil && e.get(l.Ref.Index).Fence == l.Fence {
			held[l.Ref] = true
		} else {
			drop = append(drop, l)
		}
	}
	for _, r := range h.leases() {
		e := h.live[r]
		if !e.due(r.Index) {
			continue
		}
		if !held[r] {
			c.sendStart(e, r.Index)
		}
		if e.stopping(r.Index) {
			c.sendStop(e, r.Index)
		}
	}
	return drop
}

func (c *Core) renew(h *host, now Instant) {
	h.expires, h.seen = now.Mono+c.opt.LeaseTTL, now.Wall
}

// session finds the host of a session; any other session is told to say Hello again.
func (c *Core) session(id, session string) (*host, error) {
	h := c.hosts[id]
	if h == nil || session == "" || h.session != session {
		return nil, fault.New(fault.Conflict, "UnknownSession", "the manager does not know this session of host %s; say hello", id)
	}
	return h, nil
}

// Heartbeat renews the leases of a host.
func (c *Core) Heartbeat(id, session string, now Instant) error {
	h, err := c.session(id, session)
	if err == nil {
		c.renew(h, now)
	}
	return err
}

// Report takes in what a worker says about attempts. Each report is judged by itself; the
// answer holds a fault for each one refused, nil for the others.
func (c *Core) Report(id, session string, reports []job.Report, now Instant) ([]error, error) {
	h, err := c.session(id, session)
	if err != nil {
		return nil, err
	}
	c.renew(h, now)
	var out []error
	for i, r := range reports {
		if err := c.report(r, now); err != nil {
			if out == nil {
				out = make([]error, len(reports))
			}
			out[i] = err
		}
	}
	return out, nil
}

func (c *Core) report(r job.Report, now Instant) error {
	e := c.entry(r.Ref.Key)
	if e == nil || !e.leases(r.Ref.Index) {
		return fault.New(fault.NotFound, "UnknownJob", "no unit %d of a job %d has a lease", r.Ref.Index, r.Ref.Key)
	}
	if s := e.get(r.Ref.Index).Status; s.Terminal() {
		return job.Settled(r.Fence)
	}
	if r.Started || r.Exit != nil && r.Exit.Code != nil {
		at := r.At
		if r.Exit != nil { // At is that of the end; when it began was not said apart
			at = e.get(r.Ref.Index).Placed
		}
		if _, err := c.apply(e, r.Ref.Index, job.Event{Kind: job.Start, Fence: r.Fence, At: at, Address: r.Address}, now); err != nil {
			return err
		}
	}
	if r.Exit != nil {
		_, err := c.apply(e, r.Ref.Index, job.Event{Kind: job.Finish, Fence: r.Fence, Exit: r.Exit, At: r.At}, now)
		return err
	}
	return nil
}

// leases reports whether units of this index get leases: of a multi-node parallel job the
// nodes do, and the job itself does not.
func (e *entry) leases(i int32) bool {
	return e.has(i) && (e.spec.Nodes == nil || i != job.Whole)
}

// Holds reports whether the lease is valid now: credentials of an attempt live by it.
func (c *Core) Holds(l job.Lease) bool {
	e := c.jobs[l.Ref.Key]
	if e == nil || !e.leases(l.Ref.Index) {
		return false
	}
	u := e.get(l.Ref.Index)
	return u.Status.Live() && u.Fence == l.Fence
}

// lose ends every attempt of a host.
func (c *Core) lose(h *host, now Instant) {
	for _, r := range h.leases() {
		if e := h.live[r]; e != nil { // it may have ended with another
			c.apply(e, r.Index, job.Event{Kind: job.Lose, Fence: e.get(r.Index).Fence}, now)
		}
	}
}

// Tick ends the leases of hosts that have been silent for too long, and drops jobs from
// memory that ended a while ago. After a pause of this process hosts get a fresh term:
// it could not have heard them.
func (c *Core) Tick(now Instant) {
	paused := now.Mono-c.tick > c.opt.LeaseTTL/2
	c.tick = now.Mono
	for _, id := range slices.Clone(c.order) {
		h := c.hosts[id]
		switch {
		case paused:
			h.expires = max(h.expires, now.Mono+c.opt.LeaseTTL)
		case now.Mono > h.expires:
			c.dropHost(h, now)
		}
	}
	c.watchHeads(now)
	n := 0
	for n < len(c.ended) && c.ended[n].endSeq <= c.durable && now.Mono-c.ended[n].endMono > c.opt.KeepEnded {
		e := c.ended[n]
		delete(c.jobs, e.spec.Key)
		delete(c.byID, e.spec.ID)
		if e.spec.Token != "" {
			delete(c.tokens, e.spec.Token)
		}
		c.forgot = max(c.forgot, e.endMono+1)
		n++
	}
	c.ended = slices.Delete(c.ended, 0, n)
}

func (c *Core) dropHost(h *host, now Instant) {
	c.lose(h, now)
	id := h.row.ID
	delete(c.hosts, id)
	c.order = slices.DeleteFunc(c.order, func(s string) bool { return s == id })
	c.sched.RemoveHost(id)
	c.batch.Hosts = append(c.batch.Hosts, HostRow{ID: id, Gone: true, Session: h.session})
}

// Schedule places what fits, up to limit units.
func (c *Core) Schedule(limit int, now Instant) int {
	plan := c.sched.Decide(now.Wall, limit)
	for _, p := range plan.Preempt {
		c.preempt(p, now)
	}
	places := plan.Places
	for _, p := range places {
		e := c.entry(p.Ref.Key)
		place := c.placeOne
		if e.spec.Nodes != nil {
			place = c.placeGang
		}
		if err := place(e, p, now); err != nil {
			// Waiting units are RUNNABLE by construction; anything else is a bug that must not spread.
			panic("manager: placed a unit that is not RUNNABLE: " + err.Error())
		}
		c.holdConsumables(e)
		c.spend(e)
	}
	return len(places)
}

func (c *Core) placeOne(e *entry, p sched.Placement, now Instant) error {
	u := e.get(p.Ref.Index)
	ev := job.Event{Kind: job.Place, Host: p.Host, Environment: p.Environment, Log: logStream(e.spec, p.Ref.Index, u.Attempt+1, u.Fence+1)}
	if _, err := c.apply(e, p.Ref.Index, ev, now); err != nil {
		return err
	}
	c.hosts[p.Host].live[p.Ref] = e
	c.sendStart(e, p.Ref.Index)
	return nil
}

func (c *Core) sendStart(e *entry, i int32) {
	s, u := e.spec, e.get(i)
	h := c.hosts[u.Host]
	if h == nil || h.session == "" {
		return
	}
	a := &job.Assignment{
		Lease: u.Lease(job.Ref{Key: s.Key, Index: i}), ID: s.ID, Name: s.Name, Queue: s.Queue, Environment: u.Environment,
		Definition: s.Definition, Image: s.Image, Command: s.Command, Variables: s.Environment, Need: e.need(i),
		Size: s.Size, TimeoutSeconds: s.TimeoutSeconds, Container: s.Container, Pod: s.Pod, Tags: s.TaskTags, Stage: s.Stage, Inputs: s.Inputs, Outputs: s.Outputs, Submitter: s.Submitter, Log: u.Log,
	}
	if n, ok := job.NodeOf(i); ok {
		w := &s.Nodes.Of(n).Work
		a.Image, a.Command, a.Variables, a.Container, a.Pod, a.Seat = w.Image, w.Command, w.Environment, w.Container, w.Pod, e.seat(n)
		if n != s.Nodes.Main {
			a.TimeoutSeconds = 0 // the timeout is the job's: the main node has it
		}
	} else if s.Numbers != nil && i != job.Whole {
		a.Number, a.Size = &s.Numbers[i], s.Of
	}
	c.batch.Sends = append(c.batch.Sends, Send{Host: u.Host, Session: h.session, Start: a})
}

func (c *Core) sendStop(e *entry, i int32) {
	u := e.get(i)
	if h := c.hosts[u.Host]; h != nil && h.session != "" {
		c.batch.Sends = append(c.batch.Sends, Send{Host: u.Host, Session: h.session,
			Stop: &StopOrder{Lease: u.Lease(job.Ref{Key: e.spec.Key, Index: i}), Reason: cmp.Or(u.UserReason, e.unit.UserReason, u.AttemptWhy, e.unit.AttemptWhy, "terminated")}})
	}
}

// Hosts lists what is known of the hosts.
func (c *Core) Hosts() []Host {
	out := make([]Host, 0, len(c.order))
	for _, id := range c.order {
		h := c.hosts[id]
		out = append(out, Host{ID: id, Capacity: h.row.Capacity, Free: c.sched.Free(id), Executors: h.row.Executors, Connected: h.session != "", LastSeen: h.seen})
	}
	slices.SortFunc(out, func(a, b Host) int { return strings.Compare(a.ID, b.ID) })
	return out
}

// Running is the number of units that have a lease.
func (c *Core) Running() int {
	n := 0
	for _, id := range c.order {
		n += len(c.hosts[id].live)
	}
	return n
}
