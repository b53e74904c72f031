// Command containers measures what a job costs as a process and as a container, beside what
// the container engine costs by itself on the same machine, at the same time.
//
//	go run ./bench/containers [-n 200] [-processes 2000] [-runs 3] [-drover BINARY]
//
// Four run at once everywhere. "docker run" is the engine's own command line; "API loop" makes
// the same container with the engine's API: create, start, wait, read the log, remove. Rounds of
// all four follow each other and the medians count, so that a machine whose speed changes changes
// the figures together. Rows of containers are left out where no engine answers.
package main

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"drover/bench/rig"
	batchsvc "drover/internal/service/batch"
	"drover/internal/service/native"
	"drover/internal/wire"
)

// atOnce is how many run together: jobs of half a vCPU on a host of two.
const atOnce = 4

const image = "drover-bench/containers:1"

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "containers:", err)
		os.Exit(1)
	}
}

func run() (err error) {
	n := flag.Int("n", 200, "containers of each measurement")
	processes := flag.Int("processes", 2000, "processes of each measurement")
	runs := flag.Int("runs", 3, "rounds; the median counts")
	var stage rig.Stage
	if err := stage.Open(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stage.Close()) }()
	api, err := engine(stage.Dir)
	if err != nil {
		fmt.Printf("SKIP: no rows of containers: %v\n", err)
	} else {
		defer api.Close()
		defer func() { err = errors.Join(err, exec.Command("docker", "rmi", "-f", image).Run()) }()
	}
	in, err := rig.Launch(stage.Drover, stage.Dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.Stop()) }()
	if err := ready(in, api != nil); err != nil {
		return err
	}
	rates := map[string][]float64{}
	measure := func(what string, n int, f func(int) error) error {
		begun := time.Now()
		if err := f(n); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		rates[what] = append(rates[what], float64(n)/time.Since(begun).Seconds())
		return nil
	}
	for range *runs {
		if err := measure("processes", *processes, func(n int) error { return array(in, "process", n, "true") }); err != nil {
			return err
		}
		if api == nil {
			continue
		}
		err := errors.Join(
			measure("containers", *n, func(n int) error { return array(in, "container", n, "exit=0") }),
			measure("API loop", *n, func(n int) error { return together(n, func() error { return bare(api) }) }),
			measure("docker run", *n, func(n int) error {
				return together(n, func() error { return exec.Command("docker", "run", "--rm", image, "exit=0").Run() })
			}))
		if err != nil {
			return err
		}
	}
	p := rig.Median(rates["processes"])
	fmt.Printf("jobs that are processes: %.0f/s\n", p)
	if api == nil {
		return nil
	}
	jobs, loop, cli := rig.Median(rates["containers"]), rig.Median(rates["API loop"]), rig.Median(rates["docker run"])
	cost := func(rate float64) float64 { return atOnce * 1000 / rate } // ms of one of the four that run together
	fmt.Printf("jobs that are containers: %.1f/s, %d at once; a process is %.0fx cheaper\n", jobs, atOnce, p/jobs)
	fmt.Printf("against docker run: %.1f/s, so a job takes %.2f of it (%+.0f ms)\n", cli, cli/jobs, cost(jobs)-cost(cli))
	fmt.Printf("against the engine's API in a bare loop: %.1f/s, so a job takes %.2f of it (%+.0f ms)\n", loop, loop/jobs, cost(jobs)-cost(loop))
	return nil
}

// engine gives a client of the engine, and loads the image into it: one static program.
func engine(dir string) (*client.Client, error) {
	if _, err := exec.LookPath("docker"); err != nil {
		return nil, err
	}
	api, err := client.New(client.FromEnv)
	if err != nil {
		return nil, err
	}
	if _, err := api.Ping(context.Background(), client.PingOptions{}); err != nil {
		return nil, err
	}
	prog := filepath.Join(dir, "prog")
	build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", prog, "./internal/executor/dockertest/prog")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%w: %s", err, out)
	}
	body, err := os.ReadFile(prog)
	if err != nil {
		return nil, err
	}
	var layer bytes.Buffer
	w := tar.NewWriter(&layer)
	if err := w.WriteHeader(&tar.Header{Name: "prog", Mode: 0o755, Size: int64(len(body)), Typeflag: tar.TypeReg}); err != nil {
		return nil, err
	}
	_, err = w.Write(body)
	if err := errors.Join(err, w.Close()); err != nil {
		return nil, err
	}
	load := exec.Command("docker", "import", "--change", `ENTRYPOINT ["/prog"]`, "-", image)
	load.Stdin = &layer
	if out, err := load.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("docker import: %w: %s", err, out)
	}
	return api, nil
}

// ready waits until the worker takes such jobs, and defines them.
func ready(in *rig.Instance, containers bool) error {
	if err := in.WithWorker(); err != nil {
		return err
	}
	for deadline := time.Now().Add(20 * time.Second); containers; time.Sleep(20 * time.Millisecond) {
		hosts, err := native.Call[native.ListHostsOutput](context.Background(), in.Client, "ListHosts", &native.ListHostsInput{})
		if err != nil {
			return err
		}
		if slices.ContainsFunc(hosts.Hosts, func(h native.Host) bool { return slices.Contains(h.Executors, "docker") }) {
			break
		}
		if time.Now().After(deadline) {
			return errors.New("the worker does not see the engine")
		}
	}
	if err := in.Define("0.5"); err != nil {
		return err
	}
	for name, image := range map[string]string{"process": "host", "container": image} {
		if _, err := wire.Call[batch.RegisterJobDefinitionOutput](context.Background(), in.Client, batchsvc.Identity, "RegisterJobDefinition", &batch.RegisterJobDefinitionInput{
			JobDefinitionName: &name, Type: types.JobDefinitionTypeContainer,
			ContainerProperties: &types.ContainerProperties{Image: &image, ResourceRequirements: []types.ResourceRequirement{
				{Type: types.ResourceTypeVcpu, Value: aws.String("0.5")}, {Type: types.ResourceTypeMemory, Value: aws.String("64")}}},
		}); err != nil {
			return err
		}
	}
	return nil
}

// array runs an array of jobs of a definition to its end.
func array(in *rig.Instance, definition string, n int, command string) error {
	out, err := wire.Call[batch.SubmitJobOutput](context.Background(), in.Client, batchsvc.Identity, "SubmitJob", &batch.SubmitJobInput{
		JobName: aws.String("bench"), JobQueue: aws.String("bench"), JobDefinition: &definition, ArrayProperties: &types.ArrayProperties{Size: aws.Int32(int32(n))},
		ContainerOverrides: &types.ContainerOverrides{Command: []string{command}}})
	if err != nil {
		return err
	}
	return in.Await(*out.JobId)
}

// together runs f n times, atOnce at a time.
func together(n int, f func() error) error {
	var wg sync.WaitGroup
	var begun atomic.Int64
	failed := make([]error, atOnce)
	for i := range atOnce {
		wg.Go(func() {
			for failed[i] == nil && begun.Add(1) <= int64(n) {
				failed[i] = f()
			}
		})
	}
	wg.Wait()
	return errors.Join(failed...)
}

// bare is the life of one container by the engine's API alone.
func bare(api *client.Client) error {
	ctx := context.Background()
	made, err := api.ContainerCreate(ctx, client.ContainerCreateOptions{Config: &container.Config{Image: image, Cmd: []string{"exit=0"}},
		HostConfig: &container.HostConfig{NetworkMode: "bridge", LogConfig: container.LogConfig{Type: "local"}, SecurityOpt: []string{"no-new-privileges"},
			Resources: container.Resources{Memory: 64 << 20, MemorySwap: 64 << 20, CPUShares: 512}}})
	if err != nil {
		return err
	}
	end := api.ContainerWait(ctx, made.ID, client.ContainerWaitOptions{Condition: container.WaitConditionNextExit})
	if _, err := api.ContainerStart(ctx, made.ID, client.ContainerStartOptions{}); err != nil {
		return err
	}
	select {
	case <-end.Result:
	case err := <-end.Error:
		return err
	}
	out, err := api.ContainerLogs(ctx, made.ID, client.ContainerLogsOptions{ShowStdout: true, ShowStderr: true})
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, out)
	_, gone := api.ContainerRemove(ctx, made.ID, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
	return errors.Join(err, out.Close(), gone)
}
