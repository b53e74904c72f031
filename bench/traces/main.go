// Command traces replays the shared logs of jobs through drover's own manager and scheduler
// and prints what became of them under each policy, or with -forecast how well the start of
// jobs that waited more than a minute was foreseen when they were submitted.
//
//	go run ./bench/traces [-dir DIR]                     the table of policies
//	go run ./bench/traces -forecast                      forecasts, by how run times are known
//	go run ./bench/traces -forecast -policy lxf
package main

import (
	"bytes"
	"encoding/csv"
	"flag"
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

// trace is a shared log, and what its header does not say.
type trace struct {
	name, file string
	processors int64
	nodes      string // CSV of hosts
	anchor     float64
}

func traces() []trace {
	return []trace{
		{name: "KTH-SP2", file: "KTH-SP2-1996-2.1-cln.swf.gz", anchor: 91.0},
		{name: "HPC2N", file: "HPC2N-2002-2.1-cln.swf.gz", anchor: 88.2},
		{name: "LLNL-Thunder", file: "LLNL-Thunder-2007-1.1-cln.swf.gz", anchor: 5.49},
		{name: "Lublin-1", file: "lublin_256.swf.gz", anchor: 590},
		{name: "Lublin-2", file: "lublin_256_new2.swf.gz", anchor: 257},
		{name: "CEA-Curie", file: "CEA-Curie-2011-2.1-cln-b2.swf.gz", processors: 80640, anchor: 97.9},
		{name: "NASA-iPSC", file: "NASA-iPSC-1993-3.1-cln.swf.gz"},
		{name: "Alibaba-GPU", file: "alibaba-gpu2023-pods-default.csv.gz", nodes: "alibaba-gpu2023-nodes.csv.gz"},
	}
}

func main() {
	dir := flag.String("dir", "../shared/data/traces", "folder of the logs")
	policy := flag.String("policy", "", "policies, with commas (default: fifo,easy,lxf; with -forecast: easy)")
	foresee := flag.Bool("forecast", false, "measure forecasts of starts")
	samples := flag.Int("samples", 1000, "forecasts for each log and method")
	only := flag.String("only", "", "only logs whose name begins so")
	flag.Parse()
	policies := strings.Split(*policy, ",")
	if *policy == "" {
		policies = []string{"fifo", "easy", "lxf"}
		if *foresee {
			policies = []string{"easy"}
		}
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	if *foresee {
		fmt.Fprintln(w, "log\tpolicy\trun times\twaited > 60 s\tforecasts\tmedian error\tp90 error\tmedian ratio\tp90 ratio\twithin 2x\ttoo short\tcut\ttook\t")
	} else {
		fmt.Fprintln(w, "log\tpolicy\tjobs\tslowdown\tanchor (easy)\tmean wait s\tp95 wait s\tmax wait h\tuse\tmakespan h\tjobs/s\t")
	}
	for _, t := range traces() {
		if !strings.HasPrefix(t.name, *only) {
			continue
		}
		log, hosts, err := t.read(*dir)
		if os.IsNotExist(err) {
			fmt.Fprintf(os.Stderr, "%s is not here\n", t.file)
			continue
		}
		if err != nil {
			fatal(t.name, err)
		}
		for _, p := range policies {
			if *foresee {
				t.forecast(w, log, hosts, p, *samples)
			} else {
				t.replay(w, log, hosts, p)
			}
			w.Flush()
		}
	}
}

func fatal(what string, err error) {
	fmt.Fprintln(os.Stderr, what+":", err)
	os.Exit(1)
}

func (t *trace) replay(w io.Writer, log replay.Log, hosts []replay.Host, policy string) {
	begun := time.Now()
	run, err := replay.Replay(log.Jobs, hosts, policy)
	if err != nil {
		fatal(t.name, err)
	}
	took := time.Since(begun)
	r := replay.Measure(run)
	anchor := ""
	if policy == "easy" && t.anchor > 0 {
		anchor = fmt.Sprintf("%g (%+.1f %%)", t.anchor, 100*(r.MeanBoundedSlowdown/t.anchor-1))
	}
	fmt.Fprintf(w, "%s\t%s\t%d\t%.4g\t%s\t%.0f\t%.0f\t%.1f\t%.3f\t%.0f\t%.0f\t\n", t.name, policy, r.Jobs, r.MeanBoundedSlowdown, anchor, r.MeanWaitSeconds, r.P95WaitSeconds,
		r.MaxWaitSeconds/3600, r.Utilisation, r.MakespanSeconds/3600, float64(r.Jobs)/took.Seconds())
}

func (t *trace) forecast(w io.Writer, log replay.Log, hosts []replay.Host, policy string, samples int) {
	for _, m := range replay.Methods() {
		begun := time.Now()
		f, err := replay.Foresee(replay.Setup{Jobs: log.Jobs, Hosts: hosts, Image: replay.Single(policy)}, m, samples)
		if err != nil {
			fatal(t.name, err)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%d\t%.0f %%\t%.0f %%\t%.2f\t%.2f\t%.0f %%\t%.0f %%\t%d\t%.1f s\t\n", t.name, policy, m, f.Waited, f.Sampled, 100*f.Median, 100*f.P90, f.Ratio50, f.Ratio90,
			100*f.Within2, 100*f.Low, f.Cut, time.Since(begun).Seconds())
	}
}

// read reads a log and its hosts.
func (t *trace) read(dir string) (replay.Log, []replay.Host, error) {
	var log replay.Log
	text, err := unpacked(filepath.Join(dir, t.file))
	if err != nil {
		return log, nil, err
	}
	var hosts []replay.Host
	if t.nodes == "" {
		if log, err = replay.ReadSWF(bytes.NewReader(text), t.processors); err != nil {
			return log, nil, err
		}
		hosts = []replay.Host{replay.Machine(log.Processors)}
	} else {
		nodes, err := unpacked(filepath.Join(dir, t.nodes))
		if err != nil {
			return log, nil, err
		}
		if hosts, err = readNodes(nodes); err != nil {
			return log, nil, err
		}
		if log, err = readPods(text); err != nil {
			return log, nil, err
		}
	}
	log.LeaveOut(hosts)
	return log, hosts, nil
}

func unpacked(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r, err := replay.Open(f)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}

// table reads a CSV and calls f with each line, by the names of its columns.
func table(text []byte, f func(get func(name string) int64, name string)) error {
	rows, err := csv.NewReader(bytes.NewReader(text)).ReadAll()
	if err != nil || len(rows) == 0 {
		return err
	}
	for _, row := range rows[1:] {
		f(func(name string) int64 {
			for i, n := range rows[0] {
				if n == name {
					v, err := strconv.ParseFloat(row[i], 64)
					if err != nil {
						return 0
					}
					return int64(v)
				}
			}
			return 0
		}, row[0])
	}
	return nil
}

// readNodes reads the hosts of the Alibaba GPU trace of 2023.
func readNodes(text []byte) (hosts []replay.Host, err error) {
	err = table(text, func(get func(string) int64, name string) {
		hosts = append(hosts, replay.Host{Name: name, Capacity: resource.Vector{MilliVCPU: get("cpu_milli"), MemoryMiB: get("memory_mib"), GPU: get("gpu")}})
	})
	return hosts, err
}

// readPods reads its pods: each runs from when it was scheduled until it was deleted, and
// holds whole GPUs.
func readPods(text []byte) (replay.Log, error) {
	var b strings.Builder
	b.WriteString("submit,run,vcpus,memory_mib,gpus\n")
	err := table(text, func(get func(string) int64, _ string) {
		begun := max(get("scheduled_time"), get("creation_time"))
		if run := get("deletion_time") - begun; run > 0 && get("cpu_milli") > 0 {
			fmt.Fprintf(&b, "%d,%d,%g,%d,%d\n", get("creation_time"), run, float64(get("cpu_milli"))/1000, get("memory_mib"), get("num_gpu"))
		}
	})
	if err != nil {
		return replay.Log{}, err
	}
	return replay.ReadCSV(strings.NewReader(b.String()))
}
