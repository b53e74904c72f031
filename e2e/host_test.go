package e2e

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
)

// traces is what jobs could leave behind on a host.
type traces struct {
	mounts    []string
	cgroups   []string // of drover
	processes []string // that carry a job's mark in their environment
	files     []string // in attempts' folders
}

// look takes the traces of this server's jobs.
func (s *server) look() traces {
	s.t.Helper()
	var tr traces
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		s.t.Fatal(err)
	}
	for line := range strings.Lines(string(mounts)) {
		if strings.Contains(line, s.data) {
			tr.mounts = append(tr.mounts, strings.TrimSpace(line))
		}
	}
	// The launcher names its control groups after its folder, so that the next one finds them.
	sum := sha256.Sum256([]byte(filepath.Join(s.data, "worker")))
	name := "drover-" + hex.EncodeToString(sum[:4])
	_ = filepath.WalkDir("/sys/fs/cgroup", func(path string, d os.DirEntry, err error) error {
		if err == nil && d.IsDir() && strings.Contains(path, name) {
			tr.cgroups = append(tr.cgroups, path)
		}
		return nil // a group may go while we look
	})
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		s.t.Fatal(err)
	}
	for _, dir := range dirs {
		env, err := os.ReadFile(filepath.Join(dir, "environ"))
		if err == nil && strings.Contains(string(env), "DROVER_E2E_MARK="+s.data) {
			cmd, _ := os.ReadFile(filepath.Join(dir, "cmdline"))
			tr.processes = append(tr.processes, fmt.Sprintf("%s %q", filepath.Base(dir), cmd))
		}
	}
	_ = filepath.WalkDir(filepath.Join(s.data, "worker", "attempts"), func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			tr.files = append(tr.files, path)
		}
		return nil
	})
	return tr
}

// marked is a submission whose processes can be told from all others.
func (s *server) marked(in *batch.SubmitJobInput, command ...string) string {
	s.t.Helper()
	in.JobQueue, in.JobName = aws.String("default"), aws.String("e2e")
	in.ContainerOverrides = &types.ContainerOverrides{Command: command, Environment: []types.KeyValuePair{{Name: aws.String("DROVER_E2E_MARK"), Value: &s.data}}}
	return *call[batch.SubmitJobOutput](s, "SubmitJob", in).JobId
}

// pid reads a process id from a lock file of the worker's folder.
func (s *server) pid(name string) int {
	s.t.Helper()
	b, err := os.ReadFile(filepath.Join(s.data, "worker", name))
	if err != nil {
		s.t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.Fields(string(b))[0])
	if err != nil {
		s.t.Fatalf("%s holds %q", name, b)
	}
	return pid
}

// TestNothingStays runs many jobs, some of which leave children behind, then kills the
// launcher under running ones. Afterwards the host is as it was. DROVER_E2E_JOBS sets how many.
func TestNothingStays(t *testing.T) {
	n := count(t, "DROVER_E2E_JOBS", 1000)
	s := serve(t)
	s.define("tidy", "0.25", 2)
	id := s.marked(&batch.SubmitJobInput{JobDefinition: aws.String("tidy"), ArrayProperties: &types.ArrayProperties{Size: aws.Int32(int32(n))}},
		"sh", "-c", `echo x > "$TMPDIR/left"; if [ $((AWS_BATCH_JOB_ARRAY_INDEX % 50)) = 0 ]; then sleep 600 & fi`)
	if d := s.ended(id, 5*time.Minute); d.Status != types.JobStatusSucceeded {
		t.Fatalf("the array is %s: %s", d.Status, aws.ToString(d.StatusReason))
	}
	s.tidy("after the array")

	sleepers := s.marked(&batch.SubmitJobInput{JobDefinition: aws.String("tidy"), RetryStrategy: &types.RetryStrategy{Attempts: aws.Int32(1)},
		ArrayProperties: &types.ArrayProperties{Size: aws.Int32(4)}}, "sh", "-c", "setsid sleep 600 & sleep 600")
	s.await(20*time.Second, "four sleepers run", func() bool {
		return s.describe(sleepers).ArrayProperties.StatusSummary["RUNNING"] == 4
	})
	if err := syscall.Kill(s.pid("launcher.lock"), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if d := s.ended(sleepers, time.Minute); d.Status != types.JobStatusFailed {
		t.Errorf("jobs of a killed launcher are %s", d.Status)
	}
	child := s.describe(sleepers + ":0")
	if want := "Host EC2 (instance i-"; !strings.HasPrefix(aws.ToString(child.StatusReason), want) {
		t.Errorf("statusReason = %q, want one that begins %q", aws.ToString(child.StatusReason), want)
	}
	again := s.marked(&batch.SubmitJobInput{JobDefinition: aws.String("tidy")}, "true")
	if d := s.ended(again, time.Minute); d.Status != types.JobStatusSucceeded {
		t.Errorf("a job after the new launcher's start is %s", d.Status)
	}
	s.tidy("after the killed launcher's next start")
}

// pooled bounds what the launcher and the worker keep for the next attempts: empty control
// groups and folders with their token files. It does not grow with the number of jobs.
const pooled = 64

// tidy waits until jobs have left nothing on the host but what is pooled.
func (s *server) tidy(when string) {
	s.t.Helper()
	var now traces
	same := func() bool {
		now = s.look()
		return len(now.mounts) == 0 && len(now.cgroups) <= pooled && len(now.processes) == 0 && len(now.files) <= pooled
	}
	for deadline := time.Now().Add(10 * time.Second); !same(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			s.t.Fatalf("%s there are mounts %v, control groups %v, processes %v, files %v", when, now.mounts, now.cgroups, now.processes, now.files)
		}
	}
}

// TestServerRestartKeepsJobs ends the server with SIGTERM while a job runs: the job goes on
// and its end is recorded by the next server.
func TestServerRestartKeepsJobs(t *testing.T) {
	s := serve(t)
	s.define("long", "0.5", 1)
	gate := filepath.Join(t.TempDir(), "gate")
	id := s.submit(&batch.SubmitJobInput{JobDefinition: aws.String("long")}, "sh", "-c", `echo begun; while [ ! -e "$0" ]; do sleep 0.02; done; echo ended; exit 3`, gate)
	s.await(20*time.Second, "the job runs", func() bool { return s.describe(id).Status == types.JobStatusRunning })
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Wait(); err != nil {
		t.Fatalf("SIGTERM ended the server with %v", err)
	}
	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s.start()
	d := s.ended(id, 30*time.Second)
	if d.Status != types.JobStatusFailed || aws.ToInt32(d.Container.ExitCode) != 3 || len(d.Attempts) != 1 {
		t.Errorf("the job is %s, exit code %d, %d attempts; want FAILED, 3, 1", d.Status, aws.ToInt32(d.Container.ExitCode), len(d.Attempts))
	}
}
