package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"

	batchsvc "drover/internal/service/batch"
	"drover/internal/service/native"
	"drover/internal/wire"
	"drover/internal/wire/keys"
)

// instance is a drover of its own, with its data in a fresh folder.
type instance struct {
	data     string
	endpoint string
	client   *wire.Client
	cmd      *exec.Cmd
	group    *group
	ready    time.Duration
}

// launch starts drover serve and waits until it is ready.
func (b *bench) launch() (*instance, error) {
	data, err := os.MkdirTemp(b.dir, "data-")
	if err != nil {
		return nil, err
	}
	in := &instance{data: data, group: newGroup()}
	in.cmd = exec.Command(b.drover, "serve", "--data", data, "--listen", "127.0.0.1:0")
	log, err := os.Create(filepath.Join(data, "serve.log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	in.cmd.Stdout, in.cmd.Stderr = log, log
	start := time.Now()
	if err := in.group.start(in.cmd); err != nil {
		return nil, err
	}
	for deadline := start.Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		if in.healthy() {
			break
		}
		if time.Now().After(deadline) {
			text, _ := os.ReadFile(log.Name())
			return nil, fmt.Errorf("drover serve did not become ready:\n%s", text)
		}
	}
	in.ready = time.Since(start)
	creds, err := keys.LoadOrCreate(filepath.Join(data, "credentials"))
	if err != nil {
		return nil, err
	}
	in.client = &wire.Client{Endpoint: in.endpoint, Region: "drover-1", Credentials: creds, HTTP: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}}
	return in, nil
}

func (in *instance) healthy() bool {
	if in.endpoint == "" {
		port, err := os.ReadFile(filepath.Join(in.data, "port"))
		if err != nil {
			return false
		}
		in.endpoint = "http://127.0.0.1:" + string(port)
	}
	resp, err := http.Get(in.endpoint + "/healthz")
	if err != nil {
		return false
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// stop ends the server with its worker and launcher.
func (in *instance) stop() error {
	_, err := native.Call[native.StopServerOutput](context.Background(), in.client, "StopServer", &native.StopServerInput{Jobs: aws.Bool(true)})
	return errors.Join(err, in.cmd.Wait(), in.group.remove())
}

// withWorker waits until a host takes work.
func (in *instance) withWorker() error {
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		hosts, err := native.Call[native.ListHostsOutput](context.Background(), in.client, "ListHosts", &native.ListHostsInput{})
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

// define registers a definition for processes and makes a queue on the environment local.
func (in *instance) define(vcpu string) error {
	if _, err := wire.Call[batch.CreateJobQueueOutput](context.Background(), in.client, batchsvc.Identity, "CreateJobQueue", &batch.CreateJobQueueInput{
		JobQueueName: aws.String("bench"), Priority: aws.Int32(1), State: types.JQStateEnabled,
		ComputeEnvironmentOrder: []types.ComputeEnvironmentOrder{{Order: aws.Int32(1), ComputeEnvironment: aws.String("local")}},
	}); err != nil {
		return err
	}
	_, err := wire.Call[batch.RegisterJobDefinitionOutput](context.Background(), in.client, batchsvc.Identity, "RegisterJobDefinition", &batch.RegisterJobDefinitionInput{
		JobDefinitionName: aws.String("bench"), Type: types.JobDefinitionTypeContainer,
		ContainerProperties: &types.ContainerProperties{Image: aws.String("host"), Command: []string{"true"}, ResourceRequirements: []types.ResourceRequirement{
			{Type: types.ResourceTypeVcpu, Value: aws.String(vcpu)}, {Type: types.ResourceTypeMemory, Value: aws.String("64")},
		}},
	})
	return err
}

// submit submits one job with a command; size 0 is a plain job.
func (in *instance) submit(size int, command ...string) (string, error) {
	req := &batch.SubmitJobInput{JobName: aws.String("bench"), JobQueue: aws.String("bench"), JobDefinition: aws.String("bench"),
		ContainerOverrides: &types.ContainerOverrides{Command: command}}
	if size > 0 {
		req.ArrayProperties = &types.ArrayProperties{Size: aws.Int32(int32(size))}
	}
	out, err := wire.Call[batch.SubmitJobOutput](context.Background(), in.client, batchsvc.Identity, "SubmitJob", req)
	if err != nil {
		return "", err
	}
	return aws.ToString(out.JobId), nil
}

// await waits for the end of a job, and fails if the job does.
func (in *instance) await(id string) error {
	after, pause := int64(0), time.Millisecond
	for {
		v, err := native.Call[native.GetJobViewOutput](context.Background(), in.client, "GetJobView", &native.GetJobViewInput{Job: &id})
		switch {
		case err != nil:
			return err
		case v.Status == "SUCCEEDED":
			return nil
		case v.Status == "FAILED":
			return fmt.Errorf("job %s failed: %s", id, v.Reason)
		}
		out, err := native.Call[native.ListTransitionsOutput](context.Background(), in.client, "ListTransitions", &native.ListTransitionsInput{After: &after, Limit: aws.Int32(10_000), WaitSeconds: aws.Int32(5)})
		if err != nil {
			return err
		}
		after = out.Next
		// The poll wakes at every commit: to look each time would be load of its own.
		time.Sleep(pause)
		pause = min(2*pause, 50*time.Millisecond)
	}
}

// rss is the resident memory of the server process in MiB.
func (in *instance) rss() float64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", in.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, _ := strconv.ParseFloat(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(v), "kB")), 64)
			return kib / 1024
		}
	}
	return 0
}
