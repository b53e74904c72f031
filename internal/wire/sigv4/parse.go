package sigv4

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// readHeader takes the Authorization header apart.
func (a *Auth) readHeader(h string) error {
	name, rest, _ := strings.Cut(h, " ")
	if err := checkAlgorithm(name); err != nil {
		return err
	}
	var credential, signed, signature string
	for part := range strings.SplitSeq(rest, ",") {
		k, val, ok := strings.Cut(strings.TrimSpace(part), "=")
		var to *string
		switch k {
		case "Credential":
			to = &credential
		case "SignedHeaders":
			to = &signed
		case "Signature":
			to = &signature
		}
		if !ok || to == nil || *to != "" {
			return refuse(CodeIncomplete, "The Authorization header has an unknown, empty or repeated part: %q.", clip(part))
		}
		*to = val
	}
	if credential == "" || signed == "" || signature == "" {
		return refuse(CodeIncomplete, "Authorization header requires 'Credential', 'SignedHeaders' and 'Signature' parameters.")
	}
	stamp, t, err := headerTime(a.r.Header)
	if err != nil {
		return err
	}
	token, err := oneHeader(a.r.Header, "X-Amz-Security-Token")
	if err != nil {
		return err
	}
	if a.payload, err = oneHeader(a.r.Header, "X-Amz-Content-Sha256"); err != nil {
		return err
	}
	if err := a.setScope(credential, signed, signature, stamp); err != nil {
		return err
	}
	now := a.v.now()
	if d := now.Sub(t); d > maxSkew || d < -maxSkew {
		return skewed(now, t)
	}
	return a.lookUp(token, now)
}

// readQuery takes the parameters of a presigned request apart.
func (a *Auth) readQuery() error {
	q, err := url.ParseQuery(a.r.URL.RawQuery)
	if err != nil {
		return refuse(CodeIncomplete, "The query string cannot be read: encode it as application/x-www-form-urlencoded.")
	}
	one := func(name string) (string, bool) {
		if len(q[name]) != 1 {
			return "", false
		}
		return q[name][0], true
	}
	algo, ok := one("X-Amz-Algorithm")
	if !ok {
		return refuse(CodeIncomplete, "A presigned request needs exactly one X-Amz-Algorithm parameter.")
	}
	if err := checkAlgorithm(algo); err != nil {
		return err
	}
	var part [5]string
	for i, name := range []string{"X-Amz-Credential", "X-Amz-SignedHeaders", "X-Amz-Signature", "X-Amz-Date", "X-Amz-Expires"} {
		if part[i], ok = one(name); !ok || part[i] == "" {
			return refuse(CodeIncomplete, "A presigned request needs exactly one %s parameter.", name)
		}
	}
	token := ""
	if len(q["X-Amz-Security-Token"]) > 0 {
		if token, ok = one("X-Amz-Security-Token"); !ok {
			return refuse(CodeIncomplete, "The X-Amz-Security-Token parameter is repeated.")
		}
	}
	if a.payload, err = oneHeader(a.r.Header, "X-Amz-Content-Sha256"); err != nil {
		return err
	}
	if len(q["X-Amz-Content-Sha256"]) > 0 && a.payload == "" {
		if a.payload, ok = one("X-Amz-Content-Sha256"); !ok {
			return refuse(CodeIncomplete, "The X-Amz-Content-Sha256 parameter is repeated.")
		}
	}
	t, err := time.Parse(isoBasic, part[3])
	if err != nil {
		return refuse(CodeIncomplete, "X-Amz-Date must be in the form 20060102T150405Z.")
	}
	secs, err := strconv.ParseInt(part[4], 10, 64)
	if err != nil || secs < 1 || secs > int64(maxPresigned/time.Second) {
		return withStatus(refuse(CodeIncomplete, "X-Amz-Expires must be between 1 and 604800 seconds."), 400)
	}
	a.Presigned = true
	if err := a.setScope(part[0], part[1], part[2], part[3]); err != nil {
		return err
	}
	now := a.v.now()
	if t.Sub(now) > maxSkew {
		return skewed(now, t)
	}
	if end := t.Add(time.Duration(secs) * time.Second); now.After(end) {
		return refuse(CodeExpired, "Request has expired: it was valid until %s and it is now %s.", end.Format(isoBasic), now.UTC().Format(isoBasic))
	}
	return a.lookUp(token, now)
}

func checkAlgorithm(name string) error {
	switch {
	case name == algorithm:
		return nil
	case strings.HasPrefix(name, "AWS4-ECDSA"):
		return withStatus(refuse(CodeUnsupported, "drover does not verify SigV4a (ECDSA) signatures. Please use AWS4-HMAC-SHA256 with a single region."), 400)
	}
	return withStatus(refuse(CodeIncomplete, "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256."), 400)
}

// setScope reads the credential, the signed headers and the form of the signature.
func (a *Auth) setScope(credential, signed, signature, stamp string) error {
	id, scope, _ := strings.Cut(credential, "/")
	parts := strings.Split(scope, "/")
	if id == "" || len(parts) != 4 || parts[1] == "" || parts[2] == "" || parts[3] != terminator {
		return refuse(CodeIncomplete, "Credential must have the form KEY/date/region/service/aws4_request, got %q.", clip(credential))
	}
	if len(stamp) < 8 || parts[0] != stamp[:8] {
		return refuse(CodeMismatch, "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: %q != %q.", clip(parts[0]), clip(stamp))
	}
	a.Principal.AccessKey, a.date, a.Region, a.Service = id, parts[0], parts[1], parts[2]
	a.scope, a.stamp, a.given = scope, stamp, signature
	if strings.Contains(a.Region, "*") {
		return refuse(CodeIncomplete, "Credential names no single region: %q.", clip(credential))
	}
	if len(signature) != 64 {
		return errMismatch()
	}
	a.signed = strings.Split(signed, ";")
	for i, name := range a.signed {
		if !lowerName(name) || i > 0 && a.signed[i-1] >= name {
			return refuse(CodeIncomplete, "SignedHeaders must be lower case, sorted and without repetition: %q.", clip(signed))
		}
	}
	if !slices.Contains(a.signed, "host") {
		return refuse(CodeMismatch, "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.")
	}
	return nil
}

// headerTime finds when a request says it was signed.
func headerTime(h http.Header) (stamp string, t time.Time, err error) {
	stamp, err = oneHeader(h, "X-Amz-Date")
	if err != nil {
		return "", t, err
	}
	if stamp != "" {
		if t, err = time.Parse(isoBasic, stamp); err != nil {
			return "", t, refuse(CodeIncomplete, "X-Amz-Date must be in the form 20060102T150405Z, got %q.", clip(stamp))
		}
		return stamp, t, nil
	}
	date, err := oneHeader(h, "Date")
	if err != nil {
		return "", t, err
	}
	if t, err = time.Parse(isoBasic, date); err != nil {
		if t, err = http.ParseTime(date); err != nil {
			return "", t, refuse(CodeIncomplete, "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.")
		}
	}
	return t.UTC().Format(isoBasic), t, nil
}

func oneHeader(h http.Header, name string) (string, error) {
	switch v := h[name]; len(v) {
	case 0:
		return "", nil
	case 1:
		return strings.TrimSpace(v[0]), nil
	}
	return "", refuse(CodeIncomplete, "The header %s is repeated.", name)
}

func skewed(now, t time.Time) error {
	now, t = now.UTC(), t.UTC()
	if t.Before(now) {
		return refuse(CodeSkewed, "Signature expired: %s is now earlier than %s (%s - 15 min.)",
			t.Format(isoBasic), now.Add(-maxSkew).Format(isoBasic), now.Format(isoBasic))
	}
	return refuse(CodeSkewed, "Signature not yet current: %s is still later than %s (%s + 15 min.)",
		t.Format(isoBasic), now.Add(maxSkew).Format(isoBasic), now.Format(isoBasic))
}

// clip keeps what a stranger sent short in messages.
func clip(s string) string {
	if len(s) > 64 {
		return s[:64] + "..."
	}
	return s
}
