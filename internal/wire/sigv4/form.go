package sigv4

import (
	"crypto/hmac"
	"strings"
	"time"

	"drover/internal/wire/authz"
)

// Form is the signed part of a browser's upload form: a policy in base64, and who signed it.
type Form struct {
	Policy, Algorithm, Credential, Date, Signature, Token string
}

// VerifyForm proves who signed a form's policy. What the policy says is for S3 to judge.
func (v *Verifier) VerifyForm(f Form) (authz.Principal, error) {
	if err := checkAlgorithm(f.Algorithm); err != nil {
		return authz.Principal{}, err
	}
	id, scope, _ := strings.Cut(f.Credential, "/")
	parts := strings.Split(scope, "/")
	if id == "" || len(parts) != 4 || parts[1] == "" || !RawPath(parts[2]) || parts[3] != terminator {
		return authz.Principal{}, refuse(CodeIncomplete, "x-amz-credential must have the form KEY/date/region/s3/aws4_request, got %q.", clip(f.Credential))
	}
	t, err := time.Parse(isoBasic, f.Date)
	if err != nil || f.Date[:8] != parts[0] {
		return authz.Principal{}, refuse(CodeIncomplete, "x-amz-date must be in the form 20060102T150405Z and of the credential's day, got %q.", clip(f.Date))
	}
	now := v.now()
	if t.Sub(now) > maxSkew {
		return authz.Principal{}, skewed(now, t)
	}
	if now.Sub(t) > maxPresigned {
		return authz.Principal{}, refuse(CodeExpired, "Request has expired: a form is good for 7 days, this one is of %s.", f.Date)
	}
	key, err := v.Keys.Secret(id, f.Token, now)
	if err != nil {
		return authz.Principal{}, err
	}
	if want := SignPolicy(f.Policy, key.Secret, parts[0], parts[1]); !hmac.Equal([]byte(want), []byte(f.Signature)) {
		return authz.Principal{}, errMismatch()
	}
	key.Principal.AccessKey = id
	return key.Principal, nil
}

// SignPolicy signs a form's policy, in base64, for S3.
func SignPolicy(policy, secret, day, region string) string {
	key := signingKey(secret, day, region, "s3")
	signature := sign(&key, []byte(policy))
	return string(signature[:])
}
