package replay_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"drover/internal/core/job"
	"drover/internal/core/resource"
	"drover/internal/core/sched"
	"drover/internal/manager"
	"drover/internal/sim/replay"
)

// example is the cluster file of docs/simulate.md.
func example(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../../docs/simulate.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "```yaml\n")
	yaml, _, ok := strings.Cut(rest, "```")
	if !ok {
		t.Fatal("docs/simulate.md has no example")
	}
	return yaml
}

// The documented example is read as documented, and jobs run on it.
func TestExample(t *testing.T) {
	c, err := replay.ReadCluster(strings.NewReader(example(t)))
	if err != nil {
		t.Fatal(err)
	}
	hosts := c.Hosts()
	if len(hosts) != 5 || hosts[0].Name != "small-1" || hosts[0].Capacity != (resource.Vector{MilliVCPU: 16000, MemoryMiB: 32 << 10}) || hosts[4].Name != "large" ||
		hosts[4].Capacity != (resource.Vector{MilliVCPU: 96000, MemoryMiB: 768 << 10, GPU: 8}) || hosts[4].Up != 300*µs || hosts[4].Price != 12.5 {
		t.Errorf("%+v", hosts)
	}
	img := c.Image("")
	if q := img.Queues[1]; q.Tags[sched.TagWeight] != "2" || q.Tags[sched.TagOvertake] != "600" || q.Tags[sched.TagExpected] != "1800" || q.MaxRunning != 100 || q.Policy != "night" {
		t.Errorf("%+v", q)
	}
	if w := img.Policies[0].Fair.Weights; w[0] != (job.ShareWeight{Share: "test-*", Weight: 20000}) || w[1] != (job.ShareWeight{Share: "prod", Weight: 5000}) {
		t.Errorf("%+v", w)
	}
	if img.Environments[0].MaxMilliVCPU != 128000 || img.Consumables[0].Total != 5 || img.Queues[0].Tags[sched.TagPolicy] != sched.Easy || c.Image(sched.LXF).Queues[0].Tags[sched.TagPolicy] != sched.LXF {
		t.Errorf("%+v", img)
	}
	log, err := replay.ReadCSV(strings.NewReader("submit,run,vcpus,queue,share,gpus,tokens\n0,3600,16,night,prod,0,\n0,3600,16,night,test-1,0,\n0,60,1,urgent,,8,licence=5\n0,60,1,urgent,,0,licence=1\n"))
	if err != nil {
		t.Fatal(err)
	}
	trace, err := replay.All(replay.Setup{Jobs: log.Jobs, Hosts: hosts, Image: img})
	if err != nil {
		t.Fatal(err)
	}
	var starts []int64
	for _, o := range trace.Out {
		starts = append(starts, o.Start/µs)
	}
	// The one with GPUs waits for the large host; the other lets it go first with the licences.
	if !slices.Equal(starts, []int64{0, 0, 300, 0}) {
		t.Error(starts)
	}
	r := replay.Measure(trace)
	// 4 small ones for an hour, the large one 5 minutes less.
	if want := 4*0.68 + 12.5*55/60; r.Cost == nil || fmt.Sprintf("%.3f", r.Cost.Total) != fmt.Sprintf("%.3f", want) || r.Cost.Idle <= 0 || r.Cost.Idle >= want {
		t.Errorf("%+v, want %.3f in all", r.Cost, want)
	}
}

func TestClusterErrors(t *testing.T) {
	for text, says := range map[string]string{
		"pools:\n  - count: 1\n    cpus: 3\n":                                             "line 3: field cpus not found",
		"pools:\n  - {count: 1, type: c5.huge}\n":                                         "instance type c5.huge is not known",
		"pools:\n  - {count: 1}\n":                                                        "give vcpus and memory, or an instance type",
		"pools:\n  - {vcpus: 1, memory: lots}\n":                                          "line 2: \"lots\" is no amount of memory",
		"pools:\n  - {vcpus: 1, start: soon}\n":                                           "line 2: \"soon\" is no time span",
		"queues: []\n":                                                                    "there are no hosts",
		"pools:\n  - {count: 1000000, vcpus: 1}\n":                                        "1 to 100000 hosts",
		"pools:\n  - {vcpus: 1}\nqueues:\n  - {name: a, policy: best}\n":                  "none of strict, easy, fifo, lxf",
		"pools:\n  - {vcpus: 1}\nqueues:\n  - {name: a, environments: [x]}\n":             "there is no environment x",
		"pools:\n  - {vcpus: 1}\nqueues:\n  - {name: a}\n  - {name: a}\n":                 "two queues a",
		"pools:\n  - {vcpus: 1, name: a}\n  - {vcpus: 1, name: a}\n":                      "two pools a",
		"pools:\n  - {vcpus: 1}\nenvironments:\n  - {name: a, placement: up}\n":           "placement spread or pack",
		"pools:\n  - {vcpus: 1}\nqueues:\n  - {name: a, fair-share: {weights: {b: 0}}}\n": "weight factor 0 of share b",
	} {
		if _, err := replay.ReadCluster(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q gives %v, want %q", text, err, says)
		}
	}
}

// Two shares that wait all the time get what their weights say, and the figures say so.
func TestFairness(t *testing.T) {
	c, err := replay.ReadCluster(strings.NewReader("pools:\n  - {vcpus: 16, price: 1}\nqueues:\n  - {name: q, fair-share: {decay: 10m, weights: {a: 0.5, b: 1}}}\n"))
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	text.WriteString("submit,run,vcpus,share\n")
	for range 3000 {
		text.WriteString("0,60,1,a\n0,60,1,b\n")
	}
	log, _ := replay.ReadCSV(strings.NewReader(text.String()))
	trace, err := replay.All(replay.Setup{Jobs: log.Jobs, Hosts: c.Hosts(), Image: c.Image("")})
	if err != nil {
		t.Fatal(err)
	}
	r := replay.Measure(trace)
	if len(r.Shares) != 2 || r.Shares[0].Jobs != 3000 || fmt.Sprintf("%.2f %.2f", r.Shares[0].Hours, r.Shares[0].Cost) != "50.00 3.12" {
		t.Fatalf("%+v", r.Shares)
	}
	for _, s := range r.Shares {
		if s.Fairness < 0.97 || s.Fairness > 1.03 {
			t.Errorf("%+v", s)
		}
	}
	first := replay.Policies()[2]
	trace, err = replay.All(replay.Setup{Jobs: log.Jobs, Hosts: c.Hosts(), Image: replay.Single(first)})
	if err != nil {
		t.Fatal(err)
	}
	if r := replay.Measure(trace); len(r.Shares) != 2 || r.Shares[0].Fairness < 0.97 || r.Shares[0].Fairness > 1.03 {
		t.Errorf("without a policy both have the same part: %+v", r.Shares)
	}
}

func TestApply(t *testing.T) {
	setup := func() replay.Setup {
		img := replay.Single(sched.FIFO)
		s := replay.Setup{Image: img, Hosts: []replay.Host{
			{Name: "i-1", Capacity: resource.Vector{MilliVCPU: 16000, MemoryMiB: 31 << 10}},
			{Name: "i-2", Capacity: resource.Vector{MilliVCPU: 16000, MemoryMiB: 31 << 10}},
			{Name: "i-3", Capacity: resource.Vector{MilliVCPU: 4000, MemoryMiB: 31 << 10}},
		}}
		s.Known = []replay.Known{{Host: "i-1", Job: replay.Job{MilliVCPU: 1000}}}
		return s
	}
	s := setup()
	before := setup()
	if err := replay.Apply(&s, "add 2 c5.4xlarge at 0.68 after 2m, add 1 hosts of 8 vcpus 32 GiB 1 gpus, remove 1 c5.4xlarge, remove i-3, max-vcpus replay 64, policy replay lxf, priority replay 7"); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, h := range s.Hosts {
		got = append(got, fmt.Sprintf("%s %d/%d/%d %v %.2f %d", h.Name, h.Capacity.MilliVCPU/1000, h.Capacity.MemoryMiB>>10, h.Capacity.GPU, h.Closed, h.Price, h.Up/µs))
	}
	want := []string{"i-1 16/31/0 false 0.00 0", "i-2 16/31/0 true 0.00 0", "i-3 4/31/0 true 0.00 0",
		"new-4-c5.4xlarge 16/32/0 false 0.68 120", "new-5-c5.4xlarge 16/32/0 false 0.68 120", "new-6-hosts 8/32/1 false 0.00 0"}
	if !slices.Equal(got, want) {
		t.Errorf("%q\nwant %q", got, want)
	}
	if q := s.Image.Queues[0]; q.Priority != 7 || q.Tags[sched.TagPolicy] != sched.LXF || s.Image.Environments[0].MaxMilliVCPU != 64000 {
		t.Errorf("%+v", s.Image)
	}
	if before.Hosts[1].Closed || before.Image.Queues[0].Tags[sched.TagPolicy] != sched.FIFO {
		t.Error("the setup that it was made of is changed")
	}
	for text, says := range map[string]string{
		"":                             "a change is empty",
		"add":                          "how many of what",
		"add x c5.large":               "x is no number of hosts",
		"add 2 c5.huge":                "c5.huge is not known",
		"add 2 hosts":                  "say how large",
		"add 2 hosts of 3 vcpus":       "say how large",
		"add 2 c5.large at much":       "no price",
		"add 2 c5.large after never":   "no time span",
		"add 2 c5.large when 3":        "when is not understood",
		"remove i-9":                   "there is no host i-9",
		"remove 3 c5.4xlarge":          "there are 2 hosts of type c5.4xlarge",
		"max-vcpus nowhere 3":          "no compute environment nowhere",
		"policy replay best":           "best is none of",
		"policy other lxf":             "no job queue other",
		"priority replay":              "wants a name and a value",
		"priority replay high":         "no priority",
		"buy 3 c5.large":               "no change is called buy",
		"add 1 c5.large, , remove i-1": "a change is empty",
	} {
		s := setup()
		if err := replay.Apply(&s, text); err == nil || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), "add N TYPE") {
			t.Errorf("%q gives %v, want %q and the grammar", text, err, says)
		}
	}
}

// What a server has now is run on to its end: what runs ends when it is expected to, what
// waits follows in the scheduler's order, and a new host helps.
func TestFromPresent(t *testing.T) {
	start := int64(1_000_000_000 * µs)
	img := replay.Single(sched.FIFO)
	img.NextKey = 9
	spec := func(k job.Key, size int32) *job.Spec {
		s := &job.Spec{Version: job.SpecVersion, Key: k, Queue: "replay", Definition: "d:1", Image: job.HostImage, Size: size, Need: resource.Vector{MilliVCPU: 1000, MemoryMiB: 1}, Retry: job.Retry{Attempts: 1}}
		s.ID[0] = byte(k)
		return s
	}
	run := manager.PresentJob{Loaded: manager.Loaded{Spec: spec(1, 0), Row: manager.JobRow{Key: 1, Status: job.Running}}}
	run.Units = []manager.UnitRow{{Ref: job.Ref{Key: 1, Index: job.Whole}, Unit: job.Unit{Status: job.Running, Attempt: 1, Fence: 3, Host: "h", Environment: "replay", Placed: start - 50*µs, Started: start - 50*µs}}}
	run.Run.Micros = 80 * µs
	wait := manager.PresentJob{Loaded: manager.Loaded{Spec: spec(2, 3), Row: manager.JobRow{Key: 2, Status: job.Pending, Base: job.Runnable, Counts: job.Counts{}, Ready: start - 10*µs}}}
	wait.Run.Micros = 20 * µs
	p := manager.Present{At: start, Image: img, Hosts: []manager.Host{{ID: "h", Capacity: resource.Vector{MilliVCPU: 1000, MemoryMiB: 100}, Executors: []string{"process"}, Connected: true},
		{ID: "away", Capacity: resource.Vector{MilliVCPU: 1000, MemoryMiB: 100}, Executors: []string{"process"}}}}
	p.Image.Hosts = []manager.HostRow{{ID: "h", Boot: "boot", Capacity: p.Hosts[0].Capacity, Executors: p.Hosts[0].Executors}}
	s, assumed, cut := replay.FromPresent(p, []manager.PresentJob{run, wait})
	if assumed != 4 || cut || len(s.Known) != 4 {
		t.Fatal(assumed, cut, s.Known)
	}
	starts := func(s replay.Setup) []int64 {
		trace, err := replay.Simulate(s)
		if err != nil {
			t.Fatal(err)
		}
		var out []int64
		for _, o := range trace.Out {
			out = append(out, o.Start/µs)
		}
		d := trace.Drains()
		if len(d) != 1 || d[0].Waiting != 3 || d[0].Empty != float64(out[3]) || d[0].Never != 0 {
			t.Errorf("%+v", d)
		}
		return out
	}
	if got := starts(s); !slices.Equal(got, []int64{-50, 30, 50, 70}) {
		t.Error(got)
	}
	more := s
	if err := replay.Apply(&more, "add 1 hosts of 1 vcpus 1 GiB after 5s"); err != nil {
		t.Fatal(err)
	}
	if got := starts(more); !slices.Equal(got, []int64{-50, 5, 25, 30}) {
		t.Error(got)
	}
	less := s
	if err := replay.Apply(&less, "remove h"); err != nil {
		t.Fatal(err)
	}
	trace, err := replay.Simulate(less)
	if err != nil {
		t.Fatal(err)
	}
	if r := replay.Measure(trace); r.Never != 3 || r.MakespanSeconds != 30 {
		t.Errorf("%+v", r)
	}
	if svg := replay.Draw(replay.Picture{Title: "a<b", Trace: trace}); !strings.Contains(string(svg), "a&lt;b") || strings.Contains(string(svg), "NaN") {
		t.Errorf("%s", svg)
	}
}

// Whatever is typed is understood or refused, and a setup that was changed can be run.
func FuzzApply(f *testing.F) {
	for _, s := range []string{"add 2 c5.4xlarge at 0.68 after 2m", "add 1 hosts of 8 vcpus 32 GiB 1 gpus", "remove 1 c5.4xlarge, remove h", "max-vcpus replay 64, policy replay lxf, priority replay 7"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s := replay.Setup{Image: replay.Single(sched.FIFO), Hosts: []replay.Host{{Name: "h", Capacity: resource.Vector{MilliVCPU: 16000, MemoryMiB: 32 << 10}}},
			Jobs: []replay.Job{{Run: µs, MilliVCPU: 1000}}}
		if replay.Apply(&s, text) != nil {
			return
		}
		if _, err := replay.Simulate(s); err != nil && len(s.Hosts) < 1000 {
			t.Fatalf("%q: %v", text, err)
		}
	})
}

// A cluster file is read or refused; one that is read has hosts, and queues on environments.
func FuzzReadCluster(f *testing.F) {
	f.Add("pools:\n  - {count: 2, type: c5.large, price: 1}\nqueues:\n  - {name: a, fair-share: {weights: {x: 1}}}\n")
	f.Add("pools:\n  - {vcpus: 1, memory: 3 GiB, start: 5m}\ntokens:\n  t: {total: 3}\n")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := replay.ReadCluster(strings.NewReader(text))
		if err != nil {
			return
		}
		if img := c.Image(""); len(c.Pools) == 0 || len(img.Queues) == 0 || len(img.Queues[0].Environments) == 0 {
			t.Fatalf("%q: %+v", text, c)
		}
	})
}
