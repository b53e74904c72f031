package e2e

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"

	"drover/internal/executor/dockertest"
)

// TestMetaflow runs a flow whose steps are @batch jobs with the unmodified Metaflow: code
// package and results in S3, a foreach, a step that succeeds in its second attempt. The jobs
// are containers where an engine answers, else processes.
func TestMetaflow(t *testing.T) {
	t.Parallel() // it waits, mostly: Metaflow polls at its own pace
	python := pythonWith(t, "boto3", "requests", "metaflow")
	flow, err := filepath.Abs("testdata/metaflow_flow.py")
	if err != nil {
		t.Fatal(err)
	}
	seen, err := filepath.Abs("testdata/metaflow_result.py")
	if err != nil {
		t.Fatal(err)
	}
	s, env, inBox := metaflowServer(t, python)
	s.aws("s3", "mb", "s3://metaflow")
	s.aws("iam", "create-role", "--role-name", "flow", "--assume-role-policy-document",
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"ecs-tasks.amazonaws.com"},"Action":"sts:AssumeRole"}]}`)
	s.aws("iam", "put-role-policy", "--role-name", "flow", "--policy-name", "s3", "--policy-document",
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":["arn:aws:s3:::metaflow","arn:aws:s3:::metaflow/*"]}]}`)
	home := t.TempDir()
	env = append(append(s.env(), env...), "HOME="+home, "USERNAME=tester", "METAFLOW_DEFAULT_DATASTORE=s3", "METAFLOW_DEFAULT_METADATA=local",
		"METAFLOW_DATASTORE_SYSROOT_S3=s3://metaflow/data", "METAFLOW_BATCH_JOB_QUEUE=default", "METAFLOW_BATCH_EMIT_TAGS=1",
		"METAFLOW_ECS_S3_ACCESS_IAM_ROLE=arn:aws:iam::000000000000:role/flow")
	run := func(args ...string) []byte {
		t.Helper()
		cmd := exec.Command(python, args...)
		cmd.Env, cmd.Dir = env, home
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %v\n%s\nthe jobs:\n%s", args, err, out, s.jobs())
		}
		return out
	}
	run(flow, "--no-pylint", "run")
	got := result[struct {
		Successful bool
		Total      int
		Attempts   map[string]int
		Logs       []string
		Metadata   []map[string]any
	}](t, run(seen))
	if !got.Successful || got.Total != 5 || got.Attempts["1"] != 0 || got.Attempts["2"] != 1 || len(got.Logs) != 2 || len(got.Metadata) != 2 {
		t.Errorf("the run: %+v", got)
	}
	text := strings.Join(got.Logs, "\n")
	for _, want := range []string{"squaring 1", "squaring 2", "Task finished with exit code 0"} {
		if !strings.Contains(text, want) {
			t.Errorf("the logs lack %q:\n%s", want, text)
		}
	}
	for _, m := range got.Metadata {
		id := fmt.Sprint(m["aws-batch-job-id"])
		if m["aws-batch-ce-name"] != "local" || m["aws-batch-jq-name"] != "default" || m["aws-batch-execution-env"] != "AWS_ECS_EC2" || m["aws-batch-job-attempt"] != "1" {
			t.Errorf("a task knows of itself: %v", m)
		}
		d := s.describe(id)
		if d.Tags["app"] != "metaflow" || d.Parameters["metaflow.flow_name"] != "SquaresFlow" || !strings.HasPrefix(aws.ToString(d.JobName), "tester-SquaresFlow-") {
			t.Errorf("its job: %s %v %v", aws.ToString(d.JobName), d.Tags, d.Parameters)
		}
		if inBox && m["aws-batch-awslogs-stream"] != aws.ToString(d.Container.LogStreamName) {
			t.Errorf("it writes to %v, the job says %s", m["aws-batch-awslogs-stream"], aws.ToString(d.Container.LogStreamName))
		}
	}
	if list := call[batch.DescribeJobDefinitionsOutput](s, "DescribeJobDefinitions", &batch.DescribeJobDefinitionsInput{}); len(list.JobDefinitions) != 1 {
		t.Errorf("%d definitions, want the one that all steps share", len(list.JobDefinitions))
	}
}

// metaflowServer starts a server, and says what the flow has to know to have its steps run:
// in containers whose programs are the host's, or as processes where no engine answers.
func metaflowServer(t *testing.T, python string) (s *server, env []string, inBox bool) {
	t.Helper()
	if !boxed(t) {
		s = serve(t)
		return s, []string{"METAFLOW_BATCH_CONTAINER_IMAGE=host"}, false
	}
	where, err := exec.Command(python, "-c", "import sys; print(sys.prefix)").Output()
	if err != nil {
		t.Fatal(err)
	}
	folders := []string{dockertest.HostFolder}
	prefix := strings.TrimSpace(string(where))
	if !strings.HasPrefix(prefix, dockertest.HostFolder+"/") && prefix != dockertest.HostFolder {
		folders = append(folders, prefix)
	}
	image := dockertest.HostImage(t, dockertest.Engine(t))
	return withContainers(t, "DROVER_ALLOW_VOLUME="+strings.Join(folders, ",")), []string{"METAFLOW_BATCH_CONTAINER_IMAGE=" + image, "STEP_VOLUMES=" + strings.Join(folders, ","),
		"STEP_PATH=" + strings.Join(slices.Compact([]string{prefix + "/bin", "/usr/bin"}), ":")}, true
}

// jobs is what ended jobs of the default queue say about themselves, for a failing test.
func (s *server) jobs() string {
	var b strings.Builder
	for _, status := range []types.JobStatus{types.JobStatusFailed, types.JobStatusSucceeded} {
		list := call[batch.ListJobsOutput](s, "ListJobs", &batch.ListJobsInput{JobQueue: aws.String("default"), JobStatus: status})
		for _, j := range list.JobSummaryList {
			fmt.Fprintf(&b, "%s %s: %s %s\n%s\n", status, *j.JobName, aws.ToString(j.StatusReason), aws.ToString(j.Container.Reason), s.log(*j.JobId))
		}
	}
	return b.String()
}
