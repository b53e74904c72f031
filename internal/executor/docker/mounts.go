package docker

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"drover/internal/core/job"
	"drover/internal/executor"

	"github.com/moby/moby/api/types/mount"
)

// mounts gives everything of the host that a container sees. The scratch folder is where
// volumes of this attempt alone are made.
func (x *Executor) mounts(a executor.Attempt, scratch string) ([]mount.Mount, error) {
	var out []mount.Mount
	for _, m := range a.Mounts {
		out = append(out, bind(m.Host, m.Path, m.ReadOnly))
	}
	if a.Container == nil {
		return out, nil
	}
	for _, m := range a.Container.Mounts {
		if !path.IsAbs(m.Path) || path.Clean(m.Path) == "/" {
			return nil, fmt.Errorf("the containerPath %q of volume %s must be an absolute path below /", m.Path, m.Volume)
		}
		switch m.Kind {
		case job.HostVolume:
			source, err := x.allowed(m.Source)
			if err != nil {
				return nil, err
			}
			out = append(out, bind(source, m.Path, m.ReadOnly))
		case job.ScratchVolume:
			folder := filepath.Join(scratch, cleanName(m.Volume))
			if err := makeScratch(folder); err != nil {
				return nil, fmt.Errorf("volume %s: %w", m.Volume, err)
			}
			out = append(out, bind(folder, m.Path, m.ReadOnly))
		case job.EFSVolume:
			return nil, fmt.Errorf("volume %s is an EFS file system (%s), and this host has none; use a host volume", m.Volume, m.Source)
		default:
			return nil, fmt.Errorf("volume %s is of the kind %s, which this host does not have; use a host volume", m.Volume, m.Kind)
		}
	}
	return out, nil
}

func bind(source, target string, readOnly bool) mount.Mount {
	return mount.Mount{Type: mount.TypeBind, Source: source, Target: target, ReadOnly: readOnly}
}

// makeScratch makes a folder that whatever user a container has may write to.
func makeScratch(folder string) error {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	return os.Chmod(folder, 0o777)
}

// allowed resolves a host path and checks it against what the operator allowed. A path
// that is not there yet is made, as Docker does, when it lies in an allowed folder.
func (x *Executor) allowed(source string) (string, error) {
	refused := func(why string) (string, error) {
		return "", fmt.Errorf("the host path %s may not be mounted: %s", source, why)
	}
	if !filepath.IsAbs(source) {
		return refused("it is not an absolute path")
	}
	if len(x.opts.AllowVolumes) == 0 {
		return refused("this host allows no host volumes; start its worker with --allow-volume DIR")
	}
	real, rest, err := resolve(source)
	if err != nil {
		return refused(err.Error())
	}
	full := filepath.Join(real, rest)
	root := ""
	for _, allowed := range x.opts.AllowVolumes {
		if r, err := filepath.EvalSymlinks(allowed); err == nil && within(full, r) {
			root = r
			break
		}
	}
	if root == "" {
		if full != filepath.Clean(source) {
			return refused("it is " + full + ", which lies in no folder that this host allows (--allow-volume)")
		}
		return refused("it lies in no folder that this host allows (--allow-volume)")
	}
	for _, f := range append(slices.Clone(x.opts.Forbidden), x.socket(), x.opts.Dir) {
		if r, err := filepath.EvalSymlinks(f); err == nil {
			f = r
		}
		if within(f, full) || within(full, f) {
			return refused("it would show the job " + f + ", which belongs to the host's worker")
		}
	}
	if rest == "" {
		return full, nil
	}
	if err := makeWithin(root, full); err != nil {
		return refused(err.Error())
	}
	return full, nil
}

// resolve follows the symbolic links of as much of a path as exists and gives the rest.
func resolve(p string) (real, rest string, err error) {
	p = filepath.Clean(p)
	for {
		real, err = filepath.EvalSymlinks(p)
		if err == nil {
			return real, rest, nil
		}
		if _, e := os.Lstat(p); e == nil { // a link that leads nowhere
			return "", "", fmt.Errorf("%s is a symbolic link to nothing", p)
		}
		if !errors.Is(err, fs.ErrNotExist) || p == "/" {
			return "", "", err
		}
		rest = filepath.Join(filepath.Base(p), rest)
		p = filepath.Dir(p)
	}
}

// within reports whether a cleaned path is folder or lies below it.
func within(p, folder string) bool {
	return p == folder || folder == "/" || strings.HasPrefix(p, folder+"/")
}

// makeWithin makes a folder below root without following a link out of it.
func makeWithin(root, full string) error {
	r, err := os.OpenRoot(root)
	if err != nil {
		return err
	}
	defer r.Close()
	rel, err := filepath.Rel(root, full)
	if err != nil {
		return err
	}
	return r.MkdirAll(rel, 0o755)
}
