package job_test

import (
	"maps"
	"slices"
	"testing"

	"drover/internal/core/job"
	"drover/internal/core/resource"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func definition() *job.Definition {
	return &job.Definition{
		Name: "d", Revision: 3, Active: true, Image: "host", Command: []string{"run", "Ref::a", "x=Ref::b"},
		Environment: []job.Variable{{Name: "A", Value: "1"}, {Name: "B", Value: "2"}},
		Need:        resource.Vector{MilliVCPU: 1000, MemoryMiB: 128}, Retry: job.Retry{Attempts: 2}, TimeoutSeconds: 60,
		Parameters: map[string]string{"a": "da", "b": "db"}, PropagateTags: true, Priority: 4,
	}
}

func TestResolve(t *testing.T) {
	no, nine := false, int32(9)
	for _, c := range []struct {
		what string
		over job.Override
		edit func(*job.Spec)
	}{
		{"nothing", job.Override{}, func(*job.Spec) {}},
		{"parameters", job.Override{Parameters: map[string]string{"b": "sb", "c": "sc"}}, func(s *job.Spec) {
			s.Command = []string{"run", "da", "x=sb"}
			s.Parameters = map[string]string{"a": "da", "b": "sb", "c": "sc"}
		}},
		{"command", job.Override{Command: []string{"Ref::b"}}, func(s *job.Spec) { s.Command = []string{"db"} }},
		{"environment", job.Override{Environment: []job.Variable{{Name: "C", Value: "3"}, {Name: "A", Value: ""}, {Name: "C", Value: "4"}}}, func(s *job.Spec) {
			s.Environment = []job.Variable{{Name: "A", Value: ""}, {Name: "B", Value: "2"}, {Name: "C", Value: "4"}}
		}},
		{"memory", job.Override{Need: resource.Vector{MemoryMiB: 256}}, func(s *job.Spec) { s.Need.MemoryMiB = 256 }},
		{"vcpu and gpu", job.Override{Need: resource.Vector{MilliVCPU: 10, GPU: 2}}, func(s *job.Spec) { s.Need.MilliVCPU, s.Need.GPU = 10, 2 }},
		{"retry", job.Override{Retry: &job.Retry{Attempts: 5}}, func(s *job.Spec) { s.Retry.Attempts = 5 }},
		{"timeout", job.Override{TimeoutSeconds: 90}, func(s *job.Spec) { s.TimeoutSeconds = 90 }},
		{"priority and propagation", job.Override{Priority: &nine, PropagateTags: &no}, func(s *job.Spec) { s.Priority, s.PropagateTags = 9, false }},
	} {
		d := definition()
		want := job.Spec{
			Version: job.SpecVersion, Definition: "d:3", Image: "host", Command: []string{"run", "da", "x=db"},
			Environment: d.Environment, Need: d.Need, Retry: d.Retry, TimeoutSeconds: 60,
			Parameters: d.Parameters, PropagateTags: true, Priority: 4,
		}
		c.edit(&want)
		got, err := job.Resolve(d, &c.over)
		if err != nil {
			t.Errorf("%s: %v", c.what, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.what, diff)
		}
		if diff := cmp.Diff(definition(), d); diff != "" {
			t.Errorf("%s changed the definition:\n%s", c.what, diff)
		}
	}
}

// Merged variables are those of a map, in the order of their first naming.
func TestMergedVariables(t *testing.T) {
	variables := rapid.SliceOf(rapid.Custom(func(t *rapid.T) job.Variable {
		return job.Variable{Name: rapid.SampledFrom([]string{"A", "B", "C", "D", "E"}).Draw(t, "name"), Value: rapid.String().Draw(t, "value")}
	}))
	rapid.Check(t, func(t *rapid.T) {
		base, over := variables.Draw(t, "base"), variables.Draw(t, "over")
		unique := map[string]string{}
		var d job.Definition
		for _, v := range base {
			if _, twice := unique[v.Name]; !twice {
				unique[v.Name] = v.Value
				d.Environment = append(d.Environment, v)
			}
		}
		kept := slices.Clone(d.Environment)
		for _, v := range over {
			unique[v.Name] = v.Value
		}
		s, err := job.Resolve(&d, &job.Override{Environment: over})
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]string{}
		for _, v := range s.Environment {
			got[v.Name] = v.Value
		}
		if !maps.Equal(got, unique) || !slices.Equal(kept, d.Environment) {
			t.Fatalf("got %v, want %v", s.Environment, unique)
		}
	})
}
