package certs

import (
	"crypto/tls"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// serve answers over TLS with what the keeper gives.
func serve(t *testing.T, k *Keeper) net.Addr {
	l, err := tls.Listen("tcp", "127.0.0.1:0", k.Config())
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{ErrorLog: log.New(io.Discard, "", 0)}
	served := make(chan struct{})
	go func() { defer close(served); s.Serve(l) }()
	t.Cleanup(func() { s.Close(); <-served })
	return l.Addr()
}

// dial gives the names of the certificate that a client who trusts ca is shown.
func dial(t *testing.T, s net.Addr, ca, name string) ([]string, error) {
	t.Helper()
	roots, err := Roots(ca)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := tls.Dial("tcp", s.String(), &tls.Config{RootCAs: roots, ServerName: name})
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0].DNSNames, nil
}

func TestAuthority(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "certs")
	now := time.Now()
	a, err := Open(dir, now)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Ensure(Hosts("s3.example.org"), now); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"ca.key", "server.key"} {
		if st, err := os.Stat(filepath.Join(dir, name)); err != nil || st.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v %v", name, st.Mode(), err)
		}
	}
	k, err := Keep(filepath.Join(dir, leafFile), filepath.Join(dir, leafKey), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	s := serve(t, k)
	for _, name := range []string{"localhost", "bucket.localhost", "127.0.0.1", "s3.example.org", "bucket.s3.example.org"} {
		if _, err := dial(t, s, a.CAFile(), name); err != nil {
			t.Errorf("as %s: %v", name, err)
		}
	}
	if _, err := dial(t, s, a.CAFile(), "other.example.org"); err == nil {
		t.Error("a name that was not given is vouched for")
	}

	again, err := Open(dir, now)
	if err != nil {
		t.Fatal(err)
	}
	before, _ := os.ReadFile(filepath.Join(dir, leafFile))
	if err := again.Ensure(Hosts(), now.Add(24*time.Hour)); err != nil {
		t.Fatal(err)
	}
	if same, _ := os.ReadFile(filepath.Join(dir, leafFile)); string(same) != string(before) {
		t.Error("a good certificate was replaced")
	}
	if err := again.Ensure([]string{"more.example.org"}, now); err != nil {
		t.Fatal(err)
	}
	k.now = func() time.Time { return now.Add(time.Minute) }
	names, err := dial(t, s, a.CAFile(), "more.example.org")
	if err != nil || !slices.Contains(names, "s3.example.org") {
		t.Errorf("the renewed certificate has %v, %v; it keeps the names before", names, err)
	}
	if err := again.Ensure(nil, now.Add(300*24*time.Hour)); err != nil {
		t.Fatal(err)
	}
	if shown, err := Show(filepath.Join(dir, leafFile)); err != nil || shown.Expires.Before(now.Add(600*24*time.Hour)) {
		t.Errorf("three months before its end it is %+v, %v", shown, err)
	}
}

func TestForeignKey(t *testing.T) {
	one, two := t.TempDir(), t.TempDir()
	for _, dir := range []string{one, two} {
		if _, err := Open(dir, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	key, _ := os.ReadFile(filepath.Join(two, caKeyFile))
	if err := os.WriteFile(filepath.Join(one, caKeyFile), key, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(one, time.Now()); err == nil || !strings.Contains(err.Error(), "is not the key of") {
		t.Errorf("a foreign key: %v", err)
	}
}

// TestKeeper replaces the files of a running server: a broken pair is not served.
func TestKeeper(t *testing.T) {
	dir, now := t.TempDir(), time.Now()
	a, err := Open(dir, now)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Issue([]string{"one.example.org"}, now); err != nil {
		t.Fatal(err)
	}
	cert, key := a.Server()
	var said strings.Builder
	k, err := Keep(cert, key, slog.New(slog.NewTextHandler(&said, nil)))
	if err != nil {
		t.Fatal(err)
	}
	s := serve(t, k)
	later := func(d time.Duration) { k.mu.Lock(); k.now = func() time.Time { return now.Add(d) }; k.mu.Unlock() }
	if err := os.WriteFile(cert, []byte("not yet copied to its end"), 0o644); err != nil {
		t.Fatal(err)
	}
	later(time.Minute)
	if _, err := dial(t, s, a.CAFile(), "one.example.org"); err != nil {
		t.Errorf("while the pair is broken: %v", err)
	}
	if !strings.Contains(said.String(), "served on") {
		t.Errorf("nobody was told: %q", said.String())
	}
	if err := a.Issue([]string{"two.example.org"}, now); err != nil {
		t.Fatal(err)
	}
	later(2 * time.Minute)
	if _, err := dial(t, s, a.CAFile(), "two.example.org"); err != nil {
		t.Errorf("after the files were replaced: %v", err)
	}
	if _, err := Keep(cert, filepath.Join(dir, caKeyFile), slog.New(slog.DiscardHandler)); err == nil {
		t.Error("a certificate with another's key was taken")
	}
}
