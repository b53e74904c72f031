package worker_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"drover/internal/core/job"
	"drover/internal/link"
)

// plan stores a staging plan and its work list, and gives the plan's address.
func (r *rig) plan(p link.StagePlan, items ...link.Item) string {
	r.t.Helper()
	p.Version, p.Items, p.Lists = link.StagePlanVersion, int64(len(items)), "s3://work/lists/"
	if p.Chunk == 0 {
		p.Chunk = 2
	}
	for n := int64(0); n*p.Chunk < p.Items; n++ {
		piece := items[n*p.Chunk : min((n+1)*p.Chunk, p.Items)]
		text, err := json.Marshal(piece)
		if err != nil {
			r.t.Fatal(err)
		}
		r.s3.put("work/lists/"+link.ListKey(n), string(text))
	}
	text, err := json.Marshal(p)
	if err != nil {
		r.t.Fatal(err)
	}
	r.s3.put("work/plan.json", string(text))
	return "s3://work/plan.json"
}

func (r *rig) item(path, text string) link.Item {
	r.s3.put("in/data/"+path, text)
	return link.Item{Path: path, Size: int64(len(text))}
}

// staged makes an assignment of item i.
func (r *rig) staged(plan string, i int32, script string, args ...string) job.Assignment {
	a := r.assignment(script, args...)
	a.Ref.Index, a.Stage = i, plan
	return a
}

func TestStageStreams(t *testing.T) {
	r := newRig(t)
	r.run()
	big := strings.Repeat("0123456789abcdef", 200_000) // above one piece
	plan := r.plan(link.StagePlan{In: "s3://in/data/", Out: "s3://out/res/", Stdin: true, Stdout: true},
		r.item("a.txt", "one two\n"), r.item("sub/ä b+c%.txt", "three\n"), r.item("big", big))
	for i, c := range []struct{ key, want string }{
		{"out/res/a.txt", "ONE TWO\n"}, {"out/res/sub/ä b+c%.txt", "THREE\n"}, {"out/res/big", strings.ToUpper(big)},
	} {
		x, log := r.finish(r.staged(plan, int32(i), `tr a-z A-Z; echo note >&2`))
		got, _ := r.s3.get(c.key)
		if !x.OK() || got != c.want || log != "note" {
			t.Errorf("%s: exit %+v, log %q, result of %d bytes", c.key, x, log, len(got))
		}
		if x.Usage.BytesIn != int64(len(c.want)) || x.Usage.BytesOut != int64(len(c.want)) {
			t.Errorf("%s: usage %+v", c.key, x.Usage)
		}
	}
	r.s3.mu.Lock()
	defer r.s3.mu.Unlock()
	if tokens := strings.Join(r.s3.tokens, " "); !strings.Contains(tokens, "fence-1 ") || !strings.Contains(tokens, "fence-3") {
		t.Errorf("requests were not made with the attempts' credentials: %s", tokens)
	}
	lists := 0
	for range r.s3.tokens {
		lists++
	}
	if want := 1 + 2 + 3 + 3; lists != want { // plan, two pieces of the list, inputs, results
		t.Errorf("%d requests, want %d", lists, want)
	}
}

func TestStageFiles(t *testing.T) {
	r := newRig(t)
	r.run()
	plan := r.plan(link.StagePlan{In: "s3://in/data/", Out: "s3://out/"}, r.item("x/photo.jpg", "pixels"))
	x, log := r.finish(r.staged(plan, job.Whole, `echo "$1"; cat "${2#--from=}" > "$3"; ls`, "{in}", "--from={in}", "{out}"))
	got, _ := r.s3.get("out/x/photo.jpg")
	if !x.OK() || got != "pixels" || !strings.HasSuffix(log, "/photo.jpg") || strings.Contains(log, "\n") {
		t.Errorf("exit %+v, result %q, log %q", x, got, log)
	}
	for _, c := range []struct {
		name, script string
		cause        job.Cause
		say          string
	}{
		{"no result", `true "$1"`, job.CauseStageOut, "wrote no file {out} (photo.jpg)"},
		{"a folder", `mkdir "$1"`, job.CauseStageOut, "something else than a file"},
		{"a failure stores nothing", `echo half > "$1"; exit 7`, job.CauseExit, ""},
	} {
		r.s3.mu.Lock()
		delete(r.s3.objects, "out/x/photo.jpg")
		r.s3.mu.Unlock()
		x, _ := r.finish(r.staged(plan, job.Whole, c.script, "{out}"))
		if x.Cause != c.cause || !strings.Contains(x.Reason, c.say) || x.Code == nil {
			t.Errorf("%s: %+v", c.name, x)
		}
		if _, ok := r.s3.get("out/x/photo.jpg"); ok {
			t.Errorf("%s: something was stored", c.name)
		}
	}
}

func TestStageInFails(t *testing.T) {
	r := newRig(t)
	r.run()
	good := r.item("a", "text")
	run := func(name, plan, say string) {
		t.Helper()
		mark := filepath.Join(t.TempDir(), "ran")
		x, _ := r.finish(r.staged(plan, 0, `touch "$1"`, mark))
		if x.Code != nil || x.Cause != job.CauseStageIn || !strings.Contains(x.Reason, say) || x.ErrorLine == "" {
			t.Errorf("%s: %+v", name, x)
		}
		if _, err := os.Stat(mark); err == nil {
			t.Errorf("%s: the command ran", name)
		}
	}
	p := link.StagePlan{In: "s3://in/data/", Out: "s3://out/", Stdin: true, Stdout: true}
	run("no plan", "s3://work/none.json", "staging plan could not be read")
	run("no address", "plan.json", "is not an s3://bucket/key address")
	r.next += 100
	run("gone", r.plan(p, link.Item{Path: "gone", Size: 1}), "s3://in/data/gone could not be fetched: NoSuchKey")
	for i, path := range []string{"../up", "/etc/passwd", "a/../../b", "", "a//b", "dir/", "nul\x00", "."} {
		a := r.staged(r.plan(p, link.Item{Path: path, Size: 1}), 0, `true`)
		a.Ref.Key = job.Key(100 + i) // plans are kept per job
		if x, _ := r.finish(a); x.Cause != job.CauseStageIn || !strings.Contains(x.Reason, "cannot be a file's path") {
			t.Errorf("path %q: %+v", path, x)
		}
	}
	a := r.staged(r.plan(p, link.Item{Path: good.Path, Size: 99}), 0, `true`)
	a.Ref.Key = 200
	if x, _ := r.finish(a); x.Cause != job.CauseStageIn || !strings.Contains(x.Reason, "has 4 bytes now and had 99") {
		t.Errorf("a changed input: %+v", x)
	}
	a = r.staged(r.plan(p, good), 5, `true`)
	a.Ref.Key = 201
	if x, _ := r.finish(a); x.Cause != job.CauseStageIn || !strings.Contains(x.Reason, "no item 5 in a work list of 1") {
		t.Errorf("no such item: %+v", x)
	}
}

func TestStageOutlivesTheStore(t *testing.T) {
	r := newRig(t)
	r.run()
	plan := r.plan(link.StagePlan{In: "s3://in/data/", Out: "s3://out/", Stdin: true, Stdout: true}, r.item("a", "text"))
	failures := map[string]int{}
	r.s3.mu.Lock()
	r.s3.fail = func(method, key string) int {
		failures[method+key]++
		switch {
		case failures[method+key] <= 2:
			return http.StatusServiceUnavailable
		case failures[method+key] == 3 && strings.HasSuffix(key, "/a"):
			return http.StatusForbidden // its credentials have just expired
		}
		return 0
	}
	r.s3.mu.Unlock()
	x, _ := r.finish(r.staged(plan, 0, `cat`))
	if got, _ := r.s3.get("out/a"); !x.OK() || got != "text" {
		t.Errorf("%+v, %q", x, got)
	}
	r.m.mu.Lock()
	defer r.m.mu.Unlock()
	if r.m.asked == 0 {
		t.Error("refused credentials were not renewed")
	}
}

func TestReduce(t *testing.T) {
	r := newRig(t)
	r.run()
	items := make([]link.Item, 30)
	want := ""
	for i := range items {
		text := fmt.Sprintf("result %d\n", i)
		items[i] = r.item(fmt.Sprintf("d%d/f%02d", i%3, i), text)
		items[i].Size = 12345 // the size of the map's input, not of its result
		want += text
	}
	plan := r.plan(link.StagePlan{In: "s3://in/data/", Out: "s3://out/", Reduce: true, Stdin: true, Stdout: true, Chunk: 7}, items...)
	a := r.staged(plan, job.Whole, `cat`)
	x, _ := r.finish(a)
	if got, _ := r.s3.get("out/reduce.out"); !x.OK() || got != want || x.Usage.BytesIn != int64(len(want)) {
		t.Errorf("%+v, %d bytes, want %d", x, len(got), len(want))
	}
	plan = r.plan(link.StagePlan{In: "s3://in/data/", Out: "s3://out/r/", Reduce: true, Chunk: 7}, items...)
	b := r.staged(plan, job.Whole, `find "$1" -type f | wc -l > "$2/count"; mkdir "$2/sub"; cat "$1/d2/f29" > "$2/sub/last"`, "{in}", "{out}")
	b.Ref.Key = 2
	x, _ = r.finish(b)
	count, _ := r.s3.get("out/r/count")
	last, _ := r.s3.get("out/r/sub/last")
	if !x.OK() || strings.TrimSpace(count) != "30" || last != "result 29\n" {
		t.Errorf("%+v, count %q, last %q", x, count, last)
	}
	c := r.staged(plan, job.Whole, `true "$1"`, "{out}")
	c.Ref.Key = 2
	if x, _ = r.finish(c); x.Cause != job.CauseStageOut || !strings.Contains(x.Reason, "wrote nothing into the folder") {
		t.Errorf("%+v", x)
	}
}

func TestStageAcrossWorkerRestart(t *testing.T) {
	r := newRig(t)
	r.run()
	plan := r.plan(link.StagePlan{In: "s3://in/data/", Out: "s3://out/", Stdin: true}, r.item("a", "text"))
	flag := filepath.Join(t.TempDir(), "go")
	a := r.staged(plan, 0, `echo up; while [ ! -e "$1" ]; do sleep 0.02; done; cat > "$2"`, flag, "{out}")
	r.m.start(a)
	r.m.is(t, "it runs", func() bool { return len(r.m.logs[a.Log]) == 1 })
	if err := r.halt(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(flag, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	r.run()
	x := r.m.exit(t, a.Lease)
	if got, _ := r.s3.get("out/a"); !x.OK() || got != "text" || x.Usage.BytesIn != 4 || x.Usage.BytesOut != 4 {
		t.Errorf("%+v, %q", x, got)
	}
}
