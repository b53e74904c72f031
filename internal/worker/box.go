package worker

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"drover/internal/core/job"
	"drover/internal/executor"
)

// Where a container finds its staged files.
const (
	boxIn  = "/drover/in"
	boxOut = "/drover/out"

	boxWork = "/drover/work" // and where one with declared data begins
)

// boxed reports whether the attempt runs in a container.
func (a *attempt) boxed() bool { return a.asg.Image != job.HostImage }

// box adds to an attempt what only a container needs.
func (w *worker) box(a *attempt, spec *executor.Attempt) {
	if spec.Container == nil {
		spec.Container = a.asg.Container
	}
	spec.HostNetwork = spec.HostNetwork || w.door.loopback()
	if a.asg.Inputs+a.asg.Outputs != "" {
		spec.BoxDir = boxWork
		spec.Mounts = []executor.Mount{{Host: a.folder.work(), Path: boxWork}}
	}
	if a.asg.Stage != "" {
		spec.Mounts = []executor.Mount{{Host: a.folder.in(), Path: boxIn}, {Host: a.folder.out(), Path: boxOut}}
	}
}

// shareWork lets whatever user a container has do as it likes in the working folder.
func (f *folder) shareWork() error {
	return filepath.WalkDir(f.work(), func(p string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir():
			return os.Chmod(p, 0o777)
		}
		return os.Chmod(p, 0o666)
	})
}

// share lets whatever user a container has read the staged input and write the result. On
// the host the folder above stays the worker's alone.
func (f *folder) share() error {
	if err := os.Chmod(f.out(), 0o777); err != nil {
		return err
	}
	return filepath.WalkDir(f.in(), func(p string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir():
			return os.Chmod(p, 0o755)
		}
		return os.Chmod(p, 0o644)
	})
}

// Secrets looks up the values of secrets by ARN or name.
type Secrets func(ctx context.Context, from string) (string, error)

// maxSecret is the longest value of a secret, as AWS Secrets Manager has it.
const maxSecret = 64 << 10

// DirSecrets looks secrets up in a folder with one file each, named as the secret or
// parameter is: the ARN's last part, with "/" as "_".
func DirSecrets(dir string) Secrets {
	return func(_ context.Context, from string) (string, error) {
		name := secretName(from)
		if name == "" || strings.HasPrefix(name, ".") {
			return "", fmt.Errorf("%q does not name a secret", from)
		}
		root, err := os.OpenRoot(dir)
		if err != nil {
			return "", fmt.Errorf("the folder of secrets cannot be read: %w", err)
		}
		defer root.Close()
		text, err := root.ReadFile(name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return "", fmt.Errorf("there is no secret %s on this host (no file of that name in the worker's folder of secrets)", name)
		case err != nil:
			return "", err
		case len(text) > maxSecret:
			return "", fmt.Errorf("the secret %s has %d bytes, at most %d are allowed", name, len(text), maxSecret)
		}
		return strings.TrimSuffix(string(text), "\n"), nil
	}
}

// secretName is the file name of a secret: of arn:…:secret:NAME or arn:…:parameter/NAME
// the NAME, of anything else all of it.
func secretName(from string) string {
	if strings.HasPrefix(from, "arn:") {
		if _, name, ok := strings.Cut(from, ":secret:"); ok {
			from = name
		} else if _, name, ok := strings.Cut(from, ":parameter/"); ok {
			from = name
		}
	}
	return strings.ReplaceAll(strings.Trim(from, "/"), "/", "_")
}

// secrets looks up the variables that a job keeps elsewhere. The words are those by which
// AWS's clients know that it was this that failed.
func (w *worker) secrets(ctx context.Context, list []job.Reference) ([]job.Variable, error) {
	if w.opts.Secrets == nil {
		return nil, errors.New("ResourceInitializationError: unable to pull secrets or registry auth: this host has no secrets; start its worker with --secrets DIR")
	}
	out := make([]job.Variable, len(list))
	for i, s := range list {
		value, err := w.opts.Secrets(ctx, s.From)
		if err != nil {
			return nil, fmt.Errorf("ResourceInitializationError: unable to pull secrets or registry auth: %s: %w", s.Name, err)
		}
		out[i] = job.Variable{Name: s.Name, Value: value}
	}
	return out, nil
}
