package docker

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"sync"

	"drover/internal/executor"
	"drover/internal/executor/rtnetlink"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
	"golang.org/x/sys/unix"
)

// Containers whose worker names no network are in one of drover's, made when the first of
// them comes and shared by all workers of the host: they reach the host's gateway and the
// internet, but not each other, nor the address at which a cloud tells a machine's secrets.
// A network for each job would take a tenth of a second to make and several to remove, and
// an engine has addresses for some thirty. The nodes of a multi-node parallel job must
// reach each other: they are in a second one.
type network struct {
	name, bridge string
	closed       bool // its containers do not reach each other

	mu    sync.Mutex // held while it is made
	ready bool
}

func ownNetwork() *network { return &network{name: "drover", bridge: "drover0", closed: true} }

func nodeNetwork() *network { return &network{name: "drover-nodes", bridge: "drover1"} }

// metadataAddress is where every large cloud answers the machines that run in it.
const metadataAddress = "169.254.169.254"

// network gives what a container is to be connected to, and sees to it that it is there.
func (x *Executor) network(ctx context.Context, a executor.Attempt) (container.NetworkMode, error) {
	switch {
	case a.HostNetwork:
		return "host", nil
	case x.opts.Network != "":
		return container.NetworkMode(x.opts.Network), nil
	case x.isPodman(): // it has no such options
		return "bridge", nil
	}
	n := x.own
	if a.WantAddress {
		n = x.nodes
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.ready {
		return container.NetworkMode(n.name), nil
	}
	if err := x.patiently(ctx, startFor, func(ctx context.Context) error { return x.connect(ctx, n) }); err != nil {
		return "", fmt.Errorf("the network %s for containers cannot be made: %w", n.name, err)
	}
	n.ready = true
	if err := bar(n.bridge); err != nil {
		x.log.Warn("containers can reach a cloud's metadata address: no rule against it can be set", "address", metadataAddress, "error", err)
	}
	return container.NetworkMode(n.name), nil
}

// connect makes a network unless it is there.
func (x *Executor) connect(ctx context.Context, n *network) error {
	ctx, cancel := context.WithTimeout(ctx, callFor)
	defer cancel()
	_, err := x.api.NetworkInspect(ctx, n.name, client.NetworkInspectOptions{})
	if err == nil || !errdefs.IsNotFound(err) {
		return err
	}
	_, err = x.api.NetworkCreate(ctx, n.name, client.NetworkCreateOptions{Driver: "bridge", Options: map[string]string{
		"com.docker.network.bridge.name":       n.bridge,
		"com.docker.network.bridge.enable_icc": fmt.Sprint(!n.closed),
	}, Labels: map[string]string{"drover": "network"}})
	if errdefs.IsConflict(err) {
		err = nil // another worker was quicker
	}
	return err
}

// forgetNetworks has the networks looked for again: somebody may have removed one.
func (x *Executor) forgetNetworks() {
	for _, n := range []*network{x.own, x.nodes} {
		n.mu.Lock()
		n.ready = false
		n.mu.Unlock()
	}
}

// bar keeps what comes in over a bridge from a cloud's metadata address, by a rule of the
// kernel's routing (ip-rule(8)). Unlike a packet filter's, nobody else rewrites it.
func bar(bridge string) error {
	if err := rtnetlink.Ask(ruleMessage(bridge)); err != nil && !errors.Is(err, unix.EEXIST) {
		return err
	}
	return nil
}

// rulePriority is before the tables that routes are usually in.
const rulePriority = 4580

// ruleMessage asks for the rule "from all to 169.254.169.254 iif BRIDGE prohibit"
// (rtnetlink(7), linux/fib_rules.h).
func ruleMessage(bridge string) []byte {
	const (
		fraDst, fraIifname, fraPriority = 1, 3, 6
		actProhibit                     = 8
	)
	e := binary.NativeEndian
	b := make([]byte, 0, 80)
	b = e.AppendUint32(b, 0) // length, below
	b = e.AppendUint16(b, unix.RTM_NEWRULE)
	b = e.AppendUint16(b, unix.NLM_F_REQUEST|unix.NLM_F_ACK|unix.NLM_F_CREATE|unix.NLM_F_EXCL)
	b = e.AppendUint32(b, 1)                                    // sequence
	b = e.AppendUint32(b, 0)                                    // from
	b = append(b, unix.AF_INET, 32, 0, 0, 0, 0, 0, actProhibit) // family, lengths, tos, table, reserved, action
	b = e.AppendUint32(b, 0)                                    // flags
	attribute := func(kind uint16, body []byte) {
		b = e.AppendUint16(b, uint16(4+len(body)))
		b = e.AppendUint16(b, kind)
		b = append(b, body...)
		for len(b)%4 != 0 {
			b = append(b, 0)
		}
	}
	ip := netip.MustParseAddr(metadataAddress).As4()
	attribute(fraDst, ip[:])
	attribute(fraIifname, append([]byte(bridge), 0))
	attribute(fraPriority, e.AppendUint32(nil, rulePriority))
	e.PutUint32(b, uint32(len(b)))
	return b
}
