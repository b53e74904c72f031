package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"

	"drover/internal/executor/dockertest"
)

// TestDeclaredData runs jobs that name their data in tags and know nothing of S3: an array
// whose children each have a file of their own beside one that all share, and a job whose
// input is missing.
func TestDeclaredData(t *testing.T) {
	need(t, "aws")
	s := serve(t)
	s.define("tool", "0.5", 1)
	s.aws("s3", "mb", "s3://work")
	dir := t.TempDir()
	for name, text := range map[string]string{"shared": strings.Repeat("x", 300_000), "in/0": "zero", "in/1": "one", "in/2": "two"} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s.aws("s3", "cp", "--recursive", dir, "s3://work", "--no-progress")
	id := s.submit(&batch.SubmitJobInput{JobDefinition: aws.String("tool"), ArrayProperties: &types.ArrayProperties{Size: aws.Int32(3)},
		Tags: map[string]string{"drover:inputs": "s3://work/shared s3://work/in/@index=mine.txt", "drover:outputs": "s3://work/out/@job/@index/=result/"}},
		"sh", "-ec", `test "$(wc -c < shared)" = 300000; tr a-z A-Z < mine.txt > result/upper`)
	if d := s.ended(id, 60*time.Second); d.Status != types.JobStatusSucceeded {
		t.Fatalf("%s: %s", d.Status, aws.ToString(d.StatusReason))
	}
	for i, want := range []string{"ZERO", "ONE", "TWO"} {
		if got := s.aws("s3", "cp", "s3://work/out/"+id+"/"+string(rune('0'+i))+"/upper", "-"); got != want {
			t.Errorf("child %d stored %q, want %q", i, got, want)
		}
	}
	id = s.submit(&batch.SubmitJobInput{JobDefinition: aws.String("tool"), Tags: map[string]string{"drover:inputs": "s3://work/none"}}, "true")
	d := s.ended(id, 60*time.Second)
	if d.Status != types.JobStatusFailed || !strings.Contains(aws.ToString(d.Container.Reason), "the input s3://work/none could not be fetched") {
		t.Errorf("a job without its input: %s, %q, %q", d.Status, aws.ToString(d.StatusReason), aws.ToString(d.Container.Reason))
	}
}

// TestDeclaredDataInContainers: a container begins in the folder that its data is in, whatever
// user it has.
func TestDeclaredDataInContainers(t *testing.T) {
	api := dockertest.Engine(t)
	need(t, "aws")
	loadProg(t, api)
	s := withContainers(t)
	s.defineImage("prog", progImage, func(p *types.ContainerProperties) { p.User = aws.String("1000:100") })
	s.aws("s3", "mb", "s3://work")
	in := filepath.Join(t.TempDir(), "in")
	if err := os.WriteFile(in, []byte("from the store"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.aws("s3", "cp", in, "s3://work/in", "--no-progress")
	id := s.submit(&batch.SubmitJobInput{JobDefinition: aws.String("prog"),
		Tags: map[string]string{"drover:inputs": "s3://work/in=data/in", "drover:outputs": "s3://work/out=made/out"}}, "read=data/in", "write=made/out")
	if d := s.ended(id, 60*time.Second); d.Status != types.JobStatusSucceeded {
		t.Fatalf("%s: %s %s\n%s", d.Status, aws.ToString(d.StatusReason), aws.ToString(d.Container.Reason), s.log(id))
	}
	if got := strings.TrimSpace(s.log(id)); got != "from the store" {
		t.Errorf("it read %q", got)
	}
	if got := s.aws("s3", "cp", "s3://work/out", "-"); got != "written" {
		t.Errorf("it stored %q", got)
	}
}
