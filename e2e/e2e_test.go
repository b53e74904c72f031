// Package e2e runs the drover binary as its users do: the server as a process, its worker
// and launcher beside it, the stock aws CLI and boto3 in front, and SIGKILL from behind.
package e2e

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"

	batchsvc "drover/internal/service/batch"
	"drover/internal/service/native"
	"drover/internal/wire"
	"drover/internal/wire/keys"
)

var binary string

func TestMain(m *testing.M) {
	if dir := os.Getenv(peerFolder); dir != "" {
		fmt.Fprintln(os.Stderr, servePeer(dir))
		os.Exit(1)
	}
	dir, err := os.MkdirTemp("", "drover-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	binary = filepath.Join(dir, "drover")
	build := exec.Command("go", "build", "-o", binary, "drover/cmd/drover")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "building drover:", err)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// server is a drover on a data folder of its own. Kill ends only the server process;
// its worker and launcher live on until the test ends.
type server struct {
	t        *testing.T
	data     string
	endpoint string
	cmd      *exec.Cmd
	client   *wire.Client
	settings []string // flags that begin with --, and NAME=value of its own environment
}

func serve(t *testing.T, settings ...string) *server {
	t.Helper()
	return serveOn(t, filepath.Join(t.TempDir(), "data"), settings...)
}

// serveOn is serve on a folder that somebody else has made room for.
func serveOn(t *testing.T, data string, settings ...string) *server {
	t.Helper()
	s := &server{t: t, data: data, settings: settings}
	s.start()
	creds, err := keys.LoadOrCreate(filepath.Join(s.data, "credentials"))
	if err != nil {
		t.Fatal(err)
	}
	s.client = &wire.Client{Endpoint: s.endpoint, Region: "drover-1", Credentials: creds, HTTP: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16}}}
	t.Cleanup(s.end)
	return s
}

// start runs drover serve on the folder and waits until it answers.
func (s *server) start() {
	s.t.Helper()
	if err := os.MkdirAll(s.data, 0o700); err != nil {
		s.t.Fatal(err)
	}
	log, err := os.OpenFile(filepath.Join(s.data, "serve.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		s.t.Fatal(err)
	}
	defer log.Close()
	s.cmd = exec.Command(binary, "serve", "--data", s.data, "--listen", "127.0.0.1:0")
	s.cmd.Env = clean(os.Environ())
	for _, v := range s.settings {
		if strings.HasPrefix(v, "--") {
			s.cmd.Args = append(s.cmd.Args, v)
		} else {
			s.cmd.Env = append(s.cmd.Env, v)
		}
	}
	s.cmd.Stdout, s.cmd.Stderr = log, log
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.await(20*time.Second, "the server is ready", func() bool {
		port, err := os.ReadFile(filepath.Join(s.data, "port"))
		if err != nil {
			return false
		}
		s.endpoint = "http://127.0.0.1:" + string(port)
		resp, err := http.Get(s.endpoint + "/healthz")
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		_, _ = io.Copy(io.Discard, resp.Body)
		return resp.StatusCode == http.StatusOK
	})
	if s.client != nil && s.client.Endpoint != s.endpoint {
		s.t.Fatalf("the server came back at %s, it was at %s", s.endpoint, s.client.Endpoint)
	}
}

// kill is SIGKILL: no handler runs, nothing is flushed.
func (s *server) kill() {
	s.t.Helper()
	if err := s.cmd.Process.Kill(); err != nil {
		s.t.Fatal(err)
	}
	_ = s.cmd.Wait() // its error says that it was killed
}

// end stops the server with its jobs, worker and launcher.
func (s *server) end() {
	defer s.tellLogs()
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	if _, err := native.Call[native.StopServerOutput](ctx, s.client, "StopServer", &native.StopServerInput{Jobs: aws.Bool(true)}); err != nil {
		s.t.Errorf("stopping the server: %v", err)
		s.kill()
		return
	}
	done := make(chan error, 1)
	go func() { done <- s.cmd.Wait() }()
	select {
	case err := <-done:
		if err != nil {
			s.t.Errorf("the server ended with %v", err)
		}
		// The launcher is told to go by its worker; it gives the kernel up to 15 s (closeTimeout).
		var left traces
		for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
			left = s.look()
			if n := len(left.cgroups) + len(left.processes) + len(left.files) + len(left.mounts); n == 0 {
				break
			}
			if time.Now().After(deadline) {
				s.t.Errorf("the stopped server leaves %+v", left)
				break
			}
		}
	case <-ctx.Done():
		s.t.Error("the server did not stop within a minute")
		s.kill()
	}
}

// tellLogs shows the logs of a failed test's server.
func (s *server) tellLogs() {
	if s.t.Failed() {
		for _, name := range []string{"serve.log", "worker.log"} {
			if b, err := os.ReadFile(filepath.Join(s.data, name)); err == nil {
				s.t.Logf("%s:\n%s", name, tail(b, 4000))
			}
		}
	}
}

func tail(b []byte, n int) []byte {
	if len(b) > n {
		return b[len(b)-n:]
	}
	return b
}

// await polls a condition that no channel tells of.
func (s *server) await(limit time.Duration, what string, ok func() bool) {
	s.t.Helper()
	for deadline := time.Now().Add(limit); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			s.t.Fatalf("waited %v in vain until %s", limit, what)
		}
	}
}

// clean drops everything from an environment that would make an AWS client or drover look
// elsewhere than it is told to.
func clean(env []string) []string {
	var out []string
	for _, e := range env {
		if !strings.HasPrefix(e, "AWS_") && !strings.HasPrefix(e, "DROVER_DATA=") {
			out = append(out, e)
		}
	}
	return out
}

// env is a user's environment after eval "$(drover env)".
func (s *server) env() []string {
	s.t.Helper()
	cmd := exec.Command(binary, "env", "--data", s.data)
	cmd.Env = clean(os.Environ())
	b, err := cmd.Output()
	if err != nil {
		s.t.Fatalf("drover env: %v", err)
	}
	env := append(clean(os.Environ()), "AWS_CONFIG_FILE=/nonexistent", "AWS_SHARED_CREDENTIALS_FILE=/nonexistent", "AWS_PAGER=", "AWS_EC2_METADATA_DISABLED=true")
	for line := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(strings.TrimSpace(line), "export "); ok {
			env = append(env, strings.NewReplacer("'", "", `"`, "").Replace(v))
		}
	}
	return env
}

// aws runs the stock aws CLI.
func (s *server) aws(args ...string) string {
	s.t.Helper()
	out, err := s.tryAWS(args...)
	if err != nil {
		s.t.Fatalf("aws %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

func (s *server) tryAWS(args ...string) (string, error) {
	s.t.Helper()
	cmd := exec.Command(need(s.t, "aws"), args...)
	cmd.Env = s.env()
	var out, fail bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &fail
	err := cmd.Run()
	if err != nil {
		return fail.String(), err
	}
	return strings.TrimSpace(out.String()), nil
}

// need finds a program of the machine, or skips.
func need(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("SKIP: no %s on this machine", name)
	}
	return path
}

func call[Out any](s *server, op string, in any) *Out {
	s.t.Helper()
	out, err := wire.Call[Out](s.t.Context(), s.client, batchsvc.Identity, op, in)
	if err != nil {
		s.t.Fatalf("%s: %v", op, err)
	}
	return out
}

// define registers a process definition whose command each submission overrides.
func (s *server) define(name, vcpu string, retries int32) {
	s.t.Helper()
	call[batch.RegisterJobDefinitionOutput](s, "RegisterJobDefinition", &batch.RegisterJobDefinitionInput{
		JobDefinitionName: &name, Type: types.JobDefinitionTypeContainer, RetryStrategy: &types.RetryStrategy{Attempts: &retries},
		ContainerProperties: &types.ContainerProperties{Image: aws.String("host"), Command: []string{"true"}, ResourceRequirements: []types.ResourceRequirement{
			{Type: types.ResourceTypeVcpu, Value: &vcpu}, {Type: types.ResourceTypeMemory, Value: aws.String("64")}}},
	})
}

func (s *server) submit(in *batch.SubmitJobInput, command ...string) string {
	s.t.Helper()
	in.JobQueue = aws.String("default")
	if in.JobName == nil {
		in.JobName = aws.String("e2e")
	}
	in.ContainerOverrides = &types.ContainerOverrides{Command: command}
	return *call[batch.SubmitJobOutput](s, "SubmitJob", in).JobId
}

// describe gives one job; it must exist.
func (s *server) describe(id string) types.JobDetail {
	s.t.Helper()
	out := call[batch.DescribeJobsOutput](s, "DescribeJobs", &batch.DescribeJobsInput{Jobs: []string{id}})
	if len(out.Jobs) != 1 {
		s.t.Fatalf("job %s is not there", id)
	}
	return out.Jobs[0]
}

// ended waits for a job's end.
func (s *server) ended(id string, limit time.Duration) types.JobDetail {
	s.t.Helper()
	var d types.JobDetail
	s.await(limit, "job "+id+" has ended", func() bool {
		d = s.describe(id)
		return d.Status == types.JobStatusSucceeded || d.Status == types.JobStatusFailed
	})
	return d
}
