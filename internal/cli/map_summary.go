package cli

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"drover/internal/service/native"

	"github.com/aws/aws-sdk-go-v2/aws"
	cloudwatch "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
)

// mapSummary is what a run comes to; with --json it is printed as it is.
type mapSummary struct {
	Job          string                  `json:"job"`
	Out          string                  `json:"out"`
	Seconds      float64                 `json:"seconds"`   // from the start of drover map
	PerSecond    float64                 `json:"perSecond"` // jobs ended, over the same time
	Map          native.GetReportOutput  `json:"map"`
	Reduce       *native.GetReportOutput `json:"reduce,omitempty"`
	Reduced      []string                `json:"reduced,omitempty"` // results of the reduce
	Fetched      int64                   `json:"fetched"`           // results brought to a folder
	FetchedBytes int64                   `json:"fetchedBytes"`
	Earlier      int64                   `json:"earlier,omitempty"` // succeeded before this run went on
	Failures     []failureExample        `json:"failures,omitempty"`
	Interrupted  bool                    `json:"interrupted,omitempty"`
	Resume       string                  `json:"resume,omitempty"` // the command that goes on, unless all succeeded
}

// failureExample is one kind of failure with an input that failed so and its last words.
type failureExample struct {
	native.Failure
	Input string   `json:"input,omitempty"`
	Lines []string `json:"lines,omitempty"`
}

// ok reports whether everything succeeded.
func (s *mapSummary) ok() bool {
	return s.Map.Status == "SUCCEEDED" && (s.Reduce == nil || s.Reduce.Status == "SUCCEEDED")
}

// lastWords is how many lines of a failed job's log are shown.
const lastWords = 5

// conclude prints the summary, cleans up and gives the exit status.
func (m *mapper) conclude(ctx context.Context, s *mapSummary) error {
	m.show.clear()
	took := time.Since(m.begun)
	s.Seconds = took.Seconds()
	s.PerSecond = float64(s.Map.Counts.Ended()) / s.Seconds
	s.Interrupted = m.interrupted.Load()
	s.Earlier = m.run.Items - m.run.Stages[m.stage].Items
	s.Failures = m.examples(ctx, s)
	if !s.ok() {
		s.Resume = m.again()
	}
	if m.json {
		if err := printJSON(m.sh, s); err != nil {
			return err
		}
	} else {
		s.print(m.sh.out)
	}
	switch {
	case s.Interrupted && !s.ok():
		return quiet(exitInterrupted)
	case !s.ok():
		return quiet(exitJobs)
	}
	if !m.run.Keep {
		m.discard(ctx)
	}
	return nil
}

// examples adds input and last words to each kind of failure.
func (m *mapper) examples(ctx context.Context, s *mapSummary) []failureExample {
	var all []failureExample
	for _, f := range s.Map.Failures {
		e := failureExample{Failure: f, Lines: m.lastWords(ctx, f)}
		switch {
		case f.Index != nil && int(*f.Index) < len(m.pending):
			e.Input = m.items[m.pending[*f.Index]].Path
		case f.Index == nil && len(m.pending) == 1:
			e.Input = m.items[m.pending[0]].Path
		}
		all = append(all, e)
	}
	if r := s.Reduce; r != nil && s.Map.Status == "SUCCEEDED" {
		for _, f := range r.Failures {
			all = append(all, failureExample{Failure: f, Input: "the reduce", Lines: m.lastWords(ctx, f)})
		}
	}
	return all
}

// lastWords is the end of a failed job's log, or the one line that is recorded with it.
func (m *mapper) lastWords(ctx context.Context, f native.Failure) (lines []string) {
	if f.Log != "" {
		out, err := m.conn.logEvents(ctx, &cloudwatch.GetLogEventsInput{LogStreamName: &f.Log, Limit: aws.Int32(lastWords)})
		if err == nil {
			for _, e := range out.Events {
				lines = append(lines, aws.ToString(e.Message))
			}
		}
	}
	if len(lines) == 0 && f.ErrorLine != "" {
		lines = []string{f.ErrorLine}
	}
	return lines
}

// print writes the summary for people.
func (s *mapSummary) print(out io.Writer) {
	c := s.Map.Counts
	total := c.Total()
	took := time.Duration(s.Seconds * float64(time.Second))
	if c.Failed == 0 && c.Succeeded == total {
		fmt.Fprintf(out, "%s succeeded in %s", counted(total, "job"), spent(took))
	} else {
		fmt.Fprintf(out, "%s of %s succeeded, %s failed in %s", grouped(c.Succeeded), counted(total, "job"), grouped(c.Failed), spent(took))
	}
	fmt.Fprintf(out, " (%s)", perSecond(s.PerSecond))
	if s.Earlier > 0 {
		fmt.Fprintf(out, "; %s had succeeded before", grouped(s.Earlier))
	}
	fmt.Fprintf(out, "\n%s, queue wait p50 %s, p95 %s, CPU %s\n", counted(s.Map.Attempts, "attempt"),
		spent(micros(s.Map.QueueWaitP50)), spent(micros(s.Map.QueueWaitP95)), spent(time.Duration(s.Map.CpuMillis)*time.Millisecond))
	switch {
	case s.Fetched > 0:
		fmt.Fprintf(out, "results: %s (%s, %s)\n", s.Out, counted(s.Fetched, "file"), sized(s.FetchedBytes))
	case c.Succeeded > 0:
		fmt.Fprintf(out, "results: %s\n", s.Out)
	}
	if r := s.Reduce; r != nil && r.Status == "SUCCEEDED" {
		fmt.Fprintf(out, "reduced: %s\n", strings.Join(s.Reduced[:min(len(s.Reduced), 10)], "\n         "))
		if n := len(s.Reduced) - 10; n > 0 {
			fmt.Fprintf(out, "         and %s\n", counted(int64(n), "other file"))
		}
	}
	for _, f := range s.Failures {
		f.print(out)
	}
	if s.Reduce != nil && s.Reduce.Status != "SUCCEEDED" && s.Map.Status != "SUCCEEDED" {
		fmt.Fprintln(out, "the reduce did not run, for it needs every result")
	}
	if s.Resume != "" {
		fmt.Fprintf(out, "run what has not succeeded with: %s\n", s.Resume)
	}
}

// print writes one kind of failure.
func (f *failureExample) print(out io.Writer) {
	what := f.Cause
	switch {
	case f.Cause == "exit" && f.ExitCode != nil:
		what = fmt.Sprintf("exit code %d", *f.ExitCode)
	case f.Reason != "":
		what = f.Reason
	}
	fmt.Fprintf(out, "failed, %s: %s", what, counted(f.Count, "job"))
	if f.Input != "" {
		fmt.Fprintf(out, ", such as %s", f.Input)
	}
	if f.Example != "" {
		fmt.Fprintf(out, " (drover logs %s)", f.Example)
	}
	fmt.Fprintln(out)
	for _, l := range f.Lines {
		fmt.Fprintf(out, "  | %s\n", l)
	}
}
