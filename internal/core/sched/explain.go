package sched

import (
	"fmt"

	"drover/internal/core/job"
	"drover/internal/core/resource"
)

// Codes of a wait. The CAPACITY and MISCONFIGURATION ones are AWS Batch's own words.
const (
	CodeCapacity    = "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY"
	CodeEnvironment = "MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE"
	CodeResource    = "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT"
	CodeDisabled    = "DROVER:ENVIRONMENT_DISABLED"
	CodeEngine      = "DROVER:NO_CONTAINER_ENGINE"
	CodeHostJobs    = "DROVER:HOST_JOBS_NOT_ALLOWED"
	CodeNoHost      = "DROVER:NO_HOST"
	CodeDependency  = "DROVER:DEPENDENCY"
	CodeNext        = "DROVER:NEXT"
)

// Reason is why a unit waits: a code, a sentence with numbers, and what would unblock it.
type Reason struct {
	Code, Text, Remedy string
	Position           int64 // 1 = first in its queue; 0 = it does not wait here
}

func because(code, text, remedy string) Reason {
	return Reason{Code: code, Text: text, Remedy: remedy}
}

// Explain says why units of a shape wait in a queue. It names the check that fails in the
// environment that comes closest to running them.
func (s *State) Explain(queueName string, d Demand, r job.Ref, now int64) Reason {
	shape := d.Shape
	q := s.queue(queueName)
	if q == nil {
		return because(CodeDisabled, "the job queue "+queueName+" does not exist any more", "terminate the job")
	}
	best, rank := because(CodeDisabled, "the job queue "+q.Name+" has no compute environment", "add one with UpdateJobQueue"), -1
	for _, name := range q.Environments {
		if r, n := s.check(name, shape); n > rank {
			best, rank = r, n
		}
	}
	return best
}

// check runs the placement's own checks in order; the later one fails, the higher its rank.
func (s *State) check(name string, shape Shape) (Reason, int) {
	e := s.environment(name)
	need := shape.Need
	switch {
	case e == nil || e.gone || !e.Enabled:
		return because(CodeDisabled, "compute environment "+name+" is disabled", "enable it with UpdateComputeEnvironment"), 0
	case shape.Executor == Process && !e.HostJobs:
		return because(CodeHostJobs, "image host means a process of the host, and compute environment "+name+" does not allow that", "use the environment local, or tag this one drover:host-jobs=true"), 1
	case need.MilliVCPU > e.MaxMilliVCPU:
		return because(CodeEnvironment, fmt.Sprintf("asked %s vCPUs, compute environment %s has maxvCpus %s", resource.FormatVCPU(need.MilliVCPU), name, resource.FormatVCPU(e.MaxMilliVCPU)), "ask for less or raise maxvCpus"), 2
	}
	var open, able, large int
	var widest resource.Vector
	for _, h := range s.hosts {
		if !h.open {
			continue
		}
		open++
		if !h.has(shape.Executor) {
			continue
		}
		able++
		if need.Fits(h.capacity) {
			large++
		}
		if h.capacity.MilliVCPU >= widest.MilliVCPU {
			widest = h.capacity
		}
	}
	switch {
	case open == 0:
		return because(CodeNoHost, "no worker is connected", "start one with drover worker, or wait for it to come back"), 3
	case able == 0 && shape.Executor == Docker:
		return because(CodeEngine, "the job's image needs a container engine, and no connected host has one", "use image host, or install a container engine on a host"), 4
	case able == 0:
		return because(CodeNoHost, "no connected host runs processes", "start one with drover worker"), 4
	case large == 0:
		return because(CodeResource, "no host is large enough: "+need.Missing(widest), "ask for less, or add a larger host"), 5
	case e.used+need.MilliVCPU > e.MaxMilliVCPU:
		return because(CodeCapacity, fmt.Sprintf("compute environment %s runs %s of its %s vCPUs, the job asks %s", name, resource.FormatVCPU(e.used), resource.FormatVCPU(e.MaxMilliVCPU), resource.FormatVCPU(need.MilliVCPU)), "wait for jobs to end, or raise maxvCpus"), 6
	}
	var free resource.Vector
	for _, h := range s.hosts {
		if h.open && h.has(shape.Executor) && need.Fits(h.capacity) {
			if need.Fits(h.free) {
				return because(CodeNext, "there is room; the job is next to be placed", ""), 8
			}
			if h.free.MilliVCPU >= free.MilliVCPU {
				free = h.free
			}
		}
	}
	return because(CodeCapacity, "hosts are busy: "+need.Missing(free), "wait for jobs to end, or add a host"), 7
}
