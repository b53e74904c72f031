package sim

import (
	"flag"
	"testing"
)

var (
	seed  = flag.Uint64("seed", 0, "run only this seed")
	seeds = flag.Uint64("seeds", 200, "how many seeds to run")
	first = flag.Uint64("first", 1, "the first of them")
)

func TestSeeds(t *testing.T) {
	var sum Stats
	for s := *first; s < *first+*seeds; s++ {
		res := Run(Options{Seed: s, Quiet: s%10 == 0})
		if res.Violation != nil {
			t.Fatalf("seed %d: %v\n\ngo test ./internal/sim -run TestSeed$ -seed=%d -v", s, res.Violation, s)
		}
		sum.Starts += res.Stats.Starts
		_ = sum
	}
	t.Logf("%+v", sum)
}

func TestSeed(t *testing.T) {
	if *seed == 0 {
		t.Skip("give -seed=N")
	}
	res := Run(Options{Seed: *seed, Quiet: *seed%10 == 0, Trace: func(l string) { t.Log(l) }})
	t.Logf("%+v", res.Stats)
	if res.Violation != nil {
		t.Fatal(res.Violation)
	}
}
