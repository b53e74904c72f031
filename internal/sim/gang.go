package sim

import (
	"fmt"

	"drover/internal/core/job"
	"drover/internal/core/resource"
	"drover/internal/manager"
)

// The simulated multi-node parallel jobs, and what must hold of them. In every state that
// is durable a gang has hosts for all its nodes or for none (gang); a node runs only while
// the main node of the same attempt does or did, and knows its address, and no node of an
// earlier attempt that still had its lease runs beside it (main-first, gang-apart); the
// job ends as its main node did, and not before the last node (gang-end).

// isNode reports whether a ref names a node.
func isNode(r job.Ref) bool {
	_, ok := job.NodeOf(r.Index)
	return ok
}

// gang gives the nodes of a plan: the last one asks for more than the others.
func (p *plan) gang() *job.Nodes {
	w := job.Work{Image: job.HostImage, Command: []string{"run", p.name}}
	n := &job.Nodes{Count: p.nodes, Main: p.main, Groups: []job.NodeGroup{{Last: p.nodes - 2, Work: w}, {First: p.nodes - 1, Last: p.nodes - 1, Work: w}}}
	n.Groups[0].Need, n.Groups[1].Need = p.holds(job.Node(0)), p.holds(job.Node(p.nodes-1))
	return n
}

// holds is what the lease of a unit holds. Of a gang the nodes hold all.
func (p *plan) holds(index int32) resource.Vector {
	n, node := job.NodeOf(index)
	switch {
	case p.nodes == 0:
		return p.need
	case !node:
		return resource.Vector{}
	case n == p.nodes-1:
		return resource.Vector{MilliVCPU: p.need.MilliVCPU + 100, MemoryMiB: p.need.MemoryMiB}
	}
	return p.need
}

// waits reports whether a node runs until it is stopped: many do, as MPI's proxies would if
// nobody told them.
func (p *plan) waits(index, attempt int32) bool {
	n, node := job.NodeOf(index)
	return node && n != p.main && p.roll(index, attempt, 9)%3 == 0
}

// address is where a node says that it can be reached: another one for each start.
func (x *execution) address() string {
	if x.a.Seat == nil {
		return ""
	}
	return fmt.Sprintf("127.1.%d.%d", x.nonce/256%256, x.nonce%256)
}

// gang checks the rows of a multi-node parallel job after a batch.
func (c *checker) gang(k job.Key) {
	b := c.byKey[k]
	if b.plan.nodes == 0 {
		return
	}
	whole := b.lease[job.Whole]
	live := whole.Status.Live()
	if b.parent != whole.Status && whole.Attempt > 0 {
		c.w.broken("gang", "%s is %s by its transitions and %s in its unit's row", b.plan.name, b.parent, whole.Status)
	}
	for n := range b.plan.nodes {
		r, ok := b.lease[job.Node(n)]
		name := unitName(b.plan.name, job.Ref{Index: job.Node(n)})
		switch {
		case ok != (whole.Attempt > 0), r.Attempt != whole.Attempt, r.Fence != whole.Fence:
			c.w.broken("gang", "%s is on attempt %d fence %d, its job on attempt %d fence %d", name, r.Attempt, r.Fence, whole.Attempt, whole.Fence)
		case r.Status.Live() && !live:
			c.w.broken("gang", "%s is %s and its job is %s", name, r.Status, whole.Status)
		case live && !r.Status.Live() && r.Exit == nil:
			c.w.broken("gang", "%s is %s and has not run, and its job is %s", name, r.Status, whole.Status)
		case n == b.plan.main && live && r.Status == job.Running != (whole.Status == job.Running) && r.Exit == nil:
			c.w.broken("gang", "%s is %s and its job is %s", name, r.Status, whole.Status)
		}
	}
}

// gangEnded checks the end of an attempt of the job against that of its main node.
func (c *checker) gangEnded(b *book, r *manager.UnitRow) {
	c.w.stats.Gangs++
	j := c.w.paper.job(b.key)
	main, ok := j.attempt(job.Node(b.plan.main), r.Attempt)
	if l := b.lease[job.Node(b.plan.main)]; !ok || main.Exit == nil {
		main, ok = l, l.Attempt == r.Attempt && l.Exit != nil // in the same batch
	}
	switch {
	case !ok:
		c.w.broken("gang-end", "%s attempt %d has ended, and its main node has not", b.plan.name, r.Attempt)
	case main.Exit.Cause != r.Exit.Cause || (main.Exit.Code == nil) != (r.Exit.Code == nil) || main.Exit.Code != nil && *main.Exit.Code != *r.Exit.Code:
		c.w.broken("gang-end", "%s attempt %d ended with %+v, its main node with %+v", b.plan.name, r.Attempt, *r.Exit, *main.Exit)
	case main.Stopped != r.Stopped || main.Started != r.Started:
		c.w.broken("gang-end", "%s attempt %d ran from %d to %d, its main node from %d to %d", b.plan.name, r.Attempt, r.Started, r.Stopped, main.Started, main.Stopped)
	}
}

// nodeStarted is called when a node begins to run.
func (c *checker) nodeStarted(b *book, j *paperJob, x *execution) {
	n, ok := job.NodeOf(x.a.Ref.Index)
	if !ok || x.a.Seat == nil || x.a.Seat.Node != n || x.a.Seat.Main != b.plan.main || x.a.Seat.Count != b.plan.nodes {
		c.w.broken("gang", "%s runs as %+v", unitName(x.a.Name, x.a.Ref), x.a.Seat)
	}
	for o := range b.plan.nodes {
		for _, y := range c.w.ledger.of[job.Ref{Key: b.key, Index: job.Node(o)}] {
			if !y.running || y.a.Attempt >= x.a.Attempt {
				continue
			}
			if r, ok := j.attempt(job.Node(o), y.a.Attempt); !ok || r.Exit == nil || r.Exit.Cause != job.CauseHost {
				c.w.broken("gang-apart", "%s attempt %d runs beside %s of attempt %d, whose lease was not lost", unitName(x.a.Name, x.a.Ref), x.a.Attempt, unitName(y.a.Name, y.a.Ref), y.a.Attempt)
			}
		}
	}
	if n == b.plan.main {
		return
	}
	c.w.stats.Nodes++
	main, ok := j.attempt(job.Node(b.plan.main), x.a.Attempt)
	if !ok || main.Started == 0 {
		c.w.broken("main-first", "%s attempt %d runs, and the main node of that attempt does not", unitName(x.a.Name, x.a.Ref), x.a.Attempt)
	}
	address := ""
	for _, y := range c.w.ledger.of[job.Ref{Key: b.key, Index: job.Node(b.plan.main)}] {
		if y.a.Attempt == x.a.Attempt {
			address = y.address()
		}
	}
	if x.a.Seat.MainAddress != address && !main.Status.Terminal() {
		c.w.broken("main-first", "%s was told the address %q of the main node, which is at %q", unitName(x.a.Name, x.a.Ref), x.a.Seat.MainAddress, address)
	}
}
