package launcher

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// cannotStart is the reason of a command that could not be started, in the form that AWS's
// container reasons have: a word to match on, then what is wrong and what to change.
func cannotStart(format string, args ...any) string {
	return "CannotStartContainerError: " + fmt.Sprintf(format, args...)
}

const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// lookPath finds the program of a command as a shell with the job's own PATH would. A name
// with a slash is taken as it is, from dir. Empty and relative entries of PATH are skipped:
// they would mean whatever lies in the working folder.
func lookPath(name string, environment []string, dir string) (path, reason string) {
	if name == "" {
		return "", cannotStart("the command is empty; give the job definition a command")
	}
	if strings.ContainsRune(name, '/') {
		return name, ""
	}
	list := defaultPath
	for _, e := range environment {
		if v, ok := strings.CutPrefix(e, "PATH="); ok {
			list = v
		}
	}
	refused := ""
	for folder := range strings.SplitSeq(list, ":") {
		if !filepath.IsAbs(folder) {
			continue
		}
		p := folder + "/" + name
		var st unix.Stat_t
		if unix.Stat(p, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
			continue
		}
		if st.Mode&0o111 != 0 && unix.Access(p, unix.X_OK) == nil {
			return p, ""
		}
		refused = p
	}
	if refused != "" {
		return "", cannotStart("%s is not executable; run chmod +x on it", refused)
	}
	return "", cannotStart("the command %q was not found in PATH (%s); install it on the host or give its full path", name, list)
}

// startReason says why the kernel refused to start path.
func startReason(err error, path, dir string) string {
	if st, e := os.Stat(dir); e != nil || !st.IsDir() {
		return cannotStart("the working folder %s is not there", dir)
	}
	full := path
	if !filepath.IsAbs(full) {
		full = filepath.Join(dir, path)
	}
	st, statErr := os.Stat(full)
	switch {
	case errors.Is(err, unix.ENOENT) && statErr != nil:
		return cannotStart("%s does not exist; check the job definition's command", path)
	case errors.Is(err, unix.ENOENT):
		return cannotStart("%s exists but the interpreter it names does not; check its first line (#!…) or, for a compiled program, that its loader is installed", path)
	case errors.Is(err, unix.EACCES) && statErr == nil && st.IsDir():
		return cannotStart("%s is a folder; give the program in it", path)
	case errors.Is(err, unix.EACCES):
		return cannotStart("%s is not executable by this user; run chmod +x on it", path)
	case errors.Is(err, unix.ENOEXEC):
		return cannotStart("%s is neither a program for this machine nor a script whose first line begins with #!", path)
	case errors.Is(err, unix.E2BIG):
		return cannotStart("the command's words and environment are longer than the kernel allows; pass the data in a file")
	case errors.Is(err, unix.ENOTDIR):
		return cannotStart("%s: a part of the path is not a folder", path)
	case errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.ENOMEM):
		return cannotStart("the host cannot start more processes (%v); lower the number of jobs that run at once", err)
	}
	return cannotStart("%s: %v", path, err)
}
