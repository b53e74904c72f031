package batch

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"drover/internal/core/job"
	"drover/internal/manager"

	"github.com/aws/aws-sdk-go-v2/service/batch/types"
)

// Events of one call.
const (
	maxEvents  = 500  // rendered at once: each has a whole JobDetail
	eventsRead = 1000 // rows of the outbox looked at
)

// event is a state change, or that a queue is blocked, in the shape that EventBridge gives to
// those of AWS Batch.
type event struct {
	Version    string          `json:"version"`
	ID         string          `json:"id"`
	DetailType string          `json:"detail-type"`
	Source     string          `json:"source"`
	Account    string          `json:"account"`
	Time       string          `json:"time"`
	Region     string          `json:"region"`
	Resources  []string        `json:"resources"`
	Detail     json.RawMessage `json:"detail"`
}

// Events renders what happened after a cursor ("" is the beginning) as EventBridge events:
// one for each unit and each of its transitions that match accepts, in order, and none for
// the submission itself. Called again and again with the cursor that it gave, it tells
// everything exactly once; an event that is rendered twice has the same id both times.
//
// The detail is the JobDetail as of the transition: what happened later is left out. Of an
// array's parent the statusSummary is the one at the time of the call.
func (s *Service) Events(ctx context.Context, cursor string, limit int, match func(manager.Transition) bool) (events []json.RawMessage, next string, err error) {
	seq, skip, err := parseCursor(cursor)
	if err != nil {
		return nil, "", err
	}
	rows, err := s.m.Transitions(ctx, seq, eventsRead)
	if err != nil {
		return nil, "", clientError(err)
	}
	var units []moment
	limit = min(limit, maxEvents)
	for _, t := range rows {
		if t.To == job.Submitted || !match(t) {
			seq, skip = t.Seq, 0
			continue
		}
		for i := t.Lo + skip; i <= t.Hi && len(units) < limit; i++ {
			units = append(units, moment{t, i})
			skip++
		}
		if t.Lo+skip <= t.Hi {
			break
		}
		if seq, skip = t.Seq, 0; len(units) == limit {
			break
		}
	}
	events, err = s.render(ctx, units)
	return events, formatCursor(seq, skip), err
}

// moment is one unit's share in a transition.
type moment struct {
	manager.Transition
	index int32
}

// Cursors are the number of the last row that was told whole and, after a +, how many units
// of the next one were told.
func parseCursor(c string) (seq int64, skip int32, err error) {
	if c == "" {
		return 0, 0, nil
	}
	whole, part, split := strings.Cut(c, "+")
	if seq, err = strconv.ParseInt(whole, 10, 64); err == nil && split {
		var n int64
		n, err = strconv.ParseInt(part, 10, 32)
		skip = int32(n)
	}
	if err != nil || seq < 0 || skip < 0 {
		return 0, 0, invalid("the cursor %q is not one that drover gave", c)
	}
	return seq, skip, nil
}

func formatCursor(seq int64, skip int32) string {
	if skip == 0 {
		return strconv.FormatInt(seq, 10)
	}
	return strconv.FormatInt(seq, 10) + "+" + strconv.Itoa(int(skip))
}

// render describes the units, each once, and writes an event for each moment.
func (s *Service) render(ctx context.Context, moments []moment) ([]json.RawMessage, error) {
	var list []string
	views := map[string]*manager.View{}
	for _, m := range moments {
		if name := job.Name(m.ID, m.index); views[name] == nil {
			views[name] = &manager.View{}
			list = append(list, name)
		}
	}
	found, err := s.m.Describe(ctx, list)
	if err != nil {
		return nil, clientError(err)
	}
	clear(views)
	for i := range found {
		views[job.Name(found[i].Spec.ID, found[i].Index)] = &found[i]
	}
	n, kept := s.in(ctx), details{}
	var out []json.RawMessage
	for _, m := range moments {
		v := views[job.Name(m.ID, m.index)]
		if v == nil {
			continue // purged: whoever reads so late reads of nothing
		}
		d, err := kept.of(v.Spec)
		if err != nil {
			return nil, err
		}
		past := asOf(v, m.Transition)
		text, err := json.Marshal(s.event(n, m, describeJob(n, &past, d)))
		if err != nil {
			return nil, clientError(err)
		}
		out = append(out, text)
	}
	return out, nil
}

func (s *Service) event(n names, m moment, d types.JobDetail) event {
	sum := sha256.Sum256(fmt.Appendf(nil, "drover/event/%s/%d", job.Name(m.ID, m.index), m.Seq))
	var id job.ID
	copy(id[:], sum[:])
	id[6], id[8] = id[6]&0x0f|0x80, id[8]&0x3f|0x80 // a UUID of version 8: made from what it names
	e := event{
		Version: "0", ID: id.String(), DetailType: "Batch Job State Change", Source: "aws.batch",
		Account: n.account, Region: n.region, Time: time.UnixMicro(m.At).UTC().Format(time.RFC3339),
		Resources: []string{*d.JobArn},
	}
	if m.From == m.To {
		e.DetailType, e.Resources = "Batch Job Queue Blocked", append(e.Resources, *d.JobQueue)
		d.StatusReason = &m.Why
	}
	e.Detail = compact(&d)
	return e
}

// asOf takes out of a view what came after a transition.
func asOf(v *manager.View, t manager.Transition) manager.View {
	past := *v
	past.Attempts, past.Wait = nil, nil
	var why string
	var started int64
	for _, a := range v.Attempts {
		if a.Placed > t.At || t.To < job.Starting && a.Stopped == 0 {
			break
		}
		open := a.Stopped == 0 || a.Stopped > t.At
		if open && t.To.Live() {
			a.Stopped, a.Exit, a.Why = 0, nil, ""
		}
		if t.To == job.Starting && open {
			a.Started = 0
		}
		past.Attempts = append(past.Attempts, a)
		why, started = a.Why, a.Started
	}
	u := &past.Unit
	u.Status = t.To
	if !t.To.Terminal() {
		u.Stopped, u.StatusReason = 0, why
		u.Cancelled, u.Terminated = false, false
		if u.Started = started; t.To < job.Running {
			u.Started = 0
		}
	}
	return past
}
