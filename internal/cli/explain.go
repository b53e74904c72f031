package cli

import (
	"context"
	"fmt"
	"io"
	"time"

	"drover/internal/service/native"
)

// explainCommand is `drover explain`.
type explainCommand struct {
	ID string `arg:"" help:"Job, array, or child (ID:INDEX)."`
}

// Help is shown by drover explain --help.
func (*explainCommand) Help() string {
	return `Says why a job does not run: the check that fails, with what was asked and what is there, its place in the queue, what would unblock it, and when it will probably start.

  drover explain 7e0c0f9a-5b1c-4d5e-8f43-2f7d3a1c9b11`
}

// explained is the answer for programs.
type explained struct {
	Job    string       `json:"job"`
	Queue  string       `json:"queue"`
	Status string       `json:"status"`
	Wait   *native.Wait `json:"wait,omitempty"` // absent: it does not wait

	Forecast *native.Forecast `json:"forecast,omitempty"` // absent: it cannot be said
}

// Run carries out the command.
func (c *explainCommand) Run(ctx context.Context, sh *shell, g *globals) error {
	conn, err := g.connect(ctx, sh)
	if err != nil {
		return err
	}
	v, err := conn.view(ctx, c.ID)
	if err != nil {
		return err
	}
	if g.JSON {
		return printJSON(sh, explained{v.Job, v.Queue, v.Status, v.Wait, v.Forecast})
	}
	if v.Wait == nil {
		fmt.Fprintln(sh.out, unwaiting(v, time.Now()))
		printForecast(sh.out, v, time.Now())
		return nil
	}
	fmt.Fprintf(sh.out, "job %s is %s: %s\n", v.Job, v.Status, v.Wait.Reason)
	if v.Wait.Position > 0 {
		fmt.Fprintf(sh.out, "place %s in queue %s\n", grouped(v.Wait.Position), v.Queue)
	}
	if v.Wait.Remedy != "" {
		fmt.Fprintf(sh.out, "what would help: %s\n", v.Wait.Remedy)
	}
	printForecast(sh.out, v, time.Now())
	fmt.Fprintf(sh.out, "code %s\n", v.Wait.Code)
	return nil
}

// unwaiting says of a job that waits for no place what it does instead.
func unwaiting(v *native.GetJobViewOutput, now time.Time) string {
	if n := len(v.Attempts); v.Status == "STARTING" && n > 0 {
		a := &v.Attempts[n-1]
		return fmt.Sprintf("job %s is STARTING: host %s has been making it ready for %s: it fetches the image, declared data and secrets, if there are any; what fails there ends the attempt, with the reason",
			v.Job, a.Host, spent(max(now.Sub(time.UnixMicro(a.Placed)), 0)))
	}
	return fmt.Sprintf("job %s is %s and waits for nothing", v.Job, v.Status)
}

// printForecast says when a job will probably start and end.
func printForecast(out io.Writer, v *native.GetJobViewOutput, now time.Time) {
	f := v.Forecast
	if f == nil {
		return
	}
	start, end := "starts", "ends"
	if v.Size > 0 {
		start, end = "its next child starts", "its last child ends"
	}
	if f.Start > 0 {
		text := start + " " + ahead(now, f.Start, f.Further)
		switch {
		case v.Size > 0:
		case f.Guessed:
			text += ", at the pace at which the queue moves now"
		case f.Basis != "":
			text += "; its run time is taken from " + f.Basis
		}
		fmt.Fprintln(out, text)
	}
	if f.End > 0 && (f.Start == 0 || v.Size > 0 || !f.Further) {
		fmt.Fprintln(out, end+" "+ahead(now, f.End, f.Further))
	}
	if f.Assumed > 0 {
		fmt.Fprintf(out, "of %s units that start before it nothing is known: they count as an hour each (give them a timeout, or the queue the tag drover:expected-seconds)\n", grouped(int64(f.Assumed)))
	}
}

// ahead writes when something will be, or before when it will not be.
func ahead(now time.Time, at int64, further bool) string {
	t := time.UnixMicro(at)
	d, layout := t.Sub(now), "15:04:05"
	if d >= 24*time.Hour {
		layout = "2006-01-02 15:04"
	}
	switch {
	case further:
		return fmt.Sprintf("in more than %s, after %s: the forecast looks no further", spent(max(d, 0)), t.Format(layout))
	case d < time.Second:
		return "about now"
	}
	return fmt.Sprintf("in about %s, at %s", spent(d), t.Format(layout))
}
