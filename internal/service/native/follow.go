package native

import (
	"context"
	"encoding/json"
	"time"
)

// Bounds of one call that follows a history.
const (
	maxWaitSeconds = 20
	maxReads       = 100 // readings of events that give none, although there are rows
)

// found is what one reading of a history comes to.
type found int

const (
	nothing found = iota // nothing to answer, and nothing more to read for now
	onward               // rows were read, and more may follow at once
	answer               // enough to answer, or as much as one call may read
)

// follow reads until there is an answer, and where there is nothing until something has
// changed. It ends without an answer and without an error when the wait is over (seconds,
// nil for no wait) or the client has gone; what read has gathered by then is the answer.
// changed is asked before each reading, so that nothing is missed in between; what it gives
// is closed at the next change.
func follow(ctx context.Context, seconds *int32, changed func() <-chan struct{}, read func() (found, error)) error {
	wait := time.Duration(given(seconds, 0)) * time.Second
	over := time.NewTimer(wait)
	defer over.Stop()
	for {
		next := changed()
		what, err := read()
		if err != nil || what == answer || what == nothing && wait <= 0 {
			return err
		}
		if what == onward {
			continue
		}
		select {
		case <-next:
		case <-over.C:
			return nil
		case <-ctx.Done():
			return nil
		}
	}
}

// eventsAfter follows events from a point on, and gives the first ones and the point behind
// all that was read. list reads once from a point; where it gives no events and moves the
// point, it has read rows that are not wanted.
func eventsAfter[P comparable](ctx context.Context, seconds *int32, changed func() <-chan struct{}, from P,
	list func(P) (events []json.RawMessage, next P, err error)) (events []string, next P, err error) {
	events, next = []string{}, from
	reads := 0
	err = follow(ctx, seconds, changed, func() (found, error) {
		some, behind, err := list(next)
		if err != nil {
			return nothing, err
		}
		for _, e := range some {
			events = append(events, string(e))
		}
		moved := behind != next
		next = behind
		reads++
		switch {
		case len(some) > 0 || moved && reads > maxReads:
			return answer, nil
		case moved:
			return onward, nil
		}
		return nothing, nil
	})
	return events, next, err
}

// given is what a field of an input says, or what its absence means.
func given[T any](field *T, absent T) T {
	if field == nil {
		return absent
	}
	return *field
}
