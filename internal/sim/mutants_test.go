package sim

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// A mutant is a bug planted in the manager or in the core: the simulation must find it, or
// its silence on the real code means nothing. The bug is a change of text, laid over the
// sources for one build, so that no production code knows of it.
type mutant struct {
	name  string
	edits []edit
}

type edit struct{ file, from, to string }

const (
	stepFile        = "internal/core/job/step.go"
	arrayFile       = "internal/core/job/array.go"
	retryFile       = "internal/core/job/retry.go"
	decideFile      = "internal/core/sched/decide.go"
	roomFile        = "internal/core/sched/hosts.go"
	runsFile        = "internal/core/sched/runs.go"
	consumablesFile = "internal/manager/consumables.go"
	coreFile        = "internal/manager/core.go"
	deskFile        = "internal/manager/desk.go"
	gangFile        = "internal/manager/gang.go"
	hostsFile       = "internal/manager/hosts.go"
	jobsFile        = "internal/manager/jobs.go"
	preemptFile     = "internal/core/sched/preempt.go"
	tapeFile        = "internal/core/tape/tape.go"
	postFile        = "internal/manager/post.go"
	settleFile      = "internal/manager/settle.go"
	submitFile      = "internal/manager/submit.go"
	waitsFile       = "internal/manager/waits.go"
	wantsFile       = "internal/core/sched/wants.go"

	startFence = "\tif ev.Fence != u.Fence {\n\t\treturn u, Stale(ev.Fence, u.Fence)\n\t}\n"
	startState = "\tif !u.Status.Live() {\n\t\treturn u, Settled(ev.Fence)\n\t}\n\tif u.Status == Starting {\n\t\tu.Status, u.Started"
	startFirst = "\tif u.Status == Starting {\n\t\tu.Status, u.Started"
	endFence   = "\tif ev.Fence != u.Fence {\n\t\treturn u, false, Stale(ev.Fence, u.Fence)\n\t}\n"
	endState   = "\tif !u.Status.Live() {\n\t\treturn u, false, Settled(ev.Fence)\n\t}\n"
)

var mutants = []mutant{
	{"no fence on settle", []edit{
		{stepFile, startFence, ""}, {stepFile, startState, startFirst}, {stepFile, endFence, ""}, {stepFile, endState, ""},
		{hostsFile, "s.Terminal() {\n\t\treturn job.Settled", "false && s.Terminal() {\n\t\treturn job.Settled"},
	}},
	{"the state is checked but not the fence", []edit{{stepFile, startFence, ""}, {stepFile, endFence, ""}}},
	{"no idempotency token on submit", []edit{{submitFile, "if e := c.peek(c.tokens[s.Token]); e != nil {", "if e := c.peek(c.tokens[s.Token]); false {"}}},
	{"settle and release in two transactions", []edit{
		{deskFile, "\td.core.Work(now)\n", "\tif !d.core.Pending() {\n\t\td.core.Work(now)\n\t}\n"},
		{submitFile, "c.hold(e, job.Whole, now)\n\t\tc.advance(e, now)\n", "c.hold(e, job.Whole, now)\n"},
		{submitFile, "kind: killTask})\n\t}\n\tc.advance(e, now)\n", "kind: killTask})\n\t}\n"},
	}},
	{"reply before commit", []edit{{deskFile, "\tcommit(b, func(err error) {", "\tanswer(waiting, nil)\n\twaiting = nil\n\tcommit(b, func(err error) {"}}},
	{"lease without expiry", []edit{{hostsFile, "case now.Mono > h.expires:", "case false:"}}},
	{"a lease forgotten at restart", []edit{
		{submitFile, "c.hold(e, job.Whole, now)\n", ""}, {submitFile, "c.hold(e, i, now)\n", ""},
	}},
	{"a fence reused", []edit{{stepFile, "\tu.Fence++\n", "\tu.Fence = 1\n"}}},

	{"messages before commit", []edit{{deskFile, "\tcommit(b, func(err error) {", "\tpost.Done(b)\n\tcommit(b, func(err error) {"}}},
	{"a stop is not sent again", []edit{{hostsFile, "if e.stopping(r.Index) {", "if false {"}}},
	{"a start is not sent again", []edit{{hostsFile, "if !held[r] {", "if false {"}}},
	{"what an attempt held is not given back", []edit{{hostsFile, "\tc.sched.Release(r, now.Wall)\n", ""}}},
	{"a new launcher goes unnoticed", []edit{{hostsFile, "if h != nil && h.row.Boot != m.Boot {", "if false {"}}},
	{"no grace after a start", []edit{{hostsFile, "h := &host{row: r, expires: now.Mono + c.opt.LeaseTTL,", "h := &host{row: r, expires: now.Mono,"}}},
	{"no grace after a pause", []edit{{hostsFile, "paused := now.Mono-c.tick > c.opt.LeaseTTL/2", "paused := false"}}},
	{"a cancelled child waits for ever", []edit{{settleFile, "c.setBase(e, job.Runnable, \"\", now)\n\t\tc.stragglers(e, job.Event{Kind: job.Release}, now)\n", "c.setBase(e, job.Runnable, \"\", now)\n"}}},
	{"N_TO_N looks at the child before", []edit{{settleFile, "yield(p.array.Status(i))", "yield(p.array.Status(max(i-1, 0)))"}}},
	{"SEQUENTIAL is forgotten", []edit{{submitFile, "e.chained = e.array != nil", "e.chained = false"}}},
	{"a failed dependency is no matter", []edit{{settleFile, "\t\td.e.hear(e.unit.Status)\n", ""}}},
	{"the outbox misses whole arrays", []edit{{settleFile, "\t\tc.moved(e, lo, hi-1, from, s, now)\n", ""}}},
	{"the record of a retried attempt is lost", []edit{{coreFile, "c.batch.History = append(c.batch.History, UnitRow{job.Ref{Key: e.spec.Key, Index: i}, u})", "_ = u"}}},
	{"ended jobs are not looked up by token", []edit{{submitFile, "if s.Token != \"\" && c.tokens[s.Token] == 0 {", "if false {"}}},
	{"who waits for a job on the shelf is forgotten", []edit{{jobsFile, "len(e.after) == 0 && ", ""}}},
	{"counts drift", []edit{{arrayFile, "\ta.counts[old]--\n", "\tif !u.Status.Terminal() || old == Running {\n\t\ta.counts[old]--\n\t}\n"}}},
	{"no matching rule means exit", []edit{{retryFile, "\t\t\treturn !rule.Exit\n\t\t}\n\t}\n\treturn true", "\t\t\treturn !rule.Exit\n\t\t}\n\t}\n\treturn len(r.Rules) == 0"}}},
	{"hosts are overcommitted", []edit{{decideFile, "!shape.Need.Fits(h.free) || !e.has(&shape, s.words(h)) || !s.yields", "!shape.Need.Fits(h.capacity) || !e.has(&shape, s.words(h)) || !s.yields"}}},
	{"maxvCpus is no limit", []edit{{decideFile, "|| e.used+need > e.MaxMilliVCPU ||", "||"}}},
	{"an environment that comes back starts empty", []edit{{roomFile, "\t\te.gone = true\n", "\t\te.gone, e.used = true, 0\n"}}},
	{"tokens are no limit", []edit{{runsFile, "k.used+s.kept(k.hold, t.Name, own)+t.Quantity > k.total {", "s.kept(k.hold, t.Name, own)+t.Quantity > k.total {"}}},
	{"tokens are not given back", []edit{{consumablesFile, "if r.held -= n.Quantity; r.deleted {", "if r.deleted {"}}},
	{"what is spent is not written", []edit{{consumablesFile, "\t\t\tc.used = append(c.used, r)\n", ""}}},
	{"a gang gets hosts for all nodes but one", []edit{{gangFile, "for n := range e.spec.Nodes.Count {", "for n := range e.spec.Nodes.Count - 1 {"}}},
	{"nodes do not wait for the main one", []edit{{gangFile, "return e.nodes[e.spec.Nodes.Main].Started != 0", "return true"}}},
	{"the end of the main node stops nobody", []edit{{gangFile, "	if main {\n		c.stopNodes(e, now)", "	if false {\n		c.stopNodes(e, now)"}}},
	{"nodes are not told again to stop", []edit{{gangFile, "return e.nodes[e.spec.Nodes.Main].Status.Terminal()", "return false"}}},
	{"the end of a node ends its job", []edit{{gangFile, "u job.Unit) bool { return u.Status.Live() }) {", "u job.Unit) bool { return false }) {"}}},
	{"what a node held is given back with the job alone", []edit{{gangFile, "\t\tc.sched.ReleaseNode(", "\t\t_ = (*sched.State).ReleaseNode\n\t\t_ = func(job.Ref, int32, int64) {}\n\t\tfunc(job.Ref, int32, int64) {}("}}},
	{"a preempted attempt counts", []edit{{stepFile, "\t\tu.Preempted++\n", ""}}},
	{"what failed by itself counts as preempted", []edit{{stepFile, "case asked != \"\" && (x.Cause == CauseTerminated || x.Cause == CauseHost):", "case asked != \"\" && !x.OK():"}}},
	{"queues need not allow it", []edit{{preemptFile, "case q.yields && w.queue.Priority", "case w.queue.Priority"}, {preemptFile, "if o.yields && o.running > 0", "if o.running > 0"}}},
	{"whoever comes is served", []edit{{preemptFile, "w.queue.Priority > q.Priority &&", "q != w.queue &&"}, {preemptFile, "&& o.Priority < q.Priority {", "&& o != q {"}}},
	{"lenders take from lenders", []edit{{preemptFile, "return ByReclaim, s.borrowed(u, w) && s.entitled(w)", "return ByReclaim, s.entitled(w)"}}},
	{"room that was made is not kept", []edit{{preemptFile, "\t\ts.hosts[i].hold = h\n", ""}}},
	{"the outbox does not say who was preempted", []edit{{coreFile, "if u.Preempted > before.Preempted {", "if false {"}}},
	{"the history forgets what is given back", []edit{{tapeFile, "\tif !r.full {\n\t\tr.begin(opRelease)", "\tif false {\n\t\tr.begin(opRelease)"}}},
	{"the history is not as old as the decisions", []edit{{tapeFile, "\tr.begin(opDecide)\n\tr.time(now)", "\tr.begin(opDecide)\n\tr.time(now - now%60_000_000)"}}},
	{"a blocked queue is told at each look", []edit{{waitsFile, "\t\t\th.told = true\n", ""}}},
	{"a queue is blocked for reasons of our own", []edit{{waitsFile, "strings.HasPrefix(code, \"MISCONFIGURATION:\") ||", "code != \"\" ||"}}},
	{"environments take any host", []edit{{wantsFile, "(e.wants == \"\" || unmet(e.wants, words) == \"\")", "(e.wants == \"\" || len(words) > 0)"}}},
	{"jobs take any host", []edit{{wantsFile, "(p.Wants == \"\" || p.unmet(words) == \"\")", "(p.Wants == \"\" || len(words) > 0)"}}},
	{"an environment's terms are those that it was created with", []edit{{roomFile, "if was := o.wants; was != o.ofHosts() {", "if was := o.wants; was == \"\" && was != o.ofHosts() {"}}},
	{"a host is what it was when it first came", []edit{{roomFile, "h.capacity.Sub(h.free)\n\th.capacity, h.free, h.kind = capacity, capacity.Sub(used), s.kindOf(executors)", "h.capacity.Sub(h.free)\n\th.capacity, h.free = capacity, capacity.Sub(used)\n\tif h.kind == 0 {\n\t\th.kind = s.kindOf(executors)\n\t}"}}},
	{"a cancel spares who waits to be tried again", []edit{{stepFile, "if u.Status.Terminal() || u.Status.Live() {\n\t\treturn u\n\t}\n\tu.Cancelled", "if u.Status.Terminal() || u.Attempt > 0 {\n\t\treturn u\n\t}\n\tu.Cancelled"}}},
	{"a letter too many is acknowledged", []edit{{postFile, "b.letters[n].Seq <= ack {", "b.letters[n].Seq <= ack+1 {"}}},
}

// hunt is how many seeds a mutant may survive: the number that TestSeeds runs.
const hunt = "400"

// caught finds the seed and the invariant in the output of a run.
var caught = regexp.MustCompile(`seed (\d+): VIOLATION (\S+) at [\d.]+ s: ([^\n]{0,140})`)

// TestMutants builds the simulation once with each planted bug, and wants it found.
func TestMutants(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the simulation once for each planted bug")
	}
	if *seed != 0 {
		t.Skip("-seed runs that seed alone")
	}
	tool, err := exec.LookPath("go")
	if err != nil {
		t.Skip("there is no go command to build mutants with")
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	two := make(chan struct{}, 2) // builds at a time
	for i := range mutants {
		t.Run(mutants[i].name, func(t *testing.T) {
			t.Parallel()
			two <- struct{}{}
			defer func() { <-two }()
			mutants[i].try(t, tool, root)
		})
	}
}

// TestMutantsFit wants the text that each planted bug changes in the sources as they are, so
// that whoever changes it brings the bug up to date.
func TestMutantsFit(t *testing.T) {
	root := filepath.Join("..", "..")
	if _, err := os.Stat(filepath.Join(root, "go.mod")); err != nil {
		t.Skip("the sources are not here: this is the binary of a mutant")
	}
	for i := range mutants {
		mutants[i].overlay(t, root, t.TempDir())
	}
}

func (m *mutant) try(t *testing.T, tool, root string) {
	start := time.Now()
	dir := t.TempDir()
	binary := filepath.Join(dir, "sim.test")
	build := exec.CommandContext(t.Context(), tool, "test", "-c", "-vet=off", "-ldflags=-s -w", "-overlay", m.overlay(t, root, dir), "-o", binary, "./internal/sim")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		t.Errorf("mutant %q does not build: %v\n%s", m.name, err, out)
		return
	}
	run := exec.CommandContext(t.Context(), binary, "-test.run", "^TestSeeds$", "-seeds", hunt, "-test.timeout", "40s")
	run.Dir = dir
	out, err := run.CombinedOutput()
	switch found := caught.FindSubmatch(out); {
	case found != nil:
		t.Logf("%-45s seed %3s, %5.1f s: %s %s", m.name, found[1], time.Since(start).Seconds(), found[2], found[3])
	case err == nil:
		t.Errorf("mutant %q survived %s seeds", m.name, hunt)
	default:
		t.Errorf("mutant %q: the run ended without a verdict: %v\n%.2000s", m.name, err, out)
	}
}

// overlay writes the changed sources and the file that tells the go command to use them.
func (m *mutant) overlay(t *testing.T, root, dir string) string {
	texts := map[string]string{}
	for _, e := range m.edits {
		text, ok := texts[e.file]
		if !ok {
			b, err := os.ReadFile(filepath.Join(root, e.file))
			if err != nil {
				t.Error(err)
			}
			text = string(b)
		}
		if n := strings.Count(text, e.from); n != 1 {
			t.Errorf("mutant %q: %s has %d times the text to change, %q; bring the mutant up to date", m.name, e.file, n, e.from)
		}
		texts[e.file] = strings.Replace(text, e.from, e.to, 1)
	}
	replace := map[string]string{}
	for file, text := range texts {
		to := filepath.Join(dir, strings.ReplaceAll(file, "/", "_"))
		if err := os.WriteFile(to, []byte(text), 0o600); err != nil {
			t.Error(err)
		}
		replace[filepath.Join(root, file)] = to
	}
	list, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Error(err)
	}
	path := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(path, list, 0o600); err != nil {
		t.Error(err)
	}
	return path
}
