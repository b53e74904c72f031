package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"text/tabwriter"

	"drover/internal/manager"
	"drover/internal/service/native"
	"drover/internal/sim/replay"
)

// whatIf is the answer of drover simulate --what-if.
type whatIf struct {
	Changes string    `json:"changes"`
	At      int64     `json:"at"` // µs: the server as it was then
	Waiting int       `json:"waiting"`
	Running int       `json:"running"`
	Assumed int       `json:"assumed,omitempty"` // units of which nothing is known: an hour is assumed
	Cut     bool      `json:"cut,omitempty"`     // there are more than are looked at
	Before  *oneWorld `json:"asItIs"`
	After   *oneWorld `json:"changed"`
}

// oneWorld is what becomes of a server in one of the two cases.
type oneWorld struct {
	replay.Result
	Drains []replay.Drain `json:"queues"`
}

func (c *simulateCommand) whatIf(ctx context.Context, sh *shell, g *globals) error {
	conn, err := g.connect(ctx, sh)
	if err != nil {
		return err
	}
	before, w, err := conn.present(ctx)
	if err != nil {
		return err
	}
	w.Changes = c.WhatIf
	after := before
	if err := replay.Apply(&after, c.WhatIf); err != nil {
		return wrong("--what-if %w", err)
	}
	var pictures []replay.Picture
	for _, one := range []struct {
		title string
		setup replay.Setup
		to    **oneWorld
	}{{"as it is", before, &w.Before}, {c.WhatIf, after, &w.After}} {
		trace, err := replay.Simulate(one.setup)
		if err != nil {
			return err
		}
		o := &oneWorld{replay.Measure(trace), trace.Drains()}
		*one.to = o
		line := simulated{Result: o.Result}
		pictures = append(pictures, replay.Picture{Title: one.title, Words: line.words(), Trace: trace})
	}
	if c.SVG != "" {
		if err := os.WriteFile(c.SVG, replay.Draw(pictures...), 0o644); err != nil {
			return err
		}
	}
	if g.JSON {
		return printJSON(sh, w)
	}
	return printWhatIf(sh.out, w)
}

// present reads what the server has now.
func (c *connection) present(ctx context.Context) (replay.Setup, *whatIf, error) {
	var p manager.Present
	var jobs []manager.PresentJob
	in := &native.ReadPresentInput{}
	for {
		out, err := native.Call[native.ReadPresentOutput](ctx, c.client, "ReadPresent", in)
		if err != nil {
			return replay.Setup{}, nil, err
		}
		head, page, err := out.Presence()
		if err != nil {
			return replay.Setup{}, nil, fmt.Errorf("the server's answer is not understood; is it another version of drover? %w", err)
		}
		if in.Token == nil {
			p = head
		}
		jobs = append(jobs, page...)
		if out.Next == "" {
			break
		}
		in.Token = &out.Next
	}
	s, assumed, cut := replay.FromPresent(p, jobs)
	w := &whatIf{At: p.At, Assumed: assumed, Cut: cut}
	for i := range s.Known {
		if s.Known[i].Host != "" {
			w.Running++
		} else {
			w.Waiting++
		}
	}
	return s, w, nil
}

// printWhatIf writes the two cases side by side.
func printWhatIf(out io.Writer, w *whatIf) error {
	fmt.Fprintf(out, "%s waiting, %s running\n", grouped(int64(w.Waiting)), grouped(int64(w.Running)))
	t := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	fmt.Fprintf(t, "\tas it is\t%s\n", w.Changes)
	row := func(name string, of func(*oneWorld) string) {
		fmt.Fprintf(t, "%s\t%s\t%s\n", name, of(w.Before), of(w.After))
	}
	for i := range w.Before.Drains {
		i := i
		if w.Before.Drains[i].Waiting == 0 {
			continue
		}
		row("queue "+w.Before.Drains[i].Queue+" is empty in", func(o *oneWorld) string {
			d := o.Drains[i]
			text := lasting(d.Empty)
			if d.Never > 0 {
				text += fmt.Sprintf(" (%s never start)", grouped(int64(d.Never)))
			}
			return text
		})
	}
	row("all has ended in", func(o *oneWorld) string { return lasting(o.MakespanSeconds) })
	for _, p := range []struct {
		name string
		of   func(*oneWorld) float64
	}{{"wait from now, p50", func(o *oneWorld) float64 { return o.P50WaitSeconds }}, {"p95", func(o *oneWorld) float64 { return o.P95WaitSeconds }}, {"max", func(o *oneWorld) float64 { return o.MaxWaitSeconds }}} {
		row(p.name, func(o *oneWorld) string { return lasting(p.of(o)) })
	}
	if w.Before.Cost != nil || w.After.Cost != nil {
		row("cost of hosts with a price", func(o *oneWorld) string {
			if o.Cost == nil {
				return "-"
			}
			return fmt.Sprintf("%.2f (idle %.2f)", o.Cost.Total, o.Cost.Idle)
		})
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if w.Assumed > 0 {
		fmt.Fprintf(out, "of %s jobs nothing is known: they count as an hour each (give them a timeout, or the queue the tag drover:expected-seconds)\n", grouped(int64(w.Assumed)))
	}
	if w.Cut {
		fmt.Fprintln(out, "there are more jobs than are looked at: the newest are left out")
	}
	return nil
}
