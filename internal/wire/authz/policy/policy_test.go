package policy_test

import (
	"fmt"
	"strings"
	"testing"

	"drover/internal/core/fault"
	"drover/internal/wire/authz"
	"drover/internal/wire/authz/policy"
)

// one is a document of one statement: its members beside Version.
func one(members string) string {
	return `{"Version":"2012-10-17","Statement":[{` + members + `}]}`
}

func request(action, resource string, conditions map[string][]string) *authz.Request {
	return &authz.Request{Principal: &authz.Principal{Kind: authz.User, User: "alice"}, Action: action, Resource: resource,
		Conditions: func() map[string][]string { return conditions }}
}

// TestEvaluate is the list of traps of reference/security.md 3.2.
func TestEvaluate(t *testing.T) {
	const queue, get = "arn:aws:batch:drover-1:000000000000:job-queue/high", "s3:GetObject"
	alice := map[string][]string{"aws:username": {"alice"}, "aws:SourceIp": {"10.1.2.3"}, "aws:CurrentTime": {"2026-11-22T00:00:00Z"},
		"aws:SecureTransport": {"false"}, "aws:PrincipalArn": {"arn:aws:iam::000000000000:user/alice"}, "aws:TagKeys": {"a", "b"}}
	when := func(condition string) string {
		return one(`"Effect":"Allow","Action":"s3:*","Resource":"*","Condition":` + condition)
	}
	for _, k := range []struct {
		name, doc, action, resource string
		want                        authz.Effect
	}{
		{"allowed", one(`"Effect":"Allow","Action":"s3:GetObject","Resource":"*"`), get, "arn:aws:s3:::b/k", authz.Allow},
		{"nothing allows", one(`"Effect":"Allow","Action":"s3:PutObject","Resource":"*"`), get, "arn:aws:s3:::b/k", authz.NoMatch},
		{"deny wins over an earlier allow", `{"Statement":[{"Effect":"Allow","Action":"*","Resource":"*"},{"Effect":"Deny","Action":"s3:*","Resource":"*"}]}`, get, "*", authz.Deny},
		{"deny wins over a later allow", `{"Statement":[{"Effect":"Deny","Action":"s3:*","Resource":"*"},{"Effect":"Allow","Action":"*","Resource":"*"}]}`, get, "*", authz.Deny},
		{"actions in other letters", one(`"Effect":"Allow","Action":"S3:getOBJECT","Resource":"*"`), get, "*", authz.Allow},
		{"a deny in other letters", one(`"Effect":"Deny","Action":"S3:GETOBJECT","Resource":"*"`), get, "*", authz.Deny},
		{"resources in other letters", one(`"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::B/*"`), get, "arn:aws:s3:::b/k", authz.NoMatch},
		{"* goes over slashes", one(`"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::b/*"`), get, "arn:aws:s3:::b/k/l/m", authz.Allow},
		{"* goes over colons", one(`"Effect":"Allow","Action":"logs:*","Resource":"arn:aws:logs:*:*:log-group:*"`), "logs:PutLogEvents", "arn:aws:logs:x:0:log-group:/a:log-stream:s", authz.Allow},
		{"? is one character", one(`"Effect":"Allow","Action":"s3:Get?bject","Resource":"arn:aws:s3:::b?/*"`), get, "arn:aws:s3:::b1/k", authz.Allow},
		{"? is not none", one(`"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::b?/*"`), get, "arn:aws:s3:::b/k", authz.NoMatch},
		{"a prefix is not the name", one(`"Effect":"Allow","Action":"batch:*","Resource":"arn:aws:batch:*:*:job-queue/hig"`), "batch:SubmitJob", queue, authz.NoMatch},
		{"the bucket is not its objects", one(`"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::b"`), get, "arn:aws:s3:::b/k", authz.NoMatch},
		{"another region in the pattern", one(`"Effect":"Allow","Action":"batch:*","Resource":"arn:aws:batch:us-east-1:000000000000:job-queue/high"`), "batch:SubmitJob", queue, authz.Allow},
		{"a deny for another region", one(`"Effect":"Deny","Action":"batch:*","Resource":"arn:aws:batch:us-east-1:000000000000:job-queue/high"`), "batch:SubmitJob", queue, authz.Deny},
		{"another account in the pattern", one(`"Effect":"Allow","Action":"batch:*","Resource":"arn:aws:batch:*:111111111111:job-queue/high"`), "batch:SubmitJob", queue, authz.NoMatch},

		{"NotAction leaves out", one(`"Effect":"Allow","NotAction":"iam:*","Resource":"*"`), "iam:CreateUser", "*", authz.NoMatch},
		{"NotAction takes the rest", one(`"Effect":"Allow","NotAction":"iam:*","Resource":"*"`), get, "*", authz.Allow},
		{"deny by NotAction", one(`"Effect":"Deny","NotAction":["s3:*","logs:*"],"Resource":"*"`), "batch:SubmitJob", queue, authz.Deny},
		{"NotResource leaves out", one(`"Effect":"Allow","Action":"s3:*","NotResource":"arn:aws:s3:::b/*"`), get, "arn:aws:s3:::b/k", authz.NoMatch},
		{"NotResource takes the rest", one(`"Effect":"Allow","Action":"s3:*","NotResource":"arn:aws:s3:::b/*"`), get, "arn:aws:s3:::c/k", authz.Allow},

		{"own name as variable", one(`"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::home/${aws:username}/*"`), get, "arn:aws:s3:::home/alice/x", authz.Allow},
		{"another's name", one(`"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::home/${aws:username}/*"`), get, "arn:aws:s3:::home/bob/x", authz.NoMatch},
		{"a variable in the old version is text", `{"Version":"2008-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::home/${aws:username}/*"}]}`, get, "arn:aws:s3:::home/alice/x", authz.NoMatch},

		{"StringEquals", when(`{"StringEquals":{"aws:username":"alice"}}`), get, "*", authz.Allow},
		{"StringEquals, another", when(`{"StringEquals":{"aws:username":"bob"}}`), get, "*", authz.NoMatch},
		{"StringEquals, letters", when(`{"StringEquals":{"aws:username":"Alice"}}`), get, "*", authz.NoMatch},
		{"StringEqualsIgnoreCase", when(`{"StringEqualsIgnoreCase":{"aws:username":"Alice"}}`), get, "*", authz.Allow},
		{"key in other letters", when(`{"StringEquals":{"AWS:UserName":"alice"}}`), get, "*", authz.Allow},
		{"one of many values", when(`{"StringEquals":{"aws:username":["bob","alice"]}}`), get, "*", authz.Allow},
		{"all keys must hold", when(`{"StringEquals":{"aws:username":"alice","aws:RequestedRegion":"x"}}`), get, "*", authz.NoMatch},
		{"absent key", when(`{"StringEquals":{"aws:RequestedRegion":"x"}}`), get, "*", authz.NoMatch},
		{"absent key, IfExists", when(`{"StringEqualsIfExists":{"aws:RequestedRegion":"x"}}`), get, "*", authz.Allow},
		{"absent key, negated", when(`{"StringNotEquals":{"aws:RequestedRegion":"x"}}`), get, "*", authz.Allow},
		{"Null true on absent", when(`{"Null":{"aws:RequestedRegion":"true"}}`), get, "*", authz.Allow},
		{"Null true on present", when(`{"Null":{"aws:username":"true"}}`), get, "*", authz.NoMatch},
		{"IpAddress", when(`{"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}}`), get, "*", authz.Allow},
		{"IpAddress, outside", when(`{"IpAddress":{"aws:SourceIp":"192.168.0.0/16"}}`), get, "*", authz.NoMatch},
		{"NotIpAddress", when(`{"NotIpAddress":{"aws:SourceIp":"10.0.0.0/8"}}`), get, "*", authz.NoMatch},
		{"no address", when(`{"IpAddress":{"aws:SourceIp":"ten"}}`), get, "*", authz.NoMatch},
		{"DateLessThan", when(`{"DateLessThan":{"aws:CurrentTime":"2027-01-01T00:00:00Z"}}`), get, "*", authz.Allow},
		{"DateLessThan, over", when(`{"DateLessThan":{"aws:CurrentTime":"2026-01-01T00:00:00Z"}}`), get, "*", authz.NoMatch},
		{"no date", when(`{"DateLessThan":{"aws:CurrentTime":"soon"}}`), get, "*", authz.NoMatch},
		{"Bool", when(`{"Bool":{"aws:SecureTransport":"true"}}`), get, "*", authz.NoMatch},
		{"ArnLike", when(`{"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::*:user/al*"}}`), get, "*", authz.Allow},
		{"StringLike with a variable", when(`{"StringLike":{"aws:PrincipalArn":"*/${aws:username}"}}`), get, "*", authz.Allow},
		{"ForAllValues", when(`{"ForAllValues:StringEquals":{"aws:TagKeys":["a","b","c"]}}`), get, "*", authz.Allow},
		{"ForAllValues, one too many", when(`{"ForAllValues:StringEquals":{"aws:TagKeys":["a"]}}`), get, "*", authz.NoMatch},
		{"ForAllValues of nothing holds", when(`{"ForAllValues:StringEquals":{"aws:RequestedRegion":["x"]}}`), get, "*", authz.Allow},
		{"ForAnyValue", when(`{"ForAnyValue:StringEquals":{"aws:TagKeys":["b","z"]}}`), get, "*", authz.Allow},
		{"ForAnyValue of nothing does not", when(`{"ForAnyValue:StringEquals":{"aws:RequestedRegion":["x"]}}`), get, "*", authz.NoMatch},

		{"allow on a key that is not supplied", when(`{"StringNotEquals":{"aws:ResourceTag/env":"prod"}}`), get, "*", authz.NoMatch},
		{"allow if such a key exists", when(`{"StringEqualsIfExists":{"batch:User":"root"}}`), get, "*", authz.NoMatch},
		{"deny on a key that is not supplied", one(`"Effect":"Deny","Action":"s3:*","Resource":"*","Condition":{"StringEquals":{"aws:ResourceTag/env":"prod"}}`), get, "*", authz.Deny},
		{"such a deny of another resource", one(`"Effect":"Deny","Action":"s3:*","Resource":"arn:aws:s3:::b/*","Condition":{"StringEquals":{"aws:ResourceTag/env":"prod"}}`), get, "arn:aws:s3:::c/k", authz.NoMatch},
		{"such a deny of another action", one(`"Effect":"Deny","Action":"iam:*","Resource":"*","Condition":{"StringEquals":{"aws:ResourceTag/env":"prod"}}`), get, "*", authz.NoMatch},
	} {
		d, err := policy.Parse(k.doc)
		if err != nil {
			t.Errorf("%s: %v", k.name, err)
			continue
		}
		got, _ := d.Evaluate(request(k.action, k.resource, alice))
		if got.Effect != k.want {
			t.Errorf("%s: %v %+v, want %v", k.name, got.Effect, got, k.want)
		}
	}
}

// TestParseRefuses is what must not be stored, because it could not be judged whole.
func TestParseRefuses(t *testing.T) {
	good := `"Effect":"Allow","Action":"s3:*","Resource":"*"`
	for _, doc := range []string{
		``, `null`, `"*"`, `[]`, `{}`, `{"Version":"2012-10-17"}`, `{"Statement":[]}`, `{"Statement":[{` + good + `}]} {}`, `{"Statement":[{` + good + `}]`,
		`{"Version":"2024-01-01","Statement":[{` + good + `}]}`,
		`{"statement":[{` + good + `}]}`,
		`{"Statement":[{` + good + `}],"Extra":1}`,
		`{"Statement":[{` + good + `}],"Statement":[{` + good + `}]}`,
		one(`"effect":"Allow","Action":"s3:*","Resource":"*"`),
		one(`"Effect":"Deny","effect":"Allow","Action":"s3:*","Resource":"*"`),
		one(`"Effect":"Deny","Effect":"Allow","Action":"s3:*","Resource":"*"`),
		one(`"Effect":"allow","Action":"s3:*","Resource":"*"`),
		one(`"Effect":"Maybe","Action":"s3:*","Resource":"*"`),
		one(`"Action":"s3:*","Resource":"*"`),
		one(`"Effect":"Allow","Resource":"*"`), one(`"Effect":"Allow","Action":"s3:*"`), one(`"Effect":"Allow","Action":[],"Resource":"*"`),
		one(`"Effect":"Allow","Action":"s3:*","NotAction":"s3:*","Resource":"*"`),
		one(`"Effect":"Allow","Action":"s3:*","Resource":"*","NotResource":"*"`),
		one(`"Effect":"Allow","Action":"GetObject","Resource":"*"`), one(`"Effect":"Allow","Action":7,"Resource":"*"`),
		one(`"Effect":"Allow","Action":"s3:*","Resource":"bucket"`), one(`"Effect":"Allow","Action":"s3:*","Resource":"arn:aws-cn:s3:::b"`),
		one(good + `,"Principal":"*"`), one(good + `,"NotPrincipal":{"AWS":"*"}`), one(good + `,"Conditions":{}`),
		one(good + `,"Condition":{"StringIs":{"aws:username":"x"}}`), one(good + `,"Condition":{"StringEqualsIfThere":{"aws:username":"x"}}`),
		one(good + `,"Condition":{"ForSomeValues:StringEquals":{"aws:username":"x"}}`), one(good + `,"Condition":["x"]`),
		one(good + `,"Condition":{"StringEquals":{"aws:username":{"a":"b"}}}`), one(good + `,"Condition":{"StringEquals":{"aws:username":null}}`),
		one(good + `,"Condition":{"StringEquals":{"aws:username":"a","aws:username":"b"}}`),
		one(`"Effect":"Deny","Action":"s3:*","Resource":"arn:aws:s3:::${aws:PrincipalTag/team}/*"`),
		one(`"Effect":"Deny","Action":"s3:*","Resource":"arn:aws:s3:::${aws:username"`),
		one(good + `,"Condition":{"StringEquals":{"aws:username":"${s3:prefix}"}}`),
		`{"Statement":[{"Sid":"A",` + good + `},{"Sid":"A",` + good + `}]}`,
		`{"Statement":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}`,
		one(good+`,"Sid":"`) + strings.Repeat(" ", policy.MaxText),
	} {
		if _, err := policy.Parse(doc); err == nil || fault.From(err).Code != "MalformedPolicyDocument" {
			t.Errorf("%.200s: %v", doc, err)
		}
	}
}

// TestDecisionNamesItsStatement and whether it may be kept.
func TestDecisionNamesItsStatement(t *testing.T) {
	doc := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"},{"Sid":"Office","Effect":"Deny","Action":"s3:Put*","Resource":"*","Condition":{"NotIpAddress":{"aws:SourceIp":"10.0.0.0/8"}}}]}`
	d, err := policy.Parse(doc)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range []struct {
		action, ip, because string
		steady              bool
	}{
		{"s3:GetObject", "1.2.3.4", "statement 1 of P allows it", true},
		{"s3:PutObject", "10.2.3.4", "statement 1 of P allows it", false},
		{"s3:PutObject", "1.2.3.4", "Office of P denies it", false},
		{"sqs:SendMessage", "1.2.3.4", "no statement allows it", true},
	} {
		got, steady := d.Evaluate(request(k.action, "*", map[string][]string{"aws:SourceIp": {k.ip}}))
		got.Policy = "P"
		if got.Because() != k.because || steady != k.steady {
			t.Errorf("%s from %s: %q steady %t, want %q %t", k.action, k.ip, got.Because(), steady, k.because, k.steady)
		}
	}
}

func TestTrust(t *testing.T) {
	statement := func(effect, principal, more string) string {
		return fmt.Sprintf(`{"Effect":%q,"Principal":%s,"Action":"sts:AssumeRole"%s}`, effect, principal, more)
	}
	doc := func(statements ...string) string {
		return `{"Version":"2012-10-17","Statement":[` + strings.Join(statements, ",") + `]}`
	}
	const alice, self = "arn:aws:iam::000000000000:user/alice", "000000000000"
	user := policy.Caller{Account: self, ARNs: []string{alice}}
	tasks := policy.Caller{Service: "ecs-tasks.amazonaws.com"}
	for _, k := range []struct {
		name, doc string
		who       policy.Caller
		want      policy.Standing
	}{
		{"by name", doc(statement("Allow", `{"AWS":"`+alice+`"}`, "")), user, policy.ByName},
		{"another by name", doc(statement("Allow", `{"AWS":"`+alice+`2"}`, "")), user, policy.Untrusted},
		{"by account", doc(statement("Allow", `{"AWS":"000000000000"}`, "")), user, policy.ByAccount},
		{"by account's root", doc(statement("Allow", `{"AWS":["arn:aws:iam::000000000000:root"]}`, "")), user, policy.ByAccount},
		{"another account", doc(statement("Allow", `{"AWS":"111111111111"}`, "")), user, policy.Untrusted},
		{"everybody", doc(statement("Allow", `"*"`, "")), user, policy.ByName},
		{"service", doc(statement("Allow", `{"Service":["ec2.amazonaws.com","ecs-tasks.amazonaws.com"]}`, "")), tasks, policy.ByName},
		{"a user is no service", doc(statement("Allow", `{"Service":"ecs-tasks.amazonaws.com"}`, "")), user, policy.Untrusted},
		{"everybody is no service", doc(statement("Allow", `{"AWS":"*"}`, "")), tasks, policy.Untrusted},
		{"deny wins", doc(statement("Allow", `"*"`, ""), statement("Deny", `{"AWS":"`+alice+`"}`, "")), user, policy.Distrusted},
		{"external id", doc(statement("Allow", `"*"`, `,"Condition":{"StringEquals":{"sts:ExternalId":"right"}}`)), user, policy.ByName},
		{"wrong external id", doc(statement("Allow", `"*"`, `,"Condition":{"StringEquals":{"sts:ExternalId":"other"}}`)), user, policy.Untrusted},
		{"federated", doc(statement("Allow", `{"Federated":"accounts.google.com"}`, "")), user, policy.Untrusted},
	} {
		tr, err := policy.ParseTrust(k.doc)
		if err != nil {
			t.Errorf("%s: %v", k.name, err)
			continue
		}
		got := tr.Evaluate(k.who, request("sts:AssumeRole", "*", map[string][]string{"sts:ExternalId": {"right"}}))
		if got != k.want {
			t.Errorf("%s: %d, want %d", k.name, got, k.want)
		}
	}
}

// FuzzParse: what is accepted is judged without a panic, and never allows what it has no
// Allow for.
func FuzzParse(f *testing.F) {
	f.Add(one(`"Effect":"Allow","Action":"s3:*","Resource":"*"`))
	f.Add(one(`"Effect":"Deny","NotAction":"s3:*","NotResource":"arn:aws:s3:::${aws:username}/*","Condition":{"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}}`))
	f.Add(`{"Statement":{"Effect":"Allow","Action":["a:b"],"Resource":["*"]}}`)
	f.Fuzz(func(t *testing.T, doc string) {
		d, err := policy.Parse(doc)
		if err != nil {
			return
		}
		got, _ := d.Evaluate(request("s3:GetObject", "arn:aws:s3:::b/k", map[string][]string{"aws:username": {"alice"}}))
		if got.Effect == authz.Allow && !strings.Contains(doc, "Allow") && !strings.Contains(doc, `\u`) {
			t.Errorf("%s allows", doc)
		}
	})
}

func BenchmarkEvaluate(b *testing.B) {
	d, err := policy.Parse(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["batch:*","logs:*"],"Resource":"*"},{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::${aws:username}/*"},{"Effect":"Deny","Action":"s3:Put*","Resource":"*","Condition":{"NotIpAddress":{"aws:SourceIp":"10.0.0.0/8"}}}]}`)
	if err != nil {
		b.Fatal(err)
	}
	r := request("s3:PutObject", "arn:aws:s3:::alice/k", map[string][]string{"aws:username": {"alice"}, "aws:SourceIp": {"10.0.0.1"}})
	for b.Loop() {
		if got, _ := d.Evaluate(r); got.Effect != authz.Allow {
			b.Fatal(got)
		}
	}
}
