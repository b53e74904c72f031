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
	"flag"
	"fmt"
	"os"

	"drover/bench/rig"
)

// bench is one run of the program.
type bench struct {
	rig.Stage
	runs  int
	tasks int
	files int
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "firstjob:", err)
		os.Exit(1)
	}
}

func run() error {
	b := &bench{}
	flag.IntVar(&b.runs, "runs", 5, "runs of each measurement; the median counts")
	flag.IntVar(&b.tasks, "tasks", 10_000, "children of the array of `true`")
	flag.IntVar(&b.files, "files", 2_000, "files of the wc measurements")
	return b.Play("",
		rig.Row{Name: "start", Run: b.start},
		rig.Row{Name: "submit", Run: b.submit},
		rig.Row{Name: "accept", Run: b.accept},
		rig.Row{Name: "latency", Run: b.latency},
		rig.Row{Name: "refill", Run: b.refill},
		rig.Row{Name: "tasks", Run: b.taskRate},
		rig.Row{Name: "files", Run: b.fileRate},
		rig.Row{Name: "map", Run: b.mapRate})
}
