package iam

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"

	"drover/internal/core/fault"
	"drover/internal/store"
	"drover/internal/wire/authz"
	"drover/internal/wire/authz/policy"
)

// Bounds of the caches; a full one starts afresh.
const (
	maxIdentities = 4096
	maxDecisions  = 65536
	maxParsed     = 1024
	maxJobRoles   = 1024
)

// cache keeps what decisions need. Every change of a record makes it forget everything:
// changes are rare, decisions are not. What was read before a change is not kept after it,
// for age counts the changes. That this process alone makes them is the store's promise: a
// server that another one has replaced cannot write, and ends within a second
// (store.DB.Fence).
type cache struct {
	mu         sync.RWMutex // guards all below
	age        uint64
	identities map[identityKey]*identity
	decisions  map[decisionKey]authz.Decision
	jobRoles   map[string]error            // whether jobs can run with a role, by its ARN
	parsed     map[string]*policy.Document // session policies, by text
}

type identityKey struct{ user, role string }

type decisionKey struct {
	who              identityKey
	id               string
	action, resource string
}

// identity is a user or role with its policies, parsed.
type identity struct {
	id       string
	arn      string // of the user or role itself
	tags     []tag
	policies []named
}

// named is a policy as decisions name it. A document that does not parse is nil.
type named struct {
	name     string
	document *policy.Document
	broken   error
}

func (c *cache) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.age++
	c.identities, c.decisions, c.jobRoles = nil, nil, nil
}

// keep stores a value under the lock unless something changed since age.
func keep[K comparable, V any](c *cache, age uint64, m *map[K]V, most int, k K, v V) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.age != age {
		return
	}
	if *m == nil || len(*m) >= most {
		*m = map[K]V{}
	}
	(*m)[k] = v
}

// Decide implements authz.Authorizer: the policies of the user or role must allow the
// action, and so must the session's own policies if it has any.
func (s *Service) Decide(ctx context.Context, r *authz.Request) (authz.Decision, error) {
	p := r.Principal
	who := behind(p)
	k := decisionKey{who, p.ID, r.Action, r.Resource}
	s.cache.mu.RLock()
	d, known := s.cache.decisions[k]
	age := s.cache.age
	s.cache.mu.RUnlock()
	if !known || len(p.Limits) > 0 {
		i, err := s.identity(ctx, who)
		if err != nil {
			return authz.Decision{}, err
		}
		var steady bool
		d, steady = i.decide(r)
		if steady {
			keep(&s.cache, age, &s.cache.decisions, maxDecisions, k, d)
		}
	}
	if d.Effect != authz.Allow || len(p.Limits) == 0 {
		return d, nil
	}
	return s.limit(ctx, r)
}

// behind is the user or role that a principal stands for.
func behind(p *authz.Principal) identityKey {
	if p.Role != "" {
		return identityKey{role: key(p.Role)}
	}
	return identityKey{user: key(p.User)}
}

// PrincipalARN is the ARN of the user or role behind a principal; that of the principal
// itself if there is none any more.
func (s *Service) PrincipalARN(ctx context.Context, p *authz.Principal) (string, error) {
	i, err := s.identity(ctx, behind(p))
	if err != nil || i == nil || i.id != p.ID {
		return p.ARN, err
	}
	return i.arn, nil
}

// decide judges all policies: a Deny in one wins over an Allow in another.
func (i *identity) decide(r *authz.Request) (authz.Decision, bool) {
	if i == nil || i.id != r.Principal.ID {
		return authz.Decision{Effect: authz.Deny, Reason: "the user or role of these credentials does not exist any more"}, true
	}
	ask := *r
	ask.Conditions = func() map[string][]string { return i.conditions(r) }
	return judge(i.policies, &ask)
}

func judge(list []named, r *authz.Request) (out authz.Decision, steady bool) {
	steady = true
	for _, n := range list {
		if n.document == nil {
			return authz.Decision{Effect: authz.Deny, Policy: n.name, Reason: "the policy " + n.name + " cannot be judged (" + fault.From(n.broken).Message + "), so it denies everything"}, true
		}
		d, same := n.document.Evaluate(r)
		steady = steady && same
		d.Policy = n.name
		switch {
		case d.Effect == authz.Deny:
			return d, steady
		case d.Effect == authz.Allow && out.Effect == authz.NoMatch:
			out = d
		}
	}
	return out, steady
}

// conditions are the request's, with what only the records know.
func (i *identity) conditions(r *authz.Request) map[string][]string {
	var values map[string][]string
	if r.Conditions != nil {
		values = maps.Clone(r.Conditions())
	}
	if values == nil {
		values = map[string][]string{}
	}
	values["aws:PrincipalArn"] = []string{i.arn}
	for _, t := range i.tags {
		values["aws:PrincipalTag/"+t.Key] = []string{t.Value}
	}
	return values
}

// limit judges a session's own policies, which must allow the action too.
func (s *Service) limit(ctx context.Context, r *authz.Request) (authz.Decision, error) {
	var list []named
	for _, l := range r.Principal.Limits {
		n, err := s.sessionPolicy(ctx, l)
		if err != nil {
			return authz.Decision{}, err
		}
		list = append(list, n)
	}
	d, _ := judge(list, r)
	if d.Effect == authz.NoMatch {
		d.Reason = "no statement of the session's own policies allows it"
	}
	return d, nil
}

// sessionPolicy parses a session's policy: a document, or the ARN of a managed policy.
func (s *Service) sessionPolicy(ctx context.Context, text string) (named, error) {
	n := named{name: "the session policy"}
	if strings.HasPrefix(text, "arn:") {
		p, _, err := s.viewPolicy(ctx, text)
		if fault.Is(err, fault.NotFound) {
			n.broken = err
			return n, nil
		}
		if err != nil {
			return n, err
		}
		return parse(text, p.current()), nil
	}
	s.cache.mu.RLock()
	n.document = s.cache.parsed[text]
	age := s.cache.age
	s.cache.mu.RUnlock()
	if n.document == nil {
		if n.document, n.broken = policy.Parse(text); n.broken == nil {
			keep(&s.cache, age, &s.cache.parsed, maxParsed, text, n.document)
		}
	}
	return n, nil
}

func parse(name, text string) named {
	n := named{name: name}
	n.document, n.broken = policy.Parse(text)
	return n
}

// current is the text of the default version.
func (p *managed) current() string {
	i := slices.IndexFunc(p.Versions, func(v version) bool { return v.ID == p.Default })
	if i < 0 {
		return ""
	}
	return p.Versions[i].Text
}

// identity reads a user or role with all its policies; nil if there is none.
func (s *Service) identity(ctx context.Context, who identityKey) (*identity, error) {
	s.cache.mu.RLock()
	i, age := s.cache.identities[who], s.cache.age
	s.cache.mu.RUnlock()
	if i != nil {
		return i, nil
	}
	err := s.db.View(ctx, func(tx *store.Tx) (err error) {
		i, err = s.readIdentity(tx, who)
		return err
	})
	if err != nil {
		return nil, missing(err, nil)
	}
	keep(&s.cache, age, &s.cache.identities, maxIdentities, who, i)
	return i, nil
}

func (s *Service) readIdentity(tx *store.Tx, who identityKey) (*identity, error) {
	i := &identity{}
	var g grants
	if who.role != "" {
		r, _, err := roles.Get(tx, who.role)
		if err != nil {
			return nil, err
		}
		i.id, i.arn, i.tags, g = r.ID, s.roleARN(&r), r.Tags, r.grants
	} else {
		u, _, err := users.Get(tx, who.user)
		if err != nil {
			return nil, err
		}
		i.id, i.arn, i.tags, g = u.ID, s.userARN(&u), u.Tags, u.grants
	}
	for _, p := range g.Inline {
		i.policies = append(i.policies, parse("the inline policy "+p.Name, p.Text))
	}
	for _, arn := range g.Attached {
		p, _, err := s.policyOf(tx, arn)
		if err != nil {
			i.policies = append(i.policies, named{name: arn, broken: err})
			continue
		}
		i.policies = append(i.policies, parse(arn, p.current()))
	}
	return i, nil
}
