// Package policy reads IAM policy documents and says what they decide. The evaluation
// itself (wildcards, variables, condition operators) is a library's; this package keeps
// its parsed form, names the statement that decided, and closes what the library leaves
// open.
//
// What it promises:
//   - A document that cannot be judged whole is refused by Parse: an element, condition
//     operator or policy variable that is not known, a member twice, an element in other
//     letters than IAM's own. Stored documents that no longer parse must deny everything.
//   - Deny wins over Allow; what no statement speaks of is NoMatch, never Allow.
//   - A condition on a key that drover never supplies counts against the caller: an Allow
//     with it does not allow, a Deny with it denies.
//   - The region in a resource pattern is ignored: a drover has one region under any name,
//     so a pattern that names one speaks of all.
//   - The same document and request get the same answer.
package policy

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	library "github.com/versity/versitygw/iamapi/policy"
	"github.com/versity/versitygw/iamapi/types"

	"drover/internal/core/fault"
	"drover/internal/wire/authz"
)

// MaxText bounds a document before it is parsed; IAM's own quotas are below it.
const MaxText = 131072

// Document is a parsed identity policy. It does not change.
type Document struct {
	statements []statement
}

// statement is one statement, ready to be judged alone.
type statement struct {
	name       string // for people
	deny       bool
	actions    []string // lower case
	notActions []string
	unknown    string // the first condition key that drover does not supply
	steady     bool   // the request's conditions play no part
	judged     []types.PolicyEntry
}

// raw is a statement as it is written.
type raw struct {
	Sid          string          `json:"Sid,omitempty"`
	Effect       string          `json:"Effect"`
	Principal    json.RawMessage `json:"Principal,omitempty"`
	NotPrincipal json.RawMessage `json:"NotPrincipal,omitempty"`
	Action       list            `json:"Action,omitempty"`
	NotAction    list            `json:"NotAction,omitempty"`
	Resource     list            `json:"Resource,omitempty"`
	NotResource  list            `json:"NotResource,omitempty"`
	Condition    json.RawMessage `json:"Condition,omitempty"`
}

// list is one text or a list of them.
type list []string

// UnmarshalJSON implements json.Unmarshaler.
func (l *list) UnmarshalJSON(b []byte) error {
	var one string
	if err := json.Unmarshal(b, &one); err == nil {
		*l = list{one}
		return nil
	}
	var many []string
	if err := json.Unmarshal(b, &many); err != nil {
		return err
	}
	*l = many
	return nil
}

func malformed(format string, args ...any) error {
	return fault.New(fault.Invalid, "MalformedPolicyDocument", format, args...)
}

// Parse reads an identity policy. The error is a MalformedPolicyDocument fault.
func Parse(text string) (*Document, error) {
	version, parts, err := split(text)
	if err != nil {
		return nil, err
	}
	d := &Document{}
	for i, part := range parts {
		if part.Principal != nil || part.NotPrincipal != nil {
			return nil, malformed("Policy document should not specify a principal.")
		}
		s, err := compile(version, i, part)
		if err != nil {
			return nil, err
		}
		d.statements = append(d.statements, s)
	}
	return d, nil
}

// split takes a document apart and checks its outer form.
func split(text string) (version string, parts []raw, err error) {
	if len(text) > MaxText {
		return "", nil, malformed("The policy document has %d bytes; it may have %d.", len(text), MaxText)
	}
	if err := strict(text); err != nil {
		return "", nil, malformed("Syntax errors in policy: %v.", err)
	}
	var outer struct {
		Version   string
		ID        string `json:"Id"`
		Statement json.RawMessage
	}
	if err := json.Unmarshal([]byte(text), &outer); err != nil {
		return "", nil, malformed("Syntax errors in policy.")
	}
	switch outer.Version {
	case "", library.Version2008, library.Version2012:
	default:
		return "", nil, malformed("Syntax errors in policy: Version must be %s or %s.", library.Version2012, library.Version2008)
	}
	if err := json.Unmarshal(outer.Statement, &parts); err != nil {
		var one raw
		if err := json.Unmarshal(outer.Statement, &one); err != nil {
			return "", nil, malformed("Syntax errors in policy.")
		}
		parts = []raw{one}
	}
	if len(parts) == 0 {
		return "", nil, malformed("Syntax errors in policy: it has no Statement.")
	}
	sids := map[string]bool{}
	for _, p := range parts {
		if p.Sid != "" && sids[p.Sid] {
			return "", nil, malformed("Statement IDs (SID) in a single policy must be unique.")
		}
		sids[p.Sid] = true
	}
	return outer.Version, parts, nil
}

// compile makes one statement ready.
func compile(version string, i int, part raw) (statement, error) {
	s := statement{name: "statement " + strconv.Itoa(i+1), deny: part.Effect == "Deny", steady: true}
	if part.Sid != "" {
		s.name = part.Sid
	}
	part.Resource, part.NotResource = anyRegion(part.Resource), anyRegion(part.NotResource)
	body, err := json.Marshal(map[string]any{"Version": version, "Statement": []raw{part}})
	if err != nil {
		return s, malformed("Syntax errors in policy.")
	}
	if version == "" { // the library tells an absent version from an empty one
		body = []byte(strings.Replace(string(body), `,"Version":""`, "", 1))
	}
	if err := library.Parse(string(body)); err != nil {
		return s, malformed("%s", textOf(err))
	}
	s.judged = []types.PolicyEntry{{PolicyDocument: string(body)}}
	for _, a := range part.Action {
		s.actions = append(s.actions, strings.ToLower(a))
	}
	for _, a := range part.NotAction {
		s.notActions = append(s.notActions, strings.ToLower(a))
	}
	texts := slices.Concat(part.Resource, part.NotResource)
	keys, values := conditionParts(part.Condition)
	for _, k := range keys {
		if !supplied(k) && s.unknown == "" {
			s.unknown = k
		}
	}
	s.steady = len(keys) == 0
	if version == library.Version2012 {
		for _, text := range slices.Concat(texts, values) {
			steady, err := checkVariables(text)
			if err != nil {
				return s, err
			}
			s.steady = s.steady && steady
		}
	}
	return s, nil
}

// textOf is a library error's sentence.
func textOf(err error) string {
	text := err.Error()
	if _, rest, ok := strings.Cut(text, "MalformedPolicyDocument: "); ok {
		return rest
	}
	return text
}

// anyRegion replaces the region of each ARN pattern by a wildcard.
func anyRegion(patterns list) list {
	out := slices.Clone(patterns)
	for i, p := range out {
		f := strings.SplitN(p, ":", 6)
		if len(f) == 6 && f[0] == "arn" && f[3] != "" {
			f[3] = "*"
			out[i] = strings.Join(f, ":")
		}
	}
	return out
}

// conditionParts lists keys and values of a Condition block whose form has been checked.
func conditionParts(block json.RawMessage) (keys, values []string) {
	var operators map[string]map[string]any
	if json.Unmarshal(block, &operators) != nil {
		return nil, nil // absent
	}
	for _, byKey := range operators {
		for key, value := range byKey {
			keys = append(keys, strings.ToLower(key))
			many, ok := value.([]any)
			if !ok {
				many = []any{value}
			}
			for _, v := range many {
				values = append(values, fmt.Sprint(v))
			}
		}
	}
	slices.Sort(keys)
	return keys, values
}

// checkVariables refuses policy variables that would stay as they are written, for a Deny
// with such a one would never match. steady is true if those in the text depend on the
// principal alone.
func checkVariables(text string) (steady bool, err error) {
	steady = true
	for rest := text; ; {
		_, after, found := strings.Cut(rest, "${")
		if !found {
			return steady, nil
		}
		name, tail, closed := strings.Cut(after, "}")
		if !closed {
			return false, malformed("Syntax errors in policy: the variable in %q is not closed.", text)
		}
		switch strings.ToLower(name) {
		case "aws:username", "aws:userid", "aws:principalaccount", "aws:principaltype":
		case "aws:sourceip", "aws:currenttime", "aws:epochtime", "aws:securetransport":
			steady = false
		default:
			return false, malformed("The policy variable ${%s} is not built in this version of drover; use ${aws:username} or ${aws:userid}.", name)
		}
		rest = tail
	}
}

// strict checks that text is one JSON object whose members are those of a policy, each
// once and in IAM's own letters.
func strict(text string) error {
	dec := json.NewDecoder(strings.NewReader(text))
	w := walker{dec}
	if err := w.value(inDocument, 0); err != nil {
		return err
	}
	if dec.More() {
		return errors.New("text follows the document")
	}
	return nil
}

// place is where in a document a value stands.
type place uint8

const (
	anywhere place = iota
	inDocument
	inStatement
)

const maxDepth = 16

type walker struct{ dec *json.Decoder }

func (w walker) value(at place, depth int) error {
	if depth > maxDepth {
		return errors.New("it is nested too deep")
	}
	tok, err := w.dec.Token()
	if err != nil {
		return errors.New("it is not valid JSON")
	}
	switch tok {
	case json.Delim('['):
		for w.dec.More() {
			if err := w.value(at, depth+1); err != nil {
				return err
			}
		}
	case json.Delim('{'):
		if err := w.members(at, depth); err != nil {
			return err
		}
	default:
		if at == inDocument {
			return errors.New("a policy is a JSON object")
		}
		return nil
	}
	if _, err := w.dec.Token(); err != nil { // the closing bracket
		return errors.New("it is not valid JSON")
	}
	return nil
}

func (w walker) members(at place, depth int) error {
	seen := map[string]bool{}
	for w.dec.More() {
		tok, err := w.dec.Token()
		if err != nil {
			return errors.New("it is not valid JSON")
		}
		name, _ := tok.(string)
		if seen[name] {
			return fmt.Errorf("the element %s is there twice", name)
		}
		seen[name] = true
		inside := anywhere
		switch at {
		case inDocument:
			if !slices.Contains([]string{"Version", "Id", "Statement"}, name) {
				return fmt.Errorf("a policy has no element %q", name)
			}
			if name == "Statement" {
				inside = inStatement
			}
		case inStatement:
			if !slices.Contains([]string{"Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource", "Condition"}, name) {
				return fmt.Errorf("a statement has no element %q", name)
			}
		}
		if err := w.value(inside, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// covers reports whether the statement speaks of the action (in lower case).
func (s *statement) covers(action string) bool {
	if s.actions != nil {
		return slices.ContainsFunc(s.actions, func(p string) bool { return matches(p, action) })
	}
	return !slices.ContainsFunc(s.notActions, func(p string) bool { return matches(p, action) })
}

// matches is IAM's wildcard match: * for any run of characters, ? for one.
func matches(pattern, text string) bool {
	p, t, star, mark := 0, 0, -1, 0
	for t < len(text) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, t
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == text[t]):
			p++
			t++
		case star >= 0:
			mark++
			p, t = star+1, mark
		default:
			return false
		}
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}

// Evaluate says what the document decides. steady is true if the answer rests on
// principal, action and resource alone, so that it may be kept.
func (d *Document) Evaluate(r *authz.Request) (decision authz.Decision, steady bool) {
	steady = true
	action := strings.ToLower(r.Action)
	var conditions map[string][]string
	for i := range d.statements {
		s := &d.statements[i]
		if !s.covers(action) {
			continue
		}
		if !s.steady {
			steady = false
		}
		if conditions == nil && r.Conditions != nil {
			conditions = r.Conditions()
		}
		switch s.judge(r, conditions) {
		case authz.Deny:
			out := authz.Decision{Effect: authz.Deny, Statement: s.name}
			if s.unknown != "" {
				out.Reason = s.name + " has a condition on " + s.unknown + ", which drover does not supply, so it counts as denied"
			}
			return out, steady
		case authz.Allow:
			if decision.Effect == authz.NoMatch {
				decision = authz.Decision{Effect: authz.Allow, Statement: s.name}
			}
		}
	}
	return decision, steady
}

func (s *statement) judge(r *authz.Request, conditions map[string][]string) authz.Effect {
	if s.unknown != "" && !s.deny {
		return authz.NoMatch
	}
	if s.unknown != "" {
		return s.withoutCondition(r, conditions)
	}
	return effect(library.EvaluateIdentityPolicies(s.judged, library.RequestContext{Action: r.Action, Resource: r.Resource, Condition: conditions}))
}

// withoutCondition judges a Deny whose condition cannot be known: as if it held.
func (s *statement) withoutCondition(r *authz.Request, conditions map[string][]string) authz.Effect {
	var doc map[string]any
	if json.Unmarshal([]byte(s.judged[0].PolicyDocument), &doc) != nil {
		return authz.Deny
	}
	for _, one := range doc["Statement"].([]any) {
		delete(one.(map[string]any), "Condition")
	}
	body, err := json.Marshal(doc)
	if err != nil {
		return authz.Deny
	}
	return effect(library.EvaluateIdentityPolicies([]types.PolicyEntry{{PolicyDocument: string(body)}},
		library.RequestContext{Action: r.Action, Resource: r.Resource, Condition: conditions}))
}

func effect(d library.Decision) authz.Effect {
	switch d {
	case library.DecisionAllow:
		return authz.Allow
	case library.DecisionNoMatch:
		return authz.NoMatch
	}
	return authz.Deny
}
