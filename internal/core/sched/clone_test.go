package sched_test

import (
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"drover/internal/core/job"
	"drover/internal/core/sched"
)

// walk takes a random walk through a cosmos.
func walk(t *rapid.T) *cosmos {
	c := newCosmos(t)
	for range rapid.IntRange(1, 60).Draw(t, "steps") {
		switch rapid.IntRange(0, 7).Draw(t, "what") {
		case 0, 1, 2, 3:
			c.submit(t)
		case 4:
			if refs := sorted(c.running); len(refs) > 0 {
				c.end(rapid.SampledFrom(refs).Draw(t, "ended"), rapid.IntRange(0, 4).Draw(t, "again") == 0)
			}
		case 5:
			c.now += rapid.Int64Range(0, 400).Draw(t, "seconds") * 1_000_000
		default:
			c.decide(t, rapid.IntRange(1, 9).Draw(t, "limit"))
		}
	}
	return c
}

// A clone decides as the State that it was made of, and what it decides changes nothing there.
func TestClone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := walk(t)
		was := c.s.Picture()
		clone := c.s.Clone(0)
		shareNothing(t, c.s, clone)
		if is := clone.Picture(); is != was {
			t.Fatalf("the clone is\n%s\nthe State was\n%s", is, was)
		}
		spare := c.s.Clone(0)
		for range 30 { // the spare runs to its end first
			spare.Decide(c.now+1e9, 100)
			var refs []job.Ref
			spare.EachRunning(func(r sched.Running) { refs = append(refs, r.Ref) })
			for _, r := range refs {
				spare.Release(r, c.now+1e9)
			}
		}
		if is := c.s.Picture(); is != was {
			t.Fatalf("what a clone decided changed the State:\n%s\nit was\n%s", is, was)
		}
		now := c.now
		for range 40 {
			now += 30_000_000
			a, b := c.s.Decide(now, 7), clone.Decide(now, 7)
			if !reflect.DeepEqual(a, b) {
				t.Fatalf("the State decides %+v, its clone %+v", a, b)
			}
			if a, b := c.s.Reservations(), clone.Reservations(); !reflect.DeepEqual(a, b) {
				t.Fatalf("the State keeps %+v, its clone %+v", a, b)
			}
			var refs []job.Ref
			c.s.EachRunning(func(r sched.Running) { refs = append(refs, r.Ref) })
			slices.SortFunc(refs, job.Ref.Compare)
			if len(refs) == 0 {
				break
			}
			c.s.Release(refs[0], now)
			clone.Release(refs[0], now)
		}
		if a, b := c.s.Picture(), clone.Picture(); a != b {
			t.Fatalf("State and clone have become different:\n%s\n%s", a, b)
		}
	})
}

// A shallow clone knows the first records of each FIFO, and counts no others.
func TestShallowClone(t *testing.T) {
	s := cluster(2)
	for k := range job.Key(100) {
		add(s, "q", process(1000), k+1)
	}
	s.Add("q", ask(process(2000)), 200, false, 0, 50)
	c := s.Clone(10)
	if c.Waiting() != 60 || s.Waiting() != 150 || c.FIFOs() != 2 {
		t.Errorf("%d wait in the clone, %d in the State, %d FIFOs", c.Waiting(), s.Waiting(), c.FIFOs())
	}
	var lines []sched.Line
	c.EachWaiting(3, func(l sched.Line) { lines = append(lines, l) })
	if len(lines) != 4 || lines[0].Key != 1 || lines[3].Key != 200 || lines[3].Units != 50 {
		t.Errorf("%+v", lines)
	}
	if got := keys(decide(c, 10)); got != "1 2" {
		t.Error(got)
	}
}

// unchanging are types of which a State holds values that nobody changes.
var unchanging = []string{"map[string]string", "[]string", "json.RawMessage", "[]sched.Token", "*sched.FairShare", "[]sched.QuotaShare", "[]job.TimeLimit", "[]sched.section"}

// shareNothing fails if a State and its clone have memory in common that one may change: it
// also looks at fields that were added after Clone was written.
func shareNothing(t *rapid.T, s, clone *sched.State) {
	a, b := map[uintptr]string{}, map[uintptr]string{}
	memory(reflect.ValueOf(s), "State", a)
	memory(reflect.ValueOf(clone), "State", b)
	for p, path := range b {
		if was, ok := a[p]; ok {
			t.Fatalf("the clone's %s is the State's %s: copy it in Clone", path, was)
		}
	}
}

func memory(v reflect.Value, path string, seen map[uintptr]string) {
	if slices.Contains(unchanging, v.Type().String()) {
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() || seen[v.Pointer()] != "" {
			return
		}
		seen[v.Pointer()] = path
		memory(v.Elem(), path, seen)
	case reflect.Struct:
		for i := range v.NumField() {
			memory(v.Field(i), path+"."+v.Type().Field(i).Name, seen)
		}
	case reflect.Map:
		if v.IsNil() || seen[v.Pointer()] != "" {
			return
		}
		seen[v.Pointer()] = path
		for it := v.MapRange(); it.Next(); {
			memory(it.Value(), path+"[]", seen)
		}
	case reflect.Slice:
		if v.Cap() == 0 || v.Len() == 0 || v.Type().Elem().Size() == 0 {
			return
		}
		if seen[v.Pointer()] == "" {
			seen[v.Pointer()] = path
		}
		for i := range v.Len() {
			memory(v.Index(i), path+"[]", seen)
		}
	case reflect.Array:
		for i := range v.Len() {
			memory(v.Index(i), path+"[]", seen)
		}
	}
}
