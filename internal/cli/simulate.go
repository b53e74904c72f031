package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"drover/internal/core/resource"
	"drover/internal/sim/replay"
)

// simulateCommand is `drover simulate`.
type simulateCommand struct {
	Policy     string        `placeholder:"POLICY" help:"strict, easy, fifo or lxf for all queues; several with commas are compared (default: fifo, or what the cluster file says)."`
	Cluster    []string      `type:"path" placeholder:"FILE" help:"YAML file of hosts and queues; several with commas are compared (docs/simulate.md)."`
	Processors int64         `placeholder:"N" help:"vCPUs of the one host (default: MaxProcs of the log's header)."`
	Hosts      []string      `placeholder:"COUNTxVCPUS[:MIB]" help:"Hosts instead of one machine: 10x16 or 4x96:393216, with commas."`
	SVG        string        `name:"svg" type:"path" placeholder:"FILE" help:"Draw the runs, one below the other on one scale (of the last log)."`
	WhatIf     string        `placeholder:"CHANGES" help:"What would become of what waits now on the running server: 'add 20 c5.4xlarge' (--help)."`
	History    bool          `help:"Replay what the running server did: as it was, and under --policy."`
	Since      time.Duration `placeholder:"TIME" help:"Of the history only what became ready in this time, such as 24h."`
	Files      []string      `arg:"" optional:"" name:"file" type:"path" help:"Logs: SWF, or CSV with a header line; .gz or not."`
}

// Help is shown by drover simulate --help.
func (*simulateCommand) Help() string {
	return `Replays a log through drover's own job manager and scheduler on a virtual clock. Starting a job costs nothing; every job runs as long as the log says.

  drover simulate --policy easy KTH-SP2-1996-2.1-cln.swf.gz
  drover simulate --policy easy,lxf --json log.swf
  drover simulate --hosts 10x16:65536 jobs.csv
  drover simulate --cluster now.yaml,larger.yaml --svg both.svg jobs.csv

A CSV names its columns in the first line: submit, run, vcpus, and any of id, estimate (all times in seconds), memory_mib, gpus, share, user, queue, priority, tokens (licence=2;seat=1).

Slowdown is (wait + run) / run, with runs below 10 s counted as 10 s, and never below 1.

With --history it replays what the running server did. The record is exact: played again with the same policy each job starts at the same time on the same host.

  drover simulate --history --since 24h --policy easy,lxf

With --what-if it goes on from what the running server has now, with and without the changes:

  drover simulate --what-if 'add 20 c5.4xlarge at 0.68 after 2m, max-vcpus local 640'

` + replay.Grammar
}

// simulated is one line of the result.
type simulated struct {
	File    string `json:"file"`
	Cluster string `json:"cluster,omitempty"`
	Policy  string `json:"policy,omitempty"`
	replay.Result
	Left  int        `json:"leftOut"`
	Exact *exactness `json:"playedAgain,omitempty"` // of a recorded history
}

// Run carries out the command.
func (c *simulateCommand) Run(ctx context.Context, sh *shell, g *globals) error {
	for _, p := range c.policies() {
		if p != "" && !replay.IsPolicy(p) {
			return wrong("--policy %q is none of %s", p, strings.Join(replay.Policies(), ", "))
		}
	}
	switch {
	case c.WhatIf != "" && len(c.Files) > 0:
		return wrong("--what-if goes on from the running server; leave out the log")
	case c.WhatIf != "":
		return c.whatIf(ctx, sh, g)
	case c.History && (len(c.Files) > 0 || len(c.Cluster) > 0):
		return wrong("--history replays what the running server did, on its hosts; leave out logs and clusters")
	case len(c.Files) == 0 && !c.History:
		return wrong("name a log to replay, or use --history or --what-if")
	}
	run := c.replay
	if c.History {
		run = func() ([]simulated, error) { return c.history(ctx, sh, g) }
	}
	all, err := run()
	if err != nil {
		return err
	}
	switch {
	case !g.JSON:
		return printSimulated(sh.out, all)
	case len(all) == 1:
		return printJSON(sh, all[0])
	}
	return printJSON(sh, all)
}

func (c *simulateCommand) policies() []string {
	if c.Policy == "" && len(c.Cluster) > 0 {
		return []string{""}
	}
	if c.Policy == "" {
		return []string{"fifo"}
	}
	return strings.Split(c.Policy, ",")
}

// scene is a cluster on which a log is replayed.
type scene struct {
	name    string
	cluster *replay.Cluster // nil: hosts in one queue
}

func (c *simulateCommand) scenes() ([]scene, error) {
	if len(c.Cluster) == 0 {
		return []scene{{}}, nil
	}
	if c.Processors > 0 || len(c.Hosts) > 0 {
		return nil, wrong("--cluster says what hosts there are; leave out --processors and --hosts")
	}
	var out []scene
	for _, path := range c.Cluster {
		f, err := os.Open(path)
		if err != nil {
			return nil, wrong("%w", err)
		}
		cluster, err := replay.ReadCluster(f)
		f.Close()
		if err != nil {
			return nil, wrong("%s: %w", path, err)
		}
		out = append(out, scene{filepath.Base(path), cluster})
	}
	return out, nil
}

// replay runs every log on every cluster under every policy.
func (c *simulateCommand) replay() ([]simulated, error) {
	scenes, err := c.scenes()
	if err != nil {
		return nil, err
	}
	var all []simulated
	for _, path := range c.Files {
		var pictures []replay.Picture
		for _, s := range scenes {
			log, hosts, err := c.read(path, s.cluster)
			if err != nil {
				return nil, err
			}
			for _, p := range c.policies() {
				setup := replay.Setup{Jobs: log.Jobs, Hosts: hosts, Image: replay.Single(p)}
				if s.cluster != nil {
					setup.Image = s.cluster.Image(p)
				}
				trace, err := replay.All(setup)
				if err != nil {
					return nil, wrong("%s: %w", path, err)
				}
				line := simulated{File: filepath.Base(path), Cluster: s.name, Policy: p, Result: replay.Measure(trace), Left: log.Left}
				all = append(all, line)
				if c.SVG != "" {
					pictures = append(pictures, replay.Picture{Title: strings.Join(filled(line.File, s.name, p), " · "), Words: line.words(), Trace: trace})
				}
			}
		}
		if c.SVG != "" {
			if err := os.WriteFile(c.SVG, replay.Draw(pictures...), 0o644); err != nil {
				return nil, err
			}
		}
	}
	return all, nil
}

func filled(words ...string) []string {
	var out []string
	for _, w := range words {
		if w != "" {
			out = append(out, w)
		}
	}
	return out
}

// words sums up a run for its picture.
func (s *simulated) words() string {
	text := fmt.Sprintf("%s jobs · slowdown %.4g · waits p50 %s, p95 %s, max %s · use %.1f %%", grouped(int64(s.Jobs)), s.MeanBoundedSlowdown,
		lasting(s.P50WaitSeconds), lasting(s.P95WaitSeconds), lasting(s.MaxWaitSeconds), 100*s.Utilisation)
	if s.Cost != nil {
		text += fmt.Sprintf(" · cost %.2f", s.Cost.Total)
	}
	return text
}

// read reads a log and decides what it runs on.
func (c *simulateCommand) read(path string, cluster *replay.Cluster) (replay.Log, []replay.Host, error) {
	var log replay.Log
	hosts, err := parseHosts(c.Hosts)
	if err != nil {
		return log, nil, err
	}
	if cluster != nil {
		hosts = cluster.Hosts()
	}
	f, err := os.Open(path)
	if err != nil {
		return log, nil, wrong("%w", err)
	}
	defer f.Close()
	r, err := replay.Open(f)
	if err != nil {
		return log, nil, wrong("%s: %w", path, err)
	}
	if strings.HasSuffix(strings.TrimSuffix(path, ".gz"), ".csv") {
		log, err = replay.ReadCSV(r)
	} else {
		log, err = replay.ReadSWF(r, c.Processors)
	}
	if err != nil {
		return log, nil, wrong("%s: %w", path, err)
	}
	if c.Processors > 0 {
		log.Processors = c.Processors
	}
	if len(hosts) == 0 {
		if log.Processors == 0 {
			return log, nil, wrong("%s does not say how many processors there are; give --processors N, --hosts or --cluster", path)
		}
		hosts = []replay.Host{replay.Machine(log.Processors)}
	}
	log.LeaveOut(hosts)
	if len(log.Jobs) == 0 {
		return log, nil, wrong("%s: no job of the log can run (%d left out)", path, log.Left)
	}
	return log, hosts, nil
}

const maxSimulatedHosts = 100_000

// parseHosts reads --hosts.
func parseHosts(words []string) ([]replay.Host, error) {
	var hosts []replay.Host
	for _, w := range words {
		shape, mib, hasMemory := strings.Cut(w, ":")
		count, vcpus, ok := strings.Cut(shape, "x")
		n, err := strconv.Atoi(count)
		milli, err2 := resource.ParseVCPU(vcpus)
		memory := int64(1) << 40
		var err3 error
		if hasMemory {
			memory, err3 = resource.ParseCount(mib, 1)
		}
		if err := errors.Join(err, err2, err3); !ok || err != nil || n < 1 || len(hosts)+n > maxSimulatedHosts {
			return nil, wrong("--hosts %q: write COUNTxVCPUS or COUNTxVCPUS:MIB, such as 10x16:65536, and at most %d in all", w, maxSimulatedHosts)
		}
		for range n {
			hosts = append(hosts, replay.Host{Name: fmt.Sprintf("h%05d", len(hosts)), Capacity: resource.Vector{MilliVCPU: milli, MemoryMiB: memory}})
		}
	}
	return hosts, nil
}

// lasting writes a span of so many seconds.
func lasting(s float64) string {
	return spent(time.Duration(s * float64(time.Second)).Round(time.Millisecond))
}

// printSimulated writes the table, and that of the shares where there are several.
func printSimulated(out io.Writer, all []simulated) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	priced, clustered := false, false
	for i := range all {
		priced, clustered = priced || all[i].Cost != nil, clustered || all[i].Cluster != ""
	}
	head := []string{"LOG", "POLICY", "JOBS", "SLOWDOWN", "MEAN WAIT", "P50 WAIT", "P95 WAIT", "MAX WAIT", "USE", "MAKESPAN"}
	if clustered {
		head = append(head, "CLUSTER")
	}
	if priced {
		head = append(head, "COST", "IDLE")
	}
	fmt.Fprintln(w, strings.Join(head, "\t")+"\t")
	for i := range all {
		s := &all[i]
		policy := s.Policy
		if policy == "" {
			policy = "(file)"
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%.4g\t%.0f s\t%.0f s\t%.0f s\t%s\t%.1f %%\t%s\t", s.File, policy, s.Jobs, s.MeanBoundedSlowdown, s.MeanWaitSeconds,
			s.P50WaitSeconds, s.P95WaitSeconds, lasting(s.MaxWaitSeconds), 100*s.Utilisation, lasting(s.MakespanSeconds))
		if clustered {
			fmt.Fprintf(w, "%s\t", s.Cluster)
		}
		if s.Cost != nil {
			fmt.Fprintf(w, "%.2f\t%.2f\t", s.Cost.Total, s.Cost.Idle)
		}
		fmt.Fprintln(w)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for i := range all {
		if e := all[i].Exact; e != nil {
			fmt.Fprintf(out, "%s: %s\n", all[i].File, e.words())
		}
	}
	for i := range all {
		if err := printShares(out, &all[i]); err != nil {
			return err
		}
	}
	return nil
}

// shownShares is how many shares a table has.
const shownShares = 20

func printShares(out io.Writer, s *simulated) error {
	if len(s.Shares) == 0 {
		return nil
	}
	fmt.Fprintf(out, "\nshares of %s\n", strings.Join(filled(s.File, s.Cluster, s.Policy), " "))
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "QUEUE\tSHARE\tJOBS\tVCPU HOURS\tMEAN WAIT\tUSE/PART\tCOST\t")
	for _, r := range s.Shares[:min(len(s.Shares), shownShares)] {
		queue, share, fair := r.Queue, r.Share, "-"
		if queue == "" {
			queue = "-"
		}
		if share == "" {
			share = "-"
		}
		if r.Fairness > 0 {
			fair = fmt.Sprintf("%.2f", r.Fairness)
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%.1f\t%.0f s\t%s\t%.2f\t\n", queue, share, r.Jobs, r.Hours, r.Wait, fair, r.Cost)
	}
	if n := len(s.Shares) - shownShares; n > 0 {
		fmt.Fprintf(w, "and %d more (--json)\n", n)
	}
	return w.Flush()
}
