package cli

import (
	"errors"
	"strings"
	"testing"

	"drover/internal/link"

	"github.com/google/go-cmp/cmp"
)

func items(paths ...string) (all []link.Item) {
	for _, p := range paths {
		all = append(all, link.Item{Path: p})
	}
	return all
}

func TestParsePlace(t *testing.T) {
	for in, want := range map[string]place{
		"/data/in":          {Dir: "/data/in"},
		"/data/in/../x/":    {Dir: "/data/x"},
		"s3://b":            {Bucket: "b"},
		"s3://b/":           {Bucket: "b"},
		"s3://b/some/where": {Bucket: "b", Prefix: "some/where/"},
	} {
		got, err := parsePlace("--in", in)
		if err != nil || got != want {
			t.Errorf("parsePlace(%q) = %+v, %v; want %+v", in, got, err, want)
		}
		if back := storedPlace(got.String()); back != got {
			t.Errorf("%q is read back as %+v", got.String(), back)
		}
	}
	for _, in := range []string{"", "s3://", "s3:///x"} {
		if _, err := parsePlace("--in", in); err == nil {
			t.Errorf("parsePlace(%q) was accepted", in)
		}
	}
}

func TestCheckPlaces(t *testing.T) {
	for _, c := range []struct {
		in, out string
		ok      bool
	}{
		{"/a/in", "/a/out", true}, {"/a/in", "/a/in", false}, {"/a/in", "/a/in/out", false}, {"/a/in", "/a/inout", true}, {"/a/in", "/a", true},
		{"s3://b/in", "s3://b/out", true}, {"s3://b/in", "s3://b/in/x", false}, {"s3://b", "s3://b/out", false}, {"s3://b/in", "s3://c/in", true},
		{"/a", "s3://b/a", true},
	} {
		in, _ := parsePlace("--in", c.in)
		out, _ := parsePlace("--out", c.out)
		if err := checkPlaces(in, out); (err == nil) != c.ok {
			t.Errorf("in %s, out %s: %v", c.in, c.out, err)
		}
	}
}

func TestCheckItems(t *testing.T) {
	dir, bucket := place{Dir: "/out"}, place{Bucket: "b"}
	for _, c := range []struct {
		name   string
		items  []link.Item
		out    place
		reduce bool
		want   string // in the error; empty: accepted
	}{
		{"fine", items("a", "b/c", "b c"), dir, true, ""},
		{"none", nil, dir, false, "there is no file in /in"},
		{"not UTF-8", items("a\xff"), dir, false, "not UTF-8"},
		{"long", items(strings.Repeat("x", 901)), bucket, false, "901 bytes"},
		{"leaves the folder", items("../x"), dir, false, "cannot be a file below"},
		{"not clean", items("a//b"), dir, false, "cannot be a file below"},
		{"not clean in a bucket", items("a//b"), bucket, false, ""},
		{"file and folder", items("a", "a/b"), dir, false, "cannot both be files"},
		{"in the way of the reduce", items("reduced/x"), dir, true, "rename this input"},
		{"the reduce's folder as a file", items("reduced"), dir, true, "rename this input"},
		{"no reduce, no trouble", items("reduced/x"), dir, false, ""},
		{"twice", items("a", "a"), bucket, false, "there twice"},
	} {
		err := checkItems(c.items, place{Dir: "/in"}, c.out, c.reduce)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
		if f, ok := errors.AsType[*failure](err); err != nil && (!ok || f.code != exitUsage) {
			t.Errorf("%s: does not exit with %d", c.name, exitUsage)
		}
	}
	if err := checkItems(make([]link.Item, maxItems+1), place{Dir: "/in"}, dir, false); err == nil || !strings.Contains(err.Error(), "split it") {
		t.Errorf("too many: %v", err)
	}
}

func TestPlans(t *testing.T) {
	r := &mapRun{
		ID: "run1", In: "/data/in", Out: "/data/out", Items: 3, Command: []string{"sh", "-c", "tool < {in}"},
		Reduce: []string{"cat"}, Stages: []mapStage{{Items: 3}, {Items: 1}},
	}
	want := link.StagePlan{
		Version: 1, Items: 1, Chunk: 1000, Lists: "s3://drover-map/run1/list/1/",
		In: "s3://drover-map/run1/in/", Out: "s3://drover-map/run1/out/", Stdout: true,
	}
	if d := cmp.Diff(want, r.stagePlan(1)); d != "" {
		t.Error(d)
	}
	want = link.StagePlan{
		Version: 1, Items: 3, Chunk: 1000, Lists: "s3://drover-map/run1/list/0/",
		In: "s3://drover-map/run1/out/", Out: "s3://drover-map/run1/out/reduced/", Stdin: true, Stdout: true, Reduce: true,
	}
	if d := cmp.Diff(want, r.reducePlan()); d != "" {
		t.Error(d)
	}
	r.In, r.Out, r.Command = "s3://b/reviews/", "s3://c/", []string{"tool", "{in}", "-o={out}"}
	want = link.StagePlan{
		Version: 1, Items: 3, Chunk: 1000, Lists: "s3://drover-map/run1/list/0/", In: "s3://b/reviews/", Out: "s3://c/",
	}
	if d := cmp.Diff(want, r.stagePlan(0)); d != "" {
		t.Error(d)
	}
}

func TestRunOf(t *testing.T) {
	r := &mapRun{ID: "run1"}
	for _, key := range []string{r.planKey(3), r.reducePlanKey()} {
		if id, ok := runOf(url3(key)); !ok || id != "run1" {
			t.Errorf("the run of %s = %q, %v", key, id, ok)
		}
	}
	for _, s := range []string{"", "s3://other/run1/plan/0.json", "s3://drover-map/run1/run.json", "s3://drover-map//plan/"} {
		if id, ok := runOf(s); ok {
			t.Errorf("the run of %q = %q, want none", s, id)
		}
	}
}

func TestSplitReduce(t *testing.T) {
	for in, want := range map[string][]string{
		"./reduce -labels l.tsv {in}  {out}": {"./reduce", "-labels", "l.tsv", "{in}", "{out}"},
		"sort {in}/* > {out}/all":            {"sh", "-c", "sort {in}/* > {out}/all"},
		"awk '{print $1}'":                   {"sh", "-c", "awk '{print $1}'"},
		"echo {other}":                       {"sh", "-c", "echo {other}"},
	} {
		if d := cmp.Diff(want, splitReduce(in)); d != "" {
			t.Errorf("splitReduce(%q): %s", in, d)
		}
	}
}

func TestNames(t *testing.T) {
	for in, want := range map[string]string{
		"/data/my reviews": "map-my-reviews", "s3://bucket/": "map-bucket", "s3://b/x/y.z/": "map-y-z",
		"/" + strings.Repeat("ü", 200): "map-" + strings.Repeat("-", 100),
	} {
		if got := (&mapRun{In: in}).jobName(); got != want {
			t.Errorf("job name for %q = %q, want %q", in, got, want)
		}
	}
	if got := definitionName("host"); got != "drover-map" {
		t.Errorf("definition of host = %q", got)
	}
	a, b := definitionName("repo/tool:1.0"), definitionName("repo/tool_1.0")
	if a == b || !strings.HasPrefix(a, "drover-map-repo_tool_1_0-") || len(definitionName(strings.Repeat("x", 300))) > 128 {
		t.Errorf("definitions %q and %q", a, b)
	}
}
