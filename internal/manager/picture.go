package manager

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"drover/internal/core/job"
)

// Picture writes what the Core knows of jobs that have not ended, of hosts and of the
// scheduler as text: a Core that made its decisions one by one must give the same picture
// as one rebuilt from the rows it left, once it is not Busy and all is durable. The fault
// simulation compares the two.
func (c *Core) Picture() string {
	var b strings.Builder
	fmt.Fprintf(&b, "next %d\n", c.next)
	for _, k := range c.keys() {
		e := c.peek(k)
		if e.unit.Status.Terminal() {
			continue
		}
		fmt.Fprintf(&b, "job %d %s open %d tags %v %s\n", k, e.spec.ID, e.open, e.tags, pictureUnit(e.unit))
		for n, u := range e.nodes {
			fmt.Fprintf(&b, " #%d %s\n", n, pictureUnit(u))
		}
		if e.array == nil {
			continue
		}
		fmt.Fprintf(&b, " base %s %q counts %v\n", e.array.Base(), e.why, e.array.Counts())
		e.array.Each(func(i int32, s job.Status) bool {
			fmt.Fprintf(&b, " %d %s\n", i, pictureUnit(e.array.Unit(i)))
			return true
		})
	}
	for _, name := range slices.Sorted(maps.Keys(c.consumables)) {
		r := c.consumables[name]
		fmt.Fprintf(&b, "consumable %s %d held %d\n", name, r.Total, r.held)
	}
	for _, id := range c.order {
		h := c.hosts[id]
		fmt.Fprintf(&b, "host %s %s leases %v\n", id, h.row.Boot, h.leases())
	}
	b.WriteString(c.sched.Picture())
	return b.String()
}

func pictureUnit(u job.Unit) string {
	exit := "-"
	if u.Exit != nil {
		x := *u.Exit
		x.Code = nil
		exit = fmt.Sprintf("%+v", x)
		if u.Exit.Code != nil {
			exit += fmt.Sprint(" code ", *u.Exit.Code)
		}
	}
	u.Exit = nil
	return fmt.Sprintf("%+v exit %s", u, exit)
}
