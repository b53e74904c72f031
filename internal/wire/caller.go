package wire

import (
	"context"
	"fmt"
	"reflect"

	"drover/internal/core/fault"
)

// Caller calls operations inside the process.
type Caller interface {
	Call(ctx context.Context, as Principal, service, op string, in, out any) error
}

// Call implements Caller: the same permission and constraints as over the wire, without
// the wire. in and out must be pointers to the operation's own types.
func (m *Mux) Call(ctx context.Context, as Principal, service, op string, in, out any) error {
	s := m.named[service]
	if s == nil {
		s = m.signed[service]
	}
	if s == nil {
		return fault.New(fault.NotBuilt, codeNotImplemented, "drover has no service %q", service)
	}
	o := s.ops[op]
	if o == nil || !o.built {
		return notBuilt(s.id, o, op)
	}
	if reflect.TypeOf(in) != reflect.PointerTo(o.in) || reflect.TypeOf(out) != reflect.PointerTo(o.out) {
		return fmt.Errorf("call %s %s with %T and %T: it takes *%s and *%s", service, op, in, out, o.in, o.out)
	}
	outer, _ := infoOf(ctx)
	if outer.Region == "" {
		outer.Region = m.o.DefaultRegion
	}
	if outer.RequestID == "" {
		outer.RequestID = newRequestID()
	}
	outer.Principal, outer.Service, outer.Operation, outer.Present = as, s.id.Name, op, nil
	c := &call{Context: ctx, m: m, info: outer}
	if err := m.speak(c, s.id.signingName(), op); err != nil {
		return err
	}
	if err := m.permitOperation(c, s, o, in); err != nil {
		return err
	}
	if err := o.validate(s.id, in); err != nil {
		return err
	}
	got, err := s.call(c, op, in)
	if err != nil {
		return err
	}
	reflect.ValueOf(out).Elem().Set(reflect.ValueOf(got).Elem())
	return nil
}
