package native

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"drover/internal/core/fault"

	"github.com/google/go-cmp/cmp"
)

func TestFollow(t *testing.T) {
	broken := errors.New("the disk is out")
	for _, c := range []struct {
		name    string
		seconds *int32
		finds   []found // by reading; after the last one nothing
		changes []int   // seconds after the begin
		leaves  int     // the client, after so many seconds; 0 = stays
		err     error   // of the last reading of finds
		reads   int
		took    int // seconds
	}{
		{name: "an answer at once", seconds: pointer(int32(9)), finds: []found{answer}, reads: 1},
		{name: "nothing, and no wait", finds: []found{nothing}, reads: 1},
		{name: "nothing, and a wait of 0", seconds: pointer(int32(0)), finds: []found{nothing}, reads: 1},
		{name: "more to read, and no wait", finds: []found{onward, onward, answer}, reads: 3},
		{name: "more to read, then nothing", finds: []found{onward, nothing}, reads: 2},
		{name: "nothing until the wait is over", seconds: pointer(int32(9)), reads: 1, took: 9},
		{name: "changes that come to nothing", seconds: pointer(int32(9)), changes: []int{2, 4}, reads: 3, took: 9},
		{name: "a change that does not", seconds: pointer(int32(9)), changes: []int{2, 4}, finds: []found{nothing, onward, nothing, answer}, reads: 4, took: 4},
		{name: "the client leaves", seconds: pointer(int32(9)), leaves: 3, reads: 1, took: 3},
		{name: "an error at once", seconds: pointer(int32(9)), finds: []found{answer}, err: broken, reads: 1},
		{name: "an error later", seconds: pointer(int32(9)), changes: []int{2}, finds: []found{nothing, nothing}, err: broken, reads: 2, took: 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, leave := context.WithCancel(t.Context())
				defer leave()
				if c.leaves > 0 {
					time.AfterFunc(time.Duration(c.leaves)*time.Second, leave)
				}
				f := newFake()
				for _, s := range c.changes {
					time.AfterFunc(time.Duration(s)*time.Second, func() { f.add() })
				}
				reads, start := 0, time.Now()
				err := follow(ctx, c.seconds, f.Changed, func() (found, error) {
					if reads++; reads > len(c.finds) {
						return nothing, nil
					}
					if reads == len(c.finds) && c.err != nil {
						return c.finds[reads-1], c.err
					}
					return c.finds[reads-1], nil
				})
				if took := time.Since(start); err != c.err || reads != c.reads || took != time.Duration(c.took)*time.Second {
					t.Errorf("%d readings in %v, %v; want %d in %d s, %v", reads, took, err, c.reads, c.took, c.err)
				}
			})
		})
	}
}

// What changes while it reads is not missed.
func TestFollowAsksBeforeItReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		reads := 0
		start := time.Now()
		err := follow(t.Context(), pointer(int32(9)), f.Changed, func() (found, error) {
			if reads++; reads == 1 {
				f.add() // behind what was read
				return nothing, nil
			}
			return answer, nil
		})
		if err != nil || reads != 2 || time.Since(start) != 0 {
			t.Errorf("%d readings in %v, %v", reads, time.Since(start), err)
		}
	})
}

// happenings is an object store in which a test lets things happen: event n is in the
// bucket of happenings[n-1].
type happenings struct {
	Objects // what is not asked of it
	*fakeJobs
	buckets []string // guarded by mu
	reads   int64
}

func (h *happenings) Changed() <-chan struct{} { return h.fakeJobs.Changed() }

func (h *happenings) LastEvent(context.Context) (int64, error) { return int64(len(h.buckets)), nil }

func (h *happenings) Events(_ context.Context, after int64, limit int, bucket string) (events []json.RawMessage, next int64, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.reads++
	for next = after; next < int64(len(h.buckets)) && next < after+int64(limit); next++ {
		if b := h.buckets[next]; bucket == "" || b == bucket {
			events = append(events, json.RawMessage(fmt.Sprintf("%q", fmt.Sprint(b, next+1))))
		}
	}
	return events, next, nil
}

func TestListObjectEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &happenings{fakeJobs: newFake(), buckets: []string{"a", "b", "a"}}
		s := New(h.fakeJobs, nil, nil).Keep(h)
		want := func(in ListObjectEventsInput, took time.Duration, next int64, events ...string) {
			t.Helper()
			start := time.Now()
			out, err := s.ListObjectEvents(t.Context(), &in)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(&ListObjectEventsOutput{Events: append([]string{}, events...), Next: next}, out); d != "" || time.Since(start) != took {
				t.Errorf("after %v, want %v: %s", time.Since(start), took, d)
			}
		}
		zero, wait, b := pointer(int64(0)), pointer(int32(5)), pointer("b")
		want(ListObjectEventsInput{WaitSeconds: wait}, 0, 3)
		want(ListObjectEventsInput{After: zero}, 0, 3, `"a1"`, `"b2"`, `"a3"`)
		want(ListObjectEventsInput{After: zero, Limit: pointer(int32(2))}, 0, 2, `"a1"`, `"b2"`)
		want(ListObjectEventsInput{After: zero, Limit: pointer(int32(1)), Bucket: b}, 0, 2, `"b2"`)
		want(ListObjectEventsInput{After: pointer(int64(2)), Bucket: b}, 0, 3)
		want(ListObjectEventsInput{After: pointer(int64(3)), WaitSeconds: wait}, 5*time.Second, 3)
		time.AfterFunc(time.Second, func() {
			h.mu.Lock()
			h.buckets = append(h.buckets, "a", "b")
			h.mu.Unlock()
			h.add()
		})
		want(ListObjectEventsInput{After: pointer(int64(3)), WaitSeconds: wait, Bucket: b}, time.Second, 5, `"b5"`)

		// One call passes by so many readings, and the next one goes on behind them.
		h.buckets = make([]string, 1000)
		before := h.reads
		want(ListObjectEventsInput{After: zero, Limit: pointer(int32(1)), Bucket: b, WaitSeconds: wait}, 0, maxReads+1)
		if n := h.reads - before; n != maxReads+1 {
			t.Errorf("%d readings", n)
		}
		if _, err := New(h.fakeJobs, nil, nil).ListObjectEvents(t.Context(), &ListObjectEventsInput{After: zero}); !fault.Is(err, fault.NotBuilt) {
			t.Errorf("without an object store: %v", err)
		}
	})
}
