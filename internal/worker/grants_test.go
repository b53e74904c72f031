package worker_test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"drover/internal/core/job"
	"drover/internal/link"
)

// fetch asks for credentials as an SDK does.
func fetch(t *testing.T, url, token string) (int, string) {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", token)
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// holder starts a job that tells where its credentials are and runs until the file is there.
func (r *rig) holder() (a job.Assignment, url, token, flag string) {
	flag = filepath.Join(r.t.TempDir(), "go")
	a = r.assignment(`echo "$AWS_CONTAINER_CREDENTIALS_FULL_URI"; cat "$AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"; echo; while [ ! -e "$1" ]; do sleep 0.02; done`, flag)
	r.m.start(a)
	r.m.is(r.t, "two lines", func() bool { return len(r.m.logs[a.Log]) == 2 })
	lines := strings.Split(r.m.lines(a.Log), "\n")
	return a, lines[0], lines[1], flag
}

func TestCredentials(t *testing.T) {
	r := newRig(t)
	r.run()
	a, url, token, flag := r.holder()
	if !strings.HasPrefix(url, "http://127.0.0.1:") || len(token) < 32 {
		t.Fatalf("url %q token %q", url, token)
	}
	status, body := fetch(t, url, token)
	for _, want := range []string{`"AccessKeyId":"ASIATEST"`, `"SecretAccessKey":"secret"`, `"Token":"fence-1"`, `"Expiration":"20`, `"RoleArn"`} {
		if status != 200 || !strings.Contains(body, want) {
			t.Errorf("%d %s lacks %s", status, body, want)
		}
	}
	if status, _ = fetch(t, url, "guess"); status != 403 {
		t.Errorf("a wrong token: %d", status)
	}
	if status, _ = fetch(t, url+"0", token); status != 404 {
		t.Errorf("a wrong path: %d", status)
	}
	// They are the same after the worker's restart, and fetched anew.
	if err := r.halt(); err != nil {
		t.Fatal(err)
	}
	r.run()
	if status, body = fetch(t, url, token); status != 200 || !strings.Contains(body, "fence-1") {
		t.Errorf("after a restart: %d %s", status, body)
	}
	if err := os.WriteFile(flag, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	r.m.exit(t, a.Lease)
	r.idle()
	if status, _ = fetch(t, url, token); status != 404 {
		t.Errorf("after the end: %d", status)
	}
}

func TestCredentialsAreRenewed(t *testing.T) {
	r := newRig(t)
	life := -time.Second // given with the assignment: over before they are asked for
	r.m.creds = func(job.Lease) *link.Credentials {
		return &link.Credentials{AccessKeyID: "ASIA" + life.String(), Expires: time.Now().Add(life).UnixMicro()}
	}
	r.run()
	_, url, token, flag := r.holder()
	r.m.set(func() { life = time.Hour })
	if status, body := fetch(t, url, token); status != 200 || !strings.Contains(body, "ASIA1h0m0s") {
		t.Errorf("%d %s", status, body)
	}
	r.m.set(func() { life = 2 * time.Hour })
	if _, body := fetch(t, url, token); !strings.Contains(body, "ASIA1h0m0s") {
		t.Errorf("renewed in the first half of their life: %s", body)
	}
	r.m.set(func() { r.m.creds = func(job.Lease) *link.Credentials { return nil } })
	if err := os.WriteFile(flag, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	b, url, token, flag := r.holder()
	if status, body := fetch(t, url, token); status != 403 || !strings.Contains(body, "no longer valid") {
		t.Errorf("without a valid lease: %d %s", status, body)
	}
	if err := os.WriteFile(flag, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	r.m.exit(t, b.Lease)
}

func TestCredentialsFromBoto3(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("python3 is not installed")
	}
	if err := exec.Command(python, "-c", "import boto3").Run(); err != nil {
		t.Skip("boto3 is not installed")
	}
	r := newRig(t)
	r.run()
	a := r.assignment("")
	a.Command = []string{python, "-c", `
import boto3, os
c = boto3.Session().get_credentials().get_frozen_credentials()
print(c.access_key, c.secret_key, c.token, boto3.client("s3").meta.endpoint_url)
`}
	x, log := r.finish(a)
	if want := fmt.Sprintf("ASIATEST secret fence-1 %s", r.url); !x.OK() || log != want {
		t.Errorf("%+v\n%s\nwant %s", x, log, want)
	}
}
