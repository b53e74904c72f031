package upkeep

import "time"

// StoredBucket is a line of a list of buckets.
type StoredBucket struct {
	Name    string    `json:"name"`
	Created time.Time `json:"created"`
	Mount   string    `json:"mount,omitempty"` // what it passes through to; "" = it is drover's own
}
