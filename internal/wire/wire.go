// Package wire is the one protocol layer under all of drover's services: it finds the
// service and operation of a request, proves who sent it, decodes it, calls the handler
// and writes the answer or the error in the protocol that the client speaks.
//
// A service is a Table of operations, one Op line beside each handler. The handler's
// types are the AWS SDK's own input and output structs; one reflection codec per table
// compiles a plan for each type when the table is made, so a type that cannot be spoken
// stops the program at start, not a request at night.
//
// What it promises:
//   - A handler runs only after the signature, the body's hash, the permission and the
//     stated constraints have been checked, in this order.
//   - The protocol is a property of the request. A handler never knows it.
//   - Decoding is strict: member names are case-sensitive, a repeated key, a wrong type
//     or too deep nesting is a SerializationException; unknown members are ignored.
//   - Lists at the top of an answer are never absent: an empty one is written as [].
//   - Only faults reach a client; any other error becomes an InternalFailure without
//     its text. Every answer carries a request id.
//   - Bodies are bounded before and after decompression.
package wire

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"drover/internal/core/fault"
)

// Protocol is one of AWS's ways to put an operation into an HTTP request.
type Protocol uint8

// The protocols that the layer speaks.
const (
	RestJSON Protocol = iota + 1 // method and path name the operation, JSON body
	JSON10                       // X-Amz-Target, application/x-amz-json-1.0
	JSON11                       // X-Amz-Target, application/x-amz-json-1.1
	Query                        // Action parameter, form body, XML answer
)

// String names the protocol as AWS's models do.
func (p Protocol) String() string {
	switch p {
	case RestJSON:
		return "rest-json"
	case JSON10:
		return "json 1.0"
	case JSON11:
		return "json 1.1"
	case Query:
		return "query"
	}
	return "unknown"
}

// Identity is how a service presents itself on the wire. Clients and servers share it.
type Identity struct {
	Name         string            // as users say it: "batch"
	SigningName  string            // in the credential scope; "" means Name
	TargetPrefix string            // before the dot of X-Amz-Target (JSON protocols)
	Version      string            // API version (query protocol)
	Namespace    string            // XML namespace (query protocol)
	Protocols    []Protocol        // accepted; the first is what drover's own client speaks
	LowerFirst   bool              // members are named with a lower first letter
	Names        map[string]string // exceptions to the naming rule: "Type.Member" or "Member" to wire name
	Invalid      string            // code for a broken constraint; "" means ValidationException
}

func (id *Identity) signingName() string {
	if id.SigningName != "" {
		return id.SigningName
	}
	return id.Name
}

func (id *Identity) invalidCode() string {
	if id.Invalid != "" {
		return id.Invalid
	}
	return "ValidationException"
}

func (id *Identity) speaks(p Protocol) bool { return slices.Contains(id.Protocols, p) }

// Name names an operation; Op returns it so that the registration line has a value.
type Name string

// operation is one row of a table. It does not change after registration.
type operation struct {
	name    string
	built   bool   // has a handler that answers
	refused string // why drover does not do it on purpose

	in, out reflect.Type
	inPlan  *plan // members of the body; bound members are not in it
	outPlan *plan
	route   *route // rest-json only
	maxBody int64  // 0: the mux's default
	checks  []check
	open    bool // no policy is asked: every caller may, or the handler asks itself
}

// Table is the list of a service's operations, S being the type that handles them.
// Tables are filled while package variables are initialised and not changed afterwards.
type Table[S any] struct {
	id    Identity
	codec *codec
	ops   map[string]*operation
	calls map[string]func(S, context.Context, any) (any, error)
	about map[string]subject[S] // what operations are about, for policies
}

// NewTable makes an empty table. It panics on an identity that no client could address.
func NewTable[S any](id Identity) *Table[S] {
	if id.Name == "" || len(id.Protocols) == 0 {
		panic("wire: an identity needs a name and a protocol")
	}
	if (id.speaks(JSON10) || id.speaks(JSON11)) && id.TargetPrefix == "" {
		panic("wire: " + id.Name + " speaks JSON and needs a TargetPrefix")
	}
	t := &Table[S]{id: id, ops: map[string]*operation{}, calls: map[string]func(S, context.Context, any) (any, error){}, about: map[string]subject[S]{}}
	t.codec = newCodec(&t.id)
	return t
}

// Identity is the table's identity.
func (t *Table[S]) Identity() Identity { return t.id }

// Op adds an operation with its handler and constraints. It panics on a name used twice,
// an option that does not fit the types, or a type the codec cannot carry.
func Op[S, In, Out any](t *Table[S], name string, h func(S, context.Context, *In) (*Out, error), options ...Option) Name {
	t.register(name, reflect.TypeFor[In](), reflect.TypeFor[Out](), options)
	t.calls[name] = func(s S, ctx context.Context, in any) (any, error) {
		out, err := h(s, ctx, in.(*In))
		if err != nil {
			return nil, err
		}
		if out == nil {
			out = new(Out)
		}
		return out, nil
	}
	return Name(name)
}

// register adds an operation by its types.
func (t *Table[S]) register(name string, in, out reflect.Type, options []Option) {
	op := t.add(name)
	op.built, op.in, op.out = true, in, out
	for _, o := range options {
		o(op)
	}
	if op.route == nil && t.id.speaks(RestJSON) {
		POST(DefaultPath(name))(op)
	}
	op.inPlan = t.codec.structure(op.in, op.boundMembers())
	op.outPlan = t.codec.structure(op.out, nil)
	if op.route != nil {
		op.route.bind(t.codec, op)
	}
	for i := range op.checks {
		op.checks[i].compile(t.codec, op)
	}
}

// Known lists operations of the service's model that drover does not have yet. They
// answer an error that names them, and the coverage page lists them. The result is
// their number, so that a package variable can hold the registration.
func Known[S any](t *Table[S], names ...string) int {
	for _, name := range names {
		op := t.add(name)
		if t.id.speaks(RestJSON) {
			POST(DefaultPath(name))(op)
			op.route.compile()
		}
	}
	return len(names)
}

// DefaultPath is where a rest-json operation lives unless its route says otherwise.
func DefaultPath(op string) string { return "/v1/" + strings.ToLower(op) }

func (t *Table[S]) add(name string) *operation {
	if t.ops[name] != nil {
		panic(fmt.Sprintf("wire: operation %s of %s is registered twice", name, t.id.Name))
	}
	op := &operation{name: name}
	t.ops[name] = op
	return op
}

// Service is a table bound to the value that handles its operations.
type Service struct {
	id     *Identity
	ops    map[string]*operation
	call   func(ctx context.Context, op string, in any) (any, error)
	about  func(ctx context.Context, op string, in any) []string // ARNs; nil: none
	exact  map[string]*operation                                 // "METHOD path" of routes without members
	routes []*operation                                          // routes with members
}

// Bind makes a service of a table and its handler.
func Bind[S any](t *Table[S], s S) Service {
	svc := t.bind(t.ops, func(ctx context.Context, op string, in any) (any, error) {
		h := t.calls[op]
		if h == nil {
			return nil, notBuilt(&t.id, t.ops[op], op)
		}
		return h(s, ctx, in)
	})
	t.checkSubjects()
	svc.about = func(ctx context.Context, op string, in any) []string {
		if about, ok := t.about[op]; ok {
			return about.name(s, ctx, in)
		}
		return nil
	}
	return svc
}

// Record makes a service of a table for conformance tests: f answers every operation
// that is built, and no constraint is checked. in and f's result are pointers to the
// operation's input and output.
func Record[S any](t *Table[S], f func(op Name, in any) (any, error)) Service {
	ops := map[string]*operation{}
	for name, op := range t.ops {
		bare := *op
		bare.checks = nil
		ops[name] = &bare
	}
	return t.bind(ops, func(_ context.Context, op string, in any) (any, error) { return f(Name(op), in) })
}

func (t *Table[S]) bind(ops map[string]*operation, call func(context.Context, string, any) (any, error)) Service {
	svc := Service{id: &t.id, ops: ops, call: call, exact: map[string]*operation{}}
	for _, name := range sortedNames(ops) {
		op := ops[name]
		switch {
		case op.route == nil:
		case op.route.plain():
			svc.exact[op.route.method+" "+op.route.pattern] = op
		default:
			svc.routes = append(svc.routes, op)
		}
	}
	return svc
}

// Operation says what a test or a client needs to know about one operation.
type Operation struct {
	Name    Name
	Address string // how Client.Call names it
	In, Out reflect.Type
}

// Built lists the operations that answer, in alphabetical order.
func (s Service) Built() []Operation {
	var all []Operation
	for _, name := range sortedNames(s.ops) {
		op := s.ops[name]
		if !op.built {
			continue
		}
		o := Operation{Name: Name(name), Address: name, In: op.in, Out: op.out}
		if op.route != nil && s.id.Protocols[0] == RestJSON {
			o.Address = op.route.method + " " + op.route.pattern
			if len(op.route.query) > 0 {
				o.Address += "?" + strings.Join(op.route.query, "&")
			}
		}
		all = append(all, o)
	}
	return all
}

// Identity is the service's identity.
func (s Service) Identity() Identity { return *s.id }

func sortedNames(ops map[string]*operation) []string {
	names := make([]string, 0, len(ops))
	for name := range ops {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// notBuilt is the answer for an operation without a handler.
func notBuilt(id *Identity, op *operation, name string) error {
	switch {
	case op == nil:
		e := fault.New(fault.Invalid, codeUnknownOperation, "%s has no operation %q", id.Name, clip(name))
		e.Status = 404
		return e
	case op.refused != "" && id.Invalid != "": // clients of the service know this code
		return fault.New(fault.Invalid, id.Invalid, "drover does not do %s: %s", name, op.refused)
	case op.refused != "":
		return fault.New(fault.NotBuilt, codeNotImplemented, "drover does not do %s %s: %s", id.Name, name, op.refused)
	}
	return fault.New(fault.NotBuilt, codeNotImplemented, "drover does not have the operation %s of %s yet; docs/reference/coverage.md lists what it has", name, id.Name)
}

func clip(s string) string {
	if len(s) > 80 {
		return s[:80] + "..."
	}
	return s
}
