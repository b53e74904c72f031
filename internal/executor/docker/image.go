package docker

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"drover/internal/executor"

	"github.com/containerd/errdefs"
	"github.com/distribution/reference"
	"github.com/moby/moby/api/pkg/authconfig"
	"github.com/moby/moby/api/types/registry"
	"github.com/moby/moby/client"
)

// Registries holds how to log in to registries, by their host name.
type Registries map[string]registry.AuthConfig

// hubKey is how Docker's files name its own registry, and hub what image names have.
const (
	hubKey = "https://index.docker.io/v1/"
	hub    = "docker.io"
)

// ReadRegistries reads a file in the form of Docker's config.json. Logins that such a file
// leaves to a credential helper are refused: a worker starts no other program for them.
func ReadRegistries(path string) (Registries, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("cannot read the registry logins: %w", err)
	}
	var file struct {
		Auths       map[string]registry.AuthConfig `json:"auths"`
		CredsStore  string                         `json:"credsStore"`
		CredHelpers map[string]string              `json:"credHelpers"`
	}
	if err := json.Unmarshal(text, &file); err != nil {
		return nil, fmt.Errorf("%s is not a Docker config.json: %w", path, err)
	}
	if file.CredsStore != "" || len(file.CredHelpers) > 0 {
		return nil, fmt.Errorf("%s leaves logins to a credential helper; give a file that has them under auths", path)
	}
	r := make(Registries, len(file.Auths))
	for host, a := range file.Auths {
		if a.Auth != "" {
			plain, err := base64.StdEncoding.DecodeString(a.Auth)
			user, password, ok := strings.Cut(strings.TrimRight(string(plain), "\x00"), ":")
			if err != nil || !ok {
				return nil, fmt.Errorf("%s: the auth of %s is not base64 of user:password", path, host)
			}
			a.Username, a.Password, a.Auth = user, password, ""
		}
		a.ServerAddress = host
		if host == hubKey {
			host = hub
		}
		host = strings.TrimPrefix(strings.TrimPrefix(host, "https://"), "http://")
		host, _, _ = strings.Cut(host, "/")
		r[host] = a
	}
	return r, nil
}

// login is the header that logs in to an image's registry, "" if nothing is known of it.
func (r Registries) login(image string) (string, error) {
	name, err := reference.ParseNormalizedNamed(image)
	if err != nil {
		return "", err
	}
	a, ok := r[reference.Domain(name)]
	if !ok {
		return "", nil
	}
	return authconfig.Encode(a)
}

// images fetches each image once, a few at a time.
type images struct {
	pulls chan struct{}

	mu    sync.Mutex // guards known
	known map[string]*image
}

// image is one that is here or being fetched.
type image struct {
	ready chan struct{} // closed when the rest is final
	err   error

	id         string
	entrypoint []string
	command    []string
}

// maxImages bounds what is remembered; after that many the engine is asked again.
const maxImages = 1024

// image gives an image, fetching it when the engine has none of that name.
func (x *Executor) image(ctx context.Context, name string) (*image, error) {
	s := &x.images
	s.mu.Lock()
	i := s.known[name]
	mine := i == nil
	if mine {
		if len(s.known) >= maxImages {
			clear(s.known)
		}
		i = &image{ready: make(chan struct{})}
		s.known[name] = i
	}
	s.mu.Unlock()
	if mine { // not in this attempt's context: others wait for the same
		x.spawn(func() {
			if i.err = x.fetch(x.life, name, i); i.err != nil {
				s.drop(name, i)
			}
			close(i.ready)
		})
	}
	select {
	case <-i.ready:
		return i, i.err
	case <-x.life.Done():
		return nil, executor.ErrLost
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// drop forgets an image: fetching it failed, or somebody removed it.
func (s *images) drop(name string, i *image) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known[name] == i {
		delete(s.known, name)
	}
}

// pullError says why an image is not to be had, in AWS's form.
type pullError string

func (e pullError) Error() string { return "CannotPullContainerError: " + string(e) }

func cannotPull(why string) error { return pullError(why) }

// fetch finds out about an image, pulling it if need be.
func (x *Executor) fetch(ctx context.Context, name string, i *image) error {
	found, err := x.inspectImage(ctx, name)
	if errdefs.IsNotFound(err) {
		if err = x.pull(ctx, name); err != nil {
			return err
		}
		found, err = x.inspectImage(ctx, name)
	}
	if err != nil {
		return cannotPull(err.Error())
	}
	i.id = found.ID
	if c := found.Config; c != nil {
		i.entrypoint, i.command = c.Entrypoint, c.Cmd
	}
	return nil
}

func (x *Executor) inspectImage(ctx context.Context, name string) (found client.ImageInspectResult, err error) {
	err = x.patiently(ctx, startFor, func(ctx context.Context) (err error) {
		ctx, cancel := context.WithTimeout(ctx, callFor)
		defer cancel()
		found, err = x.api.ImageInspect(ctx, name)
		return err
	})
	return found, err
}

func (x *Executor) pull(ctx context.Context, name string) error {
	login, err := x.opts.Registries.login(name)
	if err != nil {
		return cannotPull(fmt.Sprintf("invalid reference format: %v", err))
	}
	select {
	case x.images.pulls <- struct{}{}:
		defer func() { <-x.images.pulls }()
	case <-ctx.Done():
		return ctx.Err()
	}
	begin := time.Now()
	err = x.patiently(ctx, startFor, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, pullFor)
		defer cancel()
		progress, err := x.api.ImagePull(ctx, name, client.ImagePullOptions{RegistryAuth: login})
		if err != nil {
			return err
		}
		return progress.Wait(ctx)
	})
	if err != nil {
		x.log.Warn("an image could not be pulled", "image", name, "error", err)
		why := err.Error()
		if strings.Contains(why, "no basic auth credentials") {
			host, _, _ := strings.Cut(name, "/")
			why += fmt.Sprintf(" (unauthorized: this host has no login for %s; give its worker one with --registry-auth FILE)", host)
		}
		return cannotPull(why)
	}
	x.log.Info("pulled an image", "image", name, "took", time.Since(begin).Round(time.Millisecond))
	return nil
}
