package manager

import (
	"cmp"
	"slices"

	"drover/internal/core/job"
)

// The usage by which a fair share policy decides must outlive the manager: otherwise a
// restart would give a share that has just used the whole queue the same rank as one that
// waited. It is kept per share and minute, as the vCPU time of attempts by the minute in
// which they ended, and charged to the scheduler again when a manager begins. What
// attempts that run have used follows from when they were placed. So a restart loses no
// usage, and ages it by a minute at most.
const usageBucket = 60 * 1_000_000 // µs

// UsageRow is an addition to what a share has used.
type UsageRow struct {
	At           int64 // µs; start of its minute
	Queue, Share string
	Amount       int64 // thousandths of a vCPU times milliseconds
}

// charge counts the attempt, or the node of one, that ends now and held so much.
func (c *Core) charge(e *entry, u job.Unit, milliVCPU int64, now Instant) {
	s := e.spec
	if s.Share == "" || c.policies[c.queues[s.Queue].Policy].Fair == nil || now.Wall <= u.Placed {
		return
	}
	row := UsageRow{At: now.Wall - now.Wall%usageBucket, Queue: s.Queue, Share: s.Share}
	if c.usage == nil {
		c.usage = map[UsageRow]int64{}
	}
	c.usage[row] += milliVCPU * ((now.Wall - u.Placed) / 1000)
}

// writeUsage puts what the batch under way adds into it.
func (c *Core) writeUsage() {
	for row, amount := range c.usage {
		row.Amount = amount
		c.batch.Usage = append(c.batch.Usage, row)
	}
	clear(c.usage)
	slices.SortFunc(c.batch.Usage, func(a, b UsageRow) int {
		return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(a.Queue, b.Queue), cmp.Compare(a.Share, b.Share))
	})
}

// recharge tells the scheduler what the shares used before this manager began.
func (c *Core) recharge(rows []UsageRow) {
	for _, r := range rows {
		if c.policies[c.queues[r.Queue].Policy].Fair != nil {
			c.sched.Charge(r.Queue, r.Share, float64(r.Amount)*1000, r.At+usageBucket/2)
		}
	}
}
