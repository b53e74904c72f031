package e2e

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/batch/types"
)

// TestBadInput sends what must be refused to a server that keeps AWS's quotas: each time
// AWS's error, and nothing is left behind.
func TestBadInput(t *testing.T) {
	t.Parallel()
	s := serve(t, "--limits=aws")
	c := s.raw(t, "drover-1", botocoreHeaders)
	define := func(name string, more object) object {
		container := object{"image": "host", "command": []string{"true"}, "resourceRequirements": []object{{"type": "VCPU", "value": "1"}, {"type": "MEMORY", "value": "64"}}}
		for k, v := range more {
			container[k] = v
		}
		return object{"jobDefinitionName": name, "type": "container", "containerProperties": container}
	}
	c.do("RegisterJobDefinition", define("d", nil))
	environment := at[string](c, c.do("DescribeJobQueues", object{"jobQueues": []string{"default"}}), "jobQueues", 0, "computeEnvironmentOrder", 0, "computeEnvironment")
	c.do("CreateJobQueue", object{"jobQueueName": "closed", "state": "DISABLED", "priority": 1, "computeEnvironmentOrder": []object{{"order": 1, "computeEnvironment": environment}}})
	// A job that waits for ever, on which others may depend.
	waits := at[string](c, c.do("SubmitJob", object{"jobName": "waits", "jobQueue": "default", "jobDefinition": "d",
		"containerOverrides": object{"resourceRequirements": []object{{"type": "VCPU", "value": "100000"}}}}), "jobId")
	c.until(waits, "RUNNABLE")
	before := everything(c)

	submit := func(more object) object {
		in := object{"jobName": "bad", "jobQueue": "default", "jobDefinition": "d"}
		for k, v := range more {
			in[k] = v
		}
		return in
	}
	deps := make([]object, 21)
	for i := range deps {
		deps[i] = object{"jobId": waits}
	}
	frame := len(`{"jobDefinition":"d","jobName":"bad","jobQueue":"default","parameters":{"p":""}}`)
	const nobody = "00000000-0000-4000-8000-000000000000"
	for _, bad := range []struct {
		words, op string
		in        object
	}{
		{"Job size must be less than 30 KiB, got 30721", "SubmitJob", submit(object{"parameters": object{"p": strings.Repeat("x", 30<<10+1-frame)}})},
		{"Job cannot have more than 20 dependencies", "SubmitJob", submit(object{"dependsOn": deps})},
		{"Array job size must be between 2 and 10000, got 10001", "SubmitJob", submit(object{"arrayProperties": object{"size": 10_001}})},
		{"Array job size must be between 2 and 10000, got 1", "SubmitJob", submit(object{"arrayProperties": object{"size": 1}})},
		{"JobQueue nowhere not found", "SubmitJob", submit(object{"jobQueue": "nowhere"})},
		{"is DISABLED", "SubmitJob", submit(object{"jobQueue": "closed"})},
		{"name none does not exist or is not in ACTIVE status", "SubmitJob", submit(object{"jobDefinition": "none"})},
		{"d:9 not found", "SubmitJob", submit(object{"jobDefinition": "d:9"})},
		{"is not the ARN of a job queue", "SubmitJob", submit(object{"jobQueue": "arn:aws:batch:drover-1"})},
		{"ARN of a job definition", "SubmitJob", submit(object{"jobDefinition": "arn:aws:batch:drover-1:000000000000:job-queue/default"})},
		{"belongs to account 999999999999", "SubmitJob", submit(object{"jobQueue": "arn:aws:batch:drover-1:999999999999:job-queue/default"})},
		{"belongs to account 999999999999", "SubmitJob", submit(object{"jobDefinition": "arn:aws:batch:drover-1:999999999999:job-definition/d:1"})},
		{"must not start with AWS_BATCH", "SubmitJob", submit(object{"containerOverrides": object{"environment": []object{{"name": "AWS_BATCH_X", "value": "1"}}}})},
		{"must not start with AWS_BATCH", "RegisterJobDefinition", define("bad", object{"environment": []object{{"name": "AWS_BATCH_JOB_ID", "value": "1"}}})},
		{"Job definition size must be less than 24 KiB", "RegisterJobDefinition", define("bad", object{"command": []string{strings.Repeat("x", 24<<10)}})},
		// A cycle cannot be said with ids that only an answer gives: what is named must be there.
		{nobody, "SubmitJob", submit(object{"dependsOn": []object{{"jobId": nobody}}})},
		{"only for array jobs", "SubmitJob", submit(object{"dependsOn": []object{{"type": "SEQUENTIAL"}}})},
		{"takes no jobId", "SubmitJob", submit(object{"arrayProperties": object{"size": 2}, "dependsOn": []object{{"type": "SEQUENTIAL", "jobId": waits}}})},
		{"N_TO_N", "SubmitJob", submit(object{"arrayProperties": object{"size": 2}, "dependsOn": []object{{"type": "N_TO_N", "jobId": waits}}})},
		{"jobId", "SubmitJob", submit(object{"dependsOn": []object{{"jobId": "not a job"}}})},
		{"does not exist", "TerminateJob", object{"jobId": nobody, "reason": "r"}},
		{"does not exist", "CreateJobQueue", object{"jobQueueName": "bad", "priority": 1, "computeEnvironmentOrder": []object{{"order": 1, "computeEnvironment": "none"}}}},
		{"belongs to account 999999999999", "CreateJobQueue", object{"jobQueueName": "bad", "priority": 1, "computeEnvironmentOrder": []object{{"order": 1, "computeEnvironment": strings.Replace(environment, "000000000000", "999999999999", 1)}}}},
	} {
		c.refused(bad.words, bad.op, bad.in)
	}
	// What is not UTF-8 is not JSON: no name is guessed from it.
	status, text := c.bytes([]byte("{\"jobName\":\"b\xff\",\"jobQueue\":\"default\",\"jobDefinition\":\"d\"}"))
	if status != http.StatusBadRequest || !strings.Contains(text, "UTF-8") {
		t.Errorf("invalid UTF-8: %d %s", status, text)
	}
	if status, text = c.bytes([]byte(`{"jobName":`)); status != http.StatusBadRequest {
		t.Errorf("half a request: %d %s", status, text)
	}
	c.same("what there is after the refusals", everything(c), before)

	// What can never fit is taken, as AWS does, and says why it waits.
	c.s.await(20*time.Second, "the reason is known", func() bool {
		d := c.job(waits)
		reason, _ := find(d, "statusReason")
		return at[string](c, d, "status") == "RUNNABLE" && strings.HasPrefix(fmt.Sprint(reason), "MISCONFIGURATION:")
	})
	c.do("TerminateJob", object{"jobId": waits, "reason": "it never fits"})
}

// everything counts what a refused request could have left.
func everything(c *raw) map[string]int {
	c.t.Helper()
	n := map[string]int{
		"definitions": len(at[[]any](c, c.do("DescribeJobDefinitions", object{}), "jobDefinitions")),
		"queues":      len(at[[]any](c, c.do("DescribeJobQueues", object{}), "jobQueues")),
	}
	for _, status := range types.JobStatus("").Values() {
		n[string(status)] = len(at[[]any](c, c.do("ListJobs", object{"jobQueue": "default", "jobStatus": status}), "jobSummaryList"))
	}
	return n
}

// bytes posts a SubmitJob of any bytes.
func (c *raw) bytes(body []byte) (int, string) {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.t.Context(), http.MethodPost, c.s.endpoint+"/v1/submitjob", bytes.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	resp := c.signed("batch", req, body)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}
