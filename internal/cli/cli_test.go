package cli

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// call runs the command line in a world of the test's own.
func call(t *testing.T, env map[string]string, args ...string) (code int, out, errs string) {
	t.Helper()
	var o, e bytes.Buffer
	sh := &shell{out: &o, err: &e, env: func(name string) string { return env[name] }, width: func() int { return 80 }}
	code = run(t.Context(), args, sh)
	return code, o.String(), e.String()
}

func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestHelp(t *testing.T) {
	for _, args := range [][]string{{}, {"--help"}, {"map", "--help"}, {"serve", "--help"}, {"stop", "--help"}, {"logs", "--help"}} {
		code, out, errs := call(t, nil, args...)
		if code != exitOK || errs != "" || !strings.Contains(out, "Usage: drover") {
			t.Errorf("%v: exit %d, %q, %q", args, code, out, errs)
		}
	}
	if code, out, _ := call(t, nil, "version"); code != exitOK || out != "drover "+Version+"\n" {
		t.Errorf("version: exit %d, %q", code, out)
	}
}

func TestUsage(t *testing.T) {
	in := folder(t, map[string]string{"a": "1"})
	out := t.TempDir()
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"nonsense"}, "nonsense"},
		{[]string{"map", "--bogus"}, "see drover map --help"},
		{[]string{"map", "--out", out, "--", "true"}, "--in is missing"},
		{[]string{"map", "--in", in, "--", "true"}, "--out is missing"},
		{[]string{"map", "--in", in, "--out", out}, "there is no command"},
		{[]string{"map", "--in", in + "/none", "--out", out, "--", "true"}, "no such file or directory; correct --in"},
		{[]string{"map", "--in", t.TempDir(), "--out", out, "--", "true"}, "there is no file in"},
		{[]string{"map", "--in", in, "--out", in + "/out", "--", "true"}, "choose another --out"},
		{[]string{"map", "--in", in, "--out", in + "/a/x", "--", "true"}, "choose another --out"},
		{[]string{"map", "--in", in, "--out", out, "--", "no-such-program"}, `the command "no-such-program" cannot be run: no such program in $PATH`},
		{[]string{"map", "--in", in, "--out", out, "--", "./no-such-program"}, "no such file or directory"},
		{[]string{"map", "--in", in, "--out", out, "--", in + "/a"}, "permission denied"},
		{[]string{"map", "--in", in, "--out", out, "--reduce", "no-such-reduce {in}", "--", "true"}, "no-such-reduce"},
		{[]string{"map", "--in", in, "--out", out, "--reduce", " ", "--", "true"}, "--reduce is empty"},
		{[]string{"map", "--in", in, "--out", out, "--retries", "10", "--", "true"}, "0 to 9"},
		{[]string{"map", "--in", in, "--out", out, "--memory", "1", "--", "true"}, "at least 4 MiB"},
		{[]string{"map", "--in", in, "--out", out, "--vcpus", "0", "--", "true"}, "at least 0.01"},
		{[]string{"map", "--resume", someJob, "--in", in}, "leave --in"},
		{[]string{"jobs", "--endpoint", "localhost:4580"}, "is not a URL"},
		{[]string{"jobs", "--limit", "0"}, "1 to 1000"},
		{[]string{"serve", "--account", "7"}, "12 digits"},
		{[]string{"serve", "--limits", "none"}, "must be one of"},
	} {
		code, _, errs := call(t, map[string]string{"DROVER_DATA": t.TempDir()}, c.args...)
		if code != exitUsage || !strings.Contains(errs, c.want) || strings.Count(errs, "\n") != 1 {
			t.Errorf("%v: exit %d, %q; want exit %d and one line with %q", c.args, code, errs, exitUsage, c.want)
		}
	}
}

func TestNoServer(t *testing.T) {
	data := t.TempDir()
	other := httptest.NewServer(http.NotFoundHandler())
	defer other.Close()
	key := map[string]string{"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret"}
	named := func(endpoint string) map[string]string {
		return map[string]string{"AWS_ENDPOINT_URL": endpoint, "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret"}
	}
	for _, c := range []struct {
		env  map[string]string
		args []string
		want string
	}{
		{key, []string{"jobs"}, "no server runs on " + data},
		{nil, []string{"env"}, "start one with drover serve"},
		{nil, []string{"stop"}, "no server runs on"},
		{nil, []string{"jobs", "--endpoint", other.URL}, "there are no credentials"},
		{named("http://127.0.0.1:1"), []string{"jobs"}, "nothing answers at http://127.0.0.1:1"},
		{named(other.URL), []string{"jobs"}, "is not a drover"},
	} {
		code, _, errs := call(t, c.env, append(c.args, "--data", data)...)
		if code != exitService || !strings.Contains(errs, c.want) {
			t.Errorf("%v: exit %d, %q; want exit %d and %q", c.args, code, errs, exitService, c.want)
		}
	}
}

// A key for AWS itself must not be shown to a server that the data folder names.
func TestKeysOfTheEnvironmentAreOnlyForItsEndpoint(t *testing.T) {
	data := folder(t, map[string]string{"credentials": "[default]\naws_access_key_id = OURS\naws_secret_access_key = s\n"})
	if err := os.Chmod(filepath.Join(data, "credentials"), 0o600); err != nil {
		t.Fatal(err)
	}
	env := map[string]string{"AWS_ACCESS_KEY_ID": "THEIRS", "AWS_SECRET_ACCESS_KEY": "x"}
	sh := &shell{env: func(name string) string { return env[name] }}
	g := &globals{Data: data}
	if c, err := g.credentials(sh); err != nil || c.AccessKey != "OURS" {
		t.Errorf("without an endpoint: %q, %v; want the data folder's", c.AccessKey, err)
	}
	g.Endpoint = "http://127.0.0.1:4580"
	if c, err := g.credentials(sh); err != nil || c.AccessKey != "THEIRS" {
		t.Errorf("with an endpoint: %q, %v; want the environment's", c.AccessKey, err)
	}
}

func TestEnv(t *testing.T) {
	data := folder(t, map[string]string{
		"credentials": "[default]\naws_access_key_id = AKIA1\naws_secret_access_key = a/b+c\n",
		"server.json": `{"endpoint":"http://127.0.0.1:4580","pid":1,"version":"x"}`,
	})
	if err := os.Chmod(filepath.Join(data, "credentials"), 0o600); err != nil {
		t.Fatal(err)
	}
	code, out, errs := call(t, nil, "env", "--data", data)
	if code != exitOK {
		t.Fatalf("exit %d, %s", code, errs)
	}
	golden(t, "env", []byte(out))
	if code, out, _ = call(t, nil, "env", "--data", data, "--json"); code != exitOK || !strings.Contains(out, `"AWS_SECRET_ACCESS_KEY": "a/b+c"`) {
		t.Errorf("as JSON: exit %d, %s", code, out)
	}
	if code, _, errs = call(t, nil, "env", "--data", folder(t, map[string]string{"server.json": "{"})); code != exitService || !strings.Contains(errs, "is damaged") {
		t.Errorf("a damaged file: exit %d, %s", code, errs)
	}
}

func TestReadInputs(t *testing.T) {
	dir := folder(t, map[string]string{"b.txt": "22", "a/z": "1", "a/.hidden": "333", "a b/ü": ""})
	elsewhere := folder(t, map[string]string{"file": "4444", "sub/x": ""})
	for name, target := range map[string]string{"link": elsewhere + "/file", "folder": elsewhere + "/sub"} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	got, file, skipped, err := readInputs(dir)
	if err != nil || file || skipped != 1 {
		t.Fatalf("file %v, %d skipped, %v", file, skipped, err)
	}
	var text []string
	for _, it := range got {
		text = append(text, it.Path+" "+sized(it.Size))
	}
	if g, want := strings.Join(text, ", "), "a b/ü 0 B, a/.hidden 3 B, a/z 1 B, b.txt 2 B, link 4 B"; g != want {
		t.Errorf("inputs %s, want %s", g, want)
	}
	got, file, _, err = readInputs(filepath.Join(dir, "b.txt"))
	if err != nil || !file || len(got) != 1 || got[0].Path != "b.txt" {
		t.Errorf("one file: %v, %v, %v", got, file, err)
	}
}

func TestBadInputs(t *testing.T) {
	dir := folder(t, map[string]string{"fine": ""})
	for _, name := range []string{"l1", "l2", "l3", "l4"} {
		if err := os.Symlink("nowhere", filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "a-pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, _, _, err := readInputs(dir)
	if err == nil {
		t.Fatal("unreadable inputs were accepted")
	}
	for _, want := range []string{"a-pipe is not a file", "l2: no such file or directory", "and 2 others", "move them out of --in"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want %q in it", err, want)
		}
	}
}

func TestUnreadableInput(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root can read every file")
	}
	dir := folder(t, map[string]string{"secret": "x"})
	if err := os.Chmod(filepath.Join(dir, "secret"), 0); err != nil {
		t.Fatal(err)
	}
	if _, _, _, err := readInputs(dir); err == nil || !strings.Contains(err.Error(), "permission denied") {
		t.Errorf("got %v, want a word about permissions", err)
	}
}

func TestRetryStrategy(t *testing.T) {
	if s := retryStrategy(2); *s.Attempts != 3 || len(s.EvaluateOnExit) != 0 {
		t.Errorf("2 retries: %+v", s)
	}
	if s := retryStrategy(0); *s.Attempts < 2 || len(s.EvaluateOnExit) != 2 || *s.EvaluateOnExit[0].OnStatusReason != "Host EC2*" {
		t.Errorf("no retries, but the loss of a host does not count: %+v", s)
	}
}

func TestParallel(t *testing.T) {
	var sum [100]int
	if err := parallel(t.Context(), len(sum), func(_ context.Context, i int) error { sum[i]++; return nil }); err != nil {
		t.Fatal(err)
	}
	for i, n := range sum {
		if n != 1 {
			t.Fatalf("%d was done %d times", i, n)
		}
	}
}

func TestParallelStopsAtTheFirstError(t *testing.T) {
	boom := errors.New("boom")
	err := parallel(t.Context(), 1_000_000, func(ctx context.Context, i int) error {
		if i == 3 {
			return boom
		}
		return nil
	})
	if !errors.Is(err, boom) {
		t.Errorf("got %v, want the error", err)
	}
}
