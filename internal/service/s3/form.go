package s3

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"

	"drover/internal/core/fault"
	"drover/internal/wire"
	"drover/internal/wire/authz"
	"drover/internal/wire/sigv4"
)

// Browser uploads: a form of fields and one file, whose policy somebody has signed. The front
// proves the signature, compares each field with the policy, and then does what PutObject
// does, as the one who signed. The file is kept aside until its length is known.

// FormVerifier proves who signed a form's policy.
type FormVerifier interface {
	VerifyForm(sigv4.Form) (authz.Principal, error)
}

const (
	maxFormFields = 20 << 10 // AWS's limit of all that comes before the file
	maxFormFile   = 5 << 30
	formMemory    = 1 << 20 // of a file that is kept in memory
)

// form is one upload.
type form struct {
	bucket string
	fields map[string]string // by lower-case name
	file   io.ReadSeeker
	size   int64
	close  func()
}

// formBucket tells a form upload and the bucket that it is for.
func (s *Service) formBucket(r *http.Request) (bucket string, ok bool) {
	if r.Method != http.MethodPost || r.URL.RawQuery != "" {
		return "", false
	}
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "multipart/form-data" {
		return "", false
	}
	path := strings.Trim(r.URL.EscapedPath(), "/")
	if bucket = hostBucket(r.Host, s.opts.Domains); bucket != "" {
		return bucket, path == ""
	}
	return path, path != "" && !strings.Contains(path, "/")
}

// serveForm answers a form upload.
func (s *Service) serveForm(w http.ResponseWriter, r *http.Request, bucket string, p authz.Principal, body *sigv4.Body) error {
	f, err := s.readForm(r, bucket, body.Reader)
	if err != nil {
		return err
	}
	defer f.close()
	if f.fields["policy"] != "" {
		if p, err = s.proveForm(f); err != nil {
			return err
		}
		wire.Become(r.Context(), p)
	} else if p.Kind == authz.Anonymous && (f.fields["x-amz-signature"] != "" || f.fields["signature"] != "") {
		return fault.New(fault.Denied, "AccessDenied", "A form with a signature must have a policy.")
	}
	put, err := f.request(r, s.opts.Domains)
	if err != nil {
		return err
	}
	answer := &formAnswer{w: w}
	s.Serve(answer, put, p, &sigv4.Body{Mode: sigv4.Whole, DecodedLength: f.size, Reader: f.file})
	if answer.status == http.StatusOK {
		f.success(w, r)
	}
	return nil
}

// readForm reads the fields and keeps the file aside.
func (s *Service) readForm(r *http.Request, bucket string, from io.Reader) (*form, error) {
	_, options, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || options["boundary"] == "" {
		return nil, errForm("The body of your POST request is not well-formed multipart/form-data.")
	}
	f := &form{bucket: bucket, fields: map[string]string{}, close: func() {}}
	parts := multipart.NewReader(from, options["boundary"])
	left := int64(maxFormFields)
	for {
		part, err := parts.NextRawPart()
		if err == io.EOF {
			return nil, fault.New(fault.Invalid, "InvalidArgument", "POST requires exactly one file upload per request.")
		}
		if err != nil {
			return nil, errForm("The body of your POST request is not well-formed multipart/form-data.")
		}
		name := strings.ToLower(part.FormName())
		if name == "file" {
			if f.fields["key"] == "" {
				return nil, fault.New(fault.Invalid, "InvalidArgument", "Bucket POST must contain a field named 'key'.  If it is specified, please check the order of the fields.")
			}
			f.fields["key"] = strings.ReplaceAll(f.fields["key"], "${filename}", part.FileName())
			return f, f.keep(part)
		}
		value, err := io.ReadAll(io.LimitReader(part, left+1))
		left -= int64(len(name)+len(value)) + 1
		if err != nil {
			return nil, errForm("The body of your POST request is not well-formed multipart/form-data.")
		}
		if left < 0 {
			return nil, fault.New(fault.Invalid, "MaxPostPreDataLengthExceeded", "Your POST request fields preceding the upload file were too large.")
		}
		if _, twice := f.fields[name]; twice {
			return nil, fault.New(fault.Invalid, "InvalidArgument", "The field %q is in the form twice.", name)
		}
		f.fields[name] = string(value)
	}
}

func errForm(words string) error {
	return fault.New(fault.Invalid, "MalformedPOSTRequest", "%s", words)
}

// keep reads the file to its end: a small one into memory, others into a file without a name.
func (f *form) keep(part io.Reader) error {
	small, err := io.ReadAll(io.LimitReader(part, formMemory+1))
	if err != nil {
		return errForm("The file ended early.")
	}
	f.size = int64(len(small))
	if f.size <= formMemory {
		f.file = bytes.NewReader(small)
		return nil
	}
	tmp, err := os.CreateTemp("", "drover-form-")
	if err != nil {
		return fmt.Errorf("keep an uploaded file: %w", err)
	}
	f.file, f.close = tmp, func() { _ = tmp.Close() } // nothing is in it that anybody wants
	if err := os.Remove(tmp.Name()); err != nil {
		f.close()
		return err
	}
	f.size, err = io.Copy(tmp, io.LimitReader(io.MultiReader(bytes.NewReader(small), part), maxFormFile+1))
	if err == nil && f.size > maxFormFile {
		err = fault.New(fault.Invalid, "EntityTooLarge", "Your proposed upload exceeds the maximum allowed size")
	}
	if err == nil {
		_, err = tmp.Seek(0, io.SeekStart)
	}
	if err != nil {
		f.close()
	}
	return err
}

// proveForm proves the signature and compares the form with the policy.
func (s *Service) proveForm(f *form) (authz.Principal, error) {
	var none authz.Principal
	if s.forms == nil {
		return none, notBuilt("PostObject (browser form upload)")
	}
	if f.fields["x-amz-signature"] == "" {
		if f.fields["signature"] != "" {
			return none, withStatus(400, fault.New(fault.Unsigned, "InvalidRequest", "A form's policy is signed with AWS4-HMAC-SHA256; drover takes no forms of Signature Version 2."))
		}
		return none, fault.New(fault.Denied, "AccessDenied", "A form with a policy must be signed.")
	}
	p, err := s.forms.VerifyForm(sigv4.Form{Policy: f.fields["policy"], Algorithm: f.fields["x-amz-algorithm"], Credential: f.fields["x-amz-credential"],
		Date: f.fields["x-amz-date"], Signature: f.fields["x-amz-signature"], Token: f.fields["x-amz-security-token"]})
	if err != nil {
		return none, err
	}
	policy, err := readFormPolicy(f.fields["policy"])
	if err != nil {
		return none, err
	}
	return p, policy.judge(f, s.vault.now())
}

// request is the PutObject that the form asks for.
func (f *form) request(r *http.Request, domains []string) (*http.Request, error) {
	put := r.Clone(r.Context())
	put.Method, put.ContentLength, put.Body = http.MethodPut, f.size, http.NoBody
	for name := range put.Header {
		if name != "Origin" && name != "User-Agent" && name != "Referer" {
			delete(put.Header, name)
		}
	}
	path := "/" + f.bucket
	if hostBucket(r.Host, domains) != "" {
		path = ""
	}
	put.URL = &url.URL{Path: path + "/" + f.fields["key"], RawPath: path + "/" + escapeKey(f.fields["key"])}
	for name, value := range f.fields {
		switch name {
		case "cache-control", "content-type", "content-disposition", "content-encoding", "content-language", "expires", "content-md5":
		case "acl":
			name = "x-amz-acl"
		case "tagging": // as a document here, as a query in a header
			query, err := tagQuery(value)
			if err != nil {
				return nil, err
			}
			name, value = "x-amz-tagging", query
		case "x-amz-algorithm", "x-amz-credential", "x-amz-date", "x-amz-signature", "x-amz-security-token":
			continue
		default:
			if !strings.HasPrefix(name, "x-amz-") {
				continue
			}
		}
		if strings.ContainsAny(value, "\r\n\x00") {
			return nil, fault.New(fault.Invalid, "InvalidArgument", "The field %q holds a line break.", name)
		}
		put.Header.Set(name, value)
	}
	return put, nil
}

func tagQuery(doc string) (string, error) {
	var t struct {
		Tags []struct{ Key, Value string } `xml:"TagSet>Tag"`
	}
	if err := xml.Unmarshal([]byte(doc), &t); err != nil {
		return "", errMalformed()
	}
	q := url.Values{}
	for _, tag := range t.Tags {
		q.Add(tag.Key, tag.Value)
	}
	return q.Encode(), nil
}

// success answers as the form wishes.
func (f *form) success(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Del("Content-Length")
	h.Del("Content-Type")
	etag, key := "", f.fields["key"]
	if v := h["ETag"]; len(v) > 0 {
		etag = v[0]
	}
	location := "/" + f.bucket + "/" + escapeKey(key)
	if r.Host != "" {
		scheme := "http://"
		if r.TLS != nil {
			scheme = "https://"
		}
		location = scheme + r.Host + location
	}
	for _, name := range []string{"success_action_redirect", "redirect"} {
		to, err := url.Parse(f.fields[name])
		if err != nil || to.Host == "" || to.Scheme != "http" && to.Scheme != "https" {
			continue
		}
		q := to.Query()
		q.Set("bucket", f.bucket)
		q.Set("key", key)
		q.Set("etag", etag)
		to.RawQuery = q.Encode()
		h.Set("Location", to.String())
		w.WriteHeader(http.StatusSeeOther)
		return
	}
	h.Set("Location", location)
	switch f.fields["success_action_status"] {
	case "200":
		w.WriteHeader(http.StatusOK)
	case "201":
		doc, _ := xml.Marshal(struct {
			XMLName                     xml.Name `xml:"PostResponse"`
			Location, Bucket, Key, ETag string
		}{Location: location, Bucket: f.bucket, Key: key, ETag: etag}) // of strings
		h.Set("Content-Type", "application/xml")
		h.Set("Content-Length", strconv.Itoa(len(xml.Header)+len(doc)))
		w.WriteHeader(http.StatusCreated)
		_, _ = w.Write(append([]byte(xml.Header), doc...)) // a client that left reads nothing
	default:
		w.WriteHeader(http.StatusNoContent)
	}
}

// formAnswer passes refusals on and keeps success back, which the form words itself.
type formAnswer struct {
	w      http.ResponseWriter
	status int
}

func (a *formAnswer) Header() http.Header { return a.w.Header() }

func (a *formAnswer) WriteHeader(status int) {
	if a.status == 0 {
		a.status = status
		if status != http.StatusOK {
			a.w.WriteHeader(status)
		}
	}
}

func (a *formAnswer) Write(p []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	if a.status == http.StatusOK {
		return len(p), nil
	}
	return a.w.Write(p)
}
