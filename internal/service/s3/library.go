package s3

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gofiber/fiber/v3"
	"github.com/valyala/fasthttp"
	"github.com/versity/versitygw/auth"
	"github.com/versity/versitygw/backend"
	"github.com/versity/versitygw/s3api"
	"github.com/versity/versitygw/s3api/middlewares"
)

const (
	// maxRequests bounds what the library works on at once; beyond it clients get SlowDown.
	maxRequests  = 4096
	startTimeout = 5 * time.Second
)

// library is the versitygw server, called as a function.
//
// The library can only serve listeners, but its request handler does not need one: it works
// on a fasthttp request in memory. startLibrary lets it listen for one request on a socket
// in a private folder, takes the handler from that request, and closes the socket. This
// saves a second HTTP round trip per request (half of the small-object rate), and no socket
// is left that anybody could connect to.
type library struct {
	handle  fasthttp.RequestHandler
	backend backend.Backend
	signer  *innerSigner
	guests  *guests
}

func startLibrary(ctx context.Context, be backend.Backend, opts Options) (*library, error) {
	key := middlewares.RootUserConfig{Access: opts.Account, Secret: rand.Text() + rand.Text()}
	iam := &guests{secret: rand.Text() + rand.Text(), owner: owner{
		IAMService: auth.NewIAMServiceSingle(auth.Account{Access: key.Access, Secret: key.Secret, Role: auth.RoleAdmin}),
		account:    opts.Account,
	}}
	door := "/.drover-" + rand.Text()
	apps := make(chan *fiber.App, 1)
	server, err := s3api.New(be, key, opts.Region, iam, nil, nil, nil, nil,
		s3api.WithQuiet(),
		s3api.WithConcurrencyLimiter(maxRequests, maxRequests),
		s3api.WithRoute("GET", door, func(c fiber.Ctx) error {
			select {
			case apps <- c.App():
			default:
			}
			return c.SendStatus(204)
		}))
	if err != nil {
		return nil, fmt.Errorf("configure: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	app, err := knock(ctx, server, door, apps)
	if err != nil {
		return nil, err
	}
	return &library{handle: app.Handler(), backend: be, signer: newInnerSigner(key.Access, key.Secret, opts.Region), guests: iam}, nil
}

// knock serves the library on a private socket for the one request that fetches its app.
func knock(ctx context.Context, server *s3api.S3ApiServer, door string, apps <-chan *fiber.App) (*fiber.App, error) {
	dir, err := socketFolder()
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	socket := filepath.Join(dir, "s3")
	listening := make(chan struct{})
	s3api.WithOnListen(func() { close(listening) })(server)
	served := make(chan error, 1)
	go func() { served <- server.ServeMultiPort([]string{socket}) }()
	select {
	case <-listening:
	case err := <-served:
		return nil, fmt.Errorf("listen on %s: %w", socket, err)
	case <-ctx.Done():
		return nil, fmt.Errorf("listen on %s: %w", socket, ctx.Err())
	}
	err = ask(ctx, socket, door)
	if e := server.ShutDown(); e != nil {
		err = errors.Join(err, fmt.Errorf("close %s: %w", socket, e))
	}
	<-served
	if err != nil {
		return nil, err
	}
	select {
	case app := <-apps:
		return app, nil
	default:
		return nil, errors.New("the library did not route the first request; this build does not fit its version")
	}
}

// ask sends one GET over the socket and reads the answer to its end.
func ask(ctx context.Context, socket, path string) error {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", socket)
	if err != nil {
		return fmt.Errorf("reach the library: %w", err)
	}
	defer conn.Close()
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return fmt.Errorf("reach the library: %w", err)
		}
	}
	if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: drover\r\nConnection: close\r\n\r\n", path); err != nil {
		return fmt.Errorf("ask the library: %w", err)
	}
	if _, err := io.Copy(io.Discard, conn); err != nil {
		return fmt.Errorf("ask the library: %w", err)
	}
	return nil
}

// socketFolder makes a folder of our own (0700) whose path leaves room for a socket name:
// the kernel takes 107 bytes at most.
func socketFolder() (string, error) {
	for _, parent := range []string{os.TempDir(), "/tmp", "/dev/shm"} {
		if len(parent) > 80 {
			continue
		}
		if dir, err := os.MkdirTemp(parent, "drover-s3-"); err == nil {
			return dir, nil
		}
	}
	return "", errors.New("no folder for a private socket: set TMPDIR to a writable folder with a path shorter than 80 bytes")
}

// owner is the library's list of accounts: ours, under its number and its ARNs.
type owner struct {
	auth.IAMService
	account string
}

// ResolveAccounts tells which principals of a bucket policy do not exist. Every principal
// of our own account passes, so that policies written for AWS are stored as they are.
func (o owner) ResolveAccounts(names []string) ([]string, error) {
	var unknown []string
	for _, n := range names {
		if n != o.account && !(strings.HasPrefix(n, "arn:aws:iam::"+o.account+":") || strings.HasPrefix(n, "arn:aws:sts::"+o.account+":")) {
			unknown = append(unknown, n)
		}
	}
	return unknown, nil
}
