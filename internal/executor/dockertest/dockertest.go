// Package dockertest gives tests what they need of a container engine: a client, or a skip
// with the reason when none answers, and images that are made here, so that no registry
// and no network is needed.
//
// It promises to start nothing and to install nothing: whoever wants these tests to run
// has an engine running, as .ci/run does.
package dockertest

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/moby/moby/client"
)

// answerFor is how long an engine may take to say that it is there.
const answerFor = 5 * time.Second

// Engine gives a client of the engine that DOCKER_HOST names, else of Docker's own socket.
// Without one the test is skipped.
func Engine(t testing.TB) *client.Client {
	t.Helper()
	api, err := client.New(client.FromEnv)
	if err != nil {
		t.Skipf("SKIP: no Docker daemon: %v", err)
	}
	t.Cleanup(func() { _ = api.Close() })
	ctx, cancel := context.WithTimeout(context.Background(), answerFor)
	defer cancel()
	if _, err := api.ServerVersion(ctx, client.ServerVersionOptions{}); err != nil {
		t.Skipf("SKIP: no Docker daemon answers at %s: %v", api.DaemonHost(), err)
	}
	return api
}

// Entry is a file of an image: a program or text, or a link if Link is set, or a folder if
// all but Name is empty.
type Entry struct {
	Name, Link string
	Body       []byte
	Mode       int64
}

// Image makes an image of one layer.
func Image(t testing.TB, config v1.Config, entries ...Entry) v1.Image {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, e := range entries {
		h := &tar.Header{Name: e.Name, Mode: e.Mode, Size: int64(len(e.Body)), Typeflag: tar.TypeReg}
		switch {
		case e.Link != "":
			h.Typeflag, h.Linkname, h.Mode = tar.TypeSymlink, e.Link, 0o777
		case e.Body == nil:
			h.Typeflag = tar.TypeDir
			if h.Mode == 0 {
				h.Mode = 0o755
			}
		}
		must(t, w.WriteHeader(h))
		_, err := w.Write(e.Body)
		must(t, err)
	}
	must(t, w.Close())
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(buf.Bytes())), nil })
	must(t, err)
	img, err := mutate.AppendLayers(empty.Image, layer)
	must(t, err)
	file, err := img.ConfigFile()
	must(t, err)
	file = file.DeepCopy()
	file.OS, file.Architecture, file.Config = "linux", architecture(), config
	img, err = mutate.ConfigFile(img, file)
	must(t, err)
	return img
}

// Load gives an image to the engine under a name, until the test ends.
func Load(t testing.TB, api *client.Client, as string, img v1.Image) {
	t.Helper()
	tag, err := name.NewTag(as)
	must(t, err)
	var buf bytes.Buffer
	must(t, tarball.Write(tag, img, &buf))
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	out, err := api.ImageLoad(ctx, &buf)
	must(t, err)
	_, err = io.Copy(io.Discard, out)
	must(t, err)
	must(t, out.Close())
	t.Cleanup(func() { Remove(t, api, as) })
}

// Remove removes an image; one that is not there is fine.
func Remove(t testing.TB, api *client.Client, as string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	_, _ = api.ImageRemove(ctx, as, client.ImageRemoveOptions{Force: true})
}

// HostFolder is what must be mounted, at its own path and read-only, into containers of
// HostImage.
const HostFolder = "/usr"

// HostImage loads an image that has nothing of its own: its programs are the host's, from
// HostFolder. It has a shell and all the tools that a test may want. The name is this
// test's own: test programs, and tests of one, run side by side.
func HostImage(t testing.TB, api *client.Client) string {
	t.Helper()
	entries := []Entry{{Name: "usr"}, {Name: "tmp", Mode: 0o1777}, {Name: "etc"}, {Name: "work"}, {Name: "sbin"}} // the engine puts its init into /sbin
	for _, link := range []string{"bin", "lib", "lib64"} {
		to, err := os.Readlink("/" + link)
		if err != nil && link == "bin" {
			t.Skip("SKIP: /bin is not a link to /usr/bin here, so the host's programs cannot be put in a container")
		}
		if err == nil {
			entries = append(entries, Entry{Name: link, Link: to})
		}
	}
	as := fmt.Sprintf("drover-test/host:%d-%s", os.Getpid(), strings.ReplaceAll(t.Name(), "/", "-"))
	Load(t, api, as, Image(t, v1.Config{Env: []string{"PATH=/usr/bin:/bin"}, WorkingDir: "/work"}, entries...))
	return as
}

var program = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "drover-prog-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "prog")
	build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", file, "drover/internal/executor/dockertest/prog")
	build.Env = slices.Concat(os.Environ(), []string{"CGO_ENABLED=0"})
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%w: %s", err, out)
	}
	return os.ReadFile(file)
})

// Program is the static program /prog that images without anything else are made of; see
// its own folder for what it does.
func Program(t testing.TB) Entry {
	t.Helper()
	body, err := program()
	must(t, err)
	return Entry{Name: "prog", Body: body, Mode: 0o755}
}

// Static writes the static program to a file: what a container gets as the worker's own
// program where the test's is not static.
func Static(t testing.TB) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "static")
	must(t, os.WriteFile(file, Program(t).Body, 0o755))
	return file
}

func architecture() string {
	out, err := exec.Command("go", "env", "GOARCH").Output()
	if err != nil {
		return "amd64"
	}
	return string(bytes.TrimSpace(out))
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
