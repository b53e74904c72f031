package store

import (
	"context"
	"errors"
	"sync"

	"drover/internal/store/engine"
)

// pool holds the read connections: opened when first needed, the warmest used first.
type pool struct {
	db    *DB
	slots chan struct{} // one token per connection that may be in use

	mu     sync.Mutex // guards idle and closed
	idle   []engine.Conn
	closed bool
}

func newPool(db *DB, size int) *pool {
	return &pool{db: db, slots: make(chan struct{}, size)}
}

// take gives a connection inside a fresh transaction.
func (p *pool) take(ctx context.Context) (engine.Conn, error) {
	select {
	case p.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	conn, err := p.begin(ctx)
	if err != nil {
		<-p.slots
		return nil, p.db.judge(err)
	}
	return conn, nil
}

// begin starts a transaction on a kept connection, or on a new one when the kept ones
// turn out to be dead, as they all are after PostgreSQL has restarted.
func (p *pool) begin(ctx context.Context) (engine.Conn, error) {
	for {
		conn, err := p.pop()
		if err != nil {
			return nil, err
		}
		kept := conn != nil
		if !kept {
			if conn, err = p.db.engine.Reader(ctx); err != nil {
				return nil, err
			}
		}
		if err = conn.Begin(ctx); err == nil {
			return conn, nil
		}
		err = errors.Join(err, conn.Close())
		if !kept || p.db.engine.Fate(err) != engine.Lost {
			return nil, err
		}
	}
}

func (p *pool) pop() (engine.Conn, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, errClosed()
	}
	if len(p.idle) == 0 {
		return nil, nil
	}
	conn := p.idle[len(p.idle)-1]
	p.idle = p.idle[:len(p.idle)-1]
	return conn, nil
}

// give takes a connection back; err is how its transaction ended.
func (p *pool) give(conn engine.Conn, err error) {
	p.mu.Lock()
	if err != nil || conn.Dead() || p.closed {
		p.mu.Unlock()
		_ = conn.Close() // it only read: nothing can be lost with it
	} else {
		p.idle = append(p.idle, conn)
		p.mu.Unlock()
	}
	<-p.slots
}

// close waits until nobody reads and closes the connections.
func (p *pool) close() error {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	for range cap(p.slots) {
		p.slots <- struct{}{}
	}
	var errs []error
	for _, conn := range p.idle {
		errs = append(errs, conn.Close())
	}
	p.idle = nil
	for range cap(p.slots) {
		<-p.slots
	}
	return errors.Join(errs...)
}
