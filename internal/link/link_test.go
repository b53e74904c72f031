package link_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"drover/internal/core/fault"
	"drover/internal/core/job"
	"drover/internal/core/resource"
	"drover/internal/link"
)

// backend answers with what it was asked, so that a test sees both directions.
type backend struct {
	hello  link.Hello
	report link.Reports
	polled chan struct{}
	fail   error
}

func (b *backend) Hello(_ context.Context, h link.Hello) (link.Welcome, error) {
	b.hello = h
	return link.Welcome{Session: "s1", HeartbeatEvery: 5000, LeaseTTL: 30000, Region: "drover-1", Endpoint: "http://127.0.0.1:1", Drop: h.Held}, b.fail
}

func (b *backend) Poll(ctx context.Context, p link.Poll) (link.Messages, error) {
	if p.Ack == 0 {
		return link.Messages{Session: p.Session, Messages: []link.Message{{Seq: 1, Stop: &link.Stop{Reason: "why"}}}}, b.fail
	}
	close(b.polled)
	<-ctx.Done()
	return link.Messages{}, ctx.Err()
}

func (b *backend) Report(_ context.Context, r link.Reports) (link.Outcome, error) {
	b.report = r
	return link.Outcome{Refused: []link.Refusal{{Lease: r.Reports[0].Lease, Code: "StaleFence", Message: "m"}}}, b.fail
}

func (b *backend) Heartbeat(context.Context, link.Heartbeat) error { return b.fail }

func (b *backend) Credentials(_ context.Context, r link.CredentialsRequest) (link.CredentialsAnswer, error) {
	return link.CredentialsAnswer{Credentials: make([]*link.Credentials, len(r.Leases))}, b.fail
}

func start(t *testing.T) (*backend, *link.Client, string) {
	t.Helper()
	b := &backend{polled: make(chan struct{})}
	srv := httptest.NewServer(link.Handler(b, "secret"))
	c := link.NewClient(srv.URL+"/", "secret", nil)
	t.Cleanup(func() {
		c.Close()
		srv.Close()
		goleak.VerifyNone(t)
	})
	return b, c, srv.URL
}

func TestRoundTrip(t *testing.T) {
	b, c, _ := start(t)
	ctx := t.Context()
	lease := job.Lease{Ref: job.Ref{Key: 7, Index: 3}, Attempt: 2, Fence: 5}
	hello := link.Hello{Host: "i-0", Boot: "b", Capacity: resource.Vector{MilliVCPU: 2000, MemoryMiB: 512}, Executors: []string{"process"}, Held: []job.Lease{lease}}
	w, err := c.Hello(ctx, hello)
	if err != nil {
		t.Fatal(err)
	}
	hello.Version = link.Version
	if d := cmp.Diff(hello, b.hello); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]job.Lease{lease}, w.Drop); d != "" || w.Session != "s1" {
		t.Error(d, w)
	}
	m, err := c.Poll(ctx, link.Poll{Host: "i-0", Session: "s1"})
	if err != nil || len(m.Messages) != 1 || m.Messages[0].Stop.Reason != "why" {
		t.Errorf("%+v %v", m, err)
	}
	reports := link.Reports{Host: "i-0", Session: "s1",
		Reports: []job.Report{{Lease: lease, Started: true, At: 9}},
		Logs:    []link.Chunk{{Lease: lease, Stream: "d/default/x", First: 4, Events: []link.Event{{At: 1, Text: "a\x00b <é>"}}}}}
	o, err := c.Report(ctx, reports)
	if err != nil || len(o.Refused) != 1 || o.Refused[0].Lease != lease {
		t.Errorf("%+v %v", o, err)
	}
	if d := cmp.Diff(reports, b.report); d != "" {
		t.Error(d)
	}
	if err := c.Heartbeat(ctx, link.Heartbeat{Host: "i-0", Session: "s1"}); err != nil {
		t.Error(err)
	}
	a, err := c.Credentials(ctx, link.CredentialsRequest{Leases: []job.Lease{lease}})
	if err != nil || len(a.Credentials) != 1 || a.Credentials[0] != nil {
		t.Errorf("%+v %v", a, err)
	}
}

func TestFaultsComeBackAsFaults(t *testing.T) {
	b, c, url := start(t)
	b.fail = fault.New(fault.Conflict, link.CodeUnknownSession, "say hello again")
	err := c.Heartbeat(t.Context(), link.Heartbeat{})
	f, ok := errors.AsType[*fault.Error](err)
	if !ok || f.Kind != fault.Conflict || f.Code != link.CodeUnknownSession || f.Message != "say hello again" {
		t.Fatalf("%#v", err)
	}
	b.fail = io.ErrUnexpectedEOF
	if f = fault.From(c.Heartbeat(t.Context(), link.Heartbeat{})); f.Kind != fault.Internal || strings.Contains(f.Message, "EOF") {
		t.Errorf("an inner error must not show its text: %v", f)
	}
	other := link.NewClient(url, "guess", nil)
	defer other.Close()
	if f = fault.From(other.Heartbeat(t.Context(), link.Heartbeat{})); f.Code != link.CodeWrongToken {
		t.Errorf("a wrong token answered %v", f)
	}
	gone := link.NewClient("http://127.0.0.1:1", "secret", nil)
	defer gone.Close()
	if f = fault.From(gone.Heartbeat(t.Context(), link.Heartbeat{})); f.Code != link.CodeManagerAway {
		t.Errorf("nobody there answered %v", f)
	}
}

func TestRefusals(t *testing.T) {
	_, _, url := start(t)
	long := `{"host":"` + strings.Repeat("x", 20<<10) + `"}`
	for _, c := range []struct {
		name, path, token, version, body string
		status                           int
		code                             string
	}{
		{"no token", link.PathPoll, "", "1", "{}", 403, link.CodeWrongToken},
		{"no version", link.PathPoll, "Bearer secret", "", "{}", 400, link.CodeWrongVersion},
		{"other version", link.PathHeartbeat, "Bearer secret", "1", "{}", 400, link.CodeWrongVersion},
		{"other version in hello", link.PathHello, "Bearer secret", "2", `{"version":9}`, 400, link.CodeWrongVersion},
		{"not JSON", link.PathPoll, "Bearer secret", "2", "hello", 400, link.CodeBadMessage},
		{"too long", link.PathPoll, "Bearer secret", "2", long, 413, link.CodeBadMessage},
	} {
		req, err := http.NewRequest(http.MethodPost, url+c.path, strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", c.token)
		req.Header.Set("Drover-Link", c.version)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(c.name, err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != c.status || !strings.Contains(string(body), `"`+c.code+`"`) {
			t.Errorf("%s: %d %s", c.name, resp.StatusCode, body)
		}
	}
	http.DefaultClient.CloseIdleConnections()
}

func TestPollEndsWithItsContext(t *testing.T) {
	b, c, _ := start(t)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	done := make(chan error, 1)
	go func() {
		_, err := c.Poll(ctx, link.Poll{Ack: 1})
		done <- err
	}()
	<-b.polled
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
