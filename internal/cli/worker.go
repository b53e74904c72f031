package cli

import (
	"bufio"
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"drover/internal/core/job"
	"drover/internal/core/resource"
	"drover/internal/executor/process"
	"drover/internal/worker"
)

// workerCommand is `drover worker`.
type workerCommand struct {
	VCPUs       float64       `name:"vcpus" placeholder:"N" help:"vCPUs to offer (default: all of the host's)."`
	Memory      int64         `placeholder:"MiB" help:"Memory to offer (default: the host's, less a reserve for the system)."`
	GPUs        *int          `name:"gpus" env:"DROVER_GPUS" placeholder:"N" help:"GPUs to offer, each to one job at a time; 0 = none (default: all that NVIDIA's driver or nvidia-smi tells of)."`
	Server      string        `placeholder:"URL" help:"Server of another host to work for, such as https://batch.example.org:4582 (default: that of the data folder)."`
	Token       string        `type:"path" placeholder:"FILE" help:"That server's worker token, a copy of worker.token in its data folder."`
	OrphanAfter time.Duration `default:"10m" placeholder:"D" help:"Time without a manager after which jobs are ended and the worker leaves (default ${default})."`
	Attributes  []string      `name:"attribute" env:"DROVER_ATTRIBUTES" placeholder:"KEY=VALUE" help:"What jobs may require of this host with their tag drover:requires, such as pool=night or type=c5.large. arch is told by itself, and gpu (the model, such as A100) where the driver or nvidia-smi tells it."`
	Cache       *int64        `env:"DROVER_CACHE" placeholder:"MiB" help:"Room for objects that jobs needed and the next may need too; 0 = keep none (default: 10 GiB, or a tenth of the disk if that is less)."`

	Containers containerFlags `embed:""`
}

// Help is shown by drover worker --help.
func (*workerCommand) Help() string {
	return `Runs this host's worker for the server of the data folder. drover serve starts one by itself, in a session of its own; with drover serve --no-worker you choose what it offers:

  drover serve --no-worker &
  drover worker --vcpus 2 --memory 4096

Jobs whose image is not "host" run as containers when a Docker Engine answers. They get no folder, device or privilege of the host that is not allowed here; the variables (DROVER_ALLOW_VOLUME, DROVER_GPUS and so on, lists with commas) also reach the worker that drover serve starts:

  drover worker --allow-volume /data --secrets /etc/drover/secrets

On another host than the server's, over TLS (drover certs on the server's host shows ca.pem):

  drover worker --server https://batch.example.org:4582 --token worker.token --ca-bundle ca.pem

When it is told to end, its jobs run on and the next worker takes them over.`
}

// Run carries out the command.
func (c *workerCommand) Run(ctx context.Context, sh *shell, g *globals) error {
	endpoint, token, err := c.server(g)
	if err != nil {
		return err
	}
	roots, bundle, err := g.trust(sh)
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return refused("find this program: %w", err)
	}
	capacity, err := c.capacity()
	if err != nil {
		return err
	}
	dir := filepath.Join(g.Data, "worker")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return refused("make the worker's folder: %w", err)
	}
	cache, err := c.cache()
	if err != nil {
		return err
	}
	ctx, release := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer release()
	log := slog.New(slog.NewTextHandler(sh.err, nil))
	containers, err := c.Containers.engine(dir, self, g.Data, log)
	if err != nil {
		return err
	}
	found := gpusOf(ctx, os.DirFS("/proc"))
	devices, err := c.offered(found)
	if err != nil {
		return err
	}
	capacity.GPU = int64(len(devices))
	attributes, err := c.attributes(modelOfAll(found[:min(len(found), len(devices))]))
	if err != nil {
		return err
	}
	locate := g.locate
	if c.Server != "" {
		locate = nil
	}
	err = worker.Run(ctx, worker.Options{
		Containers: containers, HostNetwork: c.Containers.DockerNetwork == "host", Secrets: c.Containers.store(),
		Dir: dir, Endpoint: endpoint, Locate: locate, Token: token, Roots: roots, CABundle: bundle, Capacity: capacity, Devices: devices, Attributes: attributes, OrphanAfter: c.OrphanAfter, Cache: cache, Log: log,
		Executor: process.New(process.Options{
			Dir: dir, Exe: self, OrphanAfter: c.OrphanAfter, Note: func(s string) { log.Warn(s) },
		}),
	})
	if err != nil && !errors.Is(err, context.Canceled) {
		return refused("%w", err)
	}
	return nil
}

// attributes are what the worker says of its host, the architecture in AWS's words. The model
// of its GPUs is what was found if it is not given.
func (c *workerCommand) attributes(model string) ([]string, error) {
	arch := "arch=X86_64"
	if runtime.GOARCH == "arm64" {
		arch = "arch=ARM64"
	}
	out, given := []string{arch}, false
	for _, a := range c.Attributes {
		key, value, ok := strings.Cut(a, "=")
		if !ok || key == "arch" || !job.ValidAttribute(key) || !job.ValidAttribute(value) {
			return nil, wrong("--attribute %q must be KEY=VALUE, of letters, digits and . _ - :, and not arch", a)
		}
		out, given = append(out, a), given || key == "gpu"
	}
	if !given && model != "" {
		out = append(out, "gpu="+model)
	}
	return out, nil
}

// server is whom the worker works for, and how it proves itself there.
func (c *workerCommand) server(g *globals) (endpoint, token string, err error) {
	file := filepath.Join(g.Data, "worker.token")
	if c.Token != "" {
		file = c.Token
	}
	if c.Server != "" {
		u, err := url.Parse(c.Server)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return "", "", wrong("--server %q is not a URL such as https://batch.example.org:4582", c.Server)
		}
		if u.Scheme == "http" && !loopback(c.Server) {
			return "", "", wrong("--server %s is plain HTTP, over which the worker's token and the jobs' credentials could be read; use the server's --tls-listen address", c.Server)
		}
		endpoint = strings.TrimRight(c.Server, "/")
	} else {
		r, err := serverOf(g.Data)
		if errors.Is(err, fs.ErrNotExist) {
			return "", "", refused("no server runs on %s; start one with drover serve --data %s, or name another host's with --server", g.Data, g.Data)
		}
		if err != nil {
			return "", "", refused("%w", err)
		}
		endpoint = r.Endpoint
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return "", "", refused("the worker cannot prove itself: %w; copy worker.token from the server's data folder and name it with --token", err)
	}
	return endpoint, strings.TrimSpace(string(text)), nil
}

// locate is where the data folder's server is now; "" while there is none.
func (g *globals) locate() string {
	r, err := serverOf(g.Data)
	if err != nil {
		return ""
	}
	return r.Endpoint
}

// cache is the room for objects in bytes, as the worker wants it said.
func (c *workerCommand) cache() (int64, error) {
	switch {
	case c.Cache == nil:
		return 0, nil
	case *c.Cache < 0:
		return 0, wrong("--cache must be a number of MiB, 0 for none")
	case *c.Cache == 0:
		return -1, nil
	}
	return *c.Cache << 20, nil
}

// capacity is what the host offers to jobs.
func (c *workerCommand) capacity() (resource.Vector, error) {
	v := resource.Vector{MilliVCPU: int64(c.VCPUs * 1000), MemoryMiB: c.Memory}
	if v.MilliVCPU < 0 || v.MemoryMiB < 0 {
		return v, wrong("--vcpus and --memory must be above 0")
	}
	if v.MilliVCPU == 0 {
		v.MilliVCPU = int64(runtime.GOMAXPROCS(0)) * 1000
	}
	if v.MemoryMiB == 0 {
		total, err := hostMemory()
		if err != nil {
			return v, refused("the host's memory is not known (%w); say what to offer with --memory", err)
		}
		v.MemoryMiB = max(total-max(total/20, 256), total/2)
	}
	return v, nil
}

// hostMemory is the host's memory in MiB, or what the control group of this process may
// use if that is less.
func hostMemory() (int64, error) {
	f, err := os.Open("/proc/meminfo")
	if err != nil {
		return 0, err
	}
	defer f.Close()
	total := int64(0)
	for lines := bufio.NewScanner(f); lines.Scan() && total == 0; {
		if fields := strings.Fields(lines.Text()); len(fields) >= 2 && fields[0] == "MemTotal:" {
			if total, err = strconv.ParseInt(fields[1], 10, 64); err != nil {
				return 0, err
			}
		}
	}
	if total == 0 {
		return 0, errors.New("/proc/meminfo has no MemTotal")
	}
	total >>= 10
	for _, path := range []string{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"} {
		if b, err := os.ReadFile(path); err == nil {
			if n, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64); err == nil {
				total = min(total, n>>20)
			}
		}
	}
	return total, nil
}
