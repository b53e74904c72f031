package server_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	batchtypes "github.com/aws/aws-sdk-go-v2/service/batch/types"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	logstypes "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"

	"drover/internal/core/job"
	"drover/internal/core/resource"
	"drover/internal/link"
	"drover/internal/service/native"
	"drover/internal/wire"
	"drover/internal/wire/keys"
	"drover/internal/wire/sigv4"
)

// person is somebody's credentials with all clients.
type person struct {
	endpoint string
	creds    sigv4.Credentials
	region   string
	iam      *iam.Client
	sts      *sts.Client
	batch    *batch.Client
	logs     *cloudwatchlogs.Client
	s3       *s3.Client
}

func newPerson(endpoint, region string, c sigv4.Credentials) *person {
	cfg := aws.Config{Region: region, BaseEndpoint: &endpoint, RetryMaxAttempts: 1,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: c.AccessKey, SecretAccessKey: c.Secret, SessionToken: c.SessionToken}, nil
		})}
	return &person{endpoint: endpoint, creds: c, region: region, iam: iam.NewFromConfig(cfg), sts: sts.NewFromConfig(cfg), batch: batch.NewFromConfig(cfg),
		logs: cloudwatchlogs.NewFromConfig(cfg), s3: s3.NewFromConfig(cfg, func(o *s3.Options) { o.UsePathStyle = true })}
}

// account is a running server with its root.
func account(t *testing.T) (root *person, data string) {
	t.Helper()
	opt := options(t)
	endpoint, stop := run(t, opt)
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
	c, err := keys.LoadOrCreate(filepath.Join(opt.Data, "credentials"))
	if err != nil {
		t.Fatal(err)
	}
	return newPerson(endpoint, "drover-1", c), opt.Data
}

// user makes a user with one inline policy.
func (p *person) user(t *testing.T, name, document string) *person {
	t.Helper()
	ctx := t.Context()
	_, err := p.iam.CreateUser(ctx, &iam.CreateUserInput{UserName: &name})
	must(t, err)
	if document != "" {
		_, err = p.iam.PutUserPolicy(ctx, &iam.PutUserPolicyInput{UserName: &name, PolicyName: aws.String("inline"), PolicyDocument: &document})
		must(t, err)
	}
	k, err := p.iam.CreateAccessKey(ctx, &iam.CreateAccessKeyInput{UserName: &name})
	must(t, err)
	return newPerson(p.endpoint, p.region, sigv4.Credentials{AccessKey: *k.AccessKey.AccessKeyId, Secret: *k.AccessKey.SecretAccessKey})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// denied checks that a call was refused for lack of permission.
func denied(t *testing.T, what string, err error) {
	t.Helper()
	e, ok := errors.AsType[smithy.APIError](err)
	if !ok || !strings.HasPrefix(e.ErrorCode(), "AccessDenied") && e.ErrorCode() != "Forbidden" {
		t.Errorf("%s: %v; want it denied", what, err)
	}
}

func ok(t *testing.T, what string, err error) {
	t.Helper()
	if err != nil {
		t.Errorf("%s: %v", what, err)
	}
}

func requestID(err error) string {
	if r, ok := errors.AsType[interface {
		error
		ServiceRequestID() string
	}](err); ok {
		return r.ServiceRequestID()
	}
	return ""
}

func (p *person) register(ctx context.Context, name, role string) error {
	c := &batchtypes.ContainerProperties{Image: aws.String("host"), Command: []string{"true"}, ResourceRequirements: []batchtypes.ResourceRequirement{
		{Type: "VCPU", Value: aws.String("1")}, {Type: "MEMORY", Value: aws.String("64")}}}
	if role != "" {
		c.JobRoleArn = &role
	}
	_, err := p.batch.RegisterJobDefinition(ctx, &batch.RegisterJobDefinitionInput{JobDefinitionName: &name, Type: "container", ContainerProperties: c})
	return err
}

func (p *person) submit(ctx context.Context, queue, definition string) (string, error) {
	out, err := p.batch.SubmitJob(ctx, &batch.SubmitJobInput{JobName: aws.String("j"), JobQueue: &queue, JobDefinition: &definition})
	if err != nil {
		return "", err
	}
	return *out.JobId, nil
}

func (p *person) put(ctx context.Context, bucket, key string) error {
	_, err := p.s3.PutObject(ctx, &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: strings.NewReader("content of " + key)})
	return err
}

func (p *person) get(ctx context.Context, bucket, key string) error {
	out, err := p.s3.GetObject(ctx, &s3.GetObjectInput{Bucket: &bucket, Key: &key})
	if err != nil {
		return err
	}
	defer out.Body.Close()
	_, err = io.Copy(io.Discard, out.Body)
	return err
}

// TestTwoUsersDoOnlyWhatTheyMay goes over real HTTP to batch, logs and s3.
func TestTwoUsersDoOnlyWhatTheyMay(t *testing.T) {
	root, _ := account(t)
	ctx := t.Context()
	must(t, root.register(ctx, "job", ""))
	must(t, root.register(ctx, "other", ""))
	for _, b := range []string{"alpha", "beta"} {
		_, err := root.s3.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: &b})
		must(t, err)
		must(t, root.put(ctx, b, "public/x"))
		must(t, root.put(ctx, b, "secret/x"))
	}
	for _, g := range []string{"/a", "/b"} {
		_, err := root.logs.CreateLogGroup(ctx, &cloudwatchlogs.CreateLogGroupInput{LogGroupName: &g})
		must(t, err)
		_, err = root.logs.CreateLogStream(ctx, &cloudwatchlogs.CreateLogStreamInput{LogGroupName: &g, LogStreamName: aws.String("s")})
		must(t, err)
	}
	alice := root.user(t, "alice", `{"Version":"2012-10-17","Statement":[
		{"Sid":"Submit","Effect":"Allow","Action":"batch:SubmitJob","Resource":["arn:aws:batch:*:*:job-queue/default","arn:aws:batch:us-east-1:000000000000:job-definition/job:*"]},
		{"Effect":"Allow","Action":["batch:Describe*","batch:List*"],"Resource":"*"},
		{"Effect":"Allow","Action":["s3:GetObject","s3:PutObject","s3:DeleteObject"],"Resource":"arn:aws:s3:::alpha/*"},
		{"Sid":"NoSecrets","Effect":"Deny","Action":"s3:*","Resource":"arn:aws:s3:::alpha/secret/*"},
		{"Effect":"Allow","Action":"s3:ListBucket","Resource":"arn:aws:s3:::alpha","Condition":{"StringLike":{"s3:prefix":"public/*"}}},
		{"Effect":"Allow","Action":["logs:PutLogEvents","logs:GetLogEvents","logs:FilterLogEvents"],"Resource":"arn:aws:logs:*:*:log-group:/a:*"}]}`)
	bob := root.user(t, "bob", "")

	t.Run("batch", func(t *testing.T) { batchFor(t, root, alice, bob) })
	t.Run("logs", func(t *testing.T) { logsFor(t, root, alice, bob) })
	t.Run("s3", func(t *testing.T) { s3For(t, root, alice, bob) })
	t.Run("who", func(t *testing.T) { whoFor(t, root, alice, bob) })
	t.Run("why", func(t *testing.T) { whyFor(t, root, alice, bob) })
	t.Run("taken away", func(t *testing.T) { takenAway(t, root, alice, bob) })
}

// batchFor goes to batch.
func batchFor(t *testing.T, root, alice, bob *person) {
	ctx := t.Context()
	id, err := alice.submit(ctx, "default", "job")
	ok(t, "alice submits", err)
	_, err = alice.submit(ctx, "default", "job:1")
	ok(t, "alice submits a revision", err)
	_, err = alice.submit(ctx, "arn:aws:batch:eu-west-1:000000000000:job-queue/default", "job")
	ok(t, "alice submits by ARN of another region", err)
	_, err = alice.submit(ctx, "default", "other")
	denied(t, "alice submits another definition", err)
	_, err = alice.batch.TerminateJob(ctx, &batch.TerminateJobInput{JobId: &id, Reason: aws.String("x")})
	denied(t, "alice terminates", err)
	denied(t, "alice registers", alice.register(ctx, "job", ""))
	_, err = alice.batch.DescribeJobs(ctx, &batch.DescribeJobsInput{Jobs: []string{id}})
	ok(t, "alice describes", err)
	_, err = bob.batch.DescribeJobs(ctx, &batch.DescribeJobsInput{Jobs: []string{id}})
	denied(t, "bob describes", err)
	_, err = bob.batch.ListJobs(ctx, &batch.ListJobsInput{JobQueue: aws.String("default")})
	denied(t, "bob lists", err)
	_, err = bob.submit(ctx, "default", "job")
	denied(t, "bob submits", err)
}

// logsFor goes to logs.
func logsFor(t *testing.T, root, alice, bob *person) {
	ctx := t.Context()
	put := func(p *person, group string) error {
		_, err := p.logs.PutLogEvents(ctx, &cloudwatchlogs.PutLogEventsInput{LogGroupName: &group, LogStreamName: aws.String("s"),
			LogEvents: []logstypes.InputLogEvent{{Message: aws.String("m"), Timestamp: aws.Int64(time.Now().UnixMilli())}}})
		return err
	}
	filter := func(p *person, name, identifier *string) error {
		_, err := p.logs.FilterLogEvents(ctx, &cloudwatchlogs.FilterLogEventsInput{LogGroupName: name, LogGroupIdentifier: identifier})
		return err
	}
	ok(t, "alice writes", put(alice, "/a"))
	denied(t, "alice writes elsewhere", put(alice, "/b"))
	ok(t, "alice reads", filter(alice, aws.String("/a"), nil))
	ok(t, "alice reads by ARN", filter(alice, nil, aws.String("arn:aws:logs:drover-1:000000000000:log-group:/a:*")))
	denied(t, "alice reads elsewhere", filter(alice, aws.String("/b"), nil))
	denied(t, "alice reads elsewhere by ARN", filter(alice, nil, aws.String("arn:aws:logs:drover-1:000000000000:log-group:/b")))
	denied(t, "bob reads", filter(bob, aws.String("/a"), nil))
}

// s3For goes to s3, and tries what parsers of paths and queries fall for.
func s3For(t *testing.T, root, alice, bob *person) {
	ctx := t.Context()
	ok(t, "alice reads", alice.get(ctx, "alpha", "public/x"))
	denied(t, "alice reads a secret", alice.get(ctx, "alpha", "secret/x"))
	denied(t, "alice reads elsewhere", alice.get(ctx, "beta", "public/x"))
	ok(t, "alice writes", alice.put(ctx, "alpha", "public/y"))
	denied(t, "alice overwrites a secret", alice.put(ctx, "alpha", "secret/x"))
	list := func(p *person, bucket, prefix string) error {
		_, err := p.s3.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: &bucket, Prefix: &prefix})
		return err
	}
	ok(t, "alice lists under public/", list(alice, "alpha", "public/"))
	denied(t, "alice lists all", list(alice, "alpha", ""))
	denied(t, "bob lists", list(bob, "alpha", "public/"))
	_, err := alice.s3.ListBuckets(ctx, &s3.ListBucketsInput{})
	denied(t, "alice lists the buckets", err)
	_, err = alice.s3.CopyObject(ctx, &s3.CopyObjectInput{Bucket: aws.String("alpha"), Key: aws.String("public/copy"), CopySource: aws.String("alpha/secret/x")})
	denied(t, "alice copies a secret", err)
	_, err = alice.s3.CopyObject(ctx, &s3.CopyObjectInput{Bucket: aws.String("alpha"), Key: aws.String("public/copy"), CopySource: aws.String("beta/public/x")})
	denied(t, "alice copies from elsewhere", err)
	_, err = alice.s3.CopyObject(ctx, &s3.CopyObjectInput{Bucket: aws.String("alpha"), Key: aws.String("public/copy"), CopySource: aws.String("alpha/public/x")})
	ok(t, "alice copies", err)
	del := &s3.DeleteObjectsInput{Bucket: aws.String("alpha"), Delete: &s3types.Delete{}}
	for _, k := range []string{"public/y", "secret/x", "public/copy"} {
		del.Delete.Objects = append(del.Delete.Objects, s3types.ObjectIdentifier{Key: &k})
	}
	gone, err := alice.s3.DeleteObjects(ctx, del)
	if err != nil || len(gone.Deleted) != 2 || len(gone.Errors) != 1 || *gone.Errors[0].Key != "secret/x" || *gone.Errors[0].Code != "AccessDenied" {
		t.Errorf("alice deletes a secret with others: %+v %v", gone, err)
	}
	ok(t, "the secret is there", root.get(ctx, "alpha", "secret/x"))
	if status, body := raw(t, alice, "/alpha/public%2Fx"); status != 200 || body != "content of public/x" {
		t.Errorf("GET of what alice may: %d %s", status, body)
	}
	for _, path := range []string{"/alpha/public/../secret/x", "/alpha/public/%2e%2e/secret/x", "/alpha//secret/x", "/alpha/./secret/x", "/alpha/%73ecret/x", "//alpha/secret/x",
		"/alpha/secret%2Fx", "/beta/public/x?prefix=public/"} {
		if status, body := raw(t, alice, path); status == 200 || strings.Contains(body, "content of secret") || strings.Contains(body, "<Key>secret") {
			t.Errorf("GET %s: %d %s", path, status, body)
		}
	}
	for _, path := range []string{"/alpha?prefix=public/&prefix=", "/alpha?list-type=2&prefix=public/&prefix=secret/", "/alpha?prefix=secret/&prefix=public/"} {
		if _, body := raw(t, alice, path); strings.Contains(body, "<Key>secret") {
			t.Errorf("GET %s: %s", path, body)
		}
	}
}

// whoFor asks who is who.
func whoFor(t *testing.T, root, alice, bob *person) {
	ctx := t.Context()
	for _, k := range []struct {
		p         *person
		arn, name string
	}{{root, "arn:aws:iam::000000000000:root", ""}, {alice, "arn:aws:iam::000000000000:user/alice", "alice"}, {bob, "arn:aws:iam::000000000000:user/bob", "bob"}} {
		out, err := k.p.sts.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
		ok(t, k.arn, err)
		if err == nil && (*out.Arn != k.arn || *out.Account != "000000000000" || k.name != "" && !strings.HasPrefix(*out.UserId, "AIDA")) {
			t.Errorf("%s is %s %s", k.arn, *out.Arn, *out.UserId)
		}
	}
	_, err := alice.iam.CreateUser(ctx, &iam.CreateUserInput{UserName: aws.String("eve")})
	denied(t, "alice makes a user", err)
}

// whyFor asks why calls were refused.
func whyFor(t *testing.T, root, alice, bob *person) {
	ctx := t.Context()
	explain := func(err error) *native.WhyDeniedOutput {
		t.Helper()
		c := &wire.Client{Endpoint: root.endpoint, Region: "drover-1", Credentials: root.creds}
		out, e := native.Call[native.WhyDeniedOutput](ctx, c, "WhyDenied", &native.WhyDeniedInput{RequestId: aws.String(requestID(err))})
		if e != nil {
			t.Fatalf("%q: %v", requestID(err), e)
		}
		return out
	}
	_, err := alice.submit(ctx, "default", "other")
	if d := explain(err).Denials[0]; d.Principal != "arn:aws:iam::000000000000:user/alice" || d.Action != "batch:SubmitJob" ||
		d.Resource != "arn:aws:batch:drover-1:000000000000:job-definition/other:1" || d.Reason != "no statement allows it" {
		t.Errorf("%+v", d)
	}
	if d := explain(alice.get(ctx, "alpha", "secret/x")).Denials[0]; d.Statement != "NoSecrets" || d.Policy != "the inline policy inline" ||
		d.Reason != "NoSecrets of the inline policy inline denies it" || d.Resource != "arn:aws:s3:::alpha/secret/x" {
		t.Errorf("%+v", d)
	}
	c := &wire.Client{Endpoint: root.endpoint, Region: "drover-1", Credentials: alice.creds}
	if _, e := native.Call[native.WhyDeniedOutput](ctx, c, "WhyDenied", &native.WhyDeniedInput{RequestId: aws.String(requestID(err))}); e == nil {
		t.Error("alice may ask why")
	}
}

// takenAway takes the policy away, which counts at once.
func takenAway(t *testing.T, root, alice, bob *person) {
	ctx := t.Context()
	_, err := root.iam.DeleteUserPolicy(ctx, &iam.DeleteUserPolicyInput{UserName: aws.String("alice"), PolicyName: aws.String("inline")})
	must(t, err)
	denied(t, "alice reads", alice.get(ctx, "alpha", "public/x"))
	_, err = alice.submit(ctx, "default", "job")
	denied(t, "alice submits", err)
}

// raw sends a signed GET with the path as it is.
func raw(t *testing.T, p *person, path string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.endpoint+"/", nil)
	must(t, err)
	escaped, query, _ := strings.Cut(path, "?")
	decoded, err := url.PathUnescape(escaped)
	must(t, err)
	r.URL.Path, r.URL.RawPath, r.URL.RawQuery = decoded, escaped, query
	sigv4.Sign(r, sigv4.EmptyHash, p.creds, "s3", "drover-1", time.Now())
	resp, err := http.DefaultTransport.RoundTrip(r)
	must(t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	must(t, err)
	return resp.StatusCode, string(b)
}

const trustTasks = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"ecs-tasks.amazonaws.com"},"Action":"sts:AssumeRole"}]}`

// TestJobsRunWithTheirRole acts as a worker and uses what it is given.
func TestJobsRunWithTheirRole(t *testing.T) {
	root, data := account(t)
	ctx := t.Context()
	reader := root.role(t, "reader", trustTasks, `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::inputs/*"}]}`)
	admin := root.role(t, "admin", trustTasks, `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`)
	foreign := root.role(t, "foreign", strings.Replace(trustTasks, "ecs-tasks", "lambda", 1), `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`)
	_, err := root.s3.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: aws.String("inputs")})
	must(t, err)
	must(t, root.put(ctx, "inputs", "x"))

	// Who may register and submit, but not pass the role on, may not use it.
	carol := root.user(t, "carol", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"batch:*","Resource":"*"},
		{"Effect":"Allow","Action":"iam:PassRole","Resource":"arn:aws:iam::000000000000:role/reader","Condition":{"StringEquals":{"iam:PassedToService":"ecs-tasks.amazonaws.com"}}}]}`)
	ok(t, "carol passes reader", carol.register(ctx, "read", reader))
	denied(t, "carol passes admin", carol.register(ctx, "adm", admin))
	must(t, root.register(ctx, "adm", admin))
	_, err = carol.submit(ctx, "default", "adm")
	denied(t, "carol submits with admin", err)
	for arn, says := range map[string]string{
		"arn:aws:iam::000000000000:role/none": "The role arn:aws:iam::000000000000:role/none does not exist.",
		"arn:aws:iam::111111111111:role/far":  "does not exist",
		foreign:                               "does not let ecs-tasks.amazonaws.com assume it",
	} {
		err := root.register(ctx, "x", arn)
		if e, isAPI := errors.AsType[smithy.APIError](err); !isAPI || e.ErrorCode() != "ClientException" || !strings.Contains(e.ErrorMessage(), says) {
			t.Errorf("%s: %v", arn, err)
		}
	}

	w := newWorker(t, root.endpoint, data)
	id, err := carol.submit(ctx, "default", "read")
	must(t, err)
	start := w.start(t)
	inside := newPerson(root.endpoint, "drover-1", sigv4.Credentials{AccessKey: start.Credentials.AccessKeyID, Secret: start.Credentials.SecretAccessKey, SessionToken: start.Credentials.SessionToken})
	who, err := inside.sts.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	must(t, err)
	if want := "arn:aws:sts::000000000000:assumed-role/reader/" + id; *who.Arn != want || !strings.HasPrefix(*who.UserId, "AROA") {
		t.Errorf("the job is %s (%s), want %s", *who.Arn, *who.UserId, want)
	}
	ok(t, "the job reads", inside.get(ctx, "inputs", "x"))
	denied(t, "the job writes", inside.put(ctx, "inputs", "x"))
	_, err = inside.submit(ctx, "default", "read")
	denied(t, "the job submits", err)
	_, err = inside.iam.ListUsers(ctx, &iam.ListUsersInput{})
	denied(t, "the job lists users", err)

	renewed := w.renew(t, start)
	again := newPerson(root.endpoint, "drover-1", renewed)
	if who, err := again.sts.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{}); err != nil || *who.Arn != "arn:aws:sts::000000000000:assumed-role/reader/"+id {
		t.Errorf("renewed credentials: %+v %v", who, err)
	}

	// A role that is made again under the same name is another: the session stays dead.
	_, err = root.iam.DeleteRolePolicy(ctx, &iam.DeleteRolePolicyInput{RoleName: aws.String("reader"), PolicyName: aws.String("p")})
	must(t, err)
	denied(t, "the job reads without the policy", inside.get(ctx, "inputs", "x"))
	_, err = root.iam.DeleteRole(ctx, &iam.DeleteRoleInput{RoleName: aws.String("reader")})
	must(t, err)
	root.role(t, "reader", trustTasks, `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`)
	denied(t, "the job reads with the role of the same name", inside.get(ctx, "inputs", "x"))

	_, err = root.batch.TerminateJob(ctx, &batch.TerminateJobInput{JobId: &id, Reason: aws.String("over")})
	must(t, err)
	w.end(t, start)
	_, err = inside.sts.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if e, isAPI := errors.AsType[smithy.APIError](err); !isAPI || e.ErrorCode() != "ExpiredToken" {
		t.Errorf("after its end the job is still somebody: %v", err)
	}

	// Without a role the session is the account's, and cannot get at more.
	must(t, root.register(ctx, "plain", ""))
	_, err = root.submit(ctx, "default", "plain")
	must(t, err)
	start = w.start(t)
	plain := newPerson(root.endpoint, "drover-1", sigv4.Credentials{AccessKey: start.Credentials.AccessKeyID, Secret: start.Credentials.SecretAccessKey, SessionToken: start.Credentials.SessionToken})
	ok(t, "a plain job reads", plain.get(ctx, "inputs", "x"))
	_, err = plain.iam.ListUsers(ctx, &iam.ListUsersInput{})
	denied(t, "a plain job lists users", err)
	denied(t, "a plain job passes admin", plain.register(ctx, "esc", admin))
	_, err = plain.submit(ctx, "default", "adm")
	denied(t, "a plain job submits with admin", err)
	_, err = root.submit(ctx, "default", "adm")
	must(t, err)
	must(t, err2(root.iam.UpdateAssumeRolePolicy(ctx, &iam.UpdateAssumeRolePolicyInput{RoleName: aws.String("admin"),
		PolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"000000000000"},"Action":"sts:AssumeRole"}]}`)})))
	_, err = plain.sts.AssumeRole(ctx, &sts.AssumeRoleInput{RoleArn: &admin, RoleSessionName: aws.String("esc")})
	denied(t, "a plain job assumes admin", err)
	start = w.start(t) // of admin, which trusts jobs no more
	late := newPerson(root.endpoint, "drover-1", sigv4.Credentials{AccessKey: start.Credentials.AccessKeyID, Secret: start.Credentials.SecretAccessKey, SessionToken: start.Credentials.SessionToken})
	denied(t, "a job whose role trusts jobs no more", late.get(ctx, "inputs", "x"))
	_, err = root.submit(ctx, "default", "adm")
	if e, isAPI := errors.AsType[smithy.APIError](err); !isAPI || e.ErrorCode() != "ClientException" || !strings.Contains(e.ErrorMessage(), "does not let ecs-tasks.amazonaws.com assume it") {
		t.Errorf("submitted with a role that trusts jobs no more: %v", err)
	}
}

func err2[T any](_ T, err error) error { return err }

// fakeWorker speaks the worker protocol and runs nothing.
type fakeWorker struct {
	*link.Client
	host, session string
	seen          int64
}

func newWorker(t *testing.T, endpoint, data string) *fakeWorker {
	t.Helper()
	token, err := os.ReadFile(filepath.Join(data, "worker.token"))
	must(t, err)
	w := &fakeWorker{Client: link.NewClient(endpoint, strings.TrimSpace(string(token)), nil), host: "i-0123456789abcdef0"}
	t.Cleanup(w.Close)
	welcome, err := w.Hello(t.Context(), link.Hello{Host: w.host, Boot: "1", Capacity: resource.Vector{MilliVCPU: 4000, MemoryMiB: 4096}, Executors: []string{"process"}})
	must(t, err)
	w.session = welcome.Session
	return w
}

// start waits for an attempt and says that it runs.
func (w *fakeWorker) start(t *testing.T) link.Message {
	t.Helper()
	for {
		in, err := w.Poll(t.Context(), link.Poll{Host: w.host, Session: w.session, Ack: w.seen})
		must(t, err)
		for _, m := range in.Messages {
			w.seen = m.Seq
			if m.Start != nil {
				return m
			}
		}
	}
}

// renew asks for fresh credentials of an attempt.
func (w *fakeWorker) renew(t *testing.T, m link.Message) sigv4.Credentials {
	t.Helper()
	out, err := w.Credentials(t.Context(), link.CredentialsRequest{Host: w.host, Session: w.session, Leases: []job.Lease{m.Start.Lease}})
	must(t, err)
	c := out.Credentials[0]
	return sigv4.Credentials{AccessKey: c.AccessKeyID, Secret: c.SecretAccessKey, SessionToken: c.SessionToken}
}

// end reports that the attempt is over.
func (w *fakeWorker) end(t *testing.T, m link.Message) {
	t.Helper()
	code := int32(0)
	out, err := w.Report(t.Context(), link.Reports{Host: w.host, Session: w.session, Reports: []job.Report{{Lease: m.Start.Lease, Exit: &job.Exit{Code: &code}, At: time.Now().UnixMicro()}}})
	must(t, err)
	if len(out.Refused) > 0 {
		t.Errorf("%+v", out.Refused)
	}
}

// TestOnlyRootStartsWorkByPlacingFiles: the jobs run as root asks, so setting the tag would
// be a way around iam:PassRole.
func TestOnlyRootStartsWorkByPlacingFiles(t *testing.T) {
	root, _ := account(t)
	ctx := t.Context()
	admin := root.user(t, "admin", everything)
	_, err := root.s3.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: aws.String("inbox")})
	must(t, err)
	tag := func(p *person) error {
		_, err := p.s3.PutBucketTagging(ctx, &s3.PutBucketTaggingInput{Bucket: aws.String("inbox"), Tagging: &s3types.Tagging{
			TagSet: []s3types.Tag{{Key: aws.String("drover:on-put"), Value: aws.String("default job")}}}})
		return err
	}
	denied(t, "another than root", tag(admin))
	ok(t, "root", tag(root))
	_, err = admin.s3.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: aws.String("inbox-two"), CreateBucketConfiguration: &s3types.CreateBucketConfiguration{
		Tags: []s3types.Tag{{Key: aws.String("drover:on-put"), Value: aws.String("default job")}}}})
	denied(t, "another than root, with a new bucket", err)
	_, err = admin.s3.PutBucketTagging(ctx, &s3.PutBucketTaggingInput{Bucket: aws.String("inbox"), Tagging: &s3types.Tagging{
		TagSet: []s3types.Tag{{Key: aws.String("a"), Value: aws.String("b")}}}})
	ok(t, "other tags", err)
}
