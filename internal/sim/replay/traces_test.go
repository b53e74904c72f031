package replay_test

import (
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"

	"drover/internal/core/sched"
	"drover/internal/sim/replay"
)

// The logs of the Parallel Workloads Archive are no part of the repository.
const traces = "../../../../shared/data/traces" // beside the project, where there is one

func open(t *testing.T, name string) (replay.Log, []replay.Host) {
	t.Helper()
	f, err := os.Open(filepath.Join(traces, name))
	if err != nil {
		t.Skipf("the trace is not here: %v", err)
	}
	defer f.Close()
	r, err := replay.Open(f)
	if err != nil {
		t.Fatal(err)
	}
	log, err := replay.ReadSWF(r, 0)
	if err != nil {
		t.Fatal(err)
	}
	hosts := []replay.Host{replay.Machine(log.Processors)}
	log.LeaveOut(hosts)
	return log, hosts
}

// anchors are the mean bounded slowdowns of EASY with the users' estimates, and the load.
var anchors = []struct {
	file string
	easy float64
	load float64
}{
	{"KTH-SP2-1996-2.1-cln.swf.gz", 91.0, 0.701},
	{"LLNL-Thunder-2007-1.1-cln.swf.gz", 5.49, 0.865},
	{"lublin_256.swf.gz", 590, 1.061},
	{"lublin_256_new2.swf.gz", 257, 0.616},
	{"HPC2N-2002-2.1-cln.swf.gz", 88.2, 0.600},
}

func measure(jobs []replay.Job, hosts []replay.Host, policy string) (replay.Result, error) {
	t, err := replay.Replay(jobs, hosts, policy)
	if err != nil {
		return replay.Result{}, err
	}
	return replay.Measure(t), nil
}

// EASY must give the slowdowns that an independent simulator gave; the throughput order
// must be much better, and starve nobody.
func TestTraces(t *testing.T) {
	if testing.Short() {
		t.Skip("replays 370,000 jobs")
	}
	product, n := 1.0, 0
	for _, a := range anchors {
		t.Run(a.file, func(t *testing.T) {
			log, hosts := open(t, a.file)
			start := time.Now()
			easy, err := measure(log.Jobs, hosts, sched.Easy)
			if err != nil {
				t.Fatal(err)
			}
			took := time.Since(start)
			lxf, err := measure(log.Jobs, hosts, sched.LXF)
			if err != nil {
				t.Fatal(err)
			}
			ratio := lxf.MeanBoundedSlowdown / easy.MeanBoundedSlowdown
			t.Logf("%d jobs, easy %.4g (wait %.0f, max %.0f h, util %.3f) in %.1f s; lxf %.4g (wait %.0f, max %.0f h), ratio %.3f, max wait ratio %.2f", easy.Jobs, easy.MeanBoundedSlowdown, easy.MeanWaitSeconds,
				easy.MaxWaitSeconds/3600, easy.Utilisation, took.Seconds(), lxf.MeanBoundedSlowdown, lxf.MeanWaitSeconds, lxf.MaxWaitSeconds/3600, ratio, lxf.MaxWaitSeconds/easy.MaxWaitSeconds)
			if math.Abs(easy.MeanBoundedSlowdown/a.easy-1) > 0.02 {
				t.Errorf("easy gives %.2f, the anchor is %.2f", easy.MeanBoundedSlowdown, a.easy)
			}
			if ratio > 1 {
				t.Errorf("lxf is worse than easy: %.3f", ratio)
			}
			if a.load <= 0.87 && lxf.MaxWaitSeconds > 2*easy.MaxWaitSeconds {
				t.Errorf("the longest wait under lxf is %.0f s, under easy %.0f s", lxf.MaxWaitSeconds, easy.MaxWaitSeconds)
			}
			product, n = product*ratio, n+1
		})
	}
	if n == len(anchors) {
		if mean := math.Pow(product, 1/float64(n)); mean > 0.45 {
			t.Errorf("lxf against easy: geometric mean %.3f", mean)
		} else {
			t.Logf("lxf against easy: geometric mean %.3f", mean)
		}
	}
}
