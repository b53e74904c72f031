package worker_test

import (
	"net/netip"
	"strings"
	"testing"

	"drover/internal/core/job"
	"drover/internal/link"
)

// node makes an assignment that of a node.
func node(a job.Assignment, n int32, seat job.Seat) job.Assignment {
	a.Ref.Index, a.Size = job.Node(n), 0
	seat.Node = n
	a.Seat = &seat
	return a
}

const tellSeat = `env | grep -E '^(AWS_BATCH_JOB_(ID|NODE|NUM|MAIN|ARRAY)|DROVER_NODE)' | sort`

func TestNodesLearnTheirPlace(t *testing.T) {
	r := newRig(t)
	r.run()
	here := job.Seat{Main: 0, Count: 2, Together: true}
	main := node(r.assignment(tellSeat+"; sleep 60"), 0, here)
	r.m.start(main)
	r.m.is(t, "the main node says where it is", func() bool { return r.m.address[main.Lease] != "" })
	r.m.mu.Lock()
	first := r.m.address[main.Lease]
	r.m.mu.Unlock()
	here.MainAddress = first
	child := node(r.assignment(tellSeat), 1, here)
	_, log := r.finish(child)
	r.m.mu.Lock()
	second := r.m.address[child.Lease]
	r.m.mu.Unlock()
	want := strings.Join([]string{
		"AWS_BATCH_JOB_ID=01234567-89ab-cdef-0123-456789abcdef#1", "AWS_BATCH_JOB_MAIN_NODE_INDEX=0", "AWS_BATCH_JOB_MAIN_NODE_PRIVATE_IPV4_ADDRESS=" + first,
		"AWS_BATCH_JOB_NODE_INDEX=1", "AWS_BATCH_JOB_NUM_NODES=2", "DROVER_NODE_ADDRESS=" + second,
	}, "\n")
	if log != want {
		t.Errorf("the node sees\n%s\nwant\n%s", log, want)
	}
	a, err := netip.ParseAddr(first)
	b, err2 := netip.ParseAddr(second)
	if err != nil || err2 != nil || !a.IsLoopback() || !b.IsLoopback() || a == b {
		t.Errorf("addresses %q and %q of two nodes on one host", first, second)
	}
	r.m.is(t, "the main node has spoken", func() bool { return len(r.m.logs[main.Log]) >= 5 })
	r.m.send(link.Message{Stop: &link.Stop{Lease: main.Lease, Reason: "done"}})
	r.m.exit(t, main.Lease)
	if got := r.m.lines(main.Log); strings.Contains(got, "PRIVATE_IPV4") || !strings.Contains(got, "DROVER_NODE_ADDRESS="+first) {
		t.Errorf("the main node sees\n%s", got)
	}
}

// The address of a node is the same for the worker that adopts it.
func TestAdoptedNodeKeepsItsAddress(t *testing.T) {
	r := newRig(t)
	r.run()
	a := node(r.assignment("sleep 60"), 0, job.Seat{Count: 1, Together: true})
	r.m.start(a)
	r.m.is(t, "the node runs", func() bool { return r.m.address[a.Lease] != "" })
	r.m.mu.Lock()
	was := r.m.address[a.Lease]
	delete(r.m.address, a.Lease)
	r.m.mu.Unlock()
	if err := r.halt(); err != nil {
		t.Fatal(err)
	}
	r.run()
	r.m.is(t, "the next worker says where it is", func() bool { return r.m.address[a.Lease] == was })
	r.m.send(link.Message{Stop: &link.Stop{Lease: a.Lease, Reason: "done"}})
	r.m.exit(t, a.Lease)
}

func TestSpreadNodesHaveTheHostsAddress(t *testing.T) {
	r := newRig(t)
	r.run()
	a := node(r.assignment(tellSeat), 0, job.Seat{Count: 2})
	_, log := r.finish(a)
	r.m.mu.Lock()
	address := r.m.address[a.Lease]
	r.m.mu.Unlock()
	if ip, err := netip.ParseAddr(address); err != nil || strings.HasPrefix(address, "127.64.") || !ip.Is4() {
		t.Errorf("address %q", address)
	}
	if !strings.Contains(log, "DROVER_NODE_ADDRESS="+address) {
		t.Errorf("the node sees\n%s", log)
	}
}
