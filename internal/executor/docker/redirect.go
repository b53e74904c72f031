package docker

import (
	"fmt"
	"path/filepath"
	"slices"

	"drover/internal/executor"
	"drover/internal/executor/docker/inside"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
)

// redirectPath is where a container sees Options.Exe, when it does.
const redirectPath = "/.drover"

// redirection makes a command whose input or output are files start through inside.Redirect: the
// engine's own way gives neither the exact bytes nor anything after a restart. The program
// is one static file, so it runs in every image.
func (x *Executor) redirection(config *container.Config, a executor.Attempt, i *image) (mount.Mount, error) {
	if x.opts.Exe == "" {
		return mount.Mount{}, fmt.Errorf("input and output in files need the program of the worker, which is not known")
	}
	in, err := seen(a.Mounts, a.Stdin)
	if err != nil {
		return mount.Mount{}, err
	}
	out, err := seen(a.Mounts, a.Stdout)
	if err != nil {
		return mount.Mount{}, err
	}
	command := a.Command
	if len(command) == 0 {
		command = i.command
	}
	config.Entrypoint = []string{redirectPath, inside.RedirectCommand, in, out}
	config.Cmd = slices.Concat(i.entrypoint, command)
	return bind(x.opts.Exe, redirectPath, true), nil
}

// seen translates a file of the host to what a container sees of it; "" stays.
func seen(mounts []executor.Mount, file string) (string, error) {
	if file == "" {
		return "-", nil
	}
	for _, m := range mounts {
		if rel, err := filepath.Rel(m.Host, file); err == nil && filepath.IsLocal(rel) {
			return filepath.Join(m.Path, rel), nil
		}
	}
	return "", fmt.Errorf("the file %s lies in no folder that the container sees", file)
}
