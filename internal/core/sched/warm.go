package sched

import "slices"

// A container starts sooner where its image has been pulled before. Of hosts that would do
// as well a unit gets one on which a unit of its image was placed not long ago. What is
// known of that follows from placements and Take alone, so that a State that is rebuilt, or
// played from a tape, decides the same; that a host has dropped an image costs a pull, as
// it would have without.

// warmHosts is how many hosts are remembered for each image.
const warmHosts = 16

// warmth is the hosts on which an image was used last, the latest first.
type warmth struct {
	hosts [warmHosts]int32
	n     int
}

// ImageOf is the number of a container's image, from 1 to 255. Units that differ in it are
// of different classes; two images that share a number are taken for one, which costs a
// pull now and then and nothing else, while a table of all images would grow for ever.
func ImageOf(image string) uint8 {
	h := uint32(2166136261) // FNV-1a
	for i := range len(image) {
		h = (h ^ uint32(image[i])) * 16777619
	}
	return uint8(1 + h%255)
}

// heat takes note that units of an image run on host i.
func (s *State) heat(image uint8, i int32) {
	for len(s.warm) <= int(image) {
		s.warm = append(s.warm, warmth{})
	}
	w := &s.warm[image]
	at := slices.Index(w.hosts[:w.n], i)
	if at < 0 {
		w.n = min(w.n+1, warmHosts)
		at = w.n - 1
	}
	copy(w.hosts[1:at+1], w.hosts[:at])
	w.hosts[0] = i
}

// cool forgets host i, which is gone.
func (s *State) cool(i int32) {
	for n := range s.warm {
		w := &s.warm[n]
		if at := slices.Index(w.hosts[:w.n], i); at >= 0 {
			copy(w.hosts[at:], w.hosts[at+1:w.n])
			w.n--
		}
	}
}

// warmer is a host that does as well as host i for a node of a class, and has its image:
// the one with the most or, in an environment that packs, the least room; else i.
func (s *State) warmer(i int32, k *class, shape *Shape, e *environment) int32 {
	if i < 0 || k.Image == 0 || int(k.Image) >= len(s.warm) {
		return i
	}
	w := &s.warm[k.Image]
	if slices.Contains(w.hosts[:w.n], i) {
		return i
	}
	best := int32(-1)
	for _, j := range w.hosts[:w.n] {
		h := &s.hosts[j]
		if h.gone || !h.open || h.hold != nil || h.picked != 0 || !shape.Need.Fits(h.free) || !e.has(shape, s.words(h)) || !alike(h, &s.hosts[i], shape, e) {
			continue
		}
		if best < 0 || !e.pack && h.free.MilliVCPU > s.hosts[best].free.MilliVCPU {
			best = j
		}
	}
	if best < 0 {
		return i
	}
	return best
}

// alike reports whether a node may go to host h in place of o, which was chosen. Where
// units are packed h has as much free, as the grids see it: packing is not touched. Where
// they are spread it may have less, by what the node asks or an eighth of the host.
func alike(h, o *host, shape *Shape, e *environment) bool {
	if h.free.GPU != o.free.GPU {
		return false
	}
	if !e.pack {
		return h.free.MilliVCPU+max(shape.Need.MilliVCPU, h.capacity.MilliVCPU/8) >= o.free.MilliVCPU
	}
	row, col := cellOf(h.free)
	r, c := cellOf(o.free)
	return row == r && col == c
}
