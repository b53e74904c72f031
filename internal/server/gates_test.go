package server_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptrace"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"drover/internal/link"
	"drover/internal/server"
	"drover/internal/wire/certs"
	"drover/internal/wire/keys"
	"drover/internal/wire/sigv4"
)

// gatesOf reads the addresses that a running server announces.
func gatesOf(t *testing.T, data string) map[string]string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(data, "server.json"))
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]any
	if err := json.Unmarshal(b, &all); err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for k, v := range all {
		if s, ok := v.(string); ok {
			out[k] = s
		}
	}
	return out
}

// TestGates serves one bucket at four addresses, by path and by host name.
func TestGates(t *testing.T) {
	opt := options(t)
	opt.Gates = server.Gates{TLS: "127.0.0.1:0", S3: "127.0.0.1:0", S3TLS: "127.0.0.1:0", Hosts: []string{"store.example.org"}}
	endpoint, stop := run(t, opt)
	defer stop()
	at := gatesOf(t, opt.Data)
	roots, err := certs.Roots(at["ca"])
	if err != nil {
		t.Fatal(err)
	}
	creds, err := keys.LoadOrCreate(filepath.Join(opt.Data, "credentials"))
	if err != nil {
		t.Fatal(err)
	}
	// Every name leads to the gate that is asked; the certificate must have the name.
	ask := func(gate, method, host, path, service, body string) (int, string) {
		t.Helper()
		dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "tcp", strings.TrimPrefix(strings.TrimPrefix(gate, "https://"), "http://"))
		}
		tr := &http.Transport{DialContext: dial, TLSClientConfig: &tls.Config{RootCAs: roots}, DisableKeepAlives: true}
		scheme, _, _ := strings.Cut(gate, ":")
		r, err := http.NewRequestWithContext(t.Context(), method, scheme+"://"+host+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		sigv4.Sign(r, sigv4.HashBody([]byte(body)), creds, service, "drover-1", time.Now())
		res, err := tr.RoundTrip(r)
		if err != nil {
			t.Fatalf("%s %s%s at %s: %v", method, host, path, gate, err)
		}
		defer res.Body.Close()
		text, _ := io.ReadAll(res.Body)
		return res.StatusCode, string(text)
	}
	if code, text := ask(endpoint, "PUT", "localhost", "/gates", "s3", ""); code != 200 {
		t.Fatal(code, text)
	}
	for i, gate := range []string{endpoint, at["tls"], at["s3"], at["s3tls"]} {
		name := "/key" + string(rune('0'+i))
		for j, where := range [][2]string{{"localhost:4580", "/gates"}, {"gates.localhost", ""}, {"gates.s3.localhost", ""}, {"gates.store.example.org", ""}, {"store.example.org", "/gates"}} {
			if i%2 == 1 && j == 2 { // two labels below a wildcard no certificate has
				continue
			}
			content := where[0] + gate
			if code, text := ask(gate, "PUT", where[0], where[1]+name, "s3", content); code != 200 {
				t.Errorf("put as %s at %s: %d %s", where[0], gate, code, text)
			}
			if code, text := ask(endpoint, "GET", "localhost", "/gates"+name, "s3", ""); code != 200 || text != content {
				t.Errorf("%s is %d %q, want %q", name, code, text, content)
			}
		}
		code, text := ask(gate, "POST", "localhost", "/v1/describejobqueues", "batch", "{}")
		if direct := i >= 2; direct != (code != 200) || direct && !strings.Contains(text, "no service that is signed as") {
			t.Errorf("a Batch call at %s: %d %s", gate, code, text)
		}
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// TestWorkerOverTLS says hello to the TLS address: jobs of that worker reach the API there.
func TestWorkerOverTLS(t *testing.T) {
	opt := options(t)
	opt.Gates.TLS = "127.0.0.1:0"
	endpoint, stop := run(t, opt)
	defer stop()
	at := gatesOf(t, opt.Data)
	roots, err := certs.Roots(at["ca"])
	if err != nil {
		t.Fatal(err)
	}
	token, err := os.ReadFile(filepath.Join(opt.Data, "worker.token"))
	if err != nil {
		t.Fatal(err)
	}
	hello := func(url string) link.Welcome {
		c := link.NewClient(url, string(bytes.TrimSpace(token)), roots)
		defer c.Close()
		w, err := c.Hello(t.Context(), link.Hello{Host: "i-0123456789abcdef0"})
		if err != nil {
			t.Fatal(err)
		}
		return w
	}
	if w := hello(at["tls"]); w.Endpoint != "" {
		t.Errorf("over TLS jobs are sent to %q, not to their worker's own address", w.Endpoint)
	}
	if w := hello(endpoint); w.Endpoint != endpoint {
		t.Errorf("on this host jobs are sent to %q", w.Endpoint)
	}
	stranger := link.NewClient(at["tls"], "", nil)
	defer stranger.Close()
	var asked bool
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{WroteHeaders: func() { asked = true }})
	if _, err := stranger.Hello(ctx, link.Hello{}); err == nil || asked {
		t.Errorf("a worker that does not trust the authority spoke to the server: %v", err)
	}
}

func TestPlainStaysOnLoopback(t *testing.T) {
	for flag, opt := range map[string]server.Options{
		"--listen 0.0.0.0:0":     {Listen: "0.0.0.0:0"},
		"--listen :0":            {Listen: ":0"},
		"--s3-listen [::]:0":     {Listen: "127.0.0.1:0", Gates: server.Gates{S3: "[::]:0"}},
		"--listen 192.0.2.1:458": {Listen: "192.0.2.1:458"},
	} {
		full := options(t)
		full.Listen, full.Gates, full.Log = opt.Listen, opt.Gates, slog.New(slog.DiscardHandler)
		err := server.Run(t.Context(), full)
		if err == nil || !strings.Contains(err.Error(), flag) || !strings.Contains(err.Error(), "--insecure") || !strings.Contains(err.Error(), "tls-listen") {
			t.Errorf("%s: %v", flag, err)
		}
	}
	opt := options(t)
	opt.Listen, opt.Gates.Insecure = "0.0.0.0:0", true
	endpoint, stop := run(t, opt)
	if !strings.HasPrefix(endpoint, "http://127.0.0.1:") {
		t.Errorf("the endpoint is announced as %s", endpoint)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}
