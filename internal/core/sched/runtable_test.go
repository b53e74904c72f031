package sched

import (
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"drover/internal/core/job"
)

// The table is a map: whatever is put in and taken out, it finds what is there and nothing else.
func TestRunTable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var table runTable
		model := map[job.Ref]int32{}
		for step := range rapid.IntRange(1, 400).Draw(t, "steps") {
			r := job.Ref{Key: job.Key(rapid.Int64Range(1, 40).Draw(t, "key")), Index: rapid.Int32Range(-3, 3).Draw(t, "index")}
			if _, ok := model[r]; ok {
				table.remove(r)
				delete(model, r)
			} else {
				table.put(r, int32(step))
				model[r] = int32(step)
			}
			if got := table.refs(); table.n != len(model) || !slices.Equal(got, slices.SortedFunc(maps.Keys(model), job.Ref.Compare)) {
				t.Fatalf("it holds %v, want %v", got, model)
			}
			for r, at := range model {
				if got, ok := table.get(r); !ok || got != at {
					t.Fatalf("%v is at %d %t, want %d", r, got, ok, at)
				}
			}
			if at, ok := table.get(job.Ref{Key: 99}); ok {
				t.Fatalf("what never was is at %d", at)
			}
		}
	})
}
