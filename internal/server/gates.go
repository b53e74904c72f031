package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"drover/internal/core/fault"
	"drover/internal/wire/certs"
)

// Gates are the addresses beside Options.Listen at which the server is reached, each
// host:port; "" = none.
type Gates struct {
	TLS   string // everything, over TLS
	S3    string // the object store alone: the direct port for bulk data
	S3TLS string // the same over TLS

	Cert, Key string   // files of the TLS certificate; "" = one of drover's own authority
	Hosts     []string // names of the server: for its own certificate, and below them buckets
	Insecure  bool     // plain HTTP may be served to other hosts
	SigV2     bool     // S3 requests may be signed with version 2, where only this host listens
}

// domains are the names below which buckets have virtual-host addresses, the longest first.
func (o *Gates) domains() []string {
	names := slices.DeleteFunc(slices.Clone(o.Hosts), func(h string) bool { return net.ParseIP(h) != nil })
	slices.SortFunc(names, func(a, b string) int { return len(b) - len(a) })
	return names
}

// gate is one open address.
type gate struct {
	flag    string // that asked for it
	name    string // in server.json; "" for the first, which has its own field there
	l       net.Listener
	scheme  string
	web     *http.Server
	fresh   *fresh
	handler http.Handler
}

type gates []*gate

// gateKey finds the gate of a request in its context.
type gateKey struct{}

// firstGate reports whether a request came to Options.Listen, whose address server.json
// names as the endpoint.
func firstGate(ctx context.Context) bool {
	g, ok := ctx.Value(gateKey{}).(*gate)
	return ok && g.name == ""
}

// allowVersion2 is asked for each request that is signed with version 2.
func (s *Server) allowVersion2(r *http.Request) error {
	words := "Signature version 2 is off: start the server with --s3-sigv2, or use AWS4-HMAC-SHA256."
	if s.opt.Gates.SigV2 {
		g, ok := r.Context().Value(gateKey{}).(*gate)
		if ok && g.l.Addr().(*net.TCPAddr).IP.IsLoopback() {
			return nil
		}
		words = "Signature version 2 is taken on addresses of loopback only, and this one reaches other hosts. Please use AWS4-HMAC-SHA256."
	}
	f := fault.New(fault.Unsigned, "InvalidRequest", "%s", words)
	f.Status = 400
	return f
}

// openGates listens on every address; all of them, or none and an error.
func (s *Server) openGates(ctx context.Context) (open gates, err error) {
	defer func() {
		if err != nil {
			open.close()
			open = nil
		}
	}()
	whole, objects := s.handlers()
	s.gates = map[string]any{}
	secure, err := s.certificate(ctx)
	if err != nil {
		return nil, err
	}
	o := &s.opt.Gates
	for _, g := range []struct {
		flag, name, address string
		handler             http.Handler
		secure              *tls.Config
	}{
		{"--listen", "", s.opt.Listen, whole, nil},
		{"--tls-listen", "tls", o.TLS, whole, secure},
		{"--s3-listen", "s3", o.S3, objects, nil},
		{"--s3-tls-listen", "s3tls", o.S3TLS, objects, secure},
	} {
		if g.address == "" {
			continue
		}
		l, err := s.listen(g.flag, g.address, g.secure != nil)
		if err != nil {
			return open, err
		}
		one := &gate{flag: g.flag, name: g.name, l: l, scheme: "http", fresh: newFresh(), handler: g.handler}
		if g.secure != nil {
			one.l, one.scheme = tls.NewListener(l, g.secure), "https"
		}
		open = append(open, one)
		if g.name == "" {
			s.endpoint = one.url()
		} else {
			s.gates[g.name] = one.url()
		}
	}
	return open, nil
}

// url is where this host reaches the gate.
func (g *gate) url() string {
	address := g.l.Addr().(*net.TCPAddr) // the only kind that listen opens
	host := address.IP.String()
	if address.IP.IsUnspecified() {
		host = "127.0.0.1"
	}
	return g.scheme + "://" + net.JoinHostPort(host, fmt.Sprint(address.Port))
}

// serve answers at all gates; the channel tells of one that failed.
func (all gates) serve(ctx context.Context, log *slog.Logger) <-chan error {
	failed := make(chan error, len(all))
	for _, g := range all {
		g.web = &http.Server{
			ConnState: g.fresh.note,
			// Calls that wait for something (attach, transitions, logs) end with the manager.
			BaseContext: func(net.Listener) context.Context { return context.WithValue(ctx, gateKey{}, g) },
			Handler:     g.handler, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 75 * time.Second, MaxHeaderBytes: 64 << 10,
			ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		}
		go func() {
			failed <- fmt.Errorf("the listener of %s on %s failed: %w", g.flag, g.url(), g.web.Serve(g.l))
		}()
	}
	return failed
}

// shutdown ends the gates when the requests under way are answered, or with ctx.
func (all gates) shutdown(ctx context.Context) error {
	errs := make(chan error, len(all))
	for _, g := range all {
		g.fresh.close()
		go func() {
			if g.web.Shutdown(ctx) != nil {
				errs <- g.web.Close()
				return
			}
			errs <- nil
		}()
	}
	var failed error
	for range all {
		failed = errors.Join(failed, <-errs)
	}
	return failed
}

// close frees the addresses, however far they got.
func (all gates) close() {
	for _, g := range all {
		_ = g.l.Close() // it may be closed already
	}
}

// listen opens one address. Plain HTTP stays on loopback unless told otherwise: whoever
// hears a signed request can read what it carries, and send it again.
func (s *Server) listen(flag, address string, secure bool) (net.Listener, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("%s %q is not host:port: %w", flag, address, err)
	}
	if !secure && !s.opt.Gates.Insecure && !isLoopback(host) {
		instead := strings.Replace(strings.Replace(flag, "--listen", "--tls-listen", 1), "--s3-listen", "--s3-tls-listen", 1)
		return nil, fmt.Errorf("%s %s would serve other hosts over plain HTTP, where requests and data can be read and sent again; use %s %s for them, or add --insecure if nobody else is on the network", flag, address, instead, address)
	}
	first := flag == "--listen"
	if port == "0" && first { // the URLs that running jobs know stay good
		if last, err := os.ReadFile(s.path("port")); err == nil {
			if l, err := net.Listen("tcp", net.JoinHostPort(host, string(last))); err == nil {
				return l, nil
			}
		}
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %s: %w; choose another with %s, or stop what uses it", address, err, flag)
	}
	if !first {
		return l, nil
	}
	_, got, err := net.SplitHostPort(l.Addr().String())
	if err == nil {
		err = writeFile(s.path("port"), []byte(got))
	}
	if err != nil {
		_ = l.Close()
		return nil, err
	}
	return l, nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// renewCheck is how often drover's own certificate is looked at; it has months to spare.
const renewCheck = 12 * time.Hour

// certificate is what the TLS gates serve: nil if there are none.
func (s *Server) certificate(ctx context.Context) (*tls.Config, error) {
	o := &s.opt.Gates
	if o.TLS == "" && o.S3TLS == "" {
		return nil, nil // the gates are plain
	}
	cert, key := o.Cert, o.Key
	if cert == "" {
		own, err := certs.Open(s.path(CertsFolder), time.Now())
		if err != nil {
			return nil, fmt.Errorf("drover's certificate authority: %w", err)
		}
		hosts := o.Hosts
		for _, address := range []string{o.TLS, o.S3TLS} {
			if host, _, err := net.SplitHostPort(address); err == nil {
				hosts = append(hosts, host)
			}
		}
		names := certs.Hosts(hosts...)
		if err := own.Ensure(names, time.Now()); err != nil {
			return nil, fmt.Errorf("drover's certificate: %w", err)
		}
		cert, key = own.Server()
		s.gates["ca"] = own.CAFile()
		go s.renew(ctx, own, names)
	}
	keeper, err := certs.Keep(cert, key, s.log)
	if err != nil {
		return nil, err
	}
	return keeper.Config(), nil
}

// CertsFolder is where drover's own certificate authority lies in the data folder.
const CertsFolder = "certs"

func (s *Server) renew(ctx context.Context, own *certs.Authority, names []string) {
	t := time.NewTicker(renewCheck)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		if err := own.Ensure(names, time.Now()); err != nil {
			s.log.Error("renewing the server's certificate", "error", err)
		}
	}
}

// handlers are the whole API (health, the worker protocol, the services) and the object
// store alone.
func (s *Server) handlers() (whole, objects http.Handler) {
	all, direct := s.muxes()
	workers := s.linkHandler()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch path := r.URL.Path; {
		case path == "/healthz" && r.Method == http.MethodGet:
			w.Header().Set("Content-Type", "text/plain; charset=utf-8")
			fmt.Fprintln(w, "ok: drover", s.opt.Version)
		case isLink(path):
			workers.ServeHTTP(w, r)
		default:
			all.ServeHTTP(w, r)
		}
	}), direct
}
