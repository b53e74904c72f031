package wire_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"

	"drover/internal/wire"
	"drover/internal/wire/keys"
	"drover/internal/wire/sigv4"
)

// quiet is a ResponseWriter that keeps nothing.
type quiet struct {
	h      http.Header
	status int
	n      int
}

func (q *quiet) Header() http.Header         { return q.h }
func (q *quiet) WriteHeader(s int)           { q.status = s }
func (q *quiet) Write(p []byte) (int, error) { q.n += len(p); return len(p), nil }

func submitInput() *batch.SubmitJobInput {
	return &batch.SubmitJobInput{
		JobName: aws.String("benchmark-job"), JobQueue: aws.String("default"), JobDefinition: aws.String("true:1"),
		ContainerOverrides: &types.ContainerOverrides{
			Command:              []string{"wc", "-w", "/data/in/part-00001.txt"},
			Environment:          []types.KeyValuePair{{Name: aws.String("STAGE"), Value: aws.String("prod")}},
			ResourceRequirements: []types.ResourceRequirement{{Type: types.ResourceTypeVcpu, Value: aws.String("0.25")}},
		},
		RetryStrategy: &types.RetryStrategy{Attempts: aws.Int32(2)},
		Tags:          map[string]string{"team": "data"},
	}
}

func submitMux(o wire.MuxOptions) *wire.Mux {
	o.Auth = &sigv4.Verifier{Keys: keys.Root(root, account)}
	m := wire.NewMux(o)
	id, arn := "b1c9b0a4-6d1b-4a9f-8f3e-5d0c2f6f2a77", "arn:aws:batch:drover-1:000000000000:job/b1c9b0a4-6d1b-4a9f-8f3e-5d0c2f6f2a77"
	m.Add(wire.Bind(shopTable(), &shop{submit: func(_ context.Context, in *batch.SubmitJobInput) (*batch.SubmitJobOutput, error) {
		return &batch.SubmitJobOutput{JobName: in.JobName, JobId: &id, JobArn: &arn}, nil
	}}))
	return m
}

// submitRequest is a signed SubmitJob as a server gets it.
func submitRequest(tb testing.TB) (*http.Request, []byte) {
	tb.Helper()
	var got []byte
	var r *http.Request
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, in *http.Request) {
		got, _ = io.ReadAll(in.Body)
		r = in.Clone(context.Background())
	}))
	defer srv.Close()
	c := &wire.Client{Endpoint: srv.URL, Region: "drover-1", Credentials: root}
	_ = c.Call(context.Background(), batchID, "SubmitJob", submitInput(), &batch.SubmitJobOutput{})
	if r == nil || len(got) == 0 {
		tb.Fatal("no request arrived")
	}
	return r, got
}

// BenchmarkSubmitJobPath is everything the layer does for one SubmitJob: verify, route,
// decode, check, call, encode. The request is signed once, outside the loop.
func BenchmarkSubmitJobPath(b *testing.B) {
	m := submitMux(wire.MuxOptions{})
	r, body := submitRequest(b)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	rd := bytes.NewReader(body)
	r.Body = io.NopCloser(rd)
	q := &quiet{h: http.Header{}}
	for b.Loop() {
		rd.Reset(body)
		clear(q.h)
		m.ServeHTTP(q, r)
		if q.status != 200 {
			b.Fatal("refused")
		}
	}
}

// BenchmarkFloor is what any server must do for the same request: encoding/json into a
// struct and the two hashes of a signature, nothing else.
func BenchmarkFloor(b *testing.B) {
	_, body := submitRequest(b)
	b.ReportAllocs()
	for b.Loop() {
		var in batch.SubmitJobInput
		if err := json.Unmarshal(body, &in); err != nil {
			b.Fatal(err)
		}
		out, err := json.Marshal(map[string]string{"jobName": *in.JobName, "jobId": "x", "jobArn": "y"})
		if err != nil || len(out) == 0 || sigv4.HashBody(body) == "" {
			b.Fatal(err)
		}
	}
}

// BenchmarkDescribeHundredJobs is an answer at DescribeJobs' limit.
func BenchmarkDescribeHundredJobs(b *testing.B) {
	out := &batch.DescribeJobsOutput{}
	for range 100 {
		out.Jobs = append(out.Jobs, types.JobDetail{JobId: aws.String("b1c9b0a4"), JobName: aws.String("n"), JobQueue: aws.String("q"), JobDefinition: aws.String("d"),
			Status: types.JobStatusRunning, StartedAt: aws.Int64(1), CreatedAt: aws.Int64(1),
			Container: &types.ContainerDetail{Command: []string{"a", "b"}, Image: aws.String("host"), Vcpus: aws.Int32(1), Memory: aws.Int32(512)},
			Tags:      map[string]string{"a": "b"}})
	}
	m := wire.NewMux(wire.MuxOptions{Auth: &sigv4.Verifier{Keys: keys.Root(root, account)}})
	m.Add(wire.Bind(shopTable(), &shop{describ: func(context.Context, *batch.DescribeJobsInput) (*batch.DescribeJobsOutput, error) { return out, nil }}))
	body := []byte(`{"jobs":["a"]}`)
	r := httptest.NewRequest("POST", "/v1/describejobs", nil)
	r.ContentLength = int64(len(body))
	sigv4.Sign(r, sigv4.HashBody(body), root, "batch", "drover-1", time.Now())
	b.ReportAllocs()
	q := &quiet{h: http.Header{}}
	for b.Loop() {
		r.Body = io.NopCloser(bytes.NewReader(body))
		clear(q.h)
		m.ServeHTTP(q, r)
		if q.status != 200 {
			b.Fatal("refused")
		}
	}
}

// BenchmarkHTTP compares whole servers on loopback, 16 clients that send one signed
// request again and again: ours, and a floor of net/http, encoding/json and the least a
// signature check can be.
func BenchmarkHTTP(b *testing.B) {
	for name, h := range map[string]http.Handler{"mux": submitMux(wire.MuxOptions{}), "floor": http.HandlerFunc(floor)} {
		b.Run(name, func(b *testing.B) {
			srv := httptest.NewServer(h)
			defer srv.Close()
			r, body := submitRequest(b)
			r.RequestURI, r.URL.Scheme, r.URL.Host = "", "http", srv.Listener.Addr().String()
			var raw bytes.Buffer
			r.Body = io.NopCloser(bytes.NewReader(body))
			if err := r.Write(&raw); err != nil {
				b.Fatal(err)
			}
			b.SetParallelism(16 / runtime.GOMAXPROCS(0))
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				conn, err := net.Dial("tcp", srv.Listener.Addr().String())
				if err != nil {
					b.Error(err)
					return
				}
				defer conn.Close()
				in := bufio.NewReader(conn)
				for pb.Next() {
					if _, err := conn.Write(raw.Bytes()); err != nil {
						b.Error(err)
						return
					}
					resp, err := http.ReadResponse(in, nil)
					if err != nil || resp.StatusCode != 200 {
						b.Errorf("%v %v", resp, err)
						return
					}
					_, _ = io.Copy(io.Discard, resp.Body)
					_ = resp.Body.Close()
				}
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "req/s")
		})
	}
}

// floor answers SubmitJob with the least work that could be called a signed API.
func floor(w http.ResponseWriter, r *http.Request) {
	data, _ := io.ReadAll(r.Body)
	mac := func(k []byte, s string) []byte { h := hmac.New(sha256.New, k); h.Write([]byte(s)); return h.Sum(nil) }
	canonical := sha256.Sum256([]byte(r.Method + r.URL.Path + r.Host + r.Header.Get("X-Amz-Date") + sigv4.HashBody(data)))
	if len(mac([]byte("key"), hex.EncodeToString(canonical[:]))) != 32 {
		return
	}
	var in batch.SubmitJobInput
	if json.Unmarshal(data, &in) != nil {
		w.WriteHeader(400)
		return
	}
	_ = json.NewEncoder(w).Encode(map[string]string{"jobName": *in.JobName, "jobId": "b1c9b0a4-6d1b-4a9f-8f3e-5d0c2f6f2a77"})
}
