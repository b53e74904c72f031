package docker

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"drover/internal/core/job"
)

// cgroupRoot is where control groups are mounted.
const cgroupRoot = "/sys/fs/cgroup"

// groups gives each container a control group of its own around the engine's. The engine's
// ends with the container and takes the figures with it; this one stays until the attempt
// is forgotten and has the sums of what was in it, also for a worker that comes later.
//
// It weighs as much as its container, for containers compete with each other on its level.
// Where the engine keeps groups in another way (systemd), or on a host whose groups cannot
// be changed, there are none, and nothing is known of what a container used.
type groups struct {
	root    string
	unified bool // version 2
	under   string
}

// findGroups says how to make groups here; nil if that cannot be done.
func findGroups(root, driver, version string) *groups {
	if driver != "cgroupfs" {
		return nil
	}
	g := &groups{root: root, unified: version == "2", under: "drover"}
	if g.unified {
		for _, level := range []string{"", g.under} {
			dir := filepath.Join(root, level)
			if os.MkdirAll(dir, 0o755) != nil || os.WriteFile(filepath.Join(dir, "cgroup.subtree_control"), []byte("+cpu +memory"), 0) != nil {
				return nil
			}
		}
		return g
	}
	for _, dir := range g.all("") {
		if os.MkdirAll(dir, 0o755) != nil {
			return nil
		}
	}
	return g
}

// all are the folders of a group: one, or one for each hierarchy that is of use here.
func (g *groups) all(name string) []string {
	if g.unified {
		return []string{filepath.Join(g.root, g.under, name)}
	}
	var out []string
	for _, hierarchy := range []string{"cpu", "cpuacct", "memory"} {
		out = append(out, filepath.Join(g.root, hierarchy, g.under, name))
	}
	return out
}

// parent is what the engine is told.
func (g *groups) parent(name string) string { return "/" + filepath.Join(g.under, name) }

// make makes a group with the weight of its container.
func (g *groups) make(name string, shares int64) error {
	for _, dir := range g.all(name) {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	if g.unified {
		weight := 1 + (min(max(shares, 2), 262144)-2)*9999/262142 // as the engine converts them
		return os.WriteFile(filepath.Join(g.all(name)[0], "cpu.weight"), []byte(strconv.FormatInt(weight, 10)), 0)
	}
	return os.WriteFile(filepath.Join(g.all(name)[0], "cpu.shares"), []byte(strconv.FormatInt(shares, 10)), 0)
}

// used gives what was used in a group; zero where that is not known.
func (g *groups) used(name string) (u job.Usage) {
	if g.unified {
		dir := g.all(name)[0]
		u.CPUMillis = keyed(filepath.Join(dir, "cpu.stat"), "usage_usec") / 1000
		u.PeakMemKiB = number(filepath.Join(dir, "memory.peak")) >> 10
		return u
	}
	dirs := g.all(name)
	u.CPUMillis = number(filepath.Join(dirs[1], "cpuacct.usage")) / int64(time.Millisecond)
	u.PeakMemKiB = number(filepath.Join(dirs[2], "memory.max_usage_in_bytes")) >> 10
	return u
}

// remove removes a group from every hierarchy; the engine made those that we did not.
func (g *groups) remove(name string) (err error) {
	dirs := g.all(name)
	if !g.unified {
		if dirs, err = filepath.Glob(filepath.Join(g.root, "*", g.under, name)); err != nil {
			return err
		}
	}
	for _, dir := range dirs {
		below, _ := filepath.Glob(filepath.Join(dir, "*", "cgroup.procs")) // Podman leaves its own behind
		for _, b := range below {
			_ = os.Remove(filepath.Dir(b)) // what is not empty makes the next fail
		}
		if e := os.Remove(dir); e != nil && !errors.Is(e, fs.ErrNotExist) {
			err = errors.Join(err, e)
		}
	}
	return err
}

// names lists the groups that begin with a prefix.
func (g *groups) names(prefix string) []string {
	var out []string
	seen := map[string]bool{}
	pattern := filepath.Join(g.root, "*", g.under, prefix+"*")
	if g.unified {
		pattern = filepath.Join(g.root, g.under, prefix+"*")
	}
	found, _ := filepath.Glob(pattern) // a host's id has nothing that is special to it
	for _, f := range found {
		if name := filepath.Base(f); !seen[name] {
			seen[name] = true
			out = append(out, name)
		}
	}
	return out
}

func number(file string) int64 {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// keyed reads one number of a file with a name and a number on each line.
func keyed(file, name string) int64 {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if k, v, ok := strings.Cut(strings.TrimSpace(line), " "); ok && k == name {
			n, err := strconv.ParseInt(v, 10, 64)
			if err != nil {
				return 0
			}
			return n
		}
	}
	return 0
}

// group gives a container its control group and says where the engine is to put it; "" =
// where it likes.
func (x *Executor) group(name string, shares int64) string {
	x.mu.Lock()
	g := x.groups
	x.mu.Unlock()
	if g == nil {
		return ""
	}
	if err := g.make(name, shares); err != nil {
		x.log.Debug("a container has no control group of its own: what it uses is not known", "container", name, "error", err)
		_ = g.remove(name) // what there is of it
		return ""
	}
	return g.parent(name)
}

// used gives what a container has used.
func (x *Executor) used(name string) job.Usage {
	x.mu.Lock()
	g := x.groups
	x.mu.Unlock()
	if g == nil {
		return job.Usage{}
	}
	return g.used(name)
}

// ungroup removes the control group of a container that is gone. The kernel may take a
// moment to let go of what was in it; what is left goes with the next start.
func (x *Executor) ungroup(name string) error {
	x.mu.Lock()
	g := x.groups
	x.mu.Unlock()
	if g == nil {
		return nil
	}
	var err error
	for n := range 8 {
		if err = g.remove(name); err == nil {
			return nil
		}
		time.Sleep(time.Millisecond << n)
	}
	return fmt.Errorf("the control group of container %s is left: %w", name, err)
}

// sweepGroups removes the groups of containers that no attempt has.
func (x *Executor) sweepGroups(kept map[string]bool) {
	x.mu.Lock()
	g := x.groups
	x.mu.Unlock()
	if g == nil {
		return
	}
	for _, name := range g.names(x.prefix()) {
		if !kept[name] {
			_ = g.remove(name) // what cannot be removed yet goes with a later start
		}
	}
}
