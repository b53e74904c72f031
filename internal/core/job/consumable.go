package job

import "math"

// Consumable is a consumable resource: tokens that running units hold, such as licences.
type Consumable struct {
	Name          string             `json:"name"`
	Replenishable bool               `json:"replenishable"` // what a unit held comes back when it ends; else it is spent when it starts
	Total         int64              `json:"total"`         // what was spent is no part of it
	Created       int64              `json:"created"`       // µs
	Tags          map[string]string  `json:"tags,omitempty"`
	Updates       []ConsumableUpdate `json:"updates,omitempty"` // those with a client token, newest last
}

// ConsumableNeed is how much of a consumable resource a unit holds while it runs.
type ConsumableNeed struct {
	Name     string `json:"name"`
	Quantity int64  `json:"quantity"`
}

// ConsumableUpdate is a change of a resource's total; one with a token is remembered, so
// that its repetition changes nothing.
type ConsumableUpdate struct {
	Token     string `json:"token"`
	Operation string `json:"operation"` // SET, ADD or REMOVE
	Quantity  int64  `json:"quantity"`
	At        int64  `json:"at"` // µs
}

// The bounds of consumable resources.
const (
	MaxConsumables    = 50_000         // per account (AWS Batch User Guide, service quotas)
	MaxConsumableNeed = 16             // entries of consumableResourceProperties
	clientTokenTerm   = 8 * 3600 * 1e6 // µs that a client token is valid (AWS Batch API Reference)
	maxClientTokens   = 1000
	maxClientToken    = 64 // characters (AWS Batch API Reference)
)

// Update changes the total. A repeated token with the same words changes nothing; with
// other words it is refused.
func (c *Consumable) Update(u ConsumableUpdate, now int64) error {
	if u.Quantity < 0 {
		return invalid("quantity must not be negative, got %d", u.Quantity)
	}
	if len(u.Token) > maxClientToken {
		return invalid("clientToken has %d characters, at most %d are allowed", len(u.Token), maxClientToken)
	}
	kept := make([]ConsumableUpdate, 0, len(c.Updates)+1)
	for _, old := range c.Updates {
		if now-old.At >= clientTokenTerm {
			continue
		}
		if u.Token != "" && old.Token == u.Token {
			if old.Operation != u.Operation || old.Quantity != u.Quantity {
				return invalid("clientToken %q was used for %s %d; another update needs another token", u.Token, old.Operation, old.Quantity)
			}
			return nil
		}
		kept = append(kept, old)
	}
	total := c.Total
	switch u.Operation {
	case "SET":
		total = u.Quantity
	case "ADD":
		if u.Quantity > math.MaxInt64-total {
			return invalid("the total of %s would be above %d", c.Name, int64(math.MaxInt64))
		}
		total += u.Quantity
	case "REMOVE":
		if u.Quantity > total {
			return invalid("cannot remove %d of consumable resource %s: its total is %d", u.Quantity, c.Name, total)
		}
		total -= u.Quantity
	default:
		return invalid("operation %q must be one of SET, ADD, REMOVE", u.Operation)
	}
	if u.Token != "" {
		u.At = now
		kept = append(kept, u)
		kept = kept[max(0, len(kept)-maxClientTokens):]
	}
	c.Total, c.Updates = total, kept
	return nil
}

// CheckConsumables says what is wrong with a list of needs; nil if nothing is.
func CheckConsumables(list []ConsumableNeed) error {
	if len(list) > MaxConsumableNeed {
		return invalid("consumableResourceList has %d entries, at most %d are allowed", len(list), MaxConsumableNeed)
	}
	for i, n := range list {
		switch {
		case !ValidName(n.Name):
			return invalid("consumableResource %q must be the name or ARN of a consumable resource", n.Name)
		case n.Quantity < 1:
			return invalid("the quantity of consumable resource %s must be at least 1, got %d", n.Name, n.Quantity)
		}
		for _, o := range list[:i] {
			if o.Name == n.Name {
				return invalid("consumableResourceList names %s twice", n.Name)
			}
		}
	}
	return nil
}
