package logs

import (
	"context"
	"sync"

	"drover/internal/core/fault"
)

// making knows the streams that Make is about to make.
type making struct {
	mu      sync.Mutex // guards streams
	streams map[streamName]chan struct{}
}

// Make begins to make streams that have no events yet and returns at once. Whoever reads
// one of them from now on waits until it is there, so a job may be known to have ended while
// the stream of its silence is still being written. The answer comes when they are durable.
func (s *Service) Make(ctx context.Context, streams []Chunk) <-chan error {
	made := make(chan error, 1)
	if len(streams) == 0 {
		made <- nil
		return made
	}
	done := make(chan struct{})
	var mine []streamName
	s.making.mu.Lock()
	for _, c := range streams {
		name := streamName{c.Group, c.Stream}
		if s.making.streams[name] == nil {
			s.making.streams[name] = done
			mine = append(mine, name)
		}
	}
	s.making.mu.Unlock()
	go func() {
		err := s.Append(ctx, streams)
		s.making.mu.Lock()
		for _, name := range mine {
			delete(s.making.streams, name)
		}
		s.making.mu.Unlock()
		close(done)
		made <- err
	}()
	return made
}

// await waits for a stream that is being made.
func (s *Service) await(ctx context.Context, group, stream string) {
	s.making.mu.Lock()
	done := s.making.streams[streamName{group, stream}]
	s.making.mu.Unlock()
	if done == nil {
		return
	}
	select {
	case <-done:
	case <-ctx.Done():
	}
}

// reading reads one stream. One that is not there is looked for again when it has been made:
// it may be, or may have become so since it was looked for.
func (s *Service) reading(ctx context.Context, group, stream string, read func() error) error {
	err := read()
	if fault.Is(err, fault.NotFound) {
		s.await(ctx, group, stream)
		err = read()
	}
	return err
}
