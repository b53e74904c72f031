package manager

import (
	"slices"

	"drover/internal/core/job"
	"drover/internal/core/resource"
	"drover/internal/core/sched"
)

// A multi-node parallel job is one unit for its queue, its dependencies, its retries and the
// outbox: the unit Whole, for which nobody has a lease. Its nodes have the leases. They get
// hosts with the unit, all in one batch; the main node is sent out at once, the others when
// it runs, so that they can be told its address. The end of the main node decides the
// attempt: the others are stopped, and when the last of them has ended the unit ends, with
// the main node's exit. So nothing of a job that has ended runs, and the nodes of a next
// attempt never meet those of the one before. The end of any other node changes nothing but
// that its room is free (AWS Batch User Guide, job lifecycle for MNP jobs).

// reasonMainEnded is the statusReason of a node that was stopped because the main node ended.
const reasonMainEnded = "The main node of the job has exited"

// nodeRef names a node of a job.
func nodeRef(e *entry, n int32) job.Ref { return job.Ref{Key: e.spec.Key, Index: job.Node(n)} }

// isMain reports whether an index names the main node of the job.
func (e *entry) isMain(i int32) bool {
	n, ok := job.NodeOf(i)
	return ok && n == e.spec.Nodes.Main
}

// node is the state of a node. Before the first attempt it is that of its job.
func (e *entry) node(n int32) job.Unit {
	if e.nodes == nil {
		return job.Unit{Status: e.unit.Status, StatusReason: e.unit.StatusReason}
	}
	return e.nodes[n]
}

// due reports whether a unit that has a host may run: a node waits for the main one.
func (e *entry) due(i int32) bool {
	if _, ok := job.NodeOf(i); !ok || e.isMain(i) {
		return true
	}
	return e.nodes[e.spec.Nodes.Main].Started != 0
}

// stopping reports whether a unit that runs is to end.
func (e *entry) stopping(i int32) bool {
	if (e.unit.Terminated || e.unit.Preempting()) && e.spec.Nodes != nil {
		return true
	}
	if _, ok := job.NodeOf(i); ok && !e.isMain(i) {
		return e.nodes[e.spec.Nodes.Main].Status.Terminal()
	}
	u := e.get(i)
	return u.Terminated || u.Preempting()
}

// groups are what the nodes ask of the scheduler.
func (e *entry) groups() (shape sched.Shape, nodes int32, groups []sched.Group) {
	n := e.spec.Nodes
	for _, g := range n.Groups {
		groups = append(groups, sched.Group{Shape: shapeOf(g.Image, g.Need, wants(e.spec.Requires, g.Container)), Nodes: g.Last - g.First + 1})
	}
	if len(groups) == 1 {
		return groups[0].Shape, n.Count, nil
	}
	return sched.Shape{}, 0, groups
}

// image is the number of the one image that all containers of a job have; 0 = they have
// several, or are processes.
func (e *entry) image() uint8 {
	image := e.spec.Image
	if n := e.spec.Nodes; n != nil {
		if len(n.Groups) > 1 {
			return 0
		}
		image = n.Groups[0].Image
	}
	if image == "" || image == job.HostImage {
		return 0
	}
	return sched.ImageOf(image)
}

// wants is what a container, and its job, want of a host.
func wants(requires string, c *job.Container) string {
	switch {
	case c == nil || c.Architecture == "":
		return requires
	case requires == "":
		return "arch=" + c.Architecture
	}
	return "arch=" + c.Architecture + " " + requires
}

func shapeOf(image string, need resource.Vector, wants string) sched.Shape {
	s := sched.Shape{Need: need, Executor: sched.Docker, Wants: wants}
	if image == job.HostImage {
		s.Executor = sched.Process
	}
	return s
}

// placeGang gives every node its host.
func (c *Core) placeGang(e *entry, p sched.Placement, now Instant) error {
	hosts := append([]string{p.Host}, p.Others...)
	main := e.spec.Nodes.Main
	attempt, fence := e.unit.Attempt+1, e.unit.Fence+1
	place := func(n int32) job.Event {
		return job.Event{Kind: job.Place, Host: hosts[n], Environment: p.Environment, Log: logStream(e.spec, job.Node(n), attempt, fence)}
	}
	if e.nodes == nil {
		e.nodes = make([]job.Unit, e.spec.Nodes.Count)
		for n := range e.nodes {
			e.nodes[n].Status = job.Runnable
		}
	}
	if _, err := c.apply(e, job.Whole, place(main), now); err != nil {
		return err
	}
	for n := range e.spec.Nodes.Count {
		if _, err := c.stepNode(e, n, place(n), now); err != nil {
			return err
		}
		c.hosts[hosts[n]].live[nodeRef(e, n)] = e
	}
	c.sendStart(e, job.Node(main))
	return nil
}

// stepNode applies one event to a node and records it.
func (c *Core) stepNode(e *entry, n int32, ev job.Event, now Instant) (job.Change, error) {
	before := e.node(n)
	u, ch, err := job.Step(before, job.Retry{}, ev, now.Wall)
	if err != nil || u == before {
		return ch, err
	}
	if ch.Ended && u.Exit.Cause == job.CauseTerminated {
		u.Terminated, u.StatusReason = e.unit.Terminated, reasonMainEnded
		if e.unit.Terminated && e.unit.UserReason != "" {
			u.StatusReason = e.unit.UserReason
		} else if e.unit.Preempting() {
			u.StatusReason = e.unit.AttemptWhy
		}
	}
	e.nodes[n] = u
	c.writeUnit(nodeRef(e, n), u)
	if ch.Ended {
		if h := c.hosts[u.Host]; h != nil {
			delete(h.live, nodeRef(e, n))
		}
		c.charge(e, u, e.need(job.Node(n)).MilliVCPU, now)
		c.sched.ReleaseNode(job.Ref{Key: e.spec.Key, Index: job.Whole}, n, now.Wall)
	}
	return ch, nil
}

// applyNode steps a node and settles what follows for its job.
func (c *Core) applyNode(e *entry, n int32, ev job.Event, now Instant) (job.Change, error) {
	ch, err := c.stepNode(e, n, ev, now)
	if err != nil {
		return ch, err
	}
	main := n == e.spec.Nodes.Main
	if main && ch.Moved() && ch.To == job.Running {
		if _, err := c.apply(e, job.Whole, job.Event{Kind: job.Start, Fence: e.unit.Fence, At: e.nodes[n].Started, Address: e.nodes[n].Address}, now); err != nil {
			return ch, err
		}
		for o := range e.nodes {
			if int32(o) != n && e.nodes[o].Status.Live() {
				c.sendStart(e, job.Node(int32(o)))
			}
		}
	}
	if !ch.Ended {
		return ch, nil
	}
	if main {
		c.stopNodes(e, now)
	}
	return ch, c.endGang(e, now)
}

// stopNodes ends what is left of a gang: nodes that run are told to stop, those that were
// never sent out end at once.
func (c *Core) stopNodes(e *entry, now Instant) {
	for n := range e.nodes {
		i := job.Node(int32(n))
		switch {
		case !e.nodes[n].Status.Live():
		case e.due(i):
			c.sendStop(e, i)
		default:
			x := &job.Exit{Cause: job.CauseTerminated, Reason: "stopped before it started"}
			// It is STARTING and the fence is its own: the step cannot be refused.
			_, _ = c.stepNode(e, int32(n), job.Event{Kind: job.Finish, Fence: e.nodes[n].Fence, Exit: x}, now)
		}
	}
}

// endGang ends the attempt of the job once its last node has ended. It gets the main node's
// exit and time, and the use of all nodes.
func (c *Core) endGang(e *entry, now Instant) error {
	if slices.ContainsFunc(e.nodes, func(u job.Unit) bool { return u.Status.Live() }) {
		return nil
	}
	main := &e.nodes[e.spec.Nodes.Main]
	x := *main.Exit
	x.Usage = job.Usage{}
	for n := range e.nodes {
		use := e.nodes[n].Exit.Usage
		x.Usage.CPUMillis += use.CPUMillis
		x.Usage.BytesIn += use.BytesIn
		x.Usage.BytesOut += use.BytesOut
		x.Usage.PeakMemKiB = max(x.Usage.PeakMemKiB, use.PeakMemKiB)
	}
	ch, err := c.apply(e, job.Whole, job.Event{Kind: job.Finish, Fence: e.unit.Fence, Exit: &x, At: main.Stopped}, now)
	if err != nil || ch.To != job.Runnable {
		return err
	}
	for n := range e.nodes { // they wait for the next attempt with their job
		u := &e.nodes[n]
		c.batch.History = append(c.batch.History, UnitRow{nodeRef(e, int32(n)), *u})
		u.Status, u.StatusReason = job.Runnable, ""
		c.writeUnit(nodeRef(e, int32(n)), *u)
	}
	return nil
}

// dropNodes ends the nodes that wait for another attempt of a job that has ended.
func (c *Core) dropNodes(e *entry, now Instant) {
	for n := range e.nodes {
		if !e.nodes[n].Status.Terminal() {
			// A RUNNABLE node can be ended; nothing else is refused.
			_, _ = c.stepNode(e, int32(n), job.Event{Kind: job.Doom, Reason: e.unit.StatusReason}, now)
		}
	}
}

// holdGang accounts for the nodes of a job that ran when the last manager ended.
func (c *Core) holdGang(e *entry, now Instant) {
	if !e.unit.Status.Live() {
		return
	}
	hosts := make([]string, len(e.nodes))
	for n := range e.nodes {
		if u := &e.nodes[n]; u.Status.Live() {
			c.hostOf(u.Host, now).live[nodeRef(e, int32(n))] = e
			hosts[n] = u.Host
		}
	}
	r := job.Ref{Key: e.spec.Key, Index: job.Whole}
	c.sched.Take(r, e.spec.Queue, e.demand(job.Whole), hosts, e.unit.Environment, e.unit.Placed)
	if e.unit.Terminated || e.unit.Preempting() {
		c.sched.Leave(r)
	}
}

// seat tells a node of its place.
func (e *entry) seat(n int32) *job.Seat {
	s := &job.Seat{Node: n, Main: e.spec.Nodes.Main, Count: e.spec.Nodes.Count}
	s.Together = !slices.ContainsFunc(e.nodes, func(u job.Unit) bool { return u.Host != e.nodes[n].Host })
	if n != s.Main {
		s.MainAddress = e.nodes[s.Main].Address
	}
	return s
}

// oneNode refuses to end a node by itself: the job ends as a whole.
func oneNode(id job.ID, n int32) error {
	return client("Job %s is a node of a multi-node parallel job, which ends as a whole: name the job %s", job.Name(id, job.Node(n)), id)
}
