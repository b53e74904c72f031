package sched_test

import (
	"reflect"
	"testing"

	"pgregory.net/rapid"
)

// Looking only at the holds that something has happened to decides what a look at all of
// them, with every event, would decide.
func TestReview(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := newCosmos(t)
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			switch rapid.IntRange(0, 7).Draw(t, "what") {
			case 0, 1, 2:
				c.submit(t)
			case 3, 4:
				if refs := sorted(c.running); len(refs) > 0 {
					c.end(rapid.SampledFrom(refs).Draw(t, "ended"), rapid.IntRange(0, 4).Draw(t, "again") == 0)
				}
			case 5:
				c.now += rapid.SampledFrom([]int64{1_000, 100_000, 1_000_000, 20_000_000, 90_000_000}).Draw(t, "µs")
			default:
				all := c.s.Clone(0)
				all.Stir()
				limit := rapid.IntRange(1, 9).Draw(t, "limit")
				want := all.Decide(c.now, limit)
				if got := c.decide(t, limit); !reflect.DeepEqual(got, want) {
					t.Fatalf("the State decides %+v; after a look at all holds it decides %+v; kept %+v", got, want, c.s.Reservations())
				}
			}
		}
	})
}
