package logs

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"drover/internal/store/storetest"
)

// BenchmarkAppendStreams: streams with one event each, as jobs that print one line; a
// batch holds what a busy worker reports at a time.
func BenchmarkAppendStreams(b *testing.B) {
	s := service(b, storetest.SQLite(b))
	now := nowMillis()
	const batch = 100
	for n := 0; n < b.N; n += batch {
		chunks := make([]Chunk, batch)
		for i := range chunks {
			name := fmt.Sprintf("definition/default/%016x%016x", rand.Uint64(), rand.Uint64())
			chunks[i] = Chunk{JobGroup, name, 0, []Event{{now, "42 /data/input/file.txt"}}}
		}
		if err := s.Append(b.Context(), chunks); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "streams/s")
}

// BenchmarkAppendText: one job that floods its log, in batches of 256 KiB.
func BenchmarkAppendText(b *testing.B) {
	s := service(b, storetest.SQLite(b))
	now := nowMillis()
	var events []Event
	size := 0
	for i := 0; size < 256<<10; i++ {
		text := fmt.Sprintf("%d %s row %d took %d us", i, strings.Repeat("INFO worker ", 3), rand.IntN(1e6), rand.IntN(1e6))
		events = append(events, Event{now, text})
		size += len(text)
	}
	b.SetBytes(int64(size))
	var next int64
	for b.Loop() {
		if err := s.Append(b.Context(), []Chunk{{JobGroup, "flood", next, events}}); err != nil {
			b.Fatal(err)
		}
		next += int64(len(events))
	}
}
