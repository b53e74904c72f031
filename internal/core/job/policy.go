package job

import (
	"encoding/json"
	"strings"
)

// SchedulingPolicy says how the jobs of a queue share its capacity.
type SchedulingPolicy struct {
	Name   string            `json:"name"`
	Fair   *FairShare        `json:"fair,omitempty"`  // nil = quota shares
	Quota  bool              `json:"quota,omitempty"` // the queue is divided into quota shares
	Tags   map[string]string `json:"tags,omitempty"`
	Detail json.RawMessage   `json:"detail,omitempty"` // as it came, to echo
}

// FairShare divides a queue's capacity by share identifier.
type FairShare struct {
	DecaySeconds int32         `json:"decaySeconds,omitempty"` // 0 = the shortest window, 600
	Reservation  int32         `json:"reservation,omitempty"`  // computeReservation, percent
	Weights      []ShareWeight `json:"weights,omitempty"`
}

// ShareWeight is the weight factor of a share identifier or, with a final *, of all that
// begin so. The lower the weight, the more it gets.
type ShareWeight struct {
	Share  string `json:"share"`
	Weight int64  `json:"weight"` // ten-thousandths
}

// The bounds of fair share policies (AWS Batch API Reference).
const (
	WeightOne          = 10_000 // a weight factor of 1
	MinWeight          = 1
	MaxWeight          = 9_999_999
	MaxDecaySeconds    = 604_800
	MaxReservation     = 99
	MaxShareIdentifier = 255
	MaxActiveShares    = 500
)

// Check says what is wrong with a fair share policy; nil if nothing is.
func (f *FairShare) Check() error {
	switch {
	case f.DecaySeconds < 0 || f.DecaySeconds > MaxDecaySeconds:
		return invalid("shareDecaySeconds must be between 0 and %d, got %d", MaxDecaySeconds, f.DecaySeconds)
	case f.Reservation < 0 || f.Reservation > MaxReservation:
		return invalid("computeReservation must be between 0 and %d, got %d", MaxReservation, f.Reservation)
	case len(f.Weights) > MaxActiveShares:
		return invalid("shareDistribution has %d entries, at most %d are allowed", len(f.Weights), MaxActiveShares)
	}
	for i, w := range f.Weights {
		if !ValidShare(w.Share) {
			return invalid("shareIdentifier %q must be 1 to %d letters and digits, with an optional * at the end", w.Share, MaxShareIdentifier)
		}
		if w.Weight < MinWeight || w.Weight > MaxWeight {
			return invalid("the weightFactor of %s must be between 0.0001 and 999.9999", w.Share)
		}
		for _, o := range f.Weights[:i] {
			if overlap(o.Share, w.Share) {
				return invalid("shareDistribution: the share identifiers %s and %s overlap", o.Share, w.Share)
			}
		}
	}
	return nil
}

// overlap reports whether some identifier is matched by both.
func overlap(a, b string) bool {
	p, aStar := strings.CutSuffix(a, "*")
	q, bStar := strings.CutSuffix(b, "*")
	switch {
	case aStar && bStar:
		return strings.HasPrefix(p, q) || strings.HasPrefix(q, p)
	case aStar:
		return strings.HasPrefix(q, p)
	case bStar:
		return strings.HasPrefix(p, q)
	}
	return p == q
}

// ValidShare reports whether s can be a share identifier, or the prefix of some with a
// final *.
func ValidShare(s string) bool {
	s = strings.TrimSuffix(s, "*")
	if s == "" || len(s) > MaxShareIdentifier {
		return false
	}
	for i := range len(s) {
		if !alphanumeric(s[i]) {
			return false
		}
	}
	return true
}
