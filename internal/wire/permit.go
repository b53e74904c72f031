package wire

import (
	"context"
	"fmt"
	"maps"
	"net"
	"reflect"
	"strconv"
	"time"

	"drover/internal/wire/authz"
)

// subject says what an operation is about.
type subject[S any] struct {
	in   reflect.Type
	name func(S, context.Context, any) []string
}

// About says which resources an operation is about: f gives their ARNs, and a caller that
// policies govern must be allowed the operation on each of them. An operation without it,
// or for which f gives none, is asked for on "*". f sees inputs that are not validated yet.
//
// It may stand in another file than the operation. Bind panics if there is no such
// operation or its input is another.
func About[S, In any](t *Table[S], op string, f func(S, context.Context, *In) []string) Name {
	if _, twice := t.about[op]; twice {
		panic(fmt.Sprintf("wire: it is said twice what %s of %s is about", op, t.id.Name))
	}
	t.about[op] = subject[S]{reflect.TypeFor[In](), func(s S, ctx context.Context, in any) []string { return f(s, ctx, in.(*In)) }}
	return Name(op)
}

func (t *Table[S]) checkSubjects() {
	for op, about := range t.about {
		if o := t.ops[op]; o == nil || o.in != about.in {
			panic(fmt.Sprintf("wire: %s of %s takes no %s", op, t.id.Name, about.in))
		}
	}
}

// Open marks an operation for which no identity policy is asked: every principal that may
// speak to the service may call it, or its handler asks Permit or Decide itself.
func Open() Option { return func(op *operation) { op.open = true } }

// Conditions are condition keys with their values, beside those of the request.
type Conditions map[string][]string

// Permit asks whether the caller may do the action on the resource; the error is the
// refusal. It is for what an operation does beside itself, such as iam:PassRole, and for
// raw services. A context that is no call's has no caller, and nothing is permitted.
func Permit(ctx context.Context, action, resource string, more ...Conditions) error {
	c := callOf(ctx)
	d, err := c.m.decide(c, action, resource, more)
	if err != nil || d.Effect == authz.Allow {
		return err
	}
	return c.m.refuse(c, action, resource, d)
}

// Decide is Permit for callers that weigh the answer against another policy. A refusal is
// then theirs to record, with Refuse.
func Decide(ctx context.Context, action, resource string, more ...Conditions) (authz.Decision, error) {
	c := callOf(ctx)
	return c.m.decide(c, action, resource, more)
}

// Values are the condition keys of the call and their values, for policies that an
// Authorizer does not see. They must not be changed.
func Values(ctx context.Context, more ...Conditions) map[string][]string {
	return callOf(ctx).values(more)
}

// Refuse records a refusal and gives its fault.
func Refuse(ctx context.Context, action, resource string, d authz.Decision) error {
	c := callOf(ctx)
	return c.m.refuse(c, action, resource, d)
}

// Become makes the call one of the principal that its body proved, as the form of a browser does.
func Become(ctx context.Context, p Principal) {
	c := callOf(ctx)
	c.info.Principal, c.conditions = p, nil
}

func callOf(ctx context.Context) *call {
	if c, ok := ctx.Value(callKey{}).(*call); ok {
		return c
	}
	return &call{Context: ctx}
}

// speak asks the first question: may this kind of principal use the service?
func (m *Mux) speak(c *call, service, op string) error {
	p := &c.info.Principal
	err := authz.Allowed(*p, service, op)
	if err != nil && p.Kind != authz.Anonymous {
		m.note(c, service+":"+op, "*", authz.Decision{Reason: "a " + p.Kind.String() + " such as this one may not use the service " + service})
	}
	return err
}

// permitOperation asks the second: do the principal's policies allow the operation?
func (m *Mux) permitOperation(c *call, s *Service, op *operation, in any) error {
	if op.open || !c.info.Principal.Governed() {
		return nil
	}
	c.in = in
	var about []string
	if s.about != nil {
		about = s.about(c, op.name, in)
	}
	if len(about) == 0 {
		about = []string{"*"}
	}
	action := s.id.signingName() + ":" + op.name
	for _, resource := range about {
		if err := m.permit(c, action, resource); err != nil {
			return err
		}
	}
	return nil
}

func (m *Mux) permit(c *call, action, resource string) error {
	d, err := m.decide(c, action, resource, nil)
	if err != nil || d.Effect == authz.Allow {
		return err
	}
	return m.refuse(c, action, resource, d)
}

// decide answers for root at once, for those that policies govern by their policies, and
// for the rest by the service that the action belongs to.
func (m *Mux) decide(c *call, action, resource string, more []Conditions) (authz.Decision, error) {
	p := &c.info.Principal
	service, op := cutAction(action)
	if p.Kind == authz.Root {
		return authz.Decision{Effect: authz.Allow}, nil
	}
	if err := authz.Allowed(*p, service, op); err != nil {
		return authz.Decision{Reason: "a " + p.Kind.String() + " such as this one may not use the service " + service}, nil
	}
	if !p.Governed() {
		return authz.Decision{Effect: authz.Allow}, nil
	}
	if m == nil || m.o.Authorizer == nil {
		return authz.Decision{Reason: "this server has no policies for users and roles"}, nil
	}
	return m.o.Authorizer.Decide(c, &authz.Request{Principal: p, Action: action, Resource: resource,
		Conditions: func() map[string][]string { return c.values(more) }})
}

func cutAction(action string) (service, op string) {
	for i := range len(action) {
		if action[i] == ':' {
			return action[:i], action[i+1:]
		}
	}
	return action, ""
}

func (m *Mux) refuse(c *call, action, resource string, d authz.Decision) error {
	m.note(c, action, resource, d)
	return authz.Refusal(&authz.Request{Principal: &c.info.Principal, Action: action, Resource: resource}, d)
}

func (m *Mux) note(c *call, action, resource string, d authz.Decision) {
	if m == nil {
		return
	}
	m.o.Denials.Add(authz.Denial{RequestID: c.info.RequestID, At: time.Now(), Principal: c.info.Principal.Name(),
		Action: action, Resource: resource, Policy: d.Policy, Statement: d.Statement, Reason: d.Because()})
}

// values are the request's condition keys.
func (c *call) values(more []Conditions) map[string][]string {
	if c.conditions == nil {
		c.conditions = c.read()
	}
	if len(more) == 0 {
		return c.conditions
	}
	all := maps.Clone(c.conditions)
	for _, m := range more {
		maps.Copy(all, m)
	}
	return all
}

func (c *call) read() map[string][]string {
	p, now := &c.info.Principal, time.Now().UTC()
	v := map[string][]string{
		"aws:CurrentTime":           {now.Format(time.RFC3339)},
		"aws:EpochTime":             {strconv.FormatInt(now.Unix(), 10)},
		"aws:PrincipalAccount":      {p.Account},
		"aws:PrincipalArn":          {p.ARN},
		"aws:PrincipalType":         {principalType(p)},
		"aws:PrincipalIsAWSService": {"false"},
		"aws:userid":                {p.UserID()},
		"aws:SecureTransport":       {"false"},
	}
	if p.User != "" {
		v["aws:username"] = []string{p.User}
	}
	if p.Kind == authz.Session {
		v["aws:MultiFactorAuthPresent"] = []string{"false"}
		v["aws:TokenIssueTime"] = []string{time.Unix(p.Issued, 0).UTC().Format(time.RFC3339)}
	}
	if c.info.Region != "" {
		v["aws:RequestedRegion"] = []string{c.info.Region}
	}
	readInput(v, c.in)
	if c.r == nil {
		return v
	}
	if c.r.TLS != nil {
		v["aws:SecureTransport"] = []string{"true"}
	}
	if host, _, err := net.SplitHostPort(c.r.RemoteAddr); err == nil {
		v["aws:SourceIp"] = []string{host}
	}
	for key, header := range map[string]string{"aws:UserAgent": "User-Agent", "aws:Referer": "Referer"} {
		if text := c.r.Header.Get(header); text != "" {
			v[key] = []string{text}
		}
	}
	return v
}

func principalType(p *Principal) string {
	switch {
	case p.Role != "":
		return "AssumedRole"
	case p.User != "" || p.Kind == authz.User:
		return "User"
	}
	return "Account"
}

// readInput finds the tags that a request sets, in either of the forms that inputs have
// them, the keys of those that it removes, and the managed policy that it names.
func readInput(v map[string][]string, in any) {
	if in == nil {
		return
	}
	at := reflect.ValueOf(in).Elem()
	add := func(key, value string) {
		v["aws:RequestTag/"+key] = []string{value}
		v["aws:TagKeys"] = append(v["aws:TagKeys"], key)
	}
	if keys := at.FieldByName("TagKeys"); keys.IsValid() && keys.Kind() == reflect.Slice {
		for i := range keys.Len() {
			v["aws:TagKeys"] = append(v["aws:TagKeys"], keys.Index(i).String())
		}
	}
	if arn := at.FieldByName("PolicyArn"); arn.IsValid() {
		if text, ok := arn.Interface().(*string); ok && text != nil {
			v["iam:PolicyARN"] = []string{*text}
		}
	}
	tags := at.FieldByName("Tags")
	switch {
	case !tags.IsValid():
	case tags.Kind() == reflect.Map:
		for _, k := range sortedValues(tags) {
			add(k.String(), tags.MapIndex(k).String())
		}
	case tags.Kind() == reflect.Slice && tags.Type().Elem().Kind() == reflect.Struct:
		for i := range tags.Len() {
			key, _ := tags.Index(i).FieldByName("Key").Interface().(*string)
			value, _ := tags.Index(i).FieldByName("Value").Interface().(*string)
			if key != nil && value != nil {
				add(*key, *value)
			}
		}
	}
}
