package e2e

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"

	"drover/internal/core/upkeep"
)

// drover runs a command of the binary on the server's data folder.
func (s *server) drover(args ...string) (string, error) {
	cmd := exec.Command(binary, append(args, "--data", s.data)...)
	cmd.Env = clean(os.Environ())
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// TestUpkeep follows what happens to objects, has the housekeeping done, and checks a running
// server's objects, one of which somebody has damaged on the disk.
func TestUpkeep(t *testing.T) {
	s := serve(t)
	c := s.s3()
	b := aws.String("kept")
	if _, err := c.CreateBucket(t.Context(), &awss3.CreateBucketInput{Bucket: b}); err != nil {
		t.Fatal(err)
	}
	follow := exec.Command(binary, "events", "-f", "--json", "--data", s.data)
	follow.Env = clean(os.Environ())
	var lines safeBuffer
	follow.Stdout, follow.Stderr = &lines, os.Stderr
	if err := follow.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = follow.Process.Kill(); _ = follow.Wait() }()
	n := 0
	s.await(20*time.Second, "an event is followed", func() bool { // it begins when it has connected
		n++
		s.put(t, c, "kept", "first", strings.Repeat("x", n))
		return strings.Contains(lines.String(), `"eventName":"ObjectCreated:Put"`)
	})
	s.put(t, c, "kept", "day/bad", strings.Repeat("bad!", 1<<19))
	if _, err := c.DeleteObject(t.Context(), &awss3.DeleteObjectInput{Bucket: b, Key: aws.String("first")}); err != nil {
		t.Fatal(err)
	}
	id := s.submitTrue(t)
	s.await(20*time.Second, "the deletion and the job's end are followed", func() bool {
		text := lines.String()
		return strings.Contains(text, `"eventName":"ObjectRemoved:Delete"`) && strings.Contains(text, id) && strings.Contains(text, "aws.batch")
	})
	out, err := s.drover("events", "--bucket", "kept")
	if err != nil || strings.Count(out, "ObjectRemoved:Delete") != 1 || strings.Count(out, "s3://kept/day/bad") != 1 || strings.Count(out, "s3://kept/first") != n+1 {
		t.Errorf("%v\n%s", err, out)
	}

	if out, err = s.drover("objects", "housekeeping", "--now"); err != nil || !strings.Contains(out, "no bucket has any") || !strings.Contains(out, "sweep: last ") {
		t.Errorf("%v\n%s", err, out)
	}
	if out, err = s.drover("doctor"); err != nil || !strings.Contains(out, "1 objects read (2.1 MB), 0 damaged") && !strings.Contains(out, "1 objects read (2.0 MiB), 0 damaged") {
		t.Errorf("%v\n%s", err, out)
	}
	files, _ := filepath.Glob(filepath.Join(s.data, "objects", "contents", "*", "*"))
	for _, f := range files {
		if p, err := os.ReadFile(f); err == nil && bytes.HasPrefix(p, []byte("bad!")) {
			p[1<<20+5] ^= 1
			if err := os.WriteFile(f, p, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	out, err = s.drover("doctor", "--json")
	var found struct{ Damaged []upkeep.Damaged }
	if json.Unmarshal([]byte(out), &found) != nil || err == nil || len(found.Damaged) != 1 || found.Damaged[0].Bucket != "kept" || found.Damaged[0].Key != "day/bad" || found.Damaged[0].Offset != 1<<20 {
		t.Errorf("%v\n%s", err, out)
	}
}
