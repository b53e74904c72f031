package wire

import (
	"bytes"
	"compress/gzip"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"sync"

	"drover/internal/core/fault"
	"drover/internal/wire/sigv4"
)

// serveOperation is the path of every operation of every table.
func (x *exchange) serveOperation(a *sigv4.Auth, s *Service) error {
	t, routeErr := s.route(x.r)
	x.dress = t.protocol.dress()
	x.w.Header()["Content-Type"] = contentTypes[t.protocol]
	if t.op != nil {
		x.c.info.Operation = t.op.name
	}
	bufs := buffers.Get().(*buffer)
	defer bufs.release()
	var err error
	if bufs.in, err = sigv4.ReadLimited(bufs.in[:0], x.r.Body, x.m.limit(t.op, s)); err != nil {
		return err
	}
	if err := a.Check(bufs.in); err != nil {
		return err
	}
	if routeErr != nil {
		return routeErr
	}
	body, err := x.inflate(bufs, x.m.limit(t.op, s))
	if err != nil {
		return err
	}
	var form *node
	if t.protocol == Query {
		if form, err = parseForm(formText(x.r, body)); err != nil {
			return err
		}
		t.name = form.text("Action")
		t.op = s.ops[t.name]
		if v := form.text("Version"); v != "" && v != s.id.Version {
			return fault.New(fault.Invalid, codeUnknownOperation, "%s has the version %s, not %q", s.id.Name, s.id.Version, clip(v))
		}
	}
	if t.op == nil || !t.op.built {
		return notBuilt(s.id, t.op, t.name)
	}
	if t.protocol == Query && int64(len(body)) > x.m.limit(t.op, nil) {
		return fault.New(fault.TooLarge, "RequestEntityTooLarge", "the request body is larger than the %d bytes that %s takes", x.m.limit(t.op, nil), t.name)
	}
	x.c.info.Operation = t.op.name
	if err := x.m.speak(x.c, s.id.signingName(), t.op.name); err != nil {
		return err
	}
	in, err := x.decode(t, form, body)
	if err != nil {
		return err
	}
	if err := x.m.permitOperation(x.c, s, t.op, in); err != nil {
		return err
	}
	if err := t.op.validate(s.id, in); err != nil {
		return err
	}
	out, err := s.call(x.c, t.op.name, in)
	if err != nil {
		return err
	}
	x.answer(s, t, bufs, reflect.ValueOf(out).Elem())
	return nil
}

// limit is how large an operation's body may be; before the operation is known (query
// protocol) it is the largest of the service.
func (m *Mux) limit(op *operation, s *Service) int64 {
	n := m.o.MaxBody
	if op != nil {
		if op.maxBody > 0 {
			n = op.maxBody
		}
		return n
	}
	if s != nil && s.id.speaks(Query) {
		for _, op := range s.ops {
			n = max(n, op.maxBody)
		}
	}
	return n
}

// formText is where a query request has its parameters.
func formText(r *http.Request, body []byte) string {
	if len(body) == 0 {
		return r.URL.RawQuery
	}
	return string(body)
}

// inflate undoes Content-Encoding: gzip, within the same limit.
func (x *exchange) inflate(bufs *buffer, limit int64) ([]byte, error) {
	switch enc := x.r.Header["Content-Encoding"]; {
	case len(enc) == 0 || len(enc) == 1 && (enc[0] == "" || enc[0] == "identity"):
		return bufs.in, nil
	case len(enc) == 1 && strings.EqualFold(enc[0], "gzip"):
	default:
		e := fault.New(fault.Invalid, codeSerialization, "the Content-Encoding %q is not supported; send gzip or none", clip(strings.Join(enc, ",")))
		e.Status = http.StatusUnsupportedMediaType
		return nil, e
	}
	z, err := gzip.NewReader(bytes.NewReader(bufs.in))
	if err == nil {
		bufs.inflated, err = sigv4.ReadLimited(bufs.inflated[:0], z, limit)
	}
	if err != nil {
		if fault.Is(err, fault.TooLarge) {
			return nil, err
		}
		return nil, serialization("the body is not valid gzip")
	}
	return bufs.inflated, nil
}

// decode makes the operation's input from the request.
func (x *exchange) decode(t target, form *node, body []byte) (any, error) {
	ptr := reflect.New(t.op.in)
	in, v := ptr.Interface(), ptr.Elem()
	seen := &x.c.seen
	seen.of = t.op.in
	x.c.info.Present = seen
	var err error
	if form != nil {
		err = decodeQuery(form, t.op.inPlan, v, "", seen)
	} else if err = decodeJSON(body, t.op.inPlan, v, seen); err == nil && t.protocol == RestJSON {
		err = t.op.route.decodeBound(x.r.URL.EscapedPath(), x.r.URL.RawQuery, v, seen)
	}
	if err != nil {
		return nil, err
	}
	return in, nil
}

func (x *exchange) answer(s *Service, t target, bufs *buffer, out reflect.Value) {
	h := x.w.Header()
	bufs.out = bufs.out[:0]
	switch t.protocol {
	case Query:
		bufs.out = appendXMLAnswer(bufs.out, s.id, t.op.name, x.c.info.RequestID, t.op.outPlan, out)
	default:
		bufs.out = appendJSON(bufs.out, t.op.outPlan, out, asOutput)
	}
	h["Content-Length"] = []string{strconv.Itoa(len(bufs.out))}
	x.log.Status = http.StatusOK
	x.w.WriteHeader(http.StatusOK)
	if _, err := x.w.Write(bufs.out); err != nil {
		x.log.Err = err
	}
}

var contentTypes = map[Protocol][]string{
	RestJSON: {"application/json"},
	JSON10:   {"application/x-amz-json-1.0"},
	JSON11:   {"application/x-amz-json-1.1"},
	Query:    {"text/xml"},
}

// buffer holds the bytes of one exchange; nothing decoded points into it.
type buffer struct{ in, inflated, out []byte }

// keepBuffer is the largest buffer that is kept for the next request.
const keepBuffer = 256 << 10

var buffers = sync.Pool{New: func() any { return new(buffer) }}

func (b *buffer) release() {
	if cap(b.in)+cap(b.inflated)+cap(b.out) <= keepBuffer {
		buffers.Put(b)
	}
}
