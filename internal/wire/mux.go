package wire

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"drover/internal/core/fault"
	"drover/internal/wire/authz"
	"drover/internal/wire/sigv4"
)

// Access is one answered request, for logs, metrics and audit.
type Access struct {
	Service, Operation string
	Principal          Principal
	RequestID          string
	Remote             string
	Status             int
	Code               string // of the error; "" for success
	Err                error  // with its cause, which the client does not see
	Took               time.Duration
}

// RawHandler serves a service that speaks for itself. It is called when the request's
// signature has been compared; the bytes of body prove themselves while they are read
// (see sigv4.Body). r.Body reads the same bytes.
type RawHandler func(w http.ResponseWriter, r *http.Request, p Principal, body *sigv4.Body)

// MuxOptions configure a Mux.
type MuxOptions struct {
	Account       string // of the anonymous principal and in-process calls
	DefaultRegion string // of in-process calls that come from no request
	Auth          *sigv4.Verifier
	Authorizer    authz.Authorizer // of users and roles; nil: they may do nothing
	Denials       *authz.Denials   // keeps what was refused; nil: nowhere
	MaxBody       int64            // of an operation that states no limit; 0: 1 MiB + 64 KiB
	MaxRaw        int64            // of a raw service other than s3, whose bodies are held; 0: 16 MiB
	Log           func(Access)     // nil: nowhere
}

// Mux is the http.Handler that serves all services on one address. Services are added
// before the first request.
type Mux struct {
	o        MuxOptions
	services []*Service
	signed   map[string]*Service // by signing name
	named    map[string]*Service // by name
	raw      map[string]RawHandler
	judges   map[string]func(*http.Request) error // of raw services, by signing name
}

const (
	defaultMaxBody = 1<<20 + 64<<10
	defaultMaxRaw  = 16 << 20
	anonymousRaw   = "s3" // who gets the requests that nobody signed
)

// NewMux makes a mux without services.
func NewMux(o MuxOptions) *Mux {
	if o.MaxBody <= 0 {
		o.MaxBody = defaultMaxBody
	}
	if o.MaxRaw <= 0 {
		o.MaxRaw = defaultMaxRaw
	}
	if o.Log == nil {
		o.Log = func(Access) {}
	}
	return &Mux{o: o, signed: map[string]*Service{}, named: map[string]*Service{}, raw: map[string]RawHandler{}, judges: map[string]func(*http.Request) error{}}
}

// Add serves a service. Two services under one name are a mistake of the program.
func (m *Mux) Add(s Service) {
	name := s.id.signingName()
	if m.signed[name] != nil || m.raw[name] != nil || m.named[s.id.Name] != nil {
		panic("wire: two services are signed as " + name)
	}
	m.services = append(m.services, &s)
	m.signed[name], m.named[s.id.Name] = &s, &s
}

// Raw gives the requests signed for a name to a handler; the one named s3 also gets what
// nobody signed and no operation is asked for, as the anonymous principal.
func (m *Mux) Raw(signingName string, h RawHandler) {
	if m.signed[signingName] != nil || m.raw[signingName] != nil {
		panic("wire: two services are signed as " + signingName)
	}
	m.raw[signingName] = h
}

// Judge sets what is asked before a raw service gets a request of a user or role: it names
// the request's actions to Permit. A raw service without one is open to users and roles
// that may do everything of it.
func (m *Mux) Judge(signingName string, judge func(*http.Request) error) {
	m.judges[signingName] = judge
}

// Services are those added, in their order.
func (m *Mux) Services() []Service {
	all := make([]Service, len(m.services))
	for i, s := range m.services {
		all[i] = *s
	}
	return all
}

// exchange is one request on its way through the mux.
type exchange struct {
	m     *Mux
	w     http.ResponseWriter
	r     *http.Request
	c     *call
	start time.Time
	dress Dress
	log   Access
}

// ServeHTTP implements http.Handler.
func (m *Mux) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id := newRequestID()
	x := &exchange{m: m, w: w, r: r, start: time.Now(), dress: DressJSON,
		c: &call{Context: r.Context(), m: m, r: r, info: Info{RequestID: id, Host: r.Host}}}
	h := w.Header()
	h["X-Amzn-Requestid"] = []string{id}
	defer x.finish()
	x.serve()
}

// finish logs the exchange, and answers it if its handler panicked.
func (x *exchange) finish() {
	if p := recover(); p != nil {
		if p == http.ErrAbortHandler { // net/http's own way to hang up
			panic(p)
		}
		x.fail(fmt.Errorf("panic: %v\n%s", p, debug.Stack()))
	}
	x.log.Service, x.log.Operation = x.c.info.Service, x.c.info.Operation
	x.log.Principal, x.log.RequestID = x.c.info.Principal, x.c.info.RequestID
	x.log.Remote, x.log.Took = x.r.RemoteAddr, time.Since(x.start)
	x.m.o.Log(x.log)
}

func (x *exchange) fail(err error) {
	x.log.Err = err
	x.log.Code, _ = spell(fault.From(err), x.dress)
	x.log.Status = WriteError(x.w, x.r, x.dress, x.c.info.RequestID, err)
}

func (x *exchange) serve() {
	if !sigv4.Signed(x.r) {
		x.serveUnsigned()
		return
	}
	a, err := x.m.o.Auth.Open(x.r)
	if err != nil {
		x.dress = x.m.guessDress(x.r)
		x.fail(err)
		return
	}
	x.c.info.Principal, x.c.info.Region = a.Principal, a.Region
	x.c.info.Service = a.Service
	if h := x.m.raw[a.Service]; h != nil {
		x.serveRaw(a, h)
		return
	}
	s := x.m.signed[a.Service]
	if s == nil {
		x.dress = x.m.guessDress(x.r)
		x.fail(fault.New(fault.NotBuilt, codeNotImplemented, "drover has no service that is signed as %q; it has %s", clip(a.Service), strings.Join(x.m.names(), ", ")))
		return
	}
	x.c.info.Service = s.id.Name
	if err := x.serveOperation(a, s); err != nil {
		x.fail(err)
	}
}

func (m *Mux) names() []string {
	var names []string
	for name := range m.signed {
		names = append(names, name)
	}
	for name := range m.raw {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// guessDress is for requests whose service is not known.
func (m *Mux) guessDress(r *http.Request) Dress {
	switch speech(r) {
	case JSON10, JSON11:
		return DressJSON
	case Query:
		return DressQuery
	}
	if m.raw[anonymousRaw] == nil || m.isServicePath(r) {
		return DressJSON
	}
	return DressS3
}

func (m *Mux) isServicePath(r *http.Request) bool {
	path := r.URL.EscapedPath()
	for _, s := range m.services {
		if s.byPath(r.Method, path) != nil {
			return true
		}
	}
	return false
}

func (x *exchange) serveUnsigned() {
	h := x.m.raw[anonymousRaw]
	x.dress = x.m.guessDress(x.r)
	if x.dress != DressS3 || h == nil {
		_, err := x.m.o.Auth.Open(x.r) // there is nothing to open: it says so
		x.fail(err)
		return
	}
	body, err := sigv4.Anonymous(x.r)
	if err != nil {
		x.fail(err)
		return
	}
	x.c.info.Service = anonymousRaw
	x.c.info.Region = x.m.o.DefaultRegion
	x.callRaw(h, Principal{Kind: Anonymous}, body)
}

// serveRaw compares the signature of a request for a raw service and hands it on. Only
// s3 bodies stream: what other raw services get has been checked whole.
func (x *exchange) serveRaw(a *sigv4.Auth, h RawHandler) {
	if sigv4.RawPath(a.Service) {
		x.dress = DressS3
	}
	err := x.m.speak(x.c, a.Service, "*")
	if judge := x.m.judges[a.Service]; err == nil && judge != nil && a.Principal.Governed() {
		err = judge(x.r.WithContext(x.c))
	} else if err == nil && a.Principal.Governed() {
		err = x.m.permit(x.c, a.Service+":*", "*")
	}
	if err != nil {
		x.fail(err)
		return
	}
	var body *sigv4.Body
	if sigv4.RawPath(a.Service) {
		body, err = a.Stream()
	} else {
		var data []byte
		if data, err = sigv4.ReadLimited(nil, x.r.Body, x.m.o.MaxRaw); err == nil {
			err = a.Check(data)
		}
		body = sigv4.WholeBody(data)
	}
	if err != nil {
		x.fail(err)
		return
	}
	x.callRaw(h, a.Principal, body)
}

func (x *exchange) callRaw(h RawHandler, p Principal, body *sigv4.Body) {
	x.c.info.Principal = p
	if x.c.info.Service == anonymousRaw {
		x.w.Header()["X-Amz-Request-Id"] = []string{x.c.info.RequestID}
	}
	r := x.r.WithContext(x.c)
	r.Body = io.NopCloser(body.Reader)
	rec := &statusWriter{ResponseWriter: x.w}
	x.w = rec
	h(rec, r, p, body)
	x.log.Status = rec.status
}

// statusWriter notes the status of an answer that a raw handler writes.
type statusWriter struct {
	http.ResponseWriter
	status int
}

func (s *statusWriter) WriteHeader(status int) {
	if s.status == 0 || s.status < 200 {
		s.status = status
	}
	s.ResponseWriter.WriteHeader(status)
}

func (s *statusWriter) Write(p []byte) (int, error) {
	if s.status == 0 {
		s.status = http.StatusOK
	}
	return s.ResponseWriter.Write(p)
}

// Unwrap is for http.ResponseController.
func (s *statusWriter) Unwrap() http.ResponseWriter { return s.ResponseWriter }

// newRequestID makes an id in the form of a version 4 UUID. It names a request; it is no
// secret.
func newRequestID() string {
	hi, lo := rand.Uint64(), rand.Uint64()
	hi = hi&^0xf000 | 0x4000
	lo = lo&^(3<<62) | 2<<62
	var b [36]byte
	pos := 0
	for i := range 32 {
		n := hi
		if i >= 16 {
			n = lo
		}
		if i == 8 || i == 12 || i == 16 || i == 20 {
			b[pos] = '-'
			pos++
		}
		b[pos] = lowerHex[n>>(60-4*(i&15))&15]
		pos++
	}
	return string(b[:])
}
