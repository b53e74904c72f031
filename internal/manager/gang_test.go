package manager_test

import (
	"fmt"
	"strings"
	"testing"

	"drover/internal/core/fault"
	"drover/internal/core/job"
	"drover/internal/core/resource"
)

// gang gives the spec of a multi-node parallel job whose nodes need a vCPU each.
func (r *rig) gang(nodes, main int32) *job.Spec {
	s := r.spec(0)
	w := job.Work{Image: job.HostImage, Command: []string{"run"}, Need: s.Need}
	s.Nodes = &job.Nodes{Count: nodes, Main: main, Groups: []job.NodeGroup{{Last: nodes - 1, Work: w}}}
	return s
}

func node(key job.Key, n int32, fence uint32) job.Lease {
	return job.Lease{Ref: job.Ref{Key: key, Index: job.Node(n)}, Attempt: int32(fence), Fence: fence}
}

func exit(code int32) *job.Exit {
	x := &job.Exit{Code: &code}
	if code != 0 {
		x.Cause = job.CauseExit
	}
	return x
}

// hostOf finds where a node is.
func (r *rig) hostOf(l job.Lease) string {
	return r.units[unitKey(l.Ref)].Host
}

func unitKey(r job.Ref) string { return fmt.Sprintf("%d:%d", r.Key, r.Index) }

func (r *rig) says(l job.Lease, rep job.Report) {
	r.t.Helper()
	rep.Lease = l
	for _, err := range r.report(r.hostOf(l), rep) {
		if err != nil {
			r.t.Fatalf("%+v: %v", rep, err)
		}
	}
}

func (r *rig) wants(what, want string) {
	r.t.Helper()
	if got := r.take(); got != want {
		r.t.Fatalf("%s: messages %q, want %q", what, got, want)
	}
}

// row is the status of the job and of its nodes.
func (r *rig) row(key job.Key, nodes int32) string {
	out := r.rows[key].Status.String()
	for n := range nodes {
		out += " " + r.units[unitKey(job.Ref{Key: key, Index: job.Node(n)})].Status.String()
	}
	return out
}

func TestGangStartsWhole(t *testing.T) {
	r := newRig(t, 2)
	r.submit(r.gang(3, 0))
	r.wants("short of a node", "")
	w := r.c.Explain(job.ID{1}, job.Whole, r.now.Wall)
	if w == nil || !strings.Contains(w.Reason, "3 nodes at once") || !strings.Contains(w.Reason, "room for 2") {
		t.Fatalf("it waits because %+v", w)
	}
	if n := r.c.Explain(job.ID{1}, job.Node(2), r.now.Wall); n == nil || n.Reason != w.Reason {
		t.Fatalf("a node waits because %+v", n)
	}
	r.hello("h1", "b", 2)
	r.settle()
	r.wants("the main node first", "start 1:-2/1")
	if got := r.row(1, 3); got != "STARTING STARTING STARTING STARTING" {
		t.Fatal(got)
	}
	if r.hostOf(node(1, 0, 1)) == r.hostOf(node(1, 1, 1)) {
		t.Fatal("two nodes share a host while another is free")
	}
}

// The whole of a life: main first, the others with its address, a child's failure is no
// matter, the main node's end stops the rest, and the job ends with the last of them.
func TestGangLife(t *testing.T) {
	r := newRig(t, 4)
	r.submit(r.gang(3, 1))
	r.wants("main", "start 1:-3/1")
	r.says(node(1, 1, 1), job.Report{Started: true, Address: "127.0.0.9", At: r.now.Wall})
	if got := r.row(1, 3); got != "RUNNING STARTING RUNNING STARTING" {
		t.Fatal(got)
	}
	for _, s := range r.sends {
		a := s.Start
		if a.Seat == nil || a.Seat.MainAddress != "127.0.0.9" || a.Seat.Main != 1 || a.Seat.Count != 3 || a.TimeoutSeconds != 0 {
			t.Fatalf("%+v", a)
		}
	}
	r.wants("the others", "start 1:-2/1, start 1:-4/1")
	r.says(node(1, 0, 1), job.Report{Exit: exit(7), At: r.now.Wall})
	if got := r.row(1, 3); got != "RUNNING FAILED RUNNING STARTING" {
		t.Fatal(got)
	}
	r.wants("after a child's death", "")
	r.says(node(1, 2, 1), job.Report{Started: true, At: r.now.Wall})
	end := r.now.Wall
	r.says(node(1, 1, 1), job.Report{Exit: exit(0), At: end})
	r.wants("after the main node's end", "stop 1:-4/1")
	if got := r.row(1, 3); got != "RUNNING FAILED SUCCEEDED RUNNING" {
		t.Fatal(got)
	}
	r.pass(second)
	code := int32(143)
	r.says(node(1, 2, 1), job.Report{Exit: &job.Exit{Code: &code, Cause: job.CauseTerminated}, At: r.now.Wall})
	if got := r.row(1, 3); got != "SUCCEEDED FAILED SUCCEEDED FAILED" {
		t.Fatal(got)
	}
	if s := r.rows[1].Stopped; s != end {
		t.Errorf("the job stopped at %d, its main node at %d", s, end)
	}
	if f := r.c.Hosts()[0]; f.Free != f.Capacity {
		t.Errorf("%+v is free of %+v", f.Free, f.Capacity)
	}
	for _, m := range r.moves {
		if !strings.Contains(m, "[-1--1]") {
			t.Errorf("the outbox speaks of a node: %s", m)
		}
	}
}

func TestGangRetriesWhole(t *testing.T) {
	r := newRig(t, 4)
	r.submit(r.gang(2, 0))
	r.says(node(1, 0, 1), job.Report{Started: true, At: r.now.Wall})
	r.take()
	r.says(node(1, 0, 1), job.Report{Exit: exit(3), At: r.now.Wall})
	r.wants("the other is stopped", "stop 1:-3/1")
	if got := r.row(1, 2); got != "RUNNING FAILED STARTING" {
		t.Fatal(got)
	}
	r.says(node(1, 1, 1), job.Report{Exit: &job.Exit{Cause: job.CauseTerminated}, At: r.now.Wall})
	if got := r.row(1, 2); got != "STARTING STARTING STARTING" {
		t.Fatal(got)
	}
	r.wants("again", "start 1:-2/2")
	// What the first attempt's nodes still say is refused.
	if errs := r.report("h0", job.Report{Lease: node(1, 1, 1), Exit: exit(0)}); fault.From(errs[0]).Code != "StaleFence" {
		t.Fatalf("a late report: %v", errs[0])
	}
	if errs := r.report("h0", job.Report{Lease: job.Lease{Ref: job.Ref{Key: 1, Index: job.Whole}, Attempt: 2, Fence: 2}, Exit: exit(0)}); fault.From(errs[0]).Code != "UnknownJob" {
		t.Fatalf("a report on the job itself: %v", errs[0])
	}
}

func TestGangNodesThatNeverRanEndAtOnce(t *testing.T) {
	for _, end := range []string{"main cannot start", "terminated"} {
		r := newRig(t, 4)
		s := r.gang(3, 0)
		s.Retry.Attempts = 1
		r.submit(s)
		r.take()
		if end == "terminated" {
			if err := r.c.Terminate(job.ID{1}, job.Whole, "enough", r.now); err != nil {
				t.Fatal(err)
			}
			r.settle()
			r.wants(end, "stop 1:-2/1")
			if got := r.row(1, 3); got != "STARTING STARTING FAILED FAILED" {
				t.Fatal(got)
			}
		}
		r.says(node(1, 0, 1), job.Report{Exit: &job.Exit{Cause: job.CauseStart}, At: r.now.Wall})
		if got := r.row(1, 3); got != "FAILED FAILED FAILED FAILED" {
			t.Fatalf("%s: %s", end, got)
		}
		want := job.ReasonStart
		if end == "terminated" {
			want = "enough"
		}
		if got := r.rows[1].Reason; got != want {
			t.Errorf("%s: statusReason %q", end, got)
		}
		r.wants(end, "")
	}
}

func TestGangHostLoss(t *testing.T) {
	for _, c := range []struct {
		what, lost string
		row        string
	}{
		{"of a child", "h1", "RUNNING RUNNING FAILED"},
		{"of the main node", "h0", "RUNNING FAILED STARTING"},
	} {
		r := newRig(t, 1, 1)
		r.submit(r.gang(2, 0))
		if r.hostOf(node(1, 0, 1)) != "h0" {
			t.Fatal("the nodes are not where this test thinks")
		}
		r.says(node(1, 0, 1), job.Report{Started: true, At: r.now.Wall})
		r.take()
		r.hello(c.lost, "another boot", 1)
		r.settle()
		if got := r.row(1, 2); got != c.row {
			t.Errorf("%s: %s, want %s", c.what, got, c.row)
		}
	}
}

// A node is sent again to a worker that never received it, not before its time, and with
// the order to stop if the main node has ended meanwhile.
func TestGangHelloAgain(t *testing.T) {
	r := newRig(t, 1, 1)
	r.submit(r.gang(2, 0))
	r.take()
	r.hello("h1", "b", 1)
	r.settle()
	r.wants("before its time", "")
	r.says(node(1, 0, 1), job.Report{Started: true, At: r.now.Wall})
	r.take()
	r.hello("h1", "b", 1)
	r.settle()
	r.wants("lost on the way", "start 1:-3/1")
	r.says(node(1, 0, 1), job.Report{Exit: exit(0), At: r.now.Wall})
	r.take()
	r.hello("h1", "b", 1)
	r.settle()
	r.wants("after the main node's end", "start 1:-3/1, stop 1:-3/1")
}

func TestGangNodesOfDifferentSizes(t *testing.T) {
	r := newRig(t, 4, 1, 1)
	s := r.gang(3, 0)
	w := s.Nodes.Groups[0].Work
	large := w
	large.Need = resource.Vector{MilliVCPU: 4000, MemoryMiB: 1}
	s.Nodes.Groups = []job.NodeGroup{{First: 0, Last: 1, Work: w}, {First: 2, Last: 2, Work: large}}
	r.submit(s)
	if got := r.hostOf(node(1, 2, 1)); got != "h0" {
		t.Errorf("the large node is on %q", got)
	}
	if s, _ := r.c.Snapshot("default", r.now.Wall); s.MilliVCPU != 6000 {
		t.Errorf("the queue runs %d thousandths of a vCPU, want 6000", s.MilliVCPU)
	}
}

func TestANodeIsNotEndedAlone(t *testing.T) {
	r := newRig(t, 4)
	r.submit(r.gang(2, 0))
	for _, err := range []error{r.c.Terminate(job.ID{1}, job.Node(1), "x", r.now), r.c.Cancel(job.ID{1}, job.Node(0), "x", r.now)} {
		if err == nil || !strings.Contains(err.Error(), "name the job") {
			t.Errorf("a node was ended: %v", err)
		}
	}
	if err := r.c.Terminate(job.ID{1}, job.Node(2), "x", r.now); err == nil || !strings.Contains(err.Error(), "does not exist") {
		t.Errorf("a node that does not exist: %v", err)
	}
}
