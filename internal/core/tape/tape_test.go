package tape_test

import (
	"fmt"
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"drover/internal/core/job"
	"drover/internal/core/resource"
	"drover/internal/core/sched"
	"drover/internal/core/tape"
)

const µs = 1_000_000

// Whatever a scheduler is told, its tape, cut anywhere, gives the same placements at the same
// times on the same hosts.
func TestPlay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := tape.NewRecorder()
		now := int64(1_000_000_000 * µs)
		r.SetEnvironment(job.Environment{Name: "e", Enabled: true, HostJobs: true, MaxMilliVCPU: 20_000})
		for i, p := range []string{sched.FIFO, sched.Easy, sched.LXF, sched.Strict} {
			r.SetQueue(job.Queue{Name: fmt.Sprint("q", i), Priority: int32(i % 2), Enabled: true, Environments: []string{"e"}, Tags: map[string]string{sched.TagPolicy: p, sched.TagOvertake: "5"}})
		}
		r.SetPolicy("q0", &sched.FairShare{ShareDecaySeconds: 60, Weights: []sched.Weight{{Identifier: "a", Factor: 0.5}}})
		r.Charge("q0", "a", 1e12, now)
		r.SetToken("licence", 3, true)
		for h := range 4 {
			id := fmt.Sprint("h", h)
			r.SetHost(id, resource.Vector{MilliVCPU: int64(h+1) * 2000, MemoryMiB: 100}, []string{sched.Process})
			r.OpenHost(id, true)
		}
		var all []byte
		running := map[job.Ref]bool{}
		var order []job.Ref
		var starts []tape.Start
		key := job.Key(1)
		for range rapid.IntRange(1, 80).Draw(t, "steps") {
			now += rapid.Int64Range(0, 4).Draw(t, "seconds") * µs
			switch rapid.IntRange(0, 6).Draw(t, "what") {
			case 0, 1, 2:
				d := sched.Demand{Shape: sched.Shape{Need: resource.Vector{MilliVCPU: rapid.Int64Range(1, 9).Draw(t, "need") * 1000, MemoryMiB: 1}, Executor: sched.Process},
					Timeout: rapid.SampledFrom([]int32{0, 5, 50}).Draw(t, "timeout"), Since: now, Image: rapid.SampledFrom([]uint8{0, 1, 2}).Draw(t, "image")}
				q := rapid.IntRange(0, 3).Draw(t, "queue")
				if q == 0 {
					d.Share = rapid.SampledFrom([]string{"a", "b"}).Draw(t, "share")
				}
				if rapid.IntRange(0, 3).Draw(t, "token") == 0 {
					d.Tokens = []sched.Token{{Name: "licence", Quantity: 2}}
				}
				lo, hi := job.Whole, job.Whole+1
				if rapid.Bool().Draw(t, "array") {
					lo, hi = 0, rapid.Int32Range(1, 4).Draw(t, "size")
				}
				r.Add(fmt.Sprint("q", q), d, key, false, lo, hi)
				if rapid.IntRange(0, 9).Draw(t, "removed") == 0 {
					r.Remove(fmt.Sprint("q", q), d, key, lo, lo+1)
				}
				key++
			case 3:
				for i, u := range order {
					if running[u] && (i+int(key))%2 == 0 {
						r.Release(u, now)
						running[u] = false
						break
					}
				}
			case 4:
				all = append(all, r.Cut()...)
			default:
				for _, p := range r.Decide(now, rapid.IntRange(1, 5).Draw(t, "limit")).Places {
					running[p.Ref] = true
					order = append(order, p.Ref)
					starts = append(starts, tape.Start{At: now, Ref: p.Ref, Host: p.Host})
				}
			}
		}
		all = append(all, r.Cut()...)
		story, err := tape.Play(all)
		if err != nil {
			t.Fatal(err)
		}
		if at, ok := story.Same(); !ok || !reflect.DeepEqual(story.Starts, starts) {
			t.Fatalf("the order differs at %d:\n%v\n%v\n%v", at, starts, story.Starts, story.Played)
		}
		live := 0
		for _, u := range story.Units {
			if u.Placed > 0 && u.Ended == 0 {
				live++
				if !running[u.Ref] {
					t.Fatalf("%+v has ended", u)
				}
			}
		}
	})
}

// A new field of Demand must become a part of the key by which demands are told apart.
func TestDemandFields(t *testing.T) {
	var names []string
	for i := range reflect.TypeFor[sched.Demand]().NumField() {
		names = append(names, reflect.TypeFor[sched.Demand]().Field(i).Name)
	}
	if got := fmt.Sprint(names); got != "[Shape Share Priority Timeout Tokens Image Nodes Groups Since]" {
		t.Errorf("Demand has %s: make each a part of demandKey, then change this test", got)
	}
	r := tape.NewRecorder()
	r.Decide(1, 1)
	if b := r.Cut(); len(b) != 2 {
		t.Errorf("a decision without occasion takes %d bytes", len(b)-2)
	}
}

// What is damaged is refused, whatever it is.
func FuzzPlay(f *testing.F) {
	r := tape.NewRecorder()
	r.SetEnvironment(job.Environment{Name: "e", Enabled: true, HostJobs: true, MaxMilliVCPU: 20_000})
	r.SetQueue(job.Queue{Name: "q", Enabled: true, Environments: []string{"e"}})
	r.SetHost("h", resource.Vector{MilliVCPU: 4000, MemoryMiB: 100}, []string{sched.Process})
	r.OpenHost("h", true)
	r.Add("q", sched.Demand{Shape: sched.Shape{Need: resource.Vector{MilliVCPU: 1000, MemoryMiB: 1}, Executor: sched.Process}}, 1, false, 0, 3)
	r.Decide(1, 10)
	r.Release(job.Ref{Key: 1, Index: 0}, 2)
	f.Add(r.Cut())
	f.Add([]byte{})
	f.Add([]byte{1, 9})
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, err := tape.Play(b); err == nil && s == nil {
			t.Fatal("no story and no error")
		}
	})
}
