package sts

import (
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"drover/internal/core/fault"
	"drover/internal/wire"
	"drover/internal/wire/authz"
	"drover/internal/wire/keys"
	"drover/internal/wire/sigv4"
	"drover/internal/wire/wiretest"
)

func TestConformance(t *testing.T) {
	wiretest.Conformance(t, ops, func(c aws.Config) any { return sts.NewFromConfig(c) })
}

func TestCallerIdentity(t *testing.T) {
	minter := keys.NewMinter([32]byte{1})
	m := wire.NewMux(wire.MuxOptions{Auth: &sigv4.Verifier{Keys: keys.Any(keys.Root(wiretest.Key, wiretest.Account), minter)}})
	m.Add(New(Options{}))
	session, err := minter.Mint(keys.Claims{Account: "111111111111", ARN: "arn:aws:sts::111111111111:assumed-role/job/a", Kind: authz.Session}, time.Hour, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	c := wiretest.Client(m)
	for _, k := range []struct {
		creds            sigv4.Credentials
		account, arn, id string
	}{
		{wiretest.Key, wiretest.Account, "arn:aws:iam::000000000000:root", wiretest.Account},
		{session, "111111111111", "arn:aws:sts::111111111111:assumed-role/job/a", session.AccessKey},
	} {
		c.Credentials = k.creds
		out, err := wire.Call[sts.GetCallerIdentityOutput](t.Context(), c, Identity, "GetCallerIdentity", &sts.GetCallerIdentityInput{})
		if err != nil || *out.Account != k.account || *out.Arn != k.arn || *out.UserId != k.id {
			t.Errorf("%+v %v", out, err)
		}
	}
	err = c.Call(t.Context(), Identity, "GetFederationToken", &sts.GetFederationTokenInput{}, &sts.GetFederationTokenOutput{})
	if f := fault.From(err); f.Kind != fault.NotBuilt || !strings.Contains(f.Message, "GetFederationToken of sts") {
		t.Error(err)
	}
	// The SDK sends this one unsigned: it must not get past the door either.
	_, err = sts.NewFromConfig(wiretest.Config(m)).AssumeRoleWithWebIdentity(t.Context(), &sts.AssumeRoleWithWebIdentityInput{
		RoleArn: aws.String("arn:aws:iam::000000000000:role/x"), RoleSessionName: aws.String("xx"), WebIdentityToken: aws.String("wxyz")})
	if err == nil || !strings.Contains(err.Error(), "MissingAuthenticationToken") {
		t.Error(err)
	}
}

func TestEveryOperationOfTheModelIsListed(t *testing.T) {
	if rows := wire.Coverage([]wire.Service{New(Options{})}); len(rows) != 11 {
		t.Errorf("%d operations, the service's model has 11", len(rows))
	}
}
