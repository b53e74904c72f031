package replay_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"drover/internal/core/sched"
	"drover/internal/sim/replay"
)

const µs = 1_000_000

// five is a machine of ten and five jobs: B does not fit beside A, C ends before A does, E
// fits beside B, D does neither.
const five = `; MaxProcs: 10
1 0 -1 100 6 -1 -1 6 100 -1 1 1 1 -1 -1 -1 -1 -1
2 1 -1 100 8 -1 -1 8 100 -1 1 1 1 -1 -1 -1 -1 -1
3 2 -1  50 4 -1 -1 4  50 -1 1 1 1 -1 -1 -1 -1 -1
4 3 -1 200 4 -1 -1 4 200 -1 1 1 1 -1 -1 -1 -1 -1
5 4 -1 200 -1 -1 -1 2 200 -1 1 1 1 -1 -1 -1 -1 -1
`

func TestPolicies(t *testing.T) {
	log, err := replay.ReadSWF(strings.NewReader(five), 0)
	if err != nil {
		t.Fatal(err)
	}
	hosts := []replay.Host{replay.Machine(log.Processors)}
	for _, c := range []struct {
		policy string
		starts []int64
	}{
		{sched.Strict, []int64{0, 100, 200, 200, 200}},
		{sched.Easy, []int64{0, 100, 2, 200, 52}},
		{sched.FIFO, []int64{0, 252, 2, 52, 100}}, // B has not waited long enough for room to be kept
		{sched.LXF, []int64{0, 100, 2, 200, 52}},
	} {
		trace, err := replay.Replay(log.Jobs, hosts, c.policy)
		if err != nil {
			t.Fatal(err)
		}
		var starts []int64
		for _, o := range trace.Out {
			starts = append(starts, o.Start/µs)
		}
		r := replay.Measure(trace)
		if !slices.Equal(starts, c.starts) {
			t.Errorf("%s: jobs start at %d, want %d", c.policy, starts, c.starts)
		}
		if r.Jobs != 5 || r.Utilisation <= 0 || r.Utilisation > 1 || r.MeanBoundedSlowdown < 1 {
			t.Errorf("%s: %+v", c.policy, r)
		}
		if svg := replay.Draw(replay.Picture{Title: c.policy, Trace: trace}); !bytes.Contains(svg, []byte("</svg>")) || bytes.Contains(svg, []byte("NaN")) {
			t.Errorf("%s: %s", c.policy, svg)
		}
	}
	trace, _ := replay.Replay(log.Jobs, hosts, sched.Easy)
	r := replay.Measure(trace)
	if got := fmt.Sprintf("%.3f %.1f %g %g", r.MeanBoundedSlowdown, r.MeanWaitSeconds, r.MaxWaitSeconds, r.MakespanSeconds); got != "1.443 68.8 197 400" {
		t.Error(got) // waits 0 99 0 197 48
	}
}

func TestReadSWF(t *testing.T) {
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	fmt.Fprint(z, five)
	z.Close()
	r, err := replay.Open(&packed)
	if err != nil {
		t.Fatal(err)
	}
	if log, err := replay.ReadSWF(r, 0); err != nil || len(log.Jobs) != 5 || log.Processors != 10 {
		t.Error(log, err)
	}
	for _, c := range []struct {
		name, text string
		processors int64
		want       string
	}{
		{"no header", "1 0 -1 5 2 -1 -1 2 9\n", 0, "0: 5/9/2000"},
		{"processors given win", "; MaxProcs: 4\n1 0 -1 5 2 -1 -1 2 9\n", 8, "8: 5/9/2000"},
		{"nodes when nothing else is said", "; MaxNodes: 4\n1 0 -1 5 2 -1 -1 2 9\n", 0, "4: 5/9/2000"},
		{"a run of 0", "1 0 -1 0 2\n", 4, "4: 1/1/2000"},
		{"an estimate below the run", "1 0 -1 7 2 -1 -1 2 3\n", 4, "4: 7/7/2000"},
		{"requested processors", "1 0 -1 7 -1 -1 -1 3 3\n", 4, "4: 7/7/3000"},
		{"no run", "1 0 -1 -1 2\n", 4, "4:"},
		{"too wide", "1 0 -1 5 9\n", 4, "4:"},
		{"sorted", "1 9 -1 5 1\n2 3 -1 6 1\n", 4, "4: 6/6/1000 5/5/1000"},
	} {
		log, err := replay.ReadSWF(strings.NewReader(c.text), c.processors)
		if log.Processors > 0 {
			log.LeaveOut([]replay.Host{replay.Machine(log.Processors)})
		}
		got := fmt.Sprintf("%d:", log.Processors)
		for _, j := range log.Jobs {
			got += fmt.Sprintf(" %d/%d/%d", j.Run/µs, j.Estimate/µs, j.MilliVCPU)
		}
		if err != nil || got != c.want {
			t.Errorf("%s: %s, %v; want %s", c.name, got, err, c.want)
		}
	}
	for _, bad := range []string{"1 2 3\n", "1 0 -1 five 2\n", "1 0 -1 NaN 2\n"} {
		if log, err := replay.ReadSWF(strings.NewReader(bad), 4); err == nil || !strings.Contains(err.Error(), "line 1") {
			t.Errorf("%q gives %v, %v", bad, log, err)
		}
	}
}

func TestReadCSV(t *testing.T) {
	log, err := replay.ReadCSV(strings.NewReader("vcpus,Submit,run,extra,memory_mib,gpus,share\n0.5,10,3,x,64,1,a\n2,5,4,x,,,\n"))
	if err != nil || len(log.Jobs) != 2 {
		t.Fatal(log, err)
	}
	if want := (replay.Job{Submit: 10 * µs, Run: 3 * µs, MilliVCPU: 500, MemoryMiB: 64, GPU: 1, Share: "a"}); !reflect.DeepEqual(log.Jobs[1], want) {
		t.Errorf("%+v", log.Jobs[1])
	}
	for bad, says := range map[string]string{
		"submit,run\n1,2\n":            "no column vcpus",
		"submit,run,vcpus\n1,x,2\n":    "line 2: run",
		"submit,run,vcpus\n1,1,0\n":    "vcpus must be above 0",
		"":                             "first line",
		"submit,run,vcpus\n1,-1,2\n":   "run",
		"submit,run,vcpus\n1,1e99,2\n": "run",
	} {
		if _, err := replay.ReadCSV(strings.NewReader(bad)); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v, want %q", bad, err, says)
		}
	}
}

// The same log gives the same starts, and one host's worth of hosts is not one machine.
func TestDeterminism(t *testing.T) {
	var text strings.Builder
	x := uint64(7)
	for i := range 2000 {
		x = x*6364136223846793005 + 1442695040888963407
		fmt.Fprintf(&text, "%d %d -1 %d %d -1 -1 -1 %d\n", i, i*3, 1+x>>40%200, 1+x>>50%8, 1+x>>33%400)
	}
	log, err := replay.ReadSWF(strings.NewReader(text.String()), 8)
	if err != nil {
		t.Fatal(err)
	}
	var hosts []replay.Host
	for i := range 40 {
		h := replay.Machine(8)
		h.Name = fmt.Sprintf("h%02d", i)
		hosts = append(hosts, h)
	}
	for _, p := range []string{sched.Strict, sched.Easy, sched.FIFO, sched.LXF} {
		first, err := replay.Replay(log.Jobs, hosts, p)
		if err != nil {
			t.Fatal(err)
		}
		again, _ := replay.Replay(log.Jobs, hosts, p)
		if !slices.Equal(first.Out, again.Out) {
			t.Errorf("%s: two runs differ", p)
		}
	}
}

func FuzzReadSWF(f *testing.F) {
	f.Add(five)
	f.Add("; MaxProcs: x\n1 1e300 -1 5 2\n")
	f.Fuzz(func(t *testing.T, text string) {
		log, err := replay.ReadSWF(strings.NewReader(text), 0)
		if err != nil {
			return
		}
		for _, j := range log.Jobs {
			if j.Run < 1 || j.MilliVCPU < 1 || j.Estimate < j.Run {
				t.Fatalf("%+v", j)
			}
		}
	})
}

// With run times that are known a start is foreseen well: what is left are jobs that come
// later and go around. Where estimates are far too long, the history does better.
func TestForesee(t *testing.T) {
	var text strings.Builder
	x := uint64(11)
	for i := range 1500 {
		x = x*6364136223846793005 + 1442695040888963407
		run := 10 + x>>40%300
		fmt.Fprintf(&text, "%d %d -1 %d %d -1 -1 -1 %d -1 -1 %d\n", i, i*25, run, 1+x>>50%4, 20*run, i%7+1)
	}
	log, err := replay.ReadSWF(strings.NewReader(text.String()), 12)
	if err != nil {
		t.Fatal(err)
	}
	by := map[replay.Method]replay.Foresight{}
	for _, m := range replay.Methods() {
		f, err := replay.Foresee(replay.Setup{Jobs: log.Jobs, Hosts: []replay.Host{replay.Machine(12)}, Image: replay.Single(sched.Easy)}, m, 60)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%+v", f)
		if f.Waited < 60 || f.Sampled != 60 || f.Cut != 0 {
			t.Errorf("%+v", f)
		}
		by[m] = f
	}
	if e := by[replay.Exact]; e.Median > 0.1 || e.Ratio90 > 2 {
		t.Errorf("exact run times: %+v", e)
	}
	if by[replay.ByDefinition].Median > by[replay.ByEstimate].Median/2 {
		t.Errorf("the history is no better than estimates: %+v, %+v", by[replay.ByDefinition], by[replay.ByEstimate])
	}
}
