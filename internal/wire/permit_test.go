package wire_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"drover/internal/core/fault"
	"drover/internal/wire"
	"drover/internal/wire/authz"
	"drover/internal/wire/keys"
	"drover/internal/wire/sigv4"
	"drover/internal/wire/wiretest"
)

// asked notes what an authorizer is asked, and allows what its list has.
type asked struct {
	allow      []string // "action resource"
	saw        []string
	conditions map[string][]string
}

func (a *asked) Decide(_ context.Context, r *authz.Request) (authz.Decision, error) {
	a.saw = append(a.saw, r.Action+" "+r.Resource)
	a.conditions = r.Conditions()
	if slices.Contains(a.allow, r.Action+" "+r.Resource) {
		return authz.Decision{Effect: authz.Allow, Policy: "P", Statement: "S"}, nil
	}
	return authz.Decision{}, nil
}

func guarded(a *asked, denials *authz.Denials, handled *int) *wire.Mux {
	table := wire.NewTable[int](iamID)
	wire.About(table, "CreateUser", func(n int, _ context.Context, in *iam.CreateUserInput) []string {
		return []string{"one/" + aws.ToString(in.UserName), "two/" + aws.ToString(in.UserName)}
	})
	wire.Op(table, "CreateUser", func(_ int, ctx context.Context, _ *iam.CreateUserInput) (*iam.CreateUserOutput, error) {
		*handled++
		return nil, wire.Permit(ctx, "iam:PassRole", "role", wire.Conditions{"iam:PassedToService": {"x"}})
	}, wire.Required("UserName"))
	wire.Op(table, "GetUser", func(int, context.Context, *iam.GetUserInput) (*iam.GetUserOutput, error) { return nil, nil })
	wire.Op(table, "ListUsers", func(int, context.Context, *iam.ListUsersInput) (*iam.ListUsersOutput, error) { return nil, nil }, wire.Open())
	o := wire.MuxOptions{Account: account, Auth: &sigv4.Verifier{Keys: keys.Any(keys.Root(root, account), users)}, Denials: denials}
	if a != nil {
		o.Authorizer = a
	}
	m := wire.NewMux(o)
	m.Add(wire.Bind(table, 7))
	return m
}

// TestEveryResourceMustBeAllowed over the wire and inside the process.
func TestEveryResourceMustBeAllowed(t *testing.T) {
	user := authz.Principal{Account: account, ARN: "arn:aws:iam::0:user/u", Kind: authz.User, User: "u", ID: "AIDAU"}
	in := &iam.CreateUserInput{UserName: aws.String("n"), Tags: []types.Tag{{Key: aws.String("team"), Value: aws.String("x")}}}
	for _, k := range []struct {
		name    string
		allow   []string
		handled int
		refused string // "" = answered
	}{
		{"nothing", nil, 0, "iam:CreateUser one/n"},
		{"the first", []string{"iam:CreateUser one/n"}, 0, "iam:CreateUser two/n"},
		{"the second", []string{"iam:CreateUser two/n"}, 0, "iam:CreateUser one/n"},
		{"both", []string{"iam:CreateUser one/n", "iam:CreateUser two/n"}, 1, "iam:PassRole role"},
		{"both, and what it does beside", []string{"iam:CreateUser one/n", "iam:CreateUser two/n", "iam:PassRole role"}, 1, ""},
	} {
		a, denials, handled := &asked{allow: k.allow}, authz.NewDenials(10), 0
		m := guarded(a, denials, &handled)
		check := func(how string, err error, id string) {
			t.Helper()
			var refused string
			for _, d := range denials.Of(id) {
				refused = d.Action + " " + d.Resource
			}
			if handled != k.handled || (err == nil) != (k.refused == "") || err != nil && !fault.Is(err, fault.Denied) || refused != k.refused {
				t.Errorf("%s, %s: handled %d, %v, refused %q", k.name, how, handled, err, refused)
			}
		}
		ctx := wire.WithInfo(t.Context(), wire.Info{RequestID: "inside", Region: "r"})
		check("inside", m.Call(ctx, user, "iam", "CreateUser", in, &iam.CreateUserOutput{}), "inside")
		if got := a.conditions; got["aws:username"][0] != "u" || got["aws:RequestTag/team"][0] != "x" || got["aws:RequestedRegion"][0] != "r" || got["aws:SourceIp"] != nil {
			t.Errorf("%v", got)
		}
		handled = 0
		c := wiretest.Client(m)
		c.Credentials = users["may"]
		err := c.Call(t.Context(), iamID, "CreateUser", in, &iam.CreateUserOutput{})
		if got := a.conditions; got["aws:SourceIp"][0] != "192.0.2.1" || got["aws:SecureTransport"][0] != "false" {
			t.Errorf("%v", got)
		}
		if (err == nil) != (k.refused == "") || handled != k.handled {
			t.Errorf("%s, over the wire: handled %d, %v", k.name, handled, err)
		}
	}
}

func TestRootIsNotAskedAbout(t *testing.T) {
	a, handled := &asked{}, 0
	m := guarded(a, nil, &handled)
	if err := wiretest.Client(m).Call(t.Context(), iamID, "CreateUser", &iam.CreateUserInput{UserName: aws.String("n")}, &iam.CreateUserOutput{}); err == nil || a.saw != nil {
		t.Errorf("%v %v: wiretest's key is not known here", err, a.saw)
	}
	c := wiretest.Client(m)
	c.Credentials = root
	if err := c.Call(t.Context(), iamID, "CreateUser", &iam.CreateUserInput{UserName: aws.String("n")}, &iam.CreateUserOutput{}); err != nil || a.saw != nil {
		t.Errorf("%v, asked %v", err, a.saw)
	}
}

func TestUsersWithoutAnAuthorizerMayDoNothing(t *testing.T) {
	handled := 0
	m := guarded(nil, nil, &handled)
	c := wiretest.Client(m)
	c.Credentials = users["may"]
	err := c.Call(t.Context(), iamID, "GetUser", &iam.GetUserInput{}, &iam.GetUserOutput{})
	if !fault.Is(err, fault.Denied) {
		t.Error(err)
	}
	if err := c.Call(t.Context(), iamID, "ListUsers", &iam.ListUsersInput{}, &iam.ListUsersOutput{}); err != nil {
		t.Errorf("an open operation: %v", err)
	}
	if err := wire.Permit(t.Context(), "iam:PassRole", "x"); !fault.Is(err, fault.Denied) {
		t.Errorf("a context that is no call's: %v", err)
	}
}

func TestAboutMustFit(t *testing.T) {
	panics := func(what string, f func()) {
		t.Helper()
		defer func() {
			if p := recover(); p == nil {
				t.Errorf("%s: accepted", what)
			} else if !strings.HasPrefix(p.(string), "wire: ") {
				t.Error(p)
			}
		}()
		f()
	}
	about := func(int, context.Context, *iam.CreateUserInput) []string { return nil }
	get := func(int, context.Context, *iam.GetUserInput) (*iam.GetUserOutput, error) { return nil, nil }
	panics("an operation that is not there", func() {
		table := wire.NewTable[int](iamID)
		wire.About(table, "GetUser", about)
		wire.Bind(table, 1)
	})
	panics("another input", func() {
		table := wire.NewTable[int](iamID)
		wire.Op(table, "GetUser", get)
		wire.About(table, "GetUser", about)
		wire.Bind(table, 1)
	})
	panics("said twice", func() {
		table := wire.NewTable[int](iamID)
		wire.About(table, "GetUser", about)
		wire.About(table, "GetUser", about)
	})
}
