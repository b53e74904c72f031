package e2e

import (
	"os/exec"
	"strings"
	"testing"

	"drover/internal/executor/dockertest"
)

// What boto3 sees of jobs of several containers, as processes and in containers: an init
// container, an essential one that waits for it, and a sidecar that is stopped at the end.
func TestBoto3Pods(t *testing.T) {
	python := pythonWith(t, "boto3")
	run := func(t *testing.T, s *server, words ...string) {
		t.Helper()
		cmd := exec.Command(python, append([]string{"testdata/boto3_pods.py"}, words...)...)
		cmd.Env = s.env()
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		for _, line := range []string{"main | main reads", "init | init writes", "side | side serves"} {
			if log := s.log(result[string](t, out)); !strings.Contains(log, line) {
				t.Errorf("drover logs does not say %q:\n%s", line, log)
			}
		}
	}
	t.Run("processes", func(t *testing.T) {
		run(t, serve(t), "host", ".", dockertest.Static(t))
	})
	t.Run("containers", func(t *testing.T) {
		loadProg(t, dockertest.Engine(t))
		run(t, withContainers(t), progImage, "/shared")
	})
}
