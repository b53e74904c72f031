package s3

import (
	"context"
	"errors"
	"testing"
	"time"
)

// A store's context ends with the request's, and knows nothing else of it.
func TestBare(t *testing.T) {
	type key struct{}
	until := time.Now().Add(time.Hour)
	parent, cancel := context.WithDeadline(context.WithValue(context.Background(), key{}, 1), until)
	ctx := bare(parent)
	child, stop := context.WithCancel(ctx)
	defer stop()
	if at, ok := ctx.Deadline(); ctx.Value(key{}) != nil || ctx.Err() != nil || !ok || !at.Equal(until) {
		t.Fatalf("value %v, error %v, deadline %v %t", ctx.Value(key{}), ctx.Err(), at, ok)
	}
	cancel()
	<-child.Done()
	if !errors.Is(ctx.Err(), context.Canceled) || !errors.Is(child.Err(), context.Canceled) {
		t.Fatalf("it ended with %v, its child with %v", ctx.Err(), child.Err())
	}
	if never := bare(context.Background()); never.Done() != nil || never.Err() != nil {
		t.Fatal("what has no end ends")
	}
}
