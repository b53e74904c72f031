package server_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"

	"drover/internal/core/job"
	"drover/internal/link"
	"drover/internal/service/native"
	"drover/internal/wire"
	"drover/internal/wire/sigv4"
)

func (p *person) submitTagged(ctx context.Context, definition string, tags map[string]string) (string, error) {
	out, err := p.batch.SubmitJob(ctx, &batch.SubmitJobInput{JobName: aws.String("j"), JobQueue: aws.String("default"), JobDefinition: &definition, Tags: tags})
	if err != nil {
		return "", err
	}
	return *out.JobId, nil
}

// holder is who has credentials that a worker was given.
func (p *person) holder(t *testing.T, c *link.Credentials) *person {
	t.Helper()
	if c == nil {
		t.Fatal("there are no credentials")
	}
	return newPerson(p.endpoint, p.region, sigv4.Credentials{AccessKey: c.AccessKeyID, Secret: c.SecretAccessKey, SessionToken: c.SessionToken})
}

// TestStagingReadsWhatItsSubmitterMay acts as a worker: data of a job without a role moves
// with the rights that the submitter has then, whatever its tags or the lists and plans behind
// them name; data of a job with a role moves with the role's.
func TestStagingReadsWhatItsSubmitterMay(t *testing.T) {
	root, data := account(t)
	ctx := t.Context()
	for _, b := range []string{"open-data", "closed-data"} {
		_, err := root.s3.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: &b})
		must(t, err)
		must(t, root.put(ctx, b, "x"))
	}
	ann := root.user(t, "ann", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"batch:*","Resource":"*"},{"Effect":"Allow","Action":"drover:*","Resource":"*"},
		{"Effect":"Allow","Action":"iam:PassRole","Resource":"*"},{"Effect":"Allow","Action":"s3:*","Resource":["arn:aws:s3:::open-data","arn:aws:s3:::open-data/*"]}]}`)
	bob := root.user(t, "bob", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["batch:*","drover:*"],"Resource":"*"}]}`)
	reader := root.role(t, "reader", trustTasks, `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::closed-data/*"}]}`)
	must(t, root.register(ctx, "plain", ""))
	must(t, root.register(ctx, "role", reader))
	w := newWorker(t, root.endpoint, data)

	for _, tags := range []map[string]string{
		{job.InputsTag: "s3://closed-data/x"}, {job.OutputsTag: "s3://closed-data/y=y"}, {link.StageTag: "s3://open-data/plan.json"},
	} {
		id, err := ann.submitTagged(ctx, "plain", tags)
		must(t, err)
		start := w.start(t)
		mover := root.holder(t, start.Staging)
		ok(t, "what ann may read", mover.get(ctx, "open-data", "x"))
		denied(t, "what ann may not read", mover.get(ctx, "closed-data", "x"))
		denied(t, "what ann may not write", mover.put(ctx, "closed-data", "y"))
		_, err = mover.submit(ctx, "default", "plain")
		denied(t, "another service", err)
		again, err := w.Credentials(ctx, link.CredentialsRequest{Host: w.host, Session: w.session, Leases: []job.Lease{start.Start.Lease}})
		must(t, err)
		renewed := root.holder(t, again.Staging[0])
		denied(t, "renewed: what ann may not read", renewed.get(ctx, "closed-data", "x"))
		_, err = root.batch.TerminateJob(ctx, &batch.TerminateJobInput{JobId: &id, Reason: aws.String("over")})
		must(t, err)
		w.end(t, start)
		if e, isAPI := errors.AsType[smithy.APIError](mover.get(ctx, "open-data", "x")); !isAPI || e.ErrorCode() != "ExpiredToken" {
			t.Errorf("after the attempt its staging goes on: %v", e)
		}
	}
	id, err := ann.submitTagged(ctx, "plain", map[string]string{job.InputsTag: "s3://open-data/x"})
	must(t, err)
	start := w.start(t)
	mover := root.holder(t, start.Staging)
	_, err = root.iam.DeleteUserPolicy(ctx, &iam.DeleteUserPolicyInput{UserName: aws.String("ann"), PolicyName: aws.String("inline")})
	must(t, err)
	denied(t, "what ann might read once", mover.get(ctx, "open-data", "x"))
	_, err = root.batch.TerminateJob(ctx, &batch.TerminateJobInput{JobId: &id, Reason: aws.String("over")})
	must(t, err)
	w.end(t, start)

	// Nobody else has ann's data moved by retrying her job; root may.
	client := &wire.Client{Endpoint: root.endpoint, Region: "drover-1", Credentials: bob.creds}
	if _, err := native.Call[native.RetryJobOutput](ctx, client, "RetryJob", &native.RetryJobInput{Job: &id}); err == nil || !strings.Contains(err.Error(), "with the rights of arn:aws:iam::000000000000:user/ann") {
		t.Errorf("bob retries ann's job: %v", err)
	}

	if _, err := root.submitTagged(ctx, "plain", map[string]string{job.InputsTag: "s3://closed-data/x"}); err != nil {
		t.Fatal(err)
	}
	if start := w.start(t); start.Staging != nil {
		t.Error("a job of root has other credentials for staging")
	}
	carol := root.user(t, "carol", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["batch:*","iam:PassRole"],"Resource":"*"}]}`)
	if _, err := carol.submitTagged(ctx, "role", map[string]string{job.InputsTag: "s3://closed-data/x"}); err != nil {
		t.Fatal(err)
	}
	start = w.start(t)
	if start.Staging != nil {
		t.Error("a job with a role has other credentials for staging")
	}
	ok(t, "what the role may read", root.holder(t, start.Credentials).get(ctx, "closed-data", "x"))
}
