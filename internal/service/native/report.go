package native

import (
	"context"

	"drover/internal/core/fault"
	"drover/internal/core/job"
	"drover/internal/manager"
	"drover/internal/wire"
)

// GetReportInput names a job.
type GetReportInput struct{ Job *string }

// GetReportOutput is a job in numbers: while it runs and when it has ended.
type GetReportOutput struct {
	Job          string    `json:"job"`
	Name         string    `json:"name"`
	Status       string    `json:"status"`
	Counts       Counts    `json:"counts"`
	Attempts     int64     `json:"attempts"`
	Created      int64     `json:"created"`
	FirstStarted int64     `json:"firstStarted"` // 0 = nothing has started
	Stopped      int64     `json:"stopped"`      // 0 = not ended
	QueueWaitP50 int64     `json:"queueWaitP50"` // µs from being ready to the start of the first attempt
	QueueWaitP95 int64     `json:"queueWaitP95"`
	CpuMillis    int64     `json:"cpuMillis"`
	PeakMemKiB   int64     `json:"peakMemKiB"`
	BytesIn      int64     `json:"bytesIn"`
	BytesOut     int64     `json:"bytesOut"`
	Failures     []Failure `json:"failures"`
}

// Counts is how many children of an array are in each status; of a plain job one is 1.
type Counts struct {
	Submitted int64 `json:"submitted"`
	Pending   int64 `json:"pending"`
	Runnable  int64 `json:"runnable"`
	Starting  int64 `json:"starting"`
	Running   int64 `json:"running"`
	Succeeded int64 `json:"succeeded"`
	Failed    int64 `json:"failed"`
}

// Total is the sum.
func (c Counts) Total() int64 {
	return c.Submitted + c.Pending + c.Runnable + c.Starting + c.Running + c.Succeeded + c.Failed
}

// Ended is how many are done, well or not.
func (c Counts) Ended() int64 { return c.Succeeded + c.Failed }

// Failure is one kind of failure with an example.
type Failure struct {
	Cause     string `json:"cause,omitempty"`
	Count     int64  `json:"count"`
	ExitCode  *int32 `json:"exitCode,omitempty"`
	Reason    string `json:"reason,omitempty"`
	Example   string `json:"example"`             // id of a job or child that failed so
	Index     *int32 `json:"index,omitempty"`     // its number in the array
	Log       string `json:"log,omitempty"`       // its log stream in /aws/batch/job
	ErrorLine string `json:"errorLine,omitempty"` // the last line it wrote
}

var _ = wire.Op(Ops, "GetReport", (*Service).GetReport, path("getreport"), wire.Required("Job"))

// GetReport sums up a job.
func (s *Service) GetReport(ctx context.Context, in *GetReportInput) (*GetReportOutput, error) {
	id, _, err := unit(*in.Job)
	if err != nil {
		return nil, err
	}
	r, err := s.jobs.Report(ctx, id)
	if fault.Is(err, fault.NotFound) {
		return nil, missing(*in.Job)
	}
	if err != nil {
		return nil, err
	}
	out := &GetReportOutput{
		Job: r.ID.String(), Name: r.Name, Status: r.Status.String(), Counts: counts(&r.Counts),
		Attempts: r.Attempts, Created: r.Created, FirstStarted: r.FirstStarted, Stopped: r.Stopped,
		QueueWaitP50: r.QueueWaitP50, QueueWaitP95: r.QueueWaitP95,
		CpuMillis: r.CPUMillis, PeakMemKiB: r.PeakMemKiB, BytesIn: r.BytesIn, BytesOut: r.BytesOut,
	}
	for _, f := range r.Failures {
		out.Failures = append(out.Failures, failure(f))
	}
	return out, nil
}

func counts(c *job.Counts) Counts {
	n := func(s job.Status) int64 { return int64(c[s]) }
	return Counts{
		Submitted: n(job.Submitted), Pending: n(job.Pending), Runnable: n(job.Runnable), Starting: n(job.Starting),
		Running: n(job.Running), Succeeded: n(job.Succeeded), Failed: n(job.Failed),
	}
}

func failure(f manager.FailureGroup) Failure {
	out := Failure{
		Cause: string(f.Cause), Count: f.Count, ExitCode: f.ExitCode, Reason: f.Reason,
		Example: f.Example, Log: f.Log, ErrorLine: f.ErrorLine,
	}
	if f.ExampleIndex != job.Whole {
		out.Index = &f.ExampleIndex
	}
	return out
}
