package manager

import (
	"cmp"

	"drover/internal/core/job"
)

// growthLimit bounds the memory of a retry, in multiples of what the job asks for.
const growthLimit = 8

// moreMemory is the memory of the attempt that follows one that ran out of it: twice as
// much, up to growthLimit times what the job asks for, and never more than the largest
// host has, for there it would wait for ever.
func (c *Core) moreMemory(e *entry, u job.Unit) int64 {
	asked := e.spec.Need.MemoryMiB
	now := cmp.Or(u.MemoryMiB, asked)
	largest := now
	for _, id := range c.order {
		largest = max(largest, c.hosts[id].row.Capacity.MemoryMiB)
	}
	return min(2*now, growthLimit*asked, largest)
}
