package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"drover/internal/core/arn"
	"drover/internal/core/fault"
	"drover/internal/core/job"
	"drover/internal/link"
	"drover/internal/manager"
	"drover/internal/service/logs"
	"drover/internal/wire/authz"
	"drover/internal/wire/keys"
)

// jobLogGroup is where AWS Batch keeps the output of jobs.
const jobLogGroup = "/aws/batch/job"

// credentialsTTL is how long an attempt's credentials live unless its lease ends before;
// workers renew them at half of it.
const credentialsTTL = time.Hour

// jobServices are what an attempt's credentials open, for the whole account.
func jobServices() []string { return []string{"s3", "logs", "batch", "sts"} }

func isLink(path string) bool { return strings.HasPrefix(path, link.PathPrefix) }

func (s *Server) linkHandler() http.Handler { return link.Handler(linkBackend{s}, s.token) }

// linkBackend turns the worker protocol into calls of the manager and the log store.
type linkBackend struct{ s *Server }

func (b linkBackend) Hello(ctx context.Context, h link.Hello) (link.Welcome, error) {
	if h.Version != link.Version {
		return link.Welcome{}, fault.New(fault.Invalid, "WrongVersion", "this server speaks version %d of the worker protocol, the worker version %d; run the same drover on both", link.Version, h.Version)
	}
	session, drop, err := b.s.manager.Hello(ctx, manager.Hello{Host: h.Host, Boot: h.Boot, Capacity: h.Capacity, Executors: h.Executors, Held: h.Held})
	if err != nil {
		return link.Welcome{}, err
	}
	b.s.log.Info("worker connected", "host", h.Host, "vcpus", float64(h.Capacity.MilliVCPU)/1000, "memoryMiB", h.Capacity.MemoryMiB, "held", len(h.Held))
	endpoint := b.s.endpoint
	if !firstGate(ctx) {
		endpoint = "" // jobs reach the API as their worker does
	}
	return link.Welcome{
		Session: session, HeartbeatEvery: link.HeartbeatEvery.Milliseconds(), LeaseTTL: link.LeaseTTL.Milliseconds(),
		Region: b.s.region, Endpoint: endpoint, Drop: drop,
	}, nil
}

func (b linkBackend) Poll(ctx context.Context, p link.Poll) (link.Messages, error) {
	out := link.Messages{Session: p.Session}
	if b.s.life.leaving() {
		out.Leave = true
		return out, nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(b.s.life.leave, cancel)
	defer stop()
	letters, err := b.s.manager.Poll(ctx, p.Host, p.Session, p.Ack, link.PollFor)
	if b.s.life.leaving() {
		out.Leave = true
		return out, nil
	}
	if err != nil {
		return out, err
	}
	now := time.Now()
	for _, l := range letters {
		m := link.Message{Seq: l.Seq, Start: l.Start}
		if l.Start != nil {
			if m.Credentials, err = b.s.mint(ctx, l.Start.Lease, l.Start.UnitName(), l.Start.Container.Role(), now); err != nil {
				return out, err
			}
			if m.Staging, err = b.s.mintStaging(l.Start.Lease, l.Start.Submitter, now); err != nil {
				return out, err
			}
		} else {
			m.Stop = &link.Stop{Lease: l.Stop.Lease, Reason: l.Stop.Reason}
		}
		out.Messages = append(out.Messages, m)
	}
	return out, nil
}

// Report keeps the output before the exits that come with it: whoever sees that a job has
// ended finds all that it wrote. Streams without any output yet are made meanwhile; who looks
// for one of them then waits for it.
func (b linkBackend) Report(ctx context.Context, r link.Reports) (link.Outcome, error) {
	if len(r.Logs) > 0 {
		if err := b.s.manager.Heartbeat(ctx, r.Host, r.Session); err != nil {
			return link.Outcome{}, err
		}
	}
	written, empty := chunks(r.Logs)
	if len(written) > 0 {
		if err := b.s.logs.Append(ctx, written); err != nil {
			return link.Outcome{}, err
		}
	}
	made := b.s.logs.Make(ctx, empty)
	out, err := b.reports(ctx, r)
	return out, errors.Join(<-made, err)
}

// chunks turns what a worker sends into what the log store keeps, with and without events.
func chunks(in []link.Chunk) (written, empty []logs.Chunk) {
	for _, c := range in {
		events := make([]logs.Event, len(c.Events))
		for j, e := range c.Events {
			events[j] = logs.Event{At: e.At, Text: e.Text}
		}
		chunk := logs.Chunk{Group: jobLogGroup, Stream: c.Stream, First: c.First, Events: events}
		if len(events) > 0 {
			written = append(written, chunk)
		} else {
			empty = append(empty, chunk)
		}
	}
	return written, empty
}

func (b linkBackend) reports(ctx context.Context, r link.Reports) (link.Outcome, error) {
	var out link.Outcome
	if len(r.Reports) == 0 {
		return out, nil
	}
	refused, err := b.s.manager.ReportAttempts(ctx, r.Host, r.Session, r.Reports)
	for i, e := range refused {
		if e != nil {
			f := fault.From(e)
			out.Refused = append(out.Refused, link.Refusal{Lease: r.Reports[i].Lease, Code: f.Code, Message: f.Message})
		}
	}
	return out, err
}

func (b linkBackend) Heartbeat(ctx context.Context, h link.Heartbeat) error {
	return b.s.manager.Heartbeat(ctx, h.Host, h.Session)
}

func (b linkBackend) Credentials(ctx context.Context, r link.CredentialsRequest) (link.CredentialsAnswer, error) {
	out := link.CredentialsAnswer{Credentials: make([]*link.Credentials, len(r.Leases)), Staging: make([]*link.Credentials, len(r.Leases))}
	if err := b.s.manager.Heartbeat(ctx, r.Host, r.Session); err != nil {
		return out, err
	}
	now := time.Now()
	held, err := b.s.manager.HeldBy(ctx, r.Leases)
	if err != nil {
		return out, err
	}
	for i, l := range r.Leases {
		if held[i].Unit == "" {
			continue
		}
		c, err := b.s.mint(ctx, l, held[i].Unit, held[i].Role, now)
		if err != nil {
			return out, err
		}
		out.Credentials[i] = c
		if out.Staging[i], err = b.s.mintStaging(l, held[i].Submitter, now); err != nil {
			return out, err
		}
	}
	return out, nil
}

// mint makes credentials for one attempt: they die with its lease. A job that names a role
// gets a session of that role, and never more if the role is gone; another one gets the
// account's for the services that jobs use.
func (s *Server) mint(ctx context.Context, l job.Lease, unit, role string, now time.Time) (*link.Credentials, error) {
	session := strings.ReplaceAll(unit, ":", ".")
	name := arn.ARN{Service: "sts", Account: s.opt.Account, Resource: "assumed-role/drover-job/" + session}
	claims := keys.Claims{Account: s.opt.Account, ARN: name.String(), Kind: authz.Session, Services: jobServices()}
	if role != "" {
		var err error
		if claims, err = s.iam.JobClaims(ctx, role, session); err != nil {
			return nil, err
		}
	}
	return s.mintClaims(l, claims, now)
}

// mintStaging makes credentials that move an attempt's data with the rights that its
// submitter has now; nil without a submitter. The job does not see them.
func (s *Server) mintStaging(l job.Lease, as *job.Submitter, now time.Time) (*link.Credentials, error) {
	if as == nil {
		return nil, nil
	}
	claims := keys.Claims{
		Account: s.opt.Account, ARN: as.ARN, Kind: authz.Session, Services: []string{"s3"},
		User: as.User, Role: as.Role, ID: as.ID, SessionName: as.SessionName, Limits: as.Limits,
	}
	c, err := s.mintClaims(l, claims, now)
	if fault.Is(err, fault.TooLarge) { // session policies at the limit: a session that may do nothing, never one that may do more
		claims.ID, claims.Limits = "none", nil
		return s.mintClaims(l, claims, now)
	}
	return c, err
}

// mintClaims makes credentials that die with a lease.
func (s *Server) mintClaims(l job.Lease, claims keys.Claims, now time.Time) (*link.Credentials, error) {
	claims.Attempt = fmt.Sprintf("%d/%d/%d", l.Ref.Key, l.Ref.Index, l.Fence)
	c, err := s.minter.Mint(claims, credentialsTTL, now)
	if err != nil {
		return nil, err
	}
	return &link.Credentials{AccessKeyID: c.AccessKey, SecretAccessKey: c.Secret, SessionToken: c.SessionToken, Expires: c.Expires.UnixMicro()}, nil
}

// attemptAlive says whether the attempt that credentials were made for holds its lease.
func (s *Server) attemptAlive(scope string) bool {
	var l job.Lease
	if _, err := fmt.Sscanf(scope, "%d/%d/%d", &l.Ref.Key, &l.Ref.Index, &l.Fence); err != nil {
		return false
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	return s.manager.Holds(ctx, l)
}
