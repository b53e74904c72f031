package worker

import (
	"encoding/binary"
	"hash/fnv"
	"net"
	"net/netip"
	"net/url"
	"strconv"

	"drover/internal/core/job"
	"drover/internal/executor"
)

// A node of a multi-node parallel job must be reached by the others. If all of them are on
// this host, a process gets a loopback address of its own, and a container has the one of
// the engine's network. If they are spread, that would lead nowhere: then a node has the
// host's own address, and a container shares the host's network.

// seat sees to it that a node can be reached. What a container's address is shows only when
// it runs.
func (w *worker) seat(a *attempt, spec *executor.Attempt) {
	if !a.asg.Seat.Together {
		spec.HostNetwork = true
		address := hostAddress(w.link.Base())
		w.mu.Lock()
		a.address = address
		w.mu.Unlock()
		return
	}
	if a.boxed() && !w.door.loopback() {
		spec.WantAddress = true
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if a.address == "" { // the members of a pod have one address
		a.address = w.freeLoopback(a.lease)
	}
}

// freeLoopback chooses an address of 127.64.0.0/10 that no other node of this worker has;
// worker.mu is held. It begins with one that follows from host and lease, so that several
// workers of one machine do not choose the same.
func (w *worker) freeLoopback(l job.Lease) string {
	used := map[string]bool{}
	for _, o := range w.attempts {
		used[o.address] = true
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(w.host + "/" + strconv.FormatInt(int64(l.Ref.Key), 10) + "/" + strconv.Itoa(int(l.Ref.Index)) + "/" + strconv.FormatUint(uint64(l.Fence), 10)))
	for n := h.Sum32(); ; n++ {
		if last := n & 0xff; last == 0 || last == 0xff {
			continue // not an address to use, in the eyes of some programs
		}
		var ip [4]byte
		binary.BigEndian.PutUint32(ip[:], 127<<24|64<<16|n&(1<<22-1))
		if address := netip.AddrFrom4(ip).String(); !used[address] {
			return address
		}
	}
}

// hostAddress is this host's address on the way to the server; if the server is on this
// very host, the first one that leads out of it.
func hostAddress(server string) string {
	if u, err := url.Parse(server); err == nil {
		port := u.Port()
		if port == "" {
			port = "443"
		}
		if c, err := net.Dial("udp4", net.JoinHostPort(u.Hostname(), port)); err == nil { // nothing is sent
			defer c.Close()
			if ip := c.LocalAddr().(*net.UDPAddr).IP; !ip.IsLoopback() {
				return ip.String()
			}
		}
	}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return "127.0.0.1"
	}
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && n.IP.To4() != nil && !n.IP.IsLoopback() && !n.IP.IsLinkLocalUnicast() {
			return n.IP.String()
		}
	}
	return "127.0.0.1"
}

// seatVariables tell a node of its place. AWS Batch tells the main node's address to the
// others only. A node's own address is told where it is not simply that of its container.
func seatVariables(s *job.Seat, own string) []string {
	env := []string{
		"AWS_BATCH_JOB_NODE_INDEX=" + strconv.Itoa(int(s.Node)),
		"AWS_BATCH_JOB_MAIN_NODE_INDEX=" + strconv.Itoa(int(s.Main)),
		"AWS_BATCH_JOB_NUM_NODES=" + strconv.Itoa(int(s.Count)),
	}
	if s.MainAddress != "" {
		env = append(env, "AWS_BATCH_JOB_MAIN_NODE_PRIVATE_IPV4_ADDRESS="+s.MainAddress)
	}
	if own != "" {
		env = append(env, "DROVER_NODE_ADDRESS="+own)
	}
	return env
}
