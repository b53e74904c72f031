package s3

import (
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"drover/internal/wire/authz"
	"drover/internal/wire/sigv4"
)

// quick answers a plain GET of an object by those who may read every object, without the
// library: its routing and its own signature cost twice what the read does. It answers just
// what the library would, which a test compares, and only when all is well; false means that
// nothing was said yet and the library is to answer, with its words for what is wrong.
func (s *Service) quick(w http.ResponseWriter, r *http.Request, p *authz.Principal, body *sigv4.Body) bool {
	if r.Method != http.MethodGet || r.ContentLength != 0 || p.Kind == authz.Anonymous || p.Governed() || !plainRead(r.Header) {
		return false
	}
	if q := r.URL.RawQuery; q != "" && q != "x-id=GetObject" {
		return false
	}
	path := r.URL.EscapedPath()
	if bucket := hostBucket(r.Host, s.opts.Domains); bucket != "" {
		path = "/" + bucket + path
	}
	bucket, key, ok := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	if !ok || key == "" || bucket == "" || s.mounts.of(bucket) != nil {
		return false
	}
	key, err := url.PathUnescape(key)
	if err != nil || len(key) > maxKey || authz.Allowed(*p, "s3", "GetObject") != nil {
		return false
	}
	if oddKey(key) {
		key = spellKey(key)
	}
	if n, err := body.Reader.Read(make([]byte, 1)); n > 0 || err != io.EOF { // the end proves the signature of nothing
		return false
	}
	var none, part string
	out, err := s.library.backend.GetObject(r.Context(), &awss3.GetObjectInput{Bucket: &bucket, Key: &key, Range: &part, VersionId: &none,
		ChecksumMode: types.ChecksumMode(strings.ToUpper(r.Header.Get("X-Amz-Checksum-Mode")))})
	if err != nil || out.Body == nil || out.ContentLength == nil {
		return false
	}
	defer out.Body.Close()
	w.Header()["X-Amz-Id-2"] = []string{requestID(w, r)}
	if s.vault.seal != nil {
		w.Header()[encryptionHeader] = []string{ownEncryption}
	}
	quickHeader(w.Header(), out)
	w.WriteHeader(http.StatusOK)
	c := calls.Get().(*call)
	defer c.release()
	n, err := io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{out.Body}, c.buffer)
	if err != nil || n != *out.ContentLength {
		panic(http.ErrAbortHandler) // the client must not take a cut answer for a whole one
	}
	return true
}

// plainRead reports whether nothing in a header changes what a GET answers, but the wish for
// a checksum.
func plainRead(h http.Header) bool {
	for name, values := range h {
		switch {
		case name == "X-Amz-Date", name == "X-Amz-Content-Sha256", name == "X-Amz-Security-Token", name == "X-Amz-User-Agent":
		case name == "X-Amz-Checksum-Mode":
			if len(values) != 1 || !strings.EqualFold(values[0], "enabled") {
				return false
			}
		case strings.HasPrefix(name, "X-Amz-"), strings.HasPrefix(name, "If-"), name == "Range", name == "Origin",
			name == "Access-Control-Request-Method", name == "Expect", name == "Transfer-Encoding":
			return false
		}
	}
	return true
}

// quickHeader writes what the library would.
func quickHeader(h http.Header, out *awss3.GetObjectOutput) {
	set := func(name string, v *string) {
		if v != nil && *v != "" {
			h[name] = []string{*v}
		}
	}
	for k, v := range out.Metadata {
		h[strings.ToLower(metadataPrefix)+k] = []string{v}
	}
	set("ETag", out.ETag)
	set("Accept-Ranges", out.AcceptRanges)
	set("Content-Disposition", out.ContentDisposition)
	set("Content-Encoding", out.ContentEncoding)
	set("Content-Language", out.ContentLanguage)
	set("Cache-Control", out.CacheControl)
	set("Expires", out.ExpiresString)
	set("X-Amz-Website-Redirect-Location", out.WebsiteRedirectLocation)
	set("Content-Type", out.ContentType)
	set("X-Amz-Version-Id", out.VersionId)
	for name, sum := range map[string]*string{
		"Crc32": out.ChecksumCRC32, "Crc32c": out.ChecksumCRC32C, "Crc64nvme": out.ChecksumCRC64NVME, "Sha1": out.ChecksumSHA1, "Sha256": out.ChecksumSHA256,
		"Sha512": out.ChecksumSHA512, "Md5": out.ChecksumMD5, "Xxhash64": out.ChecksumXXHASH64, "Xxhash3": out.ChecksumXXHASH3, "Xxhash128": out.ChecksumXXHASH128,
	} {
		set(checksumHeader+name, sum)
	}
	if out.ChecksumType != "" {
		h["X-Amz-Checksum-Type"] = []string{string(out.ChecksumType)}
	}
	if out.StorageClass != "" {
		h["X-Amz-Storage-Class"] = []string{string(out.StorageClass)}
	}
	if out.PartsCount != nil {
		h["X-Amz-Mp-Parts-Count"] = []string{strconv.Itoa(int(*out.PartsCount))}
	}
	if out.TagCount != nil {
		h["X-Amz-Tagging-Count"] = []string{strconv.Itoa(int(*out.TagCount))}
	}
	h["Content-Length"] = []string{strconv.FormatInt(*out.ContentLength, 10)}
	if out.LastModified != nil {
		h["Last-Modified"] = []string{out.LastModified.UTC().Format(http.TimeFormat)}
	}
}
