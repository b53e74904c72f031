package server

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// Bounds of the heap beside what is in use.
const (
	heapSpare    = 32 << 20 // bytes of garbage that may pile up before they are collected
	heapLeast    = 20       // percent of what is in use that may pile up in any case
	heapUsual    = 100      // percent, Go's own default
	heapLookedAt = time.Second
)

// keepHeap keeps the memory that the collector lets grow in proportion to the use of it. By
// default it lets as much garbage pile up as there is in use; what a server with a million
// waiting jobs has in use is packed and costs the collector nothing to look at, so that
// collecting it oftener is cheap and saves half of the process's memory. Who sets GOGC has
// their way.
func keepHeap(ctx context.Context) {
	if os.Getenv("GOGC") != "" {
		return
	}
	defer debug.SetGCPercent(heapUsual)
	t := time.NewTicker(heapLookedAt)
	defer t.Stop()
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	last := heapUsual
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		metrics.Read(sample)
		if p := heapPercent(sample[0].Value.Uint64()); p != last {
			debug.SetGCPercent(p)
			last = p
		}
	}
}

// heapPercent is how much garbage may pile up beside so many live bytes. It moves in steps
// of ten, for each change of it makes the collector plan anew.
func heapPercent(live uint64) int {
	p := int(heapSpare * 100 / max(live, 1) / 10 * 10)
	return min(max(p, heapLeast), heapUsual)
}
