package worker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strconv"
	"sync"
	"sync/atomic"

	"drover/internal/link"
	"drover/internal/link/objects"
)

const (
	reduceAtOnce = 16 // objects of one reduce that move at the same time
	joinGroup    = 256
)

// stageAllIn fetches all results of a work list: as a folder, or one after another as
// standard input.
func (w *worker) stageAllIn(ctx context.Context, a *attempt, c *objects.Client, f *folder, plan *link.StagePlan) (staged, error) {
	for _, d := range []string{f.in(), f.out()} { // a repeated try begins anew
		if err := os.RemoveAll(d); err != nil {
			return staged{}, err
		}
	}
	if err := f.stage(); err != nil {
		return staged{}, err
	}
	root, err := os.OpenRoot(f.in()) // paths are the bucket's; nothing leads out of here
	if err != nil {
		return staged{}, err
	}
	defer root.Close()
	in, out := f.in(), f.out()
	if plan.Stdout {
		out += "/" + reduceOut
	}
	a.bytesIn.Store(0)
	if plan.Stdin {
		in += "/all"
		err = w.joinAll(ctx, a, c, root, plan)
	} else {
		err = w.eachItem(ctx, a, c, plan, 0, plan.Items, func(ctx context.Context, _ int64, item link.Item) error {
			if dir := path.Dir(item.Path); dir != "." {
				if err := root.MkdirAll(dir, 0o700); err != nil {
					return err
				}
			}
			return w.fetchItem(ctx, a, c, plan, item, root.OpenFile, item.Path)
		})
	}
	if err != nil {
		return staged{}, err
	}
	return place(a, f, plan, in, out), nil
}

// reduceOut is the result's name when standard output is the result.
const reduceOut = "reduce.out"

func (w *worker) fetchItem(ctx context.Context, a *attempt, c *objects.Client, plan *link.StagePlan, item link.Item, open openFile, name string) error {
	url := plan.In + item.Path
	bucket, key, err := splitURL(url)
	if err != nil {
		return err
	}
	n, err := w.fetch(ctx, c, bucket, key, open, name, item.Size >= cacheFrom)
	if err != nil {
		return inputFailed(url, err)
	}
	a.bytesIn.Add(n)
	return nil
}

// eachItem calls do for the items [lo, hi), several at a time. The first error ends it.
func (w *worker) eachItem(ctx context.Context, a *attempt, c *objects.Client, plan *link.StagePlan, lo, hi int64, do func(ctx context.Context, i int64, item link.Item) error) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	work := make(chan int64)
	var wg sync.WaitGroup
	for range reduceAtOnce {
		wg.Go(func() {
			for i := range work {
				item, err := w.plans.item(ctx, c, a.lease.Ref.Key, plan, i)
				if err == nil {
					err = do(ctx, i, item)
				}
				if err != nil {
					stop(err)
				}
			}
		})
	}
	for i := lo; i < hi && ctx.Err() == nil; i++ {
		work <- i
	}
	close(work)
	wg.Wait()
	return context.Cause(ctx)
}

// joinAll writes all items, in order, into one file: a group at a time is fetched, then
// appended.
func (w *worker) joinAll(ctx context.Context, a *attempt, c *objects.Client, root *os.Root, plan *link.StagePlan) (err error) {
	all, err := root.OpenFile("all", os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, all.Close()) }()
	part := func(i int64) string { return "part-" + strconv.FormatInt(i, 10) }
	for lo := int64(0); lo < plan.Items; lo += joinGroup {
		hi := min(lo+joinGroup, plan.Items)
		err := w.eachItem(ctx, a, c, plan, lo, hi, func(ctx context.Context, i int64, item link.Item) error {
			return w.fetchItem(ctx, a, c, plan, item, root.OpenFile, part(i))
		})
		if err != nil {
			return err
		}
		for i := lo; i < hi; i++ {
			if err := appendFile(root, all, part(i)); err != nil {
				return err
			}
		}
	}
	return nil
}

func appendFile(root *os.Root, to *os.File, name string) error {
	from, err := root.Open(name)
	if err != nil {
		return err
	}
	defer from.Close()
	if _, err := io.Copy(to, from); err != nil {
		return err
	}
	return root.Remove(name)
}

// stageAllOut stores every file that a reduce left in its result folder.
func (w *worker) stageAllOut(ctx context.Context, a *attempt, c *objects.Client, plan *link.StagePlan, size *atomic.Int64) error {
	if !plan.Stdout && !a.wantsOut {
		return nil
	}
	root, err := os.OpenRoot(a.folder.out())
	if err != nil {
		return fmt.Errorf("the folder {out} is gone; let the command write into it and leave it there: %w", err)
	}
	defer root.Close()
	var files []string
	err = fs.WalkDir(root.FS(), ".", func(p string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			files = append(files, p)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("the folder {out} cannot be read: %w", err)
	}
	if len(files) == 0 {
		return errors.New("the command ended well but wrote nothing into the folder {out}; let it write its result files there")
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	work := make(chan string)
	var wg sync.WaitGroup
	for range min(reduceAtOnce, len(files)) {
		wg.Go(func() {
			for p := range work {
				if err := upload(ctx, c, plan.Out+p, p, root.OpenFile, size); err != nil {
					stop(err)
				}
			}
		})
	}
	for _, p := range files {
		if ctx.Err() != nil {
			break
		}
		work <- p
	}
	close(work)
	wg.Wait()
	return context.Cause(ctx)
}
