package cli

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"drover/internal/service/native"
)

// jobCommand is `drover job`.
type jobCommand struct {
	ID string `arg:"" help:"Job, array, or child (ID:INDEX)."`
}

// Help is shown by drover job --help.
func (*jobCommand) Help() string {
	return `Shows what is recorded of a job: its state and the reason for it, why it waits and what would help, and each attempt with host, exit code, time, CPU and memory.

  drover job 7e0c0f9a-5b1c-4d5e-8f43-2f7d3a1c9b11
  drover job 7e0c0f9a-5b1c-4d5e-8f43-2f7d3a1c9b11:17

Then: drover logs ID for what it wrote, drover jobs --array ID --status FAILED for the children that failed.`
}

// Run carries out the command.
func (c *jobCommand) Run(ctx context.Context, sh *shell, g *globals) error {
	conn, err := g.connect(ctx, sh)
	if err != nil {
		return err
	}
	v, err := conn.view(ctx, c.ID)
	if err != nil {
		return err
	}
	if g.JSON {
		return printJSON(sh, v)
	}
	return printJob(sh.out, v, time.Now())
}

// printJob writes a job for people.
func printJob(out io.Writer, v *native.GetJobViewOutput, now time.Time) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) { fmt.Fprintf(w, "%s\t%s\n", name, fmt.Sprintf(format, args...)) }
	row("job", "%s", v.Job)
	row("name", "%s", v.Name)
	status := v.Status
	if v.Reason != "" {
		status += ": " + v.Reason
	}
	row("status", "%s", status)
	if c := v.Counts; c != nil && v.Size > 0 {
		row("children", "%s", describeCounts(*c))
	}
	if v.Wait != nil {
		wait := v.Wait.Reason
		if v.Wait.Position > 0 {
			wait += fmt.Sprintf(" (place %s in its queue)", grouped(v.Wait.Position))
		}
		row("waits", "%s", wait)
		if v.Wait.Remedy != "" {
			row("", "%s", v.Wait.Remedy)
		}
	}
	if len(v.DependsOn) > 0 {
		row("depends on", "%s", strings.Join(v.DependsOn, ", "))
	}
	row("queue", "%s", v.Queue)
	row("definition", "%s, image %s", v.Definition, v.Image)
	row("command", "%s", shellLine(v.Command))
	if v.Nodes > 0 {
		row("nodes", "%d; this is the main one, %s#%d", v.Nodes, v.Job, v.MainNode)
	}
	row("needs", "%g vCPU, %d MiB", float64(v.MilliVcpu)/1000, v.MemoryMiB)
	if v.MaxAttempts > 1 || v.Timeout > 0 {
		limits := counted(int64(v.MaxAttempts), "attempt")
		if v.Timeout > 0 {
			limits += fmt.Sprintf(", %s each", spent(time.Duration(v.Timeout)*time.Second))
		}
		row("may take", "%s", limits)
	}
	for _, k := range slices.Sorted(maps.Keys(v.Tags)) {
		row("tag", "%s=%s", k, v.Tags[k])
	}
	for _, t := range timeline(v) {
		row(t.what, "%s", t.text(v.Created))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for i := range v.Attempts {
		printAttempt(out, &v.Attempts[i], now)
	}
	return nil
}

// moment is one point in a job's life.
type moment struct {
	what string
	at   int64
}

// timeline is a job's life as far as it went.
func timeline(v *native.GetJobViewOutput) []moment {
	var all []moment
	for _, m := range []moment{{"created", v.Created}, {"ready", v.Ready}, {"started", v.Started}, {"ended", v.Stopped}} {
		if m.at > 0 {
			all = append(all, m)
		}
	}
	return all
}

func (m moment) text(created int64) string {
	s := time.UnixMicro(m.at).Format("2006-01-02 15:04:05.000")
	if m.at > created {
		s += fmt.Sprintf("  +%s", spent(micros(m.at-created)))
	}
	return s
}

func printAttempt(out io.Writer, a *native.Attempt, now time.Time) {
	var parts []string
	add := func(format string, args ...any) { parts = append(parts, fmt.Sprintf(format, args...)) }
	switch {
	case a.Stopped == 0 && a.Started == 0:
		add("starting")
	case a.Stopped == 0:
		add("running for %s", spent(now.Sub(time.UnixMicro(a.Started))))
	case a.ExitCode != nil:
		add("exit code %d", *a.ExitCode)
	default:
		add("never ran")
	}
	if a.Reason != "" {
		add("%s", a.Reason)
	}
	if a.Started > 0 && a.Stopped > 0 {
		add("took %s", spent(micros(a.Stopped-a.Started)))
	}
	if a.CpuMillis > 0 {
		add("%s CPU", spent(time.Duration(a.CpuMillis)*time.Millisecond))
	}
	if a.PeakMemKiB > 0 {
		add("%s memory", sized(a.PeakMemKiB<<10))
	}
	if a.BytesIn+a.BytesOut > 0 {
		add("%s in, %s out", sized(a.BytesIn), sized(a.BytesOut))
	}
	fmt.Fprintf(out, "\nattempt %d on %s: %s\n", a.Number, a.Host, strings.Join(parts, ", "))
	if a.ErrorLine != "" {
		fmt.Fprintf(out, "  | %s\n", a.ErrorLine)
	}
	if a.Log != "" {
		fmt.Fprintf(out, "  log %s\n", a.Log)
	}
	for i := range a.Containers {
		c := &a.Containers[i]
		text := c.Name
		if c.ExitCode != nil {
			text += fmt.Sprintf(": exit code %d", *c.ExitCode)
		}
		if c.Reason != "" {
			text += ", " + c.Reason
		}
		fmt.Fprintf(out, "  container %s\n    log %s\n", text, c.Log)
	}
}

// describeCounts writes the counts that are not zero.
func describeCounts(c native.Counts) string {
	var parts []string
	for _, p := range []struct {
		n    int64
		word string
	}{
		{c.Succeeded, "succeeded"}, {c.Failed, "failed"}, {c.Running, "running"}, {c.Starting, "starting"},
		{c.Runnable, "runnable"}, {c.Pending, "pending"}, {c.Submitted, "submitted"},
	} {
		if p.n > 0 {
			parts = append(parts, grouped(p.n)+" "+p.word)
		}
	}
	return fmt.Sprintf("%s: %s", grouped(c.Total()), strings.Join(parts, ", "))
}

// shellLine writes a command as one would type it.
func shellLine(command []string) string {
	var words []string
	for _, w := range command {
		words = append(words, quoted(w))
	}
	return strings.Join(words, " ")
}
