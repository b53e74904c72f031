package e2e

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// pegasusHeaders is how the preview SDK that Pegasus bundles speaks: an empty Content-Type,
// and Expect on every request with a body.
func pegasusHeaders(r *http.Request) {
	r.Header["Content-Type"] = []string{""}
	r.Header.Set("Expect", "100-continue")
	r.Header.Set("User-Agent", "aws-sdk-java/2.0.0-preview-2")
}

// TestPegasus replays pegasus-aws-batch: it makes everything that it needs, runs its jobs,
// fetches their logs by names that it builds itself, and takes everything away again.
func TestPegasus(t *testing.T) {
	t.Parallel()
	s := serve(t)
	s.aws("iam", "create-role", "--role-name", "batchJobRole", "--assume-role-policy-document",
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"ecs-tasks.amazonaws.com"},"Action":"sts:AssumeRole"}]}`)
	c := s.raw(t, "us-west-2", pegasusHeaders)
	made := pegasusSetup(c)
	pegasusJobs(c, made)
	pegasusDelete(c, made)
}

type pegasusMade struct{ definition, environment, queue string }

func pegasusSetup(c *raw) (m pegasusMade) {
	m.definition = at[string](c, c.do("RegisterJobDefinition", object{
		"jobDefinitionName": "karan-pegasus-job-definition", "type": "container",
		"containerProperties": object{
			"image": "host", "vcpus": 1, "memory": 64, "command": []string{}, "environment": []object{{"name": "PEGASUS_HOME", "value": "/usr"}},
			"jobRoleArn": "arn:aws:iam::000000000000:role/batchJobRole", "readonlyRootFilesystem": false, "privileged": false,
			"ulimits": []object{}, "volumes": []object{}, "mountPoints": []object{},
		},
		"retryStrategy": object{"attempts": 1},
	}), "jobDefinitionArn")
	m.environment = at[string](c, c.do("CreateComputeEnvironment", object{
		"computeEnvironmentName": "karan-pegasus-compute-env", "type": "MANAGED", "state": "ENABLED",
		"serviceRole": "arn:aws:iam::000000000000:role/service-role/AWSBatchServiceRole",
		"computeResources": object{
			"type": "EC2", "minvCpus": 0, "maxvCpus": 4, "desiredvCpus": 0, "instanceTypes": []string{"optimal"}, "bidPercentage": 20,
			"instanceRole": "ecsInstanceRole", "subnets": []string{"subnet-a9bb63cc"}, "securityGroupIds": []string{"sg-91d645f4"},
			"ec2KeyPair": "mykeypair", "tags": object{"Name": "Batch Instance - optimal"},
		},
	}), "computeEnvironmentArn")
	// It polls until the status is VALID, for ever.
	env := object{"computeEnvironments": []string{m.environment}}
	c.valid("DescribeComputeEnvironments", "computeEnvironments", env)
	m.queue = at[string](c, c.do("CreateJobQueue", object{
		"jobQueueName": "karan-pegasus-job-queue", "priority": 1, "state": "ENABLED",
		"computeEnvironmentOrder": []object{{"order": 1, "computeEnvironment": m.environment}},
	}), "jobQueueArn")
	c.valid("DescribeJobQueues", "jobQueues", object{"jobQueues": []string{m.queue}})
	for _, arn := range []string{m.definition, m.environment, m.queue} {
		if !strings.HasPrefix(arn, "arn:aws") {
			c.t.Errorf("Pegasus takes %s for a name, not for an ARN", arn)
		}
	}
	// Not Pegasus but the operator: its image is a container's, here it is a process of the host.
	c.s.aws("batch", "tag-resource", "--resource-arn", strings.Replace(m.environment, ":us-west-2:", ":drover-1:", 1), "--tags", "drover:host-jobs=true")
	return m
}

// valid polls a description as Pegasus does: everything in the list must get there.
func (c *raw) valid(op, list string, in object) {
	c.t.Helper()
	c.s.await(20*time.Second, list+" are VALID", func() bool {
		return at[string](c, c.do(op, in), list, 0, "status") == "VALID"
	})
	at[string](c, c.do(op, in), list, 0, "state")
}

func pegasusJobs(c *raw, m pegasusMade) {
	names := map[string]string{} // what response.jobName says → id
	for name, command := range map[string]string{
		"preprocess_ID0000001": "echo $TASK is here; echo one; echo two >&2",
		"findrange-ID0000002":  "echo $TASK fails; exit 5",
		"Analyze_ID0000003":    "exit 0",
	} {
		out := c.do("SubmitJob", object{
			"jobName": name, "jobDefinition": m.definition, "jobQueue": m.queue,
			"containerOverrides": object{"command": []string{"sh", "-c", command}, "environment": []object{
				{"name": "PEGASUS_AWS_BATCH_BUCKET", "value": "s3://pegasus-bucket/run0001"}, {"name": "TASK", "value": name}}},
		})
		if got := at[string](c, out, "jobName"); got != name {
			c.t.Fatalf("the job %s is answered as %s: Pegasus does not find it", name, got)
		}
		names[name] = at[string](c, out, "jobId")
	}
	for name, id := range names {
		d := c.until(id, "SUCCEEDED", "FAILED")
		want, lines := "SUCCEEDED", map[string]bool{name + " is here": true, "one": true, "two": true}
		switch name {
		case "findrange-ID0000002":
			want, lines = "FAILED", map[string]bool{name + " fails": true}
		case "Analyze_ID0000003":
			lines = nil
		}
		at[string](c, d, "statusReason")
		if at[string](c, d, "status") != want || at[string](c, d, "jobName") != name || at[string](c, d, "jobId") != id {
			c.t.Errorf("%s: %v", name, d)
		}
		got := pegasusLog(c, d)
		for line := range lines {
			if !got[line] {
				c.t.Errorf("the log of %s lacks %q: %v", name, line, got)
			}
		}
		if len(got) != len(lines) {
			c.t.Errorf("the log of %s is %v, want %v", name, got, lines)
		}
	}
}

// pegasusLog builds the stream's name from the last attempt's taskArn and the definition's
// ARN, reads from the head until the token repeats, and deletes the stream.
func pegasusLog(c *raw, d object) map[string]bool {
	task := at[string](c, d, "attempts", -1, "container", "taskArn")
	definition := at[string](c, d, "jobDefinition")
	_, name, ok := strings.Cut(definition, ":job-definition/")
	if !ok {
		c.t.Fatalf("jobDefinition is %s", definition)
	}
	stream := name[:strings.LastIndex(name, ":")] + "/default/" + task[strings.LastIndex(task, "/")+1:]
	in := object{"logGroupName": "/aws/batch/job", "logStreamName": stream, "startFromHead": true}
	lines := map[string]bool{}
	for previous := ""; ; {
		out, code := c.logs("GetLogEvents", in)
		if code != "" {
			c.t.Fatalf("the log of %s: %v", stream, out)
		}
		for _, e := range at[[]any](c, out, "events") {
			lines[at[string](c, e, "message")] = true
		}
		next := at[string](c, out, "nextForwardToken")
		if next == previous {
			break
		}
		in["nextToken"], previous = next, next
	}
	stop := object{"logGroupName": "/aws/batch/job", "logStreamName": stream}
	if out, code := c.logs("DeleteLogStream", stop); code != "" {
		c.t.Errorf("deleting %s: %v", stream, out)
	}
	if _, code := c.logs("GetLogEvents", stop); code != "ResourceNotFoundException" {
		c.t.Errorf("the deleted stream answers %q", code)
	}
	return lines
}

func pegasusDelete(c *raw, m pegasusMade) {
	c.refused("DISABLED", "DeleteJobQueue", object{"jobQueue": m.queue})
	for _, k := range []struct{ one, list, what, arn string }{
		{"JobQueue", "JobQueues", "jobQueue", m.queue}, {"ComputeEnvironment", "ComputeEnvironments", "computeEnvironment", m.environment},
	} {
		list := strings.ToLower(k.list[:1]) + k.list[1:]
		look := object{list: []string{k.arn}}
		c.do("Update"+k.one, object{k.what: k.arn, "state": "DISABLED"})
		c.s.await(20*time.Second, "it is not UPDATING", func() bool {
			return at[string](c, c.do("Describe"+k.list, look), list, 0, "status") != "UPDATING"
		})
		if out := c.do("Describe"+k.list, look); at[string](c, out, list, 0, "state") != "DISABLED" {
			c.t.Errorf("after the update: %v", out)
		}
		c.do("Delete"+k.one, object{k.what: k.arn})
		c.s.await(20*time.Second, "it is gone", func() bool {
			all := at[[]any](c, c.do("Describe"+k.list, look), list)
			return len(all) == 0 || at[string](c, all, 0, "status") == "DELETED"
		})
	}
	for range 2 { // a second run of the same clean-up finds it INACTIVE already
		c.do("DeregisterJobDefinition", object{"jobDefinition": m.definition})
	}
	out := c.do("DescribeJobDefinitions", object{"jobDefinitions": []string{m.definition}})
	if at[string](c, out, "jobDefinitions", 0, "status") != "INACTIVE" {
		c.t.Errorf("the definition: %v", out)
	}
}
