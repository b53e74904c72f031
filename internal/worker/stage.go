package worker

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path"
	"strings"
	"sync/atomic"
	"time"
	"unicode"

	"golang.org/x/sys/unix"

	"drover/internal/core/fault"
	"drover/internal/core/job"
	"drover/internal/link"
	"drover/internal/link/objects"
	"drover/internal/wire/sigv4"
)

const (
	stagingAtOnce = 64  // attempts that move data at the same time
	maxName       = 200 // bytes of a local file name
)

// objectsHTTP is the connection pool that all attempts share.
func objectsHTTP(roots *x509.CertPool) *http.Client {
	dialer := &net.Dialer{Timeout: 5 * time.Second, KeepAlive: 15 * time.Second}
	return &http.Client{
		Transport: &http.Transport{
			Proxy:                 http.ProxyFromEnvironment,
			DialContext:           dialer.DialContext,
			TLSClientConfig:       &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout:   10 * time.Second,
			MaxIdleConns:          2 * stagingAtOnce,
			MaxIdleConnsPerHost:   2 * stagingAtOnce,
			IdleConnTimeout:       90 * time.Second,
			ResponseHeaderTimeout: time.Minute,
			DisableCompression:    true,
			ReadBufferSize:        32 << 10,
			WriteBufferSize:       32 << 10,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// movers is whose credentials move the attempt's data.
func (a *attempt) movers() *grant {
	if a.mover != nil {
		return a.mover
	}
	return a.grant
}

// objects is the object store as an attempt may use it: with the attempt's credentials.
func (w *worker) objects(a *attempt) *objects.Client {
	w.mu.Lock()
	region := w.welcome.Region
	w.mu.Unlock()
	g := a.movers()
	return &objects.Client{
		Endpoint: w.link.Base(), Region: region, HTTP: w.http, Attempts: 1,
		Credentials: func(ctx context.Context) (sigv4.Credentials, error) {
			c, err := w.grants.current(ctx, g, false)
			return sigv4.Credentials{AccessKey: c.AccessKeyID, Secret: c.SecretAccessKey, SessionToken: c.SessionToken, Expires: time.UnixMicro(c.Expires)}, err
		},
	}
}

// persist repeats do while the object store or the manager is away, as long as the attempt
// is wanted and the worker itself would wait; credentials that were refused are renewed once.
func (w *worker) persist(ctx context.Context, a *attempt, do func(ctx context.Context) error) error {
	end := time.Now().Add(w.opts.OrphanAfter)
	renewed := false
	for n := 0; ; n++ {
		err := do(ctx)
		if err == nil || ctx.Err() != nil {
			return err
		}
		f, ok := errors.AsType[*fault.Error](err)
		switch {
		case ok && f.Kind == fault.Denied && !renewed:
			renewed = true
			if _, err := w.grants.current(ctx, a.movers(), true); err != nil {
				return fmt.Errorf("%w; fresh credentials: %w", f, err)
			}
		case ok && (f.Kind == fault.Unavailable || f.Kind == fault.Throttled || f.Kind == fault.Internal ||
			f.Code == link.CodeUnknownSession) && time.Now().Before(end):
			pause(ctx, n)
		default:
			return err
		}
	}
}

// staged is what staging gives the executor.
type staged struct {
	command       []string
	stdin, stdout string
}

// stageIn fetches an attempt's input.
func (w *worker) stageIn(a *attempt, f *folder) (staged, error) {
	select {
	case w.staging <- struct{}{}:
		defer func() { <-w.staging }()
	case <-a.ctx.Done():
		return staged{}, a.ctx.Err()
	}
	var s staged
	err := w.persist(a.ctx, a, func(ctx context.Context) (err error) {
		c := w.objects(a)
		plan, err := w.plans.plan(ctx, c, a.lease.Ref.Key, a.asg.Stage)
		if err != nil {
			return err
		}
		if plan.Reduce {
			s, err = w.stageAllIn(ctx, a, c, f, plan)
		} else {
			s, err = w.stageOneIn(ctx, a, c, f, plan)
		}
		if err == nil && a.boxed() {
			err = f.share()
		}
		return err
	})
	return s, err
}

func (w *worker) stageOneIn(ctx context.Context, a *attempt, c *objects.Client, f *folder, plan *link.StagePlan) (staged, error) {
	item, err := w.plans.item(ctx, c, a.lease.Ref.Key, plan, itemOf(a))
	if err != nil {
		return staged{}, err
	}
	bucket, key, err := splitURL(plan.In + item.Path)
	if err != nil {
		return staged{}, err
	}
	if err := f.stage(); err != nil {
		return staged{}, err
	}
	name := localName(item.Path)
	in, out := f.in()+"/"+name, f.out()+"/"+name
	n, err := w.fetch(ctx, c, bucket, key, os.OpenFile, in, item.Size >= cacheFrom)
	if err != nil {
		return staged{}, inputFailed(plan.In+item.Path, err)
	}
	if n != item.Size {
		return staged{}, fmt.Errorf("the input %s has %d bytes now and had %d when the job was submitted; submit again, or leave inputs unchanged while a job runs", plan.In+item.Path, n, item.Size)
	}
	a.bytesIn.Store(n)
	return place(a, f, plan, in, out), nil
}

func inputFailed(url string, err error) error {
	return fmt.Errorf("the input %s could not be fetched: %w", url, err)
}

// itemOf is the number of the attempt's item.
func itemOf(a *attempt) int64 {
	if a.lease.Ref.Index == job.Whole {
		return 0
	}
	return int64(a.lease.Ref.Index)
}

// place puts local paths, as the command sees them, into its words.
func place(a *attempt, f *folder, plan *link.StagePlan, in, out string) staged {
	var s staged
	if plan.Stdin {
		s.stdin = in
	}
	if plan.Stdout {
		s.stdout = out
	}
	if a.boxed() {
		in, out = boxIn+strings.TrimPrefix(in, f.in()), boxOut+strings.TrimPrefix(out, f.out())
	}
	r := strings.NewReplacer("{in}", in, "{out}", out)
	s.command = make([]string, len(a.asg.Command))
	for i, word := range a.asg.Command {
		s.command[i] = r.Replace(word)
	}
	return s
}

// localName is the file name that stands for an item: its own where possible, so that a
// command which looks at the ending finds it. What could mean something to a shell becomes
// an underscore: commands are often `sh -c` with {in} inside, and whoever names an input
// must not thereby get to say what runs.
func localName(p string) string {
	name := strings.Map(func(c rune) rune {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', strings.ContainsRune("._-+=@,%", c):
			return c
		case c >= 0x80 && unicode.IsLetter(c):
			return c
		}
		return '_'
	}, path.Base(p))
	if strings.HasPrefix(name, "-") {
		name = "_" + name[1:] // not an option
	}
	if len(name) <= maxName {
		return name
	}
	ext := path.Ext(name)
	if len(ext) > 20 {
		ext = ""
	}
	return "item" + ext
}

type openFile func(name string, flag int, mode os.FileMode) (*os.File, error)

// diskWriter remembers whether it was the disk that failed, not the network.
type diskWriter struct {
	f   *os.File
	err error
}

func (d *diskWriter) Write(p []byte) (int, error) {
	n, err := d.f.Write(p)
	if err != nil {
		d.err = err
	}
	return n, err
}

// stageOut stores the result of an attempt that ended well, and says in exit if it could not.
func (w *worker) stageOut(a *attempt, exit *job.Exit) {
	if a.folder == nil {
		exit.Cause, exit.Reason = job.CauseStageOut, "its folder is gone"
		return
	}
	select {
	case w.staging <- struct{}{}:
		defer func() { <-w.staging }()
	case <-a.ctx.Done():
	}
	var size atomic.Int64
	err := w.persist(a.ctx, a, func(ctx context.Context) error {
		c := w.objects(a)
		plan, err := w.plans.plan(ctx, c, a.lease.Ref.Key, a.asg.Stage)
		if err != nil {
			return err
		}
		size.Store(0)
		if plan.Reduce {
			return w.stageAllOut(ctx, a, c, plan, &size)
		}
		return w.stageOneOut(ctx, a, c, plan, &size)
	})
	exit.Usage.BytesOut = size.Load()
	if err != nil {
		exit.Cause, exit.Reason = job.CauseStageOut, err.Error()
		w.mu.Lock()
		if a.stop != "" && a.ctx.Err() != nil {
			exit.Cause, exit.Reason = a.stop, "stopped before its result was stored"
		}
		w.mu.Unlock()
	}
}

func (w *worker) stageOneOut(ctx context.Context, a *attempt, c *objects.Client, plan *link.StagePlan, size *atomic.Int64) error {
	if !plan.Stdout && !a.wantsOut {
		return nil // the command was not given {out}: it stores what it likes itself
	}
	item, err := w.plans.item(ctx, c, a.lease.Ref.Key, plan, itemOf(a))
	if err != nil {
		return err
	}
	root, err := os.OpenRoot(a.folder.out()) // what the command left there may be a link to anywhere
	if err != nil {
		return fmt.Errorf("the folder of {out} is gone; let the command leave it: %w", err)
	}
	defer root.Close()
	return upload(ctx, c, plan.Out+item.Path, localName(item.Path), root.OpenFile, size)
}

// upload stores a file. It may be repeated: the same bytes go to the same key.
func upload(ctx context.Context, c *objects.Client, url, file string, open openFile, size *atomic.Int64) error {
	bucket, key, err := splitURL(url)
	if err != nil {
		return err
	}
	f, err := open(file, os.O_RDONLY|unix.O_NONBLOCK, 0) // a pipe would wait for somebody to write
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("the command ended well but wrote no file {out} (%s); let it write there, or leave {out} away so that its standard output is the result", path.Base(file))
	}
	if err != nil {
		return fmt.Errorf("the result %s cannot be read: %w", path.Base(file), err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return err
	}
	if !st.Mode().IsRegular() {
		return fmt.Errorf("the command made {out} (%s) something else than a file; let it write one file there", path.Base(file))
	}
	if err := c.PutFrom(ctx, bucket, key, f, st.Size()); err != nil {
		return fmt.Errorf("the result %s could not be stored: %w", url, err)
	}
	size.Add(st.Size())
	return nil
}
