package cli

import (
	"context"
	"fmt"
	"os"
	"time"

	"drover/internal/core/tape"
	"drover/internal/service/native"
	"drover/internal/sim/replay"
)

// term is the tape of one manager's term.
type term struct {
	number int64
	data   []byte
}

// terms reads the recorded history of the server.
func (c *connection) terms(ctx context.Context, since int64) ([]term, error) {
	var out []term
	in := &native.ReadHistoryInput{Since: &since}
	for {
		page, err := native.Call[native.ReadHistoryOutput](ctx, c.client, "ReadHistory", in)
		if err != nil {
			return nil, err
		}
		for _, p := range page.Pieces {
			if len(out) == 0 || tape.Begins(p.Data) {
				out = append(out, term{number: p.Term})
			}
			t := &out[len(out)-1]
			t.data = append(t.data, p.Data...)
		}
		if page.Next == "" {
			return out, nil
		}
		in.Token = &page.Next
	}
}

// recorded stands for the policy of a history as it was.
const recorded = "recorded"

// history replays what the running server did: as it was, and under other policies.
func (c *simulateCommand) history(ctx context.Context, sh *shell, g *globals) ([]simulated, error) {
	since := int64(0)
	if c.Since > 0 {
		since = time.Now().Add(-c.Since).UnixMicro()
	}
	conn, err := g.connect(ctx, sh)
	if err != nil {
		return nil, err
	}
	terms, err := conn.terms(ctx, since)
	if err != nil {
		return nil, err
	}
	var all []simulated
	var pictures []replay.Picture
	add := func(line simulated, t *replay.Trace) {
		line.Result = replay.Measure(t)
		all = append(all, line)
		pictures = append(pictures, replay.Picture{Title: line.File + " · " + line.Policy, Words: line.words(), Trace: t})
	}
	for i, t := range terms {
		story, err := tape.Play(t.data)
		if err != nil {
			return nil, fmt.Errorf("term %d of the server's manager: %w", t.number, err)
		}
		setup, real := replay.FromStory(story, since, "")
		if len(setup.Jobs) == 0 {
			continue
		}
		name := fmt.Sprintf("term %d", t.number)
		if i > 0 && terms[i-1].number == t.number { // the store refused a batch in between
			name += ", continued"
		}
		n, same := story.Same()
		add(simulated{File: name, Policy: recorded, Exact: &exactness{Starts: len(story.Starts), Same: n, Order: same, Full: story.Full}}, real)
		if c.Policy == "" {
			continue
		}
		for _, p := range c.policies() {
			setup, _ := replay.FromStory(story, since, p)
			left := setup.LeaveOut()
			trace, err := replay.Simulate(setup)
			if err != nil {
				return nil, err
			}
			add(simulated{File: name, Policy: p, Left: left}, trace)
		}
	}
	if len(all) == 0 {
		return nil, refused("no job has run and ended in the history that the server keeps (a week, and 128 MiB); run some, or give another --since")
	}
	if c.SVG != "" {
		if err := os.WriteFile(c.SVG, replay.Draw(pictures...), 0o644); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// exactness says whether playing a recorded history gave the same order.
type exactness struct {
	Starts int  `json:"starts"`
	Same   int  `json:"sameUpTo"`
	Order  bool `json:"sameOrder"`
	Full   bool `json:"full,omitempty"` // the record ends before the term did
}

func (e *exactness) words() string {
	text := fmt.Sprintf("played again, all %s starts come in the same order, at the same time, on the same host", grouped(int64(e.Starts)))
	if !e.Order {
		text = fmt.Sprintf("played again, the first %s of %s starts are the same", grouped(int64(e.Same)), grouped(int64(e.Starts)))
	}
	if e.Full {
		text += "; the record was full before the term ended"
	}
	return text
}
