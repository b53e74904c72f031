package sigv4

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// HashBody is the payload hash of a body held in memory.
func HashBody(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}

// skipped are headers that proxies and transports change; they are not signed.
func skipped(name string) bool {
	switch name {
	case "authorization", "user-agent", "x-amzn-trace-id", "expect", "transfer-encoding", "connection", "accept-encoding":
		return true
	}
	return false
}

// Sign signs a request in its header: it sets X-Amz-Date, X-Amz-Security-Token,
// X-Amz-Content-Sha256 (where the service reads it) and Authorization. All other headers
// must be set before. payloadHash is the body's SHA-256 in hex, or one of S3's forms.
func Sign(r *http.Request, payloadHash string, creds Credentials, service, region string, t time.Time) {
	t = t.UTC()
	stamp := t.Format(isoBasic)
	r.Header.Del("Authorization")
	r.Header["X-Amz-Date"] = []string{stamp}
	if creds.SessionToken != "" {
		r.Header["X-Amz-Security-Token"] = []string{creds.SessionToken}
	} else {
		r.Header.Del("X-Amz-Security-Token")
	}
	if RawPath(service) || !isHash(payloadHash) {
		r.Header["X-Amz-Content-Sha256"] = []string{payloadHash}
	}
	signed := []string{"host"}
	for name := range r.Header {
		if lower := strings.ToLower(name); !skipped(lower) {
			signed = append(signed, lower)
		}
	}
	if r.ContentLength > 0 && !slices.Contains(signed, "content-length") {
		signed = append(signed, "content-length")
	}
	slices.Sort(signed)
	scope := stamp[:8] + "/" + region + "/" + service + "/" + terminator
	signature := signatureOf(r, signed, payloadHash, "", creds.Secret, stamp, scope, region, service)
	r.Header["Authorization"] = []string{algorithm + " Credential=" + creds.AccessKey + "/" + scope +
		", SignedHeaders=" + strings.Join(signed, ";") + ", Signature=" + signature}
}

// Presign signs a request in its query, valid for life from t on, and returns the URL.
// Only host and the x-amz-* headers already set are signed. payloadHash is "" for the
// service's usual one: UNSIGNED-PAYLOAD for S3, the hash of no body elsewhere.
func Presign(r *http.Request, payloadHash string, creds Credentials, service, region string, t time.Time, life time.Duration) string {
	t = t.UTC()
	stamp := t.Format(isoBasic)
	scope := stamp[:8] + "/" + region + "/" + service + "/" + terminator
	signed := []string{"host"}
	for name := range r.Header {
		if lower := strings.ToLower(name); strings.HasPrefix(lower, "x-amz-") {
			signed = append(signed, lower)
		}
	}
	slices.Sort(signed)
	if payloadHash == "" {
		payloadHash = EmptyHash
		if RawPath(service) {
			payloadHash = UnsignedPayload
		}
	}
	q := []string{
		"X-Amz-Algorithm=" + algorithm,
		"X-Amz-Credential=" + url.QueryEscape(creds.AccessKey+"/"+scope),
		"X-Amz-Date=" + stamp,
		"X-Amz-Expires=" + strconv.FormatInt(int64(life/time.Second), 10),
		"X-Amz-SignedHeaders=" + url.QueryEscape(strings.Join(signed, ";")),
	}
	if creds.SessionToken != "" {
		q = append(q, "X-Amz-Security-Token="+url.QueryEscape(creds.SessionToken))
	}
	if r.URL.RawQuery != "" {
		q = append([]string{r.URL.RawQuery}, q...)
	}
	r.URL.RawQuery = strings.Join(q, "&")
	signature := signatureOf(r, signed, payloadHash, "X-Amz-Signature", creds.Secret, stamp, scope, region, service)
	r.URL.RawQuery += "&X-Amz-Signature=" + signature
	return r.URL.String()
}

func signatureOf(r *http.Request, signed []string, payload, skip, secret, stamp, scope, region, service string) string {
	canonical, ok := appendCanonical(nil, r, r.URL.EscapedPath(), signed, payload, skip, RawPath(service))
	if !ok {
		// A URL that cannot be spelled canonically cannot be signed; the server
		// refuses this signature, which is the truth about the request.
		return strings.Repeat("0", 64)
	}
	key := signingKey(secret, stamp[:8], region, service)
	out := sign(&key, appendStringToSign(nil, stamp, scope, canonical))
	return string(out[:])
}
