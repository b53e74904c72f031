package authz

import (
	"sync"
	"time"
)

// Denial is one refused request.
type Denial struct {
	RequestID string
	At        time.Time
	Principal string
	Action    string
	Resource  string
	Policy    string // the policy whose statement denied it; "" if none allowed it
	Statement string
	Reason    string // one sentence
}

// Denials keeps the newest refusals in memory. The zero value keeps none.
type Denials struct {
	mu   sync.Mutex // guards all below
	ring []Denial
	next int
	full bool
}

// NewDenials keeps the newest n refusals.
func NewDenials(n int) *Denials { return &Denials{ring: make([]Denial, n)} }

// Add keeps a refusal; the oldest makes room for it. A nil Denials keeps nothing.
func (d *Denials) Add(one Denial) {
	if d == nil || len(d.ring) == 0 {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ring[d.next] = one
	d.next++
	if d.next == len(d.ring) {
		d.next, d.full = 0, true
	}
}

// Of gives what was refused of the request, oldest first: a request may ask for many
// things, and only what was refused is kept.
func (d *Denials) Of(requestID string) []Denial {
	if d == nil {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	var found []Denial
	if d.full {
		found = pick(found, d.ring[d.next:], requestID)
	}
	return pick(found, d.ring[:d.next], requestID)
}

func pick(found, from []Denial, requestID string) []Denial {
	for i := range from {
		if from[i].RequestID == requestID {
			found = append(found, from[i])
		}
	}
	return found
}
