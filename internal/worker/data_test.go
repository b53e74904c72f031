package worker_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"drover/internal/core/job"
	"drover/internal/link"
	"drover/internal/worker"
)

// with makes an assignment with declared data.
func (r *rig) with(inputs, outputs, script string) job.Assignment {
	a := r.assignment(script)
	a.Inputs, a.Outputs = inputs, outputs
	return a
}

func TestDeclaredData(t *testing.T) {
	r := newRig(t)
	r.run()
	r.s3.put("raw/day/a.csv", "1\n")
	r.s3.put("raw/day/sub/b c.csv", "2\n")
	r.s3.put("raw/day/", "")
	r.s3.put("raw/one.txt", "3\n")
	r.s3.put("raw/child-7", "child\n")
	r.s3.put("raw/list", "# a list\ns3://raw/odd key=odd name\n\ns3://raw/one.txt=again/\n")
	r.s3.put("raw/odd key", "4\n")
	a := r.with("s3://raw/day/=in/ s3://raw/one.txt s3://raw/child-@index=mine @s3://raw/list",
		"s3://done/@job/@index.txt=result.txt s3://done/tree/=out/ s3://done/made/=deep/er/x",
		`cat in/a.csv "in/sub/b c.csv" one.txt mine "odd name" again/one.txt > result.txt; mkdir out/d; echo x > out/d/x; echo y > out/y; echo z > deep/er/x`)
	a.Ref.Index = 7
	x, log := r.finish(a)
	if !x.OK() {
		t.Fatalf("%+v\n%s", x, log)
	}
	for key, want := range map[string]string{
		"done/" + a.ID.String() + "/7.txt": "1\n2\n3\nchild\n4\n3\n", "done/tree/d/x": "x\n", "done/tree/y": "y\n", "done/made/x": "z\n",
	} {
		if got, ok := r.s3.get(key); got != want {
			t.Errorf("%s is %q (%v), want %q", key, got, ok, want)
		}
	}
	if x.Usage.BytesIn != 16 || x.Usage.BytesOut != 22 {
		t.Errorf("usage %+v", x.Usage)
	}
}

func TestDeclaredDataFails(t *testing.T) {
	r := newRig(t)
	r.run()
	r.s3.put("raw/a", "1")
	r.s3.put("raw/p/../../../up", "1")
	r.s3.put("raw/q/a", "1")
	r.s3.put("raw/nonsense", "what is this\n")
	mark := filepath.Join(t.TempDir(), "ran")
	for _, c := range []struct {
		name, inputs, outputs, script string
		cause                         job.Cause
		say                           string
		runs                          bool
	}{
		{"no object", "s3://raw/none", "", "", job.CauseStageIn, "the input s3://raw/none could not be fetched", false},
		{"no prefix", "s3://raw/none/", "", "", job.CauseStageIn, `no object's key in the bucket raw begins with "none/"`, false},
		{"a key that leads out", "s3://raw/p/=in/", "", "", job.CauseStageIn, "cannot be a file's path", false},
		{"two as one file", "s3://raw/a=x/a s3://raw/q/=x/", "", "", job.CauseStageIn, "would both be the file x/a", false},
		{"no list", "@s3://raw/none", "", "", job.CauseStageIn, "the list s3://raw/none of drover:inputs could not be read", false},
		{"a bad list", "@s3://raw/nonsense", "", "", job.CauseStageIn, "is not s3://bucket/key", false},
		{"a file in a file", "s3://raw/a s3://raw/q/a=a/b", "", "", job.CauseStageIn, "the input s3://raw/", false},
		{"no output", "", "s3://done/x=made", "", job.CauseStageOut, "wrote no file made, which drover:outputs names", true},
		{"a folder as output", "", "s3://done/x=made", "mkdir made", job.CauseStageOut, "the output made is no file", true},
		{"a link out", "", "s3://done/x=made", "ln -s /etc/passwd made", job.CauseStageOut, "the output made cannot be read", true},
		{"removed folder", "", "s3://done/x/=made/", "rmdir made", job.CauseStageOut, "made no folder made", true},
		{"a failure stores nothing", "", "s3://done/x=made", "echo half > made; exit 3", job.CauseExit, "", true},
	} {
		os.Remove(mark)
		x, _ := r.finish(r.with(c.inputs, c.outputs, "touch "+mark+"; "+c.script))
		if x.Cause != c.cause || !strings.Contains(x.Reason, c.say) {
			t.Errorf("%s: %+v", c.name, x)
		}
		if _, err := os.Stat(mark); (err == nil) != c.runs {
			t.Errorf("%s: ran: %v", c.name, err == nil)
		}
		if _, ok := r.s3.get("done/x"); ok {
			t.Errorf("%s: something was stored", c.name)
		}
	}
}

// The second job on a host that needs the same input reads it from the cache, also after the
// worker was started anew; an object that changed is fetched again, and so is one whose cached
// content was spoilt. Each asks with its own credentials first.
func TestCacheSavesTransfers(t *testing.T) {
	r := newRig(t)
	r.run()
	big := strings.Repeat("0123456789abcdef", 1<<16)
	r.s3.put("raw/big", big)
	step := func(what, want string, moved int) {
		t.Helper()
		before := r.s3.bytesSent()
		x, _ := r.finish(r.with("s3://raw/big", "s3://done/copy=big", "true"))
		if !x.OK() {
			t.Fatalf("%s: %+v", what, x)
		}
		if got, _ := r.s3.get("done/copy"); got != want {
			t.Errorf("%s: the job saw %d bytes, want %d", what, len(got), len(want))
		}
		if n := r.s3.bytesSent() - before; n != int64(moved) {
			t.Errorf("%s: the object store sent %d bytes, want %d", what, n, moved)
		}
	}
	step("first", big, len(big))
	step("second", big, 0)
	if err := r.halt(); err != nil {
		t.Fatal(err)
	}
	r.run()
	step("after a restart", big, 0)
	r.s3.put("raw/big", big+"!")
	step("changed", big+"!", len(big)+1)
	step("changed, again", big+"!", 0)
	files, _ := filepath.Glob(filepath.Join(r.dir, "cache", "contents", "*"))
	if len(files) != 1 {
		t.Fatalf("the cache holds %q", files)
	}
	if err := os.WriteFile(files[0], []byte("rot"), 0o600); err != nil {
		t.Fatal(err)
	}
	step("spoilt", big+"!", len(big)+1)
	r.s3.mu.Lock()
	r.s3.fail = func(method, key string) int {
		if method == "GET" && key == "raw/big" {
			return http.StatusForbidden
		}
		return 0
	}
	r.s3.mu.Unlock()
	if x, _ := r.finish(r.with("s3://raw/big", "", "true")); x.Cause != job.CauseStageIn || !strings.Contains(x.Reason, "the input s3://raw/big could not be fetched") {
		t.Errorf("a job that may not read the object got it from the cache: %+v", x)
	}
}

// Many attempts that need an object at the same time cost one transfer.
func TestCacheIsSharedWhileItFills(t *testing.T) {
	r := newRig(t)
	r.tweak = func(o *worker.Options) { o.Capacity.MilliVCPU = 32_000 }
	r.run()
	text := strings.Repeat("x", 1<<20)
	r.s3.put("raw/big", text)
	var list []job.Assignment
	for range 12 {
		a := r.with("s3://raw/big", "", `test $(wc -c < big) = 1048576`)
		list = append(list, a)
		r.m.start(a)
	}
	for _, a := range list {
		if x := r.m.exit(t, a.Lease); !x.OK() {
			t.Errorf("%+v", x)
		}
	}
	if n := r.s3.bytesSent(); n != int64(len(text)) {
		t.Errorf("the object store sent %d bytes for 12 jobs, want %d", n, len(text))
	}
}

// Inputs of drover map go the same way: large ones are kept, those that are used once are not.
func TestMapUsesTheCache(t *testing.T) {
	r := newRig(t)
	r.run()
	plan := r.plan(link.StagePlan{In: "s3://in/data/", Out: "s3://out/"}, r.item("large", strings.Repeat("x", 100<<10)), r.item("small", "y"))
	for i, want := range []int64{100 << 10, 1} {
		var sent []int64
		for range 2 {
			before := r.s3.bytesSent()
			if x, _ := r.finish(r.staged(plan, int32(i), `cat "$1" > "$2"`, "{in}", "{out}")); !x.OK() || x.Usage.BytesIn != want {
				t.Fatalf("%+v", x)
			}
			sent = append(sent, r.s3.bytesSent()-before)
			r.next += 10 // the same item again is another attempt
		}
		again := sent[1]
		if i == 0 && again != 0 || i == 1 && again != want {
			t.Errorf("item %d: the object store sent %d bytes", i, sent)
		}
	}
	if files, _ := filepath.Glob(filepath.Join(r.dir, "cache", "contents", "*")); len(files) != 1 {
		t.Errorf("the cache holds %q", files)
	}
}

// A job goes on without its worker, and the next worker stores what it declared. Both move its
// data with the credentials that are for that, which the job does not get.
func TestOutputsAreStoredByTheNextWorker(t *testing.T) {
	r := newRig(t)
	r.m.staging = func(l job.Lease) *link.Credentials {
		return &link.Credentials{AccessKeyID: "ASIAMOVER", SecretAccessKey: "secret", SessionToken: "mover", Expires: time.Now().Add(time.Hour).UnixMicro()}
	}
	r.run()
	gate := filepath.Join(t.TempDir(), "gate")
	r.s3.put("raw/in", "input")
	a := r.with("s3://raw/in", "s3://done/@job/@index=made", "while ! test -e "+gate+"; do sleep 0.05; done; tr a-z A-Z < in > made")
	r.m.start(a)
	r.m.is(t, "the job runs", func() bool { return r.m.started[a.Lease] > 0 })
	if err := r.halt(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	r.run()
	if x := r.m.exit(t, a.Lease); !x.OK() || x.Usage.BytesIn != 5 || x.Usage.BytesOut != 5 {
		t.Errorf("%+v", x)
	}
	if got, _ := r.s3.get("done/" + a.ID.String() + "/1"); got != "INPUT" {
		t.Errorf("the output is %q", got)
	}
	r.s3.mu.Lock()
	defer r.s3.mu.Unlock()
	if len(r.s3.tokens) != 2 || r.s3.tokens[0] != "mover" || r.s3.tokens[1] != "mover" {
		t.Errorf("data was moved with %q", r.s3.tokens)
	}
}
