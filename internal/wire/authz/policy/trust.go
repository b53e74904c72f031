package policy

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"drover/internal/core/arn"
	"drover/internal/wire/authz"
)

// Trust is a parsed trust policy: who may assume a role.
type Trust struct {
	parts []trusted
}

type trusted struct {
	principals map[string]list // by kind: AWS, Service, Federated
	document   *Document       // the statement without its principal, on every resource
}

// ParseTrust reads a trust policy. The error is a MalformedPolicyDocument fault.
func ParseTrust(text string) (*Trust, error) {
	version, parts, err := split(text)
	if err != nil {
		return nil, err
	}
	t := &Trust{}
	for i, part := range parts {
		one, err := compileTrusted(version, i, part)
		if err != nil {
			return nil, err
		}
		t.parts = append(t.parts, one)
	}
	return t, nil
}

func compileTrusted(version string, i int, part raw) (one trusted, err error) {
	switch {
	case part.Resource != nil || part.NotResource != nil:
		return one, malformed("Has prohibited field Resource")
	case part.NotPrincipal != nil:
		return one, malformed("NotPrincipal is not built in this version of drover; name the principals that may assume the role.")
	case part.Principal == nil:
		return one, malformed("Missing required field Principal")
	}
	if one.principals, err = readPrincipals(part.Principal); err != nil {
		return one, err
	}
	for _, action := range slices.Concat(part.Action, part.NotAction) {
		if vendor, _, _ := strings.Cut(strings.ToLower(action), ":"); vendor != "sts" && action != "*" {
			return one, malformed("AssumeRole policy may only specify STS AssumeRole actions.")
		}
	}
	part.Principal, part.Resource = nil, list{"*"}
	s, err := compile(version, i, part)
	one.document = &Document{statements: []statement{s}}
	return one, err
}

func readPrincipals(b json.RawMessage) (map[string]list, error) {
	var every string
	if json.Unmarshal(b, &every) == nil {
		if every != "*" {
			return nil, malformed("Invalid principal in policy: %q", every)
		}
		return map[string]list{"AWS": {"*"}}, nil
	}
	kinds := map[string]list{}
	if err := json.Unmarshal(b, &kinds); err != nil || len(kinds) == 0 {
		return nil, malformed("Syntax errors in policy: Principal.")
	}
	for kind, names := range kinds {
		for _, name := range names {
			if !validPrincipal(kind, name) {
				return nil, malformed("Invalid principal in policy: %q:%q", kind, name)
			}
		}
	}
	return kinds, nil
}

func validPrincipal(kind, name string) bool {
	switch kind {
	case "AWS":
		if name == "*" || isAccount(name) {
			return true
		}
		a, ok := arn.Parse(name)
		return ok && (a.Service == "iam" || a.Service == "sts") && isAccount(a.Account) && !strings.ContainsAny(name, "*?")
	case "Service":
		return strings.HasSuffix(name, ".amazonaws.com") && len(name) > len(".amazonaws.com")
	case "Federated":
		return name != "" // kept, so that documents pass; nobody is federated here
	}
	return false
}

func isAccount(s string) bool {
	return len(s) == 12 && strings.Trim(s, "0123456789") == ""
}

// Standing is how a trust policy speaks of a caller.
type Standing uint8

// The standings.
const (
	Untrusted  Standing = iota // no statement speaks of the caller
	ByAccount                  // its account is trusted: its own policies must allow the call too
	ByName                     // it is trusted itself
	Distrusted                 // a statement denies it
)

// Caller is whom a trust policy is asked about: a principal, or a service.
type Caller struct {
	Account string
	ARNs    []string // of a principal: its own, and its role's
	Service string   // of a service: "ecs-tasks.amazonaws.com"
}

// Evaluate says how the policy stands to a caller that wants the action.
func (t *Trust) Evaluate(c Caller, r *authz.Request) Standing {
	best := Untrusted
	for i := range t.parts {
		part := &t.parts[i]
		how := part.standing(c)
		if how == Untrusted {
			continue
		}
		switch d, _ := part.document.Evaluate(r); d.Effect {
		case authz.Deny:
			return Distrusted
		case authz.Allow:
			best = max(best, how)
		}
	}
	return best
}

func (p *trusted) standing(c Caller) Standing {
	if c.Service != "" {
		if slices.Contains(p.principals["Service"], c.Service) {
			return ByName
		}
		return Untrusted
	}
	best := Untrusted
	for _, name := range p.principals["AWS"] {
		switch {
		case name == "*" || slices.Contains(c.ARNs, name):
			return ByName
		case name == c.Account || name == "arn:aws:iam::"+c.Account+":root":
			best = ByAccount
		}
	}
	return best
}

// Role is a role as those see it who hand out its sessions.
type Role struct {
	Name, ARN, ID string
	MaxSession    time.Duration
	Trust         *Trust
}
