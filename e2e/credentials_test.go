package e2e

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
	"github.com/moby/moby/client"

	"drover/internal/executor/dockertest"
)

// deadWithin is how long an attempt's credentials may outlive it.
const deadWithin = 5 * time.Second

// TestCredentialsEndWithTheAttempt takes a job's credentials out of it and goes on using
// them: they are good while the attempt runs, and dead soon after it has ended, however it
// ended.
func TestCredentialsEndWithTheAttempt(t *testing.T) {
	t.Parallel()
	python := pythonWith(t, "urllib.request")
	s := serve(t)
	s.role("sdk")
	s.define("leak", "0.25", 1)
	const leak = `import os, urllib.request, sys, time
token = open(os.environ["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"]).read()
print(urllib.request.urlopen(urllib.request.Request(os.environ["AWS_CONTAINER_CREDENTIALS_FULL_URI"], headers={"Authorization": token})).read().decode(), flush=True)
time.sleep(float(sys.argv[1]))`
	for how, seconds := range map[string]string{"exited": "3", "terminated": "600"} {
		id := s.submit(&batch.SubmitJobInput{JobDefinition: aws.String("leak")}, python, "-c", leak, seconds)
		var text string
		s.await(30*time.Second, "the job has said its credentials", func() bool { text = s.log(id); return strings.Contains(text, "AccessKeyId") })
		var c struct{ AccessKeyId, SecretAccessKey, Token string }
		if err := json.Unmarshal([]byte(text), &c); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		use := func() error {
			client := sts.New(sts.Options{Region: "drover-1", BaseEndpoint: &s.endpoint, RetryMaxAttempts: 1,
				Credentials: credentials.NewStaticCredentialsProvider(c.AccessKeyId, c.SecretAccessKey, c.Token)})
			_, err := client.GetCallerIdentity(t.Context(), &sts.GetCallerIdentityInput{})
			return err
		}
		if err := use(); err != nil {
			t.Fatalf("while the attempt runs: %v", err)
		}
		if how == "terminated" {
			call[batch.TerminateJobOutput](s, "TerminateJob", &batch.TerminateJobInput{JobId: &id, Reason: aws.String("enough")})
		}
		stopped := time.UnixMilli(aws.ToInt64(s.ended(id, 60*time.Second).StoppedAt))
		var refusal smithy.APIError
		for ; refusal == nil; time.Sleep(10 * time.Millisecond) {
			if late := time.Since(stopped); late > deadWithin {
				t.Fatalf("%s: %v after its end the attempt's credentials still work", how, late)
			}
			if err := use(); err != nil && !errors.As(err, &refusal) {
				t.Fatal(err)
			}
		}
		if code := refusal.ErrorCode(); code != "InvalidClientTokenId" && code != "ExpiredToken" && code != "UnrecognizedClientException" {
			t.Errorf("%s: the dead credentials are refused with %s", how, code)
		}
		t.Logf("%s: dead %v after stoppedAt", how, time.Since(stopped).Round(time.Millisecond))
	}
}

// role makes a role that jobs may have and that may look at jobs.
func (s *server) role(name string) string {
	s.t.Helper()
	s.aws("iam", "create-role", "--role-name", name, "--assume-role-policy-document",
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"ecs-tasks.amazonaws.com"},"Action":"sts:AssumeRole"}]}`)
	s.aws("iam", "put-role-policy", "--role-name", name, "--policy-name", "look", "--policy-document",
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"batch:DescribeJobs","Resource":"*"}]}`)
	return "arn:aws:iam::000000000000:role/" + name
}

// TestJavaScriptSDKInJob and TestJavaSDKInJob: SDKs find the role's credentials and the API
// without being told, from inside of a container where an engine answers (their programs are
// the host's), else from a process. Go and boto3 have tests of their own.
func TestJavaScriptSDKInJob(t *testing.T) {
	t.Parallel()
	node := need(t, "node")
	out, err := exec.Command("npm", "root", "-g").Output()
	modules := strings.TrimSpace(string(out))
	if _, err2 := os.Stat(filepath.Join(modules, "@aws-sdk", "client-sts")); err != nil || err2 != nil {
		t.Skip("SKIP: npm has no global @aws-sdk/client-batch and client-sts")
	}
	script, err := filepath.Abs("testdata/inside.js")
	if err != nil {
		t.Fatal(err)
	}
	sdkInJob(t, []string{node, script}, []types.KeyValuePair{{Name: aws.String("NODE_PATH"), Value: &modules}}, modules, filepath.Dir(script))
}

func TestJavaSDKInJob(t *testing.T) {
	t.Parallel()
	java, javac, mvn := need(t, "java"), need(t, "javac"), need(t, "mvn")
	dir := t.TempDir()
	if out, err := exec.Command(mvn, "-q", "-o", "-B", "-f", "testdata/javasdk.xml", "dependency:build-classpath", "-Dmdep.outputFile="+dir+"/cp").CombinedOutput(); err != nil {
		t.Skipf("SKIP: Maven has not the AWS SDK for Java: %.200s", out)
	}
	jars, err := os.ReadFile(dir + "/cp")
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(javac, "-cp", string(jars), "-d", dir, "testdata/Inside.java").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	home, err := os.UserHomeDir()
	if err != nil {
		t.Fatal(err)
	}
	folders := []string{dir, filepath.Join(home, ".m2", "repository")}
	if conf, err := filepath.Glob("/etc/java-*"); err == nil {
		folders = append(folders, conf...)
	}
	sdkInJob(t, []string{java, "-Xmx128m", "-cp", dir + ":" + string(jars), "Inside"}, nil, folders...)
}

// sdkInJob runs the command as a job with a role; folders are what a container needs of the
// host beside /usr.
func sdkInJob(t *testing.T, command []string, env []types.KeyValuePair, folders ...string) {
	t.Helper()
	folders = append([]string{dockertest.HostFolder}, slices.DeleteFunc(folders, func(f string) bool { return strings.HasPrefix(f, dockertest.HostFolder+"/") })...)
	program, err := filepath.EvalSymlinks(command[0]) // links through /etc do not lead there in a container
	if err != nil {
		t.Fatal(err)
	}
	command[0] = program
	image := "host"
	var s *server
	if boxed(t) {
		image = dockertest.HostImage(t, dockertest.Engine(t))
		s = withContainers(t, "DROVER_ALLOW_VOLUME="+strings.Join(folders, ","))
	} else {
		s = serve(t)
	}
	role := s.role("sdk")
	s.defineImage("sdk", image, func(p *types.ContainerProperties) {
		p.JobRoleArn, p.Environment = &role, env
		p.ResourceRequirements[1].Value = aws.String("768")
		for i := 0; i < len(folders) && image != "host"; i++ {
			name := "v" + strconv.Itoa(i)
			p.Volumes = append(p.Volumes, types.Volume{Name: &name, Host: &types.Host{SourcePath: &folders[i]}})
			p.MountPoints = append(p.MountPoints, types.MountPoint{SourceVolume: &name, ContainerPath: &folders[i], ReadOnly: aws.Bool(true)})
		}
	})
	id := s.submit(&batch.SubmitJobInput{JobDefinition: aws.String("sdk")}, command...)
	d := s.ended(id, 120*time.Second)
	if out := s.log(id); d.Status != types.JobStatusSucceeded || !strings.Contains(out, "arn arn:aws:sts::000000000000:assumed-role/sdk/") || !strings.Contains(out, "job RUNNING") {
		t.Errorf("%s %s %s: %s", d.Status, aws.ToString(d.StatusReason), aws.ToString(d.Container.Reason), out)
	}
}

// boxed reports whether a container engine answers.
func boxed(t *testing.T) bool {
	t.Helper()
	api, err := client.New(client.FromEnv)
	if err != nil {
		return false
	}
	defer api.Close()
	_, err = api.Ping(t.Context(), client.PingOptions{})
	return err == nil
}
