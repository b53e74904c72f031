package sigv4

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Version2 lets requests for S3 in that are signed with Signature Version 2, in header or
// query: old clients know no other (boto 2). It covers neither the whole query nor the body,
// and rests on SHA-1, so it is for where nobody listens.
type Version2 struct {
	Region string                    // that its requests count as being for
	Allow  func(*http.Request) error // nil answer: this request may be signed so
	Bucket func(host string) string  // that a host name stands for, or ""
}

// isVersion2 tells a request that is signed so.
func isVersion2(r *http.Request) bool {
	if h := r.Header["Authorization"]; len(h) > 0 {
		return strings.HasPrefix(h[0], "AWS ")
	}
	return strings.Contains(r.URL.RawQuery, "AWSAccessKeyId=") && !strings.Contains(r.URL.RawQuery, "X-Amz-")
}

// readVersion2 reads the parts of a version 2 signature; the comparison is Stream's.
func (a *Auth) readVersion2() error {
	v2 := a.v.V2
	if v2 == nil {
		return withStatus(refuse(CodeUnsupported, "Signature version 2 is not supported. Please use AWS4-HMAC-SHA256."), 400)
	}
	if err := v2.Allow(a.r); err != nil {
		return err
	}
	var err error
	if a.payload, err = oneHeader(a.r.Header, "X-Amz-Content-Sha256"); err != nil {
		return err
	}
	if strings.HasPrefix(a.payload, "STREAMING-") {
		return withStatus(refuse(CodeUnsupported, "A request with a version 2 signature cannot carry a streaming (aws-chunked) payload."), 400)
	}
	a.Service, a.Region, a.version2 = "s3", v2.Region, true
	token, now := "", a.v.now()
	if h, inHeader := a.r.Header["Authorization"]; inHeader {
		token, err = a.readHeader2(h[0], now)
	} else {
		token, err = a.readQuery2(now)
	}
	if err != nil {
		return err
	}
	return a.lookUp(token, now)
}

func (a *Auth) readHeader2(h string, now time.Time) (token string, err error) {
	id, signature, ok := strings.Cut(strings.TrimSpace(strings.TrimPrefix(h, "AWS ")), ":")
	if !ok || id == "" || signature == "" {
		return "", refuse(CodeIncomplete, "The Authorization header must have the form: AWS KEY:SIGNATURE.")
	}
	a.Principal.AccessKey, a.given = id, signature
	date, err := oneHeader(a.r.Header, "Date")
	if err != nil {
		return "", err
	}
	if amz, err := oneHeader(a.r.Header, "X-Amz-Date"); err != nil {
		return "", err
	} else if amz != "" {
		date, a.stamp = amz, ""
	} else {
		a.stamp = date
	}
	t, err := http.ParseTime(date)
	if err != nil {
		if t, err = time.Parse(time.RFC1123Z, date); err != nil {
			return "", refuse(CodeDenied, "AWS authentication requires a valid Date or x-amz-date header.")
		}
	}
	if d := now.Sub(t); d > maxSkew || d < -maxSkew {
		return "", skewed(now, t)
	}
	return oneHeader(a.r.Header, "X-Amz-Security-Token")
}

func (a *Auth) readQuery2(now time.Time) (token string, err error) {
	q, err := url.ParseQuery(a.r.URL.RawQuery)
	if err != nil {
		return "", refuse(CodeIncomplete, "The query string cannot be read: encode it as application/x-www-form-urlencoded.")
	}
	for _, name := range []string{"AWSAccessKeyId", "Signature", "Expires"} {
		if len(q[name]) != 1 || q[name][0] == "" {
			return "", refuse(CodeDenied, "Query-string authentication requires exactly one Signature, Expires and AWSAccessKeyId parameter.")
		}
	}
	a.Principal.AccessKey, a.given, a.stamp, a.Presigned = q.Get("AWSAccessKeyId"), q.Get("Signature"), q.Get("Expires"), true
	secs, err := strconv.ParseInt(a.stamp, 10, 64)
	if err != nil {
		return "", refuse(CodeDenied, "Invalid date (should be seconds since epoch): %s", clip(a.stamp))
	}
	switch end := time.Unix(secs, 0); {
	case now.After(end):
		return "", refuse(CodeExpired, "Request has expired: it was valid until %s and it is now %s.", end.UTC().Format(isoBasic), now.UTC().Format(isoBasic))
	case end.Sub(now) > maxPresigned:
		return "", withStatus(refuse(CodeIncomplete, "Expires must be at most 604800 seconds ahead."), 400)
	}
	return q.Get("x-amz-security-token"), nil
}

// compare2 computes the signature and compares it.
func (a *Auth) compare2() error {
	m := hmac.New(sha1.New, []byte(a.key.Secret))
	m.Write([]byte(a.text2()))
	if !hmac.Equal([]byte(base64.StdEncoding.EncodeToString(m.Sum(nil))), []byte(a.given)) {
		return errMismatch()
	}
	return nil
}

// text2 is what is signed.
func (a *Auth) text2() string {
	r := a.r
	var b strings.Builder
	for _, v := range []string{r.Method, r.Header.Get("Content-Md5"), r.Header.Get("Content-Type"), a.stamp} {
		b.WriteString(v)
		b.WriteByte('\n')
	}
	query, _ := url.ParseQuery(r.URL.RawQuery) // what it cannot read is in no signature
	amz := map[string]string{}
	for name, values := range r.Header {
		if lower := strings.ToLower(name); strings.HasPrefix(lower, "x-amz-") {
			trimmed := make([]string, len(values))
			for i, v := range values {
				trimmed[i] = strings.TrimSpace(v)
			}
			amz[lower] = strings.Join(trimmed, ",")
		}
	}
	if t := query.Get("x-amz-security-token"); t != "" && a.Presigned {
		amz["x-amz-security-token"] = t
	}
	for _, name := range sortedKeys(amz) {
		b.WriteString(name + ":" + amz[name] + "\n")
	}
	if bucket := a.v.V2.Bucket(r.Host); bucket != "" {
		b.WriteString("/" + bucket)
	}
	b.WriteString(rawPath(r))
	mark := byte('?')
	for _, name := range subResources() {
		for _, v := range query[name] {
			b.WriteByte(mark)
			b.WriteString(name)
			if v != "" {
				b.WriteString("=" + v)
			}
			mark = '&'
		}
	}
	return b.String()
}

func rawPath(r *http.Request) string {
	if path := r.URL.EscapedPath(); path != "" {
		return path
	}
	return "/"
}

func sortedKeys(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// subResources are the parameters that version 2 signs, sorted. What is not among them and
// selects an operation would not be signed, so operations younger than version 2 are here too.
func subResources() []string {
	return []string{"accelerate", "acl", "analytics", "attributes", "cors", "delete", "encryption", "intelligent-tiering", "inventory", "legal-hold", "lifecycle", "location",
		"logging", "metrics", "notification", "object-lock", "ownershipControls", "partNumber", "policy", "policyStatus", "publicAccessBlock", "replication", "requestPayment",
		"response-cache-control", "response-content-disposition", "response-content-encoding", "response-content-language", "response-content-type", "response-expires",
		"restore", "retention", "select", "select-type", "tagging", "torrent", "uploadId", "uploads", "versionId", "versioning", "versions", "website"}
}
