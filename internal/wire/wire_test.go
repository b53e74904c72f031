package wire_test

import (
	"context"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/google/go-cmp/cmp"

	"drover/internal/core/fault"
	"drover/internal/wire"
	"drover/internal/wire/keys"
	"drover/internal/wire/sigv4"
)

var batchID = wire.Identity{Name: "batch", Protocols: []wire.Protocol{wire.RestJSON}, LowerFirst: true, Invalid: "ClientException"}

var root = sigv4.Credentials{AccessKey: "AKIATESTTESTTESTTEST", Secret: "secret"}

const account = "000000000000"

// shop is a small service to test with: three operations of batch.
type shop struct {
	submit  func(ctx context.Context, in *batch.SubmitJobInput) (*batch.SubmitJobOutput, error)
	tag     func(ctx context.Context, in *batch.ListTagsForResourceInput) (*batch.ListTagsForResourceOutput, error)
	untag   func(ctx context.Context, in *batch.UntagResourceInput) (*batch.UntagResourceOutput, error)
	describ func(ctx context.Context, in *batch.DescribeJobsInput) (*batch.DescribeJobsOutput, error)
}

func shopTable() *wire.Table[*shop] {
	t := wire.NewTable[*shop](batchID)
	wire.Op(t, "SubmitJob", func(s *shop, ctx context.Context, in *batch.SubmitJobInput) (*batch.SubmitJobOutput, error) {
		return s.submit(ctx, in)
	}, wire.Required("JobName", "JobQueue", "JobDefinition"), wire.Range("ArrayProperties.Size", 2, 1_000_000), wire.MaxBody(2<<20))
	wire.Op(t, "DescribeJobs", func(s *shop, ctx context.Context, in *batch.DescribeJobsInput) (*batch.DescribeJobsOutput, error) {
		return s.describ(ctx, in)
	}, wire.Required("Jobs"), wire.Length("Jobs", 0, 100))
	wire.Op(t, "ListTagsForResource", func(s *shop, ctx context.Context, in *batch.ListTagsForResourceInput) (*batch.ListTagsForResourceOutput, error) {
		return s.tag(ctx, in)
	}, wire.GET("/v1/tags/{ResourceArn}"))
	wire.Op(t, "UntagResource", func(s *shop, ctx context.Context, in *batch.UntagResourceInput) (*batch.UntagResourceOutput, error) {
		return s.untag(ctx, in)
	}, wire.DELETE("/v1/tags/{ResourceArn}", "TagKeys"))
	wire.Op(t, "GetJobQueueSnapshot", func(*shop, context.Context, *batch.GetJobQueueSnapshotInput) (*batch.GetJobQueueSnapshotOutput, error) {
		panic("never called")
	}, wire.Refused("it is only here for the test"))
	wire.Known(t, "CreateJobQueue")
	return t
}

func serve(t *testing.T, s *shop) (*httptest.Server, *wire.Mux) {
	t.Helper()
	m := wire.NewMux(wire.MuxOptions{Account: account, DefaultRegion: "drover-1", Auth: &sigv4.Verifier{Keys: keys.Root(root, account)}})
	m.Add(wire.Bind(shopTable(), s))
	srv := httptest.NewServer(m)
	t.Cleanup(srv.Close)
	return srv, m
}

func sdk(srv *httptest.Server) *batch.Client {
	return batch.New(batch.Options{Region: "drover-1", BaseEndpoint: aws.String(srv.URL),
		Credentials: credentials.NewStaticCredentialsProvider(root.AccessKey, root.Secret, ""), RetryMaxAttempts: 1})
}

func TestSubmitJobThroughTheSDKAndOurClient(t *testing.T) {
	var got *batch.SubmitJobInput
	var present [2]bool
	srv, m := serve(t, &shop{submit: func(ctx context.Context, in *batch.SubmitJobInput) (*batch.SubmitJobOutput, error) {
		got = in
		p, _ := wire.PrincipalFrom(ctx)
		if p.Kind != wire.Root || p.Account != account || wire.Region(ctx) != "drover-1" || wire.Host(ctx) == "" || wire.RequestID(ctx) == "" {
			t.Errorf("context: %+v %q %q", p, wire.Region(ctx), wire.Host(ctx))
		}
		present = [2]bool{wire.Present(ctx).Has("JobName"), wire.Present(ctx).Has("Timeout")}
		return &batch.SubmitJobOutput{JobId: aws.String("id-1"), JobName: in.JobName}, nil
	}})
	in := &batch.SubmitJobInput{JobName: aws.String("näme \"<"), JobQueue: aws.String("q"), JobDefinition: aws.String("d"),
		Parameters: map[string]string{"b": "2", "a": "1\n\u2028"}}
	opt := cmp.FilterPath(func(p cmp.Path) bool { return strings.Contains(p.String(), "noSmithy") }, cmp.Ignore())
	ignore := cmp.Exporter(func(reflect.Type) bool { return true })
	out, err := sdk(srv).SubmitJob(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(in, got, opt, ignore); d != "" || *out.JobName != *in.JobName || *out.JobId != "id-1" {
		t.Errorf("sdk: %s %v", d, out)
	}
	if present != [2]bool{true, false} {
		t.Errorf("present %v", present)
	}
	c := &wire.Client{Endpoint: srv.URL, Region: "drover-1", Credentials: root}
	got = nil
	out, err = wire.Call[batch.SubmitJobOutput](t.Context(), c, batchID, "SubmitJob", in)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(in, got, opt, ignore); d != "" || *out.JobId != "id-1" {
		t.Errorf("our client: %s %v", d, out)
	}
	_ = m
}

func TestBoundMembers(t *testing.T) {
	const arn = "arn:aws:batch:drover-1:000000000000:job-queue/a b"
	var keysGot []string
	srv, _ := serve(t, &shop{
		tag: func(_ context.Context, in *batch.ListTagsForResourceInput) (*batch.ListTagsForResourceOutput, error) {
			return &batch.ListTagsForResourceOutput{Tags: map[string]string{"arn": *in.ResourceArn}}, nil
		},
		untag: func(_ context.Context, in *batch.UntagResourceInput) (*batch.UntagResourceOutput, error) {
			keysGot = append([]string{*in.ResourceArn}, slices.Sorted(slices.Values(in.TagKeys))...)
			return nil, nil
		}})
	out, err := sdk(srv).ListTagsForResource(t.Context(), &batch.ListTagsForResourceInput{ResourceArn: aws.String(arn)})
	if err != nil || out.Tags["arn"] != arn {
		t.Fatal(out, err)
	}
	want := []string{arn, "a+b", "ü &"} // sorted: the SDK signs, and sends, values in order
	if _, err = sdk(srv).UntagResource(t.Context(), &batch.UntagResourceInput{ResourceArn: aws.String(arn), TagKeys: want[1:]}); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, keysGot); d != "" {
		t.Error(d)
	}
	c := &wire.Client{Endpoint: srv.URL, Region: "eu-west-1", Credentials: root}
	ours, err := wire.Call[batch.ListTagsForResourceOutput](t.Context(), c, batchID, "GET /v1/tags/{ResourceArn}", &batch.ListTagsForResourceInput{ResourceArn: aws.String(arn)})
	if err != nil || ours.Tags["arn"] != arn {
		t.Fatal(ours, err)
	}
	keysGot = nil
	if _, err = wire.Call[batch.UntagResourceOutput](t.Context(), c, batchID, "DELETE /v1/tags/{ResourceArn}?TagKeys", &batch.UntagResourceInput{ResourceArn: aws.String(arn), TagKeys: want[1:]}); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, keysGot); d != "" {
		t.Error(d)
	}
}

func TestErrorsReachTheClientAsFaults(t *testing.T) {
	srv, _ := serve(t, &shop{submit: func(context.Context, *batch.SubmitJobInput) (*batch.SubmitJobOutput, error) {
		return nil, fault.New(fault.Invalid, "ClientException", "queue q does not exist")
	}})
	c := &wire.Client{Endpoint: srv.URL, Region: "drover-1", Credentials: root}
	for _, k := range []struct {
		op, code, message string
		in, out           any
	}{
		{"SubmitJob", "ClientException", "jobName is required", &batch.SubmitJobInput{}, &batch.SubmitJobOutput{}},
		{"SubmitJob", "ClientException", "queue q does not exist", &batch.SubmitJobInput{JobName: aws.String("a"), JobQueue: aws.String("q"), JobDefinition: aws.String("d")}, &batch.SubmitJobOutput{}},
		{"CreateJobQueue", "NotImplemented", "CreateJobQueue", &batch.CreateJobQueueInput{}, &batch.CreateJobQueueOutput{}},
		{"GetJobQueueSnapshot", "ClientException", "only here for the test", &batch.GetJobQueueSnapshotInput{}, &batch.GetJobQueueSnapshotOutput{}},
		{"Nonsense", "UnknownOperationException", "POST /v1/nonsense", &batch.SubmitJobInput{}, &batch.SubmitJobOutput{}},
	} {
		err := c.Call(t.Context(), batchID, k.op, k.in, k.out)
		f := fault.From(err)
		if f.Code != k.code || !strings.Contains(f.Message, k.message) {
			t.Errorf("%s: %v", k.op, err)
		}
	}
	wrong := &wire.Client{Endpoint: srv.URL, Region: "drover-1", Credentials: sigv4.Credentials{AccessKey: root.AccessKey, Secret: "no"}}
	if err := wrong.Call(t.Context(), batchID, "SubmitJob", &batch.SubmitJobInput{}, &batch.SubmitJobOutput{}); fault.From(err).Code != "InvalidSignatureException" {
		t.Error(err)
	}
	unsigned := &wire.Client{Endpoint: srv.URL}
	if err := unsigned.Call(t.Context(), batchID, "SubmitJob", &batch.SubmitJobInput{}, &batch.SubmitJobOutput{}); fault.From(err).Code != "MissingAuthenticationTokenException" {
		t.Error(err)
	}
}
