package manager

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"drover/internal/core/job"
)

// fill sets every field below v to something that is not its zero value.
func fill(v reflect.Value, n *int) {
	*n++
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), n)
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				fill(v.Field(i), n)
			}
		}
	case reflect.Slice:
		if v.Type() == reflect.TypeFor[json.RawMessage]() {
			v.SetBytes(fmt.Appendf(nil, `{"n":%d}`, *n))
			return
		}
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fill(v.Index(0), n)
		fill(v.Index(1), n)
	case reflect.Array:
		for i := range v.Len() {
			fill(v.Index(i), n)
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		k, e := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fill(k, n)
		fill(e, n)
		v.SetMapIndex(k, e)
	case reflect.String:
		v.SetString(fmt.Sprint("s", *n))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Float64:
		v.SetFloat(float64(*n))
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(int64(*n%100 + 1))
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(uint64(*n%100 + 1))
	default:
		panic(v.Type().String())
	}
}

func commonOf(t *testing.T, s *job.Spec) string {
	t.Helper()
	text, err := commonPart(s)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func fullSpec(key job.Key) *job.Spec {
	s := &job.Spec{}
	n := int(key)
	fill(reflect.ValueOf(s).Elem(), &n)
	s.Key = key
	return s
}

// Each field of a Spec comes back from the shelf, with two jobs that differ in this field
// alone, but for the ones that only the store is asked for.
func TestNothingOfASpecIsLostOnTheShelf(t *testing.T) {
	for i := range reflect.TypeFor[job.Spec]().NumField() {
		field := reflect.TypeFor[job.Spec]().Field(i)
		a, b := fullSpec(1), fullSpec(1)
		b.Key = 2
		b.ID[15] = 77
		v := reflect.ValueOf(b).Elem().Field(i)
		if n := 1000; field.Name != "Key" && field.Name != "ID" {
			v.SetZero()
			if v.Kind() != reflect.Bool {
				fill(v, &n)
			}
		}
		f := newShelf()
		for _, s := range []*job.Spec{a, b} {
			if !f.put(&entry{spec: s, common: commonOf(t, s), created: 5, tags: s.Tags}) {
				t.Fatal(field.Name)
			}
		}
		for _, want := range []*job.Spec{b, a} {
			got := f.take(f.find(want.ID))
			w := *want
			if d := cmp.Diff(w.Tags, got.tags); d != "" {
				t.Error(field.Name, d)
			}
			w.Parameters, w.Tags = nil, nil
			if d := cmp.Diff(&w, got.spec); d != "" {
				t.Errorf("%s: %s", field.Name, d)
			}
		}
		if len(f.pages)+len(f.ids)+len(f.mouldOf)+f.n != 0 {
			t.Errorf("%s: the empty shelf keeps %d pages, %d ids, %d moulds", field.Name, len(f.pages), len(f.ids), len(f.mouldOf))
		}
	}
}

// The shelf is a map by key and by id, whatever goes in and out in whatever order.
func TestShelfIsAMap(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	words := []string{"", "align", "align-1", "align-12", "-", "s3://bucket/part-0001", "s3://bucket/part-0002", "\x00\xff"}
	list := func() (out []string) {
		for range rng.IntN(4) {
			out = append(out, words[rng.IntN(len(words))])
		}
		return out
	}
	f, want := newShelf(), map[job.Key]*entry{}
	next := job.Key(1)
	for range 30_000 {
		if rng.IntN(5) < 2 && len(want) > 0 {
			k := next - 1 - job.Key(rng.IntN(min(int(next)-1, 2000)))
			got, e := f.take(k), want[k]
			delete(want, k)
			if (got == nil) != (e == nil) {
				t.Fatalf("job %d: %v, want %v", k, got, e)
			}
			if e != nil {
				sameEntry(t, e, got)
			}
			continue
		}
		s := &job.Spec{Key: next, Name: fmt.Sprint("job-", rng.IntN(1000)), Command: list(), Stage: words[rng.IntN(len(words))], Size: int32(rng.IntN(3))}
		next += job.Key(1 + rng.IntN(2))
		for i := range s.ID {
			s.ID[i] = byte(rng.Uint32())
		}
		e := &entry{spec: s, common: commonOf(t, s), created: rng.Int64N(1e15), failure: rng.IntN(2) == 0}
		e.unit.Ready = e.created + rng.Int64N(1000) - 500
		for _, w := range list() {
			s.Environment = append(s.Environment, job.Variable{Name: w, Value: words[rng.IntN(len(words))]})
			if e.tags == nil {
				e.tags = map[string]string{}
			}
			e.tags[w] = words[rng.IntN(len(words))]
		}
		if !f.put(e) {
			t.Fatal("not put")
		}
		want[s.Key] = e
	}
	keys := f.keysFrom(0, len(want)+1)
	if len(keys) != len(want) {
		t.Errorf("%d keys, want %d", len(keys), len(want))
	}
	for i, k := range keys {
		if some := f.keysFrom(k-1, 3); !slices.Equal(some, keys[i:min(i+3, len(keys))]) {
			t.Fatalf("behind %d: %v", k-1, some)
		}
		sameEntry(t, want[k], f.peek(k))
		if f.find(want[k].spec.ID) != k {
			t.Fatalf("job %d is not found by its id", k)
		}
	}
	for _, k := range []job.Key{0, -1, -pageJobs, next + 5} {
		if f.peek(k) != nil || f.take(k) != nil {
			t.Errorf("there is a job %d", k)
		}
	}
}

func sameEntry(t *testing.T, want, got *entry) {
	t.Helper()
	if d := cmp.Diff(want.spec, got.spec); d != "" {
		t.Fatal(d)
	}
	if d := cmp.Diff(want.tags, got.tags); d != "" || want.created != got.created || want.unit.Ready != got.unit.Ready || want.failure != got.failure {
		t.Fatal(d, want, got)
	}
}

// A job of a pipeline takes about a hundred bytes.
func TestAPackedJobIsSmall(t *testing.T) {
	f := newShelf()
	for i := range job.Key(pageJobs * 10) {
		s := &job.Spec{Key: i + 1, Name: fmt.Sprintf("align-%07d", i), Queue: "bench", Definition: "align:3", Image: "host", Command: []string{"align", "--sample", fmt.Sprintf("s-%07d", i)},
			Environment: []job.Variable{{Name: "SAMPLE", Value: fmt.Sprintf("s-%07d", i)}}}
		s.ID = job.ID{8: byte(i), 9: byte(i >> 8), 10: 1}
		e := &entry{spec: s, common: commonOf(t, s), created: 1_700_000_000_000_000 + int64(i)*200, tags: map[string]string{"project": "genomes"}}
		e.unit.Ready = e.created
		if !f.put(e) {
			t.Fatal(i)
		}
	}
	bytes := 0
	for _, p := range f.pages {
		bytes += cap(p.data) + len(p.at)*4
	}
	if each := bytes / f.n; each > 80 {
		t.Errorf("a job takes %d bytes", each)
	}
}
