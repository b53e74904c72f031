// Command manager measures the job manager end to end: a real server with its store, and
// hosts that are made up. It prints a table of what must hold, what is wished for and what
// was met.
//
//	go run ./bench/manager [-rows jobs,arrays,submit,pending,chunks,rounds] [-pending 1000000] [-jobs 20000] [-drover BINARY]
//
// The simulated workers speak the link protocol from this process and answer at once:
// every attempt has run and succeeded when it is told of. So the figures are those of the
// API, the decisions and the disk, with the cost of the clients and workers beside them on
// the same processors. A job counts as settled when the report of its end was answered, and
// so is durable. H is the rate of signed requests over HTTP against a bare server with a
// group-committed log (bench/rig).
//
// With -pprof HOST:PORT the server is this program, and serves net/http/pprof there.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	_ "net/http/pprof" // for -pprof
	"os"
	"runtime"

	"drover/bench/rig"
	"drover/internal/cli"
)

// pprofAddress tells a server that is this program where to serve profiles.
const pprofAddress = "DROVER_BENCH_PPROF"

// bench is one run of the program.
type bench struct {
	rig.Stage
	pending int
	jobs    int
	hosts   int
	table   []line
}

// line is one row of the table.
type line struct {
	what, measured, must, goal, met string
}

// bound is what must hold for a figure, and what is wished for.
type bound struct {
	must, goal float64
	unit       string
	least      bool // the figure must be at least so much, not at most
}

func (b *bench) row(what string, got float64, want bound) {
	sign, holds := "<=", func(bound float64) bool { return got <= bound }
	if want.least {
		sign, holds = ">=", func(bound float64) bool { return got >= bound }
	}
	l := line{what: what, measured: number(got) + " " + want.unit, must: sign + " " + number(want.must), met: "NO"}
	if holds(want.must) {
		l.met = "must"
	}
	if want.goal > 0 {
		if l.goal = number(want.goal); holds(want.goal) {
			l.met = "goal"
		}
	}
	b.table = append(b.table, l)
	fmt.Printf("  %-64s %14s   must %s  goal %s  met: %s\n", l.what, l.measured, l.must, l.goal, l.met)
}

// note prints a figure that has no bound of its own.
func (b *bench) note(format string, args ...any) { fmt.Printf("  "+format+"\n", args...) }

func number(v float64) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

func main() {
	if address := os.Getenv(pprofAddress); address != "" && len(os.Args) > 1 && os.Args[1] == "serve" {
		go func() { fmt.Fprintln(os.Stderr, http.ListenAndServe(address, nil)) }()
		os.Exit(cli.Main(context.Background(), os.Args[1:]))
	}
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "manager:", err)
		os.Exit(1)
	}
}

func run() error {
	b := &bench{}
	flag.IntVar(&b.pending, "pending", 1_000_000, "jobs that wait")
	flag.IntVar(&b.jobs, "jobs", 20_000, "jobs, or children, that run")
	flag.IntVar(&b.hosts, "hosts", 4, "simulated hosts")
	flag.Func("pprof", "address on which the server, then this program, serves profiles", func(address string) error {
		if address == "" {
			return errors.New("it takes HOST:PORT")
		}
		self, err := os.Executable()
		return errors.Join(err, os.Setenv(pprofAddress, address), flag.Set("drover", self))
	})
	if err := b.Play(fmt.Sprint("# GOMAXPROCS ", runtime.GOMAXPROCS(0)),
		titled("jobs", b.plainJobs),
		titled("arrays", b.arrays),
		titled("submit", b.submitRate),
		titled("pending", b.manyPending),
		titled("chunks", b.manyArrays),
		titled("rounds", b.rounds)); err != nil {
		return err
	}
	b.print()
	return nil
}

// titled is a row that prints its name above its figures.
func titled(name string, run func() error) rig.Row {
	return rig.Row{Name: name, Run: func() error {
		fmt.Println(name)
		return run()
	}}
}

// print writes the table in Markdown, for a note.
func (b *bench) print() {
	fmt.Println("\n| what | measured | must | goal | met |\n|---|---|---|---|---|")
	for _, l := range b.table {
		fmt.Printf("| %s | %s | %s | %s | %s |\n", l.what, l.measured, l.must, l.goal, l.met)
	}
}
