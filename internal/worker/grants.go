package worker

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"drover/internal/core/job"
	"drover/internal/link"
)

// credentialsPath is where attempts fetch credentials; the rest of the path is theirs.
const credentialsPath = "/v1/credentials/"

// grants serves attempts their credentials as Amazon ECS does for containers: on loopback,
// below a path that nobody can guess, to who knows the token in the attempt's token file.
// They are renewed while the lease lives; after it the path is gone.
type grants struct {
	srv     *http.Server
	port    int
	refresh func(ctx context.Context, l job.Lease) (*link.Credentials, error)

	mu     sync.Mutex // guards byPath
	byPath map[string]*grant
}

// grant is one attempt's.
type grant struct {
	lease job.Lease
	path  string

	about metadata // what a container may learn of itself

	refresh func(ctx context.Context, l job.Lease) (*link.Credentials, error) // nil = as all others

	mu    sync.Mutex // guards the rest; held while credentials are fetched, so that one fetches for all
	token string
	creds *link.Credentials
	renew time.Time // half of their life is over
	ended bool
}

// openGrants listens on the port that the file names, so that running jobs still find it
// after a restart, else on any.
func openGrants(portFile string, refresh func(context.Context, job.Lease) (*link.Credentials, error)) (*grants, error) {
	text, _ := os.ReadFile(portFile) // none: the first start
	port, _ := strconv.Atoi(strings.TrimSpace(string(text)))
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil && port != 0 {
		l, err = net.Listen("tcp", "127.0.0.1:0") // somebody took it: adopted jobs lose theirs
	}
	if err != nil {
		return nil, fmt.Errorf("cannot serve credentials to jobs: %w", err)
	}
	g := &grants{port: l.Addr().(*net.TCPAddr).Port, refresh: refresh, byPath: map[string]*grant{}}
	if g.port != port {
		if err := writeFile(portFile, strconv.Itoa(g.port)+"\n"); err != nil {
			_ = l.Close()
			return nil, err
		}
	}
	g.srv = &http.Server{
		Handler:           g,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       30 * time.Second,
		MaxHeaderBytes:    16 << 10,
	}
	go func() { _ = g.srv.Serve(l) }() // ends with close
	return g, nil
}

func (g *grants) close() { _ = g.srv.Close() }

// add makes a grant. Credentials may come later.
func (g *grants) add(l job.Lease, path, token string, c *link.Credentials) *grant {
	gr := &grant{lease: l, path: path, token: token}
	gr.keep(c)
	g.mu.Lock()
	defer g.mu.Unlock()
	if path != "" {
		g.byPath[path] = gr
	}
	return gr
}

func (gr *grant) keep(c *link.Credentials) {
	if c != nil {
		gr.creds = c
		now := time.Now()
		gr.renew = now.Add(time.UnixMicro(c.Expires).Sub(now) / 2)
	}
}

// describe says what the grant's container may learn of itself.
func (g *grants) describe(gr *grant, m metadata) {
	g.mu.Lock()
	defer g.mu.Unlock()
	gr.about = m
}

func (g *grants) setToken(gr *grant, token string) {
	gr.mu.Lock()
	defer gr.mu.Unlock()
	gr.token = token
}

func (g *grants) remove(gr *grant) {
	if gr == nil {
		return
	}
	g.mu.Lock()
	delete(g.byPath, gr.path)
	g.mu.Unlock()
	gr.mu.Lock()
	gr.ended, gr.creds, gr.token = true, nil, ""
	gr.mu.Unlock()
}

// url is what the attempt is told.
func (g *grants) url(gr *grant) string {
	return "http://127.0.0.1:" + strconv.Itoa(g.port) + credentialsPath + gr.path
}

// current gives credentials that are good for a while. With anew, the ones at hand were
// refused and others are fetched.
func (g *grants) current(ctx context.Context, gr *grant, anew bool) (link.Credentials, error) {
	gr.mu.Lock()
	defer gr.mu.Unlock()
	now := time.Now()
	if gr.ended {
		return link.Credentials{}, fmt.Errorf("the attempt has ended, and its credentials with it")
	}
	if gr.creds != nil && now.Before(gr.renew) && !anew {
		return *gr.creds, nil
	}
	refresh := g.refresh
	if gr.refresh != nil {
		refresh = gr.refresh
	}
	c, err := refresh(ctx, gr.lease)
	if err == nil && c != nil {
		gr.keep(c)
		return *c, nil
	}
	if gr.creds != nil && now.Before(time.UnixMicro(gr.creds.Expires)) && !anew {
		return *gr.creds, nil // the manager is away; these still hold
	}
	if err == nil {
		err = fmt.Errorf("the lease is no longer valid")
	}
	return link.Credentials{}, err
}

// ServeHTTP answers in the form of the ECS credentials endpoint.
func (g *grants) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	path, ok := strings.CutPrefix(r.URL.Path, credentialsPath)
	g.mu.Lock()
	gr := g.byPath[path]
	g.mu.Unlock()
	if !ok || gr == nil {
		refuse(rw, http.StatusNotFound, "no attempt has credentials here; it may have ended")
		return
	}
	if r.Method != http.MethodGet {
		refuse(rw, http.StatusMethodNotAllowed, "use GET")
		return
	}
	gr.mu.Lock()
	token := gr.token
	gr.mu.Unlock()
	given := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	if token == "" || subtle.ConstantTimeCompare([]byte(given), []byte(token)) != 1 {
		refuse(rw, http.StatusForbidden, "the authorization token is not that of the attempt's token file")
		return
	}
	c, err := g.current(r.Context(), gr, false)
	if err != nil {
		refuse(rw, http.StatusForbidden, err.Error())
		return
	}
	answer(rw, http.StatusOK, map[string]string{
		"AccessKeyId":     c.AccessKeyID,
		"SecretAccessKey": c.SecretAccessKey,
		"Token":           c.SessionToken,
		"Expiration":      time.UnixMicro(c.Expires).UTC().Format(time.RFC3339),
		"RoleArn":         "",
	})
}

func refuse(rw http.ResponseWriter, status int, message string) {
	answer(rw, status, map[string]string{"code": http.StatusText(status), "message": message})
}

func answer(rw http.ResponseWriter, status int, v any) {
	rw.Header().Set("Content-Type", "application/json")
	rw.WriteHeader(status)
	_ = json.NewEncoder(rw).Encode(v) // a job that hung up asks again
}

// refresh asks the manager for an attempt's credentials.
func (w *worker) refresh(ctx context.Context, l job.Lease) (*link.Credentials, error) {
	a, err := w.credentials(ctx, l)
	if err != nil {
		return nil, err
	}
	return a.Credentials[0], nil
}

// refreshStaging asks for those that move an attempt's data.
func (w *worker) refreshStaging(ctx context.Context, l job.Lease) (*link.Credentials, error) {
	a, err := w.credentials(ctx, l)
	if err != nil || len(a.Staging) != 1 {
		return nil, err
	}
	return a.Staging[0], nil
}

func (w *worker) credentials(ctx context.Context, l job.Lease) (a link.CredentialsAnswer, err error) {
	session := w.sessionOf()
	a, err = w.link.Credentials(ctx, link.CredentialsRequest{Host: w.host, Session: session, Leases: []job.Lease{l}})
	if err != nil {
		if unknown(err) {
			w.helloAgain(session)
		}
		return a, err
	}
	w.heard()
	if len(a.Credentials) != 1 {
		return a, fmt.Errorf("the manager answered with %d credentials for one lease", len(a.Credentials))
	}
	return a, nil
}
