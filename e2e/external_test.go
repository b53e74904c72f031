package e2e

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/versity/versitygw/auth"
	"github.com/versity/versitygw/backend/meta"
	"github.com/versity/versitygw/backend/posix"
	"github.com/versity/versitygw/s3api"
	"github.com/versity/versitygw/s3api/middlewares"

	"drover/internal/blob"
	"drover/internal/blob/blobtest"
	"drover/internal/blob/s3"
	"drover/internal/link/external"
)

// An S3 that is not ours: versitygw over files, as a process of its own.

// peerFolder in the environment makes this program that S3.
const peerFolder = "DROVER_E2E_PEER"

const peerAccess, peerSecret = "AKIAPEERPEERPEERPEER", "the peer's secret"

// servePeer serves until its standard input ends.
func servePeer(dir string) error {
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	files, err := posix.New(dir, meta.XattrMeta{}, posix.PosixOpts{})
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0") // the library wants to open the port itself
	if err != nil {
		return err
	}
	addr := l.Addr().String()
	l.Close()
	iam := auth.NewIAMServiceSingle(auth.Account{Access: peerAccess, Secret: peerSecret, Role: auth.RoleAdmin})
	srv, err := s3api.New(files, middlewares.RootUserConfig{Access: peerAccess, Secret: peerSecret}, "us-east-1", iam, nil, nil, nil, nil,
		s3api.WithQuiet(), s3api.WithConcurrencyLimiter(1000, 1000), s3api.WithOnListen(func() { fmt.Println("at " + addr) }))
	if err != nil {
		return err
	}
	return srv.ServeMultiPort([]string{addr})
}

// startPeer runs it and makes a bucket there.
func startPeer(t *testing.T, bucket string) (external.Address, *awss3.Client) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), peerFolder+"="+t.TempDir())
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		_ = cmd.Wait()
	})
	lines := bufio.NewScanner(out)
	addr := ""
	for addr == "" && lines.Scan() {
		addr, _ = strings.CutPrefix(lines.Text(), "at ")
	}
	if addr == "" {
		in.Close()
		_ = cmd.Wait()
		t.Skipf("SKIP: versitygw does not run here: %s", strings.TrimSpace(said.String()))
	}
	go func() { _, _ = io.Copy(io.Discard, out) }()
	at := external.Address{Bucket: bucket, Endpoint: "http://" + addr, Region: "us-east-1"}
	at.Use(peerAccess, peerSecret, "")
	c, err := at.Client(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.CreateBucket(t.Context(), &awss3.CreateBucketInput{Bucket: &bucket}); err != nil {
		t.Fatal(err)
	}
	return at, c
}

// TestContentsInAnotherS3 runs the suite of contents on an S3 that is not ours.
func TestContentsInAnotherS3(t *testing.T) {
	at, _ := startPeer(t, "contents")
	n := 0
	blobtest.Run(t, func(t *testing.T) blob.Store {
		n++
		fresh := at
		fresh.Prefix = fmt.Sprint("suite/", n)
		s, err := s3.Open(t.Context(), fresh, "e2e")
		if err != nil {
			t.Fatal(err)
		}
		return s
	})
	s, err := s3.Open(t.Context(), at, "e2e")
	if err != nil {
		t.Fatal(err)
	}
	p := blobtest.Content(1, 19<<20) // three parts
	info, err := s.Put(t.Context(), bytes.NewReader(p), -1)
	if err != nil {
		t.Fatal(err)
	}
	r, err := s.Get(t.Context(), info.ID, 17<<20, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, p[17<<20:]) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

// TestServeOverAnotherS3 is a server whose contents, encrypted, lie in another S3, and whose
// clients come over TLS with the aws CLI. It also passes a bucket through.
func TestServeOverAnotherS3(t *testing.T) {
	need(t, "aws")
	at, there := startPeer(t, "theirs")
	keysFile := filepath.Join(t.TempDir(), "keys")
	credentials := filepath.Join(t.TempDir(), "credentials")
	for path, text := range map[string]string{keysFile: strings.Repeat("ab", 32) + "\n", credentials: "[default]\naws_access_key_id = " + peerAccess + "\naws_secret_access_key = " + peerSecret + "\n"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	with := "?endpoint=" + at.Endpoint + "&credentials=" + credentials
	s := serve(t, "--objects=s3://theirs/drover"+with, "--objects-key="+keysFile, "--tls-listen=127.0.0.1:0")
	env, err := exec.Command(binary, "env", "--tls", "--data", s.data).Output()
	if err != nil {
		t.Fatal(err)
	}
	aws := func(args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "aws", args...)
		cmd.Env = append(s.env(), "AWS_MAX_ATTEMPTS=5")
		for line := range strings.Lines(string(env)) {
			if v, ok := strings.CutPrefix(strings.TrimSpace(line), "export "); ok {
				cmd.Env = append(cmd.Env, v)
			}
		}
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("aws %v: %v\n%s", args, err, out)
		}
		return string(out)
	}
	if !strings.Contains(string(env), "https://127.0.0.1:") || !strings.Contains(string(env), "AWS_CA_BUNDLE=") {
		t.Fatalf("drover env --tls prints %s", env)
	}
	file, back := filepath.Join(t.TempDir(), "file"), filepath.Join(t.TempDir(), "back")
	p := blobtest.Content(2, 20<<20)
	if err := os.WriteFile(file, p, 0o600); err != nil {
		t.Fatal(err)
	}
	aws("s3", "mb", "s3://ours")
	aws("s3", "cp", "--no-progress", file, "s3://ours/a b")
	s.kill()
	s.settings[2] = "--tls-listen=" + strings.TrimPrefix(strings.Fields(strings.SplitAfter(string(env), "https://")[1])[0], "https://")
	s.start()
	aws("s3", "cp", "--no-progress", "s3://ours/a b", back)
	if got, err := os.ReadFile(back); err != nil || !bytes.Equal(got, p) {
		t.Errorf("%d bytes came back, %v", len(got), err)
	}

	mount := exec.Command(binary, "--data", s.data, "bucket", "mount", "raw", "s3://theirs/raw"+with)
	mount.Env = clean(os.Environ())
	if out, err := mount.CombinedOutput(); err != nil || !strings.Contains(string(out), "without drover's versions and events") || strings.Contains(string(out), peerSecret) {
		t.Fatalf("mount: %v\n%s", err, out)
	}
	aws("s3", "cp", "--no-progress", file, "s3://raw/x/y")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	key := "raw/x/y"
	if out, err := there.HeadObject(ctx, &awss3.HeadObjectInput{Bucket: &at.Bucket, Key: &key}); err != nil || *out.ContentLength != int64(len(p)) {
		t.Errorf("over there: %+v, %v", out, err)
	}
	if list := aws("s3", "ls", "--recursive", "s3://raw"); !strings.Contains(list, " x/y") {
		t.Errorf("aws s3 ls: %s", list)
	}
	aws("s3", "cp", "--no-progress", "s3://raw/x/y", back)
	if got, err := os.ReadFile(back); err != nil || !bytes.Equal(got, p) {
		t.Errorf("through the mount %d bytes came back, %v", len(got), err)
	}
	aws("s3", "rm", "--recursive", "s3://raw")
	list := exec.Command(binary, "--data", s.data, "bucket", "list")
	list.Env = clean(os.Environ())
	if out, err := list.CombinedOutput(); err != nil || !strings.Contains(string(out), "mounted from s3://theirs/raw at "+at.Endpoint+", without versions and events") {
		t.Errorf("drover bucket list: %v\n%s", err, out)
	}
}
