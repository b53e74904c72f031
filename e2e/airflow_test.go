package e2e

import (
	"net/http"
	"os"
	"strings"
	"testing"
)

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// botocoreHeaders: botocore sends no Content-Type with rest-json.
func botocoreHeaders(r *http.Request) {
	r.Header.Set("User-Agent", "Boto3/1.43.11 md/Botocore#1.43.11 ua/2.1 os/linux lang/python#3.11.7 Airflow/3.1")
	r.Header.Set("Amz-Sdk-Request", "attempt=1")
}

// TestAirflow replays Airflow's BatchOperator and Batch executor: the health check, a job
// with everything that the operator always sends, its log by stream and options, its end.
func TestAirflow(t *testing.T) {
	t.Parallel()
	s := serve(t)
	c := s.raw(t, "drover-1", botocoreHeaders)
	if jobs := at[[]any](c, c.do("DescribeJobs", object{"jobs": []string{strings.Repeat("a", 32)}}), "jobs"); len(jobs) != 0 {
		t.Errorf("the executor's health check: %v", jobs)
	}
	c.do("RegisterJobDefinition", object{"jobDefinitionName": "airflow", "type": "container", "parameters": object{"who": "world"},
		"containerProperties": object{"image": "host", "command": []string{"sh", "-c", "echo hello Ref::who from $AIRFLOW_IS_K8S; exit $CODE"},
			"resourceRequirements": []object{{"type": "VCPU", "value": "0.25"}, {"type": "MEMORY", "value": "64"}}}})
	submit := func(code string) string {
		return at[string](c, c.do("SubmitJob", object{
			"jobName": "airflow_dag-task", "jobQueue": "default", "jobDefinition": "airflow", "arrayProperties": object{}, "parameters": object{"who": "operator"},
			"containerOverrides": object{"environment": []object{{"name": "AIRFLOW_IS_K8S", "value": "airflow"}, {"name": "CODE", "value": code}}},
			"tags":               object{"dag": "d", "team": "x"}, "retryStrategy": object{"attempts": 1}, "propagateTags": false,
		}), "jobId")
	}
	for code, status := range map[string]string{"0": "SUCCEEDED", "7": "FAILED"} {
		id := submit(code)
		c.until(id, "RUNNING", "SUCCEEDED", "FAILED")
		d := c.until(id, "SUCCEEDED", "FAILED")
		if at[string](c, d, "status") != status || at[string](c, d, "jobId") != id {
			t.Errorf("exit code %s: %v", code, d)
		}
		// The links of the task instance.
		if !strings.Contains(at[string](c, d, "jobDefinition"), ":job-definition/airflow:1") || !strings.HasSuffix(at[string](c, d, "jobQueue"), ":job-queue/default") {
			t.Errorf("the ARNs of %v", d)
		}
		c.absent(d, "nodeProperties")
		if driver, ok := find(d, "container", "logConfiguration", "logDriver"); ok && driver != "awslogs" {
			t.Errorf("a log driver nobody asked for: %v", driver)
		}
		in := object{"logGroupName": "/aws/batch/job", "logStreamName": at[string](c, d, "container", "logStreamName"), "startFromHead": true}
		out, fault := c.logs("GetLogEvents", in)
		if fault != "" || at[string](c, out, "events", 0, "message") != "hello operator from airflow" || at[float64](c, out, "events", 0, "timestamp") < 1e12 {
			t.Errorf("its log: %s %v", fault, out)
		}
		in["nextToken"] = at[string](c, out, "nextForwardToken")
		if out, fault = c.logs("GetLogEvents", in); fault != "" || len(at[[]any](c, out, "events")) != 0 {
			t.Errorf("the log goes on: %s %v", fault, out)
		}
	}
	id := submit("0")
	c.do("TerminateJob", object{"jobId": id, "reason": "Task killed by the user"})
	c.until(id, "SUCCEEDED", "FAILED")
}

// TestSnakemakeAndMetaflow replays what these two send beside their jobs: one definition a
// job, taken away again, and the search for a run's unfinished jobs in order to kill them.
func TestSnakemakeAndMetaflow(t *testing.T) {
	t.Parallel()
	s := serve(t)
	c := s.raw(t, "drover-1", botocoreHeaders)
	queue := c.do("DescribeJobQueues", object{"jobQueues": []string{"default"}, "maxResults": 1})
	environment := at[string](c, queue, "jobQueues", 0, "computeEnvironmentOrder", 0, "computeEnvironment")
	if kind := at[string](c, c.do("DescribeComputeEnvironments", object{"computeEnvironments": []string{environment}}), "computeEnvironments", 0, "computeResources", "type"); kind != "EC2" {
		t.Errorf("the platform is %s", kind)
	}
	s.aws("iam", "create-role", "--role-name", "batchJobRole", "--assume-role-policy-document",
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"ecs-tasks.amazonaws.com"},"Action":"sts:AssumeRole"}]}`)
	// Snakemake: privileged, which is registered; whether it may run is the host's matter.
	d := c.do("RegisterJobDefinition", object{
		"jobDefinitionName": "snakejob-def-align-6f1e", "type": "container", "platformCapabilities": []string{"EC2"}, "tags": object{}, "timeout": object{"attemptDurationSeconds": 300},
		"containerProperties": object{"image": "snakemake/snakemake:v9", "command": []string{"/bin/bash", "-c", "true"}, "environment": []object{{"name": "A", "value": "b"}},
			"jobRoleArn": "arn:aws:iam::000000000000:role/batchJobRole", "privileged": true,
			"resourceRequirements": []object{{"type": "VCPU", "value": "1"}, {"type": "MEMORY", "value": "1024"}}}})
	arn := at[string](c, d, "jobDefinitionArn")
	if at[string](c, d, "jobDefinitionName") == "" || at[float64](c, d, "revision") != 1 {
		t.Errorf("registered: %v", d)
	}
	c.do("DeregisterJobDefinition", object{"jobDefinition": arn})

	// Metaflow: jobs of every unfinished status, page by page; their parameters tell whose they are.
	c.do("RegisterJobDefinition", object{"jobDefinitionName": "metaflow_0123", "type": "container", "propagateTags": true,
		"containerProperties": object{"image": "host", "command": []string{"echo", "hello world"}, "linuxParameters": object{},
			"resourceRequirements": []object{{"value": "1", "type": "VCPU"}, {"value": "64", "type": "MEMORY"}}}})
	hit := c.do("DescribeJobDefinitions", object{"jobDefinitionName": "metaflow_0123", "status": "ACTIVE"})
	definition := at[string](c, hit, "jobDefinitions", 0, "jobDefinitionArn")
	var ids []string
	for i := range 5 {
		run := "17"
		if i == 4 {
			run = "18"
		}
		ids = append(ids, at[string](c, c.do("SubmitJob", object{"jobName": "me-HelloFlow-" + run + "-start-1-0", "jobQueue": "default", "jobDefinition": definition,
			"parameters": object{"metaflow.user": "me", "metaflow.flow_name": "HelloFlow", "metaflow.run_id": run}, "timeout": object{"attemptDurationSeconds": 432000},
			"containerOverrides": object{"command": []string{"sleep", "600"}}}), "jobId"))
	}
	c.until(ids[0], "RUNNING")
	killed := map[string]bool{}
	for _, status := range []string{"SUBMITTED", "PENDING", "RUNNABLE", "STARTING", "RUNNING"} {
		in := object{"jobQueue": "default", "jobStatus": status, "maxResults": 2}
		for more := true; more; {
			page := c.do("ListJobs", in)
			for _, j := range at[[]any](c, page, "jobSummaryList") {
				id := at[string](c, j, "jobId")
				if d := c.job(id); strings.Contains(at[string](c, j, "jobName"), "me-HelloFlow-") &&
					at[string](c, d, "parameters", "metaflow.user") == "me" && at[string](c, d, "parameters", "metaflow.run_id") == "17" {
					killed[id] = true
				}
			}
			token, ok := find(page, "nextToken")
			in["nextToken"], more = token, ok
		}
	}
	for id := range killed {
		c.do("TerminateJob", object{"jobId": id, "reason": "Metaflow initiated job termination."})
	}
	if len(killed) != 4 || killed[ids[4]] {
		t.Errorf("of run 17 %d jobs are found: %v", len(killed), killed)
	}
	for id := range killed {
		// It waits for stoppedAt, also of jobs that never started.
		if d := c.until(id, "FAILED"); at[float64](c, d, "stoppedAt") <= 0 || at[float64](c, d, "createdAt") <= 0 || at[string](c, d, "statusReason") != "Metaflow initiated job termination." {
			t.Errorf("a killed job: %v", d)
		}
	}
}
