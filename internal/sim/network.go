package sim

import (
	"drover/internal/core/fault"
)

var (
	errTimeout = fault.New(fault.Unavailable, "Timeout", "no answer")
	errDown    = fault.New(fault.Unavailable, "ConnectionRefused", "nobody listens")
)

// wire is one machine's way to the manager.
type wire struct {
	w       *world
	cutTo   bool // what the machine sends is lost
	cutFrom bool // what is sent to the machine is lost
}

// delay is how long one message takes.
func (n *wire) delay() int64 {
	w := n.w
	d := w.between(100, 3*ms)
	if w.healed {
		return d
	}
	switch p := w.rng.Float64(); {
	case p < 0.01:
		return d + w.between(0, 2*leaseTTL)
	case p < 0.06:
		return d + w.between(0, 3*second)
	}
	return d
}

// call sends a request to whatever manager there is when it arrives, and gives the first
// answer to got, or a fault when timeout has passed without one. Requests and answers are
// dropped, repeated and delayed apart from each other. got is called exactly once.
func call[A any](n *wire, timeout int64, serve func(s *server, answer func(A, error)), got func(A, error)) {
	w := n.w
	finished := false
	finish := func(a A, err error) {
		if !finished {
			finished = true
			got(a, err)
		}
	}
	var none A
	w.after(timeout, func() { finish(none, errTimeout) })
	back := func(a A, err error) {
		if n.cutFrom || n.lost() {
			return
		}
		w.after(n.delay(), func() { finish(a, err) })
	}
	copies := 1
	if !w.healed && w.chance(0.05) {
		copies, w.stats.Duplicated = 2, w.stats.Duplicated+1
	}
	for range copies {
		if n.cutTo || n.lost() {
			continue
		}
		w.after(n.delay(), func() {
			s := w.server
			if s == nil || !s.alive {
				back(none, errDown)
				return
			}
			serve(s, back)
		})
	}
}

func (n *wire) lost() bool {
	if n.w.healed || !n.w.chance(0.05) {
		return false
	}
	n.w.stats.Dropped++
	return true
}
