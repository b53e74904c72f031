package worker

import (
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"drover/internal/core/job"
	"drover/internal/core/resource"
)

func TestDirSecrets(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"pw": "hunter2\n", "team_db_password": "two\nlines\n", "db-AbCdEf": "x", ".hidden": "no"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("/etc/passwd", filepath.Join(dir, "out")); err != nil {
		t.Fatal(err)
	}
	look := DirSecrets(dir)
	for from, want := range map[string]string{
		"pw": "hunter2",
		"arn:aws:secretsmanager:drover-1:000000000000:secret:db-AbCdEf": "x",
		"arn:aws:ssm:drover-1:000000000000:parameter/team/db/password":  "two\nlines",
		"/team/db/password": "two\nlines",
	} {
		if got, err := look(t.Context(), from); err != nil || got != want {
			t.Errorf("%s: %q %v, want %q", from, got, err, want)
		}
	}
	for _, from := range []string{"", "none", "../pw", "out", ".hidden", "arn:aws:ssm:drover-1:000000000000:parameter/../pw", "/"} {
		if got, err := look(t.Context(), from); err == nil {
			t.Errorf("%q gave %q", from, got)
		} else if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: %v", from, err)
		}
	}
}

// doorTo gives a door's handler in front of an API, and what the API was asked.
func doorTo(t *testing.T) (h http.Handler, g *grants, asked *[]*http.Request) {
	t.Helper()
	asked = new([]*http.Request)
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		*asked = append(*asked, r)
		w.Header().Set("X-Got", string(body))
		w.WriteHeader(http.StatusTeapot)
	}))
	t.Cleanup(api.Close)
	g = &grants{byPath: map[string]*grant{}}
	d := &door{dir: t.TempDir(), grants: g, base: func() string { return api.URL }, log: slog.New(slog.DiscardHandler), proxy: &http.Transport{}}
	t.Cleanup(d.proxy.CloseIdleConnections)
	return d.handler(d.relay()), g, asked
}

// TestDoorRelays: a signed request reaches the API as it was signed.
func TestDoorRelays(t *testing.T) {
	h, _, asked := doorTo(t)
	for _, target := range []string{"/", "/bucket/a%2Fb%20c+d?x=1&y=%2F;z", "/v1/submitjob", "/bucket//double/../x"} {
		*asked = nil
		r := httptest.NewRequest(http.MethodPut, "http://169.254.170.2:4580"+target, strings.NewReader("body"))
		r.RemoteAddr = "127.0.0.1:5"
		r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=x")
		rw := httptest.NewRecorder()
		h.ServeHTTP(rw, r)
		if rw.Code != http.StatusTeapot || rw.Header().Get("X-Got") != "body" || len(*asked) != 1 {
			t.Fatalf("%s: %d %v", target, rw.Code, rw.Header())
		}
		got := (*asked)[0]
		if got.RequestURI != target || got.Host != "169.254.170.2:4580" || got.Header.Get("Authorization") != r.Header.Get("Authorization") || got.Header.Get("X-Forwarded-For") != "" {
			t.Errorf("%s came as %s at %s with %v", target, got.RequestURI, got.Host, got.Header)
		}
	}
}

// TestDoorRefuses: nothing of the workers' protocol, and nobody from elsewhere.
func TestDoorRefuses(t *testing.T) {
	h, _, asked := doorTo(t)
	ask := func(target, from string) int {
		r := httptest.NewRequest(http.MethodPost, "http://169.254.170.2:4580"+target, nil)
		r.RemoteAddr = from
		rw := httptest.NewRecorder()
		h.ServeHTTP(rw, r)
		return rw.Code
	}
	for _, target := range []string{"/drover/link/v1/hello", "//drover/link/v1/hello", "/x/../drover/link/v1/poll", "/Drover/Link/v1/poll", "/drover/link", "/drover%2flink/v1/poll"} {
		if code := ask(target, "127.0.0.1:5"); code != http.StatusForbidden {
			t.Errorf("%s: %d", target, code)
		}
	}
	for _, from := range []string{"192.0.2.7:5", "[2001:db8::1]:5", "nonsense"} {
		if code := ask("/", from); code != http.StatusForbidden {
			t.Errorf("from %s: %d", from, code)
		}
	}
	if len(*asked) != 0 {
		t.Errorf("the API was asked %d times", len(*asked))
	}
}

func TestMetadata(t *testing.T) {
	h, g, _ := doorTo(t)
	gr := g.add(job.Lease{Attempt: 1, Fence: 1}, "path", "token", nil)
	g.describe(gr, metadata{region: "drover-1", asg: &job.Assignment{
		Name: "n", Definition: "def:3", Image: "img", Log: "def/default/abc", Environment: "local",
		Need: resource.Vector{MilliVCPU: 500, MemoryMiB: 64}}})
	get := func(target string, v any) int {
		t.Helper()
		r := httptest.NewRequest(http.MethodGet, target, nil)
		r.RemoteAddr = "127.0.0.1:5"
		rw := httptest.NewRecorder()
		h.ServeHTTP(rw, r)
		if err := json.Unmarshal(rw.Body.Bytes(), v); err != nil {
			t.Fatal(err)
		}
		return rw.Code
	}
	var c containerMetadata
	if code := get("/v4/path", &c); code != 200 || c.LogDriver != "awslogs" || c.LogOptions["awslogs-stream"] != "def/default/abc" ||
		c.LogOptions["awslogs-group"] != "/aws/batch/job" || c.LogOptions["awslogs-region"] != "drover-1" || c.Limits.CPU != 512 || c.Limits.Memory != 64 {
		t.Errorf("%d %+v", code, c)
	}
	var task taskMetadata
	if code := get("/v4/path/task", &task); code != 200 || task.Family != "def" || task.Revision != "3" || task.TaskARN != "abc" || len(task.Containers) != 1 {
		t.Errorf("%d %+v", code, task)
	}
	var no map[string]string
	for _, target := range []string{"/v4/other", "/v4/path/stats", "/v4/"} {
		if code := get(target, &no); code != http.StatusNotFound {
			t.Errorf("%s: %d", target, code)
		}
	}
	g.remove(gr)
	if code := get("/v4/path", &no); code != http.StatusNotFound {
		t.Errorf("after its end: %d", code)
	}
}

// TestShare: a container's user may read what was staged and write its result, whoever it is.
func TestShare(t *testing.T) {
	f := &folder{path: t.TempDir()}
	if err := f.stage(); err != nil {
		t.Fatal(err)
	}
	sub := f.in() + "/sub"
	if err := errors.Join(os.Mkdir(sub, 0o700), os.WriteFile(sub+"/file", nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	if err := f.share(); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]os.FileMode{f.in(): 0o755, sub: 0o755, sub + "/file": 0o644, f.out(): 0o777} {
		if st, err := os.Stat(path); err != nil || st.Mode().Perm() != want {
			t.Errorf("%s: %v %v, want %v", path, st.Mode(), err, want)
		}
	}
}
