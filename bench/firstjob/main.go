// Command firstjob measures what the first job costs: it answers the table of issue 1, as
// ratios to calibrations taken just before and after on the same machine.
//
//	go run ./bench/firstjob [-rows tasks,files,map,submit,accept,latency,refill,start] [-drover BINARY] [-runs 5]
//
// S is the rate at which Go starts `true` with its output in a pipe, two at a time; H is the
// rate of signed SubmitJob-like requests over HTTP with 16 clients against a bare server
// with a group-committed log. CPU per task comes from a cpuacct control group around the
// server, worker, launcher and jobs, where the machine has one. Every load is bounded and
// stays on loopback.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"

	"drover/bench/rig"
)

// bench is one run of the program.
type bench struct {
	ctx    context.Context
	drover string
	dir    string
	runs   int
	tasks  int
	files  int
}

var rows = []struct {
	name string
	run  func(*bench) error
}{
	{"start", (*bench).start},
	{"submit", (*bench).submit},
	{"accept", (*bench).accept},
	{"latency", (*bench).latency},
	{"refill", (*bench).refill},
	{"tasks", (*bench).taskRate},
	{"files", (*bench).fileRate},
	{"map", (*bench).mapRate},
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "firstjob:", err)
		os.Exit(1)
	}
}

func run() error {
	var names []string
	for _, r := range rows {
		names = append(names, r.name)
	}
	which := flag.String("rows", strings.Join(names, ","), "rows to measure")
	binary := flag.String("drover", "", "drover binary; built from this tree if empty")
	b := &bench{ctx: context.Background()}
	flag.IntVar(&b.runs, "runs", 5, "runs of each measurement; the median counts")
	flag.IntVar(&b.tasks, "tasks", 10_000, "children of the array of `true`")
	flag.IntVar(&b.files, "files", 2_000, "files of the wc measurements")
	flag.Parse()

	dir, err := os.MkdirTemp("", "drover-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b.dir = dir
	if b.drover, err = rig.Build(dir, *binary); err != nil {
		return err
	}
	fmt.Println(rig.Machine())
	wanted := strings.Split(*which, ",")
	for _, w := range wanted {
		if !slices.Contains(names, w) {
			return fmt.Errorf("no row %q; there are %s", w, strings.Join(names, ", "))
		}
	}
	for _, r := range rows {
		if !slices.Contains(wanted, r.name) {
			continue
		}
		if err := r.run(b); err != nil {
			return fmt.Errorf("%s: %w", r.name, err)
		}
	}
	return nil
}
