package job

import "encoding/json"

// QuotaShare is a part of a queue's capacity that is kept for jobs which name it.
type QuotaShare struct {
	Name    string            `json:"name"`
	Queue   string            `json:"queue"` // queue name
	Enabled bool              `json:"enabled"`
	Limits  []CapacityLimit   `json:"limits"`
	Lends   bool              `json:"lends,omitempty"`   // what it leaves idle may be borrowed by others (LEND, LEND_AND_BORROW)
	Borrows bool              `json:"borrows,omitempty"` // it may use what others leave idle (LEND_AND_BORROW)
	Borrow  int32             `json:"borrow,omitempty"`  // percent of its limits that it may borrow; Unlimited = as much as there is
	Urgent  bool              `json:"urgent,omitempty"`  // its jobs of higher schedulingPriority stop those of lower (inSharePreemption)
	Tags    map[string]string `json:"tags,omitempty"`
	Detail  json.RawMessage   `json:"detail,omitempty"`
}

// CapacityLimit bounds one unit of capacity.
type CapacityLimit struct {
	Unit string `json:"unit"` // one of CapacityUnits
	Max  int64  `json:"max"`
}

// CapacityUnits are the units that a quota share of container jobs can be limited in. The
// service jobs of AWS use instance types instead.
func CapacityUnits() []string { return []string{"VCPU", "GPU"} }

// The bounds of quota shares (AWS Batch API Reference).
const (
	Unlimited         = -1 // the default borrowLimit
	MaxQuotaShares    = 20 // per queue
	MaxCapacityLimits = 5  // per share
)

// Key names the share among those of all queues.
func (q *QuotaShare) Key() string { return QuotaKey(q.Queue, q.Name) }

// QuotaKey names a share of a queue among those of all queues.
func QuotaKey(queue, share string) string { return queue + "/" + share }

// Max is the limit of the share in a unit; 0 = none.
func (q *QuotaShare) Max(unit string) int64 {
	for _, l := range q.Limits {
		if l.Unit == unit {
			return l.Max
		}
	}
	return 0
}

// Check says what is wrong with a quota share; nil if nothing is.
func (q *QuotaShare) Check() error {
	switch {
	case !ValidName(q.Name):
		return invalid("quotaShareName %q must be 1 to 128 letters, digits, - and _", q.Name)
	case len(q.Limits) == 0 || len(q.Limits) > MaxCapacityLimits:
		return invalid("capacityLimits needs 1 to %d entries, got %d", MaxCapacityLimits, len(q.Limits))
	case !q.Borrows && q.Borrow != 0:
		return invalid("borrowLimit is only for strategy LEND_AND_BORROW")
	case q.Borrow < Unlimited:
		return invalid("borrowLimit must be a percentage, or -1 for no limit, got %d", q.Borrow)
	}
	for i, l := range q.Limits {
		known := false
		for _, u := range CapacityUnits() {
			known = known || u == l.Unit
		}
		if !known {
			return invalid("capacityUnit %q must be VCPU or GPU: drover's quota shares are for container jobs", l.Unit)
		}
		if l.Max < 1 {
			return invalid("the maxCapacity of %s must be at least 1, got %d", l.Unit, l.Max)
		}
		for _, o := range q.Limits[:i] {
			if o.Unit == l.Unit {
				return invalid("capacityLimits names %s twice", l.Unit)
			}
		}
	}
	return nil
}
