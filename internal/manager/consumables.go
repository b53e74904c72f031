package manager

import (
	"maps"
	"slices"

	"drover/internal/core/job"
)

// consumable is a consumable resource with what units hold of it. What is held follows
// from the units that run, and is found again after a restart; what was spent is in the
// record, written with the placement that spent it.
type consumable struct {
	job.Consumable
	held    int64 // by units that run
	deleted bool  // kept only because units hold some: one of its name is the same resource
	spent   bool  // the record has changed in the batch under way
}

// Stock is a consumable resource as it is now.
type Stock struct {
	job.Consumable
	InUse     int64
	Available int64 // never below 0, also when the total was set below what is in use
}

// stock follows AWS Batch: what a unit holds of a replenishable resource is in use; what
// it holds of another one is gone from the total already.
func (r *consumable) stock() Stock {
	s := Stock{Consumable: r.Consumable}
	if r.Replenishable {
		s.InUse = r.held
	}
	s.Available = max(s.Total-s.InUse, 0)
	return s
}

// all is how much there is for the scheduler, which counts what is held too.
func (r *consumable) all() int64 {
	if r.deleted {
		return 0
	}
	if r.Replenishable {
		return r.Total
	}
	return r.Total + r.held
}

// consumable finds a resource that was not deleted.
func (c *Core) consumable(name string) *consumable {
	if r := c.consumables[name]; r != nil && !r.deleted {
		return r
	}
	return nil
}

// CreateConsumable adds a consumable resource.
func (c *Core) CreateConsumable(r job.Consumable, now Instant) error {
	if c.consumable(r.Name) != nil {
		return taken("consumable resource", r.Name)
	}
	if len(c.consumables) >= job.MaxConsumables {
		return client("there are %d consumable resources, at most %d are allowed", len(c.consumables), job.MaxConsumables)
	}
	r.Created = now.Wall
	next := &consumable{Consumable: r}
	if old := c.consumables[r.Name]; old != nil {
		next.held = old.held
	}
	c.putConsumable(next)
	return nil
}

func (c *Core) putConsumable(r *consumable) {
	c.consumables[r.Name] = r
	c.feedConsumable(r)
	c.batch.Records = append(c.batch.Records, RecordRow{KindConsumable, r.Name, r.Consumable})
}

// UpdateConsumable changes a consumable resource.
func (c *Core) UpdateConsumable(name string, change func(*job.Consumable, int64) error, now Instant) (Stock, error) {
	r := c.consumable(name)
	if r == nil {
		return Stock{}, client("Consumable resource %s does not exist", name)
	}
	next := r.Consumable
	if err := change(&next, now.Wall); err != nil {
		return Stock{}, err
	}
	r.Consumable = next
	c.putConsumable(r)
	return r.stock(), nil
}

// DeleteConsumable removes a consumable resource. Jobs that need it wait until there is
// one of its name again.
func (c *Core) DeleteConsumable(name string) error {
	r := c.consumable(name)
	if r == nil {
		return nil
	}
	c.batch.Records = append(c.batch.Records, RecordRow{Kind: KindConsumable, Key: name})
	r.deleted = true
	c.feedConsumable(r)
	return nil
}

// Consumables lists the consumable resources by name.
func (c *Core) Consumables() []Stock {
	out := make([]Stock, 0, len(c.consumables))
	for _, name := range slices.Sorted(maps.Keys(c.consumables)) {
		if r := c.consumable(name); r != nil {
			out = append(out, r.stock())
		}
	}
	return out
}

// acceptableNeeds checks that the resources a job needs exist.
func (c *Core) acceptableNeeds(s *job.Spec) error {
	for _, n := range s.Consumables {
		if c.consumable(n.Name) == nil {
			return client("Consumable resource %s does not exist", n.Name)
		}
	}
	return nil
}

// count counts the job among those of its share that have not ended.
func (c *Core) count(e *entry, by int) {
	s := e.spec
	if s.Share == "" {
		return
	}
	active := c.shares[s.Queue]
	if active == nil {
		active = map[string]int{}
		c.shares[s.Queue] = active
	}
	if active[s.Share] += by; active[s.Share] == 0 {
		delete(active, s.Share)
	}
}

// holdAll counts what the units of a loaded job hold.
func (c *Core) holdAll(e *entry) {
	if len(e.spec.Consumables) == 0 {
		return
	}
	if e.array == nil {
		if e.unit.Status.Live() {
			c.holdConsumables(e)
		}
		return
	}
	for i, ok := e.array.Next(0); ok; i, ok = e.array.Next(i + 1) {
		if e.array.Status(i).Live() {
			c.holdConsumables(e)
		}
	}
}

// holdConsumables counts what a unit holds: from STARTING to the end of the attempt.
func (c *Core) holdConsumables(e *entry) {
	for _, n := range e.spec.Consumables {
		r := c.consumables[n.Name]
		if r == nil { // it was deleted, and the manager that knew it has ended
			r = &consumable{Consumable: job.Consumable{Name: n.Name}, deleted: true}
			r.Replenishable = true // the scheduler need not count what is spent of nothing
			c.consumables[n.Name] = r
		}
		r.held += n.Quantity
	}
}

// spend takes what a unit that enters STARTING needs of resources that are not
// replenishable off their totals, for good.
func (c *Core) spend(e *entry) {
	for _, n := range e.spec.Consumables {
		r := c.consumable(n.Name)
		if r == nil || r.Replenishable {
			continue
		}
		r.Total = max(r.Total-n.Quantity, 0)
		if !r.spent {
			r.spent = true
			c.used = append(c.used, r)
		}
	}
}

// freeConsumables gives back what a unit held.
func (c *Core) freeConsumables(e *entry) {
	for _, n := range e.spec.Consumables {
		r := c.consumables[n.Name]
		if r == nil {
			continue
		}
		if r.held -= n.Quantity; r.deleted {
			c.feedConsumable(r)
		}
	}
}

// writeSpent puts the records of what was spent into the batch, each once.
func (c *Core) writeSpent() {
	for _, r := range c.used {
		if r.spent = false; c.consumables[r.Name] == r && !r.deleted {
			c.batch.Records = append(c.batch.Records, RecordRow{KindConsumable, r.Name, r.Consumable})
		}
	}
	c.used = c.used[:0]
}
