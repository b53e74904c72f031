package s3

import (
	"bytes"
	"crypto/md5"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/versity/versitygw/s3api/utils"

	"drover/internal/core/fault"
	"drover/internal/wire"
	"drover/internal/wire/authz"
	"drover/internal/wire/sigv4"
)

// A mounted bucket passes requests through: the front has proved and judged them, the path
// gets the other bucket's name and prefix, and the request is signed with the mount's own
// keys. Answers come back with this bucket's names. Nothing is kept here: no versions, no
// events, no policies of the bucket; what would need them is refused and says so.

// mountHeader tells in every answer that a bucket is a mount, and of what.
const mountHeader = "X-Drover-Mounted"

// passAction says what a caller must be allowed for the operations that pass through.
func passAction(op string) (action string, ok bool) {
	switch op {
	case "GetObject", "HeadObject":
		return "GetObject", true
	case "PutObject", "CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload", "CopyObject", "UploadPartCopy":
		return "PutObject", true
	case "DeleteObject", "DeleteObjects":
		return "DeleteObject", true
	case "ListObjects", "ListObjectsV2":
		return "ListBucket", true
	case "ListParts":
		return "ListMultipartUploadParts", true
	case "ListMultipartUploads":
		return "ListBucketMultipartUploads", true
	case "AbortMultipartUpload", "GetObjectAttributes", "GetObjectTagging", "PutObjectTagging", "DeleteObjectTagging":
		return op, true
	}
	return "", false
}

// answeredHere are operations on a mounted bucket that are answered from its row.
func answeredHere(op string) bool {
	return slices.Contains([]string{"HeadBucket", "GetBucketLocation", "GetBucketAcl", "GetBucketVersioning", "GetBucketNotificationConfiguration",
		"GetBucketTagging", "GetBucketPolicy", "GetBucketCors", "GetBucketLifecycleConfiguration", "GetBucketOwnershipControls", "Options"}, op)
}

// passage is one request on its way through.
type passage struct {
	s     *Service
	m     *mount
	in    *call
	r     *http.Request
	p     authz.Principal
	key   string // plain
	query url.Values
	from  string   // key of a copy's source
	many  []string // keys of a delete-many
}

// serveMount answers a request for a mounted bucket. done is false when it is to be answered
// from the bucket's row, as for others.
func (s *Service) serveMount(w http.ResponseWriter, r *http.Request, in *call, p authz.Principal, m *mount) (done bool, err error) {
	w.Header().Set(mountHeader, m.at.Place()+"; without versions and events of drover")
	if p.Kind == authz.Anonymous {
		return true, fault.New(fault.Denied, "AccessDenied", "Access Denied")
	}
	action, ok := passAction(in.operation)
	if !ok {
		if answeredHere(in.operation) {
			return false, nil
		}
		if in.operation == "DeleteBucket" {
			return true, withStatus(405, fault.New(fault.Invalid, "MethodNotAllowed", "%s is mounted from %s; take it away with drover bucket unmount %s. Its objects stay.", m.name, m.at.Place(), m.name))
		}
		return true, fault.New(fault.NotBuilt, "NotImplemented", "The bucket %s passes through to %s, without drover's versions, events and rules: it does not have %s.", m.name, m.at.Place(), in.operation)
	}
	t := &passage{s: s, m: m, in: in, r: r, p: p}
	if err := t.read(); err != nil {
		return true, err
	}
	if err := t.judge(action); err != nil {
		return true, err
	}
	out, err := t.request()
	if err != nil {
		return true, err
	}
	res, err := t.send(out)
	if err != nil {
		return true, err
	}
	defer res.Body.Close()
	return true, t.answer(w, res)
}

// read takes the request apart.
func (t *passage) read() error {
	path := t.r.URL.EscapedPath()
	if hostBucket(t.r.Host, t.s.opts.Domains) == "" {
		_, path, _ = strings.Cut(strings.TrimPrefix(path, "/"), "/")
	} else {
		path = strings.TrimPrefix(path, "/")
	}
	var err error
	if t.key, err = url.PathUnescape(path); err != nil {
		return fault.New(fault.Invalid, "InvalidURI", "The key in the path cannot be read: %v.", err)
	}
	if t.query, err = url.ParseQuery(withoutSignature(t.r.URL.RawQuery)); err != nil {
		return fault.New(fault.Invalid, "InvalidURI", "The query string cannot be read: %v.", err)
	}
	t.query.Del("x-id") // SDKs' note to themselves
	if v := t.query.Get("versionId"); v != "" && v != nullVersion {
		return fault.New(fault.NotBuilt, "NotImplemented", "The bucket %s passes through to %s, without versions: leave versionId out.", t.m.name, t.m.at.Place())
	}
	t.query.Del("versionId")
	if source := t.r.Header.Get("X-Amz-Copy-Source"); source != "" {
		plain, err := url.PathUnescape(strings.TrimPrefix(source, "/"))
		bucket, key, _ := strings.Cut(plain, "/")
		if err != nil || bucket != t.m.name || strings.Contains(key, "?versionId=") {
			return errCopyBetween()
		}
		t.from = key
	}
	if t.in.operation == "DeleteObjects" {
		var doc struct {
			Object []struct{ Key string }
		}
		if err := xml.Unmarshal(t.in.Request.Body(), &doc); err != nil {
			return errMalformed()
		}
		for _, o := range doc.Object {
			t.many = append(t.many, o.Key)
		}
	}
	return t.checkKeys()
}

// checkKeys refuses keys that are odd as paths. Keys are opaque here, but not every S3 keeps
// them so: where one folds "..", a key would lead out of what a policy or the prefix allows.
func (t *passage) checkKeys() error {
	q := t.query
	for _, key := range append([]string{t.key, t.from, q.Get("prefix"), q.Get("marker"), q.Get("start-after"), q.Get("key-marker")}, t.many...) {
		for segment := range strings.SplitSeq(key, "/") {
			if segment == "." || segment == ".." {
				return fault.New(fault.Invalid, "InvalidArgument", "The key %q has a segment %q, which not every S3 takes as it is; mounted buckets have no such keys.", clipText(key), segment)
			}
		}
	}
	return nil
}

func errCopyBetween() error {
	return fault.New(fault.NotBuilt, "NotImplemented", "A mounted bucket's objects are copied within it only; get the object and put it where it should be.")
}

// judge asks the policies of users and roles.
func (t *passage) judge(action string) error {
	if !t.p.Governed() {
		return nil
	}
	bucket := "arn:aws:s3:::" + t.m.name
	permit := func(action, resource string, more ...wire.Conditions) error {
		return wire.Permit(t.r.Context(), "s3:"+action, resource, more...)
	}
	switch t.in.operation {
	case "ListObjects", "ListObjectsV2", "ListMultipartUploads":
		return permit(action, bucket, wire.Conditions{"s3:prefix": {t.query.Get("prefix")}, "s3:delimiter": {t.query.Get("delimiter")}, "s3:max-keys": {t.query.Get("max-keys")}})
	case "DeleteObjects":
		for _, key := range t.many {
			if err := permit(action, bucket+"/"+key); err != nil {
				return err
			}
		}
		return nil
	case "CopyObject", "UploadPartCopy":
		if err := permit("GetObject", bucket+"/"+t.from); err != nil {
			return err
		}
	}
	return permit(action, bucket+"/"+t.key)
}

func errMalformed() error {
	return fault.New(fault.Invalid, "MalformedXML", "The XML you provided was not well-formed or did not validate against our published schema.")
}

// request builds the request for the other S3.
func (t *passage) request() (*http.Request, error) {
	at := &t.m.at
	path, raw := "", ""
	if t.key != "" {
		path = "/" + at.Key(t.key)
		raw = "/" + escapeKey(at.Key(t.key))
	}
	root, err := url.Parse(at.Root())
	if err != nil {
		return nil, err
	}
	root.Path, root.RawPath = root.Path+path, root.EscapedPath()+raw
	if root.Path == "" {
		root.Path = "/"
	}
	root.RawQuery = t.theirQuery()
	body, length, err := t.body()
	if err != nil {
		return nil, err
	}
	out, err := http.NewRequestWithContext(t.r.Context(), t.r.Method, root.String(), body)
	if err != nil {
		return nil, err
	}
	out.URL.RawPath, out.ContentLength = root.RawPath, length
	for name, values := range t.r.Header {
		if !ours(name) && !t.dropped(name) {
			out.Header[name] = values
		}
	}
	if v := withoutChunked(t.r.Header["Content-Encoding"]); v != "" {
		out.Header.Set("Content-Encoding", v)
	}
	if t.from != "" {
		out.Header.Set("X-Amz-Copy-Source", "/"+at.Bucket+"/"+escapeKey(at.Key(t.from)))
	}
	if doc := t.in.Request.Body(); body != nil && len(doc) > 0 && length > 0 && !t.streams() {
		sum := md5.Sum(t.theirDocument(doc))
		out.Header.Set("Content-Md5", base64.StdEncoding.EncodeToString(sum[:]))
	}
	sigv4.Sign(out, sigv4.UnsignedPayload, t.m.creds, "s3", at.SigningRegion(), time.Now())
	return out, nil
}

func (t *passage) streams() bool {
	return t.in.operation == "PutObject" || t.in.operation == "UploadPart"
}

// dropped are headers that make no sense there. Checksums of parts are compared here: an
// upload there is begun without an algorithm, for those that follow a body come too late.
func (t *passage) dropped(name string) bool {
	switch name {
	case "X-Amz-Copy-Source", "X-Amz-Expected-Bucket-Owner", "X-Amz-Source-Expected-Bucket-Owner", "Content-Md5", "X-Amz-Sdk-Checksum-Algorithm":
		return name != "Content-Md5" || !t.streams()
	}
	return strings.HasPrefix(name, checksumHeader) && t.in.operation != "PutObject" && name != "X-Amz-Checksum-Mode"
}

// theirQuery is the query with the mount's prefix before keys.
func (t *passage) theirQuery() string {
	q := t.query
	switch t.in.operation {
	case "ListObjects", "ListObjectsV2", "ListMultipartUploads":
		if t.m.at.Prefix != "" {
			q.Set("prefix", t.m.at.Key(q.Get("prefix")))
			for _, name := range []string{"marker", "start-after", "key-marker"} {
				if v := q.Get(name); v != "" {
					q.Set(name, t.m.at.Key(v))
				}
			}
		}
	}
	return strings.ReplaceAll(q.Encode(), "+", "%20")
}

// body is what is sent: contents as they come, verified on the way, and documents with their keys.
func (t *passage) body() (io.Reader, int64, error) {
	if t.streams() {
		length := int64(t.in.Request.Header.ContentLength())
		from, ok := t.in.UserValue(string(utils.ContextKeyBodyReader)).(io.Reader)
		if !ok {
			return nil, 0, errors.New("s3: the body of an upload is not there")
		}
		if t.in.operation == "UploadPart" {
			for name, values := range t.r.Header {
				if algorithm, ok := strings.CutPrefix(name, checksumHeader); ok && algorithm != "Algorithm" && algorithm != "Type" {
					checked, err := utils.NewHashReader(from, values[0], utils.HashType(strings.ToLower(algorithm)))
					if err != nil {
						return nil, 0, fault.New(fault.Invalid, "InvalidRequest", "The checksum header %s is of no known algorithm.", name)
					}
					from = checked
				}
			}
		}
		if length == 0 {
			return http.NoBody, 0, nil
		}
		return io.NopCloser(from), length, nil
	}
	doc := t.in.Request.Body()
	if len(doc) == 0 {
		return nil, 0, nil
	}
	h := http.Header{}
	for k, v := range t.in.Request.Header.All() { // with what came in trailers
		h.Set(string(k), string(v))
	}
	if t.in.operation == "CompleteMultipartUpload" { // checksums there are of the object
		for name := range h {
			if strings.HasPrefix(name, checksumHeader) {
				h.Del(name)
			}
		}
	}
	if err := checkDocument(doc, h); err != nil {
		return nil, 0, err
	}
	doc = t.theirDocument(doc)
	return bytes.NewReader(doc), int64(len(doc)), nil
}

func (t *passage) theirDocument(doc []byte) []byte {
	if t.in.operation != "DeleteObjects" || t.m.at.Prefix == "" {
		return doc
	}
	out, err := rewriteXML(doc, func(element, text string) string {
		if element == "Key" {
			return t.m.at.Key(text)
		}
		return text
	})
	if err != nil {
		return doc // for the other S3 to refuse
	}
	return out
}

// passTries is how often a request without a body is sent when no answer comes.
const passTries = 3

func (t *passage) send(out *http.Request) (*http.Response, error) {
	for try := 1; ; try++ {
		res, err := t.m.web.Do(out)
		if err == nil {
			return res, nil
		}
		if t.r.Context().Err() != nil {
			return nil, t.r.Context().Err()
		}
		if f, ok := errors.AsType[*fault.Error](err); ok { // the client's own body was wrong
			return nil, f
		}
		if bad := asFault(err); bad != err {
			return nil, bad
		}
		if out.Body != nil && out.Body != http.NoBody || try == passTries {
			t.s.opts.Log.Warn("s3: a mounted bucket is away", "bucket", t.m.name, "place", t.m.at.Place(), "error", err)
			return nil, fault.New(fault.Unavailable, "ServiceUnavailable", "%s does not answer; the bucket %s is mounted from there. Retry when it is back.", t.m.at.Place(), t.m.name)
		}
	}
}

// answer passes the other S3's answer on, with this bucket's names.
func (t *passage) answer(w http.ResponseWriter, res *http.Response) error {
	if res.StatusCode >= 300 && res.StatusCode != http.StatusNotModified {
		return t.refusal(res)
	}
	requestID(w, t.r)
	h := w.Header()
	for name, values := range res.Header {
		switch name {
		case "Connection", "Transfer-Encoding", "Server", "Date", "Content-Length", "X-Amz-Request-Id", "X-Amz-Id-2", "X-Amzn-Requestid", "X-Amz-Bucket-Region", "X-Amz-Version-Id", "X-Amz-Delete-Marker", mountHeader:
			continue
		case "Etag":
			name = "ETag"
		}
		if strings.HasPrefix(name, metadataPrefix) {
			name = strings.ToLower(name)
		}
		h[name] = values
	}
	content := t.in.operation == "GetObject" || t.r.Method == http.MethodHead
	if !content && strings.Contains(res.Header.Get("Content-Type"), "xml") {
		return t.answerDocument(w, res)
	}
	if res.ContentLength >= 0 && res.StatusCode != http.StatusNoContent && res.StatusCode != http.StatusNotModified {
		h["Content-Length"] = []string{strconv.FormatInt(res.ContentLength, 10)}
	}
	w.WriteHeader(res.StatusCode)
	if t.r.Method == http.MethodHead {
		return nil
	}
	n, err := io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{res.Body}, t.in.buffer)
	if err != nil || res.ContentLength >= 0 && n != res.ContentLength {
		t.s.opts.Log.Debug("s3: answer of a mounted bucket not delivered", "bucket", t.m.name, "bytes", n, "error", err)
		panic(http.ErrAbortHandler) // the client must not take a cut answer for a whole one
	}
	return nil
}

func (t *passage) answerDocument(w http.ResponseWriter, res *http.Response) error {
	doc, err := io.ReadAll(io.LimitReader(res.Body, maxDocument+1))
	if err != nil || len(doc) > maxDocument {
		return fault.New(fault.Unavailable, "ServiceUnavailable", "The answer of %s was cut off. Retry.", t.m.at.Place())
	}
	if bytes.Contains(doc, []byte("<Error>")) && t.in.operation != "DeleteObjects" { // S3 tells failures of long work after a 200
		return t.refuse(http.StatusInternalServerError, doc)
	}
	if !strings.HasSuffix(t.in.operation, "Tagging") {
		encoded := spelling(t.query.Get("encoding-type") == "url")
		if doc, err = rewriteXML(doc, func(element, text string) string { return t.ourName(element, text, encoded) }); err != nil {
			return fault.New(fault.Unavailable, "ServiceUnavailable", "%s answered with a document that cannot be read.", t.m.at.Place())
		}
	}
	w.Header()["Content-Length"] = []string{strconv.Itoa(len(doc))}
	w.WriteHeader(res.StatusCode)
	_, err = w.Write(doc)
	return err
}

// ourName is the text of an element of an answer with this bucket's names in it.
func (t *passage) ourName(element, text string, encoded spelling) string {
	switch element {
	case "Name", "Bucket", "BucketName":
		return t.m.name
	case "Location":
		return "/" + t.m.name + "/" + t.key
	case "Key", "Prefix", "Marker", "NextMarker", "StartAfter", "KeyMarker", "NextKeyMarker":
		plain := text
		if encoded {
			if u, err := url.QueryUnescape(text); err == nil {
				plain = u
			}
		}
		return encoded.text(strings.TrimPrefix(plain, t.m.at.Key("")))
	}
	return text
}

func (t *passage) refusal(res *http.Response) error {
	doc, _ := io.ReadAll(io.LimitReader(res.Body, 64<<10)) // what can be read of it
	return t.refuse(res.StatusCode, doc)
}

// refuse words an error of the other S3. What it says of keys and buckets of its own stays here.
func (t *passage) refuse(status int, doc []byte) error {
	var e struct{ Code, Message string }
	_ = xml.Unmarshal(doc, &e) // answers to HEAD have none
	t.s.opts.Log.Debug("s3: a mounted bucket refuses", "bucket", t.m.name, "operation", t.in.operation, "status", status, "code", e.Code)
	place := t.m.at.Place()
	switch {
	case status == http.StatusForbidden || status == http.StatusUnauthorized:
		return withStatus(403, fault.New(fault.Denied, "AccessDenied", "%s does not allow this to the keys of the mount %s (%s).", place, t.m.name, e.Code))
	case e.Code == "NoSuchBucket":
		return withStatus(404, fault.New(fault.NotFound, "NoSuchBucket", "The bucket behind the mount %s is gone: %s.", t.m.name, place))
	case status >= 300 && status < 400:
		return fault.New(fault.Unavailable, "ServiceUnavailable", "%s is in another region or at another address; mount it again with region= or endpoint=.", place)
	case status >= 500 && status != http.StatusNotImplemented:
		return fault.New(fault.Unavailable, "ServiceUnavailable", "%s cannot do it now (%s %s). Retry later.", place, strconv.Itoa(status), e.Code)
	}
	if e.Code == "" {
		e.Code, e.Message = map[int]string{404: "NoSuchKey", 412: "PreconditionFailed", 416: "InvalidRange"}[status], http.StatusText(status)
	}
	return withStatus(status, fault.New(fault.Invalid, e.Code, "%s", e.Message))
}

// rewriteXML copies a document and gives the text of each element to fn.
func rewriteXML(doc []byte, fn func(element, text string) string) ([]byte, error) {
	d := xml.NewDecoder(bytes.NewReader(doc))
	var out bytes.Buffer
	out.Grow(len(doc) + 256)
	var text strings.Builder
	name := func(n xml.Name) string {
		if n.Space != "" {
			return n.Space + ":" + n.Local
		}
		return n.Local
	}
	leaf := false // no element has begun or ended since the last one began
	for {
		token, err := d.RawToken()
		if err == io.EOF {
			return out.Bytes(), nil
		}
		if err != nil {
			return nil, err
		}
		switch e := token.(type) {
		case xml.ProcInst:
			out.WriteString("<?" + e.Target + " " + string(e.Inst) + "?>\n")
		case xml.StartElement:
			text.Reset()
			leaf = true
			out.WriteString("<" + name(e.Name))
			for _, a := range e.Attr {
				out.WriteString(" " + name(a.Name) + `="`)
				_ = xml.EscapeText(&out, []byte(a.Value)) // a buffer takes everything
				out.WriteByte('"')
			}
			out.WriteByte('>')
		case xml.CharData:
			text.Write(e)
		case xml.EndElement:
			if leaf {
				_ = xml.EscapeText(&out, []byte(fn(e.Name.Local, text.String())))
			}
			leaf = false
			text.Reset()
			out.WriteString("</" + name(e.Name) + ">")
		}
	}
}
