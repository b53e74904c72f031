package replay

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"drover/internal/core/job"
	"drover/internal/core/resource"
	"drover/internal/core/tape"
	"drover/internal/manager"
)

// FromStory makes a setup of a recorded history: what waited and ran comes again at the time
// at which it became ready, and runs as long as it did; a retried attempt is a job of its
// own. Queues and hosts are those of the history's end, hosts all that ever were. Units that
// were ready before since (µs) are left out, and so are those that did not run to their end.
// A policy that is not "" holds for all queues.
func FromStory(s *tape.Story, since int64, policy string) (Setup, *Trace) {
	out := Setup{Image: imageOf(&s.Config, policy)}
	at := map[string]int32{}
	for _, id := range slices.Sorted(maps.Keys(s.Config.Hosts)) {
		h := s.Config.Hosts[id]
		at[id] = int32(len(out.Hosts))
		out.Hosts = append(out.Hosts, Host{Name: id, Capacity: h.Need, Executors: []string{"process"}})
	}
	units := slices.Clone(s.Units)
	slices.SortStableFunc(units, func(a, b tape.Unit) int { return cmp.Compare(a.Ready, b.Ready) })
	real := &Trace{Hosts: out.Hosts, Parts: partsOf(out.Image)}
	for _, u := range units {
		if u.Ready < since || u.Placed == 0 || u.Ended == 0 || len(u.Demand.Groups) > 0 || u.Demand.Nodes > 1 {
			continue
		}
		d := &u.Demand
		j := Job{ID: int64(u.Ref.Key), Submit: u.Ready, Run: max(u.Ended-u.Placed, 1), Estimate: int64(d.Timeout) * second, MilliVCPU: d.Need.MilliVCPU, MemoryMiB: d.Need.MemoryMiB, GPU: d.Need.GPU,
			Share: d.Share, Queue: u.Queue, Priority: d.Priority}
		if j.Estimate > 0 {
			j.Estimate = max(j.Estimate, j.Run)
		}
		for _, t := range d.Tokens {
			j.Tokens = append(j.Tokens, job.ConsumableNeed{Name: t.Name, Quantity: t.Quantity})
		}
		if _, ok := s.Config.Queues[u.Queue]; !ok {
			continue // the queue was deleted since
		}
		if len(out.Jobs) == 0 {
			out.Start = u.Ready
		}
		out.Jobs = append(out.Jobs, j)
		real.Out = append(real.Out, Outcome{Start: u.Placed - out.Start, Host: at[u.Host], State: Ended})
	}
	real.Jobs = out.Jobs
	return out, real
}

// imageOf is a recorded configuration.
func imageOf(c *tape.Config, policy string) manager.Image {
	var img manager.Image
	for _, name := range slices.Sorted(maps.Keys(c.Environments)) {
		e := c.Environments[name]
		e.Enabled, e.HostJobs = true, true
		img.Environments = append(img.Environments, e)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Queues)) {
		q := c.Queues[name]
		q.Enabled, q.Policy, q.TimeLimits, q.MaxRunning = true, "", nil, 0
		q.Tags = tagged(q.Tags)
		if policy != "" {
			q.Tags["drover:policy"] = policy
		}
		if f := c.Fair[name]; f != nil {
			q.Policy = name
			p := job.SchedulingPolicy{Name: name, Fair: &job.FairShare{DecaySeconds: f.ShareDecaySeconds, Reservation: f.ComputeReservation}}
			for _, w := range f.Weights {
				p.Fair.Weights = append(p.Fair.Weights, job.ShareWeight{Share: w.Identifier, Weight: int64(w.Factor*job.WeightOne + 0.5)})
			}
			img.Policies = append(img.Policies, p)
		}
		img.Queues = append(img.Queues, q)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Tokens)) {
		if t := c.Tokens[name]; !strings.HasPrefix(name, "max-running of job queue ") {
			img.Consumables = append(img.Consumables, job.Consumable{Name: name, Total: t.Total, Replenishable: t.Replenishable})
		}
	}
	return img
}

// LeaveOut drops the jobs of a setup that fit on none of its hosts, and returns how many.
func (s *Setup) LeaveOut() int {
	before := len(s.Jobs)
	s.Jobs = slices.DeleteFunc(s.Jobs, func(j Job) bool {
		return !slices.ContainsFunc(s.Hosts, func(h Host) bool { return fits(&j, h.Capacity) })
	})
	return before - len(s.Jobs)
}

func fits(j *Job, c resource.Vector) bool { return j.need().Fits(c) }
