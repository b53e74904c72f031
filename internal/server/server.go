// Package server builds the whole of drover from its parts and runs it: the API on one
// address, the job manager, the stores, and this host's worker.
//
// It promises that one data folder has one server at a time; that the server is ready
// (healthz answers 200, server.json is written) only when everything behind it is; that
// ending it, in whatever way, leaves running jobs running unless it was told otherwise;
// and that a store which can no longer be trusted ends the process, so that the next one
// starts from what is on the disk.
package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"drover/internal/core/job"
	"drover/internal/manager"
	"drover/internal/service/batch"
	"drover/internal/service/iam"
	"drover/internal/service/logs"
	"drover/internal/service/native"
	"drover/internal/service/s3"
	"drover/internal/service/sts"
	"drover/internal/store"
	"drover/internal/wire"
	"drover/internal/wire/authz"
	"drover/internal/wire/keys"
	"drover/internal/wire/sigv4"
)

// Options of a server.
type Options struct {
	Data     string        // data folder
	Listen   string        // host:port; port 0 = the one of last time if it is free, else any
	Gates    Gates         // further addresses
	Contents Contents      // where objects are kept
	Account  string        // 12 digits
	Region   string        // of requests that name none
	Limits   job.Limits    // quotas to keep
	Retain   time.Duration // how long ended jobs and their logs are kept
	Embedded bool          // end, with jobs and worker, when the last attached client has gone
	Drain    bool          // when told to end, first wait until no job runs
	Version  string
	// Worker is the command that runs this host's worker; the server starts it when none
	// runs on the data folder. Empty = no local worker.
	Worker []string
	Log    *slog.Logger
	Ready  func(endpoint string) // called once, when requests are served
}

// DefaultRegion is the region of a drover that nobody named otherwise: one that no AWS
// client has a table entry for (reference: clients, fact 3).
const DefaultRegion = "drover-1"

// File names in the data folder.
const (
	credentialsFile = "credentials"
	sessionKeyFile  = "session.key"
	workerTokenFile = "worker.token"
	serverFile      = "server.json"
	lockFile        = "server.lock"
)

// Server is drover, running.
type Server struct {
	opt      Options
	log      *slog.Logger
	endpoint string
	gates    map[string]any // further addresses, as server.json names them
	db       *store.DB
	logsDB   *store.DB
	manager  *manager.Manager
	logs     *logs.Service
	objects  *s3.Service
	caller   wire.Caller // of the mux
	iam      *iam.Service
	minter   *keys.Minter
	root     sigv4.Credentials
	token    string
	life     *life
	region   string
}

// Run serves until ctx ends, a client stops the server, or something fails.
func Run(ctx context.Context, opt Options) error {
	// The S3 library changes the working folder: no path may depend on it.
	data, err := filepath.Abs(opt.Data)
	if err != nil {
		return err
	}
	opt.Data = data
	unlock, err := lockFolder(opt.Data)
	if err != nil {
		return err
	}
	defer unlock()
	s := &Server{opt: opt, log: opt.Log, region: opt.Region, life: newLife(opt.Embedded)}
	if s.region == "" {
		s.region = DefaultRegion
	}
	heap, done := context.WithCancel(context.WithoutCancel(ctx))
	defer done()
	go keepHeap(heap)
	if err := s.openKeys(); err != nil {
		return err
	}
	defer s.close()
	if err := s.openStores(ctx); err != nil {
		return err
	}
	return s.serve(ctx)
}

func (s *Server) path(name string) string { return filepath.Join(s.opt.Data, name) }

func (s *Server) openKeys() (err error) {
	if s.root, err = keys.LoadOrCreate(s.path(credentialsFile)); err != nil {
		return err
	}
	if s.minter, err = keys.LoadMinter(s.path(sessionKeyFile)); err != nil {
		return err
	}
	s.token, err = loadToken(s.path(workerTokenFile))
	return err
}

// openStores opens what lasts, side by side, for each takes a few file syncs.
func (s *Server) openStores(ctx context.Context) error {
	steps := []func() error{
		func() (err error) {
			if s.db, err = store.Open(ctx, s.path("drover.db")); err != nil {
				return fmt.Errorf("cannot open the job store: %w", err)
			}
			if s.manager, err = manager.Open(ctx, s.db, manager.DefaultOptions(), s.log); err != nil {
				return err
			}
			s.iam, err = iam.Open(ctx, iam.Options{DB: s.db, Account: s.opt.Account, Vault: s.minter.Vault(), Log: s.log})
			return err
		},
		func() (err error) {
			if s.logsDB, err = store.Open(ctx, s.path("logs.db")); err != nil {
				return fmt.Errorf("cannot open the log store: %w", err)
			}
			days := int((s.opt.Retain + 24*time.Hour - 1) / (24 * time.Hour))
			s.logs, err = logs.New(ctx, s.logsDB, logs.Config{Account: s.opt.Account, Region: s.region, JobRetention: days})
			return err
		},
		func() (err error) {
			s.objects, err = openObjects(ctx, s.opt.Contents, s3.Options{Dir: s.path("objects"), Region: s.region, Account: s.opt.Account, Domains: s.opt.Gates.domains(), Log: s.log})
			return err
		},
	}
	errs := make(chan error, len(steps))
	for _, step := range steps {
		go func() { errs <- step() }()
	}
	var failed error
	for range steps {
		failed = errors.Join(failed, <-errs)
	}
	return failed
}

func (s *Server) close() {
	var closers []io.Closer
	if s.objects != nil {
		closers = append(closers, s.objects)
	}
	if s.logsDB != nil {
		closers = append(closers, s.logsDB)
	}
	if s.db != nil {
		closers = append(closers, s.db)
	}
	for _, c := range closers {
		if err := c.Close(); err != nil {
			s.log.Error("closing", "error", err)
		}
	}
}

// keepDenials is how many refused requests can be explained.
const keepDenials = 10_000

// muxes put the services on one address, and the object store alone on another.
func (s *Server) muxes() (all, objects *wire.Mux) {
	s.minter.Alive = s.attemptAlive
	denials := authz.NewDenials(keepDenials)
	auth := &sigv4.Verifier{
		Keys: keys.Any(keys.Root(s.root, s.opt.Account), s.iam, s.minter),
		V2:   &sigv4.Version2{Region: s.region, Allow: s.allowVersion2, Bucket: s.objects.HostBucket},
	}
	s.objects.TakeForms(auth)
	options := wire.MuxOptions{
		Account: s.opt.Account, DefaultRegion: s.region,
		Auth:       auth,
		Authorizer: s.iam, Denials: denials,
		Log: s.access,
	}
	m, direct := wire.NewMux(options), wire.NewMux(options)
	jobs := batch.New(batch.Options{Manager: s.manager, Account: s.opt.Account, Region: s.region, Limits: s.opt.Limits, Roles: s.iam})
	m.Add(jobs.Wire())
	m.Add(s.logs.Wire())
	m.Add(s.iam.Wire())
	m.Add(sts.New(sts.Options{Minter: s.minter, Directory: s.iam}))
	m.Add(wire.Bind(native.Ops, native.New(s.manager, s.logs, s.life).Explain(denials).Tell(jobs).Keep(s.objects).Pass(s.objects)))
	s.caller = m
	for _, m := range []*wire.Mux{m, direct} {
		m.Raw("s3", s.objects.Serve)
		m.Judge("s3", s.objects.Judge)
	}
	return m, direct
}

func (s *Server) access(a wire.Access) {
	if a.Status >= 500 && a.Status != http.StatusNotImplemented && a.Err != nil {
		s.log.Error("request failed", "service", a.Service, "operation", a.Operation, "status", a.Status, "request", a.RequestID, "error", a.Err)
		return
	}
	s.log.Debug("request", "service", a.Service, "operation", a.Operation, "status", a.Status, "code", a.Code, "took", a.Took)
}

// serve runs the manager, the listener and the worker until one of them or the user ends it.
func (s *Server) serve(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	managed := make(chan error, 1)
	managerCtx, stopManager := context.WithCancel(context.WithoutCancel(ctx))
	go func() { managed <- s.manager.Run(managerCtx) }()
	defer func() { stopManager(); <-managed }()

	if err := batch.EnsureDefaults(ctx, s.manager, defaultMaxVCPUs); err != nil {
		return err
	}
	gates, err := s.openGates(ctx)
	if err != nil {
		return err
	}
	served := gates.serve(managerCtx, s.log)
	defer gates.close()
	if err := s.announce(); err != nil {
		return err
	}
	defer os.Remove(s.path(serverFile))
	go s.keepWorker(ctx)
	go s.keepHouse(ctx)
	triggered := make(chan struct{})
	go func() { defer close(triggered); s.objects.RunTriggers(ctx, s.caller) }()
	defer func() { cancel(); <-triggered }()
	if s.opt.Ready != nil {
		s.opt.Ready(s.endpoint)
	}
	select {
	case <-ctx.Done():
	case <-s.life.ended:
	case err := <-served:
		return err
	case err := <-managed:
		managed <- err // for who waits for its end
		return fmt.Errorf("the job manager ended: %w", err)
	}
	cancel()
	s.wind()
	stop, done := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer done()
	stopManager() // open polls answer at once
	return gates.shutdown(stop)
}

// defaultMaxVCPUs is the maxvCpus of the environment local: above any single host.
const defaultMaxVCPUs = 1024

// announce writes server.json, by which the other commands find the server.
func (s *Server) announce() error {
	said := map[string]any{"endpoint": s.endpoint, "pid": os.Getpid(), "version": s.opt.Version, "embedded": s.opt.Embedded}
	maps.Copy(said, s.gates)
	b, err := json.Marshal(said)
	if err != nil {
		return err
	}
	return writeFile(s.path(serverFile), b)
}
