package docker_test

import (
	"bytes"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"drover/internal/core/job"
	"drover/internal/executor"
	"drover/internal/executor/docker"
	"drover/internal/executor/dockertest"
)

// shelf is an image registry on loopback that counts what is fetched.
type shelf struct {
	host string // host:port
	user string // "" = no login
	mu   sync.Mutex
	gets map[string]int // manifests by path
}

func newShelf(t *testing.T, user, password string) *shelf {
	t.Helper()
	s := &shelf{user: user, gets: map[string]int{}}
	inner := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if u, p, _ := r.BasicAuth(); s.user != "" && (u != user || p != password) {
			w.Header().Set("WWW-Authenticate", `Basic realm="shelf"`)
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = io.WriteString(w, `{"errors":[{"code":"UNAUTHORIZED","message":"the shelf wants a login"}]}`)
			return
		}
		if r.Method == http.MethodHead && strings.Contains(r.URL.Path, "/manifests/") {
			s.mu.Lock()
			s.gets[r.URL.Path]++
			s.mu.Unlock()
		}
		inner.ServeHTTP(w, r)
	}))
	t.Cleanup(srv.Close)
	u, err := url.Parse(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	s.host = u.Host
	return s
}

// put puts an image on the shelf and gives its whole name; it is removed from the engine
// when the test ends.
func (s *shelf) put(t *testing.T, d *desk, repository string, img v1.Image, password string) string {
	t.Helper()
	full := s.host + "/" + repository
	repo, tag, _ := strings.Cut(repository, ":")
	send := func(method, path, kind string, body io.Reader) http.Header {
		t.Helper()
		req, err := http.NewRequest(method, "http://"+s.host+path, body)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", kind)
		if s.user != "" {
			req.SetBasicAuth(s.user, password)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if resp.StatusCode/100 != 2 {
			text, _ := io.ReadAll(resp.Body)
			t.Fatalf("%s %s: %s %s", method, path, resp.Status, text)
		}
		return resp.Header
	}
	blob := func(digest v1.Hash, body io.Reader) {
		t.Helper()
		to, err := url.Parse(send(http.MethodPost, "/v2/"+repo+"/blobs/uploads/", "", nil).Get("Location"))
		if err != nil {
			t.Fatal(err)
		}
		send(http.MethodPut, to.Path+"?digest="+url.QueryEscape(digest.String()), "application/octet-stream", body)
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	layers, err := img.Layers()
	must(err)
	for _, l := range layers {
		digest, err := l.Digest()
		must(err)
		body, err := l.Compressed()
		must(err)
		blob(digest, body)
	}
	config, err := img.RawConfigFile()
	must(err)
	digest, err := img.ConfigName()
	must(err)
	blob(digest, bytes.NewReader(config))
	manifest, err := img.RawManifest()
	must(err)
	kind, err := img.MediaType()
	must(err)
	send(http.MethodPut, "/v2/"+repo+"/manifests/"+tag, string(kind), bytes.NewReader(manifest))
	t.Cleanup(func() { http.DefaultClient.CloseIdleConnections() })
	t.Cleanup(func() { dockertest.Remove(t, d.api, full) })
	return full
}

func (s *shelf) fetched() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, c := range s.gets {
		n += c
	}
	return n
}

func image(t *testing.T, says string) v1.Image {
	return dockertest.Image(t, v1.Config{Entrypoint: []string{"/prog"}, Cmd: []string{"echo=" + says}}, dockertest.Program(t), dockertest.Entry{Name: says, Body: []byte(says)})
}

// TestPullOnce: however many attempts want an image, it is fetched once.
func TestPullOnce(t *testing.T) {
	d := newDesk(t, nil)
	s := newShelf(t, "", "")
	full := s.put(t, d, "team/once:1", image(t, "once"), "")
	const n = 8
	handles := make([]executor.Handle, n)
	for i := range handles {
		a := d.attempt()
		a.Image = full
		if err := d.x.Prepare(d.ctx(), a); err != nil {
			t.Fatal(err)
		}
		handles[i] = d.start(a)
	}
	for _, h := range handles {
		if x := d.wait(h); !x.OK() || d.out.of(h.Held().Lease) != "once\n" {
			t.Errorf("%+v %q", x, d.out.of(h.Held().Lease))
		}
	}
	if got := s.fetched(); got != 1 {
		t.Errorf("its manifest was fetched %d times", got)
	}
	for _, h := range handles {
		if err := h.Forget(); err != nil {
			t.Error(err)
		}
	}
	eventually(t, "the containers go", func() bool { return d.containers() == 0 })

	dockertest.Remove(t, d.api, full) // behind the executor's back
	a := d.attempt()
	a.Image = full
	d.good(a, "once\n")
	if got := s.fetched(); got != 2 {
		t.Errorf("after it was removed its manifest was fetched %d times, want 2", got)
	}
}

func TestPullFails(t *testing.T) {
	d := newDesk(t, nil)
	s := newShelf(t, "", "")
	locked := newShelf(t, "robot", "secret")
	private := locked.put(t, d, "private:1", image(t, "private"), "secret")
	gone := httptest.NewServer(nil)
	down := strings.TrimPrefix(gone.URL, "http://") + "/image:1"
	gone.Close()
	for _, c := range []struct{ name, image, say string }{
		{"no such image", s.host + "/team/none:1", "not found"},
		{"no login", private, "unauthorized: this host has no login for " + locked.host},
		{"registry down", down, "refused"},
		{"not a name", "UPPER/Case:1", "invalid reference format"},
	} {
		a := d.attempt()
		a.Image = c.image
		err := d.x.Prepare(d.ctx(), a)
		if err == nil || !strings.HasPrefix(err.Error(), "CannotPullContainerError: ") || !strings.Contains(err.Error(), c.say) {
			t.Errorf("%s: preparing says %v", c.name, err)
		}
		x, _ := d.run(a)
		if x.Code != nil || x.Cause != job.CauseStart || !strings.HasPrefix(x.Reason, "CannotPullContainerError: ") || !strings.Contains(x.Reason, c.say) {
			t.Errorf("%s: %+v", c.name, x)
		}
	}
	full := s.put(t, d, "team/none:1", image(t, "late"), "")
	a := d.attempt()
	a.Image = full
	d.good(a, "late\n") // a failure is not kept
}

func TestLogin(t *testing.T) {
	s := newShelf(t, "robot", "pass:word")
	file := filepath.Join(t.TempDir(), "config.json")
	write := func(text string) docker.Registries {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := docker.ReadRegistries(file)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	// cm9ib3Q6cGFzczp3b3Jk is robot:pass:word
	for i, text := range []string{
		`{"auths":{"HOST":{"auth":"cm9ib3Q6cGFzczp3b3Jk"}}}`,
		`{"auths":{"https://HOST/v1/":{"username":"robot","password":"pass:word"}}}`,
	} {
		r := write(strings.ReplaceAll(text, "HOST", s.host))
		d := newDesk(t, func(o *docker.Options) { o.Registries = r })
		a := d.attempt()
		a.Image = s.put(t, d, "private:"+string(rune('a'+i)), image(t, "private"), "pass:word")
		d.good(a, "private\n")
	}
	wrong := write(strings.ReplaceAll(`{"auths":{"HOST":{"username":"robot","password":"no"}}}`, "HOST", s.host))
	d := newDesk(t, func(o *docker.Options) { o.Registries = wrong })
	a := d.attempt()
	a.Image = s.host + "/private:z"
	if x, _ := d.run(a); !strings.HasPrefix(x.Reason, "CannotPullContainerError: ") || !strings.Contains(x.Reason, "unauthorized: the shelf wants a login") {
		t.Errorf("a wrong password: %+v", x)
	}
	if r := write(`{"auths":{"https://index.docker.io/v1/":{"auth":"cm9ib3Q6cGFzczp3b3Jk"}}}`); r["docker.io"].Username != "robot" {
		t.Errorf("Docker's own registry: %v", r)
	}
	for _, bad := range []string{`{`, `{"auths":{"h":{"auth":"%%%"}}}`, `{"auths":{"h":{"auth":"cm9ib3Q="}}}`, `{"credsStore":"desktop"}`, `{"credHelpers":{"h":"ecr-login"}}`} {
		if err := os.WriteFile(file, []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := docker.ReadRegistries(file); err == nil || bytes.Contains([]byte(err.Error()), []byte("robot")) {
			t.Errorf("%s: %v", bad, err)
		}
	}
	if _, err := docker.ReadRegistries(file + ".none"); err == nil {
		t.Error("a file that is not there was read")
	}
}
