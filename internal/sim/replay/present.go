package replay

import (
	"cmp"
	"slices"

	"drover/internal/core/forecast"
	"drover/internal/core/job"
	"drover/internal/manager"
)

// maxUnits bounds how many units of a server are looked at.
const maxUnits = 2_000_000

// FromPresent makes the setup that goes on from what a server is now. assumed is the number
// of units of which nobody knows how long they run; cut says that there are too many units,
// so that the last jobs are left out.
func FromPresent(p manager.Present, jobs []manager.PresentJob) (s Setup, assumed int, cut bool) {
	s = Setup{Start: p.At, Image: p.Image}
	for _, h := range p.Hosts {
		s.Hosts = append(s.Hosts, Host{Name: h.ID, Capacity: h.Capacity, Executors: h.Executors, Closed: !h.Connected})
	}
	slices.SortFunc(jobs, func(a, b manager.PresentJob) int { return cmp.Compare(a.Row.Key, b.Row.Key) })
	for i := range jobs {
		j := &jobs[i]
		if len(s.Known)+int(max(j.Spec.Size, 1)) > maxUnits {
			cut = true
			break
		}
		s.Image.Jobs = append(s.Image.Jobs, j.Loaded)
		assumed += known(&s, j)
	}
	return s, assumed, cut
}

// known adds the units of a job that have not ended.
func known(s *Setup, j *manager.PresentJob) (assumed int) {
	spec := j.Spec
	run := j.Run.Micros
	if run <= 0 {
		run = forecast.AssumedRun
	}
	base := Job{ID: int64(j.Row.Key), Run: run, MilliVCPU: spec.Need.MilliVCPU, MemoryMiB: spec.Need.MemoryMiB, GPU: spec.Need.GPU,
		Share: cmp.Or(spec.Share, spec.QuotaShare), Queue: spec.Queue, Priority: spec.Priority}
	add := func(k Known) {
		if j.Run.Basis == forecast.Unknown {
			assumed++
		}
		s.Known = append(s.Known, k)
	}
	if n := spec.Nodes; n != nil {
		base.MilliVCPU = 0
		for _, g := range n.Groups {
			base.MilliVCPU += g.Need.MilliVCPU * int64(g.Last-g.First+1)
		}
	}
	gone := map[int32]bool{}
	for _, t := range j.Touched {
		gone[t.Index] = true
	}
	for _, u := range j.Units {
		if _, node := job.NodeOf(u.Ref.Index); node || u.Status.Terminal() {
			continue
		}
		gone[u.Ref.Index] = true
		k := Known{Ref: u.Ref, Job: base}
		if u.Status.Live() {
			k.Host, k.Placed = mainHost(j, &u), u.Placed-s.Start
			k.Job.Run = max(run, 1-k.Placed)
			for _, e := range j.Ends {
				if e.Ref == u.Ref {
					k.Job.Run = max(e.At-u.Placed, 1-k.Placed)
				}
			}
			if !slices.ContainsFunc(s.Hosts, func(h Host) bool { return h.Name == k.Host }) {
				s.Hosts = append(s.Hosts, Host{Name: k.Host, Closed: true})
			}
		}
		add(k)
	}
	if spec.Size == 0 {
		if !gone[job.Whole] {
			add(Known{Ref: job.Ref{Key: j.Row.Key, Index: job.Whole}, Job: base})
		}
		return assumed
	}
	for i := range spec.Size {
		if !gone[i] && !j.Row.Base.Terminal() {
			add(Known{Ref: job.Ref{Key: j.Row.Key, Index: i}, Job: base})
		}
	}
	return assumed
}

// mainHost is the host of a unit that runs, of a gang that of its first node.
func mainHost(j *manager.PresentJob, u *manager.UnitRow) string {
	for i := range j.Units {
		if _, node := job.NodeOf(j.Units[i].Ref.Index); node && u.Host == "" && j.Units[i].Host != "" {
			return j.Units[i].Host
		}
	}
	return u.Host
}

// Drain is when a queue has started and ended all that it had.
type Drain struct {
	Queue   string  `json:"queue"`
	Waiting int     `json:"waiting"` // when the run began
	Empty   float64 `json:"emptySeconds"`
	Ended   float64 `json:"endedSeconds"`
	Never   int     `json:"neverStart,omitempty"`
}

// Drains finds when the queues of a run are empty.
func (t *Trace) Drains() []Drain {
	at := map[string]*Drain{}
	var out []*Drain
	for i := range t.Jobs {
		q := t.Jobs[i].Queue
		d := at[q]
		if d == nil {
			d = &Drain{Queue: q}
			at[q] = d
			out = append(out, d)
		}
		switch o := &t.Out[i]; o.State {
		case Waiting:
			d.Waiting++
			d.Never++
			continue
		case Before:
		default:
			d.Waiting++
			d.Empty = max(d.Empty, float64(o.Start)/second)
		}
		d.Ended = max(d.Ended, float64(t.end(i))/second)
	}
	slices.SortFunc(out, func(a, b *Drain) int { return cmp.Compare(a.Queue, b.Queue) })
	flat := make([]Drain, len(out))
	for i, d := range out {
		flat[i] = *d
	}
	return flat
}
