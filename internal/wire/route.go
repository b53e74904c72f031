package wire

import (
	"net/http"
	"strings"

	"drover/internal/core/fault"
)

// target is what a request asks for, as far as head and path tell.
type target struct {
	protocol Protocol
	op       *operation // nil: not known, or for Query not read yet
	name     string     // the operation's name as asked for
}

// speech guesses the protocol of a request from its head alone. It does not look at the
// path: 0 means that neither target nor action is there.
func speech(r *http.Request) Protocol {
	if _, ok := r.Header["X-Amz-Target"]; ok {
		if strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-amz-json-1.0") {
			return JSON10
		}
		return JSON11
	}
	if hasParam(r.URL.RawQuery, "Action") || strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
		return Query
	}
	return 0
}

func hasParam(rawQuery, name string) bool {
	for part := range strings.SplitSeq(rawQuery, "&") {
		if k, _, _ := strings.Cut(part, "="); k == name {
			return true
		}
	}
	return false
}

// route finds protocol and operation of a request for the service.
func (s *Service) route(r *http.Request) (target, error) {
	p := speech(r)
	switch p {
	case JSON10, JSON11:
		asked := p
		if !s.id.speaks(p) { // the content type is only a hint between the two
			p = JSON10 + JSON11 - p
		}
		if !s.id.speaks(p) {
			return target{protocol: asked}, s.wrongProtocol(asked)
		}
		given := r.Header.Get("X-Amz-Target")
		name, ours := strings.CutPrefix(given, s.id.TargetPrefix+".")
		if !ours {
			return target{protocol: p, name: given}, nil
		}
		return target{p, s.ops[name], name}, nil
	case Query:
		if s.id.speaks(Query) {
			return target{protocol: Query}, nil
		}
	}
	if !s.id.speaks(RestJSON) {
		return target{protocol: s.id.Protocols[0]}, s.wrongProtocol(RestJSON)
	}
	path := r.URL.EscapedPath()
	if op := s.byPath(r.Method, path); op != nil {
		return target{RestJSON, op, op.name}, nil
	}
	return target{RestJSON, nil, r.Method + " " + path}, nil
}

func (s *Service) wrongProtocol(p Protocol) error {
	e := fault.New(fault.Invalid, codeUnknownOperation, "%s does not speak the %s protocol at this address; it speaks %s", s.id.Name, p, protocolList(s.id))
	e.Status = 404
	return e
}

func protocolList(id *Identity) string {
	names := make([]string, len(id.Protocols))
	for i, p := range id.Protocols {
		names[i] = p.String()
	}
	return strings.Join(names, ", ")
}

// byPath finds the rest-json operation at a method and escaped path.
func (s *Service) byPath(method, path string) *operation {
	if op := s.exact[method+" "+path]; op != nil {
		return op
	}
	if len(path) > 1 {
		if op := s.exact[method+" "+strings.TrimSuffix(path, "/")]; op != nil {
			return op
		}
	}
	for _, op := range s.routes {
		if op.route.method != method {
			continue
		}
		if _, ok := op.route.match(path); ok {
			return op
		}
	}
	return nil
}
