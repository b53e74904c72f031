package docker

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"drover/internal/executor"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
	"golang.org/x/sys/unix"
)

// RedirectCommand is the command of Options.Exe that calls Redirect with what follows it.
const RedirectCommand = "redirect"

// redirectPath is where a container sees Options.Exe, when it does.
const redirectPath = "/.drover"

// redirection makes a command whose input or output are files start through Redirect: the
// engine's own way gives neither the exact bytes nor anything after a restart. The program
// is one static file, so it runs in every image.
func (x *Executor) redirection(config *container.Config, a executor.Attempt, i *image) (mount.Mount, error) {
	if x.opts.Exe == "" {
		return mount.Mount{}, fmt.Errorf("input and output in files need the program of the worker, which is not known")
	}
	in, err := inside(a.Mounts, a.Stdin)
	if err != nil {
		return mount.Mount{}, err
	}
	out, err := inside(a.Mounts, a.Stdout)
	if err != nil {
		return mount.Mount{}, err
	}
	command := a.Command
	if len(command) == 0 {
		command = i.command
	}
	config.Entrypoint = []string{redirectPath, RedirectCommand, in, out}
	config.Cmd = slices.Concat(i.entrypoint, command)
	return bind(x.opts.Exe, redirectPath, true), nil
}

// inside translates a file of the host to what a container sees of it; "" stays.
func inside(mounts []executor.Mount, file string) (string, error) {
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

// Redirect runs a command in place of this process: args are the file for its standard
// input and the one for its standard output, each "-" to leave it as it is, and then the
// command. It returns only if that fails.
func Redirect(args []string) error {
	if len(args) < 3 {
		return fmt.Errorf("the command is empty; give the job definition a command")
	}
	for i, file := range args[:2] {
		if file == "-" {
			continue
		}
		flags := unix.O_RDONLY
		if i == 1 {
			flags = unix.O_WRONLY | unix.O_CREAT | unix.O_TRUNC
		}
		fd, err := unix.Open(file, flags, 0o666)
		if err != nil {
			return fmt.Errorf("open %s: %w", file, err)
		}
		if err := unix.Dup3(fd, i, 0); err != nil {
			return err
		}
		if err := unix.Close(fd); err != nil {
			return err
		}
	}
	program := args[2]
	if !strings.ContainsRune(program, '/') {
		found, err := exec.LookPath(program)
		if err != nil {
			return fmt.Errorf("the command %q was not found in the image's PATH (%s)", program, os.Getenv("PATH"))
		}
		program = found
	}
	if err := unix.Exec(program, args[2:], os.Environ()); err != nil {
		return fmt.Errorf("%s cannot be run: %w", program, err)
	}
	return nil
}
