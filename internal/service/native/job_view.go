package native

import (
	"context"

	"drover/internal/core/job"
	"drover/internal/manager"
	"drover/internal/wire"
)

// GetJobViewInput names a job or an array child.
type GetJobViewInput struct{ Job *string }

// GetJobViewOutput is all that is recorded of a job, in the words of AWS Batch where it
// has them.
type GetJobViewOutput struct {
	Job         string            `json:"job"`
	Name        string            `json:"name"`
	Queue       string            `json:"queue"`
	Definition  string            `json:"definition"`
	Image       string            `json:"image"`
	Command     []string          `json:"command,omitempty"`
	Status      string            `json:"status"`
	Reason      string            `json:"reason,omitempty"` // statusReason
	Size        int32             `json:"size"`             // children, of an array
	Counts      *Counts           `json:"counts,omitempty"`
	Nodes       int32             `json:"nodes,omitempty"`    // of a multi-node parallel job
	MainNode    int32             `json:"mainNode,omitempty"` // and which of them decides
	Created     int64             `json:"created"`
	Ready       int64             `json:"ready"` // when it became RUNNABLE; 0 = with its array, or not yet
	Started     int64             `json:"started"`
	Stopped     int64             `json:"stopped"`
	MilliVcpu   int64             `json:"milliVcpu"`
	MemoryMiB   int64             `json:"memoryMiB"`
	MaxAttempts int32             `json:"maxAttempts"`
	Timeout     int32             `json:"timeout,omitempty"` // seconds an attempt may take; 0 = no limit
	Stage       string            `json:"stage,omitempty"`
	Tags        map[string]string `json:"tags,omitempty"`
	DependsOn   []string          `json:"dependsOn,omitempty"`
	Attempts    []Attempt         `json:"attempts"`
	Wait        *Wait             `json:"wait,omitempty"`
	Forecast    *Forecast         `json:"forecast,omitempty"`
}

// Forecast is when a job will probably start and end: the scheduler run forward with the run
// times that are expected. Times are µs since 1970; 0 = it cannot be said.
type Forecast struct {
	At      int64  `json:"at"`                // when it was made
	Start   int64  `json:"start"`             // of what waits; of an array its first child that does
	End     int64  `json:"end"`               // of an array its last child
	Basis   string `json:"basis,omitempty"`   // what the job's own run time rests on
	Assumed int    `json:"assumed,omitempty"` // units that go before it of which nothing is known; an hour is assumed
	Further bool   `json:"further,omitempty"` // the forecast looks no further: not before these times
	Guessed bool   `json:"guessed,omitempty"` // beyond the forecast, at the pace up to there
}

func forecast(f *manager.Forecast) *Forecast {
	if f == nil {
		return nil
	}
	return &Forecast{At: f.At, Start: f.Start, End: f.End, Basis: f.Basis, Assumed: f.Assumed, Further: f.Further, Guessed: f.Guessed}
}

// Attempt is one attempt of a job.
type Attempt struct {
	Number      int32  `json:"number"`
	Host        string `json:"host,omitempty"`
	Environment string `json:"environment,omitempty"`
	Log         string `json:"log,omitempty"` // empty if its containers have each their own
	Placed      int64  `json:"placed"`
	Started     int64  `json:"started"` // 0 = the command never ran
	Stopped     int64  `json:"stopped"` // 0 = under way
	ExitCode    *int32 `json:"exitCode,omitempty"`
	Cause       string `json:"cause,omitempty"`  // class of the failure; empty if it did not fail
	Reason      string `json:"reason,omitempty"` // why it ended
	ErrorLine   string `json:"errorLine,omitempty"`
	CpuMillis   int64  `json:"cpuMillis"`
	PeakMemKiB  int64  `json:"peakMemKiB"`
	BytesIn     int64  `json:"bytesIn"`
	BytesOut    int64  `json:"bytesOut"`

	Containers []Container `json:"containers,omitempty"` // of a job of several containers
}

// Container is one of the containers of an attempt that has several.
type Container struct {
	Name     string `json:"name"`
	Log      string `json:"log"`
	ExitCode *int32 `json:"exitCode,omitempty"` // absent until the attempt has ended, and if it did not run
	Reason   string `json:"reason,omitempty"`
}

// Wait says why a job does not run yet.
type Wait struct {
	Code     string `json:"code"`
	Reason   string `json:"reason,omitempty"`
	Remedy   string `json:"remedy,omitempty"`
	Position int64  `json:"position,omitempty"` // 1 = next in its queue; 0 = in no order
}

var _ = wire.Op(Ops, "GetJobView", (*Service).GetJobView, path("getjobview"), wire.Required("Job"))

// GetJobView describes one job, array child or node with all its attempts and, while it waits,
// the reason; until it has ended also with a forecast.
func (s *Service) GetJobView(ctx context.Context, in *GetJobViewInput) (*GetJobViewOutput, error) {
	if _, _, err := unit(*in.Job); err != nil {
		return nil, err
	}
	views, err := s.jobs.Describe(ctx, []string{*in.Job})
	if err != nil {
		return nil, err
	}
	if len(views) == 0 {
		return nil, missing(*in.Job)
	}
	if err := s.jobs.Foresee(ctx, views); err != nil {
		return nil, err
	}
	return view(&views[0]), nil
}

func view(v *manager.View) *GetJobViewOutput {
	out := &GetJobViewOutput{
		Job: job.Name(v.Spec.ID, v.Index), Name: v.Spec.Name, Queue: v.Spec.Queue, Definition: v.Spec.Definition,
		Image: v.Spec.Image, Command: v.Spec.Command,
		Status: v.Unit.Status.String(), Reason: v.Unit.StatusReason,
		Created: v.Created, Ready: v.Unit.Ready, Started: v.Unit.Started, Stopped: v.Unit.Stopped,
		MilliVcpu: v.Spec.Need.MilliVCPU, MemoryMiB: v.Spec.Need.MemoryMiB,
		MaxAttempts: v.Spec.Retry.Max(), Timeout: v.Spec.TimeoutSeconds, Stage: v.Spec.Stage, Tags: v.Spec.Tags,
	}
	if v.Index == job.Whole {
		out.Size = v.Spec.Size
	}
	if n := v.Spec.Nodes; n != nil {
		if node, ok := job.NodeOf(v.Index); ok {
			g := n.Of(node)
			out.Image, out.Command, out.MilliVcpu, out.MemoryMiB = g.Image, g.Command, g.Need.MilliVCPU, g.Need.MemoryMiB
		} else {
			out.Nodes, out.MainNode = n.Count, n.Main
		}
	}
	if v.Counts != nil {
		c := counts(v.Counts)
		out.Counts = &c
	}
	for _, d := range v.Spec.Dependencies {
		if d.Kind != job.Sequential {
			out.DependsOn = append(out.DependsOn, d.ID.String())
		}
	}
	for i := range v.Attempts {
		out.Attempts = append(out.Attempts, attempt(v.Spec.PodOf(v.Index), &v.Attempts[i]))
	}
	if w := v.Wait; w != nil {
		out.Wait = &Wait{Code: w.Code, Reason: w.Reason, Remedy: w.Remedy, Position: w.Position}
	}
	out.Forecast = forecast(v.Forecast)
	return out
}

func attempt(p *job.Pod, a *manager.Attempt) Attempt {
	out := Attempt{
		Number: a.Number, Host: a.Host, Environment: a.Environment, Log: a.Log,
		Placed: a.Placed, Started: a.Started, Stopped: a.Stopped, Reason: a.Why,
	}
	if e := a.Exit; e != nil {
		out.ExitCode, out.Cause, out.ErrorLine = e.Code, string(e.Cause), e.ErrorLine
		if e.Reason != "" {
			out.Reason = e.Reason
		}
		out.CpuMillis, out.PeakMemKiB = e.Usage.CPUMillis, e.Usage.PeakMemKiB
		out.BytesIn, out.BytesOut = e.Usage.BytesIn, e.Usage.BytesOut
	}
	if p == nil || a.Log == "" {
		return out
	}
	out.Log = ""
	out.Containers = make([]Container, len(p.Members))
	for i := range p.Members {
		c := &out.Containers[i]
		c.Name, c.Log = p.Members[i].Name, job.MemberLog(a.Log, p.Members[i].Name)
		if a.Exit != nil && i < len(a.Exit.Members) {
			c.ExitCode, c.Reason = a.Exit.Members[i].Code, a.Exit.Members[i].Reason
		}
	}
	return out
}
