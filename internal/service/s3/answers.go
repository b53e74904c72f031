package s3

import (
	"crypto/rand"
	"encoding/xml"
	"net/http"
	"strconv"
	"strings"
	"time"

	"drover/internal/core/fault"
	"drover/internal/wire/authz"
)

type errorDocument struct {
	XMLName   xml.Name `xml:"Error"`
	Code      string
	Message   string
	Resource  string
	RequestID string `xml:"RequestId"`
	HostID    string `xml:"HostId"`
}

// writeError answers with S3's error document.
func writeError(w http.ResponseWriter, r *http.Request, err error) {
	f := fault.From(err)
	status := f.HTTPStatus()
	code := f.Code
	switch {
	case f.Kind == fault.Internal:
		status, code = 500, "InternalError"
	case f.Kind == fault.TooLarge && f.Status == 0:
		status = 400
	}
	id := requestID(w)
	doc := errorDocument{Code: code, Message: f.Message, Resource: r.URL.EscapedPath(), RequestID: id, HostID: id}
	writeXML(w, r, status, doc)
}

// requestID is the one that wire gave the answer, or a new one.
func requestID(w http.ResponseWriter) string {
	const name = "X-Amz-Request-Id"
	id := w.Header().Get(name)
	if id == "" {
		id = rand.Text()[:16]
		w.Header().Set(name, id)
	}
	return id
}

func writeXML(w http.ResponseWriter, r *http.Request, status int, doc any) {
	body, err := xml.Marshal(doc)
	if err != nil {
		http.Error(w, "InternalError", http.StatusInternalServerError)
		return
	}
	body = append([]byte(xml.Header), body...)
	h := w.Header()
	h.Set("Content-Type", "application/xml")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // a client that left reads no error
	}
}

// objectACL answers GetObjectAcl, which the library's backend lacks. Objects have no ACLs
// of their own: the bucket owner owns and fully controls every one, as with AWS's default.
// Access checkers (Nextflow) compare the owner with ListBuckets'.
func (s *Service) objectACL(w http.ResponseWriter, r *http.Request, in *call, p authz.Principal) error {
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
	s.library.signer.sign(req, time.Now())
	s.library.handle(&in.RequestCtx)
	switch status := in.Response.StatusCode(); {
	case status == http.StatusNotFound:
		return withStatus(404, fault.New(fault.NotFound, "NoSuchKey", "The specified key does not exist."))
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
	id := string(in.Response.Header.Peek("X-Amz-Request-Id"))
	if id != "" {
		w.Header().Set("X-Amz-Request-Id", id)
	}
	requestID(w)
	writeXML(w, r, http.StatusOK, struct {
		XMLName xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ AccessControlPolicy"`
		Owner   owner
		Grants  []grant `xml:"AccessControlList>Grant"`
	}{Owner: me, Grants: []grant{{grantee{"http://www.w3.org/2001/XMLSchema-instance", "CanonicalUser", me}, "FULL_CONTROL"}}})
	return nil
}
