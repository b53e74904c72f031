package cli

import (
	"log/slog"
	"path/filepath"

	"drover/internal/executor"
	"drover/internal/executor/docker"
	"drover/internal/worker"
)

// containerFlags say how a worker runs containers.
type containerFlags struct {
	DockerHost      string   `env:"DROVER_DOCKER_HOST" placeholder:"ADDRESS" help:"Docker Engine of this host, as unix:///path, or none to run no containers (default $$DOCKER_HOST, else Docker's socket)."`
	DockerNetwork   string   `env:"DROVER_DOCKER_NETWORK" placeholder:"NAME" help:"Network of the containers: bridge, host or one made with docker network create (default: drover's own, where jobs reach neither each other nor a cloud's metadata)."`
	ContainerLog    int64    `name:"container-log" env:"DROVER_CONTAINER_LOG" default:"1024" placeholder:"MIB" help:"How much of a container's output that the server has not taken yet is kept on disk (default ${default})."`
	RegistryAuth    string   `env:"DROVER_REGISTRY_AUTH" type:"path" placeholder:"FILE" help:"Logins to image registries, in the form of Docker's config.json."`
	Secrets         string   `env:"DROVER_SECRETS" type:"path" placeholder:"DIR" help:"Folder with a file for each secret that job definitions may name."`
	AllowVolume     []string `env:"DROVER_ALLOW_VOLUME" type:"path" placeholder:"DIR" help:"Host folder below which jobs may mount; may be given again."`
	AllowDevice     []string `env:"DROVER_ALLOW_DEVICE" placeholder:"DEVICE" help:"Host device that jobs may be given; may be given again."`
	AllowPrivileged bool     `env:"DROVER_ALLOW_PRIVILEGED" help:"Let jobs ask for privileged containers, which own this host."`
	LimitCPU        bool     `name:"limit-cpu" env:"DROVER_LIMIT_CPU" help:"Cap containers that ask for a fraction of a vCPU; without it they may use what is idle, as on AWS."`
}

// none is what --docker-host is for no containers.
const none = "none"

// engine makes the executor of containers; nil if there are to be none.
func (f *containerFlags) engine(dir, self, data string, log *slog.Logger) (executor.Engine, error) {
	if f.DockerHost == none {
		return nil, nil
	}
	host, err := worker.HostID(dir)
	if err != nil {
		return nil, refused("%w", err)
	}
	o := docker.Options{
		Dir: filepath.Join(dir, "docker"), Host: host, Address: f.DockerHost, Exe: self, Network: f.DockerNetwork,
		AllowVolumes: f.AllowVolume, AllowDevices: f.AllowDevice, AllowPrivileged: f.AllowPrivileged, HardCPU: f.LimitCPU, LogMiB: f.ContainerLog,
		Forbidden: []string{data}, Log: log,
	}
	if f.RegistryAuth != "" {
		if o.Registries, err = docker.ReadRegistries(f.RegistryAuth); err != nil {
			return nil, wrong("--registry-auth: %w", err)
		}
	}
	x, err := docker.New(o)
	if err != nil {
		if f.DockerHost == "" { // DOCKER_HOST is not for this host; processes run all the same
			log.Warn("no containers run here", "error", err)
			return nil, nil
		}
		return nil, wrong("--docker-host: %w", err)
	}
	return x, nil
}

// store gives the secrets; nil if there are none.
func (f *containerFlags) store() worker.Secrets {
	if f.Secrets == "" {
		return nil
	}
	return worker.DirSecrets(f.Secrets)
}
