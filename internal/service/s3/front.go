package s3

import (
	"bufio"
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/valyala/fasthttp"
	"github.com/versity/versitygw/s3api/utils"

	"drover/internal/core/fault"
	"drover/internal/wire/authz"
	"drover/internal/wire/sigv4"
)

// Serve answers one S3 request, whose principal and body wire has proved. It may panic with
// http.ErrAbortHandler when an answer that has begun cannot be finished.
func (s *Service) Serve(w http.ResponseWriter, r *http.Request, p authz.Principal, body *sigv4.Body) {
	if s.check() == nil && s.quick(w, r, &p, body) {
		return
	}
	if bucket, ok := s.formBucket(r); ok {
		err := s.check()
		if err == nil {
			err = s.serveForm(w, r, bucket, p, body)
		}
		if err != nil {
			writeError(w, r, err)
		}
		return
	}
	in := calls.Get().(*call)
	defer in.release()
	in.Init2(conn{remote: remote(r)}, silent{}, true)
	id := requestID(w, r)
	in.SetUserValue(string(utils.ContextKeyRequestID), id) // the library puts it into its errors
	in.SetUserValue(string(utils.ContextKeyHostID), id)
	if p.Kind != authz.Root {
		in.SetUserValue(notRoot, true)
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		in.SetUserValue(origin, originText(p.UserID(), in.RemoteIP().String(), id))
	}
	err := s.check()
	if err == nil {
		err = s.prepare(in, r, p, body)
	}
	if err == nil {
		var done bool
		if done, err = s.throughMount(w, r, in, p); done && err == nil {
			return
		}
	}
	sign := s.library.signer.sign
	var who *guest
	if err == nil && p.Governed() {
		var access string
		access, who = s.library.guests.enter(r.Context(), p)
		defer s.library.guests.leave(access)
		sign = newInnerSigner(access, s.library.guests.secret, s.opts.Region).sign
	}
	if err == nil && in.operation == "GetObjectAcl" {
		err = s.objectACL(w, r, in, p, sign)
		if err == nil {
			return
		}
	}
	if err == nil && in.own {
		if err = s.serveOwn(w, r, in, p); err == nil {
			return
		}
	}
	if err != nil {
		writeError(w, r, err)
		return
	}
	if p.Kind != authz.Anonymous && r.Method != http.MethodOptions {
		sign(&in.Request, time.Now())
	}
	s.library.handle(&in.RequestCtx)
	if who != nil && who.refused != nil && in.Response.StatusCode() == http.StatusForbidden {
		writeError(w, r, who.refused())
		return
	}
	s.tellEncryption(in)
	if page := in.page(); page != nil && in.Response.StatusCode() == http.StatusOK {
		in.Response.SetBodyRaw(page)
	}
	if err := in.answer(w, r.Method); err != nil {
		s.opts.Log.Debug("s3: answer not delivered", "method", r.Method, "path", r.URL.Path, "err", err)
		panic(http.ErrAbortHandler) // the client must not take a cut answer for a whole one
	}
}

// throughMount answers a request that concerns a mounted bucket; done is false for others.
func (s *Service) throughMount(w http.ResponseWriter, r *http.Request, in *call, p authz.Principal) (done bool, err error) {
	if m := s.mounts.of(in.bucket); m != nil {
		return s.serveMount(w, r, in, p, m)
	}
	if source := r.Header.Get("X-Amz-Copy-Source"); source != "" {
		bucket, _, _ := strings.Cut(strings.TrimPrefix(source, "/"), "/")
		if s.mounts.of(bucket) != nil {
			return true, errCopyBetween()
		}
	}
	return false, nil
}

// check refuses service when there is nothing behind it any more.
func (s *Service) check() error {
	if s.closed.Load() {
		return fault.New(fault.Unavailable, "ServiceUnavailable", "The object store is closing. Retry when the server is back.")
	}
	return nil
}

// call is one request in the library's terms.
type call struct {
	fasthttp.RequestCtx
	operation string
	own       bool
	bucket    string
	text      []byte // the header as text
	raw       bytes.Reader
	lines     *bufio.Reader
	buffer    []byte // between an object's file and the client
}

const metadataPrefix = "X-Amz-Meta-"

const (
	copyBuffer = 128 << 10
	maxHeader  = 16 << 10 // AWS takes 8 KiB of headers besides the path
)

// calls recycles requests with their copy buffers; what is in use is bounded by the number
// of connections.
var calls = sync.Pool{New: func() any {
	return &call{buffer: make([]byte, copyBuffer), lines: bufio.NewReaderSize(nil, maxHeader)}
}}

func (c *call) release() {
	c.Request.Reset()
	c.Response.Reset()
	c.ResetUserValues()
	c.operation, c.own, c.bucket = "", false, ""
	calls.Put(c)
}

// prepare writes r into the library's request.
func (s *Service) prepare(in *call, r *http.Request, p authz.Principal, body *sigv4.Body) error {
	path := r.URL.EscapedPath()
	if bucket := hostBucket(r.Host, s.opts.Domains); bucket != "" {
		path = "/" + bucket + path
	}
	if !strings.HasPrefix(path, "/") {
		path = "/" + path
	}
	query := withoutSignature(r.URL.RawQuery)
	op, err := operationOf(r, path, query)
	if err != nil {
		return err
	}
	if p.Kind != authz.Anonymous {
		if err := authz.Allowed(p, "s3", op.name); err != nil {
			return err
		}
	}
	if err := s.checkEncryption(r.Header); err != nil {
		return err
	}
	in.operation, in.own = op.name, op.own
	in.bucket, _, _ = strings.Cut(path[1:], "/")
	if path, err = spellPath(path); err != nil {
		return err
	}
	uri := path
	if query != "" {
		uri += "?" + query
	}
	if op.on == onBucket && r.Method == http.MethodGet && encodingURL(query) {
		in.SetUserValue(urlKeys, true)
	}
	if op.name == "ListObjects" || op.name == "ListObjectsV2" {
		in.SetUserValue(ownPage, true)
	}
	if err := in.setHeader(r, uri); err != nil {
		return err
	}
	return in.setBody(r, op, p, body)
}

// setHeader writes the header as text and lets the library's parser read it: parts of the
// library look at the raw lines, which a request built by setters does not have.
func (c *call) setHeader(r *http.Request, uri string) error {
	host := r.Host // goes into the Location of completed uploads
	if host == "" {
		host = "drover"
	}
	t := append(c.text[:0], r.Method...)
	t = append(append(append(t, ' '), uri...), " HTTP/1.1\r\nHost: "...)
	t = append(append(t, host...), "\r\n"...)
	for name, values := range r.Header {
		if ours(name) {
			continue
		}
		for _, v := range values {
			if name == "X-Amz-Copy-Source" {
				v = spellSource(v)
			}
			t = append(append(append(append(t, name...), ": "...), v...), "\r\n"...)
		}
	}
	if v := withoutChunked(r.Header["Content-Encoding"]); v != "" {
		t = append(append(append(t, "Content-Encoding: "...), v...), "\r\n"...)
	}
	t = append(t, "\r\n"...)
	c.text = t
	if len(t) > maxHeader {
		return fault.New(fault.Invalid, "RequestHeaderSectionTooLarge", "Your request header section exceeds the maximum allowed size of %d bytes.", maxHeader)
	}
	c.raw.Reset(t)
	c.lines.Reset(&c.raw)
	if err := c.Request.Header.Read(c.lines); err != nil {
		return fault.Wrap(err, fault.Invalid, "InvalidRequest", "The request's header cannot be read.")
	}
	return nil
}

// setBody hands the content over in the way the operation reads it.
func (c *call) setBody(r *http.Request, op *operation, p authz.Principal, body *sigv4.Body) error {
	if !op.streams {
		data, err := document(body)
		if err != nil {
			return err
		}
		if op.name == "CreateBucket" {
			data = anyLocation(data)
		}
		for name, values := range body.Trailer() { // the library reads a document's checksum in the header
			if strings.HasPrefix(name, checksumHeader) {
				c.Request.Header.Set(name, values[0])
			}
		}
		c.Request.SetBodyRaw(data)
		c.Request.Header.SetContentLength(len(data))
		return nil
	}
	if body.DecodedLength < 0 {
		return withStatus(411, fault.New(fault.Invalid, "MissingContentLength", "You must provide the Content-Length HTTP header."))
	}
	c.Request.Header.SetContentLength(int(body.DecodedLength))
	var from io.Reader = newContent(body)
	announced := r.Header.Get("X-Amz-Trailer")
	if announced != "" {
		t, err := newTrailed(body, announced)
		if err != nil {
			return err
		}
		if t != nil {
			from = t
			c.Request.Header.Set("X-Amz-Trailer", announced)
		}
	}
	if body.DecodedLength == 0 {
		// The library does not read the content of folder markers; make sure it is proved.
		if _, err := io.Copy(io.Discard, from); err != nil {
			return asFault(err)
		}
	}
	if p.Kind == authz.Anonymous {
		c.Request.Header.Set("X-Amz-Content-Sha256", unsignedPayload)
		c.Request.SetBodyStream(from, int(body.DecodedLength))
		return nil
	}
	// Not as body stream: the library would read on after a refusal and so invite a client
	// that waits for "100 Continue" to send what nobody wants.
	c.SetUserValue(string(utils.ContextKeyBodyReader), from)
	return nil
}

// ours reports whether a header ends at the front: signatures, framing, and what only makes
// sense between the client and this server.
func ours(name string) bool {
	switch name {
	case "Authorization", "X-Amz-Date", "X-Amz-Content-Sha256", "X-Amz-Security-Token",
		"X-Amz-Decoded-Content-Length", "X-Amz-Trailer", "Content-Length", "Content-Encoding",
		"Transfer-Encoding", "Connection", "Keep-Alive", "Te", "Trailer", "Upgrade", "Expect",
		"Accept-Encoding", "Cookie", "Host", "Date", "User-Agent":
		return true
	}
	return strings.HasPrefix(name, "Proxy-") || strings.HasPrefix(name, "X-Forwarded-") || strings.HasPrefix(name, "Amz-Sdk-")
}

// withoutChunked drops the transfer form from an object's Content-Encoding.
func withoutChunked(values []string) string {
	var kept []string
	for _, v := range values {
		for part := range strings.SplitSeq(v, ",") {
			if part = strings.TrimSpace(part); part != "" && part != "aws-chunked" {
				kept = append(kept, part)
			}
		}
	}
	return strings.Join(kept, ", ")
}

// anyLocation takes the location out of a CreateBucket document: every region is this one.
// A document that cannot be read stays as it is, for the library to refuse.
func anyLocation(doc []byte) []byte {
	if len(doc) == 0 {
		return nil
	}
	var in struct {
		XMLName xml.Name
		Tags    *struct {
			Inner []byte `xml:",innerxml"`
		} `xml:"Tags"`
	}
	if err := xml.Unmarshal(doc, &in); err != nil {
		return doc
	}
	if in.Tags == nil {
		return nil
	}
	return fmt.Appendf(nil, "<CreateBucketConfiguration><Tags>%s</Tags></CreateBucketConfiguration>", in.Tags.Inner)
}

// answer passes the library's answer on.
func (c *call) answer(w http.ResponseWriter, method string) error {
	res := &c.Response
	defer res.CloseBodyStream()
	stream := res.BodyStream()
	length := res.Header.ContentLength()
	bare := stream == nil && len(res.Body()) == 0
	if stream == nil && method != http.MethodHead {
		length = len(res.Body())
	}
	out := w.Header()
	for k, v := range res.Header.All() {
		switch name := http.CanonicalHeaderKey(string(k)); name {
		case "Connection", "Transfer-Encoding", "Server", "Date", "Content-Length", "X-Amz-Request-Id":
		case "Content-Type":
			if !bare || method == http.MethodHead { // else it is fasthttp's default
				out[name] = []string{string(v)}
			}
		case "Etag":
			out["ETag"] = []string{string(v)} // S3's spelling; some scripts look for it
		case "X-Amz-Id-2":
			out[name] = []string{string(v)} // wire may have given one
		default:
			if strings.HasPrefix(name, metadataPrefix) { // S3's spelling: clients show the names as they come
				name = strings.ToLower(name)
			}
			out[name] = append(out[name], string(v))
		}
	}
	status := res.StatusCode()
	if length >= 0 && status != http.StatusNoContent && status != http.StatusNotModified {
		out["Content-Length"] = []string{strconv.Itoa(length)}
	}
	w.WriteHeader(status)
	if method == http.MethodHead || bare || status == http.StatusNoContent || status == http.StatusNotModified {
		return nil
	}
	if stream == nil {
		_, err := w.Write(res.Body())
		return err
	}
	n, err := io.CopyBuffer(struct{ io.Writer }{w}, stream, c.buffer)
	if err == nil && length >= 0 && n != int64(length) {
		err = fmt.Errorf("object ended after %d of %d bytes", n, length)
	}
	return err
}

// conn tells the library whom it serves; it reads and writes nothing.
type conn struct {
	net.Conn
	remote net.Addr
}

func (c conn) RemoteAddr() net.Addr          { return c.remote }
func (c conn) LocalAddr() net.Addr           { return &net.TCPAddr{} }
func (conn) SetReadDeadline(time.Time) error { return nil }
func (conn) Close() error                    { return nil }

func remote(r *http.Request) net.Addr {
	host, port, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return &net.TCPAddr{}
	}
	n, _ := strconv.Atoi(port) // only the address is judged by policies
	return &net.TCPAddr{IP: net.ParseIP(host), Port: n}
}

// silent is the library's logger for single requests.
type silent struct{}

func (silent) Printf(string, ...any) {}

func withStatus(status int, f *fault.Error) error {
	f.Status = status
	return f
}

// asFault is the way back of answer, for errors met before the library is called.
func asFault(err error) error {
	var api interface {
		StatusCode() int
		XMLBody(requestID, hostID string) []byte
	}
	if !errors.As(err, &api) {
		return err
	}
	var doc struct{ Code, Message string }
	if e := xml.NewDecoder(bytes.NewReader(api.XMLBody("", ""))).Decode(&doc); e != nil {
		return err
	}
	return withStatus(api.StatusCode(), fault.New(fault.Invalid, doc.Code, "%s", doc.Message))
}
