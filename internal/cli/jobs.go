package cli

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"drover/internal/service/batch"
	"drover/internal/service/native"
	"drover/internal/wire"

	"github.com/aws/aws-sdk-go-v2/aws"
	api "github.com/aws/aws-sdk-go-v2/service/batch"
)

// jobsCommand is `drover jobs`.
type jobsCommand struct {
	Queue  string `placeholder:"NAME" help:"Only jobs of this queue."`
	Status string `placeholder:"STATUS" help:"Only jobs in this status, such as RUNNING or FAILED."`
	Name   string `placeholder:"NAME" help:"Only jobs of this name; a final * matches any rest."`
	Array  string `placeholder:"ID" help:"The children of this array, in their order."`
	Limit  int32  `default:"50" placeholder:"N" help:"At most so many (default ${default}, up to 1000; of --array all pages are printed)."`
}

// Help is shown by drover jobs --help.
func (*jobsCommand) Help() string {
	return `  drover jobs --status FAILED
  drover jobs --name 'map-*' --limit 10
  drover jobs --array ID --status FAILED

Then: drover job ID for one of them, drover logs ID for what it wrote.`
}

// Run carries out the command.
func (c *jobsCommand) Run(ctx context.Context, sh *shell, g *globals) error {
	if c.Limit < 1 || c.Limit > 1000 {
		return wrong("--limit %d is out of range; it may be 1 to 1000", c.Limit)
	}
	conn, err := g.connect(ctx, sh)
	if err != nil {
		return err
	}
	in := &native.ListJobsInput{Limit: &c.Limit}
	for _, f := range []struct {
		flag string
		to   **string
	}{{c.Queue, &in.Queue}, {strings.ToUpper(c.Status), &in.Status}, {c.Name, &in.Name}, {c.Array, &in.Array}} {
		if f.flag != "" {
			*f.to = &f.flag
		}
	}
	all := []native.JobSummary{}
	for {
		out, err := native.Call[native.ListJobsOutput](ctx, conn.client, "ListJobs", in)
		if err != nil {
			return err
		}
		all = append(all, out.Jobs...)
		if out.Next == "" {
			break
		}
		in.Token = &out.Next
	}
	if g.JSON {
		return printJSON(sh, all)
	}
	return printJobs(sh.out, all, time.Now())
}

// printJobs writes the table.
func printJobs(out io.Writer, all []native.JobSummary, now time.Time) error {
	if len(all) == 0 {
		fmt.Fprintln(out, "no jobs")
		return nil
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "JOB\tNAME\tQUEUE\tSTATUS\tCHILDREN\tCREATED\tTOOK\tFORECAST")
	for _, j := range all {
		took := "-"
		switch {
		case j.Started > 0 && j.Stopped >= j.Started:
			took = spent(micros(j.Stopped - j.Started))
		case j.Started > 0:
			took = spent(now.Sub(time.UnixMicro(j.Started)))
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", j.Job, j.Name, j.Queue, j.Status, children(j), ago(now, j.Created), took, foreseen(j, now))
	}
	return w.Flush()
}

// foreseen says in a few words when a job will start or end.
func foreseen(j native.JobSummary, now time.Time) string {
	f := j.Forecast
	in := func(at int64) string {
		d := time.UnixMicro(at).Sub(now)
		if f.Further {
			return "> " + spent(max(d, 0))
		}
		return "~ " + spent(max(d, 0))
	}
	switch {
	case f == nil:
		return "-"
	case f.Start > 0 && (j.Size == 0 || f.End == 0):
		return "starts in " + in(f.Start)
	case f.End > 0:
		return "ends in " + in(f.End)
	}
	return "-"
}

// children says how far an array is.
func children(j native.JobSummary) string {
	if j.Size == 0 || j.Counts == nil {
		return "-"
	}
	s := fmt.Sprintf("%s/%s", grouped(j.Counts.Succeeded), grouped(int64(j.Size)))
	if j.Counts.Failed > 0 {
		s += fmt.Sprintf(" (%s failed)", grouped(j.Counts.Failed))
	}
	return s
}

// ago writes how long something is past.
func ago(now time.Time, at int64) string {
	d := now.Sub(time.UnixMicro(at))
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s ago", max(int(d.Seconds()), 0))
	case d < time.Hour:
		return fmt.Sprintf("%d min ago", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h ago", int(d.Hours()))
	}
	return time.UnixMicro(at).Format("2006-01-02 15:04")
}

// hostsCommand is `drover hosts`.
type hostsCommand struct{}

// Help is shown by drover hosts --help.
func (*hostsCommand) Help() string { return "  drover hosts\n  drover hosts --json" }

// Run carries out the command.
func (*hostsCommand) Run(ctx context.Context, sh *shell, g *globals) error {
	conn, err := g.connect(ctx, sh)
	if err != nil {
		return err
	}
	out, err := native.Call[native.ListHostsOutput](ctx, conn.client, "ListHosts", &native.ListHostsInput{})
	if err != nil {
		return err
	}
	if g.JSON {
		return printJSON(sh, out)
	}
	if len(out.Hosts) == 0 {
		fmt.Fprintln(sh.out, "no hosts; the server starts a worker of its own unless it was told not to (drover worker)")
		return nil
	}
	w := tabwriter.NewWriter(sh.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "HOST\tVCPUS FREE\tMEMORY FREE\tRUNS\tSEEN")
	for _, h := range out.Hosts {
		seen := "connected"
		if !h.Connected {
			seen = ago(time.Now(), h.LastSeen)
		}
		fmt.Fprintf(w, "%s\t%g of %g\t%s of %s\t%s\t%s\n", h.Id, float64(h.FreeMilliVcpu)/1000, float64(h.MilliVcpu)/1000,
			sized(h.FreeMemoryMiB<<20), sized(h.MemoryMiB<<20), strings.Join(h.Executors, ", "), seen)
	}
	return w.Flush()
}

// cancelCommand is `drover cancel`.
type cancelCommand struct {
	ID     string `arg:"" help:"Job, array, or child (ID:INDEX)."`
	Reason string `default:"Cancelled with drover cancel" help:"Recorded as the job's statusReason."`
}

// Help is shown by drover cancel --help.
func (*cancelCommand) Help() string {
	return `Cancels a job that has not started; one that runs goes on (end it with drover terminate). Cancelling an array cancels its waiting children.

  drover cancel 7e0c0f9a-5b1c-4d5e-8f43-2f7d3a1c9b11`
}

// Run carries out the command.
func (c *cancelCommand) Run(ctx context.Context, sh *shell, g *globals) error {
	conn, err := g.connect(ctx, sh)
	if err != nil {
		return err
	}
	if _, err := conn.view(ctx, c.ID); err != nil {
		return err
	}
	if _, err := wire.Call[api.CancelJobOutput](ctx, conn.client, batch.Identity, "CancelJob",
		&api.CancelJobInput{JobId: aws.String(c.ID), Reason: aws.String(c.Reason)}); err != nil {
		return err
	}
	return told(ctx, sh, g, conn, c.ID)
}

// terminateCommand is `drover terminate`.
type terminateCommand struct {
	ID     string `arg:"" help:"Job, array, or child (ID:INDEX)."`
	Reason string `default:"Terminated with drover terminate" help:"Recorded as the job's statusReason."`
}

// Help is shown by drover terminate --help.
func (*terminateCommand) Help() string {
	return `Ends a job: its processes get SIGTERM, and SIGKILL 30 seconds later. It is not tried again.

  drover terminate 7e0c0f9a-5b1c-4d5e-8f43-2f7d3a1c9b11:17 --reason 'wrong input'`
}

// Run carries out the command.
func (c *terminateCommand) Run(ctx context.Context, sh *shell, g *globals) error {
	conn, err := g.connect(ctx, sh)
	if err != nil {
		return err
	}
	if _, err := conn.view(ctx, c.ID); err != nil {
		return err
	}
	if err := conn.terminate(ctx, c.ID, c.Reason); err != nil {
		return err
	}
	return told(ctx, sh, g, conn, c.ID)
}

// told says what has become of a job that was asked to end.
func told(ctx context.Context, sh *shell, g *globals, conn *connection, id string) error {
	v, err := conn.view(ctx, id)
	if err != nil {
		return err
	}
	if g.JSON {
		return printJSON(sh, v)
	}
	switch v.Status {
	case "FAILED", "SUCCEEDED":
		fmt.Fprintf(sh.out, "%s is %s\n", id, v.Status)
	default:
		fmt.Fprintf(sh.out, "%s is %s; the request is recorded, follow it with drover job %s\n", id, v.Status, id)
	}
	return nil
}
