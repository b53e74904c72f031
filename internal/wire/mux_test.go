package wire_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"

	"drover/internal/core/fault"
	"drover/internal/wire"
	"drover/internal/wire/authz"
	"drover/internal/wire/keys"
	"drover/internal/wire/sigv4"
	"drover/internal/wire/wiretest"
)

// never is a shop that may not be reached.
func never(t *testing.T) *shop {
	return &shop{submit: func(context.Context, *batch.SubmitJobInput) (*batch.SubmitJobOutput, error) {
		t.Error("the handler was called")
		return nil, nil
	}}
}

func gzipped(t *testing.T, data []byte) string {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write(data); err != nil || z.Close() != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestGzipBodies(t *testing.T) {
	const job = `{"jobName":"a","jobQueue":"q","jobDefinition":"d"}`
	var got []string
	m := wiretest.NewMux(wire.Bind(shopTable(), &shop{submit: func(_ context.Context, in *batch.SubmitJobInput) (*batch.SubmitJobOutput, error) {
		got = append(got, *in.JobName)
		return nil, nil
	}}))
	for _, k := range []struct {
		name, body, encoding string
		status               int
	}{
		{"plain", job, "identity", 200},
		{"gzip", gzipped(t, []byte(job)), "gzip", 200},
		{"capital", gzipped(t, []byte(job)), "GZIP", 200},
		{"not gzip", job, "gzip", 400},
		{"cut", gzipped(t, []byte(job))[:20], "gzip", 400},
		{"deflate", job, "deflate", 415},
		{"a bomb", gzipped(t, append([]byte(job), bytes.Repeat([]byte(" "), 3<<20)...)), "gzip", 413},
		{"large but allowed", gzipped(t, append([]byte(job), bytes.Repeat([]byte(" "), 1900<<10)...)), "gzip", 200},
	} {
		status, _, body := wiretest.Send(t, m, "batch", "POST", "/v1/submitjob", k.body, "Content-Encoding:"+k.encoding)
		if status != k.status {
			t.Errorf("%s: %d %s", k.name, status, body)
		}
	}
	if len(got) != 4 {
		t.Errorf("handled %v", got)
	}
}

func TestBodyLimits(t *testing.T) {
	m := wiretest.NewMux(wire.Bind(shopTable(), never(t)))
	for _, k := range []struct {
		path string
		size int
	}{{"/v1/submitjob", 2<<20 + 1}, {"/v1/describejobs", 1<<20 + 65<<10}} {
		status, h, body := wiretest.Send(t, m, "batch", "POST", k.path, strings.Repeat(" ", k.size))
		if status != 413 || h.Get("X-Amzn-Errortype") != "RequestEntityTooLarge" {
			t.Errorf("%s: %d %s", k.path, status, body)
		}
	}
	status, _, body := wiretest.Send(t, m, "batch", "POST", "/v1/describejobs", strings.Repeat(" ", 1<<20))
	if status != 400 || !strings.Contains(body, "jobs is required") {
		t.Errorf("a body within the limit: %d %s", status, body)
	}
}

// TestBodyIsCheckedBeforeTheEffect: a signed request whose body was exchanged never
// reaches the handler, with and without a declared hash.
func TestBodyIsCheckedBeforeTheEffect(t *testing.T) {
	m := wiretest.NewMux(wire.Bind(shopTable(), never(t)))
	good, bad := `{"jobName":"a","jobQueue":"q","jobDefinition":"d"}`, `{"jobName":"b","jobQueue":"q","jobDefinition":"d"}`
	for _, declared := range []bool{false, true} {
		r := httptest.NewRequest("POST", "/v1/submitjob", strings.NewReader(good))
		if declared {
			r.Header.Set("X-Amz-Content-Sha256", sigv4.HashBody([]byte(good)))
		}
		sigv4.Sign(r, sigv4.HashBody([]byte(good)), wiretest.Key, "batch", "drover-1", time.Now())
		r.Body = io.NopCloser(strings.NewReader(bad))
		rec := httptest.NewRecorder()
		m.ServeHTTP(rec, r)
		if rec.Code/100 != 4 || rec.Header().Get("X-Amzn-Errortype") != "InvalidSignatureException" {
			t.Errorf("declared %v: %d %s", declared, rec.Code, rec.Body)
		}
	}
}

func TestConstraints(t *testing.T) {
	var got *batch.SubmitJobInput
	table := wire.NewTable[*shop](batchID)
	wire.Op(table, "SubmitJob", func(_ *shop, _ context.Context, in *batch.SubmitJobInput) (*batch.SubmitJobOutput, error) {
		got = in
		return nil, nil
	}, wire.Required("JobName"), wire.Length("JobName", 1, 5), wire.Pattern("JobName", "[a-zü]+"), wire.Range("ArrayProperties.Size", 2, 10),
		wire.Length("Tags", 0, 1), wire.Range("RetryStrategy.Attempts", 1, 10))
	wire.Op(table, "RegisterJobDefinition", func(_ *shop, _ context.Context, in *batch.RegisterJobDefinitionInput) (*batch.RegisterJobDefinitionOutput, error) {
		return &batch.RegisterJobDefinitionOutput{JobDefinitionName: aws.String(string(in.Type))}, nil
	}, wire.Enum("Type", "container", "multinode"))
	m := wiretest.NewMux(wire.Bind(table, &shop{}))
	for _, k := range []struct{ body, wrong string }{
		{`{"jobName":"übung"}`, ""}, {`{"jobName":"a","arrayProperties":{"size":2},"tags":{"a":"b"},"retryStrategy":{}}`, ""}, {`{"jobName":"a","arrayProperties":{}}`, ""},
		{`{}`, "jobName is required"}, {`{"jobName":""}`, "jobName is required"}, {`{"jobName":"aaaaaa"}`, "jobName has 6 characters; it must have 1 to 5"},
		{`{"jobName":"a\n"}`, "must match"}, {`{"jobName":"A"}`, "must match"},
		{`{"jobName":"a","arrayProperties":{"size":1}}`, "arrayProperties.size is 1; it must be between 2 and 10"},
		{`{"jobName":"a","tags":{"a":"b","c":"d"}}`, "tags has 2 members"},
	} {
		got = nil
		status, _, body := wiretest.Send(t, m, "batch", "POST", "/v1/submitjob", k.body)
		if k.wrong == "" && (status != 200 || got == nil) || k.wrong != "" && (status != 400 || got != nil || !strings.Contains(body, k.wrong) || !strings.Contains(body, "ClientException")) {
			t.Errorf("%s: %d %s", k.body, status, body)
		}
	}
	for given, want := range map[string]string{`"container"`: `"jobDefinitionName":"container"`, `"Container"`: `"jobDefinitionName":"container"`, `"pod"`: "must be one of container, multinode"} {
		if _, _, body := wiretest.Send(t, m, "batch", "POST", "/v1/registerjobdefinition", `{"type":`+given+`}`); !strings.Contains(body, want) {
			t.Errorf("%s: %s", given, body)
		}
	}
}

func TestTablesRefuseMistakes(t *testing.T) {
	handler := func(*shop, context.Context, *batch.SubmitJobInput) (*batch.SubmitJobOutput, error) { return nil, nil }
	for name, f := range map[string]func(*wire.Table[*shop]){
		"twice":              func(tb *wire.Table[*shop]) { wire.Op(tb, "A", handler); wire.Known(tb, "A") },
		"no member":          func(tb *wire.Table[*shop]) { wire.Op(tb, "A", handler, wire.Required("Nothing")) },
		"no nested member":   func(tb *wire.Table[*shop]) { wire.Op(tb, "A", handler, wire.Range("JobName.Size", 1, 2)) },
		"enum of a list":     func(tb *wire.Table[*shop]) { wire.Op(tb, "A", handler, wire.Enum("DependsOn", "x")) },
		"range of a text":    func(tb *wire.Table[*shop]) { wire.Op(tb, "A", handler, wire.Range("JobName", 1, 2)) },
		"no member in path":  func(tb *wire.Table[*shop]) { wire.Op(tb, "A", handler, wire.GET("/{Nothing}")) },
		"no member in query": func(tb *wire.Table[*shop]) { wire.Op(tb, "A", handler, wire.GET("/a", "Nothing")) },
		"no identity":        func(*wire.Table[*shop]) { wire.NewTable[*shop](wire.Identity{}) },
		"no target": func(*wire.Table[*shop]) {
			wire.NewTable[*shop](wire.Identity{Name: "a", Protocols: []wire.Protocol{wire.JSON11}})
		},
		"two services": func(tb *wire.Table[*shop]) {
			wiretest.NewMux(wire.Bind(tb, &shop{}), wire.Bind(tb, &shop{}))
		},
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic at start", name)
				}
			}()
			f(wire.NewTable[*shop](batchID))
		}()
	}
}

func TestPanicsAreAnswered(t *testing.T) {
	var logged []wire.Access
	s := &shop{submit: func(context.Context, *batch.SubmitJobInput) (*batch.SubmitJobOutput, error) { panic("oh no") }}
	m := wire.NewMux(wire.MuxOptions{Auth: &sigv4.Verifier{Keys: keys.Root(wiretest.Key, account)}, Log: func(a wire.Access) { logged = append(logged, a) }})
	m.Add(wire.Bind(shopTable(), s))
	status, h, body := wiretest.Send(t, m, "batch", "POST", "/v1/submitjob", `{"jobName":"a","jobQueue":"q","jobDefinition":"d"}`)
	if status != 500 || strings.Contains(body, "oh no") || h.Get("X-Amzn-Errortype") != "InternalFailure" {
		t.Errorf("%d %s", status, body)
	}
	if len(logged) != 1 || logged[0].Err == nil || !strings.Contains(logged[0].Err.Error(), "oh no") || logged[0].Operation != "SubmitJob" ||
		logged[0].Service != "batch" || logged[0].Status != 500 || logged[0].Principal.Kind != wire.Root || logged[0].RequestID != h.Get("X-Amzn-Requestid") || logged[0].Code != "InternalFailure" {
		t.Errorf("%+v", logged)
	}
	m.Raw("s3", func(http.ResponseWriter, *http.Request, wire.Principal, *sigv4.Body) { panic(http.ErrAbortHandler) })
	func() {
		defer func() {
			if recover() != http.ErrAbortHandler {
				t.Error("a handler could not hang up")
			}
		}()
		wiretest.Send(t, m, "", "GET", "/b/k", "")
	}()
}

func TestRawServices(t *testing.T) {
	type seen struct {
		kind    wire.PrincipalKind
		mode    sigv4.Mode
		body    string
		err     error
		region  string
		request string
	}
	var got []seen
	handler := func(w http.ResponseWriter, r *http.Request, p wire.Principal, b *sigv4.Body) {
		data, err := io.ReadAll(r.Body)
		got = append(got, seen{p.Kind, b.Mode, string(data), err, wire.Region(r.Context()), wire.RequestID(r.Context())})
		w.WriteHeader(http.StatusTeapot)
	}
	minter := keys.NewMinter([32]byte{1})
	var status int
	m := wire.NewMux(wire.MuxOptions{DefaultRegion: "drover-1", MaxRaw: 100, Auth: &sigv4.Verifier{Keys: keys.Any(keys.Root(root, account), minter)},
		Log: func(a wire.Access) { status = a.Status }})
	m.Raw("s3", handler)
	m.Raw(authz.WorkerService, handler)
	send := func(service, hash, body string, c *sigv4.Credentials) *httptest.ResponseRecorder {
		r := httptest.NewRequest("PUT", "/b/k", strings.NewReader(body))
		if c != nil {
			sigv4.Sign(r, hash, *c, service, "r1", time.Now())
		}
		rec := httptest.NewRecorder()
		m.ServeHTTP(rec, r)
		return rec
	}
	mint := func(c keys.Claims) *sigv4.Credentials {
		s, err := minter.Mint(c, time.Hour, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		return &s
	}
	hello := sigv4.HashBody([]byte("hello"))
	worker := mint(keys.Claims{Kind: authz.Worker, ARN: "w"})
	noS3 := mint(keys.Claims{Kind: authz.Session, Services: []string{"logs"}})
	s3Only := mint(keys.Claims{Kind: authz.Session, Services: []string{"s3"}})
	for _, k := range []struct {
		name          string
		rec           *httptest.ResponseRecorder
		code          int
		kind          wire.PrincipalKind
		mode          sigv4.Mode
		wrong, region string
	}{
		{"s3", send("s3", hello, "hello", &root), 418, wire.Root, sigv4.Hashed, "", "r1"},
		{"s3 body differs", send("s3", hello, "hullo", &root), 418, wire.Root, sigv4.Hashed, "XAmzContentSHA256Mismatch", "r1"},
		{"s3 unsigned payload", send("s3", sigv4.UnsignedPayload, "hello", &root), 418, wire.Root, sigv4.Unsigned, "", "r1"},
		{"s3 anonymous", send("s3", "", "hello", nil), 418, wire.Anonymous, sigv4.Unsigned, "", "drover-1"},
		{"s3 session", send("s3", hello, "hello", s3Only), 418, wire.Session, sigv4.Hashed, "", "r1"},
		{"worker", send(authz.WorkerService, hello, "hello", worker), 418, wire.Worker, sigv4.Whole, "", "r1"},
	} {
		if len(got) == 0 {
			t.Fatal("the handler was not called")
		}
		g := got[0]
		got = got[1:]
		if k.rec.Code != k.code || g.kind != k.kind || g.mode != k.mode || g.region != k.region || g.request == "" {
			t.Errorf("%s: %d %+v", k.name, k.rec.Code, g)
		}
		if code := ""; g.err != nil {
			if code = fault.From(g.err).Code; code != k.wrong {
				t.Errorf("%s: %v", k.name, g.err)
			}
		} else if k.wrong != "" || g.body != "hello" {
			t.Errorf("%s: body %q", k.name, g.body)
		}
	}
	if status != 418 {
		t.Errorf("logged status %d", status)
	}
	for _, k := range []struct {
		name string
		rec  *httptest.ResponseRecorder
		code int
		body string
	}{
		{"session without s3", send("s3", hello, "hello", noS3), 403, "<Code>AccessDenied</Code>"},
		{"worker at s3", send("s3", hello, "hello", worker), 403, "<Code>AccessDenied</Code>"},
		{"worker body differs", send(authz.WorkerService, hello, "hullo", worker), 403, "InvalidSignatureException"},
		{"worker body too large", send(authz.WorkerService, sigv4.HashBody(make([]byte, 101)), string(make([]byte, 101)), worker), 413, "RequestEntityTooLarge"},
		{"worker unsigned payload", send(authz.WorkerService, sigv4.UnsignedPayload, "hello", worker), 400, "InvalidRequest"},
	} {
		if k.rec.Code != k.code || !strings.Contains(k.rec.Body.String(), k.body) {
			t.Errorf("%s: %d %s", k.name, k.rec.Code, k.rec.Body)
		}
	}
	if len(got) != 0 {
		t.Errorf("refused requests reached the handler: %+v", got)
	}
}

func TestCallsInsideTheProcess(t *testing.T) {
	s := &shop{submit: func(ctx context.Context, in *batch.SubmitJobInput) (*batch.SubmitJobOutput, error) {
		p, _ := wire.PrincipalFrom(ctx)
		if wire.Present(ctx).Has("JobName") || wire.RequestID(ctx) == "" {
			t.Error("the context of another call")
		}
		return &batch.SubmitJobOutput{JobId: aws.String(p.Name() + " " + wire.Region(ctx)), JobName: in.JobName}, nil
	}}
	_, m := serve(t, s)
	in := &batch.SubmitJobInput{JobName: aws.String("a"), JobQueue: aws.String("q"), JobDefinition: aws.String("d")}
	var out batch.SubmitJobOutput
	if err := m.Call(t.Context(), wire.Principal{Kind: wire.Root}, "batch", "SubmitJob", in, &out); err != nil || *out.JobId != "root drover-1" || *out.JobName != "a" {
		t.Errorf("%v %v", out, err)
	}
	for _, k := range []struct {
		name, service, op string
		as                wire.PrincipalKind
		in, out           any
		kind              fault.Kind
		words             string
	}{
		{"denied", "batch", "SubmitJob", wire.Worker, in, &out, fault.Denied, "batch:SubmitJob"},
		{"constraint", "batch", "SubmitJob", wire.Root, &batch.SubmitJobInput{}, &out, fault.Invalid, "jobName is required"},
		{"known only", "batch", "CreateJobQueue", wire.Root, in, &out, fault.NotBuilt, "CreateJobQueue"},
		{"unknown", "batch", "Nonsense", wire.Root, in, &out, fault.Invalid, "Nonsense"},
		{"no service", "ec2", "SubmitJob", wire.Root, in, &out, fault.NotBuilt, "ec2"},
		{"wrong types", "batch", "SubmitJob", wire.Root, in, in, fault.Internal, ""},
	} {
		err := m.Call(t.Context(), wire.Principal{Kind: k.as}, k.service, k.op, k.in, k.out)
		if err == nil || fault.From(err).Kind != k.kind || !strings.Contains(err.Error(), k.words) {
			t.Errorf("%s: %v", k.name, err)
		}
	}
}

func TestSessionsCallOnlyTheirServices(t *testing.T) {
	minter := keys.NewMinter([32]byte{1})
	alive := true
	minter.Alive = func(string) bool { return alive }
	m := wire.NewMux(wire.MuxOptions{Auth: &sigv4.Verifier{Keys: minter}})
	m.Add(wire.Bind(shopTable(), &shop{describ: func(ctx context.Context, _ *batch.DescribeJobsInput) (*batch.DescribeJobsOutput, error) {
		p, _ := wire.PrincipalFrom(ctx)
		return &batch.DescribeJobsOutput{Jobs: []types.JobDetail{{JobName: &p.Attempt}}}, nil
	}}))
	call := func(services []string, creds *sigv4.Credentials) (*batch.DescribeJobsOutput, *sigv4.Credentials, error) {
		if creds == nil {
			c, err := minter.Mint(keys.Claims{Account: account, ARN: "arn:aws:sts::000000000000:assumed-role/job/j", Kind: authz.Session, Services: services, Attempt: "j#1"}, time.Hour, time.Now())
			if err != nil {
				t.Fatal(err)
			}
			creds = &c
		}
		c := wiretest.Client(m)
		c.Credentials = *creds
		out, err := wire.Call[batch.DescribeJobsOutput](t.Context(), c, batchID, "DescribeJobs", &batch.DescribeJobsInput{Jobs: []string{"x"}})
		return out, creds, err
	}
	out, creds, err := call([]string{"batch"}, nil)
	if err != nil || *out.Jobs[0].JobName != "j#1" {
		t.Fatal(out, err)
	}
	if _, _, err := call([]string{"s3"}, nil); fault.From(err).Code != "AccessDeniedException" || !strings.Contains(err.Error(), "assumed-role/job/j is not allowed to perform batch:DescribeJobs") {
		t.Error(err)
	}
	alive = false
	if _, _, err := call(nil, creds); fault.From(err).Code != "ExpiredTokenException" {
		t.Error("a settled attempt's credentials still work:", err)
	}
}

func TestCoverage(t *testing.T) {
	_, m := serve(t, &shop{})
	var lines []string
	for _, r := range wire.Coverage(m.Services()) {
		lines = append(lines, r.Service+" "+r.Operation+" "+r.State.String()+" "+r.Reason)
	}
	want := []string{"batch CreateJobQueue not built ", "batch DescribeJobs built ", "batch GetJobQueueSnapshot refused it is only here for the test",
		"batch ListTagsForResource built ", "batch SubmitJob built ", "batch UntagResource built "}
	if !slices.Equal(lines, want) {
		t.Errorf("%q", lines)
	}
}

func TestClientRetriesOnlyWhatHadNoEffect(t *testing.T) {
	calls := 0
	broken := &http.Client{Transport: roundTrip(func(*http.Request) (*http.Response, error) {
		calls++
		return nil, errors.New("connection reset")
	})}
	for _, k := range []struct {
		op    string
		in    any
		out   any
		calls int
	}{
		{"SubmitJob", &batch.SubmitJobInput{}, &batch.SubmitJobOutput{}, 1},
		{"DescribeJobs", &batch.DescribeJobsInput{}, &batch.DescribeJobsOutput{}, 2},
	} {
		calls = 0
		c := &wire.Client{Endpoint: "http://127.0.0.1:1", Region: "r", Credentials: root, HTTP: broken, Retries: 1}
		if err := c.Call(t.Context(), batchID, k.op, k.in, k.out); err == nil || calls != k.calls {
			t.Errorf("%s: %d calls, %v", k.op, calls, err)
		}
	}
	c := &wire.Client{Endpoint: "nowhere"}
	if err := c.Call(t.Context(), batchID, "SubmitJob", &batch.SubmitJobInput{}, &batch.SubmitJobOutput{}); err == nil || !strings.Contains(err.Error(), "no URL") {
		t.Error(err)
	}
	if err := c.Call(t.Context(), batchID, "GET /v1/tags/{ResourceArn}", &batch.ListTagsForResourceInput{}, &batch.ListTagsForResourceOutput{}); err == nil || !strings.Contains(err.Error(), "ResourceArn must be set") {
		t.Error(err)
	}
}

func TestClientReadsForeignErrors(t *testing.T) {
	answer := func(status int, ct, body string) *wire.Client {
		return &wire.Client{Endpoint: "http://h", Region: "r", Credentials: root, HTTP: &http.Client{Transport: roundTrip(func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: status, Status: http.StatusText(status), Header: http.Header{"Content-Type": {ct}}, Body: io.NopCloser(strings.NewReader(body))}, nil
		})}}
	}
	for _, k := range []struct {
		status         int
		ct, body, code string
		words          string
	}{
		{400, "application/x-amz-json-1.1", `{"__type":"com.amazonaws#ResourceNotFoundException:http://x","Message":"gone"}`, "ResourceNotFoundException", "gone"},
		{502, "text/html", `<html>Bad gateway</html>`, "", "Bad Gateway"},
		{403, "application/xml", `<?xml version="1.0"?><Error><Code>AccessDenied</Code><Message>no</Message></Error>`, "AccessDenied", "no"},
		{200, "text/html", `<html>a web site</html>`, "", "is it a drover?"},
	} {
		err := answer(k.status, k.ct, k.body).Call(t.Context(), batchID, "DescribeJobs", &batch.DescribeJobsInput{}, &batch.DescribeJobsOutput{})
		f, isFault := errors.AsType[*fault.Error](err)
		if err == nil || !strings.Contains(err.Error(), k.words) || k.status != 200 && (!isFault || f.Code != k.code || f.Status != k.status) {
			t.Errorf("%s: %v", k.body, err)
		}
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestAnyRegionAndPresigned(t *testing.T) {
	srv, _ := serve(t, &shop{describ: func(ctx context.Context, _ *batch.DescribeJobsInput) (*batch.DescribeJobsOutput, error) {
		return &batch.DescribeJobsOutput{Jobs: []types.JobDetail{{JobName: aws.String(wire.Region(ctx))}}}, nil
	}})
	body := `{"jobs":["x"]}`
	r, _ := http.NewRequest("POST", srv.URL+"/v1/describejobs", strings.NewReader(body))
	sigv4.Presign(r, sigv4.HashBody([]byte(body)), root, "batch", "mars-north-7", time.Now(), time.Minute)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if data, _ := io.ReadAll(resp.Body); resp.StatusCode != 200 || string(data) != `{"jobs":[{"jobName":"mars-north-7"}]}` {
		t.Errorf("%d %s", resp.StatusCode, data)
	}
}
