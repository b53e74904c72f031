package e2e

import (
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

// TestAWSCLI walks a user's first hour with the stock aws CLI.
func TestAWSCLI(t *testing.T) {
	need(t, "aws")
	s := serve(t)
	if got := s.aws("sts", "get-caller-identity", "--query", "Account", "--output", "text"); got != "000000000000" {
		t.Errorf("account = %s", got)
	}
	s.aws("batch", "create-job-queue", "--job-queue-name", "q1", "--priority", "5", "--compute-environment-order", "order=1,computeEnvironment=local")
	s.aws("batch", "register-job-definition", "--job-definition-name", "hello", "--type", "container", "--parameters", "who=world", "--container-properties",
		`{"image":"host","command":["sh","-c","echo hello Ref::who; echo $GREETING >&2"],"environment":[{"name":"GREETING","value":"hi"}],"resourceRequirements":[{"type":"VCPU","value":"0.5"},{"type":"MEMORY","value":"32"}]}`)
	id := s.aws("batch", "submit-job", "--job-name", "j", "--job-queue", "q1", "--job-definition", "hello", "--query", "jobId", "--output", "text")
	if d := s.ended(id, 20*time.Second); d.Status != types.JobStatusSucceeded {
		t.Fatalf("job is %s: %s", d.Status, aws.ToString(d.StatusReason))
	}
	if got := s.aws("batch", "describe-jobs", "--jobs", id, "--query", "jobs[0].[status,container.exitCode,attempts[0].container.exitCode]", "--output", "text"); strings.Join(strings.Fields(got), " ") != "SUCCEEDED 0 0" {
		t.Errorf("describe-jobs: %q", got)
	}
	stream := s.aws("batch", "describe-jobs", "--jobs", id, "--query", "jobs[0].container.logStreamName", "--output", "text")
	if got := s.aws("logs", "get-log-events", "--log-group-name", "/aws/batch/job", "--log-stream-name", stream, "--query", "events[].message", "--output", "text"); strings.Join(strings.Fields(got), " ") != "hello world hi" {
		t.Errorf("log = %q", got)
	}
	if got := s.aws("batch", "list-jobs", "--job-queue", "q1", "--job-status", "SUCCEEDED", "--query", "jobSummaryList[].jobId", "--output", "text"); got != id {
		t.Errorf("list-jobs: %q", got)
	}
	sleeper := s.aws("batch", "submit-job", "--job-name", "sleeper", "--job-queue", "q1", "--job-definition", "hello", "--container-overrides", `{"command":["sleep","300"]}`, "--query", "jobId", "--output", "text")
	s.await(20*time.Second, "the sleeper runs", func() bool { return s.describe(sleeper).Status == types.JobStatusRunning })
	s.aws("batch", "terminate-job", "--job-id", sleeper, "--reason", "enough slept")
	if d := s.ended(sleeper, 20*time.Second); d.Status != types.JobStatusFailed || aws.ToString(d.StatusReason) != "enough slept" || !aws.ToBool(d.IsTerminated) {
		t.Errorf("a terminated job: %s, %q", d.Status, aws.ToString(d.StatusReason))
	}
	if out, err := s.tryAWS("batch", "submit-job", "--job-name", "j", "--job-queue", "nowhere", "--job-definition", "hello"); err == nil || !strings.Contains(out, "ClientException") {
		t.Errorf("an unknown queue: %v, %s", err, out)
	}
	if out, err := s.tryAWS("sts", "decode-authorization-message", "--encoded-message", "x"); err == nil || !strings.Contains(out, "DecodeAuthorizationMessage") {
		t.Errorf("an operation that is not built: %v, %s", err, out)
	}
	s.aws("batch", "update-job-queue", "--job-queue", "q1", "--state", "DISABLED")
	s.aws("batch", "delete-job-queue", "--job-queue", "q1")
}

// TestJobUsesAWS runs a job that copies a file with the aws CLI and one that submits a job:
// both with nothing but the credentials that drover gives an attempt.
func TestJobUsesAWS(t *testing.T) {
	cli := need(t, "aws")
	s := serve(t)
	s.define("tool", "0.5", 1)
	s.aws("s3", "mb", "s3://work")
	in := filepath.Join(t.TempDir(), "in.txt")
	if err := os.WriteFile(in, []byte("from the user\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.aws("s3", "cp", in, "s3://work/in.txt")
	id := s.submit(&batch.SubmitJobInput{JobDefinition: aws.String("tool")}, "sh", "-ec",
		cli+` s3 cp s3://work/in.txt in.txt; sed s/user/job/ in.txt > out.txt; `+cli+` s3 cp out.txt s3://work/out.txt; `+cli+` batch submit-job --job-name grandchild --job-queue default --job-definition tool --query jobId --output text`)
	d := s.ended(id, 60*time.Second)
	if d.Status != types.JobStatusSucceeded {
		t.Fatalf("the job is %s: %s\n%s", d.Status, aws.ToString(d.StatusReason), s.aws("logs", "get-log-events", "--log-group-name", "/aws/batch/job", "--log-stream-name", aws.ToString(d.Container.LogStreamName)))
	}
	if got := s.aws("s3", "cp", "s3://work/out.txt", "-"); got != "from the job" {
		t.Errorf("the result is %q", got)
	}
	log := s.aws("logs", "get-log-events", "--log-group-name", "/aws/batch/job", "--log-stream-name", aws.ToString(d.Container.LogStreamName), "--start-from-head", "--query", "events[-1].message", "--output", "text")
	if g := s.ended(log, 20*time.Second); aws.ToString(g.JobName) != "grandchild" || g.Status != types.JobStatusSucceeded {
		t.Errorf("the job's job: %s %s", aws.ToString(g.JobName), g.Status)
	}
}

// TestBoto3 does the same through boto3, with exceptions by class and paginators.
func TestBoto3(t *testing.T) {
	python := need(t, "python3")
	if err := exec.Command(python, "-c", "import boto3").Run(); err != nil {
		t.Skip("SKIP: python3 has no boto3")
	}
	s := serve(t)
	cmd := exec.Command(python, "testdata/boto3_first_job.py")
	cmd.Env = s.env()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}
