package s3

import (
	"encoding/base64"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"drover/internal/core/fault"
)

// formPolicy is what somebody signed.
type formPolicy struct {
	expires    time.Time
	conditions []formCondition
}

// formCondition is one line of it.
type formCondition struct {
	kind     string // eq, starts-with, content-length-range
	field    string // lower case
	value    string
	min, max int64
	text     string // as it was written
}

func errFormPolicy(words string) error {
	return fault.New(fault.Invalid, "InvalidPolicyDocument", "Invalid Policy: %s", words)
}

// readFormPolicy reads a policy in base64.
func readFormPolicy(text string) (*formPolicy, error) {
	raw, err := base64.StdEncoding.DecodeString(strings.NewReplacer("\r", "", "\n", "").Replace(text))
	if err != nil {
		return nil, errFormPolicy("Invalid base64.")
	}
	var doc struct {
		Expiration string            `json:"expiration"`
		Conditions []json.RawMessage `json:"conditions"`
	}
	if err := json.Unmarshal(raw, &doc); err != nil {
		return nil, errFormPolicy("Invalid JSON.")
	}
	p := &formPolicy{}
	if p.expires, err = time.Parse(time.RFC3339, doc.Expiration); err != nil {
		return nil, errFormPolicy("Invalid 'expiration' value: '" + clipText(doc.Expiration) + "'")
	}
	if doc.Conditions == nil {
		return nil, errFormPolicy("Policy missing conditions.")
	}
	for _, c := range doc.Conditions {
		read, err := readFormCondition(c)
		if err != nil {
			return nil, err
		}
		p.conditions = append(p.conditions, read...)
	}
	return p, nil
}

// readFormCondition reads {"field": "value", …} or ["kind", "$field", "value"].
func readFormCondition(raw json.RawMessage) ([]formCondition, error) {
	bad := errFormPolicy("Invalid condition: " + clipText(string(raw)))
	var exact map[string]string
	if json.Unmarshal(raw, &exact) == nil {
		var list []formCondition
		for field, value := range exact {
			list = append(list, formCondition{kind: "eq", field: strings.ToLower(field), value: value, text: `["eq", "$` + field + `", "` + value + `"]`})
		}
		return list, nil
	}
	var parts []any
	if json.Unmarshal(raw, &parts) != nil || len(parts) != 3 {
		return nil, bad
	}
	kind, _ := parts[0].(string)
	c := formCondition{kind: strings.ToLower(kind), text: string(raw)}
	switch c.kind {
	case "content-length-range":
		low, ok1 := wholeNumber(parts[1])
		high, ok2 := wholeNumber(parts[2])
		if !ok1 || !ok2 {
			return nil, bad
		}
		c.min, c.max = low, high
	case "eq", "starts-with":
		field, ok1 := parts[1].(string)
		value, ok2 := parts[2].(string)
		name, ok3 := strings.CutPrefix(field, "$")
		if !ok1 || !ok2 || !ok3 || name == "" {
			return nil, bad
		}
		c.field, c.value = strings.ToLower(name), value
	default:
		return nil, bad
	}
	return []formCondition{c}, nil
}

// wholeNumber takes numbers and, as AWS does, numbers in quotes.
func wholeNumber(v any) (int64, bool) {
	switch n := v.(type) {
	case float64:
		return int64(n), n >= 0 && n == float64(int64(n))
	case string:
		i, err := strconv.ParseInt(n, 10, 64)
		return i, err == nil && i >= 0
	}
	return 0, false
}

// judge compares a form with the policy: every condition holds, and every field is in one.
func (p *formPolicy) judge(f *form, now time.Time) error {
	if now.After(p.expires) {
		return fault.New(fault.Denied, "AccessDenied", "Invalid according to Policy: Policy expired.")
	}
	covered := []string{"policy", "x-amz-signature"}
	for _, c := range p.conditions {
		if c.kind == "content-length-range" {
			if f.size < c.min {
				return fault.New(fault.Invalid, "EntityTooSmall", "Your proposed upload is smaller than the minimum allowed size")
			}
			if f.size > c.max {
				return fault.New(fault.Invalid, "EntityTooLarge", "Your proposed upload exceeds the maximum allowed size")
			}
			continue
		}
		covered = append(covered, c.field)
		value, there := f.fields[c.field]
		if c.field == "bucket" {
			value, there = f.bucket, true
		}
		if !c.holds(value, there) {
			return fault.New(fault.Denied, "AccessDenied", "Invalid according to Policy: Policy Condition failed: %s", clipText(c.text))
		}
	}
	for name := range f.fields {
		if !slices.Contains(covered, name) && !strings.HasPrefix(name, "x-ignore-") {
			return fault.New(fault.Denied, "AccessDenied", "Invalid according to Policy: Extra input fields: %s", clipText(name))
		}
	}
	return nil
}

func (c *formCondition) holds(value string, there bool) bool {
	if c.kind == "eq" {
		return there && value == c.value
	}
	if c.value == "" { // anything goes
		return true
	}
	if c.field == "content-type" { // of a list every one
		for v := range strings.SplitSeq(value, ",") {
			if !strings.HasPrefix(strings.TrimSpace(v), c.value) {
				return false
			}
		}
		return there
	}
	return there && strings.HasPrefix(value, c.value)
}

// clipText keeps what a stranger sent short in messages.
func clipText(s string) string {
	if len(s) > 200 {
		return s[:200] + "…"
	}
	return s
}
