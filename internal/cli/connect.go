package cli

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"drover/internal/core/fault"
	"drover/internal/server"
	"drover/internal/service/native"
	"drover/internal/wire"
	"drover/internal/wire/certs"
	"drover/internal/wire/keys"
	"drover/internal/wire/sigv4"
)

// defaultRegion is the region that drover says it is in unless AWS_REGION says otherwise.
const defaultRegion = "drover-1"

// complete fills in what was not given.
func (g *globals) complete(sh *shell) error {
	if g.Data == "" {
		g.Data = sh.env("DROVER_DATA")
	}
	if g.Data == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return wrong("no home folder is set; say where the data is with --data DIR")
		}
		g.Data = filepath.Join(home, ".drover")
	}
	abs, err := filepath.Abs(g.Data)
	if err != nil {
		return wrong("the data folder %q: %w", g.Data, err)
	}
	g.Data = abs
	if g.Endpoint == "" {
		g.Endpoint = sh.env("AWS_ENDPOINT_URL")
	}
	g.Endpoint = strings.TrimRight(g.Endpoint, "/")
	if g.Endpoint != "" {
		if u, err := url.Parse(g.Endpoint); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return wrong("the endpoint %q is not a URL such as http://127.0.0.1:4580; correct --endpoint or AWS_ENDPOINT_URL", g.Endpoint)
		}
	}
	return nil
}

// running is what a server writes into server.json of its data folder.
type running struct {
	Endpoint string `json:"endpoint"`
	TLS      string `json:"tls"`   // the same over TLS; "" = none
	S3       string `json:"s3"`    // the object store alone
	S3TLS    string `json:"s3tls"` // the same over TLS
	CA       string `json:"ca"`    // the authority of its certificate if that is drover's own
	PID      int    `json:"pid"`
	Version  string `json:"version"`
}

// serverOf reads the data folder's server.json. It may be left over from a dead server.
func serverOf(data string) (running, error) {
	var r running
	b, err := os.ReadFile(filepath.Join(data, "server.json"))
	if err != nil {
		return r, err
	}
	if err := json.Unmarshal(b, &r); err != nil || r.Endpoint == "" || r.PID <= 0 {
		return r, fmt.Errorf("%s is damaged; remove it and start the server again", filepath.Join(data, "server.json"))
	}
	return r, nil
}

// furtherGates are the addresses of the running server beside its endpoint.
func (g *globals) furtherGates() map[string]string {
	r, err := serverOf(g.Data)
	if err != nil { // it is just going
		return nil
	}
	all := map[string]string{"tls": r.TLS, "s3": r.S3, "s3tls": r.S3TLS}
	maps.DeleteFunc(all, func(_, url string) bool { return url == "" })
	return all
}

// trust is what https connections trust beside the system's authorities: --ca-bundle,
// AWS_CA_BUNDLE, or the authority of the data folder's server. Nil is the system's alone.
func (g *globals) trust(sh *shell) (roots *x509.CertPool, path string, err error) {
	path = g.CABundle
	if path == "" {
		path = sh.env("AWS_CA_BUNDLE")
	}
	if path == "" {
		path = filepath.Join(g.Data, server.CertsFolder, "ca.pem")
		if _, err := os.Stat(path); err != nil {
			return nil, "", nil
		}
	}
	if path, err = filepath.Abs(path); err != nil {
		return nil, "", wrong("--ca-bundle: %w", err)
	}
	if roots, err = certs.Roots(path); err != nil {
		return nil, "", wrong("%w; correct --ca-bundle or AWS_CA_BUNDLE", err)
	}
	return roots, path, nil
}

// connection is a server that answers.
type connection struct {
	endpoint string
	region   string
	creds    sigv4.Credentials
	client   *wire.Client
}

// connect finds the server and makes sure that it is one.
func (g *globals) connect(ctx context.Context, sh *shell) (*connection, error) {
	endpoint := g.Endpoint
	if endpoint == "" {
		r, err := serverOf(g.Data)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, refused("no server runs on %s; start one with drover serve, or name one with --endpoint", g.Data)
		}
		if err != nil {
			return nil, refused("%w", err)
		}
		endpoint = r.Endpoint
	}
	creds, err := g.credentials(sh)
	if err != nil {
		return nil, err
	}
	roots, _, err := g.trust(sh)
	if err != nil {
		return nil, err
	}
	c := newConnection(endpoint, region(sh), creds, roots)
	return c, c.greet(ctx)
}

func region(sh *shell) string {
	for _, name := range []string{"AWS_REGION", "AWS_DEFAULT_REGION"} {
		if r := sh.env(name); r != "" {
			return r
		}
	}
	return defaultRegion
}

// credentials are those of the environment if it names the endpoint too, else the data
// folder's: a user's keys for AWS itself are never shown to a server that he did not name.
func (g *globals) credentials(sh *shell) (sigv4.Credentials, error) {
	if g.Endpoint != "" && sh.env("AWS_ACCESS_KEY_ID") != "" {
		return sigv4.Credentials{
			AccessKey: sh.env("AWS_ACCESS_KEY_ID"), Secret: sh.env("AWS_SECRET_ACCESS_KEY"), SessionToken: sh.env("AWS_SESSION_TOKEN"),
		}, nil
	}
	path := g.credentialsFile()
	if _, err := os.Stat(path); err != nil {
		return sigv4.Credentials{}, refused("there are no credentials: %s does not exist and AWS_ACCESS_KEY_ID is not set; run eval \"$(drover env)\" on the server's host, or give --data", path)
	}
	creds, err := keys.LoadOrCreate(path)
	if err != nil {
		return creds, refused("%w", err)
	}
	return creds, nil
}

func (g *globals) credentialsFile() string { return filepath.Join(g.Data, "credentials") }

func newConnection(endpoint, region string, creds sigv4.Credentials, roots *x509.CertPool) *connection {
	transport := &http.Transport{
		TLSClientConfig:     &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout: 10 * time.Second,
		DialContext:         (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
		MaxIdleConnsPerHost: 64,
		IdleConnTimeout:     time.Minute,
		DisableCompression:  true,
	}
	return &connection{
		endpoint: endpoint, region: region, creds: creds,
		client: &wire.Client{Endpoint: endpoint, Region: region, Credentials: creds, HTTP: &http.Client{Transport: transport}, Retries: 3},
	}
}

// greet asks the endpoint something that only a drover can answer.
func (c *connection) greet(ctx context.Context) error {
	_, err := native.Call[native.ListHostsOutput](ctx, c.client, "ListHosts", &native.ListHostsInput{})
	if err == nil || ctx.Err() != nil {
		return err
	}
	f, answered := errors.AsType[*fault.Error](err)
	switch {
	case !answered:
		if e, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
			return refused("the certificate of %s cannot be trusted: %w; name its authority with --ca-bundle FILE or AWS_CA_BUNDLE (drover certs on the server's host shows it)", c.endpoint, e.Err)
		}
		if e, ok := errors.AsType[*net.OpError](err); ok {
			return refused("nothing answers at %s (%v); start a server with drover serve, or correct --endpoint or AWS_ENDPOINT_URL", c.endpoint, e.Err)
		}
		return refused("what answers at %s is not a drover; correct --endpoint or AWS_ENDPOINT_URL", c.endpoint)
	case f.Kind == fault.Denied && f.Code != "":
		return refused("%s refuses the credentials: %s; run eval \"$(drover env)\" again", c.endpoint, f.Message)
	case f.Kind == fault.Unavailable:
		return refused("%s is not ready: %s; try again in a moment", c.endpoint, f.Message)
	}
	return refused("what answers at %s is not a drover (%s); correct --endpoint or AWS_ENDPOINT_URL", c.endpoint, f.Message)
}

// loopback reports whether an endpoint is on this host, so that files and programs here are
// the ones that its worker sees.
func loopback(endpoint string) bool {
	u, err := url.Parse(endpoint)
	if err != nil {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
}
