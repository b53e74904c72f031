package sim

import (
	"flag"
	"fmt"
	"os"
	"reflect"
	"strconv"
	"strings"
	"testing"
)

var (
	seed  = flag.Uint64("seed", 0, "run only this seed, with its trace")
	seeds = flag.Uint64("seeds", 400, "how many seeds to run")
	first = flag.Uint64("first", 1, "the first of them")
)

// options of a seed: every tenth run has no faults, and then nothing may go wrong at all.
func optionsOf(seed uint64) Options { return Options{Seed: seed, Quiet: seed%10 == 0} }

// again is the command that shows a seed's run.
func again(seed uint64) string {
	return fmt.Sprintf("go test ./internal/sim -run 'TestSeed$' -seed=%d -v", seed)
}

// regressions are the seeds of testdata/seeds.txt.
func regressions(t *testing.T) []uint64 {
	text, err := os.ReadFile("testdata/seeds.txt")
	if err != nil {
		return nil // the binary of a mutant runs elsewhere
	}
	var out []uint64
	for line := range strings.Lines(string(text)) {
		if word := strings.Fields(line); len(word) > 0 && word[0] != "#" {
			n, err := strconv.ParseUint(word[0], 10, 64)
			if err != nil {
				t.Fatalf("testdata/seeds.txt: %v", err)
			}
			out = append(out, n)
		}
	}
	return out
}

// TestSeeds runs the regressions and many seeds. Each hundredth runs twice, and must be the same run.
func TestSeeds(t *testing.T) {
	if *seed != 0 {
		t.Skip("-seed runs that seed alone")
	}
	var sum Stats
	list := regressions(t)
	for s := *first; s < *first+*seeds; s++ {
		list = append(list, s)
	}
	for _, s := range list {
		res := Run(optionsOf(s))
		if res.Violation != nil {
			t.Fatalf("seed %d: %v\n\n%s", s, res.Violation, again(s))
		}
		sum.add(res.Stats)
		if s%100 == 0 || s == *first {
			if twice := Run(optionsOf(s)); twice.Hash != res.Hash || twice.Events != res.Events {
				t.Fatalf("seed %d ran twice and was two different runs (%d and %d events): something is not deterministic\n\n%s", s, res.Events, twice.Events, again(s))
			}
		}
	}
	t.Logf("%d seeds: %+v", *seeds, sum)
	// A run in which nothing happens proves nothing: every kind of trouble must have been seen.
	for i, v := 0, reflect.ValueOf(sum); i < v.NumField() && *seeds >= 200; i++ {
		if v.Field(i).Int() == 0 {
			t.Errorf("in %d seeds %s was never above 0", *seeds, v.Type().Field(i).Name)
		}
	}
}

// TestSeed shows one run.
func TestSeed(t *testing.T) {
	if *seed == 0 {
		t.Skip("give -seed=N")
	}
	opt := optionsOf(*seed)
	opt.Trace = func(line string) { t.Log(line) }
	res := Run(opt)
	t.Logf("%d events, hash %x: %+v", res.Events, res.Hash, res.Stats)
	if res.Violation != nil {
		t.Fatalf("%s\n%s", res.Violation.Invariant, res.Violation.Detail)
	}
}
