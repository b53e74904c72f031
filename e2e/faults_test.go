package e2e

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
)

// content gets an object; nil if it is not there.
func content(t *testing.T, c *awss3.Client, bucket, key string) []byte {
	t.Helper()
	out, err := c.GetObject(t.Context(), &awss3.GetObjectInput{Bucket: &bucket, Key: &key})
	if e, ok := errors.AsType[smithy.APIError](err); ok && e.ErrorCode() == "NoSuchKey" {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	defer out.Body.Close()
	text, err := io.ReadAll(out.Body)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func noise(size int) []byte {
	b := make([]byte, size)
	rand.Read(b)
	return b
}

// TestFailedFsync makes every fsync of the running server fail, as a dying disk does: the
// server must end at once, with the reason as its last words, and the next one must have all
// that was acknowledged and nothing by halves.
func TestFailedFsync(t *testing.T) {
	strace := need(t, "strace")
	for _, size := range []int{1 << 10, 3 << 20} { // a row of the database, a file of its own
		t.Run(fmt.Sprintf("%d-bytes", size), func(t *testing.T) {
			s := serve(t, "--no-worker")
			c := s.s3(func(o *awss3.Options) { o.RetryMaxAttempts = 1 })
			if _, err := c.CreateBucket(t.Context(), &awss3.CreateBucketInput{Bucket: aws.String("faults")}); err != nil {
				t.Fatal(err)
			}
			kept, cut := noise(size), noise(size)
			s.put(t, c, "faults", "kept", string(kept))

			var said safeBuffer
			inject := exec.Command(strace, "-f", "-p", fmt.Sprint(s.cmd.Process.Pid), "-e", "trace=fsync,fdatasync", "-e", "inject=fsync,fdatasync:error=EIO", "-o", os.DevNull)
			inject.Stderr = &said
			if err := inject.Start(); err != nil {
				t.Fatal(err)
			}
			traced := make(chan error, 1)
			go func() { traced <- inject.Wait() }()
			s.await(20*time.Second, "strace has attached", func() bool {
				select {
				case err := <-traced:
					t.Skipf("SKIP: strace may not attach here: %v %s", err, said.String())
				default:
				}
				return strings.Contains(said.String(), "attached")
			})
			_, err := c.PutObject(t.Context(), &awss3.PutObjectInput{Bucket: aws.String("faults"), Key: aws.String("cut"), Body: bytes.NewReader(cut)})
			if err == nil {
				t.Error("a write was acknowledged that no fsync followed")
			}
			ended := make(chan error, 1)
			go func() { ended <- s.cmd.Wait() }()
			select {
			case err := <-ended:
				if e, ok := errors.AsType[*exec.ExitError](err); !ok || e.ExitCode() != 70 {
					t.Errorf("the server ended with %v, want exit status 70", err)
				}
			case <-time.After(30 * time.Second):
				t.Fatal("the server goes on although nothing it writes is durable")
			}
			<-traced
			log, err := os.ReadFile(filepath.Join(s.data, "serve.log"))
			if lines := strings.Split(strings.TrimSpace(string(log)), "\n"); err != nil || !strings.Contains(lines[len(lines)-1], "cannot go on") && !strings.Contains(lines[len(lines)-1], "fsync") {
				t.Errorf("its last words: %s", lines[len(lines)-1])
			}

			s.start()
			c = s.s3()
			if !bytes.Equal(content(t, c, "faults", "kept"), kept) {
				t.Error("an acknowledged object is lost")
			}
			if got := content(t, c, "faults", "cut"); got != nil && !bytes.Equal(got, cut) {
				t.Errorf("an object that was never acknowledged is there by halves: %d bytes", len(got))
			}
			s.put(t, c, "faults", "cut", "again")
			if out, err := s.drover("doctor"); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

// TestDiskFull runs a server on a small disk of its own until that is full: writes are refused
// in words, reads go on, and when there is room again so do writes, in the same process.
func TestDiskFull(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("SKIP: only root can mount a small disk")
	}
	disk := t.TempDir()
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=96m"); err != nil {
		t.Skipf("SKIP: no small disk can be mounted here: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(disk, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	s := serveOn(t, filepath.Join(disk, "data"), "--no-worker")
	ballast := filepath.Join(disk, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 32<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	c := s.s3(func(o *awss3.Options) { o.RetryMaxAttempts = 1 })
	b := aws.String("full")
	if _, err := c.CreateBucket(t.Context(), &awss3.CreateBucketInput{Bucket: b}); err != nil {
		t.Fatal(err)
	}
	put := func(key string, text []byte) error {
		_, err := c.PutObject(t.Context(), &awss3.PutObjectInput{Bucket: b, Key: &key, Body: bytes.NewReader(text)})
		return err
	}
	stored := map[string][]byte{}
	refused := func(size int) error {
		for i := range 100_000 {
			key, text := fmt.Sprintf("%d/%d", size, i), noise(size)
			if err := put(key, text); err != nil {
				return err
			}
			if size > 1<<20 || i < 3 {
				stored[key] = text
			}
		}
		return nil
	}
	for _, size := range []int{4 << 20, 16 << 10} { // files, then rows into what is left
		err := refused(size)
		e, ok := errors.AsType[smithy.APIError](err)
		if !ok || !strings.Contains(strings.ToLower(e.ErrorMessage()), "disk") && !strings.Contains(strings.ToLower(e.ErrorMessage()), "space") {
			t.Fatalf("the disk is full, and a write of %d bytes is answered %v", size, err)
		}
	}
	check := func(when string) {
		t.Helper()
		for key, text := range stored {
			if !bytes.Equal(content(t, c, "full", key), text) {
				t.Errorf("%s: %s is lost", when, key)
			}
		}
	}
	check("while the disk is full")
	if out, err := c.ListObjectsV2(t.Context(), &awss3.ListObjectsV2Input{Bucket: b, Prefix: aws.String("4194304/")}); err != nil || len(out.Contents) == 0 {
		t.Errorf("listing while the disk is full: %v", err)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	s.await(30*time.Second, "writes go on", func() bool { return put("room", []byte("again")) == nil && put("large", noise(2<<20)) == nil })
	check("with room again")
	if out, err := s.drover("doctor"); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
