package replay_test

import (
	"strings"
	"testing"

	"drover/internal/sim/replay"
)

// A simulated job that is stopped for another begins again when there is room, and both end.
func TestPreemption(t *testing.T) {
	c, err := replay.ReadCluster(strings.NewReader(`
pools: [{name: h, count: 1, vcpus: 4, memory: 4GiB}]
queues:
  - {name: low, priority: 1, tags: {"drover:preemptible": "true"}}
  - {name: high, priority: 2}
`))
	if err != nil {
		t.Fatal(err)
	}
	log, err := replay.ReadCSV(strings.NewReader("submit,run,vcpus,queue\n0,1000,4,low\n100,50,4,high\n"))
	if err != nil {
		t.Fatal(err)
	}
	out, err := replay.All(replay.Setup{Jobs: log.Jobs, Hosts: c.Hosts(), Image: c.Image("")})
	if err != nil {
		t.Fatal(err)
	}
	low, high := out.Out[0], out.Out[1]
	if high.Start != 100*µs || low.Start != 150*µs || low.State != replay.Ended || high.State != replay.Ended {
		t.Errorf("high started at %d s, low again at %d s; %+v %+v", high.Start/µs, low.Start/µs, low, high)
	}
}
