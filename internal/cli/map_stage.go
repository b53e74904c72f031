package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"drover/internal/link"
)

// transfers is how many objects are uploaded, fetched or deleted at once.
const transfers = 16

// stageAll puts inputs, work list, staging plans and the run's record into the store.
func (m *mapper) stageAll(ctx context.Context, upload bool) error {
	if err := m.objects.CreateBucket(ctx, mapBucket); err != nil {
		return fmt.Errorf("make the bucket %s: %w", mapBucket, err)
	}
	if upload {
		if err := m.upload(ctx); err != nil {
			return err
		}
	}
	m.stage = len(m.run.Stages)
	m.run.Stages = append(m.run.Stages, mapStage{Items: int64(len(m.pending))})
	if err := m.putList(ctx); err != nil {
		return err
	}
	if err := m.putJSON(ctx, m.run.planKey(m.stage), m.run.stagePlan(m.stage)); err != nil {
		return err
	}
	if len(m.run.Reduce) > 0 {
		if err := m.putJSON(ctx, m.run.reducePlanKey(), m.run.reducePlan()); err != nil {
			return err
		}
	}
	return m.saveRun(ctx)
}

// upload sends the inputs that are pending.
func (m *mapper) upload(ctx context.Context) error {
	in := m.run.inputs()
	var done atomic.Int64
	var speed pace
	stop := m.show.every(func(now time.Time) progress {
		n := done.Load()
		rate, left := speed.add(now, n, int64(len(m.pending)))
		return progress{Verb: "uploaded", Done: n, Total: int64(len(m.pending)), Rate: rate, Left: left}
	})
	defer stop()
	return parallel(ctx, len(m.pending), func(ctx context.Context, n int) error {
		it := &m.items[m.pending[n]]
		size, err := m.uploadOne(ctx, in, *it)
		if err != nil {
			return err
		}
		it.Size = size
		done.Add(1)
		return nil
	})
}

func (m *mapper) uploadOne(ctx context.Context, in place, it link.Item) (int64, error) {
	path := m.source(it)
	f, err := os.Open(path)
	if err != nil {
		return 0, wrong("%s cannot be read: %v; make it readable or move it out of --in", path, cause(err))
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return 0, wrong("%s cannot be read: %v", path, cause(err))
	}
	if err := m.objects.PutFrom(ctx, in.Bucket, in.Prefix+it.Path, f, info.Size()); err != nil {
		if after, statErr := f.Stat(); statErr == nil && after.Size() != info.Size() {
			err = errChanged
		}
		return 0, fmt.Errorf("upload %s: %w", path, err)
	}
	return info.Size(), nil
}

// putList stores the work list of the stage, in chunks.
func (m *mapper) putList(ctx context.Context) error {
	chunks := (len(m.pending) + listChunk - 1) / listChunk
	return parallel(ctx, chunks, func(ctx context.Context, n int) error {
		part := m.pending[n*listChunk : min((n+1)*listChunk, len(m.pending))]
		list := make([]link.Item, len(part))
		for i, item := range part {
			list[i] = m.items[item]
		}
		return m.putJSON(ctx, m.run.listsKey(m.stage)+link.ListKey(int64(n)), list)
	})
}

func (m *mapper) putJSON(ctx context.Context, key string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("write %s: %w", key, err)
	}
	if err := m.objects.Put(ctx, mapBucket, key, b); err != nil {
		return fmt.Errorf("store %s: %w", url3(key), err)
	}
	return nil
}

func (m *mapper) saveRun(ctx context.Context) error { return m.putJSON(ctx, m.run.recordKey(), m.run) }

// parallel calls f with 0 to n-1, some at a time, until one fails; it gives the first error.
func parallel(ctx context.Context, n int, f func(ctx context.Context, i int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(transfers, n) {
		wg.Go(func() {
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				if err := f(ctx, i); err != nil {
					cancel(err)
				}
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}

// discard removes what the run has staged. What cannot be removed is said, not fatal: the
// results are safe.
func (m *mapper) discard(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	var keys []string
	for o, err := range m.objects.List(ctx, mapBucket, m.run.prefix(), "") {
		if err != nil {
			m.show.note("what was staged in %s could not be removed: %s", url3(m.run.prefix()), sentence(err))
			return
		}
		keys = append(keys, o.Key)
	}
	const batch = 250
	err := parallel(ctx, (len(keys)+batch-1)/batch, func(ctx context.Context, n int) error {
		return m.objects.DeleteMany(ctx, mapBucket, keys[n*batch:min((n+1)*batch, len(keys))])
	})
	if err != nil {
		m.show.note("what was staged in %s could not be removed: %s", url3(m.run.prefix()), sentence(err))
	}
}
