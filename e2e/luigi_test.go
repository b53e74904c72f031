package e2e

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// pythonWith is the interpreter, by its own path (not that of a shim), or a skip when one of
// the modules is missing.
func pythonWith(t *testing.T, modules ...string) string {
	t.Helper()
	python := need(t, "python3")
	out, err := exec.Command(python, "-c", "import sys, "+strings.Join(modules, ", ")+"\nprint(sys.executable)").Output()
	if err != nil {
		t.Skipf("SKIP: python3 has not all of %s", strings.Join(modules, ", "))
	}
	return strings.TrimSpace(string(out))
}

// result finds the line that a script under testdata ends with.
func result[T any](t *testing.T, out []byte) T {
	t.Helper()
	var v T
	for line := range strings.Lines(string(out)) {
		if text, ok := strings.CutPrefix(line, "RESULT "); ok {
			if err := json.Unmarshal([]byte(text), &v); err != nil {
				t.Fatal(err)
			}
			return v
		}
	}
	t.Fatalf("the script says no result:\n%s", out)
	return v
}

// TestLuigi runs an unmodified Luigi pipeline of three dependent BatchTasks: a broken one
// first, whose error carries the job's log, then the mended one, which goes on where the
// first ended.
func TestLuigi(t *testing.T) {
	t.Parallel()
	python := pythonWith(t, "boto3", "luigi.contrib.batch", "luigi.contrib.s3")
	step, err := filepath.Abs("testdata/pipeline_step.py")
	if err != nil {
		t.Fatal(err)
	}
	s := serve(t)
	s.aws("s3", "mb", "s3://luigi")
	definition := filepath.Join(t.TempDir(), "definition.json")
	body, err := json.Marshal(map[string]any{
		"jobDefinitionName": "luigi-step", "type": "container",
		"containerProperties": map[string]any{
			"image": "host", "vcpus": 1, "memory": 128,
			"command": []string{python, step, "Ref::script", "Ref::source", "Ref::target"},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(definition, body, 0o600); err != nil {
		t.Fatal(err)
	}
	type answer struct {
		OK            bool
		Ran, Failures []string
		Report        string
		Names         []string
	}
	run := func(more ...string) answer {
		t.Helper()
		cmd := exec.Command(python, append([]string{"testdata/luigi_pipeline.py", definition, "luigi"}, more...)...)
		cmd.Env = s.env()
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return result[answer](t, out)
	}
	if got := run("broken"); got.OK || !slices.Equal(got.Ran, []string{"extract", "count", "report"}) || len(got.Failures) != 1 ||
		!strings.Contains(got.Failures[0], "about to divide") || !strings.Contains(got.Failures[0], "ZeroDivisionError") {
		t.Errorf("the broken pipeline: %+v", got)
	}
	if got := run(); !got.OK || !slices.Equal(got.Ran, []string{"report"}) || got.Report != "6" ||
		!slices.Equal(got.Names, []string{"count.txt", "extract.txt", "report.txt"}) {
		t.Errorf("the mended pipeline: %+v", got)
	}
}
