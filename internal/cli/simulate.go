package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"drover/internal/core/resource"
	"drover/internal/core/sched"
	"drover/internal/sim/replay"
)

// simulateCommand is `drover simulate`.
type simulateCommand struct {
	Policy     string   `default:"fifo" placeholder:"POLICY" help:"strict, easy, fifo or lxf (default ${default}); several with commas are compared."`
	Processors int64    `placeholder:"N" help:"vCPUs of the one host (default: MaxProcs of the log's header)."`
	Hosts      []string `placeholder:"COUNTxVCPUS[:MIB]" help:"Hosts instead of one machine: 10x16 or 4x96:393216, with commas."`
	SVG        string   `name:"svg" type:"path" placeholder:"FILE" help:"Draw the machine's use over time (of the last log and policy)."`
	Files      []string `arg:"" name:"file" type:"path" help:"Logs: SWF, or CSV with a header line; .gz or not."`
}

// Help is shown by drover simulate --help.
func (*simulateCommand) Help() string {
	return `Replays a log through drover's own job manager and scheduler on a virtual clock. Starting a job costs nothing; every job runs as long as the log says.

  drover simulate --policy easy KTH-SP2-1996-2.1-cln.swf.gz
  drover simulate --policy easy,lxf --json log.swf
  drover simulate --hosts 10x16:65536 jobs.csv

A CSV names its columns in the first line: submit, run, vcpus, and any of id, estimate (all times in seconds), memory_mib, gpus, share.

Slowdown is (wait + run) / run, with runs below 10 s counted as 10 s, and never below 1.`
}

// simulated is one line of the result.
type simulated struct {
	File   string `json:"file"`
	Policy string `json:"policy"`
	replay.Result
	Left int `json:"leftOut"`
}

// Run carries out the command.
func (c *simulateCommand) Run(sh *shell, g *globals) error {
	policies := strings.Split(c.Policy, ",")
	for _, p := range policies {
		if !slices.Contains([]string{sched.Strict, sched.Easy, sched.FIFO, sched.LXF}, p) {
			return wrong("--policy %q is none of strict, easy, fifo, lxf", p)
		}
	}
	var all []simulated
	for _, path := range c.Files {
		log, hosts, err := c.read(path)
		if err != nil {
			return err
		}
		for _, p := range policies {
			r, out, err := replay.Run(log.Jobs, hosts, p)
			if err != nil {
				return wrong("%s: %w", path, err)
			}
			all = append(all, simulated{filepath.Base(path), p, r, log.Left})
			if c.SVG != "" {
				if err := os.WriteFile(c.SVG, replay.Draw(log.Jobs, out, hosts), 0o644); err != nil {
					return err
				}
			}
		}
	}
	if !g.JSON {
		return printSimulated(sh.out, all)
	}
	if len(all) == 1 {
		return printJSON(sh, all[0])
	}
	return printJSON(sh, all)
}

// read reads a log and decides what it runs on.
func (c *simulateCommand) read(path string) (replay.Log, []replay.Host, error) {
	var log replay.Log
	hosts, err := parseHosts(c.Hosts)
	if err != nil {
		return log, nil, err
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
			return log, nil, wrong("%s does not say how many processors there are; give --processors N or --hosts", path)
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

// printSimulated writes the table.
func printSimulated(out io.Writer, all []simulated) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "LOG\tPOLICY\tJOBS\tSLOWDOWN\tMEAN WAIT\tP95 WAIT\tMAX WAIT\tUSE\tMAKESPAN\t")
	for _, s := range all {
		fmt.Fprintf(w, "%s\t%s\t%d\t%.4g\t%.0f s\t%d s\t%.0f h\t%.1f %%\t%.0f h\t\n", s.File, s.Policy, s.Jobs, s.MeanBoundedSlowdown, s.MeanWaitSeconds,
			s.P95WaitSeconds, float64(s.MaxWaitSeconds)/3600, 100*s.Utilisation, float64(s.MakespanSeconds)/3600)
	}
	return w.Flush()
}
