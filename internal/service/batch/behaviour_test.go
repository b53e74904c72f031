package batch_test

import (
	"testing"

	"drover/internal/core/job"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
)

// Jobs that wait for the end of others, or for their failure, say so in a tag.
func TestAfterTag(t *testing.T) {
	w := newWorld(t, job.DroverLimits())
	w.register(t, hostJob("d"))
	h := newHand(t, w.m, 8)
	in := func(after string, deps ...string) *batch.SubmitJobInput {
		s := &batch.SubmitJobInput{JobName: aws.String("j"), JobQueue: aws.String("default"), JobDefinition: aws.String("d")}
		for _, d := range deps {
			s.DependsOn = append(s.DependsOn, types.JobDependency{JobId: &d})
		}
		if after != "" {
			s.Tags = map[string]string{"drover:after": after}
		}
		return s
	}
	good, bad := w.submit(t, in("")), w.submit(t, in(""))
	a, b := h.next(), h.next()
	wants := map[string]string{}                      // job → its status in the end
	for after, results := range map[string][3]string{ // after a good one, after a bad one, after both
		"success": {"SUCCEEDED", "FAILED", "FAILED"},
		"any":     {"SUCCEEDED", "SUCCEEDED", "SUCCEEDED"},
		"failure": {"FAILED", "SUCCEEDED", "SUCCEEDED"},
	} {
		wants[w.submit(t, in(after, good))] = results[0]
		wants[w.submit(t, in(after, bad))] = results[1]
		wants[w.submit(t, in(after, good, bad))] = results[2]
	}
	array := in("any", bad)
	array.ArrayProperties = &types.ArrayProperties{Size: aws.Int32(2)}
	wants[w.submit(t, array)] = "SUCCEEDED"
	h.ended(a.Lease, 0)
	h.ended(b.Lease, 1)
	h.answerAll(0)
	for id, status := range wants {
		w.waitFor(t, id, types.JobStatus(status))
	}
	// The jobs have ended: what depends on them now is decided at once.
	w.waitFor(t, w.submit(t, in("failure", bad)), types.JobStatusSucceeded)
	d := w.waitFor(t, w.submit(t, in("failure", good)), types.JobStatusFailed)
	if *d.StatusReason != job.ReasonNoFailure {
		t.Errorf("reason %q", *d.StatusReason)
	}

	for words, change := range map[string]func(*batch.SubmitJobInput){
		"must be success, any or failure": func(in *batch.SubmitJobInput) { in.Tags["drover:after"] = "never" },
		"give dependsOn":                  func(in *batch.SubmitJobInput) { in.DependsOn = nil },
		"cannot be combined": func(in *batch.SubmitJobInput) {
			in.ArrayProperties = &types.ArrayProperties{Size: aws.Int32(2)}
			in.DependsOn = append(in.DependsOn, types.JobDependency{Type: "SEQUENTIAL"})
		},
		"drover:on-oom must be grow":                  func(in *batch.SubmitJobInput) { in.Tags["drover:on-oom"] = "shrink" },
		"drover:max-running on a job is for array":    func(in *batch.SubmitJobInput) { in.Tags["drover:max-running"] = "3" },
		"drover:max-running must be a number above 0": func(in *batch.SubmitJobInput) { in.Tags["drover:max-running"] = "many" },
	} {
		s := in("any", good)
		change(s)
		_, err := w.SubmitJob(t.Context(), s)
		refused(t, err, words)
	}
}
