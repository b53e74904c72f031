package e2e

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
)

// TestWorkerElsewhere has a worker with a folder of its own work for a server that it knows
// only by URL, token and authority, as on another host. Its jobs reach the API as it does.
func TestWorkerElsewhere(t *testing.T) {
	data, err := os.MkdirTemp("", "drover-elsewhere-") // short: a socket's path is bounded
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(data) })
	var cmd *exec.Cmd
	left := make(chan error, 1)
	t.Cleanup(func() { // after the server's end, which sends the worker away
		if cmd == nil {
			return
		}
		select {
		case err := <-left:
			if err != nil {
				t.Errorf("the worker ended with %v", err)
			}
		case <-time.After(time.Minute):
			t.Error("the worker stays although its server has sent it away")
			_ = cmd.Process.Kill()
		}
	})
	s := serve(t, "--no-worker", "--tls-listen=127.0.0.1:0")
	var at struct{ TLS, CA string }
	text, err := os.ReadFile(filepath.Join(s.data, "server.json"))
	if err == nil {
		err = json.Unmarshal(text, &at)
	}
	if err != nil || at.TLS == "" {
		t.Fatal(at, err)
	}
	worker := func(more ...string) *exec.Cmd {
		cmd := exec.Command(binary, append([]string{"worker", "--data", data, "--server", at.TLS, "--token", filepath.Join(s.data, "worker.token"), "--docker-host", "none", "--vcpus", "1", "--memory", "512"}, more...)...)
		cmd.Env = clean(os.Environ())
		return cmd
	}
	log, err := os.Create(filepath.Join(data, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd = worker("--ca-bundle", at.CA)
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		left <- nil
		t.Fatal(err)
	}
	go func() { left <- cmd.Wait() }()
	s.define("elsewhere", "0.5", 1)
	id := s.submit(&batch.SubmitJobInput{JobName: aws.String("elsewhere"), JobDefinition: aws.String("elsewhere")}, "sh", "-c", `echo "$AWS_ENDPOINT_URL $AWS_CA_BUNDLE"; test "$AWS_ENDPOINT_URL" = `+at.TLS+` && cmp "$AWS_CA_BUNDLE" `+at.CA)
	if job := s.ended(id, time.Minute); job.Status != types.JobStatusSucceeded {
		said, _ := os.ReadFile(log.Name())
		t.Errorf("the job %s: %s\n%s\n%s", job.Status, aws.ToString(job.StatusReason), s.log(id), said)
	}
	for _, more := range [][]string{{"--server", "http://192.0.2.1:4580"}} {
		if out, err := worker(more...).CombinedOutput(); err == nil || !strings.Contains(string(out), "plain HTTP") {
			t.Errorf("worker %v: %v %s", more, err, out)
		}
	}
}
