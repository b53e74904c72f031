package job

import (
	"slices"
	"strings"
)

// The bounds of what a job may require of its host.
const (
	maxTerms = 10
	maxTerm  = 256
)

// ParseRequires checks what a job requires of its host, terms like gpu=A100|V100 with spaces
// between them, and gives it in one spelling for all that mean the same.
func ParseRequires(text string) (string, error) {
	terms := strings.Fields(text)
	if len(terms) == 0 || len(terms) > maxTerms {
		return "", invalid("tag drover:requires needs 1 to %d terms such as gpu=A100|V100, got %d", maxTerms, len(terms))
	}
	for i, t := range terms {
		key, values, ok := strings.Cut(t, "=")
		list := strings.Split(values, "|")
		if !ok || !ValidAttribute(key) || len(t) > maxTerm || slices.ContainsFunc(list, func(v string) bool { return !ValidAttribute(v) }) {
			return "", invalid("tag drover:requires: %q is not of the form key=value or key=value|value, of letters, digits and . _ - :", t)
		}
		slices.Sort(list)
		terms[i] = key + "=" + strings.Join(slices.Compact(list), "|")
	}
	slices.Sort(terms)
	return strings.Join(slices.Compact(terms), " "), nil
}

// ValidAttribute reports whether s can be the key or the value of a host's attribute.
func ValidAttribute(s string) bool {
	for i := range len(s) {
		if !alphanumeric(s[i]) && strings.IndexByte("._-:", s[i]) < 0 {
			return false
		}
	}
	return s != "" && len(s) <= 128
}
