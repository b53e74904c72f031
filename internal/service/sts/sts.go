// Package sts is the AWS Security Token Service as far as drover has it: who the caller
// is, and temporary credentials for a role or for the caller itself.
//
// It promises that nobody gets the credentials of a role whom its trust policy does not
// let have them; that a session can only do less than its role or user, never more; that
// it ends when it was said to; and that whoever signs correctly can ask who he is.
// Sessions are minted, not stored: what they may do is decided at each use.
package sts

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/aws-sdk-go-v2/service/sts/types"

	"drover/internal/core/fault"
	"drover/internal/wire"
	"drover/internal/wire/authz"
	"drover/internal/wire/authz/policy"
	"drover/internal/wire/keys"
)

// Identity is how the service presents itself on the wire.
var Identity = wire.Identity{
	Name:      "sts",
	Version:   "2011-06-15",
	Namespace: "https://sts.amazonaws.com/doc/2011-06-15/",
	Protocols: []wire.Protocol{wire.Query},
	Names:     map[string]string{"PolicyDescriptorType.Arn": "arn"},
	Invalid:   "ValidationError",
}

var ops = wire.NewTable[*Service](Identity)

var _ = wire.Known(ops, "AssumeRoleWithSAML", "AssumeRoleWithWebIdentity", "AssumeRoot",
	"DecodeAuthorizationMessage", "GetAccessKeyInfo", "GetDelegatedAccessToken", "GetFederationToken",
	"GetWebIdentityToken")

// Directory is what the service asks of the one that keeps roles and policies.
type Directory interface {
	// Role finds a role by its ARN, or answers a fault.NotFound.
	Role(ctx context.Context, arn string) (*policy.Role, error)
	// HasPolicy reports whether there is a managed policy with the ARN.
	HasPolicy(ctx context.Context, arn string) (bool, error)
	// PrincipalARN is the ARN of the user or role behind a principal.
	PrincipalARN(ctx context.Context, p *authz.Principal) (string, error)
}

// Options of a Service.
type Options struct {
	Minter    *keys.Minter
	Directory Directory
	Now       func() time.Time // nil: time.Now
}

// Service handles the operations. It keeps no state.
type Service struct {
	minter    *keys.Minter
	directory Directory
	now       func() time.Time
}

// New makes the service, ready for wire.Mux.Add.
func New(o Options) wire.Service {
	if o.Now == nil {
		o.Now = time.Now
	}
	return wire.Bind(ops, &Service{minter: o.Minter, directory: o.Directory, now: o.Now})
}

// Limits of sessions.
const (
	shortest       = 900 * time.Second
	longestRole    = 12 * time.Hour
	longestChained = time.Hour // of a role that is assumed by a role's session
	longestUser    = 36 * time.Hour
	longestRoot    = time.Hour
	maxPolicyText  = 2048
	maxPolicyARNs  = 10
)

var (
	_ = wire.Op(ops, "GetCallerIdentity", (*Service).GetCallerIdentity, wire.Open())
	_ = wire.Op(ops, "GetSessionToken", (*Service).GetSessionToken, wire.Open())
	_ = wire.Op(ops, "AssumeRole", (*Service).AssumeRole, wire.Open(), // the handler weighs both sides
		wire.Required("RoleArn", "RoleSessionName"), wire.Length("RoleArn", 20, 2048),
		wire.Length("RoleSessionName", 2, 64), wire.Pattern("RoleSessionName", `[\w+=,.@-]*`),
		wire.Length("ExternalId", 2, 1224), wire.Pattern("ExternalId", `[\w+=,.@:/-]*`))
)

// GetCallerIdentity names the caller. As AWS has it, no policy can forbid it.
func (s *Service) GetCallerIdentity(ctx context.Context, _ *sts.GetCallerIdentityInput) (*sts.GetCallerIdentityOutput, error) {
	p, err := caller(ctx)
	if err != nil {
		return nil, err
	}
	return &sts.GetCallerIdentityOutput{Account: &p.Account, Arn: &p.ARN, UserId: aws.String(p.UserID())}, nil
}

func caller(ctx context.Context) (authz.Principal, error) {
	p, ok := wire.PrincipalFrom(ctx)
	if !ok {
		return p, fault.New(fault.Unsigned, "MissingAuthenticationToken", "nobody signed this call")
	}
	return p, nil
}

// GetSessionToken gives a user, or the root key, temporary credentials for itself.
func (s *Service) GetSessionToken(ctx context.Context, in *sts.GetSessionTokenInput) (*sts.GetSessionTokenOutput, error) {
	p, err := caller(ctx)
	if err != nil {
		return nil, err
	}
	if p.Kind != authz.Root && p.Kind != authz.User {
		return nil, fault.New(fault.Denied, "AccessDenied", "Cannot call GetSessionToken with session credentials")
	}
	if in.SerialNumber != nil || in.TokenCode != nil {
		return nil, notBuilt("SerialNumber and TokenCode (MFA)")
	}
	longest, ttl := longestUser, 12*time.Hour
	if p.Kind == authz.Root {
		longest, ttl = longestRoot, longestRoot
	}
	if in.DurationSeconds != nil {
		if ttl, err = duration(*in.DurationSeconds, longestUser); err != nil {
			return nil, err
		}
		ttl = min(ttl, longest) // as AWS does for its root
	}
	c, err := s.mint(keys.Claims{Account: p.Account, ARN: p.ARN, Kind: authz.Session, User: p.User, ID: p.ID}, ttl)
	if err != nil {
		return nil, err
	}
	return &sts.GetSessionTokenOutput{Credentials: c}, nil
}

func duration(seconds int32, longest time.Duration) (time.Duration, error) {
	d := time.Duration(seconds) * time.Second
	switch {
	case d < shortest:
		return 0, invalid("1 validation error detected: Value '%d' at 'durationSeconds' failed to satisfy constraint: Member must have value greater than or equal to %d", seconds, int(shortest.Seconds()))
	case d > longest:
		return 0, invalid("1 validation error detected: Value '%d' at 'durationSeconds' failed to satisfy constraint: Member must have value less than or equal to %d", seconds, int(longest.Seconds()))
	}
	return d, nil
}

func (s *Service) mint(c keys.Claims, ttl time.Duration) (*types.Credentials, error) {
	made, err := s.minter.Mint(c, ttl, s.now())
	if fault.Is(err, fault.TooLarge) {
		return nil, fault.Wrap(err, fault.Invalid, "PackedPolicyTooLarge", "The session policies are too large for a session token.")
	}
	if err != nil {
		return nil, err
	}
	return &types.Credentials{AccessKeyId: &made.AccessKey, SecretAccessKey: &made.Secret, SessionToken: &made.SessionToken, Expiration: &made.Expires}, nil
}

// AssumeRole gives the caller credentials of a role. The role's trust policy must name the
// caller, or its account while the caller's own policies allow the call; a Deny on either
// side wins.
func (s *Service) AssumeRole(ctx context.Context, in *sts.AssumeRoleInput) (*sts.AssumeRoleOutput, error) {
	p, err := caller(ctx)
	if err != nil {
		return nil, err
	}
	if err := refuseUnbuilt(in); err != nil {
		return nil, err
	}
	limits, err := s.limits(ctx, in)
	if err != nil {
		return nil, err
	}
	r, err := s.trusted(ctx, &p, in)
	if err != nil {
		return nil, err
	}
	ttl, err := roleDuration(&p, r, in.DurationSeconds)
	if err != nil {
		return nil, err
	}
	arn := fmt.Sprintf("arn:aws:sts::%s:assumed-role/%s/%s", p.Account, r.Name, *in.RoleSessionName)
	c, err := s.mint(keys.Claims{Account: p.Account, ARN: arn, Kind: authz.Session, Attempt: p.Attempt,
		Role: r.Name, ID: r.ID, SessionName: *in.RoleSessionName, Limits: limits}, ttl)
	if err != nil {
		return nil, err
	}
	out := &sts.AssumeRoleOutput{Credentials: c, AssumedRoleUser: &types.AssumedRoleUser{Arn: &arn, AssumedRoleId: aws.String(r.ID + ":" + *in.RoleSessionName)}}
	if len(limits) > 0 {
		out.PackedPolicySize = aws.Int32(packed(limits))
	}
	return out, nil
}

// packed is how much of the room for session policies is used, in percent.
func packed(limits []string) int32 {
	n := 0
	for _, l := range limits {
		n += len(l)
	}
	return int32(max(1, min(100, n*100/(maxPolicyText+maxPolicyARNs*128))))
}

func refuseUnbuilt(in *sts.AssumeRoleInput) error {
	for _, m := range []struct {
		name string
		here bool
	}{
		{"Tags", len(in.Tags) > 0}, {"TransitiveTagKeys", len(in.TransitiveTagKeys) > 0}, {"SourceIdentity", in.SourceIdentity != nil},
		{"SerialNumber", in.SerialNumber != nil}, {"TokenCode", in.TokenCode != nil}, {"ProvidedContexts", len(in.ProvidedContexts) > 0},
		{"MinimumSessionTokenSize", in.MinimumSessionTokenSize != nil},
	} {
		if m.here {
			return notBuilt(m.name)
		}
	}
	return nil
}

// limits are the session policies that a call asks for.
func (s *Service) limits(ctx context.Context, in *sts.AssumeRoleInput) ([]string, error) {
	var limits []string
	if in.Policy != nil {
		if n := len([]rune(*in.Policy)); n < 1 || n > maxPolicyText {
			return nil, invalid("1 validation error detected: Value at 'policy' failed to satisfy constraint: Member must have length between 1 and %d", maxPolicyText)
		}
		if _, err := policy.Parse(*in.Policy); err != nil {
			return nil, err
		}
		limits = append(limits, *in.Policy)
	}
	if len(in.PolicyArns) > maxPolicyARNs {
		return nil, invalid("1 validation error detected: Value at 'policyArns' failed to satisfy constraint: Member must have length less than or equal to %d", maxPolicyARNs)
	}
	for _, one := range in.PolicyArns {
		arn := aws.ToString(one.Arn)
		ok, err := s.directory.HasPolicy(ctx, arn)
		if err != nil {
			return nil, err
		}
		if !ok {
			return nil, invalid("The policy %s does not exist.", arn)
		}
		limits = append(limits, arn)
	}
	return limits, nil
}

// trusted finds the role and weighs its trust policy against the caller's own.
func (s *Service) trusted(ctx context.Context, p *authz.Principal, in *sts.AssumeRoleInput) (*policy.Role, error) {
	const action = "sts:AssumeRole"
	more := wire.Conditions{"sts:RoleSessionName": {*in.RoleSessionName}}
	if in.ExternalId != nil {
		more["sts:ExternalId"] = []string{*in.ExternalId}
	}
	r, err := s.directory.Role(ctx, *in.RoleArn)
	if fault.Is(err, fault.NotFound) {
		return nil, wire.Refuse(ctx, action, *in.RoleArn, authz.Decision{Reason: "the role does not exist"})
	}
	if err != nil {
		return nil, err
	}
	own, err := wire.Decide(ctx, action, r.ARN, more)
	if err != nil {
		return nil, err
	}
	if own.Effect == authz.Deny {
		return nil, wire.Refuse(ctx, action, r.ARN, own)
	}
	who := policy.Caller{Account: p.Account, ARNs: []string{p.ARN}}
	if p.Governed() {
		arn, err := s.directory.PrincipalARN(ctx, p)
		if err != nil {
			return nil, err
		}
		who.ARNs = append(who.ARNs, arn)
		more["aws:PrincipalArn"] = []string{arn}
	}
	standing := r.Trust.Evaluate(who, &authz.Request{Principal: p, Action: action, Resource: "*",
		Conditions: func() map[string][]string { return wire.Values(ctx, more) }})
	// A session that no policies govern, such as a job's without a role, is its account's
	// for the services it was minted for; that does not make it trusted with every role.
	alone := p.Kind == authz.Session && !p.Governed() && !strings.HasSuffix(p.ARN, ":root")
	switch {
	case standing == policy.ByName, standing == policy.ByAccount && own.Effect == authz.Allow && !alone:
		return r, nil
	case standing == policy.Distrusted:
		own = authz.Decision{Effect: authz.Deny, Reason: "the role's trust policy denies it"}
	case standing == policy.Untrusted:
		own = authz.Decision{Reason: "the role's trust policy does not name the caller"}
	case alone:
		own = authz.Decision{Reason: "the role trusts the account, and this session has no policies of its own that allow it"}
	}
	return nil, wire.Refuse(ctx, action, r.ARN, own)
}

// roleDuration is how long the session lives: an hour unless the call says otherwise.
func roleDuration(p *authz.Principal, r *policy.Role, seconds *int32) (time.Duration, error) {
	ttl := min(time.Hour, r.MaxSession)
	if seconds == nil {
		return ttl, nil
	}
	ttl, err := duration(*seconds, longestRole)
	switch {
	case err != nil:
		return 0, err
	case p.Role != "" && ttl > longestChained:
		return 0, invalid("The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining")
	case ttl > r.MaxSession:
		return 0, invalid("The requested DurationSeconds exceeds the MaxSessionDuration set for this role.")
	}
	return ttl, nil
}

func invalid(format string, args ...any) error {
	return fault.New(fault.Invalid, "ValidationError", format, args...)
}

// notBuilt refuses a member that drover does not have yet.
func notBuilt(member string) error {
	return fault.New(fault.NotBuilt, "NotImplemented", "%s is not built in this version of drover; leave it out", member)
}
