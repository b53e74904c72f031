package store

import (
	"context"

	"drover/internal/store/engine"
)

// OpenEngine opens a database on an engine of the test's making.
func OpenEngine(ctx context.Context, e engine.Engine) (*DB, error) { return open(ctx, e) }

// EngineOf gives the engine that Open would use, to be wrapped.
func EngineOf(url string) (engine.Engine, error) { return pick(url) }

// Queued is the number of closures that wait for the writer.
func Queued(db *DB) int { return len(db.queue) }
