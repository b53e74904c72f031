package manager

import (
	"fmt"

	"drover/internal/core/job"
	"drover/internal/core/sched"
)

// dependencyWait says which jobs a PENDING unit still waits for.
func (e *entry) dependencyWait(i int32) *Wait {
	w := &Wait{Code: sched.CodeDependency, Remedy: "it starts by itself when they have succeeded"}
	switch {
	case e.open > 0:
		w.Reason = fmt.Sprintf("waits for %d of %d jobs it depends on", e.open, len(e.spec.Dependencies))
	case e.chained && i > 0:
		w.Reason = fmt.Sprintf("waits for child %d of its own array (SEQUENTIAL)", i-1)
	case len(e.paired) > 0 && i >= 0:
		for _, p := range e.paired {
			if p.array.Status(i) != job.Succeeded {
				w.Reason = "waits for " + job.Name(p.spec.ID, i) + " (N_TO_N)"
				return w
			}
		}
		w.Reason = "its dependencies have succeeded; it is about to be released"
	default:
		w.Reason = "its children wait for jobs they depend on"
	}
	return w
}
