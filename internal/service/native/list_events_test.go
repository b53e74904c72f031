package native

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"drover/internal/core/job"
	"drover/internal/manager"

	"github.com/google/go-cmp/cmp"
)

// teller renders each transition of a fakeJobs as its number.
type teller struct{ jobs *fakeJobs }

func (e teller) Events(ctx context.Context, cursor string, limit int, match func(manager.Transition) bool) (out []json.RawMessage, next string, err error) {
	after, _ := strconv.ParseInt(cursor, 10, 64)
	rows, err := e.jobs.Transitions(ctx, after, limit)
	for _, r := range rows {
		if after = r.Seq; match(r) {
			out = append(out, json.RawMessage(fmt.Sprint(r.Seq)))
		}
	}
	return out, strconv.FormatInt(after, 10), err
}

func TestListEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one, two := job.ID{1}, job.ID{2}
		row := func(seq int64, id job.ID) manager.Transition {
			return manager.Transition{Seq: seq, ID: id, Lo: job.Whole, Hi: job.Whole, To: job.Running}
		}
		f := newFake(row(1, one), row(2, two), row(3, one))
		s := New(f, nil, nil).Tell(teller{f})
		ask := func(after *string, wait int32, of *string) *ListEventsOutput {
			t.Helper()
			out, err := s.ListEvents(t.Context(), &ListEventsInput{After: after, WaitSeconds: &wait, Job: of})
			if err != nil {
				t.Fatal(err)
			}
			return out
		}
		text := func(s string) *string { return &s }
		want := func(got *ListEventsOutput, next string, events ...string) {
			t.Helper()
			if d := cmp.Diff(&ListEventsOutput{Events: append([]string{}, events...), Next: next}, got); d != "" {
				t.Error(d)
			}
		}
		want(ask(nil, 0, nil), "3")
		want(ask(text(""), 0, nil), "3", "1", "2", "3")
		want(ask(text(""), 0, text(two.String())), "3", "2")
		want(ask(text("3"), 0, nil), "3")
		start := time.Now()
		want(ask(text("3"), 5, nil), "3")
		if d := time.Since(start); d != 5*time.Second {
			t.Errorf("waited %v, want 5 s", d)
		}
		go func() { time.Sleep(time.Second); f.add(row(4, one)); time.Sleep(time.Second); f.add(row(5, two)) }()
		want(ask(text("3"), 20, text(two.String())), "5", "5")
		if _, err := New(f, nil, nil).ListEvents(t.Context(), &ListEventsInput{}); err == nil {
			t.Error("a service without events answers")
		}
	})
}
