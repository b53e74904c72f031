package s3

import (
	"bytes"
	"crypto/md5"
	"crypto/rand"
	"encoding/base64"
	"encoding/xml"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/valyala/fasthttp"
	"github.com/versity/versitygw/s3api/utils"

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
	requestID(w, r)
	return sendXML(w, struct {
		XMLName xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ AccessControlPolicy"`
		Owner   owner
		Grants  []grant `xml:"AccessControlList>Grant"`
	}{Owner: me, Grants: []grant{{grantee{"http://www.w3.org/2001/XMLSchema-instance", "CanonicalUser", me}, "FULL_CONTROL"}}})
}

// serveOwn answers the operations that the library does not have: a bucket's lifecycle
// rules, its notifications and its encryption.
func (s *Service) serveOwn(w http.ResponseWriter, r *http.Request, in *call, p authz.Principal) error {
	subject := "LifecycleConfiguration"
	switch {
	case strings.HasSuffix(in.operation, "NotificationConfiguration"):
		subject = "BucketNotification"
	case strings.HasSuffix(in.operation, "Encryption"):
		subject = "EncryptionConfiguration"
	}
	verb := "Put"
	if r.Method == http.MethodGet {
		verb = "Get"
	}
	if p.Kind == authz.Anonymous {
		return fault.New(fault.Denied, "AccessDenied", "Access Denied")
	}
	if p.Governed() {
		if err := wire.Permit(r.Context(), "s3:"+verb+subject, "arn:aws:s3:::"+in.bucket); err != nil {
			return err
		}
	}
	if _, err := s.vault.bucket(in.bucket); err != nil {
		return asFault(err)
	}
	doc := in.Request.Body()
	if r.Method == http.MethodPut {
		h := http.Header{}
		for k, v := range in.Request.Header.All() { // with what came in trailers
			h.Set(string(k), string(v))
		}
		if err := checkDocument(doc, h); err != nil {
			return err
		}
	}
	requestID(w, r)
	const namespace = "http://s3.amazonaws.com/doc/2006-03-01/"
	switch in.operation {
	case "GetBucketLifecycleConfiguration":
		l, err := s.vault.getLifecycle(in.bucket)
		if err != nil {
			return asFault(err)
		}
		answer := *l
		answer.NS = namespace
		return sendXML(w, answer)
	case "PutBucketLifecycleConfiguration":
		l, err := readLifecycle(doc)
		if err == nil {
			err = s.vault.putLifecycle(r.Context(), in.bucket, l)
		}
		return asFault(err)
	case "DeleteBucketLifecycle":
		if err := s.vault.putLifecycle(r.Context(), in.bucket, nil); err != nil {
			return asFault(err)
		}
		w.WriteHeader(http.StatusNoContent)
		return nil
	case "GetBucketNotificationConfiguration":
		return sendXML(w, notificationConfiguration{NS: namespace})
	case "PutBucketNotificationConfiguration":
		return checkNotification(doc)
	case "GetBucketEncryption":
		c, err := s.getEncryption()
		if err != nil {
			return err
		}
		c.NS = namespace
		return sendXML(w, c)
	case "PutBucketEncryption":
		return s.checkEncryptionConfiguration(doc)
	case "DeleteBucketEncryption": // what all objects have stays; AWS resets to it, too
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	return notBuilt(in.operation)
}

// sendXML answers with a document.
func sendXML(w http.ResponseWriter, v any) error {
	body, err := xml.Marshal(v)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/xml")
	w.Header().Set("Content-Length", strconv.Itoa(len(xml.Header)+len(body)))
	_, _ = w.Write(append([]byte(xml.Header), body...)) // a client that left reads nothing
	return nil
}

// checkDocument compares a document with the checksums that its request gives.
func checkDocument(doc []byte, h http.Header) error {
	if want := h.Get("Content-Md5"); want != "" {
		if sum := md5.Sum(doc); base64.StdEncoding.EncodeToString(sum[:]) != want {
			return fault.New(fault.Invalid, "BadDigest", "The Content-MD5 you specified did not match what we received.")
		}
	}
	for name, values := range h {
		algorithm, ok := strings.CutPrefix(name, checksumHeader)
		if !ok || algorithm == "Type" || algorithm == "Algorithm" {
			continue
		}
		hash, err := utils.NewHashReader(bytes.NewReader(doc), values[0], utils.HashType(strings.ToLower(algorithm)))
		if err != nil {
			return fault.New(fault.Invalid, "InvalidRequest", "The checksum header %s is of no known algorithm.", name)
		}
		if _, err := io.Copy(io.Discard, hash); err != nil {
			return asFault(err)
		}
	}
	return nil
}
