package sched

import (
	"slices"
	"strings"
)

// A host says what it is in words: its executors, and attributes such as arch=ARM64,
// gpu=A100, pool=night or instance-type=c5.large. What a Shape wants of it is terms with
// spaces between them, each an attribute and the values that will do: "arch=ARM64
// gpu=A100|V100". A host without the attribute does not have any of its values.

// on reports whether a host of those words can run a Shape if it has the room.
func (p *Shape) on(words []string) bool {
	return slices.Contains(words, p.Executor) && (p.Wants == "" || p.unmet(words) == "")
}

// unmet is the first term that a host of those words does not meet; "" if it meets all.
func (p *Shape) unmet(words []string) string {
	for term := range strings.FieldsSeq(p.Wants) {
		if !meets(words, term) {
			return term
		}
	}
	return ""
}

func meets(words []string, term string) bool {
	key, values, _ := strings.Cut(term, "=")
	for _, w := range words {
		has, value, ok := strings.Cut(w, "=")
		if !ok || has != key {
			continue
		}
		for v := range strings.SplitSeq(values, "|") {
			if v == value {
				return true
			}
		}
	}
	return false
}
