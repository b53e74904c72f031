package worker

import (
	"container/list"
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"sync"

	"drover/internal/core/job"
	"drover/internal/link"
	"drover/internal/link/objects"
)

const (
	maxPlan      = 1 << 20  // bytes of a plan
	maxList      = 32 << 20 // bytes of one object of a work list
	maxListItems = 1 << 20
	cacheCost    = 2 << 20 // items and plans kept, counted in items; about 200 MB at worst
)

// plans keeps the staging plans and work lists of the jobs at hand: all children of an
// array need the same few objects, so each is fetched once. The least recently used go.
type plans struct {
	mu    sync.Mutex // guards the rest
	byKey map[planKey]*list.Element
	order *list.List // of *cached, most recently used first
	cost  int
}

// planKey names a fetched object. The job is part of it: what one job was allowed to read
// is not another's.
type planKey struct {
	job job.Key
	url string
}

type cached struct {
	key   planKey
	ready chan struct{} // closed when value or err is set
	value any
	err   error
	cost  int
}

func newPlans() *plans { return &plans{byKey: map[planKey]*list.Element{}, order: list.New()} }

// get gives the object behind key, fetching it once however many ask. A failure is told to
// those who wait, and not kept.
func (p *plans) get(ctx context.Context, key planKey, fetch func() (value any, cost int, err error)) (any, error) {
	p.mu.Lock()
	if e := p.byKey[key]; e != nil {
		p.order.MoveToFront(e)
		p.mu.Unlock()
		c := e.Value.(*cached)
		select {
		case <-c.ready:
			return c.value, c.err
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	c := &cached{key: key, ready: make(chan struct{})}
	e := p.order.PushFront(c)
	p.byKey[key] = e
	p.mu.Unlock()

	c.value, c.cost, c.err = fetch()
	close(c.ready)

	p.mu.Lock()
	defer p.mu.Unlock()
	if c.err != nil {
		p.order.Remove(e)
		delete(p.byKey, key)
		return nil, c.err
	}
	p.cost += c.cost
	for p.cost > cacheCost && p.order.Len() > 1 {
		last := p.order.Back()
		old := last.Value.(*cached)
		select {
		case <-old.ready:
		default:
			return c.value, nil // being fetched just now: let it be
		}
		p.order.Remove(last)
		delete(p.byKey, old.key)
		p.cost -= old.cost
	}
	return c.value, c.err
}

// plan gives a job's staging plan.
func (p *plans) plan(ctx context.Context, c *objects.Client, k job.Key, url string) (*link.StagePlan, error) {
	v, err := p.get(ctx, planKey{k, url}, func() (any, int, error) {
		bucket, key, err := splitURL(url)
		if err != nil {
			return nil, 0, err
		}
		text, err := c.GetAll(ctx, bucket, key, maxPlan)
		if err != nil {
			return nil, 0, fmt.Errorf("the staging plan could not be read: %w", err)
		}
		plan := new(link.StagePlan)
		if err := json.Unmarshal(text, plan); err != nil {
			return nil, 0, fmt.Errorf("%s is not a staging plan: %w", url, err)
		}
		return plan, 1, checkPlan(plan, url)
	})
	if err != nil {
		return nil, err
	}
	return v.(*link.StagePlan), nil
}

func checkPlan(p *link.StagePlan, url string) error {
	switch {
	case p.Version != link.StagePlanVersion:
		return fmt.Errorf("the staging plan %s is of version %d and this worker knows version %d; run the same release of drover on both sides", url, p.Version, link.StagePlanVersion)
	case p.Chunk <= 0 || p.Chunk > maxListItems || p.Items < 0:
		return fmt.Errorf("the staging plan %s has a work list of %d items in pieces of %d", url, p.Items, p.Chunk)
	}
	return nil
}

// items gives piece n of a work list.
func (p *plans) items(ctx context.Context, c *objects.Client, k job.Key, plan *link.StagePlan, n int64) ([]link.Item, error) {
	url := plan.Lists + link.ListKey(n)
	v, err := p.get(ctx, planKey{k, url}, func() (any, int, error) {
		bucket, key, err := splitURL(url)
		if err != nil {
			return nil, 0, err
		}
		text, err := c.GetAll(ctx, bucket, key, maxList)
		if err != nil {
			return nil, 0, fmt.Errorf("the work list could not be read: %w", err)
		}
		var items []link.Item
		if err := json.Unmarshal(text, &items); err != nil {
			return nil, 0, fmt.Errorf("%s is not a work list: %w", url, err)
		}
		if want := min(plan.Chunk, plan.Items-n*plan.Chunk); int64(len(items)) != want {
			return nil, 0, fmt.Errorf("%s has %d items, and its plan says %d", url, len(items), want)
		}
		for i := range items {
			if err := checkPath(items[i].Path); err != nil {
				return nil, 0, fmt.Errorf("%s: %w", url, err)
			}
		}
		return items, len(items), nil
	})
	if err != nil {
		return nil, err
	}
	return v.([]link.Item), nil
}

// item gives one item of a work list.
func (p *plans) item(ctx context.Context, c *objects.Client, k job.Key, plan *link.StagePlan, i int64) (link.Item, error) {
	if i < 0 || i >= plan.Items {
		return link.Item{}, fmt.Errorf("there is no item %d in a work list of %d", i, plan.Items)
	}
	items, err := p.items(ctx, c, k, plan, i/plan.Chunk)
	if err != nil {
		return link.Item{}, err
	}
	return items[i%plan.Chunk], nil
}

// checkPath refuses a path that would lead out of the folder it is put in, or that no file
// can have. Keys come from whoever may write to the bucket.
func checkPath(p string) error {
	if p == "" || p == "." || strings.ContainsRune(p, 0) || !filepath.IsLocal(p) || strings.HasSuffix(p, "/") || filepath.Clean(p) != p {
		return fmt.Errorf("%q cannot be a file's path: it must be relative, without \"..\", \".\" or empty parts", p)
	}
	return nil
}

// splitURL splits s3://bucket/key.
func splitURL(url string) (bucket, key string, err error) {
	rest, ok := strings.CutPrefix(url, "s3://")
	bucket, key, _ = strings.Cut(rest, "/")
	if !ok || bucket == "" {
		return "", "", fmt.Errorf("%q is not an s3://bucket/key address", url)
	}
	return bucket, key, nil
}
