package job_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"drover/internal/core/job"
	"drover/internal/core/resource"
)

func span(t testing.TB, text string) job.Span {
	t.Helper()
	s, err := job.ParseSpan(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestParseSpan(t *testing.T) {
	for text, want := range map[string]job.Span{
		"0:3": {From: 0, To: 3}, ":3": {From: 0, To: 3}, "4:": {From: 4, To: -1}, ":": {From: 0, To: -1}, "2": {From: 2, To: 2}, "7:7": {From: 7, To: 7},
	} {
		if got, err := job.ParseSpan(text); err != nil || got != want {
			t.Errorf("%q is %+v, %v; want %+v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "a", "3:1", "-1:2", "0:3:4", "0-3", " 0:3", "0:99999999999", "+1:2"} {
		if got, err := job.ParseSpan(text); err == nil {
			t.Errorf("%q was read as %+v", text, got)
		}
	}
}

// template gives a definition's nodes; the range number is in the image.
func template(t testing.TB, count, main int32, ranges ...string) *job.NodeTemplate {
	n := &job.NodeTemplate{Count: count, Main: main}
	for i, r := range ranges {
		n.Ranges = append(n.Ranges, job.NodeRange{Span: span(t, r), Work: job.Work{
			Image: string(rune('a' + i)), Command: []string{"run", "Ref::who"}, Need: resource.Vector{MilliVCPU: 1000 * int64(i+1), MemoryMiB: 64},
		}})
	}
	return n
}

func TestNodeTemplateRules(t *testing.T) {
	for _, c := range []struct {
		what  string
		nodes *job.NodeTemplate
		words string // "" = allowed
	}{
		{"one range", template(t, 4, 0, "0:3"), ""},
		{"open range", template(t, 4, 3, "0:"), ""},
		{"no boundary at all", template(t, 4, 3, ":"), ""},
		{"two ranges", template(t, 4, 0, ":1", "2:"), ""},
		{"a single node and the rest", template(t, 4, 0, "0", "1:3"), ""},
		{"nested ranges", template(t, 11, 0, "0:10", "4:5"), ""},
		{"no nodes", template(t, 0, 0, "0:"), "numNodes must be between 1 and 1000"},
		{"too many nodes", template(t, 1001, 0, "0:"), "numNodes must be between 1 and 1000"},
		{"main node beyond the end", template(t, 4, 4, "0:3"), "mainNode must be a node index below numNodes 4"},
		{"no range", template(t, 4, 0), "needs nodeRangeProperties"},
		{"too many ranges", template(t, 6, 0, "0:0", "1:1", "2:2", "3:3", "4:4", "5:5"), "at most 5"},
		{"a node in no range", template(t, 4, 0, "0:1", "3:"), "node 2 is in none of the ranges"},
		{"a range beyond the end", template(t, 4, 0, "0:4"), "names nodes that do not exist"},
		{"overlapping ranges", template(t, 9, 0, "0:5", "3:8"), "overlap"},
		{"equal ranges", template(t, 4, 0, "0:3", "0:"), "same nodes"},
	} {
		err := c.nodes.Check()
		if c.words == "" && err != nil || c.words != "" && (err == nil || !strings.Contains(err.Error(), c.words)) {
			t.Errorf("%s: %v, want %q", c.what, err, c.words)
		}
	}
}

func TestResolveNodes(t *testing.T) {
	d := job.Definition{Name: "d", Revision: 1, Nodes: template(t, 6, 1, "0:", "2:3"), Parameters: map[string]string{"who": "all"}}
	d.Nodes.Ranges[1].Consumables = []job.ConsumableNeed{{Name: "licence", Quantity: 2}}
	d.Nodes.Ranges[0].OldMemory = true
	s, err := job.Resolve(&d, &job.Override{Nodes: &job.NodesOverride{Count: 5, Nodes: []job.NodeOverride{
		{Span: span(t, "3:4"), Command: []string{"other"}, Need: resource.Vector{MilliVCPU: 7000}, OldNeed: resource.Vector{MemoryMiB: 128}},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	if s.Nodes.Count != 5 || s.Nodes.Main != 1 || s.Image != "a" {
		t.Errorf("%+v", s.Nodes)
	}
	want := []struct {
		image, command string
		vcpu, memory   int64
	}{{"a", "run all", 1000, 64}, {"a", "run all", 1000, 64}, {"b", "run all", 2000, 64}, {"b", "other", 7000, 64}, {"a", "other", 7000, 128}}
	for n, w := range want {
		g := s.Nodes.Of(int32(n))
		if g.Image != w.image || strings.Join(g.Command, " ") != w.command || g.Need.MilliVCPU != w.vcpu || g.Need.MemoryMiB != w.memory {
			t.Errorf("node %d: %+v, want %+v", n, g, w)
		}
	}
	if len(s.Consumables) != 1 || s.Consumables[0].Quantity != 4 {
		t.Errorf("consumables %+v, want 4 licences", s.Consumables)
	}
	for _, c := range []struct {
		what  string
		over  job.NodesOverride
		words string
	}{
		{"fewer nodes than the main one needs", job.NodesOverride{Count: 1}, "the main node of the job definition is node 1"},
		{"a range that would be empty", job.NodesOverride{Count: 2}, "begins after that"},
		{"too many nodes", job.NodesOverride{Count: 1001}, "between 1 and 1000"},
		{"an override beyond the end", job.NodesOverride{Nodes: []job.NodeOverride{{Span: span(t, "6:")}}}, "names nodes that do not exist"},
	} {
		if _, err := job.Resolve(&d, &job.Override{Nodes: &c.over}); err == nil || !strings.Contains(err.Error(), c.words) {
			t.Errorf("%s: %v, want %q", c.what, err, c.words)
		}
	}
	d.Nodes = template(t, 4, 0, "0:3")
	if _, err := job.Resolve(&d, &job.Override{Nodes: &job.NodesOverride{Count: 5}}); err == nil || !strings.Contains(err.Error(), "without an upper boundary") {
		t.Errorf("a closed range was stretched: %v", err)
	}
}

// Every node is in exactly one group, and that of its innermost range.
func TestNodeGroupsCoverAllNodes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := &job.NodeTemplate{Count: rapid.Int32Range(1, 20).Draw(t, "count")}
		n.Main = rapid.Int32Range(0, n.Count-1).Draw(t, "main")
		for range rapid.IntRange(1, 5).Draw(t, "ranges") {
			from := rapid.Int32Range(0, n.Count-1).Draw(t, "from")
			n.Ranges = append(n.Ranges, job.NodeRange{Span: job.Span{From: from, To: rapid.Int32Range(from, n.Count-1).Draw(t, "to")}})
		}
		if n.Check() != nil {
			return
		}
		s, err := job.Resolve(&job.Definition{Name: "d", Nodes: n}, &job.Override{})
		if err != nil {
			t.Fatal(err)
		}
		next := int32(0)
		for _, g := range s.Nodes.Groups {
			if g.First != next || g.Last < g.First {
				t.Fatalf("groups %+v", s.Nodes.Groups)
			}
			next = g.Last + 1
		}
		if next != n.Count {
			t.Fatalf("the groups end at %d of %d", next, n.Count)
		}
		for node := range n.Count {
			r := n.Ranges[s.Nodes.Of(node).Range]
			for _, o := range n.Ranges {
				if o.From <= node && node <= o.To && o.To-o.From < r.To-r.From {
					t.Fatalf("node %d got range %s, and %s is within", node, r.Span, o.Span)
				}
			}
		}
	})
}
