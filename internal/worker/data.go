package worker

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"drover/internal/core/fault"
	"drover/internal/core/job"
	"drover/internal/link/objects"
)

const (
	dataAtOnce  = 8        // objects of one attempt that move at the same time
	maxObjects  = 100_000  // of one attempt's inputs, or outputs
	maxDataList = 4 << 20  // bytes of a list object
	cutTries    = 4        // how often an object whose content ends early is asked for
	cacheFrom   = 64 << 10 // smaller inputs of drover map are not cached: each is used once
)

// piece is one object and the file that it is in the working folder.
type piece struct {
	bucket, key string
	path        string
}

func (p *piece) url() string { return "s3://" + p.bucket + "/" + p.key }

// fetchInputs puts an attempt's declared inputs into its working folder.
func (w *worker) fetchInputs(a *attempt, f *folder) error {
	ctx, c := a.ctx, w.objects(a)
	var pieces []piece
	err := w.persist(ctx, a, func(ctx context.Context) error {
		data, err := w.declared(ctx, a, c, job.InputsTag, a.asg.Inputs)
		if err == nil {
			pieces, err = listInputs(ctx, c, data)
		}
		return err
	})
	if err != nil {
		return err
	}
	root, err := os.OpenRoot(f.work()) // paths come from keys: nothing leads out of here
	if err != nil {
		return err
	}
	defer root.Close()
	return w.moveEach(ctx, a, pieces, func(ctx context.Context, p *piece) error {
		if dir := path.Dir(p.path); dir != "." {
			if err := root.MkdirAll(dir, 0o700); err != nil {
				return fmt.Errorf("the input %s cannot be put at %s: %w", p.url(), p.path, err)
			}
		}
		n, err := w.fetch(ctx, c, p.bucket, p.key, root.OpenFile, p.path, true)
		if err != nil {
			return inputFailed(p.url(), err)
		}
		a.bytesIn.Add(n)
		return nil
	})
}

// prepareOutputs makes the folders that outputs are to be written to.
func (w *worker) prepareOutputs(a *attempt, f *folder) error {
	data, err := job.ParseData(job.OutputsTag, a.asg.Outputs, true)
	if err != nil {
		return err
	}
	root, err := os.OpenRoot(f.work())
	if err != nil {
		return err
	}
	defer root.Close()
	for _, d := range data {
		d = d.For(a.asg.ID, a.asg.Child())
		dir := d.Path
		if !d.Prefix {
			dir = path.Dir(d.Path)
		}
		if d.List || dir == "." {
			continue
		}
		if err := root.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("the folder %s of an output cannot be made: %w", dir, err)
		}
	}
	return nil
}

// declared reads a tag for this attempt, and the lists that it names.
func (w *worker) declared(ctx context.Context, a *attempt, c *objects.Client, tag, value string) ([]job.Datum, error) {
	all, err := job.ParseData(tag, value, true)
	if err != nil {
		return nil, err
	}
	var out []job.Datum
	for _, d := range all {
		d = d.For(a.asg.ID, a.asg.Child())
		if !d.List {
			out = append(out, d)
			continue
		}
		text, err := c.GetAll(ctx, d.Bucket, d.Key, maxDataList)
		if err != nil {
			return nil, fmt.Errorf("the list %s of %s could not be read: %w", d.URL(), tag, err)
		}
		for s := bufio.NewScanner(bytes.NewReader(text)); s.Scan(); {
			line := strings.TrimSpace(s.Text())
			if line == "" || strings.HasPrefix(line, "#") {
				continue
			}
			one, err := job.ParseDatum(tag, line)
			if err != nil {
				return nil, fmt.Errorf("the list %s: %w", d.URL(), err)
			}
			if out = append(out, one.For(a.asg.ID, a.asg.Child())); len(out) > maxObjects {
				return nil, fmt.Errorf("the list %s has too many lines: a job may name %d objects", d.URL(), maxObjects)
			}
		}
	}
	return out, nil
}

// listInputs finds the objects, and refuses two that would be one file.
func listInputs(ctx context.Context, c *objects.Client, data []job.Datum) ([]piece, error) {
	var out []piece
	at := map[string]string{}
	add := func(bucket, key, to string) error {
		p := piece{bucket, key, to}
		if other, ok := at[to]; ok && other != p.url() {
			return fmt.Errorf("the inputs %s and %s would both be the file %s; give one another path", other, p.url(), to)
		} else if ok {
			return nil
		}
		at[to] = p.url()
		if out = append(out, p); len(out) > maxObjects {
			return fmt.Errorf("the inputs are more than %d objects; name fewer, or pack them", maxObjects)
		}
		return nil
	}
	for _, d := range data {
		if !d.Prefix {
			if err := add(d.Bucket, d.Key, d.Path); err != nil {
				return nil, err
			}
			continue
		}
		found := 0
		for o, err := range c.List(ctx, d.Bucket, d.Key, "") {
			if err != nil {
				return nil, fmt.Errorf("the inputs below %s could not be listed: %w", d.URL(), err)
			}
			rest := o.Key[len(d.Key):]
			if found++; rest == "" || strings.HasSuffix(rest, "/") {
				continue // a folder's mark
			}
			if err := checkPath(rest); err != nil {
				return nil, fmt.Errorf("the input s3://%s/%s: %w", d.Bucket, o.Key, err)
			}
			if err := add(d.Bucket, o.Key, path.Join(d.Path, rest)); err != nil {
				return nil, err
			}
		}
		if found == 0 {
			return nil, fmt.Errorf("there is no input: no object's key in the bucket %s begins with %q", d.Bucket, d.Key)
		}
	}
	return out, nil
}

// moveEach moves objects, some at a time; the first that cannot be moved ends it. Each is
// tried again while the object store is away.
func (w *worker) moveEach(ctx context.Context, a *attempt, pieces []piece, move func(ctx context.Context, p *piece) error) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var next atomic.Int64
	var all sync.WaitGroup
	for range min(dataAtOnce, len(pieces)) {
		all.Go(func() {
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= len(pieces) {
					return
				}
				select {
				case w.moves <- struct{}{}:
				case <-ctx.Done():
					return
				}
				err := w.persist(ctx, a, func(ctx context.Context) error { return move(ctx, &pieces[i]) })
				<-w.moves
				if err != nil {
					stop(err)
				}
			}
		})
	}
	all.Wait()
	return context.Cause(ctx)
}

// fetch puts an object into a new file and gives its size: from the cache if its content is
// known and has not changed, else from the object store and, with keep, into the cache.
func (w *worker) fetch(ctx context.Context, c *objects.Client, bucket, key string, open openFile, name string, keep bool) (int64, error) {
	var err error
	for range cutTries {
		var n int64
		var cut bool
		if n, cut, err = w.fetchOnce(ctx, c, bucket, key, open, name, keep); !cut || ctx.Err() != nil {
			return n, err
		}
	}
	return 0, fmt.Errorf("its content could not be read in %d tries; is it damaged? drover doctor finds out: %v", cutTries, err)
}

// fetchOnce reports with cut that the content ended early or was not what it should be.
func (w *worker) fetchOnce(ctx context.Context, c *objects.Client, bucket, key string, open openFile, name string, keep bool) (n int64, cut bool, err error) {
	url := "s3://" + bucket + "/" + key
	var known *os.File
	var etag, sum string
	release := func() {}
	if keep = keep && w.cache != nil; keep {
		done, ok := w.cache.claim(url, ctx.Done())
		if !ok {
			return 0, false, ctx.Err()
		}
		release = sync.OnceFunc(done)
		defer release()
		if known, etag, sum = w.cache.find(url); known != nil {
			defer known.Close()
		}
	}
	o, err := c.Fetch(ctx, bucket, key, etag)
	if err != nil {
		return 0, false, err
	}
	to, err := open(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		if o.Body != nil {
			o.Body.Close()
		}
		return 0, false, err
	}
	defer func() { err = errors.Join(err, to.Close()) }()
	if o.Unchanged {
		release() // others may copy at the same time
		if n, err = copyOut(to, known, sum); errors.Is(err, errSpoilt) {
			w.log.Warn("a cached content was spoilt and is fetched again", "object", url)
			w.cache.spoilt(sum)
			return 0, true, err
		}
		return n, false, err
	}
	defer o.Body.Close()
	return w.receive(o, url, to, keep)
}

// receive writes what the object store sends into a file and, with keep, into the cache.
func (w *worker) receive(o *objects.Object, url string, to *os.File, keep bool) (n int64, cut bool, err error) {
	disk := &diskWriter{f: to}
	var both io.Writer = disk
	var d *draft
	if keep {
		if d = w.cache.draft(o.Size); d != nil {
			both = io.MultiWriter(disk, d)
		}
	}
	n, err = io.Copy(both, o.Body)
	if err == nil && o.Size >= 0 && n != o.Size {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		if d != nil {
			d.drop()
		}
		if disk.err != nil {
			return n, false, err
		}
		return n, true, fault.Wrap(err, fault.Unavailable, "ConnectionError", "the object store stopped in the middle of %s", url)
	}
	if d != nil {
		d.keep(url, o.ETag)
	}
	return n, false, nil
}

// storeOutputs stores the declared outputs of an attempt that ended well, and says in exit
// if it could not.
func (w *worker) storeOutputs(a *attempt, exit *job.Exit) {
	var size atomic.Int64
	err := w.storeDeclared(a, &size)
	exit.Usage.BytesOut = size.Load()
	if err == nil {
		return
	}
	exit.Cause, exit.Reason = job.CauseStageOut, err.Error()
	w.mu.Lock()
	defer w.mu.Unlock()
	if a.stop != "" && a.ctx.Err() != nil {
		exit.Cause, exit.Reason = a.stop, "stopped before its outputs were stored"
	}
}

func (w *worker) storeDeclared(a *attempt, size *atomic.Int64) error {
	if a.folder == nil {
		return errors.New("its folder is gone")
	}
	ctx, c := a.ctx, w.objects(a)
	var data []job.Datum
	err := w.persist(ctx, a, func(ctx context.Context) (err error) {
		data, err = w.declared(ctx, a, c, job.OutputsTag, a.asg.Outputs)
		return err
	})
	if err != nil {
		return err
	}
	root, err := os.OpenRoot(a.folder.work()) // what the command left there may be a link to anywhere
	if err != nil {
		return fmt.Errorf("the working folder is gone; let the command leave it: %w", err)
	}
	defer root.Close()
	pieces, err := listOutputs(root, data)
	if err != nil {
		return err
	}
	return w.moveEach(ctx, a, pieces, func(ctx context.Context, p *piece) error {
		return storeFile(ctx, c, root, p, size)
	})
}

// listOutputs finds the files. A declared file must be there; a declared folder may be empty.
func listOutputs(root *os.Root, data []job.Datum) ([]piece, error) {
	var out []piece
	for _, d := range data {
		if !d.Prefix {
			out = append(out, piece{d.Bucket, d.Key, d.Path})
			continue
		}
		err := fs.WalkDir(root.FS(), d.Path, func(p string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			rest := p
			if d.Path != "." {
				rest = strings.TrimPrefix(p, d.Path+"/")
			}
			if out = append(out, piece{d.Bucket, d.Key + rest, p}); len(out) > maxObjects {
				return fmt.Errorf("there are more than %d files to store; pack them", maxObjects)
			}
			return nil
		})
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("the job ended well but made no folder %s, which %s names", d.Path, job.OutputsTag)
		}
		if err != nil {
			return nil, fmt.Errorf("the folder %s cannot be read: %w", d.Path, err)
		}
	}
	return out, nil
}

// storeFile stores one file. It may be repeated: the same bytes go to the same key.
func storeFile(ctx context.Context, c *objects.Client, root *os.Root, p *piece, size *atomic.Int64) error {
	f, err := root.OpenFile(p.path, os.O_RDONLY|unix.O_NONBLOCK, 0) // a pipe would wait for somebody to write
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("the job ended well but wrote no file %s, which %s names", p.path, job.OutputsTag)
	}
	if err != nil {
		return fmt.Errorf("the output %s cannot be read: %w", p.path, err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return err
	}
	if !st.Mode().IsRegular() {
		return fmt.Errorf("the output %s is no file; let the job make one of it, or name a folder as s3://bucket/prefix/=folder/", p.path)
	}
	if err := c.PutFrom(ctx, p.bucket, p.key, f, st.Size()); err != nil {
		return fmt.Errorf("the output %s could not be stored: %w", p.url(), err)
	}
	size.Add(st.Size())
	return nil
}
