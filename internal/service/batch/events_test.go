package batch_test

import (
	"encoding/json"
	"strings"
	"testing"

	"drover/internal/core/job"
	"drover/internal/manager"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
)

// told is what a test reads of an event.
type told struct {
	Version    string   `json:"version"`
	ID         string   `json:"id"`
	DetailType string   `json:"detail-type"`
	Source     string   `json:"source"`
	Account    string   `json:"account"`
	Time       string   `json:"time"`
	Region     string   `json:"region"`
	Resources  []string `json:"resources"`
	Detail     struct {
		JobArn, JobName, JobID, JobQueue, Status, StatusReason, JobDefinition string
		CreatedAt, StartedAt, StoppedAt                                       int64
		Attempts                                                              []struct {
			StartedAt, StoppedAt int64
			Container            struct {
				ExitCode *int32
			}
		}
		Container struct{ ExitCode *int32 }
	} `json:"detail"`
}

func (w *world) events(t *testing.T, limit int) (out []told) {
	t.Helper()
	cursor := ""
	for {
		list, next, err := w.svc.Events(t.Context(), cursor, limit, func(manager.Transition) bool { return true })
		must(t, 0, err)
		if len(list) > limit {
			t.Fatalf("%d events, at most %d were asked for", len(list), limit)
		}
		for _, raw := range list {
			var e told
			must(t, 0, json.Unmarshal(raw, &e))
			out = append(out, e)
		}
		if next == cursor {
			return out
		}
		cursor = next
	}
}

// Each transition of each unit is one event in EventBridge's shape, with the detail of its
// moment; the submission itself is none; reading again tells the same with the same ids.
func TestEvents(t *testing.T) {
	w := newWorld(t, job.DroverLimits())
	w.register(t, hostJob("d"))
	h := newHand(t, w.m, 4)
	in := &batch.SubmitJobInput{JobName: aws.String("j"), JobQueue: aws.String("default"), JobDefinition: aws.String("d"), RetryStrategy: &types.RetryStrategy{Attempts: aws.Int32(2)}}
	id := w.submit(t, in)
	a := h.next()
	h.started(a.Lease)
	h.ended(a.Lease, 3)
	b := h.next()
	h.started(b.Lease)
	h.ended(b.Lease, 0)
	w.waitFor(t, id, "SUCCEEDED")
	in.ArrayProperties = &types.ArrayProperties{Size: aws.Int32(3)}
	parent := w.submit(t, in)
	h.answerAll(0)
	w.waitFor(t, parent, "SUCCEEDED")

	events := w.events(t, 2)
	again := w.events(t, 500)
	statuses, ids := map[string]string{}, map[string]bool{}
	var plain []told
	for i, e := range events {
		if e.ID != again[i].ID || ids[e.ID] || len(e.ID) != 36 {
			t.Errorf("event %d has the id %s, read again %s", i, e.ID, again[i].ID)
		}
		ids[e.ID] = true
		if e.Version != "0" || e.DetailType != "Batch Job State Change" || e.Source != "aws.batch" || e.Account != account || e.Region != "drover-1" || len(e.Time) != 20 {
			t.Errorf("envelope %+v", e)
		}
		if len(e.Resources) != 1 || e.Resources[0] != e.Detail.JobArn || !strings.HasSuffix(e.Detail.JobArn, ":job/"+e.Detail.JobID) {
			t.Errorf("resources %v, job %s", e.Resources, e.Detail.JobID)
		}
		name := strings.Replace(e.Detail.JobID, parent, "array", 1)
		name = strings.Replace(name, id, "plain", 1)
		statuses[name] += e.Detail.Status + " "
		if name == "plain" {
			plain = append(plain, e)
		}
	}
	if len(events) != len(again) {
		t.Errorf("%d events, read again %d", len(events), len(again))
	}
	child := "RUNNABLE STARTING RUNNING SUCCEEDED "
	diff(t, "statuses", statuses, map[string]string{
		"plain": "RUNNABLE STARTING RUNNING RUNNABLE STARTING RUNNING SUCCEEDED ",
		"array": "PENDING SUCCEEDED ", "array:0": child, "array:1": child, "array:2": child,
	})
	for i, want := range []struct {
		attempts       int
		exit           int32 // of the last attempt; -1 = none
		started, ended bool
	}{{0, -1, false, false}, {1, -1, false, false}, {1, -1, true, false}, {1, 3, false, false}, {2, -1, false, false}, {2, -1, true, false}, {2, 0, true, true}} {
		d, exit := plain[i].Detail, int32(-1)
		if n := len(d.Attempts); n > 0 && d.Attempts[n-1].Container.ExitCode != nil {
			exit = *d.Attempts[n-1].Container.ExitCode
		}
		if len(d.Attempts) != want.attempts || exit != want.exit || (d.StartedAt > 0) != want.started || (d.StoppedAt > 0) != want.ended {
			t.Errorf("event %d (%s): %d attempts, exit %d, started %d, stopped %d; want %+v", i, d.Status, len(d.Attempts), exit, d.StartedAt, d.StoppedAt, want)
		}
	}
	for _, bad := range []string{"x", "1+x", "-1"} {
		_, _, err := w.svc.Events(t.Context(), bad, 1, nil)
		if err == nil {
			t.Errorf("cursor %q is accepted", bad)
		}
	}
}
