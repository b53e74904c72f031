package docker_test

import (
	"net/netip"
	"testing"

	"drover/internal/core/job"
)

// A container that others must reach says where it is, to the executor that adopts it too;
// one that shares the host's network has no address of its own.
func TestAddress(t *testing.T) {
	d := newDesk(t, nil)
	progImage(t, d.api)
	a := d.attempt("sleep=10m")
	a.WantAddress = true
	h := d.start(a)
	address := h.Held().Address
	if ip, err := netip.ParseAddr(address); err != nil || !ip.Is4() || ip.IsLoopback() {
		t.Errorf("address %q: %v", address, err)
	}
	if err := d.x.Close(d.ctx(), false); err != nil {
		t.Fatal(err)
	}
	held := d.open()
	if len(held) != 1 || held[0].Held().Address != address {
		t.Fatalf("adopted %+v, want the address %s", held[0].Held(), address)
	}
	if err := held[0].Stop(0, job.CauseTerminated); err != nil {
		t.Fatal(err)
	}
	d.wait(held[0])
	b := d.attempt("sleep=10m")
	b.WantAddress, b.HostNetwork = true, true
	shared := d.start(b)
	if got := shared.Held().Address; got != "" {
		t.Errorf("a container in the host's network says it is at %q", got)
	}
	if err := shared.Stop(0, job.CauseTerminated); err != nil {
		t.Fatal(err)
	}
	d.wait(shared)
}
