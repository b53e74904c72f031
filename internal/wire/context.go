package wire

import (
	"context"
	"net/http"
	"reflect"

	"drover/internal/wire/authz"
)

// Principal is who makes a request.
type Principal = authz.Principal

// Denial is a refused request, as authz.Denials keeps it.
type Denial = authz.Denial

// PrincipalKind says what sort of caller a principal is.
type PrincipalKind = authz.Kind

// The kinds of principal.
const (
	Anonymous = authz.Anonymous
	Root      = authz.Root
	Session   = authz.Session
	Worker    = authz.Worker
	User      = authz.User
)

// Members is a set of a structure's members: those that were in a request. A nil set
// is empty.
type Members struct {
	of   reflect.Type
	bits [4]uint64
}

func (m *Members) add(index int)      { m.bits[index>>6&3] |= 1 << (index & 63) }
func (m *Members) has(index int) bool { return m.bits[index>>6&3]&(1<<(index&63)) != 0 }

// Has reports whether the member with this Go name was in the request.
func (m *Members) Has(member string) bool {
	if m == nil || m.of == nil {
		return false
	}
	f, ok := m.of.FieldByName(member)
	return ok && len(f.Index) == 1 && m.has(f.Index[0])
}

// Info is what a handler may ask about the call it serves.
type Info struct {
	Principal Principal
	RequestID string
	Region    string // as the client signed it
	Host      string // as the client addressed drover
	Service   string // the service's name
	Operation string
	Present   *Members // nil for calls inside the process
}

// call is the context of one request.
type call struct {
	context.Context
	info Info
	seen Members

	m *Mux          // nil for calls that a mux did not begin
	r *http.Request // nil for calls inside the process
	// Filled when a policy asks for them.
	in         any // the operation's input
	conditions map[string][]string
}

type callKey struct{}

// Value implements context.Context.
func (c *call) Value(key any) any {
	if key == (callKey{}) {
		return c
	}
	return c.Context.Value(key)
}

// WithInfo makes the context of a call that did not come over the wire, for tests and
// for services that act in somebody's name.
func WithInfo(ctx context.Context, info Info) context.Context {
	return &call{Context: ctx, info: info}
}

func infoOf(ctx context.Context) (Info, bool) {
	if c, ok := ctx.Value(callKey{}).(*call); ok {
		return c.info, true
	}
	return Info{}, false
}

// PrincipalFrom is who makes the call; ok is false outside of one.
func PrincipalFrom(ctx context.Context) (Principal, bool) {
	i, ok := infoOf(ctx)
	return i.Principal, ok
}

// RequestID is the call's id, as the client sees it.
func RequestID(ctx context.Context) string { i, _ := infoOf(ctx); return i.RequestID }

// Region is the region that the client signed for.
func Region(ctx context.Context) string { i, _ := infoOf(ctx); return i.Region }

// Host is the host and port by which the client reached drover.
func Host(ctx context.Context) string { i, _ := infoOf(ctx); return i.Host }

// Present is the set of members that were in the request; absent and zero can be told
// apart with it where the Go type cannot.
func Present(ctx context.Context) *Members { i, _ := infoOf(ctx); return i.Present }
