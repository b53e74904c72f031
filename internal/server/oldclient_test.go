package server_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"drover/internal/server"
	"drover/internal/wire/keys"
)

// TestOldClient has s3cmd sign with version 2 where that is allowed, and where it is not.
func TestOldClient(t *testing.T) {
	s3cmd, err := exec.LookPath("s3cmd")
	if err != nil {
		t.Skip("s3cmd is not installed")
	}
	opt := options(t)
	opt.Gates = server.Gates{SigV2: true, Insecure: true, S3: "0.0.0.0:0"}
	endpoint, stop := run(t, opt)
	defer stop()
	dir := t.TempDir()
	ask := func(at string, args ...string) (string, error) {
		creds, err := keys.LoadOrCreate(filepath.Join(opt.Data, "credentials"))
		if err != nil {
			t.Fatal(err)
		}
		host := strings.TrimPrefix(at, "http://")
		config := filepath.Join(dir, "s3cfg")
		text := fmt.Sprintf("[default]\naccess_key = %s\nsecret_key = %s\nhost_base = %s\nhost_bucket = %s\nuse_https = False\nsignature_v2 = True\nmultipart_chunk_size_mb = 5\nmax_retries = 1\n", creds.AccessKey, creds.Secret, host, host)
		if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.CommandContext(t.Context(), s3cmd, append([]string{"-c", config, "--no-progress"}, args...)...).CombinedOutput()
		return string(out), err
	}
	file, back := filepath.Join(dir, "file"), filepath.Join(dir, "back")
	content := strings.Repeat("old but sound ", 500_000) // two parts
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"mb", "s3://old"}, {"put", file, "s3://old/a b+c"}, {"cp", "s3://old/a b+c", "s3://old/copy"}, {"get", "--force", "s3://old/copy", back}, {"ls", "s3://old"}, {"info", "s3://old/copy"}, {"del", "s3://old/copy"},
	} {
		if out, err := ask(endpoint, args...); err != nil {
			t.Fatalf("s3cmd %v: %v\n%s", args, err, out)
		}
	}
	if got, err := os.ReadFile(back); err != nil || string(got) != content {
		t.Errorf("%d bytes came back, %v", len(got), err)
	}
	url, err := ask(endpoint, "signurl", "s3://old/a b+c", "+600")
	if err != nil || !strings.Contains(url, "AWSAccessKeyId=") {
		t.Fatalf("signurl: %v\n%s", err, url)
	}
	if out, err := exec.CommandContext(t.Context(), "curl", "-sf", "-o", back, strings.TrimSpace(url)).CombinedOutput(); err != nil {
		t.Errorf("curl %s: %v %s", url, err, out)
	} else if got, _ := os.ReadFile(back); string(got) != content {
		t.Errorf("by the signed URL came %d bytes", len(got))
	}
	open := gatesOf(t, opt.Data)["s3"] // listens on every address
	if out, err := ask(open, "ls", "s3://old"); err == nil || !strings.Contains(out, "loopback only") {
		t.Errorf("where other hosts reach it: %v\n%s", err, out)
	}
}
