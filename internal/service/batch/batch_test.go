package batch_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"drover/internal/core/job"
	"drover/internal/core/resource"
	"drover/internal/manager"
	service "drover/internal/service/batch"
	"drover/internal/store/storetest"
	"drover/internal/wire"
	"drover/internal/wire/keys"
	"drover/internal/wire/sigv4"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
	"github.com/aws/smithy-go"
)

const (
	account = "123456789012"
	host    = "i-0123456789abcdef0"
	prefix  = "arn:aws:batch:eu-west-9:" + account + ":" // the region that the client signs for
)

// world is the service on a real manager and store, reached by the real SDK client.
type world struct {
	*batch.Client
	own *wire.Client
	svc *service.Service
	m   *manager.Manager
}

func newWorld(t testing.TB, limits job.Limits) *world {
	t.Helper()
	return newWorldOf(t, limits, nil)
}

// newWorldOf is newWorld with somebody who knows roles.
func newWorldOf(t testing.TB, limits job.Limits, roles service.Roles) *world {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	m, err := manager.Open(ctx, storetest.SQLite(t), manager.DefaultOptions(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- m.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	if err := service.EnsureDefaults(ctx, m, 16); err != nil {
		t.Fatal(err)
	}
	s := service.New(service.Options{Manager: m, Account: account, Region: "drover-1", Limits: limits, Roles: roles})
	root := sigv4.Credentials{AccessKey: "AKIATESTTESTTESTTEST", Secret: "secret"}
	mux := wire.NewMux(wire.MuxOptions{Account: account, DefaultRegion: "drover-1", Auth: &sigv4.Verifier{Keys: keys.Root(root, account)}})
	mux.Add(s.Wire())
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	return &world{m: m, svc: s, own: &wire.Client{Endpoint: srv.URL, Region: "eu-west-9", Credentials: root}, Client: batch.New(batch.Options{
		Region: "eu-west-9", BaseEndpoint: aws.String(srv.URL), RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider(root.AccessKey, root.Secret, ""),
	})}
}

// must fails the test if err is one.
func must[T any](t testing.TB, v T, err error) T {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// refused fails the test unless err is a ClientException whose message holds the words.
func refused(t testing.TB, err error, words string) {
	t.Helper()
	e, ok := errors.AsType[smithy.APIError](err)
	if !ok || e.ErrorCode() != "ClientException" {
		t.Errorf("error = %v, want a ClientException with %q", err, words)
		return
	}
	if !strings.Contains(e.ErrorMessage(), words) {
		t.Errorf("message = %q, want one with %q", e.ErrorMessage(), words)
	}
}

// hostJob is the least that a definition needs.
func hostJob(name string) *batch.RegisterJobDefinitionInput {
	return &batch.RegisterJobDefinitionInput{
		JobDefinitionName: &name, Type: types.JobDefinitionTypeContainer,
		ContainerProperties: &types.ContainerProperties{
			Image: aws.String("host"), Command: []string{"true"},
			ResourceRequirements: []types.ResourceRequirement{
				{Type: types.ResourceTypeVcpu, Value: aws.String("0.25")},
				{Type: types.ResourceTypeMemory, Value: aws.String("64")},
			},
		},
	}
}

func (w *world) register(t testing.TB, in *batch.RegisterJobDefinitionInput) *batch.RegisterJobDefinitionOutput {
	t.Helper()
	out, err := w.RegisterJobDefinition(t.Context(), in)
	return must(t, out, err)
}

func (w *world) submit(t testing.TB, in *batch.SubmitJobInput) string {
	t.Helper()
	out, err := w.SubmitJob(t.Context(), in)
	return *must(t, out, err).JobId
}

func (w *world) describe(t testing.TB, id string) types.JobDetail {
	t.Helper()
	out, err := w.DescribeJobs(t.Context(), &batch.DescribeJobsInput{Jobs: []string{id}})
	if len(must(t, out, err).Jobs) != 1 {
		t.Fatalf("job %s: %d answers", id, len(out.Jobs))
	}
	return out.Jobs[0]
}

// waitFor describes a job until it is in a status.
func (w *world) waitFor(t testing.TB, id string, status types.JobStatus) types.JobDetail {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; {
		changed := w.m.Changed()
		d := w.describe(t, id)
		if d.Status == status {
			return d
		}
		if time.Now().After(deadline) {
			t.Fatalf("job %s is %s (%s), want %s", id, d.Status, aws.ToString(d.StatusReason), status)
		}
		select {
		case <-changed:
		case <-time.After(time.Second):
		}
	}
}

// hand is a worker that does what the test says: nothing until it is told.
type hand struct {
	t       testing.TB
	m       *manager.Manager
	session string

	starts chan job.Assignment
	stops  chan job.Lease
}

// newHand connects a worker of some vCPUs.
func newHand(t testing.TB, m *manager.Manager, vcpus int64) *hand {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	session, _, err := m.Hello(ctx, manager.Hello{
		Host: host, Boot: "b", Executors: []string{"process"},
		Capacity: resource.Vector{MilliVCPU: vcpus * 1000, MemoryMiB: 1 << 16},
	})
	if err != nil {
		t.Fatal(err)
	}
	h := &hand{t: t, m: m, session: session, starts: make(chan job.Assignment, 100), stops: make(chan job.Lease, 100)}
	done := make(chan struct{})
	t.Cleanup(func() { cancel(); <-done })
	go func() {
		defer close(done)
		ack := int64(0)
		for ctx.Err() == nil {
			letters, err := m.Poll(ctx, host, session, ack, time.Second)
			if err != nil {
				return
			}
			for _, l := range letters {
				ack = l.Seq
				switch {
				case l.Start != nil:
					h.starts <- *l.Start
				case l.Stop != nil:
					h.stops <- l.Stop.Lease
				}
			}
		}
	}()
	return h
}

// next waits for an assignment.
func (h *hand) next() job.Assignment {
	h.t.Helper()
	select {
	case a := <-h.starts:
		return a
	case <-time.After(20 * time.Second):
		h.t.Fatal("no assignment came")
		panic("unreachable")
	}
}

// answerAll ends every attempt at once with the code, from now on.
func (h *hand) answerAll(code int32) {
	done := make(chan struct{})
	h.t.Cleanup(func() { close(done) })
	go func() {
		for {
			select {
			case a := <-h.starts:
				x := job.Report{Lease: a.Lease, Started: true, Exit: &job.Exit{Code: &code}}
				if _, err := h.m.ReportAttempts(context.Background(), host, h.session, []job.Report{x}); err != nil {
					return // the manager ends with the test
				}
			case <-done:
				return
			}
		}
	}()
}

func (h *hand) started(l job.Lease) { h.report(job.Report{Lease: l, Started: true}) }

func (h *hand) ended(l job.Lease, code int32) {
	x := &job.Exit{Code: &code}
	if code != 0 {
		x.Cause = job.CauseExit
	}
	h.report(job.Report{Lease: l, Started: true, Exit: x})
}

func (h *hand) report(r job.Report) {
	h.t.Helper()
	results, err := h.m.ReportAttempts(context.Background(), host, h.session, []job.Report{r})
	if err != nil {
		h.t.Fatal(err)
	}
	for _, err := range results {
		if err != nil {
			h.t.Fatal(err)
		}
	}
}
