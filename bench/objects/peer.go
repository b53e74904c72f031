package main

import (
	"bufio"
	"context"
	"crypto/md5"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/versity/versitygw/auth"
	"github.com/versity/versitygw/backend/meta"
	"github.com/versity/versitygw/backend/posix"
	"github.com/versity/versitygw/s3api"
	"github.com/versity/versitygw/s3api/middlewares"

	"drover/internal/wire/sigv4"
)

// peerWord as first argument makes this program a peer.
const peerWord = "peer"

// peerKey is what the peers are asked with.
var peerKey = sigv4.Credentials{AccessKey: "AKIAPEERPEERPEERPEER", Secret: "the peer's secret"}

// peer serves until its standard input ends.
func peer(kind, dir string) error {
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	if kind == "copy" {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		fmt.Println(l.Addr())
		return http.Serve(l, copier(dir))
	}
	be, err := posix.New(dir, meta.XattrMeta{}, posix.PosixOpts{})
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0") // the library wants to open the port itself
	if err != nil {
		return err
	}
	addr := l.Addr().String()
	l.Close()
	iam := auth.NewIAMServiceSingle(auth.Account{Access: peerKey.AccessKey, Secret: peerKey.Secret, Role: auth.RoleAdmin})
	srv, err := s3api.New(be, middlewares.RootUserConfig{Access: peerKey.AccessKey, Secret: peerKey.Secret}, "drover-1", iam, nil, nil, nil, nil,
		s3api.WithQuiet(), s3api.WithKeepAlive(), s3api.WithConcurrencyLimiter(1000, 1000), s3api.WithOnListen(func() { fmt.Println(addr) }))
	if err != nil {
		return err
	}
	return srv.ServeMultiPort([]string{addr})
}

// copier is the floor of large objects: it hashes what passes, writes and fsyncs it.
type copier string

func (dir copier) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := filepath.Join(string(dir), filepath.Base(r.URL.Path))
	err := func() error {
		if r.Method == http.MethodGet {
			f, err := os.Open(path)
			if err != nil {
				return err
			}
			defer f.Close()
			_, err = io.Copy(io.MultiWriter(w, md5.New(), sha256.New()), f)
			return err
		}
		f, err := os.Create(path)
		if err != nil {
			return err
		}
		defer f.Close()
		if _, err := io.Copy(io.MultiWriter(f, md5.New(), sha256.New()), r.Body); err != nil {
			return err
		}
		return f.Sync()
	}()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}

// startPeer runs a peer on a folder of its own and gives its address.
func (b *bench) startPeer(kind string) (url string, stop func() error, err error) {
	self, err := os.Executable()
	if err != nil {
		return "", nil, err
	}
	dir, err := os.MkdirTemp(b.Dir, kind+"-")
	if err != nil {
		return "", nil, err
	}
	cmd := exec.Command(self, peerWord, kind, dir)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return "", nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return "", nil, err
	}
	if err := cmd.Start(); err != nil {
		return "", nil, err
	}
	stop = func() error { return errors.Join(in.Close(), cmd.Wait(), os.RemoveAll(dir)) }
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if line := strings.TrimSpace(lines.Text()); strings.HasPrefix(line, "127.0.0.1:") {
			go func() { _, _ = io.Copy(io.Discard, out) }()
			url = "http://" + line
			return url, stop, answers(url)
		}
	}
	return "", nil, errors.Join(errors.New("the peer gave no address"), stop())
}

// answers waits until somebody listens.
func answers(url string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for {
		c, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
		if err == nil {
			return c.Close()
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			return err
		}
	}
}
