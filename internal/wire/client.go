package wire

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"drover/internal/core/fault"
	"drover/internal/wire/sigv4"
)

// Client calls a drover, or anything that speaks AWS's protocols, with the identities
// and codecs of the same tables. It is safe for concurrent use and must not be copied.
type Client struct {
	Endpoint    string // "http://127.0.0.1:4580"
	Region      string
	Credentials sigv4.Credentials
	HTTP        *http.Client // nil: http.DefaultClient
	// Retries is how often a call is made again when no connection could be made, or,
	// for operations that only read, when it broke. 0: never.
	Retries int

	mu     sync.Mutex // guards codecs
	codecs map[string]*codec
}

// maxAnswer bounds what a client reads of an answer.
const maxAnswer = 64 << 20

// Call makes one call and decodes its answer into out, a pointer to the operation's
// output. An error answer is returned as a *fault.Error with its code and message.
//
// op is the operation's name. A rest-json operation that is not a POST to DefaultPath is
// given as method and path: "GET /v1/tags/{ResourceArn}", with members of the query
// string named behind a question mark: "DELETE /v1/tags/{ResourceArn}?TagKeys".
func (c *Client) Call(ctx context.Context, id Identity, op string, in, out any) error {
	cd := c.codec(id)
	vin, vout := reflect.ValueOf(in), reflect.ValueOf(out)
	if vin.Kind() != reflect.Pointer || vout.Kind() != reflect.Pointer || vin.IsNil() || vout.IsNil() {
		return fmt.Errorf("call %s %s: input and output must be pointers to structures", id.Name, op)
	}
	m, err := newMessage(cd, op, vin.Elem())
	if err != nil {
		return err
	}
	for try := 0; ; try++ {
		err = c.once(ctx, cd, m, vout.Elem())
		if err == nil || try >= c.Retries || ctx.Err() != nil || !mayRetry(err, op) {
			return err
		}
		timer := time.NewTimer(min(100*time.Millisecond<<min(try, 10), 5*time.Second))
		select {
		case <-ctx.Done():
			timer.Stop()
			return err
		case <-timer.C:
		}
	}
}

// Call is Client.Call with the output as its result:
//
//	out, err := wire.Call[batch.SubmitJobOutput](ctx, c, id, "SubmitJob", &batch.SubmitJobInput{...})
func Call[Out any](ctx context.Context, c *Client, id Identity, op string, in any) (*Out, error) {
	out := new(Out)
	if err := c.Call(ctx, id, op, in, out); err != nil {
		return nil, err
	}
	return out, nil
}

func (c *Client) codec(id Identity) *codec {
	c.mu.Lock()
	defer c.mu.Unlock()
	if cd := c.codecs[id.Name]; cd != nil {
		return cd
	}
	if c.codecs == nil {
		c.codecs = map[string]*codec{}
	}
	cd := newCodec(&id)
	c.codecs[id.Name] = cd
	return cd
}

// mayRetry reports whether a call that failed cannot have had an effect.
func mayRetry(err error, op string) bool {
	if _, answered := errors.AsType[*fault.Error](err); answered {
		return false
	}
	if e, ok := errors.AsType[*net.OpError](err); ok && e.Op == "dial" {
		return true
	}
	for _, verb := range []string{"Describe", "List", "Get", "Filter"} {
		if strings.HasPrefix(op, verb) {
			return true
		}
	}
	return strings.HasPrefix(op, "GET ")
}

// message is an encoded request, good for several tries.
type message struct {
	method, path, query string
	header              http.Header
	body                []byte
	protocol            Protocol
	op                  string
}

func newMessage(cd *codec, op string, in reflect.Value) (m *message, err error) {
	id := cd.id
	m = &message{method: "POST", path: "/", header: http.Header{}, protocol: id.Protocols[0], op: op}
	switch m.protocol {
	case JSON10, JSON11:
		m.header["Content-Type"] = contentTypes[m.protocol]
		m.header["X-Amz-Target"] = []string{id.TargetPrefix + "." + op}
		m.body = appendJSON(nil, cd.structure(in.Type(), nil), in, asInput)
	case Query:
		m.header["Content-Type"] = []string{"application/x-www-form-urlencoded; charset=utf-8"}
		m.body = append(m.body, "Action="+url.QueryEscape(op)+"&Version="+url.QueryEscape(id.Version)...)
		m.body = appendForm(m.body, "", cd.structure(in.Type(), nil), in)
	case RestJSON:
		err = m.rest(cd, op, in)
	default:
		err = fmt.Errorf("call %s: no client speaks %s", id.Name, m.protocol)
	}
	return m, err
}

// rest fills path, query and body of a rest-json request.
func (m *message) rest(cd *codec, op string, in reflect.Value) error {
	method, pattern, given := strings.Cut(op, " ")
	if !given {
		method, pattern = "POST", DefaultPath(op)
	}
	pattern, query, _ := strings.Cut(pattern, "?")
	rt := &route{method: method, pattern: pattern}
	if query != "" {
		rt.query = strings.Split(query, "&")
	}
	bound := &operation{name: op, in: in.Type(), route: rt}
	names := bound.boundMembers()
	rt.bind(cd, bound)
	m.method = method
	var path strings.Builder
	for _, part := range rt.parts {
		path.WriteByte('/')
		if part.member == "" {
			path.WriteString(part.text)
			continue
		}
		texts := rt.fields[part.member].texts(in)
		if len(texts) != 1 || texts[0] == "" {
			return fmt.Errorf("%s: %s must be set", op, part.member)
		}
		path.WriteString(escapeSegment(texts[0]))
	}
	m.path = path.String()
	q := url.Values{}
	for _, name := range rt.query {
		f := rt.fields[name]
		if texts := f.texts(in); len(texts) > 0 {
			q[f.name] = texts
		}
	}
	m.query = q.Encode()
	p := cd.structure(in.Type(), names)
	if method != "GET" && method != "DELETE" && len(p.fields) > 0 {
		m.header["Content-Type"] = contentTypes[RestJSON]
		m.body = appendJSON(nil, p, in, asInput)
	}
	return nil
}

// escapeSegment encodes everything but unreserved characters, as AWS's clients do.
func escapeSegment(s string) string {
	return strings.ReplaceAll(url.QueryEscape(s), "+", "%20")
}

// texts gives a bound member as path and query have it.
func (f *field) texts(in reflect.Value) []string {
	v, p := in.Field(f.index), f.plan
	if omitted(p, v, asInput) {
		return nil
	}
	if p.kind == kindList {
		var all []string
		for i := range v.Len() {
			all = append(all, scalarText(p.elem, v.Index(i)))
		}
		return all
	}
	return []string{scalarText(p, v)}
}

func scalarText(p *plan, v reflect.Value) string {
	if p.ptr {
		v, p = v.Elem(), p.target()
	}
	if p.kind == kindString {
		return v.String()
	}
	return string(appendScalar(nil, p, v))
}

func (c *Client) once(ctx context.Context, cd *codec, m *message, out reflect.Value) error {
	base, err := url.Parse(c.Endpoint)
	if err != nil || base.Host == "" {
		return fmt.Errorf("the endpoint %q is no URL such as http://127.0.0.1:4580", c.Endpoint)
	}
	target := base.Scheme + "://" + base.Host + strings.TrimSuffix(base.EscapedPath(), "/") + m.path
	if m.query != "" {
		target += "?" + m.query
	}
	r, err := http.NewRequestWithContext(ctx, m.method, target, bytes.NewReader(m.body))
	if err != nil {
		return fmt.Errorf("call %s %s: %w", cd.id.Name, m.op, err)
	}
	for name, values := range m.header {
		r.Header[name] = slices.Clone(values)
	}
	if c.Credentials.AccessKey != "" {
		sigv4.Sign(r, sigv4.HashBody(m.body), c.Credentials, cd.id.signingName(), c.Region, time.Now())
	}
	hc := c.HTTP
	if hc == nil {
		hc = http.DefaultClient
	}
	resp, err := hc.Do(r)
	if err != nil {
		return fmt.Errorf("call %s %s at %s: %w", cd.id.Name, m.op, c.Endpoint, err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return fmt.Errorf("call %s %s: read the answer: %w", cd.id.Name, m.op, err)
	}
	if len(data) > maxAnswer {
		return fmt.Errorf("call %s %s: the answer is larger than %d bytes; ask for fewer results", cd.id.Name, m.op, maxAnswer)
	}
	if resp.StatusCode/100 != 2 {
		return errorAnswer(m.protocol, resp, data)
	}
	p := cd.structure(out.Type(), nil)
	if m.protocol == Query {
		err = decodeXMLAnswer(data, m.op, p, out)
	} else {
		err = decodeJSON(data, p, out, nil)
	}
	if err != nil {
		return fmt.Errorf("call %s %s: the answer of %s cannot be read (is it a drover?): %w", cd.id.Name, m.op, c.Endpoint, err)
	}
	return nil
}

// errorAnswer makes a fault of an error in any dress.
func errorAnswer(p Protocol, resp *http.Response, data []byte) error {
	code, message := resp.Header.Get("X-Amzn-Errortype"), ""
	if p == Query || strings.Contains(resp.Header.Get("Content-Type"), "xml") {
		code, message = xmlError(data)
	} else {
		var body errorBody
		// A proxy's error page is no JSON: the status then has to say it all.
		if decodeJSON(data, errorPlan(), reflect.ValueOf(&body).Elem(), nil) == nil {
			if code == "" {
				code = body.Type
			}
			if message = body.Message; message == "" {
				message = body.MessageUpper
			}
		}
	}
	if i := strings.LastIndexByte(code, '#'); i >= 0 {
		code = code[i+1:]
	}
	code, _, _ = strings.Cut(code, ":")
	if message == "" {
		message = "the endpoint answered " + resp.Status
	}
	f := fault.New(kindOf(resp.StatusCode), code, "%s", message)
	f.Status = resp.StatusCode
	return f
}

type errorBody struct{ Type, Message, MessageUpper string }

func errorPlan() *plan {
	cd := newCodec(&Identity{Name: "error", Names: map[string]string{"Type": "__type", "Message": "message", "MessageUpper": "Message"}})
	return cd.structure(reflect.TypeFor[errorBody](), nil)
}

func kindOf(status int) fault.Kind {
	switch {
	case status == 401 || status == 403:
		return fault.Denied
	case status == 404:
		return fault.NotFound
	case status == 409:
		return fault.Conflict
	case status == 413:
		return fault.TooLarge
	case status == 429:
		return fault.Throttled
	case status == 501:
		return fault.NotBuilt
	case status == 502 || status == 503 || status == 504:
		return fault.Unavailable
	case status >= 500:
		return fault.Internal
	}
	return fault.Invalid
}
