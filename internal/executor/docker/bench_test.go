package docker_test

import (
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"drover/internal/core/job"
)

const benchWorkers = 4

// BenchmarkContainers compares the executor with the engine's own calls in a bare loop:
// create, start, wait, read the log, remove; both with the same container.
func BenchmarkContainers(b *testing.B) {
	d := newDesk(b, nil)
	progImage(b, d.api)
	for _, c := range []struct {
		name string
		run  func(n int64)
	}{
		{"bare", func(n int64) { bare(b, d, fmt.Sprintf("drover-bench-%d", n)) }},
		{"executor", func(n int64) {
			a := d.attempt()
			a.Lease = job.Lease{Ref: job.Ref{Key: 2, Index: int32(n)}, Attempt: 1, Fence: 1}
			if x, out := d.run(a); !x.OK() || out == "" {
				b.Errorf("%+v %q", x, out)
			}
		}},
	} {
		b.Run(c.name, func(b *testing.B) {
			var wg sync.WaitGroup
			var n atomic.Int64
			for range benchWorkers {
				wg.Go(func() {
					for i := n.Add(1); i <= int64(b.N); i = n.Add(1) {
						c.run(i)
					}
				})
			}
			wg.Wait()
			eventually(b, "containers go", func() bool { return d.containers() == 0 })
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "containers/s")
		})
	}
}

func bare(b *testing.B, d *desk, name string) {
	b.Helper()
	must := func(err error) {
		b.Helper()
		if err != nil {
			b.Fatal(err)
		}
	}
	ctx := b.Context()
	_, err := d.api.ContainerCreate(ctx, client.ContainerCreateOptions{Name: name, Config: &container.Config{Image: prog},
		HostConfig: &container.HostConfig{
			NetworkMode: "bridge", LogConfig: container.LogConfig{Type: "local"},
			SecurityOpt: []string{"no-new-privileges"}, Resources: container.Resources{Memory: 64 << 20, MemorySwap: 64 << 20, CPUShares: 512},
		}})
	must(err)
	w := d.api.ContainerWait(ctx, name, client.ContainerWaitOptions{Condition: container.WaitConditionNextExit})
	_, err = d.api.ContainerStart(ctx, name, client.ContainerStartOptions{})
	must(err)
	select {
	case <-w.Result:
	case err := <-w.Error:
		must(err)
	}
	out, err := d.api.ContainerLogs(ctx, name, client.ContainerLogsOptions{ShowStdout: true, ShowStderr: true})
	must(err)
	_, err = io.Copy(io.Discard, out)
	must(err)
	must(out.Close())
	_, err = d.api.ContainerRemove(ctx, name, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
	must(err)
}
