package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// fetcher brings results into the results' folder while the jobs run.
type fetcher struct {
	m      *mapper
	wanted bool // results go to a folder at all
	queue  chan int32
	wg     sync.WaitGroup
	done   atomic.Int64
	bytes  atomic.Int64
	dirs   sync.Map // folders that exist

	mu  sync.Mutex // guards err
	err error      // the first
}

func (m *mapper) newFetcher(ctx context.Context) *fetcher {
	f := &fetcher{m: m, wanted: storedPlace(m.run.Out).Dir != "", queue: make(chan int32, 1024)}
	if !f.wanted {
		return f
	}
	for range transfers / 2 {
		f.wg.Go(func() {
			for item := range f.queue {
				f.fetch(ctx, m.items[item].Path)
			}
		})
	}
	return f
}

// want fetches the results of the children first to last of the stage.
func (f *fetcher) want(first, last int32) {
	if !f.wanted {
		return
	}
	for i := first; i <= last && int(i) < len(f.m.pending); i++ {
		f.queue <- f.m.pending[i]
	}
}

// finish waits for all that is wanted.
func (f *fetcher) finish() error {
	close(f.queue)
	f.wg.Wait()
	return f.err
}

func (f *fetcher) fetch(ctx context.Context, path string) {
	results := f.m.run.results()
	n, err := f.copy(ctx, results.Bucket, results.Prefix+path, path)
	if err != nil {
		f.mu.Lock()
		if f.err == nil {
			f.err = fmt.Errorf("fetch the result %s: %w", path, err)
		}
		f.mu.Unlock()
		return
	}
	f.done.Add(1)
	f.bytes.Add(n)
}

// copy brings one object into the results' folder: whole, or not at all.
func (f *fetcher) copy(ctx context.Context, bucket, key, path string) (n int64, err error) {
	if !filepath.IsLocal(filepath.FromSlash(path)) {
		return 0, fmt.Errorf("the object %q cannot be a file below %s", path, f.m.run.Out)
	}
	target := filepath.Join(f.m.run.Out, filepath.FromSlash(path))
	dir := filepath.Dir(target)
	if _, known := f.dirs.Load(dir); !known {
		if err := os.MkdirAll(dir, 0o777); err != nil {
			return 0, err
		}
		f.dirs.Store(dir, true)
	}
	body, _, err := f.m.objects.Get(ctx, bucket, key)
	if err != nil {
		return 0, err
	}
	defer body.Close()
	tmp, err := os.OpenFile(target+partSuffix, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o666)
	if err != nil {
		return 0, err
	}
	defer func() {
		if err != nil {
			os.Remove(tmp.Name())
		}
	}()
	n, err = io.Copy(tmp, body)
	if closeErr := tmp.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return n, err
	}
	return n, os.Rename(tmp.Name(), target)
}

// partSuffix marks a result that is not whole yet.
const partSuffix = ".drover-part"

// fetchReduced brings the results of the reduce here.
func (m *mapper) fetchReduced(ctx context.Context, s *mapSummary) error {
	results := m.run.results()
	f := &fetcher{m: m, wanted: storedPlace(m.run.Out).Dir != ""}
	prefix := results.Prefix + reducedFolder
	for o, err := range m.objects.List(ctx, results.Bucket, prefix, "") {
		if err != nil {
			return fmt.Errorf("list the results of the reduce: %w", err)
		}
		path := reducedFolder + strings.TrimPrefix(o.Key, prefix)
		if o.Modified.Before(m.run.Created.Truncate(time.Second)) {
			continue // of an earlier run into the same place
		}
		s.Reduced = append(s.Reduced, placeBelow(m.run.Out, path))
		if !f.wanted {
			continue
		}
		if _, err := f.copy(ctx, results.Bucket, o.Key, path); err != nil {
			return fmt.Errorf("fetch %s: %w", path, err)
		}
	}
	return nil
}

// placeBelow names a result as a person finds it.
func placeBelow(out, path string) string {
	if strings.HasPrefix(out, "s3://") {
		return out + path
	}
	return filepath.Join(out, filepath.FromSlash(path))
}
