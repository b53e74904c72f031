package iam

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"

	"drover/internal/store"
	"drover/internal/wire/authz"
)

// principal is who signs with a new key of a user.
func (h *house) principal(t testing.TB, name string) *authz.Principal {
	t.Helper()
	u, err := view(t.Context(), h.Service, users, name, noUser(name))
	if err != nil {
		t.Fatal(err)
	}
	return &authz.Principal{Account: account, ARN: h.userARN(&u), Kind: authz.User, User: u.Name, ID: u.ID}
}

func (h *house) decide(t testing.TB, p *authz.Principal, action, resource string) authz.Decision {
	t.Helper()
	d, err := h.Decide(t.Context(), &authz.Request{Principal: p, Action: action, Resource: resource})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestDecideLooksAtAllPolicies of a user: inline, managed, and only their default version.
func TestDecideLooksAtAllPolicies(t *testing.T) {
	h, ctx := newHouse(t), t.Context()
	h.as(t, "u", allow(`"logs:*"`, "*"))
	p := h.principal(t, "u")
	want := func(action string, effect authz.Effect, because string) {
		t.Helper()
		for range 2 { // the second answer comes from the cache
			if d := h.decide(t, p, action, "*"); d.Effect != effect || !strings.Contains(d.Because(), because) {
				t.Errorf("%s: %v, %s", action, d.Effect, d.Because())
			}
		}
	}
	want("logs:PutLogEvents", authz.Allow, "statement 1 of the inline policy p allows it")
	want("s3:GetObject", authz.NoMatch, "no statement allows it")
	made, err := h.root.CreatePolicy(ctx, &iam.CreatePolicyInput{PolicyName: aws.String("m"), PolicyDocument: aws.String(allow(`"s3:*"`, "*"))})
	if err != nil {
		t.Fatal(err)
	}
	must := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(h.root.AttachUserPolicy(ctx, &iam.AttachUserPolicyInput{UserName: aws.String("u"), PolicyArn: made.Policy.Arn}))
	want("s3:GetObject", authz.Allow, "of arn:aws:iam::000000000000:policy/m allows it")
	must(h.root.CreatePolicyVersion(ctx, &iam.CreatePolicyVersionInput{PolicyArn: made.Policy.Arn, SetAsDefault: true,
		PolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":[{"Sid":"No","Effect":"Deny","Action":["s3:*","logs:*"],"Resource":"*"}]}`)}))
	want("s3:GetObject", authz.Deny, "No of arn:aws:iam::000000000000:policy/m denies it")
	want("logs:PutLogEvents", authz.Deny, "No of arn:aws:iam::000000000000:policy/m denies it")
	must(h.root.SetDefaultPolicyVersion(ctx, &iam.SetDefaultPolicyVersionInput{PolicyArn: made.Policy.Arn, VersionId: aws.String("v1")}))
	want("s3:GetObject", authz.Allow, "policy/m")
	must(h.root.DetachUserPolicy(ctx, &iam.DetachUserPolicyInput{UserName: aws.String("u"), PolicyArn: made.Policy.Arn}))
	want("s3:GetObject", authz.NoMatch, "no statement")
	want("logs:PutLogEvents", authz.Allow, "inline policy p")
}

// TestWhatCannotBeJudgedDenies: a stored document that no longer parses, and one that is gone.
func TestWhatCannotBeJudgedDenies(t *testing.T) {
	for _, broken := range []grants{
		{Inline: []inline{{"a", allow(`"*"`, "*")}, {"z", `{"Statement":[{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"Odd":{"a":"b"}}}]}`}}},
		{Inline: []inline{{"a", allow(`"*"`, "*")}}, Attached: []string{"arn:aws:iam::000000000000:policy/gone"}},
		{Inline: []inline{{"a", allow(`"*"`, "*")}}, Attached: []string{"arn:aws:iam::111111111111:policy/far"}},
	} {
		h := newHouse(t)
		h.as(t, "u", "")
		err := change(t.Context(), h.Service, users, "u", noUser("u"), func(_ *store.Tx, u *user) error {
			u.grants = broken
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if d := h.decide(t, h.principal(t, "u"), "s3:GetObject", "*"); d.Effect != authz.Deny || !strings.Contains(d.Because(), "cannot be judged") {
			t.Errorf("%+v: %v %s", broken, d.Effect, d.Because())
		}
	}
}

func TestWhoIsGoneMayDoNothing(t *testing.T) {
	h, ctx := newHouse(t), t.Context()
	if _, err := h.root.CreateUser(ctx, &iam.CreateUserInput{UserName: aws.String("u")}); err != nil {
		t.Fatal(err)
	}
	p := h.principal(t, "u")
	if _, err := h.root.DeleteUser(ctx, &iam.DeleteUserInput{UserName: aws.String("u")}); err != nil {
		t.Fatal(err)
	}
	if d := h.decide(t, p, "s3:GetObject", "*"); d.Effect != authz.Deny {
		t.Errorf("%+v", d)
	}
	h.as(t, "u", allow(`"*"`, "*")) // another one of the same name
	if d := h.decide(t, h.principal(t, "u"), "s3:GetObject", "*"); d.Effect != authz.Allow {
		t.Errorf("%+v", d)
	}
	if d := h.decide(t, p, "s3:GetObject", "*"); d.Effect != authz.Deny {
		t.Errorf("the new one's policies count for the old one: %+v", d)
	}
	for _, none := range []*authz.Principal{{Kind: authz.User}, {Kind: authz.Session, Role: "none", ID: "none"}} {
		if d := h.decide(t, none, "s3:GetObject", "*"); d.Effect != authz.Deny {
			t.Errorf("%+v: %+v", none, d)
		}
	}
}

// TestAChangeCountsWhenItIsAnswered while others ask all the time.
func TestAChangeCountsWhenItIsAnswered(t *testing.T) {
	h := newHouse(t)
	h.as(t, "u", "")
	p := h.principal(t, "u")
	ctx, stop := context.WithCancel(t.Context())
	var askers sync.WaitGroup
	for range 4 {
		askers.Go(func() {
			for ctx.Err() == nil {
				if _, err := h.Decide(context.WithoutCancel(ctx), &authz.Request{Principal: p, Action: "s3:GetObject", Resource: "*"}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for i := range 60 {
		var err error
		want := authz.Allow
		if i%2 == 0 {
			_, err = h.PutUserPolicy(ctx, &iam.PutUserPolicyInput{UserName: aws.String("u"), PolicyName: aws.String("p"), PolicyDocument: aws.String(allow(`"s3:*"`, "*"))})
		} else {
			want = authz.NoMatch
			_, err = h.DeleteUserPolicy(ctx, &iam.DeleteUserPolicyInput{UserName: aws.String("u"), PolicyName: aws.String("p")})
		}
		if err != nil {
			t.Fatal(err)
		}
		if d := h.decide(t, p, "s3:GetObject", "*"); d.Effect != want {
			t.Fatalf("after change %d: %v, want %v", i, d.Effect, want)
		}
	}
	stop()
	askers.Wait()
}

// BenchmarkDecide: an answer from the cache, and one that conditions keep out of it.
func BenchmarkDecide(b *testing.B) {
	for _, k := range []struct{ name, doc string }{
		{"kept", allow(`["s3:*","batch:*"]`, "*")},
		{"conditions", strings.Replace(allow(`["s3:*","batch:*"]`, "*"), `"Resource"`, `"Condition":{"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}},"Resource"`, 1)},
	} {
		b.Run(k.name, func(b *testing.B) {
			s := &Service{}
			who := identityKey{user: "u"}
			i := &identity{id: "AIDA", arn: "arn:aws:iam::000000000000:user/u", policies: []named{parse("p", k.doc)}}
			if i.policies[0].broken != nil {
				b.Fatal(i.policies[0].broken)
			}
			s.cache.identities = map[identityKey]*identity{who: i}
			p := &authz.Principal{Kind: authz.User, User: "u", ID: "AIDA"}
			conditions := map[string][]string{"aws:SourceIp": {"10.1.1.1"}}
			n := 0
			for b.Loop() {
				n++
				d, err := s.Decide(b.Context(), &authz.Request{Principal: p, Action: "s3:GetObject", Resource: fmt.Sprint("arn:aws:s3:::b/", n%1000),
					Conditions: func() map[string][]string { return conditions }})
				if err != nil || d.Effect != authz.Allow {
					b.Fatal(d, err)
				}
			}
		})
	}
}
