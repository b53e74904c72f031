package link

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"drover/internal/core/fault"
)

// Longest waits for an answer. A poll is held open by the manager; reports may wait for
// its disk.
const (
	callTimeout      = 30 * time.Second
	pollTimeout      = PollFor + 15*time.Second
	heartbeatTimeout = HeartbeatEvery
)

// Client is a worker's end of the protocol. Polls, reports and heartbeats each have a
// connection of their own, so that none waits behind another. It is safe for concurrent use.
type Client struct {
	base  atomic.Pointer[string]
	token string

	control, poll, report, heartbeat *http.Client
}

// NewClient talks to the manager whose API is at base, e.g. "http://127.0.0.1:4580". roots
// are the authorities that https trusts; nil = the system's.
func NewClient(base, token string, roots *x509.CertPool) *Client {
	c := &Client{
		token:     token,
		control:   lane(callTimeout, roots),
		poll:      lane(pollTimeout, roots),
		report:    lane(callTimeout, roots),
		heartbeat: lane(heartbeatTimeout, roots),
	}
	c.Move(base)
	return c
}

// Move makes later calls go to another address: the manager came back elsewhere.
func (c *Client) Move(base string) {
	base = strings.TrimRight(base, "/")
	c.base.Store(&base)
}

// Base is where calls go.
func (c *Client) Base() string { return *c.base.Load() }

// lane is an HTTP client with connections of its own.
func lane(timeout time.Duration, roots *x509.CertPool) *http.Client {
	dialer := &net.Dialer{Timeout: 5 * time.Second, KeepAlive: 15 * time.Second}
	return &http.Client{
		Timeout: timeout,
		Transport: &http.Transport{
			DialContext:         dialer.DialContext,
			TLSClientConfig:     &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout: 10 * time.Second,
			MaxIdleConnsPerHost: 2,
			IdleConnTimeout:     2 * time.Minute,
			DisableCompression:  true,
			ReadBufferSize:      64 << 10,
			WriteBufferSize:     64 << 10,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Close drops the idle connections.
func (c *Client) Close() {
	for _, h := range []*http.Client{c.control, c.poll, c.report, c.heartbeat} {
		h.CloseIdleConnections()
	}
}

// Hello opens a session.
func (c *Client) Hello(ctx context.Context, h Hello) (w Welcome, err error) {
	h.Version = Version
	return w, c.call(ctx, c.control, PathHello, h, &w)
}

// Poll waits for messages.
func (c *Client) Poll(ctx context.Context, p Poll) (m Messages, err error) {
	return m, c.call(ctx, c.poll, PathPoll, p, &m)
}

// Report tells what happened. It may be repeated.
func (c *Client) Report(ctx context.Context, r Reports) (o Outcome, err error) {
	return o, c.call(ctx, c.report, PathReport, r, &o)
}

// Heartbeat renews the host's leases.
func (c *Client) Heartbeat(ctx context.Context, h Heartbeat) error {
	return c.call(ctx, c.heartbeat, PathHeartbeat, h, &struct{}{})
}

// Credentials asks for fresh credentials.
func (c *Client) Credentials(ctx context.Context, r CredentialsRequest) (a CredentialsAnswer, err error) {
	return a, c.call(ctx, c.control, PathCredentials, r, &a)
}

// call posts in and reads the answer into out. What the manager refused comes back as the
// fault that it answered; everything else is a fault with CodeManagerAway.
func (c *Client) call(ctx context.Context, h *http.Client, path string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return fault.Wrap(err, fault.Internal, CodeBadMessage, "cannot write a %T as JSON", in)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.Base()+path, bytes.NewReader(body))
	if err != nil {
		return fault.Wrap(err, fault.Invalid, CodeManagerAway, "%q is not a manager's address; give a URL like http://127.0.0.1:4580", c.Base())
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set(versionHeader, strconv.Itoa(Version))
	resp, err := h.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fault.Wrap(err, fault.Unavailable, CodeManagerAway, "no answer from the manager at %s", c.Base())
	}
	defer resp.Body.Close()
	answer, err := readAnswer(resp)
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fault.Wrap(err, fault.Unavailable, CodeManagerAway, "the answer of the manager at %s was cut off", c.Base())
	}
	if resp.StatusCode != http.StatusOK {
		return refusal(c.Base(), resp, answer)
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return fault.Wrap(err, fault.Unavailable, CodeManagerAway, "what answers at %s is not a drover manager of this release", c.Base())
	}
	return nil
}

func readAnswer(resp *http.Response) ([]byte, error) {
	if n := resp.ContentLength; n >= 0 && n <= maxAnswer {
		b := make([]byte, n)
		_, err := io.ReadFull(resp.Body, b)
		return b, err
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err == nil && len(b) > maxAnswer {
		err = io.ErrShortBuffer
	}
	return b, err
}

func refusal(base string, resp *http.Response, answer []byte) error {
	var f wireFault
	if resp.Header.Get(versionHeader) == "" || json.Unmarshal(answer, &f) != nil || f.Code == "" {
		return fault.New(fault.Unavailable, CodeManagerAway, "%s answered %s and is no drover manager, or one that is starting", base, resp.Status)
	}
	return &fault.Error{Kind: f.Kind, Code: f.Code, Message: f.Message, Status: resp.StatusCode}
}
