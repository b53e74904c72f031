package server_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	ststypes "github.com/aws/aws-sdk-go-v2/service/sts/types"
	"github.com/aws/smithy-go"

	"drover/internal/wire/sigv4"
)

// role makes a role with one inline policy.
func (p *person) role(t *testing.T, name, trust, document string) string {
	t.Helper()
	out, err := p.iam.CreateRole(t.Context(), &iam.CreateRoleInput{RoleName: &name, AssumeRolePolicyDocument: &trust, MaxSessionDuration: aws.Int32(7200)})
	must(t, err)
	_, err = p.iam.PutRolePolicy(t.Context(), &iam.PutRolePolicyInput{RoleName: &name, PolicyName: aws.String("p"), PolicyDocument: &document})
	must(t, err)
	return *out.Role.Arn
}

func trust(principal, more string) string {
	return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":` + principal + `,"Action":"sts:AssumeRole"` + more + `}]}`
}

// assume gives the person that a role makes of p.
func (p *person) assume(t *testing.T, in *sts.AssumeRoleInput) (*person, error) {
	t.Helper()
	if in.RoleSessionName == nil {
		in.RoleSessionName = aws.String("session")
	}
	out, err := p.sts.AssumeRole(t.Context(), in)
	if err != nil {
		return nil, err
	}
	c := out.Credentials
	return newPerson(p.endpoint, p.region, sigv4.Credentials{AccessKey: *c.AccessKeyId, Secret: *c.SecretAccessKey, SessionToken: *c.SessionToken, Expires: *c.Expiration}), nil
}

const everything = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`

// TestWhoMayAssumeARole weighs the trust policy against the caller's own.
func TestWhoMayAssumeARole(t *testing.T) {
	root, _ := account(t)
	const self = "arn:aws:iam::000000000000:"
	plain := root.user(t, "plain", "")
	able := root.user(t, "able", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole","Resource":"`+self+`role/*"}]}`)
	barred := root.user(t, "barred", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"},{"Effect":"Deny","Action":"sts:AssumeRole","Resource":"*"}]}`)
	byAccount := root.role(t, "by-account", trust(`{"AWS":"000000000000"}`, ""), everything)
	byName := root.role(t, "by-name", trust(`{"AWS":["`+self+`user/plain","`+self+`user/barred"]}`, ""), everything)
	byService := root.role(t, "by-service", trust(`{"Service":"ecs-tasks.amazonaws.com"}`, ""), everything)
	external := root.role(t, "external", trust(`{"AWS":"`+self+`user/plain"}`, `,"Condition":{"StringEquals":{"sts:ExternalId":"secret"}}`), everything)
	for _, k := range []struct {
		name string
		who  *person
		in   sts.AssumeRoleInput
		ok   bool
	}{
		{"account trusted, own policies do not allow", plain, sts.AssumeRoleInput{RoleArn: &byAccount}, false},
		{"account trusted, own policies allow", able, sts.AssumeRoleInput{RoleArn: &byAccount}, true},
		{"account trusted, own policies deny", barred, sts.AssumeRoleInput{RoleArn: &byAccount}, false},
		{"account trusted, root", root, sts.AssumeRoleInput{RoleArn: &byAccount}, true},
		{"named", plain, sts.AssumeRoleInput{RoleArn: &byName}, true},
		{"not named", able, sts.AssumeRoleInput{RoleArn: &byName}, false},
		{"named, own policies deny", barred, sts.AssumeRoleInput{RoleArn: &byName}, false},
		{"a service is trusted", able, sts.AssumeRoleInput{RoleArn: &byService}, false},
		{"a service is trusted, root", root, sts.AssumeRoleInput{RoleArn: &byService}, false},
		{"external id", plain, sts.AssumeRoleInput{RoleArn: &external, ExternalId: aws.String("secret")}, true},
		{"wrong external id", plain, sts.AssumeRoleInput{RoleArn: &external, ExternalId: aws.String("guess")}, false},
		{"no external id", plain, sts.AssumeRoleInput{RoleArn: &external}, false},
		{"no such role", able, sts.AssumeRoleInput{RoleArn: aws.String(self + "role/none-there")}, false},
		{"another account's", able, sts.AssumeRoleInput{RoleArn: aws.String("arn:aws:iam::111111111111:role/by-account")}, false},
	} {
		_, err := k.who.assume(t, &k.in)
		if k.ok {
			ok(t, k.name, err)
		} else {
			denied(t, k.name, err)
		}
	}
}

// TestSessionsDoLess: session policies, durations, chains, and what becomes of sessions.
func TestSessionsDoLess(t *testing.T) {
	root, _ := account(t)
	ctx := t.Context()
	for _, b := range []string{"one", "two"} {
		name := "bucket-" + b
		_, err := root.s3.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: &name})
		must(t, err)
		must(t, root.put(ctx, name, "k"))
	}
	user := root.user(t, "u", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole","Resource":"*"}]}`)
	role := root.role(t, "r", trust(`{"AWS":"000000000000"}`, ""), `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:*","sts:AssumeRole"],"Resource":"*"}]}`)
	pol, err := root.iam.CreatePolicy(ctx, &iam.CreatePolicyInput{PolicyName: aws.String("one"), PolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::bucket-one/*"}]}`)})
	must(t, err)

	whole, err := user.assume(t, &sts.AssumeRoleInput{RoleArn: &role})
	must(t, err)
	ok(t, "the role reads one", whole.get(ctx, "bucket-one", "k"))
	ok(t, "the role reads two", whole.get(ctx, "bucket-two", "k"))
	if left := time.Until(whole.creds.Expires); left > time.Hour || left < 59*time.Minute {
		t.Errorf("an hour is given by default, not %v", left)
	}
	inline, err := user.assume(t, &sts.AssumeRoleInput{RoleArn: &role, Policy: aws.String(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:GetObject","batch:*"],"Resource":["arn:aws:s3:::bucket-one/*","arn:aws:batch:*:*:*"]}]}`)})
	must(t, err)
	ok(t, "limited, one", inline.get(ctx, "bucket-one", "k"))
	denied(t, "limited, two", inline.get(ctx, "bucket-two", "k"))
	_, err = inline.batch.ListJobs(ctx, &batch.ListJobsInput{JobQueue: aws.String("default")})
	denied(t, "a session policy gives nothing that the role has not", err)
	named, err := user.assume(t, &sts.AssumeRoleInput{RoleArn: &role, PolicyArns: []ststypes.PolicyDescriptorType{{Arn: pol.Policy.Arn}}})
	must(t, err)
	ok(t, "limited by ARN, one", named.get(ctx, "bucket-one", "k"))
	denied(t, "limited by ARN, two", named.get(ctx, "bucket-two", "k"))
	must(t, err2(root.iam.DeletePolicy(ctx, &iam.DeletePolicyInput{PolicyArn: pol.Policy.Arn})))
	denied(t, "limited by a policy that is gone", named.get(ctx, "bucket-one", "k"))

	refused := func(who *person, in sts.AssumeRoleInput, says string) {
		t.Helper()
		in.RoleArn = &role
		_, err := who.assume(t, &in)
		if e, isAPI := errors.AsType[smithy.APIError](err); !isAPI || !strings.Contains(e.ErrorCode()+" "+e.ErrorMessage(), says) {
			t.Errorf("%v; want %s", err, says)
		}
	}
	refused(user, sts.AssumeRoleInput{DurationSeconds: aws.Int32(899)}, "greater than or equal to 900")
	refused(user, sts.AssumeRoleInput{DurationSeconds: aws.Int32(43201)}, "less than or equal to 43200")
	refused(user, sts.AssumeRoleInput{DurationSeconds: aws.Int32(7201)}, "exceeds the MaxSessionDuration")
	refused(whole, sts.AssumeRoleInput{DurationSeconds: aws.Int32(7200)}, "role chaining")
	refused(user, sts.AssumeRoleInput{Policy: aws.String(`{"Statement":[]}`)}, "MalformedPolicyDocument")
	refused(user, sts.AssumeRoleInput{Policy: aws.String(strings.Repeat(" ", 2049))}, "length between 1 and 2048")
	refused(user, sts.AssumeRoleInput{RoleSessionName: aws.String("a/b")}, "RoleSessionName")
	refused(user, sts.AssumeRoleInput{SourceIdentity: aws.String("me")}, "SourceIdentity is not built")
	long, err := user.assume(t, &sts.AssumeRoleInput{RoleArn: &role, DurationSeconds: aws.Int32(7200)})
	must(t, err)
	if left := time.Until(long.creds.Expires); left < 119*time.Minute {
		t.Errorf("%v left of two hours", left)
	}
	chained, err := whole.assume(t, &sts.AssumeRoleInput{RoleArn: &role, RoleSessionName: aws.String("again")})
	must(t, err)
	who, err := chained.sts.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil || *who.Arn != "arn:aws:sts::000000000000:assumed-role/r/again" || !strings.HasSuffix(*who.UserId, ":again") {
		t.Errorf("%+v %v", who, err)
	}

	_, err = whole.sts.GetSessionToken(ctx, &sts.GetSessionTokenInput{})
	denied(t, "a session asks for a session", err)
	for _, k := range []struct {
		p   *person
		arn string
	}{{user, "arn:aws:iam::000000000000:user/u"}, {root, "arn:aws:iam::000000000000:root"}} {
		out, err := k.p.sts.GetSessionToken(ctx, &sts.GetSessionTokenInput{DurationSeconds: aws.Int32(900)})
		must(t, err)
		s := newPerson(root.endpoint, "drover-1", sigv4.Credentials{AccessKey: *out.Credentials.AccessKeyId, Secret: *out.Credentials.SecretAccessKey, SessionToken: *out.Credentials.SessionToken})
		if who, err := s.sts.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{}); err != nil || *who.Arn != k.arn {
			t.Errorf("%+v %v", who, err)
		}
		if k.p == user {
			denied(t, "a user's session reads", s.get(ctx, "bucket-one", "k"))
		} else {
			ok(t, "root's session reads", s.get(ctx, "bucket-one", "k"))
		}
	}
}
