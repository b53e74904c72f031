package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// nextflowHeaders is what the Java SDK 2 sends beside the signature.
func nextflowHeaders(r *http.Request) {
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Amz-Sdk-Invocation-Id", "3f0e8c2a-6a0c-9d1b-5c33-8f5a52f4ad11")
	r.Header.Set("Amz-Sdk-Request", "attempt=1; max=4")
	r.Header.Set("User-Agent", "aws-sdk-java/2.53.1 md/io#sync md/http#Apache ua/2.1 os/Linux lang/java#17 app/nextflow")
}

// TestNextflow replays Nextflow's executor for AWS Batch: definitions found again by their
// token, task scripts fetched and logs stored by the aws CLI inside of the job, arrays,
// failures and their logs, jobs killed, and the cluster that a queue belongs to.
func TestNextflow(t *testing.T) {
	t.Parallel()
	cli := need(t, "aws")
	s := serve(t)
	s.aws("s3", "mb", "s3://nf-work")
	c := s.raw(t, "eu-west-1", nextflowHeaders)
	definition := nextflowDefinition(c)
	nextflowTasks(c, cli, definition)
	nextflowArray(c, cli, definition)
	nextflowErrors(c, definition)

	queue := c.do("DescribeJobQueues", object{"jobQueues": []string{"default"}})
	environment := at[string](c, queue, "jobQueues", 0, "computeEnvironmentOrder", 0, "computeEnvironment")
	environments := c.do("DescribeComputeEnvironments", object{"computeEnvironments": []string{environment}})
	if cluster := at[string](c, environments, "computeEnvironments", 0, "ecsClusterArn"); !strings.HasPrefix(cluster, "arn:aws:ecs:") {
		c.t.Errorf("ecsClusterArn is %s", cluster)
	}
}

// nextflowDefinition finds no definition, registers one, and finds it by name and token
// among others, in the first page and although an inactive one has the same token.
func nextflowDefinition(c *raw) string {
	const name = "nf-quay-io-nextflow-bash"
	describe := func() []any {
		return at[[]any](c, c.do("DescribeJobDefinitions", object{"jobDefinitionName": name}), "jobDefinitions")
	}
	if got := describe(); len(got) != 0 {
		c.t.Fatalf("definitions before the first: %v", got)
	}
	register := func(token string) object {
		return c.do("RegisterJobDefinition", object{
			"jobDefinitionName": name, "type": "container", "parameters": object{"nf-token": token},
			"containerProperties": object{"image": "host", "command": []string{"true"}, "resourceRequirements": []object{
				{"type": "VCPU", "value": "1"}, {"type": "MEMORY", "value": "1024"}}, "mountPoints": []object{}, "volumes": []object{}},
			"tags": object{"nextflow.io/createdAt": "2026-11-22T02:00:00Z", "nextflow.io/version": "25.10.0"},
		})
	}
	for _, token := range []string{"t1", "t2", "t1"} {
		register(token)
	}
	if r := at[float64](c, register("t3"), "revision"); r != 4 {
		c.t.Errorf("the fourth registration is revision %v", r)
	}
	c.do("DeregisterJobDefinition", object{"jobDefinition": name + ":3"})
	var found string
	for _, d := range describe() {
		if at[string](c, d, "status") == "ACTIVE" && at[string](c, d, "parameters", "nf-token") == "t1" {
			found = fmt.Sprintf("%s:%v", name, at[float64](c, d, "revision"))
			break
		}
	}
	if found != name+":1" {
		c.t.Fatalf("the token t1 is found in %q", found)
	}
	list := describe()
	if got := at[float64](c, list, 0, "revision"); got != 4 {
		c.t.Errorf("the first of the page is revision %v, want the newest", got)
	}
	return found
}

// launch is the command of a task: it fetches its script from S3 and leaves its log there,
// with nothing but what the job finds in its environment.
func launch(cli, dir string) []string {
	copying := cli + " s3 cp --only-show-errors"
	return []string{"bash", "-o", "pipefail", "-c", fmt.Sprintf(
		`trap "{ ret=\$?; %s .command.log s3://nf-work/%s/.command.log||true; exit \$ret; }" EXIT; %s s3://nf-work/%s/.command.run - | bash 2>&1 | tee .command.log`,
		copying, dir, copying, dir)}
}

func (c *raw) submitNextflow(name, definition string, command []string, more object) string {
	c.t.Helper()
	in := object{
		"jobName": name, "jobQueue": "default", "jobDefinition": definition, "propagateTags": true,
		"tags": object{"pipeline": "hello", "owner": "someone"}, "timeout": object{"attemptDurationSeconds": 3600},
		"retryStrategy": object{"attempts": 5, "evaluateOnExit": []object{
			{"action": "RETRY", "onStatusReason": "Host EC2*"}, {"action": "EXIT", "onReason": "*"}}},
		"containerOverrides": object{"command": command, "resourceRequirements": []object{{"type": "MEMORY", "value": "512"}},
			"environment": []object{{"name": "AWS_RETRY_MODE", "value": "standard"}, {"name": "AWS_MAX_ATTEMPTS", "value": "5"}}},
	}
	for k, v := range more {
		in[k] = v
	}
	return at[string](c, c.do("SubmitJob", in), "jobId")
}

func nextflowTasks(c *raw, cli, definition string) {
	put := func(key, text string) {
		file := c.t.TempDir() + "/script"
		write(c.t, file, text)
		c.s.aws("s3", "cp", file, "s3://nf-work/"+key)
	}
	put("aa/1/.command.run", "echo a task says hello\n")
	put("bb/2/.command.run", "echo before the end; ls /nonexistent; exit 42\n")
	good := c.submitNextflow("hello_sayHello_1", definition, launch(cli, "aa/1"), nil)
	bad := c.submitNextflow("hello_sayHello_2", definition, launch(cli, "bb/2"), nil)
	missing := "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

	// checkIfRunning: the task's ARN is read as soon as it runs.
	d := c.until(good, "RUNNING", "SUCCEEDED", "FAILED")
	if !strings.HasPrefix(at[string](c, d, "container", "taskArn"), "arn:aws:ecs:") {
		c.t.Errorf("taskArn: %v", d)
	}
	for _, id := range []string{good, bad} {
		c.until(id, "SUCCEEDED", "FAILED")
	}
	jobs := at[[]any](c, c.do("DescribeJobs", object{"jobs": []string{bad, missing, good}}), "jobs")
	if len(jobs) != 2 {
		c.t.Fatalf("of two jobs and an unknown one %d are described", len(jobs))
	}
	for _, d := range jobs {
		status, code := "SUCCEEDED", 0.0
		if at[string](c, d, "jobId") == bad {
			status, code = "FAILED", 42
			at[string](c, d, "statusReason")
			c.absent(d, "attempts", -1, "container", "reason")
			if len(at[[]any](c, d, "attempts")) != 1 {
				c.t.Errorf("an exit code of the task's own was retried: %v", d)
			}
		}
		if at[string](c, d, "status") != status || at[float64](c, d, "container", "exitCode") != code {
			c.t.Errorf("%v, want %s with exit code %v", d, status, code)
		}
		c.same("the tags", at[object](c, d, "tags"), object{"pipeline": "hello", "owner": "someone"})
	}
	if got := c.s.aws("s3", "cp", "s3://nf-work/aa/1/.command.log", "-"); got != "a task says hello" {
		c.t.Errorf(".command.log of the good task: %q", got)
	}
	// On failure it reads the first page of the log, from the end, without further members.
	stream := at[string](c, c.job(bad), "container", "logStreamName")
	out, code := c.logs("GetLogEvents", object{"logGroupName": "/aws/batch/job", "logStreamName": stream})
	if code != "" || at[string](c, out, "events", 0, "message") != "before the end" {
		c.t.Errorf("the log of the failed task: %s %v", code, out)
	}
}

func nextflowArray(c *raw, cli, definition string) {
	for i, text := range []string{"echo child zero\n", "exit 3\n", "echo child two\n"} {
		file := c.t.TempDir() + "/script"
		write(c.t, file, text)
		c.s.aws("s3", "cp", file, fmt.Sprintf("s3://nf-work/arr/%d/.command.run", i))
	}
	id := c.submitNextflow("array_1", definition, launch(cli, "arr/$AWS_BATCH_JOB_ARRAY_INDEX"), object{"arrayProperties": object{"size": 3}})
	for i, want := range []float64{0, 3, 0} {
		d := c.until(fmt.Sprintf("%s:%d", id, i), "SUCCEEDED", "FAILED")
		if got := at[float64](c, d, "container", "exitCode"); got != want {
			c.t.Errorf("child %d ended with %v, want %v", i, got, want)
		}
	}
}

func nextflowErrors(c *raw, definition string) {
	// A 404 would be retried for minutes, another 4xx ends the run: these must be 400.
	c.refused("JobQueue nowhere not found", "SubmitJob", object{"jobName": "x", "jobQueue": "nowhere", "jobDefinition": definition})
	c.refused("nf-none", "SubmitJob", object{"jobName": "x", "jobQueue": "default", "jobDefinition": "nf-none:1"})

	running := c.submitNextflow("killed_1", definition, []string{"sleep", "600"}, nil)
	c.until(running, "RUNNING")
	c.do("TerminateJob", object{"jobId": running, "reason": "Job killed by NF"})
	if d := c.until(running, "FAILED"); at[string](c, d, "statusReason") != "Job killed by NF" {
		c.t.Errorf("a killed job: %v", d)
	}
	// A job that never ran has no exit code: Nextflow then reads .exitcode, which 0 would prevent.
	waits := c.submitNextflow("killed_2", definition, []string{"true"}, object{"dependsOn": []object{{"jobId": c.submitNextflow("first", definition, []string{"sleep", "2"}, nil)}}})
	c.do("TerminateJob", object{"jobId": waits, "reason": "Job killed by NF"})
	d := c.until(waits, "FAILED")
	c.absent(d, "container", "exitCode")
	c.absent(d, "startedAt")
	if at[float64](c, d, "stoppedAt") < float64(time.Now().Add(-time.Hour).UnixMilli()) {
		c.t.Errorf("stoppedAt of a job that never ran: %v", d)
	}
}
