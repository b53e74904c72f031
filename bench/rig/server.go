package rig

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"

	batchsvc "drover/internal/service/batch"
	"drover/internal/service/native"
	"drover/internal/wire"
	"drover/internal/wire/keys"
)

// Instance is a drover of its own, with its data in a fresh folder.
type Instance struct {
	Data     string
	Endpoint string
	Client   *wire.Client
	Cmd      *exec.Cmd
	Group    *Group
	Ready    time.Duration
}

// Build builds drover from this tree into the folder, if no binary is named.
func Build(dir, binary string) (string, error) {
	if binary != "" {
		return filepath.Abs(binary)
	}
	binary = filepath.Join(dir, "drover")
	build := exec.Command("go", "build", "-o", binary, "./cmd/drover")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		return "", fmt.Errorf("building drover: %w", err)
	}
	return binary, nil
}

// Launch starts drover serve on a fresh folder below dir and waits until it is ready.
func Launch(drover, dir string, args ...string) (*Instance, error) {
	data, err := os.MkdirTemp(dir, "data-")
	if err != nil {
		return nil, err
	}
	return LaunchOn(drover, data, 20*time.Second, args...)
}

// LaunchOn is Launch on a folder that may hold what an earlier instance left.
func LaunchOn(drover, data string, patience time.Duration, args ...string) (*Instance, error) {
	in := &Instance{Data: data, Group: NewGroup()}
	in.Cmd = exec.Command(drover, append([]string{"serve", "--data", data, "--listen", "127.0.0.1:0"}, args...)...)
	if err := os.Remove(filepath.Join(data, "port")); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	log, err := os.Create(filepath.Join(data, "serve.log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	in.Cmd.Stdout, in.Cmd.Stderr = log, log
	start := time.Now()
	if err := in.Group.Start(in.Cmd); err != nil {
		return nil, err
	}
	for deadline := start.Add(patience); ; time.Sleep(time.Millisecond) {
		if in.healthy() {
			break
		}
		if time.Now().After(deadline) {
			text, _ := os.ReadFile(log.Name())
			return nil, fmt.Errorf("drover serve did not become ready:\n%s", text)
		}
	}
	in.Ready = time.Since(start)
	creds, err := keys.LoadOrCreate(filepath.Join(data, "credentials"))
	if err != nil {
		return nil, err
	}
	in.Client = &wire.Client{Endpoint: in.Endpoint, Region: "drover-1", Credentials: creds, HTTP: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}}
	return in, nil
}

func (in *Instance) healthy() bool {
	if in.Endpoint == "" {
		port, err := os.ReadFile(filepath.Join(in.Data, "port"))
		if err != nil {
			return false
		}
		in.Endpoint = "http://127.0.0.1:" + string(port)
	}
	resp, err := http.Get(in.Endpoint + "/healthz")
	if err != nil {
		return false
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// Stop ends the server with its worker and launcher.
func (in *Instance) Stop() error {
	_, err := native.Call[native.StopServerOutput](context.Background(), in.Client, "StopServer", &native.StopServerInput{Jobs: aws.Bool(true)})
	return errors.Join(err, in.Cmd.Wait(), in.Group.Remove())
}

// WithWorker waits until a host takes work.
func (in *Instance) WithWorker() error {
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		hosts, err := native.Call[native.ListHostsOutput](context.Background(), in.Client, "ListHosts", &native.ListHostsInput{})
		if err != nil {
			return err
		}
		for _, h := range hosts.Hosts {
			if h.Connected {
				return nil
			}
		}
	}
	return errors.New("no worker came")
}

// Define registers a definition for processes and makes a queue on the environment local.
func (in *Instance) Define(vcpu string) error {
	if _, err := wire.Call[batch.CreateJobQueueOutput](context.Background(), in.Client, batchsvc.Identity, "CreateJobQueue", &batch.CreateJobQueueInput{
		JobQueueName: aws.String("bench"), Priority: aws.Int32(1), State: types.JQStateEnabled,
		ComputeEnvironmentOrder: []types.ComputeEnvironmentOrder{{Order: aws.Int32(1), ComputeEnvironment: aws.String("local")}},
	}); err != nil {
		return err
	}
	_, err := wire.Call[batch.RegisterJobDefinitionOutput](context.Background(), in.Client, batchsvc.Identity, "RegisterJobDefinition", &batch.RegisterJobDefinitionInput{
		JobDefinitionName: aws.String("bench"), Type: types.JobDefinitionTypeContainer,
		ContainerProperties: &types.ContainerProperties{Image: aws.String("host"), Command: []string{"true"}, ResourceRequirements: []types.ResourceRequirement{
			{Type: types.ResourceTypeVcpu, Value: aws.String(vcpu)}, {Type: types.ResourceTypeMemory, Value: aws.String("64")},
		}},
	})
	return err
}

// Submit submits one job with a command; size 0 is a plain job.
func (in *Instance) Submit(size int, command ...string) (string, error) {
	req := &batch.SubmitJobInput{JobName: aws.String("bench"), JobQueue: aws.String("bench"), JobDefinition: aws.String("bench"),
		ContainerOverrides: &types.ContainerOverrides{Command: command}}
	if size > 0 {
		req.ArrayProperties = &types.ArrayProperties{Size: aws.Int32(int32(size))}
	}
	out, err := wire.Call[batch.SubmitJobOutput](context.Background(), in.Client, batchsvc.Identity, "SubmitJob", req)
	if err != nil {
		return "", err
	}
	return aws.ToString(out.JobId), nil
}

// Await waits for the end of a job, and fails if the job does.
func (in *Instance) Await(id string) error {
	after, pause := int64(0), time.Millisecond
	for {
		v, err := native.Call[native.GetJobViewOutput](context.Background(), in.Client, "GetJobView", &native.GetJobViewInput{Job: &id})
		switch {
		case err != nil:
			return err
		case v.Status == "SUCCEEDED":
			return nil
		case v.Status == "FAILED":
			return fmt.Errorf("job %s failed: %s", id, v.Reason)
		}
		out, err := native.Call[native.ListTransitionsOutput](context.Background(), in.Client, "ListTransitions", &native.ListTransitionsInput{After: &after, Limit: aws.Int32(10_000), WaitSeconds: aws.Int32(5)})
		if err != nil {
			return err
		}
		after = out.Next
		// The poll wakes at every commit: to look each time would be load of its own.
		time.Sleep(pause)
		pause = min(2*pause, 50*time.Millisecond)
	}
}

// Resident is how many bytes of memory a process holds.
func Resident(pid int) (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	_, rest, ok := strings.Cut(string(text), "VmRSS:")
	var kib int64
	if _, err := fmt.Sscan(rest, &kib); !ok || err != nil {
		return 0, fmt.Errorf("the memory of process %d is not known: %w", pid, err)
	}
	return kib << 10, nil
}

// RSS is the resident memory of the server process in MiB, 0 where that is not known.
func (in *Instance) RSS() float64 {
	n, err := Resident(in.Cmd.Process.Pid)
	if err != nil {
		return 0
	}
	return float64(n) / (1 << 20)
}

// Interrupt ends the server and leaves what it holds on the disk; its jobs, if any, go on.
func (in *Instance) Interrupt() error {
	err := in.Cmd.Process.Signal(syscall.SIGTERM)
	return errors.Join(err, in.Cmd.Wait(), in.Group.Remove())
}

// Crash ends the server as a loss of power of its process would.
func (in *Instance) Crash() error {
	err := in.Cmd.Process.Kill()
	_ = in.Cmd.Wait() // it says that the process was killed
	return errors.Join(err, in.Group.Remove())
}
