package cli

import (
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"drover/internal/link"
)

// This file decides what `drover map` will do, and does nothing.

// mapBucket holds what drover map stages.
const mapBucket = "drover-map"

// reducedFolder is where, below the results, those of the reduce go: out of the way of
// any input's name.
const reducedFolder = "reduced/"

// maxItems is the longest array that drover takes.
const maxItems = 1_000_000

// listChunk is how many items of the work list one object holds.
const listChunk = 1_000

// place is one side of a map: a folder, or a prefix in a bucket.
type place struct {
	Dir            string // absolute; empty for a bucket
	Bucket, Prefix string // the prefix is empty or ends with /
}

// parsePlace reads --in or --out.
func parsePlace(flag, s string) (place, error) {
	rest, remote := strings.CutPrefix(s, "s3://")
	if !remote {
		if s == "" {
			return place{}, wrong("%s is missing: give a folder or s3://bucket/prefix", flag)
		}
		abs, err := filepath.Abs(s)
		if err != nil {
			return place{}, wrong("%s %q: %w", flag, s, err)
		}
		return place{Dir: abs}, nil
	}
	bucket, prefix, _ := strings.Cut(rest, "/")
	if bucket == "" {
		return place{}, wrong("%s %q names no bucket; write s3://bucket/prefix", flag, s)
	}
	if prefix != "" && !strings.HasSuffix(prefix, "/") {
		prefix += "/"
	}
	return place{Bucket: bucket, Prefix: prefix}, nil
}

// String is the place as a person writes it.
func (p place) String() string {
	if p.Dir != "" {
		return p.Dir
	}
	return "s3://" + p.Bucket + "/" + p.Prefix
}

// checkPlaces refuses a results place that would be read as input.
func checkPlaces(in, out place) error {
	if in.Dir != "" && out.Dir != "" && within(in.Dir, out.Dir) {
		return wrong("the results' folder %s lies in the inputs' folder %s, so the next run would read results; choose another --out", out.Dir, in.Dir)
	}
	if in.Dir == "" && out.Dir == "" && in.Bucket == out.Bucket && strings.HasPrefix(out.Prefix, in.Prefix) {
		return wrong("the results' prefix %s lies in the inputs' prefix %s, so the next run would read results; choose another --out", out, in)
	}
	return nil
}

// within reports whether path is dir or lies below it.
func within(dir, path string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && (rel == "." || filepath.IsLocal(rel))
}

// checkItems refuses a work list that could not be carried out whole.
func checkItems(items []link.Item, in, out place, reduce bool) error {
	if len(items) == 0 {
		return wrong("there is no file in %s; put the inputs there or correct --in", in)
	}
	if len(items) > maxItems {
		return wrong("%s holds %d files and one run takes %d; split it into folders and run one after the other", in, len(items), maxItems)
	}
	for i, it := range items {
		switch {
		case !utf8.ValidString(it.Path):
			return wrong("the file name %q is not UTF-8, which an object's name must be; rename it", it.Path)
		case len(it.Path) > 900:
			return wrong("the path %.60q... is %d bytes long and an object's name may have 1,024; move the file up", it.Path, len(it.Path))
		case out.Dir != "" && (!filepath.IsLocal(it.Path) || path.Clean(it.Path) != it.Path):
			return wrong("the object %q cannot be a file below %s; send the results to an s3:// place", it.Path, out.Dir)
		case reduce && (it.Path+"/" == reducedFolder || strings.HasPrefix(it.Path, reducedFolder)):
			return wrong("%q is where the results of --reduce go; rename this input", it.Path)
		case i > 0 && items[i-1].Path == it.Path:
			return wrong("%q is there twice", it.Path)
		case out.Dir != "" && i > 0 && strings.HasPrefix(it.Path, items[i-1].Path+"/"):
			return wrong("%q and %q cannot both be files below %s; send the results to an s3:// place", items[i-1].Path, it.Path, out.Dir)
		}
	}
	return nil
}

// sortItems puts a work list into the order in which it is run.
func sortItems(items []link.Item) {
	slices.SortFunc(items, func(a, b link.Item) int { return strings.Compare(a.Path, b.Path) })
}

// mapRun is the record of one `drover map`: what was asked, and the jobs that carry it
// out. It is kept in the store beside what is staged, so that the run can be resumed.
type mapRun struct {
	Version   int        `json:"v"`
	ID        string     `json:"id"`
	Created   time.Time  `json:"created"`
	In        string     `json:"in"`             // as place.String gives it
	Out       string     `json:"out"`            // likewise
	File      bool       `json:"file,omitempty"` // In is one file, not a folder
	Command   []string   `json:"command"`
	Reduce    []string   `json:"reduce,omitempty"`
	Queue     string     `json:"queue"`
	Image     string     `json:"image"`
	VCPUs     string     `json:"vcpus"`
	Memory    int64      `json:"memory"`
	Retries   int        `json:"retries"`
	Timeout   int32      `json:"timeoutSeconds,omitempty"`
	Items     int64      `json:"items"`
	Keep      bool       `json:"keep,omitempty"`
	Stages    []mapStage `json:"stages"` // the first run and each resumption
	ReduceJob string     `json:"reduceJob,omitempty"`
	Reduces   int        `json:"reduces,omitempty"` // times the reduce alone was submitted again
}

// mapStage is one submission of a run: all items, or those that had not succeeded.
type mapStage struct {
	Job   string `json:"job,omitempty"`
	Items int64  `json:"items"`
}

// mapRunVersion is written into each record.
const mapRunVersion = 1

// prefix is the run's own place in mapBucket.
func (r *mapRun) prefix() string { return r.ID + "/" }

// runOf finds the run's id in the URL of one of its staging plans.
func runOf(stage string) (id string, ok bool) {
	rest, ok := strings.CutPrefix(stage, url3(""))
	id, _, found := strings.Cut(rest, "/plan/")
	return id, ok && found && id != ""
}

// token makes a repeated submission of stage n the same job.
func (r *mapRun) token(n int) string { return r.ID + "/" + strconv.Itoa(n) }

// reduceToken is the same for the reduce behind stage n.
func (r *mapRun) reduceToken(n int) string { return r.token(n) + "/reduce" + strconv.Itoa(r.Reduces) }

// url3 writes a key of mapBucket as a URL.
func url3(key string) string { return "s3://" + mapBucket + "/" + key }

func (r *mapRun) recordKey() string { return r.prefix() + "run.json" }

// listsKey is where the work list of stage n is.
func (r *mapRun) listsKey(n int) string { return r.prefix() + "list/" + strconv.Itoa(n) + "/" }

// planKey is where the staging plan of stage n is.
func (r *mapRun) planKey(n int) string { return r.prefix() + "plan/" + strconv.Itoa(n) + ".json" }

func (r *mapRun) reducePlanKey() string { return r.prefix() + "plan/reduce.json" }

// inputs is where the workers find the inputs.
func (r *mapRun) inputs() place {
	if in := storedPlace(r.In); in.Dir == "" {
		return in
	}
	return place{Bucket: mapBucket, Prefix: r.prefix() + "in/"}
}

// results is where the workers put the results.
func (r *mapRun) results() place {
	if out := storedPlace(r.Out); out.Dir == "" {
		return out
	}
	return place{Bucket: mapBucket, Prefix: r.prefix() + "out/"}
}

// storedPlace reads what place.String wrote.
func storedPlace(s string) place {
	rest, remote := strings.CutPrefix(s, "s3://")
	if !remote {
		return place{Dir: s}
	}
	bucket, prefix, _ := strings.Cut(rest, "/")
	return place{Bucket: bucket, Prefix: prefix}
}

// stagePlan is what the workers of stage n are told.
func (r *mapRun) stagePlan(n int) link.StagePlan {
	return link.StagePlan{
		Version: link.StagePlanVersion, Items: r.Stages[n].Items, Chunk: listChunk, Lists: url3(r.listsKey(n)),
		In: r.inputs().String(), Out: r.results().String(),
		Stdin: !mentions(r.Command, "{in}"), Stdout: !mentions(r.Command, "{out}"),
	}
}

// reducePlan is what the worker of the reduce is told: its work list is the whole one,
// however many times the run was resumed.
func (r *mapRun) reducePlan() link.StagePlan {
	results := r.results()
	return link.StagePlan{
		Version: link.StagePlanVersion, Items: r.Items, Chunk: listChunk, Lists: url3(r.listsKey(0)),
		In: results.String(), Out: results.String() + reducedFolder,
		Stdin: !mentions(r.Reduce, "{in}"), Stdout: !mentions(r.Reduce, "{out}"), Reduce: true,
	}
}

// mentions reports whether a word of the command has the placeholder in it.
func mentions(command []string, placeholder string) bool {
	return slices.ContainsFunc(command, func(w string) bool { return strings.Contains(w, placeholder) })
}

// splitReduce turns --reduce into a command. A plain list of words is run as it is; what
// needs a shell gets one.
func splitReduce(s string) []string {
	bare := strings.NewReplacer("{in}", "", "{out}", "").Replace(s)
	if strings.ContainsAny(bare, "|&;<>()$`\\\"'*?[]#~{}!\n") {
		return []string{"sh", "-c", s}
	}
	return strings.Fields(s)
}

// jobName makes a name for the run's jobs that says what they read.
func (r *mapRun) jobName() string {
	base := path.Base(strings.TrimSuffix(strings.TrimPrefix(r.In, "s3://"), "/"))
	clean := strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' {
			return c
		}
		return '-'
	}, base)
	return "map-" + clean[:min(len(clean), 100)]
}

// definitionName is the job definition for an image. What an image's jobs need is given
// with each submission, so one definition an image is enough.
func definitionName(image string) string {
	if image == "host" {
		return "drover-map"
	}
	clean := strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' {
			return c
		}
		return '_'
	}, image)
	return fmt.Sprintf("drover-map-%s-%08x", clean[:min(len(clean), 80)], fnv32(image))
}

// fnv32 tells names apart that look the same once cleaned (FNV-1a).
func fnv32(s string) uint32 {
	h := uint32(2166136261)
	for i := range len(s) {
		h = (h ^ uint32(s[i])) * 16777619
	}
	return h
}
