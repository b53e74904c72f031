// Package inside is what the worker's own program does inside a container, where it is
// mounted because it is one static file and so runs in every image. It promises to need
// nothing there: no shell, no library, no file.
package inside

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"

	"golang.org/x/sys/unix"
)

// The commands of the program.
const (
	RedirectCommand = "redirect" // calls Redirect with what follows it
	PauseCommand    = "pause"    // calls Pause
)

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

// Pause waits until it is told to end. Being the first process of the namespace that the
// containers of a pod may share, it buries the children that others leave behind.
func Pause() {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, unix.SIGTERM, unix.SIGINT, unix.SIGCHLD)
	for s := range signals {
		if s != unix.SIGCHLD {
			return
		}
		for {
			if pid, err := unix.Wait4(-1, nil, unix.WNOHANG, nil); pid <= 0 || err != nil {
				break
			}
		}
	}
}
