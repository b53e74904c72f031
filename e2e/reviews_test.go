package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"drover/internal/executor/dockertest"
)

// TestReviewsInContainers runs the reviews example twice, as processes and as containers of
// an image that has nothing but its programs: every result and the report are the same.
func TestReviewsInContainers(t *testing.T) {
	t.Parallel()
	api := dockertest.Engine(t)
	bin := t.TempDir()
	labels, err := filepath.Abs("../examples/reviews/data/labels.tsv")
	if err != nil {
		t.Fatal(err)
	}
	entries := []dockertest.Entry{{Name: "tmp", Mode: 0o1777}}
	for name, from := range map[string]string{"worker": "", "reduce": "", "labels.tsv": labels} {
		if from == "" {
			from = filepath.Join(bin, name)
			build := exec.Command("go", "build", "-o", from, "drover/examples/reviews/"+name)
			build.Env = append(os.Environ(), "CGO_ENABLED=0")
			if out, err := build.CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
		}
		body, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		entries = append(entries, dockertest.Entry{Name: name, Body: body, Mode: 0o755})
	}
	const image = "drover-test/reviews:1"
	dockertest.Load(t, api, image, dockertest.Image(t, v1.Config{}, entries...))
	s := withContainers(t)
	run := func(image, programs, labels string) map[string]string {
		t.Helper()
		out := filepath.Join(t.TempDir(), "out")
		cmd := exec.Command(binary, "map", "--data", s.data, "--in", "../examples/reviews/data/reviews", "--out", out, "--image", image,
			"--reduce", programs+"/reduce -labels "+labels+" {in} {out}", "--", programs+"/worker", "{in}", "{out}")
		cmd.Env = clean(os.Environ())
		if text, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("drover map --image %s: %v\n%s", image, err, text)
		}
		return tree(t, out)
	}
	boxed, plain := run(image, "", "/labels.tsv"), run("host", bin, labels)
	if len(plain) < 66 || !strings.Contains(plain["/reduced/report.json"], "harbour") && !strings.Contains(plain["/reduced/report.json"], "kettle") {
		t.Errorf("as processes it made %d files, the report is %.300s", len(plain), plain["/reduced/report.json"])
	}
	for name, text := range plain {
		if boxed[name] != text {
			t.Errorf("%s is %.200q in containers and %.200q as processes", name, boxed[name], text)
		}
	}
	if len(boxed) != len(plain) {
		t.Errorf("%d files from containers, %d from processes", len(boxed), len(plain))
	}
}

// tree reads a folder: path below it → contents.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	if err := filepath.WalkDir(dir, func(p string, e os.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			b, readErr := os.ReadFile(p)
			files[strings.TrimPrefix(p, dir)], err = string(b), readErr
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return files
}
