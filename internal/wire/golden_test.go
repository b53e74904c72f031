package wire_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	ststypes "github.com/aws/aws-sdk-go-v2/service/sts/types"
	"github.com/google/go-cmp/cmp"

	"net/http"

	"drover/internal/core/fault"
	"drover/internal/wire"
	"drover/internal/wire/sigv4"
	"drover/internal/wire/wiretest"
)

var update = flag.Bool("update", false, "rewrite the golden transcripts")

type logStub struct{}

var logsID = wire.Identity{Name: "logs", TargetPrefix: "Logs_20140328", Protocols: []wire.Protocol{wire.JSON11}, LowerFirst: true, Invalid: "InvalidParameterException"}

var iamID = wire.Identity{Name: "iam", Version: "2010-05-08", Namespace: "https://iam.amazonaws.com/doc/2010-05-08/", Protocols: []wire.Protocol{wire.Query}, Invalid: "ValidationError"}

var stsID = wire.Identity{Name: "sts", Version: "2011-06-15", Namespace: "https://sts.amazonaws.com/doc/2011-06-15/", Protocols: []wire.Protocol{wire.Query}, Invalid: "ValidationError"}

// transcriptMux speaks all protocols and errs in all kinds.
func transcriptMux() *wire.Mux {
	logs := wire.NewTable[*logStub](logsID)
	wire.Op(logs, "PutLogEvents", func(*logStub, context.Context, *cloudwatchlogs.PutLogEventsInput) (*cloudwatchlogs.PutLogEventsOutput, error) {
		return &cloudwatchlogs.PutLogEventsOutput{NextSequenceToken: aws.String("1")}, nil
	}, wire.Required("LogGroupName"))
	wire.Op(logs, "DescribeLogGroups", func(*logStub, context.Context, *cloudwatchlogs.DescribeLogGroupsInput) (*cloudwatchlogs.DescribeLogGroupsOutput, error) {
		return nil, nil
	})
	wire.Op(logs, "DescribeLogStreams", func(*logStub, context.Context, *cloudwatchlogs.DescribeLogStreamsInput) (*cloudwatchlogs.DescribeLogStreamsOutput, error) {
		return &cloudwatchlogs.DescribeLogStreamsOutput{LogStreams: []types.LogStream{{LogStreamName: aws.String("a\"b\\\u0001")}}}, nil
	})
	wire.Op(logs, "DeleteLogGroup", func(*logStub, context.Context, *cloudwatchlogs.DeleteLogGroupInput) (*cloudwatchlogs.DeleteLogGroupOutput, error) {
		return nil, fault.New(fault.NotFound, "ResourceNotFoundException", "The specified log group does not exist.")
	})
	wire.Op(logs, "DeleteLogStream", func(*logStub, context.Context, *cloudwatchlogs.DeleteLogStreamInput) (*cloudwatchlogs.DeleteLogStreamOutput, error) {
		return nil, errors.New("a secret of the inside")
	})
	wire.Known(logs, "StartQuery")
	who := wire.NewTable[*logStub](stsID)
	wire.Op(who, "GetCallerIdentity", func(_ *logStub, ctx context.Context, _ *sts.GetCallerIdentityInput) (*sts.GetCallerIdentityOutput, error) {
		p, _ := wire.PrincipalFrom(ctx)
		return &sts.GetCallerIdentityOutput{Account: &p.Account, Arn: &p.ARN, UserId: aws.String("<&>")}, nil
	})
	wire.Op(who, "AssumeRole", func(_ *logStub, _ context.Context, in *sts.AssumeRoleInput) (*sts.AssumeRoleOutput, error) {
		if len(in.Tags) == 1 {
			return nil, fault.New(fault.Internal, "", "broken")
		}
		var keys []string
		for _, t := range in.Tags {
			keys = append(keys, *t.Key+"="+*t.Value)
		}
		slices.Sort(keys)
		return &sts.AssumeRoleOutput{PackedPolicySize: in.DurationSeconds, SourceIdentity: aws.String(strings.Join(keys, ",")), AssumedRoleUser: &ststypes.AssumedRoleUser{Arn: in.RoleArn}}, nil
	}, wire.Required("RoleArn"), wire.Range("DurationSeconds", 900, 43200))
	wire.Known(who, "GetSessionToken")
	m := wiretest.NewMux(wire.Bind(shopTable(), &shop{}), wire.Bind(logs, &logStub{}), wire.Bind(who, &logStub{}))
	m.Raw("s3", func(w http.ResponseWriter, r *http.Request, p wire.Principal, body *sigv4.Body) {
		fmt.Fprintf(w, "s3 raw %s for %s", r.URL.EscapedPath(), p.Kind)
	})
	return m
}

// TestTranscripts keeps what clients see, byte for byte; -update rewrites it.
func TestTranscripts(t *testing.T) {
	const form = "Content-Type:application/x-www-form-urlencoded; charset=utf-8"
	const json11 = "Content-Type:application/x-amz-json-1.1"
	target := func(op string) string { return "X-Amz-Target:Logs_20140328." + op }
	const identity = "Action=GetCallerIdentity&Version=2011-06-15"
	m := transcriptMux()
	var all strings.Builder
	for _, k := range []struct {
		name, service, method, target, body string
		header                              []string
	}{
		{"json answer", "logs", "POST", "/", `{"logGroupName":"g"}`, []string{json11, target("PutLogEvents")}},
		{"json empty list", "logs", "POST", "/", ``, []string{json11, target("DescribeLogGroups")}},
		{"json escapes", "logs", "POST", "/", `{}`, []string{json11, target("DescribeLogStreams")}},
		{"json 1.0 content type", "logs", "POST", "/", `{}`, []string{"Content-Type:application/x-amz-json-1.0", target("DescribeLogGroups")}},
		{"json fault", "logs", "POST", "/", `{}`, []string{json11, target("DeleteLogGroup")}},
		{"json inside error", "logs", "POST", "/", `{}`, []string{json11, target("DeleteLogStream")}},
		{"json constraint", "logs", "POST", "/", `{}`, []string{json11, target("PutLogEvents")}},
		{"json wrong type", "logs", "POST", "/", `{"logEvents":[{"timestamp":"x"}]}`, []string{json11, target("PutLogEvents")}},
		{"json no json", "logs", "POST", "/", `<a/>`, []string{json11, target("PutLogEvents")}},
		{"json not built", "logs", "POST", "/", `{}`, []string{json11, target("StartQuery")}},
		{"json unknown operation", "logs", "POST", "/", `{}`, []string{json11, target("Nonsense")}},
		{"json foreign target", "logs", "POST", "/", `{}`, []string{json11, "X-Amz-Target:DynamoDB_20120810.PutItem"}},
		{"json unsigned", "", "POST", "/", `{}`, []string{json11, target("PutLogEvents")}},
		{"json service without json", "sts", "POST", "/", `{}`, []string{json11, target("PutLogEvents")}},
		{"query answer", "sts", "POST", "/", identity, []string{form}},
		{"query in the URL", "sts", "GET", "/?" + identity, "", nil},
		{"query lists", "sts", "POST", "/", "Action=AssumeRole&Version=2011-06-15&RoleArn=r&DurationSeconds=900&Tags.member.2.Key=b&Tags.member.2.Value=2&Tags.member.1.Key=a&Tags.member.1.Value=%3C1%3E", []string{form}},
		{"query constraint", "sts", "POST", "/", "Action=AssumeRole&RoleArn=r&DurationSeconds=1", []string{form}},
		{"query wrong type", "sts", "POST", "/", "Action=AssumeRole&RoleArn=r&DurationSeconds=x", []string{form}},
		{"query fault of ours", "sts", "POST", "/", "Action=AssumeRole&RoleArn=r&Tags.member.1.Key=a", []string{form}},
		{"query not built", "sts", "POST", "/", "Action=GetSessionToken", []string{form}},
		{"query unknown action", "sts", "POST", "/", "Action=Nonsense", []string{form}},
		{"query other version", "sts", "POST", "/", "Action=GetCallerIdentity&Version=2001-01-01", []string{form}},
		{"query unsigned", "", "POST", "/", identity, []string{form}},
		{"query unsigned in the URL", "", "GET", "/?" + identity, "", nil},
		{"rest unknown path", "batch", "POST", "/v1/nonsense", `{}`, nil},
		{"rest not built", "batch", "POST", "/v1/createjobqueue", `{}`, nil},
		{"rest refused", "batch", "POST", "/v1/getjobqueuesnapshot", `{}`, nil},
		{"rest constraint", "batch", "POST", "/v1/submitjob", `{"jobName":"a","jobQueue":""}`, nil},
		{"rest unsigned", "", "POST", "/v1/submitjob", `{}`, nil},
		{"rest unsigned tags", "", "GET", "/v1/tags/arn%3Aaws%3Abatch", ``, nil},
		{"unknown service", "ec2", "POST", "/", "Action=DescribeInstances", []string{form}},
		{"s3 signed", "s3", "GET", "/b/a%2Fb//c", "", nil},
		{"s3 anonymous", "", "GET", "/b/k", "", nil},
		{"s3 wrong key", "", "GET", "/b/k", "", []string{"Authorization:AWS4-HMAC-SHA256 Credential=AKIAX/20260102/r/s3/aws4_request,SignedHeaders=host,Signature=x", "X-Amz-Date:20260102T030405Z"}},
		{"s3 no hash", "", "GET", "/b/k", "", []string{"Authorization:AWS4-HMAC-SHA256 x"}},
	} {
		status, h, body := wiretest.Send(t, m, k.service, k.method, k.target, k.body, k.header...)
		fmt.Fprintf(&all, "== %s\n> %s %s\n", k.name, k.method, k.target)
		for _, line := range k.header {
			fmt.Fprintf(&all, "> %s\n", line)
		}
		if k.body != "" {
			fmt.Fprintf(&all, "> %s\n", k.body)
		}
		fmt.Fprintf(&all, "< %d\n", status)
		for _, name := range []string{"Content-Type", "X-Amzn-Errortype", "X-Amzn-Requestid"} {
			if v := h.Get(name); v != "" {
				fmt.Fprintf(&all, "< %s: %s\n", name, v)
			}
		}
		fmt.Fprintf(&all, "< %s\n\n", body)
	}
	got := all.String()
	got = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}`).ReplaceAllString(got, "REQUEST-ID")
	got = regexp.MustCompile(`20[0-9]{6}T[0-9]{6}Z`).ReplaceAllString(got, "TIME")
	path := filepath.Join("testdata", "transcripts.txt")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("transcripts changed; look at each difference, then run with -update:\n%s", d)
	}
}
