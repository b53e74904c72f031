package batch_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"drover/internal/core/fault"
	"drover/internal/core/job"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
)

func tags(n int, prefix string) map[string]string {
	m := map[string]string{}
	for i := range n {
		m[fmt.Sprint(prefix, i)] = "v"
	}
	return m
}

// Attempts get the definition's tags and the job's own, which win; a job with too many of
// them together fails, as on AWS after the answer.
func TestTagsArePropagated(t *testing.T) {
	w := newWorld(t, job.DroverLimits())
	in := hostJob("d")
	in.Tags, in.PropagateTags = map[string]string{"team": "x", "stage": "test"}, aws.Bool(true)
	w.register(t, in)
	full := hostJob("full")
	full.Tags = tags(30, "a")
	w.register(t, full)
	h := newHand(t, w.m, 4)
	submit := func(definition string, given map[string]string, propagate *bool) string {
		return w.submit(t, &batch.SubmitJobInput{JobName: aws.String("j"), JobQueue: aws.String("default"), JobDefinition: &definition, Tags: given, PropagateTags: propagate})
	}
	submit("d", map[string]string{"team": "y", "mine": "1"}, nil)
	a := h.next()
	diff(t, "propagated", a.Tags, map[string]string{"team": "y", "stage": "test", "mine": "1"})
	submit("d", nil, aws.Bool(false))
	if a := h.next(); a.Tags != nil {
		t.Errorf("not asked for: %v", a.Tags)
	}
	submit("full", tags(30, "b"), nil) // they are not propagated: no matter
	h.next()
	id := submit("full", tags(30, "b"), aws.Bool(true))
	d := w.waitFor(t, id, types.JobStatusFailed)
	if !strings.Contains(*d.StatusReason, "60 together, at most 50") || len(d.Attempts) != 0 {
		t.Errorf("%s %q", d.Status, aws.ToString(d.StatusReason))
	}
}

// A queue whose first job can never run is told as EventBridge has it.
func TestBlockedQueueEvent(t *testing.T) {
	w := newWorld(t, job.DroverLimits())
	newHand(t, w.m, 4)
	big := hostJob("big")
	big.ContainerProperties.ResourceRequirements = resources("64", "64")
	w.register(t, big)
	id := w.submit(t, &batch.SubmitJobInput{JobName: aws.String("j"), JobQueue: aws.String("default"), JobDefinition: aws.String("big")})
	var found *told
	for end := time.Now().Add(30 * time.Second); found == nil; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it is not told")
		}
		for _, e := range w.events(t, 100) {
			if e.DetailType == "Batch Job Queue Blocked" {
				found = &e
			}
		}
	}
	if found.Source != "aws.batch" || found.Detail.JobID != id || found.Detail.Status != "RUNNABLE" || !strings.HasPrefix(found.Detail.StatusReason, "MISCONFIGURATION:") {
		t.Errorf("%+v", found)
	}
	diff(t, "resources", found.Resources, []string{"arn:aws:batch:drover-1:" + account + ":job/" + id, "arn:aws:batch:drover-1:" + account + ":job-queue/default"})
}

// noRoles knows no role.
type noRoles struct{}

func (noRoles) CheckJobRole(_ context.Context, arn string) error {
	return fault.New(fault.NotFound, "NoSuchEntity", "there is no role %s", arn)
}

// Nobody acts as an execution role, so that any of this account will do; a job's role must
// exist.
func TestRolesOfDefinitions(t *testing.T) {
	w := newWorldOf(t, job.DroverLimits(), noRoles{})
	role := func(owner string) *string { return aws.String("arn:aws:iam::" + owner + ":role/path/made-up") }
	for name, c := range map[string]struct {
		job, execution *string
		says           string
	}{
		"made up":       {nil, role(account), ""},
		"of another":    {nil, role("999999999999"), "executionRoleArn"},
		"not a role":    {nil, aws.String("arn:aws:iam::" + account + ":user/x"), "executionRoleArn"},
		"not an ARN":    {nil, aws.String("ecsTaskExecutionRole"), "executionRoleArn"},
		"the job's own": {role(account), nil, "jobRoleArn"},
	} {
		in := full("d")
		in.ContainerProperties.JobRoleArn, in.ContainerProperties.ExecutionRoleArn = c.job, c.execution
		_, err := w.RegisterJobDefinition(t.Context(), in)
		if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	in := fullPod("p")
	in.EcsProperties.TaskProperties[0].TaskRoleArn, in.EcsProperties.TaskProperties[0].ExecutionRoleArn = role(account), nil
	if _, err := w.RegisterJobDefinition(t.Context(), in); err == nil || !strings.Contains(err.Error(), "jobRoleArn") {
		t.Errorf("the role of several containers: %v", err)
	}
}
