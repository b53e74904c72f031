package s3

import (
	"context"
	"io"
	"time"

	"drover/internal/blob"
)

// apart is a store of contents whose calls get contexts without values. The library's
// requests are contexts, and are used again for the next one; but a store that asks others
// over HTTP has goroutines that look into the context for values after it has answered.
type apart struct{ blob.Store }

func (a apart) Put(ctx context.Context, r io.Reader, size int64) (blob.Info, error) {
	return a.Store.Put(bare(ctx), r, size)
}

func (a apart) Get(ctx context.Context, id blob.ID, offset, length int64) (blob.Reader, error) {
	return a.Store.Get(bare(ctx), id, offset, length)
}

func (a apart) Delete(ctx context.Context, id blob.ID) error {
	return a.Store.Delete(bare(ctx), id)
}

// bare gives a context that ends when ctx does and has no values. It looks at ctx now, and
// again only once that has ended, which the library's requests never do.
func bare(ctx context.Context) context.Context {
	e := &ending{of: ctx, done: ctx.Done()}
	e.deadline, e.bounded = ctx.Deadline()
	return e
}

type ending struct {
	of       context.Context
	done     <-chan struct{} // nil = never
	deadline time.Time
	bounded  bool
}

func (e *ending) Deadline() (time.Time, bool) { return e.deadline, e.bounded }
func (e *ending) Done() <-chan struct{}       { return e.done }
func (e *ending) Value(any) any               { return nil }

func (e *ending) Err() error {
	select {
	case <-e.done:
		return e.of.Err()
	default:
		return nil
	}
}
