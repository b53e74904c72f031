// Package sts answers the one question of the Security Token Service that every client
// asks first: who am I? Other operations of the service are known and answer that they
// are not built.
package sts

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/sts"

	"drover/internal/core/fault"
	"drover/internal/wire"
)

// Identity is how the service presents itself on the wire.
var Identity = wire.Identity{
	Name:      "sts",
	Version:   "2011-06-15",
	Namespace: "https://sts.amazonaws.com/doc/2011-06-15/",
	Protocols: []wire.Protocol{wire.Query},
	Invalid:   "ValidationError",
}

var ops = wire.NewTable[*Service](Identity)

var _ = wire.Known(ops, "AssumeRole", "AssumeRoleWithSAML", "AssumeRoleWithWebIdentity", "AssumeRoot",
	"DecodeAuthorizationMessage", "GetAccessKeyInfo", "GetDelegatedAccessToken", "GetFederationToken",
	"GetSessionToken", "GetWebIdentityToken")

// Service handles the operations. It keeps no state.
type Service struct{}

// New makes the service, ready for wire.Mux.Add.
func New() wire.Service { return wire.Bind(ops, &Service{}) }

var _ = wire.Op(ops, "GetCallerIdentity", (*Service).GetCallerIdentity)

// GetCallerIdentity names the caller.
func (s *Service) GetCallerIdentity(ctx context.Context, _ *sts.GetCallerIdentityInput) (*sts.GetCallerIdentityOutput, error) {
	p, ok := wire.PrincipalFrom(ctx)
	if !ok {
		return nil, fault.New(fault.Unsigned, "MissingAuthenticationToken", "nobody signed this call")
	}
	id := p.AccessKey
	if p.Kind == wire.Root {
		id = p.Account // as AWS names the root user
	}
	return &sts.GetCallerIdentityOutput{Account: &p.Account, Arn: &p.ARN, UserId: &id}, nil
}
