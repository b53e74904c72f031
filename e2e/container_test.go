package e2e

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/moby/moby/client"

	"drover/internal/executor/dockertest"
)

const progImage = "drover-test/e2e-prog:1"

// loadProg loads the image whose entrypoint is the static test program, and gives where the
// program is for processes.
func loadProg(t *testing.T, api *client.Client) string {
	t.Helper()
	p := dockertest.Program(t)
	dockertest.Load(t, api, progImage, dockertest.Image(t, v1.Config{Entrypoint: []string{"/prog"}, Env: []string{"FROM=image"}}, p, dockertest.Entry{Name: "tmp", Mode: 0o1777}))
	file := filepath.Join(t.TempDir(), "prog")
	if err := os.WriteFile(file, p.Body, 0o755); err != nil {
		t.Fatal(err)
	}
	return file
}

// withContainers is a server whose worker has seen the engine.
func withContainers(t *testing.T, settings ...string) *server {
	t.Helper()
	s := serve(t, settings...)
	s.await(20*time.Second, "the worker runs containers", func() bool {
		out, err := exec.Command(binary, "hosts", "--data", s.data, "--json").Output()
		return err == nil && bytes.Contains(out, []byte(`"docker"`))
	})
	return s
}

// defineImage registers a definition of containers; change may add to its properties.
func (s *server) defineImage(name, image string, change func(*types.ContainerProperties)) {
	s.t.Helper()
	p := &types.ContainerProperties{Image: &image, ResourceRequirements: []types.ResourceRequirement{
		{Type: types.ResourceTypeVcpu, Value: aws.String("0.5")}, {Type: types.ResourceTypeMemory, Value: aws.String("128")}}}
	if change != nil {
		change(p)
	}
	call[batch.RegisterJobDefinitionOutput](s, "RegisterJobDefinition", &batch.RegisterJobDefinitionInput{
		JobDefinitionName: &name, Type: types.JobDefinitionTypeContainer, ContainerProperties: p,
	})
}

// log is what a job wrote, as drover logs prints it.
func (s *server) log(id string) string {
	s.t.Helper()
	out, err := exec.Command(binary, "logs", "--data", s.data, id).CombinedOutput()
	if err != nil {
		s.t.Fatalf("drover logs: %v\n%s", err, out)
	}
	return string(out)
}

func TestContainerJob(t *testing.T) {
	api := dockertest.Engine(t)
	loadProg(t, api)
	s := withContainers(t)
	s.defineImage("prog", progImage, func(p *types.ContainerProperties) {
		p.User = aws.String("1000:100")
		p.ReadonlyRootFilesystem = aws.Bool(true)
		p.Volumes = []types.Volume{{Name: aws.String("scratch")}}
		p.MountPoints = []types.MountPoint{{SourceVolume: aws.String("scratch"), ContainerPath: aws.String("/scratch")}}
		p.Environment = []types.KeyValuePair{{Name: aws.String("MINE"), Value: aws.String("of the definition")}}
	})
	in := &batch.SubmitJobInput{JobDefinition: aws.String("prog")}
	id := s.submit(in, "user", "env=FROM", "env=MINE", "env=AWS_BATCH_JOB_ID", "write=/scratch/f", "read=/scratch/f", "error=and an error", "exit=3")
	d := s.ended(id, 60*time.Second)
	if d.Status != types.JobStatusFailed || aws.ToInt32(d.Container.ExitCode) != 3 || aws.ToString(d.Container.User) != "1000:100" ||
		d.StartedAt == nil || d.StoppedAt == nil || aws.ToString(d.Container.LogStreamName) == "" || len(d.Attempts) != 1 {
		t.Errorf("%s %+v", d.Status, d.Container)
	}
	got := strings.Split(strings.TrimSpace(s.log(id)), "\n")
	want := []string{"1000:100", "image", "of the definition", id, "written", "and an error"}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("it wrote %q, want %q", got, want)
	}

	s.defineImage("plain", progImage, nil)
	in.JobDefinition = aws.String("plain")
	id = s.submit(in, "eat=500")
	if d := s.ended(id, 60*time.Second); aws.ToInt32(d.Container.ExitCode) != 137 || aws.ToString(d.Container.Reason) != "OutOfMemoryError: Container killed due to memory usage" {
		t.Errorf("over its memory: %+v", d.Container)
	}
	in.ArrayProperties = &types.ArrayProperties{Size: aws.Int32(4)}
	id = s.submit(in, "env=AWS_BATCH_JOB_ARRAY_INDEX")
	if d := s.ended(id, 60*time.Second); d.Status != types.JobStatusSucceeded {
		t.Errorf("an array of containers: %s %s", d.Status, aws.ToString(d.StatusReason))
	}
	if out := s.log(id + ":2"); strings.TrimSpace(out) != "2" {
		t.Errorf("child 2 wrote %q", out)
	}
	in.ArrayProperties = nil

	id = s.submit(in, "echo=begun", "sleep=10m")
	s.await(60*time.Second, "it writes", func() bool { return strings.Contains(s.log(id), "begun") })
	call[batch.TerminateJobOutput](s, "TerminateJob", &batch.TerminateJobInput{JobId: &id, Reason: aws.String("enough")})
	if d := s.ended(id, 60*time.Second); aws.ToString(d.StatusReason) != "enough" {
		t.Errorf("terminated: %s %s", d.Status, aws.ToString(d.StatusReason))
	}

	for _, c := range []struct {
		image, reason string
		change        func(*types.ContainerProperties)
	}{
		{"127.0.0.1:1/none:1", "CannotPullContainerError: ", nil},
		{progImage, "CannotCreateContainerError: privileged is not allowed", func(p *types.ContainerProperties) { p.Privileged = aws.Bool(true) }},
		{progImage, "ResourceInitializationError: ", func(p *types.ContainerProperties) {
			p.Secrets = []types.Secret{{Name: aws.String("PW"), ValueFrom: aws.String("pw")}}
		}},
	} {
		s.defineImage("refused", c.image, c.change)
		in.JobDefinition = aws.String("refused")
		d := s.ended(s.submit(in, "echo=ran"), 60*time.Second)
		if !strings.HasPrefix(aws.ToString(d.Container.Reason), c.reason) || aws.ToString(d.StatusReason) != "Task failed to start" || d.Container.ExitCode != nil {
			t.Errorf("want %q: %s, %+v", c.reason, aws.ToString(d.StatusReason), d.Container)
		}
	}
}

// TestContainerUsesAWS: from inside of a container on a network of its own, an SDK finds
// credentials and API without being told.
func TestContainerUsesAWS(t *testing.T) {
	api := dockertest.Engine(t)
	file := filepath.Join(t.TempDir(), "inside")
	build := exec.Command("go", "build", "-o", file, "drover/e2e/inside")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	body, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	const image = "drover-test/inside:1"
	dockertest.Load(t, api, image, dockertest.Image(t, v1.Config{Entrypoint: []string{"/inside"}}, dockertest.Entry{Name: "inside", Body: body, Mode: 0o755}))
	s := withContainers(t)
	s.defineImage("inside", image, nil)
	s.aws("s3", "mb", "s3://inside")
	id := s.submit(&batch.SubmitJobInput{JobDefinition: aws.String("inside")}, "inside")
	d := s.ended(id, 60*time.Second)
	out := s.log(id)
	if d.Status != types.JobStatusSucceeded || !strings.Contains(out, "source CredentialsEndpointProvider temporary true") ||
		!strings.Contains(out, "object hello") || !strings.Contains(out, "jobs 1 true") {
		t.Errorf("%s: %s", d.Status, out)
	}
	if got := s.aws("s3", "cp", "s3://inside/from a container/ü+1", "-"); got != "hello" {
		t.Errorf("it stored %q", got)
	}
}

// TestBoto3InContainer does that with boto3, whose programs are the host's.
func TestBoto3InContainer(t *testing.T) {
	api := dockertest.Engine(t)
	python := need(t, "python3")
	where, err := exec.Command(python, "-c", "import sys, boto3; print(sys.executable); print(sys.prefix)").Output()
	if err != nil {
		t.Skip("SKIP: python3 has no boto3")
	}
	lines := strings.Fields(string(where))
	image := dockertest.HostImage(t, api)
	s := withContainers(t, "DROVER_ALLOW_VOLUME=/usr,"+lines[1])
	s.defineImage("python", image, func(p *types.ContainerProperties) {
		for i, dir := range []string{"/usr", lines[1]} {
			name := "v" + strconv.Itoa(i)
			if i == 1 && strings.HasPrefix(dir, "/usr") {
				continue
			}
			p.Volumes = append(p.Volumes, types.Volume{Name: &name, Host: &types.Host{SourcePath: aws.String(dir)}})
			p.MountPoints = append(p.MountPoints, types.MountPoint{SourceVolume: &name, ContainerPath: aws.String(dir), ReadOnly: aws.Bool(true)})
		}
	})
	id := s.submit(&batch.SubmitJobInput{JobDefinition: aws.String("python")}, lines[0], "-c", `
import boto3, os, urllib.request, json
print("method", boto3.Session().get_credentials().method)
print("who", boto3.client("sts").get_caller_identity()["Account"])
print("job", boto3.client("batch").describe_jobs(jobs=[os.environ["AWS_BATCH_JOB_ID"]])["jobs"][0]["status"])
m = json.load(urllib.request.urlopen(os.environ["ECS_CONTAINER_METADATA_URI_V4"]))
print("log", m["LogDriver"], m["LogOptions"]["awslogs-group"], m["LogOptions"]["awslogs-stream"])
`)
	d := s.ended(id, 60*time.Second)
	out := s.log(id)
	for _, want := range []string{"method container-role", "who 000000000000", "job RUNNING", "log awslogs /aws/batch/job " + aws.ToString(d.Container.LogStreamName)} {
		if !strings.Contains(out, want) {
			t.Errorf("%s, without %q: %s", d.Status, want, out)
		}
	}
}

// TestMapImage: drover map gives the same results in containers as with processes.
func TestMapImage(t *testing.T) {
	api := dockertest.Engine(t)
	prog := loadProg(t, api)
	s := withContainers(t)
	in := filepath.Join(t.TempDir(), "in")
	for i := range 6 {
		file := filepath.Join(in, fmt.Sprintf("d%d/file %d.txt", i%2, i))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, fmt.Appendf(nil, "text %d\nwithout an end", i), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run := func(image string, command ...string) map[string]string {
		t.Helper()
		out := filepath.Join(t.TempDir(), "out")
		cmd := exec.Command(binary, append([]string{"map", "--data", s.data, "--in", in, "--out", out, "--image", image, "--"}, command...)...)
		cmd.Env = clean(os.Environ())
		if text, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("drover map --image %s: %v\n%s", image, err, text)
		}
		return tree(t, out)
	}
	for _, c := range [][]string{{"upper"}, {"read={in}"}, {"write={out}"}} {
		boxed := run(progImage, c...)
		plain := run("host", append([]string{prog}, c...)...)
		if len(boxed) != 6 || fmt.Sprint(boxed) != fmt.Sprint(plain) {
			t.Errorf("%v: in containers %q, as processes %q", c, boxed, plain)
		}
	}
}

// TestContainerOutlivesWorker kills the worker under a running container: the next worker
// takes it over, and its log is whole, each line once.
func TestContainerOutlivesWorker(t *testing.T) {
	api := dockertest.Engine(t)
	loadProg(t, api)
	s := withContainers(t)
	s.defineImage("prog", progImage, nil)
	var words, want []string
	for i := range 40 {
		words = append(words, fmt.Sprint("echo=line ", i), "sleep=200ms")
		want = append(want, fmt.Sprint("line ", i))
	}
	id := s.submit(&batch.SubmitJobInput{JobDefinition: aws.String("prog")}, words...)
	s.await(60*time.Second, "it writes", func() bool { return strings.Contains(s.log(id), "line 3\n") })
	for range 2 {
		pid := s.pid("worker.lock")
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		s.await(20*time.Second, "another worker runs", func() bool {
			b, err := os.ReadFile(filepath.Join(s.data, "worker", "worker.lock"))
			return err == nil && strings.TrimSpace(string(b)) != strconv.Itoa(pid) && len(b) > 1
		})
		time.Sleep(500 * time.Millisecond) // some of the output is this worker's
	}
	d := s.ended(id, 90*time.Second)
	if d.Status != types.JobStatusSucceeded || len(d.Attempts) != 1 {
		t.Errorf("%s after %d attempts: %s", d.Status, len(d.Attempts), aws.ToString(d.StatusReason))
	}
	if got := strings.Split(strings.TrimSpace(s.log(id)), "\n"); !slices.Equal(got, want) {
		t.Errorf("its log is %q", got)
	}
}
