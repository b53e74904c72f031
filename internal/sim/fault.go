package sim

// nextFault makes something go wrong, and sees to it that more will.
func (w *world) nextFault() {
	if w.healed {
		return
	}
	w.fault()
	w.after(w.between(ms, 12*second), w.nextFault)
}

func (w *world) fault() {
	s := w.server
	h := w.hosts[w.rng.IntN(len(w.hosts))]
	switch w.rng.IntN(18) {
	case 0:
		w.crashServer()
	case 1:
		w.paper.dieBefore = true
	case 2:
		w.paper.dieAfter = true
	case 3:
		d := w.between(10*ms, 3*second)
		if w.chance(0.4) {
			d = w.between(0, 2*leaseTTL)
		}
		s.pause(d)
	case 4:
		w.replaceServer()
	case 5:
		w.paper.full = true
		w.note("the disk is full")
		w.after(w.between(10*ms, 8*second), func() { w.paper.full = false })
	case 6:
		s.skew = w.between(-4*second, 4*second)
		if w.chance(0.3) {
			s.skew = w.between(-86400*second, 86400*second)
		}
		w.check.promises = nil // room is made for a time, and that may be over now
		w.note("the manager's clock is off by %.1f s", float64(s.skew)/1e6)
	case 7, 8:
		h.crashWorker()
		w.after(w.between(10*ms, 20*second), h.startWorker)
	case 9:
		if !h.gone {
			h.reboot()
		}
	case 10, 11:
		if k := h.worker; k != nil {
			k.pause(w.between(100*ms, 3*leaseTTL))
		}
	case 12, 13, 14:
		h.cut(w.chance(0.7), w.chance(0.7), w.between(100*ms, 3*leaseTTL))
	case 15:
		h.skew = w.between(-4*second, 4*second)
	case 16:
		h.drain(w.between(second, 30*second))
	case 17:
		if !h.gone && w.chance(0.5) {
			h.remove()
			w.after(w.between(0, 10*second), w.addHost)
		}
	}
}

// cut breaks the network of a host, one way or both.
func (h *host) cut(to, from bool, d int64) {
	h.net.cutTo, h.net.cutFrom = to, from
	h.w.note("network of %s is cut: to %t from %t for %.1f s", h.id, to, from, float64(d)/1e6)
	h.w.after(d, func() { h.net.cutTo, h.net.cutFrom = false, false })
}

// replaceServer starts another manager while the one before pauses: that one wakes up as a
// zombie, whose batches the journal must refuse.
func (w *world) replaceServer() {
	old := w.server
	if old == nil || !old.alive || old.paused {
		return
	}
	old.pause(w.between(ms, 2*leaseTTL))
	w.after(w.between(0, 2*second), func() {
		if w.server == old && old.alive {
			w.startServer()
			// A zombie that decides nothing never finds out; its keeper ends it.
			w.after(3*leaseTTL, old.kill)
		}
	})
}

// heal ends all faults: from here on everything must come to its end.
func (w *world) heal() {
	w.note("healed")
	w.healed = true
	w.paper.full, w.paper.dieBefore, w.paper.dieAfter = false, false, false
	for _, h := range w.hosts {
		h.net.cutTo, h.net.cutFrom = false, false
		if k := h.worker; k != nil {
			k.resume()
		}
		h.startWorker()
	}
	w.complete()
	if s := w.server; s.alive {
		s.resume()
	}
}
