package s3

import (
	"crypto/rand"
	"encoding/xml"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"drover/internal/core/fault"
	"drover/internal/wire"
	"drover/internal/wire/authz"
)

// writeError answers with S3's error document.
func writeError(w http.ResponseWriter, r *http.Request, err error) {
	wire.WriteError(w, r, wire.DressS3, requestID(w, r), err)
}

// requestID is the one that wire gave the request, or a new one.
func requestID(w http.ResponseWriter, r *http.Request) string {
	id := wire.RequestID(r.Context())
	if id == "" {
		id = rand.Text()
	}
	w.Header().Set("X-Amz-Request-Id", id)
	return id
}

// objectACL answers GetObjectAcl, which the library's backend lacks. Objects have no ACLs
// of their own: the bucket owner owns and fully controls every one, as with AWS's default.
// Access checkers (Nextflow) compare the owner with ListBuckets'.
func (s *Service) objectACL(w http.ResponseWriter, r *http.Request, in *call, p authz.Principal, sign func(*fasthttp.Request, time.Time)) error {
	if p.Kind == authz.Anonymous {
		return fault.New(fault.Denied, "AccessDenied", "Access Denied")
	}
	req := &in.Request
	req.Header.SetMethod(http.MethodHead)
	version := req.URI().QueryArgs().Peek("versionId")
	path, _, _ := strings.Cut(string(req.RequestURI()), "?")
	req.SetRequestURI(path)
	if version != nil {
		req.URI().QueryArgs().SetBytesV("versionId", version)
	}
	sign(req, time.Now())
	s.library.handle(&in.RequestCtx)
	switch status := in.Response.StatusCode(); {
	case status == http.StatusNotFound:
		return withStatus(404, fault.New(fault.NotFound, "NoSuchKey", "The specified key does not exist."))
	case status == http.StatusForbidden:
		return fault.New(fault.Denied, "AccessDenied", "Access Denied")
	case status >= 300:
		return withStatus(status, fault.New(fault.Invalid, "InvalidRequest", "The ACL of this object cannot be read (HEAD answered %d).", status))
	}
	type owner struct{ ID, DisplayName string }
	type grantee struct {
		XSI  string `xml:"xmlns:xsi,attr"`
		Type string `xml:"xsi:type,attr"`
		owner
	}
	type grant struct {
		Grantee    grantee
		Permission string
	}
	me := owner{s.opts.Account, s.opts.Account}
	body, err := xml.Marshal(struct {
		XMLName xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ AccessControlPolicy"`
		Owner   owner
		Grants  []grant `xml:"AccessControlList>Grant"`
	}{Owner: me, Grants: []grant{{grantee{"http://www.w3.org/2001/XMLSchema-instance", "CanonicalUser", me}, "FULL_CONTROL"}}})
	if err != nil {
		return err
	}
	requestID(w, r)
	h := w.Header()
	h.Set("Content-Type", "application/xml")
	h.Set("Content-Length", strconv.Itoa(len(xml.Header)+len(body)))
	_, _ = w.Write(append([]byte(xml.Header), body...)) // a client that left reads nothing
	return nil
}
