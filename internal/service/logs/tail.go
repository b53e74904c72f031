package logs

import (
	"context"
	"sync"
	"time"

	"drover/internal/core/fault"
	"drover/internal/store"
)

// streamName names a stream.
type streamName struct{ group, stream string }

// streamState is what was last known of a stream; next is never above the truth.
type streamState struct{ group, id, next int64 }

// streamCache remembers the streams written to most recently, in two generations: when
// the young one is full it becomes the old one, and the old one is forgotten.
type streamCache struct {
	mu         sync.Mutex // guards young and old
	young, old map[streamName]streamState
}

const cacheGeneration = 8192

func newStreamCache() *streamCache {
	return &streamCache{young: map[streamName]streamState{}}
}

func (c *streamCache) get(n streamName) (streamState, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if st, ok := c.young[n]; ok {
		return st, true
	}
	st, ok := c.old[n]
	return st, ok
}

func (c *streamCache) put(n streamName, st streamState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.young) >= cacheGeneration {
		c.old, c.young = c.young, make(map[streamName]streamState, cacheGeneration)
	}
	c.young[n] = st
}

// tails wakes those who wait for new events of a stream.
type tails struct {
	mu      sync.Mutex // guards waiting and count
	waiting map[streamName]*tail
	count   int
}

type tail struct {
	more  chan struct{} // closed when events were committed
	users int
}

const (
	maxTails = 4096            // calls of WaitAfter at a time
	lookBack = 2 * time.Second // another process may write to the same database
)

func newTails() *tails { return &tails{waiting: map[streamName]*tail{}} }

func (t *tails) join(n streamName) (*tail, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.count >= maxTails {
		return nil, false
	}
	w := t.waiting[n]
	if w == nil {
		w = &tail{more: make(chan struct{})}
		t.waiting[n] = w
	}
	w.users++
	t.count++
	return w, true
}

func (t *tails) leave(n streamName, w *tail) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.count--
	if w.users--; w.users == 0 && t.waiting[n] == w {
		delete(t.waiting, n)
	}
}

// wake tells everyone who waits for one of the streams.
func (t *tails) wake(names []streamName) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.waiting) == 0 {
		return
	}
	for _, n := range names {
		if w := t.waiting[n]; w != nil {
			close(w.more)
			delete(t.waiting, n)
		}
	}
}

// WaitAfter returns nil when the stream has an event beyond a forward token of
// GetLogEvents, or any event if the token is empty. It also waits for a stream that does
// not exist yet. It ends with ctx.
func (s *Service) WaitAfter(ctx context.Context, group, stream, token string) error {
	name := streamName{group, stream}
	for {
		w, ok := s.tails.join(name)
		if !ok {
			return fault.New(fault.Throttled, "LimitExceededException", "%d log streams are being followed already; end some of them, or read without following", maxTails)
		}
		more, err := s.beyond(ctx, name, token)
		if err == nil && !more {
			select {
			case <-w.more:
			case <-time.After(lookBack):
			case <-ctx.Done():
				err = ctx.Err()
			}
		}
		s.tails.leave(name, w)
		if more || err != nil {
			return err
		}
	}
}

// beyond reports whether the stream has an event beyond the token.
func (s *Service) beyond(ctx context.Context, n streamName, token string) (more bool, err error) {
	err = s.db.View(ctx, func(tx *store.Tx) error {
		id, next, err := find(tx, n.group, n.stream)
		if err != nil || token == "" {
			more = err == nil && next > 0
			return err
		}
		_, seen, err := parseEventToken(token, id)
		more = next > seen
		return err
	})
	if fault.Is(err, fault.NotFound) {
		return false, nil
	}
	return more, err
}
