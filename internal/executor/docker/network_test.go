package docker_test

import (
	"net"
	"strings"
	"testing"

	"drover/internal/executor/docker"

	"github.com/moby/moby/client"
)

// Jobs on drover's own network reach the host, not each other, and not a cloud's metadata.
func TestOwnNetwork(t *testing.T) {
	d := newDesk(t, nil)
	progImage(t, d.api)
	if dockerIs(t, d.api, "podman") {
		t.Skip("SKIP: Podman has no network of this kind; its own is used")
	}
	server := d.start(d.attempt("serve=:8080", "echo=up", "sleep=10m"))
	l := server.Held().Lease
	eventually(t, "it serves", func() bool { return d.out.of(l) == "up\n" })
	found, err := d.api.ContainerList(d.ctx(), client.ContainerListOptions{Filters: client.Filters{}.Add("label", "drover.host="+d.name)})
	if err != nil || len(found.Items) != 1 {
		t.Fatal(err, len(found.Items))
	}
	c, err := d.api.ContainerInspect(d.ctx(), found.Items[0].ID, client.ContainerInspectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	n := c.Container.NetworkSettings.Networks["drover"]
	if n == nil {
		t.Fatalf("networks %v", c.Container.NetworkSettings.Networks)
	}
	host, err := net.Listen("tcp4", net.JoinHostPort(n.Gateway.String(), "0"))
	if err != nil {
		t.Fatal(err)
	}
	defer host.Close()
	_, out := d.run(d.attempt("reach="+n.IPAddress.String()+":8080", "reach="+host.Addr().String(), "reach=169.254.169.254:80"))
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if len(lines) != 3 {
		t.Fatalf("said %q", out)
	}
	if !strings.Contains(lines[0], "timeout") {
		t.Errorf("another job: %s", lines[0])
	}
	if lines[1] != "reached" {
		t.Errorf("the host: %s", lines[1])
	}
	if !strings.Contains(lines[2], "no route to host") && !strings.Contains(lines[2], "permission denied") {
		t.Errorf("metadata: %s", lines[2])
	}
}

// The network that the operator names is used.
func TestNamedNetwork(t *testing.T) {
	d := newDesk(t, func(o *docker.Options) { o.Network = "none" })
	progImage(t, d.api)
	_, out := d.run(d.attempt("reach=1.1.1.1:80"))
	if !strings.Contains(out, "unreachable") {
		t.Errorf("without a network: %q", out)
	}
}

func dockerIs(t *testing.T, api *client.Client, kind string) bool {
	t.Helper()
	v, err := api.ServerVersion(t.Context(), client.ServerVersionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range v.Components {
		if strings.Contains(strings.ToLower(c.Name), kind) {
			return true
		}
	}
	return false
}
