package sched

import (
	"slices"
	"strings"
)

// A host says what it is in words: its executors, and attributes such as arch=ARM64,
// gpu=A100, pool=night or type=c5.large. What a Shape wants of it is terms with
// spaces between them, each an attribute and the values that will do: "arch=ARM64
// gpu=A100|V100". A host without the attribute does not have any of its values.
// An environment wants the same of its hosts: a unit runs in it where a host meets both.

// on reports whether a host of those words can run a Shape if it has the room.
func (p *Shape) on(words []string) bool {
	return slices.Contains(words, p.Executor) && (p.Wants == "" || p.unmet(words) == "")
}

// unmet is the first term that a host of those words does not meet; "" if it meets all.
func (p *Shape) unmet(words []string) string { return unmet(p.Wants, words) }

// unmet is the first of some terms that a host of those words does not meet.
func unmet(terms string, words []string) string {
	for term := range strings.FieldsSeq(terms) {
		if !meets(words, term) {
			return term
		}
	}
	return ""
}

func meets(words []string, term string) bool {
	key, values, _ := strings.Cut(term, "=")
	key, silent := strings.CutSuffix(key, "?")
	for _, w := range words {
		has, value, ok := strings.Cut(w, "=")
		if !ok || has != key {
			continue
		}
		for v := range strings.SplitSeq(values, "|") {
			if family, of := strings.CutSuffix(v, "*"); v == value || of && strings.HasPrefix(value, family) {
				return true
			}
		}
		silent = false
	}
	return silent
}

// TagRequires is the tag that says what hosts must be, of a job and of an environment.
const TagRequires = "drover:requires"

// ofHosts is what an environment wants of its hosts: the terms of its tag, and its instance
// types in words that no tag can have: type?=c5.*|m5.large, where ? means that a host which
// does not say its type will do too, and * any size of the family.
func (e *environment) ofHosts() string {
	var values []string
	for _, t := range e.Types {
		if t == "optimal" || strings.HasPrefix(t, "default_") {
			values = nil
			break
		}
		if !strings.Contains(t, ".") {
			t += ".*"
		}
		values = append(values, t)
	}
	terms := strings.Fields(e.Tags[TagRequires])
	if len(values) > 0 {
		terms = append(terms, "type?="+strings.Join(values, "|"))
	}
	return strings.Join(terms, " ")
}

// has reports whether a host of those words is one of the environment, and can run a Shape
// if it has the room.
func (e *environment) has(shape *Shape, words []string) bool {
	return shape.on(words) && (e.wants == "" || unmet(e.wants, words) == "")
}
