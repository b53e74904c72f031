// Command objects measures the object store beside its peers on the same machine in one run,
// and says which of issue 5's numbers are met:
//
//	go run ./bench/objects [-rows small,large,list,events,memory] [-drover BINARY] [-runs 3]
//
// The peers are processes of this program: versitygw with its own posix backend, which does
// not fsync, and a bare HTTP server that hashes (MD5 and SHA-256), writes and fsyncs. Server
// and client share the machine's processors, for peers and drover alike. Runs of the two
// alternate and medians are compared. Every load is bounded and stays on loopback; -keys and
// -gib make the long rows shorter.
package main

import (
	"flag"
	"fmt"
	"os"
	"time"

	"drover/bench/rig"
)

// bench is one run of the program.
type bench struct {
	rig.Stage
	runs   int
	during time.Duration
	keys   int
	gib    int
	missed int
}

func main() {
	if len(os.Args) == 4 && os.Args[1] == peerWord {
		if err := peer(os.Args[2], os.Args[3]); err != nil {
			fmt.Fprintln(os.Stderr, "objects: peer:", err)
			os.Exit(1)
		}
		return
	}
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "objects:", err)
		os.Exit(1)
	}
}

func run() error {
	b := &bench{}
	flag.IntVar(&b.runs, "runs", 3, "runs of each measurement; the median counts")
	flag.DurationVar(&b.during, "during", 3*time.Second, "length of a run with small objects")
	flag.IntVar(&b.keys, "keys", 1_000_000, "keys in the listed bucket")
	flag.IntVar(&b.gib, "gib", 5, "GiB that flow through for the memory row")
	if err := b.Play(fmt.Sprintf(columns, "", "drover", "peer", "ratio", "must", ""),
		rig.Row{Name: "small", Run: b.small},
		rig.Row{Name: "large", Run: b.large},
		rig.Row{Name: "list", Run: b.list},
		rig.Row{Name: "events", Run: b.events},
		rig.Row{Name: "memory", Run: b.memory}); err != nil {
		return err
	}
	if b.missed > 0 {
		return fmt.Errorf("%d numbers are missed", b.missed)
	}
	return nil
}

// columns is a line of the table.
const columns = "%-44s %14s %14s %8s %8s  %s"

// ratio prints a row that is compared with a peer.
func (b *bench) ratio(what, unit string, ours, theirs []float64, must float64) {
	o, t := rig.Median(ours), rig.Median(theirs)
	b.print(what, fmt.Sprintf("%.0f %s", o, unit), fmt.Sprintf("%.0f %s", t, unit), fmt.Sprintf("%.2f", o/t), fmt.Sprintf(">= %.2f", must), o/t >= must)
}

// limit prints a row that has a bound of its own.
func (b *bench) limit(what, value, must string, met bool) { b.print(what, value, "", "", must, met) }

func (b *bench) print(what, ours, theirs, ratio, must string, met bool) {
	word := "met"
	if !met {
		word = "MISSED"
		b.missed++
	}
	fmt.Printf(columns+"\n", what, ours, theirs, ratio, must, word)
}
